"""Files as memory, of which the processes that look at them share one copy."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def mapped(path: Path) -> NDArray[np.uint8]:
    """Return a file's bytes, (size,) uint8, read-only, read when they are looked at; it isn't kept open.

    Raises
    ------
    OSError
        If it can't be opened or mapped.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:  # no system maps nothing
            return np.empty(0, np.uint8)
        if sys.platform == "win32":
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
        return np.asarray(_Map(file.fileno(), size))


class _Map:
    """A file's bytes in memory for as long as an array refers to it.

    `mmap.mmap` would keep a duplicate of the descriptor (until Python 3.13, which has ``trackfd=False``).
    """

    def __init__(self, descriptor: int, size: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
        libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.__array_interface__ = {"version": 3, "shape": (size,), "typestr": "|u1", "data": (address, True)}
        unmap = weakref.finalize(self, libc.munmap, address, size)
        unmap.atexit = False  # others may use the arrays until the very end
