"""The corners of a grid's cells, from the cells' centers.

A corner lies in the middle of the four centers around it; beyond the edge, centers go on as they did. On the
earth that is done with places in space, so that neither the antimeridian nor a pole is in the way.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Space = NDArray[np.float64]
"""(..., 3) places on the unit sphere, or (..., 2) in a plane."""


def in_space(x: Plane, y: Plane, turn: float | None) -> Space:
    """Return coordinates as places that have means; `turn` is 360 for degrees, None for those in a plane."""
    if turn is None:
        return np.stack([x, y], axis=-1)
    unit = 2 * math.pi / turn
    lon, lat = x * unit, y * unit
    across = np.cos(lat)
    return np.stack([across * np.cos(lon), across * np.sin(lon), np.sin(lat)], axis=-1)


def on_grid(places: Space, turn: float | None) -> tuple[Plane, Plane]:
    """Return the coordinates of places; on the earth, of those below or above them."""
    if turn is None:
        return places[..., 0], places[..., 1]
    unit = turn / (2 * math.pi)
    x, y, z = np.moveaxis(places, -1, 0)
    return np.arctan2(y, x) * unit, np.arctan2(z, np.hypot(x, y)) * unit


def corners_of(x: Plane, y: Plane, turn: float | None) -> tuple[Plane, Plane]:
    """Return (rows + 1, columns + 1) corners of cells with (rows, columns) centers, two or more each way."""
    places = _with_edges(_with_edges(in_space(x, y, turn), 0), 1)
    mean = places[:-1, :-1] + places[:-1, 1:]
    mean += places[1:, :-1]
    mean += places[1:, 1:]
    return on_grid(mean / 4, turn)


def centers_of(corner_x: Plane, corner_y: Plane, turn: float | None) -> tuple[Plane, Plane]:
    """Return (rows, columns) middles of cells with (rows + 1, columns + 1) corners."""
    places = in_space(corner_x, corner_y, turn)
    mean = places[:-1, :-1] + places[:-1, 1:]
    mean += places[1:, :-1]
    mean += places[1:, 1:]
    return on_grid(mean / 4, turn)


def edges_of(centers: Plane) -> Plane:
    """Return (n + 1,) edges of a row of n cells, two or more, from their centers."""
    between = (centers[:-1] + centers[1:]) / 2
    return np.concatenate([[2 * centers[0] - between[0]], between, [2 * centers[-1] - between[-1]]])


def _with_edges(places: Space, axis: int) -> Space:
    """Return places with one more at both ends of an axis."""
    first, second = (places.take([i], axis) for i in (0, 1))
    last, before = (places.take([i], axis) for i in (-1, -2))
    return np.concatenate([2 * first - second, places, 2 * last - before], axis)
