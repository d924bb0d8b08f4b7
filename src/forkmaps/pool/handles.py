"""The parent's hold on one worker: fork it, talk to it, end it, learn how it ended; never wait for it.

Nothing here blocks. A worker may die in the middle of a word, stop listening, or leave a child of its own
that keeps the socket open: so sockets are non-blocking, and death is read from a pidfd, not from end of file.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from forkmaps.pool.tasks import Cause, Memory, Task, memory_of
from forkmaps.pool.workers import (
    EXIT_OUT_OF_MEMORY,
    HEADER,
    Answer,
    Brief,
    be_worker,
    flush_streams,
    pack,
)

J = TypeVar("J")

CHUNK = 256 * 1024
"""Bytes asked of a socket at a time; Linux holds some 200 kB in one, more would never come at once."""

NEVER = math.inf
"""The deadline of a worker that nothing is expected of."""

TRANSFER_LIMIT = 10.0
"""Seconds a worker may pause in the middle of sending its answer; it has nothing else to do then."""

NO_SIGPIPE = getattr(socket, "MSG_NOSIGNAL", 0)
"""Writing to a dead worker must not raise SIGPIPE, which a command line tool may have set to kill it."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by its own exit code, by a signal, or (neither) nobody knows."""

    code: int | None = None
    signal: str | None = None

    def __str__(self) -> str:
        if self.signal == "SIGKILL":
            return "killed by SIGKILL (by hand, or by the kernel when memory runs out)"
        if self.signal is not None:
            return f"killed by {self.signal}"
        return "ended, nobody knows how" if self.code is None else f"ended with exit code {self.code}"


class GarbledError(Exception):
    """What came from a worker is not an answer: something else wrote to its socket."""


class Worker(Generic[J]):
    """One worker, as its parent sees it.

    Attributes
    ----------
    pid
        Its process id.
    channel
        Our end of its socket pair.
    pidfd
        A file descriptor that becomes readable at its death; None where the system has none.
    ready
        Whether it has prepared itself.
    leaving, hung_up
        Whether it gets no more jobs since it said that it ends, or since it closed its socket.
    task
        What it is working on.
    since, deadline
        When that began, and when it is judged overdue (`time.monotonic`).
    verdict, killed
        Why it is to end, if it is: a cause and a message; and whether it was killed for it.
    exit
        How it ended.
    jobs
        How many jobs it has answered.
    memory
        What it used when last measured.
    """

    def __init__(self, pid: int, channel: socket.socket, last_words: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.pidfd = open_pidfd(pid)
        self.ready = False
        self.leaving = False
        self.hung_up = False
        self.task: Task[J] | None = None
        self.since = time.monotonic()
        self.deadline = NEVER
        self.verdict: tuple[Cause, str] | None = None
        self.killed = False
        self.exit: Exit | None = None
        self.jobs = 0
        self.memory: Memory | None = None
        self._looked = time.monotonic()
        self._at_first: float | None = None
        self._last_words = last_words
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        channel.setblocking(False)
        last_words.setblocking(False)

    @property
    def idle(self) -> bool:
        """Whether it waits for a job."""
        return self.ready and self.task is None and not self.leaving and not self.hung_up and not self.verdict

    @property
    def writing(self) -> bool:
        """Whether part of a job still waits to be written to it."""
        return bool(self._outgoing)

    @property
    def halfway(self) -> bool:
        """Whether it has sent part of an answer."""
        return bool(self._incoming)

    def give(self, task: Task[J], payload: bytes, deadline: float) -> None:
        """Hand it a job, to be answered by `deadline`."""
        task.attempts += 1
        self.task, self.since, self.deadline = task, time.monotonic(), deadline
        self._outgoing = memoryview(pack(payload))
        self.write()

    def write(self) -> None:
        """Write as much of the job as the socket takes now."""
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self.channel.send(self._outgoing, NO_SIGPIPE) :]
        except BlockingIOError:
            return
        except OSError:  # it is dying: its death tells the rest
            self._outgoing = memoryview(b"")

    def read(self) -> bool:
        """Take what it has sent so far; False at end of file.

        Who is sending has kept its deadline, however late we listen: from then on it only has to go on.
        """
        with suppress(BlockingIOError):
            while chunk := self._receive():
                self._incoming += chunk
                if self.verdict is None:
                    self.deadline = time.monotonic() + TRANSFER_LIMIT
            return False
        return True

    def answers(self) -> Iterator[Answer]:
        """Yield the whole answers among what was read. Raises `GarbledError` for bytes that are none."""
        while len(self._incoming) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self._incoming)[0]
            if len(self._incoming) < end:
                return
            frame = bytes(memoryview(self._incoming)[HEADER.size : end])
            del self._incoming[:end]
            yield read_answer(frame)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal, never to another process that was given its number since."""
        if self.exit is None:
            with suppress(ProcessLookupError):
                if self.pidfd is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(self.pidfd, number)
        self.killed = self.killed or number == signal.SIGKILL

    def hang_up(self) -> None:
        """Give it end of file, even where another process holds a copy of our end."""
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)

    def gone(self) -> bool:
        """Collect its exit status if it has ended, and say whether it has."""
        if self.exit is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else waits for our children, or has told the kernel not to
                self.exit = Exit()
            else:
                self.exit = read_status(status) if pid else None
        return self.exit is not None

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

    def fate(self) -> tuple[Cause, str]:
        """Say what its end means for what it was working on, if it was not our doing."""
        if self.exit == Exit(code=EXIT_OUT_OF_MEMORY):
            return "error", "out of memory: the worker had not even enough left to say where"
        return "died", str(self.exit)

    def last_words(self) -> str:
        """Return what it wrote when it crashed or was stopped: the stacks of its threads."""
        try:
            return self._last_words.recv(CHUNK).decode(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Close our ends of everything that leads to it."""
        self._incoming.clear()
        self.channel.close()
        self._last_words.close()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def _receive(self) -> bytes:
        try:
            return self.channel.recv(CHUNK)
        except ConnectionResetError:  # it died before it had read all of its job
            return b""


def fork_worker(brief: Brief, siblings: Sequence[Worker[J]], mask: set[int]) -> Worker[J]:
    """Fork a worker. Called with signals blocked (see `signals_blocked`); raises OSError where that fails."""
    ends: list[socket.socket] = []
    flush_streams()
    try:
        ends += socket.socketpair()
        ends += socket.socketpair()
        pid = os.fork()
    except OSError:
        close_all(ends)
        raise
    ours, theirs, our_ear, their_mouth = ends
    if pid == 0:
        be_worker(brief, theirs, their_mouth, not_ours=[ours, our_ear, *siblings], mask=mask)
    close_all([theirs, their_mouth])
    return Worker(pid, ours, our_ear)


@contextmanager
def signals_blocked() -> Iterator[set[int]]:
    """Hold signals back: a handler that raises between fork and bookkeeping would lose a worker.

    Yields the mask as it was, which is the one a forked child sets once it has dropped our handlers.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield set(mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def close_all(ends: Sequence[socket.socket]) -> None:
    """Close sockets."""
    for end in ends:
        end.close()


def open_pidfd(pid: int) -> int | None:
    """Open a file descriptor on a process; None where there is no such thing (not Linux, a sandbox)."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def read_answer(frame: bytes) -> Answer:
    """Read a frame from a worker. Raises `GarbledError` if it holds anything else than an answer."""
    try:
        answer = pickle.loads(frame)
    except Exception as error:
        raise GarbledError from error
    if not isinstance(answer, Answer):
        raise GarbledError
    return answer


def read_status(status: int) -> Exit:
    """Translate what `os.waitpid` returned."""
    code = os.waitstatus_to_exitcode(status)
    return Exit(code=code) if code >= 0 else Exit(signal=signal_name(-code))


def signal_name(number: int) -> str:
    """Return a signal's name; "signal 40" for one that has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
