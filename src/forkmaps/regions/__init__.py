"""Regions, and the text tables they are read from.

A region is a named extent. `read_regions` reads a list of them from a text table (a line per region, this
module) or from a polygon layer (a feature per region, `forkmaps.regions.layer`).

A table is split line by line, so that a quote that is never closed spoils its own line and no other. All
bad lines are reported in one `RegionError`, each as `path:line: "name": what was found; what to do`.
"""

from __future__ import annotations

import csv
import difflib
import gc
import io
import logging
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyproj import CRS
from pyproj.exceptions import CRSError

from forkmaps.errors import RegionError

log = logging.getLogger(__name__)

Value = str | float | int

_DEGREE_SIDES = ("west", "east", "south", "north")
_PLANE_SIDES = ("x0", "x1", "y0", "y1")
_KNOWN_COLUMNS = frozenset({"name", "title", "region", *_DEGREE_SIDES, *_PLANE_SIDES})
_TABLE_FORMS = (
    "a region table has the columns name,west,east,south,north (degrees), or name,x0,x1,y0,y1 (units of "
    'its crs), or name,region (cells like "x0, x1, y0, y1")'
)
_TABLE_SUFFIXES = {".csv", ".txt", ".tsv", ".dat"}
_LAYER_SUFFIXES = {".shp", ".shz", ".zip", ".gpkg", ".geojson", ".geojsonl", ".json", ".topojson", ".fgb"}
_LAYER_SUFFIXES |= {".kml", ".kmz", ".gml", ".gdb", ".sqlite"}
_SEPARATORS = ("\t", ";", ",", None)  # None: runs of blanks
_SHOWN_FAULTS = 20  # a wrong separator would otherwise print the whole file
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WORD = re.compile(r'"((?:[^"]|"")*)"(?!\S)|(\S+)')
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Extent:
    """The four sides of a box, in the order of cartopy's `set_extent`.

    Parameters
    ----------
    west, east, south, north : float
        In the units of the CRS that goes with the extent, axis order x, y. East is greater than west: in
        degrees, an extent that crosses the antimeridian has east > 180 or west < -180.

    Raises
    ------
    RegionError
        If a side is not finite, or west >= east, or south >= north.
    """

    west: float
    east: float
    south: float
    north: float

    def __post_init__(self) -> None:
        if not (0 < self.east - self.west < math.inf and 0 < self.north - self.south < math.inf):
            _refuse(_order_faults((self.west, self.east, self.south, self.north), _DEGREE_SIDES))

    @property
    def width(self) -> float:
        """East minus west, in the extent's units."""
        return self.east - self.west

    @property
    def height(self) -> float:
        """North minus south, in the extent's units."""
        return self.north - self.south

    @classmethod
    def from_degrees(cls, west: float, east: float, south: float, north: float) -> Extent:
        """Make an extent of longitudes and latitudes.

        West > east crosses the antimeridian, if the extent is then at most 180 degrees wide: 170, -170
        becomes 170..190. One that does not cross it is brought to -180..180: 200, 220 becomes -160..-140.

        Parameters
        ----------
        west, east, south, north : float
            Degrees: longitudes -360..360, latitudes -90..90.

        Raises
        ------
        RegionError
            If a side is out of its range, or the sides are out of order.
        """
        _refuse(_degree_faults(west, east, south, north))
        if west > east:
            east = _across_antimeridian(west, east)
        turn = -360.0 if west >= 180 else 360.0 if east <= -180 else 0.0
        return cls(west + turn, east + turn, south, north)


class Fields(Mapping[str, Value]):
    """An immutable mapping that can be hashed and pickled (`MappingProxyType` can't be pickled)."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Fields({self._values!r})"


@dataclass(frozen=True, slots=True)
class Region:
    """A named extent: what one map shows.

    Parameters
    ----------
    name : str
        Not empty, without control characters. (Whether it can name a file is the output's concern.)
    extent : Extent
        In units of `crs`.
    crs : str, optional
        A text that pyproj accepts (EPSG:n, PROJ string, WKT); axis order x, y, whatever the CRS says.
        None: degrees longitude and latitude (OGC:CRS84).
    title : str, optional
        The name if empty.
    fields : mapping of str to str, float or int, optional
        Further columns of the table, or the attributes of the feature.

    Raises
    ------
    RegionError
        If the name is empty or holds a control character.
    """

    name: str
    extent: Extent
    crs: str | None = None
    title: str = ""
    fields: Mapping[str, Value] = Fields()

    def __post_init__(self) -> None:
        _refuse(_name_faults(self.name))
        object.__setattr__(self, "title", self.title or self.name)
        if not isinstance(self.fields, Fields):
            object.__setattr__(self, "fields", Fields(self.fields))


def read_regions(
    path: str | Path,
    *,
    crs: str | CRS | None = None,
    name: str | None = None,
    title: str | None = None,
    where: str | None = None,
    sort: str | None = None,
    margin: str | None = None,
    min_size: str | None = None,
    layer: str | None = None,
    target_crs: str | CRS | None = None,
) -> tuple[Region, ...]:
    """Read a region list from a text table or from a polygon layer.

    Parameters
    ----------
    path : str or Path
        A table (.csv, .txt, .tsv, .dat, any other text) or a layer (.shp, .gpkg, .geojson, .json, .fgb,
        .zip, ..., a folder, any other binary file).
    crs : str or pyproj.CRS, optional
        What the file's own numbers are in: those of a table, or of a layer that states no CRS.
    name, title, where, sort, margin, min_size, layer : str, optional
        For layers only: see `forkmaps.regions.layer.read_region_layer`.
    target_crs : str or pyproj.CRS, optional
        The map's projection, in which the extents of features are taken. No effect on a table's.

    Returns
    -------
    tuple of Region
        At least one.

    Raises
    ------
    RegionError
        If the file can't be read, an option does not fit it, or lines or features are bad (all of them).
    """
    options = {"title": title, "where": where, "sort": sort, "margin": margin}
    options |= {"min_size": min_size, "layer": layer}
    if not _is_layer(Path(path)):
        _refuse_layer_options(path, {"name": name, **options})
        return read_region_table(path, crs=crs)
    # Imported here because pyogrio takes 0.4 s to import where geopandas is installed; tables don't need it.
    from forkmaps.regions.layer import read_region_layer

    return read_region_layer(path, name=name or "name", source_crs=crs, target_crs=target_crs, **options)


def select_regions(regions: Iterable[Region], names: Sequence[str]) -> tuple[Region, ...]:
    """Take the regions with these names, in the list's own order.

    Parameters
    ----------
    regions : iterable of Region
        The list.
    names : sequence of str
        Compared without regard to case and Unicode composition. A name that several regions have takes
        them all. An empty sequence takes the whole list.

    Raises
    ------
    RegionError
        If names are not in the list: all of those, each with the nearest ones that are.
    """
    regions = tuple(regions)
    known = {name_key(region.name) for region in regions}
    wanted = {name_key(name): name for name in names}
    unknown = [name for key, name in wanted.items() if key not in known]
    names_there = [region.name for region in regions]
    _refuse((f"no region {quoted(name)}; {alternatives(name, names_there)}" for name in unknown), "\n")
    return tuple(region for region in regions if not wanted or name_key(region.name) in wanted)


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
        table = _split_table(path, faults)
        form = _table_form(table, crs)
        regions = tuple(_table_regions(table, form, faults))
    faults.raise_any()
    return regions


class FaultList:
    """The bad lines (or features) of one file, to be reported all at once."""

    def __init__(self, path: str | Path, link: str) -> None:
        self._prefix = f"{path}{link}"
        self._faults: list[tuple[int, str]] = []

    def add(self, number: int, fault: object, name: str = "") -> None:
        """Note what is wrong with line or feature `number`, which belongs to region `name` if known."""
        self._faults.append((number, f"{quoted(name)}: {fault}" if name else str(fault)))

    def raise_any(self) -> None:
        """Raise a RegionError with a line for each of the first 20 faults, if there are any."""
        shown = [f"{self._prefix}{number}: {text}" for number, text in sorted(self._faults)[:_SHOWN_FAULTS]]
        if more := len(self._faults) - len(shown):
            shown.append(f"... and {more} more like these")
        _refuse(shown, "\n")


def parse_crs(crs: str | CRS) -> CRS:
    """Make a pyproj CRS of a CRS text; RegionError with pyproj's reason if it is none."""
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise RegionError(
            f"crs {quoted(str(crs))} is not understood ({error}); write for instance EPSG:5070"
        ) from error


def crs_text(crs: str | CRS | None) -> str | None:
    """Give the text that a Region keeps of a CRS."""
    return crs if crs is None or isinstance(crs, str) else parse_crs(crs).srs


def name_key(name: str) -> str:
    """Give what two names have in common that differ only by case or Unicode composition."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", name.casefold())


def alternatives(name: str, known: Iterable[str]) -> str:
    """Say which of the known names are nearest to `name`, and what there is if that is not too much."""
    keys = {name_key(each): each for each in known}
    near = [quoted(keys[key]) for key in difflib.get_close_matches(name_key(name), keys)]
    listed = ", ".join(list(keys.values())[:_SHOWN_FAULTS]) + (", ..." if len(keys) > _SHOWN_FAULTS else "")
    clauses = [f"nearest: {', '.join(near)}"] if near else []
    if len(keys) <= _SHOWN_FAULTS or not near:
        clauses.append(f"there are: {listed or 'none'}")
    return "; ".join(clauses)


def quoted(text: str) -> str:
    """Put a text from a file into a message: in quotes, at most 60 characters, control characters escaped."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + '"'


def _refuse(faults: Iterable[str], joint: str = "; ") -> None:
    if text := joint.join(faults):
        raise RegionError(text)


def _name_faults(name: str) -> Iterator[str]:
    if not name.strip():
        yield "the name is empty"
    if not name.isprintable() and _CONTROL.search(name):
        yield f"the name {quoted(name)} holds a control character"


def _order_faults(sides: Sequence[float], labels: Sequence[str]) -> Iterator[str]:
    for low, high in ((0, 1), (2, 3)):
        # The difference, because it overflows for -1e308..1e308.
        if not math.isfinite(sides[high] - sides[low]):
            yield f"{labels[low]} {sides[low]} to {labels[high]} {sides[high]} is not finite"
        elif sides[low] >= sides[high]:
            remedy = "; swap them" if sides[low] > sides[high] else ""
            yield f"{labels[low]} {sides[low]} is not less than {labels[high]} {sides[high]}{remedy}"


def _degree_faults(west: float, east: float, south: float, north: float) -> Iterator[str]:
    for label, value in (("west", west), ("east", east)):
        if not -360 <= value <= 360:
            yield f"{label} {value} is not a longitude from -360 to 360 (numbers in metres need a crs)"
    for label, value in (("south", south), ("north", north)):
        if not -90 <= value <= 90:
            yield f"{label} {value} is not a latitude from -90 to 90"
    if abs(west) <= 360 and abs(east) <= 360 and east - west > 360:
        yield f"west {west} to east {east} is more than 360 degrees"


def _across_antimeridian(west: float, east: float) -> float:
    if east + 360 - west <= 180:
        return east + 360
    remedy = f"write {east + 360}" if east <= 0 else f"write west as {west - 360}"
    raise RegionError(
        f"west {west} is not less than east {east}; swap them, or {remedy} to cross the antimeridian"
    )


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


def _is_layer(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _LAYER_SUFFIXES | _TABLE_SUFFIXES:
        return suffix in _LAYER_SUFFIXES
    return path.is_dir() or _is_binary(path)


def _is_binary(path: Path) -> bool:
    """Tell by NUL bytes, which UTF-16 has too, after its byte order mark."""
    head = _read_bytes(path, 8192)
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def _read_bytes(path: str | Path, size: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise RegionError(f"{path} can't be read: {reason}") from error


def _refuse_layer_options(path: str | Path, options: Mapping[str, str | None]) -> None:
    given = [option for option, value in options.items() if value is not None]
    _refuse(f"{option} is for polygon layers, but {path} is a text table; leave it out" for option in given)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class _Table:
    place: str  # of the header, path:line
    columns: list[str]
    rows: list[_Row]
    decimal: str

    @property
    def positions(self) -> dict[str, int]:
        return {column.lower(): position for position, column in enumerate(self.columns) if column}


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
        return _DEGREE_SIDES if self.degrees else _PLANE_SIDES


def _split_table(path: str | Path, faults: FaultList) -> _Table:
    lines = list(_content_lines(_decoded(path)))
    if not lines:
        raise RegionError(f"{path}: the table is empty; {_TABLE_FORMS}")
    (number, header), *lines = lines
    place = f"{path}:{number}"
    separator = max(_SEPARATORS, key=lambda each: _header_score(header, each))
    columns = _header_columns(place, header, separator)
    if not lines:
        raise RegionError(f"{place}: there is only a header; add a line for each region")
    rows = list(_split_rows(lines, separator, columns, faults))
    return _Table(place, columns, rows, "," if separator == ";" else ".")


def _decoded(path: str | Path) -> str:
    content = _read_bytes(path)
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
    """Give each line that is neither blank nor a comment its number."""
    # StringIO, since str.splitlines also splits at form feeds, NEL and the like.
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
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
    _refuse(f"{place}: there are several columns {quoted(name)}; rename all but one" for name in twice)
    return columns


def _split_rows(
    lines: Iterable[tuple[int, str]], separator: str | None, columns: list[str], faults: FaultList
) -> Iterator[_Row]:
    for number, line in lines:
        try:
            cells = _cells(line, separator)
            _check_count(cells, columns)
        except RegionError as error:
            faults.add(number, error)
        else:
            yield _Row(number, cells)


def _check_count(cells: list[str], columns: list[str]) -> None:
    # Spreadsheets leave empty cells at the end of lines, hence only those with text are too many.
    if len(cells) < len(columns) or any(cells[len(columns) :]):
        raise RegionError(
            f"{len(cells)} cells, but {len(columns)} columns ({','.join(columns)}); "
            "quote a cell that holds the separator"
        )


def _table_form(table: _Table, crs: str | CRS | None) -> _Form:
    degrees = crs is None or parse_crs(crs).is_geographic
    sides = _columns_of_sides(table, crs)
    missing = [column for column in ("name", *sides) if column not in table.positions]
    _refuse(f"{table.place}: {_missing(column, table)}; {_TABLE_FORMS}" for column in missing[:1])
    _refuse(f"{table.place}: {fault}" for fault in _unit_faults(sides, crs, degrees))
    bounds = tuple(table.positions[column] for column in sides)
    return _Form(table.positions["name"], table.positions.get("title"), bounds, crs_text(crs), degrees)


def _missing(column: str, table: _Table) -> str:
    return f"no column {quoted(column)}; {alternatives(column, filter(None, table.columns))}"


def _columns_of_sides(table: _Table, crs: str | CRS | None) -> tuple[str, ...]:
    """Choose the form that the table has, or else the one of which it lacks least."""
    forms = [_PLANE_SIDES, _DEGREE_SIDES] if crs else [_DEGREE_SIDES, _PLANE_SIDES]
    return min((*forms, ("region",)), key=lambda sides: len({*sides} - {*table.positions}) / len(sides))


def _unit_faults(sides: tuple[str, ...], crs: str | CRS | None, degrees: bool) -> Iterator[str]:
    if sides == _PLANE_SIDES and crs is None:
        yield (
            'columns x0,x1,y0,y1 need a crs: set the list\'s crs (crs = "EPSG:5070"), '
            "or name them west,east,south,north if they are degrees"
        )
    if sides == _DEGREE_SIDES and not degrees:
        yield (
            f"columns west,east,south,north are degrees, but crs {quoted(str(crs))} is projected; "
            "leave crs out, or name them x0,x1,y0,y1 if they are in its units"
        )


def _table_regions(table: _Table, form: _Form, faults: FaultList) -> Iterator[Region]:
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
        _refuse(_number_faults(texts, numbers, form.labels))
    west, east, south, north = numbers
    if form.degrees:
        return Extent.from_degrees(west, east, south, north)
    _refuse(_order_faults(numbers, form.labels))
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


def _further_fields(table: _Table, form: _Form) -> Iterator[Fields]:
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
