"""Draw the planned pictures of a set with a pool of forked workers, and report on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from forkmaps.encode import encode_png, encode_webp
from forkmaps.errors import DiskFullError
from forkmaps.job import Job
from forkmaps.manifest import Manifest, choose
from forkmaps.manifest.entries import file_state
from forkmaps.manifest.fingerprint import fingerprints
from forkmaps.outcomes import Drawn, NoRoom, Outcomes
from forkmaps.output import locked, make_folders, sweep_stale, write_apart
from forkmaps.plan import Plan, PlannedMap
from forkmaps.pool import Pool, WorkerReport
from forkmaps.pool.forkable import after_fork, check_forkable
from forkmaps.progress import Progress
from forkmaps.remarks import Listening, outcomes_told
from forkmaps.report import DONE, RUNNING, Report
from forkmaps.shared import SharedData, raster_reads, shared_data

if TYPE_CHECKING:
    from forkmaps.render import Renderer

_log = logging.getLogger(__name__)

_MAPS_PER_WORKER = 1000
"""After so many a new worker takes over, in some 20 ms: what libraries may have gathered is given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a plan is carried out.

    Attributes
    ----------
    workers : int or None
        How many; None: one for each CPU this process may use; 0: draw in this process.
    timeout : float or None
        Seconds that one map may take.
    force : bool
        Draw maps again though nothing that shapes them has changed.
    only_failed : bool
        Draw only the maps that failed when they were last tried.
    fail_fast : bool
        Stop at the first map that fails.
    wait : bool
        Wait for another run that writes in the folder, instead of being refused.
    """

    workers: int | None = None
    timeout: float | None = None
    force: bool = False
    only_failed: bool = False
    fail_fast: bool = False
    wait: bool = False


class MapDrawer:
    """Draws planned maps in a worker: one renderer, made there, for all of the worker's maps."""

    def __init__(self, plan: Plan, reads_before: int) -> None:
        # Here, since it brings all of matplotlib: not for a run without work, and not in each worker anew.
        from forkmaps.render import Renderer

        self.plan, self.reads_before = plan, reads_before
        self._make = Renderer
        self._renderer: Renderer | None = None

    def prepare(self) -> None:
        """Make this process ready for its first map."""
        self._renderer = self._make(shared_data(), self.plan.style, self.plan.lines)

    def draw(self, planned: PlannedMap) -> Drawn | NoRoom:
        """Draw one map and write it beside its path; the parent puts it in place."""
        assert self._renderer is not None, "prepare() comes first"
        data = picture_bytes(self._renderer, planned.job, planned.path.suffix.lower())
        try:
            temporary = write_apart(planned.path, data)
        except DiskFullError as error:
            return NoRoom(str(error))
        return Drawn(temporary, file_state(temporary), raster_reads() - self.reads_before)


def picture_bytes(renderer: Renderer, job: Job, suffix: str) -> bytes:
    """Draw a job and return it as the bytes of a file with a suffix: .png, .webp, .pdf or .svg."""
    if suffix == ".png":
        return encode_png(renderer.picture(job), dpi=renderer.style.dpi)
    if suffix == ".webp":
        return encode_webp(renderer.picture(job))
    return renderer.vector(job, "pdf" if suffix == ".pdf" else "svg")


def draw_maps(
    shared: SharedData, plan: Plan, run: Run | None = None, *, progress: Callable[[int], Progress] = Progress
) -> Report:
    """Draw planned maps with forked workers that read `shared` through copy-on-write memory.

    A map is skipped when its file is there and nothing that shapes it has changed since: the raster's values
    in its own window, boundaries, style, region, forkmaps itself.

    Parameters
    ----------
    shared : SharedData
        The process's shared data.
    plan : Plan
        What to draw; see `plan_maps`.
    run : Run
        With how many workers, for how long at most, and so on; default: `Run()`.
    progress : callable
        Makes the `Progress` for a number of maps.

    Raises
    ------
    ForkUnsafe
        A worker forked from this process could hang.
    PoolError
        The workers as a whole failed. (One map's failure is told in the report.)
    OutputError
        The folders can't be made, or another run is writing there.
    DiskFullError
        The disk is full; the maps that are done are whole, and the next run goes on from there.
    """
    run, begin = run or Run(), time.perf_counter()
    make_folders([plan.folder / "any", *(one.path for one in plan.maps)])
    with locked(plan.folder, wait=run.wait), Manifest.open(plan.folder, force=run.force) as manifest:
        sweep_stale(plan.folder)
        # What every worker would otherwise compute for itself is computed before the fork.
        shared.warm()
        prints = dict(zip((one.path for one in plan.maps), fingerprints(shared, plan), strict=True))
        to_draw, skipped = choose(
            plan.maps, manifest, list(prints.values()), force=run.force, only_failed=run.only_failed
        )
        kept = Outcomes(shared, plan, manifest, prints, len(skipped), begin)
        _log.info("%s: %d of %d maps to draw, to %s", plan.name, len(to_draw), len(plan.maps), plan.folder)
        # Of a run that is killed, this is what is left.
        kept.report(state=RUNNING).write()
        try:
            state, workers = _draw_all(shared, plan, to_draw, run, kept, progress)
        except BaseException as error:
            kept.report_stop(error)
            raise
        finally:
            # What workers wrote whose maps got no place: they died, or the run was stopped.
            sweep_stale(plan.folder)
        report = kept.report(workers, state=state)
        report.write()
    _log.info("%s: %s", plan.name, report.summary().partition("\n")[0])
    return report


def _draw_all(
    shared: SharedData,
    plan: Plan,
    to_draw: Sequence[PlannedMap],
    run: Run,
    kept: Outcomes,
    progress: Callable[[int], Progress],
) -> tuple[str, tuple[WorkerReport, ...]]:
    """Draw maps; return the state that the run is in then, and what the workers did."""
    if not to_draw:
        return DONE, ()
    state, drawer = DONE, MapDrawer(plan, raster_reads())
    pool = Pool(
        Listening(drawer.draw, _region_of),
        workers=run.workers,
        timeout=run.timeout,
        prepare=drawer.prepare,
        before_fork=partial(check_forkable, shared.arrays(), foreign_code=False),
        after_fork=after_fork,
        jobs_per_worker=_MAPS_PER_WORKER,
    )
    with pool, progress(len(to_draw)) as bar:
        kept.show(bar)
        for outcome in outcomes_told(pool.run(to_draw), kept.note):
            kept.add(outcome)
            if run.fail_fast and kept.failures:
                state = "stopped: at the first failure"
                break
    return state, pool.report()


def _region_of(planned: PlannedMap) -> str:
    return planned.job.region.name
