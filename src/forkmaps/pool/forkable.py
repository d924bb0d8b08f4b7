"""May this process be forked? What can be put right is, before the fork or in the child; the rest is named.

A forked child has all of its parent's memory and one of its threads. So it waits for ever for a lock that
another thread held, and for a pool of threads that is not there. And it shares the place in every file that
is open: two processes that read through one handle read each other's bytes.

`check_forkable` runs in the parent before every fork, `after_fork` first thing in every child. What they do
about each danger, and the figures (2 CPUs, Python 3.11, without the guard and with it):

* fonts that the parent has drawn with, in a figure that 4 children draw again: 16 to 80 of 100 pictures
  garbled or failed, 0. Also 3 to 16 wrong and 45 to 220 failed of 1,200 windows of an open raster, 0.
  `own_offsets` gives the child files of its own, `reset_fonts` new fonts.
* GDAL, once it has read with several threads: a child hangs, unless its GDAL_NUM_THREADS is 1.
  A raster that such a GDAL keeps open hangs the child that reads it, whatever is set: an error.
* BLAS and OpenMP: OpenBLAS ends its threads before a fork and is safe; GNU's OpenMP doesn't, and a child
  hangs that uses more than one thread. So children use one.
* other Python threads, libraries with threads of their own (`NOT_IN_CHILDREN`), other systems than Linux:
  errors.
"""

from __future__ import annotations

import ctypes
import logging
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import FrameType
from typing import Any

import threadpoolctl
from numpy.typing import NDArray

from forkmaps.errors import ForkUnsafe
from forkmaps.pool.nativethreads import native_threads

TOLERATED_THREADS = ("execnet", "ipykernel", "IPython")
"""Packages whose threads were seen to leave forked children alone: in a notebook (ipykernel 7.4, whose
children may print, too) and under pytest-xdist."""

NOT_IN_CHILDREN: Mapping[str, str] = {
    "polars": "Polars (a forked process that calls it hangs: seen with 2.1.0, and its manual says so)",
    "jax": "JAX (a forked process that calls it hangs: seen with 0.10.2, and it warns of it)",
    "xla": "XLA (a forked process that calls it hangs: seen with JAX 0.10.2)",
    "cygrpc": "gRPC (its own preparations for a fork can lock up: its issue 22624)",
    "libcuda": "CUDA (it can't be used in a forked process)",
}
"""What to say of libraries whose threads are running, by a part of their files' names. Not on the list, since
parent and child could both use them: Arrow 26, HDF5, netCDF4. Nor Numba 0.68, whose OpenMP ends such a child
by SIGTERM, which the pool reports."""

GDAL = "libgdal"
"""Part of the name of GDAL's file; rasterio, pyogrio and others bring one each."""

WAY_OUT = (
    'or start workers in another way: start_method="auto", on the command line --start-method auto; '
    "or draw without any: workers=0, --workers 0"
)
"""What always works."""

STANDARD_STREAMS = 2
"""The last descriptor of those that a child shares with its parent on purpose."""

_log = logging.getLogger(__name__)


# In the parent


def check_forkable(arrays: Iterable[NDArray[Any]] = (), *, foreign_code: bool = True) -> None:
    """Make this process safe to fork, as far as that can be done. Takes 0.1 to 3 ms.

    Parameters
    ----------
    arrays
        What the children are to share: frozen, so that a write raises `ValueError` and not copies memory.
    foreign_code
        Whether children may run code that is not ours, such as a user's drawing function. Without, libraries
        that only endanger those who call them are logged and no error.

    Raises
    ------
    ForkUnsafe
        Naming all that stands in the way, and what to do about it.
    """
    freeze(arrays)
    stop_tqdm_monitor()
    found = [*wrong_systems(), *running_threads()]
    libraries = list(threaded_libraries())
    if foreign_code:
        found += libraries
    elif libraries:
        _log.debug("not used by our workers: %s", "; ".join(libraries))
    if found:
        raise ForkUnsafe("\n  ".join(["no worker can safely be forked from this process:", *found, WAY_OUT]))


def freeze(arrays: Iterable[NDArray[Any]]) -> None:
    """Make arrays read-only, for all who hold them."""
    for array in arrays:
        array.flags.writeable = False


def stop_tqdm_monitor() -> None:
    """End the thread of tqdm that redraws bars which stand still for long; the next bar starts another."""
    monitor = getattr(getattr(sys.modules.get("tqdm.std"), "tqdm", None), "monitor", None)
    if monitor is not None and monitor.is_alive():
        monitor.exit()


def wrong_systems() -> Iterator[str]:
    """Say what is wrong with forking on this system; nothing on Linux."""
    if sys.platform == "darwin":
        yield "on macOS, Apple's libraries (Accelerate among them) may crash or hang in a forked process"
    elif not hasattr(os, "fork"):
        yield f"this system ({sys.platform}) can't fork"


def running_threads() -> Iterator[str]:
    """Name the other threads that run Python code, but for those that are tolerated."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        package, origin = _origin(frame)
        if ident == threading.get_ident() or package in TOLERATED_THREADS:
            continue
        if ident == threading.main_thread().ident:
            yield "the main thread runs beside this one; draw in the main thread"
        else:
            yield (
                f'the thread "{names.get(ident, ident)}" is running ({origin}): what it locks would stay '
                "locked in a worker; end it first (an executor by its shutdown())"
            )


def _origin(frame: FrameType) -> tuple[str, str]:
    """Return the package, and the function with its module, that a thread was started to run."""
    module, origin = threading.__name__, threading.__name__
    step: FrameType | None = frame
    while step is not None:
        name = step.f_globals.get("__name__", "?")
        if name != threading.__name__:
            module, origin = name, f"{name}.{step.f_code.co_name}"
        step = step.f_back
    return module.partition(".")[0], origin


def threaded_libraries() -> Iterator[str]:
    """Name the libraries that have threads which a child would miss when it calls them."""
    libraries = {path for path in native_threads().values() if path is not None}
    for path in sorted(libraries):
        name = os.path.basename(path)
        reason = next((why for part, why in NOT_IN_CHILDREN.items() if part in name), None)
        if reason is not None:
            yield f"threads are running of {reason}; use it in another process"
        elif GDAL in name:
            yield from held_rasters(path)
        else:
            _log.debug("threads are running of %s", path)


def held_rasters(path: str) -> Iterator[str]:
    """Name the rasters that a GDAL which has used threads keeps open."""
    for name in open_datasets(path):
        yield (
            f'"{name}" is open, and GDAL has read with several threads: a worker that reads it would hang; '
            "close it, or set GDAL_NUM_THREADS=1 before anything is read"
        )


def open_datasets(path: str) -> list[str]:
    """Ask a GDAL, given by the path of its file, for the names of all datasets that are open."""
    gdal = _gdal(path)
    if gdal is None:
        return []
    datasets, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
    gdal.GDALGetOpenDatasets(ctypes.byref(datasets), ctypes.byref(count))
    names = (gdal.GDALGetDescription(datasets[i]) for i in range(count.value))
    return [name.decode(errors="replace") for name in names]


@cache
def _gdal(path: str) -> ctypes.CDLL | None:
    try:
        gdal = ctypes.CDLL(path)
        gdal.GDALGetDescription.argtypes = [ctypes.c_void_p]
        gdal.GDALGetDescription.restype = ctypes.c_char_p
        gdal.GDALGetOpenDatasets.restype = None
    except (OSError, AttributeError):  # replaced since it was loaded; or built without its C interface
        return None
    return gdal


# In the child


def after_fork() -> None:
    """Make a forked child safe; to be called first thing in each. Takes 4 ms, 15 ms the first time.

    It is called in our workers only, not by `os.register_at_fork`: what this does to the environment and to
    threads is not for every process that a user's program may fork.
    """
    own_offsets()
    use_one_thread()
    reset_fonts()


def own_offsets() -> int:
    """Open anew every file that is open for reading, so that neither process moves in the other's.

    Libraries that hold the file (GDAL, FreeType, SQLite) keep their descriptor and notice nothing.

    Returns
    -------
    int
        The number of files. Standard streams and files open for writing stay shared, as their writers expect.
    """
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:  # not Linux
        return 0
    return sum(_open_again(int(name)) for name in names if int(name) > STANDARD_STREAMS)


def _open_again(descriptor: int) -> bool:
    """Put a file of its own, at the same place in it, under a descriptor of a file that is only read."""
    import fcntl  # which Windows lacks

    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        if flags & os.O_ACCMODE != os.O_RDONLY or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        ours = os.open(f"/proc/self/fd/{descriptor}", flags & ~os.O_NOFOLLOW)  # which is a symbolic link
    except OSError:  # the listing's own descriptor; or a file that we may not open any more
        return False
    os.lseek(ours, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(ours, descriptor, inheritable=os.get_inheritable(descriptor))
    os.close(ours)
    return True


def use_one_thread() -> None:
    """Have GDAL, BLAS and OpenMP do their work in the thread that calls them."""
    os.environ["GDAL_NUM_THREADS"] = "1"
    rasterio, pyogrio = sys.modules.get("rasterio.env"), sys.modules.get("pyogrio")
    if rasterio is not None and rasterio.hasenv():  # what an Env sets goes before the environment
        rasterio.setenv(GDAL_NUM_THREADS=1)
    if pyogrio is not None:
        pyogrio.set_gdal_config_options({"GDAL_NUM_THREADS": 1})
    threadpoolctl.threadpool_limits(1)


def reset_fonts() -> None:
    """Have matplotlib open its fonts anew: those in use, and those in formulas that it has set before."""
    for cached in font_caches():
        cached.cache_clear()


def font_caches() -> list[Any]:
    """Return what keeps open fonts in matplotlib, where it is loaded."""
    fonts, formulas = sys.modules.get("matplotlib.font_manager"), sys.modules.get("matplotlib.mathtext")
    parser = getattr(formulas, "MathTextParser", None)
    found = getattr(fonts, "_get_font", None), getattr(parser, "_parse_cached", None)
    return [cached for cached in found if hasattr(cached, "cache_clear")]
