"""A renderer's pictures: what they show of odd data and odd titles, and that only job and style make them."""

import base64
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from xml.etree import ElementTree

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from PIL import Image

from forkmaps.errors import FeatureError, StyleError
from forkmaps.features import BoundaryFeature
from forkmaps.projection import MapProjection
from forkmaps.raster import Band, Raster
from forkmaps.regions import Extent, Region
from forkmaps.render import Job, Renderer, template_fields
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style

CONIC = ccrs.LambertConformal(central_longitude=-100)
PLAINS = Region("plains", Extent(-106, -94, 36, 44), title="The plains", fields={"state": "KS"})
NORTH = Region("north", Extent(-104, -96, 42, 46))
SMALL = {"width": 4.0, "height": 3.0, "dpi": 60.0, "min": 0.0, "max": 600.0}
LINES = {"square": Line(linewidth=1.0)}


def rising(rows=20, columns=30):
    """Values that rise by 1 from cell to cell; two cells without data in the middle."""
    values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    values[rows // 2, columns // 2 : columns // 2 + 2] = np.nan
    return values


def data_of(*bands, crs=CONIC, bounds=(-110, 30, -90, 50), unit="m", name="Height", names=()):
    values = np.stack(bands).astype(np.float32)
    west, south, east, north = bounds
    rows, columns = values.shape[1:]
    transform = Affine((east - west) / columns, 0, west, 0, -(north - south) / rows, north)
    described = [Band(i + 1, band, unit) for i, band in enumerate(names)]
    raster = Raster(values, pyproj.CRS("OGC:CRS84"), transform, name=name, unit=unit, bands=described)
    projection = MapProjection(crs)
    square = BoundaryFeature([shapely.box(-103, 37, -97, 45)], "OGC:CRS84", projection, filled=True)
    return SharedData(raster, {"square": square}, projection)


@pytest.fixture(scope="module")
def shared():
    return data_of(rising(), rising() / 2, names=("hour 1", "hour 2"))


def draw(shared, style=None, job=None, lines=None):
    style = style or Style(**SMALL)
    return Renderer(shared, style, lines or LINES).picture(job or Job(PLAINS)).copy()


def map_of(renderer, job=None):
    return renderer.layout.map.of(renderer.picture(job or Job(PLAINS)))[3:-3, 3:-3, :3].copy()


class TestPicture:
    def test_is_opaque_and_of_the_styles_size(self, shared):
        picture = draw(shared)
        assert picture.shape == (180, 240, 4)
        assert (picture[..., 3] == 255).all()

    @pytest.mark.parametrize("dpi", [50, 71.3, 96, 100, 144, 150, 299.9])
    def test_fills_its_box_to_the_pixel(self, dpi):
        style = Style(width=3.3, height=2.7, dpi=dpi, min=0, max=1, frame=0, no_data="red", title_size=9)
        renderer = Renderer(data_of(np.full((2, 2), np.nan), np.ones((2, 2))), style, {})
        picture = renderer.picture(Job(PLAINS))
        size, box = renderer.layout.size, renderer.layout.map
        assert picture.shape == (size.height, size.width, 4)
        rows, columns = np.nonzero((picture[..., :3] == (255, 0, 0)).all(axis=-1))
        assert (columns.min(), columns.max()) == (box.left, box.left + box.width - 1)
        assert (rows.min(), rows.max()) == (
            size.height - box.bottom - box.height,
            size.height - box.bottom - 1,
        )

    def test_shows_the_whole_region_at_its_true_aspect(self, shared):
        renderer = Renderer(shared, Style(**SMALL), LINES)
        renderer.picture(Job(PLAINS))
        (west, east), (south, north) = renderer.axes.get_xlim(), renderer.axes.get_ylim()
        corners = CONIC.transform_points(
            ccrs.PlateCarree(), np.array([-106.0, -94, -106, -94]), np.array([36.0, 36, 44, 44])
        )
        assert west <= corners[:, 0].min()
        assert corners[:, 0].max() <= east
        assert south <= corners[:, 1].min()
        assert corners[:, 1].max() <= north
        box = renderer.layout.map
        assert (east - west) / box.width == pytest.approx((north - south) / box.height)

    def test_draws_the_layers_that_are_asked_for(self, shared):
        assert (draw(shared, lines={"square": Line(color="red")}) != draw(shared, lines={})).any()

    def test_refuses_a_layer_that_there_is_none_of(self, shared):
        with pytest.raises(FeatureError, match='no boundary layer "sqare"; did you mean "square"'):
            Renderer(shared, Style(**SMALL), {"sqare": Line()})

    def test_refuses_to_fill_a_layer_without_areas(self, shared):
        lines_only = BoundaryFeature([shapely.box(0, 0, 1, 1)], "OGC:CRS84", shared.projection)
        data = SharedData(shared.raster, {"square": lines_only}, shared.projection)
        with pytest.raises(FeatureError, match="no areas to fill with red"):
            Renderer(data, Style(**SMALL), {"square": Line(fill="red")})

    def test_fills_areas_under_their_lines(self, shared):
        renderer = Renderer(shared, Style(**SMALL), {"square": Line(fill="red", color="blue", linewidth=2)})
        shown = map_of(renderer)
        assert (shown == (255, 0, 0)).all(axis=-1).mean() > 0.2
        assert (shown == (0, 0, 255)).all(axis=-1).any()

    def test_a_frame_is_drawn_around_the_map(self, shared):
        renderer = Renderer(shared, Style(**SMALL, frame=2, no_data="white"), {})
        picture = renderer.picture(Job(PLAINS))
        box = renderer.layout.map
        assert (picture[len(picture) - box.bottom - box.height // 2, box.left, :3] < 80).all()


class TestOddData:
    def test_d4_no_data_at_all_says_so(self):
        shared = data_of(np.full((20, 30), np.nan))
        renderer = Renderer(shared, Style(width=4, height=3, dpi=60, no_data="#ffffff"), {})
        shown = map_of(renderer)
        assert np.isfinite([renderer.scale.norm.vmin, renderer.scale.norm.vmax]).all()
        ink = (shown < 160).all(axis=-1)
        assert 20 < ink.sum() < 2000
        assert "no data" in renderer.vector(Job(PLAINS), "svg").decode()

    def test_d4_a_region_beside_the_raster_says_no_data(self, shared):
        renderer = Renderer(shared, Style(**SMALL, no_data="#dddddd"), {})
        away = map_of(renderer, Job(Region("away", Extent(10, 20, 40, 50))))
        assert (away == 0xDD).all(axis=-1).mean() > 0.8
        assert (away < 160).all(axis=-1).any()
        assert not (map_of(renderer) == 0xDD).all(axis=-1).all()

    def test_the_next_map_does_not_say_no_data(self, shared):
        renderer = Renderer(shared, Style(**SMALL), LINES)
        renderer.picture(Job(Region("away", Extent(10, 20, 40, 50))))
        np.testing.assert_array_equal(renderer.picture(Job(PLAINS)), draw(shared))

    @pytest.mark.parametrize("value", [0.0, 7.0, -1e30, 1e-30, 3e38])
    def test_d4_one_value_only(self, value):
        renderer = Renderer(data_of(np.full((20, 30), value)), Style(width=4, height=3, dpi=60), LINES)
        shown = map_of(renderer)
        assert renderer.scale.norm.vmin < renderer.scale.norm.vmax
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 1

    def test_d4_infinite_values_are_no_data(self):
        values = np.ones((20, 30), np.float32)
        values[:, ::3], values[:, 1::3] = np.inf, -np.inf
        renderer = Renderer(data_of(values), Style(**SMALL, no_data="red", title="{min} {max} {mean}"), {})
        red = (map_of(renderer) == (255, 0, 0)).all(axis=-1).mean()
        assert 0.5 < red < 0.8
        assert renderer.figure.texts[0].get_text() == "1.0 1.0 1.0"

    def test_d4_a_region_within_one_cell(self, shared):
        shown = map_of(
            Renderer(shared, Style(**SMALL), {}), Job(Region("dot", Extent(-99.9, -99.8, 40.1, 40.2)))
        )
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1

    def test_d4_a_region_far_larger_than_the_raster(self, shared):
        shown = map_of(
            Renderer(shared, Style(**SMALL, no_data="red"), {}), Job(Region("big", Extent(-170, -30, 5, 75)))
        )
        assert (shown == (255, 0, 0)).all(axis=-1).mean() > 0.8

    def test_a_raster_of_one_cell(self):
        assert draw(data_of(np.full((1, 1), 300.0))).shape == (180, 240, 4)

    @pytest.mark.parametrize(
        ("crs", "extent"),
        [
            (ccrs.NorthPolarStereo(), Extent(-180, 180, 85, 90)),
            (ccrs.SouthPolarStereo(), Extent(-180, 180, -90, -85)),
            (ccrs.NorthPolarStereo(), Extent(0, 90, 89, 90)),
            (ccrs.PlateCarree(), Extent(-20, 20, 85, 90)),
            (ccrs.Mercator(), Extent(-20, 20, 85, 90)),
            (CONIC, Extent(-120, -80, 85, 90)),
            (ccrs.Orthographic(0, 90), Extent(-180, 180, 85, 90)),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_d6_maps_at_the_poles(self, crs, extent):
        shared = data_of(rising(90, 180), crs=crs, bounds=(-180, -90, 180, 90))
        renderer = Renderer(shared, Style(width=4, height=3, dpi=60, no_data="red"), {})
        shown = map_of(renderer, Job(Region("pole", extent)))
        assert np.isfinite([*renderer.axes.get_xlim(), *renderer.axes.get_ylim()]).all()
        assert (shown == (255, 0, 0)).all(axis=-1).mean() < 0.9


TITLES = {
    "mathtext": "$x^",
    "TeX": r"\frac \alpha $\undefined$ 100 %",
    "right to left": "שלום עולם, مرحبا بالعالم",
    "emoji": "Rain 🌧️ and 👨‍👩‍👧 in 日本",
    "5,000 characters": "long words " * 455,
    "one long word": "W" * 5000,
    "lines": "first\nsecond\r\nthird\tfourth\u2028fifth",
    "control characters": "a\x00b\x07c\x1b[0m\ufffe\udc80",
    "combining": "Z\u0351\u036b\u0343\u036a\u0302A\u030aLGO " * 20,
    "empty": " \n ",
}


class TestTexts:
    @pytest.mark.parametrize("title", TITLES.values(), ids=TITLES.keys())
    def test_d10_any_title_stays_inside(self, shared, title):
        region = Region("odd", PLAINS.extent, title="odd", fields={"text": title})
        style = Style(**SMALL, title="{region.text}", subtitle="{region.text}")
        renderer = Renderer(shared, style, LINES)
        picture = renderer.picture(Job(region)).copy()
        strip = picture[: len(picture) - renderer.layout.map.bottom - renderer.layout.map.height - 2, :, :3]
        assert (strip[:, :5] == 255).all()
        assert (strip[:, -5:] == 255).all()
        assert (strip != 255).any() == bool(title.strip())
        plain = Job(Region("plain", PLAINS.extent, fields={"text": "Plain"}))
        np.testing.assert_array_equal(renderer.picture(plain), draw(shared, style, plain))

    @pytest.mark.parametrize("title", TITLES.values(), ids=TITLES.keys())
    @pytest.mark.parametrize("format", ["pdf", "svg"])
    def test_d10_any_title_goes_into_a_file(self, shared, title, format):
        region = Region("odd", PLAINS.extent, title="odd", fields={"text": title})
        renderer = Renderer(shared, Style(**SMALL, title="{region.text}"), LINES)
        assert len(renderer.vector(Job(region), format)) > 1000

    def test_d10_letters_that_the_font_lacks_are_told_once_a_map(self, shared, caplog):
        renderer = Renderer(shared, Style(**SMALL, title="{region.name}"), LINES)
        for name in ("Zürich Łódź", "日本 東京", "日本 京都"):
            renderer.picture(Job(Region(name, PLAINS.extent)))
            told = set(caplog.messages)
            caplog.clear()
            lacking = (
                "the font DejaVu Sans lacks characters of a text, which show as boxes; set the style's font"
            )
            assert [message.startswith(lacking) for message in told] == [True] * ("日" in name)

    def test_d10_a_title_too_long_shrinks_then_is_cut(self, shared):
        renderer = Renderer(shared, Style(**SMALL, title="{region.name}", title_size=10), {})
        shown = renderer.figure.texts[0]

        def title(name):
            renderer.picture(Job(Region(name, PLAINS.extent)))
            return shown.get_text(), shown.get_fontsize()

        assert title("x" * 10) == ("x" * 10, 10)
        text, size = title("x" * 50)
        assert text == "x" * 50
        assert 6 <= size < 10
        text, size = title("x" * 200)
        assert re.fullmatch("x{30,}…", text)
        assert size == 6
        assert title("x" * 10) == ("x" * 10, 10)

    def test_a_font_too_large_for_its_room_shows_nothing_rather_than_hang(self, shared):
        style = Style(width=2, height=4, dpi=60, title="W" * 50, title_size=100, min=0, max=1)
        assert Renderer(shared, style, {}).picture(Job(PLAINS)).shape == (240, 120, 4)

    def test_statistics_of_values_that_span_all_that_float32_holds(self):
        values = np.tile(np.array([[-3e38, 3e38]], np.float32), (20, 15))
        title = Style(**SMALL, title="{min:.0e} to {max:.0e}")
        renderer = Renderer(data_of(values), title, {})
        renderer.picture(Job(Region("inside", Extent(-101, -99, 39, 41))))
        assert renderer.figure.texts[0].get_text() == "\N{MINUS SIGN}3e+38 to 3e+38"

    def test_statistics_are_those_of_the_map(self, shared):
        renderer = Renderer(
            shared, Style(**SMALL, title="{min:.0f} {max:.0f} {mean:.1f}", interpolation="nearest"), {}
        )
        renderer.picture(Job(Region("dot", Extent(-99.9, -99.8, 40.1, 40.2))))
        assert renderer.figure.texts[0].get_text() == "285 285 285.0"
        renderer.picture(Job(Region("away", Extent(10, 20, 40, 50))))
        assert renderer.figure.texts[0].get_text() == "no data no data no data"

    def test_negative_numbers_have_a_minus_sign(self):
        shared = data_of(np.full((20, 30), -2.5))
        renderer = Renderer(shared, Style(**SMALL, title="{min:.1f}, {region.text}, north-5"), {})
        renderer.picture(Job(Region("r", PLAINS.extent, fields={"text": "2026-01-02"})))
        assert renderer.figure.texts[0].get_text() == "\N{MINUS SIGN}2.5, 2026-01-02, north-5"

    @pytest.mark.parametrize(
        ("name", "unit", "options", "label"),
        [
            ("Height", "m", {}, "Height (m)"),
            ("Height", "", {}, "Height"),
            ("", "m", {}, "hour 1 (m)"),
            ("Height", "m", {"unit": "ft"}, "Height (ft)"),
            ("Height", "m", {"unit": ""}, "Height"),
            ("Height", "m", {"label": "Elevation / m"}, "Elevation / m"),
            ("Height", "m", {"label": ""}, ""),
        ],
    )
    def test_label_under_the_color_bar(self, name, unit, options, label):
        renderer = Renderer(
            data_of(rising(), name=name, unit=unit, names=["hour 1"]), Style(**SMALL, **options)
        )
        renderer.picture(Job(PLAINS))
        assert label in [text.get_text() for text in renderer.figure.texts]

    def test_label_follows_the_band(self):
        shared = data_of(rising(), rising(), name="", names=("April", "May"))
        renderer = Renderer(shared, Style(**SMALL), {})
        april = renderer.picture(Job(PLAINS, 0)).copy()
        may = renderer.picture(Job(PLAINS, 1)).copy()
        changed = np.flatnonzero((april != may).any(axis=(1, 2)))
        assert changed.min() > len(april) - renderer.layout.tick_labels
        np.testing.assert_array_equal(renderer.picture(Job(PLAINS, 0)), april)

    def test_template_fields_of_a_job(self, shared):
        fields = template_fields(shared, Job(PLAINS, 1))
        assert fields["region.state"] == fields["state"] == "KS"
        assert fields["region.title"] == "The plains"
        assert (fields["band.name"], fields["band.number"]) == ("hour 2", 2)


# How each field is changed, what else the style then needs, and which parts of the picture change
# ("above" and "below" the map); None: the layout does, and so everything.
STYLE_CHANGES = {
    "palette": ({"palette": "turbo"}, {}, {"map", "below"}),
    "colors": ({"colors": ["red", "blue"]}, {}, {"map", "below"}),
    "levels": ({"levels": [0, 100, 600], "min": None, "max": None}, {}, {"map", "below"}),
    "min": ({"min": 100.0}, {}, {"map", "below"}),
    "max": ({"max": 500.0}, {}, {"map", "below"}),
    "ticks": ({"ticks": [150]}, {}, {"below"}),
    "unit": ({"unit": "ft"}, {}, {"below"}),
    "label": ({"label": "Elevation"}, {}, {"below"}),
    "under": ({"under": "red"}, {"min": 200.0}, {"map", "below"}),
    "over": ({"over": "red"}, {"max": 200.0}, {"map", "below"}),
    "no_data": ({"no_data": "red"}, {}, {"map"}),
    "interpolation": ({"interpolation": "linear"}, {}, {"map"}),
    "width": ({"width": 5.0}, {}, None),
    "height": ({"height": 4.0}, {}, None),
    "dpi": ({"dpi": 61.0}, {}, None),
    "title": ({"title": "Other"}, {}, {"above"}),
    "subtitle": ({"subtitle": "Other"}, {"subtitle": "One"}, {"above"}),
    "title_size": ({"title_size": 12.0}, {}, None),
    "subtitle_size": ({"subtitle_size": 8.0}, {"subtitle": "One"}, None),
    "label_size": ({"label_size": 8.0}, {}, None),
    "font": ({"font": "DejaVu Serif"}, {}, {"above", "below"}),
    "background": ({"background": "lightgray"}, {}, {"above", "below"}),
    "frame": ({"frame": 3.0}, {"frame": 0.0}, {"above", "map", "below"}),
    "padding": ({"padding": 20.0}, {}, None),
    "raster": ({"raster": False}, {}, None),
    "color_bar": ({"color_bar": False}, {}, None),
}
LINE_CHANGES = {"linewidth": {"linewidth": 3.0}, "color": {"color": "red"}, "fill": {"fill": "yellow"}}


def changed_parts(renderer, old, new):
    box = renderer.layout.map
    bottom = len(old) - box.bottom
    differs = (old != new)[:, box.left : box.left + box.width].any(axis=(1, 2))
    rows = {
        "above": differs[: bottom - box.height],
        "map": differs[bottom - box.height : bottom],
        "below": differs[bottom:],
    }
    return {part for part, changed in rows.items() if changed.any()}


class TestStyleChanges:
    def test_every_field_is_tested(self):
        assert set(STYLE_CHANGES) == set(Style.model_fields)
        assert set(LINE_CHANGES) == set(Line.model_fields)

    @pytest.mark.parametrize("field", STYLE_CHANGES)
    def test_a_changed_style_changes_the_picture_accordingly(self, shared, field):
        change, needed, parts = STYLE_CHANGES[field]
        old_style = Style(**(SMALL | needed))
        new_style = Style(**(SMALL | needed | change))
        renderer = Renderer(shared, old_style, LINES)
        old = renderer.picture(Job(PLAINS)).copy()
        new = draw(shared, new_style)
        if parts is None:
            assert new.shape != old.shape or (new != old).any()
        else:
            assert changed_parts(renderer, old, new) == parts
        np.testing.assert_array_equal(draw(shared, old_style), old)

    @pytest.mark.parametrize("field", LINE_CHANGES)
    def test_a_changed_line_changes_the_map_only(self, shared, field):
        renderer = Renderer(shared, Style(**SMALL), LINES)
        old = renderer.picture(Job(PLAINS)).copy()
        new = draw(shared, lines={"square": Line(**({"linewidth": 1.0} | LINE_CHANGES[field]))})
        assert changed_parts(renderer, old, new) == {"map"}
        np.testing.assert_array_equal(draw(shared), old)


JOBS = [
    Job(region, band) for region in (PLAINS, NORTH, Region("away", Extent(0, 9, 0, 9))) for band in (0, 1)
]
FULL = Style(**SMALL, subtitle="{min:.1f} to {max:.1f}, {band.name}", under="red", over="blue")


def digests(renderer, jobs):
    return {f"{job.region.name} {job.band}": digest(renderer.picture(job)) for job in jobs}


def digest(content):
    return hashlib.sha256(content).hexdigest()


def all_digests():
    """Of pictures and files, in a process of its own (see the test that runs this)."""
    renderer = Renderer(data_of(rising(), rising() / 2, names=("hour 1", "hour 2")), FULL, LINES)
    files = {format: digest(renderer.vector(JOBS[0], format)) for format in ("pdf", "svg")}
    return digests(renderer, JOBS) | files


class TestSameBytes:
    @pytest.mark.parametrize("seed", range(3))
    def test_whatever_was_drawn_before(self, shared, seed):
        expected = {
            name: d for job in JOBS for name, d in digests(Renderer(shared, FULL, LINES), [job]).items()
        }
        shuffled = random.Random(seed).sample(JOBS, len(JOBS))
        renderer = Renderer(shared, FULL, LINES)
        assert digests(renderer, shuffled) == expected
        assert digests(renderer, JOBS) == expected

    def test_after_a_pdf_was_written(self, shared):
        renderer = Renderer(shared, FULL, LINES)
        expected = digests(renderer, JOBS)
        renderer.vector(JOBS[1], "pdf")
        renderer.compose(JOBS[2])
        assert digests(renderer, JOBS) == expected

    def test_in_a_forked_child(self, shared):
        renderer = Renderer(shared, FULL, LINES)
        expected = digests(renderer, JOBS)
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python >= 3.12, of threads of the BLAS
            child = os.fork()
        if not child:
            try:
                found = [digests(Renderer(shared, FULL, LINES), JOBS), digests(renderer, JOBS)]
                os.write(writer, json.dumps(found).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            assert json.loads(answer.read()) == [expected, expected]
        os.waitpid(child, 0)

    def test_in_another_process(self):
        code = "import json, test_render; print(json.dumps(test_render.all_digests()))"
        folders = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        environment = os.environ | {"PYTHONPATH": folders, "PYTHONHASHSEED": "1"}
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert json.loads(answer.stdout) == all_digests()


@pytest.fixture(scope="module")
def renderer(shared):
    return Renderer(shared, Style(**SMALL, subtitle="One"), LINES)


@pytest.fixture(scope="module")
def points(renderer):
    """Left, bottom, width, height of the map in points."""
    box = renderer.layout.map
    return np.array([box.left, box.bottom, box.width, box.height]) * 72 / renderer.style.dpi


class TestVector:
    def test_svg_holds_the_raster_pixel_for_pixel_in_the_frame(self, renderer, points):
        root = ElementTree.fromstring(renderer.vector(Job(PLAINS), "svg"))
        images = list(root.iter("{http://www.w3.org/2000/svg}image"))
        image = max(images, key=lambda found: float(found.get("height")))
        height = renderer.style.height * 72
        wide, _, _, high, left, bottom = (float(n) for n in image.get("transform")[7:-1].split())
        shape = [float(image.get(side)) for side in ("width", "height")]
        assert [left, height - bottom] == pytest.approx(points[:2], abs=1e-3)
        assert [wide * shape[0], -high * shape[1]] == pytest.approx(points[2:], abs=1e-3)
        assert "pixelated" in image.get("style")
        encoded = image.get("{http://www.w3.org/1999/xlink}href").partition("base64,")[2]
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        picture = Renderer(renderer.shared, renderer.style, {}).picture(Job(PLAINS))
        np.testing.assert_array_equal(
            shown[::-1][3:-3, 3:-3, :3], renderer.layout.map.of(picture)[3:-3, 3:-3, :3]
        )

    def test_svg_clips_lines_to_the_map(self, renderer, points):
        root = ElementTree.fromstring(renderer.vector(Job(PLAINS), "svg"))
        svg = "{http://www.w3.org/2000/svg}"
        clips = {clip.get("id"): clip.find(f"{svg}rect") for clip in root.iter(f"{svg}clipPath")}
        clipped = [path for path in root.iter(f"{svg}path") if path.get("clip-path")]
        rectangles = [clips[path.get("clip-path")[5:-1]] for path in clipped]
        assert rectangles
        for rectangle in rectangles:
            found = [float(rectangle.get(side)) for side in ("x", "width", "height")]
            assert found == pytest.approx(points[[0, 2, 3]], abs=1e-3)

    def test_pdf_holds_the_raster_in_the_frame(self, renderer, points):
        content = renderer.vector(Job(PLAINS), "pdf")
        streams = [
            zlib.decompress(s) for s in re.findall(rb"stream\r?\n(x.*?)\r?\nendstream", content, re.DOTALL)
        ]
        page = next(stream for stream in streams if b"Do" in stream)
        boxes = re.findall(rb"1 0 0 1 ([\d.]+) ([\d.]+) cm\s+([\d.]+) 0 0 ([\d.]+) 0 0 cm\s+/I\d+ Do", page)
        highest = max((tuple(map(float, box)) for box in boxes), key=lambda box: box[3])
        assert highest == pytest.approx(tuple(points), abs=1e-3)

    @pytest.mark.parametrize("format", ["pdf", "svg"])
    def test_same_map_same_bytes_and_no_date(self, renderer, format):
        content = renderer.vector(Job(PLAINS), format)
        renderer.vector(Job(NORTH), format)
        assert renderer.vector(Job(PLAINS), format) == content
        assert b"forkmaps" in content
        assert b"CreationDate" not in content
        assert not re.search(rb"20\d\d-\d\d-\d\d", content)

    def test_ignores_a_users_tight_box(self, renderer):
        import matplotlib as mpl

        expected = renderer.vector(Job(PLAINS), "svg")
        with mpl.rc_context({"savefig.bbox": "tight", "svg.fonttype": "none"}):
            assert renderer.vector(Job(PLAINS), "svg") == expected

    def test_compose_gives_the_figure(self, renderer):
        figure = renderer.compose(Job(PLAINS))
        assert figure is renderer.figure
        assert figure.texts[0].get_text() == "The plains"


def test_a_picture_too_small_for_a_map(shared):
    with pytest.raises(StyleError, match=r"leaves .* for the map; make width or height larger"):
        Renderer(shared, Style(width=2, height=1.2, dpi=100), {})
