"""What became of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forkmaps.errors import first_of
from forkmaps.html import block, error, facts, link, pictures, table

SHOWN_FAILURES = 20
"""So many failures are listed; one cause can fail all figures."""


def label_of(parameters: Mapping[str, Any]) -> str:
    """Return a combination in a line."""
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


@dataclass(frozen=True, slots=True)
class SweepFailure:
    """A figure that could not be drawn, and why.

    Attributes
    ----------
    parameters : mapping of str to value
        The combination.
    path : str
        The file that is missing.
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
        The exception's, or the worker's stacks when it crashed or was stopped; may be empty.
    """

    parameters: Mapping[str, Any]
    path: str
    error: str
    cause: str
    signal: str | None
    seconds: float
    attempts: int
    traceback: str = ""

    def __str__(self) -> str:
        tried = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        return f"failed: {self.label}: {self.error}{tried}"

    @property
    def label(self) -> str:
        """The combination in a line."""
        return label_of(self.parameters)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What became of a sweep.

    Attributes
    ----------
    folder : str
        That the files are in.
    figures, failed, skipped : int
        Figures drawn, failed, and left because their files were there.
    seconds : float
    failures : tuple of SweepFailure
    outputs : tuple of str
        Files that were drawn, in the order of the combinations.
    """

    folder: str
    figures: int
    failed: int
    skipped: int
    seconds: float
    failures: tuple[SweepFailure, ...]
    outputs: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<SweepReport of {self.folder}: {self._done}>"

    def summary(self) -> str:
        """Return the report as some lines to read."""
        return "\n".join([self._done, *first_of(list(map(str, self.failures)), SHOWN_FAILURES)])

    @property
    def _done(self) -> str:
        rate = self.figures / self.seconds if self.seconds else 0.0
        skipped = f"{self.skipped} were there, " if self.skipped else ""
        done = f"{self.figures} figures in {self.seconds:.1f} s ({rate:.1f} per second)"
        return f"{done}, {skipped}{self.failed} failed"

    def _repr_html_(self) -> str:
        counts = {"drawn": self.figures, "failed": self.failed, "there before": self.skipped}
        failures = (
            (one.label, error(one.error, one.traceback), one.cause, one.attempts, one.seconds)
            for one in self.failures
        )
        return block(
            "Figures of a sweep",
            facts({**counts, "seconds": f"{self.seconds:.1f}", "folder": link(Path(self.folder))}),
            table(("failed", "error", "cause", "attempts", "seconds"), failures, total=self.failed),
            pictures(self.outputs),
        )
