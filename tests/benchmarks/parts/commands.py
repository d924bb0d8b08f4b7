"""How soon commands answer: the help, a wrong option, and a map set's first map with a cold and a warm cache.

Cold and warm are the caches of forkmaps. Files lie in the system's memory in all cases, and matplotlib keeps
its list of fonts.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from parts.findings import Findings, spread
from parts.places import REPOSITORY, BenchData

HELP_ROUNDS = 25
FIRST_MAP_ROUNDS = 5
WORKERS = 2
POLL_SECONDS = 0.002
LIMIT_SECONDS = 60.0

COMMAND = Path(sys.executable).with_name("forkmaps")
MAP_SET = REPOSITORY / "regions" / "us12.toml"
IMPORTS = "import cartopy.crs, rioxarray, matplotlib.figure, pyogrio"


def measure_help(_: BenchData) -> Findings:
    """Take turns between a bare Python, the help, and a wrong option."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "--help": [COMMAND, "--help"],
        "render --no-such-option": [COMMAND, "render", "--no-such-option"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(HELP_ROUNDS):
        for name, command in commands.items():
            seconds[name].append(seconds_to_end(command))
    bare, *ours = (statistics.median(times) for times in seconds.values())
    details = {name: spread([1e3 * time for time in times]) for name, times in seconds.items()}
    return Findings({"ratio_help": max(ours) / bare}, {"ms": details})


def measure_first_map(data: BenchData) -> Findings:
    """Take turns between importing the libraries, a run with an empty cache, and one with a full cache."""
    folder = data.scratch / "first-map"
    imports, cold, warm = [], [], []
    for _ in range(FIRST_MAP_ROUNDS):
        shutil.rmtree(folder, ignore_errors=True)
        imports.append(seconds_to_end([sys.executable, "-c", IMPORTS]))
        cold.append(seconds_to_first_map(folder / "cold", folder / "cache"))
        warm.append(seconds_to_first_map(folder / "warm", folder / "cache"))
    shutil.rmtree(folder)
    base = statistics.median(imports)
    figures = {"ratio_first_map": statistics.median(warm) / base}
    details = {
        "ratio_cold": statistics.median(cold) / base,
        "seconds": {"imports": spread(imports), "cold": spread(cold), "warm": spread(warm)},
    }
    return Findings(figures, details)


def seconds_to_end(command: Sequence[str | Path]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begin


def seconds_to_first_map(out: Path, cache: Path) -> float:
    """Run the command into an empty folder, to its end; return the seconds to the first map's file."""
    out.mkdir(parents=True)
    command = [COMMAND, "render", MAP_SET, "--workers", str(WORKERS), "--out", out]
    begin = time.perf_counter()
    with subprocess.Popen(
        command,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not has_map(out):
            if process.poll() is not None or time.perf_counter() - begin > LIMIT_SECONDS:
                process.kill()
                raise RuntimeError(f"forkmaps render {MAP_SET} made no map: {process.communicate()[1]}")
            time.sleep(POLL_SECONDS)
        seconds = time.perf_counter() - begin
        process.communicate()
    return seconds


def has_map(folder: Path) -> bool:
    """Whether a map is there: a file has its name only when it is whole."""
    with os.scandir(folder) as entries:
        return any(entry.name.endswith(".png") for entry in entries)
