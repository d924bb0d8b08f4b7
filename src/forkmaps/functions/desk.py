"""Where calls come in, and the thread that has them done and puts their values into futures."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from forkmaps.errors import ItemError, PoolError
from forkmaps.functions import told
from forkmaps.functions.calls import Thrown
from forkmaps.pool import Done, Failed, Outcome
from forkmaps.pool.hands import Codec, Hands
from forkmaps.pool.messages import Part, TravelError, pickled, shown, unpickled


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """A call on its way: pickled when it was submitted, so that what changes later changes nothing."""

    future: Future[Any]
    parts: Sequence[Part]
    label: str

    def __repr__(self) -> str:
        return self.label


AS_SUBMITTED = Codec(attrgetter("parts"), partial(unpickled, what="the result"))


class Desk:
    """Where calls come in, and the thread that has them done.

    Parameters
    ----------
    hands
        Those who do them; from `open` on, the thread alone deals with them.
    """

    def __init__(self, hands: Hands[Submission, Any]) -> None:
        self._hands = hands
        self._lock = threading.RLock()  # the garbage collector may close in the middle of anything
        self._waiting: deque[Submission] = deque()
        self._at_work: set[Future[Any]] = set()
        self._count = 0
        self._closed = False
        self._stopped = False
        self._broken = ""
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="forkmaps-executor", daemon=True)

    def open(self) -> None:
        """Begin."""
        self._thread.start()

    def take(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Take a call."""
        with self._lock:
            self._check_open()
            number, self._count = self._count, self._count + 1
        future: Future[Any] = Future()
        job = (number, function, args, kwargs)
        try:
            parts = pickled(job, "the call", by_value=True)
        except TravelError as error:
            raise ItemError(str(error)) from error
        # What the caller does with its arrays from now on is not to change what was submitted.
        copies: list[Part] = [part if isinstance(part, bytes) else bytes(part) for part in parts]
        with self._lock:
            self._check_open()
            self._waiting.append(Submission(future, copies, name_of(function)))
        self._ring()
        return future

    def close(self, *, cancel: bool = False, stop: bool = False) -> None:
        """Take no more; do what there is, or cancel what waits; or stop even what is being done."""
        with self._lock:
            self._closed = True
            self._stopped = self._stopped or stop
            given_up = list(self._waiting) if cancel else []
            if cancel:
                self._waiting.clear()
        for submission in given_up:
            submission.future.cancel()
            submission.future.set_running_or_notify_cancel()
        self._ring()

    def join(self) -> None:
        """Wait until all is done and nobody is left."""
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check_open(self) -> None:
        if self._broken:
            raise PoolError(self._broken)
        if self._closed:
            raise PoolError("this executor is shut down; make a new one")

    def _ring(self) -> None:
        """Have the thread look; if it is about to, or has ended, that is as well."""
        with suppress(OSError):
            self._bell.send(b"!")

    # In the thread

    def _serve(self) -> None:
        reason = "the executor was stopped"
        try:
            self._work()
        except BaseException as error:
            reason = str(error) or type(error).__name__
        finally:
            self._end(reason)

    def _work(self) -> None:
        hands = self._hands
        hands.begin(Waiting(self._next))
        hands.watch(self._ear)
        while not self._stopped:
            self._quiet()
            hands.advance()
            while hands.outcomes:
                self._settle(hands.outcomes.popleft())
            if self._closed and not hands.has_work():
                return
            hands.attend()

    def _next(self) -> Submission | None:
        """Take the next call that was not cancelled."""
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                submission = self._waiting.popleft()
            if submission.future.set_running_or_notify_cancel():
                self._at_work.add(submission.future)
                return submission

    def _settle(self, outcome: Outcome[Submission, Any]) -> None:
        future = outcome.job.future
        self._at_work.discard(future)
        if isinstance(outcome, Done) and isinstance(outcome.value, Thrown):
            error = outcome.value.error
            error.__cause__ = ItemError(f"in worker {outcome.pid}:\n{outcome.value.traceback}")
            future.set_exception(error)
        elif isinstance(outcome, Done):
            future.set_result(outcome.value)
        else:
            failed: Failed[Submission] = outcome
            future.set_exception(ItemError(f"{failed.job}: {told(failed)}"))

    def _quiet(self) -> None:
        """Take note of all rings so far."""
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _end(self, reason: str) -> None:
        """Leave nobody behind, and no future without an end."""
        with self._lock:
            self._closed, self._broken = True, "" if self._closed else reason
        while (submission := self._next()) is not None:
            submission.future.set_exception(PoolError(reason))
            self._at_work.discard(submission.future)
        for future in self._at_work:
            future.set_exception(PoolError(reason))
        try:
            self._hands.dismiss()
        finally:
            self._hands.close()
            self._ear.close()
            self._bell.close()


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called."""
    name = getattr(function, "__name__", "")
    return name if isinstance(name, str) and name else shown(function)


class Waiting(Iterator[Submission]):
    """An iterator that may have more after it had nothing."""

    def __init__(self, take: Callable[[], Submission | None]) -> None:
        self._take = take

    def __next__(self) -> Submission:
        submission = self._take()
        if submission is None:
            raise StopIteration
        return submission
