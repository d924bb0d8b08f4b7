"""Layers brought into map projections: held against pyproj's points, and against what cartopy draws."""

import functools
import itertools
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely
from shapely import LineString, Point, Polygon, box

from forkmaps.errors import FeatureError
from forkmaps.features.projecting import Projector
from forkmaps.projection import LONLAT, MapProjection, projection_from_text

BOUNDARIES = Path(__file__).resolve().parents[1] / "data" / "boundaries"

PROJECTIONS = {
    "Lambert": ccrs.LambertConformal(),
    "Lambert south": ccrs.LambertConformal(20, -30, standard_parallels=(-20, -40), cutoff=30),
    "Mercator": ccrs.Mercator(),
    "PlateCarree": ccrs.PlateCarree(),
    "PlateCarree 180": ccrs.PlateCarree(180),
    "NorthPolarStereo": ccrs.NorthPolarStereo(),
    "SouthPolarStereo": ccrs.SouthPolarStereo(),
    "Robinson": ccrs.Robinson(),
    "Robinson 100": ccrs.Robinson(100),
    "RotatedPole": ccrs.RotatedPole(177.5, 37.5),
    "Orthographic": ccrs.Orthographic(-100, 40),
    "TransverseMercator": ccrs.TransverseMercator(-90),
    "Albers": projection_from_text("EPSG:5070").crs,
}
PLANE = ccrs.PlateCarree()

CHUKOTKA = Polygon([(160, 62), (180, 60), (195, 64), (190, 70), (170, 71)])
FIJI = Polygon([(177, -19), (182, -18.5), (182, -16), (177, -16.2)])
CUT_FIJI = [box(177, -19, 180, -16), box(-180, -19, -178, -16)]
ANTARCTICA = Polygon(
    [
        (-180, -90),
        (180, -90),
        (180, -78),
        (120, -66),
        (60, -68),
        (0, -70),
        (-60, -64),
        (-120, -73),
        (-180, -78),
    ]
)
SHAPES = {
    "Chukotka": [CHUKOTKA],
    "Fiji": [FIJI],
    "Fiji cut": CUT_FIJI,
    "Antarctica": [ANTARCTICA],
    "tropics": [box(-180, -23, 180, 23)],
    "0 to 360": [box(10, 10, 350, 50), box(350, -10, 370, 20)],
    "lake": [Polygon(box(-110, 35, -90, 50).exterior, [box(-105, 40, -95, 45).exterior])],
}


LARGE = {"tropics", "0 to 360", "Antarctica"}  # cartopy takes its time

made = functools.cache(MapProjection)


def countries():
    """Return the bundled countries with few vertices."""
    wkb = pyogrio.raw.read(BOUNDARIES / "countries.shp", columns=[])[2]
    simple = shapely.get_parts(shapely.simplify(shapely.from_wkb(wkb), 3.0))
    return list(simple[shapely.area(simple) > 200.0])


def project(crs, shapes, source=LONLAT):
    """Return our lines and areas of polygons, each as an array."""
    projector = Projector(source, made(crs), "layer")
    shapes = np.array(shapes, object)
    return projector.lines(shapely.get_parts(shapely.boundary(shapes))), projector.polygons(shapes)


def cartopy_s(crs, shapes):
    """Return cartopy's lines and areas of polygons with short edges."""
    dense = shapely.segmentize(shapely.orient_polygons(np.array(shapes, object)), 0.25)
    lines = shapely.get_parts(shapely.boundary(dense))
    return (
        shapely.union_all([crs.project_geometry(line, PLANE) for line in lines]),
        shapely.union_all([crs.project_geometry(shape, PLANE).buffer(0) for shape in dense]),
    )


def within(crs, geometries, margin):
    """Return geometries as one, inside of a projection's domain, all turns of a cylinder laid on it."""
    period = made(crs).period
    whole = shapely.union_all(geometries)
    if period is not None:
        whole = shapely.union_all(
            [shapely.transform(whole, lambda xy, k=k: xy + np.array([k * period, 0])) for k in (-1, 0, 1)]
        )
    return shapely.intersection(whole, crs.domain.buffer(0).buffer(-margin))


def is_in(areas, crs, x, y):
    """Whether places on the map are in one of some areas, on any turn of a cylinder."""
    turns = np.array([-1, 0, 1]) * (made(crs).period or 0)
    area = shapely.union_all(areas)
    shapely.prepare(area)
    return np.any([shapely.contains_xy(area, np.asarray(x) + turn, y) for turn in turns], axis=0)


def extent_of(crs):
    """Return half the width of a projection's world; of the plane, that of the earth."""
    return min(np.abs(crs.x_limits).max(), 2e7)


# As cartopy draws it


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        *itertools.product(sorted(PROJECTIONS), sorted(set(SHAPES) - LARGE)),
        *itertools.product(["PlateCarree 180", "SouthPolarStereo"], sorted(LARGE)),
        ("Robinson 100", "countries"),
    ],
)
def test_lines_and_areas_are_where_cartopy_draws_them(name, shapes):
    crs = PROJECTIONS[name]
    shapes = SHAPES.get(shapes) or countries()
    lines, areas = project(crs, shapes)
    expected_lines, expected_areas = cartopy_s(crs, shapes)
    size = extent_of(crs)
    margin = 1e-4 * size  # along its edge cartopy draws a map as far as its rounding allows
    ours, theirs = within(crs, lines, margin), within(crs, [expected_lines], margin)
    assert ours.is_empty == theirs.is_empty
    if not ours.is_empty:
        assert shapely.hausdorff_distance(ours, theirs) <= 1e-4 * size
        assert shapely.hausdorff_distance(theirs, ours) <= 1e-4 * size
    if name == "Albers":
        return  # on a plane without an edge cartopy lets what it cuts spread over everything
    areas = [shapely.make_valid(area) for area in areas]
    difference = within(crs, areas, margin) ^ within(crs, [expected_areas], margin)
    assert difference.area <= 1e-5 * size**2


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("Lambert", 10.0),
        ("Mercator", 10.0),
        ("PlateCarree", 1e-9),
        ("NorthPolarStereo", 25.0),
        ("Albers", 10.0),
    ],
)
def test_every_place_of_a_source_line_is_on_the_projected_line(name, allowed):
    line = LineString([(-120, 30), (-120, 48), (-75, 48), (-70, 31), (-120, 30)])
    crs = PROJECTIONS[name]
    (ours,) = Projector(LONLAT, made(crs), "layer").lines(np.array([line], object))
    lonlat = shapely.get_coordinates(shapely.segmentize(line, 0.01))
    xy = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True).transform(*lonlat.T)
    shapely.prepare(ours)
    assert shapely.distance(ours, shapely.points(*xy)).max() < allowed


# Every place in its polygon

WEST, SOUTH = np.meshgrid(np.arange(-180, 180, 40), np.arange(-90, 90, 20))
TILES = shapely.box(WEST, SOUTH, WEST + 40, SOUTH + 20).ravel()
LON, LAT = (places.ravel() for places in np.meshgrid(np.arange(-178.3, 180, 9.7), np.arange(-88.7, 90, 6.1)))


@pytest.mark.parametrize(
    "crs",
    [
        *(PROJECTIONS[name] for name in ("Lambert", "PlateCarree 180", "Robinson 100", "NorthPolarStereo")),
        *(projection_from_text(text).crs for text in ("EPSG:5070", "EPSG:3347", "EPSG:3413", "EPSG:3857")),
        ccrs.Mollweide(30),
    ],
)
def test_of_tiles_that_cover_the_earth_each_place_is_in_its_own(crs):
    projection = made(crs)
    x, y = projection.transformer(LONLAT).transform(LON, LAT)
    shown = np.isfinite(x) & np.isfinite(y)
    shown &= shapely.contains_xy(crs.domain.buffer(0), np.where(shown, x, 0), np.where(shown, y, 0))
    projector = Projector(LONLAT, projection, "tiles")
    for tile in TILES:
        parts = shapely.make_valid(projector.polygons(np.array([tile], object)))
        inside = is_in(parts, crs, x[shown], y[shown])
        np.testing.assert_array_equal(inside, shapely.contains_xy(tile, LON[shown], LAT[shown]))


def test_a_polygon_that_would_fill_the_map_is_left_out_with_one_warning(caplog):
    # Transverse Mercator has (177, 0) and (-3, 0) at infinity here
    _, areas = project(projection_from_text("EPSG:32615").crs, [box(-20, -10, 0, 10), box(-95, 30, -90, 40)])
    assert len(areas) == 1
    assert [r.getMessage() for r in caplog.records] == ["layer: 1 parts can't be projected, and are left out"]


# Across the antimeridian


@pytest.mark.parametrize("name", ["PlateCarree", "PlateCarree 180", "Mercator"])
def test_a_cylindrical_map_cuts_nothing(name):
    for shape in (CHUKOTKA, FIJI):
        lines, areas = project(PROJECTIONS[name], [shape])
        assert (len(lines), len(areas)) == (1, 1)
        there, _ = project(PROJECTIONS[name], [shapely.transform(shape, lambda xy: xy - [60, 0])])
        assert lines[0].length == pytest.approx(there[0].length)


@pytest.mark.parametrize("name", ["Robinson", "Robinson 100"])
def test_other_maps_cut_at_their_edge_and_reach_it_on_both_sides(name):
    crs = PROJECTIONS[name]
    center = crs.proj4_params["lon_0"]
    lines, areas = project(crs, [box(center + 170, 30, center + 190, 40)])
    assert len(areas) == 2
    reached = shapely.bounds(shapely.union_all(lines))[[0, 2]]
    to_map = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True)
    edge = to_map.transform(center + 179.999999, 30)[0]
    assert reached == pytest.approx([-edge, edge], rel=1e-7)
    assert shapely.length(lines).sum() < 7e6  # 20 degrees by 10, twice; across the map it were 30e6


def test_lines_of_360_degrees_are_in_place():
    lines, _ = project(PLANE, [box(200, 10, 220, 20)])
    assert shapely.hausdorff_distance(lines[0], box(-160, 10, -140, 20).exterior) < 1e-9


@pytest.mark.parametrize("name", ["PlateCarree", "Robinson", "NorthPolarStereo"])
def test_an_edge_from_179_to_minus_179_is_short(name):
    sloppy = Polygon([(177, -19), (-178, -18.5), (-178, -16), (177, -16)])
    proper = Polygon([(177, -19), (182, -18.5), (182, -16), (177, -16)])
    lines, areas = project(PROJECTIONS[name], [sloppy])
    expected_lines, expected_areas = project(PROJECTIONS[name], [proper])
    assert shapely.union_all(lines).equals_exact(shapely.union_all(expected_lines), 1e-6)
    assert shapely.area(areas).sum() == pytest.approx(shapely.area(expected_areas).sum())


def test_a_box_around_the_world_stays_one():
    lines, _ = project(PLANE, [box(-179.5, -30, 179.5, 30)])
    assert shapely.total_bounds(lines) == pytest.approx([-179.5, -30, 179.5, 30])


def test_a_layer_in_meters_goes_on_across_the_antimeridian():
    meters = shapely.transform(
        np.array([FIJI], object),
        lambda xy: np.column_stack(
            pyproj.Transformer.from_crs(LONLAT, "EPSG:3460", always_xy=True).transform(*xy.T)
        ),
    )
    lines, areas = project(PLANE, meters, "EPSG:3460")
    assert lines[0].length == pytest.approx(FIJI.length, rel=1e-3)
    assert shapely.area(areas).sum() == pytest.approx(FIJI.area, rel=1e-3)


# Poles


@pytest.mark.parametrize("name", ["PlateCarree", "PlateCarree 180", "SouthPolarStereo", "Mercator"])
def test_a_polygon_around_the_pole_is_finite(name):
    crs = PROJECTIONS[name]
    lines, areas = project(crs, [ANTARCTICA])
    assert np.isfinite(shapely.get_coordinates(lines)).all()
    to_map = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True)
    assert is_in(areas, crs, *to_map.transform(10, -75))
    assert not is_in(areas, crs, *to_map.transform(10, -60))


@pytest.mark.parametrize("name", ["PlateCarree", "NorthPolarStereo", "Lambert", "Robinson"])
def test_a_layer_in_meters_around_the_pole_is_filled_on_its_side(name):
    crs = PROJECTIONS[name]
    lines, areas = project(crs, [Point(0, 0).buffer(1e6)], "EPSG:3413")
    assert len(lines) >= 1
    to_map = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True)
    for lon in (-150, -70, 10, 100):
        assert is_in(areas, crs, *to_map.transform(lon, 85))
        assert not is_in(areas, crs, *to_map.transform(lon, 75))


@pytest.mark.parametrize("name", ["PlateCarree", "NorthPolarStereo", "Lambert", "Robinson"])
def test_a_ring_of_ice_around_the_pole_keeps_its_hole_and_its_ponds(name):
    pole, pond = Point(0, 0), Point(0, 1.1e6).buffer(5e4)
    ice = pole.buffer(1.4e6) - pole.buffer(8e5) - pond
    crs = PROJECTIONS[name]
    _, areas = project(crs, [ice], "EPSG:3413")
    to_lonlat = pyproj.Transformer.from_crs("EPSG:3413", LONLAT, always_xy=True)
    to_map = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True)
    ice, rest = [(1e6, 1e5), (-1e6, 1e5), (1e5, -1e6)], [(0, 1.1e6), (1e5, 1e5), (1e5, 2e6)]
    for x, y in ice + rest:
        assert is_in(areas, crs, *to_map.transform(*to_lonlat.transform(x, y))) == ((x, y) in ice)


def test_far_sides_are_left_out():
    lines, areas = project(ccrs.Orthographic(0, 0), [box(170, -10, 175, 10)])
    assert (len(lines), len(areas)) == (0, 0)


# Source coordinates


def test_coordinates_in_the_map_s_own_crs_stay_as_they_are():
    projector = Projector("EPSG:5070", projection_from_text("EPSG:5070"), "layer")
    line = np.array([LineString([(0, 0), (1e6, 1e6)])], object)
    assert projector.lines(line) is line
    polygon = np.array([box(0, 0, 1e6, 1e6)], object)
    assert projector.polygons(polygon) is polygon


def test_axes_are_x_and_y_whatever_the_crs_says():
    lines, _ = project(PLANE, [box(1_600_000, 5_400_000, 1_700_000, 5_500_000)], "EPSG:2193")
    assert shapely.total_bounds(lines) == pytest.approx([173, -41.5, 174.2, -40.6], abs=0.1)


def test_grads_from_paris_are_degrees_from_greenwich():
    lines, _ = project(PLANE, [box(0, 50, 10, 60)], "EPSG:4807")
    assert shapely.total_bounds(lines) == pytest.approx([2.337, 45, 11.337, 54], abs=0.01)


def test_old_datums_are_shifted():
    lines, _ = project(PLANE, [box(-100, 40, -99, 41)], "EPSG:4267")
    corner = pyproj.Transformer.from_crs("EPSG:4267", LONLAT, always_xy=True).transform(-100, 40)
    assert shapely.distance(Point(corner), lines[0]) < 1e-9
    assert shapely.distance(Point(-100, 40), lines[0]) > 1e-6


def test_an_unknown_crs_is_an_error_that_names_the_layer():
    with pytest.raises(FeatureError, match=r'layer: crs "EPSG:0" can\'t be used .*EPSG:4269'):
        Projector("EPSG:0", MapProjection(PLANE), "layer")


def test_meters_taken_for_degrees_are_an_error():
    projector = Projector("EPSG:4326", MapProjection(PLANE), "layer")
    with pytest.raises(FeatureError, match=r"layer: coordinates up to 500,000 can't be in its CRS, WGS 84"):
        projector.in_range(np.array([box(400_000, 0, 500_000, 10)], object))


def test_a_part_out_of_range_is_left_out_with_one_warning(caplog):
    projector = Projector("EPSG:4326", MapProjection(PLANE), "layer")
    shapes = np.array([box(0, 0, 1, 1), box(0, 0, 1, 91), box(0, 0, 1e30, 1)], object)
    assert len(projector.in_range(shapes)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "layer: coordinates up to 1,000,000,000,000,000,019,884,624,838,656 can't be in its CRS, WGS 84; "
        "2 of 3 parts are left out"
    ]


def test_a_latitude_hardly_over_90_is_the_pole():
    lines, _ = project(ccrs.NorthPolarStereo(), [box(0, 80, 10, 90.0000001)])
    assert np.isfinite(shapely.get_coordinates(lines)).all()


def test_what_cartopy_fails_at_is_left_out_with_one_warning(caplog):
    class Failing(ccrs.Robinson):
        def project_geometry(self, geometry, src_crs=None):
            raise RuntimeError("Unidentified problem with geometry")

    projector = Projector(LONLAT, MapProjection(Failing()), "layer")
    lines = projector.lines(shapely.boundary([box(170, 0, 190, 10), box(0, 0, 10, 10)]))
    assert len(lines) == 1
    assert {record.getMessage() for record in caplog.records} == {
        "layer: 1 parts can't be projected, and are left out"
    }


def test_nothing_gives_nothing():
    lines, areas = project(ccrs.Robinson(), [])
    assert (len(lines), len(areas)) == (0, 0)
