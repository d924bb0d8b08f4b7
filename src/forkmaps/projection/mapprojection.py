"""A map's projection, and the view of one picture.

A `MapProjection` wraps a cartopy projection and adds what drawing in any view of it needs: transforms with
x before y, made once; the width of the world where x repeats (cylindrical projections), so that a region
across the antimeridian is one piece; the extent that a region covers. A `View` is what one picture shows:
an extent in map units and a size in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import pyproj
from numpy.typing import NDArray

from forkmaps.errors import ProjectionError
from forkmaps.projection.describing import as_option, name_of, proj_text
from forkmaps.projection.seams import cut_of, cylinder_of
from forkmaps.regions import Extent, Region

LONLAT = "OGC:CRS84"
"""Longitude, latitude in degrees, in this order."""

_SIDE_POINTS = 33
"""Points along each side of a region's box when it is projected; extremes between them are interpolated."""
_GRID_POINTS = 65
"""Points across a region's box, both ways, where its outline is not enough to tell what it covers."""
_MOST_WAYS = 64
"""Transforms kept for use again: a map set uses two or three."""
_ALONG = np.linspace(0.0, 1.0, _SIDE_POINTS)
_OUTLINE = (
    np.stack([_ALONG, np.ones_like(_ALONG), _ALONG[::-1], np.zeros_like(_ALONG)]),
    np.stack([np.zeros_like(_ALONG), _ALONG, np.ones_like(_ALONG), _ALONG[::-1]]),
)
"""Points along the four sides of the unit square, anticlockwise: x and y, (sides, points)."""

Plane = NDArray[np.float64]


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

    def pixel_centers(self) -> tuple[Plane, Plane]:
        """Map coordinates of the pixel centers: x from west to east, y from north to south."""
        step_x = self.extent.width / self.size.width
        step_y = self.extent.height / self.size.height
        x = self.extent.west + (np.arange(self.size.width, dtype=np.float64) + 0.5) * step_x
        y = self.extent.north - (np.arange(self.size.height, dtype=np.float64) + 0.5) * step_y
        return x, y


@dataclass(frozen=True, slots=True)
class _Way:
    """How coordinates of another CRS become map coordinates, and whether they are so already."""

    transformer: pyproj.Transformer
    is_same: bool


class MapProjection:
    """A projection to draw maps in; `plt.axes(projection=...)` and the like take it as cartopy's.

    Parameters
    ----------
    crs : cartopy.crs.Projection
        The cartopy projection; any axes of the maps is a GeoAxes in it.
    """

    def __init__(self, crs: ccrs.Projection) -> None:
        self.crs = crs
        self._ways: dict[str, _Way] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"crs": self.crs, "_ways": {}}  # transformers can't be pickled

    def __repr__(self) -> str:
        return f"MapProjection({self.label!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MapProjection) and bool(self.crs == other.crs)

    def __hash__(self) -> int:
        return hash(self.crs)

    def _as_mpl_axes(self) -> tuple[type[Any], dict[str, Any]]:
        """Tell matplotlib the axes for `projection=`: a cartopy GeoAxes."""
        kind, arguments = self.crs._as_mpl_axes()
        return kind, arguments

    @property
    def label(self) -> str:
        """What the projection is called in messages: its name, or PROJ parameters."""
        return name_of(self.crs) or proj_text(self.crs)

    @property
    def described(self) -> str:
        """What the projection is called, if it has a name, and what makes it in a map set's file."""
        return ", ".join(filter(None, (name_of(self.crs), as_option(self.crs))))

    def transformer(self, source: str) -> pyproj.Transformer:
        """Transform from `source` (a CRS text; x before y) to map coordinates, made once.

        Raises
        ------
        ProjectionError
            The text defines no CRS, or none that leads to this projection.
        """
        return self._way(source).transformer

    def inverse(self, target: str) -> Callable[..., Any]:
        """Return the function from map coordinates to `target` (a CRS text), x before y."""
        return partial(self.transformer(target).transform, direction="INVERSE")

    def is_same(self, crs: str) -> bool:
        """Whether coordinates in `crs` are map coordinates as they stand."""
        return self._way(crs).is_same

    def _way(self, source: str) -> _Way:
        if source not in self._ways:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            self._ways[source] = _way(source, self.crs)
        return self._ways[source]

    @cached_property
    def central_longitude(self) -> float:
        """Longitude, in degrees, of the projection's origin."""
        return float(self.inverse(LONLAT)(0.0, 0.0)[0])

    @property
    def period(self) -> float | None:
        """Width of the world in map units where x is linear in longitude at every latitude, else None."""
        return None if self._cylinder is None else self._cylinder[1]

    @cached_property
    def cut_longitude(self) -> float | None:
        """The meridian, in degrees, along which the map is cut; None if it is cut otherwise or nowhere."""
        return None if self.period is not None else cut_of(partial(self._transform, LONLAT))

    def x_of_longitude(self, longitude: Plane) -> Plane:
        """Return x of longitudes in degrees, which may go on beyond 180; only where there is a period."""
        if self._cylinder is None:
            raise ProjectionError(f"{self!r}: x is not linear in longitude")
        x, period = self._cylinder
        return x + longitude * (period / 360.0)

    @cached_property
    def _cylinder(self) -> tuple[float, float] | None:
        return cylinder_of(partial(self._transform, LONLAT))

    def extent_of(self, region: Region) -> Extent:
        """Return the smallest extent, in map units, that shows the whole of a region's box.

        Where a part of the box can't be projected, the extent shows the rest.

        Raises
        ------
        ProjectionError
            No part of the region can be shown in this projection.
        """
        if region.crs is not None and self.is_same(region.crs):
            return region.extent
        if region.crs is None:
            x, y = self._projected(region, *_OUTLINE)
            if np.isfinite(x).all() and np.isfinite(y).all():
                return Extent(*_range(x), *self._shown(*_range(y)))
        return self._visible(region)

    def _projected(self, region: Region, u: Plane, v: Plane) -> tuple[Plane, Plane]:
        """Project points of a region's box; u and v are 0 at its west and south, 1 at its east and north."""
        box = region.extent
        x, y = box.west + u * box.width, box.south + v * box.height
        map_x, map_y = self._transform(region.crs or LONLAT, x, y)
        if self.period is None:
            return map_x, map_y
        if region.crs is None:
            map_x = self.x_of_longitude(x)
        else:
            map_x = np.unwrap(np.unwrap(map_x, period=self.period, axis=1), period=self.period, axis=0)
        middle = (map_x.min() + map_x.max()) / 2
        return map_x - np.round(middle / self.period) * self.period, map_y

    def _visible(self, region: Region) -> Extent:
        """Return the extent of the part of a region's box that can be projected."""
        u, v = np.meshgrid(np.linspace(0.0, 1.0, _GRID_POINTS), np.linspace(0.0, 1.0, _GRID_POINTS))
        x, y = self._projected(region, u, v)
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.any():
            raise ProjectionError(
                f'region "{region.name}": {region.extent} lies outside of what the projection '
                f"{self.label} can show; choose another projection or region"
            )
        x, y = x[finite], y[finite]
        return Extent(float(x.min()), float(x.max()), *self._shown(float(y.min()), float(y.max())))

    def _shown(self, south: float, north: float) -> tuple[float, float]:
        """Return the part of a range of y that a cylindrical map shows; Mercator's poles are at infinity."""
        if self.period is None:
            return south, north
        # The world is at most a square, as in web Mercator, where cartopy knows of no limit.
        low, high = max(self.crs.y_limits[0], -self.period / 2), min(self.crs.y_limits[1], self.period / 2)
        if north <= low or south >= high:
            return south, north
        return float(max(south, low)), float(min(north, high))

    def _transform(self, source: str, x: Plane, y: Plane) -> tuple[Plane, Plane]:
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


def _way(source: str, crs: ccrs.Projection) -> _Way:
    try:
        transformer = pyproj.Transformer.from_crs(source, crs, always_xy=True)
    except (pyproj.exceptions.CRSError, pyproj.exceptions.ProjError) as error:
        raise ProjectionError(
            f'no way from CRS "{source}" to the map\'s ({str(error).splitlines()[0]}); '
            "write an EPSG code like EPSG:5070, a PROJ string or WKT"
        ) from error
    return _Way(transformer, pyproj.CRS(source).equals(pyproj.CRS(crs.to_wkt()), ignore_axis_order=True))


def _range(sides: Plane) -> tuple[float, float]:
    """Return the least and the greatest value along the sides of a box, (sides, points)."""
    return -_highest(-sides), _highest(sides)


def _highest(sides: Plane) -> float:
    """Return the greatest value, between points too: of the parabola through the highest three."""
    top = np.clip(sides.argmax(axis=1), 1, sides.shape[1] - 2)
    side = np.arange(len(sides))
    before, at, after = sides[side, top - 1], sides[side, top], sides[side, top + 1]
    bend = 2 * at - before - after
    is_top = (at >= before) & (at >= after) & (bend > 0)
    peak = at + np.where(is_top, (after - before) ** 2 / (8 * np.where(is_top, bend, 1.0)), 0.0)
    return float(max(sides.max(), peak.max()))
