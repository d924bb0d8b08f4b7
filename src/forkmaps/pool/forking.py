"""Workers by fork: copies of this process, which have all that it has loaded."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from forkmaps.pool.children import Child
from forkmaps.pool.handles import Handle, Worker, close_all
from forkmaps.pool.workers import Brief, Closable, Life, Origin, become, flush_streams, serve

J = TypeVar("J")
H = TypeVar("H", bound=Handle)

FROZEN_BY_PYTHON = 1000
"""Objects outside of the garbage collector that mean nothing: Python 3.12 starts with some 400."""


class ForkStart:
    """Starts workers by fork.

    Parameters
    ----------
    function, prepare
        What each worker calls with its jobs, and before the first of them; inherited, not pickled.
    before_fork, after_fork
        What to call in this process before each fork, and in each worker before anything else.
    abroad
        Whether this process is a supervisor, whose workers do another process's jobs.
    not_theirs
        What workers must let go of, beside the ends of their siblings' sockets.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        prepare: Callable[[], None] | None,
        *,
        before_fork: Callable[[], None] | None = None,
        after_fork: Callable[[], None] | None = None,
        abroad: bool = False,
        not_theirs: Sequence[Closable] = (),
    ) -> None:
        self._abroad = abroad
        self._not_theirs = not_theirs
        self._function = function
        self._prepare = in_turn(after_fork, prepare)
        self._before_fork = before_fork
        self._garbage = Garbage()

    def get_ready(self) -> None:
        """Do what comes before a fork; what `before_fork` raises is raised."""
        if self._before_fork is not None:
            self._before_fork()
        self._garbage.freeze()

    def worker(self, siblings: Sequence[Worker[J]], mask: set[int]) -> Worker[J]:
        """Fork a worker. Called with signals blocked; raises OSError where that fails."""
        brief = Brief(self._function, self._prepare, abroad=self._abroad)
        not_theirs = [*siblings, *self._not_theirs]
        return fork_into(partial(serve, brief), Worker, mask=mask, not_theirs=not_theirs)

    def welcome(self, worker: Worker[J]) -> None:
        """Say nothing: a forked worker has loaded nothing."""

    def close(self) -> None:
        """Give the objects back to the garbage collector."""
        self._garbage.unfreeze()


class Garbage:
    """The garbage collector, which must not write its marks to the memory that workers share."""

    def __init__(self) -> None:
        self._asked = self._ours = False

    def freeze(self) -> None:
        """Before the first fork, take all objects out of the collector's sight."""
        if not self._asked:
            self._asked = True
            self._ours = gc.get_freeze_count() < FROZEN_BY_PYTHON  # else somebody did, and will undo it
            gc.collect()
            gc.freeze()

    def unfreeze(self) -> None:
        """Undo that, if it was ours to do."""
        if self._ours:
            gc.unfreeze()


def origin_here() -> Origin:
    """Return where a process comes from that this thread starts."""
    return Origin(os.getpid(), dies_with_parent=threading.current_thread() is threading.main_thread())


def fork_into(
    life: Life,
    handle: Callable[[Child, socket.socket, socket.socket], H],
    *,
    mask: set[int],
    not_theirs: Sequence[Closable] = (),
) -> H:
    """Fork a child that lives a life; return the parent's hold on it.

    The child lets go of what is not its own, and sets the mask of signals.
    """
    ends: list[socket.socket] = []
    origin = origin_here()
    flush_streams()
    try:
        ends += socket.socketpair()
        ends += socket.socketpair()
        with no_warning_of_threads():
            pid = os.fork()
    except OSError:
        close_all(ends)
        raise
    ours, theirs, our_ear, their_mouth = ends
    if pid == 0:
        become(life, origin, theirs, their_mouth, not_ours=[ours, our_ear, *not_theirs], mask=mask)
    close_all([theirs, their_mouth])
    return handle(Child(pid), ours, our_ear)


@contextmanager
def no_warning_of_threads() -> Iterator[None]:
    """Fork without Python's warning of threads, where none of them is Python's.

    From 3.12 it counts the threads of every library; which of them bite is for `before_fork` to find out.
    """
    if sys.version_info < (3, 12) or threading.active_count() > 1:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
        yield


def in_turn(*steps: Callable[[], None] | None) -> Callable[[], None]:
    """Return a function that takes several steps, of those there are."""

    def all_steps() -> None:
        for step in steps:
            if step is not None:
                step()

    return all_steps
