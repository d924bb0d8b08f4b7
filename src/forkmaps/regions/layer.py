"""Regions from a polygon layer, one for each feature.

Outlines are cut into short edges, transformed to the wanted CRS all at once, and boxed part by part. Where
x runs around the world (longitudes, cylindrical projections) it is a circle, and a feature's extent is the
shortest arc that covers its parts: Alaska is 57 degrees wide, not 360.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyogrio
import shapely
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError

from forkmaps.errors import RegionError
from forkmaps.regions import (
    Extent,
    FaultList,
    Fields,
    Region,
    Value,
    alternatives,
    crs_text,
    name_key,
    parse_crs,
    quoted,
)

log = logging.getLogger(__name__)

_Floats = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.intp]
_Objects = npt.NDArray[Any]

# GDAL goes by a file's content, whatever its name: a .geojson may be a VRT, which reads other files, or
# a WFS, which reads the network. Hence a list of what is let in.
_FORMATS = {"ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "FlatGeobuf", "GML"}
_FORMATS |= {"KML", "LIBKML", "MapInfo File", "OpenFileGDB", "SQLite", "Parquet", "Arrow"}
_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(%|km|m)\s*")
_DEGREES_PER_EDGE = 0.25  # 20 m between such an edge and its curve on a Lambert map of the United States
_UNITS_PER_EDGE = 25_000.0
_EDGES_PER_SIDE = 2_000  # bounds the memory that a box of absurd size can ask for
_LINEAR_RING, _POLYGON = 2, 3


def read_region_layer(
    path: str | Path,
    *,
    name: str = "name",
    title: str | None = None,
    where: str | None = None,
    sort: str | None = None,
    margin: str | None = None,
    min_size: str | None = None,
    layer: str | None = None,
    source_crs: str | CRS | None = None,
    target_crs: str | CRS | None = None,
) -> tuple[Region, ...]:
    """Read regions from a polygon layer, one per feature (lines and points will do, with a `min_size`).

    All attributes go to `Region.fields`, empty ones as "". Field names count in any case where that is
    unambiguous. Features without geometry are skipped with one warning in the log. Names may repeat (the
    United States have 30 Washington Counties): file names are checked where they are made.

    Parameters
    ----------
    path : str or Path
        A local file or folder of a format that GDAL knows (not VRT or a service).
    name : str
        Field that names the regions.
    title : str, optional
        A field, or a template of fields such as "{name}, {postal}" (`str.format`). Default: the name.
    where : str, optional
        SQL condition on the attributes, such as "lower48 = 1".
    sort : str, optional
        Field to sort by, regardless of case; "-field" for descending; empty values last. Default: as in
        the file.
    margin : str, optional
        Added on each of the four sides: "10 %" of the feature's width (west, east) and height (south,
        north), or "25 km", "2500 m".
    min_size : str, optional
        "60 km": width and height, margin included, are at least this; smaller ones grow on both sides.
    layer : str, optional
        Which layer of the file. Needed if there are several.
    source_crs : str or pyproj.CRS, optional
        CRS of the coordinates, axis order x, y. Needed if the file states none, must agree if it does.
    target_crs : str or pyproj.CRS, optional
        CRS in which the extents are taken, the map's projection. Default: degrees (OGC:CRS84).

    Returns
    -------
    tuple of Region
        At least one. Extents are in units of `target_crs`, the center's x within half a world of 0, so
        that one across the antimeridian has west < -180 or east > 180. Metres are metres on the ground,
        by the scale at the center of the extent.

    Raises
    ------
    RegionError
        If the layer can't be read, an option does not fit it, or features can't be shown (all of them).
    """
    amounts = _amount("margin", margin or "0 %"), _amount("min_size", min_size or "0 km")
    target = parse_crs(target_crs or "OGC:CRS84")
    with _warnings_logged(path):
        source = _read(path, layer, where)
    crs = _crs_of(source, source_crs)
    source = _sorted(_with_geometry(source), sort)
    names = [str(value) for value in source.column(name, "name")]
    titles = _titles(source, names, title)
    boxes = _boxes(source.geometries, crs, target)
    _refuse_unseen(source, names, boxes)
    boxes = _grown(boxes, *amounts, target)
    return tuple(_all_regions(source, names, titles, boxes, crs_text(target_crs)))


@dataclass(frozen=True, slots=True)
class _Layer:
    path: str | Path
    crs: str | None
    numbers: _Indices  # GDAL's feature numbers
    geometries: _Objects
    columns: dict[str, list[Value]]

    def column(self, field: str, option: str) -> list[Value]:
        return self.columns[self.field(field, option)]

    def field(self, field: str, option: str) -> str:
        """Find a field by its exact name, or else in any case."""
        alike = [each for each in self.columns if name_key(each) == name_key(field)]
        if field in self.columns or len(alike) == 1:
            return field if field in self.columns else alike[0]
        others = alternatives(field, self.columns)
        raise RegionError(f"{self.path}: {option}: no field {quoted(field)}; {others}")

    def take(self, rows: Sequence[int] | _Indices) -> _Layer:
        columns = {field: [values[row] for row in rows] for field, values in self.columns.items()}
        return replace(self, numbers=self.numbers[rows], geometries=self.geometries[rows], columns=columns)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Sides of many boxes; NaN where there is nothing to see."""

    west: _Floats
    east: _Floats
    south: _Floats
    north: _Floats

    @property
    def width(self) -> _Floats:
        return self.east - self.west

    @property
    def height(self) -> _Floats:
        return self.north - self.south

    def padded(self, x: _Floats, y: _Floats) -> _Boxes:
        return _Boxes(self.west - x, self.east + x, self.south - y, self.north + y)


@dataclass(frozen=True, slots=True)
class _Amount:
    value: float
    unit: str

    def of(self, side: _Floats, units_per_metre: _Floats) -> _Floats:
        if self.unit == "%":
            return side * self.value / 100
        return units_per_metre * self.value * (1000 if self.unit == "km" else 1)


def _amount(option: str, text: str) -> _Amount:
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or (option == "min_size" and match[2] == "%"):
        units = '"60 km" or "2500 m"' if option == "min_size" else '"10 %", "25 km" or "2500 m"'
        raise RegionError(f"{option} {quoted(str(text))} is not a number with its unit; write {units}")
    return _Amount(float(match[1]), match[2])


def _read(path: str | Path, layer: str | None, where: str | None) -> _Layer:
    info = _opened(path, layer)
    fields = ", ".join(info["fields"])
    with _reasons(
        path, f"can't be read where {quoted(where)} (fields: {fields})" if where else "can't be read"
    ):
        meta, numbers, wkb, values = pyogrio.raw.read(
            path, layer=info["layer_name"], where=where, return_fids=True, datetime_as_string=True
        )
    if not len(numbers):
        raise RegionError(f"{path}: no feature{f' meets where {quoted(where)}' if where else ''}")
    columns = {field: _plain(column) for field, column in zip(meta["fields"], values, strict=True)}
    return _Layer(path, meta["crs"], numbers, shapely.from_wkb(wkb, on_invalid="ignore"), columns)


def _opened(path: str | Path, layer: str | None) -> dict[str, Any]:
    with _reasons(path, "can't be read"):
        info: dict[str, Any] = pyogrio.read_info(path, layer=layer or _only_layer(path))
    if info["driver"] not in _FORMATS:
        raise RegionError(f"{path}: {info['driver']} is not read, as it may lead to other files; convert it")
    return info


@contextmanager
def _reasons(path: str | Path, failure: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # pyogrio's own errors are RuntimeErrors
        raise RegionError(f"{path} {failure}: {error}") from error


@contextmanager
def _warnings_logged(path: str | Path) -> Iterator[None]:
    """Turn GDAL's warnings into lines of the log, each of them once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in {str(warning.message): None for warning in caught}:
        log.warning("%s: %s", path, message)


def _only_layer(path: str | Path) -> str:
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if len(layers) != 1:
        there = ", ".join(map(quoted, layers)) or "none"
        raise RegionError(f"{path}: {len(layers)} layers with geometry ({there}); set layer to one of them")
    return layers[0]


def _plain(column: _Objects) -> list[Value]:
    values: list[Any] = column.tolist()
    return [value if isinstance(value, str | int) else _plain_other(value) for value in values]


def _plain_other(value: object) -> Value:
    if isinstance(value, float):
        return "" if np.isnan(value) else value
    return "" if value is None else str(value)


def _crs_of(source: _Layer, given: str | CRS | None) -> CRS:
    if source.crs is None and given is None:
        raise RegionError(
            f'{source.path}: the layer states no CRS (is its .prj missing?); set its crs, such as "EPSG:4326"'
        )
    stated = parse_crs(source.crs or given or "")
    if given is not None and not stated.equals(parse_crs(given), ignore_axis_order=True):
        raise RegionError(
            f"{source.path}: its CRS is {stated.name}, not {parse_crs(given).name}; leave crs out"
        )
    return stated


def _with_geometry(source: _Layer) -> _Layer:
    bare = shapely.is_missing(source.geometries) | shapely.is_empty(source.geometries)
    if bare.all():
        raise RegionError(f"{source.path}: none of its {len(bare)} features has a geometry")
    if bare.any():
        first = source.numbers[bare][0]
        log.warning(
            "%s: %d features without geometry skipped, feature %d first", source.path, bare.sum(), first
        )
    return source.take(np.flatnonzero(~bare))


def _sorted(source: _Layer, sort: str | None) -> _Layer:
    if sort is None:
        return source
    descending = sort.startswith("-") and sort not in source.columns
    values = source.column(sort[descending:], "sort")
    filled = [row for row, value in enumerate(values) if value != ""]
    filled.sort(key=lambda row: _sort_key(values[row]), reverse=descending)
    return source.take(filled + [row for row, value in enumerate(values) if value == ""])


def _sort_key(value: Value) -> Any:
    return name_key(value) if isinstance(value, str) else value


def _titles(source: _Layer, names: list[str], title: str | None) -> list[str]:
    if title is None:
        return names
    if "{" not in title:
        return [str(value) for value in source.column(title, "title")]
    try:
        fields = [field for _, field, _, _ in Formatter().parse(title) if field is not None]
        columns = {field: source.column(field, "title") for field in fields}
        return [title.format_map({f: columns[f][row] for f in columns}) for row in range(len(names))]
    except (ValueError, LookupError, TypeError) as error:
        raise RegionError(f"{source.path}: title {quoted(title)} can't be filled in: {error}") from error


def _boxes(geometries: _Objects, crs: CRS, target: CRS) -> _Boxes:
    outlines, owners = _outlines(geometries)
    x, y, starts = _transformed(outlines, crs, target)
    period = _period(target)
    if period is not None:
        x = _unwrapped(x, starts, period)
    parts = _part_boxes(x, y, starts)
    if target.is_geographic:
        closed = shapely.get_type_id(outlines) == _LINEAR_RING
        parts = _over_poles(parts, closed & _goes_around(x, starts))
    return _covering(parts, owners, len(geometries), period)


def _outlines(geometries: _Objects) -> tuple[_Objects, _Indices]:
    """Give the outer rings of all polygons (and other simple parts), and whose geometry's they are."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # multipolygons within collections
    outlines = np.where(shapely.get_type_id(parts) == _POLYGON, shapely.get_exterior_ring(parts), parts)
    keep = ~shapely.is_empty(outlines)
    return outlines[keep], owners[inner][keep]


def _transformed(outlines: _Objects, crs: CRS, target: CRS) -> tuple[_Floats, _Floats, _Indices]:
    """Give all vertices' x and y in the target CRS, infinite where it has none, and the outlines' starts."""
    box = shapely.bounds(outlines)
    longest = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
    edge = _DEGREES_PER_EDGE if crs.is_geographic else _UNITS_PER_EDGE
    fine = shapely.segmentize(outlines, np.maximum(edge, longest / _EDGES_PER_SIDE))
    coordinates, owners = shapely.get_coordinates(fine, return_index=True)
    starts = np.searchsorted(owners, np.arange(len(outlines)))
    x, y = _transformer(crs, target).transform(*_checked(coordinates, crs).T)
    return x, y, starts


def _checked(coordinates: _Floats, crs: CRS) -> _Floats:
    if not crs.is_geographic:
        return coordinates
    farthest = np.abs(coordinates[:, 1]).max()
    if not farthest < 90.001:
        raise RegionError(
            f"the layer's CRS {crs.name} is in degrees, but it has a latitude of {farthest}; set its crs"
        )
    return np.clip(coordinates, (-np.inf, -90), (np.inf, 90))


def _transformer(crs: CRS, target: CRS) -> Transformer:
    try:
        return Transformer.from_crs(crs, target, always_xy=True)
    except ProjError as error:
        raise RegionError(f"no way from CRS {crs.name} to {target.name}: {error}") from error


def _period(crs: CRS) -> float | None:
    """Give the width of the world if x repeats around it, that is, if x depends on longitude alone."""
    if crs.is_geographic:
        return 360.0
    lon, lat = np.meshgrid(np.arange(-170.0, 190.0, 20.0), (0.0, 60.0))
    x, _ = _transformer(crs.geodetic_crs or crs, crs).transform(lon, lat)
    if not (np.isfinite(x).all() and np.allclose(x[0], x[1], rtol=1e-6)):
        return None
    return 18 * float(np.abs(np.median(np.diff(x[0]))))  # the median, as one step may be across the cut


def _unwrapped(x: _Floats, starts: _Indices, period: float) -> _Floats:
    """Undo jumps of a whole period from one vertex of an outline to the next."""
    with np.errstate(invalid="ignore"):
        turns = np.rint(np.diff(x, prepend=x[:1]) / period)
    turns[~np.isfinite(turns)] = 0
    turns[starts] = 0
    total = np.cumsum(turns)
    turned: _Floats = total - np.repeat(total[starts], np.diff(starts, append=len(x)))
    return x - period * turned


def _part_boxes(x: _Floats, y: _Floats, starts: _Indices) -> _Boxes:
    seen = np.isfinite(x) & np.isfinite(y)
    low = [np.minimum.reduceat(np.where(seen, values, np.inf), starts) for values in (x, y)]
    high = [np.maximum.reduceat(np.where(seen, values, -np.inf), starts) for values in (x, y)]
    return _Boxes(low[0], high[0], low[1], high[1])


def _goes_around(longitude: _Floats, starts: _Indices) -> npt.NDArray[np.bool_]:
    ends = np.append(starts[1:], len(longitude)) - 1
    with np.errstate(invalid="ignore"):
        turned: _Floats = longitude[ends] - longitude[starts]
    return np.abs(turned) > 180


def _over_poles(parts: _Boxes, around: npt.NDArray[np.bool_]) -> _Boxes:
    """Extend rings that go once around the earth to the pole they enclose, the nearer one."""
    northern = parts.north > -parts.south
    south = np.where(around & ~northern, -90.0, parts.south)
    return replace(parts, south=south, north=np.where(around & northern, 90.0, parts.north))


def _covering(parts: _Boxes, owners: _Indices, count: int, period: float | None) -> _Boxes:
    """Box all parts of each geometry, as narrow as x allows."""
    seen = np.flatnonzero(parts.west <= parts.east)
    shown, first = np.unique(owners[seen], return_index=True)
    boxes = np.full((4, count), np.nan)
    for side, values in enumerate((parts.west, parts.east, parts.south, parts.north)):
        extreme = np.maximum if side % 2 else np.minimum
        boxes[side, shown] = extreme.reduceat(values[seen], first) if len(seen) else np.nan
    if period is not None:
        for geometry in np.flatnonzero(boxes[1] - boxes[0] > period / 2):
            mine = seen[owners[seen] == geometry]
            boxes[:2, geometry] = _shortest_arc(parts.west[mine], parts.east[mine], period)
        boxes[:2] -= period * np.ceil((boxes[0] + boxes[1]) / 2 / period - 0.5)
    return _Boxes(*boxes)


def _shortest_arc(low: _Floats, high: _Floats, period: float) -> tuple[float, float]:
    """Cover intervals of a circle: all of it but the widest gap between them."""
    order = np.argsort(low % period)
    starts = (low % period)[order]
    ends = starts + (high - low)[order]
    reached = np.maximum(np.maximum.accumulate(ends), ends.max() - period)
    gaps = np.append(starts[1:], starts[0] + period) - reached
    widest = int(np.argmax(gaps))
    if gaps[widest] <= 1e-9 * period:
        return -period / 2, period / 2
    west = float(starts[(widest + 1) % len(starts)])
    return west, west + period - float(gaps[widest])


def _refuse_unseen(source: _Layer, names: list[str], boxes: _Boxes) -> None:
    faults = FaultList(source.path, ": feature ")
    for row in np.flatnonzero(np.isnan(boxes.west)):
        faults.add(
            int(source.numbers[row]), "lies outside the map's projection; exclude it by where", names[row]
        )
    faults.raise_any()


def _grown(boxes: _Boxes, margin: _Amount, min_size: _Amount, target: CRS) -> _Boxes:
    scale = _units_per_metre(boxes, target)
    boxes = boxes.padded(margin.of(boxes.width, scale[0]), margin.of(boxes.height, scale[1]))
    lacking = (
        min_size.of(boxes.width, scale[0]) - boxes.width,
        min_size.of(boxes.height, scale[1]) - boxes.height,
    )
    boxes = boxes.padded(*(np.maximum(lack, 0) / 2 for lack in lacking))
    return _within_world(boxes, target)


def _units_per_metre(boxes: _Boxes, crs: CRS) -> tuple[_Floats, _Floats]:
    """Measure at the boxes' centers how many units of x and of y make a metre on the ground."""
    x, y = (boxes.west + boxes.east) / 2, (boxes.south + boxes.north) / 2
    step = np.maximum(np.maximum(boxes.width, boxes.height) / 1000, 1e-4)
    across = _ground_distance((x - step, y), (x + step, y), crs)
    along = _ground_distance((x, y - step), (x, y + step), crs)
    with np.errstate(divide="ignore"):
        # At a pole, where longitudes meet, a metre is taken as a unit; the world's width limits that.
        return (
            np.where(across > 0, 2 * step / across, 1.0),
            np.where(along > 0, 2 * step / along, 1.0),
        )


def _within_world(boxes: _Boxes, crs: CRS) -> _Boxes:
    if crs.is_geographic:
        boxes = replace(boxes, south=np.maximum(boxes.south, -90), north=np.minimum(boxes.north, 90))
    period = _period(crs) or np.inf
    wide = boxes.width > period
    return replace(
        boxes, west=np.where(wide, -period / 2, boxes.west), east=np.where(wide, period / 2, boxes.east)
    )


def _ground_distance(start: tuple[_Floats, _Floats], end: tuple[_Floats, _Floats], crs: CRS) -> _Floats:
    """Measure from point to point of a CRS in metres, NaN where it shows no place on earth."""
    geodetic = crs.geodetic_crs or crs
    to_degrees = _transformer(crs, geodetic)
    geod = geodetic.get_geod() or Geod(ellps="WGS84")
    return np.asarray(geod.inv(*to_degrees.transform(*start), *to_degrees.transform(*end))[2])


def _all_regions(
    source: _Layer, names: list[str], titles: list[str], boxes: _Boxes, crs: str | None
) -> Iterator[Region]:
    faults = FaultList(source.path, ": feature ")
    sides = np.stack([boxes.west, boxes.east, boxes.south, boxes.north], axis=1).tolist()
    for row, box in enumerate(sides):
        fields = Fields((field, values[row]) for field, values in source.columns.items())
        try:
            yield Region(names[row], _extent(*box), crs, titles[row], fields)
        except RegionError as error:
            faults.add(int(source.numbers[row]), error, names[row])
    faults.raise_any()


def _extent(west: float, east: float, south: float, north: float) -> Extent:
    if west == east or south == north:
        raise RegionError('it has no width or no height; set min_size, such as "20 km"')
    return Extent(west, east, south, north)
