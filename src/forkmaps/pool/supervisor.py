"""A process that does nothing but lead a crew of forked workers, for a client that can't fork or is busy.

It has one thread and the data, so its forks are safe. The client sends jobs over a socket and gets outcomes
as they come; values pass through as they are, unread. End of file is the order to end, workers and all. If
the supervisor dies, the kernel ends its workers (elsewhere than on Linux, end of file does).
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, TypeAlias

from forkmaps.errors import ForkmapsError
from forkmaps.pool.answers import Logged, Raised, Ready, send_logs
from forkmaps.pool.crew import Crew
from forkmaps.pool.forking import ForkStart
from forkmaps.pool.hands import Codec
from forkmaps.pool.messages import PICKLE_PROTOCOL, Line, Part, describe, stack
from forkmaps.pool.orders import Orders
from forkmaps.pool.tasks import Done, Failed, WorkerReport
from forkmaps.pool.workers import send

# From the client


@dataclass(frozen=True, slots=True)
class Given:
    """A job, whose parts follow; `label` is what the log calls it."""

    number: int
    label: str


@dataclass(frozen=True, slots=True)
class Tell:
    """The question for the workers' reports."""


# To the client, beside `Ready`, `Raised` and `Logged`


@dataclass(frozen=True, slots=True)
class Settled:
    """A job's outcome, without job and value; the value's parts follow."""

    number: int
    outcome: Done[None, None] | Failed[None]


@dataclass(frozen=True, slots=True)
class Told:
    """The workers' reports."""

    reports: tuple[WorkerReport, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """No worker can be started; the supervisor ends."""

    message: str


News: TypeAlias = Ready | Raised | Logged | Settled | Told | Stopped


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A job as the supervisor knows it: a number, and parts that it doesn't read."""

    number: int
    parts: Sequence[Part]
    label: str

    def __repr__(self) -> str:
        return self.label


def as_it_is(parts: Sequence[Part]) -> Sequence[Part]:
    """Return what a worker sent."""
    return parts


UNREAD = Codec(attrgetter("parts"), as_it_is)
"""How jobs and values pass through a supervisor."""


def supervise(find_orders: Callable[[], Orders], channel: socket.socket, last_words: socket.socket) -> None:
    """Be a supervisor: lead a crew until end of file."""
    try:
        orders = find_orders()
    except BaseException as error:
        send(channel, Raised(describe(error), stack(error), 0.0, last=True))
        return
    supervisor = Supervisor(orders, channel, last_words)
    try:
        supervisor.serve()
    finally:
        supervisor.end()


class Supervisor:
    """A crew, and the line to the client."""

    def __init__(self, orders: Orders, channel: socket.socket, last_words: socket.socket) -> None:
        self._line = Line(channel)
        start = ForkStart(
            orders.function,
            orders.prepare,
            before_fork=orders.before_fork,
            after_fork=orders.after_fork,
            abroad=True,
            not_theirs=[channel, last_words],
        )
        self._crew: Crew[Forwarded, Sequence[Part]] = Crew(start, codec=UNREAD, **orders.limits())

    def serve(self) -> None:
        """Do what the client asks until it hangs up, or no worker can be started."""
        send_logs(self._line.post)
        self._post(Ready())
        self._crew.begin(())
        try:
            while self._listen():
                self._settle()  # before new jobs are given, each of which may be the one that kills us
                self._crew.advance()
                self._crew.watch(self._line.channel, writing=self._line.writing)
                self._crew.attend()
                self._line.write()
        except ForkmapsError as error:
            self._settle()
            self._post(Stopped(str(error)))
            self._write_all()

    def end(self) -> None:
        """End the workers."""
        self._crew.dismiss()
        self._crew.close()

    def _listen(self) -> bool:
        connected = self._line.read()
        for message in self._line.messages():
            self._obey(message)
        return connected

    def _obey(self, message: Sequence[Part]) -> None:
        match news_of(message):
            case Given(number=number, label=label), parts:
                self._crew.tasks.add(Forwarded(number, parts, label))
            case Tell(), _:
                self._post(Told(self._crew.report()))

    def _settle(self) -> None:
        """Send the outcomes that there are."""
        while self._crew.outcomes:
            outcome = self._crew.outcomes.popleft()
            value: Sequence[Part] = outcome.value if isinstance(outcome, Done) else ()
            self._post(Settled(outcome.job.number, bare(outcome)), value)

    def _post(self, news: News, value: Sequence[Part] = ()) -> None:
        self._line.post(news_parts(news, value))

    def _write_all(self) -> None:
        self._line.channel.setblocking(True)
        self._line.write()


def bare(outcome: Done[Any, Any] | Failed[Any]) -> Done[None, None] | Failed[None]:
    """Return an outcome without what has a way of its own."""
    if isinstance(outcome, Done):
        return replace(outcome, job=None, value=None)
    return replace(outcome, job=None)


def news_of(message: Sequence[Part]) -> tuple[Any, Sequence[Part]]:
    """Read what supervisor and client send each other: the news, and the parts of the value that follow."""
    return pickle.loads(message[0]), message[1:]


def news_parts(news: Given | Tell | News, value: Sequence[Part] = ()) -> list[Part]:
    """Return news, and the parts of a value, as the parts of a message."""
    return [pickle.dumps(news, protocol=PICKLE_PROTOCOL), *value]
