"""The values of a grid's cells under the pixels of a tile: a cell's own, or interpolated between cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forkmaps.raster.sampling import CellTile, Plane

_MOST_INT32 = 2**30
"""Fewer cells than this are numbered in 32 bits: 0.5 ms for the pixels of a picture, 1.5 in 64 bits."""
_EDGE = 2.0**-14
"""Cells that a pixel may lie beyond the last one, as the pole itself does."""
_LINE = 16
"""Values in a cache line."""
_FETCHED_PER_PIXEL = 16
"""Cells around a tile are fetched if they are fewer, for each pixel; around oblique ones are more."""
_SPAN_STEP = 64
"""Pixels between those that tell where a tile lies."""

Index = NDArray[Any]
Kind = type[np.integer[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cells:
    """One band of a grid, at one level of its pyramid.

    Attributes
    ----------
    values : (rows, columns) float32
        C-contiguous, NaN where there is no data.
    height, width : float
        Size of the grid in cells of this level; its last row and column may lie partly outside of it.
    around : float or None
        Columns that go once around the earth, where they are longitudes.
    is_closed : bool
        Whether the last column lies beside the first.
    """

    values: Plane
    height: float
    width: float
    around: float | None = None
    is_closed: bool = False

    def take(self, tile: CellTile, out: Plane, *, linear: bool = False) -> None:
        """Write the values under a tile's pixels to `out`, (rows, columns): NaN outside of the grid.

        Linear interpolation is between cell centers; cells without data don't count, and stay without.
        """
        row = _side(tile.row, tile.first_row, tile.most_row, self.height, self.values.shape[0])
        column = self._column(tile)
        if row.inside is False or column.inside is False:
            out[...] = np.nan
            return
        if linear:
            self._take_linear(row, column, out)
        else:
            self._take_nearest(row, column, out)
        for side in (row, column):
            if side.inside is not True:
                np.copyto(out, np.nan, where=~side.inside)

    def _take_nearest(self, row: _Side, column: _Side, out: Plane) -> None:
        columns = self.values.shape[1]
        kind = self._kind()
        index, across = row.cells(kind), column.cells(kind)
        _fetch(self.values[_span(index, row.start), _span(across, column.start)], index.size)
        index *= columns
        index += across
        # No index is out of bounds; "wrap" takes 0.5 ms for a picture, "clip" 0.6, "raise" 0.9.
        self.values.reshape(-1)[row.start * columns + column.start :].take(index, out=out, mode="wrap")

    def _take_linear(self, row: _Side, column: _Side, out: Plane) -> None:
        above, below, down = row.neighbors(self._kind())
        left, right, across = column.neighbors(self._kind())
        above *= self.values.shape[1]
        below *= self.values.shape[1]
        flat = self.values.reshape(-1)
        corners = [flat.take(r + c, mode="wrap") for r in (above, below) for c in (left, right)]
        upper, lower = (a + (b - a) * across for a, b in (corners[:2], corners[2:]))
        np.add(upper, (lower - upper) * down, out=out)
        gaps = np.isnan(out)
        if gaps.any():
            out[gaps] = _among_known(np.stack([c[gaps] for c in corners]), down[gaps], across[gaps])

    def _kind(self) -> Kind:
        return np.int32 if self.values.size < _MOST_INT32 else np.int64

    def _column(self, tile: CellTile) -> _Side:
        position, first, most, number = tile.column, tile.first_column, tile.most_column, self.values.shape[1]
        if self.around is None:
            return _side(position, first, most, self.width, number)
        # On the turn of the earth where the tile's middle lies nearest to the grid's.
        turns = np.floor((first + (most - self.width) / 2) / self.around + 0.5)
        start, rest = divmod(first - turns * self.around, 1.0)
        first = int(start)
        if rest:
            position, most = position + np.float32(rest), most + 1
        if first + self.around < self.width or first + most >= self.around:
            return self._turned(position, first, most)
        return _side(position, first, most, self.width, number, is_closed=self.is_closed)

    def _turned(self, position: Plane, first: int, most: float) -> _Side:
        """Return a side whose pixels lie one turn of the earth further where they are outside otherwise."""
        side = _side(position, first, most, self.width, self.values.shape[1], is_closed=self.is_closed)
        if self.around is None or side.inside is True:
            return side
        kind, whole = self._kind(), round(self.around)
        shift = np.where(position >= self.width - first, kind(first - whole), kind(first))
        if first < 0:
            shift = np.where(position < -first, kind(first + whole), shift)
        if whole != self.around:
            position = position + (first - shift).astype(np.float32) * np.float32(1 - self.around / whole)
        inside = self.is_closed or self._has_column(position.astype(kind) + shift)
        return _Side(position, 0, side.number, inside, shift, self.is_closed)

    def _has_column(self, column: Index) -> Mask:
        return (column >= 0) & (column < self.width)


@dataclass(frozen=True, slots=True)
class _Side:
    """Where a tile's pixels lie along one side of a grid, in cells: at `position`, counted from `start`.

    Attributes
    ----------
    number : int
        How many cells the grid has along this side.
    inside : bool or mask
        Which pixels lie in the grid; the positions of others are in it.
    shift : array or None
        Whole cells that pixels lie further than their positions.
    is_closed : bool
        Whether the last cell lies beside the first.
    """

    position: Plane
    start: int
    number: int
    inside: bool | Mask
    shift: Index | None = None
    is_closed: bool = False

    def cells(self, kind: Kind) -> Index:
        """Return the cell of each pixel, counted from `start`."""
        cell = self.position.astype(kind)
        return cell if self.shift is None else np.clip(cell + self.shift, 0, self.number - 1)

    def neighbors(self, kind: Kind) -> tuple[Index, Index, Plane]:
        """Return the cells with their centers before and after each pixel, and how far it is between them."""
        place = self.position - np.float32(0.5)
        before = np.floor(place)
        cell = before.astype(kind) + (self.start if self.shift is None else self.shift)
        return self._within(cell), self._within(cell + 1), place - before

    def _within(self, cell: Index) -> Index:
        if self.is_closed:
            cell = np.where(cell < 0, cell + self.number, cell)
            cell = np.where(cell >= self.number, cell - self.number, cell)
        return np.clip(cell, 0, self.number - 1)


def _side(
    position: Plane, first: int, most: float, length: float, number: int, *, is_closed: bool = False
) -> _Side:
    """Return a side of `length` and `number` cells; no `position` is negative, or greater than `most`."""
    inside: bool | Mask = first >= 0 and first + most + 1 <= length  # 1 for the rounding to float32
    if not inside and first < length and first + most >= 0:
        if first < 0:
            position, first = position + np.float32(first), 0
        inside = bool(position.min() >= 0 and position.max() < length - first)
        if not inside:
            inside = (position >= 0) & (position <= length - first + _EDGE)
            position = np.clip(position, 0, number - first - 0.5)
    return _Side(position, first, number, inside, is_closed=is_closed)


def _span(cell: Index, start: int) -> slice:
    """Return from which cell to which a tile's pixels lie, about: by some of its first and last row."""
    some = cell[:: max(len(cell) - 1, 1), ::_SPAN_STEP]
    return slice(start + int(some.min()), start + int(some.max()) + 1)


def _fetch(values: Plane, pixels: int) -> None:
    """Read a value of each cache line, unless most aren't needed: many are under way at a time then.

    `take` waits for them one after the other: it needs 4.8 ms for the pixels of a picture with two cells a
    pixel in each direction, and 5.8 ms without this.
    """
    if values.size < _FETCHED_PER_PIXEL * pixels:
        np.bitwise_xor.reduce(values[:, ::_LINE].view(np.uint32), axis=None)


def _among_known(corners: Plane, down: Plane, across: Plane) -> Plane:
    """Interpolate in (4, n) corners among those with data; NaN where the nearest has none."""
    nearest = corners[2 * (down >= 0.5) + (across >= 0.5), np.arange(len(down))]
    weights = np.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across])
    weights[np.isnan(corners)] = 0
    total, weight = (np.nan_to_num(corners) * weights).sum(axis=0), weights.sum(axis=0)
    between: Plane = total / np.maximum(weight, np.finfo(np.float32).tiny)
    return np.where(np.isnan(nearest), nearest, between)
