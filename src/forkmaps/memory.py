"""How much memory this process may use: the machine's, its container's, and what it is allowed itself."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container finds the memory it may use (cgroup v2, v1)."""


def usable_memory() -> float:
    """Return the bytes that are left on the machine, or to which this process is limited, if that is less."""
    return float(min([psutil.virtual_memory().available, *memory_limits()]))


def memory_limits() -> list[int]:
    """Return the bounds, in bytes, of this process's container and of its own; those that there are."""
    return [limit for limit in (container_memory(), own_limit()) if limit is not None]


def container_memory(files: Iterable[Path] = _CONTAINER_LIMITS) -> int | None:
    """Return the bytes that this container may use; None: no bound that is known."""
    for file in files:
        with suppress(OSError, ValueError):  # no such file; or "max"
            limit = int(file.read_text())
            return limit if limit < psutil.virtual_memory().total else None
    return None


def own_limit() -> int | None:
    """Return the bytes of address space that this process may use; None: any number."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
