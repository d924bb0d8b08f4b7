"""What shows itself in a notebook: reports, plans, regions, one map; and the progress there."""

import base64
import io
import os
import re
import subprocess
import sys
import threading
import types
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import pyproj
import pytest
from affine import Affine
from matplotlib.figure import Figure
from PIL import Image

from forkmaps import Style, plan_maps, render_maps, shared_data, show_map, sweep
from forkmaps.errors import DrawingError, OutputError, RasterError, RegionError
from forkmaps.html import SHOWN_PICTURES, SHOWN_ROWS, Markup, error, facts, link, pictures, table
from forkmaps.progress import Progress
from forkmaps.projection import MapProjection
from forkmaps.raster import Band, Raster
from forkmaps.regions import Extent, Region
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.sheet import ContactSheet

SMALL = Style(width=3.0, height=2.4, dpi=50.0, min=0, max=700, title="{region.name} {band.name}")
PLAINS = {"plains": (-106, -94, 36, 44)}
EVIL = '<script>"&'


@pytest.fixture(scope="module")
def shared():
    values = np.arange(1200, dtype=np.float32).reshape(2, 20, 30) % 600
    values[1] += 100
    raster = Raster(
        values,
        pyproj.CRS("OGC:CRS84"),
        Affine(20 / 30, 0, -110, 0, -1, 50),
        name="Height",
        unit="m",
        bands=[Band(1, "now"), Band(3, "later")],
    )
    yield SharedData({"height": raster}, {}, MapProjection(ccrs.LambertConformal(central_longitude=-100)))
    set_shared_data(None)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A notebook's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(html):
    """Parse HTML, strictly: each of our elements is closed, every text escaped."""
    return ET.fromstring(f"<html>{html}</html>".replace('style="display:block">', 'style="display:block"/>'))


def cells(html):
    return [["".join(cell.itertext()) for cell in row] for row in tree(html).iter("tr")]


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def picture_file(path, size=(600, 400), color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return str(path)


class TestHtml:
    def test_texts_are_escaped_and_markup_is_not(self):
        html = table((EVIL,), [(EVIL, Markup("<b>x</b>"))], total=1)
        assert cells(html) == [[EVIL], [EVIL, "x"]]
        assert tree(html).find(".//b").text == "x"
        assert tree(html).find(".//script") is None

    def test_a_long_list_is_cut_and_says_so(self):
        html = table(("n",), ((n,) for n in range(1000)), total=1000)
        assert len(cells(html)) == 1 + SHOWN_ROWS
        assert "and 980 more" in html
        assert "more" not in table(("n",), [(1,)] * SHOWN_ROWS, total=SHOWN_ROWS)

    def test_an_empty_list_is_nothing(self):
        assert table(("n",), [], total=0) == pictures([]) == ""

    def test_facts_without_a_value_are_left_out(self):
        assert cells(facts({"a": 0, "b": "", "c": None, "d": "x"})) == [["a", "0"], ["d", "x"]]

    def test_a_traceback_is_folded_under_its_error(self):
        folded = tree(error(f"no {EVIL}", f"in {EVIL}"))
        assert folded.find("details/summary").text == f"no {EVIL}"
        assert folded.find("details/pre").text == f"in {EVIL}"
        assert tree(error("no", "")).find("details") is None

    @pytest.mark.parametrize(
        ("path", "target"),
        [
            ("maps/a b#1.png", "maps/a%20b%231.png"),
            ("javascript:alert(1)", "javascript%3Aalert%281%29"),
            (f'"><{EVIL}', "%22%3E%3C%3Cscript%3E%22%26"),
        ],
    )
    def test_a_link_into_the_notebooks_folder_is_relative(self, path, target):
        assert tree(link(Path(path))).find("a").attrib["href"] == target
        assert tree(link(Path(path).absolute())).find("a").attrib["href"] == target

    def test_a_link_to_elsewhere_is_absolute(self):
        assert tree(link(Path("/some where/x"))).find("a").attrib["href"] == "file:///some%20where/x"

    def test_pictures_are_small_linked_and_few(self, here):
        paths = [picture_file(here / "maps" / f"{n}.png") for n in range(9)]
        links = list(tree(pictures(paths)).iter("a"))
        assert [one.attrib["href"] for one in links] == [f"maps/{n}.png" for n in range(SHOWN_PICTURES)]
        small = base64.b64decode(links[0].find("img").attrib["src"].partition("base64,")[2])
        assert pixels(small).shape == (160, 240, 3)
        assert np.abs(pixels(small).astype(int) - (255, 0, 0)).max() < 5

    def test_what_is_no_picture_is_named_only(self, here, monkeypatch):
        (here / "text.png").write_text("no picture")
        (here / "map.pdf").write_bytes(b"%PDF")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        large = picture_file(here / "large.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150_000)
        larger = picture_file(here / "larger.png")
        shown = tree(pictures(["text.png", "map.pdf", large, larger, "gone.png"]))
        assert shown.find(".//img") is None
        names = ["text.png", "map.pdf", "large.png", "larger.png", "gone.png"]
        assert [one.text for one in shown.iter("a")] == names


class TestResults:
    def test_a_region_tells_its_sides_and_columns(self):
        region = Region("Ohio", Extent(-85.2, -80.2, 38.2, 42.2), title=f"The {EVIL}", fields={"zone": 3})
        assert cells(region._repr_html_()) == [
            ["title", f"The {EVIL}"],
            *(["west", "-85.2"], ["east", "-80.2"], ["south", "38.2"], ["north", "42.2"]),
            ["crs", "degrees"],
            ["zone", "3"],
        ]
        assert 'Region "Ohio"' in unescape(region._repr_html_())

    def test_a_plan_lists_its_maps(self, shared):
        regions = [Region(f"r{n}", Extent(-104, -96, 32 + n / 10, 36 + n / 10)) for n in range(15)]
        plan = plan_maps(shared, regions, folder="out", file="{band.number}/{region.name}.png", draw=own)
        html = plan._repr_html_()
        rows = cells(html)
        assert "30 maps" in html
        assert ["drawn by", "own"] in rows
        assert ["r0", "", "1", "3/r0.png"] in rows
        assert "and 10 more" in html

    def test_a_report_shows_counts_failures_warnings_and_pictures(self, shared):
        def draw(axes, shared, region):
            if region.name == "bad":
                raise ValueError(EVIL)

        regions = {**PLAINS, "bad": PLAINS["plains"]}
        report = render_maps(
            shared, regions, draw, out="out", style=SMALL, workers=0, show_progress=False, file=FILE
        )
        html = report._repr_html_()
        rows = cells(html)
        assert rows[:4] == [["drawn", "2"], ["failed", "2"], ["unchanged", "0"], ["left", "0"]]
        failed = next(row for row in rows if row[0] == "bad")
        assert failed[1] == "1"
        assert f"ValueError: {EVIL}" in failed[2]
        assert "raise ValueError(EVIL)" in failed[2]
        assert failed[3:5] == ["error", "1"]
        images = tree(html).findall(".//img")
        assert [one.attrib["alt"] for one in images] == ["plains-1.png", "plains-3.png"]

    def test_a_report_of_3000_maps_is_short(self, shared):
        report = render_maps(
            shared, PLAINS, out="out", style=SMALL, workers=0, show_progress=False, file=FILE
        )
        many = type(report)(
            **{
                **{name: getattr(report, name) for name in type(report).__dataclass_fields__},
                "outputs": report.outputs * 1500,
            }
        )
        assert len(many._repr_html_()) < 50_000

    def test_a_sweeps_report_shows_itself(self):
        def draw(n):
            if n == 2:
                raise ValueError("not two")
            return Figure(figsize=(1, 1))

        report = sweep(draw, {"n": [1, 2]}, "out", workers=0, show_progress=False)
        rows = cells(report._repr_html_())
        assert rows[:2] == [["drawn", "1"], ["failed", "1"]]
        (failed,) = (row for row in rows if row[0] == "n=2")
        assert "not two" in failed[1]
        assert tree(report._repr_html_()).find(".//a/img").attrib["alt"] == "n=1.png"

    def test_a_contact_sheet_shows_its_pages_and_what_failed(self):
        page = np.full((900, 3000, 3), 200, np.uint8)
        page[:, 1500:] = 50
        sheet = ContactSheet((page,) * 2, 100.0, (EVIL,))
        html = sheet._repr_html_()
        first, second = tree(html).findall(".//img")
        assert (first.attrib["alt"], second.attrib["alt"]) == ("page 1", "page 2")
        data = base64.b64decode(first.attrib["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as shown:
            assert shown.size == (1000, 300)
            assert [round(shown.getpixel((x, 150))[0], -1) for x in (10, 990)] == [200, 50]
        assert ['<script>"&'] in cells(html)
        assert len(ContactSheet((page,) * 50, 100.0)._repr_html_()) < 200_000
        assert repr(sheet) == "<ContactSheet of 2 pages, 3000 x 900 pixels, 1 failed>"

    def test_what_is_said_of_thousands_of_maps_in_a_line_is_short(self, shared):
        plan = plan_maps(
            shared,
            [Region(f"r{n}", Extent(-106, -94, 36, 44)) for n in range(1000)],
            folder="out",
            file="{band.number}/{region.name}.png",
        )
        assert repr(plan) == "<Plan of maps: 2000 maps in out>"
        report = render_maps(
            shared, PLAINS, out="out", style=SMALL, workers=0, show_progress=False, file=FILE
        )
        assert re.fullmatch(r"<Report of out: 2 maps in .* 0 failed; raster read .*>", repr(report))
        swept = sweep(
            lambda n: Figure(figsize=(1, 1)), {"n": range(3)}, "swept", workers=0, show_progress=False
        )
        assert re.fullmatch(r"<SweepReport of swept: 3 figures in .* 0 failed>", repr(swept))


FILE = "{region.name}-{band.number}.png"


def own(region):
    return Figure(figsize=(1, 1))


class TestShowMap:
    @pytest.mark.parametrize("band", [1, 3])
    @pytest.mark.parametrize("draw", [None, lambda axes, shared, region: axes.set_title("mine")])
    def test_shows_the_bytes_that_render_maps_writes(self, shared, here, draw, band):
        render_maps(shared, PLAINS, draw, out="out", style=SMALL, file=FILE, workers=0, show_progress=False)
        shown = show_map(shared, PLAINS, draw, band=band, style=SMALL)
        assert shown._repr_png_() == (here / "out" / f"plains-{band}.png").read_bytes()

    def test_writes_nothing(self, shared, here):
        show_map(shared, PLAINS, style=SMALL)._repr_png_()
        assert list(here.iterdir()) == []

    def test_a_change_of_its_figure_is_shown_and_saved(self, shared, here):
        shown = show_map(shared, PLAINS, style=SMALL)
        before = pixels(shown._repr_png_())
        shown.figure.axes[0].plot(
            [-100], [40], "s", ms=9, color=(1, 0, 1), transform=ccrs.PlateCarree(), zorder=9
        )
        after = pixels(shown._repr_png_())
        changed = (before != after).any(axis=2)
        assert 20 < changed.sum() < 300
        assert (after[changed] == (255, 0, 255)).all(axis=1).any()
        assert shown.save("deep/map.png") == Path("deep/map.png")
        assert (here / "deep" / "map.png").read_bytes() == shown._repr_png_()

    @pytest.mark.parametrize(("suffix", "begin"), [(".webp", b"RIFF"), (".PDF", b"%PDF"), (".svg", b"<?xml")])
    def test_is_saved_in_each_format(self, shared, here, suffix, begin):
        path = show_map(shared, PLAINS, style=SMALL).save(here / f"map{suffix}")
        assert path.read_bytes().startswith(begin)

    def test_another_suffix_is_refused(self, shared, here):
        with pytest.raises(OutputError, match=r'map\.gif: a map can be a file \.png, .*, not "\.gif"'):
            show_map(shared, PLAINS, style=SMALL).save("map.gif")
        assert list(here.iterdir()) == []

    @pytest.mark.parametrize("band", ["later", 3, "3"])
    def test_a_band_is_one_by_number_or_name(self, shared, band):
        assert show_map(shared, PLAINS, band=band, style=SMALL)._repr_png_() != (
            show_map(shared, PLAINS, style=SMALL)._repr_png_()
        )

    def test_a_band_that_there_is_not_is_named(self, shared):
        with pytest.raises(RasterError, match=r'has no band "2".*; it has 1 now, 3 later'):
            show_map(shared, PLAINS, band=2)

    def test_a_name_of_several_bands_is_refused(self, shared):
        raster = shared.raster
        both = Raster(
            raster.values, raster.crs, raster.transform, bands=[Band(1, "height"), Band(2, "height")]
        )
        with pytest.raises(RasterError, match='"height" is the name of bands 1, 2; give one of the numbers'):
            show_map(SharedData({"x": both}, {}, shared.projection), PLAINS, band="height")

    def test_a_region_is_taken_as_render_maps_takes_it(self, shared, here):
        region = Region("plains", Extent(*PLAINS["plains"]))
        (here / "list.csv").write_text("name,west,east,south,north\nplains,-106,-94,36,44\n")
        ways = (PLAINS, region, [region], "list.csv")
        assert len({show_map(shared, way, style=SMALL)._repr_png_() for way in ways}) == 1

    def test_several_regions_are_refused(self, shared):
        regions = {f"r{n}": PLAINS["plains"] for n in range(7)}
        found = 'show_map: there are 7 regions: "r0", "r1", "r2", "r3", "r4" and 2 more; give one'
        with pytest.raises(RegionError, match=re.escape(found)):
            show_map(shared, regions)
        with pytest.raises(RegionError, match="there are no regions"):
            show_map(shared, {})

    def test_a_region_off_the_raster_is_refused(self, shared):
        with pytest.raises(RegionError, match="has nothing of the raster"):
            show_map(shared, {"Fiji": (176, 178, -20, -15)})

    def test_a_function_draws_with_pyplot_in_place_of_the_map(self, shared):
        mine = plt.figure()

        def draw(region, band):
            plt.figure(figsize=(2, 1), dpi=50, facecolor="lime").text(0, 0, shared_data().raster.name)
            assert (region.name, band.name) == ("plains", "later")

        try:
            shown = show_map(shared, PLAINS, draw, band="later")
            assert plt.get_fignums() == [mine.number]
        finally:
            plt.close(mine)
        assert pixels(shown._repr_png_()).shape == (50, 100, 3)
        assert shown.figure.texts[0].get_text() == "Height"

    def test_a_letter_that_the_font_lacks_is_worth_no_warning(self, shared, here):
        show_map(shared, {"\u6771\u4eac": PLAINS["plains"]}, style=SMALL).save(here / "map.svg")

    def test_pixels_have_no_figure(self, shared):
        shown = show_map(shared, PLAINS, lambda region: np.full((4, 5, 3), 7, np.uint8))
        assert (pixels(shown._repr_png_()) == 7).all()
        with pytest.raises(DrawingError, match="has no figure: the function that drew it returned pixels"):
            _ = shown.figure

    def test_what_a_function_raises_is_raised(self, shared):
        def draw(axes, shared, region):
            raise KeyError("no station")

        with pytest.raises(KeyError, match="no station"):
            show_map(shared, PLAINS, draw)


class TestProgress:
    def test_a_log_gets_lines(self):
        log = io.StringIO()
        with Progress(20, log) as progress:
            for _ in range(20):
                progress.step()
        lines = log.getvalue().splitlines()
        assert [line.split(",")[0] for line in lines] == [f"{n}/20 maps" for n in range(2, 21, 2)]

    def test_a_cell_gets_a_bar_and_no_thread(self, monkeypatch):
        class OutStream(io.StringIO):
            pass

        module = types.ModuleType("ipykernel.iostream")
        module.OutStream = OutStream
        monkeypatch.setitem(sys.modules, "ipykernel.iostream", module)
        before, cell = set(threading.enumerate()), OutStream()
        with Progress(3, cell, unit="panel") as progress:
            for _ in range(3):
                progress.step()
            assert set(threading.enumerate()) == before
            progress.message("a warning")
        assert "3/3 [" in cell.getvalue()
        assert "panel/s]" in cell.getvalue()
        assert "\ra warning\n" in cell.getvalue()

    @pytest.mark.skipif(os.name == "nt", reason="makes a terminal of its own")
    def test_a_terminal_gets_a_bar_and_the_process_stays_as_it_is(self):
        code = """
            import multiprocessing, os, pty, termios, threading, tqdm
            from forkmaps.progress import Progress
            ours, theirs = pty.openpty()
            termios.tcsetwinsize(theirs, (24, 80))
            interval = tqdm.tqdm.monitor_interval
            with open(theirs, "w") as terminal, Progress(3, terminal) as progress:
                progress.step()
                assert threading.active_count() == 1
                shown = os.read(ours, 10_000).decode()
                assert "0/3" in shown, shown
            assert tqdm.tqdm.monitor_interval == interval
            multiprocessing.set_start_method("spawn")
        """
        subprocess.run([sys.executable, "-c", "if True:" + code], check=True, timeout=20)
