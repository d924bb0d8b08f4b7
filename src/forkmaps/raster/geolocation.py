"""Coordinates that a NetCDF file has for each cell, where its rows and columns have none: WRF, NEMO, swaths.

GDAL names the two variables in the metadata domain GEOLOCATION, after the attribute `coordinates` of CF
(https://gdal.org/en/stable/development/rfc/rfc4_geolocate.html), and gives their rows in the order of the
data's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from forkmaps.errors import RasterError
from forkmaps.raster.crs import known_crs, turn_of

_DRIVER = "netCDF"
_VARIABLE = re.compile(r'NETCDF:"?(?P<path>.+?)"?:(?P<name>[^:"]+)', re.IGNORECASE)
_ROUNDING = 1e-6
"""What a latitude may be over a pole's, as a share of it."""

Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CellCenters:
    """Where the cells of a file lie.

    Attributes
    ----------
    x, y : (rows, columns) float64
        Longitudes and latitudes of the cells' centers; NaN where the file has none.
    crs : pyproj.CRS
        Of x and y, x before y.
    """

    x: Plane
    y: Plane
    crs: pyproj.CRS


def cell_centers(dataset: Any, crs: str | None, path: str | Path) -> CellCenters | None:
    """Return the centers of an open dataset's cells; None where no variables of its own file tell them.

    A dataset of rows and columns that have coordinates themselves needs none, and gives None. `crs` counts
    instead of WGS 84, which GDAL states.

    Raises
    ------
    RasterError
        `crs` is not one of longitudes and latitudes, the variables don't fit the dataset, or they change with
        time, as on a nest that moves.
    """
    if not has_cell_centers(dataset, path):
        return None
    tags = dataset.tags(ns="GEOLOCATION")
    grid_crs = known_crs(crs or tags["SRS"], str(path))
    turn = turn_of(grid_crs)
    if turn is None:
        raise RasterError(
            f'{path}: each cell has a longitude and a latitude, but crs "{crs}" is one of a plane; leave crs '
            "out, or set one of longitudes and latitudes, for instance EPSG:4326"
        )
    x, y = (_variable(tags, axis, (dataset.height, dataset.width), path) for axis in "XY")
    nowhere = ~((np.abs(x) <= 2 * turn) & (np.abs(y) <= turn / 4 * (1 + _ROUNDING)))
    x[nowhere] = y[nowhere] = np.nan
    return CellCenters(x, y, grid_crs)


def has_cell_centers(dataset: Any, path: str | Path) -> bool:
    """Tell whether variables of an open dataset's own file tell where each of its cells lies."""
    tags = dataset.tags(ns="GEOLOCATION")
    if not dataset.transform.is_identity or dataset.driver != _DRIVER or not tags:
        return False
    return all(_is_own(tags.get(f"{axis}_DATASET", ""), path) for axis in "XY")


def _is_own(dataset_name: str, path: str | Path) -> bool:
    """Whether a dataset is a variable of the file itself: what names another one is not followed."""
    found = _VARIABLE.fullmatch(dataset_name)
    return found is not None and Path(found["path"]) == Path(path)


def _variable(tags: dict[str, str], axis: str, shape: tuple[int, int], path: str | Path) -> Plane:
    """Return a variable's values, unpacked, NaN where it has none."""
    name = tags[f"{axis}_DATASET"]
    with DatasetReader(name, driver=[_DRIVER], sharing=False) as variable:
        found: tuple[int, int] = variable.shape
        if found != shape:
            raise RasterError(
                f"{path}: cells of {shape[0]} rows and {shape[1]} columns, but coordinates {name} of "
                f"{found[0]} and {found[1]}; correct the variable's attribute coordinates"
            )
        raw = variable.read(1)
        others = (variable.read(number) for number in variable.indexes[1:])
        if not all(np.array_equal(raw, other, equal_nan=True) for other in others):
            raise RasterError(
                f"{path}: its cells move, as {name} is not the same at all times; write each place's times "
                "to a file of their own"
            )
        values = raw.astype(np.float64) * variable.scales[0] + variable.offsets[0]
        values[variable.read_masks(1) == 0] = np.nan
    return np.asarray(values)
