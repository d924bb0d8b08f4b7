"""Rasters, their meshgrids and boundary layers in one map projection, read-only."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import cartopy.crs as ccrs
import numpy as np
from numpy.typing import NDArray

from forkmaps.cache import AnyCache, Cache
from forkmaps.errors import RasterError, nearest
from forkmaps.features import BoundaryFeature
from forkmaps.projection import MapProjection, Size, View, projection_from_text
from forkmaps.raster import Raster
from forkmaps.raster.seen import seen_part
from forkmaps.regions import Extent
from forkmaps.shared.apart import prepare_apart
from forkmaps.shared.folder import Content, Place, read_folder, same_place, write_folder
from forkmaps.shared.recipe import ONLY_RASTER, RasterRecipe, Recipe
from forkmaps.shared.showing import as_html, as_text
from forkmaps.shared.slot import set_shared_data
from forkmaps.shared.sources import recipe_of

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class SharedData:
    """Rasters, their meshgrids and boundary layers in one map projection; read-only.

    Can be pickled: arrays travel out-of-band (protocol 5), or not at all where it was opened from a folder,
    which is then opened again.

    Attributes
    ----------
    rasters : mapping of str to Raster
        By name; a single one may be given as it is. Values (bands, rows, columns) float32, NaN where there is
        no data, each on its own grid.
    features : mapping of str to BoundaryFeature
        Boundary layers by name, in map coordinates; each is a `cartopy.feature.Feature`.
    projection : MapProjection
        The maps' projection; `projection.crs` is the cartopy projection.
    """

    rasters: Mapping[str, Raster]
    features: Mapping[str, BoundaryFeature]
    projection: MapProjection
    _place: Place | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.rasters, Raster):
            object.__setattr__(self, "rasters", {ONLY_RASTER: self.rasters})

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self, self._place.folder if self._place else None)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._place is not None:
            return _opened_again, (type(self), self._place)
        return type(self), (self.rasters, self.features, self.projection)

    @classmethod
    def load(
        cls,
        source: Any,
        *,
        raster: Raster | None = None,
        boundaries: Mapping[str, Any] | None = None,
        projection: MapProjection | ccrs.Projection | str | None = None,
        cache: AnyCache | None = None,
    ) -> Self:
        """Read rasters and boundary layers once, and make them the process's shared data.

        Parameters
        ----------
        source : path, xarray.DataArray, Raster, a mapping of names to these, or Recipe
            A raster file; an array in memory (`Raster.from_array` makes a `Raster` of a numpy array), which
            is not copied where it is float32 and contiguous: who writes to it afterwards changes the maps;
            several by name, of which the first is drawn unless another is asked for; or the recipe of
            everything. (For a map set: `read_mapset(path).load()`.)
        raster : Raster
            The recipe's first raster, where it was read already.
        boundaries : mapping of str to path, geometries, cartopy feature or Boundary
            Boundary layers by name: a file, a GeoDataFrame or GeoSeries, a list of shapely geometries;
            `Boundary(source, crs=..., where=..., layer=..., filled=True)` says more of one.
        projection : MapProjection, cartopy projection or str
            To draw maps in; a str is an EPSG code, PROJ string or WKT. Default: the first raster's own CRS.
        cache : Cache or NoCache
            Where prepared boundaries are kept for later runs; default: the user's cache folder.

        Raises
        ------
        ForkmapsError
            Something can't be read; the message says what to do.
        """
        recipe = recipe_of(source, boundaries, projection)
        with _collector_paused():
            data = cls._read(recipe, raster, cache)
        set_shared_data(data, partial(cls._read, recipe) if recipe.is_of_files else None)
        return data

    @classmethod
    def _read(cls, recipe: Recipe, raster: Raster | None = None, cache: AnyCache | None = None) -> Self:
        """Read everything once; a first `raster` that was read already is not read again."""
        cache = cache or Cache()
        given = dict(recipe.rasters)
        if raster is not None:
            given[next(iter(given))] = raster
        rasters = {n: r.read(cache) if isinstance(r, RasterRecipe) else r for n, r in given.items()}
        projection = recipe.projection or projection_from_text(next(iter(rasters.values())).crs_text)
        prepare_apart(recipe.boundaries, projection, cache)
        features = {n: b.read(n, projection, cache) for n, b in recipe.boundaries.items()}
        return cls(rasters, features, projection)

    def save(self, folder: str | Path) -> None:
        """Save everything to a folder, for `SharedData.open`: a file of plain arrays, nothing that runs.

        The file appears whole or not at all, and replaces the one of before; who has opened that keeps it.

        Raises
        ------
        OutputError
            The folder or the file can't be written.
        ProjectionError
            The projection is of a class of the user's own, which can't be stored.
        """
        self.warm()
        write_folder(Content(self.rasters, self.features, self.projection), Path(folder))

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = False) -> Self:
        """Open what was saved in a folder, and make it the process's shared data.

        Nothing is read but what is looked at, and all processes that open it share one copy in memory.

        Parameters
        ----------
        verify : bool
            Compare all arrays with their checksums, which reads all of the file: 130 MB in 10 ms from memory.
            Otherwise format, version, sizes and the index are checked: a file that is cut is found, an array
            that was changed in place is not.

        Raises
        ------
        StoreError
            Nothing was saved there, or it is damaged, or of another version of forkmaps.
        """
        content, place = read_folder(Path(folder), verify=verify)
        data = cls._of(content, place)
        set_shared_data(data, partial(_opened_again, cls, place))
        return data

    @classmethod
    def _of(cls, content: Content, place: Place) -> Self:
        data = cls(content.rasters, content.features, content.projection)
        object.__setattr__(data, "_place", place)
        return data

    @property
    def raster(self) -> Raster:
        """The first raster."""
        return next(iter(self.rasters.values()))

    def raster_named(self, name: str = "") -> Raster:
        """Return a raster by its name; of "", the first.

        Raises
        ------
        RasterError
            There is none of that name.
        """
        if not name:
            return self.raster
        if name not in self.rasters:
            known = list(self.rasters)
            raise RasterError(
                f'there is no raster "{name}"{nearest(name, known)}; there are {", ".join(known)}'
            )
        return self.rasters[name]

    def in_view(self, axes: Any, raster: str = "") -> xarray.DataArray:
        """Return what axes show of a raster, with about a cell for each of their pixels.

        To draw with on a map: contours of all of a large raster take longer than the map.

        Parameters
        ----------
        axes : cartopy GeoAxes
            With the limits of the map.
        raster : str
            Its name; default: the first.

        Returns
        -------
        (band, y, x) DataArray
            float32, read-only; means of blocks of cells where these are smaller than pixels. `x` and `y` are
            in the raster's CRS: draw with `transform=shared.crs`, or the named raster's `cartopy_crs`.

        Raises
        ------
        RasterError
            The axes show nothing of it.
        """
        own = axes.projection == self.projection.crs
        projection = self.projection if own else MapProjection(axes.projection)
        extent = Extent(*sorted(axes.get_xlim()), *sorted(axes.get_ylim()))
        size = Size(max(round(axes.bbox.width), 1), max(round(axes.bbox.height), 1))
        return seen_part(self.raster_named(raster), View(extent, size), projection)

    @property
    def data(self) -> xarray.DataArray:
        """The first raster as a DataArray (band, y, x), on the same read-only memory."""
        return self.raster.to_xarray()

    @property
    def x(self) -> NDArray[np.float64]:
        """The first raster's meshgrid's x, (rows, columns), in its CRS: a view that takes no memory."""
        return self.raster.cell_centers()[0]

    @property
    def y(self) -> NDArray[np.float64]:
        """The first raster's meshgrid's y, (rows, columns), in its CRS: a view that takes no memory."""
        return self.raster.cell_centers()[1]

    @property
    def crs(self) -> ccrs.CRS:
        """The first raster's CRS as cartopy has it: the `transform` of what is drawn at its coordinates."""
        return self.raster.cartopy_crs

    @property
    def nbytes(self) -> int:
        """Bytes that are shared: rasters, pyramids and boundary layers."""
        return sum(part.nbytes for part in self._parts)

    def arrays(self) -> list[NDArray[Any]]:
        """Return all arrays that are shared."""
        return [array for part in self._parts for array in part.to_stored()[0].values()]

    @property
    def _parts(self) -> list[Raster | BoundaryFeature]:
        return [*self.rasters.values(), *self.features.values()]

    def warm(self) -> None:
        """Make in the parent what every worker would otherwise make on its first map: the transforms."""
        for raster in self.rasters.values():
            raster.warm(self.projection)
        _ = self.projection.period, self.projection.central_longitude


def _opened_again(kind: type[SharedData], place: Place) -> SharedData:
    """Return what is opened at a place; for other processes."""
    return kind._of(same_place(place), place)


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
