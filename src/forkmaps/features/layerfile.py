"""Reading the geometries of a boundary layer from a file: shapefile, GeoPackage, GeoJSON ..."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from forkmaps.errors import FeatureError, nearest

log = logging.getLogger("forkmaps")

_FORMATS = frozenset(
    {"ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "FlatGeobuf", "GML", "KML"}
    | {"LIBKML", "MapInfo File", "OpenFileGDB", "SQLite", "Parquet", "Arrow"}
)
"""GDAL's drivers that are let in. It goes by a file's content, whatever its name: a .shp may be a VRT, which
reads other files, or a WFS, which reads the network."""


def read_geometries(
    path: str | Path, *, where: str | None = None, layer: str | None = None
) -> tuple[NDArray[np.object_], str | None]:
    """Read a layer's geometries (None where a feature has none) and the CRS that it states, if it does.

    Parameters
    ----------
    path : path
        A file, a zipped shapefile, or a folder that GDAL takes for a data set.
    where : str
        Only the features for which this OGR SQL expression is true.
    layer : str
        The layer, where the file has several.

    Raises
    ------
    FeatureError
        There is no such file, layer or field; the file is damaged or none of the known formats.
    """
    if not Path(path).exists():
        raise FeatureError(f"{path}: there is no such boundary layer{_neighbor(Path(path))}")
    with _gdal_errors(path):
        layer = _layer_of(path, layer)
        fields = _fields(path, layer)
        if where is None:
            # Without the columns: half the time. With `where` they are needed, or GDAL finds no field in it.
            meta, _, wkb, _ = pyogrio.raw.read(path, layer=layer, columns=[])
        else:
            meta, wkb = _read_where(path, layer, where, fields)
    return shapely.from_wkb(wkb, on_invalid="ignore"), meta["crs"]


def _neighbor(path: Path) -> str:
    """Return "; did you mean ...?" for the file whose name is most like the missing one's."""
    with suppress(OSError, ValueError):
        return nearest(path.name, [neighbor.name for neighbor in path.parent.iterdir()])
    return ""


def _layer_of(path: str | Path, layer: str | None) -> str:
    """Return the layer asked for, or the only one that has geometries."""
    kinds = {str(name): kind for name, kind in pyogrio.list_layers(path)}
    drawable = [name for name, kind in kinds.items() if kind is not None]
    there = ", ".join(drawable) or "none with geometries"
    if layer is not None and layer not in kinds:
        raise FeatureError(f'{path}: there is no layer "{layer}"{nearest(layer, drawable)}; layers: {there}')
    if layer is None and len(drawable) != 1:
        raise FeatureError(f"{path}: set layer to one of its layers: {there}")
    return layer or drawable[0]


def _fields(path: str | Path, layer: str) -> list[str]:
    info = pyogrio.read_info(path, layer=layer)
    if info["driver"] not in _FORMATS:
        raise FeatureError(f"{path}: {info['driver']} is not read, as it may lead to other files; convert it")
    if info["geometry_type"] is None:
        raise FeatureError(f"{path}: layer {layer} is a table without geometries")
    return [str(field) for field in info["fields"]]


def _read_where(path: str | Path, layer: str, where: str, fields: list[str]) -> tuple[Any, Any]:
    try:
        meta, _, wkb, _ = pyogrio.raw.read(path, layer=layer, where=where)
    except (ValueError, pyogrio.errors.FeatureError) as error:
        there = f"fields: {', '.join(fields)}" if fields else "it has no fields; is its .dbf missing?"
        raise FeatureError(
            f"{path}: where {where!r} can't be evaluated ({there}); "
            "write it like \"name = 'Ohio' OR area > 9\""
        ) from error
    if not len(wkb):
        raise FeatureError(f"{path}: no feature meets where {where!r} (fields: {', '.join(fields)})")
    return meta, wkb


@contextmanager
def _gdal_errors(path: str | Path) -> Iterator[None]:
    """Turn GDAL's errors into a FeatureError, and its warnings into one line each of the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (RuntimeError, ValueError) as error:  # pyogrio's own are RuntimeErrors
            reason = " ".join(str(error).partition("It might help")[0].split()).rstrip(".; ")
            raise FeatureError(
                f"{path}: can't be read as a boundary layer: {reason}; needed is a whole shapefile "
                "(.shp with its .shx and .dbf), GeoPackage, GeoJSON or the like"
            ) from error
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("%s: %s", path, message)
