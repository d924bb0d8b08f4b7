"""How maps look: every option, once, with its default. Frozen, validated when made.

Lengths on paper are points (1/72 inch) or inches; colors and palettes are matplotlib's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

import matplotlib as mpl
import matplotlib.colors as mcolors
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forkmaps.errors import StyleError, nearest
from forkmaps.projection import Size
from forkmaps.style.options import Listed, Options
from forkmaps.style.palette import known_palette, palette_name
from forkmaps.style.template import MAP_FIELDS, Template

MOST_PIXELS = 20_000
"""Ceiling of a picture's width and height: 1.2 GB of pixels."""
_FEWEST_PIXELS = 120
"""Less holds no map between a title and a color bar."""


_BUNDLED_FONT = "DejaVu Sans"
"""The font that matplotlib brings along."""
_GENERIC_FONTS = ("sans-serif", "serif", "monospace")
"""Families that matplotlib finds a font for on any machine."""


def _color(value: str) -> str:
    if not mcolors.is_color_like(value):
        raise ValueError(
            f'"{value}" is not a color{nearest(value, list(mcolors.CSS4_COLORS))}; '
            f'write a name like "white" or "none", "#rrggbb", or a gray level like "0.8"'
        )
    return value


def _opaque(value: str) -> str:
    if mcolors.to_rgba(value)[3] < 1:
        raise ValueError(f'a color that hides what is behind it is needed, not "{value}"')
    return value


def _font(value: str) -> str:
    if value in (_BUNDLED_FONT, *_GENERIC_FONTS):
        return value
    from matplotlib.font_manager import fontManager  # reads a file of its own: only where it is needed

    known = {font.name for font in fontManager.ttflist}
    if value not in known:
        raise ValueError(
            f'the font "{value}" is not on this machine, among {len(known)}{nearest(value, sorted(known))}; '
            f'"{_BUNDLED_FONT}" and the families {", ".join(_GENERIC_FONTS)} are on every one'
        )
    return value


def _template(value: str) -> str:
    try:
        Template(value, MAP_FIELDS)
    except StyleError as error:
        raise ValueError(str(error)) from error
    return value


Color = Annotated[str, AfterValidator(_color)]
Opaque = Annotated[Color, AfterValidator(_opaque)]
Palette = Annotated[str, BeforeValidator(palette_name), AfterValidator(known_palette)]
TemplateText = Annotated[str, AfterValidator(_template)]
Font = Annotated[str, AfterValidator(_font)]
Points = Annotated[float, Field(ge=0, le=100)]
TextSize = Annotated[float, Field(ge=1, le=200)]
Value = Annotated[float, Field(ge=-3.4e38, le=3.4e38)]
"""In the raster's unit; what float32 holds."""
Inches = Annotated[float, Field(gt=0, le=200)]


class Line(Options):
    """How one boundary layer is drawn."""

    linewidth: Points = 0.8
    """Width of its lines, in points (1/72 inch); 0 draws none."""
    color: Color = "black"
    """Color of its lines."""
    fill: Color = "none"
    """Color of its areas, which a layer has that was loaded with `Boundary(..., filled=True)`."""


class Style(Options):
    """How the maps of a set look."""

    palette: Palette = "viridis"
    """Name of a matplotlib color map; in Python also a color map itself."""
    colors: Listed[tuple[Color, ...] | None] = None
    """Colors in place of a palette: one for each step between levels, or to shade between."""
    levels: Listed[tuple[Value, ...] | None] = None
    """Limits of the palette's steps, ascending, in the raster's unit; excludes `min` and `max`."""
    min: Value | None = None
    """Value at the palette's first color, in the raster's unit; default: the least of the raster's bands that
    are drawn."""
    max: Value | None = None
    """Value at the palette's last color, in the raster's unit; default: the greatest of the raster's bands
    that are drawn."""
    ticks: Listed[tuple[Value, ...] | None] = None
    """Values that the color bar is labelled at; default: the levels, or matplotlib's choice."""
    unit: str | None = None
    """Unit on the color bar; default: the raster's."""
    label: str | None = None
    """Text under the color bar; default: the band's name and unit."""
    under: Color | None = None
    """Color of values less than `min`, or the first level; default: the palette's own for these, which is its
    first unless it was made with another."""
    over: Color | None = None
    """Color of values greater than `max`, or the last level; default: the palette's own for these, which is
    its last unless it was made with another."""
    no_data: Color = "white"
    """Color of places without data."""
    interpolation: Literal["nearest", "linear"] = "nearest"
    """Cells larger than a pixel have one color each ("nearest"), or shade into their neighbors ("linear")."""
    width: Inches = 14.0
    """Width of the picture, in inches."""
    height: Inches = 9.0
    """Height of the picture, in inches."""
    dpi: Annotated[float, Field(gt=0, le=1200)] = 100.0
    """Pixels per inch."""
    title: TemplateText = "{region.title}"
    """Template of the line above the map."""
    subtitle: TemplateText = ""
    """Template of a second, smaller line there."""
    title_size: TextSize = 16.0
    """Size of the title's letters, in points."""
    subtitle_size: TextSize = 11.0
    """Size of the subtitle's letters, in points."""
    label_size: TextSize = 10.0
    """Size of the letters at the color bar, in points."""
    font: Font = _BUNDLED_FONT
    """Name of a font on this machine, or of a family: "sans-serif", "serif", "monospace"."""
    background: Opaque = "white"
    """Color of the picture around the map."""
    frame: Points = 0.8
    """Width of the map's frame, in points; 0 draws none."""
    padding: Points = 0.0
    """Room left free around the map, in points, for what functions draw beside it: labels of gridlines."""
    raster: bool = True
    """Whether the raster is drawn; without it, and its color bar, there are lines and what functions add."""
    color_bar: bool = True
    """Whether there is a color bar under the map."""

    @property
    def has_color_bar(self) -> bool:
        """Whether a color bar is drawn."""
        return self.raster and self.color_bar

    @property
    def size(self) -> Size:
        """The picture's size in pixels."""
        return Size(round(self.width * self.dpi), round(self.height * self.dpi))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min is not None and self.max is not None and not self.min < self.max:
            raise ValueError(f"min {self.min:g} is not less than max {self.max:g}")
        if self.levels is not None:
            self._check_levels(self.levels)
        elif self.colors is not None and len(self.colors) < 2:
            raise ValueError(
                "colors to shade between are two or more; or give levels, with a color for each step"
            )
        for side, pixels in (("width", self.size.width), ("height", self.size.height)):
            if not _FEWEST_PIXELS <= pixels <= MOST_PIXELS:
                raise ValueError(
                    f"{side} x dpi is {pixels} pixels; {_FEWEST_PIXELS} to {MOST_PIXELS} are possible"
                )
        return self

    def _check_levels(self, levels: tuple[float, ...]) -> None:
        if self.min is not None or self.max is not None:
            raise ValueError("levels and min or max exclude each other; leave out one of them")
        if len(levels) < 2 or any(a >= b for a, b in pairwise(levels)):
            raise ValueError(f"levels must be two or more ascending numbers, not {list(levels)}")
        steps = len(levels) - 1
        if self.colors is not None and len(self.colors) != steps:
            found = f"{len(levels)} levels have {steps} steps between them"
            raise ValueError(f"{found}, but there are {len(self.colors)} colors")
        if self.colors is None and steps > (shades := mpl.colormaps[self.palette].N):
            found = f"{len(levels)} levels have {steps} steps between them"
            raise ValueError(f'{found}, but the palette "{self.palette}" has only {shades} colors')
