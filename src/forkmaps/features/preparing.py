"""From a layer's geometries to the levels of its lines and areas in a map projection."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.errors import FeatureError
from forkmaps.features.arcs import ring_levels, unique_arcs
from forkmaps.features.linework import Geometries, Level, levels
from forkmaps.features.projecting import Projector
from forkmaps.projection.mapprojection import MapProjection

log = logging.getLogger("forkmaps")

_LINES = (shapely.GeometryType.LINESTRING, shapely.GeometryType.LINEARRING)
_AREAS = (shapely.GeometryType.POLYGON,)


def prepared(
    geometries: Iterable[Any], source_crs: str, projection: MapProjection, *, name: str, filled: bool
) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """Return the levels of the lines, and those of the areas' rings (empty unless `filled`).

    Parameters
    ----------
    geometries : iterable of shapely geometries
        Polygons or lines; borders of neighbors must share their vertices to be drawn once.
    source_crs : str
        CRS text of the geometries, x before y.
    projection : MapProjection
    name : str
        For messages.
    filled : bool
        Whether areas are wanted.

    Raises
    ------
    FeatureError
        No polygon or line among the geometries, or a CRS that is not known, or not theirs.
    """
    projector = Projector(source_crs, projection, name)
    polygons, lines = _polygons_and_lines(projector.in_range(_usable(geometries, name)))
    arcs = unique_arcs(np.concatenate([shapely.get_rings(polygons), lines]))
    line_levels = levels(projector.lines(arcs))
    if not len(line_levels[0].xy):
        log.warning("%s: lies wholly outside of what the projection can show", name)
    areas = projector.polygons(polygons) if filled else polygons[:0]
    return line_levels, ring_levels(_rings(areas))


def _usable(geometries: Iterable[Any], name: str) -> Geometries:
    """Return the lines and polygons among geometries, in two dimensions; say what is left out."""
    given = np.asarray(list(geometries), object)
    absent = shapely.is_missing(given) | shapely.is_empty(given)
    parts, owners = shapely.get_parts(shapely.force_2d(given[~absent]), return_index=True)
    shapes, inner = shapely.get_parts(parts, return_index=True)
    drawable = np.isin(shapely.get_type_id(shapes), (*_LINES, *_AREAS)) & _finite(shapes)
    if not drawable.any():
        raise FeatureError(f"{name}: holds no polygons or lines to draw, in {len(given)} features")
    if not drawable.all() or absent.any():
        faulty = np.flatnonzero(~absent)[owners[inner]][~drawable]
        first = min(*np.flatnonzero(absent)[:1], *faulty[:1], len(given)) + 1
        counts = {
            "features without geometry": absent.sum(),
            "parts that are no polygons or lines": len(faulty),
        }
        left_out = ", and ".join(f"{count} {what}" for what, count in counts.items() if count)
        log.warning("%s: left out %s; the first in feature %d of %d", name, left_out, first, len(given))
    return np.asarray(shapes[drawable])


def _finite(shapes: Geometries) -> NDArray[np.bool_]:
    """Whether each shape's coordinates are all numbers."""
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), bool)
    finite[owner[~np.isfinite(xy).all(axis=1)]] = False
    return finite


def _polygons_and_lines(shapes: Geometries) -> tuple[Geometries, Geometries]:
    is_area = np.isin(shapely.get_type_id(shapes), _AREAS)
    return shapes[is_area], shapes[~is_area]


def _rings(polygons: Geometries) -> Geometries:
    """Return the rings of polygons, each one's outer ring first and anticlockwise, then holes clockwise."""
    return np.asarray(shapely.get_rings(shapely.orient_polygons(polygons)))
