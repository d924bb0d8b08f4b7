"""The color bar: a thin strip of the map's own colors, ticks, and points for values beyond its ends.

Drawn with a few artists of our own, in a fraction of the time that `Figure.colorbar` takes each worker, and
with labels chosen so that they do not touch. All steps have the same width, however uneven the levels are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from forkmaps.render.artists import PixelImage, plain_text
from forkmaps.render.ticks import Measure, Ruler, Tick

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from forkmaps.style import Style
    from forkmaps.style.colorscale import ColorScale
    from forkmaps.style.layout import Box, Layout

_LINE_WIDTH = 0.8
"""Points; of the outline and the ticks."""
_GAP = 0.7
"""Between two labels, in label sizes."""
_POINT = 1.5
"""Length of the point at an end, in thicknesses of the bar."""


def color_bar(
    figure: Figure, style: Style, scale: ColorScale, layout: Layout, measure: Measure
) -> list[Artist]:
    """Put a color bar, if the style has one, on a figure; return its artists in the order they are drawn in.

    `measure` gives the width of a label, in pixels.
    """
    if layout.color_bar is None:
        return []
    strip = _Strip.of(layout.color_bar, scale.extend)
    limits = (scale.norm.vmin, scale.norm.vmax) if style.levels is None else style.levels
    ticks = _ruler(strip, style, limits, measure).ticks(style.ticks)
    pixels = Affine2D().scale(1 / layout.size.width, 1 / layout.size.height) + figure.transFigure
    artists = [
        _colors(strip, pixels, scale, limits),
        *_points(strip, pixels, scale),
        _line(strip.outline(), pixels),
        _line(_marks(strip, ticks, layout.tick), pixels),
        *_labels(strip, ticks, pixels, style, layout),
    ]
    for artist in artists:
        figure.add_artist(artist)
    return artists


@dataclass(frozen=True, slots=True)
class _Strip:
    """The bar without the points at its ends, in pixels; a point is 0 long where there is none."""

    left: int
    right: int
    bottom: int
    top: int
    left_point: int
    right_point: int

    @classmethod
    def of(cls, box: Box, extend: str) -> Self:
        point = round(_POINT * box.height)
        before, after = point * (extend in ("min", "both")), point * (extend in ("max", "both"))
        left, right = box.left + before, box.left + box.width - after
        return cls(left, right, box.bottom, box.bottom + box.height, before, after)

    @property
    def length(self) -> int:
        return self.right - self.left

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2

    def x(self, tick: Tick) -> float:
        return self.left + tick.place * self.length

    def outline(self) -> Path:
        corners = [
            (self.left, self.bottom),
            (self.right, self.bottom),
            (self.right + self.right_point, self.middle),
            (self.right, self.top),
            (self.left, self.top),
            (self.left - self.left_point, self.middle),
        ]
        return Path([*corners, corners[0]], closed=True)


def _ruler(strip: _Strip, style: Style, limits: Sequence[float], measure: Measure) -> Ruler:
    gap = _GAP * style.label_size * style.dpi / 72
    return Ruler(
        limits=limits,
        length=strip.length,
        room=strip.left - gap / 2,
        gap=gap,
        measure=measure,
        stepped=style.levels is not None,
    )


def _colors(strip: _Strip, pixels: Transform, scale: ColorScale, limits: Sequence[float]) -> PixelImage:
    box = Bbox.from_extents(strip.left, strip.bottom, strip.right, strip.top)
    image = PixelImage(TransformedBbox(box, pixels))
    along = (np.arange(strip.length) + 0.5) / strip.length
    values = np.interp(along, np.linspace(0, 1, len(limits)), limits).astype(np.float32)
    image.pixels = np.repeat(scale.colors(values[None]), strip.top - strip.bottom, axis=0)
    return image


def _points(strip: _Strip, pixels: Transform, scale: ColorScale) -> list[Artist]:
    """Return the triangles at the ends, in the colors of values beyond them."""
    ends = (
        (strip.left, -strip.left_point, scale.cmap.get_under()),
        (strip.right, strip.right_point, scale.cmap.get_over()),
    )
    return [
        Polygon(
            [(x, strip.bottom), (x + reach, strip.middle), (x, strip.top)],
            facecolor=color,
            edgecolor="none",
            transform=pixels,
        )
        for x, reach, color in ends
        if reach
    ]


def _line(path: Path, pixels: Transform) -> PathPatch:
    return PathPatch(path, fill=False, edgecolor="black", linewidth=_LINE_WIDTH, transform=pixels)


def _marks(strip: _Strip, ticks: Sequence[Tick], length: int) -> Path:
    ends = [(strip.x(tick), y) for tick in ticks for y in (strip.bottom, strip.bottom - length)]
    return Path(np.reshape(ends, (-1, 2)), [Path.MOVETO, Path.LINETO] * len(ticks))


def _labels(
    strip: _Strip, ticks: Sequence[Tick], pixels: Transform, style: Style, layout: Layout
) -> list[Artist]:
    common: dict[str, Any] = {"transform": pixels, "fontsize": style.label_size, **plain_text(style.font)}
    return [Text(strip.x(tick), layout.tick_labels, tick.label, **common) for tick in ticks if tick.label]
