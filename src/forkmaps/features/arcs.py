"""Shared borders once: the arcs that the rings of neighboring polygons have in common.

Rings of neighbors repeat each other's edges. Each edge is kept once; a chain of edges between junctions is an
arc. Arcs are simplified on their own, so that they still meet, and so do areas put together from them again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from forkmaps.features.linework import Geometries, Indices, Level, Vertices, level_of, simplified

Flags = NDArray[np.bool_]

_TRIANGLE = 3
"""Vertices, without the first one again, that a ring has at least."""


@dataclass(frozen=True, slots=True)
class _Network:
    """The edges of lines; edge i goes from vertex i to vertex i + 1.

    Attributes
    ----------
    xy : (vertices, 2) float64
    owner, place : (vertices,) int
        The line that a vertex belongs to, and the number of its place: the same for all vertices there.
    edge, same : (edges,) int
        All edges, and of each the first one between the same two places.
    kept : (distinct edges,) int
        Those first ones, line by line, an arc's one after the other.
    begins : (distinct edges,) bool
        Where an arc begins.
    """

    xy: Vertices
    owner: Indices
    place: Indices
    edge: Indices
    same: Indices
    kept: Indices
    begins: Flags


@dataclass(frozen=True, slots=True)
class _Uses:
    """Which arcs make up the rings, in order: part i is of a ring, runs along an arc, forward or back."""

    ring: Indices
    arc: Indices
    forward: Flags


def unique_arcs(lines: Geometries) -> Geometries:
    """Return LineStrings that cover each edge of `lines` once.

    An arc ends where three or more edges meet, where a line ends, or nowhere (an island is one arc).

    Parameters
    ----------
    lines : (n,) LineString or LinearRing
        In any CRS; shared borders must have the same vertices.
    """
    return _arcs(_network(lines))


def ring_levels(rings: Geometries) -> tuple[Level, ...]:
    """Return the levels of detail of rings in map coordinates, finest first; neighbors fit at each of them.

    A level holds the rings in their order, whole and closed, without those that have vanished.
    """
    network = _network(rings)
    arcs, (uses, partly) = _arcs(network), _uses(network)
    # An invalid ring may turn back amid a neighbor's arc: it is simplified on its own.
    lines = np.concatenate([arcs, rings[partly]])
    uses = _with_own_arcs(uses, partly, len(arcs))
    return tuple(
        level_of(_put_together(simpler, uses), tolerance, whole=True)
        for tolerance, simpler in simplified(lines)
    )


def _network(lines: Geometries) -> _Network:
    xy, owner = shapely.get_coordinates(lines, return_index=True)
    # Two coordinates as one complex number.
    place = np.unique(xy.view(np.complex128).ravel(), return_inverse=True)[1]
    edge = np.flatnonzero((owner[1:] == owner[:-1]) & (place[1:] != place[:-1]))
    a, b = place[edge], place[edge + 1]
    key = np.minimum(a, b) * np.int64(len(place)) + np.maximum(a, b)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    kept, begins = _in_arcs(np.sort(edge[first]), owner, place)
    return _Network(xy, owner, place, edge, edge[first[group]], kept, begins)


def _in_arcs(edge: Indices, owner: Indices, place: Indices) -> tuple[Indices, Flags]:
    """Order distinct edges by arc, and return at which of them an arc begins."""
    if not len(edge):
        return edge, np.empty(0, bool)
    line, tail, head = owner[edge], place[edge], place[edge + 1]
    meeting = np.bincount(tail, minlength=len(place)) + np.bincount(head, minlength=len(place))
    first = np.flatnonzero(np.diff(line, prepend=-1))
    before = np.arange(-1, len(edge) - 1)
    before[first] = np.append(first[1:], len(edge)) - 1  # a ring goes on at its end
    begins = (head[before] != tail) | (meeting[tail] != 2)
    begins[first] |= ~np.logical_or.reduceat(begins, first)  # an island begins anywhere
    order = _from_first_beginning(line, first, begins)
    return edge[order], begins[order]


def _from_first_beginning(line: Indices, first: Indices, begins: Flags) -> Indices:
    """Return the order that moves the edges before a line's first beginning to the line's end."""
    number = np.arange(len(line))
    beginning = np.minimum.reduceat(np.where(begins, number, len(line)), first)
    early = number < np.repeat(beginning, np.diff(np.append(first, len(line))))
    return np.argsort(2 * line + early, kind="stable")


def _arcs(network: _Network) -> Geometries:
    """Return a LineString for each arc."""
    kept, begins = network.kept, network.begins
    if not len(kept):
        return np.empty(0, object)
    arc, first = np.cumsum(begins) - 1, np.flatnonzero(begins)
    vertices = np.insert(kept + 1, first, kept[first])
    return np.asarray(shapely.linestrings(network.xy[vertices], indices=np.insert(arc, first, arc[first])))


def _uses(network: _Network) -> tuple[_Uses, Indices]:
    """Return the arcs that make up each ring, and the rings that run along a part of an arc only."""
    arc_of = np.zeros(len(network.xy), np.intp)
    arc_of[network.kept] = np.cumsum(network.begins) - 1
    ring, arc = network.owner[network.edge], arc_of[network.same]
    forward = network.place[network.edge] == network.place[network.same]
    changes = (np.diff(ring) != 0) | (np.diff(arc) != 0) | (np.diff(forward) != 0)
    start = np.flatnonzero(np.insert(changes, 0, np.ones(min(len(ring), 1), bool)))
    edges = np.diff(np.append(start, len(ring)))
    ring, arc, forward = ring[start], arc[start], forward[start]
    # A ring that begins amid an arc ends on it.
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    last = np.append(first, len(ring))[1:] - 1
    amid = (first != last) & (arc[first] == arc[last]) & (forward[first] == forward[last])
    edges[last[amid]] += edges[first[amid]]
    partly = edges != np.bincount(arc_of[network.kept], minlength=1)[arc]
    partly[first[amid]] = False
    stay = np.ones(len(ring), bool)
    stay[first[amid]] = False
    return _Uses(ring[stay], arc[stay], forward[stay]), np.unique(ring[partly])


def _with_own_arcs(uses: _Uses, rings: Indices, arcs: int) -> _Uses:
    """Give some rings arcs of their own, numbered from `arcs` on."""
    stay = ~np.isin(uses.ring, rings)
    ring = np.concatenate([uses.ring[stay], rings])
    arc = np.concatenate([uses.arc[stay], np.arange(arcs, arcs + len(rings))])
    forward = np.concatenate([uses.forward[stay], np.ones(len(rings), bool)])
    order = np.argsort(ring, kind="stable")
    return _Uses(ring[order], arc[order], forward[order])


def _put_together(arcs: Geometries, uses: _Uses) -> Geometries:
    """Return the rings that arcs make up, each arc's last vertex left to the next one."""
    xy, count = shapely.get_coordinates(arcs), shapely.get_num_coordinates(arcs)
    size, end = count[uses.arc], np.cumsum(count)[uses.arc]
    taken = np.maximum(size - 1, 0)
    step = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    from_start, from_end = np.repeat(end - size, taken) + step, np.repeat(end - 1, taken) - step
    vertices = np.where(np.repeat(uses.forward, taken), from_start, from_end)
    ring = np.repeat(uses.ring, taken)
    left = np.bincount(ring, minlength=1)[ring] >= _TRIANGLE
    number = np.unique(ring[left], return_inverse=True)[1]
    return np.asarray(shapely.linearrings(xy[vertices[left]], indices=number))
