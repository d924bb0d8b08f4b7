"""Reading a layer's geometries and fields from a file: shapefile, GeoPackage, GeoJSON ...

Boundaries and regions are both read this way.
"""

from __future__ import annotations

import logging
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
_REFERENCES = re.compile(rb"<(OGR\w*DataSource|OGRWFS\w*)|\"(gdal_streamed_alg)\"")
"""What begins a file that GDAL, by merely opening it, would follow to others or to the network."""
_HEAD = 1024  # bytes by which GDAL chooses the driver
_SIDECARS = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj", ".xml", ".qmd")
"""Files beside a .shp, which are no layers for themselves."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer's file holds, feature by feature.

    Attributes
    ----------
    crs : str or None
        The CRS that the file states, if it does; axis order of the geometries x, y.
    numbers : (features,) int array
        GDAL's numbers of the features, as messages name them.
    geometries : (features,) array of shapely geometries
        None where a feature has none.
    columns : dict of str to (features,) array
        The fields' values by name; times are ISO 8601 texts. Empty if they were not asked for.
    """

    crs: str | None
    numbers: NDArray[np.int64]
    geometries: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]


def read_layer(
    path: str | Path, *, where: str | None = None, layer: str | None = None, fields: bool = False
) -> Layer:
    """Read a layer: its geometries, and its fields if they are wanted.

    Parameters
    ----------
    path : path
        A file, a zipped shapefile, or a folder that GDAL takes for a data set.
    where : str
        Only the features for which this OGR SQL expression is true.
    layer : str
        The layer, where the file has several.
    fields : bool
        Whether the fields' values are read: twice the time.

    Raises
    ------
    FeatureError
        There is no such file, layer or field; the file is damaged or none of the known formats.
    """
    if not Path(path).exists():
        raise FeatureError(f"{path}: there is no such file{_neighbor(Path(path))}")
    _refuse_references(Path(path))
    with _gdal_errors(path):
        layer = _layer_of(path, layer)
        known = _fields(path, layer)
        if where is None:
            meta, numbers, wkb, values = _raw(path, layer, columns=None if fields else [])
        else:
            meta, numbers, wkb, values = _raw_where(path, layer, where, known)
    columns = dict(zip(meta["fields"], values, strict=True)) if fields else {}
    return Layer(meta["crs"], numbers, shapely.from_wkb(wkb, on_invalid="ignore"), columns)


def _neighbor(path: Path) -> str:
    """Return "; did you mean ...?" for the layer whose name is most like the missing one's."""
    with suppress(OSError, ValueError):
        there = [file.name for file in path.parent.iterdir() if file.suffix.lower() not in _SIDECARS]
        return nearest(path.name, there)
    return ""


def _refuse_references(path: Path) -> None:
    for head in _heads(path):
        if found := _REFERENCES.search(head):
            kind = (found[1] or found[2]).decode()
            raise FeatureError(
                f"{path}: holds no shapes ({kind}), but leads to other files or the network, which are not "
                "read; convert it to a GeoPackage (ogr2ogr)"
            )


def _heads(path: Path) -> Iterator[bytes]:
    """Give the first bytes of a file, or of each in an archive, which GDAL opens too."""
    if path.is_dir():
        return
    with suppress(OSError):  # then GDAL can't read it either, and says so
        with path.open("rb") as file:
            yield file.read(_HEAD)
        if zipfile.is_zipfile(path):
            yield from _heads_inside(path)


def _heads_inside(path: Path) -> Iterator[bytes]:
    """Give the first bytes of each file in an archive; FeatureError where GDAL might see more than Python."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    yield file.read(_HEAD)
    except Exception as error:  # each way of compression has errors of its own
        raise FeatureError(
            f"{path}: a file in it can't be read ({error}); zip its files anew, without a password"
        ) from error


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


def _raw(path: str | Path, layer: str, **options: Any) -> Any:
    return pyogrio.raw.read(path, layer=layer, return_fids=True, datetime_as_string=True, **options)


def _raw_where(path: str | Path, layer: str, where: str, fields: list[str]) -> Any:
    # With all columns, or GDAL finds no field in the condition.
    there = f"fields: {', '.join(fields)}" if fields else "it has no fields; is its .dbf missing?"
    try:
        found = _raw(path, layer, where=where)
    except (ValueError, pyogrio.errors.FeatureError, pyogrio.errors.DataLayerError) as error:
        raise FeatureError(
            f"{path}: where {where!r} can't be evaluated: {_plain(error)} ({there}); "
            "write it like \"name = 'Ohio' OR area > 9\""
        ) from error
    if not len(found[1]):
        raise FeatureError(f"{path}: no feature meets where {where!r} ({there})")
    return found


@contextmanager
def _gdal_errors(path: str | Path) -> Iterator[None]:
    """Turn GDAL's errors into a FeatureError, and its warnings into one line each of the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (RuntimeError, ValueError) as error:  # pyogrio's own are RuntimeErrors
            raise FeatureError(
                f"{path}: can't be read as a layer: {_plain(error)}; needed is a whole shapefile "
                "(.shp with its .shx and .dbf), GeoPackage, GeoJSON or the like"
            ) from error
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        log.warning("%s: %s", path, message)


def _plain(error: Exception) -> str:
    """Return an error's reason on one line, without the advice that is for users of pyogrio."""
    return " ".join(str(error).partition("It might help")[0].split()).rstrip(".; ")
