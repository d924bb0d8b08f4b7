import datetime as dt
import itertools

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster import Band, Raster
from forkmaps.regions import Extent

LONLAT = pyproj.CRS("OGC:CRS84")
PLATE_CARREE = MapProjection(ccrs.PlateCarree())
LAMBERT = MapProjection(ccrs.LambertConformal(central_longitude=-96, central_latitude=38))
RNG = np.random.default_rng(5)


def raster_of(values, transform, crs=LONLAT, **options):
    values = np.array(values, np.float32)
    return Raster(values[None] if values.ndim == 2 else values, crs, transform, **options)


def numbered(rows, columns, transform, crs=LONLAT, **options):
    """A raster whose values number its cells, row by row."""
    return raster_of(np.arange(rows * columns).reshape(rows, columns), transform, crs, **options)


def degrees(west, north, size, height=None):
    return Affine(size, 0, west, 0, -(height or size), north)


def view(west, east, south, north, width, height):
    return View(Extent(west, east, south, north), Size(width, height))


def sampled_cells(raster, view, projection):
    """Return (row, column) of the cell under each pixel, -1 where there is none."""
    number = np.nan_to_num(raster.sample(view, projection), nan=-1).astype(int)
    return np.where(number < 0, -1, np.stack(np.divmod(number, raster.shape[1])))


def exact_cells(raster, view, projection, around=None):
    """Return (row, column) of the cell under each pixel center, by pyproj alone; -1 where there is none."""
    x, y = np.meshgrid(*view.pixel_centers())
    transformer = pyproj.Transformer.from_crs(projection.crs, raster.crs, always_xy=True)
    x, y = transformer.transform(x, y)
    x = x + 360 * (raster.crs == LONLAT and raster.transform.c > 180)
    inverse, (rows, columns) = ~raster.transform, raster.shape
    column, row = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    column = column % around if around else column
    with np.errstate(invalid="ignore"):
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    cells = np.stack([np.where(inside, row, -1.0), np.where(inside, column, -1.0)])
    return np.floor(cells).astype(int)


def assert_cells_are_exact(raster, view, projection, around=None, share=0.001):
    """All but a small share of pixels show the cell at their center: those on the edges of cells."""
    found, exact = sampled_cells(raster, view, projection), exact_cells(raster, view, projection, around)
    assert np.mean((found != exact).any(axis=0)) <= share
    assert (exact >= 0).any()


LAMBERT_GRID = pyproj.CRS("+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=-95 +R=6371200 +units=m +type=crs")
OBLIQUE = Affine(0.2, 0.07, -110, 0.05, -0.18, 46)


@pytest.mark.parametrize(
    "raster",
    [
        numbered(200, 300, degrees(-115, 48, 0.1)),
        numbered(200, 300, Affine(0.1, 0, -115, 0, 0.1, 28)),
        numbered(200, 300, Affine(-0.1, 0, -85, 0, -0.1, 48)),
        numbered(200, 300, degrees(245, 48, 0.1)),
        numbered(150, 200, OBLIQUE),
        numbered(150, 200, Affine(0.2, 0.07, 250, 0.05, -0.18, 46)),
        numbered(150, 200, Affine(10_000, 0, -1.2e6, 0, -10_000, 1.9e6), LAMBERT_GRID),
        numbered(150, 200, Affine(10_000, 0, -1.2e6, 0, -10_000, 1e6), pyproj.CRS(LAMBERT.crs.to_wkt())),
        numbered(150, 200, Affine(10_000, 0, -12.4e6, 0, -10_000, 6e6), pyproj.CRS("EPSG:3857")),
    ],
    ids=[
        "up",
        "down",
        "to the west",
        "0 to 360",
        "oblique",
        "oblique at 250",
        "sphere",
        "map's own",
        "mercator",
    ],
)
@pytest.mark.parametrize("pixels", [20, 1])
def test_pixels_show_the_cell_at_their_center(raster, pixels):
    half_x, half_y = 125 * 10_000 / pixels, 75 * 10_000 / pixels
    around = {True: 3600, False: None}[raster.crs == LONLAT and raster.is_rectilinear]
    picture = view(-half_x - 2e5, half_x - 2e5, -half_y, half_y, 250, 150)
    assert_cells_are_exact(raster, picture, LAMBERT, around, share=0.004 / pixels**0.7)


def test_a_rotated_pole_grid_lies_where_it_should():
    """0, 0 of this one, a weather model's, is at 10 degrees east, 50.75 north."""
    crs = pyproj.CRS("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=10 +R=6371229 +type=crs")
    raster = numbered(20, 20, degrees(-1, 1, 0.1), crs)
    cells = sampled_cells(raster, view(9.999, 10.001, 50.739, 50.741, 3, 3), PLATE_CARREE)
    assert (cells == 10).all() or abs(cells - 10).max() <= 1
    assert_cells_are_exact(raster, view(9, 11, 50, 51.4, 200, 140), PLATE_CARREE, share=0.01)


def test_longitudes_may_be_in_grads():
    raster = numbered(200, 400, Affine(1, 0, -200, 0, -1, 100), pyproj.CRS("EPSG:4807"))
    assert not np.isnan(raster.sample(view(170, 190, -10, 10, 100, 100), PLATE_CARREE)).any()
    assert_cells_are_exact(raster, view(170, 190, -10, 10, 100, 100), PLATE_CARREE, around=400, share=0.01)


@pytest.mark.parametrize("west", [-180, 0, -90, 20])
@pytest.mark.parametrize(
    ("projection", "lon"),
    [(ccrs.PlateCarree(), 0), (ccrs.Mercator(), 0), (ccrs.LambertConformal(180, 40), 1)],
)
def test_global_rasters_have_no_seam(west, projection, lon):
    """Pictures across the raster's own edge and across the antimeridian, 20 degrees wide."""
    raster = numbered(180, 360, degrees(west, 90, 1))
    projection = MapProjection(projection)
    for middle in (180,) if lon else (west, 180, -180, 540):
        x, y = projection.crs.transform_point(middle % 360, 30, ccrs.PlateCarree())
        x += projection.period * round((middle - middle % 360) / 360) if projection.period else 0
        half = 10 if projection.crs.x_limits[1] < 1000 else 1e6
        picture = view(x - half, x + half, y - half / 2, y + half / 2, 200, 100)
        assert_cells_are_exact(raster, picture, projection, around=360, share=0.01)


def test_the_antimeridian_looks_like_any_other_place():
    values = RNG.normal(size=(180, 360))
    here = raster_of(values, degrees(-180, 90, 1))
    there = raster_of(np.roll(values, 180, axis=1), degrees(-180, 90, 1))
    for projection, width in (
        (PLATE_CARREE, 1.0),
        (MapProjection(ccrs.Mercator()), 20037508.342789244 / 180),
    ):
        for interpolation in ("nearest", "linear"):
            at = [
                r.sample(
                    view(w * width, (w + 20) * width, 0, 10 * width, 300, 150),
                    projection,
                    interpolation=interpolation,
                )
                for r, w in ((here, 170), (there, -10))
            ]
            np.testing.assert_allclose(*at, atol=1e-3)


def test_a_global_raster_closes_although_its_cell_size_is_rounded():
    raster = numbered(2160, 4320, degrees(-180, 90, 0.08333))
    picture = raster.sample(view(179, 181, 10, 11, 400, 200), PLATE_CARREE)
    assert not np.isnan(picture).any()
    assert set(np.unique(picture[0] % 4320)) >= {4319, 0, 1}


@pytest.mark.parametrize("west", [150, -210])
def test_a_raster_across_the_antimeridian_is_one_piece(west):
    raster = numbered(40, 60, degrees(west, 70, 1))
    for middle in (180, -180):
        assert_cells_are_exact_on_turn(raster, view(middle - 40, middle + 40, 40, 60, 320, 80), west)


def assert_cells_are_exact_on_turn(raster, picture, west):
    found = sampled_cells(raster, picture, PLATE_CARREE)
    x, _ = picture.pixel_centers()
    column = np.floor((x - west) % 360).astype(int)
    np.testing.assert_array_equal(found[1][10], np.where(column < 60, column, -1))


def test_a_raster_is_drawn_wherever_the_picture_comes_round_to_it():
    raster = numbered(10, 10, degrees(-5, 5, 1))
    picture = raster.sample(view(-370, 370, -5, 5, 740, 10), PLATE_CARREE)
    assert np.isnan(picture[0]).reshape(-1).sum() == 740 - 30


def test_outside_of_the_raster_there_is_nothing():
    raster = numbered(10, 10, degrees(0, 10, 1))
    picture = raster.sample(view(-10, 20, 0, 10, 60, 20), PLATE_CARREE)
    np.testing.assert_array_equal(np.isnan(picture), np.broadcast_to(np.repeat([1, 0, 1], 20), (20, 60)))
    for extent in ((20, 30, 0, 10), (0, 10, 20, 30), (0, 10, -30, -20), (-500, -490, 50, 60)):
        assert np.isnan(raster.sample(view(*extent, 50, 50), PLATE_CARREE)).all()


def test_outside_of_the_globe_there_is_nothing():
    raster = raster_of(np.ones((180, 360)), degrees(-180, 90, 1))
    globe = MapProjection(ccrs.Orthographic(180, 20))
    picture = raster.sample(view(-8e6, 8e6, -8e6, 8e6, 400, 400), globe)
    x, y = np.meshgrid(*view(-8e6, 8e6, -8e6, 8e6, 400, 400).pixel_centers())
    np.testing.assert_array_equal(
        np.isnan(picture)[np.abs(np.hypot(x, y) - 6.37e6) > 4e4].sum(),
        0 + np.isnan(picture)[np.hypot(x, y) > 6.41e6].sum(),
    )
    assert np.mean(~np.isnan(picture)) == pytest.approx(np.pi * 6.37**2 / 16**2, abs=0.01)


@pytest.mark.parametrize("pole", [ccrs.NorthPolarStereo(), ccrs.SouthPolarStereo(central_longitude=100)])
def test_poles_are_covered(pole):
    raster = numbered(90, 180, degrees(-180, 90, 2))
    picture = view(-5e5, 5e5, -5e5, 5e5, 101, 101)
    assert not np.isnan(raster.sample(picture, MapProjection(pole))).any()
    assert_cells_are_exact(raster, picture, MapProjection(pole), around=180, share=0.02)


def test_a_picture_inside_one_cell_is_of_one_value():
    raster = numbered(10, 10, degrees(0, 10, 1))
    assert (raster.sample(view(3.2, 3.3, 4.2, 4.3, 50, 50), PLATE_CARREE) == 53).all()


def test_a_raster_of_one_cell_is_drawn_where_it_is():
    raster = raster_of([[7]], degrees(10, 20, 5))
    picture = raster.sample(view(5, 20, 10, 25, 30, 30), PLATE_CARREE)
    np.testing.assert_array_equal(picture == 7, np.outer(*(np.repeat([0, 1, 0], 10),) * 2))
    assert len(raster.levels) == 1


def test_bands_are_sampled_by_index():
    raster = raster_of(np.arange(3)[:, None, None] + np.zeros((3, 4, 4)), degrees(0, 4, 1))
    assert [raster.sample(view(1, 2, 1, 2, 3, 3), PLATE_CARREE, band=i).max() for i in range(3)] == [0, 1, 2]


# Linear interpolation


def test_the_cells_of_the_view_before_last_are_found_again():
    raster = numbered(20, 30, degrees(-110, 50, 1))
    views = [view(-109, -100, 35, 45, 90, 100), view(-100, -90, 35, 45, 90, 100)]
    conic, plain = MapProjection(ccrs.LambertConformal(-100)), MapProjection(ccrs.PlateCarree())
    first, second = (raster.sample(one, plain) for one in views)
    assert (first != second).any()
    assert raster.cell_map(views[1], plain) is raster.cell_map(views[1], plain)
    np.testing.assert_array_equal(raster.sample(views[0], plain), first)
    assert np.ptp(raster.sample(views[0], conic)) == 0  # some metres
    np.testing.assert_array_equal(raster.sample(views[1], plain), second)


def interpolated(values, row, column):
    """Bilinear by hand between the centers of cells, those on the edges going on as they are."""
    row = np.clip(row - 0.5, 0, values.shape[0] - 1)
    column = np.clip(column - 0.5, 0, values.shape[1] - 1)
    across = np.array([np.interp(column, np.arange(values.shape[1]), line) for line in values])
    return np.array([np.interp(row, np.arange(values.shape[0]), line) for line in across.T]).T


@pytest.mark.parametrize("extent", [(0, 12, 0, 9), (2.2, 3.1, 5, 5.7), (-0.4, 3, 8, 9.3)])
def test_linear_interpolation_is_between_centers(extent):
    values = RNG.normal(size=(9, 12))
    picture = view(*extent, 120, 90)
    x, y = picture.pixel_centers()
    found = raster_of(values, degrees(0, 9, 1)).sample(picture, PLATE_CARREE, interpolation="linear")
    expected = interpolated(values, 9 - y, x)
    expected[:, (x < 0) | (x > 12)] = expected[(y < 0) | (y > 9)] = np.nan
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_linear_interpolation_goes_around_the_earth():
    values = RNG.normal(size=(4, 8))
    raster = raster_of(values, degrees(0, 90, 45))
    picture = view(-22.5, 22.5, 67.4, 67.6, 46, 1)
    found = raster.sample(picture, PLATE_CARREE, interpolation="linear")[0]
    np.testing.assert_allclose(
        found, np.interp(np.arange(46) + 0.5, [0, 46], [values[0, 7], values[0, 0]]), atol=0.02
    )


def test_cells_without_data_take_no_part_and_stay_without():
    values = np.full((3, 3), 5.0)
    values[1, 1] = np.nan
    picture = view(0, 3, 0, 3, 60, 60)
    raster = raster_of(values, degrees(0, 3, 1))
    linear = raster.sample(picture, PLATE_CARREE, interpolation="linear")
    np.testing.assert_array_equal(np.isnan(linear), np.isnan(raster.sample(picture, PLATE_CARREE)))
    np.testing.assert_allclose(linear[~np.isnan(linear)], 5, rtol=1e-6)


def test_known_neighbors_share_the_weight_of_those_without_data():
    values = np.array([[1, np.nan], [3, np.nan]])
    found = raster_of(values, degrees(0, 2, 1)).sample(
        view(0, 2, 0, 2, 200, 200), PLATE_CARREE, interpolation="linear"
    )
    assert found[99, 60] == pytest.approx(2, abs=0.02)
    assert np.isnan(found[:, 100:]).all()


def test_linear_makes_no_difference_where_cells_are_smaller_than_pixels():
    raster = raster_of(RNG.normal(size=(400, 400)), degrees(0, 40, 0.1))
    picture = view(5, 35, 5, 35, 200, 200)
    np.testing.assert_array_equal(
        raster.sample(picture, PLATE_CARREE, interpolation="linear"), raster.sample(picture, PLATE_CARREE)
    )


# The pyramid


def halved(values):
    """Means of 2 x 2 cells by hand."""
    rows, columns = values.shape
    padded = np.pad(values, ((0, rows % 2), (0, columns % 2)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).swapaxes(1, 2).reshape(-1, 4)
    means = [np.mean(block[~np.isnan(block)]) if not np.isnan(block).all() else np.nan for block in blocks]
    return np.reshape(means, (padded.shape[0] // 2, padded.shape[1] // 2))


@pytest.mark.parametrize("shape", [(64, 128), (13, 22), (150, 7), (1, 9), (5, 1), (1, 1), (259, 131)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_levels_are_means_of_blocks_that_skip_gaps(shape, share):
    values = RNG.normal(size=shape).astype(np.float32)
    values[RNG.random(shape) < share] = np.nan
    levels = raster_of(values, degrees(0, 1, 0.1)).levels
    assert levels[-1].shape == (1, 1, 1)
    for finer, coarser in itertools.pairwise(levels):
        np.testing.assert_allclose(coarser[0], halved(finer[0].astype(float)), rtol=1e-5, atol=1e-6)


def test_means_of_huge_values_are_finite():
    most = np.finfo(np.float32).max
    levels = raster_of(np.full((64, 64), most), degrees(0, 1, 0.1)).levels
    assert levels[-1] == pytest.approx(most)


def level_of(raster, view, projection):
    return raster.level_for(1 / raster.cell_map(view, projection).largest_cell)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.floats(0.02, 30))
def test_cells_are_never_larger_than_a_pixel_where_there_are_finer_ones(cells_per_pixel):
    raster = raster_of(np.zeros((512, 1024)), degrees(0, 0, 0.01))
    half = 50 * 0.01 * cells_per_pixel
    level = level_of(raster, view(5 - half, 5 + half, -half, half, 100, 100), PLATE_CARREE)
    assert 2**level <= max(cells_per_pixel * 1.001, 1)
    assert 2 ** (level + 1) > cells_per_pixel * 0.999


def test_the_level_is_that_of_the_largest_cells_in_view():
    """On Mercator they are the northernmost; these are 4 times as high as wide."""
    mercator = MapProjection(ccrs.Mercator())
    raster = raster_of(np.zeros((400, 400)), degrees(0, 80, 0.05, 0.2))
    degree = 20037508.34 / 180
    high = view(0, 20 * degree, 5 * degree, 15 * degree, 20, 10)
    assert level_of(raster, high, mercator) == 2


@pytest.mark.parametrize("projection", [PLATE_CARREE, LAMBERT])
def test_many_cells_under_a_pixel_give_nearly_their_mean(projection):
    """Noise of cells a tenth of a pixel wide comes down to nearly a tenth."""
    raster = raster_of(10 + RNG.normal(size=(1500, 3500)), degrees(-113, 46, 0.01))
    width = 20 if projection is PLATE_CARREE else 2_000_000
    center = projection.crs.transform_point(-96, 38.5, ccrs.PlateCarree())
    x, y = center[0], center[1]
    picture = raster.sample(
        view(x - width / 2, x + width / 2, y - width / 4, y + width / 4, 200, 100), projection
    )
    assert not np.isnan(picture).any()
    assert picture.mean() == pytest.approx(10, abs=0.01)
    assert picture.std() < 0.2


def test_gaps_smaller_than_a_pixel_are_closed_and_larger_ones_are_not():
    values = np.ones((400, 400))
    values[::2, ::3] = np.nan
    values[200:] = np.nan
    picture = raster_of(values, degrees(0, 40, 0.1)).sample(view(0, 40, 0, 40, 50, 50), PLATE_CARREE)
    assert (picture[:25] == 1).all()
    assert np.isnan(picture[25:]).all()


def test_categories_are_never_mixed():
    classes = RNG.choice(np.array([3, 11, 42]), (600, 600))
    raster = raster_of(classes, degrees(0, 60, 0.1), resampling="nearest")
    assert len(raster.levels) == 1
    picture = view(0, 60, 0, 60, 57, 57)
    found = raster.sample(picture, PLATE_CARREE)
    x, y = picture.pixel_centers()
    expected = classes[np.ix_(np.floor((60 - y) / 0.1).astype(int), np.floor(x / 0.1).astype(int))]
    np.testing.assert_array_equal(found, expected)


def test_the_picture_ends_where_the_raster_ends_at_every_level():
    """Of the last cells of level 6 a part lies outside: 1000 are 15.6 times 64."""
    raster = raster_of(np.ones((1000, 1000)), degrees(0, 10, 0.01))
    picture = raster.sample(view(0, 20.2, -10, 10, 25, 25), PLATE_CARREE)
    x, _ = view(0, 20.2, -10, 10, 25, 25).pixel_centers()
    np.testing.assert_array_equal(np.isnan(picture[0]), x > 10)


# In memory


@pytest.fixture
def raster():
    return raster_of(RNG.normal(size=(2, 30, 40)), degrees(-100, 50, 0.5), name="Height", unit="m")


def test_nothing_can_be_written_into(raster):
    for level in raster.levels:
        with pytest.raises(ValueError, match="read-only"):
            level[...] = 0
    with pytest.raises(ValueError, match="read-only"):
        raster.values[0, 0, 0] = 1
    with pytest.raises(ValueError, match=r"read-only|is a view"):
        raster.to_xarray()[0, 0, 0] = 1


def test_the_array_that_was_given_can_still_be_written_into():
    values = np.zeros((1, 50, 50), np.float32)
    raster = Raster(values, LONLAT, degrees(0, 5, 0.1))
    values[0, 0, 0] = 7
    assert values.flags.writeable
    assert raster.values[0, 0, 0] == 7


def test_values_are_not_copied_when_they_need_not_be():
    values = np.zeros((1, 50, 50), np.float32)
    raster = Raster(values, LONLAT, degrees(0, 5, 0.1))
    assert np.shares_memory(raster.values, values)
    assert np.shares_memory(raster.to_xarray().values, values)
    assert raster.nbytes == sum(level.nbytes for level in raster.levels) < 1.5 * values.nbytes


@pytest.mark.parametrize("kind", [np.float64, np.int16, np.uint8])
def test_other_numbers_become_float32(kind):
    raster = Raster(np.arange(6).reshape(1, 2, 3).astype(kind)[:, :, ::-1], LONLAT, degrees(0, 5, 0.1))
    assert raster.values.dtype == np.float32
    assert raster.values.flags.c_contiguous
    assert raster.values[0].tolist() == [[2, 1, 0], [5, 4, 3]]


def test_infinite_values_are_no_data():
    values = np.array([[[1, np.inf], [-np.inf, 2]]], np.float32)
    raster = Raster(values, LONLAT, degrees(0, 2, 1))
    assert raster.value_range == (1, 2)
    np.testing.assert_array_equal(np.isnan(raster.values[0]), [[False, True], [True, False]])
    assert np.isinf(values).sum() == 2


def test_the_range_of_values_skips_gaps():
    assert raster_of([[np.nan, 3], [-4, np.nan]], degrees(0, 2, 1)).value_range == (-4, 3)
    assert np.isnan(raster_of(np.full((3, 3), np.nan), degrees(0, 3, 1)).value_range).all()
    assert np.isnan(raster_of(np.full((3, 3), np.inf), degrees(0, 3, 1)).value_range).all()


def test_bands_are_described(raster):
    assert [(band.number, band.name, band.unit) for band in raster.bands] == [
        (1, "Height", "m"),
        (2, "Height", "m"),
    ]
    band = Band(4, "Rain", "mm", dt.datetime(2024, 5, 1, tzinfo=dt.UTC))
    assert raster_of([[1]], degrees(0, 1, 1), bands=[band]).bands == (band,)


def test_coordinates_are_those_of_cell_centers(raster):
    assert raster.x[:2].tolist() == [-99.75, -99.25]
    assert raster.y[:2].tolist() == [49.75, 49.25]
    x, y = raster.cell_centers()
    np.testing.assert_array_equal(x, np.broadcast_to(raster.x, (30, 40)))
    np.testing.assert_array_equal(y, np.broadcast_to(raster.y[:, None], (30, 40)))
    oblique = numbered(5, 4, OBLIQUE)
    x, y = oblique.cell_centers()
    assert (x[2, 3], y[2, 3]) == pytest.approx(OBLIQUE @ (3.5, 2.5))


def test_the_data_array_knows_its_crs_and_coordinates(raster):
    array = raster.to_xarray()
    assert array.dims == ("band", "y", "x")
    assert array.rio.crs.to_wkt() == pyproj.CRS(array.rio.crs.to_wkt()).to_wkt("WKT1_GDAL") or array.rio.crs
    assert array.rio.transform() == raster.transform
    assert (array.name, array.attrs["units"]) == ("Height", "m")
    np.testing.assert_array_equal(array.x, raster.x)
    assert set(numbered(5, 4, OBLIQUE).to_xarray().coords) == {"band", "spatial_ref"}


@pytest.mark.parametrize(
    ("raster", "inside", "outside"),
    [
        (
            numbered(10, 10, degrees(0, 10, 1)),
            [(0.1, 0.1), (9.9, 9.9), (365, 5), (-355, 5)],
            [(-1, 5), (5, 11), (180, 5)],
        ),
        (
            numbered(18, 36, degrees(0, 90, 10)),
            [(-170, 80), (355, -89), (0, 0), (360, 0)],
            [(0, 91), (np.nan, 3)],
        ),
        (
            numbered(10, 10, degrees(175, 10, 1)),
            [(-179, 5), (184, 5), (-176, 5)],
            [(170, 5), (-174, 5), (np.inf, np.inf)],
        ),
        (numbered(2160, 4320, degrees(-180, 90, 0.08333)), [(179.999, 1), (180, 1), (-180, 1)], [(0, -91)]),
        (
            numbered(150, 200, OBLIQUE),
            [(OBLIQUE @ (100, 70)), (OBLIQUE @ (1, 1))],
            [(OBLIQUE @ (-1, 5)), (0, 0)],
        ),
    ],
    ids=["region", "globe", "across the antimeridian", "rounded", "oblique"],
)
def test_places_lie_on_the_raster_or_not(raster, inside, outside):
    places = np.array([*inside, *outside])
    assert raster.contains(*places.T).tolist() == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((3, 3)), {}, r"memory: an array of \(bands, rows, columns\) is needed, not \(3, 3\)"),
        (np.zeros((1, 0, 3)), {}, r"not \(1, 0, 3\)"),
        (np.zeros((2, 3, 3)), {"bands": [Band(1, "a")]}, "2 bands of values, but 1 descriptions"),
        (
            np.zeros((1, 3, 3)),
            {"source": "a.tif", "transform": Affine(1, 2, 0, 2, 4, 0)},
            "a.tif: the transform .* one line",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(values, options, message):
    with pytest.raises(RasterError, match=message):
        Raster(values, **{"crs": LONLAT, "transform": degrees(0, 3, 1), **options})
