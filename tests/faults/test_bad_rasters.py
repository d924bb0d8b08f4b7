"""Rasters, damaged, incomplete, odd or malicious (D1 to D3): an error before any fork, or the right map."""

import shutil
import time
import warnings
import zipfile

import cartopy.crs as ccrs
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import xarray
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from plain import Mesh, assert_alike, plain_cartopy
from small import SET, SQUARE, make_layer, make_set

PLACE = Affine(20 / 30, 0, -110, 0, -1, 50)
"""Of 20 x 30 cells over the regions of the set."""
VALUES = np.arange(600).reshape(20, 30)


def write(path, values, **profile):
    """Write (rows, columns) of values as a GeoTIFF, or in another format of GDAL's."""
    rows, columns = values.shape
    profile = {"driver": "GTiff", "crs": "EPSG:4326", "transform": PLACE, "dtype": values.dtype, **profile}
    colors = profile.pop("colors", None)
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.open(path, "w", width=columns, height=rows, count=1, **profile) as file,
    ):
        file.write(values, 1)
        if colors:
            file.write_colormap(1, colors)


def cells(values, transform=PLACE, crs=None):
    corners = transform * np.meshgrid(*(np.arange(n + 1) for n in values.shape[::-1]))
    return Mesh(*corners, values, **({"crs": crs} if crs else {}))


DAMAGE = {
    "empty": (lambda _: b"", "the file is empty"),
    "text": (lambda _: b"not a raster\n" * 9, "in no format that GDAL"),
    "cut": (lambda content: content[: len(content) // 2], "the file is damaged, or was cut short"),
    "random": (lambda content: np.random.default_rng(1).bytes(len(content)), "in no format that GDAL"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_d1_a_damaged_raster_is_refused_with_the_reason(tmp_path, refused, damage):
    path = make_set(tmp_path)
    change, reason = DAMAGE[damage]
    (tmp_path / "raster.tif").write_bytes(change((tmp_path / "raster.tif").read_bytes()))
    message = refused(path)
    assert message.startswith(f"{tmp_path}/raster.tif: ")
    assert reason in message
    assert "\n" not in message


def test_d1_a_file_without_bands_is_refused(tmp_path, refused):
    path = make_set(tmp_path, SET.replace("raster.tif", "raster.bil"))
    (tmp_path / "raster.bil").write_bytes(bytes(64))
    (tmp_path / "raster.hdr").write_text("NROWS 4\nNCOLS 4\nNBANDS 0\nNBITS 8\n")
    assert "raster.bil: can't be read as a raster: Invalid band count : 0" in refused(path)


def test_d1_complex_numbers_are_refused(tmp_path, refused):
    path = make_set(tmp_path)
    write(tmp_path / "raster.tif", VALUES.astype(np.complex64))
    assert "holds complex numbers (complex64); convert them to real ones" in refused(path)


def test_d1_a_raster_that_declares_too_much_is_refused(tmp_path, refused, monkeypatch):
    path = make_set(tmp_path)
    options = {
        "sparse_ok": True,
        "bigtiff": "yes",
        "blockysize": 4096,
        "crs": "EPSG:4326",
        "transform": PLACE,
    }
    size = {"width": 65535, "height": 65535, "count": 1, "dtype": "uint8"}
    rasterio.open(tmp_path / "raster.tif", "w", driver="GTiff", **size, **options).close()
    monkeypatch.setattr("forkmaps.raster.file.usable_memory", lambda: 8e9)
    assert "65535 x 65535 cells need 22.9 GB, of 8.0 GB available; choose" in refused(path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"])
def test_d1_numbers_of_any_type_give_the_right_picture(tmp_path, drawn, dtype):
    path = make_set(tmp_path)
    values = (VALUES % 120).astype(dtype)
    write(tmp_path / "raster.tif", values)
    shown, plain = drawn(path), plain_cartopy(path, cells(values))
    assert sorted(shown) == ["north", "south"]
    for region, picture in shown.items():
        assert_alike(picture, plain[region])


def test_d1_a_palette_gives_the_right_picture(tmp_path, drawn):
    path = make_set(tmp_path)
    values = (VALUES % 7).astype(np.uint8)
    write(tmp_path / "raster.tif", values, colors={i: (i, 9 * i, 255 - i, 255) for i in range(256)})
    assert_alike(drawn(path)["south"], plain_cartopy(path, cells(values))["south"])


def test_d1_a_raster_of_one_cell_gives_the_right_picture(tmp_path, drawn):
    limits = SET.replace("[style]", "[style]\nmin = 0.0\nmax = 10.0")
    path = make_set(tmp_path, limits, "name,west,east,south,north\nsouth,-104,-96,36,40\n")
    values, place = np.full((1, 1), 5, np.uint8), Affine(5, 0, -102, 0, -2, 39)
    write(tmp_path / "raster.tif", values, transform=place)
    assert_alike(drawn(path)["south"], plain_cartopy(path, cells(values, place))["south"])


@pytest.mark.parametrize(
    ("left_out", "remedy"),
    [
        ({"crs": None}, 'states no CRS; set crs for the raster, for instance crs = "EPSG:4326"'),
        ({"transform": None}, "has no georeference"),
    ],
)
def test_d2_what_a_raster_leaves_out_is_said_with_what_to_set(tmp_path, refused, left_out, remedy):
    path = make_set(tmp_path)
    write(tmp_path / "raster.tif", VALUES.astype(np.int16), **left_out)
    assert remedy in refused(path)


GRIDS = {
    "as it is": PLACE,
    "south up": Affine(20 / 30, 0, -110, 0, 1, 30),
    "east to west": Affine(-20 / 30, 0, -90, 0, -1, 50),
    "rotated": Affine.translation(-108, 42) * Affine.rotation(25) * Affine.scale(0.8, -0.8),
    "sheared": Affine(0.9, 0.3, -112, 0.1, -1, 50),
    "0 to 360": PLACE.translation(360, 0) * PLACE,
    "-360": PLACE.translation(-360, 0) * PLACE,
}


@pytest.mark.parametrize("grid", GRIDS)
def test_d2_a_grid_of_any_direction_gives_the_right_picture(tmp_path, drawn, grid):
    path = make_set(tmp_path)
    write(tmp_path / "raster.tif", VALUES.astype(np.int16), transform=GRIDS[grid])
    shown, plain = drawn(path), plain_cartopy(path, cells(VALUES, GRIDS[grid]))
    for region, picture in shown.items():
        assert_alike(picture, plain[region])


def test_d2_a_raster_in_another_crs_than_the_boundaries_gives_the_right_picture(tmp_path, drawn):
    path = make_set(tmp_path)
    place, crs = Affine(60_000, 0, -900_000, 0, -60_000, 800_000), ccrs.LambertConformal(-98, 40)
    write(tmp_path / "raster.tif", VALUES.astype(np.int16), transform=place, crs=crs.to_wkt())
    shown, plain = drawn(path), plain_cartopy(path, cells(VALUES, place, crs))
    for region, picture in shown.items():
        assert_alike(picture, plain[region])


def test_d2_a_sphere_is_not_taken_for_an_ellipsoid(tmp_path, drawn):
    """20 km, two cells, lie between them here."""
    path = make_set(tmp_path)
    place, sphere = (
        Affine(30_000, 0, -600_000, 0, -30_000, 900_000),
        ccrs.Globe(ellipse=None, semimajor_axis=6371229),
    )
    crs = ccrs.LambertConformal(-100, 39, globe=sphere)
    values = np.arange(50 * 40).reshape(50, 40) % 97
    write(tmp_path / "raster.tif", values.astype(np.int16), transform=place, crs=crs.to_wkt())
    assert_alike(drawn(path)["south"], plain_cartopy(path, cells(values, place, crs))["south"])


GRIB = {
    "DISCIPLINE": "0",
    "PDS_PDTN": "0",
    "IDS_REF_TIME": "2024-05-01T06:00:00Z",
    "PDS_TEMPLATE_ASSEMBLED_VALUES": "1 1 2 0 96 0 0 1 12 103 0 2 255 0 0",
}


def test_d2_grib2_gives_the_right_picture(tmp_path, drawn):
    path = make_set(tmp_path, SET.replace("raster.tif", "raster.grib2"))
    write(tmp_path / "raster.tif", VALUES.astype(np.float32))
    rasterio.shutil.copy(tmp_path / "raster.tif", tmp_path / "raster.grib2", driver="GRIB", **GRIB)
    shown, plain = drawn(path), plain_cartopy(path, cells(VALUES))
    for region, picture in shown.items():
        assert_alike(picture, plain[region])


def test_d2_netcdf_gives_the_right_picture(tmp_path, drawn):
    """Longitudes from 0 to 360, south first, as models write them."""
    pytest.importorskip("scipy", reason="writes NetCDF")
    path = make_set(tmp_path, SET.replace("raster.tif", "raster.nc"))
    lat = "lat", np.arange(30.5, 50), {"units": "degrees_north"}
    lon = "lon", 250 + (np.arange(30) + 0.5) * 20 / 30, {"units": "degrees_east"}
    field = xarray.DataArray(VALUES.astype(np.float32), {"lat": lat, "lon": lon}, name="height")
    field.to_netcdf(tmp_path / "raster.nc", engine="scipy")
    shown, plain = drawn(path), plain_cartopy(path, cells(VALUES, GRIDS["south up"]))
    for region, picture in shown.items():
        assert_alike(picture, plain[region])


VRT = """<VRTDataset rasterXSize="{size}" rasterYSize="{size}"><SRS>EPSG:4326</SRS>
<GeoTransform>-110,0.5,0,50,0,-0.5</GeoTransform><VRTRasterBand dataType="Float32" band="1">
<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
</VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("name", ["raster.tif", "raster.vrt"])
def test_d3_a_raster_that_reads_other_files_is_refused_under_any_name(tmp_path, refused, name):
    path = make_set(tmp_path, SET.replace("raster.tif", name))
    (tmp_path / "raster.tif").rename(tmp_path / "secret.tif")
    (tmp_path / name).write_text(VRT.format(size=30, source=tmp_path / "secret.tif"))
    assert "names other files to read; convert it to GeoTIFF" in refused(path)


def test_d3_a_small_file_of_two_million_squared_is_refused(tmp_path, refused):
    path = make_set(tmp_path, SET.replace("[raster]", "[raster]\nallow_references = true"))
    (tmp_path / "raster.tif").write_text(VRT.format(size=2_000_000, source="none.tif"))
    start = time.monotonic()
    assert "2000000 x 2000000 cells need 21333.3 GB" in refused(path)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("part", [".prj", ".shx"])
def test_d3_a_shapefile_that_lacks_a_part_says_which(tmp_path, refused, part):
    path = make_set(tmp_path, SET.replace("square.gpkg", "square.shp"))
    make_layer(tmp_path / "square.shp", [SQUARE])
    (tmp_path / f"square{part}").unlink()
    message = refused(path)
    assert part in message
    assert "needs a .prj file" in message or "needed is a whole shapefile" in message


def test_d3_a_shapefile_without_fields_or_zipped_gives_the_right_picture(tmp_path, drawn):
    plain = plain_cartopy(make_set(tmp_path / "plain"), cells(VALUES + 1))
    make_layer(tmp_path / "square.shp", [SQUARE])
    (tmp_path / "square.dbf").unlink()
    with zipfile.ZipFile(tmp_path / "square.zip", "w") as archive:
        for part in ("shp", "shx", "prj"):
            archive.write(tmp_path / f"square.{part}", f"square.{part}")
    for layer in ("square.shp", "square.zip"):
        shown = drawn(make_set(tmp_path, SET.replace("square.gpkg", layer)))
        for region, picture in shown.items():
            assert_alike(picture, plain[region])
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("name", ["square.gpkg", "square.shp", "square.geojson", "square.zip"])
def test_d3_a_layer_that_reads_other_files_is_refused_under_any_name(tmp_path, refused, name):
    path = make_set(tmp_path, SET.replace("square.gpkg", name))
    (tmp_path / "square.gpkg").rename(tmp_path / "secret.gpkg")
    vrt = (
        f'<OGRVRTDataSource><OGRVRTLayer name="square"><SrcDataSource>{tmp_path}/secret.gpkg</SrcDataSource>'
    )
    vrt += "</OGRVRTLayer></OGRVRTDataSource>"
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("square.shp", vrt)
    else:
        (tmp_path / name).write_text(vrt)
    assert "leads to other files or the network, which are not read; convert it" in refused(path)
