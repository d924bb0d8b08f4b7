"""The raster's window of a view: the cells that its picture can depend on, and a sum that tells their values.

A window is taken from the same map of pixels to cells that the picture is sampled with. Where that is smooth
it is a series of known curvature, which tells how far a cell can lie off between the nodes of a coarse
lattice; elsewhere it is known at each pixel. So a window may be larger than what is seen (by some hundredths
of it, where a view lies obliquely on the raster), and is never smaller.

The windows of a set overlap much. So each row of cells is weighted and summed up from the left once, a
window's part of it is the difference of two sums, and the cost hardly depends on the number of windows. Where
windows are few, each is summed up by itself, to the same sum.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import NDArray

from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster import Raster
from forkmaps.raster.sampling import CellMap, ExactPiece, SmoothPiece

SQUARES: Final = 8
"""Squares along each side of a view, if all of it is smooth: each counts with a box around its cells."""

TIERS: Final = 32
"""A window is a stack of so many rectangles, which follow a view that lies obliquely on the raster."""

PAD: Final = 2.0
"""Cells around a window: one for the neighbor that is interpolated with, one for all rounding."""

_STRIP_BYTES: Final = 1 << 20
"""Sums that are held at a time: 7000 x 3500 cells take 21 ms. Strips that are too large for the processor's
second-level cache take a third longer."""

_SHARING_PAYS: Final = 6
"""Times that a cell must lie in windows, on the average, for all rows to be summed up once: that costs six
times as much as to add up a window's own cells."""

_ROW_SEED, _COLUMN_SEED = 1, 2

_MIXER: Final = np.uint64(0xFF51AFD7ED558CCD)

Indices = NDArray[np.int64]
Positions = NDArray[np.float64]
Sums = NDArray[np.uint64]
Words = NDArray[np.uint64] | NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Rectangles:
    """Rectangles of cells, (n,) each: rows top:bottom and columns left:right of the view numbered `view`."""

    view: Indices
    top: Indices
    bottom: Indices
    left: Indices
    right: Indices


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
                np.add.at(total, rectangles.view, _sums(raster.levels[level][band], rectangles))
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
    cells = _cells_per_word(columns)
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


def _cells_per_word(columns: int) -> int:
    """Return how many cells count together: windows have whole words, and so do a raster's rows."""
    return 1 if columns % 2 else 2


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
    box, tier = _ranges(from_tier, to_tier - from_tier + 1)
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


def _ranges(first: Indices, length: Indices) -> tuple[Indices, Indices]:
    """Return ranges one after the other: which range each number is of, and the numbers from `first` on."""
    before = np.cumsum(length) - length
    which = np.repeat(np.arange(len(length)), length)
    return which, np.arange(len(which)) - before[which] + first[which]


# Sums


def _sums(values: NDArray[np.float32], rectangles: Rectangles) -> Sums:
    """Return the sum over each rectangle of its values' bits, each weighted by its row and its column.

    Where cells count in pairs it takes two thirds of the time.
    """
    cells = _cells_per_word(values.shape[1])
    words: Words = values.view(np.uint32) if cells == 1 else values.view(np.uint64)
    rectangles = replace(rectangles, left=rectangles.left // cells, right=rectangles.right // cells)
    box = _Box.around(rectangles)
    areas = (rectangles.bottom - rectangles.top) * (rectangles.right - rectangles.left)
    weights = _weights(_ROW_SEED, words.shape[0]), _weights(_COLUMN_SEED, words.shape[1])
    add_up = _one_by_one if areas.sum() < _SHARING_PAYS * box.area else _all_at_once
    return add_up(words, rectangles, box, *weights)


@dataclass(frozen=True, slots=True)
class _Box:
    """The words around all rectangles: rows top:bottom, columns left:right."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def around(cls, all_: Rectangles) -> Self:
        return cls(int(all_.top.min()), int(all_.bottom.max()), int(all_.left.min()), int(all_.right.max()))

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)


def _one_by_one(
    words: Words, rectangles: Rectangles, box: _Box, row_weights: Sums, column_weights: Sums
) -> Sums:
    """Add up each rectangle: 2 million cells take 0.4 ms, or 1 ms from memory."""
    sides = zip(rectangles.top, rectangles.bottom, rectangles.left, rectangles.right, strict=True)
    rows = [
        np.einsum(
            *("ij,j->i", words[top:bottom, left:right], column_weights[left:right]),
            dtype=np.uint64,
            casting="unsafe",
        )
        for top, bottom, left, right in sides
    ]
    sums = np.zeros(len(rows), np.uint64)
    which, row = _rows_within(rectangles, 0, box.bottom)
    np.add.at(sums, which, _weighted(np.concatenate(rows), row_weights[row]))
    return sums


def _all_at_once(
    words: Words, rectangles: Rectangles, box: _Box, row_weights: Sums, column_weights: Sums
) -> Sums:
    """Add up the rows of the box around all rectangles: 2 million cells take 2.5 ms."""
    sums = np.zeros(len(rectangles.top), np.uint64)
    width = box.right - box.left
    height = max(_STRIP_BYTES // (8 * (width + 1)), 1)
    before = np.zeros((height, width + 1), np.uint64)
    weighted = np.empty((height, width), np.uint64)
    for start in range(box.top, box.bottom, height):
        strip = words[start : start + height, box.left : box.right]
        np.multiply(strip, column_weights[box.left : box.right], out=weighted[: len(strip)])
        np.cumsum(weighted[: len(strip)], axis=1, out=before[: len(strip), 1:])
        which, row = _rows_within(rectangles, start, start + len(strip))
        left, right = rectangles.left[which] - box.left, rectangles.right[which] - box.left
        rows = before[row, right] - before[row, left]
        np.add.at(sums, which, _weighted(rows, row_weights[start + row]))
    return sums


def _weighted(rows: Sums, weights: Sums) -> Sums:
    """Weight the sums of rows, whose bits are mixed before, as those above may be all that differ.

    The mixing is the first half of the finalizer of MurmurHash3 (A. Appleby, public domain): different sums
    stay different.
    """
    mixed = (rows ^ (rows >> np.uint64(33))) * _MIXER
    return (mixed ^ (mixed >> np.uint64(33))) * weights


@functools.lru_cache(maxsize=16)
def _weights(seed: int, number: int) -> Sums:
    """Return odd random numbers, the same everywhere: no change of one value is 0 times an odd number."""
    weights = np.asarray(np.random.PCG64(seed).random_raw(number), np.uint64) | np.uint64(1)
    weights.flags.writeable = False  # they are kept
    return weights


def _rows_within(rectangles: Rectangles, start: int, stop: int) -> tuple[Indices, Indices]:
    """Return the rows that rectangles have in start:stop, counted from there, and the rectangle of each."""
    within = np.flatnonzero((rectangles.top < stop) & (rectangles.bottom > start))
    first = np.maximum(rectangles.top[within], start) - start
    which, row = _ranges(first, np.minimum(rectangles.bottom[within], stop) - start - first)
    return within[which], row
