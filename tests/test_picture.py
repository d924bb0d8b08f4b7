"""The picture is plain cartopy's: `pcolormesh` of the raster's cells and `add_feature` of the borders.

`pcolormesh` fills every pixel that a cell touches, so that of the cells under one pixel the one drawn last
shows: on the pixels along an edge the two pictures may differ, and are not compared. So that pixels remain
where cells are as small as pixels, the field has patches of equal cells, about 20 pixels wide; only the edges
of patches are edges that can be seen. What lies under each pixel exactly, whatever `pcolormesh` makes of it,
is tested on cells that all differ.
"""

from dataclasses import dataclass
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from cartopy.feature import ShapelyFeature
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from shapely.geometry import box

from forkmaps.features import BoundaryFeature
from forkmaps.projection import MapProjection, view_of
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region
from forkmaps.render import Job, Renderer
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.layout import Layout

BOUNDARIES = Path(__file__).parents[1] / "data" / "boundaries"
LONLAT = ccrs.PlateCarree()
PATCH = 20
"""Pixels: the width of a patch of equal cells."""
EDGE = 3
"""Pixels along the map's frame that are not compared."""
ROCKIES, ARCTIC = Extent(-109, -95, 35, 43), Extent(-180, 180, 68, 90)


@dataclass(frozen=True)
class Scene:
    """A map to draw twice: its projection, its region, and the grid that its raster lies on.

    `wide` and `high` are grid units per map unit, about: cells so large have `pixels` pixels a side.
    """

    crs: ccrs.Projection
    extent: Extent
    wide: float
    high: float
    grid: ccrs.Projection = LONLAT
    layer: str = "states"

    @property
    def around_pole(self):
        return self.extent.north == 90

    def transform_and_shape(self, view, pixels):
        """Return a grid that covers the view with cells about `pixels` pixels a side; (rows, columns)."""
        wide, high = self.wide * view.resolution * pixels, self.high * view.resolution * pixels
        points = self.grid.transform_points(self.crs, *np.meshgrid(*view.pixel_centers()))
        (west, south), (east, north) = points.min(axis=(0, 1))[:2], points.max(axis=(0, 1))[:2]
        if self.around_pole:
            west, east, north = -180.0, 180.0, 90.0
            wide = 360 / round(360 / wide)
        else:
            west, north = west - 0.37 * wide, north + 0.37 * high
        shape = int(np.ceil((north - south) / high)), int(np.ceil((east - west) / wide - 1e-6))
        return Affine(wide, 0, west, 0, -high, north), shape

    def shapes(self):
        e = self.extent
        near = box(e.west - 3, e.south - 3, e.east + 3, e.north + 3)
        wkb = pyogrio.raw.read(BOUNDARIES / f"{self.layer}.shp", columns=[], bbox=near.bounds)[2]
        return shapely.from_wkb(wkb).tolist()


DEGREE = 111_000.0
COS_39 = 0.777
CONIC = ccrs.LambertConformal(central_longitude=-96, central_latitude=39, standard_parallels=(33, 45))
SCENES = {
    "lambert": Scene(CONIC, ROCKIES, 1 / COS_39 / DEGREE, 1 / DEGREE),
    "mercator": Scene(ccrs.Mercator(), ROCKIES, 1 / DEGREE, COS_39 / DEGREE),
    "platecarree": Scene(LONLAT, ROCKIES, 1, 1),
    "polar": Scene(
        ccrs.NorthPolarStereo(central_longitude=-60), ARCTIC, 2 / DEGREE, 1 / DEGREE, layer="countries"
    ),
    "conic on conic": Scene(CONIC, ROCKIES, 1, 1, grid=CONIC),
    "conic on mercator": Scene(ccrs.Mercator(), ROCKIES, COS_39, COS_39, grid=CONIC),
}
ZOOMS = {20.0: (5, 3.5), 1.0: (5, 3.5), 0.1: (1.2, 1.2)}
"""Pixels that a cell is wide, and inches of a figure: small where plain cartopy draws 100 cells per pixel."""


def style_of(pixels):
    width, height = ZOOMS[pixels]
    small = {"title": "", "label_size": 6.0, "palette": "gray", "no_data": "red"}
    return Style(width=width, height=height, dpi=100, min=0, max=1, **small)


def patches(shape, pixels):
    """(rows, columns) of light grays, equal in patches of about 20 pixels."""
    side = max(1, round(PATCH / pixels))
    gray = np.random.default_rng(1).uniform(0.3, 1, [-(-n // side) for n in shape]).astype(np.float32)
    return gray.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def renderer_of(scene, values, transform, style, *, lines=True, resampling="average"):
    projection = MapProjection(scene.crs)
    crs = pyproj.CRS("OGC:CRS84" if scene.grid is LONLAT else scene.grid.to_wkt())
    raster = Raster(values[None].copy(), crs, transform, resampling=resampling)
    features = {}
    if lines:
        features = {"borders": BoundaryFeature(scene.shapes(), "OGC:CRS84", projection, name="borders")}
    return Renderer(
        SharedData(raster, features, projection), style, dict.fromkeys(features, Line(linewidth=1.25))
    )


def view_and_region(scene, style):
    region = Region("here", scene.extent)
    return view_of(region, MapProjection(scene.crs), Layout.of(style).map_size), region


def plain_cartopy(renderer, scene, view, mesh=None, *, lines=True):
    """Draw with cartopy alone, in the same box; return the map's pixels."""
    layout, style = renderer.layout, renderer.style
    figure = Figure(figsize=(style.width, style.height), dpi=style.dpi)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes(layout.map.fractions(layout.size), projection=scene.crs)
    axes.set_aspect("auto")
    axes.spines["geo"].set_visible(False)
    if mesh is not None:
        values, transform = mesh
        corners = transform * np.meshgrid(*(np.arange(n + 1) for n in values.shape[::-1]))
        scale = renderer.scale
        axes.pcolormesh(*corners, values, norm=scale.norm, cmap=scale.cmap, transform=scene.grid)
    if lines:
        look = {"facecolor": "none", "edgecolor": "black", "linewidth": 1.25}
        axes.add_feature(ShapelyFeature(scene.shapes(), LONLAT, **look))
    axes.set_xlim(view.extent.west, view.extent.east)
    axes.set_ylim(view.extent.south, view.extent.north)
    canvas.draw()
    return inner(np.asarray(canvas.buffer_rgba()), renderer)


def inner(picture, renderer):
    """Return the map's (rows, columns, 3) pixels, without those along its frame."""
    return renderer.layout.map.of(picture)[EDGE:-EDGE, EDGE:-EDGE, :3].copy()


def neighbors(mask):
    """Return where a pixel, or the one above, below, left or right of it, is in a mask: at most 1 away."""
    padded = np.pad(mask, 1)
    shifted = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    return np.logical_or.reduce([mask, *shifted])


def one_color_around(picture):
    """Return where a pixel has the color of all eight around it: no edge of a cell and no line is near."""
    same = np.ones(picture.shape[:2], bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            same &= (np.roll(picture, (down, right), (0, 1)) == picture).all(axis=-1)
    return same


every_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
every_zoom = pytest.mark.parametrize("pixels", ZOOMS)


@every_scene
@every_zoom
def test_colors_are_plain_cartopys(scene, pixels):
    style = style_of(pixels)
    view, region = view_and_region(scene, style)
    transform, shape = scene.transform_and_shape(view, pixels)
    values = patches(shape, pixels)
    lines = pixels == 20.0  # once is enough: cartopy takes a second for them
    renderer = renderer_of(scene, values, transform, style, lines=lines)
    ours = inner(renderer.picture(Job(region)), renderer)
    plain = plain_cartopy(renderer, scene, view, (values, transform), lines=lines)
    compared = one_color_around(plain)
    assert compared.mean() > 0.4
    assert (ours == plain).all(axis=-1)[compared].mean() >= 0.995


@every_scene
def test_no_border_is_more_than_a_pixel_off(scene):
    style = style_of(20.0)
    view, region = view_and_region(scene, style)
    white = np.ones((2, 2), np.float32)
    over_all = Affine.translation(*(-1e9, -1e9) if scene.grid is CONIC else (-180, -90)) * Affine.scale(
        *(1e9, 1e9) if scene.grid is CONIC else (180, 90)
    )
    renderer = renderer_of(scene, white, over_all, style)
    ours = ink(inner(renderer.picture(Job(region)), renderer))
    plain = ink(plain_cartopy(renderer, scene, view))
    assert (ours > 0.5).sum() > 1000
    assert (ours > 0.5)[~neighbors(plain > 0.2)].sum() == 0
    assert (plain > 0.5)[~neighbors(ours > 0.2)].sum() == 0


def ink(picture):
    """Return how black each pixel is, 0 to 1."""
    return 1 - picture.max(axis=-1) / 255


@every_scene
@every_zoom
def test_a_pixel_shows_the_cell_under_its_center(scene, pixels):
    # Cells that all differ, and the nearest one where there are many under a pixel: plain `pcolormesh` shows
    # the last one drawn there, so the cells are looked up through the axes' own transforms instead.
    style = style_of(pixels)
    view, region = view_and_region(scene, style)
    transform, shape = scene.transform_and_shape(view, pixels)
    values = np.random.default_rng(2).uniform(0, 1, shape).astype(np.float32)
    renderer = renderer_of(scene, values, transform, style, lines=False, resampling="nearest")
    ours = inner(renderer.picture(Job(region)), renderer)
    x, y = renderer.axes.transData.inverted().transform(pixel_centers(renderer)).T
    at = scene.grid.transform_points(scene.crs, x, y)
    column, row = (np.floor(n).astype(int) for n in ~transform * (at[:, 0], at[:, 1]))
    inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    expected = np.where(inside, values[row.clip(0, shape[0] - 1), column.clip(0, shape[1] - 1)], np.nan)
    expected = renderer.scale.colors(expected.astype(np.float32).reshape(ours.shape[:2]))[..., :3]
    # The place under a pixel may be an eighth of a pixel off, or of a cell where cells are smaller.
    assert (ours == expected).all(axis=-1).mean() >= (0.99 if pixels == 20.0 else 0.9)


def pixel_centers(renderer):
    """Return (pixels, 2) places of the compared pixels in matplotlib's display coordinates, row by row."""
    place = renderer.layout.map
    x = np.arange(place.left + EDGE, place.left + place.width - EDGE) + 0.5
    y = np.arange(place.bottom + EDGE, place.bottom + place.height - EDGE)[::-1] + 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
