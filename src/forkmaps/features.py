"""A boundary layer: read once, projected once, kept as flat arrays that any view draws from.

A `BoundaryFeature` is a `cartopy.feature.Feature`: anybody's own GeoAxes takes it in `add_feature`, and draws
only what is in view, at the level of detail that the view needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from cartopy.feature import Feature
from numpy.typing import NDArray

from forkmaps.errors import FeatureError, nearest
from forkmaps.linework import LINE_ERROR, Level, Vertices, levels, unique_arcs
from forkmaps.projection import LONLAT, MapProjection, View
from forkmaps.regions import Extent

log = logging.getLogger("forkmaps")

_LONGEST_EDGE_DEGREES = 0.25
"""Longer edges get further vertices before they are projected: at 45 degrees a parallel of this length bends
by 8 m on a conic map."""
_LONGEST_EDGE_METERS = 25_000.0
_BESIDE_CUT = 1e-9
"""Degrees between a line's end at a projection's cut and the cut."""
_FIGURE_PIXELS = 2000
"""Width that a map is taken to have when cartopy asks for what is in an extent, without its pixels."""


class BoundaryFeature(Feature):  # type: ignore[misc]  # cartopy has no types
    """Lines (and, if asked for, areas) of a boundary layer, in a map projection.

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
        Keep the areas too, so that they can be filled.

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
        super().__init__(projection.crs, facecolor="none", edgecolor="black")
        self.name, self.projection = name, projection
        shapes = _usable(geometries, name)
        project = _Projector(source_crs, projection, name)
        self.levels: tuple[Level, ...] = levels(project.lines(unique_arcs(_all_lines(shapes))))
        areas = project.rings(shapes) if filled else np.empty(0, object)
        self.fill_levels: tuple[Level, ...] = levels(areas, whole=True)
        for level in (*self.levels, *self.fill_levels):
            for array in level.arrays:
                array.flags.writeable = False

    @property
    def nbytes(self) -> int:
        """Bytes of all levels."""
        return sum(a.nbytes for level in (*self.levels, *self.fill_levels) for a in level.arrays)

    def lines(self, view: View) -> tuple[Vertices, NDArray[np.intp]]:
        """Return the lines that a view meets, at most half a pixel off.

        Returns
        -------
        (n, 2) float64
            Vertices in map units.
        (lines,) int
            The vertices at which a line begins.
        """
        return self._meeting(self.levels, view.extent, view.resolution)

    def areas(self, view: View) -> tuple[Vertices, NDArray[np.intp]]:
        """Return the rings of the areas that a view meets; as `lines` does."""
        return self._meeting(self.fill_levels, view.extent, view.resolution)

    def geometries(self) -> Iterator[Any]:
        """Yield one MultiLineString of all lines, as they are in the data, in map coordinates."""
        level = self.levels[0]
        yield _multiline(*level.in_view(Extent(-np.inf, np.inf, -np.inf, np.inf)))

    def intersecting_geometries(self, extent: tuple[float, float, float, float] | None) -> Iterator[Any]:
        """Yield one MultiLineString of the lines in an extent (west, east, south, north, in map units)."""
        if extent is None or np.isnan(extent[0]):
            return self.geometries()
        box = Extent(*extent)
        resolution = max(box.width, box.height) / _FIGURE_PIXELS
        return iter([_multiline(*self._meeting(self.levels, box, resolution))])

    def _meeting(
        self, among: tuple[Level, ...], extent: Extent, resolution: float
    ) -> tuple[Vertices, NDArray[np.intp]]:
        level = max(
            (lv for lv in among if lv.tolerance <= resolution * LINE_ERROR), key=lambda lv: lv.tolerance
        )
        found = [_shifted(level, extent, shift) for shift in self._turns(level, extent)]
        if len(found) == 1:
            return found[0]
        offsets = np.cumsum([0, *(len(xy) for xy, _ in found[:-1])])
        return (
            np.concatenate([xy for xy, _ in found]),
            np.concatenate([begins + offset for (_, begins), offset in zip(found, offsets, strict=True)]),
        )

    def _turns(self, level: Level, extent: Extent) -> list[float]:
        """Shifts in x, in map units, under which the layer meets the extent: whole turns around the earth."""
        period = self.projection.period
        if period is None or not len(level.xy):
            return [0.0]
        west, east = float(level.low[:, 0].min()), float(level.high[:, 0].max())
        first, last = np.ceil((extent.west - east) / period), np.floor((extent.east - west) / period)
        return [turn * period for turn in np.arange(first, last + 1)] or [0.0]


def read_feature(
    path: str | Path,
    projection: MapProjection,
    *,
    name: str | None = None,
    where: str | None = None,
    layer: str | None = None,
    source_crs: str | None = None,
    filled: bool = False,
) -> BoundaryFeature:
    """Read a boundary layer and project it.

    Parameters
    ----------
    path : path
        Any vector format of pyogrio's GDAL: shapefile, GeoPackage, GeoJSON ...
    where : str
        Only the features for which this OGR SQL expression is true.
    layer : str
        The layer, where the file has several.
    source_crs : str
        CRS of a file that states none.

    Raises
    ------
    FeatureError
        The file is missing, unreadable, has no CRS, or nothing to draw.
    """
    name = name or Path(path).stem
    geometries, stated = _read_geometries(path, where, layer)
    crs = source_crs or stated
    if crs is None:
        raise FeatureError(
            f'{path}: states no CRS (a shapefile needs a .prj file); set crs for the layer, for instance "EPSG:4326"'
        )
    return BoundaryFeature(geometries, crs, projection, name=f"{name} ({path})", filled=filled)


def _read_geometries(
    path: str | Path, where: str | None, layer: str | None
) -> tuple[NDArray[np.object_], str | None]:
    if not Path(path).exists():
        folder = Path(path).parent
        hint = nearest(Path(path).name, [p.name for p in folder.iterdir()]) if folder.is_dir() else ""
        raise FeatureError(f"{path}: there is no such boundary layer{hint}")
    try:
        meta, _, wkb, _ = pyogrio.raw.read(path, columns=None if where else [], where=where, layer=layer)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise FeatureError(f"{path}: can't be read as a vector layer: {error}") from error
    return shapely.from_wkb(wkb, on_invalid="ignore"), meta["crs"]


def _usable(geometries: Iterable[Any], name: str) -> NDArray[np.object_]:
    given = np.asarray(list(geometries), object)
    shapes = shapely.get_parts(shapely.force_2d(given[~shapely.is_missing(given) & ~shapely.is_empty(given)]))
    kind = shapely.get_type_id(shapes)
    drawable = shapes[np.isin(kind, (1, 2, 3)) & np.isfinite(shapely.bounds(shapes)).all(axis=1)]
    if left_out := len(shapes) - len(drawable):
        log.warning("%s: %d of %d parts are not polygons or lines, and left out", name, left_out, len(shapes))
    if not len(drawable):
        raise FeatureError(f"{name}: holds no polygons or lines to draw, in {len(given)} features")
    return drawable


def _all_lines(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    is_polygon = shapely.get_type_id(shapes) == 3
    return np.concatenate([shapely.get_rings(shapes[is_polygon]), shapes[~is_polygon]])


def _shifted(level: Level, extent: Extent, shift: float) -> tuple[Vertices, NDArray[np.intp]]:
    if shift == 0.0:
        return level.in_view(extent)
    xy, begins = level.in_view(Extent(extent.west - shift, extent.east - shift, extent.south, extent.north))
    return xy + (shift, 0.0), begins


def _multiline(xy: Vertices, begins: NDArray[np.intp]) -> Any:
    length = np.diff(np.append(begins, len(xy)))
    lines = shapely.linestrings(xy, indices=np.repeat(np.arange(len(begins)), length)) if len(xy) else []
    return shapely.multilinestrings(lines)


class _Projector:
    """Project whole layers with one vectorised transform, cut where the projection is."""

    def __init__(self, source_crs: str, projection: MapProjection, name: str) -> None:
        try:
            self.source = pyproj.CRS.from_user_input(source_crs)
        except pyproj.exceptions.CRSError as error:
            raise FeatureError(f'{name}: crs "{source_crs}" is not known ({error})') from error
        self.projection = projection
        self.as_it_is = projection.is_same(source_crs)
        self.to_lonlat = None
        if not self.source.is_geographic:
            self.to_lonlat = pyproj.Transformer.from_crs(self.source, LONLAT, always_xy=True)
        self.to_map = projection.transformer(source_crs if self.to_lonlat is None else LONLAT)

    def lines(self, lines: NDArray[np.object_]) -> NDArray[np.object_]:
        """Project LineStrings; one that crosses the projection's cut becomes several."""
        if self.as_it_is:
            return lines
        xy, owner = shapely.get_coordinates(self._dense(lines), return_index=True)
        return self._projected(*self._cut(self._lonlat(xy), owner))

    def rings(self, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
        """Project the polygons among shapes; return their rings, holes turning the other way."""
        polygons = shapes[shapely.get_type_id(shapes) == 3]
        if not self.as_it_is:
            polygons = self._polygons(self._dense(polygons))
        return np.asarray(shapely.get_rings(shapely.orient_polygons(polygons)))

    def _dense(self, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
        longest = _LONGEST_EDGE_DEGREES
        if self.to_lonlat is not None:
            longest = _LONGEST_EDGE_METERS / self.source.axis_info[0].unit_conversion_factor
        return np.asarray(shapely.segmentize(shapes, longest))

    def _lonlat(self, xy: Vertices) -> Vertices:
        """Return longitudes and latitudes, longitudes within a half turn of the projection's center."""
        if self.to_lonlat is not None:
            xy = np.column_stack(self.to_lonlat.transform(xy[:, 0], xy[:, 1]))
        center = self._center()
        lon = xy[:, 0] - center
        # An exact half turn stays on its side: islands that end on the antimeridian must not jump across.
        lon = np.where(np.abs(lon) <= 180.0, lon, (lon + 180.0) % 360.0 - 180.0)
        return np.column_stack([lon + center, xy[:, 1]])

    def _center(self) -> float:
        center = self.projection.central_longitude
        return center if np.isfinite(center) else 0.0

    def _cut(self, xy: Vertices, owner: NDArray[np.intp]) -> tuple[Vertices, NDArray[np.intp]]:
        """End lines on one side of the cut, and begin them on the other."""
        step = np.diff(xy[:, 0])
        crossing = np.flatnonzero((owner[1:] == owner[:-1]) & (np.abs(step) > 180.0))
        if not len(crossing):
            return xy, owner
        before, after = xy[crossing], xy[crossing + 1]
        side = np.where(before[:, 0] > after[:, 0], 1.0, -1.0)
        edge = self._center() + side * (180.0 - _BESIDE_CUT)
        width = 360.0 - np.abs(after[:, 0] - before[:, 0])
        part = np.where(width > 0, np.abs(edge - before[:, 0]) / np.where(width > 0, width, 1.0), 0.0)
        lat = before[:, 1] + part * (after[:, 1] - before[:, 1])
        ends = np.column_stack([edge, lat])
        begins = np.column_stack([edge - side * 2.0 * (180.0 - _BESIDE_CUT), lat])
        pieces = owner + np.cumsum(np.insert(np.isin(np.arange(len(step)), crossing), 0, False))
        at = np.repeat(crossing + 1, 2)
        inserted = np.stack([ends, begins], axis=1).reshape(-1, 2)
        owners = np.column_stack([pieces[crossing], pieces[crossing + 1]]).ravel()
        return np.insert(xy, at, inserted, axis=0), np.insert(pieces, at, owners)

    def _projected(self, xy: Vertices, owner: NDArray[np.intp]) -> NDArray[np.object_]:
        """Return LineStrings of map coordinates, without what can't be projected."""
        projected = np.column_stack(self.to_map.transform(xy[:, 0], xy[:, 1]))
        finite = np.isfinite(projected).all(axis=1)
        pieces = owner * 1 if finite.all() else owner + np.cumsum(~finite)
        pieces = np.cumsum(np.diff(pieces[finite], prepend=-1) != 0) - 1
        projected = projected[finite]
        several = np.bincount(pieces)[pieces] > 1 if len(pieces) else np.empty(0, bool)
        compact = np.cumsum(np.diff(pieces[several], prepend=-1) != 0) - 1
        return np.asarray(shapely.linestrings(projected[several], indices=compact))

    def _polygons(self, polygons: NDArray[np.object_]) -> NDArray[np.object_]:
        """Project polygons: vectorised, and through cartopy those that the cut or a pole goes through."""
        xy, owner = shapely.get_coordinates(polygons, return_index=True)
        lonlat = self._lonlat(xy)
        jumps = (np.abs(np.diff(lonlat[:, 0])) > 180.0) & (owner[1:] == owner[:-1])
        projected = np.column_stack(self.to_map.transform(lonlat[:, 0], lonlat[:, 1]))
        odd = np.zeros(len(polygons), bool)
        odd[owner[:-1][jumps]] = True
        odd[owner[~np.isfinite(projected).all(axis=1)]] = True
        plain = shapely.set_coordinates(polygons[~odd].copy(), projected[~odd[owner]])
        return np.concatenate([plain, *(self._through_cartopy(p) for p in polygons[odd])])

    def _through_cartopy(self, polygon: Any) -> NDArray[np.object_]:
        import cartopy.crs as ccrs

        if self.to_lonlat is not None:
            polygon = shapely.transform(polygon, self._lonlat)
        return np.asarray(
            shapely.get_parts(self.projection.crs.project_geometry(polygon, ccrs.PlateCarree()))
        )
