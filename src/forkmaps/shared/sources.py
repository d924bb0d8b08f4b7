"""What `SharedData.load` takes, as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cartopy.crs as ccrs

from forkmaps.errors import FeatureError, ForkmapsError, RasterError
from forkmaps.projection import MapProjection, projection_from_text
from forkmaps.raster import Raster
from forkmaps.shared.recipe import ONLY_RASTER, Boundary, RasterRecipe, Recipe


def recipe_of(source: Any, boundaries: Mapping[str, Any] | None, projection: Any) -> Recipe:
    """Return the recipe for a source, or named sources, of rasters and for named boundary layers.

    Raises
    ------
    ForkmapsError
        One of them is of a type that nothing is known of, or can't be used.
    """
    if isinstance(source, Recipe):
        if boundaries is not None or projection is not None:
            raise ForkmapsError("a recipe has its own boundaries and projection; leave the others out")
        return source
    named = source if isinstance(source, Mapping) and not _is_dataset(source) else {ONLY_RASTER: source}
    if not named:
        raise RasterError("there is no raster among the sources; at least one is needed")
    if boundaries is not None and not isinstance(boundaries, Mapping):
        raise FeatureError(
            f"boundaries are given by name, not as {type(boundaries).__name__}; write for instance "
            'boundaries={"states": "states.shp"}'
        )
    return Recipe(
        rasters={str(name): _raster(given, str(name)) for name, given in named.items()},
        boundaries={name: _boundary(given) for name, given in (boundaries or {}).items()},
        projection=_projection(projection),
    )


def _raster(source: Any, name: str) -> Raster | RasterRecipe:
    if isinstance(source, Raster | RasterRecipe):
        return source
    if isinstance(source, str | Path):
        return RasterRecipe(path=str(source))
    if _is_dataset(source):
        raise RasterError(
            f'raster "{name}": a Dataset holds several variables ({", ".join(map(str, source.data_vars))}); '
            'choose one, as in dataset["t2m"], or name several: {"t2m": dataset["t2m"], ...}'
        )
    if hasattr(source, "dims") and hasattr(source, "coords"):
        return Raster.from_xarray(source)
    raise RasterError(
        f'raster "{name}": a value of type {type(source).__name__} is no raster; needed is a path, '
        "an xarray.DataArray, or Raster.from_array(values, x=..., y=..., crs=...)"
    )


def _is_dataset(source: Any) -> bool:
    return hasattr(source, "data_vars") and hasattr(source, "coords")


def _boundary(source: Any) -> Boundary:
    return source if isinstance(source, Boundary) else Boundary(source)


def _projection(given: Any) -> MapProjection | None:
    if given is None or isinstance(given, MapProjection):
        return given
    if isinstance(given, ccrs.Projection):
        return MapProjection(given)
    return projection_from_text(given)
