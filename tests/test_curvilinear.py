"""Grids with coordinates of their own for each cell are drawn as plain cartopy draws them."""

import pickle

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest

from forkmaps.errors import RasterError, RegionError
from forkmaps.manifest.window import Windows
from forkmaps.plan import plan_maps
from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster import Raster
from forkmaps.raster.corners import centers_of, corners_of, edges_of
from forkmaps.raster.quads import Quads, paint
from forkmaps.regions import Extent, Region
from forkmaps.shared import SharedData
from plaincells import COLORS, ocean_grid, plain_values, weather_grid

RNG = np.random.default_rng(3)
LAMBERT = ccrs.LambertConformal(-96, 38)
PLATE_CARREE = MapProjection(ccrs.PlateCarree())


def raster_of(lon, lat, values=None, **options):
    if values is None:
        values = np.arange(lon.size, dtype=np.float32).reshape(lon.shape)
    return Raster.from_array(values, x=lon, y=lat, crs="OGC:CRS84", **{"resampling": "nearest", **options})


def view(west, east, south, north, width=240, height=160):
    return View(Extent(west, east, south, north), Size(width, height))


WEATHER = weather_grid(60, 80, -96, 38, 50_000)
ACROSS = weather_grid(60, 80, 179, 52, 50_000)
ARCTIC = weather_grid(60, 80, 20, 80, 50_000, ccrs.Stereographic)
OCEAN = ocean_grid(60, 120)
CASES = {
    "its own map": (WEATHER, LAMBERT, (-2.203e6, 2.191e6, -1.597e6, 1.609e6), 0.004),
    "near": (WEATHER, LAMBERT, (-2e5, 2e5, -1.5e5, 1.5e5), 0.002),
    "degrees": (WEATHER, ccrs.PlateCarree(), (-125, -67, 20, 56), 0.04),
    "Mercator": (WEATHER, ccrs.Mercator(), (-13.5e6, -8e6, 3e6, 6.7e6), 0.04),
    "antimeridian": (ACROSS, ccrs.LambertConformal(180, 50), (-2.4e6, 2.4e6, -1.6e6, 1.6e6), 0.02),
    "antimeridian in degrees": (ACROSS, ccrs.PlateCarree(180), (-40, 40, 32, 72), 0.05),
    "antimeridian, other map": (ACROSS, ccrs.Robinson(180), (-3e6, 3e6, 4e6, 7.5e6), 0.05),
    "pole in a cell": (ARCTIC, ccrs.NorthPolarStereo(), (-2.4e6, 2.4e6, -1.6e6, 1.6e6), 0.04),
    "all the world": (OCEAN, ccrs.Robinson(), (-14e6, 14e6, -8e6, 8e6), 0.07),
    "half the world": (OCEAN, ccrs.Orthographic(0, 60), (-6e6, 6e6, -4e6, 4e6), 0.05),
}


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_plain_cartopys(case):
    """But at the borders of cells, of which the other picture knows a ninth of a pixel."""
    (lon, lat), crs, extent, share = CASES[case]
    values = RNG.integers(0, COLORS, lon.shape)
    values[20:23, 30:33] = -1
    values = np.where(values < 0, np.nan, values).astype(np.float32)
    seen = view(*extent)
    ours = np.nan_to_num(raster_of(lon, lat, values).sample(seen, MapProjection(crs)), nan=-1)
    plain = plain_values(lon, lat, values, seen, crs)
    assert (plain >= 0).mean() > 0.4
    differs = ours != plain
    assert differs.mean() < share
    if case == "all the world":
        # Plain cartopy leaves out cells at the map's edge.
        differs &= np.isin(ours, -1) == np.isin(plain, -1)
    # No pixel is off by more than one: the plain picture shows its value beside it.
    beside = [np.roll(plain, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    off = differs & ~np.any([ours == one for one in beside], axis=0)
    assert off[1:-1, 1:-1].mean() < 0.004


@pytest.mark.parametrize("crs", [ccrs.PlateCarree(), ccrs.Mercator()])
def test_a_view_beyond_the_antimeridian_looks_as_it_does_on_this_side(crs):
    """Where plain cartopy shows nothing: there the picture is our own, a turn of the earth further."""
    raster, projection = raster_of(*ACROSS), MapProjection(crs)
    period, y = projection.period, (45, 58) if projection.period == 360 else (5.6e6, 7.5e6)
    west, east = 0.45 * period, 0.55 * period
    here = raster.sample(view(west, east, *y), projection)
    there = raster.sample(view(west - period, east - period, *y), projection)
    assert np.isfinite(here).mean() > 0.8
    assert (here != there).mean() < 0.001


def test_no_seam_is_left_where_the_map_is_cut():
    """Cells that the map's edge tears are drawn in parts, up to a pixel from it."""
    lon, lat = ocean_grid(60, 120)
    raster = raster_of(lon, lat, np.ones(lon.shape, np.float32))
    size = {"width": 720, "height": 360}
    whole = raster.sample(view(-180, 180, -90, 90, **size), PLATE_CARREE)
    assert np.isnan(whole).mean() < 0.002
    robinson = MapProjection(ccrs.Robinson())
    seen = view(-17.0e6, 17.0e6, -8.6e6, 8.6e6, **size)
    x, y = np.meshgrid(*seen.pixel_centers())
    inside = np.isfinite(ccrs.PlateCarree().transform_points(robinson.crs, x, y)).all(axis=-1)
    inside &= np.abs(ccrs.PlateCarree().transform_points(robinson.crs, x, y)[..., 0]) < 178
    assert np.isnan(raster.sample(seen, robinson)[inside]).mean() < 0.002


def test_cells_smaller_than_a_pixel_show_their_mean():
    """12 x 12 cells to a pixel: no pixel may show a single one of them."""
    lon, lat = weather_grid(600, 800, -96, 38, 5000)
    values = RNG.normal(10, 3, lon.shape).astype(np.float32)
    seen = view(-1.9e6, 1.9e6, -1.4e6, 1.4e6, 60, 44)
    projection = MapProjection(LAMBERT)
    mean = raster_of(lon, lat, values, resampling="average").sample(seen, projection)
    single = raster_of(lon, lat, values).sample(seen, projection)
    assert np.isfinite(mean).all()
    assert 2.5 < single.std() < 3.5
    assert mean.std() < 0.6
    assert abs(mean.mean() - 10) < 0.05


def test_linear_interpolation_gives_a_plane_back():
    lon, lat = WEATHER
    raster = raster_of(lon, lat, (2 * lon - lat).astype(np.float32))
    seen = view(-1e5, 1e5, -1e5, 1e5)
    projection = MapProjection(LAMBERT)
    x, y = np.meshgrid(*seen.pixel_centers())
    points = ccrs.PlateCarree().transform_points(LAMBERT, x, y)
    wanted = 2 * points[..., 0] - points[..., 1]
    smooth = raster.sample(seen, projection, interpolation="linear")
    steps = raster.sample(seen, projection)
    assert np.abs(smooth - wanted).max() < 0.02
    assert np.abs(steps - wanted).max() > 0.3


def test_unknown_coordinates_leave_gaps_and_nothing_else():
    """As models have on land, where there is nothing to compute."""
    lon, lat = (part.copy() for part in WEATHER)
    whole = raster_of(lon, lat).sample(view(-1e6, 1e6, -6e5, 6e5), MapProjection(LAMBERT))
    lon[28:32, 38:42] = lat[28:32, 38:42] = np.nan
    part = raster_of(lon, lat).sample(view(-1e6, 1e6, -6e5, 6e5), MapProjection(LAMBERT))
    gaps = np.isnan(part)
    assert 0.01 < gaps.mean() < 0.1
    assert np.array_equal(part[~gaps], whole[~gaps])


def test_unevenly_spaced_rows_have_their_edges_between_them():
    """A Gaussian grid's latitudes: each pixel shows the nearest row, as numpy finds it."""
    nodes = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))
    lon = np.arange(0, 360, 5.625)
    values = np.arange(32 * 64, dtype=np.float32).reshape(32, 64)
    raster = Raster.from_array(values, x=lon, y=nodes, crs="OGC:CRS84", resampling="nearest")
    seen = view(-90, 90, -79, 79)
    x, y = seen.pixel_centers()
    edges = (nodes[1:] + nodes[:-1]) / 2
    row, column = np.searchsorted(edges, y), np.round((x % 360) / 5.625).astype(int) % 64
    wanted = values[row[:, None], column]
    assert (raster.sample(seen, PLATE_CARREE) != wanted).mean() < 0.001


def test_a_grid_in_a_projected_crs():
    x, y = np.meshgrid(np.arange(30) * 1e4, np.arange(20) * 1e4)
    x = x + 0.3 * y
    values = np.arange(600, dtype=np.float32).reshape(20, 30)
    raster = Raster.from_array(values, x=x, y=y, crs=LAMBERT)
    here = view(x[7, 9] - 1, x[7, 9] + 1, y[7, 9] - 1, y[7, 9] + 1, 3, 3)
    assert (raster.sample(here, MapProjection(LAMBERT)) == values[7, 9]).all()


class TestWindows:
    def sums(self, values):
        raster = raster_of(*WEATHER, values)
        views = [view(-6e5, -2e5, -2e5, 2e5), view(2e5, 6e5, -2e5, 2e5)]
        projection = MapProjection(LAMBERT)
        return Windows.of(raster, projection, views).sums(raster, 0)

    def test_a_change_is_seen_by_the_views_that_show_it_and_by_no_other(self):
        values = np.ones(WEATHER[0].shape, np.float32)
        before = self.sums(values)
        west, east, neither = values.copy(), values.copy(), values.copy()
        west[30, 32], east[30, 48], neither[5, 5] = 2, 2, 2
        assert (self.sums(west) != before).tolist() == [True, False]
        assert (self.sums(east) != before).tolist() == [False, True]
        assert (self.sums(neither) != before).tolist() == [False, False]

    def test_every_cell_that_shows_is_in_the_window(self):
        numbered = raster_of(*WEATHER)
        seen = view(-6e5, -2e5, -2e5, 2e5)
        projection = MapProjection(LAMBERT)
        shown = np.unique(numbered.sample(seen, projection)).astype(int)
        found = Windows.of(numbered, projection, [seen]).rectangles[0]
        covered = np.zeros(numbered.shape, bool)
        for top, bottom, left, right in zip(found.top, found.bottom, found.left, found.right, strict=True):
            covered[top:bottom, left:right] = True
        assert covered.ravel()[shown].all()
        assert covered.mean() < 0.2


class TestRegions:
    def plan(self, lonlat, *boxes):
        shared = SharedData(raster_of(*lonlat), {}, MapProjection(LAMBERT))
        regions = [Region(f"r{i}", Extent(*box)) for i, box in enumerate(boxes)]
        return plan_maps(shared, regions, folder="maps")

    def test_regions_on_the_grid_are_planned(self):
        assert len(self.plan(WEATHER, (-100, -95, 35, 40), (-140, -60, 10, 60)).maps) == 2

    def test_regions_beside_it_are_refused(self):
        with pytest.raises(RegionError, match=r'(?s)"r1".*covers'):
            self.plan(WEATHER, (-100, -95, 35, 40), (-60, -50, 35, 40))

    def test_places_on_the_grid_are_told(self):
        lon, lat = np.array([-96.0, -96, 20, 179.5, -179.5]), np.array([38.0, 70, 89.9, 52, 52])
        assert raster_of(*WEATHER).contains(lon, lat).tolist() == [True, False, False, False, False]
        assert raster_of(*ARCTIC).contains(lon, lat).tolist() == [False, False, True, False, False]
        assert raster_of(*ACROSS).contains(lon, lat).tolist() == [False, False, False, True, True]
        assert raster_of(*OCEAN).contains(lon, lat).all()
        assert not raster_of(*OCEAN).contains(np.array([np.inf]), np.array([np.nan])).any()


def test_what_is_made_for_the_maps_projection_travels_with_it(tmp_path, monkeypatch):
    """Saved, opened and pickled: no other process has to project the grid again."""
    shared = SharedData(raster_of(*WEATHER), {}, MapProjection(LAMBERT))
    seen = view(-1e6, 1e6, -6e5, 6e5)
    shared.save(tmp_path)
    wanted = shared.raster.sample(seen, shared.projection)
    for again in (SharedData.open(tmp_path), pickle.loads(pickle.dumps(shared))):
        monkeypatch.setattr("forkmaps.raster.mapped.MappedGrid.of", None)
        assert np.array_equal(again.raster.sample(seen, again.projection), wanted, equal_nan=True)
        monkeypatch.undo()
        assert again.raster.grid.key == shared.raster.grid.key
        with pytest.raises(ValueError, match="read-only"):
            again.raster.grid.center_x[0, 0] = 0
    assert shared.nbytes == sum(array.nbytes for array in shared.arrays())


def test_a_curvilinear_grid_has_no_transform_and_says_so():
    raster = raster_of(*WEATHER)
    with pytest.raises(RasterError, match="has no transform; it has cell_centers"):
        _ = raster.transform
    assert np.array_equal(raster.cell_centers()[0], WEATHER[0])


@pytest.mark.parametrize(
    ("lon", "lat", "told"),
    [
        (WEATHER[0][:1], WEATHER[1][:1], "of a grid of 1 x 80 cells the centers don't tell the cells' size"),
        (WEATHER[0] * np.nan, WEATHER[1], "no cell has finite coordinates"),
        (WEATHER[0][1:], WEATHER[1], r"but x of shape \(59, 80\)"),
    ],
)
def test_coordinates_that_make_no_grid_are_refused(lon, lat, told):
    with pytest.raises(RasterError, match=told):
        raster_of(lon, lat, np.zeros(lat.shape, np.float32))


class TestCorners:
    def test_of_a_regular_grid_in_a_plane(self):
        x, y = np.meshgrid(np.arange(4.0), np.arange(3.0))
        corner_x, corner_y = corners_of(x, y, None)
        assert np.allclose(corner_x, np.arange(5) - 0.5)
        assert np.allclose(corner_y, np.arange(4)[:, None] - 0.5)
        assert np.allclose(centers_of(corner_x, corner_y, None), (x, y))

    def test_between_places_on_both_sides_of_the_antimeridian(self):
        x, y = np.meshgrid([179.5, -179.5], [0.5, -0.5])
        corner_x, corner_y = corners_of(x, y, 360.0)
        assert abs(abs(corner_x[1, 1]) - 180) < 1e-9
        assert abs(corner_y[1, 1]) < 1e-9

    def test_around_a_pole(self):
        x, y = np.array([[0.0, 90.0], [-90.0, 180.0]]), np.full((2, 2), 89.0)
        assert abs(corners_of(x, y, 360.0)[1][1, 1] - 90) < 1e-9

    def test_along_a_row(self):
        assert edges_of(np.array([0.0, 1.0, 3.0])).tolist() == [-0.5, 0.5, 2.0, 4.0]


def test_places_in_a_quad_are_those_that_bilinear_interpolation_leads_to():
    corners = np.array([[10.0, 40.0, 52.0, 5.0], [8.0, 14.0, 47.0, 38.0]])
    u, v = RNG.random((2, 2000))
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v])
    x, y = corners @ weights
    positions = np.full((2, 60, 60), np.nan)
    one = np.ones(1)
    paint(Quads(corners[0][:, None], corners[1][:, None], 7 * one, 3 * one, one, one), positions)
    i, j = np.round(y).astype(int), np.round(x).astype(int)
    column, row = positions[:, i, j]
    known = np.isfinite(column)
    assert known.mean() > 0.95
    # From the pixel's center back to the place: what is left is less than a pixel.
    assert np.abs(column[known] - 3 - u[known]).max() < 0.04
    assert np.abs(row[known] - 7 - v[known]).max() < 0.04
    assert np.isfinite(positions).sum() == 2 * _pixels_inside(corners)


def _pixels_inside(corners):
    from matplotlib.path import Path

    centers = np.stack(np.meshgrid(np.arange(60), np.arange(60)), axis=-1).reshape(-1, 2)
    return int(Path(corners.T).contains_points(centers, radius=1e-9).sum())


def test_neighbors_leave_no_pixel_between_them():
    """Corners right on pixel centers: each pixel is one of theirs."""
    steps = np.arange(0.0, 41, 4)
    x, y = np.meshgrid(steps, steps)
    x = x + 0.5 * y
    around = ((0, 0), (0, 1), (1, 1), (1, 0))
    corners = [part[i : i + 10, j : j + 10].ravel() for part in (x, y) for i, j in around]
    row, column = (part.ravel().astype(float) for part in np.mgrid[:10, :10])
    one, positions = np.ones(100), np.full((2, 41, 61), np.nan)
    paint(Quads(np.stack(corners[:4]), np.stack(corners[4:]), row, column, one, one), positions)
    i, j = np.mgrid[:41, :61]
    inside = (j >= 0.5 * i) & (j <= 0.5 * i + 40)
    assert np.array_equal(np.isfinite(positions[0]), inside)


def test_the_crs_of_a_grid_may_be_in_other_units_than_degrees():
    crs = pyproj.CRS("EPSG:4807")  # grads
    lon, lat = np.meshgrid(np.linspace(-5, 5, 11), np.linspace(45, 55, 11) + 0.1)
    lon = lon + 0.2 * (lat - 50)
    raster = Raster.from_array(np.ones((11, 11)), x=lon, y=lat, crs=crs)
    assert raster.grid.turn == pytest.approx(400)
    assert np.isfinite(raster.sample(view(1, 3, 44, 46), PLATE_CARREE)).all()


def test_blocks_drawn_as_one_and_cell_by_cell_fit_together(monkeypatch):
    """No pixel is left between a block of cells that is drawn as one and its neighbors that are not."""
    lon, lat = weather_grid(120, 160, -96, 38, 25_000)
    raster, projection = raster_of(lon, lat), MapProjection(ccrs.Mercator())
    seen = view(-12.5e6, -9.5e6, 3.6e6, 5.8e6, 600, 440)
    whole = raster.sample(seen, projection)
    bends = raster.grid.mapped(projection, raster.crs_text).bends / seen.resolution
    threshold = float(np.median(bends))
    monkeypatch.setattr("forkmaps.raster.quadmap._BEND", threshold)
    mixed = raster.sample(seen, projection)
    monkeypatch.setattr("forkmaps.raster.quadmap._BEND", -1.0)
    single = raster.sample(seen, projection)
    assert threshold > 1 / 16
    for one in (whole, mixed):
        assert (np.isnan(one) != np.isnan(single)).mean() < 0.001
        assert np.isfinite(one[5:-5, 5:-5]).all() == np.isfinite(single[5:-5, 5:-5]).all()
    assert (whole != single)[np.isfinite(single)].mean() < 0.02
    assert (mixed != single)[np.isfinite(single)].mean() < 0.5 * threshold


def test_a_block_of_cells_may_be_wider_than_half_the_world():
    """30 columns of 12 degrees: blocks of 16 x 16 cells, on a map where each would be drawn as one."""
    lon, lat = np.arange(-174.0, 180, 12), np.append(np.linspace(-80, 70, 19), 80.0)
    values = np.arange(600, dtype=np.float32).reshape(20, 30)
    raster = Raster.from_array(values, x=lon, y=lat, crs="OGC:CRS84", resampling="nearest")
    seen = view(-180, 180, -70, 70, 250, 101)
    x, y = seen.pixel_centers()
    row = np.searchsorted((lat[1:] + lat[:-1]) / 2, y)
    wanted = values[row[:, None], np.floor((x + 180) / 12).astype(int)]
    assert (raster.sample(seen, PLATE_CARREE) != wanted).mean() < 0.001


def test_a_function_that_draws_gets_what_the_axes_show():
    from matplotlib.figure import Figure

    shared = SharedData(raster_of(*WEATHER, WEATHER[1].astype(np.float32)), {}, MapProjection(LAMBERT))
    axes = Figure().add_axes([0, 0, 1, 1], projection=LAMBERT)
    axes.set(xlim=(-4e5, 4e5), ylim=(-3e5, 3e5))
    part = shared.in_view(axes)[0]
    assert part.shape < shared.raster.shape
    assert part.x.shape == part.y.shape == part.shape
    assert np.allclose(part, part.y, atol=1e-5)
    assert np.asarray(part.x).min() < -99
    assert np.asarray(part.x).max() > -93
