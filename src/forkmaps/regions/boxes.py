"""Boxes around geometries in a map's projection.

Outlines are cut into short edges, transformed to the wanted CRS all at once, and boxed part by part. Where
x runs around the world (longitudes, cylindrical projections) it is a circle, and a geometry's box is the
shortest arc that covers its parts: Alaska is 57 degrees wide, not 360.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from forkmaps.errors import RegionError

Floats = npt.NDArray[np.float64]
Objects = npt.NDArray[Any]

_Indices = npt.NDArray[np.intp]
_DEGREES_PER_EDGE = 0.25  # 20 m between such an edge and its curve on a Lambert map of the United States
_UNITS_PER_EDGE = 25_000.0
_EDGES_PER_SIDE = 2_000  # bounds the memory that a box of absurd size can ask for
_LINEAR_RING, _POLYGON = 2, 3


@dataclass(frozen=True, slots=True)
class Boxes:
    """Sides of many boxes; NaN where there is nothing to see."""

    west: Floats
    east: Floats
    south: Floats
    north: Floats

    @property
    def width(self) -> Floats:
        """East minus west, in the boxes' units."""
        return self.east - self.west

    @property
    def height(self) -> Floats:
        """North minus south, in the boxes' units."""
        return self.north - self.south

    def padded(self, x: Floats, y: Floats) -> Boxes:
        """Move west and east outwards by x, south and north by y."""
        return Boxes(self.west - x, self.east + x, self.south - y, self.north + y)


def boxes_of(geometries: Objects, crs: CRS, target: CRS) -> Boxes:
    """Box each geometry in another CRS.

    Parameters
    ----------
    geometries : (n,) array of shapely geometries
        In `crs`, axis order x, y; none missing or empty.
    crs, target : pyproj.CRS

    Returns
    -------
    Boxes
        n of them in units of `target`, NaN for a geometry that lies wholly outside of it. Where x runs around
        the world, a box is as narrow as its geometry's parts allow, and its center within half a world of 0.

    Raises
    ------
    RegionError
        If there is no way from one CRS to the other, or latitudes beyond 90 show that `crs` is wrong.
    """
    outlines, owners = _outlines(geometries)
    x, y, starts = _transformed(outlines, crs, target)
    period = period_of(target)
    if period is not None:
        x = _unwrapped(x, starts, period)
    parts = _part_boxes(x, y, starts)
    if target.is_geographic:
        closed = shapely.get_type_id(outlines) == _LINEAR_RING
        parts = _over_poles(parts, closed & _goes_around(x, starts))
    return _covering(parts, owners, len(geometries), period)


def _outlines(geometries: Objects) -> tuple[Objects, _Indices]:
    """Give the outer rings of all polygons (and other simple parts), and whose geometry's they are."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # multipolygons within collections
    outlines = np.where(shapely.get_type_id(parts) == _POLYGON, shapely.get_exterior_ring(parts), parts)
    keep = ~shapely.is_empty(outlines)
    return outlines[keep], owners[inner][keep]


def _transformed(outlines: Objects, crs: CRS, target: CRS) -> tuple[Floats, Floats, _Indices]:
    """Give all vertices' x and y in the target CRS, infinite where it has none, and the outlines' starts."""
    box = shapely.bounds(outlines)
    longest = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
    edge = _DEGREES_PER_EDGE if crs.is_geographic else _UNITS_PER_EDGE
    fine = shapely.segmentize(outlines, np.maximum(edge, longest / _EDGES_PER_SIDE))
    coordinates, owners = shapely.get_coordinates(fine, return_index=True)
    starts = np.searchsorted(owners, np.arange(len(outlines)))
    x, y = transformer(crs, target).transform(*_checked(coordinates, crs).T)
    return x, y, starts


def _checked(coordinates: Floats, crs: CRS) -> Floats:
    if not crs.is_geographic:
        return coordinates
    farthest = np.abs(coordinates[:, 1]).max()
    if not farthest < 90.001:
        raise RegionError(
            f"the layer's CRS {crs.name} is in degrees, but it has a latitude of {farthest}; set its crs"
        )
    return np.clip(coordinates, (-np.inf, -90), (np.inf, 90))


def transformer(crs: CRS, target: CRS) -> Transformer:
    """Return the way from one CRS to another, axis order x, y; RegionError if there is none."""
    try:
        return Transformer.from_crs(crs, target, always_xy=True)
    except ProjError as error:
        raise RegionError(f"no way from CRS {crs.name} to {target.name}: {error}") from error


def period_of(crs: CRS) -> float | None:
    """Give the width of the world if x repeats around it, that is, if x depends on longitude alone."""
    if crs.is_geographic:
        return 360.0
    lon, lat = np.meshgrid(np.arange(-170.0, 190.0, 20.0), (0.0, 60.0))
    x, _ = transformer(crs.geodetic_crs or crs, crs).transform(lon, lat)
    if not (np.isfinite(x).all() and np.allclose(x[0], x[1], rtol=1e-6)):
        return None
    return 18 * float(np.abs(np.median(np.diff(x[0]))))  # the median, as one step may be across the cut


def _unwrapped(x: Floats, starts: _Indices, period: float) -> Floats:
    """Undo jumps of a whole period from one vertex of an outline to the next."""
    with np.errstate(invalid="ignore"):
        turns = np.rint(np.diff(x, prepend=x[:1]) / period)
    turns[~np.isfinite(turns)] = 0
    turns[starts] = 0
    total = np.cumsum(turns)
    turned: Floats = total - np.repeat(total[starts], np.diff(starts, append=len(x)))
    return x - period * turned


def _part_boxes(x: Floats, y: Floats, starts: _Indices) -> Boxes:
    seen = np.isfinite(x) & np.isfinite(y)
    low = [np.minimum.reduceat(np.where(seen, values, np.inf), starts) for values in (x, y)]
    high = [np.maximum.reduceat(np.where(seen, values, -np.inf), starts) for values in (x, y)]
    return Boxes(low[0], high[0], low[1], high[1])


def _goes_around(longitude: Floats, starts: _Indices) -> npt.NDArray[np.bool_]:
    ends = np.append(starts[1:], len(longitude)) - 1
    with np.errstate(invalid="ignore"):
        turned: Floats = longitude[ends] - longitude[starts]
    return np.abs(turned) > 180


def _over_poles(parts: Boxes, around: npt.NDArray[np.bool_]) -> Boxes:
    """Extend rings that go once around the earth to the pole they enclose, the nearer one."""
    northern = parts.north > -parts.south
    south = np.where(around & ~northern, -90.0, parts.south)
    return replace(parts, south=south, north=np.where(around & northern, 90.0, parts.north))


def _covering(parts: Boxes, owners: _Indices, count: int, period: float | None) -> Boxes:
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
    return Boxes(*boxes)


def _shortest_arc(low: Floats, high: Floats, period: float) -> tuple[float, float]:
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
