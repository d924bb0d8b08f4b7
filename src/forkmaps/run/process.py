"""The command as a process: its standard streams, its log, and its end by a signal.

Imported before the arguments are known to be right, so that nothing heavy may stand here.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from forkmaps.errors import ForkmapsError


class Stopped(BaseException):
    """A signal that ends the program; not an Exception, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


def stop_on_signals() -> None:
    """Raise `Stopped` on Ctrl-C and SIGTERM, unless who started us has them ignored (`nohup ... &`)."""

    def stop(number: int, _: object) -> NoReturn:
        # A second signal ends at once, whatever is still being put in order.
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def open_standard_streams() -> None:
    """Open what cron or a service closed, on nothing: else a data file gets its number, and our words."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the least number that is free: this one
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Show warnings on the terminal; append them, and what happens, to a file."""
    import logging

    from forkmaps.run.logfile import LOGGER, LogFile, Terminal

    root, ours = logging.getLogger(), logging.getLogger(LOGGER)
    level = ours.level
    handlers: list[logging.Handler] = [Terminal()]
    if path is not None:
        log = LogFile(path)
        handlers.append(log)
        ours.setLevel(logging.INFO)
        faulthandler.enable(log.descriptor)  # a worker's stack comes by its parent
    for handler in handlers:
        root.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    except (ForkmapsError, Stopped) as error:
        ours.error("%s", error, extra={"shown": True})
        raise
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough, which is no failure
        raise
    except Exception:
        ours.exception("forkmaps failed", extra={"shown": True})
        raise
    finally:
        logging.captureWarnings(False)
        ours.setLevel(level)
        if path is not None:
            faulthandler.disable()
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
