"""The figures of a sweep: drawn by workers, put in place by their parent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from forkmaps.drawers import drawing_pool
from forkmaps.errors import DiskFullError, OutputError
from forkmaps.figures import figure_bytes, figure_of, own_figures
from forkmaps.output import NoRoom, put_in_place, write_apart_if_room
from forkmaps.pool import Done, Failed, StartMethod
from forkmaps.progress import Progress
from forkmaps.sweeps.planning import SweepPlan
from forkmaps.sweeps.report import SHOWN_FAILURES, SweepFailure
from forkmaps.sweeps.selection import Selection

DrawFunction: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws figures, in a worker."""

    function: DrawFunction
    selection: Selection
    plan: SweepPlan
    dpi: float | None

    def draw(self, index: int) -> Path | NoRoom:
        """Draw the figure of a combination and write it beside its path; the parent puts it in place."""
        path, combination = self.plan.paths[index], self.plan.combinations[index]
        with own_figures():
            returned = self.function(*self.selection.arguments(combination), **combination)
            content = figure_bytes(figure_of(returned), path.suffix.lower(), dpi=self.dpi)
        return write_apart_if_room(path, content)


def draw_all(
    drawer: Drawer,
    indices: Sequence[int],
    outcomes: Outcomes,
    *,
    workers: int | None,
    timeout: float | None,
    start_method: StartMethod,
) -> None:
    """Draw the figures of some combinations, by their numbers."""
    if not indices:
        return
    pool = drawing_pool(drawer.draw, workers=workers, timeout=timeout, start_method=start_method)
    with pool, outcomes.progress:
        for outcome in pool.run(indices):
            outcomes.add(outcome)


@dataclass
class Outcomes:
    """Takes outcomes as they come: puts files in place, and counts."""

    plan: SweepPlan
    progress: Progress
    done: list[int] = field(default_factory=list)
    failures: list[SweepFailure] = field(default_factory=list)

    def add(self, outcome: Done[int, Path | NoRoom] | Failed[int]) -> None:
        """Take in one outcome. Raises `DiskFullError` where there is no room for a file."""
        if isinstance(outcome, Failed):
            self._fail(outcome, outcome.message, outcome.cause)
        elif isinstance(outcome.value, NoRoom):
            raise DiskFullError(outcome.value.message)
        else:
            self._keep(outcome, outcome.value)
        self.progress.step()

    def _keep(self, outcome: Done[int, Path | NoRoom], temporary: Path) -> None:
        try:
            put_in_place(temporary, self.plan.paths[outcome.job])
        except DiskFullError:
            raise
        except OutputError as error:
            self._fail(outcome, str(error), "output")
        else:
            self.done.append(outcome.job)

    def _fail(self, outcome: Done[int, Path | NoRoom] | Failed[int], message: str, cause: str) -> None:
        self.failures.append(
            SweepFailure(
                parameters=self.plan.combinations[outcome.job],
                path=str(self.plan.paths[outcome.job]),
                error=message,
                cause=cause,
                signal=outcome.signal if isinstance(outcome, Failed) else None,
                seconds=round(outcome.seconds, 3),
                attempts=outcome.attempts,
                traceback=outcome.traceback if isinstance(outcome, Failed) else "",
            )
        )
        if len(self.failures) <= SHOWN_FAILURES:
            self.progress.message(str(self.failures[-1]))
