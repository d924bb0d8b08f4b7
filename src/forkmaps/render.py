"""Draw one map: shared data, a region and a style become the pixels of a picture.

What is the same on every map (color bar, background) is drawn once, when a `Renderer` is made, and restored as
pixels; a map then draws its raster, its lines and its title. All artists sit on one figure, so the same map can
be written as PDF or SVG. There are no files here, no processes, and no pyplot.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from numpy.typing import NDArray

from forkmaps.colorscale import ColorScale
from forkmaps.layout import Layout
from forkmaps.projection import View, view_of
from forkmaps.regions import Region
from forkmaps.sampling import Plane
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.template import MAP_FIELDS, STATISTICS_FIELDS, Template

_SMALLEST_TITLE = 0.6
"""A title too long for the picture shrinks to this share of its size, and is then cut."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture: a region at one band (index into the raster's bands, from 0)."""

    region: Region
    band: int = 0


class Renderer:
    """Draws the maps of one set, one after the other, on one figure.

    Parameters
    ----------
    shared : SharedData
    style : Style
    lines : mapping of str to Line
        Which of `shared.features` are drawn, and how, in this order; default: all, as `Line()` has it.

    Attributes
    ----------
    figure, axes : matplotlib Figure, cartopy GeoAxes
        Of the map drawn last.
    """

    def __init__(self, shared: SharedData, style: Style, lines: Mapping[str, Line] | None = None) -> None:
        self.shared, self.style = shared, style
        self.lines = dict(lines) if lines is not None else dict.fromkeys(shared.features, Line())
        self.scale = ColorScale(style, *shared.raster.value_range)
        self.layout = Layout.of(style)
        self._title = Template(style.title, MAP_FIELDS)
        self._subtitle = Template(style.subtitle, MAP_FIELDS)
        self.figure = Figure(figsize=(style.width, style.height), dpi=style.dpi, facecolor=style.background)
        self._canvas = FigureCanvasAgg(self.figure)
        self._color_bar = self._add_color_bar()
        self._add_map()
        self._add_texts()
        self._backgrounds: dict[str, Any] = {}

    def picture(self, job: Job) -> NDArray[np.uint8]:
        """Draw a map. Returns (rows, columns, 4) RGBA bytes that the next map overwrites."""
        self.compose(job)
        label = self._label(job)
        if label not in self._backgrounds:
            self._backgrounds[label] = self._draw_background(label)
        self._canvas.restore_region(self._backgrounds[label])
        with _quiet_fonts():
            for artist in self._changing:
                self.figure.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())

    def compose(self, job: Job) -> Figure:
        """Set the figure's artists to show a job, without drawing; for `figure.savefig` as PDF or SVG."""
        view = view_of(job.region, self.shared.projection, self.layout.map_size)
        values = self.shared.raster.sample(
            view, self.shared.projection, band=job.band, interpolation=self.style.interpolation
        )
        self._image.pixels = self.scale.colors(values)
        self.axes.set(xlim=(view.extent.west, view.extent.east), ylim=(view.extent.south, view.extent.north))
        for name, area, line in self._layers:
            _set_paths(self.shared.features[name], view, area, line)
        self._set_texts(job, values)
        return self.figure

    def _set_texts(self, job: Job, values: Plane) -> None:
        fields = self._fields(job, values)
        self._fit(self._title_text, self._title.format(fields), self.style.title_size)
        self._fit(self._subtitle_text, self._subtitle.format(fields), self.style.subtitle_size)
        self._nothing.set_visible(bool(np.isnan(values).all()))
        self._color_bar.set_label(self._label(job))

    def _fields(self, job: Job, values: Plane) -> dict[str, Any]:
        fields = template_fields(self.shared, job)
        used = self._title.fields | self._subtitle.fields
        if used.intersection(STATISTICS_FIELDS):
            known = values[~np.isnan(values)]
            fields |= dict(zip(STATISTICS_FIELDS, _statistics(known), strict=True))
        return fields

    def _label(self, job: Job) -> str:
        if self.style.label is not None:
            return self.style.label
        band = self.shared.raster.bands[job.band]
        unit = band.unit if self.style.unit is None else self.style.unit
        name = self.shared.raster.name or band.name
        return f"{name} ({unit})" if unit and name else name or unit

    def _fit(self, text: Text, content: str, size: float) -> None:
        """Set a text so that it stays inside the picture: shrunk first, then cut."""
        content = " ".join(content.split())[: self.layout.most_characters]
        text.set(text=content, fontsize=size)
        if not content:
            return
        room = self.layout.text_width
        with _quiet_fonts():
            width = text.get_window_extent(self._canvas.get_renderer()).width
            if width <= room:
                return
            shrunk = max(room / width, _SMALLEST_TITLE)
            text.set_fontsize(size * shrunk)
            while (width := text.get_window_extent(self._canvas.get_renderer()).width) > room:
                keep = min(int(len(content) * room / width), len(content) - 1) - 1
                content = content[: max(keep, 0)]
                text.set_text(content.rstrip() + "…")

    def _add_color_bar(self) -> Any:
        style = self.style
        axes = self.figure.add_axes(self.layout.color_bar)
        bar = self.figure.colorbar(
            ScalarMappable(self.scale.norm, self.scale.cmap),
            cax=axes,
            orientation="horizontal",
            extend=self.scale.extend,
            extendfrac=0.02,
            ticks=style.ticks,
            spacing="proportional",
        )
        bar.ax.tick_params(labelsize=style.label_size, labelfontfamily=style.font, length=3, pad=2)
        bar.ax.xaxis.label.set(fontsize=style.label_size, fontfamily=style.font, parse_math=False)
        return bar

    def _add_map(self) -> None:
        style = self.style
        self.axes = self.figure.add_axes(self.layout.map, projection=self.shared.projection.crs)
        self.axes.set_aspect("auto")
        self.axes.patch.set_visible(False)
        self.axes.spines["geo"].set_visible(False)
        self._image = PixelImage(self.axes)
        self._layers = [(name, *self._add_layer(line)) for name, line in self.lines.items()]
        self._frame = Rectangle(
            (0, 0), 1, 1, transform=self.axes.transAxes, fill=False, lw=style.frame, zorder=5
        )
        self._frame.set(visible=style.frame > 0, clip_on=False)
        self.axes.add_artist(self._frame)

    def _add_layer(self, line: Line) -> tuple[PathPatch, PathPatch]:
        area = PathPatch(Path([(0, 0)]), facecolor=line.fill, edgecolor="none", linewidth=0)
        area.set_visible(line.fill != "none")
        edges = PathPatch(Path([(0, 0)]), facecolor="none", edgecolor=line.color, linewidth=line.linewidth)
        edges.set(joinstyle="round", snap=False, visible=line.linewidth > 0)
        for patch in (area, edges):
            self.axes.add_artist(patch)
            patch.set_clip_path(self._map_box())
        return area, edges

    def _map_box(self) -> Rectangle:
        return Rectangle((0, 0), 1, 1, transform=self.axes.transAxes)

    def _add_texts(self) -> None:
        style, layout = self.style, self.layout
        common: dict[str, Any] = {
            "fontfamily": style.font,
            "parse_math": False,
            "va": "center",
            "ha": "center",
        }
        self._title_text = self.figure.text(0.5, layout.title, "", fontsize=style.title_size, **common)
        self._subtitle_text = self.figure.text(
            0.5, layout.subtitle, "", fontsize=style.subtitle_size, **common
        )
        self._nothing = self.axes.text(
            0.5,
            0.5,
            "no data",
            transform=self.axes.transAxes,
            color="0.4",
            fontsize=style.title_size,
            **common,
        )
        layers = [patch for _, area, edges in self._layers for patch in (area, edges)]
        self._changing: list[Artist] = [self._image, *layers, self._nothing, self._frame]
        self._changing += [self._title_text, self._subtitle_text]

    def _draw_background(self, label: str) -> Any:
        """Draw what all maps with this label share, and keep it as pixels."""
        self._color_bar.set_label(label)
        hidden = [artist for artist in self._changing if artist.get_visible()]
        for artist in hidden:
            artist.set_visible(False)
        with _quiet_fonts():
            self._canvas.draw()
        for artist in hidden:
            artist.set_visible(True)
        return self._canvas.copy_from_bbox(self.figure.bbox)


class PixelImage(Artist):
    """An image that fills its axes with one pixel of its own for each of the picture's: nothing resamples it.

    Attributes
    ----------
    pixels : (rows, columns, 4) uint8
        RGBA, top row first; of the size of the axes' box in pixels.
    """

    def __init__(self, axes: Any) -> None:
        super().__init__()
        self.pixels: NDArray[np.uint8] = np.zeros((1, 1, 4), np.uint8)
        self.set_zorder(0)
        axes.add_artist(self)

    def draw(self, renderer: Any) -> None:
        """Draw the image on a renderer of any backend."""
        if not self.get_visible():
            return
        box = self.axes.bbox
        context = renderer.new_gc()
        renderer.draw_image(context, box.x0, box.y0, self.pixels[::-1])
        context.restore()


def template_fields(shared: SharedData, job: Job) -> dict[str, Any]:
    """Return what a title or a file name can tell of a job: its region's columns, its band, its raster."""
    region, band = job.region, shared.raster.bands[job.band]
    columns = {**region.fields, "name": region.name, "title": region.title or region.name}
    return {
        **columns,
        **{f"region.{key}": value for key, value in columns.items()},
        "band.name": band.name,
        "band.unit": band.unit,
        "band.number": band.number,
        "raster.name": shared.raster.name,
        "raster.unit": shared.raster.unit,
        "valid_time": band.valid_time,
    }


def _set_paths(feature: Any, view: View, area: PathPatch, line: PathPatch) -> None:
    line.set_path(_path(*feature.lines(view), Path.LINETO))
    if area.get_visible():
        area.set_path(_path(*feature.areas(view), Path.CLOSEPOLY))


def _path(xy: NDArray[np.float64], begins: NDArray[np.intp], last: int) -> Path:
    """Return a path of the lines that begin at some vertices; `last` is the code of their last vertices."""
    if not len(xy):
        return Path(np.zeros((1, 2)))
    codes = np.full(len(xy), Path.LINETO, Path.code_type)
    codes[np.append(begins[1:], len(xy)) - 1] = last
    codes[begins] = Path.MOVETO
    return Path(xy, codes)


def _statistics(known: Plane) -> tuple[float, float, float]:
    """Return least, greatest and mean value; NaN of none."""
    if not known.size:
        return (float("nan"),) * 3
    return float(known.min()), float(known.max()), float(known.mean(dtype=np.float64))


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """A character that the font lacks shows as a box: worth no warning for each of 3,000 maps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        yield
