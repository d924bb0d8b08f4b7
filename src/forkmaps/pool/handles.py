"""The parent's hold on one process: talk to it, end it, learn how it ended; never wait for it.

Nothing here blocks. A process may die in the middle of a word, stop listening, or leave a child of its own
that keeps the socket open: so sockets are non-blocking, and death is read from a pidfd, not from end of file.
"""

from __future__ import annotations

import math
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from forkmaps.pool.answers import Answer, read_answer
from forkmaps.pool.children import SIGKILL, Child, Exit
from forkmaps.pool.messages import Line, Part
from forkmaps.pool.tasks import Cause, Memory, Task, memory_of
from forkmaps.pool.workers import EXIT_OUT_OF_MEMORY

J = TypeVar("J")

LAST_WORDS = 256 * 1024
"""Bytes of stacks that are kept of a process that crashed."""

START_LIMIT = 60.0
"""Seconds a process has to prepare itself; its data is there already, so this is ample."""

LEAVE_GRACE = 0.5
"""Seconds between a worker's last word (or its end of file) and its death, which normally follows at once."""

TERM_GRACE = 0.3
"""Seconds between SIGTERM, on which a worker writes where it stands, and SIGKILL."""

KILL_GRACE = 3.0
"""Seconds until a killed process that doesn't go is given up: a dead network disk can hold it for ever."""

NEVER = math.inf
"""The deadline of a worker that nothing is expected of."""

TRANSFER_LIMIT = 10.0
"""Seconds a worker may pause in the middle of sending its answer; it has nothing else to do then."""


class Handle:
    """A child process of the pool's, and the ends of the sockets to it.

    Attributes
    ----------
    child
        The process.
    line
        Our end of its socket pair.
    ready
        Whether it has prepared itself.
    hung_up
        Whether it has closed its socket.
    deadline
        When it is overdue (`time.monotonic`).
    killed
        Whether it was killed.
    """

    def __init__(self, child: Child, channel: socket.socket, last_words: socket.socket) -> None:
        self.child = child
        self.line = Line(channel)
        self.ready = False
        self.hung_up = False
        self.deadline = time.monotonic() + START_LIMIT
        self.killed = False
        self._last_words = last_words
        last_words.setblocking(False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def exit(self) -> Exit | None:
        """How it ended."""
        return self.child.exit

    @property
    def ended_by(self) -> str | None:
        """The name of the signal that ended it, if one did."""
        return self.exit.signal if self.exit is not None else None

    def kill(self, number: signal.Signals = SIGKILL) -> None:
        """Send it a signal."""
        self.child.kill(number)
        self.killed = self.killed or number == SIGKILL

    def hang_up(self) -> None:
        """Give it end of file."""
        self.line.hang_up()

    def gone(self) -> bool:
        """Collect its exit status if it has ended, and say whether it has."""
        return self.child.gone()

    def last_words(self) -> str:
        """Return what it wrote when it crashed or was stopped: the stacks of its threads."""
        try:
            return self._last_words.recv(LAST_WORDS).decode(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close our ends of everything that leads to it."""
        self.line.close()
        self._last_words.close()
        self.child.close()


class Worker(Handle, Generic[J]):
    """One worker, as its parent sees it.

    Attributes
    ----------
    leaving
        Whether it gets no more jobs since it said that it ends, or was told to.
    task
        What it is working on.
    since
        When that began (`time.monotonic`).
    verdict
        Why it is to end, if it is: a cause and a message.
    jobs
        How many jobs it has answered.
    memory
        What it used when last measured.
    """

    def __init__(self, child: Child, channel: socket.socket, last_words: socket.socket) -> None:
        super().__init__(child, channel, last_words)
        self.leaving = False
        self.task: Task[J] | None = None
        self.since = time.monotonic()
        self.verdict: tuple[Cause, str] | None = None
        self.jobs = 0
        self.memory: Memory | None = None
        self._timeout = NEVER
        self._looked = self._heard = time.monotonic()
        self._at_first: float | None = None

    @property
    def due(self) -> float:
        """When it is judged overdue: by its deadline, but not while it is sending and goes on."""
        if self.line.halfway and not self.hung_up and self.verdict is None:
            return self._heard + TRANSFER_LIMIT
        return self.deadline

    @property
    def idle(self) -> bool:
        """Whether it waits for a job."""
        return self.ready and self.task is None and not self.leaving and not self.hung_up and not self.verdict

    def give(self, task: Task[J], parts: Sequence[Part], timeout: float) -> None:
        """Hand it a job, to be answered in so many seconds."""
        task.attempts += 1
        self.task, self.since, self._timeout = task, time.monotonic(), timeout
        self.deadline = self.since + timeout
        self.line.post(parts)

    def read(self) -> bool:
        """Take what it has sent so far; False at end of file. Raises `GarbledError`, `MemoryError`."""
        return self.line.read(self._note_heard)

    def answers(self) -> Iterator[Answer]:
        """Yield the whole answers among what was read. Raises `GarbledError` for bytes that are none."""
        for message in self.line.messages():
            yield read_answer(message)

    def growth(self, now: float, interval: float) -> float:
        """Return the MB that it gained since its memory was first looked at, if a look is due; else 0."""
        if now < self._looked + interval:
            return 0.0
        self._looked = now
        self.memory = memory_of(self.pid) or self.memory
        if self.memory is None:
            return 0.0
        if self._at_first is None:
            self._at_first = self.memory.own_mb
        return self.memory.own_mb - self._at_first

    # Its end

    def note_hang_up(self) -> None:
        """Take note that it has closed its socket, after which it normally ends."""
        self.hung_up = True
        self.deadline = min(self.deadline, time.monotonic() + LEAVE_GRACE)

    def leave(self) -> None:
        """Expect its end: it said that it ends, or was told to."""
        self.leaving, self.deadline = True, time.monotonic() + LEAVE_GRACE

    def condemn(self, cause: Cause, message: str) -> None:
        """Stop it, for a reason; it has time to write where it stands."""
        self.verdict = (cause, message)
        self.deadline = time.monotonic() + TERM_GRACE
        self.kill(signal.SIGTERM)

    def press(self) -> bool:
        """Take the next step with it when it is overdue: stop it, then kill it; False if that was in vain."""
        if self.verdict is None:
            self.condemn(*self._charge())
        elif not self.killed:
            self.kill()
            self.deadline = time.monotonic() + KILL_GRACE
        else:
            return False
        return True

    def _charge(self) -> tuple[Cause, str]:
        """Say what it is stopped for."""
        if self.hung_up or self.leaving:
            return "died", "it closed its connection without ending, and was stopped"
        if not self.ready:
            return "died", f"it was not ready after {START_LIMIT:g} s, and was stopped"
        if self.line.halfway:
            return "timeout", "it stopped in the middle of sending its result"
        return "timeout", f"no result after {self._timeout:g} s"

    def fate(self) -> tuple[Cause, str]:
        """Say what its end means for what it was working on, if it was not our doing."""
        if self.exit == Exit(code=EXIT_OUT_OF_MEMORY):
            return "error", "out of memory: the worker had not even enough left to say where"
        return "died", str(self.exit)

    def _note_heard(self) -> None:
        self._heard = time.monotonic()


@contextmanager
def signals_blocked() -> Iterator[set[int]]:
    """Hold signals back: a handler that raises between start and bookkeeping would lose a process.

    Yields the mask as it was, which is the one that a new process sets once it has dropped our handlers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield set()
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield set(mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def close_all(ends: Sequence[socket.socket]) -> None:
    """Close sockets."""
    for end in ends:
        end.close()
