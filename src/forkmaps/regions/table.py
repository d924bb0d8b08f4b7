"""Regions from a text table, one per line.

All bad lines are reported in one `RegionError`, each as `path:line: "name": what was found; what to do`.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS

from forkmaps.errors import RegionError
from forkmaps.regions.cells import PLANE_SIDES, TABLE_FORMS, Table, split_table
from forkmaps.regions.extent import DEGREE_SIDES, Extent, order_faults
from forkmaps.regions.faults import FaultList, alternatives, name_key, quoted, refuse
from forkmaps.regions.region import Fields, Region, Value, crs_text, parse_crs

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def read_region_table(path: str | Path, *, crs: str | CRS | None = None) -> tuple[Region, ...]:
    """Read regions from a text table, one per line.

    The first line names the columns, in any order and case. Required are `name` and one of

    * `west`, `east`, `south`, `north`: degrees (see `Extent.from_degrees`);
    * `x0`, `x1`, `y0`, `y1`: units of `crs`, which must then be given;
    * `region`: a cell "x0, x1, y0, y1", bare or in [] or (): units of `crs`, or degrees if it is not given.

    Where a table has several, `crs` decides between the first two. `title` is optional. Further columns
    go to `Region.fields` under their names as written; as numbers if each cell of the column is a plain
    number, else as text ("01001" stays text).

    Cells are separated by comma, semicolon (decimal commas are then understood), tab or blanks; a cell
    that holds the separator is quoted. Blank lines and lines that start with # are skipped. The text is
    UTF-8, or UTF-16 with a byte order mark, or else Windows-1252 (with a warning in the log).

    Parameters
    ----------
    path : str or Path
        The file.
    crs : str or pyproj.CRS, optional
        CRS of the numbers, axis order x, y. The rules for degrees hold if it is geographic. If it is
        projected, columns named west to north are refused, since those are degrees by definition.

    Returns
    -------
    tuple of Region
        At least one, in the file's order. Names differ by more than case, since files are named by them.

    Raises
    ------
    RegionError
        If the file can't be read or has bad lines: all of them, the first 20 in words.
    """
    faults = FaultList(path, ":")
    with _collector_paused():
        table = split_table(path, faults)
        form = _table_form(table, crs)
        regions = tuple(_table_regions(table, form, faults))
    faults.raise_any()
    return regions


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector out: it takes 0.4 s of 1.5 s per 100,000 rows, and there is no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Form:
    """Which columns hold what, and how the numbers are to be read."""

    name: int
    title: int | None
    bounds: tuple[int, ...]  # four columns, or the one with all four numbers
    crs: str | None
    degrees: bool

    @property
    def labels(self) -> tuple[str, ...]:
        return DEGREE_SIDES if self.degrees else PLANE_SIDES


def _table_form(table: Table, crs: str | CRS | None) -> _Form:
    degrees = crs is None or parse_crs(crs).is_geographic
    sides = _columns_of_sides(table, crs)
    missing = [column for column in ("name", *sides) if column not in table.positions]
    refuse(f"{table.place}: {_missing(column, table)}; {TABLE_FORMS}" for column in missing[:1])
    refuse(f"{table.place}: {fault}" for fault in _unit_faults(sides, crs, degrees))
    bounds = tuple(table.positions[column] for column in sides)
    return _Form(table.positions["name"], table.positions.get("title"), bounds, crs_text(crs), degrees)


def _missing(column: str, table: Table) -> str:
    return f"no column {quoted(column)}; {alternatives(column, filter(None, table.columns))}"


def _columns_of_sides(table: Table, crs: str | CRS | None) -> tuple[str, ...]:
    """Choose the form that the table has, or else the one of which it lacks least."""
    forms = [PLANE_SIDES, DEGREE_SIDES] if crs else [DEGREE_SIDES, PLANE_SIDES]
    return min((*forms, ("region",)), key=lambda sides: len({*sides} - {*table.positions}) / len(sides))


def _unit_faults(sides: tuple[str, ...], crs: str | CRS | None, degrees: bool) -> Iterator[str]:
    if sides == PLANE_SIDES and crs is None:
        yield (
            'columns x0,x1,y0,y1 need a crs: set the list\'s crs (crs = "EPSG:5070"), '
            "or name them west,east,south,north if they are degrees"
        )
    if sides == DEGREE_SIDES and not degrees:
        yield (
            f"columns west,east,south,north are degrees, but crs {quoted(str(crs))} is projected; "
            "leave crs out, or name them x0,x1,y0,y1 if they are in its units"
        )


def _table_regions(table: Table, form: _Form, faults: FaultList) -> Iterator[Region]:
    lines_of_names: dict[str, int] = {}
    for row, fields in zip(table.rows, _further_fields(table, form), strict=True):
        name = row.cells[form.name]
        title = "" if form.title is None else row.cells[form.title]
        try:
            _claim(lines_of_names, name, row.line)
            yield Region(name, _row_extent(row.cells, form, table.decimal), form.crs, title, fields)
        except RegionError as error:
            faults.add(row.line, error, name)


def _claim(lines_of_names: dict[str, int], name: str, line: int) -> None:
    first = lines_of_names.setdefault(name_key(name), line)
    if name and first != line:
        raise RegionError(
            f"line {first} has this name already (case does not count, as files are named by it); rename one"
        )


def _row_extent(cells: list[str], form: _Form, decimal: str) -> Extent:
    texts = [cells[position] for position in form.bounds]
    if len(texts) == 1:
        texts, decimal = _unpacked(texts[0])
    numbers = [_number(text, decimal) for text in texts]
    if not all(map(math.isfinite, numbers)):
        refuse(_number_faults(texts, numbers, form.labels))
    west, east, south, north = numbers
    if form.degrees:
        return Extent.from_degrees(west, east, south, north)
    refuse(order_faults(numbers, form.labels))
    return Extent(west, east, south, north)


def _unpacked(cell: str) -> tuple[list[str], str]:
    """Take "x0, x1, y0, y1", bare or in brackets, apart; semicolons allow decimal commas."""
    body = cell[1:-1] if cell[:1] + cell[-1:] in ("[]", "()") else cell
    mark = next((mark for mark in ";," if mark in body), None)
    texts = [text.strip() for text in body.split(mark)]
    if len(texts) != 4:
        raise RegionError(f'region {quoted(cell)} has {len(texts)} parts; write 4 numbers, "x0, x1, y0, y1"')
    return texts, "," if mark == ";" else "."


def _number(text: str, decimal: str) -> float:
    """Read a number, NaN if it is none."""
    plain = text.replace(decimal, ".").replace("\N{MINUS SIGN}", "-")  # as word processors set it
    if "_" in plain or not plain.isascii():  # float reads 1_000 and other alphabets' digits
        return math.nan
    try:
        return float(plain)
    except ValueError:
        return math.nan


def _number_faults(texts: list[str], numbers: list[float], labels: Sequence[str]) -> Iterator[str]:
    for label, text, number in zip(labels, texts, numbers, strict=True):
        if not math.isfinite(number):
            yield f"{label} {quoted(text)} is not a finite number" if text else f"{label} is empty"


def _further_fields(table: Table, form: _Form) -> Iterator[Fields]:
    taken = {form.name, form.title, *form.bounds}
    further = [position for position in table.positions.values() if position not in taken]
    names = [table.columns[position] for position in further]
    columns = [_typed([row.cells[position] for row in table.rows], table.decimal) for position in further]
    if not columns:
        return (Fields() for _ in table.rows)
    return (Fields(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _typed(cells: list[str], decimal: str) -> Sequence[Value]:
    """Read a column as int or float if every cell is one in plain notation: no "01001", no "+1", no "1."."""
    if all(map(_INTEGER.fullmatch, cells)):
        return [int(cell) for cell in cells]
    plain = [cell.replace(decimal, ".") for cell in cells]
    if not all(map(_DECIMAL.fullmatch, plain)):
        return cells
    numbers = [float(cell) for cell in plain]
    return numbers if all(map(math.isfinite, numbers)) else cells
