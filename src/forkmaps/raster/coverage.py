"""Which places lie on a curvilinear grid, as it is at some corners of its cells.

On the earth that is looked up three times: on the plane of longitude and latitude, and around each pole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.raster.mapped import around

_PARTS = 64
"""Parts of the grid along each side, whose sides are taken for straight."""
_POLAR = 1 / 12
"""Turns from the equator, beyond which parts are also looked at around the pole: 30 degrees."""

Plane = NDArray[np.float64]


def covered(corner_x: Plane, corner_y: Plane, turn: float | None, x: Plane, y: Plane) -> NDArray[np.bool_]:
    """Tell which places lie on a grid, given by its corners; infinite ones don't.

    Parameters
    ----------
    corner_x, corner_y : (rows + 1, columns + 1)
    turn : float or None
        Once around the earth, in units of x, where x is a longitude.
    x, y : of any shape
        The places.
    """
    sides = (np.linspace(0, n - 1, _PARTS + 1).round().astype(int) for n in corner_x.shape)
    some = np.ix_(*map(np.unique, sides))
    rings = _rings(corner_x[some]), _rings(corner_y[some])
    inside = np.zeros(np.shape(x), bool)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    places = np.ravel(x)[known], np.ravel(y)[known]
    for (ring_x, ring_y), points in _planes(rings, places, turn):
        inside.ravel()[known[_within(ring_x, ring_y, *points)]] = True
    return inside


def _rings(corners: Plane) -> Plane:
    """Return (5, n): the corners around each part, the first one again at the end."""
    return around(corners)[[0, 1, 2, 3, 0]].reshape(5, -1)


def _planes(
    rings: tuple[Plane, Plane], places: tuple[Plane, Plane], turn: float | None
) -> Iterator[tuple[tuple[Plane, Plane], tuple[Plane, Plane]]]:
    """Yield parts of the grid and places, in coordinates of planes on which the parts are not torn."""
    if turn is None:
        yield rings, places
        return
    (x, y), (place_x, place_y) = rings, places
    moves = _once_around(np.diff(x, axis=0), turn)
    plain_x = _once_around(x[0], turn) + np.concatenate([0 * x[:1], moves.cumsum(axis=0)])
    plain = np.abs(moves.sum(axis=0)) < turn / 2  # not around a pole
    for shift in (-turn, 0.0, turn):
        yield (plain_x[:, plain], y[:, plain]), (_once_around(place_x, turn) + shift, place_y)
    for pole in (-turn / 4, turn / 4):
        near = (np.abs(pole - y) < turn * (1 / 4 - _POLAR)).all(axis=0)
        yield _around_pole(x[:, near], y[:, near], pole, turn), _around_pole(place_x, place_y, pole, turn)


def _around_pole(x: Plane, y: Plane, pole: float, turn: float) -> tuple[Plane, Plane]:
    angle, distance = x * (2 * np.pi / turn), np.abs(pole - y)
    return distance * np.cos(angle), distance * np.sin(angle)


def _once_around(x: Plane, turn: float) -> Plane:
    return np.asarray((x + turn / 2) % turn - turn / 2)


def _within(ring_x: Plane, ring_y: Plane, x: Plane, y: Plane) -> NDArray[np.intp]:
    """Return the numbers of the places that lie in one of the (5, n) rings."""
    known = np.isfinite(ring_x).all(axis=0) & np.isfinite(ring_y).all(axis=0)
    rings = np.stack([ring_x[:, known].T, ring_y[:, known].T], axis=-1)
    tree = shapely.STRtree(np.asarray(shapely.make_valid(shapely.polygons(rings))))
    found: NDArray[np.intp] = tree.query(shapely.points(x, y), predicate="intersects")[0]
    return found
