"""Where things stand on a picture: a title strip, the map, a thin color bar with its labels.

Boxes are whole pixels, so that the map's pixels are the picture's. Nothing is measured by drawing it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from forkmaps.errors import StyleError
from forkmaps.projection import Size
from forkmaps.style import Style

_MARGIN = 10.0
"""Points between the picture's edge and what stands on it."""
_LINE_HEIGHT = 1.45
"""Height of a line of text, in font sizes."""
_BAR = 9.0
"""Thickness of the color bar, in points."""
_BAR_INSET = 0.04
"""Share of the map's width that the color bar is shorter by, at either end: room for half of its last label."""
_LEAST_MAP = 40
"""Pixels: the least width and height of a map."""

Box = tuple[float, float, float, float]
"""left, bottom, width, height in fractions of the figure, as matplotlib's `add_axes` takes them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Places on a picture, as fractions of the figure from its lower left corner.

    Attributes
    ----------
    map, color_bar : Box
    map_size : Size
        The map's width and height in pixels.
    title, subtitle : float
        Height of the middle of these lines of text.
    text_width : float
        Pixels that a line of text may fill.
    most_characters : int
        More never fit into `text_width`, however narrow.
    """

    map: Box
    color_bar: Box
    map_size: Size
    title: float
    subtitle: float
    text_width: float
    most_characters: int

    @classmethod
    def of(cls, style: Style) -> Self:
        """Return the layout for a style.

        Raises
        ------
        StyleError
            The picture is too small for a map beside its texts.
        """
        size, point = style.size, style.dpi / 72.0
        margin = round(_MARGIN * point)
        title = round(style.title_size * _LINE_HEIGHT * point) if style.title else 0
        subtitle = round(style.subtitle_size * _LINE_HEIGHT * point) if style.subtitle else 0
        half_gap = margin // 2
        top = half_gap + title + subtitle + (half_gap if title or subtitle else 0)
        labels = round(2 * style.label_size * _LINE_HEIGHT * point)
        bar = round(_BAR * point)
        bottom = half_gap + labels + bar + half_gap
        width, height = size.width - 2 * margin, size.height - top - bottom
        if min(width, height) < _LEAST_MAP:
            raise StyleError(
                f"a picture of {size.width} x {size.height} pixels leaves {width} x {height} for the map; "
                f"make width or height larger, or the texts smaller"
            )
        inset = round(width * _BAR_INSET)
        return cls(
            map=_box(margin, bottom, width, height, size),
            color_bar=_box(margin + inset, half_gap + labels, width - 2 * inset, bar, size),
            map_size=Size(width, height),
            title=1 - (half_gap + title / 2) / size.height,
            subtitle=1 - (half_gap + title + subtitle / 2) / size.height,
            text_width=float(width),
            most_characters=width,
        )


def _box(left: int, bottom: int, width: int, height: int, size: Size) -> Box:
    return left / size.width, bottom / size.height, width / size.width, height / size.height
