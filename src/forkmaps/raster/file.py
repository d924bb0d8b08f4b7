"""Read a raster file, once: values, mask, scale and offset, and what its metadata says.

It leaves no handle open: one that is shared by forked children reads wrong values. Nothing is allocated for
what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from forkmaps.cache import AnyCache
from forkmaps.errors import RasterError
from forkmaps.memory import usable_memory
from forkmaps.raster import Raster, Resampling
from forkmaps.raster.bands import choose_bands
from forkmaps.raster.crs import turn_of
from forkmaps.raster.curvilinear import CurvilinearGrid
from forkmaps.raster.gdal import opened
from forkmaps.raster.geolocation import cell_centers, has_cell_centers
from forkmaps.raster.placing import placed
from forkmaps.raster.tags import dataset_name, describe_bands

_MEMORY_SHARE = 0.8
"""Share of the memory to use that a raster may take."""
_BYTES_PER_CELL = 4 * 4 / 3
"""float32 with its pyramid."""
_BYTES_PER_PLACE = 52
"""Of a cell with coordinates of its own: center and corner in the grid's CRS, the corner on the map."""
_PART_BYTES = 4 << 20
"""Raw values that are read and converted at a time: 7000 x 3500 cells then take 25 MB beside their array, and
340 when they are read whole, with their mask."""
_ULPS = 2
"""By so many times float32's precision a value may miss the one for no data; as GDAL has it."""
_SMALL_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
"""Types whose values, and the one for no data, are exact as float64."""

Values = NDArray[np.float32]


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
    allow_references: bool = False,
    cache: AnyCache | None = None,
) -> Raster:
    """Read bands of a raster file into memory.

    Parameters
    ----------
    path : path
        Any format of rasterio's GDAL: GeoTIFF, COG, GRIB2, NetCDF (also with 2-D coordinates, as CF's
        attribute `coordinates` names them) ...
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
        Default: "nearest" for bands with a palette (categories), else "average".
    allow_references : bool
        Whether the file may be one that only names others to read (VRT), which may be anywhere.
    cache : Cache
        Where the raster's pyramid is kept for later runs.

    Returns
    -------
    Raster
        float32; scale and offset of the file applied, NaN where it masks, and where values are infinite.

    Raises
    ------
    RasterError
        The file is missing, unreadable, has no CRS or georeference, has no such band or variable, holds
        complex numbers, reads other files, or needs more memory than there is.
    """
    with opened(path, variable=variable, allow_references=allow_references) as dataset:
        _check(dataset, path)
        every = describe_bands(dataset, name=name, unit=unit)
        described = every if bands == "all" else choose_bands(every, bands, str(path))
        numbers = [band.number for band in described]
        _check_memory(dataset, len(numbers), path)
        where, grid_crs = _placed(dataset, crs, path)
        colors = dataset.colorinterp
        has_palette = any(colors[number - 1] is ColorInterp.palette for number in numbers)
        values = _read(dataset, numbers, scale, offset, path)
        own_name = dataset_name(dataset, every, described, path)
    return Raster(
        values,
        grid_crs,
        where,
        bands=described,
        name=name or own_name,
        unit=described[0].unit,
        resampling=resampling or ("nearest" if has_palette else "average"),
        source=str(path),
        cache=cache,
    )


def _check(dataset: Any, path: str | Path) -> None:
    if dataset.count == 0:
        raise RasterError(f"{path}: has no bands (GDAL reads it as {dataset.driver})")
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise RasterError(f"{path}: holds complex numbers ({dataset.dtypes[0]}); convert them to real ones")


def _placed(dataset: Any, crs: str | None, path: str | Path) -> tuple[Affine | CurvilinearGrid, pyproj.CRS]:
    """Return where the cells lie, and in which CRS."""
    centers = cell_centers(dataset, crs, path)
    if centers is not None:
        turn = turn_of(centers.crs)
        return placed((dataset.height, dataset.width), centers.x, centers.y, turn, str(path)), centers.crs
    if dataset.transform.is_identity:
        raise RasterError(
            f"{path}: has no georeference (no transform from cells to coordinates); write one into the file, "
            "for instance with gdal_translate -a_ullr; of a NetCDF file with a longitude and a latitude for "
            "each cell, name them in the variable's attribute coordinates, and set their units "
            "(degrees_east, degrees_north)"
        )
    return dataset.transform, _crs(dataset, crs, path)


def _crs(dataset: Any, crs: str | None, path: str | Path) -> pyproj.CRS:
    stated = crs if crs is not None else _stated_crs(dataset)
    if stated is None:
        raise RasterError(
            f"{path}: states no CRS; set crs for the raster, for instance crs = "
            f'"EPSG:4326" where its coordinates are degrees of longitude and latitude'
        )
    try:
        return pyproj.CRS.from_user_input(stated)
    except pyproj.exceptions.CRSError as error:
        raise RasterError(f'{path}: crs "{stated}" is not known ({error})') from error


def _stated_crs(dataset: Any) -> str | None:
    """Return the CRS as WKT; of NetCDF coordinates that are in degrees, and no more is said: WGS 84's."""
    if dataset.crs is not None:
        return str(dataset.crs.to_wkt())
    units = {value for key, value in dataset.tags().items() if key.endswith("#units")}
    return "OGC:CRS84" if {"degrees_north", "degrees_east"} <= units else None


def _check_memory(dataset: Any, bands: int, path: str | Path) -> None:
    """Raise RasterError where so many bands, and the cells' places, take more memory than there is."""
    available = usable_memory()
    if _bytes_of(dataset, bands, path) > available * _MEMORY_SHARE:
        raise _too_large(dataset, bands, path, f", of {available / 1e9:.1f} GB available")


def _bytes_of(dataset: Any, bands: int, path: str | Path) -> float:
    places = _BYTES_PER_PLACE if has_cell_centers(dataset, path) else 0
    return float(dataset.height * dataset.width * (bands * _BYTES_PER_CELL + places))


def _too_large(dataset: Any, bands: int, path: str | Path, found: str) -> RasterError:
    cells = f"{bands} bands of {dataset.height} x {dataset.width} cells"
    return RasterError(
        f"{path}: {cells} need {_bytes_of(dataset, bands, path) / 1e9:.1f} GB{found}; "
        "choose fewer bands, or write a coarser copy"
    )


def _read(dataset: Any, numbers: Sequence[int], scale: float, offset: float, path: str | Path) -> Values:
    try:
        values = np.empty((len(numbers), dataset.height, dataset.width), np.float32)
    except MemoryError as error:
        raise _too_large(dataset, len(numbers), path, ", which this process doesn't get") from error
    stored = _stored(dataset)
    for band, number in zip(values, numbers, strict=True):
        _read_band(dataset, stored[number - 1], scale, offset, band)
    return values


@dataclass(frozen=True, slots=True)
class _Stored:
    """How a band is stored: its number from 1, what turns its values into its unit, gaps and blocks."""

    number: int
    scale: float
    offset: float
    mask_flags: list[MaskFlags]
    nodata: float
    block_shape: tuple[int, int]
    dtype: str


def _stored(dataset: Any) -> list[_Stored]:
    """Return how all bands are stored; all at once, as a damaged file may have 65,535 that are not there."""
    of_bands = (dataset.scales, dataset.offsets, dataset.mask_flag_enums, dataset.nodatavals)
    rows = zip(dataset.indexes, *of_bands, dataset.block_shapes, dataset.dtypes, strict=True)
    return [_Stored(*row) for row in rows]


def _read_band(dataset: Any, stored: _Stored, scale: float, offset: float, out: Values) -> None:
    """Read a band, converted and masked, a part at a time."""
    factor, shift = stored.scale * scale, stored.offset * scale + offset
    for window, part in _parts(stored, out):
        raw = dataset.read(stored.number, window=window)
        with np.errstate(over="ignore", invalid="ignore"):
            part[...] = raw if (factor, shift) == (1.0, 0.0) else raw * np.float64(factor) + shift
            part[_gaps(dataset, stored, window, raw) | ~np.isfinite(part)] = np.nan


def _parts(stored: _Stored, out: Values) -> Iterator[tuple[Window, Values]]:
    """Yield windows of whole blocks that cover a band, and their part of its values."""
    block, (height, width) = stored.block_shape[0], out.shape
    rows = max(_PART_BYTES // (width * np.dtype(stored.dtype).itemsize) // block, 1) * block
    for start in range(0, height, rows):
        part = out[start : start + rows]
        yield Window(0, start, width, len(part)), part


def _gaps(dataset: Any, stored: _Stored, window: Window, raw: NDArray[Any]) -> NDArray[np.bool_] | bool:
    """Tell where there is no data; False: nowhere.

    For a nodata value GDAL would read, and decompress, everything a second time: 7000 x 3500 cells in 0.6 s,
    not 0.3. So it is compared here, the way GDAL does, in the types where that is simple.
    """
    if stored.mask_flags == [MaskFlags.all_valid]:
        return False
    if stored.mask_flags == [MaskFlags.nodata] and raw.dtype == np.float32:
        return _equals(raw, np.float32(stored.nodata))
    if stored.mask_flags == [MaskFlags.nodata] and raw.dtype in _SMALL_INTEGERS:
        return np.asarray(raw == int(stored.nodata))
    masked: NDArray[np.bool_] = dataset.read_masks(stored.number, window=window) == 0
    return masked


def _equals(raw: Values, nodata: np.float32) -> NDArray[np.bool_]:
    """Tell where values are the one for no data, or miss it by rounding (GDAL's `ARE_REAL_EQUAL`)."""
    if np.isnan(nodata):
        return np.asarray(np.isnan(raw))
    near = np.abs(raw - nodata) < np.finfo(np.float32).eps * np.abs(raw + nodata) * _ULPS
    return np.asarray((raw == nodata) | near)
