"""The machine that the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parts.places import REPOSITORY

LIBRARIES = (
    "cartopy",
    "deflate",
    "matplotlib",
    "numpy",
    "pandas",
    "pillow",
    "pyogrio",
    "pyproj",
    "rasterio",
    "rioxarray",
    "shapely",
    "xarray",
)


def describe_machine() -> dict[str, Any]:
    """Return processor, memory, load, system, versions and commit."""
    return {
        "cpu": first_field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_start": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version_of(name) for name in LIBRARIES},
        "commit": commit(),
    }


def first_field(path: str, name: str) -> str:
    """Return the first value of a field in a file of lines `name : value`."""
    with suppress(OSError):
        for line in Path(path).read_text().splitlines():
            field, _, value = line.partition(":")
            if field.strip() == name:
                return value.strip()
    return ""


def version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """Return the commit that is checked out, with a + where files differ from it."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # an archive of the files
        return None
