"""Choosing the projection that maps are drawn in: by code, by cartopy's name, or fitted to regions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import pyproj
import shapely

from forkmaps.errors import ProjectionError, nearest
from forkmaps.projection.mapprojection import LONLAT, MapProjection, Size, View, view_of
from forkmaps.regions import Extent, Region

__all__ = [
    "LONLAT",
    "MapProjection",
    "PlanarProjection",
    "Size",
    "View",
    "cartopy_projections",
    "fitted_projection",
    "projection_from_cartopy",
    "projection_from_text",
    "view_of",
]

_FORMS = "write an EPSG code like EPSG:5070, a PROJ string or WKT"

_FAR = 1e8
"""Half the side of the plane, in map units, for projections that state no bounds of their own."""
_QUARTER = 1e7
"""Meters from the equator to a pole."""
_METERS, _FEET = 1e4, 3e4
"""How far cartopy may be off when it projects onto such a plane, in meters and in feet."""


class PlanarProjection(ccrs.Projection):  # type: ignore[misc]  # cartopy has no types
    """Any projected CRS as a cartopy projection, with a plane for a boundary.

    cartopy bounds a CRS by its area of use, or refuses it when it states none (a GRIB grid's does not);
    a map may well reach beyond that area.

    Parameters
    ----------
    definition : str
        EPSG code, PROJ string or WKT.
    """

    def __init__(self, definition: str) -> None:
        super().__init__(definition)
        self.definition = definition
        self.bounds = self._bounds()
        self.threshold = _METERS if self.axis_info[0].unit_name in ("metre", "meter") else _FEET

    def _bounds(self) -> tuple[float, float, float, float]:
        """West, east, south, north, in map units."""
        conversion = self.to_json_dict().get("conversion", {})
        if conversion.get("method", {}).get("name") != "Transverse Mercator":
            return -_FAR, _FAR, -_FAR, _FAR
        # Beyond a quarter of the way around the earth it shows what is there already.
        quarter = _QUARTER / self.axis_info[0].unit_conversion_factor
        origin = {p["name"]: p["value"] for p in conversion["parameters"]}
        x, y = origin.get("False easting", 0.0), origin.get("False northing", 0.0)
        return x - 2 * quarter, x + 2 * quarter, y - quarter, y + quarter

    def __reduce__(self) -> tuple[type[PlanarProjection], tuple[str]]:
        return type(self), (self.definition,)


def projection_from_text(definition: str) -> MapProjection:
    """Return the projection of an EPSG code (`"EPSG:5070"`), a PROJ string or WKT.

    A geographic CRS gives a plate carrée map, in degrees.

    Raises
    ------
    ProjectionError
        The text defines no CRS, or none that a flat map can be drawn in.
    """
    try:
        crs = pyproj.CRS.from_user_input(definition)
    except pyproj.exceptions.CRSError as error:
        raise ProjectionError(
            f'projection "{definition}" is not known ({_first_line(error)}); {_FORMS}'
        ) from error
    if crs.is_compound:
        crs = crs.sub_crs_list[0]  # the other is a height
    if crs.is_geographic:
        return MapProjection(ccrs.PlateCarree())
    if not crs.is_projected:
        raise ProjectionError(
            f'projection "{definition}" is a {crs.type_name}, not a map projection; {_FORMS}'
        )
    return MapProjection(PlanarProjection(crs.to_2d().to_wkt()))


def projection_from_cartopy(name: str, arguments: Mapping[str, Any]) -> MapProjection:
    """Return cartopy's projection class `name`, made with `arguments` (its keyword arguments).

    Raises
    ------
    ProjectionError
        There is no such class, or it does not take these arguments.
    """
    classes = _cartopy_classes()
    if name not in classes:
        raise ProjectionError(
            f'projection "{name}" is not a cartopy projection{nearest(name, list(classes))}; '
            f"there are {', '.join(sorted(classes))}"
        )
    known = [p for p in inspect.signature(classes[name]).parameters if p != "globe"]
    for key in arguments:
        if key not in known:
            raise ProjectionError(
                f'projection {name} takes no "{key}"{nearest(key, known)}; it takes {", ".join(known)}'
            )
    try:
        return MapProjection(_bounded(classes[name], arguments))
    except _FAILURES as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ProjectionError(
            f"projection {name}({given}): {_first_line(error)}; it takes {', '.join(known)}"
        ) from error


_FAILURES: tuple[type[Exception], ...] = (
    *(TypeError, ValueError, LookupError, ArithmeticError, RuntimeWarning),
    *(pyproj.exceptions.ProjError, pyproj.exceptions.CRSError, shapely.errors.ShapelyError),
)
"""What cartopy's classes fail with, or warn of, where arguments make no sense."""


def _bounded(cls: type[ccrs.Projection], arguments: Mapping[str, Any]) -> ccrs.Projection:
    """Make a projection whose world has an edge on the plane; PROJ itself takes nearly any number."""
    for key, value in arguments.items():
        if key.endswith("longitude") and isinstance(value, int | float) and not abs(value) <= 360.0:
            raise ValueError(f"{key} must be from -360 to 360")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        crs = cls(**arguments)
        if not np.isfinite(crs.boundary.bounds).all():
            raise ValueError("its world has no edge; the numbers are out of range")
    return crs


def fitted_projection(regions: Sequence[Region]) -> MapProjection:
    """Return a projection fitted to regions: Lambert conformal conic.

    Its standard parallels lie one sixth of the latitude range inside the range's ends (the rule of thumb of
    Snyder, *Map Projections: A Working Manual*, USGS Professional Paper 1395, 1987, p. 99). A cone
    degenerates over the equator and at a pole, so ranges whose middle is nearer than 15 degrees to these get
    a Mercator or polar stereographic map, as do those wider than 180 degrees (polar from 40 degrees on). In
    place of Mercator's, where latitudes are beyond 80 degrees, it is a plate carree map, in degrees.

    Raises
    ------
    ProjectionError
        No place in a region has coordinates in degrees.
    """
    west, east, south, north = _lonlat_range(regions)
    middle, span = (south + north) / 2, north - south
    center = (west + east) / 2
    center = (center + 180.0) % 360.0 - 180.0
    if abs(middle) > 75.0 or (east - west > 180.0 and abs(middle) > 40.0):
        polar = ccrs.NorthPolarStereo if middle > 0 else ccrs.SouthPolarStereo
        return MapProjection(polar(central_longitude=center))
    if abs(middle) < 15.0 or east - west > 180.0:
        if max(abs(south), abs(north)) > 80.0:
            return MapProjection(ccrs.PlateCarree(central_longitude=center))
        return MapProjection(ccrs.Mercator(central_longitude=center))
    return MapProjection(
        ccrs.LambertConformal(
            central_longitude=center,
            central_latitude=middle,
            standard_parallels=(south + span / 6.0, north - span / 6.0),
            cutoff=-30.0 if middle > 0 else 30.0,
        )
    )


def _lonlat_range(regions: Sequence[Region]) -> tuple[float, float, float, float]:
    """Return west, east, south, north of all regions: east of the widest gap between their longitudes."""
    boxes = sorted((_lonlat_box(region) for region in regions), key=lambda box: box.west % 360.0)
    west = np.array([box.west % 360.0 for box in boxes])
    reach = np.maximum.accumulate(west + [box.width for box in boxes])
    gap = np.append(west[1:], west[0] + 360.0) - np.maximum(reach, reach[-1] - 360.0)
    start = int(gap.argmax()) + 1
    first = float(west[start % len(boxes)])
    east = max((w - first) % 360.0 + box.width for w, box in zip(west, boxes, strict=True))
    return first, first + min(float(east), 360.0), min(b.south for b in boxes), max(b.north for b in boxes)


def _lonlat_box(region: Region) -> Extent:
    if region.crs is None:
        return region.extent
    x, y = np.meshgrid(
        np.linspace(region.extent.west, region.extent.east, 9),
        np.linspace(region.extent.south, region.extent.north, 9),
    )
    lon, lat = pyproj.Transformer.from_crs(region.crs, LONLAT, always_xy=True).transform(x, y)
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        raise ProjectionError(f'region "{region.name}": no place in it has a longitude; check its crs')
    lon, lat = lon[known], lat[known]
    center = lon[len(lon) // 2]
    lon = center + (lon - center + 180.0) % 360.0 - 180.0
    return Extent(float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max()))


def _cartopy_classes() -> dict[str, type[ccrs.Projection]]:
    """Return those of cartopy's projections that a map set can name."""
    return {
        name: kind
        for name, kind in cartopy_projections().items()
        if not name.startswith("_")
        and kind is not ccrs.Projection
        and "code" not in inspect.signature(kind).parameters
    }


def cartopy_projections() -> dict[str, type[ccrs.Projection]]:
    """Return cartopy's projection classes by name, those among them that others are based on."""
    found = {name: value for name, value in vars(ccrs).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if issubclass(value, ccrs.Projection)}


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
