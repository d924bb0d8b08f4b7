"""The maps of a contact sheet: drawn by workers, without furniture of their own."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from forkmaps.drawers import drawing_pool
from forkmaps.encode import Picture
from forkmaps.plan import Plan
from forkmaps.pool import Failed, Pool, StartMethod
from forkmaps.progress import Progress
from forkmaps.projection import Size
from forkmaps.render import Renderer
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.sheet.arrangement import cell_style
from forkmaps.sheet.space import frame_margin
from forkmaps.sheet.table import Place, Table
from forkmaps.style import Line
from forkmaps.style.layout import Box, Layout

Cell: TypeAlias = Picture | str
"""Pixels of a map and of its frame around it, (rows, columns, 3) uint8; or an error's text."""

_THINNING = 0.75
"""Lines are thinner by this power of the map's size: as thin as the map is small, they would be gone."""


class CellDrawer:
    """Draws the maps of a sheet in a worker: one renderer, made there, for all of the worker's maps."""

    def __init__(self, shared: SharedData, plan: Plan, table: Table, cell: Size) -> None:
        self.shared, self.plan, self.table = shared, plan, table
        self.style = cell_style(plan.style, cell)
        thinner = (cell.width / Layout.of(plan.style).map.width) ** _THINNING
        self.lines = {name: _thinned(line, min(thinner, 1.0)) for name, line in plan.lines.items()}
        self._renderer: Renderer | None = None

    def prepare(self) -> None:
        """Make this process ready for its first map."""
        set_shared_data(self.shared)
        self._renderer = Renderer(self.shared, self.style, self.lines, self.plan.plotter)

    def draw(self, place: Place) -> Picture:
        """Draw a map; return its pixels and its frame's."""
        assert self._renderer is not None, "prepare() comes first"
        pixels = self._renderer.picture(self.table.cells[place])
        box, margin = self._renderer.layout.map, frame_margin(self.style)
        return np.ascontiguousarray(grown(box, margin).of(pixels)[:, :, :3])

    def pool(
        self, *, workers: int | None, timeout: float | None, start_method: StartMethod
    ) -> Pool[Place, Picture]:
        """Return a pool whose workers draw; for the parameters see `Pool`."""
        self.shared.warm()
        return drawing_pool(
            self.draw,
            prepare=self.prepare,
            arrays=self.shared.arrays(),
            foreign_code=self.plan.plotter is not None,
            workers=workers,
            timeout=timeout,
            start_method=start_method,
        )


def draw_cells(drawer: CellDrawer, pool: Pool[Place, Picture], progress: Progress) -> dict[Place, Cell]:
    """Draw all maps of a sheet; return them by their places."""
    cells: dict[Place, Cell] = {}
    with pool, progress:
        for outcome in pool.run(drawer.table.cells):
            cells[outcome.job] = outcome.message if isinstance(outcome, Failed) else outcome.value
            progress.step()
    return dict(sorted(cells.items()))


def grown(box: Box, margin: int) -> Box:
    """Return a box with a margin around it."""
    return Box(box.left - margin, box.bottom - margin, box.width + 2 * margin, box.height + 2 * margin)


def _thinned(line: Line, part: float) -> Line:
    return line.model_copy(update={"linewidth": line.linewidth * part})
