"""The raster's window of a view: the cells that its picture can depend on, and a sum that tells their values.

A window is taken from the same map of pixels to cells that the picture is sampled with. Where that is smooth
it is a series of known curvature, which tells how far a cell can lie off between the nodes of a coarse
lattice; elsewhere it is known at each pixel. So a window may be larger than what is seen (by some hundredths
of it, where a view lies obliquely on the raster), and is never smaller.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from forkmaps.manifest.sums import Indices, Rectangles, Sums, cells_per_word, ranges, sums_of
from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster import Raster
from forkmaps.raster.sampling import CellMap, ExactPiece, SmoothPiece

SQUARES: Final = 8
"""Squares along each side of a view, if all of it is smooth: each counts with a box around its cells."""

TIERS: Final = 32
"""A window is a stack of so many rectangles, which follow a view that lies obliquely on the raster."""

PAD: Final = 2.0
"""Cells around a window: one for the neighbor that is interpolated with, one for all rounding."""

Positions = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of views in a raster.

    Attributes
    ----------
    number : int
        How many views.
    rectangles : dict
        By pyramid level, the cells that are seen by the views that are drawn from it.
    """

    number: int
    rectangles: dict[int, Rectangles]

    @classmethod
    def of(cls, raster: Raster, projection: MapProjection, views: Sequence[View]) -> Self:
        """Find the windows of views, which are in coordinates of `projection`; 0.3 ms for each."""
        found: dict[int, list[Positions]] = {}
        for i, view in enumerate(views):
            cell_map = raster.cell_map(view, projection)
            level = raster.level_for(1 / cell_map.largest_cell)
            boxes = _boxes(cell_map, view.size, raster.around(0)) / 2**level
            found.setdefault(level, []).append(np.vstack([np.full(boxes.shape[1], i), boxes]))
        return cls(len(views), {k: _rectangles(raster, k, np.hstack(boxes)) for k, boxes in found.items()})

    def sums(self, raster: Raster, band: int) -> Sums:
        """Return (views,) sums over each view's window of a band (an index, from 0).

        When one cell changes, so does the sum of each window that it lies in. Changes of several cells can
        cancel each other: in one of 2**64 cases, or of 2**47 if the values are small whole numbers; of 2**15,
        if such numbers change in one row, and there in every other column only.
        """
        total = np.zeros(self.number, np.uint64)
        for level, rectangles in self.rectangles.items():
            if len(rectangles.view):
                np.add.at(total, rectangles.view, sums_of(raster.levels[level][band], rectangles))
        return total


# Boxes around what is seen: (4, n) least and greatest column, least and greatest row, in cells of the raster


def _boxes(cell_map: CellMap, size: Size, around: float | None) -> Positions:
    """Return boxes around all cells of a view, on one turn of the earth."""
    found = [_boxes_of_piece(piece, size) for piece in cell_map.pieces]
    boxes = np.hstack([np.empty((4, 0)), *found])
    boxes = boxes[:, np.isfinite(boxes).all(axis=0)]
    if around is not None and boxes.size:
        middle = boxes[:2].mean(axis=0)
        boxes[:2] -= np.round((middle - middle[0]) / around) * around
    return boxes


def _boxes_of_piece(piece: SmoothPiece | ExactPiece, size: Size) -> Positions:
    """Return boxes around the cells of a piece of a view of `size` pixels; NaN around none."""
    if isinstance(piece, ExactPiece):
        low, high = np.fmin.reduce(piece.cells, axis=(1, 2)), np.fmax.reduce(piece.cells, axis=(1, 2))
        return np.stack([low, high], axis=1).reshape(4, 1)
    height, width = piece.rows.stop - piece.rows.start, piece.columns.stop - piece.columns.start
    squares = max(round(SQUARES * max(height / size.height, width / size.width)), 1)
    return _boxes_of_series(piece.series, squares)


def _boxes_of_series(series: Positions, squares: int) -> Positions:
    """Return boxes around the cells in each of `squares` x `squares` parts of what a series covers."""
    at_nodes, off_between = _polynomials(squares, series.shape[1])
    nodes = at_nodes @ series @ at_nodes.T
    off = (np.abs(series) * off_between).sum(axis=(1, 2))[:, None]
    corners = np.stack([nodes[:, i : i + squares, j : j + squares] for i in (0, 1) for j in (0, 1)])
    corners = corners.reshape(4, 2, squares**2)
    return np.stack([corners.min(axis=0) - off, corners.max(axis=0) + off], axis=1).reshape(4, -1)


@functools.cache
def _polynomials(squares: int, orders: int) -> tuple[Positions, Positions]:
    """Return Chebyshev polynomials at the nodes, and how far a term gets from the bilinear one between them.

    That is an eighth of the square of the nodes' distance, times the greatest second derivatives along x and
    y: those of T_n are n^2 (n^2 - 1) / 3 at most, at the ends.
    """
    nodes = np.asarray(chebvander(np.linspace(-1.0, 1.0, squares + 1), orders - 1), np.float64)
    square = np.arange(orders, dtype=np.float64) ** 2
    bend = square * (square - 1) / 3
    return nodes, (bend + bend[:, None]) * (2.0 / squares) ** 2 / 8


# Windows as rectangles


def _rectangles(raster: Raster, level: int, boxes: Positions) -> Rectangles:
    """Return the cells in (5, n) boxes: the number of the view, and the sides in cells of the level."""
    rows, columns = raster.levels[level].shape[1:]
    boxes = boxes + np.array([0, -PAD, PAD, -PAD, PAD])[:, None]
    np.clip(boxes[3:], 0, rows, out=boxes[3:])
    boxes = boxes[:, boxes[3] < boxes[4]]
    numbers, view = np.unique(boxes[0], return_inverse=True)
    edges = _tier_edges(view, boxes[3], boxes[4])
    left, right = _tier_sides(view, boxes[1:], edges)
    common = np.broadcast_to(numbers[:, None], left.shape), edges[:, :-1], edges[:, 1:]
    cells = cells_per_word(columns)
    parts = [
        (
            *common,
            np.floor(np.clip(left - turn, 0, columns) / cells) * cells,
            np.ceil(np.clip(right - turn, 0, columns) / cells) * cells,
        )
        for turn in _turns(left, raster.around(level))
    ]
    flat = np.concatenate([np.reshape(part, (5, -1)) for part in parts], axis=1).astype(np.int64)
    return Rectangles(*flat[:, (flat[1] < flat[2]) & (flat[3] < flat[4])])


def _tier_edges(view: Indices, low: Positions, high: Positions) -> Indices:
    """Return (views, TIERS + 1) rows between which tiers lie, from the least to the greatest of a view."""
    first, last = np.full(view.max(initial=-1) + 1, np.inf), np.zeros(view.max(initial=-1) + 1)
    np.minimum.at(first, view, np.floor(low))
    np.maximum.at(last, view, np.ceil(high))
    height = np.ceil((last - first) / TIERS)
    edges = np.minimum(first[:, None] + height[:, None] * np.arange(TIERS + 1), last[:, None])
    return edges.astype(np.int64)


def _tier_sides(view: Indices, boxes: Positions, edges: Indices) -> tuple[Positions, Positions]:
    """Return (views, TIERS) left and right of all (4, n) boxes in each tier, 0 and 0 where there are none."""
    left, right, low, high = boxes
    top, height = edges[view, 0], (edges[:, 1] - edges[:, 0])[view]
    from_tier = (np.floor(low).astype(np.int64) - top) // height
    to_tier = (np.ceil(high).astype(np.int64) - top - 1) // height
    box, tier = ranges(from_tier, to_tier - from_tier + 1)
    lefts, rights = np.full((len(edges), TIERS), np.inf), np.full((len(edges), TIERS), -np.inf)
    np.minimum.at(lefts, (view[box], tier), left[box])
    np.maximum.at(rights, (view[box], tier), right[box])
    is_empty = lefts > rights
    lefts[is_empty] = rights[is_empty] = 0.0
    return lefts, rights


def _turns(left: Positions, around: float | None) -> list[Positions | float]:
    """Return by how many columns to shift rectangles, so that all that lie on the raster are met."""
    if around is None:
        return [0.0]
    turn = np.floor(left / around)
    return [(turn + step) * around for step in (-1, 0, 1)]
