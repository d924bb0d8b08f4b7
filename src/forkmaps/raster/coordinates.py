"""Which coordinates of an xarray.DataArray are x and y: by the CF conventions, and by names in use.

What is stated counts before names: units (`degrees_east`), then `standard_name`, then `axis`
(https://cfconventions.org, chapters 4 and 5). Of several pairs for each cell, as ocean models have for the
corners of their cells, the one that the array's attribute `coordinates` names is taken.
"""

from __future__ import annotations

from typing import Any, Literal

from forkmaps.errors import RasterError

Axis = Literal["x", "y"]

_AXES: tuple[Axis, Axis] = ("x", "y")
_DEGREES = {
    "x": ("degrees_east", "degree_east", "degrees_e", "degree_e", "degreee", "degreese"),
    "y": ("degrees_north", "degree_north", "degrees_n", "degree_n", "degreen", "degreesn"),
}
_LENGTHS = (
    "m",
    "meter",
    "meters",
    "metre",
    "metres",
    "km",
    "kilometer",
    "kilometers",
    "kilometre",
    "kilometres",
)
"""Units in which there are no longitudes."""
_LONLAT_NAMES = {
    "x": (
        *("lon", "longitude", "long", "xlong", "xlong_u", "xlong_v", "nav_lon", "tlong", "ulong", "gridlon"),
        "glon",
    ),
    "y": ("lat", "latitude", "xlat", "xlat_u", "xlat_v", "nav_lat", "tlat", "ulat", "gridlat", "glat"),
}
"""Names of longitudes and latitudes, in lower case, the best first: of cells' centers before their sides."""
_GRID_NAMES = {
    "x": ("projection_x_coordinate", "grid_longitude"),
    "y": ("projection_y_coordinate", "grid_latitude"),
}
"""Values of standard_name for coordinates on a plane, or on a sphere that is turned."""
_NAMES = {
    "x": ("x", *_LONLAT_NAMES["x"], *_GRID_NAMES["x"], "xc", "easting", "west_east", "rlon"),
    "y": ("y", *_LONLAT_NAMES["y"], *_GRID_NAMES["y"], "yc", "northing", "south_north", "rlat"),
}
"""Names of coordinates, in lower case, by what they are."""


def x_and_y(array: Any, *, has_crs: bool, source: str) -> tuple[Any, Any]:
    """Return the coordinates along x and y: (columns,) and (rows,), or both with the same two dimensions.

    Those of rows and columns count, unless only those of each cell are longitudes and latitudes and no CRS
    is known.

    Raises
    ------
    RasterError
        Which they are can't be told, or the cells move with time.
    """
    cells = _of_cells(array)
    for candidates in (_of_rows_and_columns(array, cells, has_crs), cells):
        along = {axis: [c for c in candidates if axis_of(c) == axis] for axis in _AXES}
        for x in along["x"]:
            for y in along["y"]:
                if _fit(x, y):
                    return _still(x, source), _still(y, source)
    raise RasterError(
        f"{source}: which coordinates are x and y can't be told, of {_listed(array)}; {_advice(array)}"
    )


def axis_of(coordinate: Any) -> Axis | None:
    """Return along what a coordinate is; None where it is no place, or that can't be told."""
    units, standard_name, axis, name = _stated(coordinate)
    tables = ((units, _DEGREES), (standard_name, _NAMES), (axis, {"x": ("x",), "y": ("y",)}), (name, _NAMES))
    for word, table in tables:
        for one in _AXES:
            if word in table[one]:
                return one
    return None


def is_lonlat(coordinate: Any) -> bool:
    """Tell whether a coordinate is a longitude or a latitude."""
    units, standard_name, _, name = _stated(coordinate)
    if standard_name in (*_GRID_NAMES["x"], *_GRID_NAMES["y"]) or units in _LENGTHS:
        return False
    return any(
        units in _DEGREES[axis] or standard_name in _LONLAT_NAMES[axis] or name in _LONLAT_NAMES[axis]
        for axis in _AXES
    )


def _stated(coordinate: Any) -> tuple[str, str, str, str]:
    """Return units, standard_name, axis and name in lower case, "" where they are not stated."""
    attrs = coordinate.attrs
    words = (attrs.get("units", ""), attrs.get("standard_name", ""), attrs.get("axis", ""), coordinate.name)
    units, standard_name, axis, name = (str(word).strip().lower() for word in words)
    return units, standard_name, axis, name


def _of_rows_and_columns(array: Any, cells: list[Any], has_crs: bool) -> list[Any]:
    """Return the coordinates along one dimension, those that dimensions are named after first."""
    found = [c for c in array.coords.values() if c.ndim == 1]
    found.sort(key=lambda c: (not has_crs and not is_lonlat(c), c.name != c.dims[0]))
    known = has_crs or not any(map(is_lonlat, cells)) or any(map(is_lonlat, found))
    return found if known else []


def _of_cells(array: Any) -> list[Any]:
    """Return the coordinates that each cell has, longitudes and latitudes first, and those that are named."""
    found = [c for c in array.coords.values() if c.ndim >= 2 and axis_of(c) is not None]
    named = str(array.attrs.get("coordinates") or array.encoding.get("coordinates") or "").split()
    found.sort(key=lambda c: (not is_lonlat(c), c.name not in named, _rank(c)))
    return found


def _rank(coordinate: Any) -> int:
    """Return the place of a coordinate's name among those in use."""
    name = str(coordinate.name).lower()
    return next((names.index(name) for names in _LONLAT_NAMES.values() if name in names), len(_NAMES["x"]))


def _still(coordinate: Any, source: str) -> Any:
    """Return a coordinate without the times, or levels, for which that of each cell is given anew (WRF).

    Raises RasterError where it differs.
    """
    leading = coordinate.dims[:-2]
    if not leading:
        return coordinate
    first = coordinate.isel(dict.fromkeys(leading, 0), drop=True)
    if not ((coordinate == first) | (coordinate.isnull() & first.isnull())).all():
        raise RasterError(
            f"{source}: its cells move, as {coordinate.name} is not the same all along "
            f"{', '.join(map(str, leading))}; choose one place, as in array.isel({leading[0]}=0)"
        )
    return first


def _fit(x: Any, y: Any) -> bool:
    """Tell whether two coordinates are those of columns and rows, or both of the same cells."""
    if x.ndim == y.ndim == 1:
        return bool(x.dims != y.dims)
    return min(x.ndim, y.ndim) > 1 and set(x.dims[-2:]) == set(y.dims[-2:])


def _listed(array: Any) -> str:
    coords = (f"{name} ({', '.join(map(str, c.dims))})" for name, c in array.coords.items())
    return f"dimensions {', '.join(map(str, array.dims))} and coordinates {', '.join(coords) or 'none'}"


def _advice(array: Any) -> str:
    """Return what to do, with names of the array's own where it has some."""
    places = [c for c in array.coords.values() if c.ndim and c.dtype.kind in "iuf"]
    if len(places) < 2:
        return (
            "give it some along two dimensions, as in array.assign_coords(lon=(dimension, values), "
            "lat=(dimension, values)), or use Raster.from_array(values, x=..., y=..., crs=...)"
        )
    return (
        "name those that are longitudes and latitudes lon and lat, with array.rename, others x and y; or "
        'give them the attribute units, "degrees_east" and "degrees_north", or standard_name, '
        '"projection_x_coordinate" and "projection_y_coordinate"; or use '
        "Raster.from_array(values, x=..., y=..., crs=...)"
    )
