"""Workers that draw: maps, sheets, grids and sweeps, by our renderer or by users' functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from forkmaps.figures import draw_off_screen
from forkmaps.pool import Pool, StartMethod
from forkmaps.pool.forkable import after_fork, check_forkable

J = TypeVar("J")
R = TypeVar("R")


def drawing_pool(
    function: Callable[[J], R],
    *,
    prepare: Callable[[], None] | None = None,
    arrays: Iterable[NDArray[Any]] = (),
    foreign_code: bool = True,
    workers: int | None = None,
    timeout: float | None = None,
    jobs_per_worker: int | None = None,
    start_method: StartMethod = "auto",
) -> Pool[J, R]:
    """Return a pool whose workers draw.

    For the other parameters and the errors see `Pool`.

    Parameters
    ----------
    arrays
        What workers share with this process; they are made read-only.
    foreign_code
        Whether a user's function may draw there, with pyplot too.
    """
    return Pool(
        function,
        workers=workers,
        timeout=timeout,
        prepare=prepare,
        before_fork=partial(check_forkable, arrays, foreign_code=foreign_code),
        after_fork=_be_a_drawer if foreign_code else after_fork,
        jobs_per_worker=jobs_per_worker,
        start_method=start_method,
    )


def _be_a_drawer() -> None:
    after_fork()
    draw_off_screen()
