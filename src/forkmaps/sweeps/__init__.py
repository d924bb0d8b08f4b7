"""Sweeps: a figure for each combination of parameters, in nested folders, drawn by workers.

    sweep(draw, {"k0": [0.1, 0.2], "nu": [1e-3, 1e-4]}, "out", data, file="k0={k0:.2f}/rc-{nu:.3e}.png")

All files are named before anything is drawn, so that no two figures have one name (`planning`). A worker gets
the number of a combination, selects its part of the data that it shares (`selection`), draws, and writes the
file beside its place; this process puts it there (`drawing`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forkmaps.output import locked, make_folders, sweep_stale
from forkmaps.pool import StartMethod
from forkmaps.progress import Progress
from forkmaps.sweeps.drawing import Drawer, DrawFunction, Outcomes, draw_all
from forkmaps.sweeps.planning import SweepPlan
from forkmaps.sweeps.report import SweepFailure, SweepReport
from forkmaps.sweeps.selection import Selection

__all__ = ["SweepFailure", "SweepReport", "sweep"]


def sweep(
    draw: DrawFunction,
    parameters: Mapping[str, Iterable[Any]],
    out: str | Path,
    data: Any = None,
    *,
    file: str | None = None,
    dpi: float | None = None,
    skip_existing: bool = False,
    workers: int | None = None,
    timeout: float | None = None,
    start_method: StartMethod = "auto",
    show_progress: bool = True,
) -> SweepReport:
    """Draw a figure for each combination of parameters, and write it to a file of its own.

    Parameters
    ----------
    draw : callable
        Called in a worker as `draw(selected, **combination)`, or without data as `draw(**combination)`. It
        returns a matplotlib figure (or its axes, an artist, `plt.subplots()`'s pair; or pixels as (rows,
        columns, 3 or 4) uint8), or draws on pyplot's current figure and returns nothing.
    parameters : mapping of str to iterable
        Each parameter's values. The last one varies fastest.
    out : path
        Folder of the files; need not exist.
    data : DataArray, Dataset or any object
        What the figures show; shared with the workers. Of a labelled array of xarray `draw` gets the
        selection, made in the worker, of those parameters that are its dimensions: floats select the nearest
        coordinate, other values the one that is equal. The selection's arrays are read-only.
    file : str
        Template of the files' names in the folder: a field for each parameter that varies, folders, and the
        suffix .png, .webp, .pdf or .svg. Default: a folder `name=value` for each parameter but the last,
        which names a PNG file.
    dpi : float
        Pixels per inch; default: each figure's own.
    skip_existing : bool
        Leave figures whose files are there. Files appear whole or not at all, so that a sweep that was
        stopped goes on where it stood. Whether `draw` or the data has changed since is not looked at.
    workers : int
        None: one for each usable CPU; 0: draw in this process.
    timeout : float
        Seconds that one figure may take.
    start_method : "auto", "fork", "forkserver" or "spawn"
        How workers come into being.
    show_progress : bool
        Show progress on stderr: a bar on a terminal or in a notebook, else lines.

    Returns
    -------
    SweepReport
        The files, and which combinations failed.

    Raises
    ------
    DrawingError
        A parameter has no values, or one that the data's coordinate can't have.
    StyleError
        The template has a field that is no parameter, or a format that doesn't fit a value.
    OutputError
        Two figures would have one file, a name is none that a file can have, the folder can't be made, or
        another run is writing there.
    DiskFullError
        The disk is full.
    ForkUnsafe
        A worker forked from this process could hang.
    """
    begin = time.perf_counter()
    plan = SweepPlan.of(parameters, Path(out), file)
    drawer = Drawer(draw, Selection.of(data, parameters=plan.values), plan, dpi)
    make_folders([plan.folder / "any", *plan.paths])
    with locked(plan.folder):
        sweep_stale(plan.folder)
        to_draw = [i for i, path in enumerate(plan.paths) if not (skip_existing and path.is_file())]
        progress = Progress(len(to_draw), sys.stderr if show_progress else None, unit="figure")
        outcomes = Outcomes(plan, progress)
        try:
            draw_all(drawer, to_draw, outcomes, workers=workers, timeout=timeout, start_method=start_method)
        finally:
            # What workers wrote whose figures got no place: they died, or the sweep was stopped.
            sweep_stale(plan.folder)
    return SweepReport(
        folder=str(plan.folder),
        figures=len(outcomes.done),
        failed=len(outcomes.failures),
        skipped=len(plan.paths) - len(to_draw),
        seconds=round(time.perf_counter() - begin, 3),
        failures=tuple(outcomes.failures),
        outputs=tuple(str(plan.paths[index]) for index in sorted(outcomes.done)),
    )
