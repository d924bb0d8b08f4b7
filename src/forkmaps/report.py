"""What became of a map set: for the user, for other programs, and for whoever looks in the morning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from forkmaps.output import write_whole

REPORT_NAME = "report.json"
"""The report's file, in the output folder."""
_SHOWN_FAILURES = 20
"""So many failures are listed; one cause can fail all of 3,000 maps."""


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
    """

    region: str
    band: int
    error: str
    cause: str
    signal: str | None
    seconds: float
    attempts: int

    def __str__(self) -> str:
        tried = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        return f'failed: region "{self.region}", band {self.band}: {self.error}{tried}'


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
    folder : str
        That the pictures are in.
    maps, failed, skipped : int
        Pictures drawn, failed, and left because nothing that shapes them had changed.
    seconds : float
        From the start of the drawing to its end.
    raster_reads : int
        How often the raster was read, in all processes.
    shared_mb : float
        Memory of the shared data, in MB.
    outputs : tuple of str
        Files of the pictures that were drawn.
    """

    mapset: str
    folder: str
    maps: int
    failed: int
    skipped: int
    seconds: float
    raster_reads: int
    shared_mb: float
    workers: tuple[WorkerUse, ...]
    failures: tuple[Failure, ...]
    outputs: tuple[str, ...]

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(asdict(self), indent=1)

    def write(self) -> Path:
        """Write the report into the output folder; return its path."""
        path = Path(self.folder) / REPORT_NAME
        write_whole(path, self.to_json().encode())
        return path

    def summary(self) -> str:
        """Return the report as some lines to read."""
        rate = self.maps / self.seconds if self.seconds else 0.0
        done = f"{self.maps} maps in {self.seconds:.1f} s ({rate:.1f} per second)"
        skipped = f"{self.skipped} unchanged, " if self.skipped else ""
        lines = [f"{done}, {skipped}{self.failed} failed; raster read {_times(self.raster_reads)}"]
        lines += _memory(self.shared_mb, self.workers)
        lines += [str(failure) for failure in self.failures[:_SHOWN_FAILURES]]
        if self.failed > _SHOWN_FAILURES:
            lines.append(f"and {self.failed - _SHOWN_FAILURES} more; all are in {REPORT_NAME}")
        return "\n".join(lines)


def _memory(shared_mb: float, workers: Sequence[WorkerUse]) -> list[str]:
    private = [worker.private_mb for worker in workers if worker.private_mb is not None]
    if not private:
        return []
    least, most = f"{min(private):.0f}", f"{max(private):.0f}"
    each = least if least == most else f"{least} to {most}"
    count = f"{len(workers)} worker{'s' if len(workers) > 1 else ''}"
    return [f"memory: {shared_mb:.0f} MB of shared data, {count} with {each} MB of their own"]


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
