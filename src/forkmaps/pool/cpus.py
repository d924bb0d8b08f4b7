"""How many workers make sense: the CPUs this process may use, not those the machine has.

A container or a batch system bounds a process in two ways, and both count: the CPUs it may be scheduled on
(affinity), and the share of CPU time its control group may spend (the quota, cgroup v1 or v2).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from forkmaps.errors import PoolError

OWN_CGROUPS = Path("/proc/self/cgroup")
"""Where Linux lists the control groups of this process."""

CGROUP_MOUNT = Path("/sys/fs/cgroup")
"""Where control groups are mounted, by convention of every distribution."""


def usable_cpus() -> int:
    """Count the CPUs that this process may use: its affinity, bounded by its cgroup's quota; at least 1."""
    quota = cgroup_quota()
    cpus = _schedulable_cpus()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def worker_count(requested: int | None = None) -> int:
    """Return the number of workers to use: what was asked for, else one for each usable CPU.

    0 stands for "no workers, in this process". Raises `PoolError` for a negative number.
    """
    if requested is None:
        return usable_cpus()
    if requested < 0:
        raise PoolError(
            f"workers: {requested} is negative; give 0 to work in this process, "
            "or nothing for one worker for each usable CPU"
        )
    return requested


def cgroup_quota(own: Path = OWN_CGROUPS, mount: Path = CGROUP_MOUNT) -> float | None:
    """Return the CPUs' worth of time this control group and those above it may spend; None: no bound."""
    quotas = (_quota_of(folder) for folder in _cpu_groups(own, mount))
    return min((quota for quota in quotas if quota is not None), default=None)


def _schedulable_cpus() -> int:
    if hasattr(os, "process_cpu_count"):  # Python 3.13: affinity, and the user's PYTHON_CPU_COUNT
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_groups(own: Path, mount: Path) -> Iterator[Path]:
    """Yield the folders that may bound this process's CPU time: its own group, and each one above."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for top in _mounts(controllers, mount):
            yield from _upwards(top / path.lstrip("/"), top)


def _mounts(controllers: str, mount: Path) -> tuple[Path, ...]:
    if not controllers:  # v2: one tree for everything
        return (mount,)
    if "cpu" not in controllers.split(","):
        return ()
    return tuple(mount / name for name in sorted({"cpu", controllers}))


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    """Yield `folder` and its parents up to `top`.

    A container's own group often stands at `top`, while /proc gives its path on the host: missing folders
    on the way are no error.
    """
    while folder != top:
        yield folder
        folder = folder.parent
    yield top


def _quota_of(group: Path) -> float | None:
    for read in (_quota_v2, _quota_v1):
        with suppress(OSError, ValueError):
            return read(group)
    return None


def _quota_v2(group: Path) -> float | None:
    quota, period = (group / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float | None:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())
