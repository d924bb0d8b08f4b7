"""Boundary layers: half a pixel, what is in view, turns around the earth, and anybody's own axes."""

import pickle
import time
from pathlib import Path

import cartopy.crs as ccrs
import numpy as np
import pyogrio.raw
import pytest
import shapely
from cartopy.feature import ShapelyFeature
from cartopy.mpl import feature_artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from shapely import LineString, MultiPolygon, Point, Polygon, box

from forkmaps.errors import FeatureError
from forkmaps.features import BoundaryFeature, read_feature
from forkmaps.features.paths import path_of
from forkmaps.features.projecting import Projector
from forkmaps.projection import MapProjection, Size, View, projection_from_text, view_of
from forkmaps.regions import Extent, Region

BOUNDARIES = Path(__file__).resolve().parents[1] / "data" / "boundaries"
LONLAT = "OGC:CRS84"
SIZE = Size(400, 300)
PLANE = MapProjection(ccrs.PlateCarree())
LAMBERT = MapProjection(ccrs.LambertConformal(-96, 39, standard_parallels=(33, 45)))
PROJECTIONS = {
    "Lambert": LAMBERT,
    "Mercator": MapProjection(ccrs.Mercator()),
    "PlateCarree": PLANE,
    "NorthPolarStereo": MapProjection(ccrs.NorthPolarStereo(-100)),
    "Albers": projection_from_text("EPSG:5070"),
}
VIEWS = {
    "Colorado": Extent(-109, -102, 37, 41),
    "Chesapeake": Extent(-77, -75.5, 36.8, 38.5),
    "conterminous": Extent(-125, -66.5, 24, 50),
    "Alaska": Extent(-170, -130, 52, 71),
}


def polygons_of(name):
    """Return the polygons of a bundled layer, in degrees."""
    wkb = pyogrio.raw.read(BOUNDARIES / f"{name}.shp", columns=[])[2]
    return shapely.get_parts(shapely.from_wkb(wkb))


@pytest.fixture(scope="module")
def states():
    return polygons_of("states")


@pytest.fixture(scope="module")
def made(states):
    """Return the states in each projection."""
    return {
        name: BoundaryFeature(states, "EPSG:4269", projection, name="states", filled=True)
        for name, projection in PROJECTIONS.items()
    }


def view(projection, extent, size=SIZE):
    return view_of(Region("here", extent), projection, size)


def geometry(xy, begins):
    """Return lines as one geometry."""
    return shapely.multilinestrings(
        [LineString(part) for part in np.split(xy, begins[1:])] if len(xy) else []
    )


def feature(*shapes, projection=PLANE, **options):
    return BoundaryFeature(shapes, LONLAT, projection, name="layer", **options)


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


# Half a pixel


def exactly(states, projection):
    """Return the states' rings in map coordinates, as they are."""
    return Projector("EPSG:4269", projection, "states").lines(shapely.get_rings(states))


def farthest(places, lines):
    """Return the largest distance from places to lines."""
    tree = shapely.STRtree(lines)
    return tree.query_nearest(shapely.points(places), return_distance=True, all_matches=False)[1].max()


def places_along(lines, seen):
    """Return places on lines, some in each pixel of a view."""
    west, east, south, north = seen.extent.west, seen.extent.east, seen.extent.south, seen.extent.north
    inside = shapely.get_parts(shapely.clip_by_rect(lines, west, south, east, north))
    return shapely.get_coordinates(shapely.segmentize(inside, seen.resolution))


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_no_line_is_half_a_pixel_off(made, states, name):
    exact = exactly(states, PROJECTIONS[name])
    for place in ("Chesapeake", "conterminous" if name == "Lambert" else "Alaska"):
        seen = view(PROJECTIONS[name], VIEWS[place])
        half_pixel = seen.resolution / 2
        drawn = shapely.get_parts(geometry(*made[name].lines(seen)))
        there = exact[shapely.minimum_bounding_radius(exact) > half_pixel / 2]  # smaller islands may vanish
        assert farthest(places_along(there, seen), drawn) <= half_pixel * (1 + 1e-6)
        assert farthest(places_along(drawn, seen), exact) <= half_pixel * (1 + 1e-6)


def test_coarse_views_get_few_vertices(made):
    whole = len(made["Lambert"].levels[0].xy)
    xy, _ = made["Lambert"].lines(view(LAMBERT, VIEWS["conterminous"], Size(100, 60)))
    assert len(xy) < 0.15 * whole


def test_a_view_takes_little_time():
    counties = read_feature(BOUNDARIES / "counties.shp", LAMBERT)
    seen = view(LAMBERT, VIEWS["Colorado"], Size(1372, 750))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        xy, _ = counties.lines(seen)
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 2e-3  # 0.2 ms on the machine that it was written on
    assert 500 < len(xy) < 5000


# What is in view


def test_shared_borders_are_drawn_once():
    both = feature(box(0, 0, 1, 1), box(1, 0, 2, 1))
    assert geometry(*both.lines(view(PLANE, Extent(-1, 3, -1, 2)))).length == pytest.approx(7)


def test_lines_little_beside_a_view_are_there_for_broad_pens():
    line = feature(LineString([(10.001, 0), (10.001, 1)]), LineString([(14, 0), (14, 1)]))
    xy, begins = line.lines(View(Extent(0, 10, 0, 10), Size(100, 100)))
    assert len(begins) == 1
    assert xy[:, 0] == pytest.approx(10.001)


def test_a_view_of_nothing_is_empty():
    xy, begins = feature(box(0, 0, 1, 1)).lines(view(PLANE, Extent(50, 60, 50, 60)))
    assert xy.shape == (0, 2)
    assert begins.shape == (0,)


# Around the earth

FIJI = Polygon([(177, -19), (182, -18.5), (182, -16), (177, -16.2)])
NEAR_FIJI = Extent(175, 184, -20, -15)


@pytest.mark.parametrize("name", ["PlateCarree", "Mercator"])
@pytest.mark.parametrize("source", ["0 to 360", "-180 to 180", "sloppy"])
@pytest.mark.parametrize("turn", [0, -360])
def test_d5_fiji_is_drawn_as_60_degrees_further(name, source, turn):
    projection = PROJECTIONS[name]
    west_of = shapely.transform(FIJI, lambda xy: xy - [60, 0])
    here = {
        "0 to 360": FIJI,
        "-180 to 180": shapely.transform(FIJI, lambda xy: xy - [360, 0]),
        "sloppy": shapely.transform(FIJI, lambda xy: np.where(xy > 180, xy - 360, xy)),
    }[source]
    extent = Extent(NEAR_FIJI.west + turn, NEAR_FIJI.east + turn, NEAR_FIJI.south, NEAR_FIJI.north)
    there = Extent(NEAR_FIJI.west - 60, NEAR_FIJI.east - 60, NEAR_FIJI.south, NEAR_FIJI.north)
    seen, further = view(projection, extent), view(projection, there)
    shift = seen.extent.west - further.extent.west
    for filled in (False, True):
        ours = feature(here, projection=projection, filled=filled)
        theirs = feature(west_of, projection=projection, filled=filled)
        for draw in ("lines", "areas")[: 1 + filled]:
            xy, begins = getattr(ours, draw)(seen)
            expected, expected_begins = getattr(theirs, draw)(further)
            assert (
                shapely.hausdorff_distance(
                    geometry(xy - [shift, 0], begins), geometry(expected, expected_begins)
                )
                < 1e-6 * further.extent.width
            )


def test_d5_a_layer_cut_at_the_antimeridian_is_whole_in_a_view_across_it():
    cut = feature(box(177, -19, 180, -16), box(-180, -19, -178, -16), filled=True)
    seen = view(PLANE, NEAR_FIJI)
    assert shapely.total_bounds(geometry(*cut.lines(seen))) == pytest.approx([177, -19, 182, -16])
    assert shapely.total_bounds(geometry(*cut.areas(seen))) == pytest.approx([177, -19, 182, -16])


def test_a_view_wider_than_the_world_repeats_the_lines():
    island = feature(box(0, 0, 10, 10))
    lines = geometry(*island.lines(View(Extent(-400, 400, -90, 90), Size(800, 180))))
    assert lines.length == pytest.approx(3 * 40)


def test_d6_a_pole_is_in_place():
    cap = feature(box(-180, 85, 180, 90), projection=MapProjection(ccrs.NorthPolarStereo()))
    assert np.isfinite(cap.levels[0].xy).all()
    antarctica = Polygon([(-180, -90), (180, -90), (180, -78), (60, -68), (-60, -64), (-180, -78)])
    for projection in (PLANE, MapProjection(ccrs.SouthPolarStereo())):
        layer = feature(antarctica, projection=projection, filled=True)
        seen = view(projection, Extent(-180, 180, -90, -60))
        inside = path_of(*layer.areas(seen), closed=True).contains_point
        to_map = projection.transformer(LONLAT).transform
        assert inside(to_map(10, -80))
        assert not inside(to_map(10, -62))


# Areas


def fill(projection, seen, xy, begins):
    """Return which pixels of a view matplotlib fills."""
    axes = canvas(projection.crs, seen.extent, seen.size)
    axes.add_artist(PathPatch(path_of(xy, begins, closed=True), facecolor="black", linewidth=0))
    return pixels(axes) > 127


@pytest.fixture(scope="module")
def land(states):
    """Return the states as one area, quick to look things up in."""
    united = shapely.union_all(shapely.make_valid(states))
    shapely.prepare(united)
    return united


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_areas_cover_what_the_polygons_cover(made, land, name):
    projection = PROJECTIONS[name]
    coast = Projector(LONLAT, projection, "coast").lines(shapely.get_parts(shapely.boundary(land)))
    tree = shapely.STRtree(coast)
    for place in ("Chesapeake", "Alaska"):
        seen = view(projection, VIEWS[place], Size(80, 60))
        filled = fill(projection, seen, *made[name].areas(seen)).ravel()
        x, y = (centers.ravel() for centers in np.meshgrid(*seen.pixel_centers()))
        lon, lat = projection.inverse(LONLAT)(x, y)
        expected = np.any([shapely.contains_xy(land, lon + turn, lat) for turn in (-360, 0, 360)], axis=0)
        _, distance = tree.query_nearest(shapely.points(x, y), return_distance=True, all_matches=False)
        beside = distance > seen.resolution
        assert beside.mean() > 0.5
        np.testing.assert_array_equal(filled[beside], expected[beside])


def test_holes_are_not_filled_and_islands_in_them_are():
    lake = Polygon(box(0, 0, 9, 9).exterior, [box(2, 2, 7, 7).exterior])
    layer = feature(lake, box(4, 4, 5, 5), filled=True)
    seen = View(Extent(0, 9, 0, 9), Size(9, 9))
    filled = fill(PLANE, seen, *layer.areas(seen))
    assert filled.sum() == 81 - 25 + 1
    assert filled[4, 4]


def test_rings_are_closed(made):
    xy, begins = made["Lambert"].areas(view(LAMBERT, VIEWS["Chesapeake"]))
    np.testing.assert_array_equal(xy[begins], xy[np.append(begins[1:], len(xy)) - 1])


def test_lines_only_have_no_areas():
    layer = feature(LineString([(0, 0), (1, 1)]), filled=True)
    assert not layer.filled
    assert len(layer.areas(view(PLANE, Extent(0, 1, 0, 1)))[0]) == 0


# On anybody's own axes


def canvas(projection, extent, size=SIZE):
    """Return axes that fill a figure of their own, without a frame."""
    figure = Figure(figsize=(size.width / 100, size.height / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), projection=projection)
    axes.set_aspect("auto")
    axes.spines["geo"].set_visible(False)
    axes.set(xlim=(extent.west, extent.east), ylim=(extent.south, extent.north))
    return axes


def around(extent):
    """Return west, south, east, north of a box with room around an extent in degrees."""
    return extent.west - 10, extent.south - 10, extent.east + 10, extent.north + 10


def pixels(axes):
    """Return how dark each pixel is, from 0 to 255."""
    axes.figure.canvas.draw()
    return 255 - np.asarray(axes.figure.canvas.buffer_rgba())[..., :3].astype(int).mean(axis=2)


def spread(mask):
    """Return a mask grown by one pixel."""
    grown = np.pad(mask, 1)
    rows, columns = mask.shape
    return np.any([grown[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], axis=0)


def check_same_lines(ours, theirs):
    """Hold that what is dark in one picture is dark in the other, a pixel more or less."""
    assert ours.max() > 150
    assert not ((ours > 150) & ~spread(theirs > 40)).any()
    assert not ((theirs > 150) & ~spread(ours > 40)).any()


@pytest.mark.parametrize("place", ["Colorado", "Chesapeake"])
@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_the_picture_is_that_of_plain_cartopy(states, name, place):
    projection = PROJECTIONS[name]
    extent = view(projection, VIEWS[place]).extent
    states = states[shapely.intersects(states, box(*around(VIEWS[place])))]
    layer = BoundaryFeature(states, "EPSG:4269", projection)
    ours, theirs = canvas(projection.crs, extent), canvas(projection.crs, extent)
    ours.add_feature(layer, linewidth=1.25)
    plain = ShapelyFeature(states, ccrs.PlateCarree(), facecolor="none", edgecolor="black")
    theirs.add_feature(plain, linewidth=1.25)
    check_same_lines(pixels(ours), pixels(theirs))


@pytest.mark.parametrize(
    "crs", [ccrs.PlateCarree(), ccrs.Mercator(), ccrs.Robinson(-100)], ids=lambda c: type(c).__name__
)
@pytest.mark.parametrize("filled", [False, True])
def test_axes_in_another_projection_show_the_layer_too(states, crs, filled):
    layer = BoundaryFeature(states, "EPSG:4269", LAMBERT, filled=filled)
    extent = view(MapProjection(crs), VIEWS["Colorado"]).extent
    ours, theirs = canvas(crs, extent), canvas(crs, extent)
    ours.add_feature(layer, linewidth=1.25)
    theirs.add_feature(
        ShapelyFeature(states, ccrs.PlateCarree(), facecolor="none", edgecolor="black"), linewidth=1.25
    )
    check_same_lines(pixels(ours), pixels(theirs))


def test_only_what_is_in_view_is_drawn(made):
    layer = BoundaryFeature(polygons_of("states"), "EPSG:4269", LAMBERT)
    extent = view(LAMBERT, VIEWS["Colorado"]).extent
    artist = canvas(LAMBERT.crs, extent).add_feature(layer)
    (path,) = artist.get_paths()
    assert 0 < len(path.vertices) < 0.05 * len(layer.levels[0].xy)


def test_axes_beside_the_world_show_nothing():
    axes = canvas(PLANE.crs, Extent(400, 500, 0, 50))
    axes.add_feature(feature(box(0, 0, 10, 10)))
    assert pixels(axes).max() == 0


def test_a_face_color_fills_areas_that_are_kept(states):
    layer = BoundaryFeature(states, "EPSG:4269", LAMBERT, filled=True)
    extent = view(LAMBERT, VIEWS["Chesapeake"]).extent
    ours, theirs = canvas(LAMBERT.crs, extent), canvas(LAMBERT.crs, extent)
    ours.add_feature(layer, facecolor="0.5", edgecolor="none")
    theirs.add_feature(ShapelyFeature(states, ccrs.PlateCarree()), facecolor="0.5", edgecolor="none")
    ours, theirs = pixels(ours) > 60, pixels(theirs) > 60
    assert 0.1 < ours.mean() < 0.9
    assert not (ours & ~spread(theirs)).any()
    assert not (theirs & ~spread(ours)).any()


def test_a_face_color_without_areas_is_a_warning_and_no_nonsense(states):
    layer = BoundaryFeature(states, "EPSG:4269", LAMBERT)
    axes = canvas(LAMBERT.crs, view(LAMBERT, VIEWS["Colorado"]).extent)
    with pytest.warns(UserWarning, match="facecolor will have no effect"):
        axes.add_feature(layer, facecolor="0.5", edgecolor="none")
    assert pixels(axes).max() == 0


@pytest.mark.parametrize("filled", [False, True])
def test_the_picture_is_the_same_without_cartopy_s_cache(states, monkeypatch, filled):
    layer = BoundaryFeature(states, "EPSG:4269", LAMBERT, filled=filled)
    extent = view(LAMBERT, VIEWS["Chesapeake"]).extent
    told, untold = canvas(LAMBERT.crs, extent), canvas(LAMBERT.crs, extent)
    told.add_feature(layer)
    untold.add_feature(layer)
    with_cache = pixels(told)
    monkeypatch.setattr("forkmaps.features.tell_cartopy", lambda *_: None)
    np.testing.assert_array_equal(pixels(untold), with_cache)


def test_a_cartopy_without_that_cache_is_no_error(monkeypatch):
    monkeypatch.delattr(feature_artist.FeatureArtist, "_geom_key_to_path_cache")
    assert len(list(feature(box(0, 0, 1, 1)).intersecting_geometries((0, 1, 0, 1)))) == 1


def test_cartopy_s_cache_does_not_grow(states):
    layer = BoundaryFeature(states, "EPSG:4269", LAMBERT)
    axes = canvas(LAMBERT.crs, view(LAMBERT, VIEWS["Colorado"]).extent)
    axes.add_feature(layer)
    pixels(axes)
    before = len(feature_artist.FeatureArtist._geom_key_to_path_cache)
    for _ in range(5):
        pixels(axes)
    assert len(feature_artist.FeatureArtist._geom_key_to_path_cache) <= before


def test_larger_figures_can_be_told_of():
    wiggle = LineString(np.column_stack([np.linspace(0, 10, 5000), 0.001 * np.sin(np.arange(5000))]))
    layer = feature(wiggle)
    (coarse,) = layer.intersecting_geometries((0, 10, -5, 5))
    layer.figure_pixels = 100_000
    (fine,) = layer.intersecting_geometries((0, 10, -5, 5))
    assert shapely.get_num_coordinates(coarse) < shapely.get_num_coordinates(fine) == 5000


def test_geometries_are_all_of_them_as_they_are():
    assert [g.length for g in feature(box(0, 0, 1, 1), box(1, 0, 2, 1)).geometries()] == [7]
    (areas,) = feature(box(0, 0, 1, 1), box(1, 0, 2, 1), filled=True).intersecting_geometries(None)
    assert isinstance(areas, MultiPolygon)
    assert areas.area == pytest.approx(2)


def test_add_feature_takes_as_long_as_our_own_drawing():
    counties = read_feature(BOUNDARIES / "counties.shp", LAMBERT)
    size = Size(1372, 750)
    seen = view(LAMBERT, VIEWS["Colorado"], size)

    def seconds(add):
        axes = canvas(LAMBERT.crs, seen.extent, size)
        axes.figure.canvas.draw()
        start = time.perf_counter()
        add(axes).draw(axes.figure.canvas.get_renderer())
        return time.perf_counter() - start

    def our_own(axes):
        return axes.add_artist(PathPatch(path_of(*counties.lines(seen), closed=False), facecolor="none"))

    own = min(seconds(our_own) for _ in range(5))
    added = min(seconds(lambda axes: axes.add_feature(counties)) for _ in range(5))
    assert added < 3 * own + 5e-3  # 5 and 8 ms on the machine that it was written on


# What a layer may hold


def test_a_layer_keeps_its_arrays_read_only(made):
    for level in (*made["Lambert"].levels, *made["Lambert"].fill_levels):
        assert all(not array.flags.writeable for array in level.arrays)
    with pytest.raises(ValueError, match="read-only"):
        made["Lambert"].levels[0].xy[0] = 0


def test_a_layer_can_be_pickled(made):
    again = pickle.loads(pickle.dumps(made["Lambert"]))
    seen = view(LAMBERT, VIEWS["Colorado"])
    np.testing.assert_array_equal(again.lines(seen)[0], made["Lambert"].lines(seen)[0])
    assert again.nbytes == made["Lambert"].nbytes > 0


def test_d7_z_and_m_are_dropped():
    solid = feature(
        LineString([(0, 0, 5), (1, 1, 6)]),
        shapely.from_wkt("LINESTRING ZM (0 0 1 2, 1 1 1 2)"),
        shapely.from_wkt("POLYGON M ((2 2 9, 3 2 9, 3 3 9, 2 2 9))"),
    )
    assert solid.levels[0].xy.shape[1] == 2
    assert len(solid.levels[0].whole[1]) == 2  # the first two are the same line


def test_d7_all_kinds_are_taken_apart_and_points_left_out_with_one_warning(caplog):
    mixed = feature(
        None,
        Polygon(),
        Point(0, 0),
        shapely.MultiPoint([(0, 0), (1, 1)]),
        shapely.MultiLineString([[(0, 0), (1, 0)], [(5, 5), (6, 6)]]),
        shapely.MultiPolygon([box(10, 10, 11, 11), box(20, 10, 21, 11)]),
        shapely.GeometryCollection(
            [Point(0, 0), box(30, 10, 31, 11), shapely.MultiLineString([[(0, 9), (1, 9)]])]
        ),
        shapely.LinearRing([(40, 0), (41, 0), (41, 1)]),
    )
    assert len(mixed.levels[0].whole[1]) == 7
    assert messages(caplog) == [
        "layer: left out 2 features without geometry, and 4 parts that are no polygons or lines; "
        "the first in feature 1 of 8"
    ]


def test_d7_a_bow_tie_is_drawn_and_filled():
    tie = feature(Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), filled=True)
    seen = view(PLANE, Extent(0, 2, 0, 2))
    assert geometry(*tie.lines(seen)).length == pytest.approx(4 + 2 * 8**0.5)
    tile = View(Extent(-0.5, 2.5, -0.5, 2.5), Size(60, 60))
    filled = fill(PLANE, tile, *tie.areas(tile))
    assert [filled[30, 14], filled[30, 46], filled[46, 30], filled[14, 30]] == [True, True, False, False]


def test_d7_coordinates_that_are_no_numbers_are_left_out(caplog):
    with np.errstate(invalid="ignore"):
        bad = shapely.linestrings([[(0, 0), (np.nan, 1)], [(0, 0), (np.inf, 1)]])
    layer = feature(box(0, 0, 1, 1), *bad)
    assert len(layer.levels[0].whole[1]) == 1
    (message,) = messages(caplog)
    assert "left out 2 parts that are no polygons or lines; the first in feature 2 of 3" in message


@pytest.mark.parametrize("shapes", [[], [None], [Point(0, 0)], [Polygon()], [shapely.GeometryCollection()]])
def test_d7_nothing_to_draw_is_an_error_that_names_the_layer(shapes):
    with pytest.raises(FeatureError, match="layer: holds no polygons or lines to draw"):
        feature(*shapes)


def test_a_layer_out_of_sight_is_a_warning(caplog):
    hidden = feature(box(170, -10, 175, 10), projection=MapProjection(ccrs.Orthographic(0, 0)))
    assert messages(caplog) == ["layer: lies wholly outside of what the projection can show"]
    seen = View(Extent(-1e6, 1e6, -1e6, 1e6), Size(100, 100))
    assert len(hidden.lines(seen)[0]) == 0


def test_a_line_of_no_length_is_drawn_as_nothing():
    layer = feature(LineString([(0, 0), (0, 0)]), box(1, 1, 2, 2))
    assert len(layer.levels[0].whole[1]) == 1


@pytest.mark.slow
def test_d7_a_million_vertices_take_seconds():
    angles = np.linspace(0, 2 * np.pi, 1_000_000)
    radius = 10 + np.random.default_rng(0).normal(scale=0.001, size=angles.size).cumsum() * 0.01
    coast = np.column_stack([-100 + radius * np.cos(angles), 40 + radius * np.sin(angles)])
    start = time.perf_counter()
    layer = feature(Polygon(coast), projection=LAMBERT)
    assert time.perf_counter() - start < 10
    assert len(layer.levels[0].xy) >= 1_000_000


# From a file


def test_a_file_is_read_and_projected():
    states = read_feature(BOUNDARIES / "states.shp", LAMBERT, name="states", where="name = 'Colorado'")
    seen = view(LAMBERT, VIEWS["Colorado"])
    assert geometry(*states.lines(seen)).length == pytest.approx(2_110_000, rel=0.02)
    assert states.name == f"states ({BOUNDARIES / 'states.shp'})"


def test_a_file_without_crs_asks_for_one_and_takes_it(tmp_path):
    path = tmp_path / "layer.shp"
    wkb = shapely.to_wkb(np.array([box(500_000, 4_000_000, 600_000, 4_100_000)], object))
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.raw.write(path, wkb, [], [], geometry_type="Polygon", crs=None)
    with pytest.raises(FeatureError, match=r"layer\.shp: states no CRS .*\.prj.*set crs for the layer"):
        read_feature(path, PLANE)
    with pytest.raises(
        FeatureError, match=r"layer\.shp: coordinates up to 4,100,000 can't be in its CRS, WGS 84"
    ):
        read_feature(path, PLANE, source_crs="EPSG:4326")
    with pytest.raises(FeatureError, match=r'layer\.shp: crs "EPSG:0" can\'t be used'):
        read_feature(path, PLANE, source_crs="EPSG:0")
    layer = read_feature(path, PLANE, source_crs="EPSG:32615")
    assert layer.levels[0].xy.mean(axis=0) == pytest.approx([-92.5, 36.6], abs=0.1)


def test_d7_an_empty_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "empty.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(
        FeatureError, match=r"empty\.geojson: holds no polygons or lines to draw, in 0 features"
    ):
        read_feature(path, PLANE)
