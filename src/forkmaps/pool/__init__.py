"""The pool, as its users see it: feed, time out, try again, replace the dead. It knows nothing of maps.

    with Pool(draw, workers=4, timeout=60) as pool:
        for outcome in pool.run(jobs):
            match outcome:
                case Done(job=job, value=value): ...
                case Failed(job=job, cause=cause, message=message): ...

A job's failure is a value; only what stops all work raises. The parts: `workers` is what happens in a child,
`handles` is the parent's hold on one child, `crew` is the loop over all of them, `tasks` is what goes in and
out, `messages` how that travels. Workers are forked (`forking`) or started anew (`launching`, `anew`,
`parcel`); where this process can't be forked, one that was started anew is, the `supervisor`, whose `client`
the pool is then. `hiring` chooses.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from forkmaps.errors import PoolError
from forkmaps.pool.hands import Hands
from forkmaps.pool.hiring import StartMethod, checked, hire
from forkmaps.pool.messages import describe, stack
from forkmaps.pool.orders import ATTEMPTS, WORKER_MEMORY_MB, orders_for
from forkmaps.pool.tasks import Done, Failed, Outcome, WorkerReport, memory_of

__all__ = [
    "ATTEMPTS",
    "Done",
    "Failed",
    "Outcome",
    "Pool",
    "StartMethod",
    "WorkerReport",
]

J = TypeVar("J")
R = TypeVar("R")


class Pool(Generic[J, R]):
    """Workers that call one function with many jobs.

    Make it once everything is loaded that the workers are to share. Workers are started when there is work
    for them, live as long as the pool, and are replaced when they die. What a job starts itself (threads,
    processes) is its own to end.

    Parameters
    ----------
    function
        Called in a worker with each job; a closure or a lambda will do. Forked workers inherit it with all
        that it refers to; others get it by cloudpickle, its large arrays in memory that they share,
        read-only. Jobs and values are pickled.
    workers
        How many at most; None: one for each usable CPU; 0: none, the function is called in this process, for
        debuggers (there is no timeout then).
    timeout
        Seconds for one job; then its worker is stopped, by force if need be. None: no limit.
    attempts
        How often a job is tried if its worker dies. An exception or a timeout is final.
    prepare
        Called in each worker before its first job.
    before_fork
        Called before each fork in the process that is forked; what it raises is raised by `run`, unless it is
        a `ForkmapsError` and there are other workers to go on with, or `start_method` is "auto".
    after_fork
        Called first thing in each worker; not with 0 workers, when there is no other process.
    jobs_per_worker
        How many jobs a worker does before a new one takes its place; None: no limit.
    worker_memory_mb
        MB (10^6 bytes) of memory of its own that a worker may gain before a new one takes its place, so that
        what leaks is given back; looked at every few seconds. None: no limit.

    start_method
        "fork": workers are copies of this process. "forkserver": they are copies of another process, started
        anew, that is sent function and data once, and leads them. "spawn": each is started anew. "auto": fork
        on Linux where this process has one Python thread and `before_fork` doesn't object, else forkserver;
        spawn on Windows and macOS. The method of Python's multiprocessing is neither used nor changed.

    Raises
    ------
    PoolError
        For a negative number of workers, a limit that is not positive, a start method that there is not.
    """

    def __init__(
        self,
        function: Callable[[J], R],
        *,
        workers: int | None = None,
        timeout: float | None = None,
        attempts: int = ATTEMPTS,
        prepare: Callable[[], None] | None = None,
        before_fork: Callable[[], None] | None = None,
        after_fork: Callable[[], None] | None = None,
        jobs_per_worker: int | None = None,
        worker_memory_mb: float | None = WORKER_MEMORY_MB,
        start_method: StartMethod = "auto",
    ) -> None:
        checked(start_method)
        self._method: StartMethod = start_method
        self._orders = orders_for(
            function,
            workers=workers,
            timeout=timeout,
            attempts=attempts,
            prepare=prepare,
            before_fork=before_fork,
            after_fork=after_fork,
            jobs_per_worker=jobs_per_worker,
            worker_memory_mb=worker_memory_mb,
        )
        self._hands: Hands[J, R] | Solo[J, R] | None = None
        self._running = False
        self._closed = False
        self._report: tuple[WorkerReport, ...] = ()

    def run(self, jobs: Iterable[J]) -> Iterator[Outcome[J, R]]:
        """Do the jobs, and yield their outcomes as they come.

        Jobs are drawn from `jobs` when there is a worker for them. If the caller stops early, by an exception
        or otherwise, the workers are killed; a later run forks new ones.

        Raises
        ------
        PoolError
            If no worker can be started, the pool is closed, or it is in the middle of another run.
        """
        self._check_free()
        hands = self._hire()
        self._running = True
        try:
            for outcome in hands.work(jobs):
                yield outcome
                self._check_open()
        except BaseException:
            hands.kill()
            raise
        finally:
            self._running = False

    def report(self) -> tuple[WorkerReport, ...]:
        """Report on every worker that ever lived: the dead in the order of their ends, then the living.

        Those alive are measured, which takes some 10 ms for each 500 MB; once the pool is closed, the figures
        are those of just before.
        """
        return self._report if self._closed or self._hands is None else self._hands.report()

    def close(self) -> None:
        """End all workers: the idle ones by themselves, others by force. The pool can't be used any more."""
        if self._closed:
            return
        self._report = self.report()
        self._closed = True
        if self._hands is not None:
            try:
                self._hands.dismiss()
            finally:
                self._hands.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._hands is not None and not self._closed:
            self._hands.kill()
        self.close()

    def _hire(self) -> Hands[J, R] | Solo[J, R]:
        """Find those who do the work; only now, since what may be forked now may not have been before."""
        if self._hands is None:
            orders = self._orders
            self._hands = hire(orders, self._method) if orders.size else Solo(orders.function, orders.prepare)
        return self._hands

    def _check_free(self) -> None:
        self._check_open()
        if self._running:
            raise PoolError("this pool is in the middle of a run; finish that first, or make a second pool")

    def _check_open(self) -> None:
        if self._closed:
            raise PoolError("this pool is closed; make a new one")


class Solo(Generic[J, R]):
    """What a `Crew` does, done by this process itself."""

    def __init__(self, function: Callable[[J], R], prepare: Callable[[], None] | None) -> None:
        self._function = function
        self._prepare = prepare
        self._jobs = 0

    def work(self, jobs: Iterable[J]) -> Iterator[Outcome[J, R]]:
        """Do the jobs one after the other, and yield their outcomes."""
        self._get_ready()
        for job in jobs:
            self._jobs += 1
            yield self._do(job)

    def report(self) -> tuple[WorkerReport, ...]:
        """Report on this process."""
        return (WorkerReport.of(os.getpid(), self._jobs, memory_of(os.getpid())),)

    def dismiss(self) -> None:
        """Do nothing: there are no workers."""

    kill = close = dismiss

    def _get_ready(self) -> None:
        try:
            if self._prepare is not None:
                self._prepare()
        except Exception as error:
            raise PoolError(f"the preparation for the jobs failed: {describe(error)}") from error
        self._prepare = None

    def _do(self, job: J) -> Outcome[J, R]:
        begin = time.perf_counter()
        try:
            value = self._function(job)
        except (Exception, SystemExit) as error:
            seconds = time.perf_counter() - begin
            return Failed(job, "error", describe(error), seconds, 1, os.getpid(), traceback=stack(error))
        return Done(job, value, time.perf_counter() - begin, 1, os.getpid())
