"""Shared borders once, and areas put together from them: held against sets of edges."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LinearRing, LineString, Polygon, box

from forkmaps.features.arcs import ring_levels, unique_arcs
from forkmaps.features.linework import levels

BOUNDARIES = Path(__file__).resolve().parents[1] / "data" / "boundaries"
LAYERS = ("counties", "states", "provinces", "countries")


def rings_of(name):
    """Return all rings of a bundled layer."""
    wkb = pyogrio.raw.read(BOUNDARIES / f"{name}.shp", columns=[])[2]
    return rings(shapely.from_wkb(wkb))


def rings(polygons):
    return shapely.get_rings(shapely.get_parts(np.asarray(polygons, object)))


def edges(lines):
    """Return the edges of lines, repeats too, each as a frozenset of its two ends."""
    found = []
    for line in lines:
        ends = [tuple(xy) for xy in shapely.get_coordinates(line)]
        found += [frozenset(edge) for edge in itertools.pairwise(ends) if edge[0] != edge[1]]
    return found


def degrees(distinct_edges):
    """Return how many edges meet at each place."""
    meeting = {}
    for edge in distinct_edges:
        for end in edge:
            meeting[end] = meeting.get(end, 0) + 1
    return meeting


def check_arcs(lines):
    """Hold the arcs of closed lines against their edges."""
    arcs = unique_arcs(np.asarray(lines, object))
    given_edges, kept = edges(lines), edges(arcs)
    assert len(kept) == len(set(kept)), "an edge is kept twice"
    assert set(kept) == set(given_edges)
    meeting = degrees(set(kept))
    for arc in arcs:
        ends = [tuple(xy) for xy in shapely.get_coordinates(arc)]
        inner, first, last = ends[1:-1], ends[0], ends[-1]
        assert all(meeting[place] == 2 for place in inner), "an arc runs through a junction"
        if first == last:
            continue  # an island, or a loop at a junction
        assert meeting[first] != 2, "an arc begins away from a junction"
        assert meeting[last] != 2, "an arc ends away from a junction"
    return arcs


def voronoi(seed, count=60):
    """Return polygons that tile a square."""
    random = np.random.default_rng(seed)
    cells = shapely.voronoi_polygons(shapely.multipoints(random.random((count, 2))))
    return shapely.get_parts(cells)


# Each edge once


def test_two_squares_share_one_border():
    arcs = check_arcs(rings([box(0, 0, 1, 1), box(1, 0, 2, 1)]))
    assert len(arcs) == 3
    assert shapely.length(arcs).sum() == 7


def test_a_lone_ring_is_one_closed_arc():
    (arc,) = check_arcs([Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2)]]).exterior])
    assert arc.is_closed


def test_a_ring_that_begins_amid_a_border_is_not_cut_there():
    left = LinearRing([(0, 0), (1, 0), (1, 0.5), (1, 1), (0, 1)])
    right = LinearRing([(1, 0.5), (1, 1), (2, 1), (2, 0), (1, 0)])
    arcs = check_arcs([left, right])
    assert sorted(shapely.get_num_coordinates(arcs)) == [3, 4, 4]


def test_a_hole_and_the_island_in_it_are_one_line():
    outer = Polygon(box(0, 0, 9, 9).exterior, [box(3, 3, 6, 6).exterior])
    arcs = check_arcs(rings([outer, box(3, 3, 6, 6)]))
    assert sorted(shapely.length(arcs)) == [12, 36]


def test_neighbors_of_unequal_height_meet_in_junctions():
    arcs = check_arcs(rings([Polygon([(0, 0), (1, 0), (1, 1), (1, 2), (0, 2)]), box(1, 0, 2, 1)]))
    assert len(arcs) == 3


def test_a_polygon_given_twice_is_drawn_once():
    assert len(check_arcs(rings([box(0, 0, 1, 1), box(0, 0, 1, 1)]))) == 1


def test_repeated_vertices_do_not_break_an_arc():
    (arc,) = check_arcs([LinearRing([(0, 0), (0, 0), (1, 0), (1, 0), (1, 0), (1, 1), (0, 1), (0, 0)])])
    assert len(arc.coords) == 5


def test_a_bow_tie_is_drawn_as_it_is():
    (arc,) = check_arcs([LinearRing([(0, 0), (2, 2), (2, 0), (0, 2)])])
    assert arc.is_closed


def test_a_spike_out_and_back_is_drawn_once():
    arcs = check_arcs([LinearRing([(0, 0), (2, 0), (2, 2), (5, 5), (2, 2), (0, 2)])])
    assert shapely.length(arcs).sum() == pytest.approx(8 + 3 * 2**0.5)


def test_negative_zero_is_zero():
    assert (
        len(check_arcs([LinearRing([(0.0, 0), (1, 0), (1, 1)]), LinearRing([(-0.0, 0), (1, 0), (1, 1)])]))
        == 1
    )


def test_lines_that_are_open_stay_open():
    arcs = unique_arcs(np.array([LineString([(0, 0), (1, 0), (2, 0)]), LineString([(2, 0), (3, 1)])], object))
    assert [arc.wkt for arc in arcs] == ["LINESTRING (0 0, 1 0, 2 0)", "LINESTRING (2 0, 3 1)"]


@pytest.mark.parametrize(
    "lines", [[], [LineString()], [LineString([(1, 1), (1, 1)])], [LineString([(1, 1), (1, 1), (1, 1)])]]
)
def test_no_edge_makes_no_arc(lines):
    assert len(unique_arcs(np.array(lines, object))) == 0


@pytest.mark.parametrize("name", LAYERS)
def test_bundled_layers_keep_every_edge_once(name):
    check_arcs(rings_of(name))


@pytest.mark.parametrize("seed", range(5))
def test_random_coverages_keep_every_edge_once(seed):
    check_arcs(rings(voronoi(seed)))


grid_points = st.tuples(st.integers(0, 3), st.integers(0, 3))
grid_rings = st.lists(grid_points, min_size=3, max_size=8).filter(lambda points: len(set(points)) > 1)


@given(st.lists(grid_rings, min_size=1, max_size=5))
def test_rings_of_any_shape_keep_every_edge_once(shapes):
    lines = [LinearRing(points) for points in shapes]
    arcs = unique_arcs(np.array(lines, object))
    kept = edges(arcs)
    assert len(kept) == len(set(kept))
    assert set(kept) == set(edges(lines))
    meeting = degrees(set(kept))
    for arc in arcs:
        assert all(meeting[tuple(xy)] == 2 for xy in shapely.get_coordinates(arc)[1:-1])


# At every level


def test_arcs_still_meet_at_every_level():
    cells = voronoi(3)
    arcs = unique_arcs(rings(cells))
    arcs = shapely.segmentize(arcs, 0.01)
    moved = shapely.transform(arcs, lambda xy: xy + 0.002 * np.sin(200 * xy[:, ::-1]))
    ends = {tuple(xy) for arc in moved for xy in (arc.coords[0], arc.coords[-1])}
    for level in levels(moved):
        assert ends <= {tuple(xy) for xy in level.xy}


def test_rings_kept_whole_stay_closed():
    areas = [shapely.Point(i, 0).buffer(0.1 * i, quad_segs=100) for i in range(1, 9)]
    for level in ring_levels(rings(areas)):
        assert not level.continues.any()
        np.testing.assert_array_equal(level.xy[level.starts], level.xy[level.ends - 1])


def noisy(seed):
    """Return polygons that tile a square, with borders of many vertices."""
    dense = shapely.segmentize(voronoi(seed, 30), 0.002)
    return shapely.transform(dense, lambda xy: xy + 0.002 * np.sin(300 * xy[:, ::-1] + 2000 * xy))


def rings_at(level):
    """Return a level's rings."""
    return [LinearRing(level.xy[a:b]) for a, b in zip(level.starts, level.ends, strict=True)]


@pytest.mark.parametrize("seed", range(2))
def test_areas_leave_no_gap_at_any_level(seed):
    cells = rings(noisy(seed))
    made = ring_levels(cells)
    assert len(made) > 3
    outside = set(itertools.chain(*(edges([arc]) for arc in unique_arcs(cells))))
    outside = {edge for edge, times in Counter(edges(cells)).items() if times == 1}
    rim = {place for edge in outside for place in edge}
    for level in made:
        again = rings_at(level)
        assert len(again) == len(cells)
        once = [edge for edge, times in Counter(edges(again)).items() if times != 2]
        assert all(place in rim for edge in once for place in edge)


def test_areas_are_the_rings_as_they_were_at_the_finest_level():
    cells = rings(noisy(4))
    for before, after in zip(cells, rings_at(ring_levels(cells)[0]), strict=True):
        assert after.normalize() == before.normalize()
        assert after.is_ccw == before.is_ccw


@pytest.mark.parametrize("name", ["states", "countries"])
def test_bundled_areas_are_as_they_were_at_the_finest_level(name):
    given_rings = rings_of(name)
    after = rings_at(ring_levels(given_rings)[0])
    assert shapely.equals(shapely.polygons(after), shapely.polygons(given_rings)).all()


@given(st.lists(grid_rings.filter(lambda points: len(set(points)) > 2), min_size=1, max_size=4))
def test_rings_of_any_shape_keep_their_edges(shapes):
    before = [LinearRing(points) for points in shapes]
    after = rings_at(ring_levels(np.array(before, object))[0])
    assert Counter(edges(after)) == Counter(edges(before))


def test_no_rings_have_no_areas():
    (level,) = ring_levels(np.empty(0, object))
    assert len(level.xy) == 0
