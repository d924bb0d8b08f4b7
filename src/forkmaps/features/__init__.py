"""A boundary layer: read once, projected once, kept as flat arrays that any view draws from.

A `BoundaryFeature` is a `cartopy.feature.Feature`: anybody's own GeoAxes takes it in `add_feature`, and draws
only what is in view, at the level of detail that the view needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from cartopy.feature import Feature
from numpy.typing import NDArray

from forkmaps.cache import AnyCache, file_digest, key_of
from forkmaps.errors import FeatureError
from forkmaps.features.linework import LINE_ERROR, Indices, Level, Vertices, from_arrays, to_arrays
from forkmaps.features.paths import multiline, multipolygon, path_of, tell_cartopy
from forkmaps.features.preparing import prepared
from forkmaps.projection.mapprojection import MapProjection, View
from forkmaps.regions import Extent

_BESIDE_VIEW = 24
"""Pixels around a view in which lines are drawn too: half the width of the broadest."""
_FIGURE_PIXELS = 3000
"""Pixels that a map is taken to have across when cartopy asks for what is in an extent without telling its
size: a figure of 10 inches at 300 dpi. On one of half that size it costs 4 ms more than need be."""


class BoundaryFeature(Feature):  # type: ignore[misc]  # cartopy has no types
    """Lines (and, if asked for, areas) of a boundary layer, in a map projection.

    `axes.add_feature(feature)` draws the lines, each shared border once. A `facecolor` needs areas: with
    `filled=True` cartopy gets polygons, and draws each border with both of its neighbors, as it does for
    its own features; without, it warns that the facecolor has no effect.

    Parameters
    ----------
    geometries : iterable of shapely geometries
        Polygons or lines; borders of neighbors must share their vertices to be drawn once.
    source_crs : str
        CRS text of the geometries, x before y.
    projection : MapProjection
        The maps' projection: of all coordinates kept here.
    name : str
        For messages.
    filled : bool
        Keep the areas too, so that they can be filled: two to three times the memory, and time to load.

    Attributes
    ----------
    levels, fill_levels : tuple of Level
        Lines and rings of areas by level of detail, finest first.
    figure_pixels : int
        On anybody's own axes: how many pixels across the map may have (or on paper: should show) for lines
        to be at most half a pixel off.

    Raises
    ------
    FeatureError
        No polygon or line among the geometries, or a CRS that is not known.
    """

    def __init__(
        self,
        geometries: Iterable[Any],
        source_crs: str,
        projection: MapProjection,
        *,
        name: str = "boundary",
        filled: bool = False,
    ) -> None:
        lines, areas = prepared(geometries, source_crs, projection, name=name, filled=filled)
        self._take(lines, areas, projection, name)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], projection: MapProjection, *, name: str) -> Self:
        """Return the layer that `to_arrays` made arrays of, in the same projection; they are not copied."""
        feature = cls.__new__(cls)
        feature._take(from_arrays(arrays, "lines"), from_arrays(arrays, "areas"), projection, name)
        return feature

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all that the layer consists of, as arrays by name."""
        return to_arrays(self.levels, "lines") | to_arrays(self.fill_levels, "areas")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_stored, (*self.to_stored(), self.projection)

    def to_stored(self) -> tuple[dict[str, NDArray[np.generic]], dict[str, Any]]:
        """Return all that the layer consists of: arrays by name, and the rest as JSON can hold it."""
        return self.to_arrays(), {"name": self.name, "figure_pixels": self.figure_pixels}

    @classmethod
    def from_stored(
        cls, arrays: Mapping[str, Any], meta: Mapping[str, Any], projection: MapProjection
    ) -> Self:
        """Return the layer that `to_stored` told of, in the same projection; its arrays are not copied."""
        feature = cls.from_arrays(arrays, projection, name=meta["name"])
        feature.figure_pixels = meta["figure_pixels"]
        return feature

    def _take(
        self, lines: tuple[Level, ...], areas: tuple[Level, ...], projection: MapProjection, name: str
    ) -> None:
        self.name, self.projection, self.figure_pixels = name, projection, _FIGURE_PIXELS
        self.levels, self.fill_levels = lines, areas
        super().__init__(projection.crs, facecolor="none" if self.filled else "never", edgecolor="black")
        for array in self._arrays():
            array.flags.writeable = False

    def _arrays(self) -> Iterator[Any]:
        for level in (*self.levels, *self.fill_levels):
            yield from level.arrays

    @property
    def nbytes(self) -> int:
        """Bytes of all levels."""
        return sum(array.nbytes for array in self._arrays())

    @property
    def vertices(self) -> int:
        """Vertices of the lines, at the finest level."""
        return len(self.levels[0].xy)

    def lines(self, view: View) -> tuple[Vertices, Indices]:
        """Return the lines that a view meets, at most half a pixel off.

        Returns
        -------
        (n, 2) float64
            Vertices in map units.
        (lines,) int
            The vertices at which a line begins.
        """
        return self._meeting(self.levels, view.extent, view.resolution)

    def areas(self, view: View) -> tuple[Vertices, Indices]:
        """Return the closed rings of the areas that a view meets, holes clockwise; as `lines` does."""
        return self._meeting(self.fill_levels, view.extent, view.resolution)

    def geometries(self) -> Iterator[Any]:
        """Yield all lines (or areas) as they are in the data, as one geometry in map coordinates."""
        yield self._geometry(*self._drawn[0].whole)

    def intersecting_geometries(self, extent: tuple[float, float, float, float] | None) -> Iterator[Any]:
        """Yield the lines (or areas) that an extent meets, as one geometry; for cartopy.

        Parameters
        ----------
        extent : west, east, south, north
            In map units. None means everywhere; NaN, nowhere.
        """
        if extent is None:
            yield from self.geometries()
        elif extent[0] < extent[1] and extent[2] < extent[3]:  # not NaN: an axes beside the map's world
            box = Extent(*extent)
            resolution = max(box.width, box.height) / self.figure_pixels
            yield self._geometry(*self._meeting(self._drawn, box, resolution))

    @property
    def filled(self) -> bool:
        """Whether there are areas to fill."""
        return len(self.fill_levels[0].xy) > 0

    @property
    def _drawn(self) -> tuple[Level, ...]:
        return self.fill_levels if self.filled else self.levels

    def _geometry(self, xy: Vertices, begins: Indices) -> Any:
        """Return lines or rings as one geometry, of which cartopy knows the path already."""
        geometry = multipolygon(xy, begins) if self.filled else multiline(xy, begins)
        tell_cartopy(geometry, self.crs, path_of(xy, begins, closed=self.filled))
        return geometry

    def _meeting(
        self, among: tuple[Level, ...], extent: Extent, resolution: float
    ) -> tuple[Vertices, Indices]:
        """Return what an extent meets, and what lies so little beside it that a broad line shows."""
        level = [lv for lv in among if lv.tolerance <= resolution * LINE_ERROR][-1]
        beside = _BESIDE_VIEW * resolution
        west, east = extent.west - beside, extent.east + beside
        south, north = extent.south - beside, extent.north + beside
        found = [
            (shift, *level.in_view(Extent(west - shift, east - shift, south, north)))
            for shift in self._turns(level, west, east)
        ]
        offsets = np.cumsum([0, *(len(xy) for _, xy, _ in found)])
        lines = [xy + np.array([shift, 0.0]) if shift else xy for shift, xy, _ in found]
        begins = [begins + offset for (_, _, begins), offset in zip(found, offsets, strict=False)]
        if len(found) == 1:
            return lines[0], begins[0]
        return np.concatenate([np.empty((0, 2)), *lines]), np.concatenate([np.empty(0, np.intp), *begins])

    def _turns(self, level: Level, west: float, east: float) -> list[float]:
        """Shifts in x, in map units, under which the layer meets an extent: whole turns around the earth."""
        period = self.projection.period
        if period is None or not len(level.xy):
            return [0.0]
        first, last = np.ceil((west - level.east) / period), np.floor((east - level.west) / period)
        return [float(turn * period) for turn in np.arange(first, last + 1)]


def read_feature(
    path: str | Path,
    projection: MapProjection,
    *,
    name: str | None = None,
    where: str | None = None,
    layer: str | None = None,
    source_crs: str | None = None,
    filled: bool = False,
    cache: AnyCache | None = None,
) -> BoundaryFeature:
    """Read a boundary layer and project it.

    Parameters
    ----------
    path : path
        Any vector format of pyogrio's GDAL: shapefile, GeoPackage, GeoJSON ...
    name : str
        For messages; default: the file's name.
    where : str
        Only the features for which this OGR SQL expression is true.
    layer : str
        The layer, where the file has several.
    source_crs : str
        CRS of a file that states none, or states a wrong one.
    filled : bool
        Keep the areas too, so that they can be filled.
    cache : Cache
        Where the projected lines are kept for later runs, by content of the file, options and projection.

    Raises
    ------
    FeatureError
        The file is missing, unreadable, has no CRS, or nothing to draw.
    """
    label = f"{path}" if name is None else f"{name} ({path})"
    if cache is None or not Path(path).is_file():
        return _read(path, projection, label, where, layer, source_crs, filled)
    key = _key(path, projection, where, layer, source_crs, filled)
    kept = cache.get(key)
    if kept is None:
        feature = _read(path, projection, label, where, layer, source_crs, filled)
        kept = cache.put(key, feature.to_arrays(), {})
        if kept is None:
            return feature
    return BoundaryFeature.from_arrays(kept.arrays, projection, name=label)


def is_kept(
    path: str | Path,
    projection: MapProjection,
    cache: AnyCache,
    *,
    where: str | None = None,
    layer: str | None = None,
    source_crs: str | None = None,
    filled: bool = False,
) -> bool:
    """Tell whether a file's lines are in the cache; for the parameters see `read_feature`."""
    return cache.get(_key(path, projection, where, layer, source_crs, filled)) is not None


def _key(path: str | Path, projection: MapProjection, *options: str | bool | None) -> str:
    return key_of("boundaries", file_digest(Path(path)), options, projection.crs.to_wkt())


def _read(
    path: str | Path,
    projection: MapProjection,
    label: str,
    where: str | None,
    layer: str | None,
    source_crs: str | None,
    filled: bool,
) -> BoundaryFeature:
    # Here, since a layer that is kept from before needs no GDAL.
    from forkmaps.layerfile import read_layer

    content = read_layer(path, where=where, layer=layer)
    crs = source_crs or content.crs
    if crs is None:
        raise FeatureError(
            f"{path}: states no CRS (a shapefile needs a .prj file); "
            'set crs for the layer, for instance "EPSG:4326"'
        )
    return BoundaryFeature(content.geometries, crs, projection, name=label, filled=filled)
