"""Workers that run users' drawing functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from forkmaps.figures import draw_off_screen
from forkmaps.pool import Pool, worker_count
from forkmaps.pool.forkable import after_fork, check_forkable
from forkmaps.pool.hiring import StartMethod

J = TypeVar("J")
R = TypeVar("R")


def drawing_pool(
    function: Callable[[J], R],
    *,
    jobs: int,
    workers: int | None = None,
    timeout: float | None = None,
    start_method: StartMethod = "auto",
) -> Pool[J, R]:
    """Return a pool for so many jobs, in whose workers a user's function may draw with pyplot.

    For the parameters and the errors see `Pool`.
    """
    return Pool(
        function,
        workers=min(worker_count(workers), max(jobs, 1)),
        timeout=timeout,
        before_fork=check_forkable,
        after_fork=_be_a_drawer,
        start_method=start_method,
    )


def _be_a_drawer() -> None:
    after_fork()
    draw_off_screen()
