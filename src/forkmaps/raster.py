"""A raster in memory: read once, frozen, and sampled on the pixels of any view.

Cells larger than a pixel are drawn where they are, to the pixel. Where cells are smaller, values come from a
pyramid of block means (skipping cells without data) that is built once, so that a picture's cost does not
depend on the raster's size.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, View
from forkmaps.sampling import CellGrid, CellTile, Plane, cell_tiles, cells_per_pixel

if TYPE_CHECKING:
    import xarray

Resampling = Literal["average", "nearest"]
Interpolation = Literal["nearest", "linear"]

_SMALLEST_LEVEL = 256
"""The pyramid ends when the smaller side of a level has at most this many cells."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a raster.

    Attributes
    ----------
    number : int
        Its number in the file, from 1.
    name : str
        What it shows, without the unit: "Minimum Relative Humidity".
    unit : str
        Unit of its values, "" when unknown.
    valid_time : datetime or None
        The time it is valid for, UTC.
    """

    number: int
    name: str
    unit: str = ""
    valid_time: dt.datetime | None = None


class Raster:
    """Bands of values on a regular grid, read-only.

    Parameters
    ----------
    values : (bands, rows, columns) float32
        In the bands' unit; NaN where there is no data. Frozen (made read-only) here.
    crs : pyproj.CRS
        CRS of the grid, x before y.
    transform : affine.Affine
        (column, row) of a cell's corner to (x, y); rotated, sheared and south-up grids are fine.
    bands : sequence of Band
        One for each band of `values`.
    name, unit : str
        What the raster as a whole shows.
    resampling : "average" or "nearest"
        What stands for many cells under one pixel: their mean, or (categories) the one at its center.
    source : str
        The file it came from, for messages.

    Raises
    ------
    RasterError
        Shapes that don't fit together, or a transform that can't be inverted.
    """

    def __init__(
        self,
        values: NDArray[np.float32],
        crs: pyproj.CRS,
        transform: Affine,
        *,
        bands: Sequence[Band] = (),
        name: str = "",
        unit: str = "",
        resampling: Resampling = "average",
        source: str = "memory",
    ) -> None:
        if values.ndim != 3 or 0 in values.shape:
            raise RasterError(f"{source}: an array of (bands, rows, columns) is needed, not {values.shape}")
        if transform.is_degenerate:
            raise RasterError(f"{source}: the transform {tuple(transform)[:6]} maps all cells to one line")
        self.crs, self.transform, self.name, self.unit, self.source = crs, transform, name, unit, source
        self.bands = tuple(bands) or tuple(Band(i + 1, name, unit) for i in range(len(values)))
        if len(self.bands) != len(values):
            raise RasterError(f"{source}: {len(values)} bands of values, but {len(self.bands)} descriptions")
        self.resampling = resampling
        self.levels = _pyramid(np.ascontiguousarray(values, dtype=np.float32), resampling)

    @property
    def values(self) -> NDArray[np.float32]:
        """(bands, rows, columns) float32, read-only, NaN where there is no data."""
        return self.levels[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.values.shape[1], self.values.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the values and their pyramid."""
        return sum(level.nbytes for level in self.levels)

    @functools.cached_property
    def crs_text(self) -> str:
        """The CRS as WKT."""
        return str(self.crs.to_wkt())

    @property
    def x(self) -> NDArray[np.float64]:
        """x of the cell centers, (columns,); of the first row where the grid is rotated."""
        return self._at(np.arange(self.shape[1]) + 0.5, np.array(0.5))[0]

    @property
    def y(self) -> NDArray[np.float64]:
        """y of the cell centers, (rows,); of the first column where the grid is rotated."""
        return self._at(np.array(0.5), np.arange(self.shape[0]) + 0.5)[1]

    def cell_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of all cell centers, (rows, columns) each, in the raster's CRS: the full meshgrid."""
        rows, columns = self.shape
        return self._at(*np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5))

    def outline(self, points: int = 33) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x, y (in the raster's CRS) of `points` x `points` places from edge to edge of the grid."""
        rows, columns = self.shape
        return self._at(*np.meshgrid(np.linspace(0, columns, points), np.linspace(0, rows, points)))

    def _at(
        self, column: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        t = self.transform
        return t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest value of all bands; NaN where there are no values."""
        if np.isnan(self.levels[-1]).all() and np.isnan(self.values).all():
            return float("nan"), float("nan")
        return float(np.nanmin(self.values)), float(np.nanmax(self.values))

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along x and y."""
        return bool(self.transform.b == 0 and self.transform.d == 0)

    def contains(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places, in the raster's CRS, lie on its grid; infinite ones don't."""
        rows, columns = self.shape
        inverse = ~self.transform
        with np.errstate(invalid="ignore"):
            column = inverse.a * x + inverse.b * y + inverse.c
            row = inverse.d * x + inverse.e * y + inverse.f
            around = self._around(0)
            if around is not None:
                column = column % around
            inside: NDArray[np.bool_] = (column >= 0) & (column <= columns) & (row >= 0) & (row <= rows)
        return inside

    def to_xarray(self) -> xarray.DataArray:
        """Return the values as a DataArray (band, y, x) on the same read-only memory, CRS in `rio.crs`."""
        import rioxarray  # noqa: F401  (the .rio accessor)
        import xarray

        coords = {"band": [band.number for band in self.bands]}
        if self.is_rectilinear:
            coords |= {"y": self.y, "x": self.x}
        array = xarray.DataArray(self.values, dims=("band", "y", "x"), coords=coords, name=self.name or None)
        array.attrs.update({"units": self.unit, "long_name": self.name})
        return array.rio.write_crs(self.crs_text, inplace=True).rio.write_transform(self.transform, inplace=True)

    def sample(
        self,
        view: View,
        projection: MapProjection,
        *,
        band: int = 0,
        interpolation: Interpolation = "nearest",
    ) -> Plane:
        """Sample a band on a view's pixels.

        Parameters
        ----------
        view : View
            In coordinates of `projection`.
        band : int
            Index into `bands`, from 0.
        interpolation : "nearest" or "linear"
            Between cell centers, where cells are larger than pixels.

        Returns
        -------
        (rows, columns) float32
            In the band's unit, NaN where there is no data. The cell under a pixel is off by at most an
            eighth of a pixel.
        """
        to_grid = projection.inverse(self.crs_text)
        base = self._grid(0)
        scale = cells_per_pixel(base, to_grid, view)
        level = self._level_for(scale)
        values = self.levels[level][band]
        take = _take_linear if interpolation == "linear" and scale < 1.0 else _take_nearest
        out = np.empty((view.size.height, view.size.width), np.float32)
        for tile in cell_tiles(self._grid(level), to_grid, view, scale / 2**level):
            out[tile.rows, tile.columns] = take(values, tile, self._around(level))
        return out

    def _level_for(self, scale: float) -> int:
        """Return the coarsest level whose cells are not larger than a pixel (`scale`: cells per pixel)."""
        if not scale > 1.0:
            return 0
        return min(int(np.log2(scale)), len(self.levels) - 1)

    def _grid(self, level: int) -> CellGrid:
        inverse = tuple(value / 2**level for value in tuple(~self.transform)[:6])
        a, b, c, d, e, f = inverse
        return CellGrid((a, b, c, d, e, f), 360.0 if self.crs.is_geographic else None)

    def _around(self, level: int) -> float | None:
        """Columns of one turn around the earth, where columns are longitudes."""
        if self.crs.is_geographic and self.is_rectilinear:
            return float(360.0 / abs(self.transform.a) / 2**level)
        return None


def _pyramid(values: NDArray[np.float32], resampling: Resampling) -> tuple[NDArray[np.float32], ...]:
    levels = [_frozen(values)]
    while resampling == "average" and min(levels[-1].shape[1:]) > _SMALLEST_LEVEL:
        levels.append(_frozen(np.stack([_halve_mean(band) for band in levels[-1]])))
    return tuple(levels)


def _frozen(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values.flags.writeable = False
    return values


def _halve_mean(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return means of 2 x 2 cells that skip NaN; the last row or column of an odd side stands for itself."""
    rows, columns = band.shape
    band = np.pad(band, ((0, rows % 2), (0, columns % 2)), mode="edge")
    blocks = [band[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    total = blocks[0] + blocks[1] + blocks[2] + blocks[3]
    mean = total * np.float32(0.25)
    gaps = np.isnan(mean)
    if gaps.any():
        some = np.stack([block[gaps] for block in blocks])
        count = np.count_nonzero(~np.isnan(some), axis=0)
        with np.errstate(invalid="ignore"):
            mean[gaps] = np.nansum(some, axis=0) / np.where(count, count, np.nan)
    return mean


def _take_nearest(values: NDArray[np.float32], tile: CellTile, around: float | None) -> Plane:
    rows, columns = values.shape
    column, outside = _inside(tile.column, tile.first_column, columns, around)
    row, outside_rows = _inside(tile.row, tile.first_row, rows, None)
    index = row.astype(np.intp)
    index *= columns
    index += column.astype(np.intp)
    taken = values.reshape(-1).take(index, mode="clip")
    for mask in (outside, outside_rows):
        if mask is not None:
            taken[mask] = np.nan
    return taken


def _take_linear(values: NDArray[np.float32], tile: CellTile, around: float | None) -> Plane:
    """Bilinear between cell centers; cells without data don't count, and stay without data themselves."""
    rows, columns = values.shape
    nearest = _take_nearest(values, tile, around)
    column, _ = _inside(tile.column, tile.first_column, columns, around)
    row, _ = _inside(tile.row, tile.first_row, rows, None)
    left, right, to_right = _neighbors(
        column, columns, wrap=around is not None and abs(around - columns) < 0.5
    )
    above, below, to_below = _neighbors(row, rows, wrap=False)
    total, weight = np.zeros_like(column), np.zeros_like(column)
    for r, w_r in ((above, 1 - to_below), (below, to_below)):
        for c, w_c in ((left, 1 - to_right), (right, to_right)):
            value, w = values[r, c], w_r * w_c
            known = ~np.isnan(value)
            total += np.where(known, value, 0) * w
            weight += np.where(known, w, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isnan(nearest), np.float32(np.nan), total / weight).astype(np.float32)


def _neighbors(
    position: Plane, length: int, *, wrap: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], Plane]:
    """Return the cells before and after a position, and how far it is on the way between their centers."""
    before = np.floor(position - 0.5)
    part = (position - 0.5 - before).astype(np.float32)
    first, second = before.astype(np.intp), before.astype(np.intp) + 1
    if wrap:
        return first % length, second % length, part
    return np.clip(first, 0, length - 1), np.clip(second, 0, length - 1), part


def _inside(
    relative: Plane, first: int, length: int, around: float | None
) -> tuple[Plane, NDArray[np.bool_] | None]:
    """Return positions in cells of the grid, put inside, and where they were outside (None: nowhere)."""
    low, high = float(relative.min()) + first, float(relative.max()) + first
    if around is not None and np.isfinite(low):
        turns = np.floor(((low + high) / 2 - length / 2) / around + 0.5) * around
        low, high = low - turns, high - turns
        position = relative + np.float32(first - turns)
        if low < 0 or high >= length:
            position %= np.float32(around)
            if abs(around - length) < 0.5:
                # A full turn: the last column ends where the first begins, whatever the rounding of the cell size.
                return np.minimum(position, np.nextafter(np.float32(length), np.float32(0))), None
            low, high = float(position.min()), float(position.max())
    else:
        position = relative + np.float32(first)
    if low >= 0 and high < length:
        return position, None
    outside = ~((position >= 0) & (position < length))
    return np.clip(np.nan_to_num(position), 0, length - 1), outside
