"""A curvilinear grid on a map: its cells' corners in map coordinates, and what tells which a view needs.

It is made once for a projection. Cells that the map tears apart (at its cut, at a pole, at the edge of what
it shows) are marked: they are drawn in ever smaller parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
"""Cells along each side of a block, of which a view takes all or none."""
MIDDLE = 0.25
"""A cell is whole if its middle, on the map, is nearer to the middle of its corners than by this share of
its thickness: area by size."""

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]
_ARRAYS = ("x", "y", "torn_before", "boxes", "longest", "bends")


@dataclass(frozen=True, slots=True, eq=False)
class MappedGrid:
    """Corners of cells on a map.

    Attributes
    ----------
    x, y : (rows + 1, columns + 1) float64
        Map coordinates of the corners, NaN where the map shows none.
    torn_before : (rows + 1, columns + 1) int32
        How many cells above and to the left of a corner are not whole.
    boxes : (4, block rows, block columns) float64
        West, east, south, north of blocks; infinite of one with a cell that is not whole.
    longest : (block rows, block columns) float64
        Longest side of a block's whole cells, in map units.
    bends : (block rows, block columns) float64
        How far a corner in a block lies, in map units, from where bilinear interpolation between the corners
        of the block would have it; infinite of a block that is torn.
    """

    x: Plane
    y: Plane
    torn_before: NDArray[np.int32]
    boxes: Plane
    longest: Plane
    bends: Plane

    @classmethod
    def of(cls, x: Plane, y: Plane, middle_x: Plane, middle_y: Plane, period: float | None) -> Self:
        """Make it from the corners, and the cells' middles, in map coordinates; infinite where none are."""
        x, y = (np.where(np.isfinite(x) & np.isfinite(y), part, np.nan) for part in (x, y))
        corners_x, corners_y = unwrapped(around(x), period), around(y)
        torn = _torn(corners_x, corners_y, middle_x, middle_y, period)
        boxes, longest = _blocks(corners_x, corners_y, torn)
        before = np.zeros(x.shape, np.int32)
        before[1:, 1:] = torn.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
        return cls(x, y, before, boxes, longest, _bends(x, y, period))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of its arrays by name."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the one that `to_arrays` told of."""
        return cls(*(arrays[name] for name in _ARRAYS))

    def is_torn(self, top: Any, bottom: Any, left: Any, right: Any) -> NDArray[np.bool_]:
        """Tell which rectangles of cells, (n,) sides each, hold one that is not whole."""
        before = self.torn_before
        count = before[bottom, right] - before[top, right] - before[bottom, left] + before[top, left]
        return np.asarray(count > 0)


def around(corners: Plane) -> Plane:
    """Return (4, rows, columns): the corners of each cell, around it."""
    return np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]])


def unwrapped(x: Plane, period: float | None) -> Plane:
    """Return x of (4, ...) corners, each as near to the first one as whole turns can bring it."""
    return x if period is None else x - period * np.round((x - x[0]) / period)


def are_whole(x: Plane, y: Plane, middle_x: Plane, middle_y: Plane, period: float | None) -> Mask:
    """Tell which cells the map shows in one piece, with sides that are about straight.

    Parameters
    ----------
    x, y : (4, ...)
        Corners, `unwrapped`.
    middle_x, middle_y : (...)
        Where the cell's middle lies on the map: near the middle of the corners, or the cell is torn.
    """
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    size = ((x - mean_x) ** 2 + (y - mean_y) ** 2).max(axis=0)
    next_x, next_y = np.roll(x, -1, axis=0) - mean_x, np.roll(y, -1, axis=0) - mean_y
    area = np.abs(((x - mean_x) * next_y - next_x * (y - mean_y)).sum(axis=0)) / 2
    off = middle_x - mean_x
    with np.errstate(invalid="ignore"):
        if period is not None:
            off = off - period * np.round(off / period)
        whole = np.hypot(off, middle_y - mean_y) * np.sqrt(size) <= MIDDLE * area
    return np.asarray(whole)


def _torn(x: Plane, y: Plane, middle_x: Plane, middle_y: Plane, period: float | None) -> Mask:
    """Tell which cells are shown, and are not whole."""
    shown = np.isfinite(x).any(axis=0) | np.isfinite(middle_x)
    return np.asarray(shown & ~are_whole(x, y, middle_x, middle_y, period))


def _blocks(x: Plane, y: Plane, torn: NDArray[np.bool_]) -> tuple[Plane, Plane]:
    """Return the boxes of blocks, and the longest side of a whole cell in each."""
    sides = np.hypot(np.roll(x, -1, axis=0) - x, np.roll(y, -1, axis=0) - y).max(axis=0)
    longest = _over_blocks(np.fmax, np.where(torn, np.nan, sides))
    low = [_over_blocks(np.fmin, part.min(axis=0)) for part in (x, y)]
    high = [_over_blocks(np.fmax, part.max(axis=0)) for part in (x, y)]
    boxes = np.stack([low[0], high[0], low[1], high[1]])
    boxes[:, _over_blocks(np.logical_or, torn)] = np.array([-np.inf, np.inf, -np.inf, np.inf])[:, None]
    return boxes, longest


def _bends(x: Plane, y: Plane, period: float | None) -> Plane:
    """Return how far corners lie off, in each block, if they are interpolated between those of the block."""
    off = np.hypot(x - _between_blocks(x), y - _between_blocks(y))
    bends = _over_blocks(np.maximum, around(np.nan_to_num(off, nan=np.inf)).max(axis=0))
    if period is not None:
        corners = around(x)
        width = _over_blocks(np.fmax, corners.max(axis=0)) - _over_blocks(np.fmin, corners.min(axis=0))
        bends[~(width <= period / 4)] = np.inf
    return np.asarray(bends)


def _between_blocks(corners: Plane) -> Plane:
    """Return corners as bilinear interpolation between those of blocks has them."""
    for axis, number in enumerate(corners.shape):
        place = np.arange(number)
        low = place // BLOCK * BLOCK
        high = np.minimum(low + BLOCK, number - 1)
        part = (place - low) / np.maximum(high - low, 1)
        part = part[:, None] if axis == 0 else part
        corners = corners.take(low, axis) * (1 - part) + corners.take(high, axis) * part
    return corners


def _over_blocks(function: np.ufunc, cells: NDArray[Any]) -> NDArray[Any]:
    """Reduce (rows, columns) cells to blocks."""
    down, across = (np.arange(0, number, BLOCK) for number in cells.shape)
    reduced: NDArray[Any] = function.reduceat(function.reduceat(cells, down, axis=0), across, axis=1)
    return reduced
