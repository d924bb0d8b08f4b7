"""What becomes of a task: an outcome, made of its worker's answer or of its worker's end."""

from __future__ import annotations

import time
from typing import TypeVar

from forkmaps.pool.answers import Raised, Returned
from forkmaps.pool.handles import Worker
from forkmaps.pool.hands import Codec
from forkmaps.pool.messages import describe, stack
from forkmaps.pool.tasks import Cause, Done, Failed, Outcome, Task

J = TypeVar("J")
R = TypeVar("R")


def outcome_of(task: Task[J], answer: Returned | Raised, pid: int, codec: Codec) -> Outcome[J, R]:
    """Make an outcome of a worker's answer."""
    if isinstance(answer, Raised):
        return failure(task, answer, pid)
    try:
        value = codec.unpack(answer.value)
    except Exception as error:
        return failure(task, Raised(describe(error), stack(error), answer.seconds), pid)
    return Done(task.job, value, answer.seconds, task.attempts, pid)


def failure(task: Task[J], raised: Raised, pid: int) -> Failed[J]:
    """Make an outcome of an exception."""
    return Failed(
        task.job, "error", raised.message, raised.seconds, task.attempts, pid, traceback=raised.traceback
    )


def not_sent(task: Task[J], error: Exception) -> Failed[J]:
    """Make an outcome of a job that can't be sent to anybody."""
    return Failed(task.job, "error", describe(error), 0.0, 0, None, traceback=stack(error))


def lost(worker: Worker[J], task: Task[J], cause: Cause, message: str, last_words: str) -> Failed[J]:
    """Make an outcome of a worker's end."""
    signal = worker.ended_by if worker.verdict is None else None
    seconds = time.monotonic() - worker.since
    return Failed(task.job, cause, message, seconds, task.attempts, worker.pid, signal, last_words)
