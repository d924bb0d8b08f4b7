import contextlib
import datetime as dt
import itertools
import logging
import os
import subprocess
import sys
import time
import tracemalloc
import warnings

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

from forkmaps.errors import RasterError
from forkmaps.raster.file import read_raster
from forkmaps.raster.tags import valid_time

GRID = from_origin(-110, 50, 0.5, 0.5)
UTC = dt.UTC


def write(
    path, values, *, driver="GTiff", scales=None, offsets=None, colormap=None, mask=None, tags=None, **profile
):
    """Write (rows, columns) or (bands, rows, columns) values with GDAL, in cells of 0.5 degrees."""
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    count, height, width = values.shape
    profile = {"dtype": values.dtype, "crs": "EPSG:4326", "transform": GRID, **profile}
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver=driver, count=count, height=height, width=width, **profile) as file,
    ):
        file.write(values)
        if scales:
            file.scales, file.offsets = scales, offsets
        if colormap:
            file.write_colormap(1, colormap)
        if mask is not None:
            file.write_mask(mask)
        for number, of_band in (tags or {}).items():
            file.update_tags(number, **of_band)
    return path


@pytest.fixture
def ramp():
    return np.arange(600, dtype=np.float32).reshape(20, 30)


def values_of(raster):
    return raster.values[0]


# What is read


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64", "int64"]
)
def test_d1_values_of_any_type_become_float32(tmp_path, ramp, kind):
    values = (ramp % 100).astype(kind)
    raster = read_raster(write(tmp_path / "a.tif", values))
    assert raster.values.dtype == np.float32
    np.testing.assert_array_equal(values_of(raster), values)


@pytest.mark.parametrize(
    "profile", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}]
)
def test_all_parts_of_a_file_are_read(tmp_path, monkeypatch, profile):
    """Parts of 64 rows of a file of 200 x 100 cells; the last one is smaller."""
    monkeypatch.setattr("forkmaps.raster.file._PART_BYTES", 64 * 100 * 4)
    values = np.random.default_rng(0).normal(size=(200, 100)).astype(np.float32)
    np.testing.assert_array_equal(
        values_of(read_raster(write(tmp_path / "a.tif", values, **profile))), values
    )


@pytest.mark.parametrize(
    ("values", "nodata"),
    [
        (np.array([[1, -9999, 3]], np.float32), -9999),
        (np.array([[1, 0, 3]], np.float32), 0),
        (np.array([[1, np.nan, 3]], np.float32), np.nan),
        (np.array([[1, np.nan, 3]], np.float32), None),
        (np.array([[1, np.inf, 3]], np.float32), None),
        (np.array([[1, -np.inf, 3]], np.float32), -9999),
        (np.array([[1, 1e300, 3]], np.float64), None),
        (np.array([[1, -32768, 3]], np.int16), -32768),
        (np.array([[1, 0, 3]], np.uint8), 0),
        (np.array([[1, 2**40, 3]], np.int64), 2**40),
        (np.array([[1, -3.4028234663852886e38, 3]], np.float32), -3.4028234663852886e38),
        (np.array([[1, 1.7e308, 3]], np.float64), 1.7e308),
        (
            np.frombuffer(np.array([0x3F800000, 0x7FA00000, 0x40400000], np.uint32).tobytes(), np.float32)[
                None
            ],
            None,
        ),
    ],
    ids=str,
)
def test_d4_no_data_is_nan(tmp_path, values, nodata):
    found = values_of(read_raster(write(tmp_path / "a.tif", values, nodata=nodata)))
    np.testing.assert_array_equal(found, np.array([[1, np.nan, 3]], np.float32))


def test_an_internal_mask_counts(tmp_path, ramp):
    mask = ramp % 7 > 0
    raster = read_raster(write(tmp_path / "a.tif", ramp, mask=mask))
    np.testing.assert_array_equal(values_of(raster), np.where(mask, ramp, np.nan))


NUMBERS = {
    "uint8": st.integers(0, 255),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "float32": st.floats(width=32),
    "float64": st.floats(),
}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data(), st.sampled_from(sorted(NUMBERS)))
def test_gaps_are_exactly_those_of_gdals_mask(tmp_path, data, kind):
    """Also of values that miss the one for no data by a few units in the last place."""
    nodata = np.dtype(kind).type(data.draw(NUMBERS[kind]))
    values = data.draw(arrays(kind, (1, 6), elements=NUMBERS[kind]))
    values[0, 2:5] = nodata
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            values[0, 3] = np.nextafter(
                nodata, values.dtype.type(data.draw(st.sampled_from([np.inf, -np.inf])))
            )
            values[0, 4] = nodata * values.dtype.type(1 + data.draw(st.integers(-8, 8)) * np.finfo(kind).eps)
    path = write(tmp_path / "a.tif", values, nodata=float(nodata))
    with rasterio.open(path) as file:
        masked = file.read_masks(1) == 0
    with np.errstate(over="ignore"):
        expected = np.where(
            masked | ~np.isfinite(values.astype(np.float32)), np.nan, values.astype(np.float32)
        )
    np.testing.assert_array_equal(values_of(read_raster(path)), expected)


def test_gdals_mask_is_not_read_where_it_is_known_without(tmp_path, ramp, monkeypatch):
    asked = []
    real = rasterio.io.DatasetReader.read_masks
    counted = type("Counted", (rasterio.io.DatasetReader,), {})
    counted.read_masks = lambda self, *a, **k: asked.append(self.name) or real(self, *a, **k)
    monkeypatch.setattr("forkmaps.raster.gdal.DatasetReader", counted)
    read_raster(write(tmp_path / "plain.tif", ramp))
    read_raster(write(tmp_path / "nodata.tif", ramp, nodata=3))
    assert asked == []
    read_raster(write(tmp_path / "mask.tif", ramp, mask=ramp > 3))
    assert len(asked) == 1


def test_scale_and_offset_of_the_file_are_applied_and_then_those_asked_for(tmp_path):
    values = np.array([[0, 100, -32768]], np.int16)
    path = write(tmp_path / "a.tif", values, nodata=-32768, scales=(0.01,), offsets=(273.15,))
    np.testing.assert_allclose(values_of(read_raster(path)), [[273.15, 274.15, np.nan]], rtol=1e-6)
    celsius = read_raster(path, offset=-273.15, unit="°C")
    np.testing.assert_allclose(values_of(celsius), [[0, 1, np.nan]], atol=1e-5)
    np.testing.assert_allclose(values_of(read_raster(path, scale=2)), [[546.3, 548.3, np.nan]], rtol=1e-6)


def test_d1_a_palette_means_categories(tmp_path):
    classes = np.array([[1, 2, 0]], np.uint8)
    path = write(tmp_path / "a.tif", classes, nodata=0, colormap={1: (255, 0, 0, 255), 2: (0, 0, 255, 255)})
    raster = read_raster(path)
    assert raster.resampling == "nearest"
    np.testing.assert_array_equal(values_of(raster), [[1, 2, np.nan]])
    assert read_raster(path, resampling="average").resampling == "average"
    assert read_raster(write(tmp_path / "b.tif", classes)).resampling == "average"


def test_a_cloud_optimized_geotiff_is_read(tmp_path, ramp):
    write(
        tmp_path / "a.tif", np.tile(ramp, (10, 10)), driver="COG", nodata=5, blocksize=128, compress="deflate"
    )
    found = values_of(read_raster(tmp_path / "a.tif"))
    np.testing.assert_array_equal(found, np.tile(np.where(ramp == 5, np.nan, ramp), (10, 10)))


@pytest.mark.parametrize(
    "transform",
    [
        GRID,
        Affine(0.5, 0, -110, 0, 0.5, 40),
        Affine(0.4, 0.1, 0, 0.1, -0.5, 9),
        Affine(0.5, 0, 250, 0, -0.5, 50),
    ],
)
def test_d2_the_grid_is_the_files(tmp_path, ramp, transform):
    raster = read_raster(write(tmp_path / "a.tif", ramp, transform=transform))
    assert raster.transform.almost_equals(transform)
    assert raster.crs == pyproj.CRS("EPSG:4326")


def test_bands_are_chosen_by_number_name_or_time(tmp_path, ramp):
    tags = {n: {"long_name": f"day {n}", "valid_time": f"2024-05-0{n}T12:00:00Z"} for n in (1, 2, 3)}
    path = write(tmp_path / "a.tif", np.stack([ramp, ramp + 1, ramp + 2]), tags=tags)
    assert [band.name for band in read_raster(path).bands] == ["day 1", "day 2", "day 3"]
    for chosen in ([3, 1], ["day 3", "day 1"], ["2024-05-03T12:00Z", "2024-05-01"]):
        raster = read_raster(path, bands=chosen)
        assert [band.number for band in raster.bands] == [3, 1]
        assert raster.values[:, 0, 0].tolist() == [2, 0]
    with pytest.raises(RasterError, match=r'a\.tif: has no band "4"'):
        read_raster(path, bands=[4])


def test_names_and_units_come_from_the_file_unless_they_are_given(tmp_path, ramp):
    path = write(tmp_path / "sea.tif", ramp, tags={1: {"long_name": "Sea temperature", "units": "degC"}})
    raster = read_raster(path)
    assert (raster.name, raster.unit, raster.source) == ("Sea temperature", "°C", str(path))
    raster = read_raster(path, name="SST", unit="K")
    assert (raster.name, raster.unit) == ("SST", "K")
    assert read_raster(write(tmp_path / "relief.tif", ramp)).name == "relief"


def test_a_chosen_band_leaves_the_name_of_what_a_file_shows(tmp_path, ramp):
    both, names = np.stack([ramp, ramp]), [{"long_name": text} for text in ("January", "July")]
    tags = {0: {"long_name": "Temperature"}, 1: names[0], 2: names[1]}
    months = write(tmp_path / "a.tif", both, tags=tags)
    assert [read_raster(months, bands=bands).name for bands in ("all", [2], ["July"])] == ["Temperature"] * 3
    fields = write(tmp_path / "b.tif", both, tags={1: names[0], 2: names[1]})
    assert [read_raster(fields, bands=bands).name for bands in ("all", [2], [1])] == ["b", "July", "January"]


def test_d2_a_crs_can_be_given(tmp_path, ramp):
    path = write(tmp_path / "a.tif", ramp, crs=None)
    assert read_raster(path, crs="EPSG:4326").crs.to_epsg() == 4326
    assert read_raster(write(tmp_path / "b.tif", ramp), crs="EPSG:4269").crs.to_epsg() == 4269


# GRIB and NetCDF

TEMPERATURE, HUMIDITY = "0 0 2 0 96 0 0 1 12 103 0 2 255 0 0", "1 1 2 0 96 0 0 1 12 103 0 2 255 0 0"


@pytest.mark.parametrize(
    ("template", "name", "unit"), [(TEMPERATURE, "Temperature", "°C"), (HUMIDITY, "Relative humidity", "%")]
)
def test_d2_grib_tells_element_unit_and_valid_time(tmp_path, ramp, template, name, unit):
    """A forecast of 12 hours from 06 UTC."""
    source = write(tmp_path / "a.tif", ramp)
    options = {"DISCIPLINE": "0", "PDS_PDTN": "0", "IDS_REF_TIME": "2024-05-01T06:00:00Z"}
    path = tmp_path / "a.grib2"
    rasterio.shutil.copy(source, path, driver="GRIB", PDS_TEMPLATE_ASSEMBLED_VALUES=template, **options)
    raster = read_raster(path)
    assert (raster.name, raster.unit) == (name, unit)
    assert raster.bands[0].valid_time == dt.datetime(2024, 5, 1, 18, tzinfo=UTC)
    np.testing.assert_allclose(values_of(raster), ramp, atol=1e-3)


@pytest.mark.parametrize(
    ("tags", "common", "time"),
    [
        ({"GRIB_VALID_TIME": "1698991200"}, {}, (2023, 11, 3, 6)),
        ({"GRIB_VALID_TIME": "  1698991200 sec UTC"}, {}, (2023, 11, 3, 6)),
        ({"GRIB_VALID_TIME": "-315597600"}, {}, (1960, 1, 1, 6)),
        ({"GRIB_VALID_TIME": "99999999999999999999"}, {}, None),
        ({"NETCDF_DIM_time": "nan"}, {"time#units": "hours since 1970-01-01"}, None),
        ({"valid_time": "0001-01-01T00:00:00+02:00"}, {}, None),
        ({"NETCDF_DIM_time": "6"}, {"time#units": "hours since 2024-03-01 06:00:00"}, (2024, 3, 1, 12)),
        ({"NETCDF_DIM_valid_time": "1.5"}, {"valid_time#units": "days since 2024-03-01"}, (2024, 3, 2, 12)),
        (
            {"NETCDF_DIM_level": "850", "NETCDF_DIM_t": "90"},
            {"t#units": "minutes since 2000-1-1", "level#units": "hPa"},
            (2000, 1, 1, 1, 30),
        ),
        ({"NETCDF_DIM_time": "1"}, {"time#units": "days since 2000-01-01", "time#calendar": "360_day"}, None),
        ({"NETCDF_DIM_time": "x"}, {"time#units": "days since 2000-01-01"}, None),
        ({"valid_time": "2024-05-01T12:00:00+02:00"}, {}, (2024, 5, 1, 10)),
        ({}, {"valid_time": "2024-05-01T12:00"}, (2024, 5, 1, 12)),
        ({"valid_time": "tomorrow"}, {}, None),
        ({}, {}, None),
    ],
)
def test_valid_times_are_found_in_tags(tags, common, time):
    assert valid_time(tags, common) == (time and dt.datetime(*time, tzinfo=UTC))


@pytest.fixture
def netcdf(tmp_path):
    """A function that writes (time, lat, lon) variables to a CF file."""
    pytest.importorskip("scipy", reason="writes NetCDF")
    import xarray

    def write_netcdf(variables, **more):
        times = np.array(["2024-03-01T06", "2024-03-01T12"], "datetime64[ns]")
        lat, lon = np.arange(30.5, 36), np.arange(-109.5, -101)
        coordinates = {
            "time": times,
            "lat": ("lat", lat, {"units": "degrees_north", "bounds": "lat_bnds"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        }
        data = {name: (("time", "lat", "lon"), values, attrs) for name, (values, attrs) in variables.items()}
        path = tmp_path / "a.nc"
        xarray.Dataset({**data, **more}, coordinates).to_netcdf(path, engine="scipy")
        return path

    return write_netcdf


FIELD = np.arange(108, dtype=np.float32).reshape(2, 6, 9)


def test_d2_netcdf_tells_name_unit_and_times(netcdf):
    raster = read_raster(netcdf({"t2m": (FIELD, {"units": "K", "long_name": "2 m temperature"})}))
    assert (raster.name, raster.unit) == ("2 m temperature", "K")
    assert [band.valid_time.hour for band in raster.bands] == [6, 12]
    np.testing.assert_array_equal(raster.values, FIELD[:, ::-1])
    assert raster.transform.almost_equals(Affine(1, 0, -110, 0, -1, 36))


def test_degrees_in_netcdf_are_those_of_wgs_84_if_nothing_is_said(netcdf):
    assert read_raster(netcdf({"t2m": (FIELD, {})})).crs == pyproj.CRS("OGC:CRS84")


def test_one_of_several_variables_is_to_be_chosen(netcdf):
    path = netcdf({"t2m": (FIELD, {}), "rh": (FIELD * 2, {})})
    with pytest.raises(RasterError, match=r"a\.nc: has 2 variables; set variable to one of t2m, rh"):
        read_raster(path)
    assert read_raster(path, variable="rh").values.max() == 214
    with pytest.raises(RasterError, match='has no variable "t2"; did you mean "t2m"'):
        read_raster(path, variable="t2")


def test_bounds_of_coordinates_are_no_variables(netcdf):
    bounds = {"lat_bnds": (("lat", "edge"), np.zeros((6, 2)))}
    with pytest.raises(RasterError, match=r"has 2 variables; set variable to one of t2m, rh$"):
        read_raster(netcdf({"t2m": (FIELD, {}), "rh": (FIELD, {})}, **bounds))
    assert len(read_raster(netcdf({"t2m": (FIELD, {})}, **bounds)).bands) == 2


def test_d1_a_file_without_bands_is_refused(tmp_path, ramp):
    (tmp_path / "a.vrt").write_text('<VRTDataset rasterXSize="9" rasterYSize="9"></VRTDataset>')
    with pytest.raises(RasterError, match=r"a\.vrt: can't be read as a raster: Missing .* bands"):
        read_raster(tmp_path / "a.vrt", allow_references=True)


def test_a_tiff_has_no_variables(tmp_path, ramp):
    with pytest.raises(RasterError, match='has no variables to choose from, so "t2m" can\'t be one'):
        read_raster(write(tmp_path / "a.tif", ramp), variable="t2m")


# What is refused


def flipped(content, every):
    return bytes(byte ^ 0xFF if i % every == every - 1 else byte for i, byte in enumerate(content))


DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "all but its head": lambda content: content[:300],
    "flipped": lambda content: flipped(content, 97),
    "random": lambda content: np.random.default_rng(1).bytes(len(content)),
    "text": lambda _: b"hello\n" * 100,
    "one byte": lambda _: b"I",
    "empty": lambda _: b"",
}
LAYOUTS = {
    "strips": {},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    "cog": {"driver": "COG", "compress": "lzw"},
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_d1_damaged_files_are_refused_with_the_reason(tmp_path, ramp, damage, layout, capfd, caplog):
    path = write(tmp_path / "a.tif", np.tile(ramp, (20, 20)), **LAYOUTS[layout])
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    caplog.set_level(logging.INFO)
    with pytest.raises(RasterError, match=r"a\.tif: .{10,}") as refused:
        read_raster(path)
    assert len(str(refused.value).splitlines()) == 1
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_d1_a_damaged_file_is_called_so(tmp_path, ramp):
    path = write(tmp_path / "a.tif", ramp)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        RasterError, match=r"a\.tif: can't be read as a raster: .* got .* bytes.*; the file is damaged"
    ):
        read_raster(path)
    path.write_bytes(b"not a raster")
    with pytest.raises(
        RasterError, match=r"a\.tif: can't be read as a raster: it is in no format that GDAL .* knows"
    ):
        read_raster(path)


def test_d11_mutated_files_give_a_picture_or_one_error(tmp_path, ramp):
    random, path = np.random.default_rng(7), write(tmp_path / "a.tif", ramp, compress="deflate", nodata=3)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(150):
        mutated = content.copy()
        mutated[random.integers(0, 400, 6)] = random.integers(0, 256, 6)
        path.write_bytes(mutated.tobytes())
        with contextlib.suppress(RasterError):
            assert read_raster(path, crs="EPSG:4326").values.dtype == np.float32


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("terain.tif", 'terain.tif: there is no such raster file; did you mean "terrain.tif"'),
        ("other/terrain.tif", "there is no such raster file; there is no folder .*other"),
        ("", "is a folder; give the path of a raster file"),
    ],
)
def test_missing_files_are_told_with_the_nearest_name(tmp_path, ramp, path, message):
    write(tmp_path / "terrain.tif", ramp)
    with pytest.raises(RasterError, match=message):
        read_raster(tmp_path / path)


@pytest.mark.parametrize(
    "path",
    [
        "https://example.org/a.tif",
        "s3://bucket/a.tif",
        "s3:/bucket/a.tif",
        "/vsicurl/https://example.org/a.tif",
        "/vsizip/a.zip/a.tif",
        "/vsimem/a.tif",
        "zip+https://example.org/a.zip!a.tif",
    ],
)
def test_network_paths_are_refused(path):
    with pytest.raises(RasterError, match="network and virtual paths are not read; copy the file"):
        read_raster(path)


def test_d2_what_a_file_leaves_out_is_said(tmp_path, ramp):
    with pytest.raises(RasterError, match=r'a\.tif: states no CRS; set crs .* crs = "EPSG:4326"'):
        read_raster(write(tmp_path / "a.tif", ramp, crs=None))
    with pytest.raises(RasterError, match=r"b\.tif: has no georeference .* gdal_translate -a_ullr"):
        read_raster(write(tmp_path / "b.tif", ramp, transform=None))
    with pytest.raises(RasterError, match=r'a\.tif: crs "EPSG:12345678" is not known'):
        read_raster(tmp_path / "a.tif", crs="EPSG:12345678")


def test_d1_complex_numbers_are_refused(tmp_path, ramp):
    with pytest.raises(RasterError, match=r"a.tif: holds complex numbers \(complex64\); convert them"):
        read_raster(write(tmp_path / "a.tif", ramp.astype(np.complex64)))


def vrt(source, size=30):
    return (
        f'<VRTDataset rasterXSize="{size}" rasterYSize="{size}"><SRS>EPSG:4326</SRS>'
        f"<GeoTransform>-110,0.5,0,50,0,-0.5</GeoTransform><VRTRasterBand dataType='Float32' band='1'>"
        f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
        f"</VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize("name", ["a.vrt", "a.tif"])
def test_d3_a_file_that_only_refers_to_others_is_refused_under_any_name(tmp_path, name):
    (tmp_path / name).write_text("\n " + vrt("/etc/passwd"))
    with pytest.raises(
        RasterError, match=r"holds no values \(VRTDataset\), .* GeoTIFF .* set allow_references"
    ):
        read_raster(tmp_path / name)


def test_d3_references_that_look_otherwise_are_not_followed_either(tmp_path, ramp, monkeypatch):
    """GDAL is not let try these formats, even where their beginning isn't known here."""
    write(tmp_path / "secret.tif", ramp)
    (tmp_path / "a.tif").write_text("<!-- x -->" + vrt(tmp_path / "secret.tif"))
    with pytest.raises(RasterError, match="it is in no format that GDAL"):
        read_raster(tmp_path / "a.tif")


def test_references_are_followed_when_they_are_allowed(tmp_path, ramp):
    values = np.tile(ramp, (2, 1))[:30]
    write(tmp_path / "values.tif", values)
    (tmp_path / "a.vrt").write_text(vrt(tmp_path / "values.tif"))
    np.testing.assert_array_equal(values_of(read_raster(tmp_path / "a.vrt", allow_references=True)), values)


@pytest.fixture
def eight_gigabytes(monkeypatch):
    monkeypatch.setattr("forkmaps.raster.file.usable_memory", lambda: 8e9)


@pytest.fixture
def nothing_large(eight_gigabytes):
    """Fail a test that takes more than 2 MB, or a second."""
    tracemalloc.start()
    start = time.monotonic()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2e6
    assert time.monotonic() - start < 1


def test_d1_a_file_that_declares_too_much_is_refused_before_anything_is_allocated(tmp_path, nothing_large):
    size = {"height": 65535, "width": 65535, "count": 1, "dtype": "float32"}
    place = {"crs": "EPSG:4326", "transform": GRID}
    rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        sparse_ok=True,
        bigtiff="yes",
        blockysize=4096,
        **size,
        **place,
    ).close()
    with pytest.raises(
        RasterError, match=r"1 bands of 65535 x 65535 cells need 22.9 GB, of 8.0 GB available; choose"
    ):
        read_raster(tmp_path / "a.tif")


def test_a_raster_larger_than_the_container_may_hold_is_refused(tmp_path, ramp, monkeypatch):
    write(tmp_path / "a.tif", ramp)
    monkeypatch.setattr("forkmaps.memory.container_memory", lambda: 1000)
    with pytest.raises(RasterError, match=r"GB, of 0\.0 GB available; choose fewer bands"):
        read_raster(tmp_path / "a.tif")


def test_d3_a_small_file_of_two_million_squared_is_refused(tmp_path, nothing_large):
    (tmp_path / "a.vrt").write_text(vrt("a.tif", size=2_000_000))
    with pytest.raises(RasterError, match="set allow_references"):
        read_raster(tmp_path / "a.vrt")
    with pytest.raises(RasterError, match=r"2000000 x 2000000 cells need 21333.3 GB"):
        read_raster(tmp_path / "a.vrt", allow_references=True)


def test_memory_that_the_system_does_not_give_is_an_error_of_ours(tmp_path, ramp, monkeypatch):
    def refuse(*_):
        raise MemoryError

    path = write(tmp_path / "a.tif", ramp)
    monkeypatch.setattr("forkmaps.raster.file.np.empty", refuse)
    with pytest.raises(
        RasterError, match=r"20 x 30 cells need .* which this process doesn't get; choose fewer"
    ):
        read_raster(path)


# What is left behind


@pytest.mark.parametrize("name", ["a.tif", "a.grib2", "broken.tif"])
def test_no_file_stays_open(tmp_path, ramp, name):
    path = write(tmp_path / "a.tif", ramp, compress="deflate")
    if name == "a.grib2":
        rasterio.shutil.copy(path, tmp_path / name, driver="GRIB")
    if name == "broken.tif":
        (tmp_path / name).write_bytes(path.read_bytes()[:-300])
    try:
        raster = read_raster(tmp_path / name)
    except RasterError:
        raster = None
    assert not [link for link in open_files() if str(tmp_path) in link]
    assert (raster is None) == (name == "broken.tif")


def open_files():
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue


def test_gdals_warnings_go_to_our_log_alone(tmp_path, ramp, capfd, caplog):
    """A TIFF with a tag of a wrong type makes GDAL warn."""
    path = write(tmp_path / "a.tif", ramp)
    content = bytearray(path.read_bytes())
    for offset, number in itertools.product(range(8, 40), (256, 258, 259)):
        if content[offset : offset + 4] == number.to_bytes(2, "little") + b"\x03\x00":
            content[offset : offset + 2] = (60000).to_bytes(2, "little")
            break
    path.write_bytes(content)
    theirs = logging.getLogger("rasterio")
    before = theirs.propagate, list(theirs.handlers)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(RasterError):
        read_raster(path)
    assert {record.name for record in caplog.records} <= {"forkmaps.raster.gdal"}
    assert all(record.levelno == logging.DEBUG for record in caplog.records)
    assert (theirs.propagate, theirs.handlers) == before
    assert capfd.readouterr() == ("", "")


def test_reading_takes_little_beside_the_values(tmp_path):
    values = np.random.default_rng(0).normal(size=(1500, 2000)).astype(np.float32)
    path = write(tmp_path / "a.tif", values, nodata=-9999, scales=(2.0,), offsets=(1.0,))
    tracemalloc.start()
    read_raster(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < values.nbytes * 4 / 3 + 20e6


THREADS = """
import os, sys
from forkmaps.raster.file import read_raster
before = set(os.listdir("/proc/self/task"))
raster = read_raster(sys.argv[1])
after = set(os.listdir("/proc/self/task"))
child = os.fork()
if not child:
    read_raster(sys.argv[1])
    os._exit(0)
print(len(after - before), os.waitpid(child, 0)[1], os.environ["GDAL_NUM_THREADS"])
"""


def test_gdal_starts_no_threads_whatever_the_environment_says(tmp_path):
    """A forked child can even read again, which hangs for ever after GDAL has run threads."""
    values = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    path = write(tmp_path / "a.tif", values, tiled=True, blockxsize=64, blockysize=64, compress="deflate")
    shown = subprocess.run(
        [sys.executable, "-c", THREADS, path],
        env={**os.environ, "GDAL_NUM_THREADS": "ALL_CPUS", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert shown.stdout.split() == ["0", "0", "ALL_CPUS"]


def test_all_flags_of_masks_are_known():
    """A new one in GDAL would have to be thought of."""
    assert {flag.name for flag in MaskFlags} == {"all_valid", "per_dataset", "alpha", "nodata"}
