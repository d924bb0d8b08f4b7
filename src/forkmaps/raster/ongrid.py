"""What a raster tells of its grid: where its cells lie, and which of them a view shows."""

from __future__ import annotations

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray

from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, View
from forkmaps.raster.affinegrid import AffineGrid
from forkmaps.raster.crs import turn_of
from forkmaps.raster.curvilinear import CurvilinearGrid
from forkmaps.raster.sampling import CellMap

Grid = AffineGrid | CurvilinearGrid


class OnGrid:
    """Something on a grid in a CRS.

    Attributes
    ----------
    grid : AffineGrid or CurvilinearGrid
    crs_text : str
        The CRS as WKT.
    source : str
        Where it comes from, for messages.
    """

    grid: Grid
    crs_text: str
    source: str
    _seen: tuple[View, MapProjection, CellMap] | None = None

    @property
    def transform(self) -> Affine:
        """(column, row) of a cell's corner to (x, y); RasterError on a curvilinear grid."""
        if isinstance(self.grid, CurvilinearGrid):
            raise RasterError(f"{self.source}: a curvilinear grid has no transform; it has cell_centers()")
        return self.grid.transform

    @property
    def x(self) -> NDArray[np.float64]:
        """Return x of the cell centers, (columns,); of the first row where the grid is rotated."""
        return self.grid.x

    @property
    def y(self) -> NDArray[np.float64]:
        """Return y of the cell centers, (rows,); of the first column where the grid is rotated."""
        return self.grid.y

    def cell_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of all cell centers, (rows, columns) each, in the raster's CRS: the meshgrid."""
        return self.grid.cell_centers()

    def outline(self, points: int = 33) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x, y (in the raster's CRS) of `points` x `points` places from edge to edge of the grid."""
        return self.grid.outline(points)

    @property
    def is_rectilinear(self) -> bool:
        """Whether rows and columns run along x and y, evenly."""
        return self.grid.is_rectilinear

    def contains(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which places, in the raster's CRS, lie on its grid; infinite ones don't."""
        return self.grid.contains(x, y)

    def cell_map(self, view: View, projection: MapProjection) -> CellMap:
        """Return which cells of the grid lie under a view's pixels.

        That of the view asked for last is kept: a map is drawn with it, and its fingerprint made of it.
        """
        seen = self._seen
        if seen is None or seen[0] != view or seen[1] is not projection:
            seen = (view, projection, self.grid.cell_map(view, projection, self.crs_text))
            self._seen = seen
        return seen[2]

    def warm(self, projection: MapProjection) -> None:
        """Make what sampling in a projection needs, and what can be kept: before workers are forked."""
        projection.inverse(self.crs_text)(0.0, 0.0)
        if isinstance(self.grid, CurvilinearGrid):
            self.grid.mapped(projection, self.crs_text)

    def around(self, level: int) -> float | None:
        """Columns of a level that go once around the earth, where columns are longitudes."""
        return self.grid.around(level)


def grid_of(where: Affine | CurvilinearGrid, shape: tuple[int, int], crs: pyproj.CRS, source: str) -> Grid:
    """Return the grid that a transform makes of so many cells, or the curvilinear one that is given."""
    if isinstance(where, CurvilinearGrid):
        if where.shape != shape:
            raise RasterError(f"{source}: coordinates of {where.shape} cells, but values of {shape}")
        return where
    if where.is_degenerate:
        raise RasterError(f"{source}: the transform {tuple(where)[:6]} maps all cells to one line")
    return AffineGrid(where, shape, turn_of(crs))
