"""Regions however they are given: a list of them, sides by name, or the file of a region list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TypeAlias

from forkmaps.errors import RegionError
from forkmaps.regions import read_regions
from forkmaps.regions.extent import Extent
from forkmaps.regions.region import Region

Regions: TypeAlias = Region | Iterable[Region] | Mapping[str, Sequence[float]] | str | Path
"""Regions; or sides (west, east, south, north in degrees) by name; or the file of a region list."""

_WANTED = "give Region(name, extent), {name: (west, east, south, north)} in degrees, or a region list's file"


def regions_of(regions: Regions) -> tuple[Region, ...]:
    """Return regions, however they are given.

    Raises
    ------
    RegionError
        There are none, or something that is no region; sides that are not four numbers, or are none of a
        region on earth.
    """
    found = _found(regions)
    if not found:
        raise RegionError("there are no regions; at least one is needed")
    for one in found:
        if not isinstance(one, Region):
            what = regions if isinstance(one, Real) else one
            raise RegionError(f"{what!r:.100} is no region; {_WANTED}")
    return found


def _found(regions: Regions) -> tuple[Region, ...]:
    if isinstance(regions, Region):
        return (regions,)
    if isinstance(regions, str | Path):
        return read_regions(regions)
    if isinstance(regions, Mapping):
        return tuple(Region(name, _extent(name, sides)) for name, sides in regions.items())
    if not isinstance(regions, Iterable):
        raise RegionError(f"{regions!r:.100} is no list of regions; {_WANTED}")
    return tuple(regions)


def _extent(name: str, sides: Sequence[float]) -> Extent:
    try:
        west, east, south, north = map(float, sides)
    except (TypeError, ValueError) as error:
        raise RegionError(
            f'region "{name}": {sides!r} are not its sides; give west, east, south, north in degrees'
        ) from error
    try:
        return Extent.from_degrees(west, east, south, north)
    except RegionError as error:
        raise RegionError(f'region "{name}": {error}') from error
