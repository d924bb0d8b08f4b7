"""Contact sheets: the maps of a set, small, where they belong, with their pixels as they were drawn."""

import dataclasses
import datetime as dt
import os
import signal
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from forkmaps.errors import DrawingError, OutputError, PoolError
from forkmaps.mapset import read_mapset
from forkmaps.plotter import plotter_of
from forkmaps.raster import Band
from forkmaps.regions import Region
from forkmaps.render import Renderer
from forkmaps.sheet import ContactSheet, contact_sheet
from forkmaps.sheet.arrangement import Arrangement, cell_style
from forkmaps.sheet.cells import CellDrawer
from forkmaps.sheet.space import Space
from forkmaps.sheet.table import Table, _band_labels
from forkmaps.style import Style
from forkmaps.style.layout import Layout
from small import SET, make_set


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A set of two regions and three bands: its shared data and its plan."""
    text = SET.replace("{region.name}", "{region.name}-{band.number}")
    mapset = read_mapset(make_set(tmp_path_factory.mktemp("set"), text, bands=3))
    shared, regions = mapset.load()
    return shared, mapset.plan(shared, regions)


def sheet(shared, plan, **options):
    return contact_sheet(shared, plan, **{"show_progress": False, "workers": 2, **options})


def some(plan, regions=2, bands=3):
    """A plan of the first regions and bands."""
    names = [one.job.region.name for one in plan.maps[::3]][:regions]
    maps = [one for one in plan.maps if one.job.region.name in names and one.job.band < bands]
    return dataclasses.replace(plan, maps=tuple(maps))


def many(plan, regions):
    """A plan of many regions at one band."""
    first = plan.maps[0]
    jobs = [
        dataclasses.replace(first.job, region=dataclasses.replace(first.job.region, name=f"r{i}", title=""))
        for i in range(regions)
    ]
    return dataclasses.replace(plan, maps=tuple(dataclasses.replace(first, job=job) for job in jobs))


def arranged(shared, plan, **options):
    table = Table.of(shared, [one.job for one in plan.maps])
    return table, Arrangement.of(table, plan.style, **{"title": "a title", **options})


def test_each_map_is_the_one_that_the_renderer_draws_pixel_for_pixel(loaded):
    shared, plan = loaded
    drawn = sheet(shared, plan, title="a title")
    table, arrangement = arranged(shared, plan)
    (page,) = drawn.pages
    drawer = CellDrawer(shared, plan, table, arrangement.cell)
    renderer = Renderer(shared, cell_style(plan.style, arrangement.cell), drawer.lines)
    assert len(arrangement.pages[0].boxes) == 6
    for place, box in arrangement.pages[0].boxes.items():
        alone = framed(renderer.picture(table.cells[place]), renderer.layout.map)
        np.testing.assert_array_equal(framed(page, box), alone)


def framed(pixels, box):
    """A map's pixels and one more on each side, where half of its frame is."""
    top = len(pixels) - box.bottom - box.height
    return pixels[top - 1 : top + box.height + 1, box.left - 1 : box.left + box.width + 1, :3].copy()


def test_a_map_shows_the_extent_and_the_colors_of_the_large_one(loaded):
    shared, plan = loaded
    _, arrangement = arranged(shared, plan)
    large, small = Renderer(shared, plan.style), Renderer(shared, cell_style(plan.style, arrangement.cell))
    for renderer in (large, small):
        renderer.picture(plan.maps[0].job)
    assert small.axes.get_xlim() == pytest.approx(large.axes.get_xlim(), rel=0.02)
    assert small.axes.get_ylim() == pytest.approx(large.axes.get_ylim(), rel=0.02)
    assert (small.scale.norm.vmin, small.scale.norm.vmax) == (large.scale.norm.vmin, large.scale.norm.vmax)


def test_lines_are_thinner_than_on_the_large_map_but_less_so_than_the_map_is_small(loaded):
    shared, plan = loaded
    table, arrangement = arranged(shared, plan)
    drawer = CellDrawer(shared, plan, table, arrangement.cell)
    large = Layout.of(plan.style).map.width
    thinner = drawer.lines["square"].linewidth / plan.lines["square"].linewidth
    assert arrangement.cell.width / large < thinner < 1


def test_regions_are_rows_and_bands_are_columns(loaded):
    shared, plan = loaded
    _, arrangement = arranged(shared, plan)
    (page,) = arrangement.pages
    boxes = page.boxes
    assert len({boxes[0, band].bottom for band in range(3)}) == 1
    assert len({boxes[region, 1].left for region in range(2)}) == 1
    assert boxes[0, 0].left < boxes[0, 1].left < boxes[0, 2].left
    assert boxes[0, 0].bottom > boxes[1, 0].bottom
    level = [label.text for label in page.labels if not label.upright]
    upright = [label.text for label in page.labels if label.upright]
    assert upright == ["The north", "The south"]
    assert [text.split(",")[0] for text in level] == ["hour 1", "hour 2", "hour 3"]


def test_regions_of_one_name_have_a_map_each(loaded):
    shared, plan = loaded
    twins = many(some(plan, bands=1), 2)
    jobs = [
        dataclasses.replace(
            one.job, region=Region("Washington", one.job.region.extent, fields={"state": state})
        )
        for one, state in zip(twins.maps, ("Ohio", "Utah"), strict=True)
    ]
    table = Table.of(shared, jobs)
    assert [table.cells[place].region.fields["state"] for place in sorted(table.cells)] == ["Ohio", "Utah"]
    assert table.regions == ("Washington", "Washington")


@pytest.mark.parametrize(("regions", "bands", "count"), [(2, 3, 5), (1, 3, 3), (2, 1, 2)])
def test_nothing_overlaps_and_all_is_on_the_page(loaded, regions, bands, count):
    shared, plan = loaded
    _, arrangement = arranged(shared, some(plan, regions, bands))
    (page,) = arrangement.pages
    assert len(page.labels) == count
    area = Layout.of(page.style).map
    boxes = [(b.left, b.bottom, b.left + b.width, b.bottom + b.height) for b in page.boxes.values()]
    high = page.style.label_size * page.style.dpi / 72
    for label in page.labels:
        across, up = (high, label.room) if label.upright else (label.room, high)
        boxes.append((label.x - across / 2, label.y - up / 2, label.x + across / 2, label.y + up / 2))
    taken = np.array(boxes)
    assert (taken[:, :2] >= (area.left, area.bottom)).all()
    assert (taken[:, 2:] <= (area.left + area.width, area.bottom + area.height)).all()
    for n, one in enumerate(taken):
        apart = (taken[:, 2:] <= one[:2]) | (taken[:, :2] >= one[2:])
        assert apart.any(axis=1).sum() == len(taken) - 1, n


@pytest.mark.parametrize(
    ("regions", "bands", "captions"),
    [(2, 1, ["The north", "The south"]), (1, 3, ["hour 1", "hour 2", "hour 3"])],
)
def test_maps_that_differ_in_one_thing_have_their_own_label(loaded, regions, bands, captions):
    shared, plan = loaded
    _, arrangement = arranged(shared, some(plan, regions, bands))
    (page,) = arrangement.pages
    assert [label.text.split(",")[0] for label in page.labels] == captions
    assert not any(label.upright for label in page.labels)
    for label, box in zip(page.labels, page.boxes.values(), strict=True):
        assert label.x == box.left + box.width / 2
        assert label.y > box.bottom + box.height


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 1), (12, 3), (49, 5)])
def test_maps_make_nearly_a_square_without_a_single_one_in_the_last_row(count, columns):
    space = Space.of(Style(), wrapped=True)
    assert space.square(count, space.sized(3.0)) == columns


def test_of_many_maps_each_is_smaller_and_then_there_are_more_pages(loaded):
    shared, plan = loaded
    plan = dataclasses.replace(plan, style=plan.style.model_copy(update={"dpi": 100.0}))
    few, more, most = (arranged(shared, many(plan, count))[1] for count in (12, 1500, 6000))
    assert few.cell.width == 300
    assert 120 <= more.cell.width < 300
    assert len(few.pages) == len(more.pages) == 1
    assert most.cell.width == 120
    assert len(most.pages) > 1
    places = [place for page in most.pages for place in page.boxes]
    assert sorted(places) == [(number, 0) for number in range(6000)]
    for page in (*few.pages, *more.pages, *most.pages):
        assert max(Layout.of(page.style).map_size.width, Layout.of(page.style).map_size.height) <= 8000


def test_a_large_table_is_cut_in_parts_with_their_own_labels(loaded):
    shared, plan = loaded
    _, arrangement = arranged(shared, plan, cell_width=90)  # inches, at 60 pixels each: room for one in a row
    assert [list(page.boxes) for page in arrangement.pages] == [[(0, band), (1, band)] for band in range(3)]
    texts = [[label.text.split(",")[0] for label in page.labels] for page in arrangement.pages]
    assert texts[1] == ["hour 2", "The north", "The south"]


@pytest.mark.parametrize("width", [1000, 0.5, -3])
def test_a_width_that_no_page_has_is_refused(loaded, width):
    shared, plan = loaded
    with pytest.raises(DrawingError, match="cell_width"):
        sheet(shared, plan, cell_width=width)


def test_the_title_is_what_all_maps_have_in_common(loaded):
    shared, plan = loaded

    def title(plan):
        return Table.of(shared, [one.job for one in plan.maps]).title("the set")

    assert title(plan) == "Height"
    assert title(some(plan, bands=1)) == "Height, hour 1, 01 Jan 2026 06:00Z"
    assert title(some(plan, regions=1)) == "The north, Height"


def test_bands_are_told_apart_by_name_or_valid_time():
    def band(number, name, day=None):
        time = None if day is None else dt.datetime(2026, 1, day, tzinfo=dt.UTC)
        return Band(number=number, name=name, unit="K", valid_time=time)

    assert _band_labels([band(1, "a"), band(2, "b")]) == ("a", "b")
    assert _band_labels([band(1, "a", 1), band(2, "a", 2)]) == ("01 Jan 2026", "02 Jan 2026")
    assert _band_labels([band(1, "a", 1), band(2, "b", 2)]) == ("a, 01 Jan 2026", "b, 02 Jan 2026")
    assert _band_labels([band(1, "a"), band(7, "a")]) == ("band 1", "band 7")


def test_the_page_has_title_color_bar_and_labels(loaded):
    shared, plan = loaded
    full, bare = sheet(shared, plan).pages[0], sheet(shared, plan, title="").pages[0]
    assert full.shape[0] > bare.shape[0]
    _, arrangement = arranged(shared, plan)
    layout = Layout.of(arrangement.pages[0].style)
    assert len(np.unique(layout.color_bar.of(full).reshape(-1, 3), axis=0)) > 20
    for label in arrangement.pages[0].labels:
        row, column = len(full) - round(label.y), round(label.x)
        high, wide = (8, 4) if label.upright else (4, 8)
        assert full[row - high : row + high, column - wide : column + wide].min() < 128, label.text
    strip = full[: round(len(full) - layout.title + 4)]
    assert strip.min() < 128


def test_regions_alone_are_drawn_at_all_bands(loaded):
    shared, plan = loaded
    regions = [plan.maps[0].job.region, plan.maps[3].job.region]
    here = sheet(shared, regions, style=plan.style, lines=plan.lines)
    np.testing.assert_array_equal(here.pages[0], sheet(shared, plan).pages[0])


def test_a_plan_and_a_style_are_refused_together(loaded):
    shared, plan = loaded
    with pytest.raises(DrawingError, match="a plan has a style and lines of its own"):
        sheet(shared, plan, style=plan.style)


@pytest.mark.parametrize("options", [{"workers": 0}, {"start_method": "spawn"}])
def test_whoever_draws_the_sheet_is_the_same(loaded, options):
    shared, plan = loaded
    np.testing.assert_array_equal(
        sheet(shared, plan, **options).pages[0], sheet(shared, plan, start_method="fork").pages[0]
    )


def test_a_users_function_draws_on_each_map(loaded):
    shared, plan = loaded

    def cross(axes, shared, region):
        axes.plot([0, 1], [0.5, 0.5], transform=axes.transAxes, color="magenta", linewidth=4)

    drawn = sheet(shared, dataclasses.replace(plan, plotter=plotter_of(cross)))
    _, arrangement = arranged(shared, plan)
    for box in arrangement.pages[0].boxes.values():
        middle = box.of(drawn.pages[0])[box.height // 2, box.width // 2]
        assert middle.tolist() == [255, 0, 255]
    with pytest.raises(DrawingError, match="draws figures of its own"):
        sheet(shared, dataclasses.replace(plan, plotter=plotter_of(lambda region: None)))


def test_a_users_function_draws_in_memory_whatever_the_parent_draws_in(loaded):
    shared, plan = loaded

    def check(axes, shared, region):
        assert mpl.get_backend() == "agg"

    mpl.use("template")  # stands for one that draws in windows
    assert not sheet(shared, dataclasses.replace(some(plan, 1, 1), plotter=plotter_of(check))).failures
    assert mpl.get_backend() == "template"


def test_a_map_that_fails_says_so_in_its_place_and_stops_no_other(loaded):
    shared, plan = loaded
    whole = sheet(shared, plan)

    def draw(axes, shared, region, band):
        if region.name == "south" and band.number == 2:
            raise ValueError("no wind here")
        if region.name == "north" and band.number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.warns(UserWarning, match="2 of 6 maps failed") as told:
        drawn = sheet(shared, dataclasses.replace(plan, plotter=plotter_of(draw)))
    assert len(told) == 1
    assert 'region "south", band 2: ValueError: no wind here' in drawn.failures
    assert any("killed by SIGKILL" in failure for failure in drawn.failures)
    _, arrangement = arranged(shared, plan)
    for place, box in arrangement.pages[0].boxes.items():
        now, before = box.of(drawn.pages[0]), box.of(whole.pages[0])
        failed = place in ((0, 2), (1, 1))
        assert np.array_equal(now, before) is not failed
        if failed:
            reddish = (now[:, :, 0] > 150) & (now[:, :, 1] < 100) & (now[:, :, 2] < 100)
            assert reddish.any()
            assert (now == 255).mean() > 0.5


def test_maps_of_several_rasters_have_no_one_color_bar(loaded):
    shared, plan = loaded
    jobs = [plan.maps[0].job, dataclasses.replace(plan.maps[0].job, raster="other")]
    with pytest.raises(DrawingError, match="choose one raster"):
        Table.of(shared, jobs)
    with pytest.raises(DrawingError, match="the maps are none"):
        Table.of(shared, [])


def test_an_unknown_start_method_is_refused(loaded):
    with pytest.raises(PoolError, match="threads"):
        sheet(*loaded, start_method="threads")


def test_a_sheet_is_saved_as_png_or_webp_on_as_many_files_as_it_has_pages(tmp_path):
    pages = tuple(np.full((2, 3, 3), shade, np.uint8) for shade in range(12))
    assert ContactSheet(pages[:1], 72).save(tmp_path / "new" / "one.png") == (tmp_path / "new" / "one.png",)
    paths = ContactSheet(pages, 72).save(tmp_path / "many.webp")
    assert paths[:2] == (tmp_path / "many-01.webp", tmp_path / "many-02.webp")
    with Image.open(paths[11]) as picture:
        np.testing.assert_array_equal(np.asarray(picture), pages[11])
    with pytest.raises(OutputError, match=r"a \.png or \.webp file"):
        ContactSheet(pages, 72).save(tmp_path / "sheet.pdf")


def forkmaps(*arguments):
    command = [sys.executable, "-m", "forkmaps.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_the_command_draws_the_sheet_of_a_set(tmp_path):
    text = SET.replace("{region.name}", "{region.name}-{band.number}")
    path = make_set(tmp_path, text, bands=3)
    run = forkmaps("sheet", path)
    assert run.returncode == 0, run.stderr
    with Image.open(tmp_path / "out" / "set-sheet.png") as picture:
        assert f"out/set-sheet.png: {picture.width} x {picture.height} pixels" in run.stdout
    chosen = forkmaps("sheet", path, "--band", 2, "--region", "south", "--out", tmp_path / "here.webp")
    assert chosen.returncode == 0, chosen.stderr
    with Image.open(tmp_path / "here.webp") as small:
        assert small.width < picture.width
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["set-sheet.png"]


def test_a_file_that_no_sheet_can_be_is_refused_before_anything_is_read(tmp_path):
    run = forkmaps("sheet", tmp_path / "missing.toml", "--out", "sheet.pdf")
    assert run.returncode == 2
    assert "'sheet.pdf' is not the name of a .png or .webp file" in run.stderr
