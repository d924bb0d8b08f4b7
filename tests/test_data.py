"""The bundled data and region lists, held against facts that can be looked up elsewhere."""

import calendar
import csv
import tomllib
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from pyproj import CRS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
REGIONS = ROOT / "regions"
LAYERS = ("counties", "states", "provinces", "countries")
MAP_SETS = ("us12", "states", "counties", "sst")
TERRAIN_WEST, TERRAIN_NORTH, TERRAIN_CELL = -170 - 1 / 24, 75 + 1 / 24, 1 / 12
MONTHS = tuple(calendar.month_name[1:])


def layer(name):
    """Return a boundary layer's fields as arrays by name, and its polygons."""
    meta, _, wkb, values = pyogrio.raw.read(DATA / "boundaries" / f"{name}.shp")
    return dict(zip(meta["fields"], values, strict=True)), shapely.from_wkb(wkb)


@pytest.fixture(scope="module")
def counties():
    return layer("counties")


@pytest.fixture(scope="module")
def states():
    return layer("states")


def value_at(path, longitude, latitude, band=1):
    with rasterio.open(path) as dataset:
        return next(dataset.sample([(longitude, latitude)], indexes=band))[0]


def read_map_set(name):
    return tomllib.loads((REGIONS / f"{name}.toml").read_text(encoding="utf-8"))


def read_table(name):
    with (REGIONS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The whole


def test_data_is_under_eight_megabytes():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 8_000_000


def test_readme_names_every_file():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    files = [path.relative_to(DATA).as_posix() for path in DATA.rglob("*") if path.is_file()]
    assert [name for name in files if name != "README.md" and f"`{name}`" not in readme] == []


# Terrain


def test_terrain_has_the_exact_grid():
    with rasterio.open(DATA / "terrain.tif") as dataset:
        assert dataset.shape == (781, 1440)
        assert dataset.crs.to_epsg() == 4326
        assert dataset.transform.to_gdal() == pytest.approx(
            (TERRAIN_WEST, TERRAIN_CELL, 0, TERRAIN_NORTH, 0, -TERRAIN_CELL), abs=1e-12
        )
        assert dataset.tags()["AREA_OR_POINT"] == "Area"


def test_terrain_says_what_it_is():
    with rasterio.open(DATA / "terrain.tif") as dataset:
        assert (dataset.descriptions, dataset.units) == (("Surface relief",), ("m",))
        assert (dataset.dtypes, dataset.nodata) == (("int16",), None)


@pytest.mark.parametrize(
    ("place", "longitude", "latitude", "meters", "tolerance"),
    [
        ("Denver", -104.99, 39.74, 1609, 100),
        ("Kansas City", -94.58, 39.10, 277, 60),
        ("Lubbock", -101.86, 33.58, 976, 60),
        ("Calgary", -114.07, 51.05, 1045, 80),
        ("Winnipeg", -97.14, 49.90, 239, 30),
        ("Mexico City", -99.13, 19.43, 2240, 100),
        ("Sigsbee Deep", -93.0, 23.7, -3700, 150),
        ("Hatteras Abyssal Plain", -71.0, 32.0, -5400, 150),
    ],
)
def test_terrain_has_the_height_of(place, longitude, latitude, meters, tolerance):
    assert value_at(DATA / "terrain.tif", longitude, latitude) == pytest.approx(meters, abs=tolerance)


def test_deepest_terrain_is_in_the_puerto_rico_trench():
    with rasterio.open(DATA / "terrain.tif") as dataset:
        relief = dataset.read(1)
        longitude, latitude = dataset.xy(*np.unravel_index(relief.argmin(), relief.shape))
    assert -68.5 < longitude < -65
    assert 19 < latitude < 20.5
    assert -8600 < relief.min() < -7800


# Sea surface temperature


def test_sst_has_a_global_two_degree_grid_per_month():
    with rasterio.open(DATA / "sst_monthly.tif") as dataset:
        assert dataset.descriptions == MONTHS
        assert set(dataset.units) == {"°C"}
        assert dataset.tags()["long_name"] == "Sea surface temperature"
        assert dataset.transform.to_gdal() == (-180, 2, 0, 90, 0, -2)
        assert (dataset.shape, dataset.nodata) == ((90, 180), -9999)


def test_sst_is_a_sea_temperature_wherever_there_is_data():
    with rasterio.open(DATA / "sst_monthly.tif") as dataset:
        sst = dataset.read(masked=True)
    assert -3 < sst.min() < -1
    assert 30 < sst.max() < 34
    assert 0.4 < sst.mask.mean() < 0.55


def test_warm_pool_is_warm_in_july():
    assert value_at(DATA / "sst_monthly.tif", 155, 3, band=7) > 28


def test_gulf_of_alaska_is_cold_in_january_and_warms_by_july():
    january, july = (value_at(DATA / "sst_monthly.tif", -145, 55, band) for band in (1, 7))
    assert 3 < january < 7
    assert july > january + 4


def test_southern_summer_is_in_january():
    january, july = (value_at(DATA / "sst_monthly.tif", 160, -38, band) for band in (1, 7))
    assert january > july + 3


@pytest.mark.parametrize(("longitude", "latitude"), [(-100, 40), (20, 10), (90, 50), (135, -25)])
def test_sst_has_no_data_on_land(longitude, latitude):
    assert value_at(DATA / "sst_monthly.tif", longitude, latitude) == -9999


# Boundaries


@pytest.mark.parametrize(
    ("name", "epsg", "count"),
    [("counties", 4269, 3230), ("states", 4269, 56), ("provinces", 4326, 13), ("countries", 4326, 38)],
)
def test_layer_has_its_crs_and_features(name, epsg, count):
    prj = (DATA / "boundaries" / f"{name}.prj").read_text()
    assert CRS.from_wkt(prj).to_epsg(min_confidence=25) == epsg
    assert pyogrio.raw.read(DATA / "boundaries" / f"{name}.shp")[2].size == count


@pytest.mark.parametrize("name", LAYERS)
def test_layer_has_all_its_files(name):
    suffixes = {path.suffix for path in (DATA / "boundaries").glob(f"{name}.*")}
    assert suffixes == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
    assert (DATA / "boundaries" / f"{name}.cpg").read_text().strip() == "UTF-8"


@pytest.mark.parametrize("name", LAYERS)
def test_layer_has_names_and_valid_polygons(name):
    fields, polygons = layer(name)
    assert all(fields["name"])
    assert shapely.is_valid(polygons).all()
    assert not shapely.is_empty(polygons).any()


def test_counties_share_their_borders_exactly(counties):
    assert shapely.coverage_is_valid(counties[1])


@pytest.mark.parametrize("postal", ["CO", "LA", "VA", "MI"])
def test_counties_of_a_state_make_up_the_state(counties, states, postal):
    inside = shapely.union_all(counties[1][counties[0]["postal"] == postal])
    state = states[1][states[0]["postal"] == postal][0]
    assert shapely.symmetric_difference(inside, state).area < 1e-9


def test_lower_48_have_their_counties(counties):
    # The Census Bureau counts 3,108 with the District of Columbia; Falls Church has no polygon here.
    assert counties[0]["lower48"].sum() == 3107


@pytest.mark.parametrize(("postal", "count"), [("TX", 254), ("GA", 159), ("DE", 3), ("DC", 1), ("VA", 132)])
def test_state_has_its_counties(counties, postal, count):
    assert (counties[0]["postal"] == postal).sum() == count


def test_county_codes_are_unique(counties):
    assert np.unique(counties[0]["fips"]).size == 3230


def test_counties_full_names_are_unique_within_a_state(counties):
    fields = counties[0]
    names = [
        f"{state}/{name}".casefold() for state, name in zip(fields["state"], fields["full_name"], strict=True)
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("fips", "full_name", "state"),
    [
        ("24005", "Baltimore County", "Maryland"),
        ("24510", "Baltimore city", "Maryland"),
        ("22071", "Orleans Parish", "Louisiana"),
        ("32510", "Carson City", "Nevada"),
        ("35013", "Doña Ana County", "New Mexico"),
        ("11001", "District of Columbia", "District of Columbia"),
    ],
)
def test_county_is_named_in_full(counties, fips, full_name, state):
    fields = counties[0]
    row = fields["fips"].tolist().index(fips)
    assert (fields["full_name"][row], fields["state"][row]) == (full_name, state)


def test_denver_county_is_where_denver_is(counties):
    inside = shapely.contains_xy(counties[1], -104.99, 39.74)
    assert counties[0]["full_name"][inside].tolist() == ["Denver County"]


def test_lower_48_and_the_district_are_49(states):
    lower48 = states[0]["lower48"] == 1
    assert lower48.sum() == 49
    assert {"AK", "HI", "PR", "GU", "VI", "AS", "MP"} == set(states[0]["postal"][~lower48])


def test_nine_climate_regions_cover_the_lower_48(states):
    fields = states[0]
    regions = fields["ncei"][fields["lower48"] == 1]
    assert len(set(regions)) == 9
    assert all(regions)
    assert not any(isinstance(region, str) for region in fields["ncei"][fields["lower48"] == 0])


@pytest.mark.parametrize(
    ("name", "field", "text"),
    [("provinces", "name", "Québec"), ("countries", "name", "Curaçao"), ("countries", "iso_a3", "MEX")],
)
def test_layer_holds(name, field, text):
    assert text in layer(name)[0][field]


# Region lists and map sets


def test_us12_has_twelve_regions_inside_the_terrain():
    rows = read_table("us12.csv")
    assert len({row["name"] for row in rows}) == 12
    east, south = TERRAIN_WEST + 1440 * TERRAIN_CELL, TERRAIN_NORTH - 781 * TERRAIN_CELL
    for row in rows:
        assert TERRAIN_WEST < float(row["west"]) < float(row["east"]) < east, row["name"]
        assert south < float(row["south"]) < float(row["north"]) < TERRAIN_NORTH, row["name"]


def test_climate_regions_of_us12_hold_their_states_with_a_margin(states):
    fields, polygons = states
    extents = {row["name"]: row for row in read_table("us12.csv")}
    for region in set(fields["ncei"][fields["lower48"] == 1]):
        west, south, east, north = shapely.total_bounds(polygons[fields["ncei"] == region])
        row = {key: float(extents[region][key]) for key in ("west", "east", "south", "north")}
        margins = [west - row["west"], row["east"] - east, south - row["south"], row["north"] - north]
        assert all(0.25 <= margin < 0.76 for margin in margins), region


def test_sst_has_three_regions_one_across_the_antimeridian():
    rows = read_table("sst.csv")
    assert len({row["name"] for row in rows}) == 3
    assert [row["name"] for row in rows if float(row["west"]) > float(row["east"])] == ["Pacific"]


@pytest.mark.parametrize("name", MAP_SETS)
def test_paths_of_map_set_exist(name):
    map_set = read_map_set(name)
    sections = [map_set["raster"], *map_set["boundaries"], map_set["regions"]]
    assert [section["path"] for section in sections if not (REGIONS / section["path"]).is_file()] == []


@pytest.mark.parametrize("name", MAP_SETS)
def test_map_set_writes_to_a_folder_of_its_own_name(name):
    assert read_map_set(name)["output"]["folder"] == f"../out/{name}"


@pytest.mark.parametrize("name", ["states", "counties"])
def test_region_names_of_a_polygon_layer_are_unique(name):
    regions = read_map_set(name)["regions"]
    meta, _, _, columns = pyogrio.raw.read(
        REGIONS / regions["path"], where=regions["where"], read_geometry=False
    )
    values = columns[list(meta["fields"]).index(regions["name"])]
    assert len(set(values)) == len(values) == {"states": 49, "counties": 3107}[name]


@pytest.mark.parametrize("name", MAP_SETS)
def test_boundaries_of_map_set_select_something(name):
    for boundary in read_map_set(name)["boundaries"]:
        meta = pyogrio.read_info(REGIONS / boundary["path"])
        fids = pyogrio.raw.read(REGIONS / boundary["path"], where=boundary.get("where"), return_fids=True)[1]
        assert 0 < fids.size <= meta["features"]
