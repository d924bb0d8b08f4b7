"""Maps in one call: regions, shared data and, if wanted, a function of one's own, and out come the files."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from forkmaps.errors import nearest
from forkmaps.plan import plan_maps
from forkmaps.progress import Progress
from forkmaps.regions.given import Regions
from forkmaps.run.batch import Run, draw_maps
from forkmaps.run.report import Report
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style


def render_maps(
    shared: SharedData,
    regions: Regions,
    draw: Callable[..., Any] | None = None,
    *,
    out: str | Path,
    file: str = "{region.name}.png",
    style: Style | None = None,
    lines: Mapping[str, Line] | None = None,
    rasters: Sequence[str] | str = ("",),
    show_progress: bool = True,
    **run: Any,
) -> Report:
    """Draw a map of each region, at each band, with workers that share the data.

    Parameters
    ----------
    shared : SharedData
    regions : sequence of Region, mapping, or path
        What `read_regions` returns; or names with sides (west, east, south, north in degrees); or the file of
        a region list in degrees.
    draw : callable
        A function of your own, called in a worker; a lambda or a closure will do. One of three parameters,
        (axes, shared, region), adds to the map: `axes` is a cartopy GeoAxes in the maps' projection with the
        region's limits, on which raster and boundaries stand already (`Style(raster=False)`, `lines={}` leave
        them out). One of one parameter, (region), draws a figure in place of the map, from `shared_data()`;
        it returns the figure, or leaves it to pyplot. Either may have a parameter `band`, and gets the
        `Band`. What it shares is read-only. Its maps are drawn on every run.
    out : path
        Folder of the files; need not exist.
    file : str
        Template of the files' names in the folder, with one of the suffixes .png, .webp, .pdf, .svg.
    style : Style
    lines : mapping of str to Line
        Which boundary layers are drawn, and how, in this order; default: all of them.
    rasters : str or sequence of str
        Names of the rasters to draw, or "all"; default: the first alone.
    show_progress : bool
        Show progress on stderr: a bar on a terminal or in a notebook, else lines.
    **run
        How: `workers`, `timeout` and the other options of `Run`.

    Returns
    -------
    Report
        What was drawn, and what failed and why. One map's failure stops no other, and raises nothing.

    Raises
    ------
    TypeError
        There is no such option.
    ForkmapsError
        Nothing can be drawn: see `plan_maps` and `draw_maps`.
    """
    how = _run(run)
    plan = plan_maps(
        shared,
        regions,
        folder=out,
        style=style,
        lines=lines,
        file=file,
        name=Path(out).name or "maps",
        rasters=rasters,
        draw=draw,
    )
    stream = sys.stderr if show_progress else None
    return draw_maps(shared, plan, how, progress=lambda total: Progress(total, stream))


def _run(options: Mapping[str, Any]) -> Run:
    """Return how maps are drawn. Raises TypeError, as any call does, for an option that there is not."""
    of_run = [field.name for field in fields(Run)]
    for name in options:
        if name not in of_run:
            known = [*of_run, *list(inspect.signature(render_maps).parameters)[:-1]]
            there_are = f"there are {', '.join(known)}"
            raise TypeError(f'render_maps: there is no option "{name}"{nearest(name, known)}; {there_are}')
    return Run(**options)
