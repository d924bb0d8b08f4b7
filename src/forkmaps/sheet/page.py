"""A page of a contact sheet: title, color bar and labels are drawn, the maps' pixels put between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from forkmaps.encode import Picture
from forkmaps.figures import inches
from forkmaps.render.artists import Caption, fonts_told
from forkmaps.render.colorbar import color_bar
from forkmaps.sheet.arrangement import Label, Page
from forkmaps.sheet.cells import Cell, grown
from forkmaps.sheet.space import frame_margin
from forkmaps.sheet.table import Place, Table
from forkmaps.style.colorscale import ColorScale
from forkmaps.style.layout import Layout

_FAILED_COLOR = "firebrick"


def draw_page(page: Page, table: Table, cells: Mapping[Place, Cell], title: str) -> Picture:
    """Draw a page. Returns (rows, columns, 3) uint8 RGB."""
    paper = _Paper(page)
    with fonts_told():
        paper.draw(table, title)
        for label in page.labels:
            paper.write(label)
        for place, box in page.boxes.items():
            if isinstance(cell := cells[place], str):
                middle = box.left + box.width / 2, box.bottom + box.height / 2
                paper.write(Label(f"failed: {cell}", *middle, box.width), color=_FAILED_COLOR)
    pixels = np.array(paper.pixels[:, :, :3])
    for place, box in page.boxes.items():
        if not isinstance(cell := cells[place], str):
            grown(box, frame_margin(page.style)).of(pixels)[:] = cell
    return pixels


class _Paper:
    """A figure of a page's size, and what is drawn on it."""

    def __init__(self, page: Page) -> None:
        self.style, self.layout = page.style, Layout.of(page.style)
        size, dpi = self.layout.size, page.style.dpi
        figsize = inches(size.width, dpi), inches(size.height, dpi)
        self.figure = Figure(figsize, dpi=dpi, facecolor=page.style.background)
        self.figure.set_layout_engine("none")
        self._agg = cast(Any, FigureCanvasAgg(self.figure)).get_renderer()

    @property
    def pixels(self) -> Picture:
        """All pixels, (rows, columns, 4) RGBA."""
        return np.asarray(self._agg.buffer_rgba())

    def draw(self, table: Table, title: str) -> None:
        """Draw the background, the color bar and the title."""
        for artist in (self.figure.patch, *self._color_bar(table)):
            artist.draw(self._agg)
        style, layout = self.style, self.layout
        middle, room = layout.map.left + layout.map.width / 2, layout.map.width
        self.write(Label(title, middle, layout.title, room), size=style.title_size)
        if style.has_color_bar:
            text = style.label if style.label is not None else table.color_label(style.unit)
            self.write(Label(text, middle, layout.label, room))

    def write(self, label: Label, *, size: float | None = None, color: str = "black") -> None:
        """Write a text, shrunk and cut to its room."""
        caption = Caption(
            self.figure, label.y, label.room, size=size or self.style.label_size, font=self.style.font
        )
        caption.show(label.text, self._agg)
        caption.text.set(x=label.x / self.layout.size.width, color=color)
        caption.text.set_rotation(90 if label.upright else 0)
        caption.text.draw(self._agg)

    def _color_bar(self, table: Table) -> list[Artist]:
        font = FontProperties(family=self.style.font, size=self.style.label_size)

        def width(label: str) -> float:
            return float(self._agg.get_text_width_height_descent(label, font, False)[0])

        scale = ColorScale(self.style, *table.raster.value_range)
        return color_bar(self.figure, self.style, scale, self.layout, width)
