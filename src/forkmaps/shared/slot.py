"""The one `SharedData` of a process: inherited by a forked worker, loaded on first use by one that wasn't."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from forkmaps.errors import ForkmapsError

if TYPE_CHECKING:
    from forkmaps.shared.data import SharedData

_log = logging.getLogger("forkmaps")


class _Slot:
    """The process's data, and how to load it where there is none."""

    data: SharedData | None = None
    load: Callable[[], SharedData] | None = None
    raster_reads = 0


def raster_reads() -> int:
    """Return how many times raster files were read for shared data, in this process and before its fork."""
    return _Slot.raster_reads


def count_raster_read() -> None:
    """Note that a raster file is read for shared data."""
    _Slot.raster_reads += 1


def shared_data() -> SharedData:
    """Return the process's shared data; load it first where this process has none but knows how.

    Raises
    ------
    ForkmapsError
        Nothing was loaded here, and no recipe was given.
    """
    if _Slot.data is None:
        if _Slot.load is None:
            raise ForkmapsError(f"process {os.getpid()} has no shared data; call SharedData.load(...) first")
        _log.info("loading shared data in %d", os.getpid())
        _Slot.data = _Slot.load()
    return _Slot.data


def set_shared_data(data: SharedData | None, load: Callable[[], SharedData] | None = None) -> None:
    """Set what `shared_data()` returns in this process, or (with None) how it is loaded on first use."""
    _Slot.data, _Slot.load = data, load
