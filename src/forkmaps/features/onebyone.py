"""Lines and polygons that a map tears apart or can't wholly show: cartopy cuts them at its edge."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import cartopy.crs as ccrs
import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.features.linework import Geometries, Vertices
from forkmaps.projection.mapprojection import LONLAT, MapProjection

log = logging.getLogger("forkmaps")

_PLACES = 500
"""Places on the earth at which a projected polygon is looked at."""
_GOLDEN_ANGLE = 222.49223594996215
"""Degrees of longitude from one to the next: they spread evenly."""
_FEW = 0.03
"""Share of them that may be on the wrong side of its outline."""


def by_cartopy(shapes: Geometries, projection: MapProjection, name: str) -> Iterator[Geometries]:
    """Yield the parts of each line or polygon on the map, one shape after the other.

    What is not seen at all, on the far side of the globe, is passed over; what cartopy fails at is left out
    with one warning. It can't, for instance, fill a polygon around one of the two places on the equator that
    lie at infinity in transverse Mercator: it would fill the map.

    Parameters
    ----------
    shapes : (n,) LineString or Polygon
        In degrees of longitude and latitude.
    projection : MapProjection
    name : str
        The layer's name, for the warning.
    """
    lost = 0
    for shape in shapely.orient_polygons(shapes):
        if not np.isfinite(_on_map(shapely.get_coordinates(shape), projection)).all(axis=1).any():
            continue
        try:
            projected = projection.crs.project_geometry(shape, ccrs.PlateCarree())
        except (shapely.errors.ShapelyError, ValueError, RuntimeError, IndexError):
            lost += 1
            continue
        if shape.geom_type == "LineString" or _agrees(shape, projected, projection):
            yield shapely.get_parts(projected)
        else:
            lost += 1
    if lost:
        log.warning("%s: %d parts can't be projected, and are left out", name, lost)


def _on_map(lonlat: Vertices, projection: MapProjection) -> Vertices:
    return np.column_stack(projection.transformer(LONLAT).transform(lonlat[:, 0], lonlat[:, 1]))


def _agrees(shape: shapely.Geometry, projected: shapely.Geometry, projection: MapProjection) -> bool:
    """Whether places on the earth that the map shows are in a polygon if they are in it as projected."""
    lonlat = _places()
    xy = _on_map(lonlat, projection)
    shown = np.isfinite(xy).all(axis=1) & _inside(projection.crs.domain, xy)
    inside = np.any([_inside(shape, lonlat + np.array([turn, 0.0])) for turn in (-360.0, 0.0, 360.0)], axis=0)
    wrong = inside[shown] != _inside(shapely.make_valid(projected), xy[shown])
    return bool(wrong.sum() <= _FEW * len(wrong))


def _inside(shape: shapely.Geometry, xy: Vertices) -> NDArray[np.bool_]:
    return np.asarray(shapely.contains_xy(shape, np.where(np.isfinite(xy), xy, np.inf)))


def _places() -> Vertices:
    """Return longitudes and latitudes spread evenly over the earth, on a spiral from pole to pole."""
    number = np.arange(_PLACES)
    lon = (_GOLDEN_ANGLE * number) % 360.0 - 180.0
    return np.column_stack([lon, np.rad2deg(np.arcsin((2 * number + 1) / _PLACES - 1))])
