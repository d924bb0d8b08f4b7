"""Seconds that preparing boundaries and pyramid takes in a new process, without reading the raster's file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from parts.findings import Findings, spread
from parts.places import BenchData

ROUNDS = 5
"""The first, which fills the cache, doesn't count."""


def measure(data: BenchData) -> Findings:
    """Load the benchmark's map set in one process after the other."""
    without_cache = in_new_process(data.map_set, "--no-cache")
    runs = [in_new_process(data.map_set) for _ in range(ROUNDS)][1:]
    seconds = {key: spread([run[key] for run in runs]) for key in runs[0]}
    details = {"seconds": seconds, "seconds_without_cache": without_cache}
    return Findings({"prepare_seconds": seconds["prepare"]["median"]}, details)


def in_new_process(map_set: Path, *options: str) -> dict[str, float]:
    command = [sys.executable, "-m", __name__, map_set, *options]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def seconds_to_prepare(map_set: Path, *, use_cache: bool) -> dict[str, float]:
    """Load a map set; return the seconds of all of it, of reading the raster's file, and of the rest."""
    import forkmaps.raster.file
    import forkmaps.run.batch  # what a run imports, imports are another figure's
    from forkmaps import read_mapset
    from forkmaps.cache import Cache, NoCache
    from parts.clock import StageClock

    options = read_mapset(map_set)
    clock = StageClock()
    clock.watch(forkmaps.raster.file, "_read", "read")
    begin = time.perf_counter()
    options.load(Cache() if use_cache else NoCache())
    whole = time.perf_counter() - begin
    read = clock.take()["read"]
    return {"whole": whole, "read": read, "prepare": whole - read}


def main(arguments: list[str]) -> None:
    path, *options = arguments
    print(json.dumps(seconds_to_prepare(Path(path).resolve(), use_cache="--no-cache" not in options)))


if __name__ == "__main__":
    main(sys.argv[1:])
