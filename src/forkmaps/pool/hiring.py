"""By which method workers come into being, and who leads them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

from forkmaps.errors import ForkmapsError, PoolError
from forkmaps.pool.client import Client
from forkmaps.pool.crew import Crew
from forkmaps.pool.forking import ForkStart
from forkmaps.pool.hands import BY_REFERENCE, BY_VALUE, Codec, Hands
from forkmaps.pool.launching import AnewStart
from forkmaps.pool.orders import Orders
from forkmaps.pool.starting import WorkerStart

Method: TypeAlias = Literal["fork", "forkserver", "spawn"]
StartMethod: TypeAlias = Literal["auto", "fork", "forkserver", "spawn"]

_log = logging.getLogger(__name__)


def hire(orders: Orders, method: StartMethod) -> Hands[Any, Any]:
    """Return those who will carry out orders; no process is started yet."""
    found, reason = chosen(method, orders.before_fork)
    if found == "forkserver":
        return Client(AnewStart(orders, reason), size=orders.size, attempts=orders.attempts)
    start: WorkerStart = AnewStart(orders, reason)
    if found == "fork":
        start = ForkStart(
            orders.function, orders.prepare, before_fork=orders.before_fork, after_fork=orders.after_fork
        )
    return crew_of(orders, start, BY_REFERENCE if found == "fork" else BY_VALUE)


def crew_of(orders: Orders, start: WorkerStart, codec: Codec) -> Crew[Any, Any]:
    """Return a crew that carries out orders."""
    return Crew(start, codec=codec, **orders.limits())


def checked(method: str) -> None:
    """Raise `PoolError` unless there is such a method, and this system has it."""
    known = get_args(StartMethod)
    if method not in known:
        raise PoolError(f'start_method: "{method}" is not one of {", ".join(known)}')
    if method in ("fork", "forkserver") and not hasattr(os, "fork"):
        raise PoolError(f'start_method: this system ({sys.platform}) can\'t fork; "spawn" or "auto" will do')


def chosen(method: StartMethod, before_fork: Callable[[], None] | None) -> tuple[Method, str]:
    """Return the method to use, and why it is not "fork" where that would have been the first choice.

    "auto" is "fork" on Linux in a process with one Python thread where `before_fork` has no objection, else
    "forkserver"; and "spawn" where processes can't be forked (Windows) or had better not (macOS, whose own
    libraries may crash or hang in a forked process).
    """
    if method != "auto":
        return method, ""
    if sys.platform != "linux":
        return "spawn", f"workers are not forked on this system ({sys.platform})"
    reason = objection(before_fork)
    if reason:
        _log.info("workers are started by a process of their own: %s", reason)
    return ("forkserver" if reason else "fork"), reason


def objection(before_fork: Callable[[], None] | None) -> str:
    """Return what speaks against a fork of this process; nothing if nothing does."""
    others = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        return f"this process has {len(others)} other threads ({', '.join(others[:3])})"
    try:
        if before_fork is not None:
            before_fork()
    except ForkmapsError as error:
        return str(error)
    return ""
