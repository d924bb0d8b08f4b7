"""What a user's function draws on a map: as plain cartopy has it, on this map only, on the map's place."""

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forkmaps.features import BoundaryFeature
from forkmaps.plotter import plotter_of
from forkmaps.projection import MapProjection, view_of
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region
from forkmaps.render import Job, Renderer
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style

CONIC = ccrs.LambertConformal(central_longitude=-100)
LONLAT = ccrs.PlateCarree()
PLAINS = Region("plains", Extent(-106, -94, 36, 44), title="The plains")
NORTH = Region("north", Extent(-104, -96, 42, 46))
SIZE = {"width": 4.0, "height": 3.0, "dpi": 60.0}
BARE = Style(**SIZE, raster=False, frame=0, title="")
COLORED = Style(**SIZE, min=0, max=600)


@pytest.fixture(scope="module")
def shared():
    values = np.arange(600, dtype=np.float32).reshape(1, 20, 30)
    transform = Affine(20 / 30, 0, -110, 0, -1, 50)
    raster = Raster(values, pyproj.CRS("OGC:CRS84"), transform, name="Height", unit="m")
    projection = MapProjection(CONIC)
    square = BoundaryFeature([shapely.box(-103, 37, -97, 43)], "OGC:CRS84", projection)
    return SharedData(raster, {"square": square}, projection)


def renderer_of(shared, style, lines=None, draw=None):
    return Renderer(shared, style, lines, draw and plotter_of(draw))


def contours(axes, shared, region):
    axes.contour(shared.x, shared.y, shared.data[0], levels=[100, 300, 500], transform=LONLAT)


def points(axes, shared, region):
    axes.scatter([-100, -98], [40, 39], s=80, c=["red", "blue"], transform=LONLAT, label=region.name)
    axes.legend(loc="lower left")


def wind(axes, shared, region):
    lon, lat = np.meshgrid(np.linspace(-105, -95, 6), np.linspace(36, 44, 5))
    axes.barbs(lon, lat, 10 + 0 * lon, 20 + 0 * lat, transform=LONLAT, length=5)


def labels(axes, shared, region):
    axes.text(-100, 40, region.title, transform=LONLAT, clip_on=True)
    axes.gridlines(color="gray")


def plain(draw, shared, renderer):
    """The same function on axes that plain cartopy makes, drawn by matplotlib as a whole."""
    figure = Figure(figsize=(SIZE["width"], SIZE["height"]), dpi=SIZE["dpi"])
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes(renderer.axes.get_position().bounds, projection=CONIC, frameon=False)
    axes.set_aspect("auto")
    axes.set(xlim=renderer.axes.get_xlim(), ylim=renderer.axes.get_ylim(), autoscale_on=False)
    draw(axes, shared, PLAINS)
    axes.set(xlim=renderer.axes.get_xlim(), ylim=renderer.axes.get_ylim())
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("draw", [contours, points, wind, labels])
def test_looks_as_on_plain_cartopy_axes(shared, draw):
    renderer = renderer_of(shared, BARE, {}, draw)
    ours = renderer.picture(Job(PLAINS)).copy()
    theirs = plain(draw, shared, renderer)
    assert (theirs != 255).any(axis=2).sum() > 100
    np.testing.assert_array_equal(ours, theirs)


def test_stands_over_the_raster(shared):
    without = renderer_of(shared, COLORED).picture(Job(PLAINS)).copy()
    drawn = renderer_of(shared, COLORED, draw=points).picture(Job(PLAINS))
    changed = (drawn != without).any(axis=2)
    assert 100 < changed.sum() < changed.size / 4
    assert (drawn[changed] == (255, 0, 0, 255)).all(axis=1).sum() > 20


def test_lines_over_what_has_a_lower_zorder(shared):
    def filled(axes, shared, region):
        axes.contourf(
            shared.x, shared.y, shared.data[0] * 0, levels=[-1, 1], colors=["yellow"], transform=LONLAT
        )

    def count(color, zorder):
        def draw(axes, shared, region):
            filled(axes, shared, region)
            axes.collections[-1].set_zorder(zorder)

        renderer = renderer_of(shared, BARE, {"square": Line(linewidth=2, color="red")}, draw)
        return (renderer.picture(Job(PLAINS)) == color).all(axis=2).sum()

    assert count((255, 0, 0, 255), zorder=0.5) > 100
    assert count((255, 0, 0, 255), zorder=3) == 0


def test_nothing_is_left_on_the_next_map(shared):
    def draw(axes, shared, region):
        if region is PLAINS:
            axes.plot([-100, -98], [40, 39], transform=LONLAT)
            axes.set_facecolor("red")
            axes.patch.set_visible(True)
            axes.figure.text(0.1, 0.1, "beside the map")

    renderer = renderer_of(shared, COLORED, draw=draw)
    first = renderer.picture(Job(PLAINS)).copy()
    north = renderer.picture(Job(NORTH)).copy()
    np.testing.assert_array_equal(north, renderer_of(shared, COLORED).picture(Job(NORTH)))
    np.testing.assert_array_equal(renderer.picture(Job(PLAINS)), first)


def test_keeps_the_map_in_its_place(shared):
    def draw(axes, shared, region):
        axes.set_global()
        axes.set_position([0, 0, 0.1, 0.1])

    drawn = renderer_of(shared, COLORED, draw=draw).picture(Job(PLAINS))
    np.testing.assert_array_equal(drawn, renderer_of(shared, COLORED).picture(Job(PLAINS)))


def test_its_title_takes_the_place_of_the_styles(shared):
    def draw(axes, shared, region):
        axes.set_title("Mine")

    titled = renderer_of(shared, COLORED.model_copy(update={"title": "Mine"})).picture(Job(PLAINS))
    np.testing.assert_array_equal(renderer_of(shared, COLORED, draw=draw).picture(Job(PLAINS)), titled)


def test_its_settings_end_with_it(shared):
    import matplotlib as mpl

    def draw(axes, shared, region):
        mpl.rcParams["font.size"] = 30

    before = mpl.rcParams["font.size"]
    renderer_of(shared, COLORED, draw=draw).picture(Job(PLAINS))
    assert mpl.rcParams["font.size"] == before


def test_an_accidental_write_is_refused(shared):
    def draw(axes, shared, region):
        shared.data[0, 0, 0] = 1.0

    with pytest.raises(ValueError, match=r"view|read-only"):
        renderer_of(shared, COLORED, draw=draw).picture(Job(PLAINS))


@pytest.mark.parametrize("format", ["pdf", "svg"])
def test_goes_into_vector_files(shared, format):
    with_it = renderer_of(shared, COLORED, draw=wind)
    content = with_it.vector(Job(PLAINS), format)
    assert len(content) > len(renderer_of(shared, COLORED).vector(Job(PLAINS), format)) + 500
    with_it.picture(Job(NORTH))
    assert with_it.vector(Job(PLAINS), format) == content


def test_what_a_function_left_on_the_figure_when_it_failed_is_not_on_the_next_map(shared):
    def draw(axes, shared, region):
        axes.figure.text(0.5, 0.5, f"beside {region.name}")
        if region is PLAINS:
            raise ValueError("no wind here")

    renderer = renderer_of(shared, BARE, {}, draw)
    with pytest.raises(ValueError, match="no wind"):
        renderer.vector(Job(PLAINS), "svg")
    alone = renderer_of(shared, BARE, {}, draw).vector(Job(NORTH), "svg")
    assert renderer.vector(Job(NORTH), "svg") == alone


@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:5070"])
def test_what_is_drawn_at_the_rasters_coordinates_lies_on_it(crs):
    wide = {"OGC:CRS84": (1.0, -110.0, 50.0), "EPSG:5070": (1e5, -1.5e6, 3e6)}
    cell, west, north = wide[crs]
    values = np.full((1, 20, 30), np.nan, np.float32)
    values[0, 8:12, 12:18] = 1.0
    raster = Raster(values, pyproj.CRS(crs), Affine(cell, 0, west, 0, -cell, north))
    data = SharedData(raster, {}, MapProjection(CONIC))

    def draw(axes, shared, region):
        block = shared.in_view(axes)[0].fillna(0)
        axes.contourf(block.x, block.y, block, [0.5, 2], colors=["red"], transform=shared.crs)

    renderer = renderer_of(data, Style(**SIZE, min=0, max=2, frame=0), draw=draw)
    region = Region("plains", Extent(-110, -85, 30, 50))
    red = renderer.layout.map.of((renderer.picture(Job(region)) == (255, 0, 0, 255)).all(axis=2))
    seen = raster.sample(view_of(region, data.projection, renderer.layout.map_size), data.projection) == 1
    assert seen.sum() > 300
    np.testing.assert_allclose(np.argwhere(red).mean(axis=0), np.argwhere(seen).mean(axis=0), atol=1.5)


@pytest.mark.parametrize("crs", [CONIC, LONLAT, ccrs.Mercator()])
def test_padding_has_room_for_the_labels_of_gridlines(shared, crs):
    style = Style(width=6, height=5, dpi=80, title="T", subtitle="S", padding=35)
    lines = []

    def draw(axes, shared, region):
        lines.append(axes.gridlines(draw_labels=True))

    projected = SharedData(shared.raster, {}, MapProjection(crs))
    renderer = renderer_of(projected, style, {}, draw)
    renderer.picture(Job(PLAINS))
    labels = [label.get_window_extent() for label in lines[0].label_artists if label.get_visible()]
    texts = [text.get_window_extent() for text in renderer.figure.texts]
    bar = renderer.layout.color_bar
    assert len(labels) > 8
    for box in labels:
        assert 0 <= box.x0 < box.x1 <= 480
        assert bar.bottom + bar.height <= box.y0 < box.y1 <= 400
        assert not any(box.overlaps(text) for text in texts)
