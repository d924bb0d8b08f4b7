"""How a process started anew gets what a forked one would inherit: in memory that all of them map.

A function with its data is pickled once. The pickle and the large buffers that belong to it go to one file
(on Windows: to named memory) that each process maps, read-only: the system keeps one copy, however many there
are, and who writes to such an array gets a `ValueError`. The file has no name, so that nobody has to remove
it: it is gone when the last process that has it open is.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from forkmaps.errors import PoolError
from forkmaps.pool.messages import Part, describe, pickled, unpickled

Ticket: TypeAlias = tuple[int | str, int, int]
"""Where a parcel is (a descriptor; on Windows a name), its bytes, and the number of its parts."""

ALIGNMENT = 64
"""Bytes that parts begin at a multiple of, as numpy and its processors like it."""

ENTRY = struct.Struct("=QQ")
"""Where a part begins and how long it is; the list of them ends the parcel."""


class Parcel:
    """A value on its way to processes that are started anew.

    Attributes
    ----------
    nbytes
        Its size.
    ticket
        What a process needs to open it, once it has inherited the descriptors of `inherited`.

    Raises
    ------
    PoolError
        If the value can't be pickled, or there is no room for it.
    """

    def __init__(self, value: object, what: str) -> None:
        try:
            parts = pickled(value, what, by_value=True)
        except Exception as error:
            raise PoolError(
                f"{describe(error)}; a process that is started anew has to get it that way, "
                'one that is forked (start_method="fork") inherits it'
            ) from error
        places, end = places_of(parts)
        sizes = [memoryview(part).nbytes for part in parts]
        index = b"".join(ENTRY.pack(place, size) for place, size in zip(places, sizes, strict=True))
        self.nbytes = end + len(index)
        self._store = NamedMemory(self.nbytes) if sys.platform == "win32" else NamelessFile()
        try:
            for place, part in zip((*places, end), (*parts, index), strict=True):
                self._store.write(place, part)
        except OSError as error:
            self.close()
            raise no_room(error, self.nbytes) from error
        self.ticket: Ticket = (self._store.place, self.nbytes, len(parts))

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors that a new process has to inherit."""
        return tuple(place for place in (self._store.place,) if isinstance(place, int))

    def close(self) -> None:
        """Let go of it; who has opened it keeps it."""
        self._store.close()


def open_parcel(ticket: Ticket) -> Any:
    """Return the value of a parcel; its large arrays stay where they are, read-only."""
    place, size, count = ticket
    memory = memoryview(mapped(place, size))
    index = ENTRY.iter_unpack(memory[size - count * ENTRY.size :])
    return unpickled(
        [memory[begin : begin + length] for begin, length in index], "the function with its data"
    )


def mapped(place: int | str, size: int) -> mmap.mmap:
    """Map a parcel, read-only."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=place, access=mmap.ACCESS_READ)
    try:
        return mmap.mmap(int(place), size, access=mmap.ACCESS_READ)
    finally:
        os.close(int(place))


class NamelessFile:
    """A temporary file that is removed when it is made, and lives as long as it is open."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="forkmaps-")  # noqa: SIM115 - open as long as we
        self.place = self._file.fileno()

    def write(self, begin: int, part: Part) -> None:
        """Write a part where it belongs."""
        self._file.seek(begin)
        self._file.write(part)
        self._file.flush()

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class NamedMemory:
    """Memory under a name, which Windows keeps as long as a process has it open."""

    def __init__(self, size: int) -> None:
        self.place = f"forkmaps-{os.getpid()}-{os.urandom(8).hex()}"
        self._memory = mmap.mmap(-1, size, **{"tagname": self.place})  # type: ignore[arg-type]

    def write(self, begin: int, part: Part) -> None:
        """Write a part where it belongs."""
        view = memoryview(part).cast("B")
        self._memory[begin : begin + view.nbytes] = bytes(view)

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()


def places_of(parts: Sequence[Part]) -> tuple[list[int], int]:
    """Return where each part begins, and where the last one ends."""
    places, end = [], 0
    for part in parts:
        end = -(-end // ALIGNMENT) * ALIGNMENT
        places.append(end)
        end += memoryview(part).nbytes
    return places, end


def no_room(error: OSError, size: int) -> PoolError:
    """Say that a parcel can't be written."""
    folder = tempfile.gettempdir()
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        way_out = (
            f"there is no room for it in {folder}; name a folder that has in the environment variable TMPDIR"
        )
    else:
        way_out = f"it can't be written in {folder}: {describe(error)}"
    return PoolError(f"new processes need {size / 1e6:,.0f} MB of data from this one, and {way_out}")
