"""Results that are costly to compute, kept for later runs: a folder of stores, each named by a content key.

A key says all that a result depends on (`key_of`, `file_digest`, `array_digest`), so a result never has to be
declared out of date: who asks for another one asks under another key. What wasn't asked for longest goes when
the folder outgrows its limit.

The cache is never in the way. A folder that can't be written costs one warning, a damaged file is computed
again. Any number of processes may use one folder: files appear whole, and who has mapped one keeps it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from forkmaps.cache.checksums import Array, Bytes, adler32, blocks_of, crc32
from forkmaps.cache.store import FORMAT_VERSION, Stored, open_store, write_store
from forkmaps.errors import ForkmapsError, StoreError
from forkmaps.output import make_folders, sweep_stale
from forkmaps.output.temporaries import remove

CACHE_VERSION: Final = 1
"""Raise it whenever the same parts come to give another result: results of before are found no more."""

LIMIT_BYTES: Final = 2 * 1024**3
"""Boundaries of counties and states take some 30 MB, the pyramid of 7000 x 3500 cells 33 MB: room for the
boundaries and for two days of hourly rasters."""

SUFFIX: Final = ".forkmaps-store"
"""Marks the files that are the cache's own; nothing else is ever removed from its folder."""

DIGEST_BYTES: Final = 16
"""Of a key: with 2**64 results there would be an even chance that two of them share one."""

DIGEST_BLOCK_BYTES: Final = 256 * 1024
"""Summed at a time: blocks that stay in the processor's second-level cache are read from memory once for two
checksums, 130 MB in 13 ms; larger ones take up to 19 ms."""

SIDECARS: Final = (".shx", ".dbf", ".prj", ".cpg")
"""The files beside a .shp that change what is read from it."""

Part = str | bytes | int | float | None | tuple["Part", ...]
"""What a key can be made of."""

_log: Final = logging.getLogger(__name__)
_KEY: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_SUMS: Final = struct.Struct("<II")  # CRC-32 and Adler-32 of a block


# Keys


def key_of(*parts: Part) -> str:
    """Make a key of all that a result depends on. Equal only for equal parts of equal types.

    Returns
    -------
    str
        32 hexadecimal digits, which also depend on FORMAT_VERSION and CACHE_VERSION.

    Raises
    ------
    TypeError
        If a part is of another type (numpy's float64 is a float, its int64 is no int).
    """
    return _blake2b(_canonical((FORMAT_VERSION, CACHE_VERSION, parts)))


def _canonical(part: Part) -> bytes:
    """Write a part so that no two parts, and no two ways to put parts together, give the same bytes."""
    kind, content = _kind_and_content(part)
    return b"%s%d:%s" % (kind, len(content), content)


def _kind_and_content(part: Part) -> tuple[bytes, bytes]:
    match part:
        case None:
            return b"none", b""
        case bool():
            return b"bool", b"%d" % part
        case int():
            return b"int", b"%d" % part
        case float():
            return b"float", part.hex().encode()
        case str():
            return b"str", part.encode(errors="surrogatepass")
        case bytes():
            return b"bytes", part
        case tuple():
            return b"tuple", b"".join(map(_canonical, part))
    raise TypeError(f"a key can't be made of {part!r:.80} ({type(part).__name__})")


def _blake2b(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def array_digest(array: Array) -> str:
    """Digest an array's values, shape and dtype, whatever its layout and byte order.

    98 MB take 9 to 14 ms where they are contiguous and `deflate` is installed, 105 ms with zlib.
    """
    dtype = array.dtype.newbyteorder("<").str
    return key_of("array", dtype, array.shape, _digest(blocks_of(array, DIGEST_BLOCK_BYTES)))


def file_digest(path: Path) -> str:
    """Digest all bytes of a file, or of the files in a folder; of a .shp also of its sidecar files.

    The names count only below the folder, and by their suffix: a copy elsewhere has the same digest. A
    shapefile of 17 MB takes 3 to 8 ms where `deflate` is installed, 24 ms with zlib, 40 with BLAKE2b.

    Raises
    ------
    OSError
        If a file can't be read, or there is none.
    """
    files = sorted((_name_in(path, file), file) for file in _files(path))
    return key_of("file", tuple((name, _digest_of_file(file)) for name, file in files))


def _files(path: Path) -> Iterator[Path]:
    """Yield the files that a layer or raster at `path` is read from."""
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
        return
    yield path
    if path.suffix.lower() == ".shp":
        beside = {path.with_suffix(form) for suffix in SIDECARS for form in (suffix, suffix.upper())}
        yield from (file for file in beside if file.is_file())


def _name_in(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix() if path.is_dir() else file.suffix


def _digest_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return _digest(iter(lambda: file.read(DIGEST_BLOCK_BYTES), b""))


def _digest(blocks: Iterable[Bytes]) -> str:
    """Digest blocks of DIGEST_BLOCK_BYTES, the last of which may be shorter.

    Full blocks are summed twice, the sums and what is left over then hashed by BLAKE2b. CRC-32 alone sees any
    one changed value, and misses one in 2**32 of other changes within a block; Adler-32 sees what it misses
    but for one in 2**16 (values that change places) or one in 2**32 (others). Content that changes in several
    blocks must be missed in each of them. This keeps accidents apart, not enemies: each has their own cache.
    """
    digest, size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    for block in blocks:
        full = len(block) == DIGEST_BLOCK_BYTES
        digest.update(_SUMS.pack(crc32(block), adler32(block)) if full else block)
        size += len(block)
    digest.update(size.to_bytes(8, "little"))
    return digest.hexdigest()


# The cache


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file of the cache as it was listed: `used` is its mtime in ns, `size` its bytes."""

    used: int
    size: int
    path: Path


class Cache:
    """Stores in a folder, by key, at most `limit` bytes of them.

    Parameters
    ----------
    folder
        For the cache alone, made when it is first written to. None: ``forkmaps`` in the user's cache folder
        (``$XDG_CACHE_HOME`` or ``~/.cache`` on Linux).
    limit
        Bytes that the files may take together. For a moment each process that writes may exceed it by one.
    """

    def __init__(self, folder: Path | None = None, *, limit: int = LIMIT_BYTES) -> None:
        self.folder = _users_folder() if folder is None else folder.absolute()
        self.limit = limit
        self._writes = self.folder.is_absolute()  # a user without a home has none ("~/.cache")
        self._swept = False

    def get(self, key: str) -> Stored | None:
        """Return what is kept under `key` and note its use, or None if it is missing or damaged."""
        path = self._path(key)
        try:
            stored = open_store(path)
        except StoreError as error:
            if not isinstance(error.__cause__, OSError):
                _log.warning("%s (done: it is computed again)", error)
                remove(path)
            return None
        with suppress(OSError):  # someone else's folder, or removed just now
            os.utime(path)
        return stored

    def put(self, key: str, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Stored | None:
        """Keep a result and return it mapped, so that the caller can drop its own copy of the arrays.

        For arrays and meta see `write_store`. None if it can't be kept: the folder can't be written (one
        warning, and it isn't tried again), or the result is larger than the limit.
        """
        path = self._path(key)
        if not self._writes or sum(array.nbytes for array in arrays.values()) > self.limit:
            return None
        try:
            self._write(path, arrays, meta)
            stored = open_store(path, verify=False)
        except ForkmapsError as error:
            self._note(error)
            return None
        self._evict()
        return stored

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key; make one with key_of")
        return self.folder / f"{key}{SUFFIX}"

    def _write(self, path: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
        make_folders([path])
        if not self._swept:
            sweep_stale(self.folder)
            self._swept = True
        write_store(path, arrays, meta)

    def _note(self, error: ForkmapsError) -> None:
        """Give up writing, unless the file was only evicted by another process before it could be opened."""
        if isinstance(error.__cause__, FileNotFoundError) and isinstance(error, StoreError):
            return
        self._writes = False
        _log.warning("%s (until then nothing is kept for later runs)", error)

    def _evict(self) -> None:
        """Remove what was used least recently beyond the limit; who has mapped it keeps it."""
        kept = sorted(self._kept(), key=lambda file: file.used)
        excess = sum(file.size for file in kept) - self.limit
        for file in kept:
            if excess <= 0:
                return
            remove(file.path)
            excess -= file.size

    def _kept(self) -> Iterator[_Kept]:
        for file in self.folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):  # removed by another process just now
                status = file.stat()
                yield _Kept(status.st_mtime_ns, status.st_size, file)


class NoCache:
    """The cache that keeps nothing (``--no-cache``)."""

    def get(self, key: str) -> Stored | None:
        """Return None."""
        return None

    def put(self, key: str, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Stored | None:
        """Do nothing and return None."""
        return None


AnyCache = Cache | NoCache
"""What takes either."""


def _users_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("forkmaps", appauthor=False)
