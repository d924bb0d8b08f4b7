"""The lock of an output folder: one run at a time writes there."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from forkmaps.errors import OutputError
from forkmaps.output.refusal import refusal
from forkmaps.output.temporaries import remove, started

try:
    import fcntl
except ImportError:  # Windows: runs are not kept apart
    fcntl = None  # type: ignore[assignment]

LOCK_NAME: Final = ".forkmaps.lock"
"""Held by the run that writes in a folder, gone when it ends."""

_log = logging.getLogger(__name__)


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
            remove(path)
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
        raise refusal(path, error) from error
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
    if pid.isdecimal() and started(int(pid)) is None:
        return f"workers of a run that was killed (pid {pid}) are still writing here"
    return f"another run (pid {pid or 'not known yet'}) is writing here"


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
