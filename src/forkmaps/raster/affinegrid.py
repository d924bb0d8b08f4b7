"""A regular grid of cells: an affine transform leads from column and row to coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from forkmaps.projection import MapProjection, View
from forkmaps.raster.sampling import CellGrid, CellMap, Coordinates, Locator

_CLOSED = 0.5
"""Cells by which a full turn of columns may miss 360 degrees: a file may state its cell size rounded."""


@dataclass(frozen=True, slots=True)
class AffineGrid:
    """A regular grid in a CRS.

    Attributes
    ----------
    transform : affine.Affine
        (column, row) of a cell's corner to (x, y); rotated, sheared and south-up grids are fine.
    shape : rows, columns
    turn : float or None
        Once around the earth, in units of x (360 for degrees), where x is a longitude.
    """

    transform: Affine
    shape: tuple[int, int]
    turn: float | None = None

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along x and y."""
        return bool(self.transform.b == 0 and self.transform.d == 0)

    def to_stored(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, Any]]:
        """Return all that the grid consists of: arrays by name (none), and the rest as JSON can hold it."""
        return {}, {"transform": list(self.key), "shape": self.shape, "turn": self.turn}

    @classmethod
    def from_stored(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Self:
        """Return the grid that `to_stored` told of."""
        rows, columns = meta["shape"]
        return cls(Affine(*meta["transform"]), (rows, columns), meta["turn"])

    @property
    def nbytes(self) -> int:
        """Bytes of arrays: none."""
        return 0

    @property
    def key(self) -> tuple[float, ...]:
        """What tells this grid from others of its shape."""
        return tuple(map(float, self.transform[:6]))

    @property
    def x(self) -> Coordinates:
        """Return x of the cell centers, (columns,); of the first row where the grid is rotated."""
        return self._at(_centers(self.shape[1]), np.array(0.5))[0]

    @property
    def y(self) -> Coordinates:
        """Return y of the cell centers, (rows,); of the first column where the grid is rotated."""
        return self._at(np.array(0.5), _centers(self.shape[0]))[1]

    def cell_centers(self) -> tuple[Coordinates, Coordinates]:
        """Return x and y of all cell centers, (rows, columns) each: views where the grid is not rotated."""
        if self.is_rectilinear:
            return np.broadcast_to(self.x, self.shape), np.broadcast_to(self.y[:, None], self.shape)
        rows, columns = self.shape
        return self._at(*np.meshgrid(_centers(columns), _centers(rows)))

    def outline(self, points: int) -> tuple[Coordinates, Coordinates]:
        """Return x, y of `points` x `points` places from edge to edge of the grid."""
        rows, columns = self.shape
        return self._at(*np.meshgrid(np.linspace(0, columns, points), np.linspace(0, rows, points)))

    def contains(self, x: Coordinates, y: Coordinates) -> NDArray[np.bool_]:
        """Tell which places lie on the grid; infinite ones don't."""
        rows, columns = self.shape
        with np.errstate(invalid="ignore"):
            column, row = replace(self._cell_grid, middle=self._middle_x).cells(x, y)
            inside: NDArray[np.bool_] = (row >= 0) & (row <= rows) & np.isfinite(column)
            if not self.is_closed:
                inside &= (column >= 0) & (column <= columns)
        return inside

    def cell_map(self, view: View, projection: MapProjection, crs: str) -> CellMap:
        """Return which cells lie under a view's pixels; `crs` is the grid's."""
        return CellMap(Locator(self._cell_grid, crs, projection), view)

    def around(self, level: int) -> float | None:
        """Columns of a level that go once around the earth, where columns are longitudes."""
        if self.turn is None or not self.is_rectilinear:
            return None
        return self.turn / abs(float(self.transform.a)) / float(2**level)

    @property
    def is_closed(self) -> bool:
        """Whether the last column lies beside the first."""
        around = self.around(0)
        return around is not None and abs(around - self.shape[1]) < _CLOSED

    @property
    def _cell_grid(self) -> CellGrid:
        a, b, c, d, e, f = tuple(~self.transform)[:6]
        return CellGrid((a, b, c, d, e, f), self.turn, None if self.is_rectilinear else self._middle_x)

    @property
    def _middle_x(self) -> float:
        rows, columns = self.shape
        return float(self._at(np.array(columns / 2), np.array(rows / 2))[0])

    def _at(self, column: Coordinates, row: Coordinates) -> tuple[Coordinates, Coordinates]:
        t = self.transform
        return t.a * column + t.b * row + t.c, t.d * column + t.e * row + t.f


def _centers(number: int) -> Coordinates:
    return np.arange(number, dtype=np.float64) + 0.5
