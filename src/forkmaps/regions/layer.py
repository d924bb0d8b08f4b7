"""Regions from a polygon layer, one for each feature: their names, titles and order come from its fields."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from forkmaps.errors import FeatureError, RegionError
from forkmaps.layerfile import read_layer
from forkmaps.regions.boxes import Boxes, boxes_of
from forkmaps.regions.extent import Extent
from forkmaps.regions.faults import FaultList, alternatives, name_key, quoted
from forkmaps.regions.margin import amount, grown
from forkmaps.regions.region import Fields, Region, Value, crs_text, parse_crs

log = logging.getLogger("forkmaps")


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
    amounts = amount("margin", margin or "0 %"), amount("min_size", min_size or "0 km")
    target = parse_crs(target_crs or "OGC:CRS84")
    source = _read(path, layer, where)
    crs = _crs_of(source, source_crs)
    source = _sorted(_with_geometry(source), sort)
    names = [str(value) for value in source.column(name, "name")]
    titles = _titles(source, names, title)
    boxes = boxes_of(source.geometries, crs, target)
    _refuse_unseen(source, names, boxes)
    boxes = grown(boxes, *amounts, target)
    return tuple(_all_regions(source, names, titles, boxes, crs_text(target_crs)))


@dataclass(frozen=True, slots=True)
class _Layer:
    path: str | Path
    crs: str | None
    numbers: npt.NDArray[np.int64]  # GDAL's feature numbers
    geometries: npt.NDArray[Any]
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

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> _Layer:
        columns = {field: [values[row] for row in rows] for field, values in self.columns.items()}
        return replace(self, numbers=self.numbers[rows], geometries=self.geometries[rows], columns=columns)


def _read(path: str | Path, layer: str | None, where: str | None) -> _Layer:
    try:
        content = read_layer(path, where=where, layer=layer, fields=True)
    except FeatureError as error:
        raise RegionError(str(error)) from error
    if not len(content.numbers):
        raise RegionError(f"{path}: the layer holds no features; there must be one for each region")
    columns = {field: _plain(column) for field, column in content.columns.items()}
    return _Layer(path, content.crs, content.numbers, content.geometries, columns)


def _plain(column: npt.NDArray[Any]) -> list[Value]:
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


def _refuse_unseen(source: _Layer, names: list[str], boxes: Boxes) -> None:
    faults = FaultList(source.path, ": feature ")
    for row in np.flatnonzero(np.isnan(boxes.west)):
        faults.add(
            int(source.numbers[row]), "lies outside the map's projection; exclude it by where", names[row]
        )
    faults.raise_any()


def _all_regions(
    source: _Layer, names: list[str], titles: list[str], boxes: Boxes, crs: str | None
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
