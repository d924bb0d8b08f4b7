"""Where the command's log goes: whole lines in a file, warnings on the terminal.

Workers inherit the file and append to it by themselves, each record by one write, so that a worker that is
killed takes none of its records along, and no two records mix. What was shown in another way (a record with
`shown`) does not come to the terminal again.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from forkmaps.errors import OutputError

LOGGER: Final = "forkmaps"
"""The logger of the package, above those of its modules."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


class LogFile(logging.Handler):
    """Appends records to a file.

    Parameters
    ----------
    path
        Made if it is not there; its folder must be.

    Raises
    ------
    OutputError
        If it can't be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path).absolute()
        try:
            self.descriptor = os.open(path, _APPEND, 0o666)
        except OSError as error:
            raise OutputError(
                f"{path}: the log can't be written: {error.strerror}; choose another file"
            ) from error
        self.setFormatter(_Whole())

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record. A log for which there is no room stops no map."""
        try:
            os.write(self.descriptor, f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except OSError:
            return
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        super().close()


def log_files() -> tuple[Path, ...]:
    """Return the files that this process's log goes to."""
    return tuple(handler.path for handler in logging.getLogger().handlers if isinstance(handler, LogFile))


def log_to(paths: Iterable[Path]) -> None:
    """Append this process's log to files, too; for a worker that has inherited none, as it was not forked."""
    for path in set(paths) - set(log_files()):
        with suppress(OutputError):
            logging.getLogger().addHandler(LogFile(path))
            logging.getLogger(LOGGER).setLevel(logging.INFO)


class _Whole(logging.Formatter):
    """Time (UTC), level, process, region and message; further lines of a message are indented."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        region = getattr(record, "region", None)
        where = f" region {region}" if region else ""
        head = f"{self.formatTime(record)} {record.levelname} pid {record.process}{where}: "
        return (head + super().format(record).rstrip()).replace("\n", "\n    ")


class Terminal(logging.Handler):
    """Shows the first line of warnings, those of workers excepted: the report counts them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, above a progress bar if there is one."""
        if getattr(record, "shown", False) or sys.stderr is None:
            return
        try:
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        first, *_ = record.getMessage().splitlines() or [""]
        line = f"forkmaps: {first}"
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
