"""Regions: named extents, read from a text table or from a polygon layer.

`read_regions` reads a list of them from a text table (a line per region, `forkmaps.regions.table`) or from a
polygon layer (a feature per region, `forkmaps.regions.layer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pyproj import CRS

from forkmaps.regions.cells import read_bytes
from forkmaps.regions.extent import Extent
from forkmaps.regions.faults import alternatives, name_key, quoted, refuse
from forkmaps.regions.region import Fields, Region
from forkmaps.regions.table import read_region_table

__all__ = [
    "Extent",
    "Fields",
    "Region",
    "name_key",
    "read_region_table",
    "read_regions",
    "select_regions",
]

_TABLE_SUFFIXES = {".csv", ".txt", ".tsv", ".dat"}
_LAYER_SUFFIXES = {".shp", ".shz", ".zip", ".gpkg", ".geojson", ".geojsonl", ".json", ".topojson", ".fgb"}
_LAYER_SUFFIXES |= {".kml", ".kmz", ".gml", ".gdb", ".sqlite"}


def read_regions(
    path: str | Path,
    *,
    crs: str | CRS | None = None,
    name: str | None = None,
    title: str | None = None,
    where: str | None = None,
    sort: str | None = None,
    margin: str | None = None,
    min_size: str | None = None,
    layer: str | None = None,
    target_crs: str | CRS | None = None,
) -> tuple[Region, ...]:
    """Read a region list from a text table or from a polygon layer.

    Parameters
    ----------
    path : str or Path
        A table (.csv, .txt, .tsv, .dat, any other text) or a layer (.shp, .gpkg, .geojson, .json, .fgb,
        .zip, ..., a folder, any other binary file).
    crs : str or pyproj.CRS, optional
        What the file's own numbers are in: those of a table, or of a layer that states no CRS.
    name, title, where, sort, margin, min_size, layer : str, optional
        For layers only: see `forkmaps.regions.layer.read_region_layer`.
    target_crs : str or pyproj.CRS, optional
        The map's projection, in which the extents of features are taken. No effect on a table's.

    Returns
    -------
    tuple of Region
        At least one.

    Raises
    ------
    RegionError
        If the file can't be read, an option does not fit it, or lines or features are bad (all of them).
    """
    options = {"title": title, "where": where, "sort": sort, "margin": margin}
    options |= {"min_size": min_size, "layer": layer}
    if not _is_layer(Path(path)):
        _refuse_layer_options(path, {"name": name, **options})
        return read_region_table(path, crs=crs)
    # Imported here because pyogrio takes 0.4 s to import where geopandas is installed; tables don't need it.
    from forkmaps.regions.layer import read_region_layer

    return read_region_layer(path, name=name or "name", source_crs=crs, target_crs=target_crs, **options)


def select_regions(regions: Iterable[Region], names: Sequence[str]) -> tuple[Region, ...]:
    """Take the regions with these names, in the list's own order.

    Parameters
    ----------
    regions : iterable of Region
        The list.
    names : sequence of str
        Compared without regard to case and Unicode composition. A name that several regions have takes
        them all. An empty sequence takes the whole list.

    Raises
    ------
    RegionError
        If names are not in the list: all of those, each with the nearest ones that are.
    """
    regions = tuple(regions)
    known = {name_key(region.name) for region in regions}
    wanted = {name_key(name): name for name in names}
    unknown = [name for key, name in wanted.items() if key not in known]
    names_there = [region.name for region in regions]
    refuse((f"no region {quoted(name)}; {alternatives(name, names_there)}" for name in unknown), "\n")
    return tuple(region for region in regions if not wanted or name_key(region.name) in wanted)


def _is_layer(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _LAYER_SUFFIXES | _TABLE_SUFFIXES:
        return suffix in _LAYER_SUFFIXES
    return path.is_dir() or _is_binary(path)


def _is_binary(path: Path) -> bool:
    """Tell by NUL bytes, which UTF-16 has too, after its byte order mark."""
    head = read_bytes(path, 8192)
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def _refuse_layer_options(path: str | Path, options: Mapping[str, str | None]) -> None:
    given = [option for option, value in options.items() if value is not None]
    refuse(f"{option} is for polygon layers, but {path} is a text table; leave it out" for option in given)
