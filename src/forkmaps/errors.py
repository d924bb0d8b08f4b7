"""Errors for the user: who, what was found, what was expected, where, what to do.

All share the base `ForkmapsError`; there is one subclass per cause. A message is complete in itself and
may have several lines (one for each thing that is wrong), so that it can be shown without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class ForkmapsError(Exception):
    """Base of every error that forkmaps raises for its user."""


class RegionError(ForkmapsError):
    """A region or a region list can't be used."""


class RasterError(ForkmapsError):
    """A raster can't be read or can't be used."""


class FeatureError(ForkmapsError):
    """A boundary layer can't be read or can't be used."""


class ProjectionError(ForkmapsError):
    """A projection is unknown, or can't show what is asked of it."""


class StyleError(ForkmapsError):
    """A style value (palette, color, template field) can't be used."""


class DrawingError(ForkmapsError):
    """A user's drawing function returned nothing that can be shown or saved."""


class MapSetError(ForkmapsError):
    """A map set file is malformed, or its parts don't fit together."""


class OutputError(ForkmapsError):
    """An output file can't be named or written."""


class DiskFullError(OutputError):
    """There is no room for a file, nor for the next: a batch stops instead of failing at every map."""


class StoreError(ForkmapsError):
    """A file isn't a store, can't be used as one, or something can't be stored."""


class ManifestError(OutputError):
    """A manifest can't be used."""


class ItemError(ForkmapsError):
    """A function failed in a worker; the message has the item, and the traceback there."""


class PoolError(ForkmapsError):
    """The workers as a whole failed (one job's failure is a value, not an error)."""


class ForkUnsafe(ForkmapsError):  # noqa: N818 - it says of this process what is so
    """A child forked from this process could hang or go wrong."""


def first_of(lines: Sequence[str], most: int) -> list[str]:
    """Return the first lines, and a last one that tells how many more there are."""
    more = len(lines) - most
    return [*lines[:most], f"and {more} more"] if more > 0 else list(lines)


def counted(number: int, noun: str) -> str:
    """Return `1 map`, `2 maps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def function_name(function: object) -> str:
    """Return what a function is called."""
    return getattr(function, "__qualname__", None) or repr(function)


def nearest(word: str, known: Sequence[str]) -> str:
    """Return `"; did you mean X?"` for the known word nearest to `word`, or nothing."""
    found = difflib.get_close_matches(word.lower(), [k.lower() for k in known], n=1)
    original = {k.lower(): k for k in known}
    return f'; did you mean "{original[found[0]]}"?' if found else ""
