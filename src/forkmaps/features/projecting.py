"""Lines and polygons of a layer brought into a map projection, all at once.

An edge of the data is straight in its own coordinates (longitude and latitude, mostly), so long edges get
further vertices first; then one vectorised transform takes all vertices. On a cylindrical map x goes on with
longitude beyond the antimeridian, and nothing has to be cut. On other maps, what the transform tears apart at
the projection's cut, or can't place, is projected one by one by cartopy, which cuts it there.
"""

from __future__ import annotations

import logging

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from forkmaps.errors import FeatureError
from forkmaps.features.linework import Geometries, Indices, Vertices
from forkmaps.features.onebyone import by_cartopy
from forkmaps.projection.mapprojection import LONLAT, MapProjection

log = logging.getLogger("forkmaps")

_LONGEST_EDGE_DEGREES = 0.25
"""Longer edges get further vertices: at 45 degrees a parallel of this length bends by 8 m on a conic map."""
_LONGEST_EDGE_METERS = 25_000.0
_MOST_DEGREES, _MOST_METERS = 720.0, 1e8
"""Coordinates beyond these are none: the layer's CRS is another one."""
_POLE, _ROUNDING = 90.0, 1e-6
"""The highest latitude, and what a coordinate may be over it."""
_NEAR_POLE = 89.9
"""Where a pole is drawn on a map on which it lies at infinity."""
_BESIDE_CUT = 1e-8
"""Degrees between the edge of what is cut and the cut: 1 mm."""
_STRETCH = 4.0
"""An edge this many times longer on the map than the layer's edges mostly are may be torn."""
_TORN = 0.25
"""An edge is torn if its middle is further beside the middle of its ends than this share of its length."""
Flags = NDArray[np.bool_]


class Projector:
    """Brings lines and polygons from one CRS to map coordinates.

    Parameters
    ----------
    source_crs : str
        CRS text of the geometries, x before y.
    projection : MapProjection
    name : str
        The layer's name, for messages.

    Raises
    ------
    FeatureError
        The CRS is not known, or has no way to longitude and latitude.
    """

    def __init__(self, source_crs: str, projection: MapProjection, name: str) -> None:
        self._projection, self._name = projection, name
        try:
            self._source = pyproj.CRS.from_user_input(source_crs)
            self._as_it_is = projection.is_same(source_crs)
            self._to_lonlat = pyproj.Transformer.from_crs(self._source, LONLAT, always_xy=True)
        except (pyproj.exceptions.CRSError, pyproj.exceptions.ProjError) as error:
            raise FeatureError(
                f'{name}: crs "{source_crs}" can\'t be used ({str(error).splitlines()[0]}); '
                "write an EPSG code like EPSG:4269, a PROJ string or WKT"
            ) from error

    def in_range(self, shapes: Geometries) -> Geometries:
        """Return the shapes whose coordinates can be in the source's CRS.

        Raises
        ------
        FeatureError
            None can.
        """
        most_x = most_y = _MOST_METERS
        if self._source.is_geographic:
            most_x, most_y = _MOST_DEGREES, _POLE + _ROUNDING
        west, south, east, north = shapely.bounds(shapes).T * self._unit
        inside = np.asarray((west >= -most_x) & (east <= most_x) & (south >= -most_y) & (north <= most_y))
        if not inside.all():
            self._report_outside(shapes[~inside], len(shapes))
        return np.asarray(shapes[inside])

    def lines(self, lines: Geometries) -> Geometries:
        """Project LineStrings; one that the projection cuts becomes several."""
        if self._as_it_is or not len(lines):
            return lines
        lines = self._in_degrees(lines)
        xy, owner, bad = self._on_map(lines, lines, np.arange(len(lines)))
        return np.concatenate(
            [_moved(lines[~bad], xy[~bad[owner]]), *by_cartopy(lines[bad], self._projection, self._name)]
        )

    def polygons(self, polygons: Geometries) -> Geometries:
        """Project Polygons; one that the projection cuts becomes several."""
        if self._as_it_is or not len(polygons):
            return polygons
        polygons = self._cut_in_two(self._in_degrees(polygons))
        rings, polygon = _lines_of(polygons)
        xy, ring, bad = self._on_map(rings, polygons, polygon)
        # A ring that turns the other way on the map has the rest of the world inside.
        bad[~bad] = shapely.is_ccw(_moved(rings[~bad], xy[~bad[ring]])) != shapely.is_ccw(rings[~bad])
        odd = np.isin(np.arange(len(polygons)), polygon[bad])
        good = _moved(polygons[~odd], xy[~odd[polygon[ring]]])
        return np.concatenate([good, *by_cartopy(polygons[odd], self._projection, self._name)])

    @property
    def _unit(self) -> float:
        """Degrees or meters in a unit of the source."""
        factor = float(self._source.axis_info[0].unit_conversion_factor)
        return float(np.rad2deg(factor)) if self._source.is_geographic else factor

    def _report_outside(self, outside: Geometries, of: int) -> None:
        largest = float(np.abs(shapely.get_coordinates(outside)).max())
        message = f"{self._name}: coordinates up to {largest:,.0f} can't be in its CRS, {self._source.name}"
        if len(outside) == of:
            raise FeatureError(f"{message}; set the crs that they are in")
        log.warning("%s; %d of %d parts are left out", message, len(outside), of)

    def _in_degrees(self, shapes: Geometries) -> Geometries:
        """Return shapes in degrees, with short edges, longitudes going on across the antimeridian."""
        if self._source.is_geographic:
            return _dense(self._lonlat(shapes), _LONGEST_EDGE_DEGREES)
        return self._lonlat(_dense(shapes, _LONGEST_EDGE_METERS / self._unit))

    def _lonlat(self, shapes: Geometries) -> Geometries:
        lines, shape = _lines_of(shapes)
        xy, owner = shapely.get_coordinates(lines, return_index=True)
        lonlat = np.column_stack(self._to_lonlat.transform(xy[:, 0], xy[:, 1]))
        if self._source.is_geographic:
            # The transform brought longitudes to -180..180; here they go back to the turn they were on.
            lonlat[:, 0] += 360.0 * np.round((xy[:, 0] * self._unit - lonlat[:, 0]) / 360.0)
            lonlat[:, 1] = np.clip(lonlat[:, 1], -_POLE, _POLE)
            crossing = _sloppy_crossings(lonlat, owner)
        else:
            crossing = _leaps(lonlat, owner)
        if not crossing.any():
            return _moved(shapes, lonlat)
        lonlat[:, 0] += 360.0 * _turns(lonlat[:, 0], owner, crossing)
        if lines is shapes:
            return _moved(lines, lonlat)
        return _closed_polygons(shapes, lonlat, owner, shape)

    def _cut_in_two(self, polygons: Geometries) -> Geometries:
        """Cut polygons along the meridian at which the map ends, if there is one.

        Left to cartopy, those with an edge just on it would fill the map.
        """
        cut = self._projection.cut_longitude
        if cut is None:
            return polygons
        west, _, east, _ = shapely.bounds(polygons).T - cut
        first, last = np.floor(west / 360.0), np.floor(east / 360.0)
        whole = (west > 360.0 * first + _BESIDE_CUT) & (east < 360.0 * (first + 1.0) - _BESIDE_CUT)
        pieces = [polygons[whole]]
        across = shapely.make_valid(polygons[~whole])
        for turn in np.arange(first[~whole].min(initial=0.0), last[~whole].max(initial=-1.0) + 1.0):
            start, end = cut + 360.0 * turn, cut + 360.0 * (turn + 1.0)
            clipped = shapely.clip_by_rect(across, start + _BESIDE_CUT, -_POLE, end - _BESIDE_CUT, _POLE)
            parts = shapely.get_parts(shapely.get_parts(clipped))
            pieces.append(shapely.segmentize(parts[shapely.area(parts) > 0.0], _LONGEST_EDGE_DEGREES))
        return np.concatenate(pieces)

    def _on_map(
        self, lines: Geometries, shapes: Geometries, shape: Indices
    ) -> tuple[Vertices, Indices, Flags]:
        """Return map coordinates, the line each belongs to, and which lines the projection tears apart.

        The lines are those of some shapes: line i is one of shapes[shape[i]].
        """
        lonlat, owner = shapely.get_coordinates(lines, return_index=True)
        bad = np.zeros(len(lines), bool)
        if self._projection.period is not None:
            xy = self._on_cylinder(lonlat, shapes, shape[owner])
        else:
            xy = self._transformed(lonlat)
            bad[owner[self._torn(lonlat, xy, owner)]] = True
        bad[owner[~np.isfinite(xy).all(axis=1)]] = True
        return xy, owner, bad

    def _transformed(self, lonlat: Vertices) -> Vertices:
        """Return map coordinates, NaN for what can't be projected."""
        to_map = self._projection.transformer(LONLAT)
        xy = np.column_stack(to_map.transform(lonlat[:, 0], lonlat[:, 1]))
        xy[~np.isfinite(xy)] = np.nan
        return xy

    def _on_cylinder(self, lonlat: Vertices, shapes: Geometries, owner: Indices) -> Vertices:
        """Project where x is linear in longitude: each shape on one turn, the one nearest to x = 0."""
        lat = lonlat[:, 1]
        x, y = self._projection.x_of_longitude(lonlat[:, 0]), self._y_of_latitude(lat)
        poles = ~np.isfinite(y) & np.isfinite(lat)
        y[poles] = self._y_of_latitude(np.clip(lat[poles], -_NEAR_POLE, _NEAR_POLE))
        west, _, east, _ = shapely.bounds(shapes).T
        period = self._projection.period or 0.0
        middle = self._projection.x_of_longitude((west + east) / 2)
        return np.column_stack([x - (np.round(middle / period) * period)[owner], y])

    def _y_of_latitude(self, lat: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._transformed(np.column_stack([np.zeros_like(lat), lat]))[:, 1]

    def _torn(self, lonlat: Vertices, xy: Vertices, owner: Indices) -> Indices:
        """Return the vertices after which a line leaps to another part of the map."""
        step, leap = np.diff(lonlat, axis=0), np.diff(xy, axis=0)
        degrees = np.hypot(step[:, 0] * np.cos(np.deg2rad(lonlat[:-1, 1])), step[:, 1])
        length = np.hypot(leap[:, 0], leap[:, 1])
        edge = np.flatnonzero((owner[1:] == owner[:-1]) & (degrees > 0) & np.isfinite(length))
        if not len(edge):
            return edge
        stretch = length[edge] / degrees[edge]
        edge = edge[stretch > _STRETCH * np.median(stretch)]
        middle = self._transformed((lonlat[edge] + lonlat[edge + 1]) / 2)
        beside = middle - (xy[edge] + xy[edge + 1]) / 2
        return edge[~(np.hypot(beside[:, 0], beside[:, 1]) <= _TORN * length[edge])]


def _lines_of(shapes: Geometries) -> tuple[Geometries, Indices]:
    """Return the rings of polygons, or the lines as they are, and the shape that each belongs to."""
    if shapely.get_type_id(shapes[0]) != shapely.GeometryType.POLYGON:
        return shapes, np.arange(len(shapes))
    rings, polygon = shapely.get_rings(shapes, return_index=True)
    return np.asarray(rings), polygon


def _dense(shapes: Geometries, longest: float) -> Geometries:
    """Return shapes without longer edges. By rings: of an invalid polygon `segmentize` leaves out parts."""
    lines, shape = _lines_of(shapes)
    dense = np.asarray(shapely.segmentize(lines, longest))
    if lines is shapes:
        return dense
    ends = np.cumsum(shapely.get_num_coordinates(dense)), np.cumsum(np.bincount(shape))
    offsets = tuple(np.insert(end, 0, 0) for end in ends)
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, shapely.get_coordinates(dense), offsets)
    return np.asarray(made)


def _moved(shapes: Geometries, xy: Vertices) -> Geometries:
    """Return copies of shapes with other coordinates."""
    return np.asarray(shapely.set_coordinates(shapes.copy(), xy))


def _leaps(lonlat: Vertices, owner: Indices) -> Flags:
    """Whether each edge spans more than half a turn."""
    return np.asarray((owner[1:] == owner[:-1]) & (np.abs(np.diff(lonlat[:, 0])) > 180.0))


def _sloppy_crossings(lonlat: Vertices, owner: Indices) -> Flags:
    """Whether each edge is meant to cross the antimeridian, although it runs around the world.

    Files should cut what crosses it; some lines just go from 179 to -179. On others an edge around the world
    is meant: a box's, or the bottom of Antarctica, each along a parallel. So a line crosses at all of its
    leaps if it changes its latitude in one of them.
    """
    leaps = _leaps(lonlat, owner)
    oblique = np.zeros(owner[-1] + 1, bool)
    oblique[owner[:-1][leaps & (np.diff(lonlat[:, 1]) != 0.0)]] = True
    return leaps & oblique[owner[:-1]]


def _turns(lon: NDArray[np.float64], owner: Indices, crossing: Flags) -> NDArray[np.float64]:
    """Return the turns around the earth by which each longitude is to be moved, so that lines go on."""
    turn = np.insert(np.cumsum(np.where(crossing, -np.sign(np.diff(lon)), 0.0)), 0, 0.0)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    return np.asarray(turn - turn[first][owner])


def _closed_polygons(polygons: Geometries, lonlat: Vertices, ring: Indices, polygon: Indices) -> Geometries:
    """Return polygons with other coordinates, also where a ring ends a turn further than it began."""
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    rings = np.split(lonlat, first[1:])
    around = np.unique(polygon[[ring[0, 0] != ring[-1, 0] for ring in rings]])
    plain = ~np.isin(np.arange(len(polygons)), around)
    return np.concatenate(
        [
            _moved(polygons[plain], lonlat[plain[polygon[ring]]]),
            *(_around_pole([rings[k] for k in np.flatnonzero(polygon == number)]) for number in around),
        ]
    )


def _around_pole(rings: list[Vertices]) -> Geometries:
    """Return, as polygons on the plane of longitude and latitude, the area in a ring around a pole."""
    outer, *holes = (shapely.make_valid(shapely.Polygon(_to_pole(ring))) for ring in rings)
    copies = [translate(hole, turn) for hole in holes for turn in (-360.0, 0.0, 360.0)]
    parts = shapely.get_parts(shapely.difference(outer, shapely.union_all(copies)))
    return np.asarray(shapely.segmentize(parts[shapely.area(parts) > 0.0], _LONGEST_EDGE_DEGREES))


def _to_pole(ring: Vertices) -> Vertices:
    """Lead a ring around a pole to the pole and back, so that it closes on the plane."""
    if ring[0, 0] == ring[-1, 0]:
        return ring
    pole = np.copysign(_POLE, ring[:, 1].mean())
    return np.vstack([ring, [ring[-1, 0], pole], [ring[0, 0], pole], ring[0]])
