"""Projections come back from JSON as they were, and nothing else comes from it."""

import json
import pickle

import cartopy.crs as ccrs
import numpy as np
import pytest

from forkmaps.errors import ProjectionError
from forkmaps.projection import LONLAT, MapProjection, projection_from_text
from forkmaps.projection.stored import projection_from_json, projection_to_json

PROJECTIONS = [
    ccrs.PlateCarree(central_longitude=150),
    ccrs.Mercator(),
    ccrs.LambertConformal(-96, 38, standard_parallels=(30, 50), cutoff=10),
    ccrs.NorthPolarStereo(central_longitude=-100, globe=ccrs.Globe(ellipse=None, semimajor_axis=6371229)),
    ccrs.Robinson(),
    ccrs.RotatedPole(170, 39),
    ccrs.UTM(33),
    ccrs.InterruptedGoodeHomolosine(),
    ccrs.Orthographic(10, 50),
    projection_from_text("EPSG:5070").crs,
    projection_from_text("+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=-95 +R=6371200").crs,
]


def through_json(projection):
    return projection_from_json(json.loads(json.dumps(projection_to_json(projection))))


@pytest.mark.parametrize(
    "back", [through_json, lambda p: pickle.loads(pickle.dumps(p))], ids=["json", "pickle"]
)
@pytest.mark.parametrize("crs", PROJECTIONS, ids=lambda crs: type(crs).__name__)
def test_a_projection_comes_back_as_it_was(crs, back):
    projection = MapProjection(crs)
    projection.transformer(LONLAT)
    again = back(projection)
    assert type(again.crs) is type(crs)
    assert again == projection
    assert again.crs.to_wkt() == crs.to_wkt()
    assert again.crs.boundary.geom_type == crs.boundary.geom_type
    assert again.crs.boundary.equals_exact(crs.boundary)
    assert (again.crs.x_limits, again.crs.y_limits) == (crs.x_limits, crs.y_limits)
    assert again.crs.threshold == crs.threshold
    assert again.period == projection.period
    lon, lat = np.meshgrid(np.linspace(-20, 30, 5), np.linspace(20, 60, 5))
    assert np.array_equal(
        again.transformer(LONLAT).transform(lon, lat), projection.transformer(LONLAT).transform(lon, lat)
    )


def test_a_users_own_class_is_refused():
    class Mine(ccrs.PlateCarree):
        pass

    with pytest.raises(ProjectionError, match=r"Mine can't be stored; use one of cartopy.crs"):
        projection_to_json(MapProjection(Mine()))


@pytest.mark.parametrize(
    "stored",
    [
        {"cartopy": "Path", "state": {"dict": []}},
        {"cartopy": "Globe", "state": {"dict": []}},
        {"cartopy": "Mercator", "state": {"dict": []}},
        {"cartopy": "Mercator", "state": {"system": "true"}},
        {"cartopy": "Mercator", "state": {"geometry": "zz"}},
        {"cartopy": ["Mercator"]},
        {},
    ],
)
def test_nothing_but_a_projection_is_made(stored):
    with pytest.raises(ProjectionError, match="no projection of this cartopy is stored as"):
        projection_from_json(stored)
