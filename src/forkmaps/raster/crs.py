"""What a raster needs to know of its CRS."""

from __future__ import annotations

import math
from typing import Any

import pyproj

from forkmaps.errors import RasterError


def known_crs(crs: Any, source: str) -> pyproj.CRS:
    """Return what pyproj takes for a CRS.

    Raises
    ------
    RasterError
        It takes it for none.
    """
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise RasterError(
            f'{source}: crs {crs!r:.80} is not known; give, for instance, "EPSG:4326" for degrees of '
            "longitude and latitude"
        ) from error


def turn_of(crs: pyproj.CRS) -> float | None:
    """Return once around the earth in units of a CRS's x, where x is a longitude (360 for degrees)."""
    if not crs.is_geographic:
        return None
    return 2 * math.pi / float(crs.axis_info[0].unit_conversion_factor)
