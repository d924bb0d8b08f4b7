"""Map projections as JSON can hold them: the cartopy class by name, and its state as plain values.

No class but cartopy's own and `PlanarProjection` is ever made from it, and nothing in it is run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import shapely

from forkmaps.errors import ProjectionError
from forkmaps.projection import PlanarProjection, cartopy_projections
from forkmaps.projection.mapprojection import MapProjection

_GLOBE = (
    *("datum", "ellipse", "semimajor_axis", "semiminor_axis", "flattening", "inverse_flattening"),
    *("towgs84", "nadgrids"),
)
"""What a cartopy globe is made with."""


def projection_to_json(projection: MapProjection) -> dict[str, Any]:
    """Return a projection as JSON can hold it; `projection_from_json` takes it back.

    Raises
    ------
    ProjectionError
        Its class is not one of cartopy's, or one whose state is not plain.
    """
    crs = projection.crs
    if isinstance(crs, PlanarProjection):
        return {"planar": crs.definition}
    name = type(crs).__name__
    if cartopy_projections().get(name) is not type(crs):
        raise ProjectionError(
            f"the projection class {type(crs).__module__}.{name} can't be stored; use one of cartopy.crs, "
            "an EPSG code, a PROJ string or WKT"
        )
    return {"cartopy": name, "state": _encoded(crs.__getstate__())}


def projection_from_json(stored: Mapping[str, Any]) -> MapProjection:
    """Return the projection that `projection_to_json` told of.

    Raises
    ------
    ProjectionError
        It tells of none that this version of cartopy has.
    """
    try:
        if "planar" in stored:
            return MapProjection(PlanarProjection(stored["planar"]))
        kind: Any = cartopy_projections()[stored["cartopy"]]
        crs = kind.__new__(kind)
        crs.__setstate__(_decoded(stored["state"]))
        return MapProjection(crs)
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise ProjectionError(f"no projection of this cartopy is stored as {stored!s:.200}") from error


def _encoded(value: Any) -> Any:
    """Return a value of a projection's state as JSON; what is no plain JSON becomes {"kind": content}."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | np.floating():
            return float(value)
        case tuple():
            return {"tuple": [_encoded(item) for item in value]}
        case list():
            return [_encoded(item) for item in value]
        case OrderedDict():
            return {"ordered": _encoded(list(value.items()))}
        case dict():
            return {"dict": _encoded(list(value.items()))}
        case ccrs.Globe():
            return {"globe": {key: _encoded(getattr(value, key)) for key in _GLOBE}}
        case shapely.LinearRing():  # which WKB has no word for
            return {"ring": shapely.to_wkb(value, hex=True)}
        case shapely.Geometry():
            return {"geometry": shapely.to_wkb(value, hex=True)}
    raise ProjectionError(f"a projection with {value!r:.80} ({type(value).__name__}) can't be stored")


def _decoded(value: Any) -> Any:
    """Return the value that `_encoded` told of."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "tuple":
            return tuple(_decoded(content))
        case "ordered":
            return OrderedDict(_decoded(content))
        case "dict":
            return dict(_decoded(content))
        case "globe":
            return ccrs.Globe(**{key: _decoded(item) for key, item in content.items()})
        case "ring":
            return shapely.LinearRing(shapely.from_wkb(content))
        case "geometry":
            return shapely.from_wkb(content)
    raise ValueError(f"{kind!r:.80} is no kind of value")
