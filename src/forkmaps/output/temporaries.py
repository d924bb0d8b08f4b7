"""Temporary files, whose names say who writes them: so it is seen when their writer is dead."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

FOREIGN_STALE_AFTER: Final = 24 * 3600.0
"""Seconds after which a temporary of another machine or container is stale; whether its writer lives can't be
seen from here."""

_PROC: Final = Path("/proc")
_TEMPORARY: Final = re.compile(r"\.forkmaps-(?P<host>[0-9a-f]+)-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]+\.tmp")


def temporary_name() -> str:
    """Make up a name that says who writes."""
    pid = os.getpid()
    return f".forkmaps-{_host()}-{pid}-{started(pid) or 0}-{secrets.token_hex(4)}.tmp"


def _host() -> str:
    """Name the set of processes that pids are unique in: this machine, or this container on it."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.blake2b(f"{platform.node()} {space}".encode(), digest_size=4).hexdigest()


def started(pid: int) -> int | None:
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
    return tuple(path for path in found if _is_stale(path) and remove(path))


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
    return started(int(writer["pid"])) != int(writer["started"])


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def remove(path: Path) -> bool:
    """Remove a file, if that can be done; tell whether it was."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
