"""Any function over shared data: done with many items by workers, in order or as they come.

The data is shared as maps share theirs: forked workers read it where it lies, others map one copy.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any, Literal, TypeVar

from forkmaps.errors import ItemError, PoolError
from forkmaps.functions.calls import ItemCall, Surroundings
from forkmaps.pool import ATTEMPTS, Done, Failed, Outcome, Pool, StartMethod
from forkmaps.pool.forkable import after_fork, check_forkable
from forkmaps.pool.messages import shown
from forkmaps.progress import Progress

__all__ = ["fork_map"]

T = TypeVar("T")

Numbered = tuple[int, T]


def fork_map(
    function: Callable[..., Any],
    items: Iterable[T],
    *,
    shared: Any = None,
    workers: int | None = None,
    timeout: float | None = None,
    attempts: int = ATTEMPTS,
    ordered: bool = True,
    errors: Literal["raise", "return"] = "raise",
    seed: int | None = None,
    progress: bool = False,
    start_method: StartMethod = "auto",
) -> Iterator[Any]:
    """Call a function with each of many items, in workers that share data; yield its values.

    Nothing is done before the first value is asked for. Items are drawn when there is a worker for them. Who
    breaks off ends the workers.

    Parameters
    ----------
    function
        Called with an item; closures and lambdas will do. It is also given, if it has parameters of these
        names, `shared` and `rng`, a `numpy.random.Generator` of the item's own.
    items
        Sent to workers by pickle. What is large belongs in `shared`, or in what the function refers to.
    shared
        What all calls read: arrays, mappings and lists of them, DataArrays and Datasets, a `SharedData`
        (which `forkmaps.shared_data()` then returns in workers), or anything else. Arrays in it are read-only
        for the function, as are, in workers, those that the function refers to itself: a write raises
        ValueError.
    workers
        How many at most; None: one for each usable CPU; 0: none, for debuggers: the function is called here.
    timeout
        Seconds for one item; None: no limit.
    attempts
        How often an item is tried if its worker dies. An exception or a timeout is final.
    ordered
        Whether values come in the items' order, or else as they are done. In order, values wait in memory for
        those before them.
    errors
        What to do about an item that fails: "raise" an `ItemError` when it is its turn, or "return" a
        `forkmaps.pool.Failed` in the value's place, with `cause`, `message` and the worker's `traceback`.
    seed
        Of the random streams. Item number i has that of `numpy.random.SeedSequence(seed).spawn(...)[i]`,
        however many workers there are; `random` and the functions of `numpy.random` draw from streams of its
        own, too. None: other streams each time.
    progress
        Whether to show progress on the standard error stream.
    start_method
        How workers come into being: "auto", "fork", "forkserver" or "spawn"; see `forkmaps.pool.Pool`.

    Returns
    -------
    iterator
        Of the values.

    Raises
    ------
    ItemError
        While iterating: an item failed.
    PoolError
        The options can't be used; or, while iterating, no worker can be started.
    ForkUnsafe
        While iterating, with "fork": a worker forked from this process could hang.
    """
    if errors not in ("raise", "return"):
        raise PoolError(f'errors: "{errors}" is neither "raise" nor "return"')
    call = ItemCall(function, Surroundings(shared, seed))
    pool: Pool[Numbered[T], Any] = Pool(
        call,
        workers=workers,
        timeout=timeout,
        attempts=attempts,
        prepare=call.prepare,
        before_fork=check_forkable,
        after_fork=after_fork,
        start_method=start_method,
    )
    outcomes = _outcomes(pool, items, progress=progress)
    return _values(outcomes, ordered=ordered, errors=errors)


def _values(
    outcomes: Generator[Outcome[Numbered[T], Any], None, None], *, ordered: bool, errors: str
) -> Iterator[Any]:
    with closing(outcomes):  # an error that is kept keeps this frame, which must not keep the workers
        for outcome in _in_order(outcomes) if ordered else outcomes:
            yield _value(outcome, errors)


def _outcomes(
    pool: Pool[Numbered[T], Any], items: Iterable[T], *, progress: bool
) -> Generator[Outcome[Numbered[T], Any], None, None]:
    with pool, shown_progress(items) if progress else nullcontext() as bar:
        for outcome in pool.run(enumerate(items)):
            if bar is not None:
                bar.step()
            yield outcome


def _in_order(outcomes: Iterator[Outcome[Numbered[T], Any]]) -> Iterator[Outcome[Numbered[T], Any]]:
    """Yield outcomes by their numbers; those that come too early wait."""
    early: dict[int, Outcome[Numbered[T], Any]] = {}
    turn = 0
    for outcome in outcomes:
        early[outcome.job[0]] = outcome
        while turn in early:
            yield early.pop(turn)
            turn += 1


def _value(outcome: Outcome[Numbered[T], Any], errors: str) -> Any:
    if isinstance(outcome, Done):
        return outcome.value
    failed: Failed[Any] = outcome
    index, item = failed.job
    if errors == "raise":
        raise ItemError(f"item {index}, {shown(item)}: {told(failed)}")
    return replace(failed, job=item)


def told(failed: Failed[Any]) -> str:
    """Say how a call failed, with the worker's traceback where there is one."""
    stack = f"\nin worker {failed.pid}:\n{failed.traceback}" if failed.traceback else ""
    return f"{failed.message}{stack}"


def shown_progress(items: Iterable[Any]) -> Progress:
    """Return a progress on the standard error stream; of how many, is not always known."""
    return Progress(operator.length_hint(items), sys.stderr, unit="item")
