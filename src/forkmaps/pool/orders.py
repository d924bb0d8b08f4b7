"""What is to be done in other processes, as a value that can be sent to them."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from forkmaps.pool.handles import NEVER
from forkmaps.pool.workers import LOGGER

Step = Callable[[], None]


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


def settings() -> list[Step]:
    """Return steps that give a new process the settings of this one, as a forked one has them.

    They are matplotlib's parameters (with the backend that needs no window), the filters of warnings, and
    from which level on this package logs.
    """
    steps: list[Step] = [
        partial(set_filters, list(warnings.filters)),
        partial(set_level, logging.getLogger(LOGGER).getEffectiveLevel()),
    ]
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None:
        # Not `rcParams[...]`: to ask for the backend is to choose one.
        steps.append(partial(set_parameters, {**dict(dict.items(matplotlib.rcParams)), "backend": "agg"}))
    return steps


def set_filters(filters: list[Any]) -> None:
    """Have warnings treated as another process does."""
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def set_level(level: int) -> None:
    """Log from a level on."""
    logging.getLogger(LOGGER).setLevel(level)


def set_parameters(parameters: dict[str, Any]) -> None:
    """Have matplotlib draw with these parameters."""
    import matplotlib

    dict.update(matplotlib.rcParams, parameters)  # type: ignore[misc]
