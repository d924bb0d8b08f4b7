"""Which regions lie on a raster; of those that don't it is told where it lies, in units of theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyproj
from numpy.typing import NDArray

from forkmaps.errors import RegionError
from forkmaps.projection import LONLAT, MapProjection
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region

_PLACES = 9
"""Places along each side of a region that are looked at on the raster, and of the raster in a region."""
_SHOWN = 20
"""Of so many faulty regions a message tells; a wrong CRS makes all of them faulty."""


def check_regions(projection: MapProjection, raster: Raster, regions: Sequence[Region]) -> None:
    """Raise RegionError for regions of which nothing lies on a raster: all of them in one message."""
    extents = [projection.extent_of(region) for region in regions]
    on_raster = _regions_on_raster(raster, projection, extents)
    around_raster = _raster_in_regions(raster, projection, extents)
    outside = [
        r for r, on, around in zip(regions, on_raster, around_raster, strict=True) if not (on or around)
    ]
    if outside:
        lines = [f'region "{r.name}": {_sides(r)} has nothing of the raster' for r in outside[:_SHOWN]]
        if len(outside) > _SHOWN:
            lines.append(f"and {len(outside) - _SHOWN} more of {len(regions)} regions")
        covers = " and ".join(_covers(raster, crs) for crs in dict.fromkeys(_told_crs(r) for r in outside))
        crs_name = f"its CRS is {raster.crs.name}"
        lines.append(
            f"the raster {raster.source} covers {covers}; move the regions, or check its CRS ({crs_name})"
        )
        raise RegionError("\n".join(lines))


def _regions_on_raster(
    raster: Raster, projection: MapProjection, extents: Sequence[Extent]
) -> NDArray[np.bool_]:
    """Return, for each extent, whether one of its places lies on the raster."""
    part = (np.arange(_PLACES) + 0.5) / _PLACES
    box = np.array([(e.west, e.width, e.south, e.height) for e in extents])
    x = (box[:, 0, None, None] + box[:, 1, None, None] * part[None, :, None]) + 0 * part[None, None, :]
    y = (box[:, 2, None, None] + box[:, 3, None, None] * part[None, None, :]) + 0 * part[None, :, None]
    lies_on = raster.contains(*projection.inverse(raster.crs_text)(x.ravel(), y.ravel()))
    return np.array([bool(places.any()) for places in lies_on.reshape(len(extents), -1)])


def _raster_in_regions(
    raster: Raster, projection: MapProjection, extents: Sequence[Extent]
) -> NDArray[np.bool_]:
    """Return, for each extent, whether one of the raster's places lies in it."""
    x, y = projection.transformer(raster.crs_text).transform(*raster.outline(_PLACES))
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    return np.array([_any_inside(extent, x, y, projection.period) for extent in extents], bool)


def _any_inside(extent: Extent, x: NDArray[np.float64], y: NDArray[np.float64], period: float | None) -> bool:
    """Tell whether a place lies in an extent, on whatever turn of the earth that is."""
    if period is not None:
        x = x - period * np.round((x - (extent.west + extent.east) / 2) / period)
    inside = (extent.west <= x) & (x <= extent.east) & (extent.south <= y) & (y <= extent.north)
    return bool(inside.any())


def _told_crs(region: Region) -> str | None:
    """Return the CRS to tell of a region in; None: degrees, also for a CRS that has no short name."""
    return None if region.crs is None or "[" in region.crs else region.crs


def _sides(region: Region) -> str:
    e, crs = region.extent, region.crs
    if crs == _told_crs(region):
        return f"{e.west:g} to {e.east:g}, {e.south:g} to {e.north:g}"
    to_degrees = pyproj.Transformer.from_crs(crs, LONLAT, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(e.west, e.south, e.east, e.north)
    if not np.isfinite([west, south, east, north]).all():
        return "beyond the world"
    return f"{west:.2f} to {east:.2f}, {south:.2f} to {north:.2f}"


def _covers(raster: Raster, crs: str | None) -> str:
    """Return where a raster lies, in a region's CRS; None is longitudes and latitudes in degrees."""
    x, y = raster.outline(4 * _PLACES)
    if crs is not None or not raster.crs.is_geographic:
        to_regions = pyproj.Transformer.from_crs(raster.crs_text, crs or LONLAT, always_xy=True)
        x, y = to_regions.transform(x, y)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return f"nothing that has coordinates in {crs or 'degrees'}"
    if crs is None and not raster.crs.is_geographic:
        x = _in_one_piece(x, known)
    x, y = x[known], y[known]
    unit = "degrees" if crs is None else f"coordinates of {crs:.40}"
    return f"{x.min():g} to {x.max():g}, {y.min():g} to {y.max():g} in {unit}"


def _in_one_piece(longitude: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return longitudes of places within half a turn of the middle one, also across the antimeridian."""
    at = len(longitude) // 2
    middle = longitude[at, at] if known[at, at] else longitude[known][0]
    return np.asarray(middle + (longitude - middle + 180.0) % 360.0 - 180.0, np.float64)
