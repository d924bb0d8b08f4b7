"""Functions over shared data in the background, as futures: for simulations and training loops that go on.

A thread of the executor's hands jobs on and brings their values in; workers are led by a process of their
own, the supervisor, so that nothing of the program's (its threads, its data as it changes) is in their way.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Self, TypeVar

from forkmaps.errors import PoolError
from forkmaps.functions.calls import SubmittedCall, Surroundings
from forkmaps.functions.desk import AS_SUBMITTED, Desk
from forkmaps.pool import ATTEMPTS, StartMethod
from forkmaps.pool.background import hire_for_background
from forkmaps.pool.forkable import after_fork, check_forkable
from forkmaps.pool.orders import orders_for

R = TypeVar("R")


class ForkExecutor(Executor):
    """Does calls in workers that share data, in the background; a `concurrent.futures.Executor`.

    Make it early: workers get the data as it is then. On Linux, in a process with one Python thread that is
    safe to fork, the supervisor of the workers is forked from it at once; else it is started anew, and the
    data sent to it. A later change of the data is not seen; the arguments of a call are those at the time of
    `submit`.

    Parameters
    ----------
    shared
        What all calls read, as for `fork_map`: functions with a parameter of this name get it, read-only.
    workers
        How many at most; None: one for each usable CPU.
    timeout
        Seconds for one call; None: no limit.
    attempts
        How often a call is tried if its worker dies. A future has what its function raised, with the worker's
        traceback as its cause; or an `ItemError` if the worker died, took too long, or that can't travel.
    seed
        Of the random streams; each call has its own, by the order of `submit`, as items of `fork_map` do.
    start_method
        "auto", "fork", "forkserver" or "spawn".

    Raises
    ------
    PoolError
        The options can't be used, or the data can't be sent.
    ForkUnsafe
        A fork of this process could hang, and "fork" was asked for.

    Notes
    -----
    As with the executors of the standard library, the end of a `with` block waits for all calls, and so does
    the end of the program; an exception in the block ends the workers and cancels what they had. An executor
    that nobody refers to any more does what was submitted and ends.
    """

    def __init__(
        self,
        shared: Any = None,
        *,
        workers: int | None = None,
        timeout: float | None = None,
        attempts: int = ATTEMPTS,
        seed: int | None = None,
        start_method: StartMethod = "auto",
    ) -> None:
        around = Surroundings(shared, seed)
        orders = orders_for(
            SubmittedCall(around),
            workers=workers,
            timeout=timeout,
            attempts=attempts,
            prepare=around.prepare,
            before_fork=check_forkable,
            after_fork=after_fork,
        )
        if not orders.size:
            raise PoolError("workers: an executor works in the background and needs at least 1")
        self._desk = Desk(hire_for_background(orders, start_method, AS_SUBMITTED))
        self._desk.open()
        _open.add(self)
        weakref.finalize(self, self._desk.close).atexit = False

    def submit(self, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Have a function called in a worker, as `function(*args, **kwargs)`; return the future of its value.

        Functions, closures and lambdas travel by cloudpickle, and what they and the arguments refer to is
        copied now: large data belongs in `shared`.

        Raises
        ------
        ItemError
            If function or arguments can't be pickled.
        PoolError
            After `shutdown`, or when no worker could be started.
        """
        return self._desk.take(function, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; end the workers when all that were submitted are done.

        Parameters
        ----------
        wait
            Whether to return only then.
        cancel_futures
            Whether to cancel those that no worker has been given yet.
        """
        self._desk.close(cancel=cancel_futures)
        if wait:
            self._desk.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._desk.close(cancel=error is not None, stop=error is not None)
        self._desk.join()


_open: weakref.WeakSet[ForkExecutor] = weakref.WeakSet()


@atexit.register
def _shut_all() -> None:
    """Wait for all executors when the program ends."""
    for executor in tuple(_open):
        executor.shutdown()
