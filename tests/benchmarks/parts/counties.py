"""All counties of the lower 48 by one command with two workers, against the median map on one worker.

The median map is that of every 21st county, drawn by one worker before and after the command.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from parts.clock import seconds_of
from parts.commands import COMMAND
from parts.common import LoadedSet, draw_to_file, in_worker
from parts.findings import Findings, spread
from parts.places import REPOSITORY, BenchData

MAP_SET = REPOSITORY / "regions" / "counties.toml"
EVERY = 21
WORKERS = 2


def measure(data: BenchData) -> Findings:
    """Run the command between two samples of its maps."""
    folder = data.scratch / "counties"
    loaded = LoadedSet.of(MAP_SET, folder)
    before = sample_seconds(loaded)
    wall, report = run_command(folder)
    seconds = before + sample_seconds(loaded)
    shutil.rmtree(folder)
    bound = report["maps"] * statistics.median(seconds) / WORKERS
    details = {
        "maps": report["maps"],
        "wall_seconds": wall,
        "drawing_seconds": report["seconds"],
        "bound_seconds": bound,
        "ms_per_map_one_worker": spread([1e3 * second for second in seconds]),
        "workers": report["workers"],
    }
    return Findings({"ratio_counties": wall / bound}, details)


def sample_seconds(loaded: LoadedSet) -> list[float]:
    drawer = loaded.drawer()
    jobs = loaded.planned[:1] + loaded.planned[::EVERY]  # the first map doesn't count
    return in_worker(lambda planned: seconds_of(draw_to_file, drawer, planned), jobs, drawer.prepare)[1:]


def run_command(folder: Path) -> tuple[float, dict[str, Any]]:
    """Draw all counties; return the seconds from the command's start to its end, and its report."""
    command = [COMMAND, "render", MAP_SET, "--workers", str(WORKERS), "--out", folder, "--json"]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, json.loads(done.stdout)
