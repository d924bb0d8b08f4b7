"""Map projections, and the views of regions in them: held against dense brute force."""

import pickle
import time
import tomllib

import cartopy.crs as ccrs
import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forkmaps.errors import ProjectionError
from forkmaps.mapset import ProjectionOptions
from forkmaps.projection import (
    LONLAT,
    MapProjection,
    PlanarProjection,
    Size,
    fitted_projection,
    projection_from_cartopy,
    projection_from_text,
    view_of,
)
from forkmaps.regions import Extent, Region

GRIB_LAMBERT = "+proj=lcc +lat_0=25 +lat_1=25 +lat_2=25 +lon_0=-95 +R=6371200 +units=m +no_defs"
SIZE = Size(1372, 750)

PROJECTIONS = {
    "Lambert": ccrs.LambertConformal(-96, 39, standard_parallels=(33, 45)),
    "Mercator": ccrs.Mercator(),
    "PlateCarree": ccrs.PlateCarree(),
    "PlateCarree180": ccrs.PlateCarree(180),
    "NorthPolarStereo": ccrs.NorthPolarStereo(-100),
    "SouthPolarStereo": ccrs.SouthPolarStereo(),
    "Robinson": ccrs.Robinson(),
    "Albers": PlanarProjection("EPSG:5070"),
    "UTM": PlanarProjection("EPSG:32615"),
}

MADE = {name: MapProjection(crs) for name, crs in PROJECTIONS.items()}


def region(west, east, south, north, crs=None):
    return Region("here", Extent(west, east, south, north), crs)


def brute_extent(projection, extent, points=1201):
    """Return the box of a lon/lat box's image, from a dense outline: west, east, south, north."""
    u = np.linspace(0, 1, points)
    lon = extent.west + extent.width * np.concatenate([u, u * 0 + 1, u, u * 0])
    lat = extent.south + extent.height * np.concatenate([u * 0, u, u * 0 + 1, u])
    x, y = projection.transformer(LONLAT).transform(lon, lat)
    return np.array([x.min(), x.max(), y.min(), y.max()])


def sides(extent):
    return np.array([extent.west, extent.east, extent.south, extent.north])


# The extent of a region


@st.composite
def american_boxes(draw):
    west, south = draw(st.floats(-150, -61)), draw(st.floats(5, 78))
    return Extent(west, draw(st.floats(west + 0.01, -59)), south, draw(st.floats(south + 0.01, 80)))


@settings(max_examples=80, deadline=None)
@given(american_boxes(), st.sampled_from(sorted(set(PROJECTIONS) - {"PlateCarree180", "UTM"})))
def test_the_extent_is_that_of_a_dense_outline(box, name):
    projection = MADE[name]
    brute = brute_extent(projection, box)
    found = sides(projection.extent_of(Region("here", box)))
    size = max(brute[1] - brute[0], brute[3] - brute[2])
    np.testing.assert_allclose(found, brute, rtol=0, atol=1e-4 * size)


@pytest.mark.parametrize("name", ["PlateCarree", "PlateCarree180", "Mercator"])
@pytest.mark.parametrize(("west", "east"), [(170, 190), (-190, -170), (179.9, 180.1), (190, 200)])
def test_d5_a_region_across_the_antimeridian_is_as_wide_as_60_degrees_further(name, west, east):
    projection = MapProjection(PROJECTIONS[name])
    here = projection.extent_of(region(west, east, -20, -10))
    there = projection.extent_of(region(west - 60, east - 60, -20, -10))
    assert here.width == pytest.approx(there.width)
    assert (here.south, here.north) == (there.south, there.north)
    assert abs(here.west + here.east) / 2 <= projection.period / 2 * (1 + 1e-9)


def test_the_whole_world_is_one_turn_wide():
    assert sides(MapProjection(ccrs.PlateCarree()).extent_of(region(-180, 180, -90, 90))) == pytest.approx(
        [-180, 180, -90, 90]
    )


@pytest.mark.parametrize(("south", "north"), [(85, 90), (-90, -85)])
def test_d6_a_polar_cap_is_a_square_in_polar_stereographic(south, north):
    crs = ccrs.NorthPolarStereo() if north == 90 else ccrs.SouthPolarStereo()
    extent = MapProjection(crs).extent_of(region(-180, 180, south, north))
    radius = 556_000  # 5 degrees of 111.2 km; the projection's scale is 0.9975 at the rim
    assert sides(extent) == pytest.approx([-radius, radius, -radius, radius], rel=0.01)
    assert extent.width == pytest.approx(extent.height, rel=1e-4)


@pytest.mark.parametrize(("south", "north"), [(85, 90), (-90, -85)])
@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_d6_poles_have_finite_extents(name, south, north):
    extent = MapProjection(PROJECTIONS[name]).extent_of(region(-100, -90, south, north))
    assert np.isfinite(sides(extent)).all()


def test_d6_a_pole_at_infinity_is_left_out():
    mercator = ccrs.Mercator()
    assert MapProjection(mercator).extent_of(region(-10, 10, 60, 90)).north == mercator.y_limits[1]
    web_mercator = projection_from_text("EPSG:3857")
    assert web_mercator.extent_of(region(-10, 10, 60, 90)).north == pytest.approx(20037508.34)


def test_a_region_in_the_map_s_own_crs_is_its_extent():
    own = region(-1e6, 1e6, -5e5, 5e5, crs="EPSG:5070")
    assert projection_from_text("EPSG:5070").extent_of(own) == own.extent


def test_a_region_in_meters_of_another_crs_is_covered():
    extent = projection_from_text("EPSG:3857").extent_of(
        region(400_000, 600_000, 4_000_000, 4_300_000, "EPSG:32615")
    )
    x, y = pyproj.Transformer.from_crs("EPSG:32615", "EPSG:3857", always_xy=True).transform(
        [400_000, 600_000, 500_000, 500_000], [4_000_000, 4_300_000, 4_000_000, 4_300_000]
    )
    assert extent.west <= min(x) + 100
    assert extent.east >= max(x) - 100
    assert extent.south <= min(y) + 100
    assert extent.north >= max(y) - 100


def test_a_region_in_meters_across_the_antimeridian_is_one_piece():
    across = region(-500_000, 500_000, -500_000, 500_000, "+proj=laea +lat_0=-17 +lon_0=180")
    assert projection_from_text("EPSG:4326").extent_of(across).width == pytest.approx(9.7, abs=0.3)


def test_a_region_that_cannot_be_shown_is_an_error_with_its_name():
    with pytest.raises(ProjectionError, match=r'region "here": .* choose another projection or region'):
        MapProjection(ccrs.Orthographic(0, 0)).extent_of(region(170, 190, -10, 10))


def test_an_unknown_crs_of_a_region_is_an_error_with_its_text():
    with pytest.raises(ProjectionError, match='CRS "EPSG:0"'):
        projection_from_text("EPSG:5070").extent_of(region(0, 1, 0, 1, crs="EPSG:0"))


# The view of a region


@settings(max_examples=50, deadline=None)
@given(american_boxes(), st.sampled_from(["Lambert", "Mercator", "PlateCarree", "Albers"]))
def test_a_view_holds_its_region_in_the_middle_neither_cut_nor_stretched(box, name):
    projection = MADE[name]
    extent, view = projection.extent_of(Region("here", box)), view_of(Region("here", box), projection, SIZE)
    assert view.extent.width / SIZE.width == pytest.approx(view.extent.height / SIZE.height)
    assert view.extent.west + view.extent.east == pytest.approx(
        extent.west + extent.east, abs=1e-6 * view.extent.width
    )
    assert view.extent.south + view.extent.north == pytest.approx(
        extent.south + extent.north, abs=1e-6 * view.extent.height
    )
    slack = 1e-9 * view.extent.width
    assert view.extent.west <= extent.west + slack
    assert view.extent.east >= extent.east - slack
    assert view.extent.south <= extent.south + slack
    assert view.extent.north >= extent.north - slack
    assert min(view.extent.width / extent.width, view.extent.height / extent.height) == pytest.approx(1)


def test_pixel_centers_run_from_the_north_west():
    view = view_of(region(0, 4, 0, 2), projection_from_text("EPSG:4326"), Size(4, 2))
    x, y = view.pixel_centers()
    assert x == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert y == pytest.approx([1.5, 0.5])
    assert view.resolution == pytest.approx(1.0)


def test_a_view_takes_less_than_a_millisecond():
    projection = MapProjection(PROJECTIONS["Lambert"])
    here = region(-109, -102, 37, 41)
    view_of(here, projection, SIZE)
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        view_of(here, projection, SIZE)
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 1e-3  # 0.14 ms on the machine that it was written on


def test_transforms_of_many_crs_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("forkmaps.projection.mapprojection._MOST_WAYS", 3)
    projection = MapProjection(ccrs.PlateCarree())
    for lon in range(8):
        projection.extent_of(region(0, 1, 0, 1, crs=f"+proj=laea +lon_0={lon}"))
        assert len(projection._ways) <= 3


# Where x repeats


@pytest.mark.parametrize(
    ("crs", "period"),
    [
        (ccrs.PlateCarree(), 360),
        (ccrs.PlateCarree(180), 360),
        (ccrs.PlateCarree(-100.5), 360),
        (ccrs.Mercator(), 2 * np.pi * 6378137),
        (ccrs.Mercator(central_longitude=170), 2 * np.pi * 6378137),
        (ccrs.Miller(), 2 * np.pi * 6378137),
        (ccrs.LambertCylindrical(), 360),
        (PlanarProjection("EPSG:3857"), 2 * np.pi * 6378137),
        (PlanarProjection("+proj=eqc +lon_0=10 +x_0=5000000"), 2 * np.pi * 6378137),
    ],
)
def test_the_world_s_width_on_cylindrical_maps(crs, period):
    projection = MapProjection(crs)
    assert projection.period == pytest.approx(period)
    lon = np.array([-170.0, -10.0, 10.0, 170.0])
    x, _ = projection.transformer(LONLAT).transform(lon, np.zeros(4))
    turns = (projection.x_of_longitude(lon + 360) - x) / projection.period
    assert turns == pytest.approx(np.round(turns))


@pytest.mark.parametrize(
    "crs",
    [
        ccrs.LambertConformal(),
        ccrs.Robinson(),
        ccrs.NorthPolarStereo(),
        ccrs.Orthographic(),
        ccrs.TransverseMercator(),
        ccrs.Sinusoidal(),
        ccrs.Mollweide(),
        ccrs.AlbersEqualArea(),
        ccrs.RotatedPole(177.5, 37.5),
        ccrs.InterruptedGoodeHomolosine(),
        ccrs.Geostationary(),
        ccrs.UTM(33),
        ccrs.ObliqueMercator(azimuth=30),
        PlanarProjection("EPSG:5070"),
        PlanarProjection("EPSG:3347"),
        PlanarProjection(GRIB_LAMBERT),
    ],
    ids=lambda crs: type(crs).__name__,
)
def test_other_maps_do_not_repeat(crs):
    projection = MapProjection(crs)
    assert projection.period is None
    with pytest.raises(ProjectionError, match="not linear"):
        projection.x_of_longitude(np.zeros(1))


# A projection as a value


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
def test_a_projection_can_be_pickled(name):
    projection = MapProjection(PROJECTIONS[name])
    before = projection.extent_of(region(-100, -90, 30, 40))
    again = pickle.loads(pickle.dumps(projection))
    assert again == projection
    assert hash(again) == hash(projection)
    assert repr(again) == repr(projection)
    assert again.extent_of(region(-100, -90, 30, 40)) == before


def test_projections_with_other_parameters_differ():
    assert MapProjection(ccrs.Mercator()) == MapProjection(ccrs.Mercator())
    assert MapProjection(ccrs.Mercator()) != MapProjection(ccrs.Mercator(10))
    assert MapProjection(ccrs.Mercator()) != "Mercator"


def test_the_inverse_leads_back():
    projection = MapProjection(PROJECTIONS["Lambert"])
    x, y = projection.transformer("EPSG:4269").transform(-100.0, 40.0)
    assert projection.inverse("EPSG:4269")(x, y) == pytest.approx((-100, 40))


def test_coordinates_in_the_map_s_own_crs_are_known_as_such():
    projection = projection_from_text("EPSG:3035")  # its axes are northing, easting
    assert projection.is_same("EPSG:3035")
    assert projection.is_same(projection.crs.to_wkt())
    assert not projection.is_same("EPSG:4326")


# By text


@pytest.mark.parametrize(
    ("text", "lonlat", "xy"),
    [
        ("EPSG:5070", (-96, 23), (0, 0)),
        ("EPSG:3857", (180, 0), (20037508.342789244, 0)),
        ("EPSG:32615", (-93, 0), (500_000, 0)),
        ("EPSG:2193", (173, 0), (1_600_000, 10_000_000)),  # northing first, by its own order
        (GRIB_LAMBERT, (-95, 25), (0, 0)),
        (pyproj.CRS(GRIB_LAMBERT).to_wkt(), (-95, 25), (0, 0)),
        ("EPSG:5070+5703", (-96, 23), (0, 0)),
        ("EPSG:4326", (-96, 23), (-96, 23)),
        ("EPSG:4269", (-96, 23), (-96, 23)),
        ("OGC:CRS84", (-96, 23), (-96, 23)),
    ],
)
def test_codes_and_strings_give_projections(text, lonlat, xy):
    projection = projection_from_text(text)
    assert projection.transformer(LONLAT).transform(*lonlat) == pytest.approx(xy, abs=1)


def test_a_geographic_crs_gives_plate_carree():
    assert isinstance(projection_from_text("EPSG:4326").crs, ccrs.PlateCarree)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("EPSG:123456", "not known"),
        ("Lambert", "not known"),
        ("", "not known"),
        ("EPSG:4978", "Geocentric"),
        ("EPSG:5703", "Vertical"),
    ],
)
def test_text_that_is_no_map_projection_is_refused(text, reason):
    with pytest.raises(ProjectionError, match=f"{reason}.*EPSG:5070, a PROJ string or WKT"):
        projection_from_text(text)


# By cartopy's name


def test_a_cartopy_class_takes_its_arguments():
    made = projection_from_cartopy(
        "LambertConformal", {"central_longitude": -96, "standard_parallels": [33, 45]}
    )
    assert made == MapProjection(ccrs.LambertConformal(-96, standard_parallels=(33, 45)))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("LambertConform", {}, 'did you mean "LambertConformal"'),
        ("platecarree", {}, 'did you mean "PlateCarree"'),
        ("os", {}, "not a cartopy projection.*; there are .*Mercator"),
        ("Projection", {}, "not a cartopy projection"),
        ("Mercator", {"central_longitud": 1}, 'did you mean "central_longitude"'),
        ("Mercator", {"central_longitude": "west"}, "Mercator.*central_longitude='west'"),
        ("LambertConformal", {"standard_parallels": [10, 20, 30]}, "1 or 2 standard parallels"),
        ("RotatedPole", {"pole_latitude": [1]}, "RotatedPole"),
        ("Geostationary", {"sweep_axis": "z"}, "Geostationary"),
        ("LambertConformal", {"central_longitude": -1000}, "central_longitude must be from -360 to 360"),
        ("LambertConformal", {"central_longitude": float("nan")}, "central_longitude must be from -360"),
        ("Mercator", {"min_latitude": -1000}, "Mercator.min_latitude=-1000.*it takes central_longitude"),
        ("Mercator", {"scale_factor": 1e-30}, "scale_factor=1e-30"),
        ("ObliqueMercator", {"azimuth": float("inf")}, "azimuth=inf"),
        ("AlbersEqualArea", {"standard_parallels": []}, "standard_parallels="),
    ],
)
def test_a_bad_name_or_argument_is_told_with_the_nearest_known(name, arguments, message):
    with pytest.raises(ProjectionError, match=message):
        projection_from_cartopy(name, arguments)


# Fitted to regions

FITS = {
    "us": ([(-125, -66.5, 24, 50), (-125, -110, 41, 49), (-81, -66, 37, 48)], ccrs.LambertConformal),
    "fiji": ([(176, 183, -21, -15)], ccrs.LambertConformal),
    "antarctica": ([(-180, 180, -90, -60)], ccrs.SouthPolarStereo),
    "arctic": ([(-180, 180, 60, 90)], ccrs.NorthPolarStereo),
    "svalbard": ([(10, 34, 76, 81)], ccrs.NorthPolarStereo),
    "tropics": ([(-60, 60, -23, 23)], ccrs.Mercator),
    "world": ([(-180, 180, -90, 90)], ccrs.PlateCarree),
    "pacific and atlantic": ([(120, 290, -60, 60), (-80, 20, -60, 60)], ccrs.Mercator),
}


@pytest.mark.parametrize("name", sorted(FITS))
def test_the_fitted_projection_shows_all_regions(name):
    boxes, kind = FITS[name]
    regions = [region(*box) for box in boxes]
    projection = fitted_projection(regions)
    assert isinstance(projection.crs, kind)
    for one in regions:
        extent = projection.extent_of(one)
        assert np.isfinite(sides(extent)).all()
        assert extent.width > 0


@pytest.mark.parametrize("name", ["us", "fiji", "svalbard", "tropics"])
def test_the_fitted_projection_hardly_stretches_its_regions(name):
    boxes, _ = FITS[name]
    projection = fitted_projection([region(*box) for box in boxes])
    to_map = projection.transformer(LONLAT).transform
    for west, east, south, north in boxes:
        for lon in (west + 0.1, (west + east) / 2, east - 0.1):
            for lat in (south + 0.1, (south + north) / 2, north - 0.1):
                (x0, y0), (x1, y1) = to_map(lon, lat), to_map(lon, lat + 0.01)
                meters = pyproj.Geod(ellps="WGS84").inv(lon, lat, lon, lat + 0.01)[2]
                assert np.hypot(x1 - x0, y1 - y0) / meters == pytest.approx(1, abs=0.09)


def test_the_fitted_projection_does_not_depend_on_the_regions_order():
    boxes = [(170, 190, -20, -10), (-170, -150, -22, -18), (150, 160, -40, -30)]
    fits = {
        fitted_projection([region(*boxes[i]) for i in order]) for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2])
    }
    assert len(fits) == 1
    assert fits.pop().extent_of(region(170, 190, -20, -10)).width < 3e6


@pytest.mark.parametrize(
    ("boxes", "kind"),
    [
        ([(-125, -65, 25, 50)], ccrs.LambertConformal),
        ([(0, 10, 10, 21)], ccrs.LambertConformal),
        ([(0, 10, 9, 20)], ccrs.Mercator),
        ([(-10, 10, 60, 89)], ccrs.LambertConformal),
        ([(-10, 10, 65, 87)], ccrs.NorthPolarStereo),
        ([(-10, 10, -90, -65)], ccrs.SouthPolarStereo),
        ([(-100, 90, 30, 60)], ccrs.NorthPolarStereo),
        ([(-100, -90, 10, 60), (60, 75, 20, 40)], ccrs.LambertConformal),
        ([(-100, 90, 10, 60)], ccrs.Mercator),
        ([(-100, 90, -81, 60)], ccrs.PlateCarree),
        ([(0, 10, -85, 85)], ccrs.PlateCarree),
    ],
)
def test_the_kind_of_projection_that_fits(boxes, kind):
    crs = fitted_projection([Region(str(box), Extent(*box)) for box in boxes]).crs
    assert type(crs) is kind


def test_a_region_in_meters_that_reaches_beyond_the_globe_is_fitted_by_what_is_on_it():
    globe = Region("globe", Extent(-7e6, 7e6, 0, 7e6), "+proj=ortho +lat_0=40 +lon_0=-90")
    fitted = fitted_projection([globe]).crs
    assert isinstance(fitted, ccrs.NorthPolarStereo)
    assert -180 < fitted.proj4_params["lon_0"] < 0
    beside = Region("beside", Extent(8e6, 9e6, 8e6, 9e6), globe.crs)
    with pytest.raises(ProjectionError, match='region "beside": no place in it has a longitude'):
        fitted_projection([beside])


def test_regions_in_meters_are_fitted_too():
    fiji = region(1_500_000, 2_500_000, 3_500_000, 4_500_000, crs="EPSG:3460")
    extent = fitted_projection([fiji]).extent_of(fiji)
    assert extent.width == pytest.approx(1_000_000, rel=0.1)


# On anybody's axes


@pytest.mark.parametrize("text", ["EPSG:5070", "EPSG:32615", "EPSG:3857", GRIB_LAMBERT, "EPSG:2263"])
def test_axes_can_be_made_in_any_projected_crs(text):
    projection = projection_from_text(text)
    figure = Figure(figsize=(2, 2), dpi=50)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), projection=projection.crs)
    axes.set_extent([-100, -90, 30, 40], crs=ccrs.PlateCarree())
    axes.plot([-95, -95], [31, 39], "k", transform=ccrs.PlateCarree(), lw=4)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert (pixels[20:80, 30:70].min(axis=(1, 2)) < 50).all()


def test_pyplot_takes_projection_and_extent_as_they_are():
    mine = Region("mine", Extent(-105, -90, 33, 45))
    projection = MapProjection(PROJECTIONS["Lambert"])
    figure = Figure()
    axes = figure.add_subplot(projection=projection)
    axes.set_extent(mine.extent, ccrs.PlateCarree())
    assert axes.projection == PROJECTIONS["Lambert"]
    west, east, south, north = projection.extent_of(mine)
    # cartopy looks at fewer places along the box's curved south.
    assert np.allclose((*axes.get_xlim(), *axes.get_ylim()), (west, east, south, north), atol=3e4)
    axes.set_extent(projection.extent_of(mine), projection.crs)
    assert np.allclose((*axes.get_xlim(), *axes.get_ylim()), (west, east, south, north))


NOT_NAMED = pyproj.CRS(GRIB_LAMBERT).to_wkt().replace('"unknown"', '"unnamed"', 1)
"""As a GRIB2 file tells its grid's CRS."""


@pytest.mark.parametrize(
    ("projection", "described"),
    [
        (projection_from_text("EPSG:5070"), "NAD83 / Conus Albers, epsg = 5070"),
        (projection_from_text(NOT_NAMED), 'proj = "+proj=lcc +lat_0=25 +lon_0=-95 +lat_1=25 +lat_2=25 '),
        (MapProjection(PROJECTIONS["Lambert"]), 'proj = "+ellps=WGS84 +proj=lcc +lon_0=-96 +lat_0=39 '),
        (MapProjection(ccrs.PlateCarree()), 'cartopy = "PlateCarree"'),
        (MapProjection(ccrs.PlateCarree(-170.5)), 'cartopy = "PlateCarree", central_longitude = -170.5'),
        (MapProjection(ccrs.Mercator(170)), 'proj = "+ellps=WGS84 +proj=merc +lon_0=170 '),
    ],
)
def test_what_describes_a_projection_makes_it_in_a_map_set(projection, described):
    assert projection.described.startswith(described)
    option = projection.described.removeprefix("NAD83 / Conus Albers, ")
    made = ProjectionOptions(**tomllib.loads(f"option = {{ {option} }}")["option"]).projection()
    places = np.array([-120.0, -95.0, -70.0]), np.array([20.0, 40.0, 50.0])
    there = projection.transformer(LONLAT).transform(*places)
    assert np.allclose(made.transformer(LONLAT).transform(*places), there, atol=1e-3)
    assert "PROJCRS" not in repr(projection)
