"""How rasters and shared data show themselves."""

import base64
import io
import re

import cartopy.crs as ccrs
import numpy as np
import pytest
import shapely
from PIL import Image

from forkmaps.projection import MapProjection
from forkmaps.raster import Raster
from forkmaps.raster.showing import picture
from forkmaps.shared import Boundary, SharedData, set_shared_data

LON, LAT = np.arange(-110.0, -80, 0.5), np.arange(50.0, 30, -0.5)


def raster(values=None, **options):
    if values is None:
        values = LON + 3 * LAT[:, None]
    options = {"name": "Height", "unit": "m", **options}
    return Raster.from_array(values, x=LON, y=LAT, crs="EPSG:4326", **options)


@pytest.fixture
def shared():
    square = Boundary([shapely.box(-100, 35, -90, 45)], crs="EPSG:4326", filled=True)
    rasters = {"z": raster(), "t": raster(name="<T>")}
    yield SharedData.load(rasters, boundaries={"a": square}, projection="EPSG:5070")
    set_shared_data(None)


def pictures(html):
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/png;base64,([^"]*)"', html)]


def test_a_raster_tells_in_one_line_what_it_is():
    assert repr(raster()) == "<Raster Height: 1 band of 40 x 60 cells (rows x columns), WGS 84, 0.0 MB>"


def test_a_picture_shows_the_raster_the_right_way_up():
    (data,) = pictures(raster()._repr_html_())
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (160, 107)
        pixels = np.asarray(image.convert("RGBA")).astype(int)
    assert (pixels[..., 3] == 255).all()
    north_east, south_west = pixels[2, -3], pixels[-3, 2]
    assert north_east[0] > 200  # yellow
    assert south_west[0] < 90  # purple
    assert south_west[2] > south_west[1]


def test_a_picture_is_small_even_of_noise_and_clear_where_there_is_no_data():
    values = np.random.default_rng(1).normal(size=(40, 60))
    values[:20] = np.nan
    noise, axis = np.random.default_rng(1).normal(size=(900, 900)), np.linspace(0, 9, 900)
    big = Raster.from_array(noise, x=axis, y=axis, crs="EPSG:4326", resampling="nearest")
    assert len(pictures(big._repr_html_())[0]) <= 20_000
    with Image.open(io.BytesIO(pictures(raster(values)._repr_html_())[0])) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert (alpha[:50] == 0).all()
    assert (alpha[56:] == 255).all()


def test_a_picture_of_a_raster_across_the_antimeridian_is_filled_by_it():
    across = Raster.from_array(LON + LAT[:, None], x=LON + 275, y=LAT, crs="EPSG:4326")
    (data,) = pictures(picture(across, MapProjection(ccrs.Mercator())))
    with Image.open(io.BytesIO(data)) as image:
        assert min(image.size) > 100
        assert (np.asarray(image.convert("RGBA"))[..., 3] == 255).all()


def test_a_raster_without_values_and_one_of_one_value_show_themselves():
    for values in (np.full((40, 60), np.nan), np.full((40, 60), 5.0)):
        shown = raster(values)._repr_html_()
        assert len(pictures(shown)) == 1
        assert "nan to nan" not in shown


def test_a_curvilinear_grid_shows_itself():
    lon, lat = np.meshgrid(LON, LAT)
    shown = Raster.from_array(lon, x=lon + 0.2 * lat, y=lat, crs="EPSG:4326")
    assert "not rectilinear" in shown._repr_html_()
    assert len(pictures(shown._repr_html_())) == 1


def test_shared_data_tells_of_its_rasters_and_boundaries(shared):
    text = repr(shared)
    assert "raster 'z': Height: 1 band of 40 x 60 cells" in text
    assert re.search(r"boundary 'a': [\d,]+ vertices", text)
    html = shared._repr_html_()
    assert len(pictures(html)) == 2
    assert "&lt;T&gt;" in html
    assert "<T>" not in html
    assert ">yes<" in html


def test_where_it_was_opened_from_is_told(shared, tmp_path):
    shared.save(tmp_path / "store")
    assert str(tmp_path / "store") in SharedData.open(tmp_path / "store")._repr_html_()
    assert "opened from" not in shared._repr_html_()
