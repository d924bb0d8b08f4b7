"""Where the world ends on a map: x repeats after a turn (cylinders), or the map is cut along a meridian.

Found by trying where points come to lie, so that it holds for any projection, whatever its parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
Transform = Callable[[Plane, Plane], tuple[Plane, Plane]]
"""From longitudes and latitudes in degrees to x and y."""

_LATITUDES = np.array([-40.0, 0.0, 50.0])
_STEP = 7.5
_LONGITUDES = np.arange(-180.0, 180.0, _STEP)
"""Where it is tried, in degrees."""
_LINEAR = 1e-6
"""Share of a step in x that a linear x may be off."""
_LEAP = 1e-3
"""Two points at one place are on two sides of a cut if they are this share of a step apart."""
_HALVINGS = 40
"""Of a step: then the cut's longitude is as good as numbers can tell."""
_SAME_MERIDIAN = 1e-7
"""Degrees that it may differ by, from latitude to latitude."""


def cylinder_of(transform: Transform) -> tuple[float, float] | None:
    """Return the x of longitude 0 and the world's width, if x is linear in longitude at every latitude."""
    x, _ = transform(*np.meshgrid(_LONGITUDES, _LATITUDES))
    if not np.isfinite(x).all():
        return None
    steps = np.diff(x[0])
    step = float(np.median(steps))
    uneven = np.abs(steps - step) > _LINEAR * step
    if step <= 0 or np.abs(x - x[0]).max() > _LINEAR * step or uneven.sum() > 1:  # one at the cut
        return None
    return float(x[0, len(_LONGITUDES) // 2]), step * len(_LONGITUDES)


def cut_of(transform: Transform) -> float | None:
    """Return the meridian, in degrees, along which the map is cut; None if it is cut otherwise or nowhere."""

    def place(lon: Plane) -> NDArray[np.complex128]:
        x, y = transform(lon, np.broadcast_to(_LATITUDES, lon.shape).copy())
        return np.where(np.isfinite(x) & np.isfinite(y), x, np.nan) + 1j * np.where(np.isfinite(y), y, np.nan)

    lon = np.append(_LONGITUDES, 180.0)
    steps = np.abs(np.diff(place(np.repeat(lon[:, None], len(_LATITUDES), axis=1)), axis=0))
    if not np.isfinite(steps).all():
        return None
    west = lon[steps.argmax(axis=0)]
    east = west + _STEP
    for _ in range(_HALVINGS):
        middle = (west + east) / 2
        in_west = np.abs(place(middle) - place(west)) < np.abs(place(middle) - place(east))
        west, east = np.where(in_west, middle, west), np.where(in_west, east, middle)
    torn = np.abs(place(east) - place(west)) > _LEAP * np.median(steps, axis=0)
    return float(west[0]) if torn.all() and np.ptp(west) < _SAME_MERIDIAN else None
