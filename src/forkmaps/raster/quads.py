"""Where pixels lie in four-sided cells, told by the cells' corners in pixels: the inverse of bilinear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_PAIRS = 1 << 16
"""Pairs of cell and pixel that are looked at together: 0.5 MB an array, which the CPU's cache can hold."""
ON_EDGE = 1e-6
"""Pixels that a place may lie beyond a cell's side: one between two cells must not fall through."""
_BELOW_ONE = 1 - 2.0**-10
"""The last place in a cell; what it is added to may be 8,000, as float32."""

Plane = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Quads:
    """Cells, or blocks of them, or parts of one.

    Attributes
    ----------
    x, y : (4, n) float64
        Corners, around the cell: first row and column, next column, next row too, next row.
    row, column : (n,) float64
        Position of the first corner in the grid, in cells.
    height, width : (n,) float64
        Sides, in cells.
    """

    x: Plane
    y: Plane
    row: Plane
    column: Plane
    height: Plane
    width: Plane

    def __len__(self) -> int:
        return len(self.row)

    def at(self, which: NDArray[Any]) -> Self:
        """Return some of them."""
        parts = (self.x[:, which], self.y[:, which], self.row[which], self.column[which])
        return type(self)(*parts, self.height[which], self.width[which])


def paint(quads: Quads, positions: Plane, *, beside: float = ON_EDGE) -> None:
    """Write where pixels lie in the grid.

    Parameters
    ----------
    quads : Quads
        Corners in pixels: pixel (i, j) of row i and column j has its center at x = j, y = i.
    positions : (2, rows, columns)
        Column and row in cells; written where a pixel's center lies in one of the quads.
    beside : float
        Or beside it, by so many pixels.
    """
    rows, columns = positions.shape[1:]
    left, right = _between(quads.x, columns, beside)
    top, bottom = _between(quads.y, rows, beside)
    count = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    seen = np.flatnonzero(count)
    for part in _parts(count[seen]):
        which = seen[part]
        quad, i, j = _pixels(left[which], right[which], top[which], count[which])
        _paint(quads.at(which[quad]), i, j, positions, beside)


def _between(corners: Plane, number: int, beside: float) -> tuple[Indices, Indices]:
    """Return the first pixel between the least and greatest of corners, and the one after the last."""
    first = np.clip(np.ceil(corners.min(axis=0) - beside), 0, number)
    last = np.clip(np.floor(corners.max(axis=0) + beside) + 1, 0, number)
    return first.astype(np.intp), last.astype(np.intp)


def _parts(count: Indices) -> Iterator[slice]:
    """Yield slices with at most `_PAIRS` in all, or one alone that has more."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _PAIRS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _pixels(left: Indices, right: Indices, top: Indices, count: Indices) -> tuple[Indices, Indices, Indices]:
    """Return the pixels in boxes: the number of the box, row and column of each."""
    box = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    down, across = np.divmod(nth, (right - left)[box])
    return box, top[box] + down, left[box] + across


def _paint(quads: Quads, i: Indices, j: Indices, positions: Plane, beside: float) -> None:
    """Write the positions of pixels, one for each quad, that lie in it."""
    inside = np.flatnonzero(_inside(quads.x - j, quads.y - i, beside))
    quads, i, j = quads.at(inside), i[inside], j[inside]
    u, v = _inverse(quads.x - j, quads.y - i)
    positions[0, i, j] = quads.column + u * quads.width
    positions[1, i, j] = quads.row + v * quads.height


def _inside(x: Plane, y: Plane, beside: float) -> NDArray[np.bool_]:
    """Tell whether 0, 0 lies in quads with (4, n) corners: in one of the two triangles that make up each."""
    sides = [_side(x, y, i, (i + 1) % 4, beside) for i in range(4)]
    across = _side(x, y, 2, 0, ON_EDGE)
    return _same_sign(sides[0], sides[1], across) | _same_sign(sides[2], sides[3], -across)


def _side(x: Plane, y: Plane, start: int, end: int, beside: float) -> Plane:
    """Return on which side of a line 0, 0 lies: above or below 0, and 0 where it is on it."""
    area = x[start] * y[end] - x[end] * y[start]
    area[np.abs(area) <= beside * np.hypot(x[end] - x[start], y[end] - y[start])] = 0
    return np.asarray(area)


def _same_sign(*sides: Plane) -> NDArray[np.bool_]:
    least, greatest = np.minimum.reduce(sides), np.maximum.reduce(sides)
    return np.asarray((least >= 0) | (greatest <= 0))


def _inverse(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return u, v of 0, 0 in quads that it lies in: across and down, 0 at the first corner and 1 opposite."""
    e_x, f_x, g_x, h_x = x[1] - x[0], x[3] - x[0], x[0] - x[1] + x[2] - x[3], -x[0]
    e_y, f_y, g_y, h_y = y[1] - y[0], y[3] - y[0], y[0] - y[1] + y[2] - y[3], -y[0]
    # h = u e + v f + u v g leads to a quadratic equation for v.
    a = g_x * f_y - g_y * f_x
    b = e_x * f_y - e_y * f_x + h_x * g_y - h_y * g_x
    c = h_x * e_y - h_y * e_x
    with np.errstate(divide="ignore", invalid="ignore"):
        q = -0.5 * (b + np.copysign(np.sqrt(np.maximum(b * b - 4 * a * c, 0)), b))
        one, other = c / q, q / a
        v = np.where(np.abs(one - 0.5) <= np.abs(other - 0.5), one, other)
        v = np.where(np.isfinite(other), v, one)
        u_x, u_y = e_x + g_x * v, e_y + g_y * v
        u = np.where(np.abs(u_x) >= np.abs(u_y), (h_x - f_x * v) / u_x, (h_y - f_y * v) / u_y)
    return _in_cell(u), _in_cell(v)


def _in_cell(part: Plane) -> Plane:
    """Keep a place in its cell; the middle is that of one without area."""
    return np.clip(np.where(np.isfinite(part), part, 0.5), 0, _BELOW_ONE)
