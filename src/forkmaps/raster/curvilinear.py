"""A grid whose cells lie anywhere: each has coordinates of its own, as those of many models have.

Cells are the quadrilaterals between their corners, straight on the map: what `pcolormesh` draws. Which one
lies under a pixel, and where in it, is found by going through the cells in view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forkmaps.cache import array_digest
from forkmaps.errors import RasterError
from forkmaps.freezing import frozen_view
from forkmaps.projection import MapProjection, View
from forkmaps.raster.corners import Plane, centers_of, corners_of, edges_of
from forkmaps.raster.coverage import covered
from forkmaps.raster.mapped import MappedGrid
from forkmaps.raster.quadmap import QuadMap
from forkmaps.raster.sampling import CellMap, ExactPiece

_TILE = 64
"""Pixels along each side of a tile, whose cells lie within a box for the window of a view."""


class CurvilinearGrid:
    """A grid with coordinates of its own for each cell; read-only.

    Parameters
    ----------
    x, y : (rows, columns) float64
        Of the cells' centers, in the grid's CRS; NaN where they are not known.
    corner_x, corner_y : (rows + 1, columns + 1) float64
        Of the cells' corners.
    turn : float or None
        Once around the earth, in units of x (360 for degrees), where x is a longitude.
    """

    is_rectilinear = False
    is_closed = False

    def __init__(self, x: Plane, y: Plane, corner_x: Plane, corner_y: Plane, turn: float | None) -> None:
        self.center_x, self.center_y, self.turn = frozen_view(x), frozen_view(y), turn
        self.corner_x, self.corner_y = frozen_view(corner_x), frozen_view(corner_y)
        self._mapped: dict[str, MappedGrid] = {}

    @classmethod
    def of_centers(cls, x: Plane, y: Plane, turn: float | None) -> Self:
        """Make a grid of (rows, columns) centers, two or more each way; corners lie between them."""
        return cls(x, y, *corners_of(x, y, turn), turn)

    @classmethod
    def of_corners(cls, x: Plane, y: Plane, turn: float | None) -> Self:
        """Make a grid of (rows + 1, columns + 1) corners."""
        return cls(*centers_of(x, y, turn), x, y, turn)

    @classmethod
    def of_axes(cls, x: Plane, y: Plane, turn: float | None) -> Self:
        """Make a grid of unevenly spaced (columns,) x and (rows,) y of centers, two or more each."""
        edges_x, edges_y = edges_of(x), edges_of(y)
        if turn is not None:
            edges_y = np.clip(edges_y, -turn / 4, turn / 4)
        return cls(*np.meshgrid(x, y), *np.meshgrid(edges_x, edges_y), turn)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        rows, columns = self.center_x.shape
        return rows, columns

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, also of those made for projections."""
        return sum(array.nbytes for array in self.to_stored()[0].values())

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this grid from others of its shape."""
        return tuple(array_digest(array) for array in (self.corner_x, self.corner_y))

    @property
    def x(self) -> Plane:
        """Return x of the first row's cell centers, (columns,)."""
        return np.asarray(self.center_x[0])

    @property
    def y(self) -> Plane:
        """Return y of the first column's cell centers, (rows,)."""
        return np.asarray(self.center_y[:, 0])

    def cell_centers(self) -> tuple[Plane, Plane]:
        """Return x and y of all cell centers, (rows, columns) each."""
        return self.center_x, self.center_y

    def outline(self, points: int) -> tuple[Plane, Plane]:
        """Return x, y of `points` x `points` corners of cells, from edge to edge of the grid."""
        some = np.ix_(*(np.linspace(0, side, points).round().astype(int) for side in self.shape))
        return self.corner_x[some], self.corner_y[some]

    def contains(self, x: Plane, y: Plane) -> NDArray[np.bool_]:
        """Tell which places lie on the grid, nearly; infinite ones don't."""
        return covered(self.corner_x, self.corner_y, self.turn, x, y)

    def cell_map(self, view: View, projection: MapProjection, crs: str) -> CellMap:
        """Return which cells lie under a view's pixels; `crs` is the grid's."""
        quads = QuadMap(self, self.mapped(projection, crs), projection, crs, view)
        return _PiecedMap(_pieces(quads.positions(), quads.largest_cell))

    def mapped(self, projection: MapProjection, crs: str) -> MappedGrid:
        """Return the cells on a map, made once: a million of them take some seconds."""
        key = projection.crs.to_wkt()
        if key not in self._mapped:
            transform = projection.transformer(crs).transform
            x, y = transform(self.corner_x, self.corner_y)
            middle = transform(*centers_of(self.corner_x, self.corner_y, self.turn))
            self._mapped[key] = _frozen_grid(MappedGrid.of(x, y, *middle, projection.period))
        return self._mapped[key]

    def around(self, level: int) -> None:
        """Columns that go once around the earth: not known."""
        return None

    def to_stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return all that the grid consists of: arrays by name, and the rest as JSON can hold it."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for number, mapped in enumerate(self._mapped.values()):
            arrays |= {f"mapped.{number}.{name}": array for name, array in mapped.to_arrays().items()}
        return arrays, {"turn": self.turn, "mapped": list(self._mapped)}

    @classmethod
    def from_stored(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Self:
        """Return the grid that `to_stored` told of; its arrays are not copied."""
        x, y, corner_x, corner_y = (arrays[name] for name in _ARRAYS)
        grid = cls(x, y, corner_x, corner_y, meta["turn"])
        for number, key in enumerate(meta["mapped"]):
            prefix = f"mapped.{number}."
            own = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
            grid._mapped[key] = _frozen_grid(MappedGrid.from_arrays(own))
        return grid


_ARRAYS = ("center_x", "center_y", "corner_x", "corner_y")


class _PiecedMap(CellMap):
    """A map of pixels to cells that is made of pieces known already."""

    def __init__(self, pieces: list[ExactPiece]) -> None:
        self.pieces = list(pieces)


def _pieces(positions: Plane, largest_cell: float) -> list[ExactPiece]:
    """Cut (2, rows, columns) positions into tiles, without those that show nothing."""
    rows, columns = positions.shape[1:]
    tiles = [
        (slice(top, min(top + _TILE, rows)), slice(left, min(left + _TILE, columns)))
        for top in range(0, rows, _TILE)
        for left in range(0, columns, _TILE)
    ]
    shown = [tile for tile in tiles if np.isfinite(positions[0][tile]).any()]
    return [ExactPiece(*tile, positions[:, *tile], largest_cell) for tile in shown]


def check_cells(x: Plane, y: Plane, source: str) -> None:
    """Raise RasterError where coordinates don't make a grid of cells."""
    if min(x.shape) < 2:
        raise RasterError(
            f"{source}: of a grid of {x.shape[0]} x {x.shape[1]} cells the centers don't "
            "tell the cells' size; give transform, or the coordinates of the corners"
        )
    if not (np.isfinite(x) & np.isfinite(y)).any():
        raise RasterError(f"{source}: no cell has finite coordinates")


def _frozen_grid(grid: MappedGrid) -> MappedGrid:
    return MappedGrid.from_arrays({name: frozen_view(array) for name, array in grid.to_arrays().items()})
