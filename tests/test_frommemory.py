"""Rasters and boundary layers from what a user has in memory."""

import datetime as dt

import cartopy.crs as ccrs
import cartopy.feature
import numpy as np
import pyproj
import pytest
import rioxarray
import shapely
import xarray
from affine import Affine

from forkmaps.errors import FeatureError, ForkmapsError, RasterError
from forkmaps.projection import MapProjection, Size, View
from forkmaps.raster import Band, Raster
from forkmaps.raster.curvilinear import CurvilinearGrid
from forkmaps.regions import Extent
from forkmaps.shared import Boundary, SharedData, set_shared_data, shared_data
from small import make_raster

LON, LAT = np.arange(-110.0, -90, 0.5), np.arange(50.0, 30, -0.5)
VALUES = np.arange(LAT.size * LON.size, dtype=np.float32).reshape(LAT.size, LON.size)
PLATE_CARREE = MapProjection(ccrs.PlateCarree())


@pytest.fixture(autouse=True)
def empty_slot():
    set_shared_data(None)
    yield
    set_shared_data(None)


def array(values=VALUES, dims=("lat", "lon"), coords=None, **options):
    coords = {"lat": LAT, "lon": LON} if coords is None else coords
    return xarray.DataArray(values, dims=dims, coords=coords, **options)


MODEL_LON, MODEL_LAT = (
    grid + 0.1 * turn for grid, turn in zip(np.meshgrid(LON, LAT), (LAT[:, None], LON), strict=True)
)


def as_models_write(x, y, of_x=None, of_y=None):
    """An array at two times, for each of which the cells' places are given anew, with attributes."""
    dims = ("Time", "row", "column")
    coords = {
        name: (dims, np.stack([p, p]), of) for name, p, of in ((x, MODEL_LON, of_x), (y, MODEL_LAT, of_y))
    }
    return array(np.stack([VALUES, -VALUES]), dims, coords)


def value_at(raster, x, y, projection=PLATE_CARREE, band=0):
    step = 1e-3 if projection is PLATE_CARREE else 10.0
    view = View(Extent(x - step, x + step, y - step, y + step), Size(3, 3))
    return float(raster.sample(view, projection, band=band)[1, 1])


class TestFromArray:
    def test_centers_become_the_transform_of_the_corners(self):
        raster = Raster.from_array(VALUES, x=LON, y=LAT, crs="EPSG:4326")
        assert raster.transform.almost_equals(Affine(0.5, 0, -110.25, 0, -0.5, 50.25))
        assert value_at(raster, -109.6, 49.4) == VALUES[1, 1]

    def test_ascending_y_is_south_up(self):
        raster = Raster.from_array(VALUES[::-1], x=LON, y=LAT[::-1], crs=4326)
        assert raster.transform.e == 0.5
        assert value_at(raster, -109.6, 49.4) == VALUES[1, 1]

    def test_a_transform_may_be_given_instead(self):
        raster = Raster.from_array(
            VALUES, transform=Affine(0.5, 0, -110, 0, -0.5, 50), crs=ccrs.PlateCarree()
        )
        assert value_at(raster, -109.6, 49.6) == VALUES[0, 0]

    def test_edges_of_cells_may_be_given_instead_of_centers(self):
        x, y = np.append(LON, -90.0), np.append(LAT, 30.0)
        raster = Raster.from_array(VALUES, x=x, y=y, crs="EPSG:4326")
        assert raster.transform.almost_equals(Affine(0.5, 0, -110, 0, -0.5, 50))

    def test_a_meshgrid_is_seen_to_be_one(self):
        raster = Raster.from_array(
            VALUES, **dict(zip("xy", np.meshgrid(LON, LAT), strict=True)), crs="EPSG:4326"
        )
        assert raster.is_rectilinear

    def test_contiguous_float32_is_not_copied_and_stays_the_users_to_write(self):
        values = VALUES.copy()
        raster = Raster.from_array(values, x=LON, y=LAT, crs="EPSG:4326")
        assert np.shares_memory(raster.values, values)
        assert values.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            raster.values[0] = 0

    @pytest.mark.parametrize("kind", [np.float64, np.int16, bool])
    def test_other_numbers_are_converted(self, kind):
        raster = Raster.from_array(VALUES.astype(kind), x=LON, y=LAT, crs="EPSG:4326")
        assert raster.values.dtype == np.float32
        assert np.array_equal(raster.values[0], VALUES.astype(kind).astype(np.float32))

    def test_masked_values_are_gaps(self):
        masked = np.ma.masked_equal(VALUES.astype(int), 41)
        raster = Raster.from_array(masked, x=LON, y=LAT, crs="EPSG:4326")
        assert np.isnan(raster.values[0, 1, 1])
        assert np.isfinite(raster.values).sum() == VALUES.size - 1

    def test_bands_have_names_or_all_that_is_known_of_them(self):
        both = np.stack([VALUES, VALUES + 1])
        raster = Raster.from_array(
            both, x=LON, y=LAT, crs="EPSG:4326", bands=["a", Band(7, "b", "K")], unit="m"
        )
        assert raster.bands == (Band(1, "a", "m"), Band(7, "b", "K"))

    def test_longitudes_may_jump_at_the_antimeridian(self):
        lon = (np.arange(170, 190, 0.5) + 180) % 360 - 180
        raster = Raster.from_array(VALUES, x=lon, y=LAT, crs="EPSG:4326")
        assert raster.is_rectilinear
        assert value_at(raster, -179.6, 49.9) == VALUES[0, 21]

    @pytest.mark.parametrize("west", [-180, 0])
    def test_one_column_may_go_around_the_earth(self, west):
        y = [80, 40, 0, -40, -80]
        raster = Raster.from_array(VALUES[:4, :1], x=[west, west + 360], y=y, crs="EPSG:4326")
        assert value_at(raster, -179, 50) == value_at(raster, 150, 50) == VALUES[0, 0]
        assert value_at(raster, 10, -50) == VALUES[3, 0]

    def test_float32_coordinates_are_even_enough(self):
        x = np.arange(100.0, 140, 0.01, dtype=np.float32)
        y = np.arange(50.0, 49, -0.01, dtype=np.float32)
        raster = Raster.from_array(np.zeros((y.size, x.size)), x=x, y=y, crs="EPSG:4326")
        assert raster.is_rectilinear

    def test_uneven_coordinates_make_a_curvilinear_grid(self):
        lat = LAT.copy()
        lat[5] += 0.05
        raster = Raster.from_array(VALUES, x=LON, y=lat, crs="EPSG:4326")
        assert isinstance(raster.grid, CurvilinearGrid)
        edge = (lat[4] + lat[5]) / 2
        assert value_at(raster, -109.6, edge + 0.01) == VALUES[4, 1]
        assert value_at(raster, -109.6, edge - 0.01) == VALUES[5, 1]

    @pytest.mark.parametrize(
        ("values", "options", "told"),
        [
            (VALUES[0], {}, r"\(bands, rows, columns\) is needed, not \(40,\)"),
            (VALUES[None, None], {}, r"\(bands, rows, columns\) is needed"),
            (VALUES * 1j, {}, "real numbers are needed, not complex"),
            (VALUES.astype(str), {}, "real numbers are needed, not <U"),
            (VALUES[:, :-1], {}, r"40 rows and 39 columns, but x of shape \(40,\), y of \(40,\); needed are"),
            (VALUES, {"x": np.zeros(40)}, "x neither ascends nor descends"),
            (VALUES, {"y": np.where(LAT[3] == LAT, np.nan, LAT)}, "y neither ascends nor descends"),
            (VALUES, {"crs": "EPSG:99999999"}, "crs 'EPSG:99999999' is not known"),
            (VALUES, {"transform": Affine.scale(2)}, "either transform is needed, or x and y"),
            (VALUES, {"y": None}, "either transform is needed, or x and y"),
            (VALUES[:1], {"y": LAT[:1]}, "one value of y doesn't tell the cells' size"),
            (VALUES, {"bands": ["a", "b"]}, "1 bands of values, but 2 descriptions"),
        ],
    )
    def test_what_does_not_fit_is_told(self, values, options, told):
        with pytest.raises(RasterError, match=told):
            Raster.from_array(values, **{"x": LON, "y": LAT, "crs": "EPSG:4326", **options})


class TestFromXarray:
    @pytest.mark.parametrize(
        ("y", "x"),
        [("lat", "lon"), ("latitude", "longitude"), ("Latitude", "Longitude"), ("nav_lat", "nav_lon")],
    )
    def test_longitude_and_latitude_need_no_crs(self, y, x):
        given = array(dims=(y, x), coords={y: LAT, x: LON})
        if x == "nav_lon":
            given[x].attrs["units"], given[y].attrs["units"] = "degrees_east", "degrees_north"
        raster = Raster.from_xarray(given)
        assert raster.crs.is_geographic
        assert value_at(raster, -109.6, 49.4) == VALUES[1, 1]

    def test_any_order_of_dimensions(self):
        stack = np.stack([VALUES, VALUES + 1])
        for order in (("time", "lat", "lon"), ("lat", "lon", "time"), ("lon", "time", "lat")):
            given = array(stack, ("time", "lat", "lon")).transpose(*order)
            assert np.array_equal(Raster.from_xarray(given).values, stack)

    def test_float32_in_order_is_not_copied(self):
        given = array(VALUES.copy())
        assert np.shares_memory(Raster.from_xarray(given).values, given.values)
        given[0, 0] = 5

    def test_cf_attributes_name_the_raster_and_its_unit(self):
        raster = Raster.from_xarray(array(name="t2m", attrs={"long_name": "Temperature", "units": "degC"}))
        assert (raster.name, raster.unit, raster.bands) == (
            "Temperature",
            "°C",
            (Band(1, "Temperature", "°C"),),
        )
        assert Raster.from_xarray(array(attrs={"standard_name": "air_temperature"})).name == "air temperature"
        assert Raster.from_xarray(array(name="t2m")).name == "t2m"
        assert Raster.from_xarray(array(name="t2m"), name="T", unit="K").bands == (Band(1, "T", "K"),)

    def test_times_become_valid_times(self):
        times = np.array(["2026-01-01T06", "2026-01-01T12"], "datetime64[ns]")
        given = array(np.stack([VALUES] * 2), ("time", "lat", "lon"), {"time": times, "lat": LAT, "lon": LON})
        found = [band.valid_time for band in Raster.from_xarray(given).bands]
        assert found == [dt.datetime(2026, 1, 1, hour, tzinfo=dt.UTC) for hour in (6, 12)]

    def test_a_step_counts_from_the_time_of_the_run_unless_valid_time_is_there(self):
        steps = np.array([0, 6], "timedelta64[h]").astype("timedelta64[ns]")
        coords = {"step": steps, "lat": LAT, "lon": LON, "time": np.datetime64("2026-01-01T00", "ns")}
        given = array(np.stack([VALUES] * 2), ("step", "lat", "lon"), coords)
        assert Raster.from_xarray(given).bands[1].valid_time == dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC)
        valid = given.assign_coords(
            valid_time=("step", np.array(["2027-01-01", "2027-01-02"], "datetime64[ns]"))
        )
        assert Raster.from_xarray(valid).bands[1].valid_time == dt.datetime(2027, 1, 2, tzinfo=dt.UTC)

    @pytest.mark.parametrize(
        "when",
        [
            {"time": np.datetime64("2026-01-01", "s"), "step": np.timedelta64("NaT", "ns")},
            {"time": np.datetime64("12026-01-01", "s")},
        ],
    )
    def test_a_time_that_no_date_has_is_none(self, when):
        coords = {"lat": LAT, "lon": LON, **when}
        given = array(VALUES, ("lat", "lon"), coords)
        assert Raster.from_xarray(given).bands[0].valid_time is None

    def test_levels_and_times_together_are_bands(self):
        times = np.array(["2026-01-01T06", "2026-01-01T12"], "datetime64[ns]")
        level = xarray.DataArray([500.0, 850.0], dims="level", attrs={"units": "hPa"})
        coords = {"time": times, "level": level, "lat": LAT, "lon": LON}
        values = np.arange(4)[:, None, None].reshape(2, 2, 1, 1) + VALUES
        given = array(values, ("time", "level", "lat", "lon"), coords, name="Height")
        raster = Raster.from_xarray(given)
        assert [band.name for band in raster.bands] == ["Height level 500 hPa", "Height level 850 hPa"] * 2
        assert [band.valid_time.hour for band in raster.bands] == [6, 6, 12, 12]
        assert [band.number for band in raster.bands] == [1, 2, 3, 4]
        assert raster.values[2, 0, 0] == 2

    def test_a_crs_written_with_rioxarray(self, tmp_path):

        make_raster(tmp_path / "a.tif", crs="EPSG:5070", bounds=(0, 0, 3e5, 2e5))
        with rioxarray.open_rasterio(tmp_path / "a.tif") as given:
            raster = Raster.from_xarray(given.load())
        assert raster.crs.to_epsg() == 5070
        assert raster.transform.almost_equals(Affine(1e4, 0, 0, 0, -1e4, 2e5))

    def test_a_cf_grid_mapping_and_coordinates_in_kilometers(self):
        crs = pyproj.CRS("+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=-95 +R=6371200 +units=m")
        attrs = {"units": "km", "standard_name": "projection_x_coordinate"}
        x = xarray.DataArray(np.arange(40) * 3.0, dims="x", attrs=attrs)
        y = xarray.DataArray(
            np.arange(40) * 3.0, dims="y", attrs={**attrs, "standard_name": "projection_y_coordinate"}
        )
        coords = {"x": x, "y": y, "mapping": xarray.DataArray(0, attrs=crs.to_cf())}
        given = array(VALUES, ("y", "x"), coords, attrs={"grid_mapping": "mapping"})
        raster = Raster.from_xarray(given)
        assert raster.crs.to_cf()["longitude_of_central_meridian"] == -95
        assert raster.transform.almost_equals(Affine(3000, 0, -1500, 0, 3000, -1500))

    def test_two_dimensional_longitudes_and_latitudes(self):
        lon, lat = np.meshgrid(LON, LAT)
        lon = lon + 0.1 * lat
        given = array(VALUES, ("y", "x"), {"lon": (("y", "x"), lon), "lat": (("y", "x"), lat)})
        raster = Raster.from_xarray(given)
        assert isinstance(raster.grid, CurvilinearGrid)
        assert value_at(raster, lon[7, 9], lat[7, 9]) == VALUES[7, 9]
        back = raster.to_xarray()
        assert np.array_equal(back["lon"], lon)
        assert np.array_equal(Raster.from_xarray(back).grid.center_y, lat)

    def test_longitudes_and_latitudes_given_anew_for_each_time(self):
        lon, lat = np.meshgrid(LON, LAT)
        lon = lon + 0.1 * lat
        lon[0, 0] = lat[0, 0] = np.nan
        dims = ("Time", "south_north", "west_east")
        coords = {"XLONG": (dims, np.stack([lon, lon])), "XLAT": (dims, np.stack([lat, lat]))}
        given = array(np.stack([VALUES, -VALUES]), dims, coords)
        raster = Raster.from_xarray(given)
        assert value_at(raster, lon[7, 9], lat[7, 9], band=1) == -VALUES[7, 9]
        assert given["XLONG"].ndim == 3
        moved = given.assign_coords(XLONG=(dims, np.stack([lon, lon + 1])))
        with pytest.raises(RasterError, match=r"cells move, as XLONG .* array\.isel\(Time=0\)"):
            Raster.from_xarray(moved)
        assert value_at(Raster.from_xarray(moved.isel(Time=1)), lon[7, 9] + 1, lat[7, 9]) == -VALUES[7, 9]

    @pytest.mark.parametrize("attrs", [{}, {"units": "degrees"}])
    @pytest.mark.parametrize(
        ("x", "y"),
        [
            *(("XLONG", "XLAT"), ("XLONG_U", "XLAT_U"), ("XLONG_V", "XLAT_V"), ("nav_lon", "nav_lat")),
            *(("TLONG", "TLAT"), ("ULONG", "ULAT"), ("gridlon", "gridlat"), ("glon", "glat")),
            *(("Longitude", "Latitude"), ("LONGITUDE", "LATITUDE"), ("Lon", "Lat")),
        ],
    )
    def test_names_in_use_tell_what_attributes_do_not(self, x, y, attrs):
        given = as_models_write(x, y, attrs, attrs)
        assert np.array_equal(Raster.from_xarray(given).grid.center_x, MODEL_LON)
        assert np.array_equal(Raster.from_xarray(given[0]).grid.center_y, MODEL_LAT)

    @pytest.mark.parametrize(
        ("of_x", "of_y"),
        [
            ({"units": "degrees_east"}, {"units": "degrees_north"}),
            ({"standard_name": "longitude"}, {"standard_name": "latitude"}),
        ],
    )
    def test_attributes_count_before_names(self, of_x, of_y):
        given = as_models_write("lat", "lon", of_x, of_y)
        assert np.array_equal(Raster.from_xarray(given).grid.center_x, MODEL_LON)

    def test_of_several_pairs_the_one_that_the_array_names_is_taken(self):
        given = as_models_write("ULONG", "ULAT").assign_coords(
            TLONG=(("row", "column"), MODEL_LON + 1), TLAT=(("row", "column"), MODEL_LAT)
        )
        assert np.array_equal(Raster.from_xarray(given).grid.center_x, MODEL_LON + 1)
        given.encoding["coordinates"] = "ULONG ULAT"
        assert np.array_equal(Raster.from_xarray(given).grid.center_x, MODEL_LON)

    def test_a_place_of_each_cell_that_moves_is_no_matter_where_rows_and_columns_have_one(self):
        moving = (("time", "lat", "lon"), np.random.default_rng(1).random((2, 40, 40)))
        given = array(np.stack([VALUES, VALUES]), ("time", "lat", "lon")).assign_coords(longitude=moving)
        assert Raster.from_xarray(given).is_rectilinear

    def test_longitudes_along_columns_that_are_named_otherwise(self):
        coords = {"lon": ("column", LON), "lat": ("row", LAT)}
        raster = Raster.from_xarray(array(VALUES, ("row", "column"), coords))
        assert value_at(raster, LON[9], LAT[7]) == VALUES[7, 9]

    def test_numbers_of_rows_and_columns_give_way_to_longitudes_unless_a_crs_is_known(self):
        coords = {"x": np.arange(40), "y": np.arange(40), "lon": ("x", LON), "lat": ("y", LAT)}
        given = array(VALUES, ("y", "x"), coords)
        assert value_at(Raster.from_xarray(given), LON[9], LAT[7]) == VALUES[7, 9]
        assert np.array_equal(Raster.from_xarray(given.rio.write_crs("EPSG:5070")).x, np.arange(40))

    def test_wrf_writes_its_times_and_what_an_array_is(self):
        times = np.array(["2026-01-01T00", "2026-01-01T06"], "datetime64[ns]")
        given = as_models_write("XLONG", "XLAT").assign_coords(XTIME=("Time", times))
        given.attrs["description"] = "TEMP at 2 M"
        raster = Raster.from_xarray(given)
        assert raster.bands[1] == Band(2, "TEMP at 2 M", valid_time=dt.datetime(2026, 1, 1, 6, tzinfo=dt.UTC))
        assert Raster.from_xarray(given[1]).bands[0].valid_time == raster.bands[1].valid_time
        given.attrs["long_name"] = "Temperature"
        assert Raster.from_xarray(given).name == "Temperature"

    def test_what_is_advised_where_places_are_not_known_helps(self):
        given = as_models_write("a", "b")
        with pytest.raises(RasterError, match=r"lon and lat, with array\.rename.*attribute units, \"degrees"):
            Raster.from_xarray(given)
        assert np.array_equal(Raster.from_xarray(given.rename(a="lon", b="lat")).grid.center_x, MODEL_LON)
        planar = given.rename(a="x", b="y").rio.write_crs("EPSG:5070")  # numbers like any
        assert np.array_equal(Raster.from_xarray(planar).grid.center_x, MODEL_LON)
        given["a"].attrs["units"], given["b"].attrs["units"] = "degrees_east", "degrees_north"
        assert np.array_equal(Raster.from_xarray(given).grid.center_x, MODEL_LON)
        of_plane = [{"standard_name": f"projection_{axis}_coordinate"} for axis in "xy"]
        told = as_models_write("a", "b", *of_plane).rio.write_crs("EPSG:5070")
        assert np.array_equal(Raster.from_xarray(told).grid.center_x, MODEL_LON)

    def test_where_an_array_has_no_places_the_advice_gives_it_some(self):
        bare = array(dims=("row", "column"), coords={})
        with pytest.raises(RasterError, match=r"array\.assign_coords\(lon=\(dimension, values\)"):
            Raster.from_xarray(bare)
        assert Raster.from_xarray(bare.assign_coords(lon=("column", LON), lat=("row", LAT))).is_rectilinear

    def test_a_projected_grid_with_a_crs_is_taken_before_its_longitudes(self):
        lon, lat = np.meshgrid(LON, LAT)
        coords = {"x": np.arange(40) * 1e4, "y": np.arange(40) * 1e4}
        coords |= {"lon": (("y", "x"), lon + 0.1 * lat), "lat": (("y", "x"), lat)}
        given = array(VALUES, ("y", "x"), coords)
        assert isinstance(Raster.from_xarray(given).grid, CurvilinearGrid)
        assert Raster.from_xarray(given.rio.write_crs("EPSG:5070")).is_rectilinear

    def test_fill_values_scale_and_offset_left_in_the_attributes_are_applied(self):
        attrs = {"_FillValue": -9999, "scale_factor": 0.1, "add_offset": 5.0}
        values = VALUES.astype(np.int16)
        values[0, 0] = -9999
        raster = Raster.from_xarray(array(values, attrs=attrs))
        assert np.isnan(raster.values[0, 0, 0])
        assert raster.values[0, 1, 1] == pytest.approx(41 * 0.1 + 5)

    @pytest.mark.parametrize("attribute", ["_FillValue", "missing_value"])
    def test_a_fill_value_that_float32_rounds_is_found(self, attribute):
        values = VALUES.copy()
        values[0, 0] = 1e20
        raster = Raster.from_xarray(array(values, attrs={attribute: 1e20}))
        assert np.isnan(raster.values[0, 0, 0])
        assert raster.value_range == (VALUES.min() + 1, VALUES.max())

    def test_a_round_trip_through_to_xarray_is_the_same_raster(self):
        raster = Raster.from_array(VALUES, x=LON, y=LAT, crs="EPSG:4326", name="Height", unit="m")
        again = Raster.from_xarray(raster.to_xarray())
        assert np.shares_memory(again.values, VALUES)
        assert (again.name, again.unit, again.bands) == (raster.name, raster.unit, raster.bands)
        assert again.transform.almost_equals(raster.transform)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (
                array(dims=("a", "b"), coords={}),
                "which coordinates are x and y can't be told, of dimensions a, b",
            ),
            (array(dims=("y", "x"), coords={"y": LAT, "x": LON}), "states no CRS; give crs"),
            (array(VALUES.astype("datetime64[s]")), "real numbers are needed"),
            (array()[:0], r"has no values: \{'lat': 0, 'lon': 40\}"),
        ],
    )
    def test_what_can_not_be_told_is_said(self, given, told):
        with pytest.raises(RasterError, match=told):
            Raster.from_xarray(given)


SQUARE = shapely.box(-105, 35, -95, 45)


class WithCrs:
    """As geopandas' GeoSeries and GeoDataFrame are."""

    crs = pyproj.CRS("EPSG:4326")
    geometry = (SQUARE, None)


class Interface:
    def __init__(self, content):
        self.__geo_interface__ = content


def test_boundaries_without_names_are_told():
    with pytest.raises(FeatureError, match="boundaries are given by name, not as list"):
        SharedData.load(array(), boundaries=[SQUARE])


class TestLoad:
    def load(self, boundary, projection="EPSG:5070", **options):
        return SharedData.load(array(), boundaries={"square": boundary}, projection=projection, **options)

    def expected(self, tmp_path):
        import pyogrio

        path = tmp_path / "square.gpkg"
        wkb = shapely.to_wkb(np.array([SQUARE]))
        pyogrio.raw.write(
            path,
            geometry=wkb,
            field_data=[],
            fields=np.array([], object),
            geometry_type="Polygon",
            crs="EPSG:4326",
        )
        return path

    @pytest.mark.parametrize(
        "source",
        [
            WithCrs(),
            Boundary([SQUARE], crs="EPSG:4326"),
            Boundary(SQUARE, crs=4326),
            Boundary((s for s in (SQUARE,)), crs=ccrs.PlateCarree()),
            Boundary(Interface(shapely.geometry.mapping(SQUARE)), crs="OGC:CRS84"),
            Boundary(
                {
                    "type": "FeatureCollection",
                    "features": [{"type": "Feature", "geometry": SQUARE.__geo_interface__}],
                },
                crs="OGC:CRS84",
            ),
            cartopy.feature.ShapelyFeature([SQUARE], ccrs.PlateCarree()),
        ],
        ids=["geopandas", "list", "geometry", "generator", "interface", "geojson", "cartopy"],
    )
    def test_a_layer_from_memory_is_the_one_from_a_file(self, source, tmp_path):
        found = self.load(source).features["square"]
        file = self.load(self.expected(tmp_path)).features["square"]
        assert not found.filled
        assert np.allclose(found.levels[0].xy, file.levels[0].xy, atol=1e-3)

    def test_real_geopandas(self, tmp_path):
        geopandas = pytest.importorskip("geopandas")
        frame = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[SQUARE], crs="EPSG:4326")
        file = self.load(self.expected(tmp_path)).features["square"]
        for source in (frame, frame.geometry, frame.to_crs("EPSG:3857")):
            found = self.load(source).features["square"]
            low, high = found.levels[0].xy.min(axis=0), found.levels[0].xy.max(axis=0)
            assert np.allclose(low, file.levels[0].xy.min(axis=0), atol=2e3)
            assert np.allclose(high, file.levels[0].xy.max(axis=0), atol=2e3)

    def test_areas_on_request(self, tmp_path):
        path = self.expected(tmp_path)
        for source in (path, [SQUARE]):
            assert self.load(Boundary(source, crs="EPSG:4326", filled=True)).features["square"].filled
            assert not self.load(Boundary(source, crs="EPSG:4326")).features["square"].filled

    def test_a_prepared_layer_is_used_as_it_is_in_its_own_projection(self):
        shared = self.load(WithCrs())
        feature = shared.features["square"]
        assert self.load(feature, shared.projection).features["square"] is feature
        with pytest.raises(FeatureError, match=r'"square": was prepared for .* not for'):
            self.load(feature, "EPSG:3857")
        with pytest.raises(FeatureError, match="was prepared without areas"):
            self.load(Boundary(feature, filled=True), shared.projection)

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ([SQUARE], r'"square": its geometries state no CRS; write Boundary\('),
            (Boundary([SQUARE], crs="here"), 'crs "here" is not known'),
            (5, "a value of type int is no boundary layer; needed is a path, a GeoDataFrame"),
            ([5], "a value of type int is no boundary layer"),
            ({"type": "Circle"}, "is no GeoJSON geometry"),
            (Boundary([SQUARE], crs="EPSG:4326", where="a = 1"), "where and layer are for files"),
        ],
    )
    def test_what_is_no_layer_is_told(self, source, told):
        with pytest.raises(FeatureError, match=told):
            self.load(source)

    def test_an_array_becomes_the_processs_own(self):
        loaded = SharedData.load(array())
        assert shared_data() is loaded
        assert np.shares_memory(loaded.raster.values, VALUES)
        assert loaded.projection.crs == ccrs.PlateCarree()

    def test_several_sources_by_name(self, tmp_path):
        make_raster(tmp_path / "a.tif")
        prepared = Raster.from_array(VALUES, x=LON, y=LAT, crs="EPSG:4326", name="Wind")
        shared = SharedData.load({"t2m": array(), "file": tmp_path / "a.tif", "wind": prepared})
        assert list(shared.rasters) == ["t2m", "file", "wind"]
        assert shared.raster is shared.rasters["t2m"] is shared.raster_named()
        assert shared.raster_named("wind") is prepared
        assert shared.rasters["file"].source.endswith("a.tif")
        assert shared.nbytes == sum(raster.nbytes for raster in shared.rasters.values())
        with pytest.raises(RasterError, match='no raster "Wind"; did you mean "wind"'):
            shared.raster_named("Wind")

    def test_a_cartopy_projection(self):
        crs = ccrs.LambertConformal(-100)
        assert SharedData.load(array(), projection=crs).projection.crs is crs

    @pytest.mark.parametrize(
        ("source", "told"),
        [
            (
                5,
                "a value of type int is no raster; needed is a path, an xarray.DataArray",
            ),
            (VALUES, "a value of type ndarray is no raster"),
            ({}, "there is no raster among the sources"),
            (array(name="t2m").to_dataset(), r"a Dataset holds several variables \(t2m\); choose one"),
        ],
    )
    def test_what_is_no_raster_is_told(self, source, told):
        with pytest.raises(ForkmapsError, match=told):
            SharedData.load(source)

    def test_writing_through_the_users_own_array_shows(self):
        """As the docstring says: it is not copied."""
        values = VALUES.copy()
        shared = SharedData.load(Raster.from_array(values, x=LON, y=LAT, crs="EPSG:4326"))
        values[0, 0] = 77
        assert shared.raster.values[0, 0, 0] == 77
