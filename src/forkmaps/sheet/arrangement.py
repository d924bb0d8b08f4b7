"""Where the maps of a contact sheet stand: how large they are, on which page, and in which row and column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from forkmaps.projection import Size
from forkmaps.sheet.space import CELL_INCHES, Space
from forkmaps.sheet.table import Place, Table
from forkmaps.style import Style
from forkmaps.style.layout import Box, Layout

_LEAST_PAGE_INCHES = 4.0
"""The least width of what is between title and color bar: these need room on a sheet of few maps, too."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text on a page.

    Attributes
    ----------
    x, y : float
        Its middle, in pixels from the page's lower left corner.
    room : float
        Pixels along the text.
    upright : bool
        Whether it runs from below upwards.
    """

    text: str
    x: float
    y: float
    room: float
    upright: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its style as of a large map, which title and color bar stand in, its maps and their labels."""

    style: Style
    boxes: Mapping[Place, Box]
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A contact sheet before it is drawn.

    Attributes
    ----------
    cell : Size
        Of a map, in pixels.
    pages : tuple of Page
    """

    cell: Size
    pages: tuple[Page, ...]

    @classmethod
    def of(cls, table: Table, style: Style, *, title: str, cell_width: float | None = None) -> Self:
        """Arrange the maps of a table, in the style of the large maps.

        Parameters
        ----------
        title : str
            Of each page; "" leaves no room for one.
        cell_width : float
            Of a map, in inches; default: what fits.

        Raises
        ------
        DrawingError
            The width of a map is none that it can have on a page.
        """
        wrapped = 1 in (len(table.regions), len(table.bands))
        space = Space.of(style, wrapped=wrapped)
        columns, rows = len(table.bands), len(table.regions)
        if wrapped:
            columns = space.square(len(table.cells), space.sized(CELL_INCHES))
            rows = math.ceil(len(table.cells) / columns)
        cell = space.fitting(columns, rows) if cell_width is None else space.sized(cell_width)
        space.check(cell)
        blocks = _wrapped(table, space, cell) if wrapped else _parts(table, space, cell)
        return cls(cell, tuple(block.page(space, cell, style, title) for block in blocks))


@dataclass(frozen=True, slots=True)
class _Block:
    """What stands on one page.

    Attributes
    ----------
    places : mapping of Place to (int, int)
        Row and column of each map on the page, the first row on top.
    columns, rows : int
    column_labels, row_labels : sequence of str
    captions : mapping of Place to str
    """

    places: Mapping[Place, tuple[int, int]]
    columns: int
    rows: int
    column_labels: Sequence[str] = ()
    row_labels: Sequence[str] = ()
    captions: Mapping[Place, str] | None = None

    def page(self, space: Space, cell: Size, style: Style, title: str) -> Page:
        """Find out where everything stands."""
        size = space.size(cell, self.columns, self.rows)
        wide = Size(max(size.width, round(_LEAST_PAGE_INCHES * style.dpi)), size.height)
        framed = _page_style(style, wide, title)
        area = Layout.of(framed).map
        left = area.left + (wide.width - size.width) // 2 + space.left
        top = area.bottom + area.height - space.top
        step = Size(cell.width + space.gap, cell.height + space.caption + space.gap)
        boxes = {
            place: Box(
                left + column * step.width,
                top - row * step.height - space.caption - cell.height,
                cell.width,
                cell.height,
            )
            for place, (row, column) in self.places.items()
        }
        over = [
            Label(text, left + n * step.width + cell.width / 2, top + space.top - space.line / 2, cell.width)
            for n, text in enumerate(self.column_labels)
        ]
        beside = [
            Label(
                text,
                left - space.left + space.line / 2,
                top - n * step.height - cell.height / 2,
                cell.height,
                upright=True,
            )
            for n, text in enumerate(self.row_labels)
        ]
        own = [
            Label(text, box.left + box.width / 2, box.bottom + box.height + space.caption / 2, box.width)
            for text, box in ((text, boxes[place]) for place, text in (self.captions or {}).items())
        ]
        return Page(framed, boxes, (*over, *beside, *own))


def _page_style(style: Style, size: Size, title: str) -> Style:
    """Return the style of a large map whose place for the map has a size in pixels."""
    bare = style.model_copy(update={"title": "title" if title else "", "subtitle": ""})
    beside = _beside(bare)
    width, height = (size.width + beside.width) / style.dpi, (size.height + beside.height) / style.dpi
    return bare.model_copy(update={"width": width, "height": height})


def cell_style(style: Style, cell: Size) -> Style:
    """Return the style of a map of a size in pixels, without title and color bar."""
    bare = style.model_copy(
        update={"title": "", "subtitle": "", "color_bar": False, "title_size": style.label_size}
    )
    beside = _beside(bare)
    width, height = (cell.width + beside.width) / style.dpi, (cell.height + beside.height) / style.dpi
    return bare.model_copy(update={"width": width, "height": height})


def _beside(style: Style) -> Size:
    """Return what stands beside a map, and over and under it, in pixels."""
    layout = Layout.of(style)
    return Size(layout.size.width - layout.map.width, layout.size.height - layout.map.height)


def _parts(table: Table, space: Space, cell: Size) -> list[_Block]:
    """Cut a table in parts that fit on pages."""
    most_columns, most_rows = space.most(cell)
    return [
        _Block(
            places={
                (region, band): (region - rows.start, band - columns.start)
                for region, band in table.cells
                if region in rows and band in columns
            },
            columns=len(columns),
            rows=len(rows),
            column_labels=[table.bands[band] for band in columns],
            row_labels=[table.regions[region] for region in rows],
        )
        for rows in _even(len(table.regions), most_rows)
        for columns in _even(len(table.bands), most_columns)
    ]


def _wrapped(table: Table, space: Space, cell: Size) -> list[_Block]:
    """Put maps that differ in one thing only in the rows of nearly square pages."""
    most_columns, most_rows = space.most(cell)
    captions = table.bands if len(table.regions) == 1 else table.regions
    places = sorted(table.cells)
    blocks = []
    for part in _even(len(places), most_columns * most_rows):
        columns = min(space.square(len(part), cell), most_columns)
        columns = max(columns, math.ceil(len(part) / most_rows))
        where = {places[number]: divmod(n, columns) for n, number in enumerate(part)}
        own = {place: captions[max(place)] for place in where}
        blocks.append(_Block(where, columns, math.ceil(len(part) / columns), captions=own))
    return blocks


def _even(count: int, most: int) -> list[range]:
    """Cut a row of things in as few parts as possible, of nearly the same length."""
    parts = math.ceil(count / most)
    return [range(part * count // parts, (part + 1) * count // parts) for part in range(parts)]
