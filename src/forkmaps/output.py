"""Output files that appear whole or not at all, in a folder that one run at a time writes in.

A map is written to a temporary file in its own folder, flushed to disk and then renamed, so that its name
shows the old file or the new one at every moment, also after a power cut. A killed writer leaves its
temporary behind; its name says who wrote it, and the next run's `sweep_stale` removes it.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from forkmaps.errors import DiskFullError, OutputError

try:
    import fcntl
except ImportError:  # Windows: runs are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK_NAME: Final = ".forkmaps.lock"
"""Held by the run that writes in a folder, gone when it ends."""

FOREIGN_STALE_AFTER: Final = 24 * 3600.0
"""Seconds after which a temporary of another machine or container is stale; whether its writer lives can't be
seen from here."""

_log = logging.getLogger(__name__)
_PROC: Final = Path("/proc")
_TEMPORARY: Final = re.compile(r"\.forkmaps-(?P<host>[0-9a-f]+)-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]+\.tmp")
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REMEDIES: Final = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space in your quota and run again",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) and run again",
    errno.EACCES: "make the folder writable for this user, or choose another",
    errno.EPERM: "make the folder writable for this user, or choose another",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.ENOENT: "the folder is gone; don't remove it during a run",
    errno.ENOTDIR: "a file stands where a folder should be; move it, or choose another folder",
    errno.EEXIST: "a file stands where a folder should be; move it, or choose another folder",
    errno.EISDIR: "a folder stands where the file should be; move it, or change the file name template",
    errno.ELOOP: "a link stands in its place, or leads to itself; remove it",
    errno.ENAMETOOLONG: "shorten the file name template",
}
_OTHER_REMEDY: Final = "look at the disk, or choose another folder"


# Whole files


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
    temporary = path.with_name(_temporary_name())
    with _explaining(path, temporary):
        with open(temporary, "xb") as file:
            yield file
            _to_disk(file)
        os.replace(temporary, path)


def write_apart(path: Path, data: bytes) -> Path:
    """Write a file's content beside `path`, not yet to disk; return where. `put_in_place` does the rest.

    So that one process can wait for the disk while another makes the next file. For the errors see `writing`.
    """
    temporary = path.with_name(_temporary_name())
    with _explaining(path, temporary), open(temporary, "xb") as file:
        file.write(data)
    return temporary


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
        _removed(temporary)
        if cause := _disk_error(error, temporary):
            raise _refusal(path, cause) from error
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


def _refusal(path: Path, error: OSError) -> OutputError:
    code = error.errno or 0
    kind = DiskFullError if code in _NO_ROOM else OutputError
    cause = error.strerror or str(error)
    return kind(f"{path}: can't be written: {cause}; {_REMEDIES.get(code, _OTHER_REMEDY)}")


# Temporaries


def _temporary_name() -> str:
    pid = os.getpid()
    return f".forkmaps-{_host()}-{pid}-{_started(pid) or 0}-{secrets.token_hex(4)}.tmp"


def _host() -> str:
    """Name the set of processes that pids are unique in: this machine, or this container on it."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.blake2b(f"{platform.node()} {space}".encode(), digest_size=4).hexdigest()


def _started(pid: int) -> int | None:
    """Return the time a living process was started at, which tells it from a later one of the same pid.

    None if there is none, or only one that has ended and waits for its parent. In clock ticks since the
    machine's start (field 22 of proc(5)'s stat), where there is no /proc in seconds.
    """
    if not _PROC.is_dir():
        return _started_by_psutil(pid)
    try:
        state, *fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if state in (b"Z", b"X") else int(fields[18])


def _started_by_psutil(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return None


def sweep_stale(folder: Path) -> tuple[Path, ...]:
    """Remove the temporaries that dead writers left in a folder and the folders in it; return them.

    Follows no links, and leaves alone what another user owns. Temporaries of another machine or container go
    when they are FOREIGN_STALE_AFTER old.
    """
    found = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    return tuple(path for path in found if _is_stale(path) and _removed(path))


def _is_stale(path: Path) -> bool:
    if (writer := _TEMPORARY.fullmatch(path.name)) is None:
        return False
    try:
        status = path.lstat()
    except OSError:  # its writer has just finished
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_uid != _user():
        return False
    if writer["host"] != _host():
        return time.time() - status.st_mtime > FOREIGN_STALE_AFTER
    return _started(int(writer["pid"])) != int(writer["started"])


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


# Folders


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
            raise _refusal(folder, error) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _refusal(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other runs out of a folder; the block may fork.

    The lock lasts until the run and every worker that it has forked have ended, however they end.

    Parameters
    ----------
    folder
        The output folder, which must exist.
    wait
        Wait for a run that is writing there, instead of being refused.

    Raises
    ------
    OutputError
        If another run is writing there (its pid is named), or the lock can't be made.
    """
    if fcntl is None:
        yield
        return
    path, owner = folder / LOCK_NAME, os.getpid()
    descriptor = _lock(path, wait)
    try:
        yield
    finally:
        if os.getpid() == owner and _is_at(path, descriptor):
            _removed(path)
        os.close(descriptor)  # not LOCK_UN: in a forked child that would open the parent's lock


def is_locked(folder: Path) -> bool:
    """Tell whether a run is writing in a folder, or workers are of one that was killed."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # most often there is none
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path, wait: bool) -> int:
    try:
        while (descriptor := _lock_once(path, wait)) is None:
            pass  # the run that had the lock has removed its file meanwhile
    except OSError as error:
        raise _refusal(path, error) from error
    return descriptor


def _lock_once(path: Path, wait: bool) -> int | None:
    with ExitStack() as stack:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        stack.callback(os.close, descriptor)
        _take(descriptor, path, wait)
        if not _is_at(path, descriptor):
            return None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        stack.pop_all()
        return descriptor


def _take(descriptor: int, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        if not wait:
            raise OutputError(f"{path.parent}: {holder}; wait for it, or choose another folder") from None
        _log.info("%s: %s; waiting for its end", path.parent, holder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode()
    if pid.isdecimal() and _started(int(pid)) is None:
        return f"workers of a run that was killed (pid {pid}) are still writing here"
    return f"another run (pid {pid or 'not known yet'}) is writing here"


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
