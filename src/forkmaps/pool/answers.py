"""What a worker says to its parent: that it is ready, what came of a job, and what it logged."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from logging.handlers import QueueHandler
from typing import TypeAlias

from forkmaps.pool.messages import PICKLE_PROTOCOL, GarbledError, Part

LOGGER = "forkmaps"
"""The logger of the package, above those of its modules."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker is prepared, and waits for its first job."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned: its value (still pickled, so that a bad one can be told from a bad answer)."""

    value: Sequence[Part]
    seconds: float


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised, or `prepare` did (then `Ready` never came).

    `last` says that the worker ends after this: it ran out of memory, and a heap in that state is not to be
    trusted with another job.
    """

    message: str
    traceback: str
    seconds: float
    last: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """Something was logged, which the parent's handlers are to see."""

    record: logging.LogRecord


Answer: TypeAlias = Ready | Returned | Raised | Logged


def parts_of(answer: Answer) -> list[Part]:
    """Return an answer as the parts of a message: itself, without the value, and the value's."""
    value: Sequence[Part] = ()
    if isinstance(answer, Returned):
        value, answer = answer.value, replace(answer, value=())
    return [pickle.dumps(answer, protocol=PICKLE_PROTOCOL), *value]


def read_answer(message: Sequence[Part]) -> Answer:
    """Read a message from a worker. Raises `GarbledError` if it holds anything else than an answer."""
    try:
        answer = pickle.loads(message[0])
    except Exception as error:
        raise GarbledError from error
    if not isinstance(answer, Answer):
        raise GarbledError
    return Returned(message[1:], answer.seconds) if isinstance(answer, Returned) else answer


def send_logs(post: Callable[[Sequence[Part]], None]) -> None:
    """From now on, send what this package logs, and handle none of it here."""
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [Courier(post)]
    logger.propagate = False


class Courier(QueueHandler):
    """Sends records to the parent, their messages made up and their exceptions as text."""

    def __init__(self, post: Callable[[Sequence[Part]], None]) -> None:
        super().__init__(queue=None)  # type: ignore[arg-type]
        self._post = post

    def enqueue(self, record: logging.LogRecord) -> None:
        """Send a record."""
        with suppress(OSError):  # the parent is gone
            self._post(parts_of(Logged(record)))
