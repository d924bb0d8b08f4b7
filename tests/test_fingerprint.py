"""Fingerprints: they change with all that shapes a map, and with nothing else."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps.features import BoundaryFeature
from forkmaps.manifest import fingerprint
from forkmaps.manifest.fingerprint import Fingerprints, job_fingerprint, set_fingerprint
from forkmaps.plan import Plan, PlannedMap
from forkmaps.projection import projection_from_cartopy, view_of
from forkmaps.raster import Band, Raster
from forkmaps.regions import Extent, Region
from forkmaps.render import Job
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.layout import Layout

LAMBERT = projection_from_cartopy("LambertConformal", {"central_longitude": -100.0})
STYLE = Style(width=4.0, height=3.0, dpi=60.0, min=0.0, max=1.0)
ROWS, COLUMNS = 160, 240
TRANSFORM = Affine(0.125, 0, -115, 0, -0.125, 50)
REGIONS = tuple(
    Region(f"r{i}{j}", Extent(-114 + 5 * i, -111 + 5 * i, 32 + 4 * j, 34.5 + 4 * j), fields={"no": i})
    for i in range(5)
    for j in range(4)
)
HOUR = Band(1, "Humidity", "%", dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC))


def raster(values=None, *, bands=(HOUR,), **options):
    if values is None:
        values = np.random.default_rng(1).random((len(bands), ROWS, COLUMNS), np.float32)
    options = {"transform": TRANSFORM, "name": "Weather", "unit": "%", "bands": bands, **options}
    return Raster(values, pyproj.CRS("EPSG:4326"), **options)


def layer(east=-90.0, *, filled=False):
    return BoundaryFeature([shapely.box(-110, 35, east, 45)], "EPSG:4326", LAMBERT, filled=filled)


DATA = SharedData(raster(), {"states": layer(), "lakes": layer(-100.0)}, LAMBERT)
LINES = {"states": Line(), "lakes": Line(color="blue")}


def plan(regions=REGIONS, *, bands=1, suffix=".png", style=STYLE, lines=LINES, folder="out"):
    jobs = [Job(region, band) for region in regions for band in range(bands)]
    maps = tuple(PlannedMap(job, Path(f"{folder}/{job.region.name}-{job.band}{suffix}")) for job in jobs)
    return Plan(maps, Path(folder), style, lines, "test")


def fingerprints(data, planned):
    return Fingerprints(data, planned).of(planned.maps)


def changed(data=DATA, now=None, *, since=None):
    """The regions whose fingerprint is another one than with `DATA` and the plan `since`."""
    since = since or plan()
    now = now or since
    before = dict(zip(names(since), fingerprints(DATA, since), strict=True))
    found = zip(names(now), fingerprints(data, now), strict=True)
    return {name for name, fingerprint in found if before[name] != fingerprint}


def names(planned):
    return [one.job.region.name for one in planned.maps]


ALL = set(names(plan()))


def with_block(rows, columns, value=0.5):
    values = DATA.raster.values.copy()
    values[0, rows, columns] = value
    return replace(DATA, rasters=raster(values))


def test_a_fingerprint_is_short_and_each_map_has_its_own():
    found = fingerprints(DATA, plan())
    assert len(set(found)) == len(REGIONS)
    assert {len(one) for one in found} == {32}


def test_nothing_changed_changes_nothing():
    assert changed() == set()
    again = SharedData(raster(), {"states": layer(), "lakes": layer(-100.0)}, LAMBERT)
    assert changed(again) == set()


def test_a_plan_of_no_maps_has_no_fingerprints():
    assert fingerprints(DATA, plan([])) == ()


def test_a_map_has_the_same_fingerprint_whatever_is_planned_beside_it():
    assert changed(now=plan(REGIONS[7:9])) == set()


# One value of the style, one region, one window


OTHER_STYLES = {
    "palette": "magma",
    "min": 0.1,
    "max": 0.9,
    "ticks": (0.5,),
    "unit": "K",
    "label": "here",
    "under": "red",
    "over": "red",
    "no_data": "gray",
    "interpolation": "linear",
    "width": 4.5,
    "height": 3.5,
    "dpi": 61.0,
    "title": "{region.name}",
    "subtitle": "x",
    "title_size": 15.0,
    "subtitle_size": 12.0,
    "label_size": 9.0,
    "font": "serif",
    "background": "yellow",
    "frame": 1.0,
    "colors": ("red", "blue"),
}


@pytest.mark.parametrize("field", [*OTHER_STYLES, "levels"])
def test_m8_one_style_value_changed_redraws_all(field):
    if field == "levels":
        other = STYLE.model_copy(update={"levels": (0.0, 0.5, 1.0), "min": None, "max": None})
    else:
        other = STYLE.model_copy(update={field: OTHER_STYLES[field]})
    assert changed(now=plan(style=other)) == ALL


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"},
        {"extent": Extent(-104, -101, 36, 38.6)},
        {"fields": {"no": 3}},
        {"extent": Extent(-400_000, 100_000, -300_000, 0), "crs": "EPSG:5070"},
    ],
)
def test_m8_one_region_changed_redraws_it_alone(change):
    regions = [replace(r, **change) if r.name == "r21" else r for r in REGIONS]
    assert changed(now=plan(regions)) == {"r21"}


@pytest.mark.parametrize(
    ("rows", "columns", "seen_by"),
    [
        (slice(65, 70), slice(100, 105), {"r22"}),  # 41.25 to 41.9 north, 102.5 to 101.9 west
        (slice(60, 110), slice(100, 105), {"r21", "r22"}),
        (slice(0, 2), slice(0, 2), set()),
        (slice(0, ROWS), slice(0, COLUMNS), ALL),
    ],
)
def test_m8_one_window_of_the_raster_changed_redraws_only_the_maps_that_see_it(rows, columns, seen_by):
    data = with_block(rows, columns)
    assert pictures_that_differ(data) == seen_by
    assert changed(data) == seen_by


def pictures_that_differ(data):
    before, after = pictures(DATA), pictures(data)
    return {name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)}


def pictures(data, style=STYLE):
    size = Layout.of(style).map_size
    views = {r.name: view_of(r, data.projection, size) for r in REGIONS}
    return {n: data.raster.sample(v, data.projection) for n, v in views.items()}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1), st.integers(1, 20))
def test_every_map_whose_picture_changes_has_another_fingerprint(row, column, size):
    data = with_block(slice(row, row + size), slice(column, column + size))
    assert pictures_that_differ(data) <= changed(data)


# The raster


def test_an_open_range_of_colors_counts_for_all_maps():
    open_ended = plan(style=STYLE.model_copy(update={"max": None}))
    inside = with_block(slice(0, 2), slice(0, 2), 0.5)
    beyond = with_block(slice(0, 2), slice(0, 2), 7.0)
    assert changed(inside, since=open_ended) == set()
    assert changed(beyond, since=open_ended) == ALL


@pytest.mark.parametrize(
    "options",
    [
        {"name": "Fog"},
        {"unit": "m"},
        {"transform": TRANSFORM @ Affine.translation(0.25, 0)},
        {"resampling": "nearest"},
        {"bands": (replace(HOUR, name="Fog"),)},
        {"bands": (replace(HOUR, unit="m"),)},
    ],
)
def test_what_maps_tell_of_the_raster_counts(options):
    assert changed(replace(DATA, rasters=raster(DATA.raster.values.copy(), **options))) == ALL


def test_the_file_that_the_raster_came_from_does_not_count():
    assert changed(replace(DATA, rasters=raster(source="next hour.tif"))) == set()


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("{valid_time:%H}", {"valid_time": dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC)}),
        ("{band.number}", {"number": 2}),
    ],
)
def test_time_and_number_of_a_band_count_where_a_title_tells_them(title, other):
    data = replace(DATA, rasters=raster(DATA.raster.values.copy(), bands=(replace(HOUR, **other),)))
    assert changed(data) == set()
    for field in ("title", "subtitle"):
        telling = plan(style=STYLE.model_copy(update={field: title}))
        assert changed(data, since=telling) == ALL


def test_the_name_of_a_raster_in_the_set_counts_where_a_title_tells_it():
    data = replace(DATA, rasters={"renamed": DATA.raster})
    assert changed(data) == set()
    for field in ("title", "subtitle"):
        assert changed(data, since=plan(style=STYLE.model_copy(update={field: "{raster.key}"}))) == ALL


def test_each_band_has_its_own_values():
    bands = (HOUR, replace(HOUR, number=2))
    data = replace(DATA, rasters=raster(bands=bands))
    values = data.raster.values.copy()
    values[1] = 0.25
    other = replace(DATA, rasters=raster(values, bands=bands))
    both = plan(bands=2)
    same = [a == b for a, b in zip(fingerprints(data, both), fingerprints(other, both), strict=True)]
    assert same == [one.job.band == 0 for one in both.maps]


# Boundaries, projection, format, versions


def test_other_boundaries_count_for_all_maps():
    for moved in (layer(-95.0), layer(filled=True)):
        data = replace(DATA, features={**DATA.features, "states": moved})
        assert changed(data) == ALL


@pytest.mark.parametrize(
    "lines",
    [
        {"lakes": LINES["lakes"], "states": LINES["states"]},
        {"states": LINES["states"]},
        {**LINES, "lakes": Line(color="blue", linewidth=2.0)},
    ],
    ids=["order", "left out", "linewidth"],
)
def test_which_boundaries_are_drawn_and_how_counts(lines):
    assert changed(now=plan(lines=lines)) == ALL


def test_boundaries_that_are_not_drawn_do_not_count():
    assert changed(replace(DATA, features={**DATA.features, "rivers": layer(-92.0)})) == set()


def test_a_layer_that_there_is_none_of_is_left_to_the_renderer_to_report():
    assert set_fingerprint(DATA, STYLE, {"sates": Line()})


def test_the_projection_counts():
    other = projection_from_cartopy("LambertConformal", {"central_longitude": -99.0})
    assert changed(replace(DATA, projection=other)) == ALL


def test_what_a_map_shows_counts_whatever_it_comes_from():
    job, band, size = Job(REGIONS[0]), HOUR, Layout.of(STYLE).map_size
    views = [view_of(region, LAMBERT, size) for region in REGIONS[:2]]
    found = {job_fingerprint("", job, view=view, band=band, values=1, suffix=".png") for view in views}
    assert len(found) == 2


def test_the_format_counts_and_the_rest_of_the_path_does_not():
    assert changed(now=plan(suffix=".webp")) == ALL
    assert changed(now=plan(suffix=".PNG")) == set()
    assert changed(now=plan(folder="else")) == set()


@pytest.mark.parametrize("version", ["__version__", "FINGERPRINT_VERSION"])
def test_the_versions_count(version, monkeypatch):
    before = set_fingerprint(DATA, STYLE, LINES)
    monkeypatch.setattr(fingerprint, version, 99)
    assert set_fingerprint(DATA, STYLE, LINES) != before


def test_settings_of_matplotlib_that_change_pictures_count_and_others_do_not():
    before = set_fingerprint(DATA, STYLE, LINES)
    with mpl.rc_context({"xtick.direction": "in"}):
        assert set_fingerprint(DATA, STYLE, LINES) != before
    with mpl.rc_context({"webagg.port": 8000, "image.cmap": "magma"}):
        assert set_fingerprint(DATA, STYLE, LINES) == before


def test_a_palette_of_the_same_name_but_other_colors_counts():
    style = STYLE.model_copy(update={"palette": "ours"})
    found = set()
    for name in ("magma", "viridis"):
        mpl.colormaps.register(mpl.colormaps[name], name="ours")
        try:
            found.add(set_fingerprint(DATA, style, LINES))
        finally:
            mpl.colormaps.unregister("ours")
    assert len(found) == 2
