"""Boundary lines as flat arrays: levels of detail, and what a view meets.

Lines are simplified by the method of Douglas and Peucker (*Cartographica* 10(2), 1973), whose result is
nowhere further from the line than its tolerance. A level's vertices lie in one array, cut in short runs with
a box each; a view takes the runs whose box it meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.regions import Extent

RUN_SEGMENTS = 64
"""Line segments in a run: 20,000 vertices of a view are then found by comparing some hundred boxes."""
LINE_ERROR = 0.5
"""The largest distance, in pixels, between a line as drawn and as it is in the data."""
_FINEST, _COARSEST = 2.0**-17, 2.0**-9
"""Tolerances of the levels, as shares of the layer's width or height: 70 m to 18 km for the United States."""
_STEP = 2.0
"""From a level's tolerance to the next one's: a view's lines are at least half as coarse as they may be."""
_SPENT = 1.0 / 4.0
"""A level is simplified from one that is itself at most this share of the tolerance off, as errors add up."""
_WORTHWHILE = 0.8
"""A level is kept when it has at most this share of the vertices of the next finer one."""
_SAMPLE = 10_000
"""Vertices, about, that the layer's size is taken from."""

Vertices = NDArray[np.float64]
Indices = NDArray[np.intp]
Geometries = NDArray[np.object_]

_NOTHING = shapely.LineString()
_ARRAYS = ("xy", "starts", "ends", "continues", "boxes")
"""Names of a level's arrays, in the order of `Level.arrays`."""


@dataclass(frozen=True, slots=True)
class Level:
    """Lines at one level of detail.

    Attributes
    ----------
    tolerance : float
        Largest distance from the data's lines, in map units.
    xy : (vertices, 2) float64
        Map coordinates.
    starts, ends : (runs,) int
        Vertices of each run: xy[start:end].
    continues : (runs,) bool
        Whether the run begins on the last vertex of the run before it.
    boxes : (4, runs) float64
        West, east, south, north of each run.
    """

    tolerance: float
    xy: Vertices
    starts: Indices
    ends: Indices
    continues: NDArray[np.bool_]
    boxes: Vertices

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """All of the level's arrays."""
        return self.xy, self.starts, self.ends, self.continues, self.boxes

    @property
    def west(self) -> float:
        """The least x."""
        return float(self.boxes[0].min())

    @property
    def east(self) -> float:
        """The greatest x."""
        return float(self.boxes[1].max())

    @property
    def whole(self) -> tuple[Vertices, Indices]:
        """All vertices, and at which of them a line begins."""
        return self._joined(np.arange(len(self.starts)))

    def in_view(self, extent: Extent) -> tuple[Vertices, Indices]:
        """Return the vertices of the runs whose box meets an extent, and at which of them a line begins."""
        west, east, south, north = self.boxes
        return self._joined(
            np.flatnonzero(
                (west <= extent.east)
                & (east >= extent.west)
                & (south <= extent.north)
                & (north >= extent.south)
            )
        )

    def _joined(self, runs: Indices) -> tuple[Vertices, Indices]:
        """Return the vertices of some runs, in order; a run that continues the one before it goes on."""
        goes_on = self.continues[runs] & (np.diff(runs, prepend=-2) == 1)
        starts = self.starts[runs] + goes_on
        length = self.ends[runs] - starts
        first = np.cumsum(length) - length
        index = np.repeat(starts - first, length) + np.arange(length.sum())
        return self.xy[index], first[~goes_on]


def to_arrays(levels: Sequence[Level], prefix: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of levels by name, finest level first; `from_arrays` takes them back."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, level in enumerate(levels):
        arrays[f"{prefix}.{number}.tolerance"] = np.array(level.tolerance)
        for name, array in zip(_ARRAYS, level.arrays, strict=True):
            arrays[f"{prefix}.{number}.{name}"] = array
    return arrays


def from_arrays(arrays: Mapping[str, Any], prefix: str) -> tuple[Level, ...]:
    """Return the levels that `to_arrays` made arrays of."""
    count = sum(name.startswith(f"{prefix}.") and name.endswith(".tolerance") for name in arrays)
    return tuple(
        Level(
            float(arrays[f"{prefix}.{number}.tolerance"]),
            *(arrays[f"{prefix}.{number}.{name}"] for name in _ARRAYS),
        )
        for number in range(count)
    )


def levels(lines: Geometries) -> tuple[Level, ...]:
    """Return the levels of detail of lines in map coordinates, finest (exact) first.

    Every line stays within a level's tolerance of its place. Islands smaller than the tolerance vanish.
    """
    return tuple(level_of(simpler, tolerance) for tolerance, simpler in simplified(lines))


def simplified(lines: Geometries) -> Iterator[tuple[float, Geometries]]:
    """Yield ever larger tolerances, and the lines simplified to them; empty, what vanishes."""
    size = np.where(shapely.is_closed(lines), _diagonals(lines), np.inf)
    made = [(0.0, lines)]
    yield made[0]
    span = _span(shapely.get_coordinates(lines))
    tolerance = span * _FINEST
    while 0.0 < tolerance <= span * _COARSEST:
        spent, base = [step for step in made if step[0] <= tolerance * _SPENT][-1]
        simpler = _simplified(base, tolerance - spent)
        simpler[size <= tolerance] = _NOTHING
        if _vertices(simpler) <= _WORTHWHILE * _vertices(made[-1][1]):
            made.append((tolerance, simpler))
            yield made[-1]
        tolerance *= _STEP


def _vertices(lines: Geometries) -> int:
    return int(shapely.get_num_coordinates(lines).sum())


def _diagonals(lines: Geometries) -> Vertices:
    """Return the diagonals of the lines' boxes."""
    west, south, east, north = shapely.bounds(lines).T
    return np.asarray(np.hypot(east - west, north - south))


def _span(xy: Vertices) -> float:
    """Return the layer's width or height, without the hundredth that may lie far out in the projection."""
    if not len(xy):
        return 0.0
    low, high = np.percentile(xy[:: max(len(xy) // _SAMPLE, 1)], [1, 99], axis=0)
    return float((high - low).max())


def _simplified(lines: Geometries, tolerance: float) -> Geometries:
    """Simplify lines; a ring that would shrink to a point is kept as a triangle."""
    simpler = np.asarray(shapely.simplify(lines, tolerance, preserve_topology=False))
    point = shapely.is_closed(lines) & (shapely.get_num_coordinates(simpler) == 2)
    simpler[point] = shapely.simplify(lines[point], tolerance, preserve_topology=True)
    return simpler


def level_of(lines: Geometries, tolerance: float, *, whole: bool = False) -> Level:
    """Lay lines out flat, cut in runs; with `whole`, one for each (a ring to be filled can't be cut)."""
    lines = lines[~shapely.is_empty(lines)]
    count = shapely.get_num_coordinates(lines)
    segments = max(int(count.max(initial=0)), 1) if whole else RUN_SEGMENTS
    runs = np.maximum(-(-(count - 1) // segments), 1)
    line = np.repeat(np.arange(len(lines)), runs)
    nth = np.arange(len(line)) - np.repeat(np.cumsum(runs) - runs, runs)
    xy, end = shapely.get_coordinates(lines), np.cumsum(count)
    starts = (end - count)[line] + nth * segments
    ends = np.minimum(starts + segments + 1, end[line])
    return Level(tolerance, xy, starts, ends, nth > 0, _boxes(xy, starts, ends))


def _boxes(xy: Vertices, starts: Indices, ends: Indices) -> Vertices:
    """Return west, east, south, north of each run."""
    if not len(starts):
        return np.empty((4, 0))
    last = xy[ends - 1]  # the next run's first, which reduceat leaves to it
    low = np.minimum(np.minimum.reduceat(xy, starts), last)
    high = np.maximum(np.maximum.reduceat(xy, starts), last)
    return np.ascontiguousarray(np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]]).T)
