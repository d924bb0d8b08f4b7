"""Trial maps: a small set of made-up data, drawn by one process and by forked workers, to be compared.

It takes the way that real maps take (`draw_maps`). First one process draws, so that the workers are forked
from a parent that has drawn: where text goes wrong, it shows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forkmaps.features import BoundaryFeature
    from forkmaps.raster import Raster

TRIAL_LIMIT = 90.0
"""Seconds for the trial maps in a process of their own; it takes 3 on a free processor."""

TRIAL_MAPS = 4
"""Two for each of two workers."""

SHOWN_LINES = 6
"""How much is told of what a process said before it failed: its last words name the cause."""

TRIAL_WORKERS = {"serial": 0, "forked": 2}
"""Folders of the maps, and the number of workers that draw them, in this order."""


def draw_apart(folder: Path) -> str:
    """Draw the trial maps in another process; return what went wrong, in a few lines."""
    code = f"from forkmaps.doctor.trial import draw_trial; draw_trial({str(folder)!r})"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=TRIAL_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the trial maps were not done after {TRIAL_LIMIT:g} s"
    if ended.returncode == 0:
        return ""
    words = "\n".join(ended.stderr.splitlines()[-SHOWN_LINES:])
    return f"the trial maps could not be drawn (exit code {ended.returncode}):\n{words}"


def differences(folder: Path) -> list[str]:
    """Return the names of maps that are missing, or not the same byte for byte, in the trial's folders."""
    folders = [folder / who for who in TRIAL_WORKERS]
    return [name for name in trial_names() if not _same(place / f"{name}.png" for place in folders)]


def _same(paths: Iterable[Path]) -> bool:
    contents = {path.read_bytes() if path.exists() else b"" for path in paths}
    return len(contents) == 1 and b"" not in contents


def trial_names() -> list[str]:
    """Return the names of the trial's regions."""
    return [f"trial-{number}" for number in range(TRIAL_MAPS)]


def draw_trial(folder: str) -> None:
    """Draw the trial maps twice: into `folder`/serial without workers, into `folder`/forked with two."""
    from forkmaps.plan import plan_maps
    from forkmaps.regions import Extent, Region
    from forkmaps.run.batch import Run, draw_maps
    from forkmaps.shared import SharedData, set_shared_data
    from forkmaps.style import Style

    raster, boundary = trial_data()
    shared = SharedData({"trial": raster}, {boundary.name: boundary}, boundary.projection)
    set_shared_data(shared)
    extents = [Extent(-105 + 2 * step, -93 + 2 * step, 33, 42) for step in range(TRIAL_MAPS)]
    regions = [Region(name, extent) for name, extent in zip(trial_names(), extents, strict=True)]
    for who, workers in TRIAL_WORKERS.items():
        plan = plan_maps(shared, regions, folder=Path(folder, who), style=Style(width=4, height=3))
        report = draw_maps(shared, plan, Run(workers=workers, timeout=TRIAL_LIMIT / 3))
        if report.failed:
            sys.exit(f"{who}: {report.failures[0].error}")


def trial_data() -> tuple[Raster, BoundaryFeature]:
    """Make a small raster and a boundary on a conic projection: no file is read."""
    import numpy as np
    import pyproj
    import shapely
    from affine import Affine

    from forkmaps.features import BoundaryFeature
    from forkmaps.projection import projection_from_text
    from forkmaps.raster import Raster

    values = np.arange(60 * 90, dtype=np.float32).reshape(1, 60, 90)
    transform = Affine(0.5, 0, -120, 0, -0.5, 52)
    raster = Raster(values, pyproj.CRS("EPSG:4326"), transform, name="Trial")
    projection = projection_from_text("+proj=lcc +lat_1=33 +lat_2=45 +lat_0=39 +lon_0=-96")
    box = shapely.box(-103, 35, -91, 41)
    return raster, BoundaryFeature([box], "EPSG:4326", projection, name="square")
