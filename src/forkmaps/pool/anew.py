"""The beginning of a process that was started anew, until it is a worker or a supervisor like any other."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from forkmaps.pool.forking import in_turn
from forkmaps.pool.orders import Orders
from forkmaps.pool.parcel import Ticket, open_parcel
from forkmaps.pool.supervisor import supervise
from forkmaps.pool.workers import Brief, Life, Origin, become, serve


def main(text: str) -> NoReturn:
    """Be what the call says, which is JSON made by `launching`."""
    call = json.loads(text)
    sys.argv[:] = call["argv"]
    channel, last_words = our_ends(call)
    origin = Origin(call["parent"], call["dies_with_parent"])
    ticket: Ticket = (call["ticket"][0], call["ticket"][1], call["ticket"][2])
    life: Life = partial(supervise, partial(open_orders, ticket))
    if call["role"] == "worker":
        work = Delivered(ticket)
        life = partial(serve, Brief(work, work.prepare, abroad=True))
    become(life, origin, channel, last_words, not_ours=[], mask=call["mask"])


def open_orders(ticket: Ticket) -> Orders:
    """Open a parcel with orders, and take over the settings that came with them."""
    orders, settings = open_parcel(ticket)
    for step in settings:
        step()
    assert isinstance(orders, Orders)
    return orders


class Delivered:
    """A worker's function that is in a parcel until `prepare` opens it."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    def prepare(self) -> None:
        """Open the parcel, and do what comes before the first job."""
        orders = open_orders(self._ticket)
        self._function = orders.function
        in_turn(orders.after_fork, orders.prepare)()

    def __call__(self, job: Any) -> Any:
        """Do a job."""
        return self._function(job)


def our_ends(call: dict[str, Any]) -> Iterator[socket.socket]:
    """Yield the sockets that the parent left us."""
    if sys.platform != "win32":
        for descriptor in call["ends"]:
            yield socket.socket(fileno=descriptor)
        return
    for _ in range(2):
        size = int.from_bytes(sys.stdin.buffer.read(4), "big")
        yield getattr(socket, "fromshare")(sys.stdin.buffer.read(size))  # noqa: B009 - only Windows has it
