"""The child's side of the pool: what a worker does from its fork to its end.

A worker reads a job from its socket, calls the function it inherited, and writes the answer. One job, one
answer, one after the other; end of file is the order to end. It never returns into the code it was forked
from: it leaves by `os._exit`, so that the parent's `finally` blocks, exit handlers and half-full buffers
stay the parent's.

What travels: downwards a job, upwards an `Answer`, followed by the value if there is one. An exception
travels as text, since not every exception can be pickled and none can be trusted to come back whole.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol, TypeAlias

from forkmaps.pool import messages
from forkmaps.pool.answers import Answer, Raised, Ready, Returned, parts_of, send_logs
from forkmaps.pool.messages import Part, TravelError, describe, pickled, stack, unpickled

EXIT_OUT_OF_MEMORY = 86
"""Exit code of a worker that had not even the memory to say that it had none; nothing else uses it."""

PR_SET_PDEATHSIG = 1
"""`prctl` option, from linux/prctl.h: the signal to get when the thread that forked us ends."""

# Opened here, not where it is used: after a fork, dlopen could wait for a lock that nobody will release.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Brief:
    """What a worker is to do.

    Attributes
    ----------
    function
        Called with each job; its value is the result.
    prepare
        Called once, before the first job.
    abroad
        Whether the worker was not forked from the process whose jobs it does: then it sends what it logs, and
        values may hold functions and classes that only stand in the main script there.
    """

    function: Callable[[Any], Any]
    prepare: Callable[[], None] | None
    abroad: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a process comes from.

    Attributes
    ----------
    parent
        The parent's process id.
    dies_with_parent
        Whether the kernel may kill the process when the thread that started it ends (see `die_with_parent`).
    """

    parent: int
    dies_with_parent: bool


class Closable(Protocol):
    """Something that can be closed."""

    def close(self) -> None:
        """Close it."""


Life: TypeAlias = Callable[[socket.socket, socket.socket], None]
"""What a process does, with its ends of two socket pairs: for messages, and for its last words."""


def become(
    life: Life,
    origin: Origin,
    channel: socket.socket,
    last_words: socket.socket,
    *,
    not_ours: Iterable[Closable],
    mask: Iterable[int],
) -> NoReturn:
    """Live a life, then end this process. Called in the child, with signals blocked.

    Parameters
    ----------
    life
        What to do: `serve` or `supervisor.supervise`.
    origin
        Where this process comes from.
    channel
        This process's end of its socket pair.
    last_words
        Where stacks are written in a crash or after too long a time; read by the parent after our death.
    not_ours
        What the child inherited of the parent's and must let go of: a sibling sees no end of file as long
        as anybody holds the parent's end of its socket.
    mask
        The signals to block from now on: the parent's mask, as it was before it blocked them all.
    """
    code = 1
    try:
        for end in not_ours:
            end.close()
        settle(origin, channel, last_words, mask)
        life(channel, last_words)
        code = 0
    except MemoryError:
        code = EXIT_OUT_OF_MEMORY
    except ConnectionError:
        pass  # the parent is gone: nobody to tell
    except BaseException:
        last_words.send(traceback.format_exc().encode())
    finally:
        flush_streams()
        os._exit(code)


def settle(origin: Origin, channel: socket.socket, last_words: socket.socket, mask: Iterable[int]) -> None:
    """Turn this copy or child of the parent into a process of its own."""
    channel.setblocking(True)
    last_words.setblocking(False)  # nobody reads while we live
    if origin.dies_with_parent:
        die_with_parent(origin.parent)
    reset_signals()
    if sys.platform != "win32":  # which lacks all of this
        faulthandler.enable(last_words.fileno())
        faulthandler.unregister(signal.SIGTERM)  # or it would not notice that its handler is gone
        faulthandler.register(signal.SIGTERM, last_words.fileno(), chain=True)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if getattr(sys.stdin, "name", "") != os.devnull:  # as in a supervisor's worker, or one without input
        sys.stdin = open(os.devnull)  # noqa: SIM115 - the parent's is the parent's; open as long as we live
    gc.enable()


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, even in the middle of a job.

    End of file tells an idle worker the same; a busy one would only learn of it after its job.
    The kernel counts the parent's *thread* that forked, so this is only for those forked by a main thread.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def reset_signals() -> None:
    """Drop the parent's signal handlers; and leave Ctrl-C to it, which reaches the whole process group."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def serve(brief: Brief, channel: socket.socket, _: socket.socket) -> None:
    """Be a worker: answer job after job until end of file, or until an answer was the last."""
    if brief.abroad:
        send_logs(partial(messages.send, channel))
    answer: Answer = start(brief)
    me = os.getpid()
    send(channel, answer)
    while not is_last(answer) and (request := receive(channel)) is not None:
        answer = work(brief, request)
        flush_streams()
        if os.getpid() != me:  # a copy that the job forked and let return: it has no business on our socket
            os._exit(0)
        send(channel, answer)


def is_last(answer: Answer) -> bool:
    """Tell whether the worker ends after this answer."""
    return isinstance(answer, Raised) and answer.last


def start(brief: Brief) -> Answer:
    """Prepare the worker, and say how that went."""
    begin = time.perf_counter()
    try:
        if brief.prepare is not None:
            brief.prepare()
    except BaseException as error:
        return Raised(describe(error), stack(error), time.perf_counter() - begin, last=True)
    return Ready()


def work(brief: Brief, request: Sequence[Part]) -> Answer:
    """Do one job: whatever it raises, `sys.exit` included, becomes an answer."""
    begin = time.perf_counter()
    try:
        job = unpickled(request, "the job")
        begin = time.perf_counter()
        value = brief.function(job)
        seconds = time.perf_counter() - begin
        return Returned(pickled_result(value, by_value=brief.abroad), seconds)
    except BaseException as error:
        seconds = time.perf_counter() - begin
        return Raised(describe(error), stack(error), seconds, last=isinstance(error, MemoryError))


def pickled_result(value: object, *, by_value: bool) -> list[Part]:
    """Pickle a value; by value only what can't be pickled otherwise, since that takes longer."""
    try:
        return pickled(value, "the result")
    except TravelError as error:
        if not by_value:
            raise
        with suppress(TravelError):
            return pickled(value, "the result", by_value=True)
        raise error


def send(channel: socket.socket, answer: Answer) -> None:
    """Write an answer, waiting until the parent has taken it."""
    messages.send(channel, parts_of(answer))


def receive(channel: socket.socket) -> Sequence[Part] | None:
    """Wait for a job; None at end of file."""
    return messages.receive(channel)


def flush_streams() -> None:
    """Write out what was printed; a stream that is closed, broken or missing is not our concern."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
