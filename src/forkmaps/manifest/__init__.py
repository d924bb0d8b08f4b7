"""The manifest of an output folder: what each map there was drawn from, and which maps failed.

A file of JSON lines: a header, then a line for each map that was finished or has failed; of a map's lines the
last one counts. While a run goes on, its parent only appends, each line by one write, so a parent that is
killed leaves all lines but perhaps the last whole. The next run cleans up: it takes the lines that count into
a new file.

A line is trusted as far as the file agrees with it, so it can be lost, but not lie: what is missing, torn or
damaged is drawn again.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from forkmaps.errors import ManifestError
from forkmaps.manifest.entries import (
    FORMAT_VERSION,
    Entry,
    FileState,
    Found,
    entry_of,
    file_of,
    find_lines,
    key_of_path,
    line_of,
    path_of_key,
    says_done,
)
from forkmaps.output import write_whole
from forkmaps.output.refusal import refusal

MANIFEST_NAME: Final = ".forkmaps-manifest.jsonl"
"""In the output folder. No map can have this name, and no sweep takes it for a temporary."""

_log: Final = logging.getLogger("forkmaps")
_APPEND: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Manifest:
    """The manifest of one folder, open for a run; see `open`.

    One run at a time may have it: `output.locked` sees to that. Workers leave it to their parent.
    """

    def __init__(self, folder: Path, lines: dict[bytes, bytes], descriptor: int) -> None:
        self.folder = folder
        self._lines, self._descriptor = lines, descriptor
        self._is_open, self._is_torn = True, False

    @classmethod
    def open(cls, folder: Path, *, force: bool = False) -> Self:
        """Open the manifest of a folder and clean it up; make one where there is none.

        Maps that the run doesn't plan keep their lines: those that are done as long as their files are there,
        those that failed until they are drawn. 100,000 lines take 0.3 s.

        Parameters
        ----------
        folder
            The output folder, which must exist.
        force
            Begin anew where a newer forkmaps wrote the manifest.

        Raises
        ------
        ManifestError
            If a newer forkmaps wrote it, or it can't be read.
        OutputError
            If it can't be written.
        """
        path = folder / MANIFEST_NAME
        content = _read(path)
        found = find_lines(content)
        if not force:
            _check_version(found, path)
        _warn(content, found, path)
        lines = _still_true(folder, found.lines)
        if (clean := file_of(lines.values())) != content:
            write_whole(path, clean)
        with _told(path):
            return cls(folder, lines, os.open(path, _APPEND))

    def entry(self, path: Path) -> Entry | None:
        """Return what is known of the map at `path`, which lies in the folder."""
        line = self._lines.get(key_of_path(self._name(path)))
        return None if line is None else entry_of(line)

    def drawn_from(self, path: Path) -> str | None:
        """Return the fingerprint of what the file at `path` was drawn from; None if it isn't as it was."""
        entry = self.entry(path)
        if entry is None or entry.status != "done" or not entry.is_of(path):
            return None
        return entry.fingerprint

    def seconds_before(self, path: Path) -> float | None:
        """Return what the map at `path` took when it was last tried; None if it never was."""
        entry = self.entry(path)
        return None if entry is None else entry.seconds

    def failed_before(self, path: Path) -> bool:
        """Tell whether the map at `path` failed when it was last tried."""
        entry = self.entry(path)
        return entry is not None and entry.status == "failed"

    def record_done(
        self,
        path: Path,
        fingerprint: str,
        state: FileState,
        *,
        region: str,
        band: int,
        seconds: float,
        attempts: int = 1,
    ) -> None:
        """Note that a map is finished. For the parameters see `Entry`.

        Raises
        ------
        OutputError
            If the line can't be written; DiskFullError if there is no room for it.
        """
        name, took, now = self._name(path), round(seconds, 3), _now()
        self._append(Entry(name, "done", fingerprint, region, band, took, attempts, now, *state))

    def record_failed(
        self,
        path: Path,
        error: str,
        *,
        region: str,
        band: int,
        seconds: float,
        attempts: int = 1,
        signal: str | None = None,
    ) -> None:
        """Note that a map has failed. For the parameters see `Entry`, for the errors `record_done`."""
        name, took, now = self._name(path), round(seconds, 3), _now()
        entry = Entry(name, "failed", "", region, band, took, attempts, now)
        self._append(entry._replace(error=error, signal=signal))

    def close(self) -> None:
        """Flush the manifest to disk and close it; harmless if it is closed."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            with _told(self.folder / MANIFEST_NAME):
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _append(self, entry: Entry) -> None:
        line = line_of(entry)
        data = (b"\n" if self._is_torn else b"") + line + b"\n"
        self._is_torn = True
        with _told(self.folder / MANIFEST_NAME):
            while data:
                data = data[os.write(self._descriptor, data) :]
        self._is_torn = False
        self._lines[key_of_path(entry.path)] = line


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


# Reading


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ManifestError(
            f"{path}: can't be read: {error.strerror}; make it readable, or choose another folder"
        ) from error


def _check_version(found: Found, path: Path) -> None:
    if (found.version or 0) > FORMAT_VERSION:
        raise ManifestError(
            f"{path}: a newer forkmaps wrote it in format {found.version}, this one knows {FORMAT_VERSION};"
            " update forkmaps, choose another folder, or draw all maps anew with --force"
        )


def _warn(content: bytes, found: Found, path: Path) -> None:
    if content and found.version is None:
        _log.warning("%s: doesn't begin as a manifest does; all maps are drawn anew", path)
    elif found.damaged:
        _log.warning("%s: %d damaged lines left out; their maps are drawn anew", path, found.damaged)


def _still_true(folder: Path, lines: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the lines without those of finished maps whose files are gone."""
    is_there = _Listing(folder)
    return {key: line for key, line in lines.items() if not says_done(key, line) or is_there(key)}


class _Listing:
    """Tells whether files are there: a folder's listing answers for most, faster than asking for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there: set[str] = set()
        self._listed: set[str] = set()

    def __call__(self, key: bytes) -> bool:
        path = path_of_key(key)
        if path in self._there:
            return True
        self._list(path[: path.rfind("/") + 1])
        return path in self._there or os.path.lexists(self._folder / path)

    def _list(self, parent: str) -> None:
        if parent not in self._listed:
            self._listed.add(parent)
            with suppress(OSError):
                self._there.update(parent + name for name in os.listdir(self._folder / parent))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn errors of the manifest's file into errors that tell what to do."""
    try:
        yield
    except OSError as error:
        raise refusal(path, error) from error
