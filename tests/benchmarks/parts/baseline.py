"""The question's own script on two states, against our maps of the same two."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from parts.clock import seconds_of
from parts.common import LoadedSet, draw_to_file, in_worker
from parts.findings import Findings
from parts.places import BenchData

STATES = ("Colorado", "Ohio")
ROUNDS = 20
"""Of our two maps, before the script and again after it."""

SCRIPT = Path(__file__).parents[1] / "question.py"


def measure(data: BenchData) -> Findings:
    """Run the script in a process of its own, between two series of our maps."""
    folder = data.scratch
    before = our_seconds(data, folder)
    script = run_script(data, folder / "question")
    ours = statistics.median(before + our_seconds(data, folder))
    theirs = statistics.mean(script["seconds"])
    details = {"states": STATES, "our_seconds": ours, "script": script}
    return Findings({"ratio_baseline": theirs / ours}, details)


def our_seconds(data: BenchData, folder: Path) -> list[float]:
    loaded = LoadedSet.of(data.map_set, folder)
    drawer = loaded.drawer()
    chosen = [planned for planned in loaded.planned if planned.job.region.name in STATES]
    jobs = chosen * (ROUNDS + 1)
    return in_worker(lambda planned: seconds_of(draw_to_file, drawer, planned), jobs, drawer.prepare)[
        len(chosen) :
    ]


def run_script(data: BenchData, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, SCRIPT, data.folder, out, *STATES]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
