"""The maps of a contact sheet as a table: which regions, which bands, and what each is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from forkmaps.errors import DrawingError
from forkmaps.job import Job
from forkmaps.raster import Band, Raster
from forkmaps.shared import SharedData

Place: TypeAlias = tuple[int, int]
"""Numbers of a region and a band in the table, from 0."""

_TIME_FORMS = ("%d %b %Y", "%d %b %Y %H:%MZ")
"""Of valid times that are all at midnight, and of others."""


@dataclass(frozen=True, slots=True)
class Table:
    """Regions by bands.

    Attributes
    ----------
    cells : mapping of (int, int) to Job
        The maps, by the numbers of region and band.
    regions, bands : tuple of str
        What tells a region, or a band, from the others.
    raster : Raster
        That all maps are of.
    shown : tuple of Band
        The bands.
    """

    cells: Mapping[Place, Job]
    regions: tuple[str, ...]
    bands: tuple[str, ...]
    raster: Raster
    shown: tuple[Band, ...]

    @classmethod
    def of(cls, shared: SharedData, jobs: Sequence[Job]) -> Self:
        """Order jobs in rows and columns, as they come.

        Raises
        ------
        DrawingError
            There are none, or they are of several rasters.
        """
        rasters = {job.raster for job in jobs}
        if len(rasters) != 1:
            found = f"of the rasters {', '.join(sorted(rasters))}" if rasters else "none"
            raise DrawingError(
                f"contact_sheet: the maps are {found}; a sheet has one color bar: choose one raster"
            )
        raster = shared.raster_named(rasters.pop())
        # By region, not by its name, which several may have.
        rows = {region: row for row, region in enumerate(dict.fromkeys(job.region for job in jobs))}
        columns = {band: column for column, band in enumerate(dict.fromkeys(job.band for job in jobs))}
        shown = tuple(raster.bands[band] for band in columns)
        return cls(
            cells={(rows[job.region], columns[job.band]): job for job in jobs},
            regions=tuple(region.title for region in rows),
            bands=_band_labels(shown),
            raster=raster,
            shown=shown,
        )

    def name(self, place: Place) -> str:
        """Return what a map is called in a message."""
        job = self.cells[place]
        return f'region "{job.region.name}", band {self.raster.bands[job.band].number}'

    def title(self, name: str) -> str:
        """Return what all maps have in common; where there is nothing, the set's name."""
        region = self.regions if len(self.regions) == 1 else ()
        parts = dict.fromkeys(part for part in (*region, self.raster.name, *_common(self.shown)) if part)
        return ", ".join(parts) or name

    def color_label(self, unit: str | None) -> str:
        """Return the text under the color bar: what the colors mean, and the unit (default: the bands')."""
        units = {band.unit for band in self.shown}
        unit = (units.pop() if len(units) == 1 else "") if unit is None else unit
        names = {band.name for band in self.shown}
        name = self.raster.name or (names.pop() if len(names) == 1 else "")
        return f"{name} ({unit})" if unit and name else name or unit


def _band_labels(bands: Sequence[Band]) -> tuple[str, ...]:
    """Return what tells the bands apart: name, valid time or both; their numbers where neither does."""
    parts = _parts(bands)
    varying = [column for column in zip(*parts, strict=True) if len(set(column)) > 1]
    labels = tuple(", ".join(filter(None, row)) for row in zip(*varying, strict=True))
    if len(set(labels)) < len(bands):
        return tuple(f"band {band.number}" for band in bands)
    return labels


def _common(bands: Sequence[Band]) -> list[str]:
    """Return the name and the valid time that all bands have."""
    return [column[0] for column in zip(*_parts(bands), strict=True) if len(set(column)) == 1]


def _parts(bands: Sequence[Band]) -> list[tuple[str, str]]:
    times = [band.valid_time for band in bands if band.valid_time is not None]
    form = _TIME_FORMS[any((time.hour, time.minute) != (0, 0) for time in times)]
    return [(band.name, band.valid_time.strftime(form) if band.valid_time else "") for band in bands]
