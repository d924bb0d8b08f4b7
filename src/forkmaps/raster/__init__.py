"""A raster in memory: read once, frozen, and sampled on the pixels of any view.

Cells larger than a pixel are drawn where they are, to the pixel. Where cells are smaller, values come from a
pyramid of block means (skipping cells without data) that is built once, so that a picture's cost does not
depend on the raster's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import cartopy.crs as ccrs
import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from forkmaps.cache import AnyCache
from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, View
from forkmaps.raster.affinegrid import AffineGrid
from forkmaps.raster.band import Band
from forkmaps.raster.cells import Cells
from forkmaps.raster.crs import known_crs, turn_of
from forkmaps.raster.curvilinear import CurvilinearGrid
from forkmaps.raster.levels import levels_from_stored, levels_of, levels_to_stored
from forkmaps.raster.ongrid import Grid, OnGrid, grid_of
from forkmaps.raster.sampling import Plane

if TYPE_CHECKING:
    import xarray

__all__ = ["Band", "Grid", "Interpolation", "Raster", "Resampling"]

Resampling = Literal["average", "nearest"]
Interpolation = Literal["nearest", "linear"]


class Raster(OnGrid):
    """Bands of values on a grid, read-only.

    Parameters
    ----------
    values : (bands, rows, columns) float32
        In the bands' unit; NaN where there is no data (infinities become NaN, in a copy). Contiguous
        float32 values are not copied but viewed, read-only; who writes to them elsewhere changes the maps.
    crs : pyproj.CRS
        CRS of the grid, x before y.
    transform : affine.Affine or CurvilinearGrid
        (column, row) of a cell's corner to (x, y); rotated, sheared and south-up grids are fine. Or a grid
        with coordinates of its own for each cell, on which the same is done more slowly.
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
        transform: Affine | CurvilinearGrid,
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
        grid = grid_of(transform, (values.shape[1], values.shape[2]), crs, source)
        bands = tuple(bands) or tuple(Band(i + 1, name, unit) for i in range(len(values)))
        if len(bands) != len(values):
            raise RasterError(f"{source}: {len(values)} bands of values, but {len(bands)} descriptions")
        self.levels, self.value_range = levels_of(values, cache, averaged=resampling == "average")
        self.crs, self.crs_text = crs, str(crs.to_wkt())
        self.bands, self.name, self.unit, self.source = bands, name, unit, source
        self.resampling: Resampling = resampling
        self.grid: Grid = grid

    @classmethod
    def from_array(
        cls,
        values: Any,
        *,
        crs: Any,
        x: Any = None,
        y: Any = None,
        transform: Affine | None = None,
        bands: Sequence[Band | str] = (),
        name: str = "",
        unit: str = "",
        resampling: Resampling = "average",
        source: str = "memory",
    ) -> Self:
        """Make a raster of an array in memory.

        It is not copied where it is float32 and contiguous: what is written into it afterwards shows on the
        maps, and does not show in pyramid and value range. Maps themselves can't write into it.

        Parameters
        ----------
        values : (rows, columns) or (bands, rows, columns)
            Numbers; NaN, infinite or masked where there is no data.
        crs
            What pyproj takes: EPSG code, PROJ string, WKT, a CRS object of pyproj, rasterio or cartopy.
        x, y : (columns,) and (rows,), or both (rows, columns)
            Of the cells' centers (with one more each way, of their corners) in the CRS, x before y. Evenly
            spaced or not, ascending or descending; 2-D ones for grids that are curvilinear.
        transform : affine.Affine
            Instead of x and y: (column, row) of a cell's corner to (x, y).
        bands : sequence of Band or str
            What each band shows; a str is its name.
        name, unit, resampling, source
            As for `Raster`.

        Raises
        ------
        RasterError
            Values that are no numbers, or coordinates that don't fit them.
        """
        from forkmaps.raster.placing import placed, plain_values

        values = plain_values(values, source)
        grid_crs = known_crs(crs, source)
        if (transform is None) == (x is None or y is None):
            raise RasterError(f"{source}: either transform is needed, or x and y")
        where = transform or placed(values.shape[1:], x, y, turn_of(grid_crs), source)
        described = tuple(b if isinstance(b, Band) else Band(i + 1, b, unit) for i, b in enumerate(bands))
        options: dict[str, Any] = {"name": name, "unit": unit, "resampling": resampling, "source": source}
        return cls(values, grid_crs, where, bands=described, **options)

    @classmethod
    def from_xarray(
        cls,
        array: xarray.DataArray,
        *,
        crs: Any = None,
        name: str | None = None,
        unit: str | None = None,
        resampling: Resampling = "average",
    ) -> Self:
        """Make a raster of a DataArray, which may have bands, times, steps or levels beside x and y.

        Names, units, valid times, coordinates and CRS are taken from it (CF attributes, `rio.crs`), unless
        given here. For copies, and what is written into it afterwards, see `from_array`.

        Raises
        ------
        RasterError
            Its dimensions or its CRS can't be told; the message says what to give.
        """
        from forkmaps.raster.fromxarray import content_of

        source = f"array {array.name}" if array.name else "array"
        content = content_of(array, crs=crs, name=name, unit=unit, source=source)
        return cls.from_array(
            content.values,
            crs=content.crs,
            x=content.x,
            y=content.y,
            bands=content.bands,
            name=content.name,
            unit=content.unit,
            resampling=resampling,
            source=source,
        )

    def __repr__(self) -> str:
        from forkmaps.raster.showing import one_line

        return f"<Raster {one_line(self)}>"

    def _repr_html_(self) -> str:
        from forkmaps.html import block, facts
        from forkmaps.raster.showing import facts_of, picture

        return block("Raster", facts(facts_of(self)), picture(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_stored, self.to_stored()

    def to_stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that the raster consists of: arrays by name, and the rest as JSON can hold it."""
        arrays, grid = self.grid.to_stored()
        return levels_to_stored(self.levels) | arrays, {
            "crs": self.crs_text,
            "grid": grid,
            "bands": [band.to_stored() for band in self.bands],
            "range": self.value_range,
            **{key: getattr(self, key) for key in _TEXTS},
        }

    @classmethod
    def from_stored(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Self:
        """Return the raster that `to_stored` told of; its arrays are not copied."""
        raster = cls.__new__(cls)
        raster.levels = levels_from_stored(arrays, len(meta["bands"]))
        raster.crs, raster.crs_text = pyproj.CRS.from_wkt(meta["crs"]), meta["crs"]
        raster.bands = tuple(Band.from_stored(band) for band in meta["bands"])
        low, high = meta["range"]
        raster.value_range = (low, high)
        for key in _TEXTS:
            setattr(raster, key, meta[key])
        kind = AffineGrid if "transform" in meta["grid"] else CurvilinearGrid
        raster.grid = kind.from_stored(arrays, meta["grid"])
        return raster

    @property
    def values(self) -> NDArray[np.float32]:
        """(bands, rows, columns) float32, read-only, NaN where there is no data."""
        return self.levels[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.values.shape[1], self.values.shape[2]

    @property
    def cartopy_crs(self) -> ccrs.CRS:
        """The CRS as cartopy has it, for the `transform` of what is drawn at the raster's coordinates."""
        return ccrs.PlateCarree() if self.crs.is_geographic else ccrs.Projection(self.crs)

    @property
    def nbytes(self) -> int:
        """Bytes of the values, their pyramid, and the grid's coordinates where it is curvilinear."""
        return sum(level.nbytes for level in self.levels) + self.grid.nbytes

    def to_xarray(self) -> xarray.DataArray:
        """Return the values as a DataArray (band, y, x) on the same read-only memory, CRS in `rio.crs`."""
        from forkmaps.raster.toxarray import to_xarray

        return to_xarray(self)

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

    def level_for(self, cells_per_pixel: float) -> int:
        """Return the coarsest level that has no cell larger than a pixel, from the fewest that one has."""
        if not 1 < cells_per_pixel < np.inf:
            return 0
        return min(int(np.log2(cells_per_pixel)), len(self.levels) - 1)

    def _cells(self, level: int, band: int) -> Cells:
        rows, columns = self.shape
        values = self.levels[level][band]
        return Cells(values, rows / 2**level, columns / 2**level, self.around(level), self.grid.is_closed)


_TEXTS = ("name", "unit", "source", "resampling")
