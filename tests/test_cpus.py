from __future__ import annotations

import os
from pathlib import Path

import pytest

from forkmaps.errors import PoolError
from forkmaps.pool import cpus
from forkmaps.pool.cpus import cgroup_quota, usable_cpus, worker_count


def cgroups(folder: Path, own: str, files: dict[str, str]) -> float | None:
    """Return the quota in a made-up tree of control groups, where `own` is what /proc says."""
    (folder / "own").write_text(own, encoding="ascii")
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return cgroup_quota(folder / "own", folder / "mount")


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/job\n", {"job/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/job\n", {"job/cpu.max": "max 100000\n"}, None),
        ("0::/job\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000\n", "a/cpu.max": "200000 100000\n"}, 2.0),
        ("0::/docker/host/path\n", {"cpu.max": "50000 100000\n"}, 0.5),
        (
            "4:memory:/x\n3:cpu,cpuacct:/job\n0::/\n",
            {"cpu/job/cpu.cfs_quota_us": "400000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("1:cpuset:/job\n", {"cpu/job/cpu.cfs_quota_us": "1\n", "cpu/job/cpu.cfs_period_us": "1\n"}, None),
        ("0::/job\n", {"job/cpu.max": "nonsense\n"}, None),
    ],
)
def test_the_tightest_quota_of_our_groups_counts(
    own: str, files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert cgroups(tmp_path, own, files) == quota


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path / "missing", tmp_path) is None


@pytest.mark.parametrize(("quota", "count"), [(None, 8), (0.2, 1), (2.0, 2), (2.5, 3), (64.0, 8)])
def test_usable_cpus_are_the_affinity_within_the_quota(
    quota: float | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "_schedulable_cpus", lambda: 8)
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: quota)
    assert usable_cpus() == count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_bound_to_one_cpu_uses_one() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_worker_count_is_what_was_asked_for_or_the_usable_cpus() -> None:
    assert worker_count(0) == 0
    assert worker_count(7) == 7
    assert worker_count() == usable_cpus() >= 1


def test_a_negative_worker_count_is_refused() -> None:
    with pytest.raises(PoolError, match="-2 is negative"):
        worker_count(-2)
