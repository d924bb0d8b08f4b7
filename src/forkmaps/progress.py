"""Progress: a bar on a terminal or in a notebook, plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
import warnings
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
        0 where it is not known.
    stream : text file
        A terminal gets a bar, and so does a notebook's cell: a widget where ipywidgets is installed, else a
        line of text. Anything else gets lines. None: nothing is shown.
    unit : str
        What one of them is called.
    """

    def __init__(self, total: int, stream: TextIO | None = None, *, unit: str = "map") -> None:
        self.total, self.stream, self.unit, self.done = total, stream, unit, 0
        self._begin = self._last_time = time.perf_counter()
        self._last_done = 0
        self._bar: Any = None
        if stream is not None and (is_cell(stream) or stream.isatty()):
            self._bar = _bar(total, stream, unit)

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
        if time.perf_counter() - self._last_time >= _LINE_AFTER or self.done == self.total:
            return True
        return self.total > 0 and self.done - self._last_done >= _LINE_EVERY * self.total

    def _write_line(self, stream: TextIO) -> None:
        self._last_time, self._last_done = time.perf_counter(), self.done
        rate = self.done / max(self._last_time - self._begin, 1e-9)
        line = f"{self.done} {self.unit}s, {rate:.1f} per second"
        if self.total > 0:
            left = max(self.total - self.done, 0) / rate
            line = f"{self.done}/{self.total} {self.unit}s, {rate:.1f} per second, {left:.0f} s left"
        print(line, file=stream, flush=True)


def is_cell(stream: TextIO) -> bool:
    """Tell whether what is written to a stream is shown below a notebook's cell."""
    kernel = sys.modules.get("ipykernel.iostream")
    return kernel is not None and isinstance(stream, kernel.OutStream)


def _bar(total: int, stream: TextIO, unit: str) -> Any:
    """Return a bar of tqdm that leaves this process as it is.

    tqdm's own one starts a thread (a process with threads must not fork), and makes a lock of
    multiprocessing's, after which the user can't set its start method any more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no ipywidgets
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
        monitor_interval = 0
        _lock = threading.RLock()

    # A widget that is closed leaves a hole in the notebook.
    return Bar(total=total, file=stream, unit=unit, dynamic_ncols=True, leave=is_cell(stream))
