"""Contact sheets: all maps of a set, small, on one picture with one title and one color bar.

Regions are rows and bands columns, with labels; where there is only one band or one region, the maps fill a
grid that is nearly square, each with its own label. A map shows what the large one shows: the same extent,
the same colors. Workers draw the maps (`cells`), this process puts them on pages (`page`) that were laid out
before (`arrangement`); nothing resamples a map's pixels.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from forkmaps.encode import Picture, encode_png, encode_webp
from forkmaps.errors import DrawingError, OutputError, counted, first_of
from forkmaps.html import block, image
from forkmaps.html import table as html_table
from forkmaps.output import make_folders, write_whole
from forkmaps.plan import Plan, plan_maps
from forkmaps.pool import StartMethod
from forkmaps.progress import Progress
from forkmaps.regions.given import Regions
from forkmaps.shared import SharedData
from forkmaps.sheet.arrangement import Arrangement
from forkmaps.sheet.cells import CellDrawer, draw_cells
from forkmaps.sheet.page import draw_page
from forkmaps.sheet.table import Table
from forkmaps.style import Line, Style

__all__ = ["ContactSheet", "contact_sheet"]

_SHOWN_PAGES = 4
"""So many pages are shown in a notebook, in whose file they stay ..."""
_SHOWN_SIDE = 1000
"""... at most so many pixels wide and high."""
_SHOWN_FAILURES = 20
"""So many maps that failed are named by the warning; one cause can fail all of them."""


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """A contact sheet, on one page or more.

    Attributes
    ----------
    pages : tuple of (rows, columns, 3) uint8
        RGB, top row first.
    dpi : float
        Pixels per inch.
    failures : tuple of str
        The maps that could not be drawn, and why.
    """

    pages: tuple[Picture, ...]
    dpi: float
    failures: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self._title}>"

    def _repr_html_(self) -> str:
        shown = (image(page, f"page {n}", side=_SHOWN_SIDE) for n, page in enumerate(self.pages, start=1))
        failed = ([failure] for failure in self.failures)
        listed = html_table(["failed"], failed, total=len(self.failures))
        return block(self._title, *islice(shown, _SHOWN_PAGES), listed)

    @property
    def _title(self) -> str:
        sizes = dict.fromkeys(f"{page.shape[1]} x {page.shape[0]}" for page in self.pages)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"ContactSheet of {counted(len(self.pages), 'page')}, {' and '.join(sizes)} pixels{failed}"

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Write the sheet to a PNG or WebP file; several pages to `name-1.png`, `name-2.png` and so on.

        Raises
        ------
        OutputError
            The suffix is another, or a file can't be written.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in (".png", ".webp"):
            raise OutputError(f"{path}: a contact sheet is a .png or .webp file")
        make_folders([path])
        paths = _page_paths(path, len(self.pages))
        for one, page in zip(paths, self.pages, strict=True):
            write_whole(one, encode_webp(page) if suffix == ".webp" else encode_png(page, dpi=self.dpi))
        return paths


def contact_sheet(
    shared: SharedData,
    plan: Plan | Regions,
    *,
    style: Style | None = None,
    lines: Mapping[str, Line] | None = None,
    title: str | None = None,
    cell_width: float | None = None,
    workers: int | None = None,
    timeout: float | None = None,
    start_method: StartMethod = "auto",
    show_progress: bool = True,
) -> ContactSheet:
    """Draw all maps of a set as one picture: regions are its rows, bands its columns.

    Parameters
    ----------
    shared : SharedData
    plan : Plan, or regions as `render_maps` takes them
        A set's plan, with its style; or regions, at all bands of the first raster.
    style : Style
        For regions: how the maps look; default: `Style()`. Lines are drawn thinner than on the large maps.
    lines : mapping of str to Line
        For regions: which boundary layers are drawn, and how; default: all of them.
    title : str
        Default: what all maps have in common: the raster's name, a band's name, a valid time.
    cell_width : float
        Of a map, in inches. Default: 3, and less on a sheet of many maps. What does not fit on a page of
        8000 x 8000 pixels with maps 120 pixels wide goes on several pages.
    workers : int
        None: one for each usable CPU; 0: draw in this process.
    timeout : float
        Seconds that one map may take.
    start_method : "auto", "fork", "forkserver" or "spawn"
        How workers come into being.
    show_progress : bool
        Show progress on stderr: a bar on a terminal or in a notebook, else lines.

    Returns
    -------
    ContactSheet
        A map that failed has a word in its place.

    Warns
    -----
    UserWarning
        Once, naming the maps that failed.

    Raises
    ------
    DrawingError
        The maps are of several rasters, which no one color bar is for; a user's function draws figures of its
        own in their place; or `cell_width` is too small, or too large for a page.
    RegionError
        Regions lie outside of the raster.
    ForkUnsafe
        A worker forked from this process could hang.
    """
    plan = _plan_of(shared, plan, style, lines)
    table = Table.of(shared, [one.job for one in plan.maps])
    title = table.title(plan.name) if title is None else title
    arrangement = Arrangement.of(table, plan.style, title=title, cell_width=cell_width)
    progress = Progress(len(table.cells), sys.stderr if show_progress else None)
    drawer = CellDrawer(shared, plan, table, arrangement.cell)
    pool = drawer.pool(workers=workers, timeout=timeout, start_method=start_method)
    drawn = draw_cells(drawer, pool, progress)
    pages = tuple(draw_page(page, table, drawn, title) for page in arrangement.pages)
    failures = tuple(f"{table.name(one)}: {cell}" for one, cell in drawn.items() if isinstance(cell, str))
    if failures:
        warnings.warn(_told(failures, len(drawn)), stacklevel=2)
    return ContactSheet(pages, plan.style.dpi, failures)


def _plan_of(
    shared: SharedData, plan: Plan | Regions, style: Style | None, lines: Mapping[str, Line] | None
) -> Plan:
    if not isinstance(plan, Plan):
        file = "{region.name}-{band.number}.png"  # no file is written
        return plan_maps(shared, plan, folder=".", style=style, lines=lines, file=file)
    if style is not None or lines is not None:
        raise DrawingError("contact_sheet: a plan has a style and lines of its own; plan the maps with these")
    if plan.plotter is not None and not plan.plotter.on_map:
        raise DrawingError(
            f"contact_sheet: {plan.plotter.name} draws figures of its own in place of maps; "
            "a sheet shows maps: give the function parameters (axes, shared, region)"
        )
    return plan


def _page_paths(path: Path, pages: int) -> tuple[Path, ...]:
    if pages == 1:
        return (path,)
    digits = len(str(pages))
    return tuple(path.with_stem(f"{path.stem}-{number:0{digits}d}") for number in range(1, pages + 1))


def _told(failures: Sequence[str], total: int) -> str:
    lines = first_of(failures, _SHOWN_FAILURES)
    return "\n  ".join([f"{len(failures)} of {total} maps failed:", *lines])
