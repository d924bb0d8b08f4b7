"""NetCDF files whose cells have coordinates of their own."""

import cartopy.crs as ccrs
import numpy as np
import pytest
import rasterio

from forkmaps.errors import RasterError
from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster.file import read_raster
from forkmaps.raster.geolocation import cell_centers
from forkmaps.regions import Extent

pytest.importorskip("scipy", reason="writes NetCDF")

ROWS, COLUMNS = 30, 40
STEPS = np.array([[-0.02, 0.05], [0.04, 0.01]])
"""Degrees of longitude, and of latitude, from one row to the next and from one column to the next."""
CORNER = np.array([-100.0013, 2.0007])
"""So that no pixel's center lies on an edge."""
NONE = -999.0
VIEW = View(Extent(-99.6, -98.8, 2.6, 3.0), Size(400, 200))
CELL = 550
"""Pixels of a cell in the view."""


@pytest.fixture
def model(tmp_path):
    """A function that writes a model's file: 100 x row + column at one time, and -1 times that at another."""
    import xarray

    def write(
        *,
        named="lon lat",
        fields=("sst",),
        over_time=False,
        moves=0.0,
        flip=False,
        unit="degrees",
        hole=None,
        none=NONE,
        fill=NONE,
    ):
        i, j = np.mgrid[0:ROWS, 0:COLUMNS]
        lonlat = CORNER[:, None, None] + np.tensordot(STEPS, [i, j], 1)
        if hole is not None:
            lonlat[:, *hole] = none
        order = slice(None, None, -1 if flip else 1)
        field = np.stack([100 * i + j, -100 * i - j])[:, order].astype(np.float32)
        attrs = {"units": "K", "long_name": "Sea temperature"} | ({"coordinates": named} if named else {})
        data = dict.fromkeys(fields, (("time", "y", "x"), field, attrs))
        for name, values, way in zip(("lon", "lat"), lonlat[:, order], ("east", "north"), strict=True):
            about = {"units": f"{unit}_{way}"}
            data[name] = (("y", "x"), values, about)
            if over_time:
                data[name] = (("time", "y", "x"), np.stack([values, values + moves]), about)
        times = np.array(["2024-03-01T06", "2024-03-01T12"], "datetime64[ns]")
        path = tmp_path / "model.nc"
        xarray.Dataset(data, {"time": times}).to_netcdf(
            path, engine="scipy", encoding={name: {"_FillValue": fill} for name in ("lon", "lat")}
        )
        return path

    return write


def sampled(raster, band=0):
    return raster.sample(VIEW, MapProjection(ccrs.PlateCarree()), band=band)


def wanted():
    """What the view shows: of each pixel's place the row and column, by solving two equations."""
    place = np.stack(np.meshgrid(*VIEW.pixel_centers()))
    i, j = np.rint(np.tensordot(np.linalg.inv(STEPS), place - CORNER[:, None, None], 1))
    return 100 * i + j


@pytest.mark.parametrize("more", [{}, {"over_time": True, "unit": "degree"}], ids=["NEMO", "WRF"])
@pytest.mark.parametrize("flip", [False, True])
def test_each_pixel_shows_the_cell_that_the_file_puts_there(model, more, flip):
    raster = read_raster(model(flip=flip, **more))
    assert (sampled(raster) == wanted()).mean() > 0.999
    assert (sampled(raster, band=1) == -sampled(raster)).all()
    assert (raster.name, raster.unit, raster.crs.is_geographic) == ("Sea temperature", "K", True)
    assert [band.valid_time.hour for band in raster.bands] == [6, 12]


def test_d3_what_is_refused_for_its_coordinates_is_not_read(model, monkeypatch):
    path, cells = model(), ROWS * COLUMNS
    # Two bands with pyramids take some 11 bytes a cell; the four coordinates, two of them on the map too, 48.
    monkeypatch.setattr("forkmaps.raster.file.usable_memory", lambda: 30.0 * cells)
    monkeypatch.setattr("forkmaps.raster.file.cell_centers", lambda *_: pytest.fail("was read"))
    with pytest.raises(RasterError, match=r"2 bands of 30 x 40 cells need .* GB, of 0.0 GB available"):
        read_raster(path)


def test_order_and_further_names_in_the_attribute_change_nothing(model):
    raster = read_raster(model(named="time lat lon", fields=("sst", "sss")), variable="sst")
    assert (sampled(raster) == wanted()).mean() > 0.999


@pytest.mark.parametrize("over_time", [False, True])
@pytest.mark.parametrize(
    ("none", "fill"), [(NONE, NONE), (NONE, None), (np.nan, np.nan)], ids=["stated", "not stated", "NaN"]
)
def test_cells_without_coordinates_are_nowhere(model, none, fill, over_time):
    hole = (slice(16, 18), slice(24, 26))
    raster = read_raster(model(hole=hole, none=none, fill=fill, over_time=over_time))
    shown = sampled(raster)
    gaps = np.isnan(shown)
    # Their neighbors lack a corner.
    assert 4 * CELL <= gaps.sum() < 17 * CELL
    assert (shown == wanted())[~gaps].mean() > 0.999
    assert not np.isin([1624, 1725], shown).any()


def test_the_crs_may_be_another_one_of_degrees_only(model):
    path = model()
    assert read_raster(path, crs="EPSG:4269").crs.to_epsg() == 4269
    with pytest.raises(RasterError, match=r'model\.nc: each cell has .* but crs "EPSG:5070" .*leave crs out'):
        read_raster(path, crs="EPSG:5070")


def test_coordinates_that_the_file_does_not_name_are_asked_for(model):
    with pytest.raises(RasterError, match=r"has no georeference .*name them in .*attribute coordinates"):
        read_raster(model(named=""), variable="sst")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("other", ['NETCDF:"/elsewhere/a.nc":lon', "/vsicurl/http://localhost/a.nc"])
def test_coordinates_in_other_files_are_not_followed(model, other):
    class Lying:
        """A dataset that names another file."""

        def __init__(self, dataset):
            self._dataset = dataset

        def __getattr__(self, name):
            return getattr(self._dataset, name)

        def tags(self, ns=None):
            return self._dataset.tags(ns=ns) | {"X_DATASET": other}

    path = model()
    with rasterio.open(f"netcdf:{path}:sst") as dataset:
        assert cell_centers(dataset, None, path) is not None
        assert cell_centers(Lying(dataset), None, path) is None


def test_cells_that_move_are_refused(model):
    with pytest.raises(RasterError, match=r"model\.nc: its cells move, as .*lon.* not the same at all times"):
        read_raster(model(over_time=True, moves=0.3))
