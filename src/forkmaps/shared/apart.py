"""Large layers are prepared by processes of their own, and come from the cache then.

What a process computes with millions of small objects leaves holes all over its memory. Workers forked from
it fill them with pages of their own: 30 MB more in each, for as long as they live. Besides, two layers are
prepared at the same time.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from forkmaps.cache import AnyCache, NoCache

if TYPE_CHECKING:
    from forkmaps.projection import MapProjection
    from forkmaps.shared.recipe import Boundary

_LARGE = 2_000_000
"""Bytes of a file that is worth a process, which takes half a second to start."""


def prepare_apart(boundaries: Mapping[str, Boundary], projection: MapProjection, cache: AnyCache) -> None:
    """Have large files prepared that are not in the cache yet.

    What goes wrong there is left to who reads the layer afterwards, and tells of it.
    """
    if isinstance(cache, NoCache):
        return
    wanted = {
        name: boundary
        for name, boundary in boundaries.items()
        if _is_large(boundary) and not boundary.is_kept(projection, cache)
    }
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, boundary in wanted.items():
            # What can't travel, or no process that starts, only takes longer.
            with suppress(OSError, pickle.PicklingError, AttributeError, TypeError):
                running.append(_start(pickle.dumps((boundary, name, projection, cache))))
        for process in running:
            process.wait()
    finally:
        for process in running:
            process.kill()
            process.wait()


def _is_large(boundary: Boundary) -> bool:
    return boundary.is_file and Path(boundary.source).is_file() and os.path.getsize(boundary.source) > _LARGE


def _start(order: bytes) -> subprocess.Popen[bytes]:
    """Start a process that does an order, where this one's modules are; it has nothing to say."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdin is not None, "it was asked for"
    try:
        with process.stdin as stdin:
            stdin.write(order)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def main() -> None:
    """Do an order: read a layer, which leaves it in the cache."""
    boundary, name, projection, cache = pickle.load(sys.stdin.buffer)
    boundary.read(name, projection, cache)


if __name__ == "__main__":
    main()
