"""Read a raster file, once, through GDAL: values, mask, scale and offset, and what its metadata says.

Reading happens under one GDAL thread and leaves no handle open: a GDAL that has run threads hangs in a forked
child, and a handle shared by forked children reads wrong values.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError, RasterioIOError

from forkmaps.cache import AnyCache
from forkmaps.errors import RasterError, nearest
from forkmaps.raster import Band, Raster, Resampling
from forkmaps.raster.bands import choose_bands

_REFERENCING_DRIVERS = {"VRT", "WMS", "WCS", "WMTS", "OGCAPI", "STACTA", "STACIT", "HTTP"}
"""Formats that read other files, or the network, instead of holding values."""
_MEMORY_SHARE = 0.8
"""Share of the available memory that a raster may take."""
_BYTES_PER_CELL = 4 * 4 / 3 + 9
"""float32 with its pyramid, and a band's raw values and mask while it is read."""
_UNIT_SIGNS = {
    "C": "°C",
    "degC": "°C",
    "deg C": "°C",
    "degrees C": "°C",
    "celsius": "°C",
    "degree_Celsius": "°C",
}
"""Units as files write them, and as a map should show them."""


def read_raster(
    path: str | Path,
    *,
    bands: Sequence[int | str] | Literal["all"] = "all",
    variable: str | None = None,
    crs: str | None = None,
    name: str | None = None,
    unit: str | None = None,
    scale: float = 1.0,
    offset: float = 0.0,
    resampling: Resampling | None = None,
    cache: AnyCache | None = None,
) -> Raster:
    """Read bands of a raster file into memory.

    Parameters
    ----------
    path : path
        Any format of rasterio's GDAL: GeoTIFF, COG, GRIB2, NetCDF ...
    bands : sequence of int or str, or "all"
        Which bands: by number (from 1), name, or valid time (ISO 8601, UTC).
    variable : str
        The variable, where a NetCDF or HDF file has several.
    crs : str
        CRS of a file that states none; where it states one, this one counts instead.
    name, unit : str
        Instead of what the file says.
    scale, offset : float
        Further conversion of values in the file's unit: value * scale + offset.
    resampling : "average" or "nearest"
        Default: "nearest" for a file with a palette (categories), else "average".
    cache : Cache
        Where the raster's pyramid is kept for later runs.

    Returns
    -------
    Raster
        float32, NaN where the file masks or a value is infinite. The file's scale and offset are applied.

    Raises
    ------
    RasterError
        The file is missing, unreadable, has no CRS or georeference, has no such band or variable, holds
        complex numbers, reads other files (VRT), or needs more memory than there is.
    """
    location = _location(path)
    try:
        with rasterio.Env(GDAL_NUM_THREADS="1"), _open(location, path, variable) as dataset:
            _refuse(dataset, path)
            grid_crs = _crs(dataset, crs, path)
            described = _describe(dataset, name, unit)
            if bands != "all":
                described = choose_bands(described, bands, str(path))
            values = _read(dataset, [band.number for band in described], scale, offset, path)
            palette = any(interp.name == "palette" for interp in dataset.colorinterp)
            return Raster(
                values,
                grid_crs,
                dataset.transform,
                bands=described,
                name=name or _dataset_name(dataset, described, path),
                unit=described[0].unit,
                resampling=resampling or ("nearest" if palette else "average"),
                source=str(path),
                cache=cache,
            )
    except RasterioError as error:
        raise RasterError(f"{path}: can't be read as a raster: {_reason(error)}") from error


def _location(path: str | Path) -> str:
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        raise RasterError(f"{text}: network and virtual paths are not read; copy the file to a local path")
    if not Path(text).is_file():
        folder = Path(text).parent
        there = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        hint = nearest(Path(text).name, there) if folder.is_dir() else f"; there is no folder {folder}"
        raise RasterError(f"{text}: there is no such raster file{hint}")
    if not Path(text).stat().st_size:
        raise RasterError(f"{text}: the file is empty (0 bytes)")
    return text


def _open(location: str, path: str | Path, variable: str | None) -> Any:
    dataset = rasterio.open(location, sharing=False)
    if not dataset.subdatasets and variable is None:
        return dataset
    with dataset:
        names = {text.rsplit(":", 1)[-1].strip('/"'): text for text in dataset.subdatasets}
        if not names:
            raise RasterError(f'{path}: has no variables to choose from, so "{variable}" can\'t be one')
    if variable is None and len(names) > 1:
        raise RasterError(f"{path}: has {len(names)} variables; set variable to one of {', '.join(names)}")
    chosen = variable or next(iter(names))
    if chosen not in names:
        raise RasterError(
            f'{path}: has no variable "{chosen}"{nearest(chosen, list(names))}; it has {", ".join(names)}'
        )
    return rasterio.open(names[chosen], sharing=False)


def _refuse(dataset: Any, path: str | Path) -> None:
    if dataset.driver in _REFERENCING_DRIVERS:
        raise RasterError(f"{path}: a {dataset.driver} file reads other files; convert it to GeoTIFF first")
    if dataset.count == 0:
        raise RasterError(f"{path}: has no bands")
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise RasterError(f"{path}: holds complex numbers ({dataset.dtypes[0]}); convert them to real ones")
    if dataset.transform.is_identity:
        raise RasterError(
            f"{path}: has no georeference (no transform from cells to coordinates); write one into the file, "
            f"for instance with gdal_translate -a_ullr"
        )


def _crs(dataset: Any, crs: str | None, path: str | Path) -> pyproj.CRS:
    if crs is None and dataset.crs is None:
        raise RasterError(
            f"{path}: states no CRS; set crs for the raster, for instance crs = "
            f'"EPSG:4326" where its coordinates are degrees of longitude and latitude'
        )
    try:
        return pyproj.CRS.from_user_input(crs if crs is not None else dataset.crs.to_wkt())
    except pyproj.exceptions.CRSError as error:
        raise RasterError(f'{path}: crs "{crs or dataset.crs}" is not known ({error})') from error


def _read(
    dataset: Any, numbers: Sequence[int], scale: float, offset: float, path: str | Path
) -> NDArray[np.float32]:
    cells = len(numbers) * dataset.height * dataset.width
    available = psutil.virtual_memory().available
    if cells * _BYTES_PER_CELL > available * _MEMORY_SHARE:
        raise RasterError(
            f"{path}: {len(numbers)} bands of {dataset.height} x {dataset.width} cells need "
            f"{cells * _BYTES_PER_CELL / 1e9:.1f} GB, of {available / 1e9:.1f} GB available; "
            f"choose fewer bands, or write a coarser copy"
        )
    values = np.empty((len(numbers), dataset.height, dataset.width), np.float32)
    for band, number in zip(values, numbers, strict=True):
        _read_band(dataset, number, scale, offset, band)
    return values


def _read_band(dataset: Any, number: int, scale: float, offset: float, out: NDArray[np.float32]) -> None:
    raw = dataset.read(number)
    own_scale, own_offset = dataset.scales[number - 1], dataset.offsets[number - 1]
    factor, shift = own_scale * scale, own_offset * scale + offset
    with np.errstate(over="ignore", invalid="ignore"):
        out[:] = raw if (factor, shift) == (1.0, 0.0) else raw * np.float64(factor) + shift
    # A float32 nodata value that the header can't state exactly is still masked by GDAL.
    out[dataset.read_masks(number) == 0] = np.nan
    out[np.isinf(out)] = np.nan


def _describe(dataset: Any, name: str | None, unit: str | None) -> tuple[Band, ...]:
    common = dataset.tags()
    described = []
    for number in range(1, dataset.count + 1):
        tags = dataset.tags(number)
        own_unit = unit if unit is not None else _unit(dataset, number, tags, common)
        own_name = _band_name(dataset, number, tags, common) or name or ""
        described.append(Band(number, own_name, own_unit, _valid_time(tags, common)))
    return tuple(described)


def _band_name(dataset: Any, number: int, tags: Mapping[str, str], common: Mapping[str, str]) -> str:
    comment = tags.get("GRIB_COMMENT")
    if comment:
        return re.sub(r"\s*\[[^]]*\]\s*$", "", comment)
    named = tags.get("long_name") or dataset.descriptions[number - 1] or tags.get("NETCDF_VARNAME")
    return named or common.get("long_name") or (f"band {number}" if dataset.count > 1 else "")


def _unit(dataset: Any, number: int, tags: Mapping[str, str], common: Mapping[str, str]) -> str:
    found = (
        tags.get("GRIB_UNIT") or dataset.units[number - 1] or tags.get("units") or common.get("units") or ""
    )
    found = found.strip("[] ")
    return _UNIT_SIGNS.get(found, found)


def _dataset_name(dataset: Any, described: Sequence[Band], path: str | Path) -> str:
    names = {band.name for band in described}
    if len(names) == 1 and "" not in names:
        return names.pop()
    return dataset.tags().get("long_name") or Path(path).stem


def _valid_time(tags: Mapping[str, str], common: Mapping[str, str]) -> dt.datetime | None:
    """Return the valid time from GRIB's seconds since 1970, NetCDF's CF time, or an ISO tag."""
    seconds = re.match(r"\s*(\d+)", tags.get("GRIB_VALID_TIME", ""))
    if seconds:
        return dt.datetime.fromtimestamp(int(seconds[1]), dt.UTC)
    value, units = tags.get("NETCDF_DIM_time"), common.get("time#units")
    if value and units:
        return _cf_time(float(value), units, common.get("time#calendar", "standard"))
    stated = tags.get("valid_time") or common.get("valid_time")
    return _iso_time(stated) if stated else None


def _cf_time(value: float, units: str, calendar: str) -> dt.datetime | None:
    from xarray.coding.times import decode_cf_datetime

    try:
        decoded = decode_cf_datetime(np.array([value]), units, calendar, use_cftime=False)
    except (ValueError, OverflowError):
        return None
    milliseconds = int(decoded.astype("datetime64[ms]").astype("int64")[0])
    return dt.datetime.fromtimestamp(milliseconds / 1e3, dt.UTC)


def _iso_time(text: str) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _reason(error: Exception) -> str:
    cause: BaseException | None = error
    if isinstance(error, RasterioIOError) and error.__cause__ is not None:
        cause = error.__cause__
    return str(cause).strip().splitlines()[-1] if str(cause).strip() else type(error).__name__
