"""One picture to draw, and what can be told of it before it is drawn.

Apart from `render`, which needs all of matplotlib: whether a map has to be drawn at all is known without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forkmaps.errors import FeatureError, nearest
from forkmaps.raster.band import Band
from forkmaps.regions import Region
from forkmaps.shared import SharedData
from forkmaps.style import Line


@dataclass(frozen=True, slots=True)
class Job:
    """One picture: a region at one band (index into the raster's bands, from 0).

    `raster` is the name of one of `SharedData.rasters`; "" means the first.
    """

    region: Region
    band: int = 0
    raster: str = ""


def band_of(shared: SharedData, job: Job) -> Band:
    """Return the band that a job shows."""
    return shared.raster_named(job.raster).bands[job.band]


def template_fields(shared: SharedData, job: Job) -> dict[str, Any]:
    """Return what a title or a file name can tell of a job: its region's columns, its band, its raster."""
    region, raster, band = job.region, shared.raster_named(job.raster), band_of(shared, job)
    columns = {**region.fields, "name": region.name, "title": region.title or region.name}
    return {
        **columns,
        **{f"region.{key}": value for key, value in columns.items()},
        "band.name": band.name,
        "band.unit": band.unit,
        "band.number": band.number,
        "raster.key": job.raster or next(iter(shared.rasters)),
        "raster.name": raster.name,
        "raster.unit": raster.unit,
        "valid_time": band.valid_time,
    }


def check_lines(lines: Mapping[str, Line], shared: SharedData) -> None:
    """Raise FeatureError for a layer that there is none of, and for one to fill that has no areas."""
    known = list(shared.features)
    for name, line in lines.items():
        if name not in known:
            there_are = ", ".join(known) or "none"
            hint = nearest(name, known)
            raise FeatureError(f'there is no boundary layer "{name}"{hint}; there are {there_are}')
        if line.fill != "none" and not shared.features[name].filled:
            raise FeatureError(
                f'the boundary layer "{name}" has no areas to fill with {line.fill}; load it with filled=True'
            )
