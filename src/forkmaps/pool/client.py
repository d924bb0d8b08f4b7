"""The pool's side of a supervisor: jobs go to it, outcomes come back, and if it dies another takes over."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from forkmaps.errors import PoolError
from forkmaps.pool.answers import Logged, Raised, Ready
from forkmaps.pool.crew import CLOSE_GRACE
from forkmaps.pool.handles import KILL_GRACE, NEVER, START_LIMIT, Handle, signals_blocked
from forkmaps.pool.hands import BY_VALUE, POLL_INTERVAL, Codec, Hands, log_here
from forkmaps.pool.messages import GarbledError, Part, describe, shown, stack
from forkmaps.pool.settling import not_sent
from forkmaps.pool.starting import FAILED_STARTS, SupervisorStart
from forkmaps.pool.supervisor import Given, Settled, Stopped, Tell, Told, news_of, news_parts
from forkmaps.pool.tasks import Done, Failed, Outcome, Task, WorkerReport

J = TypeVar("J")
R = TypeVar("R")

AHEAD = 2
"""Jobs that a supervisor is given for each worker, so that none waits for the way there and back."""

TELL_LIMIT = 5.0
"""Seconds that a supervisor has to report on its workers."""

END_GRACE = CLOSE_GRACE + KILL_GRACE + 1.0
"""Seconds that a supervisor has to end its workers and itself."""

_NONE = "no supervisor of workers can be started"

_log = logging.getLogger(__name__)


class Client(Hands[J, R]):
    """Has a supervisor do the jobs.

    Parameters
    ----------
    start
        How supervisors are started.
    size
        How many workers a supervisor has.
    attempts
        How often a job is tried if supervisor after supervisor dies.
    codec
        How jobs and values travel.
    """

    def __init__(self, start: SupervisorStart, *, size: int, attempts: int, codec: Codec = BY_VALUE) -> None:
        super().__init__()
        self._start = start
        self._size = size
        self._attempts = attempts
        self._codec = codec
        self._supervisor: Handle | None = None
        self._given: dict[int, Task[J]] = {}
        self._numbers = itertools.count()
        self._told: dict[int, WorkerReport] = {}
        self._asking = False
        self._failed_starts = 0
        self._reason = ""
        self._stopped = ""

    def begin(self, jobs: Iterable[J]) -> None:
        """Start anew with these jobs; failed starts are forgiven."""
        super().begin(jobs)
        self._failed_starts, self._stopped = 0, ""
        if self._supervisor is not None:
            self._look(0)  # it may have died since the last time

    def busy(self) -> int:
        """Count the jobs that the supervisor has."""
        return len(self._given)

    def advance(self) -> None:
        """Give jobs to the supervisor; start one if there is none."""
        if self._supervisor is None and self._may_start() and self.has_work():
            self.recruit()
        supervisor = self._supervisor
        while supervisor is not None and supervisor.ready and self._has_room() and self.tasks.draw(1):
            self._give(supervisor)

    def attend(self) -> None:
        """Wait for something to happen, and note what it means. Raises `PoolError` if nothing can."""
        if self._stopped:
            raise PoolError(self._stopped)
        if self._supervisor is None and self.has_work():
            raise PoolError(f"{_NONE}: {self._failed_starts} in a row failed; the last: {self._reason}")
        self._look(self._patience())

    def report(self) -> tuple[WorkerReport, ...]:
        """Report on every worker that ever lived; of supervisors that died, as far as they had told."""
        if self._supervisor is not None and self._supervisor.ready:
            self._ask(self._supervisor)
        return tuple(self._told.values())

    def dismiss(self) -> None:
        """End the supervisor and its workers by end of file, and wait until all are gone."""
        supervisor, self._supervisor = self._supervisor, None
        self._given.clear()
        if supervisor is None:
            return
        if supervisor.ready:
            supervisor.hang_up()
            wait_for_end(supervisor, END_GRACE)
        supervisor.kill()
        wait_for_end(supervisor, KILL_GRACE)
        self._let_go(supervisor)

    kill = dismiss

    def close(self) -> None:
        """Let go of what is still held."""
        super().close()
        self._start.close()

    # Jobs to the supervisor

    def _may_start(self) -> bool:
        return not self._stopped and self._failed_starts < FAILED_STARTS

    def _has_room(self) -> bool:
        return len(self._given) < AHEAD * self._size

    def _give(self, supervisor: Handle) -> None:
        task, number = self.tasks.take(), next(self._numbers)
        try:
            parts = self._codec.pack(task.job)
        except Exception as error:
            self.outcomes.append(not_sent(task, error))
            return
        self._given[number] = task
        supervisor.line.post(news_parts(Given(number, shown(task.job)), parts))
        self._watch(supervisor)

    def _watch(self, supervisor: Handle) -> None:
        if not supervisor.hung_up:
            self.watch(supervisor.line.channel, writing=supervisor.line.writing)

    def _patience(self) -> float | None:
        """Return the seconds until a look is due even if nothing happens; None: never."""
        if self._supervisor is None:
            return None
        now = time.monotonic()
        look = now + POLL_INTERVAL if self._supervisor.child.pidfd is None else NEVER
        due = min(look, self._supervisor.deadline)
        return None if due == NEVER else max(0.0, due - now)

    # News

    def _look(self, patience: float | None) -> None:
        """Wait for something to happen, so many seconds at most, and note what it means."""
        self._stirred(patience)
        supervisor = self._supervisor
        if supervisor is None:
            return
        gone = supervisor.gone()  # asked first: all that it ever sent is there to be read
        self._listen(supervisor)
        if gone:
            self._bury(supervisor)
        elif time.monotonic() >= supervisor.deadline:
            self._reason = f"it was not ready after {START_LIMIT:g} s"
            supervisor.kill()
            supervisor.deadline = NEVER

    def _listen(self, supervisor: Handle) -> None:
        supervisor.line.write()
        try:
            if not supervisor.hung_up and not supervisor.line.read():
                supervisor.hung_up = True
                self._ignore(supervisor.line.channel)
                supervisor.deadline = min(supervisor.deadline, time.monotonic() + END_GRACE)
            for message in supervisor.line.messages():
                self._note(supervisor, *news_of(message))
        except (GarbledError, MemoryError) as error:
            self._reason = f"its news could not be read: {describe(error)}"
            supervisor.kill()
        self._watch(supervisor)

    def _note(self, supervisor: Handle, news: Any, value: Sequence[Part]) -> None:
        match news:
            case Ready():
                supervisor.ready, supervisor.deadline = True, NEVER
                self._start.welcome(supervisor)
            case Raised():
                # It would be the same again.
                self._stopped = f"{_NONE}: {news.message}\n{news.traceback}"
            case Settled():
                self._failed_starts = 0
                task = self._given.pop(news.number)
                self.outcomes.append(self._outcome(task, news.outcome, value))
            case Told():
                self._asking = False
                self._told.update({report.pid: report for report in news.reports})
            case Logged():
                log_here(news.record)
            case Stopped():
                self._stopped = news.message

    def _outcome(
        self, task: Task[J], outcome: Done[None, None] | Failed[None], value: Sequence[Part]
    ) -> Outcome[J, R]:
        attempts = task.attempts + outcome.attempts
        if isinstance(outcome, Failed):
            failed: Failed[Any] = outcome
            return replace(failed, job=task.job, attempts=attempts)
        try:
            found: R = self._codec.unpack(value)
        except Exception as error:
            return Failed(
                task.job, "error", describe(error), outcome.seconds, attempts, outcome.pid, None, stack(error)
            )
        return Done(task.job, found, outcome.seconds, attempts, outcome.pid)

    def _ask(self, supervisor: Handle) -> None:
        """Wait for the workers' reports."""
        self._asking = True
        supervisor.line.post(news_parts(Tell()))
        self._watch(supervisor)
        end = time.monotonic() + TELL_LIMIT
        while self._asking and self._supervisor is not None and time.monotonic() < end:
            self._look(POLL_INTERVAL)

    # The beginning and the end of a supervisor

    def recruit(self) -> None:
        """Start a supervisor."""
        self._reason = ""
        try:
            self._start.get_ready()
            with signals_blocked() as mask:
                supervisor = self._supervisor = self._start.supervisor(mask)
                self._register(supervisor.line.channel, supervisor)
                self._register(supervisor.child.pidfd, supervisor)
        except OSError as error:
            self._stopped = f"{_NONE}: {describe(error)}"

    def _bury(self, supervisor: Handle) -> None:
        """Take back the jobs of a dead supervisor, for another to do."""
        words = supervisor.last_words()
        message = str(supervisor.exit)
        if not supervisor.ready:
            self._failed_starts += 1
            self._reason = self._reason or f"{message}\n{words}"
        self._supervisor = None
        self._let_go(supervisor)
        if self._given and not self._stopped:
            _log.warning(
                "the workers' supervisor, process %d, %s; its jobs are tried again\n%s",
                supervisor.pid,
                message,
                words,
            )
        self._take_back(supervisor, message, words)

    def _take_back(self, supervisor: Handle, message: str, words: str) -> None:
        """Have the jobs of a dead supervisor tried again: those that workers had were tried once more."""
        given = list(self._given.values())
        self._given.clear()
        for task in given[: self._size]:
            task.attempts += 1
        for task in reversed(given):
            if task.attempts < self._attempts:
                self.tasks.again(task)
            else:
                text = f"the workers' supervisor was {message}"
                self.outcomes.append(
                    Failed(
                        task.job,
                        "died",
                        text,
                        0.0,
                        task.attempts,
                        supervisor.pid,
                        supervisor.ended_by,
                        words,
                    )
                )

    def _let_go(self, supervisor: Handle) -> None:
        self._ignore(supervisor.line.channel, supervisor.child.pidfd)
        supervisor.close()


def wait_for_end(process: Handle, seconds: float) -> None:
    """Wait for a process to end, so long at most; it is alone, so short naps will do."""
    end = time.monotonic() + seconds
    nap = 0.001
    while not process.gone() and time.monotonic() < end:
        time.sleep(nap)
        nap = min(2 * nap, POLL_INTERVAL)
