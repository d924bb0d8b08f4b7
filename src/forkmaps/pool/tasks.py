"""What goes into the pool and what comes out of it: tasks, their outcomes, and reports on the workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Self, TypeAlias, TypeVar

J = TypeVar("J")
R = TypeVar("R")

Cause: TypeAlias = Literal["error", "timeout", "died"]
"""Why a job failed: it raised, it took too long, or its worker died."""


@dataclass(slots=True)
class Task(Generic[J]):
    """A job and the number of times it was given to a worker."""

    job: J
    attempts: int = 0


class Tasks(Generic[J]):
    """The jobs that wait: those to be tried again first, then those drawn, one by one, from an iterable."""

    def __init__(self, jobs: Iterable[J]) -> None:
        self._fresh = iter(jobs)
        self._waiting: deque[Task[J]] = deque()

    def draw(self, count: int) -> int:
        """See to it that `count` jobs are waiting, if there are so many, and return how many are."""
        while len(self._waiting) < count:
            try:
                self._waiting.append(Task(next(self._fresh)))
            except StopIteration:
                break
        return len(self._waiting)

    def take(self) -> Task[J]:
        """Take the first of those that wait."""
        return self._waiting.popleft()

    def add(self, job: J) -> None:
        """Have a job wait behind those that do."""
        self._waiting.append(Task(job))

    def again(self, task: Task[J]) -> None:
        """Put a task back, before all others."""
        self._waiting.appendleft(task)


@dataclass(frozen=True, slots=True)
class Done(Generic[J, R]):
    """A job that was done.

    Attributes
    ----------
    job, value
        The job, and what the function returned for it.
    seconds
        What the function took.
    attempts
        1, or more if workers died of it before.
    pid
        The process that did it.
    """

    job: J
    value: R
    seconds: float
    attempts: int
    pid: int


@dataclass(frozen=True, slots=True)
class Failed(Generic[J]):
    """A job that was not done.

    Attributes
    ----------
    job, cause
        The job, and why: "error" (the function raised, or a pickle could not be made or read), "timeout", or
        "died" (its worker did, in each attempt).
    message
        What happened, in a line: "ValueError: no data", "out of memory: ...", "killed by SIGSEGV".
    seconds
        What the last attempt took.
    attempts
        How often the job was given to a worker.
    pid
        The last process that tried it; None if none did.
    signal
        The name of the signal that ended the worker, unless it came from the pool.
    traceback
        The exception's, or the stacks the worker wrote when it crashed or was stopped; may be empty.
    """

    job: J
    cause: Cause
    message: str
    seconds: float
    attempts: int
    pid: int | None
    signal: str | None = None
    traceback: str = ""


Outcome: TypeAlias = Done[J, R] | Failed[J]


@dataclass(frozen=True, slots=True)
class Memory:
    """A process's memory in MB (10^6 bytes): what it shares with nobody; that plus its part of the rest.

    `own_mb` is the part of the private memory that it wrote itself, in memory or swapped out: without the
    files that it alone happens to map.
    """

    private_mb: float
    pss_mb: float
    own_mb: float


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What is known of a worker, dead or alive.

    Attributes
    ----------
    pid
        Its process id.
    jobs
        How many jobs it answered, failed ones included.
    private_mb, pss_mb
        Its memory in MB (10^6 bytes), as last measured: what it shares with nobody, and that plus its part of
        what it shares. None if it ended before it was measured, or where /proc doesn't tell.
    """

    pid: int
    jobs: int
    private_mb: float | None
    pss_mb: float | None

    @classmethod
    def of(cls, pid: int, jobs: int, memory: Memory | None) -> Self:
        """Make a report from what was measured, if anything was."""
        if memory is None:
            return cls(pid, jobs, None, None)
        return cls(pid, jobs, memory.private_mb, memory.pss_mb)


def memory_of(pid: int) -> Memory | None:
    """Measure the memory of a process of ours; None where /proc doesn't tell.

    Costs a walk through its page tables, some 10 ms for 500 MB: not something to do for each job.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            sizes = dict(line.split()[:2] for line in lines)
    except OSError:
        return None
    if "Pss:" not in sizes:  # it has ended
        return None
    mb = {name: int(size) * 1024 / 1e6 for name, size in sizes.items() if size.isdecimal()}
    return Memory(
        private_mb=mb["Private_Clean:"] + mb["Private_Dirty:"],
        pss_mb=mb["Pss:"],
        own_mb=mb["Private_Dirty:"] + mb.get("SwapPss:", 0.0),
    )
