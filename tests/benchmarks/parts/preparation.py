"""Seconds that preparing boundaries and pyramid takes in a new process, without reading the raster's file."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parts.findings import Findings, spread
from parts.places import BenchData

ROUNDS = 5
"""The first, which fills the cache, doesn't count."""


def measure(data: BenchData) -> Findings:
    """Load the benchmark's map set in one process after the other."""
    runs = [in_new_process(data.map_set) for _ in range(ROUNDS)][1:]
    seconds = {key: spread([run[key] for run in runs]) for key in runs[0]}
    median = statistics.median(run["prepare"] for run in runs)
    return Findings({"prepare_seconds": median}, {"seconds": seconds})


def in_new_process(map_set: Path) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, map_set]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def seconds_to_prepare(map_set: Path) -> dict[str, float]:
    """Load a map set; return the seconds of all of it, of reading the raster's file, and of the rest."""
    import forkmaps.batch
    import forkmaps.rasterfile
    from forkmaps import read_mapset
    from parts.clock import StageClock

    options = read_mapset(map_set)
    clock = StageClock()
    clock.watch(forkmaps.rasterfile, "_read", "read")
    begin = time.perf_counter()
    options.load()
    whole = time.perf_counter() - begin
    read = clock.take()["read"]
    return {"whole": whole, "read": read, "prepare": whole - read}


def main(arguments: list[str]) -> Any:
    print(json.dumps(seconds_to_prepare(Path(arguments[0]).resolve())))


if __name__ == "__main__":
    main(sys.argv[1:])
