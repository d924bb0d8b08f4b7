"""Seconds that the command takes for a set of 500 maps of which nothing has changed: none is drawn."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from parts.commands import COMMAND
from parts.data import EAST, NORTH, SOUTH, WEST
from parts.findings import Findings, spread
from parts.places import BenchData

MAPS = 500
ROUNDS = 5
SEED = 1


def measure(data: BenchData) -> Findings:
    """Draw the maps once, then run the command again and again."""
    path, folder = write_set(data), data.scratch / "rerun"
    shutil.rmtree(folder, ignore_errors=True)
    drawn, _ = run(path, folder)
    if drawn["maps"] != MAPS:
        raise RuntimeError(f"{drawn['maps']} of {MAPS} maps were drawn: {drawn['failures'][:3]}")
    reruns = [run(path, folder) for _ in range(ROUNDS)]
    shutil.rmtree(folder)
    if any(report["skipped"] != MAPS for report, _ in reruns):
        raise RuntimeError(f"maps were drawn again: {[report['maps'] for report, _ in reruns]}")
    seconds = spread([taken for _, taken in reruns])
    details = {"seconds": seconds, "seconds_after_loading": spread([one["seconds"] for one, _ in reruns])}
    return Findings({"rerun_seconds": seconds["median"]}, details)


def write_set(data: BenchData) -> Path:
    """Write the benchmark's map set with other regions: of 3 to 6 degrees, all over the raster."""
    dice = random.Random(SEED)
    rows = ["name,west,east,south,north,title"]
    for number in range(MAPS):
        west, south = dice.uniform(WEST + 8, EAST - 18), dice.uniform(SOUTH + 8, NORTH - 12)
        width, height = dice.uniform(4, 8), dice.uniform(3, 6)
        rows.append(f"r{number},{west},{west + width},{south},{south + height},Region {number}")
    (data.folder / "rerun.csv").write_text("\n".join(rows) + "\n")
    before, regions, after = data.map_set.read_text().partition("[regions]\n")
    path = data.folder / "rerun.toml"
    path.write_text(f'{before}{regions}path = "rerun.csv"\n\n{after[after.index("[style]") :]}')
    return path


def run(path: Path, folder: Path) -> tuple[Any, float]:
    """Run the command; return its report and its seconds from start to end."""
    begin = time.perf_counter()
    done = subprocess.run(
        [COMMAND, "render", path, "--out", folder, "--json"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout), time.perf_counter() - begin
