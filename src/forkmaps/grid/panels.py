"""The panels of a grid: drawn by workers, returned as pixels, or as the text of what went wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from forkmaps.drawers import drawing_pool
from forkmaps.encode import Picture
from forkmaps.errors import DrawingError
from forkmaps.figures import figure_pixels, own_figures
from forkmaps.grid.items import Items, Job
from forkmaps.pool import Failed, StartMethod
from forkmaps.progress import Progress

PlotFunction: TypeAlias = Callable[[Any, Figure, Any], object]
Panel: TypeAlias = Picture | str
"""Its pixels, (rows, columns, 3 or 4) uint8; or the text of an error."""

_MARGINS = {"left": 0.85, "right": 0.2, "bottom": 0.55, "top": 0.35}
"""Inches around a panel's axes: tick labels and an axis label fit in, above a title."""
_MOST_MARGIN = 0.3
"""... but no more than this share of the cell at either side."""
_AS_MANY_AS_POSSIBLE = -1
"""As `max_workers`: the same as None."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The size of a panel: width and height in inches, and pixels per inch."""

    width: float
    height: float
    dpi: float

    @classmethod
    def of(cls, size: tuple[float, float]) -> Self:
        """Return a cell of a size in inches, at matplotlib's resolution."""
        try:
            width, height = map(float, size)
        except (TypeError, ValueError):
            width = height = 0.0
        cell = cls(width, height, float(mpl.rcParams["figure.dpi"]))
        if not (0 < width < np.inf and 0 < height < np.inf and min(cell.pixels) >= 1):
            raise DrawingError(f"grid_cell_size {size!r} is not (width, height) in inches")
        return cell

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height in pixels, cut off as matplotlib does."""
        return int(self.width * self.dpi), int(self.height * self.dpi)

    def figure(self) -> Figure:
        """Make a pyplot figure of this size, on which a subplot leaves margins for its labels."""
        figure = pyplot.figure(figsize=(self.width, self.height), dpi=self.dpi)
        across = {side: min(_MARGINS[side] / self.width, _MOST_MARGIN) for side in ("left", "right")}
        up = {side: min(_MARGINS[side] / self.height, _MOST_MARGIN) for side in ("bottom", "top")}
        figure.subplots_adjust(across["left"], up["bottom"], 1 - across["right"], 1 - up["top"])
        return figure


@dataclass(frozen=True, slots=True)
class PanelDrawer:
    """Draws panels, in a worker.

    Attributes
    ----------
    plot, preprocess : callable
        The user's functions.
    items : Items
    cell : Cell
        The size of all panels.
    folder : str or None
        Where pixels are written to; None: they are returned.
    """

    plot: PlotFunction
    preprocess: Callable[[Any], Any] | None
    items: Items
    cell: Cell
    folder: str | None = None

    def draw(self, job: Job) -> Picture | Path:
        """Draw a panel; return its pixels, or the file that they are in."""
        pixels = self._pixels(self.items.item(job))
        if self.folder is None:
            return pixels
        path = Path(self.folder, f"{job.index}.npy")
        np.save(path, pixels)
        return path

    def _pixels(self, item: Any) -> Picture:
        if self.preprocess is not None:
            item = self.preprocess(item)
        with own_figures():
            figure = self.cell.figure()
            self.plot(item, figure, figure.add_subplot())
            figure.set_size_inches(self.cell.width, self.cell.height)
            pixels = figure_pixels(figure, dpi=self.cell.dpi)
        is_opaque = bool((pixels[:, :, 3] == 255).all())
        return np.ascontiguousarray(pixels[:, :, :3]) if is_opaque else pixels


def draw_panels(
    drawer: PanelDrawer,
    progress: Progress,
    *,
    in_memory: bool,
    max_workers: int | None,
    start_method: StartMethod,
) -> dict[int, Panel]:
    """Draw all panels; return them by the numbers of their items."""
    panels: dict[int, Panel] = {}
    with nullcontext() if in_memory else tempfile.TemporaryDirectory(prefix="forkmaps-") as folder:
        draw = replace(drawer, folder=folder).draw
        workers = None if max_workers == _AS_MANY_AS_POSSIBLE else max_workers
        pool = drawing_pool(draw, workers=workers, start_method=start_method)
        with pool, progress:
            for outcome in pool.run(drawer.items.jobs()):
                panels[outcome.job.index] = (
                    outcome.message if isinstance(outcome, Failed) else _received(outcome.value)
                )
                progress.step()
    return panels


def _received(pixels: Picture | Path) -> Picture:
    if not isinstance(pixels, Path):
        return pixels
    loaded: Picture = np.load(pixels)
    pixels.unlink()
    return loaded
