"""Geometries that a user has in memory: geopandas', shapely's, cartopy's, or any with a `__geo_interface__`.

Sources are told apart by what they offer: geopandas need not be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyproj
import shapely

from forkmaps.errors import FeatureError


def geometries_in(source: Any, crs: str | None, name: str) -> tuple[list[Any], str]:
    """Return shapely geometries and their CRS as text.

    Parameters
    ----------
    source
        A GeoDataFrame or GeoSeries, a cartopy feature, a shapely geometry or an iterable of them, or
        GeoJSON-like objects.
    crs : str or None
        EPSG code, PROJ string or WKT; counts instead of what the source states.
    name : str
        The layer's, for messages.

    Raises
    ------
    FeatureError
        It is none of these, or nothing states its CRS.
    """
    geometries = list(_shapes(source, name))
    stated = crs if crs is not None else _stated_crs(source)
    if stated is None:
        raise FeatureError(
            f'boundary "{name}": its geometries state no CRS; '
            f'write Boundary(..., crs="EPSG:4326") where they are in degrees of longitude and latitude'
        )
    try:
        return geometries, str(pyproj.CRS.from_user_input(stated).to_wkt())
    except pyproj.exceptions.CRSError as error:
        raise FeatureError(f'boundary "{name}": crs "{stated}" is not known ({error})') from error


def _shapes(source: Any, name: str) -> Iterator[Any]:
    """Yield the geometries in a source; None where a feature has none."""
    if source is None or isinstance(source, shapely.Geometry):
        yield source
    elif hasattr(source, "geometry") and hasattr(source, "crs"):  # geopandas
        yield from source.geometry
    elif callable(getattr(source, "geometries", None)):  # cartopy
        yield from source.geometries()
    elif isinstance(source, dict) or hasattr(source, "__geo_interface__"):
        yield from _of_geojson(source, name)
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes):
        for part in source:
            yield from _shapes(part, name)
    else:
        raise FeatureError(
            f'boundary "{name}": a value of type {type(source).__name__} is no boundary layer; needed is '
            "a path, a GeoDataFrame or GeoSeries, shapely geometries, GeoJSON, or a cartopy feature"
        )


def _of_geojson(source: Any, name: str) -> Iterator[Any]:
    """Yield the geometries of a GeoJSON object, or of one that has a `__geo_interface__`."""
    content = source if isinstance(source, dict) else source.__geo_interface__
    if content.get("type") == "FeatureCollection":
        for feature in content["features"]:
            yield from _of_geojson(feature, name)
    elif content.get("type") == "Feature":
        yield from _of_geojson(content["geometry"], name) if content["geometry"] else [None]
    else:
        try:
            yield shapely.geometry.shape(content)
        except (shapely.errors.ShapelyError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise FeatureError(f'boundary "{name}": {content!s:.100} is no GeoJSON geometry') from error


def _stated_crs(source: Any) -> Any:
    stated = getattr(source, "crs", None)
    return stated if stated is None or isinstance(stated, str) else stated.to_wkt()
