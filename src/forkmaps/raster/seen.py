"""The part of a raster that a view shows, for functions that draw with it: contours, arrows, labels.

It has no more cells than the view has pixels, give or take a factor of two each way: to draw contours of all
of a large raster takes longer than everything else on a map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forkmaps.errors import RasterError
from forkmaps.freezing import frozen_view
from forkmaps.projection import MapProjection, View
from forkmaps.raster.affinegrid import AffineGrid
from forkmaps.raster.sampling import NOWHERE, CellMap

if TYPE_CHECKING:
    import xarray

    from forkmaps.raster import Raster

_BESIDE = 2
"""Cells around what is seen: contours end beyond the map's edge."""
_WHOLE = 0.02
"""Columns by which those once around the earth may miss a whole number."""

Indices = NDArray[np.intp]


def seen_part(raster: Raster, view: View, projection: MapProjection) -> xarray.DataArray:
    """Return the cells that a view shows, at the level of the pyramid that it is sampled from.

    Returns
    -------
    (band, y, x) float32
        Read-only. With `y` and `x` of the cells' centers in the raster's CRS, which go on across the
        antimeridian; of a grid that isn't rectilinear with two-dimensional coordinates.

    Raises
    ------
    RasterError
        The view shows nothing of the raster.
    """
    cell_map = raster.cell_map(view, projection)
    level = raster.level_for(1 / cell_map.largest_cell) if raster.is_rectilinear else 0
    number = raster.levels[level].shape[1:]
    box = _box(cell_map, level, raster.around(level))
    rows, columns = _within(box[:2], number[0]), _columns(box[2:], number[1], raster, level)
    if not len(rows) or not len(columns):
        raise RasterError(f"{raster.source}: nothing of it is in view; ask for a region that lies on it")
    return _labelled(raster, level, rows, columns)


def _box(cell_map: CellMap, level: int, around: float | None) -> NDArray[np.float64]:
    """Return first and last row, first and last column of what is seen; turns around the earth aside."""
    boxes = []
    for tile in cell_map.tiles(level):
        known = tile.row < NOWHERE
        if known.any():
            row, column = tile.row[known], tile.column[known] + tile.first_column
            boxes.append((*_ends(row + tile.first_row), *_ends(column)))
    if not boxes:
        return np.array([0.0, -1.0, 0.0, -1.0])
    found = np.array(boxes)
    if around is not None:
        middle = found[:, 2:].mean(axis=1)
        found[:, 2:] -= (np.round((middle - middle[0]) / around) * around)[:, None]
    low, high = found.min(axis=0), found.max(axis=0)
    return np.array([low[0] - _BESIDE, high[1] + _BESIDE, low[2] - _BESIDE, high[3] + _BESIDE])


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _within(ends: NDArray[np.float64], number: int) -> Indices:
    """Return the cells from first to last that there are."""
    return np.arange(max(int(np.floor(ends[0])), 0), min(int(np.floor(ends[1])) + 1, number))


def _columns(ends: NDArray[np.float64], number: int, raster: Raster, level: int) -> Indices:
    """Return the columns from first to last; beyond 0 or the last where the raster goes around the earth."""
    around = raster.around(level)
    if around is None:
        return _within(ends, number)
    ends = ends - np.floor((ends.mean() - number / 2) / around + 0.5) * around
    once = _once_around(raster, level)
    if once is None:
        return _within(ends, number)
    first, last = (int(np.floor(end)) for end in ends)
    return np.arange(first, min(last, first + once - 1) + 1)


def _once_around(raster: Raster, level: int) -> int | None:
    """Return after how many columns of a level a raster repeats itself; None where it does not.

    One that goes around the earth, and some whole columns further, repeats them.
    """
    around, part = raster.around(0), raster.around(level)
    if raster.grid.is_closed:
        return int(raster.levels[level].shape[2])
    if around is None or part is None or around > raster.shape[1] or abs(around - round(around)) > _WHOLE:
        return None
    return round(part)


def _labelled(raster: Raster, level: int, rows: Indices, columns: Indices) -> xarray.DataArray:
    import rioxarray  # noqa: F401  (the .rio accessor)
    import xarray

    coords: dict[str, Any] = {"band": [band.number for band in raster.bands]}
    if isinstance(raster.grid, AffineGrid) and raster.is_rectilinear:
        t = raster.grid.transform
        coords |= {
            "y": t.f + t.e * _centers(rows, level, raster.shape[0]),
            "x": t.c + t.a * _centers(columns, level, raster.shape[1]),
        }
    else:
        x, y = raster.cell_centers()
        part = np.ix_(rows, columns)
        coords |= {"x": (("row", "column"), x[part]), "y": (("row", "column"), y[part])}
    dims = ("band", "y", "x") if raster.is_rectilinear else ("band", "row", "column")
    values = _part(raster.levels[level], rows, columns, _once_around(raster, level))
    array = xarray.DataArray(values, dims=dims, coords=coords, name=raster.name or None)
    array.attrs.update({"units": raster.unit, "long_name": raster.name})
    array.rio.write_crs(raster.crs_text, inplace=True)
    return array


def _part(
    values: NDArray[np.float32], rows: Indices, columns: Indices, once: int | None
) -> NDArray[np.float32]:
    """Return rows and columns of values, read-only: a view but where columns go beyond the edge."""
    part = values[:, rows[0] : rows[-1] + 1]
    if once is None or (columns[0] >= 0 and columns[-1] < values.shape[2]):
        part = part[:, :, columns[0] : columns[-1] + 1]
    else:
        part = part[:, :, columns % once]
    return frozen_view(part)


def _centers(cells: Indices, level: int, number: int) -> NDArray[np.float64]:
    """Return the centers of a level's cells, in cells of the raster; the last one may be cut by its edge."""
    size = 2**level
    last = -(-number // size) - 1
    centers = (cells + 0.5) * size
    centers[cells == last] = (last * size + number) / 2
    return np.asarray(centers, np.float64)
