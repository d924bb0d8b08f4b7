"""Flat arrays of lines as what matplotlib and cartopy draw: paths and geometries.

Lines are given as their vertices and the numbers of the vertices at which a line begins.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import shapely
from cartopy.mpl import feature_artist
from matplotlib.path import Path

from forkmaps.features.linework import Indices, Vertices


def path_of(xy: Vertices, begins: Indices, *, closed: bool) -> Path:
    """Return a matplotlib path of lines (or closed rings) that begin at some of the vertices."""
    codes = np.full(len(xy), Path.LINETO, Path.code_type)
    if closed:
        codes[np.append(begins[1:], len(xy))[: len(begins)] - 1] = Path.CLOSEPOLY
    codes[begins] = Path.MOVETO
    return Path(xy, codes)


def multiline(xy: Vertices, begins: Indices) -> Any:
    """Return lines as a MultiLineString."""
    offsets = (np.append(begins, len(xy)), np.array([0, len(begins)]))
    return shapely.from_ragged_array(shapely.GeometryType.MULTILINESTRING, xy, offsets)[0]


def multipolygon(xy: Vertices, begins: Indices) -> Any:
    """Return closed rings, each outer one (anticlockwise) followed by its holes, as a MultiPolygon."""
    ends = np.append(begins, len(xy))
    owner = np.repeat(np.arange(len(begins)), np.diff(ends))
    rings = np.asarray(shapely.linearrings(xy, indices=owner))
    outer = np.flatnonzero(shapely.is_ccw(rings))
    offsets = (ends, np.append(outer, len(rings)), np.array([0, len(outer)]))
    return shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, xy, offsets)[0]


def tell_cartopy(geometry: Any, crs: Any, path: Path) -> None:
    """Put a geometry's path where cartopy keeps those it has made: it takes 15 µs for each line of one.

    That place is cartopy's own affair, and may be gone one day: then cartopy makes the path.
    """
    with suppress(AttributeError, TypeError):
        key = feature_artist._GeomKey(geometry)
        artist = feature_artist.FeatureArtist
        artist._geom_key_to_geometry_cache.setdefault(key, geometry)
        artist._geom_key_to_path_cache.setdefault(key, {})[crs] = path
