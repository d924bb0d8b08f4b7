"""What is to be done in other processes, as a value that can be sent to them."""

from __future__ import annotations

import locale
import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from forkmaps.errors import PoolError
from forkmaps.pool.answers import LOGGER
from forkmaps.pool.cpus import worker_count
from forkmaps.pool.handles import NEVER

Step = Callable[[], None]

ATTEMPTS = 3
"""How often a job is given to a worker, if worker after worker dies of it."""

WORKER_MEMORY_MB = 1000.0
"""What a worker may gain. Those that draw maps gain some 10 MB; what gains more and more has a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a pool's user wants done; see `Pool`."""

    function: Callable[[Any], Any]
    prepare: Step | None = None
    before_fork: Step | None = None
    after_fork: Step | None = None
    size: int
    timeout: float = NEVER
    attempts: int
    jobs_per_worker: float = NEVER
    worker_memory_mb: float = NEVER

    def limits(self) -> dict[str, Any]:
        """Return what a `Crew` keeps to."""
        names = ("size", "timeout", "attempts", "jobs_per_worker", "worker_memory_mb")
        return {name: getattr(self, name) for name in names}


def orders_for(
    function: Callable[[Any], Any],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    attempts: int = ATTEMPTS,
    prepare: Step | None = None,
    before_fork: Step | None = None,
    after_fork: Step | None = None,
    jobs_per_worker: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
) -> Orders:
    """Make orders of a pool's options, as `Pool` explains them. Raises `PoolError` for impossible ones."""
    limits = {
        "timeout": timeout,
        "attempts": attempts,
        "jobs_per_worker": jobs_per_worker,
        "worker_memory_mb": worker_memory_mb,
    }
    for name, limit in limits.items():
        check_positive(name, NEVER if limit is None else limit)
    return Orders(
        function=function,
        prepare=prepare,
        before_fork=before_fork,
        after_fork=after_fork,
        size=worker_count(workers),
        timeout=timeout or NEVER,
        attempts=attempts,
        jobs_per_worker=jobs_per_worker or NEVER,
        worker_memory_mb=worker_memory_mb or NEVER,
    )


def check_positive(name: str, value: float) -> None:
    """Raise `PoolError` unless a number is above zero."""
    if not value > 0:
        raise PoolError(f"{name}: {value:g} is not a positive number; leave it out for the default")


def settings() -> list[Step]:
    """Return steps that give a new process the settings of this one, as a forked one has them.

    They are matplotlib's parameters as far as they were changed (and the backend that needs no window), the
    color maps that were registered with it, the locale (in which titles name months), the filters of
    warnings, and from which level on this package logs.
    """
    steps: list[Step] = [
        partial(set_filters, list(warnings.filters)),
        partial(set_level, logging.getLogger(LOGGER).getEffectiveLevel()),
        partial(set_locale, locale.setlocale(locale.LC_ALL)),
        draw_without_window,
    ]
    if parameters := changed_parameters():
        steps.append(partial(set_parameters, parameters))
    if color_maps := own_color_maps():
        steps.append(partial(add_color_maps, color_maps))
    return steps


def changed_parameters() -> dict[str, Any]:
    """Return matplotlib's parameters that are not as its files set them; but for the backend."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return {}
    # Not `rcParams[...]`: to ask for the backend is to choose one.
    before, now = dict.items(matplotlib.rcParamsOrig), dict.items(matplotlib.rcParams)
    known = dict(before)
    return {name: value for name, value in now if name != "backend" and known.get(name) != value}


def own_color_maps() -> dict[str, Any]:
    """Return the color maps that are registered beside matplotlib's own, as lists of colors, by name."""
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is None:
        return {}
    from matplotlib.colors import ListedColormap

    found = {}
    for name in set(matplotlib.colormaps) - set(matplotlib.colormaps._builtin_cmaps):
        cmap = matplotlib.colormaps[name]
        colors = ListedColormap(cmap(range(cmap.N)), name=name)
        found[name] = colors.with_extremes(
            under=tuple(cmap.get_under()), over=tuple(cmap.get_over()), bad=tuple(cmap.get_bad())
        )
    return found


def draw_without_window() -> None:
    """Have matplotlib, whenever it is imported, use the backend that needs no window."""
    os.environ["MPLBACKEND"] = "agg"


def set_filters(filters: list[Any]) -> None:
    """Have warnings treated as another process does."""
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def set_locale(name: str) -> None:
    """Use a locale, unless it is one that this system can't set as it names it."""
    with suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, name)


def set_level(level: int) -> None:
    """Log from a level on."""
    logging.getLogger(LOGGER).setLevel(level)


def set_parameters(parameters: dict[str, Any]) -> None:
    """Have matplotlib draw with these parameters; it is imported only if there are any."""
    import matplotlib

    dict.update(matplotlib.rcParams, parameters)  # type: ignore[misc]


def add_color_maps(color_maps: dict[str, Any]) -> None:
    """Register color maps with matplotlib, but for those that importing something has registered here."""
    import matplotlib

    for name in set(color_maps) - set(matplotlib.colormaps):
        matplotlib.colormaps.register(color_maps[name], name=name)
