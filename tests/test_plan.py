"""Plans: which picture goes where, and what is refused before anything is drawn."""

import re
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from affine import Affine

from forkmaps.errors import FeatureError, OutputError, RasterError, RegionError, StyleError
from forkmaps.job import Job
from forkmaps.mapset import read_mapset
from forkmaps.onraster import check_regions
from forkmaps.plan import PlannedMap, plan_maps
from forkmaps.projection import MapProjection, PlanarProjection, projection_from_text
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from small import REGIONS, SET, make_set


def plan(tmp_path, text=SET, regions=REGIONS, bands=1):
    mapset = read_mapset(make_set(tmp_path, text, regions, bands))
    shared, found = mapset.load()
    return mapset.plan(shared, found).maps


def names(planned, folder):
    return [one.path.relative_to(folder / "out").as_posix() for one in planned]


def test_there_is_a_picture_for_each_region_at_each_band(tmp_path):
    text = SET.replace("{region.name}.png", "{band.number:02d}/{region.name}.png")
    assert names(plan(tmp_path, text, bands=2), tmp_path) == [
        "01/north.png",
        "02/north.png",
        "01/south.png",
        "02/south.png",
    ]


def test_times_and_columns_name_files(tmp_path):
    regions = "name,west,east,south,north,state\na b,-104,-96,42,46,New/York\n"
    text = SET.replace("{region.name}.png", "{state}/{valid_time:%Y%m%d%H}-{name}.png")
    assert names(plan(tmp_path, text, regions), tmp_path) == ["New_York/2026010106-a_b.png"]


def test_bands_that_would_share_a_file_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"gives all 2 bands one file; put \{band.number\}"):
        plan(tmp_path, bands=2)


def test_regions_that_would_share_a_file_are_refused(tmp_path):
    with pytest.raises(OutputError, match="north"):
        plan(tmp_path, SET.replace("{region.name}.png", "map.png"))


def test_a_region_outside_of_the_raster_is_refused_with_the_rasters_extent(tmp_path):
    regions = REGIONS + "far,10,20,40,50,Europe\n"
    with pytest.raises(RegionError) as caught:
        plan(tmp_path, SET, regions)
    assert 'region "far": 10 to 20, 40 to 50 has nothing of the raster' in str(caught.value)
    assert "covers -110 to -90, 30 to 50 in degrees; move the regions, or check its CRS" in str(caught.value)
    assert "north" not in str(caught.value).replace("north_", "")


@pytest.mark.parametrize(("crs", "unit"), [(None, "degrees"), ("EPSG:5070", "coordinates of EPSG:5070")])
def test_a_rasters_extent_is_told_in_the_units_of_the_region(crs, unit):
    raster = Raster.from_array(
        np.zeros((20, 30)), x=np.arange(30) * 3e4, y=np.arange(20) * 3e4, crs="EPSG:3338"
    )
    sides = (10, 20, 40, 50) if crs is None else (5e6, 6e6, 5e6, 6e6)
    with pytest.raises(RegionError) as caught:
        check_regions(
            MapProjection(PlanarProjection("EPSG:5070")), raster, [Region("far", Extent(*sides), crs)]
        )
    found = re.search(r"covers (\S+) to (\S+), (\S+) to (\S+) in (.*); move", str(caught.value))
    assert found[5] == unit
    # The grid's corners are EPSG:3338's (-15 km, -15 km) and (885 km, 585 km); all its places lie between.
    x, y = np.meshgrid(np.linspace(-15e3, 885e3, 99), np.linspace(-15e3, 585e3, 99))
    x, y = pyproj.Transformer.from_crs("EPSG:3338", crs or "EPSG:4326", always_xy=True).transform(x, y)
    expected = x.min(), x.max(), y.min(), y.max()
    assert np.allclose([float(found[n]) for n in (1, 2, 3, 4)], expected, rtol=2e-3)


def test_a_region_in_a_crs_without_a_name_is_told_of_in_degrees():
    crs = pyproj.CRS("+proj=lcc +lat_1=30 +lat_2=60 +lon_0=-100").to_wkt()
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(-100.0, 45.0)
    region = Region("far", Extent(x - 1e3, x + 1e3, y - 1e3, y + 1e3), crs)
    raster = Raster.from_array(np.zeros((9, 9)), x=np.arange(9.0), y=np.arange(9.0), crs="EPSG:4326")
    told = r'"far": -100\.01 to -99\.99, 44\.99 to 45\.01 has nothing .*\n.* covers -0\.5 to 8.* degrees;'
    with pytest.raises(RegionError, match=told):
        check_regions(MapProjection(ccrs.PlateCarree()), raster, [region])


def test_a_raster_across_the_antimeridian_is_told_in_one_piece():
    raster = Raster.from_array(
        np.zeros((20, 30)), x=np.arange(-15, 15) * 3e4, y=np.arange(20) * 3e4, crs="+proj=merc +lon_0=180"
    )
    with pytest.raises(RegionError, match=r"covers 17[56]\.\d+ to 18[34]\.\d+, -0\.\d+ to 5\.\d+ in degrees"):
        check_regions(MapProjection(ccrs.PlateCarree()), raster, [Region("far", Extent(10, 20, 40, 50))])


@pytest.mark.parametrize("west", [-175.2, 184.8])
@pytest.mark.parametrize("projection", [ccrs.PlateCarree(), ccrs.PlateCarree(180), ccrs.Mercator()])
def test_a_small_raster_lies_in_a_region_across_the_antimeridian(projection, west):
    values = np.ones((4, 4), np.float32)
    raster = Raster.from_array(values, crs="EPSG:4326", transform=Affine(0.1, 0, west, 0, -0.1, -17))
    fiji = Region("Fiji", Extent.from_degrees(160, -165, -30, -5))
    check_regions(MapProjection(projection), raster, [fiji])
    beside = Region("beside", Extent.from_degrees(160, -176, -30, -5))
    with pytest.raises(RegionError, match="has nothing of the raster"):
        check_regions(MapProjection(projection), raster, [beside])


@pytest.mark.parametrize(
    "row", ["all,-170,-30,5,70,x", "touch,-90.4,-80,35,45,x", "tiny,-100.01,-100,40,40.01,x"]
)
def test_regions_larger_smaller_and_partly_on_the_raster_are_fine(tmp_path, row):
    assert len(plan(tmp_path, SET, f"name,west,east,south,north,title\n{row}\n")) == 1


def test_a_field_without_a_column_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(StyleError, match=r"there is no field \{region.stat\}.*region.state"):
        plan(
            tmp_path,
            SET.replace('title = "{region.title}"', 'title = "{region.stat}"'),
            "name,west,east,south,north,state\nn,-104,-96,42,46,KS\n",
        )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "there are no regions"),
        ({}, "there are no regions"),
        ([("a", -104, -96, 42, 46)], r"\('a', -104, .* is no region; give Region"),
        (7, "7 is no list of regions; give Region"),
        ({"a": (1, 2, 3)}, 'region "a"'),
    ],
)
def test_what_is_no_list_of_regions_is_told(tmp_path, given, told):
    shared, _ = read_mapset(make_set(tmp_path, SET)).load()
    with pytest.raises(RegionError, match=told):
        plan_maps(shared, given, folder=tmp_path)


def test_regions_may_be_given_in_any_way(tmp_path):
    shared, regions = read_mapset(make_set(tmp_path, SET)).load()
    north = regions[0]
    sides = {"north": (north.extent.west, north.extent.east, north.extent.south, north.extent.north)}
    for given in (north, (one for one in [north]), sides):
        (one,) = plan_maps(shared, given, folder=tmp_path).maps
        assert (one.job.region.name, one.job.region.extent) == ("north", north.extent)


@pytest.mark.parametrize("where", ["title", "file"])
def test_a_valid_time_that_is_not_known_is_refused(shared_without_times, tmp_path, where):
    style = Style(title="{valid_time:%H} UTC") if where == "title" else Style()
    file = "{region.name}-{valid_time:%H}.png" if where == "file" else "{region.name}.png"
    regions = [Region("here", Extent(-105, -95, 35, 45))]
    with pytest.raises(StyleError, match=r"\{valid_time\} is not known of band 1 of memory; leave it out"):
        plan_maps(shared_without_times, regions, folder=tmp_path, style=style, file=file)


@pytest.fixture
def shared_without_times():
    raster = Raster(np.zeros((1, 20, 20), np.float32), pyproj.CRS("OGC:CRS84"), Affine(1, 0, -110, 0, -1, 50))
    return SharedData(raster, {}, projection_from_text("OGC:CRS84"))


def test_a_planned_map_is_called_by_its_region_and_its_file():
    planned = PlannedMap(Job(Region("Ohio", Extent(-85, -80, 38, 42))), Path("out/maps/ohio-12.png"))
    assert repr(planned) == '<map of region "Ohio", ohio-12.png>'


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"rasters": "rester"}, RasterError, 'no raster "rester"; did you mean "raster"'),
        ({"rasters": []}, RasterError, "none is asked for; there are raster"),
        ({"lines": {"states": Line()}}, FeatureError, 'no boundary layer "states"'),
    ],
)
def test_what_there_is_not_is_told_before_anything_is_drawn(
    shared_without_times, tmp_path, options, error, told
):
    regions = [Region("here", Extent(-105, -95, 35, 45))]
    with pytest.raises(error, match=told):
        plan_maps(shared_without_times, regions, folder=tmp_path, **options)


@pytest.mark.parametrize("rasters", ["raster", "all", ["raster"]])
def test_rasters_by_name(shared_without_times, tmp_path, rasters):
    regions = [Region("here", Extent(-105, -95, 35, 45))]
    (planned,) = plan_maps(shared_without_times, regions, folder=tmp_path, rasters=rasters).maps
    assert planned.job.raster == "raster"
