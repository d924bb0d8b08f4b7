"""Reading layers from files: good ones, damaged ones, and what is none."""

import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from forkmaps.errors import FeatureError
from forkmaps.layerfile import read_layer

BOUNDARIES = Path(__file__).resolve().parents[1] / "data" / "boundaries"
STATES = BOUNDARIES / "states.shp"


@pytest.fixture(autouse=True)
def silence(capfd):
    """Fail a test in which GDAL wrote to the terminal."""
    yield
    assert capfd.readouterr() == ("", "")


def copy(folder, *suffixes):
    """Copy some files of the states' shapefile."""
    for suffix in suffixes:
        shutil.copy(BOUNDARIES / f"states.{suffix}", folder)
    return folder / "states.shp"


def write(path, geometries, layer=None, append=False, crs="EPSG:4326"):
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(geometries, object)),
        [np.array([f"name {i}" for i in range(len(geometries))], object)],
        ["name"],
        geometry_type="Unknown",
        crs=crs,
        layer=layer,
        append=append,
    )
    return path


def read_geometries(path, **options):
    content = read_layer(path, **options)
    return content.geometries, content.crs


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_shapefile_gives_its_geometries_and_crs():
    geometries, crs = read_geometries(STATES)
    assert len(geometries) == 56
    assert crs == "EPSG:4269"
    assert shapely.is_valid(geometries).all()


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("name = 'Ohio'", 1),
        ("lower48 = 1", 49),
        ("name LIKE 'New %' AND lower48 = 1", 4),
        ("ncei IS NULL", 7),
    ],
)
def test_where_chooses_by_fields(where, count):
    geometries, crs = read_geometries(STATES, where=where)
    assert len(geometries) == count
    assert crs == "EPSG:4269"
    assert not shapely.is_missing(geometries).any()


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb"])
def test_other_formats_are_read(tmp_path, suffix):
    path = write(tmp_path / f"layer{suffix}", [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)])
    geometries, crs = read_geometries(path, where="name = 'name 1'")
    assert geometries[0].equals(shapely.box(1, 0, 2, 1))
    assert crs == "EPSG:4326"


def test_d3_a_zipped_shapefile_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "states.zip", "w") as archive:
        for path in sorted(BOUNDARIES.glob("states.*")):
            archive.write(path, path.name)
    geometries, crs = read_geometries(tmp_path / "states.zip")
    assert (len(geometries), crs) == (56, "EPSG:4269")


@pytest.mark.parametrize(
    ("place", "damage"),
    [(60, b"\xff" * 100), (6, b"\x01"), (8, b"\x09")],
    ids=["damaged", "encrypted", "unknown method"],
)
def test_d3_an_archive_that_cannot_be_looked_into_is_refused(tmp_path, place, damage):
    path = tmp_path / "states.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(STATES, "states.shp")
    content = bytearray(path.read_bytes())
    begins = [0] if place == 60 else [0, content.index(b"PK\1\2") + 2]  # it stands in the directory, too
    for begin in begins:
        content[begin + place : begin + place + len(damage)] = damage
    path.write_bytes(content)
    with pytest.raises(FeatureError, match=r"states\.zip: a file in it can't be read \(.+\); zip its files"):
        read_geometries(path)


def test_d3_a_shapefile_without_prj_has_no_crs(tmp_path):
    geometries, crs = read_geometries(copy(tmp_path, "shp", "shx", "dbf"))
    assert (len(geometries), crs) == (56, None)


def test_d3_a_shapefile_without_dbf_is_read(tmp_path):
    geometries, _ = read_geometries(copy(tmp_path, "shp", "shx", "prj"))
    assert len(geometries) == 56


def test_a_folder_with_one_layer_is_read_and_one_with_several_asks_which(tmp_path):
    copy(tmp_path, "shp", "shx", "dbf", "prj")
    assert len(read_geometries(tmp_path)[0]) == 56
    with pytest.raises(FeatureError, match=r"set layer to one of its layers: .*counties"):
        read_geometries(BOUNDARIES)
    assert len(read_geometries(BOUNDARIES, layer="provinces")[0]) == 13


def test_a_file_with_several_layers_asks_which(tmp_path):
    path = write(tmp_path / "two.gpkg", [shapely.box(0, 0, 1, 1)], layer="rivers")
    write(path, [shapely.box(0, 0, 1, 1)], layer="lakes")
    with pytest.raises(FeatureError, match=r"two\.gpkg: set layer to one of its layers: rivers, lakes"):
        read_geometries(path)
    with pytest.raises(FeatureError, match=r'no layer "lake"; did you mean "lakes"\?; layers: rivers, lakes'):
        read_geometries(path, layer="lake")
    assert len(read_geometries(path, layer="lakes")[0]) == 1


def test_d7_features_without_geometry_are_none(tmp_path):
    path = write(tmp_path / "holes.geojson", [None, shapely.box(0, 0, 1, 1)])
    assert [geometry is None for geometry in read_geometries(path)[0]] == [True, False]


def test_d7_an_empty_layer_gives_nothing(tmp_path):
    path = tmp_path / "empty.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    assert len(read_geometries(path)[0]) == 0


# What can't be read


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("state.shp", 'did you mean "states.shp"'),
        ("states.gpkg", 'did you mean "states.shp"'),
        ("x/y/z.shp", "no such file"),
    ],
)
def test_a_missing_file_is_told_with_the_nearest_name(name, hint):
    with pytest.raises(FeatureError, match="there is no such file") as caught:
        read_geometries(BOUNDARIES / name)
    assert hint in str(caught.value)
    assert str(BOUNDARIES / name) in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\0b", "http://example.com/a.shp", "/vsimem/a.shp"])
def test_what_is_no_path_is_missing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FeatureError):
        read_geometries(name)


def test_d3_a_shapefile_without_shx_says_which_files_are_needed(tmp_path):
    with pytest.raises(
        FeatureError, match=r"states\.shp: can't be read.*states\.shx.*\.shp with its \.shx and"
    ):
        read_geometries(copy(tmp_path, "shp", "dbf", "prj"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello"),
        ("empty.shp", b""),
        ("noise.gpkg", bytes(range(256)) * 40),
        ("noise.shp", bytes(range(256)) * 40),
        ("torn.geojson", b'{"type": "FeatureCollection", "features": [{"type": "Feat'),
        ("other.json", b'{"a": 1}'),
    ],
)
def test_d7_what_is_no_layer_is_one_error(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(
        FeatureError, match=f"{name}: can't be read as a layer: .*GeoPackage, GeoJSON"
    ) as caught:
        read_geometries(path)
    assert "DRIVER" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_raster_is_no_layer():
    with pytest.raises(FeatureError, match=r"terrain\.tif: can't be read as a layer"):
        read_geometries(BOUNDARIES.parent / "terrain.tif")


def test_a_table_is_no_layer(tmp_path):
    path = tmp_path / "towns.csv"
    path.write_text("name,x\nA,1\n")
    with pytest.raises(FeatureError, match="none with geometries"):
        read_geometries(path)
    with pytest.raises(FeatureError):
        read_geometries(path, layer="towns")


@pytest.mark.parametrize("name", ["states.shp", "states.vrt", "states.geojson"])
def test_d3_a_vrt_is_refused_as_it_reads_other_files(tmp_path, name):
    path = tmp_path / name
    path.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="states"><SrcDataSource>{STATES}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    with pytest.raises(FeatureError, match=r"OGRVRTDataSource.*leads to other files"):
        read_geometries(path)


def test_d7_a_shapefile_cut_in_half_gives_what_is_left(tmp_path):
    path = copy(tmp_path, "shp", "shx", "dbf", "prj")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    geometries, _ = read_geometries(path)
    assert 0 < shapely.is_missing(geometries).sum() < 56


@pytest.mark.parametrize(
    "where", ["nam = 'Ohio'", "name = = 3", "name = Ohio", "(", "name = 3", "DROP TABLE states"]
)
def test_a_bad_where_is_told_with_the_fields(where):
    with pytest.raises(
        FeatureError, match=r"states\.shp: where .* can't be evaluated: .* .fields: fips, name"
    ) as caught:
        read_geometries(STATES, where=where)
    assert repr(where) in str(caught.value)


def test_a_bad_where_on_a_geopackage_is_told_too(tmp_path):
    path = write(tmp_path / "layer.gpkg", [shapely.box(0, 0, 1, 1)])
    with pytest.raises(
        FeatureError,
        match=r"layer\.gpkg: where 'nope = 1' can't be evaluated: .*nope.* .fields",
    ):
        read_geometries(path, where="nope = 1")


def test_a_where_without_dbf_says_what_is_missing(tmp_path):
    with pytest.raises(FeatureError, match=r"it has no fields; is its \.dbf missing\?"):
        read_geometries(copy(tmp_path, "shp", "shx", "prj"), where="name = 'Ohio'")


def test_a_where_that_nothing_meets_is_an_error():
    with pytest.raises(FeatureError, match="no feature meets where \"name = 'Ohi'\""):
        read_geometries(STATES, where="name = 'Ohi'")


def test_gdal_s_warnings_go_to_the_log_with_the_file(tmp_path, caplog):
    path = tmp_path / "open.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": '
        '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0]]]}}]}'
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_geometries(path)
    assert len(messages(caplog)) == 1
    assert messages(caplog)[0].startswith(f"{path}: Non closed ring")
