"""A grid of plots over 2 GB: when panels begin with shared data, and when with items that are pickled."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from parts.findings import Findings
from parts.places import BenchData

PANELS = 16
SHAPE = (4096, 8192)
"""Of a panel's float32 values: 134 MB."""
WORKERS = 2
CELL = (2.0, 1.5)
STEP = 64
"""Of so many rows and columns one is shown: what is measured is the way of the data, not the drawing."""


def measure(data: BenchData) -> Findings:
    """Draw the grid both ways, over the same array; note when each panel begins, and its worker's memory."""
    from forkmaps import parallel_plot

    mpl.use("agg")
    values = np.full((PANELS, *SHAPE), 1.0, np.float32)
    marks = data.scratch / "panels"
    marks.parent.mkdir(parents=True, exist_ok=True)

    def shared() -> None:
        options: dict[str, Any] = {"grid_cell_size": CELL, "show_progress": False, "max_workers": WORKERS}
        parallel_plot(lambda item, fig, axes: draw(item, axes, marks), values, (4, 4), **options)

    ours, pickled = timed(shared, marks), timed(lambda: by_pickling(values, marks), marks)
    figures = {
        "grid_first_panel_seconds": ours["first"],
        "ratio_grid_pickled": pickled["all"] / ours["all"],
        "grid_private_mb": ours["private_mb"],
    }
    details = {"data_mb": values.nbytes / 1e6, "panels": PANELS, "shared": ours, "pickled": pickled}
    return Findings(figures, details)


def timed(grid: Callable[[], None], marks: Path) -> dict[str, float]:
    """Draw a grid; return the seconds to its first and its last panel's begin, to its end, and the memory."""
    marks.unlink(missing_ok=True)
    begin = time.monotonic()
    grid()
    end = time.monotonic()
    rows = np.loadtxt(marks, ndmin=2)
    if len(rows) != PANELS:
        raise RuntimeError(f"{len(rows)} of {PANELS} panels were drawn")
    starts, private = rows.T
    return {
        "first": starts.min() - begin,
        "last": starts.max() - begin,
        "all": end - begin,
        "private_mb": private.max(),
    }


def draw(item: NDArray[np.float32], axes: Any, marks: Path) -> None:
    """Draw a panel; note when it began, and its process's own memory after."""
    from forkmaps.pool.tasks import memory_of

    start = time.monotonic()
    axes.imshow(item[::STEP, ::STEP])
    memory = memory_of(os.getpid())
    if memory is None:
        raise RuntimeError("/proc tells no memory here")
    with open(marks, "a") as file:
        file.write(f"{start} {memory.private_mb}\n")


def by_pickling(values: NDArray[np.float32], marks: Path) -> None:
    """Draw the panels with multiprocessing's pool, which pickles each item on its way."""
    jobs = ((item, marks) for item in values)
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        for _ in pool.imap_unordered(pickled_panel, jobs):
            pass


def pickled_panel(job: tuple[NDArray[np.float32], Path]) -> Any:
    """Draw a panel of an item that was pickled; return its pixels."""
    item, marks = job
    figure = Figure(CELL)
    draw(item, figure.add_subplot(), marks)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
