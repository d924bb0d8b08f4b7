import functools

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster.sampling import NOWHERE, PIXEL_ERROR, CellGrid, CellMap, Locator
from forkmaps.regions import Extent

LONLAT = "OGC:CRS84"
LAMBERT_GRID = "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=-95 +R=6371200 +units=m +type=crs"
"""The CRS of NDFD's grid, on a sphere."""
WORLD = Affine(0.05, 0, -180, 0, -0.05, 90)

PROJECTIONS = {
    "lambert": ccrs.LambertConformal(central_longitude=-96, central_latitude=38),
    "lambert at 180": ccrs.LambertConformal(central_longitude=180, central_latitude=50),
    "lambert south": ccrs.LambertConformal(20, -35, standard_parallels=(-25, -45)),
    "mercator": ccrs.Mercator(),
    "plate carree": ccrs.PlateCarree(),
    "plate carree at 180": ccrs.PlateCarree(central_longitude=180),
    "north pole": ccrs.NorthPolarStereo(central_longitude=-60),
    "south pole": ccrs.SouthPolarStereo(),
    "robinson": ccrs.Robinson(),
    "goode": ccrs.InterruptedGoodeHomolosine(),
    "orthographic": ccrs.Orthographic(-90, 40),
    "transverse mercator": ccrs.TransverseMercator(central_longitude=9),
    "albers": ccrs.AlbersEqualArea(-96, 37.5),
    "rotated pole": ccrs.RotatedPole(pole_longitude=-170, pole_latitude=40),
    "geostationary": ccrs.Geostationary(central_longitude=-75),
}
GRIDS = {
    "world": (LONLAT, WORLD),
    "0 to 360, south-up": (LONLAT, Affine(0.25, 0, 0, 0, 0.25, -90)),
    "continent": (LONLAT, Affine(0.01, 0, -130, 0, -0.01, 55)),
    "lambert on a sphere": (LAMBERT_GRID, Affine(2500, 0, -2.7e6, 0, -2500, 1.7e6)),
    "web mercator": ("EPSG:3857", Affine(5000, 0, -20037508, 0, -5000, 20037508)),
    "polar": ("EPSG:3413", Affine(6250, 0, -3.8e6, 0, -6250, 5.8e6)),
    "oblique, sheared": (LAMBERT_GRID, Affine(2000, -900, -1e6, 700, 1800, -2e6)),
}


def view_around(crs, x, y, zoom, size):
    """Return a view whose center lies at a share x, y of the projection's limits, `zoom` of them wide."""
    (west, east), (south, north) = crs.x_limits, crs.y_limits
    width = min(east - west, 1e8) * zoom
    x, y = west + x * (east - west), south + y * (north - south)
    height = width * size.height / size.width
    return View(Extent(x - width / 2, x + width / 2, y - height / 2, y + height / 2), size)


def shifted(view, right, up):
    e, dx, dy = view.extent, right * view.resolution, up * view.resolution
    return View(Extent(e.west + dx, e.east + dx, e.south + dy, e.north + dy), view.size)


@functools.cache
def transformer_of(crs, grid_crs):
    return pyproj.Transformer.from_crs(crs, grid_crs, always_xy=True)


@functools.cache
def projection_of(crs):
    return MapProjection(crs)


def exact_cells(crs, grid_crs, transform, view):
    """Transform every pixel. Returns (2, rows, columns) column and row, NaN outside of the world."""
    x, y = np.meshgrid(*view.pixel_centers())
    transformer = transformer_of(crs, grid_crs)
    grid_x, grid_y = transformer.transform(x, y)
    back_x, back_y = transformer.transform(grid_x, grid_y, direction="INVERSE")
    period = (
        crs.x_limits[1] - crs.x_limits[0] if isinstance(crs, ccrs.Mercator | ccrs.PlateCarree) else np.inf
    )
    inverse = ~transform
    with np.errstate(invalid="ignore"):
        off = np.abs(back_x - x)
        returns = np.hypot(np.minimum(off, np.abs(off - period)), back_y - y) < view.resolution / 2
        column = inverse.a * grid_x + inverse.b * grid_y + inverse.c
        row = inverse.d * grid_x + inverse.e * grid_y + inverse.f
    cells = np.stack([column, row])
    cells[:, ~(returns & np.isfinite(cells).all(axis=0))] = np.nan
    return cells


def on_one_turn(difference, transform, grid_crs):
    """Return differences of columns without whole turns of the earth."""
    if grid_crs != LONLAT:
        return difference
    around = 360 / transform.a
    return difference - around * np.round(difference / around)


def found_cells(cell_map, shape):
    """Put the tiles together. Returns (2, rows, columns) column and row, NaN outside."""
    cells = np.full((2, *shape), np.nan)
    times = np.zeros(shape, int)
    for tile in cell_map.tiles():
        assert tile.column.dtype == tile.row.dtype == np.float32
        assert min(tile.column.min(), tile.row.min()) > -0.01
        assert tile.column.max() <= tile.most_column + 0.01
        assert tile.row.max() <= tile.most_row + 0.01
        cells[0, tile.rows, tile.columns] = tile.column + np.float64(tile.first_column)
        cells[1, tile.rows, tile.columns] = np.where(tile.row < NOWHERE / 2, tile.row, np.nan)
        cells[1, tile.rows, tile.columns] += tile.first_row
        times[tile.rows, tile.columns] += 1
    assert times.max() <= 1
    cells[:, np.isnan(cells).any(axis=0)] = np.nan
    return cells


def cell_map_of(crs, grid_crs, transform, view):
    grid = CellGrid(tuple(~transform)[:6], 360.0 if grid_crs == LONLAT else None)
    return CellMap(Locator(grid, grid_crs, projection_of(crs)), view)


def errors_in_pixels(crs, grid_crs, transform, view):
    """Return (rows, columns) by how much pixels are off, in pixels (in cells, where cells are smaller)."""
    exact = exact_cells(crs, grid_crs, transform, view)
    found = found_cells(cell_map_of(crs, grid_crs, transform, view), exact.shape[1:])
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(exact[0]))
    off = found - exact
    off[0] = on_one_turn(off[0], transform, grid_crs)
    # On either side, as there is no slope across a seam.
    error = np.minimum(*(in_pixels(off, crs, grid_crs, transform, view, exact, step) for step in (-0.1, 0.1)))
    return np.where(np.isfinite(error), error, 0.0)


def in_pixels(off, crs, grid_crs, transform, view, exact, step):
    """Return (rows, columns): how long ways in cells are in pixels, by the sizes of cells beside them."""
    right = exact_cells(crs, grid_crs, transform, shifted(view, step, 0)) - exact
    up = exact_cells(crs, grid_crs, transform, shifted(view, 0, step)) - exact
    for change in (right, up):
        change[0] = on_one_turn(change[0], transform, grid_crs)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = np.abs(right[0] * up[1] - right[1] * up[0]) / abs(step)
        column, row = np.hypot(right[1], up[1]) / area, np.hypot(right[0], up[0]) / area
        return np.hypot(off[0] * np.maximum(column, 1), off[1] * np.maximum(row, 1))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(PROJECTIONS)),
    st.sampled_from(sorted(GRIDS)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(-4, 0.15),
    st.sampled_from([Size(181, 117), Size(64, 190), Size(330, 48)]),
)
# These were up to 0.7 pixels off when three orders of the series stood for what it leaves out.
@example("goode", "world", 0.29, 0.79, -1.118, Size(686, 375))
@example("goode", "world", 0.974, 0.41, -0.862, Size(350, 250))
@example("robinson", "world", 0.853, 0.26, -0.987, Size(97, 333))
def test_no_pixel_is_off_by_more_than_the_bound(projection, grid, x, y, log_zoom, size):
    crs = PROJECTIONS[projection]
    view = view_around(crs, x, y, 10**log_zoom, size)
    # A hundredth for the tie and the rounding to float32.
    assert errors_in_pixels(crs, *GRIDS[grid], view).max() <= PIXEL_ERROR + 0.01


@pytest.mark.parametrize("cell_pixels", [20, 1, 0.1])
@pytest.mark.parametrize(
    "projection", ["lambert", "mercator", "plate carree", "north pole", "transverse mercator"]
)
def test_the_bound_holds_whatever_the_size_of_cells(projection, cell_pixels):
    crs = PROJECTIONS[projection]
    x, y = crs.transform_point(-20.0, 70.0, ccrs.PlateCarree())
    meters = 1 if crs.x_limits[1] > 1000 else 1 / 111_000
    half = 4e5 * meters
    view = View(Extent(x - half, x + half, y - half / 2, y + half / 2), Size(400, 200))
    degrees = 8e5 / 400 / 111_000 * cell_pixels
    assert (
        errors_in_pixels(crs, LONLAT, Affine(degrees, 0, -180, 0, -degrees, 90), view).max()
        <= PIXEL_ERROR + 0.01
    )


@pytest.mark.parametrize(
    ("projection", "extent", "share"),
    [
        ("robinson", (-20e6, 20e6, -10e6, 10e6), 0.64),
        ("orthographic", (-7e6, 7e6, -7e6, 7e6), 0.65),
        ("goode", (-20e6, 20e6, -9e6, 9e6), 0.71),
        ("geostationary", (-6e6, 6e6, -6e6, 6e6), 0.64),
        ("transverse mercator", (5e7, 6e7, 0, 1e7), 0.0),
        ("orthographic", (6.8e6, 7.4e6, -3e5, 3e5), 0.0),
    ],
)
def test_only_the_projections_world_has_places(projection, extent, share):
    crs = PROJECTIONS[projection]
    view = View(Extent(*extent), Size(200, 150))
    cells = found_cells(cell_map_of(crs, LONLAT, WORLD, view), (150, 200))
    np.testing.assert_array_equal(np.isnan(cells), np.isnan(exact_cells(crs, LONLAT, WORLD, view)))
    assert np.mean(~np.isnan(cells)) == pytest.approx(share, abs=0.02)


def test_a_picture_of_no_place_at_all_has_no_tiles_and_cells_of_no_size():
    view = View(Extent(8e7, 10e7, 8e7, 9e7), Size(700, 350))
    cell_map = cell_map_of(PROJECTIONS["orthographic"], LONLAT, WORLD, view)
    assert not list(cell_map.tiles())
    assert cell_map.largest_cell == np.inf


@pytest.fixture
def transforms(monkeypatch):
    """The numbers of places that were transformed, one for each call."""
    counted = []
    cells = Locator.cells

    def count(self, x, y, *, tolerance):
        counted.append(x.size)
        return cells(self, x, y, tolerance=tolerance)

    monkeypatch.setattr(Locator, "cells", count)
    return counted


def test_a_smooth_view_takes_one_call_for_169_places(transforms):
    view = View(Extent(-1.1e6, -0.4e6, -1e5, 3e5), Size(1372, 750))
    cell_map_of(PROJECTIONS["lambert"], LONLAT, WORLD, view)
    assert transforms == [169]


@pytest.mark.parametrize(
    ("projection", "extent", "most"),
    [
        ("orthographic", (-11.7e6, 11.7e6, -6.4e6, 6.4e6), 300_000),  # the whole globe
        ("north pole", (-1.1e6, 1.1e6, -0.6e6, 0.6e6), 50_000),  # 85 to 90 degrees
        ("north pole", (-6.1e6, 6.1e6, -3.3e6, 3.3e6), 60_000),
        ("robinson", (-18e6, 18e6, -10e6, 10e6), 300_000),
        ("orthographic", (8e7, 10e7, 8e7, 9e7), 250_000),  # nothing at all
    ],
)
def test_poles_and_edges_cost_only_the_tiles_that_they_pass_through(transforms, projection, extent, most):
    """Of 1,029,000 pixels; in few calls."""
    cell_map_of(PROJECTIONS[projection], LONLAT, WORLD, View(Extent(*extent), Size(1372, 750)))
    assert sum(transforms) <= most
    assert len(transforms) <= 20


@pytest.mark.parametrize("projection", ["mercator", "plate carree", "lambert at 180"])
def test_the_antimeridian_costs_nothing(transforms, projection):
    crs = PROJECTIONS[projection]
    x, y = crs.transform_point(180.0, 50.0, ccrs.PlateCarree())
    half = abs(crs.transform_point(170.0, 50.0, ccrs.PlateCarree())[0] - abs(x))
    view = View(Extent(x - half, x + half, y - half / 2, y + half / 2), Size(400, 200))
    cells = found_cells(cell_map_of(crs, LONLAT, WORLD, view), (200, 400))
    assert len(transforms) == 1
    assert np.ptp(cells[0]) < 2 * 10 / 0.05 * 1.5


def test_a_longitude_is_put_beside_the_grids_middle_where_that_is_given():
    grid = CellGrid((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 360.0, 190.0)
    column, _ = grid.cells(np.array([[-179.0, 179.0, 11.0, 9.0]]), np.zeros((1, 4)))
    np.testing.assert_allclose(column, [[181.0, 179.0, 11.0, 369.0]])


def test_pixels_between_two_cells_go_to_the_same_one_in_every_row():
    """Pixel centers lie on the edges of cells, of one pixel each, off by no more than rounding."""
    transform = Affine(0.25, 0, -180.125, 0, -0.25, 90.125)
    view = View(Extent(-180, 180, -90, 90), Size(1440, 720))
    cells = found_cells(cell_map_of(PROJECTIONS["plate carree"], LONLAT, transform, view), (720, 1440))
    assert (np.floor(cells[0]) == np.floor(cells[0, 0])).all()
    assert (np.diff(np.floor(cells[0, 0])) == 1).all()
    assert (np.diff(np.floor(cells[1, :, 0])) == 1).all()


@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 40), Size(7, 1)])
def test_a_picture_may_be_one_pixel_wide_or_high(size):
    view = View(Extent(10, 10 + size.width, 40, 40 + size.height), size)
    crs = PROJECTIONS["plate carree"]
    assert errors_in_pixels(crs, LONLAT, WORLD, view).max() <= PIXEL_ERROR


def test_the_largest_cell_is_that_of_the_longest_side_anywhere_in_view():
    """Cells of 1 x 0.5 degrees; on Mercator a degree at 60 north is twice as high as at the equator."""
    crs = PROJECTIONS["mercator"]
    _, north = crs.transform_point(0, 60, ccrs.PlateCarree())
    degree = crs.transform_point(1, 0, ccrs.PlateCarree())[0]
    view = View(Extent(0, north, 0, north), Size(500, 500))
    pixels = degree / view.resolution
    high = cell_map_of(crs, LONLAT, Affine(1, 0, -180, 0, -1.5, 90), view)
    wide = cell_map_of(crs, LONLAT, Affine(5, 0, -180, 0, -1.5, 90), view)
    assert high.largest_cell == pytest.approx(2 * 1.5 * pixels, rel=0.01)
    assert wide.largest_cell == pytest.approx(5 * pixels, rel=0.01)


def test_cells_are_taken_together_at_a_level():
    view = View(Extent(10, 30, 40, 50), Size(200, 100))
    cell_map = cell_map_of(PROJECTIONS["plate carree"], LONLAT, WORLD, view)
    first, third = next(iter(cell_map.tiles())), next(iter(cell_map.tiles(3)))
    np.testing.assert_allclose(
        (first.column[0] + first.first_column) / 8, third.column[0] + third.first_column, atol=0.01
    )
