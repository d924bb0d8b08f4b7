"""Map set files: what they say, and what is said of wrong ones."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from forkmaps.errors import ForkmapsError, MapSetError, ProjectionError, RasterError
from forkmaps.maps import render_maps
from forkmaps.mapset import read_mapset
from forkmaps.run.batch import Run, draw_maps
from small import SET, make_set


def fault(tmp_path, old, new):
    """The message for the small set with one piece of text changed."""
    assert old in SET
    with pytest.raises(ForkmapsError) as caught:
        read_mapset(make_set(tmp_path, SET.replace(old, new))).load()
    return str(caught.value)


def test_a_set_gives_data_and_regions(tmp_path):
    shared, regions = read_mapset(make_set(tmp_path)).load()
    assert [region.name for region in regions] == ["north", "south"]
    assert shared.raster.shape == (20, 30)
    assert shared.raster.name == "Height"
    assert shared.raster.unit == "m"
    assert list(shared.features) == ["square"]
    assert shared.projection.crs.proj4_params["lon_0"] == -100.0


def test_from_python_its_maps_are_drawn_as_the_set_says_or_one_by_one(tmp_path):
    mapset = read_mapset(make_set(tmp_path, SET.replace("[style]", '[style]\npalette = "Reds"')))
    shared, regions = mapset.load()
    assert mapset.style.palette == "Reds"
    draw_maps(shared, mapset.plan(shared, regions), Run(workers=0))
    how = {"style": mapset.style, "lines": mapset.lines, "workers": 0, "show_progress": False}
    render_maps(shared, regions[:1], out=tmp_path / "again", **how)
    drawn = (tmp_path / "again" / "north.png").read_bytes()
    assert drawn == (tmp_path / "out" / "north.png").read_bytes()


def test_a_function_finds_its_band_by_number_also_where_bands_were_chosen(tmp_path):
    mapset = read_mapset(make_set(tmp_path, bands=3))
    (all_bands, regions), (chosen, _) = mapset.load(), mapset.with_bands([3]).load()
    axes = Figure().add_subplot(projection=chosen.projection)
    axes.set_extent(chosen.projection.extent_of(regions[0]), chosen.projection.crs)
    found = chosen.in_view(axes).sel(band=chosen.raster.bands[0].number)
    assert np.array_equal(found, all_bands.in_view(axes).sel(band=1) + 2)


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    path = make_set(tmp_path / "deep")
    monkeypatch.chdir(tmp_path)
    assert read_mapset("deep/set.toml").folder.resolve() == path.parent / "out"


def test_an_unknown_key_is_refused_with_the_nearest_one(tmp_path):
    message = fault(tmp_path, "linewidth = 1.0", "linewith = 1.0")
    assert "set.toml: boundaries (no. 1)" in message
    assert '"linewith"' in message
    assert 'did you mean "linewidth"?' in message


def test_all_mistakes_are_told_at_once(tmp_path):
    text = SET.replace("dpi = 60", 'dpi = "sixty"\npalette = "viridus"').replace(
        "linewidth = 1.0", "linewidth = -1"
    )
    with pytest.raises(MapSetError) as caught:
        read_mapset(make_set(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any('style.palette: "viridus" is not a palette; did you mean "viridis"?' in line for line in lines)
    assert any('style.dpi: a number is needed, not "sixty"' in line for line in lines)
    assert any(
        "boundaries (no. 1).linewidth: a number of at least 0 is needed, not -1" in line for line in lines
    )


def test_a_missing_file_tells_of_those_that_are_there(tmp_path):
    make_set(tmp_path)
    with pytest.raises(
        MapSetError, match=r"sett\.toml: there is no such map set file; in .* there are set\.toml"
    ):
        read_mapset(tmp_path / "sett.toml")


def test_a_folder_is_not_a_map_set(tmp_path):
    with pytest.raises(MapSetError, match="can't be read"):
        read_mapset(tmp_path)


def test_broken_toml_is_told_with_its_line(tmp_path):
    assert "set.toml: is not TOML" in fault(tmp_path, "[regions]", "[regions")


def test_a_template_field_that_does_not_exist_is_an_error(tmp_path):
    assert "there is no field {regoin.title}" in fault(tmp_path, "{region.title}", "{regoin.title}")


def test_a_projection_needs_one_definition(tmp_path):
    message = fault(tmp_path, 'cartopy = "LambertConformal"', 'cartopy = "LambertConformal"\nepsg = 5070')
    assert "one of cartopy, epsg, proj is needed, not cartopy and epsg" in message


def test_a_cartopy_projection_is_named_rightly(tmp_path):
    message = fault(tmp_path, "LambertConformal", "LambertConforml")
    assert 'did you mean "LambertConformal"?' in message
    assert "set.toml" in message


def test_a_cartopy_projection_takes_its_own_arguments_only(tmp_path):
    message = fault(tmp_path, "central_longitude", "centre_longitude")
    assert 'takes no "centre_longitude"; did you mean "central_longitude"?' in message


def test_an_epsg_code_makes_a_projection(tmp_path):
    text = SET.replace('cartopy = "LambertConformal"\ncentral_longitude = -100.0', "epsg = 5070")
    shared, _ = read_mapset(make_set(tmp_path, text)).load()
    assert "Albers" in shared.projection.crs.coordinate_operation.method_name


def test_an_unknown_epsg_code_is_an_error(tmp_path):
    old = 'cartopy = "LambertConformal"\ncentral_longitude = -100.0'
    assert 'projection "EPSG:999999" is not known' in fault(tmp_path, old, "epsg = 999999")


def test_without_a_projection_one_is_fitted_to_the_regions(tmp_path):
    text = SET.replace('[projection]\ncartopy = "LambertConformal"\ncentral_longitude = -100.0\n', "")
    shared, _ = read_mapset(make_set(tmp_path, text)).load()
    parameters = shared.projection.crs.proj4_params
    # 36 to 46 north: a sixth of 10 degrees inside.
    assert parameters["proj"] == "lcc"
    assert parameters["lon_0"] == pytest.approx(-100)
    assert (parameters["lat_1"], parameters["lat_2"]) == pytest.approx((36 + 10 / 6, 46 - 10 / 6))


def test_format_and_file_suffix_must_agree(tmp_path):
    message = fault(tmp_path, 'file = "{region.name}.png"', 'file = "{region.name}.png"\nformat = "pdf"')
    assert "don't agree" in message


def test_a_file_without_suffix_gets_the_format(tmp_path):
    text = SET.replace('file = "{region.name}.png"', 'file = "{region.name}"\nformat = "webp"')
    assert read_mapset(make_set(tmp_path, text)).options.output.template == "{region.name}.webp"


def test_bands_are_chosen_by_number_name_and_time(tmp_path):
    mapset = read_mapset(make_set(tmp_path, SET, bands=3))
    for choice, number in ((2, 2), ("2", 2), ("hour 3", 3), ("2026-01-03T06:00", 3), ("2026-01-01", 1)):
        shared, _ = mapset.with_bands([choice]).load()
        assert [band.number for band in shared.raster.bands] == [number]
        assert shared.raster.values[0, 0, 0] == number


def test_an_unknown_band_is_told_with_those_there_are(tmp_path):
    mapset = read_mapset(make_set(tmp_path, SET, bands=2)).with_bands(["hour 9"])
    with pytest.raises(
        RasterError, match=r'has no band "hour 9".* it has 1 hour 1 2026-01-01T06:00Z, 2 hour 2'
    ):
        mapset.load()


def test_boundaries_of_one_name_are_refused(tmp_path):
    twice = '[projection]\n[[boundaries]]\nname = "square"\npath = "x.shp"\n'.replace("[projection]\n", "")
    assert "the name square is there twice" in fault(tmp_path, "[projection]", twice + "\n[projection]")


def test_order_decides_what_is_drawn_later(tmp_path):
    more = '[[boundaries]]\nname = "under"\npath = "square.gpkg"\norder = -1\n\n[projection]'
    mapset = read_mapset(make_set(tmp_path, SET.replace("[projection]", more)))
    assert list(mapset.lines) == ["under", "square"]


def test_a_raster_without_crs_says_what_to_set(tmp_path):
    path = make_set(tmp_path)
    from small import make_raster

    make_raster(tmp_path / "raster.tif", crs=None)
    with pytest.raises(RasterError, match="states no CRS; set crs"):
        read_mapset(path).load()
    text = SET.replace('unit = "m"', 'unit = "m"\ncrs = "EPSG:4326"')
    path.write_text(text)
    assert read_mapset(path).load()[0].raster.crs.to_epsg() == 4326


def test_projection_errors_keep_their_kind(tmp_path):
    with pytest.raises(ProjectionError):
        read_mapset(make_set(tmp_path, SET.replace("LambertConformal", "Nothing"))).load()
