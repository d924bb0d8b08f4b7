"""The lines of a manifest: what became of each map, as JSON that is only taken apart when it is asked for."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from forkmaps.cache import array_digest

FORMAT_VERSION: Final = 1
"""Raise it when a program of before would take the new lines for something else."""

_HEADER: Final = b'{"forkmaps manifest": %d}' % FORMAT_VERSION
_HEADER_LINE: Final = re.compile(rb'\{"forkmaps manifest": (\d{1,9})\}\n')
_ENTRY_LINE: Final = re.compile(
    rb'^(\{"path": "([^"\\\n]*(?:\\.[^"\\\n]*)*)", "status": "(?:done|failed)", .*\})$', re.MULTILINE
)
"""A line and its path, which is all that is read of it at first. 100,000 lines are found so in 0.1 s; parsing
them takes 0.5."""
_BEFORE_PATH: Final = b'{"path": "'
_DONE: Final = b'", "status": "done"'


class FileState(NamedTuple):
    """What tells whether a file is still the one that was written.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Time of its last change, in nanoseconds.
    digest : str
        Of its content.
    """

    size: int
    mtime_ns: int
    digest: str


def file_state(path: Path) -> FileState:
    """Look at a file that was written just now, under whatever name; 0.2 ms, to be spent in the worker.

    Raises
    ------
    OSError
        If it can't be read.
    """
    status = path.lstat()
    return FileState(status.st_size, status.st_mtime_ns, _digest(path))


def _digest(path: Path) -> str:
    """Digest a file's content, whatever its name: `cache.file_digest` tells .tmp from .png."""
    return array_digest(np.fromfile(path, np.uint8))


class Entry(NamedTuple):
    """A line of the manifest: what became of a map.

    Attributes
    ----------
    path : str
        Relative to the folder, with "/" between folders.
    status : "done" or "failed"
    fingerprint : str
        What shaped the map (`forkmaps.manifest.fingerprint`), where it is done.
    region : str
    band : int
        The band's number in its file.
    seconds : float
        What the last attempt took.
    attempts : int
    finished : str
        When, as ISO 8601 has it, in UTC.
    size, mtime_ns, digest
        The file's, where it is done; see `FileState`.
    error : str
        Why it failed, in a line.
    signal : str or None
        The signal that ended the worker, if one did.
    """

    path: str
    status: Literal["done", "failed"]
    fingerprint: str
    region: str
    band: int
    seconds: float
    attempts: int
    finished: str
    size: int = -1
    mtime_ns: int = -1
    digest: str = ""
    error: str = ""
    signal: str | None = None

    def is_of(self, path: Path) -> bool:
        """Tell whether the file at `path` is the one that was written; its content counts, not its time."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size:
                return False
            return status.st_mtime_ns == self.mtime_ns or _digest(path) == self.digest
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Found:
    """What a manifest's file holds.

    Attributes
    ----------
    version : int or None
        The format it is in; None if it doesn't begin as a manifest does.
    lines : mapping
        The last line of each map, without its end, by the map's path as it stands there (a key, see
        `key_of_path`); empty if the format is not ours.
    damaged : int
        Number of lines that are none. What comes after the last line's end doesn't count: there a writer was
        ended in the middle of it.
    """

    version: int | None
    lines: Mapping[bytes, bytes]
    damaged: int


def find_lines(content: bytes) -> Found:
    """Find the lines in the content of a manifest's file."""
    header = _HEADER_LINE.match(content)
    if header is None or int(header[1]) > FORMAT_VERSION:
        return Found(None if header is None else int(header[1]), {}, 0)
    whole = content[header.end() : content.rindex(b"\n") + 1]
    found = _ENTRY_LINE.findall(whole)
    return Found(int(header[1]), {key: line for line, key in found}, whole.count(b"\n") - len(found))


def file_of(lines: Iterable[bytes]) -> bytes:
    """Return the content of a file with these lines."""
    return b"\n".join([_HEADER, *lines, b""])


def line_of(entry: Entry) -> bytes:
    """Write an entry as a line, without the line's end."""
    given = {k: v for k, v in entry._asdict().items() if v != Entry._field_defaults.get(k)}
    return json.dumps(given).encode()


def entry_of(line: bytes) -> Entry | None:
    """Take a line apart; None if it is damaged."""
    try:
        entry = Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None
    return entry if isinstance(entry.seconds, int | float) else None


def says_done(key: bytes, line: bytes) -> bool:
    """Tell whether a line says that its map is done, without taking it apart."""
    return line.startswith(_DONE, len(_BEFORE_PATH) + len(key))


def key_of_path(path: str) -> bytes:
    """Return an entry's path as it stands in its line."""
    return json.dumps(path)[1:-1].encode()


def path_of_key(key: bytes) -> str:
    """Return the path that stands so in a line; "" if it is damaged."""
    try:
        return str(json.loads(b'"%s"' % key)) if b"\\" in key else key.decode()
    except ValueError:
        return ""
