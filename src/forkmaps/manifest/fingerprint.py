"""What shapes a map, as a short text: as long as it stays the same, the map need not be drawn again.

Most of it is common to a set: style, boundaries, projection, the raster's grid, the range of colors, the
versions of what draws. A map's own are its region, its band, its file's format and the raster's values in its
window. What doesn't show doesn't count: the raster's file name, or a valid time that no title tells. So a new
raster leaves alone the maps whose values are the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import cartopy
import matplotlib as mpl
import numpy as np
import pyproj

from forkmaps import __version__
from forkmaps.cache import Part, array_digest, key_of
from forkmaps.features import BoundaryFeature
from forkmaps.manifest.sums import Sums
from forkmaps.manifest.window import Windows
from forkmaps.projection import View, view_of
from forkmaps.raster import Band, Raster
from forkmaps.regions import Region
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.colorscale import ColorScale
from forkmaps.style.layout import Layout
from forkmaps.style.template import MAP_FIELDS, Template

if TYPE_CHECKING:
    from forkmaps.job import Job
    from forkmaps.plan import Plan, PlannedMap

FINGERPRINT_VERSION: Final = 2
"""Raise it when the same data comes to give another picture, and the package's version stays the same."""

_SETTINGS: Final = (
    *("axes.", "font.", "lines.", "mathtext.", "patch.", "path.", "text.", "xtick.", "ytick."),
    *("pdf.", "savefig.", "svg."),
)
"""The matplotlib settings that a user's matplotlibrc can change the pictures by."""


class Fingerprints:
    """The fingerprints of a plan's maps, of all at once or of one where it is drawn: they are the same.

    500 maps of 7000 x 3500 cells take 0.3 s, half of it to find their windows.
    """

    def __init__(self, shared: SharedData, plan: Plan) -> None:
        self._shared = shared
        self._size = Layout.of(plan.style).map_size
        names = dict.fromkeys(one.job.raster for one in plan.maps)
        self._common = {name: set_fingerprint(shared, plan.style, plan.lines, name) for name in names}
        self._bands = {name: _shown_bands(shared.raster_named(name).bands, plan.style) for name in names}

    def of(self, maps: Sequence[PlannedMap]) -> tuple[str, ...]:
        """Return the fingerprints of maps, in their order.

        Raises
        ------
        ProjectionError
            A region can't be shown in the projection.
        """
        projection = self._shared.projection
        views = {r: view_of(r, projection, self._size) for r in dict.fromkeys(one.job.region for one in maps)}
        sums = self._sums(maps, views)
        number = {region: i for i, region in enumerate(views)}
        return tuple(
            job_fingerprint(
                self._common[one.job.raster],
                one.job,
                view=views[one.job.region],
                band=self._bands[one.job.raster][one.job.band],
                values=int(sums[one.job.raster, one.job.band][number[one.job.region]]),
                suffix=one.path.suffix.lower(),
            )
            for one in maps
        )

    def _sums(self, maps: Sequence[PlannedMap], views: Mapping[Region, View]) -> dict[tuple[str, int], Sums]:
        """Return the sums over all views' windows, of each raster and band that maps show."""
        found = {}
        for name in {one.job.raster for one in maps}:
            raster = self._shared.raster_named(name)
            windows = Windows.of(raster, self._shared.projection, list(views.values()))
            for band in {one.job.band for one in maps if one.job.raster == name}:
                found[name, band] = windows.sums(raster, band)
        return found


def job_fingerprint(common: str, job: Job, *, view: View, band: Band, values: int, suffix: str) -> str:
    """Return the fingerprint of one map, 32 hexadecimal digits.

    Parameters
    ----------
    common
        What `set_fingerprint` gives for its set.
    view
        The region's, in map units and pixels.
    band
        What the map tells of its band.
    values
        The sum over its window: `Windows.sums`.
    suffix
        The file's, in lower case: the format.
    """
    return key_of(common, repr(job.region), repr(view), repr(band), values, suffix)


def set_fingerprint(shared: SharedData, style: Style, lines: Mapping[str, Line], raster: str = "") -> str:
    """Return what all maps of a set have in common that show one raster, 32 hexadecimal digits.

    Boundaries count with all of their lines, the raster's values only by the range of colors that is taken
    from them where the style leaves it open.
    """
    layers = tuple(
        (line.model_dump_json(), _layer(shared.features.get(name))) for name, line in lines.items()
    )
    projection, shown = shared.projection.crs.to_wkt(), shared.raster_named(raster)
    looks = (style.model_dump_json(), _colors(shown, style), layers)
    key = (raster or next(iter(shared.rasters)),) if "raster.key" in _told_fields(style) else ()
    return key_of(_drawn_by(), looks, projection, _raster(shown), *key)


def _drawn_by() -> Part:
    """Return what draws: versions, and the user's settings of matplotlib."""
    versions = (__version__, mpl.__version__, cartopy.__version__, np.__version__, pyproj.proj_version_str)
    # Only these are looked up: who asks for the backend makes matplotlib choose and load one.
    settings = tuple((name, repr(mpl.rcParams[name])) for name in mpl.rcParams if name.startswith(_SETTINGS))
    return FINGERPRINT_VERSION, versions, settings


def _layer(feature: BoundaryFeature | None) -> Part:
    """Digest a boundary layer as it was loaded: projected, at all levels of detail.

    None for a layer that there is none of, which the renderer reports.
    """
    return feature and tuple(
        (level.tolerance, *(array_digest(array) for array in level.arrays))
        for level in (*feature.levels, *feature.fill_levels)
    )


def _raster(raster: Raster) -> Part:
    """Return what maps tell of a raster as a whole; its source is not shown."""
    grid = (raster.crs_text, raster.grid.key, raster.shape, raster.resampling)
    return raster.name, raster.unit, grid


def _colors(raster: Raster, style: Style) -> Part:
    """Return the colors, as a palette's name may come to mean others, and the values at their ends."""
    scale = ColorScale(style, *raster.value_range)
    colors = array_digest(np.asarray(scale.cmap(np.arange(-1, scale.cmap.N + 1))))
    return colors, float(scale.norm.vmin), float(scale.norm.vmax), scale.extend


def _shown_bands(bands: Sequence[Band], style: Style) -> list[Band]:
    """Return bands without what only a title could tell, and none does."""
    fields = _told_fields(style)
    hidden: dict[str, Any] = {}
    if "band.number" not in fields:
        hidden["number"] = 0
    if "valid_time" not in fields:
        hidden["valid_time"] = None
    return [replace(band, **hidden) for band in bands]


def _told_fields(style: Style) -> frozenset[str]:
    """Return the fields that titles tell."""
    return frozenset().union(*(Template(text, MAP_FIELDS).fields for text in (style.title, style.subtitle)))
