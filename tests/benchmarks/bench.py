"""Measure the figures of the fast map: `make bench`, or `python tests/benchmarks/bench.py --only png,help`.

Builds its data into out/bench/data on the first run, measures one part after the other, each in a process of
its own, prints a table, and writes out/bench.json (out/bench-only.json with --only). What counts are the
ratios: what they compare is measured in turns, so a machine that is busy or slow changes both sides.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.figures import table
from parts.machine import describe_machine
from parts.places import REPOSITORY, BenchData

OUT = REPOSITORY / "out"
DATA = BenchData(OUT / "bench" / "data")
PARTS = {
    "data": "data:make_ready",
    "png": "pictures:measure",
    "baseline": "baseline:measure",
    "cells": "cells:measure",
    "speedup": "scaling:measure",
    "memory": "memory:measure",
    "help": "commands:measure_help",
    "first": "commands:measure_first_map",
    "prepare": "preparation:measure",
    "rerun": "rerun:measure",
    "starts": "starts:measure",
    "grid": "grid:measure",
    "counties": "counties:measure",
}
"""Module and function of each part. `data` comes first: the others read what it builds."""


@dataclass
class Outcome:
    """What came of the parts."""

    figures: dict[str, float]
    details: dict[str, Any]
    failed: list[str]


def main() -> int:
    options = parser().parse_args()
    if options.measure:
        measure_here(options.measure, options.result)
        return 0
    with alone():
        return measure_and_tell(options.only)


def measure_and_tell(only: list[str] | None) -> int:
    """Measure, print the table, write the file; return the exit code."""
    begin = time.perf_counter()
    machine = describe_machine()
    outcome = measure_all(only or list(PARTS))
    shutil.rmtree(DATA.scratch, ignore_errors=True)
    seconds = round(time.perf_counter() - begin, 1)
    print(table(outcome.figures))
    print(f"{machine['cpu']}, {machine['cores']} cores; Python {machine['python']}; {seconds:.0f} s in all")
    content = {**outcome.figures, "details": outcome.details, "machine": machine, "seconds": seconds}
    path = OUT / ("bench-only.json" if only else "bench.json")
    path.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if outcome.failed else 0


@contextmanager
def alone() -> Iterator[None]:
    """Refuse to run beside another benchmark of this checkout: both would be wrong, and share their files."""
    DATA.folder.parent.mkdir(parents=True, exist_ok=True)
    with open(DATA.folder.parent / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another benchmark is running in {OUT}; wait for its end")
        yield


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Measure the figures of the fast map.")
    made.add_argument(
        "--only", type=part_names, metavar="PART,PART", help=f"only these of {', '.join(PARTS)}"
    )
    made.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    made.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return made


def part_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return list(dict.fromkeys(["data", *names]))


def measure_all(names: list[str]) -> Outcome:
    """Measure parts, one after the other; a part that fails doesn't stop the others."""
    outcome = Outcome({}, {}, [])
    for name in names:
        begin = time.perf_counter()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        result = measure_apart(name)
        print("failed" if result is None else f"{time.perf_counter() - begin:.1f} s", file=sys.stderr)
        if result is None:
            outcome.failed.append(name)
        else:
            outcome.figures |= result["figures"]
            outcome.details[name] = result["details"]
    return outcome


def measure_apart(name: str) -> Any:
    """Measure a part in a new process; return its findings, or None if it failed (it has said why)."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, __file__, "--measure", name, "--result", result]
        done = subprocess.run(command, env=environment(), cwd=REPOSITORY, check=False)
        return json.loads(result.read_text()) if done.returncode == 0 else None


def environment() -> dict[str, str]:
    """Return this process's environment, with caches of the benchmark's own: the user's tell nothing."""
    caches = {"XDG_CACHE_HOME": OUT / "bench" / "cache", "MPLCONFIGDIR": OUT / "bench" / "matplotlib"}
    return {**os.environ, **{name: str(path) for name, path in caches.items()}}


def measure_here(name: str, result: Path) -> None:
    module, function = PARTS[name].split(":")
    findings = getattr(importlib.import_module(f"parts.{module}"), function)(DATA)
    result.write_text(json.dumps({"figures": findings.figures, "details": findings.details}))


if __name__ == "__main__":
    sys.exit(main())
