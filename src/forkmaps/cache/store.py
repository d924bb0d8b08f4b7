"""A store: one file of plain arrays, mapped read-only, so that all processes that open it share one copy.

The file is a preamble (magic, format version, sizes, checksum), an index in JSON, and the arrays as they lie
in memory. Opening one maps it and looks at the preamble, the index and every array's checksum before anything
is used; what is foreign, cut off, damaged or newer is a `StoreError`. Nothing in it is ever run.

No process may change a store in place: those that have mapped it would see the change, or die of a file that
has become shorter. `write_store` therefore puts a new file in the old one's place.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from forkmaps.cache.checksums import Array, blocks_of, crc32, crc_of
from forkmaps.cache.mapping import mapped
from forkmaps.errors import StoreError
from forkmaps.output import writing

FORMAT_VERSION: Final = 1
"""Raise it when a file of the new code can't be read by the old, or the other way round."""

SMALL_ALIGNMENT: Final = 64
"""A cache line, and the widest vector register; what numpy's own allocator gives is less."""

PAGE: Final = 4096
"""Large arrays start on a page, so that reading one faults in no page of another."""

LARGE_BYTES: Final = 256 * 1024
"""Arrays of this size start on a page, which wastes 1.6 % at most."""

_MAGIC: Final = b"\x89FMST\r\n\n"  # no text, and damaged by whatever changes line ends
_PREAMBLE: Final = struct.Struct("<8sIIQ")  # magic, version, bytes of the index, bytes of the file
_SUM: Final = struct.Struct("<I")  # CRC-32 of preamble and index
_HEAD_BYTES: Final = _PREAMBLE.size + _SUM.size
_DTYPES: Final = {
    np.dtype(code).newbyteorder("<").str: np.dtype(code).newbyteorder("<")
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
}
_MAKE_ANEW: Final = "remove it and make it anew"
_NO_SUM: Final = "0" * 8


class _FaultError(Exception):
    """What is wrong with a store and what to do, still without its path."""

    def __init__(self, found: str, remedy: str = _MAKE_ANEW) -> None:
        super().__init__(f"{found}; {remedy}")


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """An open store. The file stays mapped as long as one of its arrays lives, also when it is removed.

    Attributes
    ----------
    path : Path
        Where it was opened; a process that isn't forked from this one can open it there again.
    arrays : dict
        By name, read-only views of one map of the file: writing raises ValueError.
    meta : dict
        What `write_store` was given, as JSON gives it back: tuples are lists.
    digest : str
        Of all that is in it, by way of the checksums in its index: tells it from one of other content.
    """

    path: Path
    arrays: dict[str, Array]
    meta: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one array lies; `offset` counts bytes from the first array's place."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    crc: str = _NO_SUM

    @property
    def end(self) -> int:
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


# Writing


def write_store(path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write arrays to a file, which appears whole or not at all; its folder must exist.

    Needs no memory for copies, whatever the arrays' layout. A view with gaps or another order is read element
    by element, 15 to 40 times as slowly as one that is contiguous.

    Parameters
    ----------
    path
        The file; one that is there is replaced, and who has mapped it keeps the old one.
    arrays
        Of bool, integers of 8 to 64 bits or floats of 16 to 64 bits, with any shape; stored little-endian.
    meta
        What JSON can hold, NaN and infinity included.

    Raises
    ------
    StoreError
        If an array's dtype or a value in `meta` can't be stored.
    OutputError
        If the file can't be written.
    """
    plan = _planned(path, arrays)
    start = _start(len(_index_text(path, plan, meta)))
    with writing(path) as file:
        entries = {name: _write_array(file, start, plan[name], array) for name, array in arrays.items()}
        size = start + max((entry.end for entry in entries.values()), default=0)
        file.truncate(size)
        file.seek(0)
        file.write(_head(_index_text(path, entries, meta), size))


def _planned(path: Path, arrays: Mapping[str, Array]) -> dict[str, _Entry]:
    """Give every array its place."""
    plan: dict[str, _Entry] = {}
    end = 0
    for name, array in arrays.items():
        alignment = PAGE if array.nbytes >= LARGE_BYTES else SMALL_ALIGNMENT
        plan[name] = entry = _Entry(_stored_dtype(path, name, array), array.shape, _aligned(end, alignment))
        end = entry.end
    return plan


def _stored_dtype(path: Path, name: str, array: Array) -> np.dtype[Any]:
    if found := _DTYPES.get(array.dtype.newbyteorder("<").str):
        return found
    raise StoreError(
        f"{path}: array {name!r} is {array.dtype}, which can't be stored; convert it to bool, an integer type"
        " or float16, float32 or float64"
    )


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _start(index_bytes: int) -> int:
    """Return where the first array lies in the file."""
    return _aligned(_HEAD_BYTES + index_bytes, PAGE)


def _index_text(path: Path, entries: Mapping[str, _Entry], meta: Mapping[str, Any]) -> bytes:
    """Write the index; its length doesn't depend on the checksums."""
    listed = {
        name: {"dtype": entry.dtype.str, "shape": entry.shape, "offset": entry.offset, "crc32": entry.crc}
        for name, entry in entries.items()
    }
    try:
        return json.dumps({"arrays": listed, "meta": dict(meta)}).encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path}: meta can't be stored: {error}; give it what JSON can hold") from error


def _write_array(file: BinaryIO, start: int, entry: _Entry, array: Array) -> _Entry:
    """Write an array in its place; return its entry with the checksum."""
    file.seek(start + entry.offset)
    crc = 0
    for block in blocks_of(array):
        crc = crc32(block, crc)
        file.write(block)
    return _Entry(entry.dtype, entry.shape, entry.offset, f"{crc:08x}")


def _head(index: bytes, size: int) -> bytes:
    preamble = _PREAMBLE.pack(_MAGIC, FORMAT_VERSION, len(index), size)
    return preamble + _SUM.pack(crc32(index, crc32(preamble))) + index


# Opening


def open_store(path: Path, *, verify: bool = True) -> Stored:
    """Map a store read-only and check it; no file stays open.

    Parameters
    ----------
    path
        A file that `write_store` wrote.
    verify
        Compare every array with its checksum, which reads the whole file: for 130 MB that the system holds in
        memory 6 to 12 ms, on busy processors up to 23. Otherwise only the preamble and the index are checked,
        in 0.1 ms.

    Raises
    ------
    StoreError
        If the file can't be opened (then caused by an OSError), or isn't a store that can be used.
    """
    try:
        data = mapped(path)
        index, start = _read_head(data)
        entries = _read_entries(index, data.size - start)
        arrays = {name: _view(data, start, entry) for name, entry in entries.items()}
        if verify:
            _verify(arrays, entries)
    except _FaultError as fault:
        raise StoreError(f"{path}: {fault}") from None
    except OSError as error:
        raise StoreError(f"{path}: can't be opened: {error.strerror}; check the path") from error
    return Stored(path, arrays, index["meta"], _digest(data))


def _read_head(data: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """Check the preamble; return the index and where the first array lies."""
    if data.size < _HEAD_BYTES:
        raise _FaultError(f"isn't a store, it has only {data.size} bytes")
    preamble = data[: _PREAMBLE.size].tobytes()
    magic, version, index_bytes, size = _PREAMBLE.unpack(preamble)
    if magic != _MAGIC:
        raise _FaultError(f"isn't a store, it begins with {magic!r}", "check the path")
    if version != FORMAT_VERSION:
        raise _FaultError(*_other_version(version))
    if size != data.size:
        raise _FaultError(f"has {data.size} bytes where it says {size}: cut off, or changed")
    text = data[_HEAD_BYTES : _HEAD_BYTES + index_bytes].tobytes()
    (crc,) = _SUM.unpack(data[_PREAMBLE.size : _HEAD_BYTES].tobytes())
    if crc32(text, crc32(preamble)) != crc:
        raise _FaultError("is damaged: its index doesn't agree with its checksum")
    return _parsed(text), _start(index_bytes)


def _digest(data: NDArray[np.uint8]) -> str:
    """Digest the preamble and the index, of a store that was checked."""
    _, _, index_bytes, _ = _PREAMBLE.unpack(data[: _PREAMBLE.size].tobytes())
    return hashlib.blake2b(data[: _HEAD_BYTES + index_bytes].tobytes(), digest_size=16).hexdigest()


def _other_version(version: int) -> tuple[str, str]:
    found = f"is in format {version} where this forkmaps reads format {FORMAT_VERSION}"
    return found, f"update forkmaps, or {_MAKE_ANEW}" if version > FORMAT_VERSION else _MAKE_ANEW


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        index = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _FaultError("has an index that isn't JSON") from error
    if isinstance(index, dict) and all(isinstance(index.get(part), dict) for part in ("arrays", "meta")):
        return index
    raise _FaultError("has an index without arrays and meta")


def _read_entries(index: Mapping[str, Any], room: int) -> dict[str, _Entry]:
    """Read where the arrays lie, and check that each is plain and lies in the file."""
    return {name: _read_entry(name, found, room) for name, found in index["arrays"].items()}


def _read_entry(name: str, found: Any, room: int) -> _Entry:
    try:
        entry = _Entry(_DTYPES[found["dtype"]], tuple(found["shape"]), found["offset"], found["crc32"])
        numbers = (entry.offset, *entry.shape)
        fits = all(type(n) is int and n >= 0 for n in numbers) and entry.end <= room
    except (KeyError, TypeError) as error:
        raise _FaultError(f"has an index with no plain array for {name!r}: {found!r:.200}") from error
    if not fits:
        raise _FaultError(f"has an index with {name!r} where it has no place: {found!r:.200}")
    return entry


def _view(data: NDArray[np.uint8], start: int, entry: _Entry) -> Array:
    try:
        return np.ndarray(entry.shape, entry.dtype, buffer=data, offset=start + entry.offset)
    except (ValueError, TypeError, OverflowError) as error:  # too many dimensions, an empty one too long
        raise _FaultError(f"has an index with the shape {entry.shape!s:.200}: {error}") from error


def _verify(arrays: Mapping[str, Array], entries: Mapping[str, _Entry]) -> None:
    for name, array in arrays.items():
        if f"{crc_of(array):08x}" != entries[name].crc:
            raise _FaultError(f"is damaged: array {name!r} doesn't agree with its checksum")
