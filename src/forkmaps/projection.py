"""The projection that maps are drawn in, and the view of one picture.

A `MapProjection` wraps a cartopy projection and adds what drawing in any view of it needs: transforms with
x before y, made once; the width of the world where x repeats (cylindrical projections), so that a region
across the antimeridian is one piece; the extent that a region covers. A `View` is what one picture shows:
an extent in map units and a size in pixels.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import pyproj
from numpy.typing import NDArray

from forkmaps.errors import ProjectionError, nearest
from forkmaps.regions import Extent, Region

LONLAT = "OGC:CRS84"
"""Longitude, latitude in degrees, in this order."""

_FAR = 1e8
"""Half the side of the plane, in map units, for projections that state no bounds of their own."""
_EDGE_POINTS = 65
"""Points along each side (and across the inside) of a region's box when it is projected."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class View:
    """What one picture shows: an extent in map units, and the size of the map in pixels."""

    extent: Extent
    size: Size

    @property
    def resolution(self) -> float:
        """Map units per pixel; the same in x and y."""
        return self.extent.width / self.size.width

    def pixel_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Map coordinates of the pixel centers: x from west to east, y from north to south."""
        step_x = self.extent.width / self.size.width
        step_y = self.extent.height / self.size.height
        x = self.extent.west + (np.arange(self.size.width) + 0.5) * step_x
        y = self.extent.north - (np.arange(self.size.height) + 0.5) * step_y
        return x, y


class PlanarProjection(ccrs.Projection):
    """Any projected CRS as a cartopy projection, with a plane for a boundary.

    cartopy bounds a CRS by its area of use, or refuses it when it states none (a GRIB grid's does not);
    a map may well reach beyond that area.
    """

    def __init__(self, definition: str) -> None:
        super().__init__(definition)
        self._definition = definition
        self.bounds = (-_FAR, _FAR, -_FAR, _FAR)
        self.threshold = 1e4 if self.axis_info[0].unit_name in ("metre", "meter") else 3e4

    def __reduce__(self) -> tuple[type[PlanarProjection], tuple[str]]:
        return type(self), (self._definition,)


class MapProjection:
    """A projection to draw maps in.

    Parameters
    ----------
    crs : cartopy.crs.Projection
        The cartopy projection; any axes of the maps is a GeoAxes in it.
    """

    def __init__(self, crs: ccrs.Projection) -> None:
        self.crs = crs
        self._transformers: dict[str, pyproj.Transformer] = {}
        self._same: dict[str, bool] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"crs": self.crs, "_transformers": {}, "_same": {}}

    def __repr__(self) -> str:
        return f"MapProjection({self.crs.to_proj4()!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapProjection) and bool(self.crs == other.crs)

    def __hash__(self) -> int:
        return hash(self.crs.to_wkt())

    def transformer(self, source: str) -> pyproj.Transformer:
        """Transform from `source` (a CRS text; x before y) to map coordinates, made once."""
        if source not in self._transformers:
            self._transformers[source] = pyproj.Transformer.from_crs(source, self.crs, always_xy=True)
        return self._transformers[source]

    def inverse(self, target: str) -> Callable[..., Any]:
        """Return the function from map coordinates to `target` (a CRS text), x before y."""
        return partial(self.transformer(target).transform, direction="INVERSE")

    @cached_property
    def central_longitude(self) -> float:
        """Longitude, in degrees, of the projection's origin."""
        return float(self.transformer(LONLAT).transform(0.0, 0.0, direction="INVERSE")[0])

    @cached_property
    def period(self) -> float | None:
        """Width of the world in map units where x is linear in longitude at every latitude, else None."""
        lon = np.array([-120.0, -60.0, 60.0, 120.0])
        center = self.central_longitude if np.isfinite(self.central_longitude) else 0.0
        x = np.array(
            [self.transformer(LONLAT).transform(center + lon, np.full(4, lat))[0] for lat in (0, 50)]
        )
        if not np.isfinite(x).all() or x[0, 0] == 0:
            return None
        per_degree = x / lon
        return float(per_degree[0, 0] * 360.0) if np.ptp(per_degree) < 1e-6 * abs(per_degree[0, 0]) else None

    def extent_of(self, region: Region) -> Extent:
        """Return the smallest extent, in map units, that shows the whole of a region's box.

        Raises
        ------
        ProjectionError
            No part of the region can be shown in this projection.
        """
        x, y = self._projected_box(region)
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.any():
            raise ProjectionError(
                f'region "{region.name}": {region.extent} lies outside of what the projection '
                f"{self.crs.to_proj4()} can show; choose another projection or region"
            )
        x, y = x[finite], y[finite]
        return Extent(float(x.min()), float(x.max()), float(y.min()), float(y.max()))

    def _projected_box(self, region: Region) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        extent = region.extent
        x, y = np.meshgrid(
            np.linspace(extent.west, extent.east, _EDGE_POINTS),
            np.linspace(extent.south, extent.north, _EDGE_POINTS),
        )
        if region.crs is not None:
            if self.is_same(region.crs):
                return x, y
            return self._transform(region.crs, x, y)
        map_x, map_y = self._transform(LONLAT, x, y)
        if self.period is not None:
            # A box across the cut comes out in two pieces; x is linear in longitude, so each has its place.
            expected = map_x[:, :1] + (x - extent.west) / 360.0 * self.period
            map_x = map_x + self.period * np.round((expected - map_x) / self.period)
        return map_x, map_y

    def is_same(self, crs: str) -> bool:
        """Whether coordinates in `crs` are map coordinates as they stand."""
        if crs not in self._same:
            self._same[crs] = bool(pyproj.CRS(crs) == pyproj.CRS(self.crs.to_wkt()))
        return self._same[crs]

    def _transform(
        self, source: str, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        map_x, map_y = self.transformer(source).transform(x, y)
        return np.asarray(map_x), np.asarray(map_y)


def view_of(region: Region, projection: MapProjection, size: Size) -> View:
    """Return the view of a region in a map of `size` pixels.

    The region's extent grows, about its center, to the map's aspect: it is never stretched or cut.
    """
    extent = projection.extent_of(region)
    resolution = max(extent.width / size.width, extent.height / size.height)
    x, y = (extent.west + extent.east) / 2, (extent.south + extent.north) / 2
    half_x, half_y = size.width * resolution / 2, size.height * resolution / 2
    return View(Extent(x - half_x, x + half_x, y - half_y, y + half_y), size)


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
            f'projection "{definition}" is not known ({_first_line(error)}); '
            f"write an EPSG code like EPSG:5070, a PROJ string or WKT"
        ) from error
    if crs.is_geographic:
        return MapProjection(ccrs.PlateCarree())
    if not crs.is_projected:
        raise ProjectionError(f'projection "{definition}" ({crs.type_name}) is not a map projection')
    return MapProjection(PlanarProjection(crs.to_wkt()))


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
        return MapProjection(classes[name](**arguments))
    except (TypeError, ValueError, pyproj.exceptions.CRSError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ProjectionError(
            f"projection {name}({given}): {_first_line(error)}; it takes {', '.join(known)}"
        ) from error


def fitted_projection(regions: Sequence[Region]) -> MapProjection:
    """Return a projection fitted to regions: Lambert conformal conic.

    Its standard parallels lie one sixth of the latitude range inside the range's ends (the rule of thumb of
    Snyder, *Map Projections: A Working Manual*, USGS Professional Paper 1395, 1987, p. 99). A cone
    degenerates over the equator and at a pole, so ranges there get a Mercator or polar stereographic map.
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
    boxes = [_lonlat_box(region) for region in regions]
    start = boxes[0].west
    # Longitudes are put on one turn, starting at the first region's west.
    west = [start + (b.west - start + 180.0) % 360.0 - 180.0 for b in boxes]
    east = [w + b.width for w, b in zip(west, boxes, strict=True)]
    return min(west), max(east), min(b.south for b in boxes), max(b.north for b in boxes)


def _lonlat_box(region: Region) -> Extent:
    if region.crs is None:
        return region.extent
    x, y = np.meshgrid(
        np.linspace(region.extent.west, region.extent.east, 9),
        np.linspace(region.extent.south, region.extent.north, 9),
    )
    lon, lat = pyproj.Transformer.from_crs(region.crs, LONLAT, always_xy=True).transform(x, y)
    center = lon[4, 4]
    lon = center + (lon - center + 180.0) % 360.0 - 180.0
    return Extent(float(lon.min()), float(lon.max()), float(lat.min()), float(lat.max()))


def _cartopy_classes() -> dict[str, type[ccrs.Projection]]:
    return {
        name: value
        for name, value in vars(ccrs).items()
        if isinstance(value, type)
        and issubclass(value, ccrs.Projection)
        and not name.startswith("_")
        and value is not ccrs.Projection
        and "code" not in inspect.signature(value).parameters
    }


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
