"""How large the maps of a contact sheet are, and how much room they need around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from forkmaps.errors import DrawingError
from forkmaps.projection import Size
from forkmaps.style import Style
from forkmaps.style.layout import Layout

CELL_INCHES = 3.0
"""Width of a map, where there is room."""
_LEAST_CELL = 120
"""Pixels: the least width of a map, unless another is asked for."""
_FEWEST = 40
"""Pixels: less is no map."""
_MOST_PAGE = 8000
"""Pixels: the most that a page is wide or high, but for the color bar and the title."""
_EMPTY_PLACES = 4.0
"""Weight of a page's share of empty places against its oblongness: no single map in a last row of six."""
_GAP = 6.0
"""Points between two maps."""
_LINE_HEIGHT = 1.4
"""Height of a line of text, in font sizes."""
_POINTS_PER_INCH = 72.0


@dataclass(frozen=True, slots=True)
class Space:
    """What maps need around them, in pixels, and what is the same for maps of any size.

    Attributes
    ----------
    dpi : float
    aspect : float
        A map's height by its width: that of the large maps.
    gap : int
        Between two maps.
    line : int
        Height of a line of a label.
    left, top : int
        Beside the first column, over the first row: for the labels of a table.
    caption : int
        Over each map: for its own label.
    """

    dpi: float
    aspect: float
    gap: int
    line: int
    left: int
    top: int
    caption: int

    @classmethod
    def of(cls, style: Style, *, wrapped: bool) -> Self:
        """Return what maps need; those that are `wrapped` each have a label of their own."""
        large, pixel = Layout.of(style).map, style.dpi / _POINTS_PER_INCH
        line = round(style.label_size * _LINE_HEIGHT * pixel)
        gap = max(round(_GAP * pixel), 2 * frame_margin(style) + 1)
        beside = 0 if wrapped else line + gap // 2
        return cls(style.dpi, large.height / large.width, gap, line, beside, beside, line if wrapped else 0)

    def cell(self, width: int) -> Size:
        """Return the size of a map of a width in pixels."""
        return Size(width, max(round(width * self.aspect), 1))

    def sized(self, inches: float) -> Size:
        """Return the size of a map of a width in inches."""
        return self.cell(max(round(inches * self.dpi), 1))

    def size(self, cell: Size, columns: int, rows: int) -> Size:
        """Return the size of so many maps with their labels."""
        width = self.left + columns * (cell.width + self.gap) - self.gap
        height = self.top + rows * (self.caption + cell.height + self.gap) - self.gap
        return Size(width, height)

    def fitting(self, columns: int, rows: int) -> Size:
        """Return the size of maps of which so many fit on a page, if they need not be too small for that."""
        across = (_MOST_PAGE - self.left + self.gap) // columns - self.gap
        up = (_MOST_PAGE - self.top + self.gap) // rows - self.gap - self.caption
        width = min(self.sized(CELL_INCHES).width, across, math.floor(up / self.aspect))
        return self.cell(max(width, _LEAST_CELL))

    def most(self, cell: Size) -> tuple[int, int]:
        """Return how many columns and rows fit on a page: one at least."""
        across = (_MOST_PAGE - self.left + self.gap) // (cell.width + self.gap)
        up = (_MOST_PAGE - self.top + self.gap) // (self.caption + cell.height + self.gap)
        return max(across, 1), max(up, 1)

    def square(self, count: int, cell: Size) -> int:
        """Return how many columns make so many maps nearly a square that is full."""

        def fault(columns: int) -> float:
            rows = math.ceil(count / columns)
            size = self.size(cell, columns, rows)
            empty = 1 - count / (columns * rows)
            return abs(math.log(size.width / size.height)) + _EMPTY_PLACES * empty

        return min(range(1, count + 1), key=fault)

    def check(self, cell: Size) -> None:
        """Raise DrawingError for maps that are too small, or that no page has room for."""
        page = self.size(cell, 1, 1)
        if min(cell.width, cell.height) < _FEWEST or max(page.width, page.height) > _MOST_PAGE:
            raise DrawingError(
                f"contact_sheet: maps of {cell.width} x {cell.height} pixels can't be; they need {_FEWEST} "
                f"at least, and must fit on {_MOST_PAGE} x {_MOST_PAGE}: give another cell_width (inches)"
            )


def frame_margin(style: Style) -> int:
    """Return how many pixels a map's frame reaches beyond the map."""
    return math.ceil(style.frame * style.dpi / _POINTS_PER_INCH / 2) + 1 if style.frame else 0
