"""Windows: every cell that a picture shows is in its view's window, few others are, and the sum tells all."""

import functools

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forkmaps.errors import ProjectionError, RegionError
from forkmaps.manifest import sums, window
from forkmaps.manifest.window import Windows
from forkmaps.projection import MapProjection, Size, projection_from_text, view_of
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region

LONLAT = "EPSG:4326"
GRIDS = {
    "plains": (LONLAT, Affine(0.5, 0, -130, 0, -0.25, 55), (140, 120)),
    "globe": (LONLAT, Affine(1, 0, 0, 0, 1, -90), (180, 360)),
    "fine globe": (LONLAT, Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720)),
    "rounded cells": (LONLAT, Affine(0.70312, 0, 0, 0, -0.70312, 90), (256, 512)),
    "a turn and more": (LONLAT, Affine(1, 0, -10, 0, -1, 60), (120, 370)),
    "two turns on": (LONLAT, Affine(1, 0, 620, 0, -1, 60), (120, 80)),
    "antimeridian": (LONLAT, Affine(0.5, 0, 150, 0, -0.5, 80), (200, 160)),
    "rotated": (LONLAT, Affine(0.3, 0.1, -110, 0.1, -0.3, 40), (100, 150)),
    "albers": ("EPSG:5070", Affine(40_000, 0, -2_400_000, 0, -40_000, 3_200_000), (75, 120)),
    "polar": ("EPSG:3413", Affine(50_000, 0, -4_000_000, 0, -50_000, 4_000_000), (160, 160)),
}
PROJECTIONS = {
    "lambert": ccrs.LambertConformal(-100, 40),
    "mercator": ccrs.Mercator(),
    "plate carree": ccrs.PlateCarree(),
    "pacific": ccrs.PlateCarree(180),
    "north": ccrs.NorthPolarStereo(-60),
    "globe": ccrs.Orthographic(-100, 40),
    "robinson": ccrs.Robinson(),
    "goode": ccrs.InterruptedGoodeHomolosine(),
    "azimuthal": ccrs.LambertAzimuthalEqualArea(-90, 30),
}


@functools.cache
def grid(name, resampling="average"):
    """A raster on which each cell of a level has a value of its own."""
    crs, transform, (rows, columns) = GRIDS[name]
    values = np.arange(rows * columns, dtype=np.float32).reshape(1, rows, columns)
    return Raster(values, pyproj.CRS(crs), transform, resampling=resampling)


@functools.cache
def projection(name):
    return MapProjection(PROJECTIONS[name]) if name in PROJECTIONS else projection_from_text(name)


@st.composite
def views(draw, of):
    """A view of a region somewhere in the world, small or large."""
    west = draw(st.floats(-180, 179))
    width = draw(st.one_of(st.floats(0.01, 20), st.floats(20, 360)))
    south = draw(st.floats(-90, 89))
    north = min(south + draw(st.one_of(st.floats(0.01, 20), st.floats(20, 180))), 90.0)
    size = Size(draw(st.integers(10, 90)), draw(st.integers(10, 90)))
    try:
        return view_of(Region("r", Extent(west, west + width, south, north)), of, size)
    except (ProjectionError, RegionError):
        assume(False)


def window_mask(windows, raster, view=0):
    """The one level that a view is drawn from, and which of its cells are in the window."""
    ((level, rectangles),) = [(k, r) for k, r in windows.rectangles.items()]
    mask = np.zeros(raster.levels[level].shape[1:], bool)
    for owner, top, bottom, left, right in zip(
        rectangles.view, rectangles.top, rectangles.bottom, rectangles.left, rectangles.right, strict=True
    ):
        if owner == view:
            mask[top:bottom, left:right] = True
    return level, mask


def shown_cells(raster, level, view, of):
    shown = raster.sample(view, of)
    return np.isin(raster.levels[level][0], shown[~np.isnan(shown)])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_cell_that_is_shown_is_in_the_window(data):
    raster = grid(data.draw(st.sampled_from(sorted(GRIDS))))
    of = projection(data.draw(st.sampled_from(sorted(PROJECTIONS))))
    view = data.draw(views(of))
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    assert not (shown_cells(raster, level, view, of) & ~mask).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_change_of_a_cell_that_changes_what_is_interpolated_changes_the_sum(data):
    raster = grid(data.draw(st.sampled_from(sorted(GRIDS))), "nearest")
    of = projection(data.draw(st.sampled_from(sorted(PROJECTIONS))))
    view = data.draw(views(of))
    shown = raster.sample(view, of, interpolation="linear")
    assume(not np.isnan(shown).all())
    # A cell beside one that is shown, beyond the raster's sides too where it goes around the earth.
    rows, columns = np.nonzero(shown_cells(raster, 0, view, of))
    which = data.draw(st.integers(0, len(rows) - 1))
    row = np.clip(rows[which] + data.draw(st.integers(-1, 1)), 0, raster.shape[0] - 1)
    column = (columns[which] + data.draw(st.integers(-1, 1))) % raster.shape[1]
    changed = with_value(raster, 0, row, column, -1.0)
    assume(not np.array_equal(shown, changed.sample(view, of, interpolation="linear"), equal_nan=True))
    windows = Windows.of(raster, of, [view])
    assert windows.sums(raster, 0) != windows.sums(changed, 0)


def with_value(raster, band, row, column, value):
    values = raster.values.copy()
    values[band, row, column] = value
    return Raster(values, raster.crs, raster.transform, resampling=raster.resampling)


STATES = [
    ("plains", "lambert", Extent(-114, -109, 37, 42)),
    ("plains", "lambert", Extent(-100, -75, 30, 45)),
    ("plains", "azimuthal", Extent(-125, -115, 32, 42)),
    ("plains", "mercator", Extent(-95, -90, 30, 33)),
    ("albers", "lambert", Extent(-110, -100, 35, 42)),
    ("globe", "pacific", Extent(170, 190, -20, 0)),
    ("fine globe", "north", Extent(-60, -30, 60, 80)),
]


@pytest.mark.parametrize(("raster", "of", "extent"), STATES)
def test_a_window_is_hardly_larger_than_what_is_seen(raster, of, extent):
    raster, of = grid(raster), projection(of)
    view = view_of(Region("r", extent), of, Size(300, 200))
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    seen = shown_cells(raster, level, view, of)
    assert mask.sum() <= 1.15 * padded(seen, round(window.PAD) + 1).sum()


def padded(mask, cells):
    for axis in (0, 1):
        mask = np.logical_or.reduce([np.roll(mask, step, axis) for step in range(-cells, cells + 1)])
    return mask


def test_a_view_over_the_antimeridian_has_windows_at_both_sides_of_the_raster():
    raster, of = grid("globe"), projection("mercator")
    moved = Raster(raster.values[:, :, :], raster.crs, Affine(1, 0, -180, 0, 1, -90))
    view = view_of(Region("fiji", Extent(175, 185, -20, -12)), of, Size(100, 80))
    _, mask = window_mask(Windows.of(moved, of, [view]), moved)
    columns = np.flatnonzero(mask.any(axis=0))
    assert columns.min() == 0
    assert columns.max() == 359
    assert 10 < len(columns) < 20


def test_columns_that_the_raster_has_twice_count_at_both_of_its_ends():
    raster, of = grid("a turn and more"), projection("plate carree")
    view = view_of(Region("bight", Extent(-5, -3, 0, 1)), of, Size(60, 40))
    _, mask = window_mask(Windows.of(raster, of, [view]), raster)
    columns = np.flatnonzero(mask.any(axis=0))
    assert {6, 366} <= set(columns.tolist())
    assert len(columns) < 20


def test_a_raster_whose_longitudes_go_on_for_turns_is_found():
    raster, of = grid("two turns on"), projection("mercator")
    view = view_of(Region("plains", Extent(-95, -85, 20, 30)), of, Size(60, 60))
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    seen = shown_cells(raster, level, view, of)
    assert seen.any()
    assert not (seen & ~mask).any()


def test_pieces_of_a_view_that_lie_on_different_turns_of_the_earth_are_brought_together():
    raster, of = grid("fine globe"), projection("north")
    view = view_of(Region("chukotka", Extent(165, 200, 60, 84)), of, Size(300, 200))
    assert len(raster.cell_map(view, of).pieces) > 1
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    assert mask.sum() <= 1.5 * shown_cells(raster, level, view, of).sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 13), st.integers(1, 8), st.integers(0, 10**6))
def test_no_place_of_a_series_lies_outside_of_the_boxes_around_its_parts(orders, squares, seed):
    random = np.random.default_rng(seed)
    series = random.normal(0, 1000, (2, orders, orders)) / (1 + np.arange(orders)) ** random.integers(1, 5)
    boxes = window._boxes_of_series(series, squares).reshape(4, squares, squares)
    part = np.linspace(-1, 1, 20 * squares, endpoint=False) + 0.05 / squares
    places = np.polynomial.chebyshev.chebgrid2d(part, part, np.moveaxis(series, 0, -1))
    places = places.reshape(2, squares, 20, squares, 20)
    for axis in (0, 1):
        assert (places[axis] >= boxes[2 * axis, :, None, :, None] - 1e-9).all()
        assert (places[axis] <= boxes[2 * axis + 1, :, None, :, None] + 1e-9).all()


def test_a_view_of_a_pole_has_whole_rows():
    raster, of = grid("globe"), projection("north")
    view = view_of(Region("arctic", Extent(-180, 180, 70, 90)), of, Size(80, 80))
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    assert mask[-2].all()
    assert not mask[: 130 // 2**level].any()


def test_a_view_beside_the_raster_has_an_empty_window():
    raster, of = grid("plains"), projection("mercator")
    view = view_of(Region("europe", Extent(0, 10, 40, 50)), of, Size(100, 80))
    windows = Windows.of(raster, of, [view])
    assert windows.sums(raster, 0).tolist() == [0]


def test_no_views_have_no_windows():
    windows = Windows.of(grid("plains"), projection("mercator"), [])
    assert len(windows.sums(grid("plains"), 0)) == 0


def test_coarse_pictures_depend_on_a_coarse_level():
    raster, of = grid("fine globe"), projection("plate carree")
    view = view_of(Region("world", Extent(-180, 180, -90, 90)), of, Size(100, 50))
    level, mask = window_mask(Windows.of(raster, of, [view]), raster)
    assert level == raster.level_for(1 / raster.cell_map(view, of).largest_cell) == 2
    assert mask.all()


def some_windows(raster):
    of = projection("lambert")
    boxes = [Extent(-115, -110, 30, 35), Extent(-112, -100, 32, 40), Extent(-90, -80, 40, 45)]
    return Windows.of(raster, of, [view_of(Region("r", box), of, Size(200, 150)) for box in boxes])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 139), st.integers(0, 119), st.floats(width=32))
def test_a_changed_cell_changes_the_sums_of_the_windows_that_it_is_in_and_no_others(row, column, value):
    raster = grid("plains", "nearest")
    windows = some_windows(raster)
    changed = with_value(raster, 0, row, column, value)
    # Infinities become NaN in a raster: what counts is what is there in the end.
    differs = not np.array_equal(raster.values, changed.values)
    within = [window_mask(windows, raster, view)[1][row, column] and differs for view in range(3)]
    assert (windows.sums(raster, 0) != windows.sums(changed, 0)).tolist() == within


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(120)))
def test_values_that_change_places_change_the_sum(order):
    raster = grid("plains", "nearest")
    windows = some_windows(raster)
    changed = Raster(raster.values[:, :, order], raster.crs, raster.transform, resampling="nearest")
    for view in range(3):
        _, mask = window_mask(windows, raster, view)
        differs = bool((raster.values[0] != changed.values[0])[mask].any())
        assert (windows.sums(raster, 0)[view] != windows.sums(changed, 0)[view]) == differs


def test_sums_do_not_depend_on_the_strips_they_are_made_in_or_whether_they_are_made_together(monkeypatch):
    raster = grid("plains", "nearest")
    windows = some_windows(raster)
    one_by_one = windows.sums(raster, 0).tolist()
    monkeypatch.setattr(sums, "_SHARING_PAYS", 0)
    at_once = windows.sums(raster, 0).tolist()
    assert at_once == one_by_one
    monkeypatch.setattr(sums, "_STRIP_BYTES", 1)
    assert windows.sums(raster, 0).tolist() == at_once


@pytest.mark.parametrize("columns", [120, 119])
def test_sums_are_those_of_the_mixed_sums_of_rows_of_cells_each_weighted(columns):
    plains = grid("plains", "nearest")
    raster = Raster(plains.values[:, :, :columns], plains.crs, plains.transform, resampling="nearest")
    windows = some_windows(raster)
    values = raster.values[0].astype("<f4")
    words = np.frombuffer(values.tobytes(), "<u8" if columns == 120 else "<u4").reshape(140, -1)
    row_weights, column_weights = sums._weights(1, 140), sums._weights(2, words.shape[1])
    ((_, rectangles),) = windows.rectangles.items()
    expected = [0, 0, 0]
    for view, top, bottom, left, right in zip(
        rectangles.view, rectangles.top, rectangles.bottom, rectangles.left, rectangles.right, strict=True
    ):
        first, last = (left // 2, right // 2) if columns == 120 else (left, right)
        for row in range(top, bottom):
            row_sum = sum(int(words[row, i]) * int(column_weights[i]) for i in range(first, last))
            expected[view] += mixed(row_sum % 2**64) * int(row_weights[row])
    assert windows.sums(raster, 0).tolist() == [one % 2**64 for one in expected]


def mixed(number):
    """The first half of MurmurHash3's finalizer, on whole numbers."""
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD % 2**64
    return number ^ number >> 33


def test_a_changed_sign_counts_where_a_window_goes_around_and_has_cells_twice():
    values = np.ones((1, 180, 360), np.float32)
    crs, transform, _ = GRIDS["globe"]
    raster = Raster(values, pyproj.CRS(crs), transform, resampling="nearest")
    view = view_of(Region("world", Extent(-180, 180, 60, 80)), projection("plate carree"), Size(200, 100))
    windows = Windows.of(raster, projection("plate carree"), [view])
    ((_, rectangles),) = windows.rectangles.items()
    assert (rectangles.right - rectangles.left)[rectangles.top == rectangles.top.max()].sum() > 360
    for column in range(360):
        changed = with_value(raster, 0, 160, column, -1.0)
        assert windows.sums(raster, 0) != windows.sums(changed, 0)


def test_whole_numbers_that_change_in_every_other_column_change_the_sum():
    raster = grid("plains", "nearest")
    whole = Raster(np.ones_like(raster.values), raster.crs, raster.transform, resampling="nearest")
    windows, sums, random = some_windows(whole), set(), np.random.default_rng(0)
    for _ in range(300):
        values = whole.values.copy()
        values[0, :, 1::2] = random.integers(0, 2, (140, 60))
        sums.add(int(windows.sums(Raster(values, raster.crs, raster.transform, resampling="nearest"), 0)[0]))
    assert len(sums) == 300


def test_each_band_has_its_own_sums():
    raster = grid("plains", "nearest")
    both = Raster(np.concatenate([raster.values, raster.values + 1]), raster.crs, raster.transform)
    windows = some_windows(both)
    assert (windows.sums(both, 0) != windows.sums(both, 1)).all()
    assert (windows.sums(both, 0) == windows.sums(raster, 0)).all()


def test_weights_are_the_same_everywhere_and_odd():
    assert sums._weights(1, 2).tolist() == [9441442522235856127, 17532960557476522087]
    assert (sums._weights(2, 1000) % 2 == 1).all()
