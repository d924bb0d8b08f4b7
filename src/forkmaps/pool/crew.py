"""The pool's loop: a crew of workers, fed and watched by one thread that never waits for one of them.

The loop waits for whatever comes first (an answer, a death, room in a socket, a deadline), notes what it
means, gives jobs to those who are idle, and hands out outcomes. For each worker there is one socket pair: no
lock is shared, so no death can leave one held.

A worker's life: started, ready, then idle and busy in turn, and in the end buried. One that is overdue gets
SIGTERM, on which it writes down where it stood, and then SIGKILL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TypeVar

from forkmaps.errors import ForkmapsError, PoolError
from forkmaps.pool.answers import Answer, Logged, Raised, Ready, Returned
from forkmaps.pool.handles import KILL_GRACE, NEVER, Worker, signals_blocked
from forkmaps.pool.hands import BY_REFERENCE, POLL_INTERVAL, Codec, Hands, log_here
from forkmaps.pool.messages import GarbledError, describe, shown
from forkmaps.pool.settling import lost, not_sent, outcome_of
from forkmaps.pool.starting import FAILED_STARTS, WorkerStart
from forkmaps.pool.tasks import Task, WorkerReport, memory_of

J = TypeVar("J")
R = TypeVar("R")

CLOSE_GRACE = 1.0
"""Seconds that idle workers have to end by themselves when the pool closes."""

LOOK_INTERVAL = 5.0
"""Seconds between looks at a worker's memory; one takes some 10 ms for each 500 MB."""

_log = logging.getLogger(__name__)


class Crew(Hands[J, R]):
    """Workers for one function, and the loop that keeps them at work.

    Parameters
    ----------
    start
        How workers are started.
    size
        How many workers at most, at least 1.
    timeout
        Seconds for one job.
    attempts
        How often a job is tried if its worker dies.
    jobs_per_worker
        How many jobs a worker answers before another takes its place.
    worker_memory_mb
        Memory in MB that a worker may gain between the first look and a later one before that happens.
    codec
        How jobs and values travel.
    """

    def __init__(
        self,
        start: WorkerStart,
        *,
        size: int,
        timeout: float = NEVER,
        attempts: int,
        jobs_per_worker: float = NEVER,
        worker_memory_mb: float = NEVER,
        codec: Codec = BY_REFERENCE,
    ) -> None:
        super().__init__()
        self.workers: list[Worker[J]] = []
        self.buried: list[Worker[J]] = []
        self._start = start
        self._size = size
        self._timeout = timeout
        self._attempts = attempts
        self._jobs_per_worker = jobs_per_worker
        self._worker_memory_mb = worker_memory_mb
        self._codec = codec
        self._failed_starts = 0
        self._reason = ""

    def begin(self, jobs: Iterable[J]) -> None:
        """Start anew with these jobs; failed starts are forgiven."""
        super().begin(jobs)
        self._failed_starts = 0
        self._look(0)  # some may have died since the last time

    def advance(self) -> None:
        """Give jobs to the idle, and start more workers if there are more jobs."""
        self._feed()
        self._reinforce()

    def attend(self) -> None:
        """Wait for something to happen, and note what it means. Raises `PoolError` if nobody is left."""
        self._check_anybody_left()
        self._look(self._patience())

    def report(self) -> tuple[WorkerReport, ...]:
        """Report on every worker that ever lived, and measure those alive."""
        for worker in self.workers:
            worker.memory = memory_of(worker.pid) or worker.memory
        everyone = (*self.buried, *self.workers)
        return tuple(WorkerReport.of(worker.pid, worker.jobs, worker.memory) for worker in everyone)

    def dismiss(self) -> None:
        """End the idle workers by end of file, kill the others, and wait until all are gone."""
        for worker in self.workers:
            if worker.idle:
                worker.hang_up()
            else:
                worker.kill()
        self._wait_until_gone(CLOSE_GRACE)
        self.kill()

    def kill(self) -> None:
        """Kill all workers, and wait until they are gone."""
        for worker in self.workers:
            worker.kill()
            worker.task = None
        self._wait_until_gone(KILL_GRACE)

    def close(self) -> None:
        """Let go of what a crew without workers still holds."""
        super().close()
        self._start.close()

    def busy(self) -> int:
        """Count the workers that have a job."""
        return sum(worker.task is not None for worker in self.workers)

    # Jobs to workers

    def _feed(self) -> None:
        """Give each idle worker a job, while there are any."""
        for worker in self.workers:
            if worker.idle and self.tasks.draw(1):
                self._give(worker)

    def _give(self, worker: Worker[J]) -> None:
        """Give a worker the first job that can be pickled."""
        while self.tasks.draw(1):
            task = self.tasks.take()
            try:
                parts = self._codec.pack(task.job)
            except Exception as error:
                self.outcomes.append(not_sent(task, error))
            else:
                worker.give(task, parts, self._timeout)
                return self._watch(worker)

    def _patience(self) -> float | None:
        """Return the seconds until a look is due even if nothing happens; None: never."""
        now = time.monotonic()
        looks = (now + POLL_INTERVAL if worker.child.pidfd is None else NEVER for worker in self.workers)
        due = min((*looks, *(worker.due for worker in self.workers), NEVER))
        return None if due == NEVER else max(0.0, due - now)

    # More workers

    def _reinforce(self) -> None:
        """Start as many workers as there are jobs for, unless they fail to start."""
        wanted = min(self._size, self.busy() + self.tasks.draw(self._size - self.busy()))
        while len(self.workers) < wanted and self._failed_starts < FAILED_STARTS:
            try:
                self._recruit()
            except OSError as error:
                self._note_failed_start(f"the start of a process failed: {describe(error)}")
            except ForkmapsError as error:
                self._go_on_without(error)

    def _go_on_without(self, error: ForkmapsError) -> None:
        """Take it that no worker may be forked now, if there are others: they do the work."""
        if not self.workers:
            raise error
        if str(error) != self._reason:
            _log.warning("no worker in place of one that ended: %s", error)
        self._note_failed_start(str(error))

    def _recruit(self) -> None:
        self._start.get_ready()
        with signals_blocked() as mask:
            worker = self._start.worker(self.workers, mask)
            self._take_on(worker)

    def _take_on(self, worker: Worker[J]) -> None:
        self.workers.append(worker)
        self._register(worker.line.channel, worker)
        self._register(worker.child.pidfd, worker)

    def _note_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        self._reason = reason

    def _check_anybody_left(self) -> None:
        if not self.workers and self.tasks.draw(1):
            raise PoolError(
                f"no worker can be started: {self._failed_starts} in a row failed; the last: {self._reason}"
            )

    # Workers' news

    def _look(self, patience: float | None) -> None:
        """Wait for something to happen, so many seconds at most, and note what it means."""
        stirred = self._stirred(patience)
        for worker in tuple(self.workers):
            gone = worker.gone()  # asked first: all that a dead worker ever sent is there to be read
            if gone or worker in stirred:
                self._listen(worker)
            if gone:
                self._bury(worker)
            elif time.monotonic() >= worker.due:
                self._press(worker)

    def _listen(self, worker: Worker[J]) -> None:
        if worker.verdict is not None:
            self._ignore(worker.line.channel)  # whatever it still says is too late
            return
        worker.line.write()
        try:
            if not worker.hung_up and not worker.read():
                self._note_hang_up(worker)
            for answer in worker.answers():
                self._note(worker, answer)
        except GarbledError:
            worker.condemn("died", "it sent something that is not an answer, and was stopped")
        except MemoryError:
            worker.condemn("error", "out of memory: there is no room for the result in this process")
        self._watch(worker)

    def _watch(self, worker: Worker[J]) -> None:
        """Have the selector wake us when the worker sends, and when it can take more of its job."""
        if not worker.hung_up:
            self.watch(worker.line.channel, writing=worker.line.writing)

    def _note_hang_up(self, worker: Worker[J]) -> None:
        if not worker.hung_up:
            worker.note_hang_up()
            self._ignore(worker.line.channel)  # or end of file would wake us again and again

    def _note(self, worker: Worker[J], answer: Answer) -> None:
        if worker.verdict is not None:
            return  # too late
        match answer:
            case Logged():
                log_here(answer.record)
            case Ready():
                worker.ready, worker.deadline = True, NEVER
                self._start.welcome(worker)
            case Raised() if not worker.ready:
                worker.leave()
                worker.verdict = ("error", f"{answer.message}\n{answer.traceback}")
            case Returned() | Raised():
                self._finish(worker, answer)

    def _finish(self, worker: Worker[J], answer: Returned | Raised) -> None:
        """Make an outcome of a worker's answer."""
        task, worker.task, worker.deadline = worker.task, None, NEVER
        if task is None:
            raise GarbledError
        worker.jobs += 1
        self._failed_starts = 0
        if isinstance(answer, Raised) and answer.last:
            worker.leave()
        self.outcomes.append(outcome_of(task, answer, worker.pid, self._codec))
        if worker.idle and self._is_worn_out(worker):
            self._retire(worker)

    def _is_worn_out(self, worker: Worker[J]) -> bool:
        return (
            worker.jobs >= self._jobs_per_worker
            or worker.growth(time.monotonic(), LOOK_INTERVAL) > self._worker_memory_mb
        )

    def _retire(self, worker: Worker[J]) -> None:
        """End an idle worker; another is started in its place if there is work for it."""
        _log.debug("worker %d retires after %d jobs", worker.pid, worker.jobs)
        worker.memory = memory_of(worker.pid) or worker.memory
        worker.hang_up()
        worker.leave()

    # The end of a worker

    def _press(self, worker: Worker[J]) -> None:
        """Take the next step with one that is overdue: stop it, kill it, leave it to the kernel."""
        if not worker.press():
            _log.error("worker %d can't be killed: the kernel holds it; it is left behind", worker.pid)
            self._bury(worker)

    def _bury(self, worker: Worker[J]) -> None:
        """Strike a dead worker off, and settle what it leaves undone."""
        last_words = worker.last_words()
        cause, message = worker.verdict or worker.fate()
        self._strike_off(worker)
        if not worker.ready:
            self._note_failed_start(message if worker.verdict else f"{message}\n{last_words}")
        elif worker.task is None:
            return
        elif cause == "died" and worker.task.attempts < self._attempts:
            self._retry(worker, worker.task, message, last_words)
        else:
            self.outcomes.append(lost(worker, worker.task, cause, message, last_words))

    def _retry(self, worker: Worker[J], task: Task[J], message: str, last_words: str) -> None:
        _log.warning(
            "worker %d %s; job %s is tried again (attempt %d of %d)%s",
            worker.pid,
            message,
            shown(task.job),
            task.attempts + 1,
            self._attempts,
            f"\n{last_words}" if last_words else "",
        )
        self.tasks.again(task)

    def _strike_off(self, worker: Worker[J]) -> None:
        self.workers.remove(worker)
        self.buried.append(worker)
        self._ignore(worker.line.channel, worker.child.pidfd)
        worker.close()

    def _wait_until_gone(self, seconds: float) -> None:
        """Wait for all workers to end, and strike them off; those that don't in this time are kept."""
        for worker in self.workers:
            worker.hung_up = True
            self._ignore(worker.line.channel)
        end = time.monotonic() + seconds
        while self.workers and (left := end - time.monotonic()) > 0:
            self._stirred(min(left, POLL_INTERVAL))
            for worker in [worker for worker in self.workers if worker.gone()]:
                self._strike_off(worker)
