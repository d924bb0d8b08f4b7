"""One map to look at, without a file: in a notebook it shows itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from forkmaps.errors import DrawingError, OutputError, RasterError, RegionError
from forkmaps.figures import Drawing, figure_bytes, figure_of, own_figures
from forkmaps.job import Job, band_of
from forkmaps.output import make_folders, write_whole
from forkmaps.plan import FORMATS, Plan, plan_maps
from forkmaps.raster.bands import choose_bands
from forkmaps.regions import Region
from forkmaps.regions.given import Regions, regions_of
from forkmaps.render import Renderer
from forkmaps.render.artists import fonts_told
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.style import Line, Style

_SHOWN = 5
"""So many regions are named where one was wanted."""


class MapPicture:
    """A map that a notebook shows, and that can be changed and saved.

    It shows what its figure shows: at first the picture that `render_maps` writes, byte for byte, then also
    what was changed on the figure.
    """

    def __init__(self, name: str, drawing: Drawing) -> None:
        self._name, self._drawing = name, drawing

    def __repr__(self) -> str:
        return f'<MapPicture of region "{self._name}">'

    @property
    def figure(self) -> Figure:
        """The map as a matplotlib figure, to be changed; pyplot does not know it.

        Of a map that forkmaps drew, `figure.axes[0]` is a cartopy GeoAxes in the maps' projection.

        Raises
        ------
        DrawingError
            A function drew the map, and returned pixels.
        """
        if not isinstance(self._drawing, Figure):
            raise DrawingError(
                f"{self!r} has no figure: the function that drew it returned pixels; have it return a figure"
            )
        return self._drawing

    def save(self, path: str | Path) -> Path:
        """Write the map to a file .png, .webp, .pdf or .svg, whole or not at all; return its path.

        Raises
        ------
        OutputError
            The suffix is another, or the file can't be written.
        DrawingError
            A PDF or SVG file was asked for, and the map is pixels.
        """
        path = Path(path)
        if path.suffix.lower().lstrip(".") not in FORMATS:
            raise OutputError(f'{path}: a map can be a file .{", .".join(FORMATS)}, not "{path.suffix}"')
        content = self._file(path.suffix.lower())
        make_folders([path])
        write_whole(path, content)
        return path

    def _repr_png_(self) -> bytes:
        return self._file(".png")

    def _file(self, suffix: str) -> bytes:
        with fonts_told():
            return figure_bytes(self._drawing, suffix)


def show_map(
    shared: SharedData,
    region: Regions,
    draw: Callable[..., Any] | None = None,
    *,
    band: int | str | None = None,
    raster: str = "",
    style: Style | None = None,
    lines: Mapping[str, Line] | None = None,
) -> MapPicture:
    """Draw the map of one region in this process; in a notebook it shows itself.

    Parameters
    ----------
    shared : SharedData
    region : Region, mapping of one, sequence of one, or path
        As `render_maps` takes it: `{"Ohio": (-85.2, -80.2, 38.2, 42.2)}` is a name and west, east, south,
        north in degrees.
    draw : callable
        A function of your own, as `render_maps` takes it.
    band : int or str
        Number in the raster's file, name, or valid time (ISO 8601, UTC); default: the first.
    raster : str
        Name of the raster to draw; default: the first.
    style : Style
    lines : mapping of str to Line
        Which boundary layers are drawn, and how, in this order; default: all of them.

    Returns
    -------
    MapPicture
        `.figure` is the live matplotlib figure, `.save(path)` writes it.

    Raises
    ------
    RegionError
        There is not one region, or nothing of the raster is in it.
    RasterError
        There is no such raster or band, or several bands have the name.
    ForkmapsError
        The map can't be drawn: see `plan_maps`. What `draw` raises is raised.
    """
    plan = plan_maps(
        shared,
        [_one_region(region)],
        folder=".",
        file="{band.number}.png",  # no file is written
        style=style,
        lines=lines,
        rasters=(raster,),
        draw=draw,
    )
    job = plan.maps[_place(shared, raster, band)].job
    return MapPicture(job.region.name, _drawing(shared, plan, job))


def _one_region(region: Regions) -> Region:
    regions = regions_of(region)
    if len(regions) != 1:
        names = ", ".join(f'"{one.name}"' for one in regions[:_SHOWN])
        more = f" and {len(regions) - _SHOWN} more" if len(regions) > _SHOWN else ""
        raise RegionError(f"show_map: there are {len(regions)} regions: {names}{more}; give one")
    return regions[0]


def _place(shared: SharedData, raster: str, band: int | str | None) -> int:
    """Return the place of a band among those of a raster."""
    if band is None:
        return 0
    drawn = shared.raster_named(raster)
    found = choose_bands(drawn.bands, [band], str(drawn.source))
    if len(found) > 1:
        numbers = ", ".join(str(one.number) for one in found)
        raise RasterError(f'{drawn.source}: "{band}" is the name of bands {numbers}; give one of the numbers')
    return drawn.bands.index(found[0])


def _drawing(shared: SharedData, plan: Plan, job: Job) -> Drawing:
    plotter = plan.plotter
    if plotter is None or plotter.on_map:
        return Renderer(shared, plan.style, plan.lines, plotter).compose(job)
    set_shared_data(shared)
    with own_figures():
        return figure_of(plotter(job.region, band=band_of(shared, job)))
