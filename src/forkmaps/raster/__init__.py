"""A raster in memory: read once, frozen, and sampled on the pixels of any view.

Cells larger than a pixel are drawn where they are, to the pixel. Where cells are smaller, values come from a
pyramid of block means (skipping cells without data) that is built once, so that a picture's cost does not
depend on the raster's size.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from forkmaps.cache import AnyCache
from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, View
from forkmaps.raster.cells import Cells
from forkmaps.raster.pyramid import Bands, kept_pyramid
from forkmaps.raster.sampling import CellGrid, CellMap, Locator, Plane

if TYPE_CHECKING:
    import xarray

Resampling = Literal["average", "nearest"]
Interpolation = Literal["nearest", "linear"]

_CLOSED = 0.5
"""Cells by which a full turn of columns may miss 360 degrees: a file may state its cell size rounded."""


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
        In the bands' unit; NaN where there is no data (infinities become NaN, in a copy). Frozen (made
        read-only) here.
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
    cache : Cache
        Where the pyramid is kept for later runs, by content of the values.

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
        cache: AnyCache | None = None,
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
        values, self._value_range = _without_infinities(np.ascontiguousarray(values, dtype=np.float32))
        self.levels = kept_pyramid(values, cache) if resampling == "average" else (values,)
        for level in self.levels:
            level.flags.writeable = False

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
        """Return x of the cell centers, (columns,); of the first row where the grid is rotated."""
        return self._at(_centers(self.shape[1]), np.array(0.5))[0]

    @property
    def y(self) -> NDArray[np.float64]:
        """Return y of the cell centers, (rows,); of the first column where the grid is rotated."""
        return self._at(np.array(0.5), _centers(self.shape[0]))[1]

    def cell_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of all cell centers, (rows, columns) each, in the raster's CRS: the meshgrid."""
        rows, columns = self.shape
        return self._at(*np.meshgrid(_centers(columns), _centers(rows)))

    def outline(self, points: int = 33) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x, y (in the raster's CRS) of `points` x `points` places from edge to edge of the grid."""
        rows, columns = self.shape
        return self._at(*np.meshgrid(np.linspace(0, columns, points), np.linspace(0, rows, points)))

    def _at(
        self, column: NDArray[np.float64], row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        t = self.transform
        return t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest value of all bands; NaN where there are no values."""
        return self._value_range

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along x and y."""
        return bool(self.transform.b == 0 and self.transform.d == 0)

    def contains(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places, in the raster's CRS, lie on its grid; infinite ones don't."""
        rows, columns = self.shape
        with np.errstate(invalid="ignore"):
            column, row = replace(self.grid, middle=self._middle_x).cells(x, y)
            inside: NDArray[np.bool_] = (row >= 0) & (row <= rows) & np.isfinite(column)
            if not self._is_closed:
                inside &= (column >= 0) & (column <= columns)
        return inside

    def to_xarray(self) -> xarray.DataArray:
        """Return the values as a DataArray (band, y, x) on the same read-only memory, CRS in `rio.crs`."""
        import rioxarray  # noqa: F401  (the .rio accessor)
        import xarray

        coords: dict[str, Any] = {"band": [band.number for band in self.bands]}
        if self.is_rectilinear:
            coords |= {"y": self.y, "x": self.x}
        array = xarray.DataArray(self.values, dims=("band", "y", "x"), coords=coords, name=self.name or None)
        array.attrs.update({"units": self.unit, "long_name": self.name})
        array.rio.write_crs(self.crs_text, inplace=True)
        array.rio.write_transform(self.transform, inplace=True)
        return array

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
        cell_map = self.cell_map(view, projection)
        level = self.level_for(1 / cell_map.largest_cell)
        cells = self._cells(level, band)
        linear = interpolation == "linear" and cell_map.largest_cell > 1.0
        out = np.full((view.size.height, view.size.width), np.nan, np.float32)
        with np.errstate(invalid="ignore"):
            for tile in cell_map.tiles(level):
                cells.take(tile, out[tile.rows, tile.columns], linear=linear)
        return out

    def level_of(self, view: View, projection: MapProjection) -> int:
        """Return the index into `levels` of the one that a view is sampled from."""
        return self.level_for(1 / self.cell_map(view, projection).largest_cell)

    def cell_map(self, view: View, projection: MapProjection) -> CellMap:
        """Return which cells of the grid lie under a view's pixels."""
        return CellMap(Locator(self.grid, self.crs_text, projection), view)

    def level_for(self, cells_per_pixel: float) -> int:
        """Return the coarsest level that has no cell larger than a pixel, from the fewest that one has."""
        if not 1 < cells_per_pixel < np.inf:
            return 0
        return min(int(np.log2(cells_per_pixel)), len(self.levels) - 1)

    def _cells(self, level: int, band: int) -> Cells:
        rows, columns = self.shape
        values = self.levels[level][band]
        return Cells(values, rows / 2**level, columns / 2**level, self.around(level), self._is_closed)

    @property
    def grid(self) -> CellGrid:
        """How coordinates in the raster's CRS become cells."""
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        return CellGrid((a, b, c, d, e, f), self._turn, None if self.is_rectilinear else self._middle_x)

    @functools.cached_property
    def _turn(self) -> float | None:
        """Once around the earth, in units of x, where x is a longitude (360 for degrees)."""
        if not self.crs.is_geographic:
            return None
        radians = float(self.crs.axis_info[0].unit_conversion_factor)
        return 2 * math.pi / radians

    def around(self, level: int) -> float | None:
        """Columns of a level that go once around the earth, where columns are longitudes."""
        if self._turn is None or not self.is_rectilinear:
            return None
        return self._turn / abs(float(self.transform.a)) / float(2**level)

    @property
    def _is_closed(self) -> bool:
        """Whether the last column lies beside the first."""
        around = self.around(0)
        return around is not None and abs(around - self.shape[1]) < _CLOSED

    @property
    def _middle_x(self) -> float:
        rows, columns = self.shape
        return float(self._at(np.array(columns / 2), np.array(rows / 2))[0])


def _without_infinities(values: Bands) -> tuple[Bands, tuple[float, float]]:
    """Return values with NaN for infinities, and their range: 10 ms for 7000 x 3500 cells, nothing copied."""
    with np.errstate(invalid="ignore"):
        low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    if np.isinf([low, high]).any():
        return _without_infinities(np.where(np.isinf(values), np.float32(np.nan), values))
    return values, (low, high)


def _centers(number: int) -> NDArray[np.float64]:
    return np.arange(number, dtype=np.float64) + 0.5
