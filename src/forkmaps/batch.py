"""Draw the planned pictures of a set with a pool of forked workers, and report on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import threadpoolctl

from forkmaps.encode import encode_png, encode_webp
from forkmaps.output import make_folders, write_whole
from forkmaps.plan import PlannedMap
from forkmaps.pool import Done, Failed, Pool, WorkerReport
from forkmaps.progress import Progress
from forkmaps.render import Job, Renderer, open_range
from forkmaps.shared import SharedData, raster_reads, shared_data
from forkmaps.style import Line, Style

log = logging.getLogger("forkmaps")

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
    """A worker's answer: the file it wrote, and how often it has read the raster itself."""

    path: str
    own_reads: int


class MapDrawer:
    """Draws planned maps in a worker: one renderer, made there, for all of the worker's maps."""

    def __init__(self, style: Style, lines: Mapping[str, Line] | None, reads_before: int) -> None:
        self.style, self.lines, self.reads_before = style, lines, reads_before
        self._renderer: Renderer | None = None

    def prepare(self) -> None:
        """Make this process ready for its first map."""
        # Two BLAS threads beside another busy worker take six times as long as one.
        threadpoolctl.threadpool_limits(1)
        self._renderer = Renderer(shared_data(), self.style, self.lines)

    def draw(self, planned: PlannedMap) -> _Drawn:
        """Draw one map and write its file."""
        if self._renderer is None:
            self.prepare()
        assert self._renderer is not None
        write_whole(planned.path, picture_bytes(self._renderer, planned.job, planned.path.suffix.lower()))
        return _Drawn(str(planned.path), raster_reads() - self.reads_before)


def picture_bytes(renderer: Renderer, job: Job, suffix: str) -> bytes:
    """Draw a job and return it as the bytes of a file with a suffix: .png, .webp, .pdf or .svg."""
    if suffix == ".png":
        return encode_png(renderer.picture(job), dpi=renderer.style.dpi)
    if suffix == ".webp":
        return encode_webp(renderer.picture(job))
    return renderer.vector(job, "pdf" if suffix == ".pdf" else "svg")


def draw_maps(
    shared: SharedData,
    planned: Sequence[PlannedMap],
    style: Style,
    lines: Mapping[str, Line] | None = None,
    *,
    name: str = "maps",
    workers: int | None = None,
    timeout: float | None = None,
    progress: Callable[[int], Progress] = Progress,
) -> Report:
    """Draw maps with forked workers that read `shared` through copy-on-write memory.

    Parameters
    ----------
    shared : SharedData
        The process's shared data.
    planned : sequence of PlannedMap
    workers : int
        How many; None: one for each CPU this process may use; 0: draw in this process.
    timeout : float
        Seconds that one map may take.
    progress : callable
        Makes the `Progress` for a number of maps.

    Raises
    ------
    PoolError
        The workers as a whole failed. (One map's failure is told in the report.)
    """
    begin = time.perf_counter()
    make_folders([one.path for one in planned])
    # What every worker would otherwise compute for itself is computed before the fork.
    shared.warm()
    open_range(shared, style)
    drawer = MapDrawer(style, lines, raster_reads())
    collected = _Collected(shared)
    with Pool(drawer.draw, workers=workers, timeout=timeout, prepare=drawer.prepare) as pool:
        with progress(len(planned)) as bar:
            for outcome in pool.run(planned):
                collected.add(outcome, bar)
        use = pool.report()
    return collected.report(name, time.perf_counter() - begin, use)


class _Collected:
    """Outcomes, as they come."""

    def __init__(self, shared: SharedData) -> None:
        self.shared = shared
        self.outputs: list[str] = []
        self.failures: list[Failure] = []
        self.reads: dict[int, int] = {}

    def add(self, outcome: Done[PlannedMap, _Drawn] | Failed[PlannedMap], bar: Progress) -> None:
        """Take in one outcome."""
        if isinstance(outcome, Done):
            self.outputs.append(outcome.value.path)
            self.reads[outcome.pid] = outcome.value.own_reads
        else:
            job = outcome.job.job
            band = self.shared.raster.bands[job.band].number
            self.failures.append(Failure(job.region.name, band, outcome.message))
            if len(self.failures) <= _SHOWN_FAILURES:
                bar.message(f'failed: region "{job.region.name}", band {band}: {outcome.message}')
            log.debug("%s", outcome)
        bar.step()

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
