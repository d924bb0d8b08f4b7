"""What a raster file's metadata says of its bands: names, units and valid times, in each format's own way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forkmaps.raster.band import Band

Tags = Mapping[str, str]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_UNIT_SIGNS = {
    "-": "",
    "1": "",
    "C": "°C",
    "degC": "°C",
    "deg C": "°C",
    "degrees C": "°C",
    "celsius": "°C",
    "degree_Celsius": "°C",
    "degF": "°F",
    "degree_Fahrenheit": "°F",
}
"""Units as files write them, and as a map should show them."""


def describe_bands(dataset: Any, *, name: str | None, unit: str | None) -> tuple[Band, ...]:
    """Describe all bands of an open dataset; `unit` counts instead of its own, `name` where it has none."""
    common = dataset.tags()
    described = []
    for number, title, stated in zip(dataset.indexes, dataset.descriptions, dataset.units, strict=True):
        tags = dataset.tags(number)
        own_name = _band_name(title, tags, common) or name or (f"band {number}" if dataset.count > 1 else "")
        own_unit = unit if unit is not None else _unit(stated, tags, common)
        described.append(Band(number, own_name, own_unit, valid_time(tags, common)))
    return tuple(described)


def dataset_name(dataset: Any, described: Sequence[Band], chosen: Sequence[Band], path: str | Path) -> str:
    """Return what the bands show together.

    That is the name that all of them share, or the dataset's own; or the one that the chosen bands share, or
    the file's.
    """
    own_name = dataset.tags().get("long_name", "")
    return _shared_name(described) or own_name or _shared_name(chosen) or Path(path).stem


def _shared_name(bands: Sequence[Band]) -> str:
    names = {band.name for band in bands}
    return names.pop() if len(names) == 1 else ""


def valid_time(tags: Tags, common: Tags) -> dt.datetime | None:
    """Return the UTC time of a band by its tags and the dataset's: GRIB's, NetCDF's (CF), or in ISO 8601."""
    seconds = re.match(r"\s*(-?\d+)", tags.get("GRIB_VALID_TIME", ""))
    if seconds:
        return utc(int(seconds[1]))
    for key, value in tags.items():
        dimension = key.removeprefix("NETCDF_DIM_")
        units = common.get(f"{dimension}#units", "")
        if dimension != key and " since " in units:
            return _cf_time(value, units, common.get(f"{dimension}#calendar", "standard"))
    return iso_time(tags.get("valid_time") or common.get("valid_time") or "")


def _band_name(title: str | None, tags: Tags, common: Tags) -> str:
    comment = tags.get("GRIB_COMMENT")
    if comment:
        return re.sub(r"\s*\[[^]]*\]\s*$", "", comment)
    return tags.get("long_name") or title or tags.get("NETCDF_VARNAME") or common.get("long_name") or ""


def _unit(stated: str | None, tags: Tags, common: Tags) -> str:
    found = tags.get("GRIB_UNIT") or stated or tags.get("units") or common.get("units") or ""
    return shown_unit(found)


def shown_unit(stated: str) -> str:
    """Return a unit as a map should show it."""
    found = stated.strip("[] ")
    return _UNIT_SIGNS.get(found, found)


def _cf_time(value: str, units: str, calendar: str) -> dt.datetime | None:
    from xarray.coding.times import decode_cf_datetime  # heavy, and only for NetCDF

    try:
        decoded = decode_cf_datetime(np.array([float(value)]), units, calendar, use_cftime=False)
    except (ValueError, OverflowError):
        return None
    return utc(int(decoded.astype("datetime64[ms]").astype("int64")[0]) / 1e3)


def utc(seconds: float) -> dt.datetime | None:
    """Return a time by its seconds since 1970, UTC; None beyond the years 1 to 9999."""
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return None


def iso_time(text: str) -> dt.datetime | None:
    """Return the UTC time of a text in ISO 8601, which is UTC unless it says otherwise; None of any other."""
    try:
        time = dt.datetime.fromisoformat(text)
        return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None
