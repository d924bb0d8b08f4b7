"""Progress: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self, TextIO

_LINE_EVERY = 0.1
"""Share of the work between two lines in a log."""
_LINE_AFTER = 10.0
"""Seconds between two lines in a log, at most, when the work is slow."""


class Progress:
    """Shows how many of `total` maps, or other things, are done, how many per second, and the time left.

    Parameters
    ----------
    total : int
    stream : text file
        A terminal gets a bar, anything else lines. None: nothing is shown.
    unit : str
        What one of them is called.
    """

    def __init__(self, total: int, stream: TextIO | None = None, *, unit: str = "map") -> None:
        self.total, self.stream, self.unit, self.done = total, stream, unit, 0
        self._begin = self._last_time = time.perf_counter()
        self._last_done = 0
        self._bar: Any = None
        if stream is not None and stream.isatty():
            from tqdm import tqdm

            # Its monitor is a thread, and a process with threads must not fork.
            tqdm.monitor_interval = 0
            self._bar = tqdm(total=total, file=stream, unit=unit, dynamic_ncols=True, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self) -> None:
        """Count one more map."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
        elif self.stream is not None and self._line_is_due():
            self._write_line(self.stream)

    def message(self, text: str) -> None:
        """Show a line beside the progress."""
        if self._bar is not None:
            self._bar.write(text, file=self.stream)
        elif self.stream is not None:
            print(text, file=self.stream, flush=True)

    def _line_is_due(self) -> bool:
        part = (self.done - self._last_done) / max(self.total, 1)
        slow = time.perf_counter() - self._last_time >= _LINE_AFTER
        return part >= _LINE_EVERY or slow or self.done == self.total

    def _write_line(self, stream: TextIO) -> None:
        self._last_time, self._last_done = time.perf_counter(), self.done
        rate = self.done / max(self._last_time - self._begin, 1e-9)
        left = (self.total - self.done) / rate
        print(
            f"{self.done}/{self.total} {self.unit}s, {rate:.1f} per second, {left:.0f} s left",
            file=stream,
            flush=True,
        )
