"""The figures to reach, and the table that tells whether they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure: its key in bench.json, what it is, and what is wanted of it.

    `limit` is the most it may be, with `at_least` the least; None: nothing is wanted.
    """

    key: str
    what: str
    limit: float | None = None
    at_least: bool = False
    digits: int = 2

    @property
    def wanted(self) -> str:
        if self.limit is None:
            return ""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        if self.limit is None:
            return True
        return value >= self.limit if self.at_least else value <= self.limit

    def verdict(self, value: float) -> str:
        if self.limit is None:
            return ""
        return "yes" if self.is_met(value) else "NO"


FIGURES = (
    Figure("ms_per_map", "one 1400 x 900 map on one worker, to its file, ms", digits=1),
    Figure("ratio_png", "our map / Pillow level 1 encoding only", 1.0),
    Figure("ratio_baseline", "the question's script / our map", 350, at_least=True, digits=0),
    Figure("ratio_bytes", "our PNG / Pillow level 3, bytes", 1.0),
    Figure("ratio_cells", "time per map, ten times the raster's cells", 1.1),
    Figure("speedup_two_workers", "maps per second, 2 workers / 1", 1.85, at_least=True),
    Figure("private_mb", "private memory of a worker after 50 maps, MB", 45.0, digits=1),
    Figure("pss_over_bound", "memory with 8 workers / 1.15 data + imports + 8 x 45 MB", 1.0),
    Figure("ratio_help", "--help, wrong option / python -c pass", 8.0, digits=1),
    Figure("ratio_first_map", "command to first map, warm cache / imports only", 1.5),
    Figure("prepare_seconds", "preparing boundaries and pyramid, warm cache, s", 0.1),
    Figure("rerun_seconds", "500 maps of which nothing has changed, the command, s", 2.0),
    Figure(
        "start_methods_differ", "states whose picture differs between fork, forkserver, spawn", 0, digits=0
    ),
    Figure("spawn_data_over_bound", "data in 4 spawned workers (PSS) / 1.15 data", 1.0),
    Figure("spawn_start_seconds", "a spawned worker's start after its imports, s", 0.3),
    Figure("grid_first_panel_seconds", "a grid over 2 GB: begin of its first panel, s", 0.5),
    Figure("ratio_grid_pickled", "that grid, items pickled by multiprocessing / ours", digits=1),
    Figure("grid_private_mb", "private memory of that grid's workers, MB", 45.0, digits=1),
    Figure("ratio_counties", "all counties, 2 workers / counties x median map / 2", 1.15),
)
"""In the order of the table."""


def table(figures: Mapping[str, float]) -> str:
    """Return the figures that are there as a table: what, figure, wanted, met?"""
    rows = [
        (one.what, f"{figures[one.key]:,.{one.digits}f}", one.wanted, one.verdict(figures[one.key]))
        for one in FIGURES
        if one.key in figures
    ]
    rows.insert(0, ("what", "figure", "wanted", "met?"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [row_line(row, widths) for row in rows]
    rule = f"| {'-' * widths[0]} | {'-' * (widths[1] - 1)}: | {'-' * widths[2]} | {'-' * widths[3]} |"
    return "\n".join([lines[0], rule, *lines[1:]])


def row_line(row: tuple[str, ...], widths: list[int]) -> str:
    what, figure, wanted, met = row
    return f"| {what:{widths[0]}} | {figure:>{widths[1]}} | {wanted:{widths[2]}} | {met:{widths[3]}} |"
