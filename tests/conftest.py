"""What holds for every test: it leaves no process, no open file and no temporary file behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import matplotlib
import psutil
import pytest

OPEN_FILES = Path("/proc/self/fd")

NOT_DATA = (sys.prefix, sys.base_prefix, "/usr/", "/lib", "/etc/", "/dev/", "/proc/", "/sys/", "/var/cache/")
"""Where libraries keep files of their own (fonts, proj.db, shared objects), which they may open and keep."""


def what_is_open() -> set[tuple[str, str]]:
    """Return (descriptor, what it leads to) for sockets, pipes, processes and data files."""
    found = set()
    for entry in OPEN_FILES.iterdir() if OPEN_FILES.exists() else ():
        with suppress(OSError):  # the listing itself
            found.add((entry.name, os.readlink(entry)))
    return {(number, target) for number, target in found if is_ours(target)}


def is_ours(target: str) -> bool:
    if target.startswith(("socket:", "pipe:", "anon_inode:[pidfd]")):
        return True
    return target.startswith("/") and not target.startswith(NOT_DATA) and not Path(target).is_dir()


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def end(processes: set[psutil.Process]) -> None:
    """End what a test left, so that it is not held against the next one."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=3)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process, an open file, socket or pipe, or a temporary file."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    processes, files = children(), what_is_open()
    yield
    orphans = children() - processes
    names = [f"{process.pid} ({process.status()})" for process in orphans]
    end(orphans)
    opened = sorted(target for _, target in what_is_open() - files)
    temporary = sorted(map(str, folder.rglob("*.tmp"))) if folder else []
    left = {"child processes": names, "open files": opened, "temporary files": temporary}
    if any(left.values()):
        pytest.fail(f"the test left behind: { {what: which for what, which in left.items() if which} }")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and the programs they start, out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        # matplotlib keeps its list of fonts there; finding them all again takes seconds.
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
