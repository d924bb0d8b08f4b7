"""Boundary lines as flat arrays: shared borders once, levels of detail, and what a view meets.

Rings of neighboring polygons repeat each other's edges. Each edge is kept once; the chains of edges between
junctions (arcs) are simplified on their own, so that they still meet, by the method of Douglas and Peucker
(*Cartographica* 10(2), 1973), whose result is nowhere further from the line than its tolerance. A level's
vertices lie in one array, cut in short runs with a box each; a view takes the runs whose box it meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def unique_arcs(lines: Geometries) -> Geometries:
    """Return LineStrings that cover each edge of `lines` once.

    An arc ends where three or more edges meet, where a line ends, or nowhere (an island is one arc).

    Parameters
    ----------
    lines : (n,) LineString or LinearRing
        In any CRS; shared borders must have the same vertices.
    """
    xy, owner = shapely.get_coordinates(lines, return_index=True)
    if not len(xy):
        return np.empty(0, object)
    # Two coordinates as one complex number: each vertex gets the number of its place.
    place = np.unique(xy.view(np.complex128).ravel(), return_inverse=True)[1]
    edge = _distinct_edges(place, owner)
    if not len(edge):
        return np.empty(0, object)
    line, tail, head = owner[edge], place[edge], place[edge + 1]
    meeting = np.bincount(tail, minlength=len(xy)) + np.bincount(head, minlength=len(xy))
    first = np.flatnonzero(np.diff(line, prepend=-1))
    before = np.arange(-1, len(edge) - 1)
    before[first] = np.append(first[1:], len(edge)) - 1  # a ring goes on at its end
    begins = (head[before] != tail) | (meeting[tail] != 2)
    begins[first] |= ~np.logical_or.reduceat(begins, first)  # an island begins anywhere
    order = _from_first_beginning(line, first, begins)
    return _chains(xy, edge[order], begins[order])


def _distinct_edges(place: Indices, owner: Indices) -> Indices:
    """Return the vertices i for which the edge from i to i + 1 is the first one between its two places."""
    edge = np.flatnonzero((owner[1:] == owner[:-1]) & (place[1:] != place[:-1]))
    a, b = place[edge], place[edge + 1]
    key = np.minimum(a, b) * np.int64(len(place)) + np.maximum(a, b)
    return np.sort(edge[np.unique(key, return_index=True)[1]])


def _from_first_beginning(line: Indices, first: Indices, begins: NDArray[np.bool_]) -> Indices:
    """Return the order that moves the edges before a line's first beginning to the line's end."""
    number = np.arange(len(line))
    beginning = np.minimum.reduceat(np.where(begins, number, len(line)), first)
    early = number < np.repeat(beginning, np.diff(np.append(first, len(line))))
    return np.argsort(2 * line + early, kind="stable")


def _chains(xy: Vertices, edge: Indices, begins: NDArray[np.bool_]) -> Geometries:
    """Return a LineString for each chain of edges (edge i goes from xy[i] to xy[i + 1])."""
    chain = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    vertices = np.insert(edge + 1, first, edge[first])
    return np.asarray(shapely.linestrings(xy[vertices], indices=np.insert(chain, first, chain[first])))


def levels(lines: Geometries, *, whole: bool = False) -> tuple[Level, ...]:
    """Return the levels of detail of lines in map coordinates, finest (exact) first.

    Every line stays within a level's tolerance of its place. Islands smaller than the tolerance vanish.

    Parameters
    ----------
    lines : (n,) LineString or LinearRing
    whole : bool
        Keep a line in one run however long it is (a ring to be filled can't be cut).
    """
    size = np.where(shapely.is_closed(lines), _diagonals(lines), np.inf)
    made, simplified = [_level(lines, 0.0, whole=whole)], [lines]
    span = _span(made[0].xy)
    tolerance = span * _FINEST
    while 0.0 < tolerance <= span * _COARSEST:
        base = sum(level.tolerance <= tolerance * _SPENT for level in made) - 1
        simpler = _simplified(simplified[base], tolerance - made[base].tolerance)
        simpler[size <= tolerance] = _NOTHING
        if shapely.get_num_coordinates(simpler).sum() <= _WORTHWHILE * len(made[-1].xy):
            made.append(_level(simpler, tolerance, whole=whole))
            simplified.append(simpler)
        tolerance *= _STEP
    return tuple(made)


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


def _level(lines: Geometries, tolerance: float, *, whole: bool) -> Level:
    """Lay lines out flat, cut in runs."""
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
