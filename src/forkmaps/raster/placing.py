"""Where the cells of an array lie, from coordinates of their centers or corners."""

from __future__ import annotations

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from forkmaps.errors import RasterError
from forkmaps.raster.curvilinear import CurvilinearGrid, check_cells

_EVEN = 0.02
"""Cells by which coordinates may miss an even spacing; float32 longitudes 0.01 degrees apart do by 0.002."""

Plane = NDArray[np.float64]


def placed(
    shape: tuple[int, int], x: Any, y: Any, turn: float | None, source: str
) -> Affine | CurvilinearGrid:
    """Return where (rows, columns) cells lie.

    Parameters
    ----------
    x, y : (columns,) and (rows,), or both (rows, columns)
        Of cell centers; with one more each way, of corners. Ascending or descending, evenly spaced or not.
    turn : float or None
        Once around the earth, in units of x, where x is a longitude.

    Returns
    -------
    Affine or CurvilinearGrid
        The first where rows and columns are evenly spaced.

    Raises
    ------
    RasterError
        Coordinates of another shape, or that make no grid.
    """
    x, y = (np.asarray(coordinate, np.float64) for coordinate in (x, y))
    rows, columns = shape
    if x.ndim == 2 and _is_meshgrid(x, y):
        x, y = x[0], y[:, 0]
    if x.ndim == 1 and y.ndim == 1:
        corners = (len(y), len(x)) == (rows + 1, columns + 1)
        if corners or (len(y), len(x)) == shape:
            return _from_axes(_going_on(x, turn), y, turn, corners=corners, source=source)
    elif x.shape == y.shape == shape:
        check_cells(x, y, source)
        return CurvilinearGrid.of_centers(x, y, turn)
    elif x.shape == y.shape == (rows + 1, columns + 1):
        return CurvilinearGrid.of_corners(x, y, turn)
    raise RasterError(
        f"{source}: values of {rows} rows and {columns} columns, but x of shape {x.shape}, y of {y.shape}; "
        f"needed are ({columns},) and ({rows},), or {shape} for both; for corners one more each way"
    )


def plain_values(values: Any, source: str) -> NDArray[Any]:
    """Return (bands, rows, columns) numbers, with NaN where they are masked; not copied unless they must be.

    Raises
    ------
    RasterError
        They are no numbers, or have fewer than two dimensions or more than three.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float32), np.nan)
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise RasterError(f"{source}: real numbers are needed, not {values.dtype}")
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or 0 in values.shape:
        raise RasterError(f"{source}: an array of (bands, rows, columns) is needed, not {values.shape}")
    return np.asarray(values)


def _is_meshgrid(x: Plane, y: Plane) -> bool:
    """Whether 2-D coordinates are those of rows and columns."""
    return x.shape == y.shape and bool((x == x[:1]).all() and (y == y[:, :1]).all())


def _going_on(x: Plane, turn: float | None) -> Plane:
    """Return longitudes that go on where they jump by a turn, from 180 to -180; two may be its ends."""
    if turn is None or (len(x) == 2 and abs(x[1] - x[0]) == turn):
        return x
    return np.unwrap(x, period=turn)


def _from_axes(
    x: Plane, y: Plane, turn: float | None, *, corners: bool, source: str
) -> Affine | CurvilinearGrid:
    for name, values in (("x", x), ("y", y)):
        steps = np.diff(values)
        if not (np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all())):
            raise RasterError(f"{source}: {name} neither ascends nor descends all the way, or is not finite")
        if not len(steps):
            raise RasterError(f"{source}: one value of {name} doesn't tell the cells' size; give transform")
    steps_x, steps_y = _even_step(x), _even_step(y)
    if steps_x is not None and steps_y is not None:
        half = 0.0 if corners else 0.5
        return Affine(steps_x, 0, x[0] - half * steps_x, 0, steps_y, y[0] - half * steps_y)
    if corners:
        return CurvilinearGrid.of_corners(*np.meshgrid(x, y), turn)
    return CurvilinearGrid.of_axes(x, y, turn)


def _even_step(values: Plane) -> float | None:
    """Return the step between values, None where they are not evenly spaced."""
    step = (values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + step * np.arange(len(values))
    return float(step) if np.abs(values - even).max() <= _EVEN * abs(step) else None
