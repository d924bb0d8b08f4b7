"""Memory of workers: what each holds for itself, and what all processes of a run hold together.

The bound of the sum: 1.15 times the shared data, one process that has only imported everything, and 45 MB for
each worker. It holds after a start with an empty cache as with a full one: what a parent computes leaves
holes in its memory, which its workers fill with pages of their own. The figures are the worse ones of both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parts.findings import Findings
from parts.places import BenchData
from parts.preparation import in_new_process

WORKERS = (2, 4, 8)
MAPS_PER_WORKER = 50
DATA_SHARE = 1.15
WORKER_MB = 45.0

_BARE = """
import os
import forkmaps.run.batch, forkmaps.cli, forkmaps.mapset, forkmaps.plan
from forkmaps.pool.tasks import memory_of
print(memory_of(os.getpid()).pss_mb)
"""


def measure(data: BenchData) -> Findings:
    """Draw 50 maps per worker with 2, 4 and 8 workers, and measure all processes before they end."""
    bare = float(output_of(["-c", _BARE]))
    in_new_process(data.map_set)  # fills the cache
    empty = data.scratch / "empty-cache"
    shutil.rmtree(empty, ignore_errors=True)
    warm = runs_in_new_process(data, WORKERS)
    cold = runs_in_new_process(data, WORKERS[-1:], cache=empty)
    data_mb = warm["data_mb"]
    bound = DATA_SHARE * data_mb + bare + WORKERS[-1] * WORKER_MB
    figures = {
        "private_mb": max(largest(warm), largest(cold)),
        "pss_over_bound": max(warm["runs"][-1]["pss_mb"], cold["runs"][-1]["pss_mb"]) / bound,
    }
    details = {"data_mb": data_mb, "bare_process_mb": bare, "bound_mb": bound}
    return Findings(figures, {**details, "warm": summary(warm, bound), "cold": summary(cold, bound)})


def summary(found: dict[str, Any], bound: float) -> dict[str, Any]:
    pss = found["runs"][-1]["pss_mb"]
    return {"private_mb": largest(found), "pss_over_bound": pss / bound, "runs": found["runs"]}


def largest(found: dict[str, Any]) -> float:
    return max(max(run["private_mb"]) for run in found["runs"])


def output_of(arguments: Sequence[str | Path], **environment: str) -> str:
    """Run this Python in the folder of the benchmarks; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def runs_in_new_process(data: BenchData, workers: Sequence[int], cache: Path | None = None) -> dict[str, Any]:
    """Load the map set in a new process, with the benchmark's cache or another, and draw with its workers."""
    arguments = ["-m", __name__, data.map_set, data.scratch, *map(str, workers)]
    return json.loads(output_of(arguments, **({} if cache is None else {"XDG_CACHE_HOME": str(cache)})))


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


def main(arguments: list[str]) -> None:
    from parts.common import LoadedSet

    map_set, scratch, *workers = arguments
    loaded = LoadedSet.of(Path(map_set), Path(scratch))
    runs = [run(loaded, int(number)) for number in workers]
    print(json.dumps({"data_mb": loaded.shared.nbytes / 1e6, "runs": runs}))


if __name__ == "__main__":
    main(sys.argv[1:])
