"""Which cells of a curvilinear grid lie under the pixels of a view, and where in them each pixel lies.

Blocks of cells in view are gone through, by four cells, sixteen ... at a time where they are smaller than a
pixel. What the map tears apart is halved, both ways, until its parts are whole or smaller than a pixel.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forkmaps.projection import MapProjection, View
from forkmaps.raster.corners import in_space, on_grid
from forkmaps.raster.mapped import BLOCK, MappedGrid, are_whole, unwrapped
from forkmaps.raster.quads import ON_EDGE, Quads, paint

if TYPE_CHECKING:
    from forkmaps.raster.curvilinear import CurvilinearGrid

_FEWEST, _MOST_HALVINGS = 6, 10
"""Of a cell that the map tears: to an eighth of a pixel, but in this range. Around a pole four parts are torn
each time, at the map's cut twice as many as before."""
_BEND = 1 / 16
"""Pixels that a block's corners may be off for all of it to be drawn as one: 2,000,000 cells on 1400 x 800
pixels take 0.2 s then, and 1.2 cell by cell."""
_CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))
"""Corners around a cell: steps down and across from the first one."""

Plane = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


class QuadMap:
    """The cells of a grid in a view.

    Parameters
    ----------
    grid : CurvilinearGrid
    mapped : MappedGrid
        The grid in `projection`.
    projection : MapProjection
    crs : str
        Of the grid.
    view : View
    """

    def __init__(
        self, grid: CurvilinearGrid, mapped: MappedGrid, projection: MapProjection, crs: str, view: View
    ) -> None:
        self.grid, self.mapped, self.projection, self.crs, self.view = grid, mapped, projection, crs, view

    def positions(self) -> Plane:
        """Return (2, rows, columns) column and row, in cells, of the view's pixels; NaN beside the grid."""
        found = np.full((2, self.view.size.height, self.view.size.width), np.nan)
        for shift, blocks in self._blocks:
            smooth = self.mapped.bends[tuple(blocks.T)] <= _BEND * self.view.resolution
            bent = blocks[~smooth]
            # The sides of a block beside it may be bent, by so little: no pixel must fall between the two.
            self._paint_smooth(self._beside(bent, blocks[smooth]), shift, found, beside=_BEND)
            self._paint_smooth(blocks[smooth], shift, found)
            self._paint(bent, shift, found)
        if np.isinf(self.mapped.boxes).any():
            _close(found)
        return found

    @cached_property
    def largest_cell(self) -> float:
        """Longest side of a cell, in pixels, in the blocks that the view meets; 0 where there is none.

        Blocks that are torn lie anywhere: they count only where there are no others.
        """
        blocks = np.concatenate([blocks for _, blocks in self._blocks])
        longest = self.mapped.longest[tuple(blocks.T)]
        lies_here = np.isfinite(self.mapped.boxes[0][tuple(blocks.T)])
        if lies_here.any():
            longest = longest[lies_here]
        return float(np.fmax.reduce(longest, initial=0.0)) / self.view.resolution

    @cached_property
    def _blocks(self) -> list[tuple[float, Indices]]:
        """Shifts of the grid by whole turns, in map units, and the (n, 2) blocks that the view then meets."""
        extent, boxes = self.view.extent, self.mapped.boxes
        south_north = (boxes[2] <= extent.north) & (boxes[3] >= extent.south)
        found = []
        for shift in self._shifts():
            meets = south_north & (boxes[0] + shift <= extent.east) & (boxes[1] + shift >= extent.west)
            found.append((shift, np.argwhere(meets)))
        return found

    def _shifts(self) -> list[float]:
        """Whole turns, in map units, by which the world can lie in the view."""
        period = self.projection.period
        if period is None:
            return [0.0]
        extent = self.view.extent
        first, last = math.floor(extent.west / period) - 1, math.ceil(extent.east / period) + 1
        return [turn * period for turn in range(first, last + 1)]

    def _beside(self, some: Indices, among: Indices) -> Indices:
        """Return the blocks among others that lie beside some."""
        rows, columns = self.mapped.bends.shape
        near = np.zeros((rows + 2, columns + 2), bool)
        for down in range(3):
            for across in range(3):
                near[some[:, 0] + down, some[:, 1] + across] = True
        return np.asarray(among[near[among[:, 0] + 1, among[:, 1] + 1]])

    def _paint_smooth(
        self, blocks: Indices, shift: float, positions: Plane, *, beside: float = ON_EDGE
    ) -> None:
        """Write the positions of the pixels that blocks cover, in each of which they are interpolated."""
        row, column = (blocks * BLOCK).T
        bottom = np.minimum(row + BLOCK, self.grid.shape[0])
        right = np.minimum(column + BLOCK, self.grid.shape[1])
        self._paint_whole(self._quads(row, bottom, column, right), shift, positions, beside=beside)

    def _paint(self, blocks: Indices, shift: float, positions: Plane) -> None:
        """Write the positions of the pixels that blocks cover."""
        step = self._step
        row, column = _cells_of(blocks, step)
        within = (row < self.grid.shape[0]) & (column < self.grid.shape[1])
        row, column = row[within], column[within]
        while len(row):
            bottom = np.minimum(row + step, self.grid.shape[0])
            right = np.minimum(column + step, self.grid.shape[1])
            torn = self.mapped.is_torn(row, bottom, column, right)
            self._paint_whole(
                self._quads(row, bottom, column, right).at(np.flatnonzero(~torn)), shift, positions
            )
            if step == 1:
                self._paint_parts(row[torn].astype(float), column[torn].astype(float), shift, positions)
                return
            step //= 2
            row, column = _halves(row[torn], column[torn], step)
            within = (row < self.grid.shape[0]) & (column < self.grid.shape[1])
            row, column = row[within], column[within]

    @property
    def _step(self) -> int:
        """Cells along each side of what is drawn as one: as many as fit on a pixel."""
        if not 0 < self.largest_cell < 1:
            return 1
        return min(1 << int(math.log2(1 / self.largest_cell)), BLOCK)

    def _quads(self, top: Indices, bottom: Indices, left: Indices, right: Indices) -> Quads:
        """Return rectangles of cells as quads, in map coordinates."""
        sides = (top, bottom), (left, right)
        corners = [(sides[0][down], sides[1][across]) for down, across in _CORNERS]
        x = np.stack([self.mapped.x[corner] for corner in corners])
        y = np.stack([self.mapped.y[corner] for corner in corners])
        size = (bottom - top).astype(float), (right - left).astype(float)
        return Quads(x, y, top.astype(float), left.astype(float), *size)

    def _paint_whole(self, quads: Quads, shift: float, positions: Plane, *, beside: float = ON_EDGE) -> None:
        """Write the positions of the pixels in quads, which are in map coordinates."""
        known = np.flatnonzero(np.isfinite(quads.x).all(axis=0) & np.isfinite(quads.y).all(axis=0))
        quads = quads.at(known)
        extent, size = self.view.extent, self.view.size
        x = (unwrapped(quads.x, self.projection.period) + shift - extent.west) * (size.width / extent.width)
        y = (extent.north - quads.y) * (size.height / extent.height)
        seen = Quads(x - 0.5, y - 0.5, quads.row, quads.column, quads.height, quads.width)
        paint(seen, positions, beside=beside)

    def _paint_parts(self, row: Plane, column: Plane, shift: float, positions: Plane) -> None:
        """Write the positions of the pixels in cells that the map tears, part by part."""
        size = 1.0
        halvings = math.ceil(math.log2(max(self.largest_cell, 1.0))) + 3
        for _ in range(min(max(halvings, _FEWEST), _MOST_HALVINGS)):
            size /= 2
            row, column = _halves(row, column, size)
            quads, whole, near = self._parts(row, column, size)
            self._paint_whole(quads.at(whole), shift, positions)
            row, column = row[near & ~whole], column[near & ~whole]

    def _parts(self, row: Plane, column: Plane, size: float) -> tuple[Quads, Mask, Mask]:
        """Return parts of cells as quads in map coordinates, which are whole, and which are near the view."""
        steps = [*_CORNERS, (0.5, 0.5)]
        places = [self._on_map(row + down * size, column + across * size) for down, across in steps]
        x, y = (np.stack(part) for part in zip(*places, strict=True))
        x = unwrapped(x, self.projection.period)
        sides = np.full(len(row), size)
        quads = Quads(x[:4], y[:4], row, column, sides, sides)
        whole = are_whole(x[:4], y[:4], x[4], y[4], self.projection.period)
        return quads, whole, self._near(x, y, size)

    def _near(self, x: Plane, y: Plane, size: float) -> Mask:
        """Tell which parts have a place so near to the view that they can reach into it."""
        extent, period = self.view.extent, self.projection.period
        beside = self.view.resolution * max(2 * self.largest_cell * size, 2)
        off_x, off_y = x - (extent.west + extent.east) / 2, y - (extent.south + extent.north) / 2
        if period is not None:
            off_x -= period * np.round(off_x / period)
        near = (np.abs(off_x) <= extent.width / 2 + beside) & (np.abs(off_y) <= extent.height / 2 + beside)
        return np.asarray(near.any(axis=0))

    def _on_map(self, row: Plane, column: Plane) -> tuple[Plane, Plane]:
        """Return map coordinates of places in the grid, in cells; NaN where the map shows none."""
        places = self._between_corners(row, column)
        x, y = self.projection.transformer(self.crs).transform(*on_grid(places, self.grid.turn))
        known = np.isfinite(x) & np.isfinite(y)
        return np.where(known, x, np.nan), np.where(known, y, np.nan)

    def _between_corners(self, row: Plane, column: Plane) -> Plane:
        """Return places in the grid, in space."""
        rows, columns = self.grid.shape
        top, left = np.minimum(row.astype(int), rows - 1), np.minimum(column.astype(int), columns - 1)
        down, across = (row - top)[:, None], (column - left)[:, None]
        corners = [
            in_space(self.grid.corner_x[corner], self.grid.corner_y[corner], self.grid.turn)
            for corner in ((top + i, left + j) for i, j in _CORNERS)
        ]
        upper = corners[0] * (1 - across) + corners[1] * across
        lower = corners[3] * (1 - across) + corners[2] * across
        return np.asarray(upper * (1 - down) + lower * down)


def _close(positions: Plane) -> None:
    """Give pixels between two that lie on the grid the position of one of them.

    Parts of a torn cell follow its curved sides, and the cells beside it don't.
    """
    for along in (positions, positions.transpose(0, 2, 1)):
        column = along[0]
        gap = np.isnan(column[:, 1:-1]) & np.isfinite(column[:, :-2]) & np.isfinite(column[:, 2:])
        i, j = np.nonzero(gap)
        along[:, i, j + 1] = along[:, i, j]


def _cells_of(blocks: Indices, step: int) -> tuple[Indices, Indices]:
    """Return row and column of every `step`th cell, each way, of (n, 2) blocks."""
    offsets = np.arange(0, BLOCK, step)
    first = blocks * BLOCK
    row = first[:, 0, None, None] + offsets[:, None] + 0 * offsets
    column = first[:, 1, None, None] + 0 * offsets[:, None] + offsets
    return row.ravel(), column.ravel()


def _halves(row: NDArray[Any], column: NDArray[Any], size: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the four parts of squares, whose sides are `size`, by their first corners."""
    down = np.concatenate([row, row, row + size, row + size]).astype(row.dtype)
    across = np.concatenate([column, column + size, column, column + size]).astype(column.dtype)
    return down, across
