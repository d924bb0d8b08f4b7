"""What became of a map set: for the user, for other programs, and for whoever looks in the morning."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from forkmaps.errors import OutputError, counted
from forkmaps.html import block, error, facts, link, pictures, table
from forkmaps.output import is_locked, write_whole

REPORT_NAME = "report.json"
"""The report's file, in the output folder."""
_SHOWN = 20
"""So many failures and remarks are listed; one cause can fail all of 3,000 maps."""

RUNNING = "running"
"""The state of a report whose run has not ended."""

_RESERVE = 1 << 16
"""Bytes of a report whose run goes on."""

KILLED = "stopped: killed, before it could tell why"
"""The state of a report whose run has not ended and goes on no more."""

REFUSED = "refused: "
"""So begins the state of a report whose run ended before anything could be drawn; the reason follows."""

DONE = "done"
"""The state of a report whose run came to its end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be drawn, and why.

    Attributes
    ----------
    region : str
    band : int
        The band's number in its file.
    error : str
        What happened, in a line.
    cause : "error", "timeout", "died" or "output"
        An exception, too long a time, the worker's death, or a file that could not be written.
    signal : str or None
        Of the worker's death.
    seconds : float
        That the last attempt took.
    attempts : int
    traceback : str
        Where it happened: the exception's traceback, or the stacks that a worker wrote as it crashed or was
        stopped. Empty where there is none, and for all but the first hundred failures.
    """

    region: str
    band: int
    error: str
    cause: str
    signal: str | None
    seconds: float
    attempts: int
    traceback: str = ""

    def __str__(self) -> str:
        tried = f"{self.attempts} attempts, the last took " if self.attempts > 1 else ""
        return f'region "{self.region}", band {self.band}: {self.error} ({tried}{self.seconds:.1f} s)'


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning, the number of maps that it came with, and the region of the first of them."""

    text: str
    maps: int
    region: str

    def __str__(self) -> str:
        where = f"{self.maps} maps, first" if self.maps > 1 else "on"
        return f'{self.text} ({where} "{self.region}")'


class MapTime(NamedTuple):
    """The seconds that a map took to draw."""

    seconds: float
    region: str
    band: int


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """What one worker did, and its memory in MB at the end (None where the system does not tell)."""

    pid: int
    maps: int
    private_mb: float | None
    pss_mb: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a map set.

    Attributes
    ----------
    mapset : str
        Its name.
    folder : str
        That the pictures are in.
    state : str
        "done", "running", "stopped: " or "refused: " and why. In the file a run that was killed is "running"
        still; one that was refused never began to draw.
    begun : str
        When, as ISO 8601 has it, in UTC.
    maps, failed, skipped, left : int
        Pictures drawn, failed, left because nothing that shapes them had changed, and not come to.
    seconds : float
        From the start of the drawing to its end.
    raster_reads : int
        How often the raster was read, in all processes.
    shared_mb : float
        Memory of the shared data, in MB.
    workers : tuple of WorkerUse
    failures : tuple of Failure
    warnings : tuple of Remark
        Each warning once, those of most maps first.
    slowest : tuple of MapTime
        The maps that took longest.
    outputs : tuple of str
        Files of the pictures that were drawn.
    """

    mapset: str
    folder: str
    state: str
    begun: str
    maps: int
    failed: int
    skipped: int
    left: int
    seconds: float
    raster_reads: int
    shared_mb: float
    workers: tuple[WorkerUse, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[Remark, ...]
    slowest: tuple[MapTime, ...]
    outputs: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end and every map is done."""
        return self.state == DONE and not self.failed

    @classmethod
    def of_refused(cls, mapset: str, folder: Path, reason: str) -> Self:
        """Return the report of a run that ended before anything could be drawn."""
        return cls(
            mapset=mapset,
            folder=str(folder),
            state=REFUSED + reason,
            begun=now(),
            maps=0,
            failed=0,
            skipped=0,
            left=0,
            seconds=0.0,
            raster_reads=0,
            shared_mb=0.0,
            workers=(),
            failures=(),
            warnings=(),
            slowest=(),
            outputs=(),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the report of the last run in a folder.

        Raises
        ------
        OutputError
            There is none, or it can't be understood.
        """
        path = folder / REPORT_NAME
        try:
            report = cls(**_from_json(json.loads(path.read_bytes())))
        except FileNotFoundError:
            raise OutputError(f"{path}: there is no report; no run has drawn in this folder") from None
        except OSError as error:
            raise OutputError(f"{path}: can't be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(f"{path}: is not a report of this forkmaps; the next run writes one") from error
        if report.state == RUNNING and not is_locked(folder):
            return replace(report, state=KILLED)
        return report

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        slowest = [one._asdict() for one in self.slowest]
        return json.dumps({**asdict(self), "slowest": slowest}, indent=1)

    def write(self) -> Path:
        """Write the report into the output folder; return its path.

        While a run goes on, it takes as much room as the short report that `write_short` puts in its place.
        """
        path = Path(self.folder) / REPORT_NAME
        data = self.to_json().encode()
        write_whole(path, data.ljust(_RESERVE) if self.state == RUNNING else data)
        return path

    def write_short(self) -> None:
        """Write no files and few failures, in place of the report of before: for a full disk."""
        (Path(self.folder) / REPORT_NAME).unlink(missing_ok=True)
        replace(self, outputs=(), failures=self.failures[:_SHOWN]).write()

    def __repr__(self) -> str:
        return f"<Report of {self.mapset}: {next(self._lines())}>"

    def summary(self) -> str:
        """Return the report as some lines to read."""
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        counts = {"drawn": self.maps, "failed": self.failed, "unchanged": self.skipped, "left": self.left}
        failures = (
            (one.region, one.band, error(one.error, one.traceback), one.cause, one.attempts, one.seconds)
            for one in self.failures
        )
        warnings = ((one.text, one.maps, one.region) for one in self.warnings)
        return block(
            f"Maps of {self.mapset}: {self.state}",
            facts({**counts, "seconds": f"{self.seconds:.1f}", "folder": link(Path(self.folder))}),
            table(
                ("failed", "band", "error", "cause", "attempts", "seconds"),
                failures,
                total=len(self.failures),
            ),
            table(("warning", "maps", "first"), warnings, total=len(self.warnings)),
            pictures(self.outputs),
        )

    def _lines(self) -> Iterator[str]:
        if self.state.startswith(REFUSED):
            yield f"{self.state}\nno map was drawn"
            return
        if self.state in (RUNNING, KILLED):  # told when it began
            yield f"{self.state}; {self.left} maps were to draw, those drawn since are not counted here"
            return
        rate = self.maps / self.seconds if self.seconds else 0.0
        done = f"{counted(self.maps, 'map')} in {self.seconds:.1f} s ({rate:.1f} per second)"
        skipped = f"{self.skipped} unchanged, " if self.skipped else ""
        yield f"{done}, {skipped}{self.failed} failed; raster read {_times(self.raster_reads)}"
        if self.state != DONE:
            yield f"{self.state}; {self.left} maps are left, the next run draws them"
        yield from _memory(self.shared_mb, self.workers)
        if self.slowest:
            times = (f'{one.seconds:.2f} s "{one.region}", band {one.band}' for one in self.slowest)
            yield f"slowest: {'; '.join(times)}"
        yield from _list("failed", self.failures)
        yield from _list("warnings", self.warnings)


def now() -> str:
    """Return the time as ISO 8601 has it, in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _from_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report's attributes."""
    return {
        **content,
        "workers": tuple(WorkerUse(**one) for one in content["workers"]),
        "failures": tuple(Failure(**one) for one in content["failures"]),
        "warnings": tuple(Remark(**one) for one in content["warnings"]),
        "slowest": tuple(MapTime(**one) for one in content["slowest"]),
        "outputs": tuple(content["outputs"]),
    }


def _list(title: str, items: Sequence[object]) -> Iterator[str]:
    """Yield a title and a line for each item, up to a number of them."""
    if items:
        yield f"{title}:"
    yield from (f"  {item}" for item in items[:_SHOWN])
    if (more := len(items) - _SHOWN) > 0:
        yield f"  and {more} more; all are in {REPORT_NAME}"


def _memory(shared_mb: float, workers: Sequence[WorkerUse]) -> Iterator[str]:
    private = [worker.private_mb for worker in workers if worker.private_mb is not None]
    if private:
        least, most = f"{min(private):.0f}", f"{max(private):.0f}"
        each = least if least == most else f"{least} to {most}"
        whose = "its own" if len(workers) == 1 else "their own"
        count = counted(len(workers), "worker")
        yield f"memory: {shared_mb:.0f} MB of shared data, {count} with {each} MB of {whose}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
