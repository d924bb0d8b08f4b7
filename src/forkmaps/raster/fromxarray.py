"""What an xarray.DataArray says of itself: its CRS, its bands and their times.

By the CF conventions (https://cfconventions.org, chapters 4 and 5) and by names in use.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from forkmaps.errors import RasterError
from forkmaps.raster.band import Band
from forkmaps.raster.coordinates import is_lonlat, x_and_y
from forkmaps.raster.crs import known_crs
from forkmaps.raster.tags import iso_time, shown_unit, utc

_KILOMETERS = ("km", "kilometer", "kilometers", "kilometre", "kilometres")
_TIMES = ("valid_time", "time", "xtime")
"""Coordinates that tell when a band is valid, in lower case, the best first; the last is WRF's."""
_LONLAT = "OGC:CRS84"


@dataclass(frozen=True, slots=True)
class ArrayContent:
    """What an array holds.

    Attributes
    ----------
    values : (bands, rows, columns)
    x, y : coordinates of cell centers, 1-D or 2-D
    crs : pyproj.CRS
    bands : tuple of Band
    name, unit : str
    """

    values: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    crs: pyproj.CRS
    bands: tuple[Band, ...]
    name: str
    unit: str


def content_of(array: Any, *, crs: Any, name: str | None, unit: str | None, source: str) -> ArrayContent:
    """Return what a DataArray holds; what is given counts instead of what it says.

    Raises
    ------
    RasterError
        Its dimensions or its CRS can't be told.
    """
    if 0 in array.shape:
        raise RasterError(f"{source}: has no values: {dict(array.sizes)}; choose a part that has some")
    x, y = x_and_y(array, has_crs=_grid_mapping(array) is not None, source=source)
    down, across = _spatial_dims(x, y)
    others = [dim for dim in array.dims if dim not in (down, across)]
    ordered = array.transpose(*others, down, across)
    x, y = ((c.transpose(down, across) if c.ndim == 2 else c) for c in (x, y))
    grid_crs = known_crs(crs, source) if crs is not None else _crs(array, x, y, source)
    own_name = name if name is not None else _name(array)
    own_unit = unit if unit is not None else shown_unit(str(array.attrs.get("units", "")))
    values = _unpacked(np.asarray(ordered.data if _is_plain(ordered) else ordered.values), array)
    return ArrayContent(
        values.reshape(-1, *values.shape[-2:]),
        _in_units(x, grid_crs),
        _in_units(y, grid_crs),
        grid_crs,
        tuple(_bands(array, others, own_name, own_unit)),
        own_name,
        own_unit,
    )


def _is_plain(array: Any) -> bool:
    return isinstance(array.data, np.ndarray)


def _spatial_dims(x: Any, y: Any) -> tuple[Any, Any]:
    """Return the dimensions down and across."""
    return (y.dims[0], x.dims[0]) if x.ndim == 1 else (x.dims[0], x.dims[1])


# CRS


def _grid_mapping(array: Any) -> Any:
    """Return the coordinate that tells the CRS (CF's grid mapping, GDAL's spatial_ref), or None."""
    stated = array.attrs.get("grid_mapping") or array.encoding.get("grid_mapping") or "spatial_ref"
    name = str(stated).split(":")[0].split()[0]
    if name in array.coords and array.coords[name].attrs:
        return array.coords[name]
    found = [c for c in array.coords.values() if not c.ndim and "grid_mapping_name" in c.attrs]
    return found[0] if found else None


def _crs(array: Any, x: Any, y: Any, source: str) -> pyproj.CRS:
    """Return the CRS of the coordinates."""
    if x.ndim == 2 and is_lonlat(x):
        return pyproj.CRS(_LONLAT)
    mapping = _grid_mapping(array)
    try:
        if mapping is not None:
            text = mapping.attrs.get("crs_wkt") or mapping.attrs.get("spatial_ref")
            return pyproj.CRS.from_user_input(text) if text else pyproj.CRS.from_cf(mapping.attrs)
    except (pyproj.exceptions.CRSError, KeyError, ValueError) as error:
        raise RasterError(f"{source}: its grid mapping {mapping.name} is not understood ({error})") from error
    if is_lonlat(x) and is_lonlat(y):
        return pyproj.CRS(_LONLAT)
    raise RasterError(
        f'{source}: states no CRS; give crs, for instance "EPSG:4326" where its coordinates are degrees of '
        "longitude and latitude, or write it with array.rio.write_crs(...)"
    )


def _in_units(coordinate: Any, crs: pyproj.CRS) -> NDArray[Any]:
    """Return coordinates in the units of their CRS: those in kilometers come in meters."""
    values = np.asarray(coordinate.values, np.float64)
    in_km = str(coordinate.attrs.get("units", "")).lower() in _KILOMETERS
    if in_km and crs.is_projected:
        return values * 1000.0 / float(crs.axis_info[0].unit_conversion_factor)
    return values


# Bands


def _name(array: Any) -> str:
    attrs = array.attrs
    given = (attrs.get(key) for key in ("long_name", "standard_name", "description"))
    return str(next(filter(None, given), None) or array.name or "").replace("_", " ")


def _bands(array: Any, dims: list[Any], name: str, unit: str) -> Iterator[Band]:
    """Yield the bands along all dimensions but space, the last one fastest."""
    for number, index in enumerate(product(*(range(array.sizes[dim]) for dim in dims)), start=1):
        place = dict(zip(dims, index, strict=True))
        labels = [label for dim in dims if (label := _label(array, dim, place[dim]))]
        own = f"{name} {', '.join(labels)}".strip() if labels else name
        yield Band(number, own or f"band {number}", unit, _valid_time(array, place))


def _label(array: Any, dim: Any, index: int) -> str:
    """Return what tells a band from its neighbors along a dimension; "" for a time, or a mere number."""
    if dim not in array.coords or array.sizes[dim] == 1:
        return ""
    coordinate = array.coords[dim]
    if coordinate.dtype.kind in "mM" or str(dim) == "band" or hasattr(coordinate.values[index], "isoformat"):
        return str(coordinate.values[index]) if coordinate.dtype.kind in "US" else ""
    value, unit = coordinate.values[index], shown_unit(str(coordinate.attrs.get("units", "")))
    text = f"{value:g}" if coordinate.dtype.kind in "iuf" else str(value)
    return text if coordinate.dtype.kind in "US" else " ".join(filter(None, (str(dim), text, unit)))


def _valid_time(array: Any, place: dict[Any, int]) -> dt.datetime | None:
    """Return the time that a band is valid for, UTC: valid_time, else time and what has passed since."""
    names = {str(name).lower(): str(name) for name in array.coords}
    for name in (name for name in _TIMES if name in names):
        found = _at(array, names[name], place)
        if found is not None and hasattr(found, "dtype") and found.dtype.kind == "M" and not np.isnat(found):
            step = _at(array, "step", place) if name == "time" else None
            if step is not None and step.dtype.kind == "m":
                found = found + step
            return utc(int(found.astype("datetime64[s]").astype(int)))
        if hasattr(found, "isoformat"):  # cftime's, whose calendar may have other days
            return iso_time(found.isoformat())
    return None


def _at(array: Any, name: str, place: dict[Any, int]) -> Any:
    """Return a coordinate's value at a band; None where it has none."""
    if name not in array.coords or not set(array.coords[name].dims) <= set(place):
        return None
    coordinate = array.coords[name]
    return coordinate.values[tuple(place[dim] for dim in coordinate.dims)]


# Values


def _as_stored(fills: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return fill values as an array of a type can hold them: 1e20 is another number in float32."""
    given = np.concatenate([np.ravel(fill) for fill in fills])
    with np.errstate(over="ignore"):
        return given.astype(dtype) if dtype.kind == "f" and given.dtype.kind in "iuf" else given


def _unpacked(values: NDArray[Any], array: Any) -> NDArray[Any]:
    """Return values without what is left of a file's packing: fill values, scale and offset in attributes."""
    fills = [array.attrs[key] for key in ("_FillValue", "missing_value", "nodata") if key in array.attrs]
    scale, offset = (array.attrs.get(key) for key in ("scale_factor", "add_offset"))
    if not fills and scale is None and offset is None:
        return values
    gaps = np.isin(values, _as_stored(fills, values.dtype)) if fills else False
    plain = values * float(1.0 if scale is None else scale) + float(offset or 0.0)
    return np.where(gaps, np.nan, plain) if np.any(gaps) or scale is not None or offset else values
