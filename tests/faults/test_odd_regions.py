"""Regions at the edges of the raster (D4), across the antimeridian (D5) and at the poles (D6)."""

import time

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.transform import from_bounds
from test_bad_rasters import VALUES, cells, write

from forkmaps.cache import NoCache
from forkmaps.job import Job
from forkmaps.mapset import read_mapset
from forkmaps.render import Renderer
from plain import assert_alike, plain_cartopy
from small import SET, make_layer, make_set

TABLE = "name,west,east,south,north\n"
RED = SET.replace("[style]", '[style]\nno_data = "red"')


def no_data(picture):
    """Return the share of a picture that shows "no data"."""
    return (picture == (255, 0, 0)).all(axis=-1).mean()


# D4: where the raster ends


def test_d4_regions_outside_the_raster_are_refused_all_at_once(tmp_path, refused):
    rows = "".join(f"far {i},{10 * i},{10 * i + 5},40,50\n" for i in range(4))
    message = refused(make_set(tmp_path, regions=TABLE + rows + "here,-104,-96,36,40\n"))
    assert message.count("has nothing of the raster") == 4
    assert "raster.tif covers -110 to -90, 30 to 50 in degrees; move the regions, or check its CRS" in message


@pytest.mark.parametrize(
    "sides", ["-90.02,-80,35,40", "-120,-109.98,35,40", "-105,-100,49.98,54", "-105,-100,26,30.02"]
)
def test_d4_a_region_that_touches_the_raster_by_one_pixel_shows_it(tmp_path, drawn, sides):
    shown = drawn(make_set(tmp_path, RED, f"{TABLE}edge,{sides}\n"))["edge"]
    assert 0.8 < no_data(shown) < 1


def test_d4_a_region_smaller_than_a_cell_has_its_color(tmp_path, drawn):
    shown = drawn(make_set(tmp_path, regions=f"{TABLE}dot,-99.9,-99.8,40.1,40.2\n"))["dot"]
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 1


def test_d4_a_region_larger_than_the_raster_gives_the_right_picture(tmp_path, drawn):
    path = make_set(tmp_path, RED, f"{TABLE}big,-150,-50,15,70\n")
    shown = drawn(path)["big"]
    assert_alike(shown, plain_cartopy(path, cells(VALUES + 1))["big"])
    assert no_data(shown) > 0.5


@pytest.mark.parametrize(("value", "nodata"), [(0, 0), (-9999, -9999), (np.nan, np.nan), (np.inf, None)])
def test_d4_gaps_of_any_kind_are_no_data(tmp_path, drawn, value, nodata):
    path = make_set(tmp_path, RED)
    values = VALUES.astype(np.float32) + 1
    gaps = np.where(VALUES // 30 % 2, np.nan, values)
    write(tmp_path / "raster.tif", np.where(np.isnan(gaps), value, values).astype(np.float32), nodata=nodata)
    shown, plain = drawn(path), plain_cartopy(path, cells(gaps))
    for region, picture in shown.items():
        assert_alike(picture, plain[region], least=0.2)
        assert 0.4 < no_data(picture) < 0.6


def test_d4_nothing_but_gaps_says_no_data(tmp_path, drawn):
    path = make_set(tmp_path, RED)
    write(tmp_path / "raster.tif", np.full((20, 30), np.nan, np.float32))
    shown = drawn(path)["south"]
    assert no_data(shown) > 0.8
    assert (shown < 100).all(axis=-1).sum() > 20, "the words no data"


@pytest.mark.parametrize("value", [0, 7, -1e30, 3e38, -3.4e38])
def test_d4_one_value_only_has_one_color(tmp_path, drawn, value):
    path = make_set(tmp_path, RED)
    write(tmp_path / "raster.tif", np.full((20, 30), value, np.float32))
    (colors, counts) = np.unique(drawn(path)["south"].reshape(-1, 3), axis=0, return_counts=True)
    assert counts.max() / counts.sum() > 0.9
    assert no_data(colors[counts.argmax()][None, None]) == 0


# D5: across the antimeridian

PERIOD = 60
"""Degrees after which the world below is the same again."""
BOXES = [shapely.box(west, -19, west + 8, 12) for west in range(-174, 180, PERIOD)]
BOXES += [shapely.box(west + 0.03, 20, west + 2, 25) for west in range(-180, 180, PERIOD)]
BOXES += [shapely.box(east - 2, 20, east - 0.03, 25) for east in range(-120, 181, PERIOD)]
WORLD = SET.replace('cartopy = "LambertConformal"\ncentral_longitude = -100.0\n', "{projection}")
WORLD = WORLD.replace("{region.title}", "")
PROJECTIONS = {
    "plate carrée": 'cartopy = "PlateCarree"',
    "mercator": 'cartopy = "Mercator"',
    "pacific": 'cartopy = "PlateCarree"\ncentral_longitude = 150.0',
    "proj": 'proj = "+proj=merc +lon_0=0"',
}


def make_world(folder, regions, projection):
    """Write a set whose raster and boxes repeat every 60 degrees of longitude."""
    table = "[projection]\n{projection}" if not projection else ""
    text = WORLD.replace(table, "") if table else WORLD.replace("{projection}", projection + "\n")
    path = make_set(folder, text, TABLE + regions)
    make_layer(folder / "square.gpkg", BOXES)
    column, row = np.meshgrid(np.arange(360), np.arange(180))
    place = from_bounds(-180, -90, 180, 90, 360, 180)
    write(folder / "raster.tif", (column % PERIOD * 7 + row).astype(np.int16), transform=place)
    return path


SIDES = {
    "170..-170": "170,-170",
    "170..190": "170,190",
    "-190..-170": "-190,-170",
}


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("sides", SIDES.values(), ids=SIDES.keys())
def test_d5_across_the_antimeridian_is_the_picture_of_60_degrees_further(tmp_path, drawn, projection, sides):
    path = make_world(tmp_path, f"across,{sides},-20,10\nfurther,110,130,-20,10\n", PROJECTIONS[projection])
    shown = drawn(path)
    assert len(np.unique(shown["across"].reshape(-1, 3), axis=0)) > 50
    np.testing.assert_array_equal(shown["across"], shown["further"])


@pytest.mark.parametrize(
    ("one", "same"), [("179.9,180.1", "59.9,60.1"), ("190,200", "-170,-160"), ("-180,180", "-180,180")]
)
def test_d5_longitudes_beyond_180_are_those_of_the_other_side(tmp_path, drawn, one, same):
    shown = drawn(make_world(tmp_path, f"one,{one},20,25\nsame,{same},20,25\n", PROJECTIONS["plate carrée"]))
    np.testing.assert_array_equal(shown["one"], shown["same"])


def test_d5_a_projection_fitted_to_regions_across_the_antimeridian(tmp_path, drawn):
    across = drawn(make_world(tmp_path / "a", "one,170,-170,20,40\n", None))
    further = drawn(make_world(tmp_path / "b", "one,110,130,20,40\n", None))
    np.testing.assert_array_equal(across["one"], further["one"])


ISLANDS = [shapely.box(177, -19, 179, -16), shapely.box(-179.5, -18, -178, -16)]
ISLANDS += [shapely.box(165, 63, 175, 68), shapely.box(-179, 65, -171, 69)]
ISLANDS += [shapely.box(172, 51, 178, 53), shapely.box(-178, 51, -168, 53.5)]
PLACES = {"Fiji": "176,-177,-20,-15", "Chukotka": "157,-169,61,71", "Aleutians": "170,-163,50,56"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("projection", ["PlateCarree", "Mercator"])
def test_d5_places_across_the_antimeridian_are_plain_cartopys(tmp_path, drawn, place, projection):
    path = make_world(
        tmp_path, f"{place},{PLACES[place]}\n", f'cartopy = "{projection}"\ncentral_longitude = 180.0'
    )
    make_layer(tmp_path / "square.gpkg", ISLANDS)
    column, row = np.meshgrid(np.arange(360), np.arange(180))
    values, grid = column % PERIOD * 7 + row, Affine(1, 0, 0, 0, -1, 90)
    plain = plain_cartopy(path, cells(np.roll(values, 180, axis=1), grid), ISLANDS)[place]
    assert_alike(drawn(path)[place], plain, least=0.2)


def test_d5_across_the_antimeridian_is_drawn_as_fast_as_further(tmp_path):
    path = make_world(
        tmp_path, "across,170,-170,-20,10\nfurther,110,130,-20,10\n", PROJECTIONS["plate carrée"]
    )
    mapset = read_mapset(path)
    shared, regions = mapset.load(NoCache())
    renderer = Renderer(shared, mapset.options.style, mapset.lines)
    seconds = {region.name: [] for region in regions}
    for _ in range(15):
        for region in regions:
            start = time.process_time()
            renderer.picture(Job(region))
            seconds[region.name].append(time.process_time() - start)
    assert min(seconds["across"]) < 2 * min(seconds["further"])


# D6: poles

CAPS = {"north": "85,90", "south": "-90,-85"}
ROUND = {"north": "NorthPolarStereo", "south": "SouthPolarStereo"}
PIE = {
    "north": [shapely.segmentize(shapely.box(*box), 1) for box in ((0, 86, 60, 89), (120, 85.5, 150, 90))],
    "south": [
        shapely.segmentize(shapely.box(*box), 1) for box in ((0, -89, 60, -86), (120, -90, 150, -85.5))
    ],
}
"""Fine edges, since cartopy itself bends those of such size too little."""


@pytest.mark.parametrize("cap", CAPS)
def test_d6_polar_caps_are_plain_cartopys(tmp_path, drawn, cap):
    path = make_world(tmp_path, f"cap,-180,180,{CAPS[cap]}\n", f'cartopy = "{ROUND[cap]}"')
    make_layer(tmp_path / "square.gpkg", PIE[cap])
    column, row = np.meshgrid(np.arange(360), np.arange(180))
    values, place = column // 15 * 7 + row, Affine(1, 0, -180, 0, -1, 90)
    write(tmp_path / "raster.tif", values.astype(np.int16), transform=place)
    mesh = cells(values, place)
    assert_alike(drawn(path)["cap"], plain_cartopy(path, mesh, PIE[cap])["cap"])


FLAT = [
    'cartopy = "PlateCarree"',
    'cartopy = "Mercator"',
    'cartopy = "Robinson"',
    "epsg = 3857",
    "epsg = 3413",
]


@pytest.mark.parametrize("projection", [*FLAT, 'cartopy = "Orthographic"\ncentral_latitude = 90.0'])
def test_d6_a_pole_has_a_picture_in_any_projection_or_an_error(tmp_path, drawn, projection):
    shown = drawn(make_world(tmp_path, "cap,-20,20,85,90\n", projection))["cap"]
    assert (shown != 255).any(axis=-1).mean() > 0.1
