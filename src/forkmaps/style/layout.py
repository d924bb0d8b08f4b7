"""Where things stand on a picture: a title strip, the map in its padding, a thin color bar with labels.

Boxes are whole pixels, so that the map's pixels are the picture's. Nothing is measured by drawing it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forkmaps.errors import StyleError
from forkmaps.projection import Size
from forkmaps.style import Style

_MARGIN = 10.0
"""Points between the picture's edge and what stands on it."""
_LINE_HEIGHT = 1.4
"""Height of a line of text, in font sizes."""
_BAR = 9.0
"""Thickness of the color bar, in points."""
_TICK = 3.0
"""Length of the color bar's ticks, in points."""
_BAR_INSET = 2.5
"""The color bar is shorter than the map by this many label sizes at either end: room for half a label."""
_MOST_INSET = 8
"""... but by no more than this fraction of the map's width."""
_LEAST_MAP = 40
"""Pixels: the least width and height of a map."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, from the picture's lower left corner."""

    left: int
    bottom: int
    width: int
    height: int

    def fractions(self, size: Size) -> tuple[float, float, float, float]:
        """Return left, bottom, width, height in fractions of a picture, as `Figure.add_axes` takes them."""
        return (
            self.left / size.width,
            self.bottom / size.height,
            self.width / size.width,
            self.height / size.height,
        )

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this part of a picture's (rows, columns, 4) pixels, top row first: a view on them."""
        bottom = len(pixels) - self.bottom
        return pixels[bottom - self.height : bottom, self.left : self.left + self.width]


@dataclass(frozen=True, slots=True)
class Layout:
    """Places on a picture, in pixels from its lower left corner.

    Attributes
    ----------
    size : Size
        The picture's.
    map : Box
    color_bar : Box or None
        None where the style has none.
    tick : int
        Length of the color bar's ticks, below the bar.
    title, subtitle, tick_labels, label : float
        Heights of the middles of these lines of text.
    """

    size: Size
    map: Box
    color_bar: Box | None
    tick: int
    title: float
    subtitle: float
    tick_labels: float
    label: float

    @property
    def map_size(self) -> Size:
        """The map's width and height."""
        return Size(self.map.width, self.map.height)

    @classmethod
    def of(cls, style: Style) -> Self:
        """Return the layout for a style.

        Raises
        ------
        StyleError
            The picture is too small for a map beside its texts.
        """
        size, pixels = style.size, _Pixels(style.dpi)
        margin, gap = pixels(_MARGIN), pixels(_MARGIN / 2)
        title = pixels(style.title_size * _LINE_HEIGHT) if style.title else 0
        subtitle = pixels(style.subtitle_size * _LINE_HEIGHT) if style.subtitle else 0
        label, tick, bar = pixels(style.label_size * _LINE_HEIGHT), pixels(_TICK), pixels(_BAR)
        above = gap + title + subtitle + (gap if title or subtitle else 0)
        bar_bottom = gap + 2 * label + tick
        bottom = bar_bottom + bar + gap if style.has_color_bar else margin
        padding = pixels(style.padding) if style.padding else 0
        box = Box(
            left=margin + padding,
            bottom=bottom + padding,
            width=size.width - 2 * (margin + padding),
            height=size.height - above - bottom - 2 * padding,
        )
        _check_room(box, size)
        inset = min(pixels(_BAR_INSET * style.label_size), box.width // _MOST_INSET)
        return cls(
            size=size,
            map=box,
            color_bar=Box(box.left + inset, bar_bottom, box.width - 2 * inset, bar)
            if style.has_color_bar
            else None,
            tick=tick,
            title=size.height - gap - title / 2,
            subtitle=size.height - gap - title - subtitle / 2,
            tick_labels=gap + 1.5 * label,
            label=gap + label / 2,
        )


class _Pixels:
    """Points to whole pixels, one at least."""

    def __init__(self, dpi: float) -> None:
        self.per_point = dpi / 72.0

    def __call__(self, points: float) -> int:
        return max(round(points * self.per_point), 1)


def _check_room(box: Box, size: Size) -> None:
    if min(box.width, box.height) < _LEAST_MAP:
        raise StyleError(
            f"a picture of {size.width} x {size.height} pixels leaves {box.width} x {box.height} for the "
            f"map; make width or height larger, or texts and padding smaller"
        )
