"""Boundary lines as flat arrays: shared borders once, levels of detail, and what a view meets.

Rings of neighboring polygons repeat each other's edges. Each edge is kept once; the chains of edges between
junctions (arcs) are simplified on their own, so that they still meet, by the method of Douglas and Peucker
(*Cartographica* 10(2), 1973), whose result is nowhere further from the line than its tolerance. A level's
vertices lie in one array, cut in short runs with a box each; a view takes the runs whose box it meets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.regions import Extent

RUN_SEGMENTS = 64
"""Line segments in a run: 20,000 vertices of a view are then found by comparing some hundred boxes."""
LINE_ERROR = 0.5
"""The largest distance, in pixels, between a line as drawn and as it is in the data."""
_FINEST, _COARSEST = 2.0**-17, 2.0**-10
"""Tolerances of the levels, as shares of the layer's width or height."""
_WORTHWHILE = 0.8
"""A level is kept when it has at most this share of the vertices of the next finer one."""

Vertices = NDArray[np.float64]
Indices = NDArray[np.intp]


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
    low, high : (runs, 2) float64
        Each run's box.
    """

    tolerance: float
    xy: Vertices
    starts: Indices
    ends: Indices
    continues: NDArray[np.bool_]
    low: Vertices
    high: Vertices

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """All of the level's arrays."""
        return self.xy, self.starts, self.ends, self.continues, self.low, self.high

    def in_view(self, extent: Extent) -> tuple[Vertices, Indices]:
        """Return the vertices of the runs that meet an extent, and at which of them a line begins."""
        hit = np.flatnonzero(
            (self.low[:, 0] <= extent.east)
            & (self.high[:, 0] >= extent.west)
            & (self.low[:, 1] <= extent.north)
            & (self.high[:, 1] >= extent.south)
        )
        if not len(hit):
            return np.empty((0, 2)), np.empty(0, np.intp)
        joined = self.continues[hit] & (np.diff(hit, prepend=-2) == 1)
        starts = self.starts[hit] + joined
        length = self.ends[hit] - starts
        first = np.cumsum(length) - length
        index = np.repeat(starts - first, length) + np.arange(length.sum())
        return self.xy[index], first[~joined]


def unique_arcs(lines: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return LineStrings that cover each edge of `lines` once, and end where three or more edges meet.

    Parameters
    ----------
    lines : (n,) LineString or LinearRing
        In any CRS; shared borders must have the same vertices.
    """
    xy, owner = shapely.get_coordinates(lines, return_index=True)
    if not len(xy):
        return np.empty(0, object)
    vertex = np.unique(np.ascontiguousarray(xy).view(np.complex128).ravel(), return_inverse=True)[1]
    edge = np.flatnonzero((owner[1:] == owner[:-1]) & (vertex[1:] != vertex[:-1]))
    a, b = vertex[edge], vertex[edge + 1]
    key = np.minimum(a, b) * np.int64(len(xy)) + np.maximum(a, b)
    edge = np.sort(edge[np.unique(key, return_index=True)[1]])
    degree = np.bincount(vertex[edge], minlength=len(xy)) + np.bincount(vertex[edge + 1], minlength=len(xy))
    begins = np.ones(len(edge), bool)
    begins[1:] = (
        (np.diff(edge) != 1) | (owner[edge[1:]] != owner[edge[:-1]]) | (degree[vertex[edge[1:]]] != 2)
    )
    return _chains(xy, edge, begins)


def _chains(xy: Vertices, edge: Indices, begins: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return a LineString for each chain of edges (edge i goes from xy[i] to xy[i + 1])."""
    if not len(edge):
        return np.empty(0, object)
    chain = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    at = np.insert(edge + 1, first, edge[first])
    return np.asarray(shapely.linestrings(xy[at], indices=np.insert(chain, first, chain[first])))


def levels(lines: NDArray[np.object_], *, whole: bool = False) -> tuple[Level, ...]:
    """Return the levels of detail of lines in map coordinates, finest (exact) first.

    With `whole`, a line is one run however long it is (a ring to be filled can't be cut).
    """
    lines = lines[~shapely.is_empty(lines)]
    segments = RUN_SEGMENTS
    if whole and len(lines):
        segments = int(shapely.get_num_coordinates(lines).max())
    made = [_level(lines, 0.0, segments)]
    if not len(lines):
        return tuple(made)
    west, south, east, north = shapely.total_bounds(lines)
    span = max(east - west, north - south)
    tolerance, applied = span * _FINEST, 0.0
    while tolerance <= span * _COARSEST:
        # Errors add up, so each step may take what the steps before have left of the tolerance.
        simpler = shapely.simplify(lines, tolerance - applied, preserve_topology=False)
        if shapely.get_num_coordinates(simpler).sum() <= _WORTHWHILE * len(made[-1].xy):
            lines, applied = simpler, tolerance
            made.append(_level(lines, tolerance, segments))
        tolerance *= 2.0
    return tuple(made)


def _level(lines: NDArray[np.object_], tolerance: float, segments: int) -> Level:
    xy = shapely.get_coordinates(lines)
    count = shapely.get_num_coordinates(lines)
    runs = np.maximum(-(-(count - 1) // segments), 1)
    line = np.repeat(np.arange(len(lines)), runs)
    nth = np.arange(len(line)) - np.repeat(np.cumsum(runs) - runs, runs)
    offset = np.cumsum(count) - count
    starts = offset[line] + nth * segments
    ends = np.minimum(starts + segments + 1, (offset + count)[line])
    low, high = _boxes(xy, starts, ends)
    return Level(tolerance, xy, starts, ends, nth > 0, low, high)


def _boxes(xy: Vertices, starts: Indices, ends: Indices) -> tuple[Vertices, Vertices]:
    if not len(starts):
        return np.empty((0, 2)), np.empty((0, 2))
    last = xy[ends - 1]
    return (
        np.minimum(np.minimum.reduceat(xy, starts), last),
        np.maximum(np.maximum.reduceat(xy, starts), last),
    )
