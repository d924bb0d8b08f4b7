"""Levels of detail, and what a view meets: held against distances and brute force."""

from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, box

from forkmaps.features.arcs import unique_arcs
from forkmaps.features.linework import RUN_SEGMENTS, levels
from forkmaps.regions import Extent

BOUNDARIES = Path(__file__).resolve().parents[1] / "data" / "boundaries"


def rings_of(name):
    """Return all rings of a bundled layer."""
    wkb = pyogrio.raw.read(BOUNDARIES / f"{name}.shp", columns=[])[2]
    return rings(shapely.from_wkb(wkb))


def rings(polygons):
    return shapely.get_rings(shapely.get_parts(np.asarray(polygons, object)))


def wiggly(seed, vertices=3000):
    """Return a random walk that drifts 1,000 to the east: a coastline of sorts."""
    steps = np.random.default_rng(seed).normal(scale=0.2, size=(vertices, 2))
    return LineString(np.cumsum(steps + np.array([1000 / vertices, 0]), axis=0))


# Levels of detail


def joined(level):
    """Return all of a level's lines as one geometry, made run by run."""
    runs = [level.xy[start:end] for start, end in zip(level.starts, level.ends, strict=True)]
    return shapely.multilinestrings([LineString(run) for run in runs])


def farthest(line, level_lines):
    """Return the largest distance from a line, at a hundred places of each edge, to lines, and back."""
    return max(
        shapely.hausdorff_distance(line, level_lines, densify=0.01),
        shapely.hausdorff_distance(level_lines, line, densify=0.01),
    )


@pytest.mark.parametrize("seed", range(2))
def test_levels_hold_their_tolerance(seed):
    line = wiggly(seed, vertices=800)
    made = levels(np.array([line], object))
    assert len(made) >= 4
    for level in made:
        simpler = joined(level)
        places = shapely.points(shapely.segmentize(line, 0.2).coords)
        assert shapely.distance(places, simpler).max() <= level.tolerance + 1e-9
        assert shapely.hausdorff_distance(simpler, line) <= level.tolerance + 1e-9


def test_levels_are_ever_coarser_and_the_finest_is_exact():
    line = wiggly(1)
    made = levels(np.array([line], object))
    assert made[0].tolerance == 0.0
    assert joined(made[0]).equals(line)
    assert all(type(level.tolerance) is float for level in made)
    tolerances, counts = [lv.tolerance for lv in made], [len(lv.xy) for lv in made]
    assert tolerances == sorted(set(tolerances))
    assert all(counts[i + 1] <= 0.8 * counts[i] for i in range(len(counts) - 1))


@pytest.mark.parametrize("name", ["states"])
def test_levels_of_bundled_layers_hold_their_tolerance(name):
    arcs = unique_arcs(rings_of(name))
    arcs = arcs[~shapely.is_closed(arcs)]
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(arcs, 0.05)))
    for level in levels(arcs):
        tree = shapely.STRtree(shapely.get_parts(joined(level)))
        _, distance = tree.query_nearest(points, return_distance=True, all_matches=False)
        assert distance.max() <= level.tolerance * (1 + 1e-9) + 1e-12


def test_an_island_vanishes_only_where_it_is_smaller_than_the_tolerance():
    sizes = 10.0 ** np.arange(-4, 1, 0.25)
    islands = [shapely.Point(10 * i, 0).buffer(size / 2) for i, size in enumerate(sizes)]
    frame = LineString([(-500, -500), (500, 300)])
    made = levels(np.array([frame, *(island.exterior for island in islands)], object))
    assert made[-1].tolerance > 0.3
    for level in made:
        drawn = joined(level)
        for island, size in zip(islands, sizes, strict=True):
            if drawn.distance(island) > 0:
                assert size <= level.tolerance
            else:
                assert (
                    farthest(island.exterior, drawn.intersection(island.buffer(1))) <= level.tolerance + 1e-9
                )


def test_lines_of_one_place_have_only_the_exact_level():
    assert len(levels(np.array([LineString([(5, 5), (5, 5)])], object))) == 1
    assert [len(level.xy) for level in levels(np.array([], object))] == [0]


def test_a_far_vertex_does_not_make_levels_coarse():
    lines = [wiggly(seed) for seed in range(4)]
    near = levels(np.array(lines, object))
    far = levels(np.array([*lines, LineString([(0, 0), (1e9, 1e9)])], object))
    assert far[1].tolerance == pytest.approx(near[1].tolerance, rel=0.01)


# What a view meets


@st.composite
def extents(draw):
    """An extent about a wiggly line: of its vertices and sides, some exactly on them."""
    west, south = draw(st.floats(-50, 1050)), draw(st.floats(-40, 40))
    return Extent(west, west + draw(st.floats(0.01, 500)), south, south + draw(st.floats(0.01, 50)))


LINES = np.array([*(wiggly(seed, 700) for seed in range(4)), LineString([(0, 0), (1, 1)])], object)
LEVELS = levels(LINES)


def segments(xy, begins):
    """Return the segments of lines as rows x0, y0, x1, y1."""
    is_first = np.zeros(len(xy) + 1, bool)
    is_first[begins] = True
    is_first[-1] = True
    goes_on = ~is_first[1:]
    return np.column_stack([xy[:-1], xy[1:]])[goes_on[:-1]]


@settings(max_examples=60)
@given(extents(), st.sampled_from(LEVELS))
def test_a_view_gets_every_segment_that_meets_it(extent, level):
    found = {tuple(row) for row in segments(*level.in_view(extent))}
    everything = segments(*level.whole)
    lines = shapely.linestrings(everything.reshape(-1, 2, 2))
    meets = shapely.intersects(lines, box(extent.west, extent.south, extent.east, extent.north))
    assert {tuple(row) for row in everything[meets]} <= found
    assert found <= {tuple(row) for row in everything}


@settings(max_examples=60)
@given(extents(), st.sampled_from(LEVELS))
def test_a_line_in_view_is_broken_only_where_runs_are_left_out(extent, level):
    xy, begins = level.in_view(extent)
    taken = segments(xy, begins)
    after = {tuple(row[:2]): tuple(row) for row in segments(*level.whole)}
    last = [tuple(xy[i - 1]) for i in begins[1:]]
    for place in last:  # where a line ends, the run after it is out of view (or there is none)
        if place in after:
            assert after[place] not in {tuple(row) for row in taken}


def test_the_whole_of_a_level_is_its_lines():
    xy, begins = LEVELS[0].whole
    assert len(begins) == len(LINES)
    np.testing.assert_array_equal(xy, shapely.get_coordinates(LINES))


def test_a_view_beside_the_lines_gets_nothing():
    xy, begins = LEVELS[0].in_view(Extent(1e6, 2e6, 0, 1))
    assert xy.shape == (0, 2)
    assert begins.shape == (0,)


def test_runs_are_short():
    assert (LEVELS[0].ends - LEVELS[0].starts).max() == RUN_SEGMENTS + 1
