"""Whose code the threads run that Python did not start: GDAL's, OpenBLAS's, somebody's.

The system names them all alike. But a thread that waits has the addresses it will return to on its stack,
and those near the stack's end lie in the library that started it. Linux shows both to the process itself.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

THREADS = Path("/proc/self/task")
"""Where Linux lists the threads of this process."""

STACK_BYTES = 4096
"""How much of a stack is read. A pool's thread that waits for work is some 500 bytes deep."""

WORD = struct.Struct("=Q")
"""An address on a stack; on a 32-bit system nothing is found, and every thread is unknown."""

RUNTIME = ("[", "ld-", "libc.", "libc-", "libgcc", "libm.", "libpthread", "libpython", "libstdc++", "python")
"""Beginnings of the names of files that any thread's stack leads to, and that say nothing of its owner."""


class Code(NamedTuple):
    """A stretch of memory that holds a file's machine code: from `start` up to `end`."""

    start: int
    end: int
    path: str


def native_threads() -> dict[int, str | None]:
    """Find the library that each thread runs which Python does not know.

    Returns
    -------
    dict of int to str or None
        Path of the library by the thread's id; None where it is not known: the thread was running, or the
        system does not tell. Takes 2 ms with a few threads, 0.05 ms without any; always empty off Linux.
    """
    strangers = _strangers()
    code = loaded_code() if strangers else []
    starts = [stretch.start for stretch in code]
    return {thread: _owner(thread, code, starts) for thread in strangers}


def _strangers() -> list[int]:
    known = {thread.native_id for thread in threading.enumerate()} | {threading.get_native_id()}
    try:
        return sorted({int(name) for name in os.listdir(THREADS)} - known)
    except OSError:
        return []


def loaded_code() -> list[Code]:
    """List the machine code in this process's memory, by its addresses."""
    with suppress(OSError), open("/proc/self/maps") as lines:
        entries = (line.rstrip("\n").split(maxsplit=5) for line in lines)
        return sorted(_code(entry) for entry in entries if len(entry) == 6 and entry[1][2] == "x")
    return []


def _code(entry: list[str]) -> Code:
    start, end = (int(address, 16) for address in entry[0].split("-"))
    return Code(start, end, entry[5])


def _owner(thread: int, code: list[Code], starts: list[int]) -> str | None:
    """Return the library whose code is nearest to the end of a waiting thread's stack."""
    for (address,) in reversed(list(WORD.iter_unpack(_stack(thread)))):
        place = bisect_right(starts, address) - 1
        if place >= 0 and address < code[place].end and not is_runtime(code[place].path):
            return code[place].path
    return None


def _stack(thread: int) -> bytes:
    """Read the innermost part of a thread's stack, in whole words; nothing while it runs."""
    try:
        call = (THREADS / str(thread) / "syscall").read_text().split()
        if len(call) < 2 or sys.maxsize < 2**32:  # "running"
            return b""
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(int(call[-2], 16))  # the stack pointer; the last one is the program counter
            data = memory.read(STACK_BYTES)
    except (OSError, ValueError, OverflowError):
        return b""
    return data[: len(data) // WORD.size * WORD.size]


def is_runtime(path: str) -> bool:
    """Tell whether a file belongs to the C library, the compiler or Python itself."""
    return os.path.basename(path).startswith(RUNTIME)
