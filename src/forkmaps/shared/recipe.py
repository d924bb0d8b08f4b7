"""How to load a `SharedData`: which rasters and boundary layers, from files or from memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forkmaps.cache import AnyCache
from forkmaps.errors import FeatureError
from forkmaps.features import BoundaryFeature, is_kept, read_feature
from forkmaps.projection import MapProjection
from forkmaps.raster import Raster, Resampling
from forkmaps.shared.slot import count_raster_read

ONLY_RASTER = "raster"
"""The name of a raster that was given without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterRecipe:
    """How to read a raster file; the options are `read_raster`'s."""

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
        from forkmaps.raster.file import read_raster  # GDAL, which data from memory or a store does without

        count_raster_read()
        options = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "path"}
        return read_raster(self.path, cache=cache, **options)


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """A boundary layer to load.

    Attributes
    ----------
    source : path, GeoDataFrame, GeoSeries, shapely geometries, GeoJSON or cartopy feature
        Polygons or lines; borders of neighbors must share their vertices to be drawn once.
    crs : str or None
        EPSG code, PROJ string or WKT of a source that states none, or states a wrong one.
    where : str or None
        Only the features of a file for which this OGR SQL expression is true.
    layer : str or None
        The layer of a file that has several.
    filled : bool
        Keep the areas too, so that `Line(fill=...)` can fill them.
    """

    source: Any
    crs: str | None = field(default=None, kw_only=True)
    where: str | None = field(default=None, kw_only=True)
    layer: str | None = field(default=None, kw_only=True)
    filled: bool = field(default=False, kw_only=True)

    @property
    def is_file(self) -> bool:
        """Whether it is read from a file."""
        return isinstance(self.source, str | Path)

    def read(self, name: str, projection: MapProjection, cache: AnyCache) -> BoundaryFeature:
        """Read the layer and project it; a file's may come from the cache.

        Raises
        ------
        FeatureError
            It can't be read, or its source and options don't fit together.
        """
        if self.is_file:
            return read_feature(self.source, projection, name=name, cache=cache, **self._options)
        if self.where is not None or self.layer is not None:
            raise FeatureError(f'boundary "{name}": where and layer are for files; choose in memory instead')
        if isinstance(self.source, BoundaryFeature):
            return self._as_it_is(name, projection)
        from forkmaps.features.frommemory import geometries_in

        geometries, crs = geometries_in(self.source, self.crs, name)
        return BoundaryFeature(geometries, crs, projection, name=name, filled=self.filled)

    def is_kept(self, projection: MapProjection, cache: AnyCache) -> bool:
        """Tell whether the file's lines are in the cache."""
        return is_kept(self.source, projection, cache, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        names = {"where": self.where, "layer": self.layer, "source_crs": self.crs}
        return {**names, "filled": self.filled}

    def _as_it_is(self, name: str, projection: MapProjection) -> BoundaryFeature:
        feature: BoundaryFeature = self.source
        if feature.projection != projection:
            raise FeatureError(
                f'boundary "{name}": was prepared for {feature.projection.label}, not for '
                f"{projection.label}; give its geometries, or the same projection"
            )
        if self.filled and not feature.filled:
            raise FeatureError(f'boundary "{name}": was prepared without areas; give its geometries')
        return feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to load a `SharedData`.

    Attributes
    ----------
    rasters : mapping of str to RasterRecipe or Raster
        By name; the first is drawn unless another is asked for.
    boundaries : mapping of str to Boundary
        By name.
    projection : MapProjection or None
        None: the first raster's own CRS.
    """

    rasters: Mapping[str, RasterRecipe | Raster]
    boundaries: Mapping[str, Boundary] = field(default_factory=dict)
    projection: MapProjection | None = None

    @property
    def is_of_files(self) -> bool:
        """Whether all is read from files: then it is a small value, from which any process can load."""
        rasters = (isinstance(raster, RasterRecipe) for raster in self.rasters.values())
        return all(rasters) and all(boundary.is_file for boundary in self.boundaries.values())
