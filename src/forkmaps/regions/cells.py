"""Region tables as text: from a file's bytes to a header and rows of cells.

A table is split line by line, so that a quote that is never closed spoils its own line and no other.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from forkmaps.errors import RegionError
from forkmaps.regions.extent import DEGREE_SIDES
from forkmaps.regions.faults import FaultList, quoted, refuse

log = logging.getLogger("forkmaps")

PLANE_SIDES = ("x0", "x1", "y0", "y1")
TABLE_FORMS = (
    "a region table has the columns name,west,east,south,north (degrees), or name,x0,x1,y0,y1 (units of "
    'its crs), or name,region (cells like "x0, x1, y0, y1")'
)
_KNOWN_COLUMNS = frozenset({"name", "title", "region", *DEGREE_SIDES, *PLANE_SIDES})
_SEPARATORS = ("\t", ";", ",", None)  # None: runs of blanks
_EMPTY = ' \t\r\n;,"'
"""Of which rows are that spreadsheets export as if they had regions."""
_WORD = re.compile(r'"((?:[^"]|"")*)"(?!\S)|(\S+)')


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, split."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells, each row with at least one for each column."""

    place: str  # of the header, path:line
    columns: list[str]
    rows: list[Row]
    decimal: str

    @property
    def positions(self) -> dict[str, int]:
        """Each column's position, by its name in lower case."""
        return {column.lower(): position for position, column in enumerate(self.columns) if column}


def split_table(path: str | Path, faults: FaultList) -> Table:
    """Split a table's text in cells; rows that can't be are noted in `faults` and left out.

    Raises
    ------
    RegionError
        If the file can't be read, or its header is missing or ambiguous, or there is nothing but a header.
    """
    lines = list(_content_lines(_decoded(path)))
    if not lines:
        raise RegionError(f"{path}: the table is empty; {TABLE_FORMS}")
    (number, header), *lines = lines
    place = f"{path}:{number}"
    separator = max(_SEPARATORS, key=lambda each: _header_score(header, each))
    columns = _header_columns(place, header, separator)
    if not lines:
        raise RegionError(f"{place}: there is only a header; add a line for each region")
    rows = list(_split_rows(lines, separator, columns, faults))
    return Table(place, columns, rows, "," if separator == ";" else ".")


def read_bytes(path: str | Path, size: int = -1) -> bytes:
    """Read a file's first bytes, or all of them; RegionError with the system's reason if that fails."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise RegionError(f"{path} can't be read: {reason}") from error


def _decoded(path: str | Path) -> str:
    content = read_bytes(path)
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _decoded_as_windows(path, line, content)


def _decoded_as_windows(path: str | Path, line: int, content: bytes) -> str:
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise RegionError(
            f"{path}:{line}: neither UTF-8 nor Windows-1252 text; save the table as UTF-8"
        ) from error
    log.warning("%s:%d: not UTF-8, read as Windows-1252; save it as UTF-8 if letters look wrong", path, line)
    return text


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line its number that is neither blank, nor one of empty cells, nor a comment."""
    # StringIO, since str.splitlines also splits at form feeds, NEL and the like.
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if line.strip(_EMPTY) and not line.lstrip().startswith("#"):
            yield number, line.rstrip("\n")


def _header_score(header: str, separator: str | None) -> tuple[int, int]:
    try:
        names = {cell.lower() for cell in _cells(header, separator)}
    except RegionError:
        return 0, 0
    return len(names & _KNOWN_COLUMNS), len(names)


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return [(quote.replace('""', '"') or word).strip() for quote, word in _WORD.findall(line)]
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    try:
        row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RegionError(
            f'{error}; close each quoted cell on its own line, and double the quotes inside it ("")'
        ) from error
    return [cell.strip() for cell in row]


def _header_columns(place: str, header: str, separator: str | None) -> list[str]:
    columns = _cells(header, separator)
    names = [column.lower() for column in columns if column]
    twice = sorted({name for name in names if names.count(name) > 1})
    refuse(f"{place}: there are several columns {quoted(name)}; rename all but one" for name in twice)
    return columns


def _split_rows(
    lines: Iterable[tuple[int, str]], separator: str | None, columns: list[str], faults: FaultList
) -> Iterator[Row]:
    for number, line in lines:
        try:
            cells = _cells(line, separator)
            _check_count(cells, columns)
        except RegionError as error:
            faults.add(number, error)
        else:
            yield Row(number, cells)


def _check_count(cells: list[str], columns: list[str]) -> None:
    # Spreadsheets leave empty cells at the end of lines, hence only those with text are too many.
    if len(cells) < len(columns) or any(cells[len(columns) :]):
        raise RegionError(
            f"{len(cells)} cells, but {len(columns)} columns ({','.join(columns)}); "
            "quote a cell that holds the separator"
        )
