"""Margins around regions, and the size they have at least: in percent, or in metres on the ground."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from pyproj import CRS, Geod

from forkmaps.errors import RegionError
from forkmaps.regions.boxes import Boxes, Floats, period_of, transformer
from forkmaps.regions.faults import quoted

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(%|km|m)\s*")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of percent, kilometres or metres."""

    value: float
    unit: str

    def of(self, side: Floats, units_per_metre: Floats) -> Floats:
        """Return it in the units of sides of boxes."""
        if self.unit == "%":
            return side * self.value / 100
        return units_per_metre * self.value * (1000 if self.unit == "km" else 1)


def amount(option: str, text: str) -> Amount:
    """Read an option's number with its unit; RegionError if it is none."""
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or (option == "min_size" and match[2] == "%"):
        units = '"60 km" or "2500 m"' if option == "min_size" else '"10 %", "25 km" or "2500 m"'
        raise RegionError(f"{option} {quoted(str(text))} is not a number with its unit; write {units}")
    return Amount(float(match[1]), match[2])


def grown(boxes: Boxes, margin: Amount, min_size: Amount, target: CRS) -> Boxes:
    """Add the margin on each side, then let boxes that lack size grow on both sides; not beyond the world.

    Metres are metres on the ground, by the scale of `target` at each box's center.
    """
    scale = _units_per_metre(boxes, target)
    boxes = boxes.padded(margin.of(boxes.width, scale[0]), margin.of(boxes.height, scale[1]))
    lacking = (
        min_size.of(boxes.width, scale[0]) - boxes.width,
        min_size.of(boxes.height, scale[1]) - boxes.height,
    )
    boxes = boxes.padded(*(np.maximum(lack, 0) / 2 for lack in lacking))
    return _within_world(boxes, target)


def _units_per_metre(boxes: Boxes, crs: CRS) -> tuple[Floats, Floats]:
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


def _within_world(boxes: Boxes, crs: CRS) -> Boxes:
    if crs.is_geographic:
        boxes = replace(boxes, south=np.maximum(boxes.south, -90), north=np.minimum(boxes.north, 90))
    period = period_of(crs) or np.inf
    wide = boxes.width > period
    return replace(
        boxes, west=np.where(wide, -period / 2, boxes.west), east=np.where(wide, period / 2, boxes.east)
    )


def _ground_distance(start: tuple[Floats, Floats], end: tuple[Floats, Floats], crs: CRS) -> Floats:
    """Measure from point to point of a CRS in metres, NaN where it shows no place on earth."""
    geodetic = crs.geodetic_crs or crs
    to_degrees = transformer(crs, geodetic)
    geod = geodetic.get_geod() or Geod(ellps="WGS84")
    return np.asarray(geod.inv(*to_degrees.transform(*start), *to_degrees.transform(*end))[2])
