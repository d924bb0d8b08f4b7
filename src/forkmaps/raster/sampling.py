"""Which cell of a grid lies under each pixel of a picture.

Pixel -> map projection -> grid CRS -> cell is smooth nearly everywhere, so it is computed exactly at a few
places, and interpolated to the pixels by two small matrix products. Where the interpolation's error bound is
more than an eighth of a pixel, the view is cut in halves, down to tiles that are computed exactly. So a pole,
the antimeridian or the edge of a projection costs only the tiles that it passes through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forkmaps.projection import MapProjection, View
from forkmaps.raster.chebyshev import NODES, orders_needed, polynomials, series_of, slopes_of

PIXEL_ERROR = 0.125
"""The largest error allowed, in pixels (in cells, where a cell is smaller than a pixel)."""
NOWHERE = 2.0**30
"""The row of pixels outside of the projection's world: further away than any grid reaches."""
_EXACT_SIDE = 32
"""Tiles of at most this many pixels a side are computed exactly (0.5 ms) where a series doesn't converge."""
_EMPTY_SIDE = 64
"""Tiles of at most this many pixels a side are taken for empty when all their nodes are, 8 pixels apart."""
_STRIP_ROWS = 48
"""Rows of pixels that are handed on at a time, few enough for their arrays to stay in the CPU's cache: 2.2 ms
for a picture with 24 to 96 of them, 12 ms with all 750."""
_TIE, _EXACT_TIE = 2.0**-10, 2.0**-16
"""Added to positions, in pixels (in cells, where they are smaller): a pixel between two cells goes to the
same one in every row of the picture, whatever the rounding of the series, and of exact transforms."""

Plane = NDArray[np.float32]
Coordinates = NDArray[np.float64]
Boxes = NDArray[np.intp]
"""(n, 4) rectangles of pixels: top, bottom, left, right."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """A grid of cells in its CRS: the inverse of its affine transform, and the turn of its longitudes.

    Attributes
    ----------
    inverse : six floats
        (a, b, c, d, e, f): column = a x + b y + c, row = d x + e y + f, in cells.
    turn : float or None
        Once around the earth, in units of x (360 for degrees), where x is a longitude.
    middle : float or None
        Longitude within half a turn of which all others are put. None: one of those asked for, so that they
        don't jump, and may be whole turns away from the grid's own.
    """

    inverse: tuple[float, float, float, float, float, float]
    turn: float | None = None
    middle: float | None = None

    def cells(self, x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates]:
        """Return column and row, in cells, of (..., n, m) coordinates in the grid's CRS."""
        a, b, c, d, e, f = self.inverse
        if self.turn is not None:
            middle = _middle(x) if self.middle is None else self.middle
            x = middle + (x - middle + self.turn / 2) % self.turn - self.turn / 2
        return a * x + b * y + c, d * x + e * y + f


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds the cell of a place on a map, exactly.

    Attributes
    ----------
    grid : CellGrid
    crs : str
        CRS of the grid.
    projection : MapProjection
        Of the map.
    """

    grid: CellGrid
    crs: str
    projection: MapProjection

    def cells(self, x: Coordinates, y: Coordinates, *, tolerance: float) -> Coordinates:
        """Return (..., 2, n, m) column and row, in cells, of (..., n, m) map coordinates.

        NaN outside of the projection's world: where a place does not come back to itself, by way of the
        grid's CRS, within `tolerance` (map units).
        """
        transform = self.projection.transformer(self.crs).transform
        grid_x, grid_y = transform(x, y, direction="INVERSE")
        back_x, back_y = transform(grid_x, grid_y)
        period = self.projection.period
        with np.errstate(invalid="ignore"):
            off = back_x - x
            if period is not None:
                off -= period * np.round(off / period)
            outside = ~(np.hypot(off, back_y - y) <= tolerance)
        grid_x[outside] = grid_y[outside] = np.nan
        return np.stack(self.grid.cells(grid_x, grid_y), axis=-3)


@dataclass(frozen=True, slots=True)
class CellTile:
    """Where a rectangle of pixels lies, in cells.

    Attributes
    ----------
    rows, columns : slice
        Which pixels.
    column, row : (rows, columns) float32
        Position in cells, >= 0, counted from the integer cell (`first_column`, `first_row`); a cell's own
        area is from n to n + 1. Where a pixel lies outside of the projection's world, its row is `NOWHERE`.
    most_column, most_row : float
        No position is greater, but for the rounding to float32.
    """

    rows: slice
    columns: slice
    column: Plane
    row: Plane
    first_column: int
    first_row: int
    most_column: float
    most_row: float


@dataclass(frozen=True, slots=True)
class SmoothPiece:
    """Where a rectangle of pixels lies, in cells: (2, orders, orders) Chebyshev series of column and row."""

    rows: slice
    columns: slice
    series: Coordinates
    largest_cell: float

    def tiles(self, level: int, pixel: float) -> Iterator[CellTile]:
        """Evaluate the series at the pixels, a strip of rows at a time."""
        series = self.series / 2**level
        middle = series[:, 0, 0]
        # |T_k| <= 1, so no value lies further from the constant term than the sum of the other terms.
        reach = np.abs(series).sum(axis=(1, 2)) - np.abs(middle)
        first = np.floor(middle - reach)
        middle += _TIE * pixel - first
        bounds = *first.astype(int).tolist(), *(middle + reach).tolist()
        orders = series.shape[1]
        column_terms, row_terms = series.astype(np.float32) @ polynomials(_length(self.columns), orders).T
        down = polynomials(_length(self.rows), orders)
        for start in range(0, len(down), _STRIP_ROWS):
            part = down[start : start + _STRIP_ROWS]
            rows = slice(self.rows.start + start, self.rows.start + start + len(part))
            yield CellTile(rows, self.columns, part @ column_terms, part @ row_terms, *bounds)


@dataclass(frozen=True, slots=True)
class ExactPiece:
    """Where each of a rectangle of pixels lies: (2, rows, columns) column and row in cells, NaN outside."""

    rows: slice
    columns: slice
    cells: Coordinates
    largest_cell: float = 0.0

    def tiles(self, level: int, pixel: float) -> Iterator[CellTile]:
        """Return the one tile that this is."""
        cells = self.cells / 2**level + _EXACT_TIE * pixel
        first = np.nan_to_num(np.floor(np.fmin.reduce(cells, axis=(1, 2))))
        cells -= first[:, None, None]
        np.copyto(cells, np.array([0.0, NOWHERE])[:, None, None], where=np.isnan(cells))
        bounds = *first.astype(int).tolist(), *cells.max(axis=(1, 2)).tolist()
        yield CellTile(self.rows, self.columns, *cells.astype(np.float32), *bounds)


class CellMap:
    """Where each pixel of a view lies in a grid.

    Parameters
    ----------
    locator : Locator
    view : View
        In coordinates of the locator's projection.
    """

    def __init__(self, locator: Locator, view: View) -> None:
        self._locator, self._view = locator, view
        self.pieces: list[SmoothPiece | ExactPiece] = []
        boxes = np.array([[0, view.size.height, 0, view.size.width]])
        while len(boxes):
            boxes = self._fit(boxes)

    @property
    def largest_cell(self) -> float:
        """Longest side of a cell, in pixels, in all of the view that is smooth; infinite where nothing is."""
        return max((piece.largest_cell for piece in self.pieces), default=0.0) or np.inf

    def tiles(self, level: int = 0) -> Iterator[CellTile]:
        """Yield tiles that cover all of the view that has a place in the grid's CRS.

        Cells are taken 2**level together, in rows and in columns.
        """
        pixel = 1 / max(1.0, self.largest_cell)
        for piece in self.pieces:
            yield from piece.tiles(level, pixel)

    def _fit(self, boxes: Boxes) -> Boxes:
        """Find where boxes lie, as far as they keep to the error bound; return halves of the others."""
        heights, widths = _sides(boxes)
        parts = (1 + NODES) / 2
        cells = self._cells(boxes, heights[:, None] * parts, widths[:, None] * parts)
        is_smooth = self._fit_series(boxes, cells)
        longer = np.maximum(heights, widths)
        is_empty = (longer <= _EMPTY_SIDE) & np.isnan(cells).all(axis=(1, 2, 3))
        is_small = (longer <= _EXACT_SIDE) & ~is_smooth & ~is_empty
        self._compute(boxes[is_small])
        return _halves(boxes[~is_smooth & ~is_empty & ~is_small])

    def _fit_series(self, boxes: Boxes, cells: Coordinates) -> NDArray[np.bool_]:
        """Take the boxes whose series keeps to the error bound; tell which ones these are."""
        series, sizes = series_of(cells), _cell_sizes(cells, *_sides(boxes))
        with np.errstate(invalid="ignore"):
            pixels = np.abs(series) * np.maximum(sizes, 1)[..., None, None]
        orders = orders_needed(pixels.sum(axis=1), PIXEL_ERROR)
        for i in np.flatnonzero(orders):
            part = series[i, :, : orders[i], : orders[i]]
            self.pieces.append(SmoothPiece(*_slices(boxes[i]), part, float(sizes[i].max())))
        return orders > 0

    def _compute(self, boxes: Boxes) -> None:
        """Find where each pixel of boxes lies, exactly."""
        if not len(boxes):
            return
        heights, widths = _sides(boxes)
        cells = self._cells(boxes, np.arange(heights.max()) + 0.5, np.arange(widths.max()) + 0.5)
        for box, height, width, inside in zip(boxes, heights, widths, cells, strict=True):
            self.pieces.append(ExactPiece(*_slices(box), inside[:, :height, :width]))

    def _cells(self, boxes: Boxes, down: Coordinates, across: Coordinates) -> Coordinates:
        """Return (boxes, 2, down, across) exact cells at distances, in pixels, from the boxes' top left."""
        extent, size = self._view.extent, self._view.size
        x = extent.west + (boxes[:, 2, None] + across) * (extent.width / size.width)
        y = extent.north - (boxes[:, 0, None] + down) * (extent.height / size.height)
        x, y = np.broadcast_arrays(x[:, None, :], y[:, :, None])
        return self._locator.cells(x, y, tolerance=self._view.resolution / 2)


def _cell_sizes(cells: Coordinates, heights: Boxes, widths: Boxes) -> Coordinates:
    """Return (boxes, 2): the longest that a side of a cell, along columns and along rows, gets in pixels."""
    across, down = slopes_of(cells)
    across *= (2 / widths)[:, None, None, None]
    down *= (2 / heights)[:, None, None, None]
    area = np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        # The inverse of the slopes: along a column its row stays, along a row its column.
        sides = np.hypot(across, down)[:, ::-1] / area[:, None]
    return np.asarray(sides.max(axis=(2, 3)))


def _halves(boxes: Boxes) -> Boxes:
    """Cut each box in two, across its longer side."""
    top, bottom, left, right = boxes.T
    is_tall = bottom - top > right - left
    row, column = (top + bottom) // 2, (left + right) // 2
    first = [top, np.where(is_tall, row, bottom), left, np.where(is_tall, right, column)]
    second = [np.where(is_tall, row, top), bottom, np.where(is_tall, left, column), right]
    return np.concatenate([np.stack(first, axis=1), np.stack(second, axis=1)])


def _sides(boxes: Boxes) -> tuple[Boxes, Boxes]:
    """Return heights and widths."""
    return boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]


def _slices(box: Boxes) -> tuple[slice, slice]:
    top, bottom, left, right = box.tolist()
    return slice(top, bottom), slice(left, right)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _middle(values: Coordinates) -> Coordinates:
    """Return (..., 1, 1): the value in the middle of (..., n, m), or the greatest where it is NaN."""
    middle = values[..., values.shape[-2] // 2, values.shape[-1] // 2]
    return np.where(np.isnan(middle), np.fmax.reduce(values, axis=(-2, -1)), middle)[..., None, None]
