"""Output files that appear whole or not at all, in a folder that one run at a time writes in.

A map is written to a temporary file in its own folder, flushed to disk and then renamed, so that its name
shows the old file or the new one at every moment, also after a power cut. A killed writer leaves its
temporary behind; its name says who wrote it (`temporaries`), and the next run's `sweep_stale` removes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forkmaps.errors import DiskFullError
from forkmaps.output.lock import is_locked, locked
from forkmaps.output.refusal import refusal
from forkmaps.output.temporaries import remove, sweep_stale, temporary_name

__all__ = [
    "NoRoom",
    "is_locked",
    "locked",
    "make_folders",
    "put_in_place",
    "sweep_stale",
    "write_apart",
    "write_apart_if_room",
    "write_whole",
    "writing",
]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that `path` shows all of it or what was there before. For the errors see `writing`."""
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Give a binary file that takes the name `path` when the block ends; if it fails, `path` stays as it was.

    The folder must exist (`make_folders`). The new file's mode is what the umask leaves of 0666. A link at
    `path` is replaced, not followed.

    Raises
    ------
    DiskFullError
        If the disk, the quota or the limit on file sizes has no room for it.
    OutputError
        If the file can't be written for another reason. Other errors of the block pass unchanged.
    """
    temporary = path.with_name(temporary_name())
    with _explaining(path, temporary):
        with open(temporary, "xb") as file:
            yield file
            _to_disk(file)
        os.replace(temporary, path)


def write_apart(path: Path, data: bytes) -> Path:
    """Write a file's content beside `path`, not yet to disk; return where. `put_in_place` does the rest.

    So that one process can wait for the disk while another makes the next file. For the errors see `writing`.
    """
    temporary = path.with_name(temporary_name())
    with _explaining(path, temporary), open(temporary, "xb") as file:
        file.write(data)
    return temporary


@dataclass(frozen=True, slots=True)
class NoRoom:
    """What a worker returns where the disk is full: what comes next would have no room either."""

    message: str


def write_apart_if_room(path: Path, data: bytes) -> Path | NoRoom:
    """Do what `write_apart` does, in a worker, whose errors fail one file alone."""
    try:
        return write_apart(path, data)
    except DiskFullError as error:
        return NoRoom(str(error))


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush what `write_apart` wrote to disk, and give it its name. For the errors see `writing`."""
    with _explaining(path, temporary):
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextmanager
def _explaining(path: Path, temporary: Path) -> Iterator[None]:
    """Remove a temporary whose writing fails, and say what is wrong in terms of the path that it is for."""
    try:
        yield
    except BaseException as error:
        remove(temporary)
        if cause := _disk_error(error, temporary):
            raise refusal(path, cause) from error
        raise


def _to_disk(file: BinaryIO) -> None:
    """Flush to disk: without it, a power cut can leave the new name with an empty file.

    For a map of 450 KB on ext4 on a virtual disk it takes 0.6 of 0.75 ms, 3 of 3.3 ms while others write to
    that disk, and almost all of it is waiting. fdatasync takes as long, and starting the flush early doesn't
    help. sync_file_range takes 0.3 ms, but no file system promises that it suffices.
    """
    file.flush()
    os.fsync(file.fileno())


def _disk_error(error: BaseException | None, temporary: Path) -> OSError | None:
    """Find the error of writing this file among those that led to `error`.

    Matplotlib's PDF writer fails again while it cleans up. Errors of other files that the block may open hold
    the name of that file, those of writing hold none.
    """
    while isinstance(error, Exception):
        if isinstance(error, OSError) and error.filename in (None, temporary, str(temporary)):
            return error
        error = error.__cause__ or error.__context__
    return None


def make_folders(paths: Iterable[Path]) -> None:
    """Make the folders of files to come, so that a worker never has to.

    Raises
    ------
    OutputError
        If one can't be made, or can't be written in.
    """
    for folder in sorted({path.parent for path in paths}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refusal(folder, error) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise refusal(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
