"""The data that all maps of a set are drawn from: loaded once in a process, read by its forked workers.

The process's one `SharedData` is reached by `shared_data()`. A forked worker inherits it. A process that has
none (started anew, not forked) loads it on first use from the recipe that it was started with.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from forkmaps.cache import AnyCache, Cache
from forkmaps.errors import ForkmapsError
from forkmaps.features import BoundaryFeature, read_feature
from forkmaps.projection import MapProjection, projection_from_text
from forkmaps.raster import Raster, Resampling
from forkmaps.raster.file import read_raster

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("forkmaps")


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterRecipe:
    """How to read a raster; the options are `read_raster`'s."""

    path: str
    bands: tuple[int | str, ...] | Literal["all"] = "all"
    variable: str | None = None
    crs: str | None = None
    name: str | None = None
    unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    resampling: Resampling | None = None
    allow_references: bool = False

    def read(self, cache: AnyCache | None = None) -> Raster:
        """Read the raster; its pyramid may come from the cache."""
        _Slot.raster_reads += 1
        options = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "path"}
        return read_raster(self.path, cache=cache, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRecipe:
    """How to read a boundary layer; the options are `read_feature`'s."""

    path: str
    name: str
    where: str | None = None
    layer: str | None = None
    source_crs: str | None = None
    filled: bool = False

    def read(self, projection: MapProjection, cache: AnyCache) -> BoundaryFeature:
        """Read the layer and project it, or take it from the cache."""
        options = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "path"}
        return read_feature(self.path, projection, cache=cache, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to load a `SharedData`: a small, picklable value that a new process can load the same data from.

    Attributes
    ----------
    projection : MapProjection or None
        None: the raster's own CRS.
    """

    raster: RasterRecipe
    features: tuple[FeatureRecipe, ...] = ()
    projection: MapProjection | None = None

    def load(self, raster: Raster | None = None, cache: AnyCache | None = None) -> SharedData:
        """Read everything once; a `raster` that was read already is not read again."""
        cache = cache or Cache()
        raster = raster or self.raster.read(cache)
        projection = self.projection or projection_from_text(raster.crs_text)
        features = {feature.name: feature.read(projection, cache) for feature in self.features}
        return SharedData(raster, features, projection)


@dataclass(frozen=True)
class SharedData:
    """A raster, its meshgrid and its boundary layers in one map projection; read-only.

    Attributes
    ----------
    raster : Raster
        Values (bands, rows, columns) float32, NaN where there is no data, on the raster's own grid.
    features : mapping of str to BoundaryFeature
        Boundary layers by name, in map coordinates; each is a `cartopy.feature.Feature`.
    projection : MapProjection
        The maps' projection; `projection.crs` is the cartopy projection.
    """

    raster: Raster
    features: Mapping[str, BoundaryFeature]
    projection: MapProjection

    @classmethod
    def load(
        cls,
        source: Recipe | str | Path,
        *,
        raster: Raster | None = None,
        boundaries: Mapping[str, str | Path] | None = None,
        projection: MapProjection | str | None = None,
        cache: AnyCache | None = None,
    ) -> Self:
        """Read a raster and boundary layers once, and make them the process's shared data.

        Parameters
        ----------
        source : path or Recipe
            A raster file; or the recipe of everything. (For a map set: `read_mapset(path).load()`.)
        raster : Raster
            The recipe's raster, where it was read already.
        boundaries : mapping of str to path
            Boundary layers by name.
        projection : MapProjection or str
            To draw maps in: EPSG code, PROJ string or WKT; default: the raster's own CRS.
        cache : Cache or NoCache
            Where prepared boundaries are kept for later runs; default: the user's cache folder.

        Raises
        ------
        ForkmapsError
            Something can't be read; the message says what to do.
        """
        if isinstance(source, Recipe):
            recipe = source
        else:
            if isinstance(projection, str):
                projection = projection_from_text(projection)
            layers = tuple(FeatureRecipe(path=str(p), name=n) for n, p in (boundaries or {}).items())
            recipe = Recipe(raster=RasterRecipe(path=str(source)), features=layers, projection=projection)
        with _collector_paused():
            loaded = recipe.load(raster, cache)
        data = cls(loaded.raster, loaded.features, loaded.projection)
        set_shared_data(data, recipe.load)
        return data

    @property
    def data(self) -> xarray.DataArray:
        """The raster as a DataArray (band, y, x), on the same read-only memory."""
        return self.raster.to_xarray()

    @property
    def x(self) -> NDArray[np.float64]:
        """The meshgrid's x, (rows, columns), in the raster's CRS: a view that takes no memory."""
        return self._meshgrid()[0]

    @property
    def y(self) -> NDArray[np.float64]:
        """The meshgrid's y, (rows, columns), in the raster's CRS: a view that takes no memory."""
        return self._meshgrid()[1]

    @property
    def nbytes(self) -> int:
        """Bytes that are shared: raster, pyramid and boundary layers."""
        return self.raster.nbytes + sum(feature.nbytes for feature in self.features.values())

    def arrays(self) -> list[NDArray[Any]]:
        """Return all arrays that are shared."""
        layers = [array for feature in self.features.values() for array in feature.to_arrays().values()]
        return [*self.raster.levels, *layers]

    def warm(self) -> None:
        """Make in the parent what every worker would otherwise make on its first map: the transforms."""
        self.projection.inverse(self.raster.crs_text)(0.0, 0.0)
        _ = self.projection.period, self.projection.central_longitude

    def _meshgrid(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not self.raster.is_rectilinear:
            return self.raster.cell_centers()
        x, y = self.raster.x, self.raster.y
        return np.broadcast_to(x, self.raster.shape), np.broadcast_to(y[:, None], self.raster.shape)


class _Slot:
    """The one `SharedData` of this process, and how to load it where there is none."""

    data: SharedData | None = None
    load: Callable[[], SharedData] | None = None
    raster_reads = 0


def raster_reads() -> int:
    """Return how many times raster files were read for shared data, in this process and before its fork."""
    return _Slot.raster_reads


def shared_data() -> SharedData:
    """Return the process's shared data; load it first where this process has none but knows how.

    Raises
    ------
    ForkmapsError
        Nothing was loaded here, and no recipe was given.
    """
    if _Slot.data is None:
        if _Slot.load is None:
            raise ForkmapsError(f"process {os.getpid()} has no shared data; call SharedData.load(...) first")
        log.info("loading shared data in %d", os.getpid())
        _Slot.data = _Slot.load()
    return _Slot.data


def set_shared_data(data: SharedData | None, load: Callable[[], SharedData] | None = None) -> None:
    """Set what `shared_data()` returns in this process, or (with None) how it is loaded on first use."""
    _Slot.data, _Slot.load = data, load


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking millions of new objects while they are made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
