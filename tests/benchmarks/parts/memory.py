"""Memory of workers: what each holds for itself, and what all processes of a run hold together.

The bound of the sum: 1.15 times the shared data, one process that has only imported everything, and 45 MB for
each worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from parts.findings import Findings
from parts.places import BenchData

WORKERS = (2, 4, 8)
MAPS_PER_WORKER = 50
DATA_SHARE = 1.15
WORKER_MB = 45.0

_BARE = """
import os
import forkmaps.batch, forkmaps.cli, forkmaps.mapset, forkmaps.plan, forkmaps.regions.layer
from forkmaps.pool.tasks import memory_of
print(memory_of(os.getpid()).pss_mb)
"""


def measure(data: BenchData) -> Findings:
    """Draw 50 maps per worker with 2, 4 and 8 workers, and measure all processes before they end."""
    bare = bare_process()  # before this process has imported what the two would share
    from parts.common import LoadedSet

    loaded = LoadedSet.of(data.map_set, data.scratch)
    runs = [run(loaded, workers) for workers in WORKERS]
    data_mb = loaded.shared.nbytes / 1e6
    bound = DATA_SHARE * data_mb + bare + WORKERS[-1] * WORKER_MB
    figures = {
        "private_mb": max(max(run["private_mb"]) for run in runs),
        "pss_over_bound": runs[-1]["pss_mb"] / bound,
    }
    return Findings(figures, {"data_mb": data_mb, "bare_process_mb": bare, "bound_mb": bound, "runs": runs})


def bare_process() -> float:
    """Return the memory, in MB, of a process that imports what a run imports, and loads nothing."""
    done = subprocess.run([sys.executable, "-c", _BARE], check=True, capture_output=True, text=True)
    return float(done.stdout)


def run(loaded: Any, workers: int) -> dict[str, Any]:
    """Draw with a number of workers, and return the memory of each, and the sum with their parent's."""
    from forkmaps.pool import Pool
    from forkmaps.pool.tasks import memory_of
    from parts.common import value_of

    drawer = loaded.drawer()
    count = workers * MAPS_PER_WORKER
    jobs = (loaded.planned * (count // len(loaded.planned) + 1))[:count]
    with Pool(drawer.draw, workers=workers, prepare=drawer.prepare) as pool:
        for outcome in pool.run(jobs):
            value_of(outcome)
        use, parent = pool.report(), memory_of(os.getpid())
    if parent is None:
        raise RuntimeError("/proc tells no memory here")
    return {
        "workers": workers,
        "maps": [one.jobs for one in use],
        "private_mb": [one.private_mb for one in use],
        "pss_mb": sum(one.pss_mb or 0.0 for one in use) + parent.pss_mb,
        "parent_mb": {"private": parent.private_mb, "pss": parent.pss_mb},
    }
