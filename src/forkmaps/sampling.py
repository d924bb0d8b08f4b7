"""Which cell of a grid lies under each pixel of a picture.

Pixel -> map projection -> grid CRS -> cell is smooth nearly everywhere, so it is computed exactly on a few
Chebyshev points and interpolated to the pixels by two small matrix products. The tail of the Chebyshev series
bounds the error (Trefethen, *Approximation Theory and Approximation Practice*, 2013, ch. 8); where it is more
than an eighth of a pixel, the view is cut in halves, down to tiles that are computed exactly. So a pole, the
antimeridian or the edge of a projection costs only the tiles that it passes through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forkmaps.projection import View

PIXEL_ERROR = 0.125
"""The largest error allowed, in pixels (in cells, where a cell is smaller than a pixel)."""
_NODES = 10
"""Chebyshev points along each side of a tile: 100 exact transforms, about 0.1 ms."""
_TAIL = 2
"""Highest orders of the series that are taken as its error."""
_EXACT_SIDE = 32
"""Tiles of at most this many pixels a side are computed exactly when the series does not converge."""

_STRIP_ROWS = 48
"""Rows of pixels that are handed on at a time: few enough for their arrays to stay in the CPU's cache."""

Plane = NDArray[np.float32]
Coordinates = NDArray[np.float64]
ToGrid = Callable[[Coordinates, Coordinates], tuple[Coordinates, Coordinates]]
"""Map coordinates to coordinates in the grid's CRS, x before y, infinite where there are none."""


@dataclass(frozen=True, slots=True)
class CellTile:
    """Cell coordinates of a rectangle of pixels.

    `column` and `row` are (rows, columns) float32, >= 0 and relative to the integer cell (`first_column`,
    `first_row`); a cell's own area is from n to n + 1. NaN where the pixel lies outside of the projection.
    """

    rows: slice
    columns: slice
    column: Plane
    row: Plane
    first_column: int
    first_row: int


@dataclass(frozen=True, slots=True)
class CellGrid:
    """A grid of cells in its CRS: the inverse of its affine transform, and the turn of its longitudes.

    Attributes
    ----------
    inverse : six floats
        (a, b, c, d, e, f): column = a x + b y + c, row = d x + e y + f, in cells.
    degrees_around : float or None
        360 where x is a longitude in degrees, else None.
    """

    inverse: tuple[float, float, float, float, float, float]
    degrees_around: float | None

    def cells(self, x: Coordinates, y: Coordinates) -> Coordinates:
        """Return (2, ...) column and row in cells of coordinates in the grid's CRS."""
        a, b, c, d, e, f = self.inverse
        if self.degrees_around is not None:
            x = _unwrap(x)
        return np.stack([a * x + b * y + c, d * x + e * y + f])


def cells_per_pixel(grid: CellGrid, to_grid: ToGrid, view: View) -> float:
    """Return how many cells a pixel is wide: the median over nine places of the view (1.0 if none is valid)."""
    x, y = view.pixel_centers()
    x, y = np.meshgrid(x[_thirds(len(x))], y[_thirds(len(y))])
    step = view.resolution
    probes_x = np.stack([x, x + step, x])
    probes_y = np.stack([y, y, y + step])
    here, across, up = np.moveaxis(grid.cells(*to_grid(probes_x, probes_y)), 1, 0)
    with np.errstate(invalid="ignore"):
        (column_x, row_x), (column_y, row_y) = across - here, up - here
        area = np.abs(column_x * row_y - column_y * row_x)
    area = area[np.isfinite(area) & (area > 0)]
    return float(np.sqrt(np.median(area))) if len(area) else 1.0


def cell_tiles(grid: CellGrid, to_grid: ToGrid, view: View, cells_per_pixel: float) -> Iterator[CellTile]:
    """Yield tiles that cover the view, each with its pixels' cell coordinates.

    Parameters
    ----------
    to_grid : callable
        From map coordinates to the grid's CRS, x before y.
    cells_per_pixel : float
        Scale at which the error bound holds.
    """
    x, y = view.pixel_centers()
    bound = PIXEL_ERROR * min(1.0, cells_per_pixel)
    pending = [(slice(0, len(y)), slice(0, len(x)))]
    while pending:
        rows, columns = pending.pop()
        series = _series(grid, to_grid, x[columns], y[rows], bound)
        if series is not None:
            yield from _strips(series, rows, columns)
        elif max(_length(rows), _length(columns)) <= _EXACT_SIDE:
            yield _exact(grid, to_grid, x, y, rows, columns)
        else:
            pending += _halves(rows, columns)


def _series(
    grid: CellGrid, to_grid: ToGrid, x: Coordinates, y: Coordinates, bound: float
) -> Coordinates | None:
    """Return the (2, nodes, nodes) series of column and row, or None where its error is above `bound` cells."""
    nodes, to_series = _chebyshev()
    cells = grid.cells(*to_grid(*np.meshgrid(_spread(nodes, x), _spread(nodes, y))))
    if not np.isfinite(cells).all():
        return None
    series: Coordinates = to_series @ cells @ to_series.T
    size = np.abs(series)
    error = size[:, -_TAIL:, :].sum(axis=(1, 2)) + size[:, :-_TAIL, -_TAIL:].sum(axis=(1, 2))
    return series if error.max() <= bound else None


def _strips(series: Coordinates, rows: slice, columns: slice) -> Iterator[CellTile]:
    """Evaluate the series at the pixels, a strip of rows at a time."""
    # |T_k| <= 1, so no value lies further from the constant term than the sum of the other terms.
    reach = np.abs(series).sum(axis=(1, 2)) - np.abs(series[:, 0, 0])
    first = np.floor(series[:, 0, 0] - reach)
    series[:, 0, 0] -= first
    down, across = _basis(_length(rows)), _basis(_length(columns)).T
    column_terms, row_terms = series.astype(np.float32) @ across
    for start in range(0, len(down), _STRIP_ROWS):
        part = down[start : start + _STRIP_ROWS]
        here = slice(rows.start + start, rows.start + start + len(part))
        yield CellTile(here, columns, part @ column_terms, part @ row_terms, int(first[0]), int(first[1]))


def _exact(
    grid: CellGrid,
    to_grid: ToGrid,
    x: Coordinates,
    y: Coordinates,
    rows: slice,
    columns: slice,
) -> CellTile:
    cells = grid.cells(*to_grid(*np.meshgrid(x[columns], y[rows])))
    cells[~np.isfinite(cells)] = np.nan
    finite = cells[:, np.isfinite(cells).all(axis=0)]
    first = np.floor(finite.min(axis=1)) if finite.size else np.zeros(2)
    column, row = (cells - first[:, None, None]).astype(np.float32)
    return CellTile(rows, columns, column, row, int(first[0]), int(first[1]))


def _unwrap(lon: Coordinates) -> Coordinates:
    """Put longitudes on the turn around their middle one, so that they don't jump by 360 within a tile."""
    center = lon[tuple(n // 2 for n in lon.shape)]
    if not np.isfinite(center):
        finite = lon[np.isfinite(lon)]
        center = finite[0] if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        turned: Coordinates = center + (lon - center + 180.0) % 360.0 - 180.0
    return turned


@functools.cache
def _chebyshev() -> tuple[Coordinates, Coordinates]:
    """Return the nodes in -1..1 (ascending), and the matrix that turns values there into a series."""
    angles = np.pi * (np.arange(_NODES)[::-1] + 0.5) / _NODES
    orders = np.arange(_NODES)
    to_series = 2.0 / _NODES * np.cos(orders[:, None] * angles)
    to_series[0] /= 2.0
    return np.cos(angles), to_series


@functools.lru_cache(maxsize=256)
def _basis(length: int) -> Plane:
    """Return (length, nodes): the Chebyshev polynomials at evenly spaced pixel centers, ends on -1 and 1."""
    t = np.linspace(-1.0, 1.0, length) if length > 1 else np.zeros(1)
    return np.polynomial.chebyshev.chebvander(t, _NODES - 1).astype(np.float32)


def _spread(nodes: Coordinates, centers: Coordinates) -> Coordinates:
    middle, half = (centers[0] + centers[-1]) / 2, (centers[-1] - centers[0]) / 2
    spread: Coordinates = middle + nodes * half
    return spread


def _halves(rows: slice, columns: slice) -> list[tuple[slice, slice]]:
    if _length(rows) > _length(columns):
        middle = (rows.start + rows.stop) // 2
        return [(slice(rows.start, middle), columns), (slice(middle, rows.stop), columns)]
    middle = (columns.start + columns.stop) // 2
    return [(rows, slice(columns.start, middle)), (rows, slice(middle, columns.stop))]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _thirds(length: int) -> NDArray[np.intp]:
    return np.array([length // 6, length // 2, length * 5 // 6])
