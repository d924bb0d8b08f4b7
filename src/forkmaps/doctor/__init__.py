"""What this machine is to forkmaps: can it fork, is a forked worker's map right, and what slows maps down.

`examine` returns what was found; `run` is the command `forkmaps doctor`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil
import threadpoolctl

from forkmaps import __version__
from forkmaps.doctor.trial import TRIAL_MAPS, differences, draw_apart
from forkmaps.errors import ForkmapsError
from forkmaps.memory import memory_limits, usable_memory
from forkmaps.pool.cpus import cgroup_quota, usable_cpus
from forkmaps.pool.forkable import check_forkable, font_caches

Verdict = Literal["fine", "note", "wrong"]
"""`note`: maps are drawn, but slower than need be, or something may surprise. `wrong`: they are not."""

PACKAGES = ("numpy", "matplotlib", "cartopy", "shapely", "xarray", "pillow")
"""Those whose versions change what a map looks like; GDAL's and PROJ's are asked of themselves."""

LITTLE_MEMORY = 1_000_000_000
"""Bytes. The bundled maps take half of it with two workers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    verdict : "fine", "note" or "wrong"
    topic, text : str
        What was looked at, and what was found.
    remedy : str
        What to do; empty where all is fine.
    """

    verdict: Verdict
    topic: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = self.verdict.upper() if self.verdict == "wrong" else self.verdict
        lines = [*self.text.splitlines(), *([f"-> {self.remedy}"] if self.remedy else [])]
        return f"{mark:<6}{self.topic:<10}" + ("\n" + " " * 16).join(lines)


def run() -> int:
    """Print what there is to say of this machine; return 1 if something is wrong, else 0."""
    print(f"forkmaps {__version__} on this machine\n")
    findings = examine()
    print(*findings, sep="\n")
    wrong = [finding.topic for finding in findings if finding.verdict == "wrong"]
    print(f"\nwrong: {', '.join(wrong)}" if wrong else "\nmaps can be drawn here")
    return 1 if wrong else 0


def examine() -> list[Finding]:
    """Look at everything. Takes some seconds, for the trial maps; leaves nothing behind."""
    return [finding for topic, look in EXAMINATIONS.items() for finding in safely(topic, look)]


def safely(topic: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Look at one thing; that it can't be looked at is a finding too."""
    try:
        return list(look())
    except Exception as error:
        logging.getLogger("forkmaps").debug("doctor, %s", topic, exc_info=True)
        found = f"can't be examined: {type(error).__name__}: {error}"
        return [Finding("wrong", topic, found, "install forkmaps anew; if that does not help, report it")]


def system() -> Iterator[Finding]:
    """Python and the system."""
    version = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    yield Finding("fine", "Python", version)
    yield Finding("fine", "system", f"{platform.system()} {platform.release()}, {platform.machine()}")


def forking() -> Iterator[Finding]:
    """Whether workers can be forked here and now."""
    methods = ", ".join(multiprocessing.get_all_start_methods())
    try:
        check_forkable()
    except ForkmapsError as error:
        remedy = "nothing need be done: workers are started in another way, unless fork is asked for"
        yield Finding("note", "forking", f"{error}\n(processes can be started by {methods})", remedy)
    else:
        yield Finding("fine", "forking", f"safe from this process (processes can be started by {methods})")


def versions() -> Iterator[Finding]:
    """Return the versions of what draws maps."""
    import pyogrio
    import pyproj
    import rasterio

    known = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    yield Finding("fine", "versions", ", ".join([*known, f"PROJ {pyproj.proj_version_str}"]))
    ours = ".".join(map(str, pyogrio.__gdal_version__))
    text = f"{rasterio.__gdal_version__} reads rasters (rasterio {rasterio.__version__}), {ours} boundaries"
    yield Finding("fine", "GDAL", f"{text} (pyogrio {pyogrio.__version__})")


def known_faults() -> Iterator[Finding]:
    """Faults of the versions that are installed, and what is done about each."""
    import matplotlib.font_manager
    import matplotlib.mathtext

    version = matplotlib.__version__
    text = f"matplotlib {version}: text that was drawn before a fork is garbled in workers"
    if len(font_caches()) == 2:
        yield Finding("fine", "faults", f"{text} (they open their fonts anew)")
    else:
        remedy = "install matplotlib 3.10 or 3.11, or draw nothing before the maps"
        yield Finding("note", "faults", f"{text}, and keeps fonts where forkmaps does not know", remedy)
    asked = os.environ.get("GDAL_NUM_THREADS", "not set")
    text = f"GDAL_NUM_THREADS is {asked}; a GDAL with threads hangs in workers (theirs has one)"
    yield Finding("fine", "faults", text)


def threads() -> Iterator[Finding]:
    """Thread pools of BLAS and OpenMP."""
    pools = [f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpoolctl.threadpool_info()]
    found = ", ".join(pools) or "none"
    yield Finding("fine", "threads", f"of BLAS and OpenMP in this process: {found}; 1 in each worker")


def fonts() -> Iterator[Finding]:
    """Look for the default font, and for a place to keep the list of fonts."""
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont

    from forkmaps.style import Style

    name = Style().font
    try:
        path = findfont(FontProperties(family=name), fallback_to_default=False)
    except ValueError as error:
        yield Finding("wrong", "fonts", f"{name} is missing ({error})", "install matplotlib anew")
    else:
        yield Finding("fine", "fonts", f"{name}: {path}")
    if Path(matplotlib.get_cachedir()).name.startswith("matplotlib-"):  # a temporary folder
        remedy = "set MPLCONFIGDIR to a folder that can be written"
        yield Finding("note", "fonts", "the list of fonts is made anew by each run, which takes time", remedy)


def encoder() -> Iterator[Finding]:
    """Tell what encodes pictures."""
    try:
        yield Finding("fine", "PNG", f"encoded by libdeflate (deflate {metadata.version('deflate')})")
    except metadata.PackageNotFoundError:
        text = "encoded by Pillow: larger files in four times the time"
        yield Finding("note", "PNG", text, "pip install deflate")


def processors() -> Iterator[Finding]:
    """CPUs that this process may use."""
    quota = cgroup_quota()
    bound = "" if quota is None else f", a quota of {quota:g}"
    text = f"{usable_cpus()} to use: so many workers by default ({os.cpu_count()} in the machine{bound})"
    yield Finding("fine", "CPUs", text)


def memory() -> Iterator[Finding]:
    """Memory that is left."""
    usable, total = usable_memory(), psutil.virtual_memory().total
    bound = "".join(f", limited to {limit / 1e9:.1f} GB" for limit in memory_limits())
    text = f"{usable / 1e9:.1f} GB to use ({total / 1e9:.1f} GB in the machine{bound})"
    if usable < LITTLE_MEMORY:
        remedy = "draw with few workers (--workers 1), or on a machine with more"
        yield Finding("note", "memory", text, remedy)
    else:
        yield Finding("fine", "memory", text)


def folders() -> Iterator[Finding]:
    """Folders that are written to: the cache."""
    from forkmaps.cache import Cache

    folder = Cache().folder
    if folder.is_absolute() and can_write(folder):
        yield Finding("fine", "cache", str(folder))
    else:
        text = f"{folder} can't be written: boundaries are prepared anew by each run"
        yield Finding("note", "cache", text, "make it writable, or set XDG_CACHE_HOME to another folder")


def can_write(folder: Path) -> bool:
    """Tell whether files can be made in a folder, or the folder itself where it isn't there yet."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def trial_maps() -> Iterator[Finding]:
    """Draw maps with and without workers, in a process of their own that can be stopped; compare them."""
    with tempfile.TemporaryDirectory(prefix="forkmaps-doctor-") as folder:
        said = draw_apart(Path(folder))
        differ = differences(Path(folder))
    if said:
        yield Finding("wrong", "trial", said, "draw without workers (--workers 0), and report it")
    elif differ:
        text = f"{len(differ)} of {TRIAL_MAPS} maps of forked workers differ from those of one process"
        yield Finding("wrong", "trial", text, "draw without workers (--workers 0), and report it")
    else:
        yield Finding(
            "fine", "trial", f"{TRIAL_MAPS} maps by 2 forked workers: as by one process, to the byte"
        )


EXAMINATIONS: dict[str, Callable[[], Iterable[Finding]]] = {
    "system": system,
    "versions": versions,
    "faults": known_faults,
    "forking": forking,
    "trial": trial_maps,
    "threads": threads,
    "fonts": fonts,
    "PNG": encoder,
    "CPUs": processors,
    "memory": memory,
    "cache": folders,
}
"""What is looked at, in this order."""
