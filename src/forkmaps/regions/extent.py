"""Extents: four sides in order, and what longitudes and latitudes may be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forkmaps.errors import RegionError
from forkmaps.regions.faults import refuse

DEGREE_SIDES = ("west", "east", "south", "north")


@dataclass(frozen=True, slots=True)
class Extent:
    """The four sides of a box, in the order of cartopy's `set_extent`, which takes it as it is.

    Parameters
    ----------
    west, east, south, north : float
        In the units of the CRS that goes with the extent, axis order x, y. East is greater than west: in
        degrees, an extent that crosses the antimeridian has east > 180 or west < -180.

    Raises
    ------
    RegionError
        If a side is not finite, or west >= east, or south >= north.
    """

    west: float
    east: float
    south: float
    north: float

    def __post_init__(self) -> None:
        if not (0 < self.east - self.west < math.inf and 0 < self.north - self.south < math.inf):
            refuse(order_faults(tuple(self), DEGREE_SIDES))

    def __iter__(self) -> Iterator[float]:
        """Yield west, east, south, north."""
        return iter((self.west, self.east, self.south, self.north))

    @property
    def width(self) -> float:
        """East minus west, in the extent's units."""
        return self.east - self.west

    @property
    def height(self) -> float:
        """North minus south, in the extent's units."""
        return self.north - self.south

    @classmethod
    def from_degrees(cls, west: float, east: float, south: float, north: float) -> Extent:
        """Make an extent of longitudes and latitudes.

        West > east crosses the antimeridian, if the extent is then at most 180 degrees wide: 170, -170
        becomes 170..190. One that does not cross it is brought to -180..180: 200, 220 becomes -160..-140.

        Parameters
        ----------
        west, east, south, north : float
            Degrees: longitudes -360..360, latitudes -90..90.

        Raises
        ------
        RegionError
            If a side is out of its range, or the sides are out of order.
        """
        refuse(_degree_faults(west, east, south, north))
        if west > east:
            east = _across_antimeridian(west, east)
        turn = -360.0 if west >= 180 else 360.0 if east <= -180 else 0.0
        return cls(west + turn, east + turn, south, north)


def order_faults(sides: Sequence[float], labels: Sequence[str]) -> Iterator[str]:
    """Say which of the sides (low x, high x, low y, high y) are out of order or not finite."""
    for low, high in ((0, 1), (2, 3)):
        # The difference, because it overflows for -1e308..1e308.
        if not math.isfinite(sides[high] - sides[low]):
            yield f"{labels[low]} {sides[low]} to {labels[high]} {sides[high]} is not finite"
        elif sides[low] >= sides[high]:
            remedy = "; swap them" if sides[low] > sides[high] else ""
            yield f"{labels[low]} {sides[low]} is not less than {labels[high]} {sides[high]}{remedy}"


def _degree_faults(west: float, east: float, south: float, north: float) -> Iterator[str]:
    for label, value in (("west", west), ("east", east)):
        if not -360 <= value <= 360:
            yield f"{label} {value} is not a longitude from -360 to 360 (numbers in metres need a crs)"
    for label, value in (("south", south), ("north", north)):
        if not -90 <= value <= 90:
            yield f"{label} {value} is not a latitude from -90 to 90"
    if abs(west) <= 360 and abs(east) <= 360 and east - west > 360:
        yield f"west {west} to east {east} is more than 360 degrees"


def _across_antimeridian(west: float, east: float) -> float:
    if east + 360 - west <= 180:
        return east + 360
    remedy = f"write {east + 360}" if east <= 0 else f"write west as {west - 360}"
    raise RegionError(
        f"west {west} is not less than east {east}; swap them, or {remedy} to cross the antimeridian"
    )
