"""The figure of a grid: cells of whole pixels, so that a panel's pixels are the figure's."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from forkmaps.figures import inches
from forkmaps.grid.panels import Cell, Panel

_LINE_HEIGHT = 1.5
"""Height of a line of a label, in font sizes."""
_LETTER_WIDTH = 0.65
"""Width of a letter where lines are broken, in font sizes."""
_POINTS_PER_INCH = 72.0


def live_figure(
    shape: tuple[int, int],
    cell: Cell,
    panels: Mapping[tuple[int, int], Panel],
    col_labels: Sequence[str],
    row_labels: Sequence[str],
) -> tuple[Figure, NDArray[Any]]:
    """Make a pyplot figure of panels, given by row and column; return it and its (rows, columns) axes."""
    settings, (width, height) = mpl.rcParams, cell.pixels
    titles = _Labels.of(col_labels, settings["axes.titlesize"], settings["axes.titlepad"], width, cell.dpi)
    sides = _Labels.of(row_labels, settings["axes.labelsize"], settings["axes.labelpad"], height, cell.dpi)
    figure, axes = _empty_grid(shape, cell, left=sides.room, above=titles.room)
    for one, label in zip(axes[0], titles.texts, strict=False):
        one.set_title(label)
    for one, label in zip(axes[:, 0], sides.texts, strict=False):
        one.set_ylabel(label)
    for place, panel in panels.items():
        _show(panel, axes[place], cell)
    return figure, axes


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels along one side of the grid, in lines that fit a cell, and the pixels that they need."""

    texts: tuple[str, ...]
    room: int

    @classmethod
    def of(cls, labels: Sequence[str], size: float | str, pad: float, length: int, dpi: float) -> Self:
        """Return labels for cells of `length` pixels, of a size and with a distance in points."""
        if not labels:
            return cls((), 0)
        points = _points(size)
        texts = tuple(_in_lines(str(label), points, length, dpi) for label in labels)
        lines = max(text.count("\n") + 1 for text in texts)
        needed = lines * _LINE_HEIGHT * points + 2 * pad
        return cls(texts, round(needed * dpi / _POINTS_PER_INCH))


def _points(size: float | str) -> float:
    return float(FontProperties(size=size).get_size_in_points())


def _in_lines(text: str, points: float, length: int, dpi: float) -> str:
    """Break a text in lines of about `length` pixels."""
    letters = max(int(length / (_LETTER_WIDTH * points * dpi / _POINTS_PER_INCH)), 1)
    return "\n".join(line for part in text.splitlines() for line in textwrap.wrap(part, letters) or [""])


def _empty_grid(shape: tuple[int, int], cell: Cell, *, left: int, above: int) -> tuple[Figure, NDArray[Any]]:
    (rows, columns), (width, height) = shape, cell.pixels
    across, up = left + columns * width, above + rows * height
    figure, axes = pyplot.subplots(
        rows,
        columns,
        squeeze=False,
        figsize=(inches(across, cell.dpi), inches(up, cell.dpi)),
        dpi=cell.dpi,
        layout="none",
        gridspec_kw={
            "left": left / across,
            "right": 1.0,
            "bottom": 0.0,
            "top": 1 - above / up,
            "wspace": 0.0,
            "hspace": 0.0,
        },
    )
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
        one.patch.set_visible(False)
    return figure, axes


def _show(panel: Panel, axes: Axes, cell: Cell) -> None:
    if not isinstance(panel, str):
        # "auto" takes pixels as they are where one is one of the figure's.
        axes.imshow(panel, aspect="auto", interpolation="auto")
        return
    points = _points("medium")
    text = _in_lines(panel, points, cell.pixels[0], cell.dpi)
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": "firebrick", "parse_math": False}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, fontsize=points, **style)
