"""Draw one map: shared data, a region and a style become the pixels of a picture.

What is the same on every map (background, color bar) is drawn once, when a `Renderer` is made, and restored
as pixels; a map then draws its raster, its lines and its title. All artists sit on one figure, so that the
map can be written as PDF or SVG too. There are no files here, no processes, and no pyplot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from forkmaps.figures import VectorFormat, inches, vector_bytes
from forkmaps.job import Job, band_of, check_lines, template_fields
from forkmaps.plotter import Plotter
from forkmaps.projection import View, view_of
from forkmaps.raster.sampling import Plane
from forkmaps.render.artists import Caption, fonts_told
from forkmaps.render.colorbar import color_bar
from forkmaps.render.mapaxes import MapAxes
from forkmaps.shared import SharedData
from forkmaps.style import Line, Style
from forkmaps.style.colorscale import ColorScale
from forkmaps.style.given import lines_of
from forkmaps.style.layout import Layout
from forkmaps.style.template import MAP_FIELDS, STATISTICS_FIELDS, Template

_SETTINGS: Any = {"svg.fonttype": "path"}
"""What a user's own matplotlib settings must not change."""


class Renderer:
    """Draws the maps of one set, one after the other, on one figure.

    Parameters
    ----------
    shared : SharedData
    style : Style
    lines : mapping of str to Line
        Which of `shared.features` are drawn, and how, in this order; default: all, as `Line()` has it.
    plotter : Plotter
        A user's function that adds to each map, on axes with the region's limits.

    Attributes
    ----------
    figure : matplotlib Figure
        With the map drawn last.
    layout : Layout
        Where things stand on the picture, in pixels.
    scale : ColorScale
        With matplotlib's norm and color map, of the map drawn last.

    Raises
    ------
    StyleError
        The picture is too small for a map beside its texts.
    FeatureError
        `lines` names a layer that there is none of, or fills one that was loaded without its areas.
    """

    def __init__(
        self,
        shared: SharedData,
        style: Style,
        lines: Mapping[str, Line] | None = None,
        plotter: Plotter | None = None,
    ) -> None:
        self.shared, self.style = shared, style
        self.lines = lines_of(lines, shared.features)
        check_lines(self.lines, shared)
        self.layout = Layout.of(style)
        self._title = Template(style.title, MAP_FIELDS)
        self._subtitle = Template(style.subtitle, MAP_FIELDS)
        self._plotter = plotter
        self.figure = _figure(style, self.layout)
        self._canvas = cast(Any, FigureCanvasAgg(self.figure))  # which has no types
        self._agg = self._canvas.get_renderer()
        self._map = self._new_map()
        self._add_texts()
        self._looks: dict[str, _Look] = {}
        self._look = self._look_of("")

    @property
    def scale(self) -> ColorScale:
        """Norm and colors of the map drawn last."""
        return self._look.scale

    @property
    def axes(self) -> Any:
        """The cartopy GeoAxes of the map drawn last."""
        return self._map.axes

    def picture(self, job: Job) -> NDArray[np.uint8]:
        """Draw a map. Returns (rows, columns, 4) RGBA bytes, opaque, that the next map overwrites."""
        values = self._arrange(job)
        self._canvas.restore_region(self._look.background)
        pixels = np.asarray(self._agg.buffer_rgba())
        if values is not None:
            self.scale.colors(values, out=self.layout.map.of(pixels))
        with fonts_told():
            for artist in self._changing:
                artist.draw(self._agg)
        return pixels

    def compose(self, job: Job) -> Figure:
        """Set the figure's artists to show a job, without drawing; for `figure.savefig`, or more artists."""
        values = self._arrange(job)
        if values is not None:
            self._map.image.pixels = self.scale.colors(values)
        return self.figure

    def vector(self, job: Job, format: VectorFormat) -> bytes:
        """Draw a map as a PDF or SVG file; lines and texts are shapes, the raster is an image."""
        with mpl.rc_context(_SETTINGS), fonts_told():
            return vector_bytes(self.compose(job), format, dpi=self.style.dpi)

    def _arrange(self, job: Job) -> Plane | None:
        """Set all but the raster's image to a job; return the values on the map's pixels if they show."""
        view = view_of(job.region, self.shared.projection, self.layout.map_size)
        self._show_look(job.raster)
        values = self._values(view, job) if self.style.raster or self._tells_statistics else None
        shown = values if self.style.raster else None
        title = ""
        if self._plotter is not None:
            # On axes of its own: what a function changed on them for one map is not seen on the next.
            self._map.remove()
            self._map = self._new_map()
        self._map.show(view)
        self._map.say_no_data(shown)
        if self._plotter is not None:
            title = self._map.let_draw(partial(self._let_plot, self._plotter, job), view)
        self._set_texts(job, values, title)
        return shown

    def _let_plot(self, plotter: Plotter, job: Job, axes: Any) -> None:
        plotter(axes, self.shared, job.region, band=band_of(self.shared, job))

    def _values(self, view: View, job: Job) -> Plane:
        projection, interpolation = self.shared.projection, self.style.interpolation
        raster = self.shared.raster_named(job.raster)
        return raster.sample(view, projection, band=job.band, interpolation=interpolation)

    @property
    def _tells_statistics(self) -> bool:
        return bool((self._title.fields | self._subtitle.fields).intersection(STATISTICS_FIELDS))

    def _set_texts(self, job: Job, values: Plane | None, title: str) -> None:
        fields = template_fields(self.shared, job)
        if values is not None and self._tells_statistics:
            fields |= _statistics(values)
        self._title_line.show(title or self._title.format(fields, clean=_with_minus), self._agg)
        self._subtitle_line.show(self._subtitle.format(fields, clean=_with_minus), self._agg)
        self._label_line.show(self._label(job) if self.style.has_color_bar else "", self._agg)

    def _label(self, job: Job) -> str:
        if self.style.label is not None:
            return self.style.label
        raster, shown = self.shared.raster_named(job.raster), band_of(self.shared, job)
        unit = shown.unit if self.style.unit is None else self.style.unit
        name = raster.name or shown.name
        return f"{name} ({unit})" if unit and name else name or unit

    def _new_map(self) -> MapAxes:
        return MapAxes(self.figure, self.shared, self.style, self.lines, self.layout)

    def _add_texts(self) -> None:
        style, layout = self.style, self.layout

        def caption(height: float, size: float) -> Caption:
            return Caption(self.figure, height, layout.map.width, size=size, font=style.font)

        self._title_line = caption(layout.title, style.title_size)
        self._subtitle_line = caption(layout.subtitle, style.subtitle_size)
        self._label_line = caption(layout.label, style.label_size)

    @property
    def _changing(self) -> list[Artist]:
        """What a map draws on the background and its raster's pixels, from below."""
        lines = [line.text for line in (self._title_line, self._subtitle_line, self._label_line)]
        return [*self._map.artists, *lines]

    def _show_look(self, raster: str) -> None:
        """Show the colors and the color bar of a raster, which all of its maps share."""
        look = self._look_of(raster)
        if look is not self._look:
            for one in self._looks.values():
                for artist in one.bar:
                    artist.set_visible(one is look)
            self._look = look

    def _look_of(self, raster: str) -> _Look:
        if raster not in self._looks:
            scale = ColorScale(self.style, *self.shared.raster_named(raster).value_range)
            self._looks[raster] = _Look(scale, *self._draw_background(scale))
        return self._looks[raster]

    def _draw_background(self, scale: ColorScale) -> tuple[list[Artist], Any]:
        """Draw what all maps of a raster share; return the color bar's artists, and all as pixels."""
        font = FontProperties(family=self.style.font, size=self.style.label_size)

        def width(label: str) -> float:
            return float(self._agg.get_text_width_height_descent(label, font, False)[0])

        with fonts_told():
            bar = color_bar(self.figure, self.style, scale, self.layout, width)
            for artist in (self.figure.patch, *bar):
                artist.draw(self._agg)
        return bar, self._canvas.copy_from_bbox(self.figure.bbox)


@dataclass(frozen=True, slots=True)
class _Look:
    """What all maps of a raster share: its colors, its color bar, and the background with it as pixels."""

    scale: ColorScale
    bar: list[Artist]
    background: Any


def _figure(style: Style, layout: Layout) -> Figure:
    width, height = (inches(pixels, style.dpi) for pixels in (layout.size.width, layout.size.height))
    figure = Figure(figsize=(width, height), dpi=style.dpi, facecolor=style.background)
    figure.set_layout_engine("none")
    return figure


def _with_minus(value: str) -> str:
    """Return a text whose negative numbers have the minus sign that the color bar's have."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", value)


def _statistics(values: Plane) -> dict[str, float]:
    """Return least, greatest and mean of the values that are finite; NaN of none."""
    is_whole = np.isfinite([values.min(), values.max()]).all()
    known = values if is_whole else values[np.isfinite(values)]
    if not known.size:
        return dict.fromkeys(STATISTICS_FIELDS, float("nan"))
    found = float(known.min()), float(known.max()), float(known.mean(dtype=np.float64))
    return dict(zip(STATISTICS_FIELDS, found, strict=True))
