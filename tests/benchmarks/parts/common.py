"""Loading a map set and drawing it in a worker, as several parts do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forkmaps import MapSet, Plan, SharedData, read_mapset
from forkmaps.manifest.fingerprint import Fingerprints
from forkmaps.output import make_folders, put_in_place
from forkmaps.plan import PlannedMap
from forkmaps.pool import Done, Pool
from forkmaps.run.mapdrawer import MapDrawer


@dataclass(frozen=True)
class LoadedSet:
    """A map set, loaded, and the plan of its maps."""

    map_set: MapSet
    shared: SharedData
    plan: Plan

    @classmethod
    def of(cls, path: Path, folder: Path) -> LoadedSet:
        """Load a map set; its maps go to `folder`."""
        map_set = read_mapset(path)
        shared, regions = map_set.load()
        shared.warm()
        plan = map_set.plan(shared, regions, folder=folder)
        make_folders([one.path for one in plan.maps])
        return cls(map_set, shared, plan)

    @property
    def planned(self) -> tuple[PlannedMap, ...]:
        """The maps of the plan."""
        return self.plan.maps

    def drawer(self) -> MapDrawer:
        """Return what draws and writes this set's maps in a worker: the program's own, nothing spared."""
        return MapDrawer(self.shared, self.plan, Fingerprints(self.shared, self.plan))

    def ready_drawer(self) -> MapDrawer:
        """Return a drawer that is ready to draw from this set's data; for processes that hold several."""
        drawer = self.drawer()
        drawer.prepare()
        return drawer


def draw_to_file(drawer: MapDrawer, planned: PlannedMap) -> None:
    """Draw a map as a worker does, and do the parent's part too: flush the file, give it its name."""
    drawn = drawer.draw(planned)
    put_in_place(drawn.temporary, planned.path)


def in_worker(
    function: Callable[[Any], Any], jobs: Iterable[Any], prepare: Callable[[], None] | None = None
) -> list[Any]:
    """Call a function with each job in one forked worker, and return the values. A failure raises."""
    with Pool(function, workers=1, prepare=prepare) as pool:
        return [value_of(outcome) for outcome in pool.run(jobs)]


def value_of(outcome: Any) -> Any:
    if not isinstance(outcome, Done):
        raise RuntimeError(f"{outcome.job}: {outcome.message}\n{outcome.traceback}")
    return outcome.value
