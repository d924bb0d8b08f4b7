"""Draw the planned pictures of a set with a pool of forked workers, and report on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forkmaps.manifest import Manifest
from forkmaps.manifest.choosing import choose, longest_first
from forkmaps.manifest.fingerprint import Fingerprints
from forkmaps.output import locked, make_folders, sweep_stale
from forkmaps.plan import Plan, PlannedMap
from forkmaps.pool import StartMethod, WorkerReport
from forkmaps.progress import Progress
from forkmaps.run.outcomes import Outcomes
from forkmaps.run.remarks import Listening, outcomes_told
from forkmaps.run.report import DONE, RUNNING, Report
from forkmaps.shared import SharedData

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
    start_method : str
        How workers come into being: "auto", "fork", "forkserver" or "spawn"; see `forkmaps.pool.Pool`.
    """

    workers: int | None = None
    timeout: float | None = None
    force: bool = False
    only_failed: bool = False
    fail_fast: bool = False
    wait: bool = False
    start_method: StartMethod = "auto"


def draw_maps(
    shared: SharedData, plan: Plan, run: Run | None = None, *, progress: Callable[[int], Progress] = Progress
) -> Report:
    """Draw planned maps with forked workers that read `shared` through copy-on-write memory.

    A map is skipped when its file is there and nothing that shapes it has changed since: the raster's values
    in its own window, boundaries, style, region, forkmaps itself. Maps that a user's function draws on are
    never skipped.

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
        A worker forked from this process could hang, and "fork" was asked for.
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
        prints = Fingerprints(shared, plan)
        # Nothing tells whether a user's function has changed, so that its maps are drawn always.
        force = run.force or plan.plotter is not None
        to_draw, skipped = choose(plan.maps, manifest, prints.of, force=force, only_failed=run.only_failed)
        kept = Outcomes(shared, plan, manifest, len(skipped), begin)
        _log.info("%s: %d of %d maps to draw, to %s", plan.name, len(to_draw), len(plan.maps), plan.folder)
        # Of a run that is killed, this is what is left.
        kept.report(state=RUNNING).write()
        try:
            to_draw = longest_first(to_draw, manifest)
            state, workers = _draw_all(shared, plan, prints, to_draw, run, kept, progress)
        except BaseException as error:
            sweep_stale(plan.folder)  # which makes room for a report, where the disk is full
            kept.report_stop(error)
            raise
        # What workers wrote whose maps got no place, as they died.
        sweep_stale(plan.folder)
        report = kept.report(workers, state=state)
        report.write()
    _log.info("%s: %s", plan.name, report.summary().partition("\n")[0])
    return report


def _draw_all(
    shared: SharedData,
    plan: Plan,
    prints: Fingerprints,
    to_draw: Sequence[PlannedMap],
    run: Run,
    kept: Outcomes,
    progress: Callable[[int], Progress],
) -> tuple[str, tuple[WorkerReport, ...]]:
    """Draw maps; return the state that the run is in then, and what the workers did."""
    if not to_draw:
        return DONE, ()
    # Here, since they bring all of matplotlib: not for a run without work.
    from forkmaps.drawers import drawing_pool
    from forkmaps.run.mapdrawer import MapDrawer

    state, drawer = DONE, MapDrawer(shared, plan, prints)
    listening = Listening(drawer.draw, _region_of, drawer.prepare)
    pool = drawing_pool(
        listening,
        prepare=listening.prepare,
        arrays=shared.arrays(),
        foreign_code=plan.plotter is not None,
        workers=run.workers,
        timeout=run.timeout,
        jobs_per_worker=_MAPS_PER_WORKER,
        start_method=run.start_method,
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
