"""Maps in one call, with a user's own function: on the map, or in place of it."""

import functools
import os

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine
from matplotlib.figure import Figure
from PIL import Image

from forkmaps import Style, contact_sheet, render_maps, shared_data, show_map
from forkmaps.errors import DrawingError, RegionError, StyleError
from forkmaps.plotter import plotter_of
from forkmaps.projection import MapProjection
from forkmaps.raster import Band, Raster
from forkmaps.regions import Extent, Region
from forkmaps.regions.given import regions_of
from forkmaps.shared import SharedData

LONLAT = ccrs.PlateCarree()
SMALL = Style(width=3.0, height=2.4, dpi=50.0, min=0, max=600, title="")
REGIONS = {"plains": (-106, -94, 36, 44), "north": (-104, -96, 42, 46), "south": (-104, -96, 32, 36)}


@pytest.fixture(scope="module")
def shared():
    values = np.arange(600, dtype=np.float32).reshape(1, 20, 30)
    transform = Affine(20 / 30, 0, -110, 0, -1, 50)
    return shared_of(Raster(values, pyproj.CRS("OGC:CRS84"), transform, name="Height", unit="m"))


def shared_of(raster):
    return SharedData({"height": raster}, {}, MapProjection(ccrs.LambertConformal(central_longitude=-100)))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def drawn(shared, folder, draw=None, regions=REGIONS, **options):
    options = {"workers": 2, "show_progress": False, "style": SMALL} | options
    return render_maps(shared, regions, draw, out=folder, **options)


def test_letters_that_the_font_lacks_are_reported(shared, tmp_path):
    def draw(axes, shared, region):
        axes.text(-100, 40, f"東京 {region.name}", transform=LONLAT)

    (remark,) = drawn(shared, tmp_path, draw).warnings
    assert "lacks characters of a text" in remark.text
    assert remark.maps == 3


class TestRegions:
    def test_sides_by_name_are_degrees(self):
        (region,) = regions_of({"Fiji": (176, -178, -20, -15)})
        assert region == Region("Fiji", Extent(176, 182, -20, -15))

    def test_a_file_is_a_region_list(self, tmp_path):
        path = tmp_path / "list.csv"
        path.write_text("name,west,east,south,north\nplains,-106,-94,36,44\n")
        assert [region.name for region in regions_of(path)] == ["plains"]

    @pytest.mark.parametrize("sides", [(1, 2, 3), "abcd", (0, 1, 95, 99), (0, 1, 5, 4), None])
    def test_wrong_sides_are_named(self, sides):
        with pytest.raises(RegionError, match='region "here": '):
            regions_of({"here": sides})


class TestPlotterOf:
    @pytest.mark.parametrize(
        ("function", "on_map", "takes_band"),
        [
            (lambda axes, shared, region: None, True, False),
            (lambda axes, shared, region, band: None, True, True),
            (lambda axes, shared, region, *, band, color="red": None, True, True),
            (lambda region: None, False, False),
            (lambda region, band: None, False, True),
            (lambda region, size=3: None, False, False),
            (lambda *everything: None, True, False),
            (functools.partial(lambda color, axes, shared, region: None, "red"), True, False),
        ],
    )
    def test_sees_how_a_function_wants_to_be_called(self, function, on_map, takes_band):
        plotter = plotter_of(function)
        assert (plotter.on_map, plotter.takes_band) == (on_map, takes_band)

    @pytest.mark.parametrize(
        "function",
        [lambda: None, lambda a, b: None, lambda a, b, c, d: None, lambda region, *, color: None, 3],
    )
    def test_refuses_others(self, function):
        with pytest.raises(DrawingError, match=r"it should take \(axes, shared, region\)"):
            plotter_of(function)

    def test_refuses_a_function_of_axes_alone(self):
        def contours(axes):
            pass

        with pytest.raises(DrawingError, match=r"contours\(axes\) would be called with a region; it"):
            plotter_of(contours)


class TestOnTheMap:
    def test_a_closure_adds_to_each_map(self, shared, tmp_path):
        color = (1.0, 0.0, 1.0)

        def draw(axes, shared, region):
            axes.plot(
                [-100],
                [(region.extent.south + region.extent.north) / 2],
                "s",
                ms=9,
                c=color,
                transform=LONLAT,
            )

        assert drawn(shared, tmp_path / "own", draw).maps == 3
        assert drawn(shared, tmp_path / "plain").maps == 3
        for name in REGIONS:
            own, plain = pixels(tmp_path / "own" / f"{name}.png"), pixels(tmp_path / "plain" / f"{name}.png")
            changed = (own != plain).any(axis=2)
            assert 20 < changed.sum() < 200
            assert (own[changed] == (255, 0, 255)).all(axis=1).any()

    def test_same_bytes_with_workers_and_without(self, shared, tmp_path):
        def draw(axes, shared, region):
            axes.contour(shared.x, shared.y, shared.data[0], levels=[100, 300], transform=LONLAT)

        for workers in (0, 1, 3):
            drawn(shared, tmp_path / str(workers), draw, workers=workers)
        for name in REGIONS:
            assert len({(tmp_path / str(w) / f"{name}.png").read_bytes() for w in (0, 1, 3)}) == 1

    def test_is_told_the_band(self, tmp_path):
        values = np.zeros((2, 20, 30), np.float32)
        bands = [Band(1, "first"), Band(2, "second")]
        raster = Raster(values, pyproj.CRS("OGC:CRS84"), Affine(20 / 30, 0, -110, 0, -1, 50), bands=bands)

        def draw(axes, shared, region, band):
            axes.set_title(band.name)

        titled = SMALL.model_copy(update={"title": "{band.name}"})
        drawn(
            shared_of(raster),
            tmp_path / "own",
            draw,
            file="{band.number}.png",
            regions={"a": REGIONS["plains"]},
            style=titled.model_copy(update={"title": "x"}),
        )
        drawn(
            shared_of(raster),
            tmp_path / "plain",
            file="{band.number}.png",
            regions={"a": REGIONS["plains"]},
            style=titled,
        )
        for number in (1, 2):
            name = f"{number}.png"
            np.testing.assert_array_equal(pixels(tmp_path / "own" / name), pixels(tmp_path / "plain" / name))

    def test_one_that_fails_stops_no_other(self, shared, tmp_path):
        def draw(axes, shared, region):
            if region.name == "north":
                raise KeyError("no station in the north")

        report = drawn(shared, tmp_path, draw)
        assert (report.maps, report.failed) == (2, 1)
        assert "no station in the north" in report.failures[0].error
        assert 'raise KeyError("no station' in report.failures[0].traceback
        assert sorted(path.name for path in tmp_path.glob("*.png")) == ["plains.png", "south.png"]

    def test_is_drawn_again_as_nothing_tells_whether_it_changed(self, shared, tmp_path):
        assert drawn(shared, tmp_path, lambda axes, shared, region: None).maps == 3
        assert drawn(shared, tmp_path, lambda axes, shared, region: None).maps == 3
        assert drawn(shared, tmp_path, lambda axes, shared, region: None, only_failed=True).maps == 0

    def test_a_write_to_shared_values_fails_the_map_only(self, shared, tmp_path):
        def draw(axes, shared, region):
            shared.raster.values[0, 0, 0] = 1

        report = drawn(shared, tmp_path, draw)
        assert report.failed == 3
        assert "read-only" in report.failures[0].error


class TestInPlaceOfTheMap:
    def test_draws_a_figure_from_the_processs_shared_data(self, shared, tmp_path):
        def draw(region):
            figure = Figure(figsize=(2, 1), dpi=50)
            figure.text(0, 0, f"{region.name} {shared_data().raster.name}")
            figure.patch.set_facecolor("red" if region.name == "north" else "blue")
            return figure

        assert drawn(shared, tmp_path, draw).maps == 3
        assert pixels(tmp_path / "north.png").shape == (50, 100, 3)
        assert (pixels(tmp_path / "north.png")[0, 0] == (255, 0, 0)).all()
        assert (pixels(tmp_path / "south.png")[0, 0] == (0, 0, 255)).all()

    def test_draws_with_pyplot_and_leaves_the_figure_to_us(self, shared, tmp_path):
        def draw(region):
            import matplotlib.pyplot as plt

            plt.figure(figsize=(2, 1), dpi=50, facecolor="lime")
            plt.axes(projection=ccrs.PlateCarree()).set_extent(list(REGIONS[region.name]))
            assert plt.get_fignums() == [1]

        assert drawn(shared, tmp_path, draw).maps == 3
        assert (pixels(tmp_path / "north.png")[0, 0] == (0, 255, 0)).all()

    def test_what_is_no_drawing_is_refused(self, shared, tmp_path):
        report = drawn(shared, tmp_path, lambda region: 7)
        assert report.failed == 3
        assert "returned 7, which is no drawing" in report.failures[0].error


def test_a_wrong_option_draws_nothing(shared, tmp_path):
    told = r'there is no option "worker"; did you mean "workers"\?; there are workers, timeout, .*style'
    with pytest.raises(TypeError, match=told):
        drawn(shared, tmp_path / "out", worker=3)
    with pytest.raises(TypeError, match=r'did you mean "style"\?'):
        drawn(shared, tmp_path / "out", styl=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"style": {"palette": "Reds"}},
            r"style: a Style is needed, not \{'palette': 'Reds'\}; write Style\(palette='Reds'\)",
        ),
        (
            {"style": {"t": Style(palette="Reds"), "rain": Style()}},
            r"a call for each raster .*, with rasters='t', style=Style\(palette='Reds'\)",
        ),
        ({"style": {}}, r'not \{\}; write Style\(palette="viridis"\)'),
        ({"lines": {"square": 0.3}}, r'lines: layer "square": a Line is needed, not 0.3; write Line\(linew'),
        ({"lines": {"square": {"color": "red"}}}, r"write Line\(color='red'\)"),
        ({"lines": ["square"]}, "lines: a Line by each layer's name is needed, not "),
    ],
)
def test_a_style_or_lines_of_something_else_draw_nothing(shared, tmp_path, given, told):
    with pytest.raises(StyleError, match=told):
        drawn(shared, tmp_path / "out", **given)
    with pytest.raises(StyleError, match=told):
        show_map(shared, {"north": REGIONS["north"]}, **given)
    with pytest.raises(StyleError, match=told):
        contact_sheet(shared, REGIONS, **given)
    assert not (tmp_path / "out").exists()


def test_sides_without_a_name_are_shown_whole(shared):
    with pytest.raises(RegionError, match=r"^\(-85, -80, 38, 42\) is no region; give .*name: \(west, east"):
        show_map(shared, (-85, -80, 38, 42))


def test_a_contact_sheet_takes_sides_by_name(shared):
    [page] = contact_sheet(shared, {"north": REGIONS["north"]}, workers=0, show_progress=False).pages
    assert page.std() > 0


def test_shares_what_it_is_given_not_what_was_loaded_last(shared, tmp_path):
    other = shared_of(
        Raster(shared.raster.values * 0, shared.raster.crs, shared.raster.transform, name="Other")
    )

    def draw(region):
        assert shared_data().raster.name == "Other"
        return np.zeros((4, 4, 3), np.uint8)

    assert drawn(other, tmp_path, draw).maps == 3
    assert os.listdir(tmp_path)
