"""Workers by each start method: the same pictures, the data once in memory, and how soon a worker is at work.

The bound of the data: 1.15 times what is shared, in all of four workers together. It is counted in the
mapping that spawned workers have of it; the parent has its own.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

from parts.findings import Findings
from parts.places import BenchData

METHODS = ("fork", "forkserver", "spawn")
WORKERS = 4
DATA_SHARE = 1.15
ROUNDS = 5
_IMPORTS = "import forkmaps.run.mapdrawer, forkmaps.figures, forkmaps.render, forkmaps.manifest.fingerprint"


def measure(data: BenchData) -> Findings:
    """Draw all states with four workers of each kind; start one worker of each kind several times."""
    from parts.common import LoadedSet

    loaded = LoadedSet.of(data.map_set, data.scratch)
    runs = {method: run(loaded, method) for method in METHODS}
    pictures = [found.pop("pictures") for found in runs.values()]
    imports = statistics.median(import_seconds() for _ in range(ROUNDS))
    starts = {
        method: statistics.median(start_seconds(loaded, method) for _ in range(ROUNDS)) for method in METHODS
    }
    data_mb = loaded.shared.nbytes / 1e6
    figures = {
        "start_methods_differ": float(sum(len(set(same)) > 1 for same in zip(*pictures, strict=True))),
        "spawn_data_over_bound": runs["spawn"]["mapped_mb"] / (DATA_SHARE * data_mb),
        "spawn_start_seconds": starts["spawn"] - imports,
    }
    shutil.rmtree(data.scratch)
    details = {"data_mb": data_mb, "import_seconds": imports, "start_seconds": starts, "runs": runs}
    return Findings(figures, details)


def run(loaded: Any, method: str) -> dict[str, Any]:
    """Draw all maps; measure the workers before they end."""
    from forkmaps.pool.tasks import memory_of

    begin = time.perf_counter()
    with pool_of(loaded, method, WORKERS) as pool:
        outcomes = {outcome.job.path: outcome for outcome in pool.run(loaded.planned)}
        seconds = time.perf_counter() - begin
        pids = [report.pid for report in pool.report()]
        mapped = sum(mapped_mb(pid) for pid in pids)
        memory = [memory_of(pid) for pid in pids]
    pictures = []
    for one in loaded.planned:
        temporary = outcomes[one.path].value.temporary
        pictures.append(hashlib.sha256(temporary.read_bytes()).hexdigest())
        temporary.unlink()
    return {
        "pictures": pictures,
        "seconds": seconds,
        "mapped_mb": mapped,
        "private_mb": [one.private_mb for one in memory if one],
        "pss_mb": [one.pss_mb for one in memory if one],
    }


def start_seconds(loaded: Any, method: str) -> float:
    """Return the seconds from the first job's arrival to the moment at which a worker begins with it."""
    drawer = loaded.drawer()
    begin = time.monotonic()  # one clock for all processes
    with pool_of(loaded, method, 1, lambda _: time.monotonic(), drawer.prepare) as pool:
        (outcome,) = pool.run([0])
    return outcome.value - begin


def pool_of(loaded: Any, method: str, workers: int, function: Any = None, prepare: Any = None) -> Any:
    from forkmaps.pool import Pool
    from forkmaps.pool.forkable import after_fork

    drawer = loaded.drawer()
    return Pool(
        function or drawer.draw,
        workers=workers,
        prepare=prepare or drawer.prepare,
        after_fork=after_fork,
        start_method=method,
    )


def import_seconds() -> float:
    """Return the seconds that a process takes which only imports what a worker does."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.perf_counter() - begin


def mapped_mb(pid: int) -> float:
    """Return a process's part (PSS), in MB, of mapped files without a name: the data that it was sent."""
    kilobytes, is_ours = 0, False
    with open(f"/proc/{pid}/smaps") as lines:
        for line in lines:
            first, *rest = line.split()
            if "-" in first and not first.endswith(":"):
                is_ours = line.rstrip().endswith("(deleted)")
            elif is_ours and first == "Pss:":
                kilobytes += int(rest[0])
    return kilobytes * 1024 / 1e6
