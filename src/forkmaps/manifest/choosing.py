"""Which maps a run has to draw, and in what order, by what the manifest knows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np

from forkmaps.manifest import Manifest

_LONG: Final = 2.0
"""A map takes long if it took so many times what is usual in its set."""


class HasPath(Protocol):
    """What is written to a file: a `PlannedMap`."""

    @property
    def path(self) -> Path:
        """The file."""


M = TypeVar("M", bound=HasPath)


def choose(
    planned: Sequence[M],
    manifest: Manifest,
    fingerprints_of: Callable[[Sequence[M]], Sequence[str]],
    *,
    force: bool = False,
    only_failed: bool = False,
) -> tuple[tuple[M, ...], tuple[M, ...]]:
    """Choose which maps to draw.

    Parameters
    ----------
    planned
        All maps of the run.
    manifest
        What is known of the folder's maps.
    fingerprints_of
        Returns what shapes maps now; asked only of maps that are there as they were drawn.
    force
        Draw maps even though nothing that shapes them has changed.
    only_failed
        Draw no maps but those that failed when they were last tried.

    Returns
    -------
    tuple, tuple
        The maps to draw and those to skip, each in the order of the plan.
    """
    if only_failed:
        skipped = {one.path for one in planned if not manifest.failed_before(one.path)}
    elif force:
        skipped = set()
    else:
        then = {one.path: manifest.drawn_from(one.path) for one in planned}
        there = [one for one in planned if then[one.path] is not None]
        now = zip(there, fingerprints_of(there), strict=True)
        skipped = {one.path for one, fingerprint in now if then[one.path] == fingerprint}
    to_draw = tuple(one for one in planned if one.path not in skipped)
    return to_draw, tuple(one for one in planned if one.path in skipped)


def longest_first(maps: Sequence[M], manifest: Manifest) -> tuple[M, ...]:
    """Put maps that took long the last time before the others, so that none is drawn alone at the end.

    Maps that differ little stay in their order, as do those that are not known.
    """
    took = {one.path: manifest.seconds_before(one.path) for one in maps}
    usual = np.median([seconds for seconds in took.values() if seconds is not None] or [0.0])
    is_long = {path: (seconds or 0.0) > _LONG * usual for path, seconds in took.items()}
    long = sorted((one for one in maps if is_long[one.path]), key=lambda one: -(took[one.path] or 0.0))
    return (*long, *(one for one in maps if not is_long[one.path]))
