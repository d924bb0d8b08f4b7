"""What is remarked while maps are drawn: Python's warnings, and warnings that libraries write to the log.

One cause can bring a warning on each of 3,000 maps. So a worker hands on what was remarked on a map, each
text once, and the parent counts the maps. In the log, where there is one, stand all of them: workers write to
the handlers that they inherit, with the region in the record.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Generic, TypeVar, cast

from forkmaps.pool import Done, Failed, Outcome
from forkmaps.pool.messages import describe, stack
from forkmaps.run.logfile import log_files, log_to

J = TypeVar("J")
R = TypeVar("R")

MOST = 20
"""Different remarks that are handed on of one map; more have one cause, or one of these would tell."""

LENGTH = 300
"""Characters of a remark that are handed on."""


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as text, as not every one can be sent to another process."""

    message: str
    traceback: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Told(Generic[R]):
    """What a worker tells of a map: the function's value or how it failed, and what was remarked before."""

    value: R | None
    raised: Raised | None
    remarks: tuple[str, ...]


class Listening(Generic[J, R]):
    """A function that also hands on what is remarked while it works.

    Parameters
    ----------
    function
        Called with a job.
    region_of
        Names a job's region, for the log.
    preparation
        What the function needs to be called before; what is remarked there is handed on with the first job.
    """

    def __init__(
        self,
        function: Callable[[J], R],
        region_of: Callable[[J], str],
        preparation: Callable[[], None] | None = None,
    ) -> None:
        self._function, self._region_of, self._preparation = function, region_of, preparation
        self._before: tuple[str, ...] = ()

    def __getstate__(self) -> tuple[Any, ...]:
        """Travel to a worker that is not forked together with the log's files."""
        return self._function, self._region_of, self._preparation, log_files()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Arrive there, and open them."""
        self._function, self._region_of, self._preparation, logs = state
        self._before = ()
        log_to(logs)

    def prepare(self) -> None:
        """Do what the function needs."""
        if self._preparation is not None:
            with heard("") as remarks:
                self._preparation()
            self._before = tuple(remarks)

    def __call__(self, job: J) -> Told[R]:
        """Do a job. Only what ends a worker is raised: want of memory, a call for its end."""
        with heard(self._region_of(job)) as remarks:
            begin = time.perf_counter()
            try:
                value = self._function(job)
            except MemoryError:
                raise
            except Exception as error:
                raised = Raised(describe(error), stack(error), time.perf_counter() - begin)
                return Told(None, raised, self._all(remarks))
            return Told(value, None, self._all(remarks))

    def _all(self, remarks: Iterable[str]) -> tuple[str, ...]:
        before, self._before = self._before, ()
        return tuple(dict.fromkeys([*before, *remarks]))


def outcomes_told(
    outcomes: Iterable[Outcome[J, Told[R]]], note: Callable[[J, tuple[str, ...]], None]
) -> Iterator[Outcome[J, R]]:
    """Yield the outcomes of the function that a `Listening` calls; pass on what was remarked to `note`."""
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            yield outcome
        else:
            note(outcome.job, outcome.value.remarks)
            yield _plain(outcome)


def _plain(outcome: Done[J, Told[R]]) -> Outcome[J, R]:
    if (raised := outcome.value.raised) is None:
        value = cast(Any, outcome.value.value)  # a function may well return None
        return Done(outcome.job, value, outcome.seconds, outcome.attempts, outcome.pid)
    return Failed(
        outcome.job,
        "error",
        raised.message,
        raised.seconds,
        outcome.attempts,
        outcome.pid,
        traceback=raised.traceback,
    )


@contextmanager
def heard(region: str) -> Iterator[dict[str, None]]:
    """Collect what is remarked in the block, each text once, in order; records of it name the region, if any.

    Python's warnings go to the log instead of the standard error stream, by the filters that are set; what
    was warned of before is warned of again.
    """
    listener, root, factory = _Listener(), logging.getLogger(), logging.getLogRecordFactory()

    def of_region(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = factory(*arguments, **named)
        record.region, record.shown = region, True
        return record

    with warnings.catch_warnings():
        warnings.showwarning = _log_warning
        logging.setLogRecordFactory(of_region)
        root.addHandler(listener)
        try:
            yield listener.remarks
        finally:
            root.removeHandler(listener)
            logging.setLogRecordFactory(factory)


class _Listener(logging.Handler):
    """Notes warnings in the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.remarks: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._note(record)
        except Exception:  # what the record was made of can't be printed, which is no fault of the map
            self.handleError(record)

    def _note(self, record: logging.LogRecord) -> None:
        if len(self.remarks) < MOST:
            where = "" if record.name == _WARNINGS.name else f"{record.name}: "
            self.remarks[" ".join(f"{where}{record.getMessage()}".split())[:LENGTH]] = None


_WARNINGS = logging.getLogger("py.warnings")
"""Where Python's own `logging.captureWarnings` sends them, too."""


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """Log a warning; in place of `warnings.showwarning`."""
    _WARNINGS.warning("%s: %s (%s, line %d)", category.__name__, message, PurePath(filename).name, lineno)
