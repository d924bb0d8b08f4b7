"""What becomes of a run's maps as workers tell it: files get their place, manifest and report their lines."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from forkmaps.errors import DiskFullError, OutputError
from forkmaps.job import band_of
from forkmaps.manifest import Manifest
from forkmaps.manifest.entries import FileState
from forkmaps.output import NoRoom, put_in_place
from forkmaps.plan import Plan, PlannedMap
from forkmaps.pool import Done, Failed, WorkerReport
from forkmaps.progress import Progress
from forkmaps.run.report import DONE, Failure, MapTime, Remark, Report, WorkerUse, now
from forkmaps.shared import SharedData, raster_reads

_SHOWN = 20
"""So many failures, and so many remarks, are told as they come; one cause can fail all of 3,000 maps."""

_SLOWEST = 5
"""So many of the slowest maps are reported."""

_TRACEBACKS = 100
"""Of so many failures the report has the traceback; the log has all."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A worker's answer.

    Attributes
    ----------
    temporary : Path
        Where it wrote the file.
    state : FileState
        What tells this file from others.
    fingerprint : str
        Of what it drew the map from.
    own_reads : int
        How often it read the raster's file itself.
    """

    temporary: Path
    state: FileState
    fingerprint: str
    own_reads: int


Answered = Done[PlannedMap, Drawn | NoRoom]


@dataclass
class Outcomes:
    """Takes outcomes as they come: puts files in place, notes them in the manifest, counts.

    Parameters
    ----------
    shared, plan
        What is drawn, from what.
    manifest
        Of the folder.
    skipped
        How many maps are left as they are.
    begin
        When the run began, by `time.perf_counter`.
    """

    shared: SharedData
    plan: Plan
    manifest: Manifest
    skipped: int
    begin: float
    outputs: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _bar: Progress = field(default_factory=lambda: Progress(0))
    _reads: dict[int, int] = field(default_factory=dict)
    _remarks: dict[str, Remark] = field(default_factory=dict)
    _slowest: list[MapTime] = field(default_factory=list)
    _begun: str = field(default_factory=now)

    def show(self, bar: Progress) -> None:
        """Tell what comes beside the progress from now on."""
        self._bar = bar

    def add(self, outcome: Answered | Failed[PlannedMap]) -> None:
        """Take in one outcome. Raises `DiskFullError` where there is no room for a file or a line."""
        if isinstance(outcome, Failed):
            self._fail(outcome, outcome.message, outcome.cause)
        elif isinstance(outcome.value, NoRoom):
            raise DiskFullError(outcome.value.message)
        else:
            self._reads[outcome.pid] = outcome.value.own_reads
            self._keep(outcome, outcome.value)
        self._bar.step()

    def note(self, planned: PlannedMap, remarks: Sequence[str]) -> None:
        """Count what was remarked on a map; tell what is new."""
        for text in remarks:
            known = self._remarks.get(text)
            if known is None and len(self._remarks) < _SHOWN:
                self._bar.message(f'warning: region "{planned.job.region.name}": {text}')
            first, before = (known.region, known.maps) if known else (planned.job.region.name, 0)
            self._remarks[text] = Remark(text, before + 1, first)

    def _keep(self, outcome: Answered, drawn: Drawn) -> None:
        planned = outcome.job
        try:
            put_in_place(drawn.temporary, planned.path)
        except DiskFullError:
            raise
        except OutputError as error:
            self._fail(outcome, str(error), "output")
            return
        self.outputs.append(str(planned.path))
        self._time(outcome)
        self.manifest.record_done(
            planned.path,
            drawn.fingerprint,
            drawn.state,
            region=planned.job.region.name,
            band=self._band(planned),
            seconds=outcome.seconds,
            attempts=outcome.attempts,
        )

    def _fail(self, outcome: Answered | Failed[PlannedMap], message: str, cause: str) -> None:
        planned = outcome.job
        traceback = outcome.traceback if isinstance(outcome, Failed) else ""
        failure = Failure(
            region=planned.job.region.name,
            band=self._band(planned),
            error=" ".join(message.splitlines()),
            cause=cause,
            signal=outcome.signal if isinstance(outcome, Failed) else None,
            seconds=round(outcome.seconds, 3),
            attempts=outcome.attempts,
            traceback=traceback if len(self.failures) < _TRACEBACKS else "",
        )
        self.failures.append(failure)
        if len(self.failures) <= _SHOWN:
            self._bar.message(f"failed: {failure}")
        trace = f"\n{traceback}" if traceback else ""
        if _log.hasHandlers():  # else logging itself would print it, beside what the progress shows
            _log.error("failed: %s%s", failure, trace, extra={"region": failure.region, "shown": True})
        self.manifest.record_failed(
            planned.path,
            failure.error,
            region=failure.region,
            band=failure.band,
            seconds=failure.seconds,
            attempts=failure.attempts,
            signal=failure.signal,
        )

    def _time(self, outcome: Answered) -> None:
        """Keep the time that a map took, if it is among the longest."""
        taken = MapTime(round(outcome.seconds, 3), outcome.job.job.region.name, self._band(outcome.job))
        keep = heapq.heappush if len(self._slowest) < _SLOWEST else heapq.heappushpop
        keep(self._slowest, taken)

    def _band(self, planned: PlannedMap) -> int:
        return band_of(self.shared, planned.job).number

    def report(self, workers: Sequence[WorkerReport] = (), *, state: str = DONE) -> Report:
        """Sum up; for the state see `Report`."""
        known = len(self.outputs) + len(self.failures) + self.skipped
        return Report(
            mapset=self.plan.name,
            folder=str(self.plan.folder),
            state=state,
            begun=self._begun,
            maps=len(self.outputs),
            failed=len(self.failures),
            skipped=self.skipped,
            left=len(self.plan.maps) - known,
            seconds=round(time.perf_counter() - self.begin, 3),
            raster_reads=raster_reads() + sum(self._reads.values()),
            shared_mb=round(self.shared.nbytes / 1e6, 1),
            workers=tuple(
                WorkerUse(w.pid, w.jobs, _rounded(w.private_mb), _rounded(w.pss_mb)) for w in workers
            ),
            failures=tuple(self.failures),
            warnings=tuple(sorted(self._remarks.values(), key=lambda remark: -remark.maps)),
            slowest=tuple(sorted(self._slowest, reverse=True)),
            outputs=tuple(sorted(self.outputs)),
        )

    def report_stop(self, reason: BaseException) -> None:
        """Leave a report that says that the run was stopped, and why; if there is room for one."""
        report = self.report(state=f"stopped: {str(reason) or type(reason).__name__}".splitlines()[0])
        with suppress(OutputError, OSError):
            try:
                report.write()
            except DiskFullError:
                report.write_short()


def _rounded(megabytes: float | None) -> float | None:
    return None if megabytes is None else round(megabytes, 1)
