"""The part of a raster that axes show: its cells where they are, and no more than can be seen."""

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection
from forkmaps.raster import Raster
from forkmaps.shared import SharedData

LONLAT = ccrs.PlateCarree()
CONIC = ccrs.LambertConformal(central_longitude=-100)


def shared_of(values, transform, crs="OGC:CRS84", projection=CONIC):
    raster = Raster(np.asarray(values, np.float32)[None], pyproj.CRS(crs), transform, name="Height", unit="m")
    return SharedData(raster, {}, MapProjection(projection))


def plane(rows, columns, cell, west, north):
    """Values that tell where they are: 1000 times the row, plus the column."""
    row, column = np.mgrid[:rows, :columns]
    return shared_of(1000 * row + column, Affine(cell, 0, west, 0, -cell, north))


def axes_of(extent, projection=CONIC, size=(300, 200), crs=LONLAT):
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), projection=projection)
    axes.set_aspect("auto")
    axes.set_extent(extent, crs=crs)
    return axes


def lies_at(part):
    """Rows and columns that the values of `plane` tell of."""
    return np.divmod(part.values[0].astype(int), 1000)


def test_cells_larger_than_pixels_are_there_with_their_centers():
    shared = plane(50, 80, 0.5, -120, 50)
    part = shared.in_view(axes_of((-105, -95, 38, 44)))
    row, column = lies_at(part)
    np.testing.assert_allclose(part.x, -120 + 0.5 * (column[0] + 0.5))
    np.testing.assert_allclose(part.y, 50 - 0.5 * (row[:, 0] + 0.5))
    assert part.x.min() < -105
    assert part.x.max() > -95
    assert part.y.min() < 38
    assert part.y.max() > 44
    assert part.sizes["x"] < 40
    assert part.sizes["y"] < 30
    assert (part.name, part.attrs["units"]) == ("Height", "m")
    assert pyproj.CRS(part.rio.crs.to_wkt()) == pyproj.CRS("OGC:CRS84")


def test_contours_of_it_are_those_of_the_whole():
    shared = plane(50, 80, 0.5, -120, 50)

    def picture(part):
        axes = axes_of((-105, -95, 38, 44))
        limits = axes.get_xlim(), axes.get_ylim()
        part = part(axes)
        axes.contour(part.x, part.y, part[0], levels=range(0, 50_000, 2_000), transform=LONLAT)
        axes.set(xlim=limits[0], ylim=limits[1])
        axes.figure.canvas.draw()
        return np.asarray(axes.figure.canvas.buffer_rgba())

    whole = picture(lambda axes: shared.data)
    np.testing.assert_array_equal(picture(shared.in_view), whole)
    assert (whole != 255).any(axis=2).sum() > 300


def test_cells_smaller_than_pixels_come_as_means():
    shared = shared_of(np.ones((900, 1)) * np.arange(999), Affine(0.02, 0, -110, 0, -0.02, 50))
    part = shared.in_view(axes_of((-109, -92, 34, 49), size=(100, 60)))
    assert 50 < part.sizes["x"] < 300
    assert 30 < part.sizes["y"] < 200
    np.testing.assert_allclose(part.x, -110 + 0.02 * (part[0, 0].values + 0.5), atol=0.01)
    whole = shared.in_view(axes_of((-130, -60, 10, 70), size=(100, 60)))
    step = float(whole.x[1] - whole.x[0])
    assert whole.x[0] == pytest.approx(-110 + step / 2)
    assert whole.x[-1] + 0.0 < -110 + 0.02 * 999  # the last block is cut by the raster's edge


@pytest.mark.parametrize("middle", [0, 180])
def test_goes_on_across_the_antimeridian(middle):
    shared = plane(180, 360, 1.0, -180 + middle, 90)
    axes = axes_of((-15, 15, -30, 0), ccrs.PlateCarree(180), crs=ccrs.PlateCarree(180))
    part = shared.in_view(axes)
    _, column = lies_at(part)
    assert np.ptp(part.x.values) < 40
    assert (np.diff(part.x) == 1).all()
    east = (part.x.values - 180) % 360
    np.testing.assert_allclose(np.minimum(east, 360 - east).max(), 17.5, atol=2)
    np.testing.assert_allclose((part.x - (-180 + middle + column[0] + 0.5)) % 360, 0)


@pytest.mark.parametrize("cell", [1.0, 0.05])
def test_goes_on_where_a_raster_repeats_its_first_column(cell):
    """As cartopy's `add_cyclic_point` makes it: centers from 0 to 360 degrees."""
    lon, lat = np.linspace(0, 360, round(360 / cell) + 1), np.arange(-30, 30.1, 1)
    height = np.cos(np.radians(lon)) + 0 * lat[:, None]
    shared = SharedData.load(Raster.from_array(height, x=lon, y=lat, crs=LONLAT), projection=LONLAT)
    for west, middle in ((-20, 0), (160, 180), (-30, -10)):
        part = shared.in_view(axes_of((west, west + 40, -10, 10), LONLAT))[0]
        around = (part.x.values - middle + 180) % 360 - 180
        assert around.min() < west - middle
        assert around.max() > west - middle + 40
        assert (np.diff(part.x) < 1.01).all()
        np.testing.assert_allclose(part[0], np.cos(np.radians(part.x)), atol=1e-3)


def test_the_whole_earth_is_there_once():
    shared = plane(90, 180, 2.0, -180, 90)
    part = shared.in_view(axes_of((-180, 180, -90, 90), LONLAT))
    assert part.sizes["x"] == 180
    assert part.sizes["y"] == 90


def test_around_a_pole():
    shared = plane(90, 180, 2.0, -180, 90)
    part = shared.in_view(axes_of((-180, 180, 80, 90), ccrs.NorthPolarStereo()))
    row, _ = lies_at(part)
    assert part.sizes["x"] == 180
    assert row.min() == 0
    assert 5 <= row.max() < 20


def test_rotated_grids_have_coordinates_for_each_cell():
    transform = Affine.translation(-110, 45) * Affine.rotation(20) * Affine.scale(0.25, -0.25)
    shared = shared_of(np.ones((60, 60)), transform)
    part = shared.in_view(axes_of((-107, -103, 40, 43)))
    assert part.x.shape == part.y.shape == part.shape[1:]
    assert float(part.x.min()) < -107
    assert float(part.x.max()) > -103
    x, y = transform @ (0.5, 0.5) if hasattr(Affine, "__matmul__") else transform * (0.5, 0.5)
    np.testing.assert_allclose((shared.x[0, 0], shared.y[0, 0]), (x, y))


def test_axes_of_another_projection():
    shared = plane(50, 80, 0.5, -120, 50)
    part = shared.in_view(axes_of((-105, -95, 38, 44), ccrs.Mercator()))
    assert float(part.x.min()) < -105 < -95 < float(part.x.max()) < -90


def test_nothing_in_view_is_an_error():
    with pytest.raises(RasterError, match="nothing of it is in view"):
        plane(50, 80, 0.5, -120, 50).in_view(axes_of((10, 20, 40, 50), LONLAT))


def test_can_not_be_written_to():
    shared = plane(180, 360, 1.0, -180, 90)
    for extent in ((-15, 15, -30, 0), (100, 120, -30, 0)):
        part = shared.in_view(axes_of(extent, ccrs.PlateCarree(180), crs=ccrs.PlateCarree(180)))
        with pytest.raises(ValueError, match="read-only"):
            part.values[0, 0, 0] = 1
