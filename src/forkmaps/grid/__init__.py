"""Grids of plots: each panel is drawn by a worker that shares the data, and keeps its exact pixels.

    fig, axes = parallel_plot(lambda data, fig, axes: axes.violinplot(data), data=x, grid_shape=(3, 10))
    plt.show()

A worker gets the number of a panel, takes its item from the data that it shares with this process (`items`),
and sends the panel's pixels back (`panels`). The figure is made when all panels are there, so that no worker
inherits a window (`livefigure`).
"""

from __future__ import annotations

import inspect
import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from matplotlib.figure import Figure
from numpy.typing import NDArray

from forkmaps.errors import DrawingError, first_of, function_name
from forkmaps.grid.items import Items
from forkmaps.grid.livefigure import live_figure
from forkmaps.grid.panels import Cell, PanelDrawer, PlotFunction, draw_panels
from forkmaps.pool import StartMethod
from forkmaps.progress import Progress

__all__ = ["parallel_plot"]

_SHOWN_FAILURES = 20
"""So many failed panels are named by the warning; one mistake can fail all of them."""


def parallel_plot(
    plot_fn: PlotFunction,
    data: Iterable[Any],
    grid_shape: tuple[int, int],
    total: int | None = None,
    preprocessing_fn: Callable[[Any], Any] | None = None,
    col_labels: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    grid_cell_size: tuple[float, float] = (6, 12),
    switch_axis: bool = False,
    show_progress: bool = True,
    in_memory: bool = True,
    mp_context: Any = None,
    max_workers: int | None = None,
) -> tuple[Figure, NDArray[Any]]:
    """Draw a grid of panels in parallel, one for each item of the data; return a live pyplot figure.

    The parameters are those of `parallel_plot` in the package parallelplot. But the data is shared with the
    workers, not pickled; functions may be lambdas and closures; panels keep their exact pixels.

    Parameters
    ----------
    plot_fn : callable
        `plot_fn(item, fig, axes)` draws a panel, in a worker. The figure `fig` has the size of a cell and is
        pyplot's current one; `axes` leave margins of the same width on all panels, in which tick labels, axis
        labels and a title fit (`fig.subplots_adjust` or a layout engine changes them). What the function
        returns is not used.
    data : iterable
        An item for each panel. A sequence or an array (along its first axis) is shared, and so are the items
        of another collection. Items of a generator are made in this process when a worker is free for them,
        and pickled.
    grid_shape : (int, int)
        Rows and columns. Cells without an item stay empty.
    total : int
        The number of items, of those that have no length; or of the first ones that are wanted.
    preprocessing_fn : callable
        Called with an item in the worker; `plot_fn` gets what it returns.
    col_labels, row_labels : sequence of str
        Titles of the first row's axes; y labels of the first column's.
    grid_cell_size : (float, float)
        Width and height of a cell, in inches. The figure has the size of all cells, and room for the labels.
    switch_axis : bool
        Fill the grid column by column, not row by row.
    show_progress : bool
        Show progress on stderr: a bar on a terminal or in a notebook, else lines.
    in_memory : bool
        Pixels come from the workers through memory; False: through temporary files.
    mp_context : None, "fork", "forkserver", "spawn" or a context of multiprocessing
        How workers come into being; None: by fork where that is safe.
    max_workers : int
        Most workers; None or -1: one for each usable CPU; 0: draw in this process.

    Returns
    -------
    fig : Figure
        Managed by pyplot: `plt.show()` and `fig.savefig` work, and it can be changed. At the figure's own
        resolution a picture of it has the panels' pixels as they were drawn; at others they are resampled.
    axes : (rows, columns) array of Axes
        One for each cell, without ticks or frame, with its panel as an image. A panel that failed has the
        error's text in its place.

    Warns
    -----
    UserWarning
        Once, naming the panels that failed.

    Raises
    ------
    DrawingError
        More items or labels than cells, a shape or size that is none, or a function that can't be called so.
    PoolError
        There is no such start method, or workers can't be started.
    ForkUnsafe
        A worker forked from this process could hang.
    """
    shape, cell = _Shape.of(grid_shape, switch_axis), Cell.of(grid_cell_size)
    _check_labels(col_labels, shape.columns, "col_labels", "columns")
    _check_labels(row_labels, shape.rows, "row_labels", "rows")
    _check_call(plot_fn, "plot_fn", "(item, fig, axes)")
    if preprocessing_fn is not None:
        _check_call(preprocessing_fn, "preprocessing_fn", "(item)")
    items = Items.of(data, total, cells=shape.rows * shape.columns)
    drawer = PanelDrawer(plot_fn, preprocessing_fn, items, cell)
    progress = Progress(items.total, sys.stderr if show_progress else None, unit="panel")
    panels = draw_panels(
        drawer,
        progress,
        in_memory=in_memory,
        max_workers=max_workers,
        start_method=_start_method(mp_context),
    )
    failed = {index: panel for index, panel in panels.items() if isinstance(panel, str)}
    places = {shape.place(index): panel for index, panel in panels.items()}
    figure = live_figure((shape.rows, shape.columns), cell, places, col_labels or (), row_labels or ())
    if failed:
        warnings.warn(_told(failed, len(panels), shape), stacklevel=2)
    return figure


@dataclass(frozen=True, slots=True)
class _Shape:
    """The grid: how many rows and columns, and the order in which they are filled."""

    rows: int
    columns: int
    by_columns: bool

    @classmethod
    def of(cls, grid_shape: tuple[int, int], by_columns: bool) -> Self:
        try:
            rows, columns = map(operator.index, grid_shape)
        except (TypeError, ValueError):
            rows = columns = 0
        if min(rows, columns) < 1:
            raise DrawingError(f"grid_shape {grid_shape!r} is not (rows, columns), two whole numbers from 1")
        return cls(rows, columns, by_columns)

    def place(self, index: int) -> tuple[int, int]:
        """Return the row and column of an item's panel."""
        if self.by_columns:
            return index % self.rows, index // self.rows
        return index // self.columns, index % self.columns


def _start_method(context: Any) -> StartMethod:
    """Return the method that a context of multiprocessing stands for."""
    if context is None:
        return "auto"
    name: Any = context if isinstance(context, str) else context.get_start_method()
    method: StartMethod = name  # the pool looks whether it is one
    return method


def _check_labels(labels: Sequence[str] | None, cells: int, name: str, what: str) -> None:
    if labels is not None and len(labels) > cells:
        raise DrawingError(
            f"{name}: {len(labels)} labels for {cells} {what}; leave out some, or make more {what}"
        )


def _check_call(function: Any, option: str, wanted: str) -> None:
    """Raise DrawingError for a function whose parameters are others; all panels would fail of it."""
    if not callable(function):
        raise DrawingError(f"{option}: {function!r:.100} is not a function; it is called with {wanted}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # of some written in C nothing is known
    try:
        signature.bind(*wanted.split(","))
    except TypeError as error:
        called = f"{function_name(function)}{signature}"
        raise DrawingError(f"{option}: {called} can't be called with {wanted}: {error}") from error


def _told(failed: Mapping[int, str], total: int, shape: _Shape) -> str:
    told = []
    for index in sorted(failed):
        row, column = shape.place(index)
        told.append(f"item {index} (row {row}, column {column}): {failed[index]}")
    return "\n  ".join([f"{len(failed)} of {total} panels failed:", *first_of(told, _SHOWN_FAILURES)])
