"""What a pool's loop is, whoever does the work: jobs in, outcomes out, and never a wait for one of many.

A `Crew` has workers of its own; a `Client` has a supervisor do the work. Either can be driven by a caller who
has all jobs (`work`), or step by step by one who gets them as time goes by.
"""

from __future__ import annotations

import logging
import selectors
import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from forkmaps.pool.messages import Part, pickled, unpickled
from forkmaps.pool.tasks import Outcome, Tasks, WorkerReport

J = TypeVar("J")
R = TypeVar("R")

POLL_INTERVAL = 0.05
"""Seconds between looks for dead processes where the system has no pidfd to tell of them."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How jobs become parts of a message, and how such parts become values."""

    pack: Callable[[Any], Sequence[Part]]
    unpack: Callable[[Sequence[Part]], Any]


BY_REFERENCE = Codec(partial(pickled, what="the job"), partial(unpickled, what="the result"))
"""For workers that have what this process has."""

BY_VALUE = Codec(partial(pickled, what="the job", by_value=True), partial(unpickled, what="the result"))
"""For workers that can't import what stands in the main script."""


def log_here(record: logging.LogRecord) -> None:
    """Log what another process logged, as if it had been logged here."""
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


class Hands(ABC, Generic[J, R]):
    """Those who do the work, and the loop that keeps them at it.

    Attributes
    ----------
    tasks
        The jobs that wait.
    outcomes
        What nobody has taken yet.
    """

    def __init__(self) -> None:
        self.tasks: Tasks[J] = Tasks(())
        self.outcomes: deque[Outcome[J, R]] = deque()
        # Not epoll, whose registrations a forked child would share; Windows has only select.
        self._selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()

    def work(self, jobs: Iterable[J]) -> Iterator[Outcome[J, R]]:
        """Do the jobs, and yield outcomes as they come. Raises `PoolError` if no worker can be started."""
        self.begin(jobs)
        while True:
            self.advance()
            if self.outcomes:
                yield self.outcomes.popleft()
            elif self.has_work():
                self.attend()
            else:
                return

    def begin(self, jobs: Iterable[J]) -> None:
        """Start anew with these jobs."""
        self.tasks = Tasks(jobs)
        self.outcomes.clear()

    def has_work(self) -> bool:
        """Tell whether anybody is at work, or a job waits."""
        return self.busy() > 0 or self.tasks.draw(1) > 0

    def watch(self, end: socket.socket, *, writing: bool = False) -> None:
        """Have `attend` come back when something can be read from a socket (or be written to it)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if end not in self._selector.get_map():
            self._selector.register(end, events)
        elif self._selector.get_key(end).events != events:
            self._selector.modify(end, events, self._selector.get_key(end).data)

    @abstractmethod
    def busy(self) -> int:
        """Count the jobs that are being done."""

    @abstractmethod
    def advance(self) -> None:
        """Hand out jobs, and see to it that there is somebody for them."""

    @abstractmethod
    def attend(self) -> None:
        """Wait for something to happen, and note what it means. Raises `PoolError` if nothing can."""

    @abstractmethod
    def report(self) -> tuple[WorkerReport, ...]:
        """Report on every worker that ever lived, and measure those alive."""

    @abstractmethod
    def dismiss(self) -> None:
        """End the idle by end of file, the others by force, and wait until all are gone."""

    @abstractmethod
    def kill(self) -> None:
        """End all by force, and wait until they are gone."""

    def close(self) -> None:
        """Let go of what is still held when nobody is there any more."""
        self._selector.close()

    def _stirred(self, patience: float | None) -> set[Any]:
        """Wait for something to happen, so many seconds at most; return the data of what is concerned."""
        if not self._selector.get_map():  # Windows can't wait for nothing
            time.sleep(patience or 0.0)
            return set()
        return {key.data for key, _ in self._selector.select(patience)}

    def _register(self, file: socket.socket | int | None, data: object) -> None:
        if file is not None:
            self._selector.register(file, selectors.EVENT_READ, data)

    def _ignore(self, *files: socket.socket | int | None) -> None:
        for file in files:
            if file is not None and file in self._selector.get_map():
                self._selector.unregister(file)
