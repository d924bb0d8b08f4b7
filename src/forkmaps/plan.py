"""What a set of maps consists of: each picture's job and file, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forkmaps.errors import OutputError, RasterError, StyleError, counted
from forkmaps.html import block, facts, link, table
from forkmaps.job import Job, band_of, check_lines, template_fields
from forkmaps.names import check_outputs, safe_name
from forkmaps.onraster import check_regions
from forkmaps.plotter import Plotter, plotter_of
from forkmaps.raster import Raster
from forkmaps.regions import Region
from forkmaps.regions.given import Regions, regions_of
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.given import lines_of, style_of
from forkmaps.style.layout import Layout
from forkmaps.style.template import FILE_FIELDS, MAP_FIELDS, Template

Format = Literal["png", "webp", "pdf", "svg"]
FORMATS: tuple[Format, ...] = ("png", "webp", "pdf", "svg")


@dataclass(frozen=True, slots=True)
class PlannedMap:
    """One picture to draw, and the file that it is written to."""

    job: Job
    path: Path

    def __repr__(self) -> str:
        return f'<map of region "{self.job.region.name}", {self.path.name}>'


@dataclass(frozen=True, slots=True)
class Plan:
    """All pictures of a set, the folder that they go to, and how they are drawn."""

    maps: tuple[PlannedMap, ...]
    folder: Path
    style: Style
    lines: Mapping[str, Line]
    name: str
    plotter: Plotter | None = None

    def __repr__(self) -> str:
        return f"<Plan of {self.name}: {self._count} in {self.folder}>"

    @property
    def _count(self) -> str:
        return counted(len(self.maps), "map")

    def _repr_html_(self) -> str:
        several = len({(one.job.raster, one.job.band) for one in self.maps}) > 1
        rows = (
            (
                one.job.region.name,
                *((one.job.raster, one.job.band) if several else ()),
                one.path.relative_to(self.folder),
            )
            for one in self.maps
        )
        header = ("region", *(("raster", "band (from 0)") if several else ()), "file")
        return block(
            f"Plan of {self.name}: {self._count}",
            facts({"folder": link(self.folder), "drawn by": self.plotter and self.plotter.name}),
            table(header, rows, total=len(self.maps)),
        )


def plan_maps(
    shared: SharedData,
    regions: Regions,
    *,
    folder: str | Path,
    style: Style | None = None,
    lines: Mapping[str, Line] | None = None,
    file: str = "{region.name}.png",
    name: str = "maps",
    rasters: Sequence[str] | str = ("",),
    draw: Callable[..., Any] | None = None,
) -> Plan:
    """Plan the pictures of a set: each region at each band of the raster.

    Parameters
    ----------
    shared : SharedData
    regions : sequence of Region, mapping, or path
        What `render_maps` takes.
    folder : path
        For the pictures; need not exist.
    style : Style
        Default: `Style()`.
    lines : mapping of str to Line
        Which boundary layers are drawn, and how, in this order; default: all of them.
    file : str
        Template of the files' names in the folder, with one of the suffixes .png, .webp, .pdf, .svg.
    name : str
        Of the set, for reports.
    rasters : str or sequence of str
        Names of the rasters to draw, each with the one style, or "all"; default: the first alone.
    draw : callable
        A function of your own: (axes, shared, region) adds to each map, (region) draws a figure in its place.

    Raises
    ------
    DrawingError
        The function can be called in neither way.
    FeatureError
        There is no layer of such a name, or it has no areas to fill.
    RasterError
        There is no raster of such a name, or none is asked for.
    RegionError
        There are none, something is no region, or some lie outside of the raster.
    StyleError
        `style` or `lines` is something else; a template has a field that the region list has no column for;
        or the picture is too small for a map.
    OutputError
        Two pictures would have one file.
    """
    regions = regions_of(regions)
    style, lines = style_of(style), lines_of(lines, shared.features)
    check_lines(lines, shared)
    folder, template = Path(folder), file_template(file)
    plotter = None if draw is None else plotter_of(draw)
    Layout.of(style)
    templates = (template, Template(style.title, MAP_FIELDS), Template(style.subtitle, MAP_FIELDS))
    _check_fields(regions, templates)
    drawn = _rasters(shared, rasters)
    _check_times(drawn.values(), templates)
    for raster in drawn.values():
        check_regions(shared.projection, raster, regions)
    jobs = [
        Job(region, band, key)
        for region in regions
        for key, raster in drawn.items()
        for band in range(len(raster.bands))
    ]
    names = [template.format(template_fields(shared, job), clean=safe_name) for job in jobs]
    if len(set(names)) <= len(regions) < len(jobs):
        raise OutputError(_one_file_for_all(file, drawn))
    paths = check_outputs(folder, names, jobs=[_label(shared, job) for job in jobs])
    maps = tuple(PlannedMap(job, path) for job, path in zip(jobs, paths, strict=True))
    return Plan(maps, folder, style, lines, name, plotter)


def _rasters(shared: SharedData, names: Sequence[str] | str) -> dict[str, Raster]:
    """Return the rasters to draw, by the names that they are asked for."""
    if isinstance(names, str):
        names = list(shared.rasters) if names == "all" else [names]
    if not names:
        raise RasterError(f'rasters: none is asked for; there are {", ".join(shared.rasters)}, and "all"')
    return {name: shared.raster_named(name) for name in names}


def file_template(file: str, known: Sequence[str] = FILE_FIELDS) -> Template:
    """Return the template of file names of these fields, which must end with the suffix of a format.

    Raises
    ------
    OutputError
        It does not.
    """
    if Path(file).suffix.lower().lstrip(".") not in FORMATS:
        raise OutputError(f'file "{file}" must end with one of .{", .".join(FORMATS)}')
    return Template(file, known)


def _one_file_for_all(file: str, rasters: Mapping[str, Raster]) -> str:
    """Say what is wrong with a template of file names that tells neither bands nor rasters apart."""
    remedy = "put {band.number}, {band.name} or {valid_time:%Y%m%d%H} into it, or choose one band"
    if len(rasters) > 1:
        remedy = "put {raster.key} into it, and {band.number} where a raster has several bands"
    found = (
        f"{len(rasters)} rasters"
        if len(rasters) > 1
        else f"{sum(len(r.bands) for r in rasters.values())} bands"
    )
    return f'file template "{file}" gives all {found} one file; {remedy}'


def _label(shared: SharedData, job: Job) -> str:
    band = band_of(shared, job)
    raster = f'raster "{job.raster}", ' if job.raster else ""
    return f'region "{job.region.name}", {raster}band {band.number}'


def _check_fields(regions: Sequence[Region], templates: Iterable[Template]) -> None:
    """Raise StyleError for a template field that a region has no column for."""
    columns = sorted(set.intersection(*(set(region.fields) for region in regions)))
    for template in templates:
        template.check(columns, "the region list")


def _check_times(rasters: Iterable[Raster], templates: Iterable[Template]) -> None:
    """Raise StyleError for a template that tells of valid times which bands don't have."""
    telling = [template for template in templates if "valid_time" in template.fields]
    for raster in rasters if telling else ():
        without = [band.number for band in raster.bands if band.valid_time is None]
        if without:
            raise StyleError(
                f'template "{telling[0].text}": {{valid_time}} is not known of band {without[0]} of '
                f"{raster.source}; leave it out, or take {{band.name}} or {{band.number}}"
            )
