"""Who does the work for a thread in the background of a program: always workers of another process's.

Who is to lead them is forked at once, while the program may still be forked, or started anew; and anew
whenever it has to be replaced, since by then the program has threads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from forkmaps.pool.client import Client
from forkmaps.pool.forking import Garbage, fork_into
from forkmaps.pool.handles import Handle
from forkmaps.pool.hands import Codec, Hands
from forkmaps.pool.hiring import StartMethod, checked, chosen, crew_of
from forkmaps.pool.launching import AnewStart
from forkmaps.pool.orders import Orders
from forkmaps.pool.supervisor import supervise


def hire_for_background(orders: Orders, method: StartMethod, codec: Codec) -> Hands[Any, Any]:
    """Return those who will carry out orders for another thread of this process.

    Called in the thread that makes the executor: a supervisor that is to be forked is forked now.
    """
    checked(method)
    found, reason = chosen(method, orders.before_fork)
    if found == "spawn":
        return crew_of(orders, AnewStart(orders, reason), codec)
    start = ForkedFirst(orders) if found == "fork" else AnewStart(orders, reason)
    client: Client[Any, Any] = Client(start, size=orders.size, attempts=orders.attempts, codec=codec)
    client.recruit()
    return client


class ForkedFirst:
    """Starts supervisors: the first one by fork, others anew.

    Parameters
    ----------
    orders
        What they are to do.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._garbage = Garbage()
        self._anew: AnewStart | None = None
        self._forked = False

    def get_ready(self) -> None:
        """Do what comes before a start; what `before_fork` raises is raised."""
        if self._anew is not None:
            self._anew.get_ready()
            return
        if self._orders.before_fork is not None:
            self._orders.before_fork()
        self._garbage.freeze()

    def supervisor(self, mask: set[int]) -> Handle:
        """Start a supervisor. Called with signals blocked; raises OSError where that fails."""
        if self._anew is not None:
            return self._anew.supervisor(mask)
        self._anew = AnewStart(self._orders, "a process with threads is not forked again")
        orders = self._orders
        handle = fork_into(partial(supervise, lambda: orders), Handle, mask=mask)
        self._forked = True
        return handle

    def welcome(self, process: Handle) -> None:
        """Log that a supervisor has loaded its data, unless it was there already."""
        if not self._forked and self._anew is not None:
            self._anew.welcome(process)
        self._forked = False

    def close(self) -> None:
        """Let go of what is held for further starts."""
        self._garbage.unfreeze()
        if self._anew is not None:
            self._anew.close()
