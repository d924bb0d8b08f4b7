"""Draw the planned pictures of a set with a pool of forked workers, and report on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import threadpoolctl

from forkmaps.encode import encode_png, encode_webp
from forkmaps.errors import OutputError
from forkmaps.output import DiskFullError, locked, make_folders, put_in_place, sweep_stale, write_apart
from forkmaps.plan import Plan, PlannedMap
from forkmaps.pool import Done, Failed, Pool, WorkerReport
from forkmaps.progress import Progress
from forkmaps.render import Job, Renderer, open_range
from forkmaps.shared import SharedData, raster_reads, shared_data

_SHOWN_FAILURES = 20
"""So many failures are told as they come; one cause can fail all of 3,000 maps."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be drawn, and why."""

    region: str
    band: int
    error: str


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """What one worker did, and its memory in MB at the end (None where the system does not tell)."""

    pid: int
    maps: int
    private_mb: float | None
    pss_mb: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a map set.

    Attributes
    ----------
    mapset : str
        Its name.
    maps, failed, skipped : int
        Pictures drawn, failed, and left as they were.
    seconds : float
        From the start of the drawing to its end.
    raster_reads : int
        How often the raster was read, in all processes.
    shared_mb : float
        Memory of the shared data, in MB.
    """

    mapset: str
    maps: int
    failed: int
    skipped: int
    seconds: float
    raster_reads: int
    shared_mb: float
    workers: tuple[WorkerUse, ...]
    failures: tuple[Failure, ...]
    outputs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON's types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A worker's answer: where it wrote the file, and how often it has read the raster itself."""

    temporary: Path
    own_reads: int


@dataclass(frozen=True, slots=True)
class _NoRoom:
    """A worker's answer where the disk is full: the next map would have no room either."""

    message: str


class MapDrawer:
    """Draws planned maps in a worker: one renderer, made there, for all of the worker's maps."""

    def __init__(self, plan: Plan, reads_before: int) -> None:
        self.plan, self.reads_before = plan, reads_before
        self._renderer: Renderer | None = None

    def prepare(self) -> None:
        """Make this process ready for its first map."""
        # Two BLAS threads beside another busy worker take six times as long as one.
        threadpoolctl.threadpool_limits(1)
        self._renderer = Renderer(shared_data(), self.plan.style, self.plan.lines)

    def draw(self, planned: PlannedMap) -> _Drawn | _NoRoom:
        """Draw one map and write it beside its path; the parent puts it in place."""
        assert self._renderer is not None, "prepare() comes first"
        data = picture_bytes(self._renderer, planned.job, planned.path.suffix.lower())
        try:
            temporary = write_apart(planned.path, data)
        except DiskFullError as error:
            return _NoRoom(str(error))
        return _Drawn(temporary, raster_reads() - self.reads_before)


def picture_bytes(renderer: Renderer, job: Job, suffix: str) -> bytes:
    """Draw a job and return it as the bytes of a file with a suffix: .png, .webp, .pdf or .svg."""
    if suffix == ".png":
        return encode_png(renderer.picture(job), dpi=renderer.style.dpi)
    if suffix == ".webp":
        return encode_webp(renderer.picture(job))
    return renderer.vector(job, "pdf" if suffix == ".pdf" else "svg")


def draw_maps(
    shared: SharedData,
    plan: Plan,
    *,
    workers: int | None = None,
    timeout: float | None = None,
    wait: bool = False,
    progress: Callable[[int], Progress] = Progress,
) -> Report:
    """Draw planned maps with forked workers that read `shared` through copy-on-write memory.

    Parameters
    ----------
    shared : SharedData
        The process's shared data.
    plan : Plan
    workers : int
        How many; None: one for each CPU this process may use; 0: draw in this process.
    timeout : float
        Seconds that one map may take.
    wait : bool
        Wait for another run that writes in the plan's folder, instead of being refused.
    progress : callable
        Makes the `Progress` for a number of maps.

    Raises
    ------
    PoolError
        The workers as a whole failed. (One map's failure is told in the report.)
    OutputError
        The folders can't be made, or another run is writing there.
    DiskFullError
        The disk is full; the maps that are done are whole.
    """
    begin = time.perf_counter()
    make_folders([plan.folder / "any", *(one.path for one in plan.maps)])
    with locked(plan.folder, wait=wait):
        sweep_stale(plan.folder)
        # What every worker would otherwise compute for itself is computed before the fork.
        shared.warm()
        open_range(shared, plan.style)
        collected, use = _draw_all(shared, plan, workers, timeout, progress)
    return collected.report(plan.name, time.perf_counter() - begin, use)


def _draw_all(
    shared: SharedData,
    plan: Plan,
    workers: int | None,
    timeout: float | None,
    progress: Callable[[int], Progress],
) -> tuple[_Collected, tuple[WorkerReport, ...]]:
    drawer, collected = MapDrawer(plan, raster_reads()), _Collected(shared)
    with Pool(drawer.draw, workers=workers, timeout=timeout, prepare=drawer.prepare) as pool:
        with progress(len(plan.maps)) as bar:
            for outcome in pool.run(plan.maps):
                collected.add(outcome, bar)
        return collected, pool.report()


class _Collected:
    """Outcomes, as they come."""

    def __init__(self, shared: SharedData) -> None:
        self.shared = shared
        self.outputs: list[str] = []
        self.failures: list[Failure] = []
        self.reads: dict[int, int] = {}

    def add(self, outcome: Done[PlannedMap, _Drawn | _NoRoom] | Failed[PlannedMap], bar: Progress) -> None:
        """Take in one outcome; a picture that was drawn gets its place."""
        if isinstance(outcome, Failed):
            self._fail(outcome.job, outcome.message, bar)
        elif isinstance(outcome.value, _NoRoom):
            raise DiskFullError(outcome.value.message)
        else:
            self.reads[outcome.pid] = outcome.value.own_reads
            self._keep(outcome.job, outcome.value.temporary, bar)
        bar.step()

    def _keep(self, planned: PlannedMap, temporary: Path, bar: Progress) -> None:
        try:
            put_in_place(temporary, planned.path)
        except DiskFullError:
            raise
        except OutputError as error:
            self._fail(planned, str(error), bar)
        else:
            self.outputs.append(str(planned.path))

    def _fail(self, planned: PlannedMap, message: str, bar: Progress) -> None:
        band = self.shared.raster.bands[planned.job.band].number
        self.failures.append(Failure(planned.job.region.name, band, message))
        if len(self.failures) <= _SHOWN_FAILURES:
            bar.message(f'failed: region "{planned.job.region.name}", band {band}: {message}')

    def report(self, name: str, seconds: float, use: Sequence[WorkerReport]) -> Report:
        """Sum up."""
        return Report(
            mapset=name,
            maps=len(self.outputs),
            failed=len(self.failures),
            skipped=0,
            seconds=round(seconds, 3),
            raster_reads=raster_reads() + sum(self.reads.values()),
            shared_mb=round(self.shared.nbytes / 1e6, 1),
            workers=tuple(WorkerUse(w.pid, w.jobs, _rounded(w.private_mb), _rounded(w.pss_mb)) for w in use),
            failures=tuple(self.failures),
            outputs=tuple(sorted(self.outputs)),
        )


def _rounded(megabytes: float | None) -> float | None:
    return None if megabytes is None else round(megabytes, 1)
