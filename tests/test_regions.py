"""Regions, region tables, polygon layers."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import pickle
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from shapely.geometry import MultiPolygon, Point, Polygon, box

from forkmaps.errors import RegionError
from forkmaps.regions import Extent, Fields, Region, name_key, read_region_table, read_regions, select_regions
from forkmaps.regions.layer import read_region_layer

BOUNDARIES = Path(__file__).parents[1] / "data" / "boundaries"
HEADER = "name,west,east,south,north\n"
GOOD = "Ohio,-85,-80,38,42\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a table of this text or these bytes."""

    def write(content: str | bytes, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def layer(tmp_path: Path) -> Write:
    """Write a layer of these geometries; columns default to a name for each."""

    def layer(
        geometries: Iterable[Any], file: str = "layer.gpkg", crs: str = "EPSG:4326", **columns: list[Any]
    ) -> Path:
        geometries = list(geometries)
        columns = columns or {"name": [f"r{i}" for i in range(len(geometries))]}
        write_layer(tmp_path / file, geometries, crs, columns)
        return tmp_path / file

    return layer


def write_layer(
    path: Path, geometries: list[Any], crs: str, columns: dict[str, list[Any]], **more: Any
) -> None:
    arrays = [np.array(v, object if isinstance(v[0], str) else None) for v in columns.values()]
    wkb = np.array([None if g is None else shapely.to_wkb(g) for g in geometries], object)
    pyogrio.raw.write(path, wkb, arrays, list(columns), geometry_type="Unknown", crs=crs, **more)


def sides(region: Region) -> tuple[float, float, float, float]:
    extent = region.extent
    return extent.west, extent.east, extent.south, extent.north


def faults(path: Path, **options: Any) -> list[str]:
    """Lines of the error that a table gives, without the path."""
    with pytest.raises(RegionError) as caught:
        read_region_table(path, **options)
    return [line.removeprefix(str(path)) for line in str(caught.value).split("\n")]


def row_fault(write: Write, row: str, header: str = HEADER, **options: Any) -> str:
    """What is said of one bad row between two good ones."""
    good = [GOOD.replace("Ohio", name) for name in ("first", "last")] if header == HEADER else ["", ""]
    (fault,) = faults(write(header + good[0] + row + "\n" + good[1]), **options)
    return fault


# --- values


def test_an_extent_gives_its_sides_in_the_order_of_cartopy() -> None:
    west, east, south, north = Extent(-85, -80, 38, 42)
    assert (west, east, south, north) == (-85, -80, 38, 42)


def test_extent_has_width_and_height() -> None:
    extent = Extent(170, 190, -20, -10)
    assert (extent.width, extent.height) == (20, 10)


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((1, 1, 0, 1), "west 1 is not less than east 1$"),
        ((2, 1, 0, 1), "west 2 is not less than east 1; swap them"),
        ((0, 1, 3, 2), "south 3 is not less than north 2; swap them"),
        ((0, float("nan"), 0, 1), "east nan is not finite"),
        ((0, 1, float("-inf"), 1), "south -inf to north 1 is not finite"),
        ((-1e308, 1e308, 0, 1), "not finite"),
    ],
)
def test_extent_refuses_sides_out_of_order(sides: tuple[float, ...], message: str) -> None:
    with pytest.raises(RegionError, match=message):
        Extent(*sides)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ((170, -170), (170, 190)),
        ((179.9, -179.9), (179.9, 180.1)),
        ((179.9, 180.1), (179.9, 180.1)),
        ((-190, -170), (-190, -170)),
        ((-180, 180), (-180, 180)),
        ((0, 360), (0, 360)),
        ((190, 200), (-170, -160)),
        ((180, 360), (-180, 0)),
        ((350, 10), (-10, 10)),
        ((-350, -340), (10, 20)),
        ((90, -90), (90, 270)),
    ],
)
def test_d5_longitudes(written: tuple[float, float], meant: tuple[float, float]) -> None:
    extent = Extent.from_degrees(*written, -10, 10)
    assert (extent.west, extent.east) == pytest.approx(meant)


@pytest.mark.parametrize(
    ("west", "east", "remedy"),
    [
        (-80.5, -91.0, "swap them, or write 269.0 to cross the antimeridian"),
        (200.0, 50.0, "swap them, or write west as -160.0 to cross the antimeridian"),
    ],
)
def test_d5_west_of_east_names_both_remedies(west: float, east: float, remedy: str) -> None:
    with pytest.raises(RegionError, match=f"west {west} is not less than east {east}; {remedy}"):
        Extent.from_degrees(west, east, 0, 1)


@pytest.mark.parametrize("remedy", [(-80.5, 269.0), (-160.0, 50.0)])
def test_d5_the_remedies_are_legal(remedy: tuple[float, float]) -> None:
    assert Extent.from_degrees(*remedy, 0, 1).width == remedy[1] - remedy[0]


def test_degrees_wider_than_the_world_are_refused() -> None:
    with pytest.raises(RegionError, match="more than 360"):
        Extent.from_degrees(-200, 200, 0, 1)


def test_region_title_defaults_to_its_name() -> None:
    assert Region("Fiji", Extent(0, 1, 0, 1)).title == "Fiji"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0", "\x1b[31m", "a\u2028b", "\ud800"])
def test_region_refuses_names_that_are_empty_or_hold_control_characters(name: str) -> None:
    with pytest.raises(RegionError, match=r"the name .*(is empty|control character)"):
        Region(name, Extent(0, 1, 0, 1))


def test_region_can_be_hashed_pickled_and_compared() -> None:
    region = Region("Fiji", Extent(0, 1, 0, 1), fields={"iso": "FJ", "islands": 332})
    assert pickle.loads(pickle.dumps(region)) == region
    assert hash(region) == hash(Region("Fiji", Extent(0, 1, 0, 1), fields={"islands": 332, "iso": "FJ"}))
    assert region.fields == {"iso": "FJ", "islands": 332}


def test_fields_do_not_change_with_the_mapping_they_were_made_of() -> None:
    source: dict[str, str | float | int] = {"a": 1}
    fields = Fields(source)
    source["a"] = 2
    assert dict(fields) == {"a": 1}
    assert not hasattr(fields, "__setitem__")


# --- tables


def test_table_in_degrees(write: Write) -> None:
    (region,) = read_region_table(write(HEADER + GOOD))
    assert region == Region("Ohio", Extent(-85, -80, 38, 42))


def test_table_in_units_of_its_crs(write: Write) -> None:
    path = write("name,x0,x1,y0,y1,title\nOhio,1e6,1.2e6,-5,7.5,The Buckeye State\n")
    (region,) = read_region_table(path, crs="EPSG:5070")
    assert region == Region("Ohio", Extent(1e6, 1.2e6, -5, 7.5), "EPSG:5070", "The Buckeye State")


@pytest.mark.parametrize(
    "cell",
    ['"-85, -80, 38, 42"', '"[-85,-80,38,42]"', '"( -85 ,-80, 38, 42 )"', "-85 -80 38 42", "-85;-80;38;42"],
)
def test_table_with_all_sides_in_one_cell(write: Write, cell: str) -> None:
    (region,) = read_region_table(write(f"name, region\nOhio, {cell}\n"))
    assert sides(region) == (-85, -80, 38, 42)


def test_table_with_all_sides_in_one_cell_and_a_crs(write: Write) -> None:
    (region,) = read_region_table(write('name,region\nA,"-2000000, 1, 2, 3"\n'), crs="EPSG:5070")
    assert (sides(region), region.crs) == ((-2e6, 1, 2, 3), "EPSG:5070")


def test_columns_stand_in_any_order_and_case(write: Write) -> None:
    (region,) = read_region_table(write(" North ,Title,EAST,name,west,South\n42,T,-80,Ohio,-85,38\n"))
    assert (sides(region), region.name, region.title) == ((-85, -80, 38, 42), "Ohio", "T")


def test_x0_without_crs_says_what_to_set(write: Write) -> None:
    assert faults(write("name,x0,x1,y0,y1\nA,0,1,0,1\n")) == [
        ':1: columns x0,x1,y0,y1 need a crs: set the list\'s crs (crs = "EPSG:5070"), '
        "or name them west,east,south,north if they are degrees"
    ]


def test_west_with_a_projected_crs_is_refused(write: Write) -> None:
    (fault,) = faults(write(HEADER + GOOD), crs="EPSG:5070")
    assert "are degrees, but crs" in fault
    assert "name them x0,x1,y0,y1" in fault


def test_a_geographic_crs_follows_the_rules_for_degrees(write: Write) -> None:
    (region,) = read_region_table(write("name,x0,x1,y0,y1\nFiji,176,-178,-21,-12\n"), crs="EPSG:4269")
    assert (sides(region), region.crs) == ((176, 182, -21, -12), "EPSG:4269")


def test_crs_decides_between_two_sets_of_sides(write: Write) -> None:
    path = write("name,west,east,south,north,x0,x1,y0,y1\nA,1,2,3,4,100,200,300,400\n")
    assert sides(*read_region_table(path)) == (1, 2, 3, 4)
    assert sides(*read_region_table(path, crs="EPSG:5070")) == (100, 200, 300, 400)


def test_a_crs_object_is_kept_as_text(write: Write) -> None:
    crs = CRS("+proj=lcc +lat_0=39 +lon_0=-96 +lat_1=33 +lat_2=45")
    (region,) = read_region_table(write("name,x0,x1,y0,y1\nA,0,1,0,1\n"), crs=crs)
    assert CRS(region.crs) == crs


def test_an_unknown_crs_is_refused_with_the_reason(write: Write) -> None:
    with pytest.raises(RegionError, match=r'crs "EPSG:99999" is not understood .*crs not found'):
        read_region_table(write(HEADER + GOOD), crs="EPSG:99999")


def test_further_columns_become_fields(write: Write) -> None:
    header = "name,west,east,south,north,State,fips,pop,area,mixed,gap\n"
    rows = "A,0,1,0,1,Ohio,01001,12,1.5,1,1\nB,0,1,0,1,Iowa,19,-3,2,x,\n"
    first, second = read_region_table(write(header + rows))
    assert first.fields == {
        "State": "Ohio",
        "fips": "01001",
        "pop": 12,
        "area": 1.5,
        "mixed": "1",
        "gap": "1",
    }
    assert [type(value) for value in first.fields.values()] == [str, str, int, float, str, str]
    assert second.fields == {"State": "Iowa", "fips": "19", "pop": -3, "area": 2.0, "mixed": "x", "gap": ""}


@pytest.mark.parametrize(
    "cell", ["+1", "1.", ".5", "1_0", "٣", "nan", "inf", "1e999", "0x1", " ", "9" * 5000]
)
def test_what_is_not_a_plain_number_stays_text(write: Write, cell: str) -> None:
    (region,) = read_region_table(write(f"name,west,east,south,north,x\nA,0,1,0,1,{cell}\n"))
    assert region.fields["x"] == cell.strip()


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "   "])
def test_separators(write: Write, separator: str) -> None:
    rows = [["name", "west", "east", "south", "north"], ['"New York"', "-80", "-72", "40.5", "45"]]
    (region,) = read_region_table(write("\n".join(separator.join(row) for row in rows)))
    assert (region.name, sides(region)) == ("New York", (-80, -72, 40.5, 45))


def test_separator_is_the_one_that_gives_the_known_columns(write: Write) -> None:
    (region,) = read_region_table(
        write("name;west;east;south;north;a, b, c, d, e, f, g\nOhio;-85;-80;38;42;x\n")
    )
    assert region.fields == {"a, b, c, d, e, f, g": "x"}


def test_quoted_cells_hold_separators_and_quotes(write: Write) -> None:
    (region,) = read_region_table(write(HEADER + '"a ""b"", c",0,1,0,1\n'))
    assert region.name == 'a "b", c'


@pytest.mark.parametrize("row", [";;;;", '"";"";;', " ; ;\t"])
def test_rows_of_empty_cells_are_skipped_as_blank_lines_are(write: Write, row: str) -> None:
    path = write(f"name;west;east;south;north\n{row}\nOhio;-85;-80;38;42\n{row}\n{row}\n")
    assert [region.name for region in read_region_table(path)] == ["Ohio"]
    (fault,) = faults(write(f"name;west;east;south;north\n{row}\nOhio;-85;-80;38;\n"))
    assert fault.startswith(':3: "Ohio": north is empty')


def test_comments_and_blank_lines_are_skipped_and_counted(write: Write) -> None:
    path = write(f'# twelve, "regions\n\n  \n{HEADER}\n # more\n{GOOD}\nbad,2,1,0,1\n')
    (fault,) = faults(path)
    assert fault.startswith(':9: "bad": ')


def test_a_quoted_hash_is_no_comment(write: Write) -> None:
    assert read_region_table(write(HEADER + '"#1",0,1,0,1\n'))[0].name == "#1"


def test_unnamed_columns_are_ignored(write: Write) -> None:
    (region,) = read_region_table(write(",name,west,east,south,north,\n0,Ohio,-85,-80,38,42,\n"))
    assert region == Region("Ohio", Extent(-85, -80, 38, 42))


def test_order_is_the_files(write: Write) -> None:
    rows = "".join(f"{name},0,1,0,1\n" for name in "zay")
    assert [region.name for region in read_region_table(write(HEADER + rows))] == ["z", "a", "y"]


# --- D8: what region tables look like in the wild


def test_d8_byte_order_mark(write: Write) -> None:
    assert read_region_table(write("\ufeff" + HEADER + GOOD))[0].name == "Ohio"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_d8_line_ends(write: Write, end: str) -> None:
    text = (HEADER + GOOD + "bad,2,1,0,1\n").replace("\n", end)
    assert faults(write(text))[0].startswith(':3: "bad"')


def test_d8_semicolon_with_decimal_comma(write: Write) -> None:
    path = write('name;west;east;south;north;area;region\nOhio;-85,5;-80,25;38;42,5;1,5;"a, b"\n')
    (region,) = read_region_table(path)
    assert sides(region) == (-85.5, -80.25, 38, 42.5)
    assert region.fields == {"area": 1.5, "region": "a, b"}


def test_d8_decimal_comma_in_one_cell(write: Write) -> None:
    (region,) = read_region_table(write('name,region\nOhio,"[-85,5; -80,25; 38; 42,5]"\n'))
    assert sides(region) == (-85.5, -80.25, 38, 42.5)


def test_d8_decimal_comma_in_a_comma_table_is_refused(write: Write) -> None:
    fault = row_fault(write, '"bad","-85,5",1,0,1')
    assert fault == ':3: "bad": west "-85,5" is not a finite number'


def test_d8_latin_1_is_read_with_a_warning(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write((HEADER + GOOD + "Québec,-80,-57,45,62\n").encode("latin-1"))
    assert read_region_table(path)[1].name == "Québec"
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}:3: not UTF-8, read as Windows-1252; save it as UTF-8 if letters look wrong"
    ]


def test_d8_utf_16_with_its_mark(write: Write) -> None:
    path = write((HEADER + "Québec,-80,-57,45,62\n").replace(",", "\t").encode("utf-16"), "list")
    assert read_regions(path)[0].name == "Québec"


def test_d8_neither_utf_8_nor_windows(write: Write) -> None:
    with pytest.raises(RegionError, match=r"list\.csv:2: neither UTF-8 nor Windows-1252 text; save"):
        read_region_table(write(HEADER.encode() + b"\x81,0,1,0,1\n"))


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "\ufeff"])
def test_d8_empty(write: Write, content: str) -> None:
    assert "the table is empty; a region table has the columns" in faults(write(content))[0]


def test_d8_header_only(write: Write) -> None:
    assert faults(write(HEADER + "\n")) == [":1: there is only a header; add a line for each region"]


def test_d8_missing_column_names_the_nearest(write: Write) -> None:
    (fault,) = faults(write("name,west,east,sout,north\nA,0,1,0,1\n"))
    assert fault.startswith(
        ':1: no column "south"; nearest: "sout", "north"; there are: name, west, east, sout, north; '
        "a region table has"
    )


def test_d8_missing_name_column(write: Write) -> None:
    assert faults(write("west,east,south,north\n0,1,0,1\n"))[0].startswith(':1: no column "name"; there are')


def test_d8_no_header(write: Write) -> None:
    assert faults(write(GOOD + GOOD))[0].startswith(":1: no column ")


def test_d8_column_twice(write: Write) -> None:
    (fault,) = faults(write("name,west,east,south,north,West\nA,0,1,0,1,2\n"))
    assert fault == ':1: there are several columns "west"; rename all but one'


@pytest.mark.parametrize("row", ["bad,0,1,0", "bad,0,1,0,1,Ohio"])
def test_d8_row_with_too_few_or_many_cells(write: Write, row: str) -> None:
    count = row.count(",") + 1
    assert row_fault(write, row).startswith(f":3: {count} cells, but 5 columns (name,west,east,south,north);")


def test_d8_empty_cells_at_the_end_of_a_row_are_no_fault(write: Write) -> None:
    assert len(read_region_table(write(HEADER + "A,0,1,0,1,,\n" + GOOD))) == 2


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("bad,,1,0,1", "west is empty"),
        ("bad,0,NaN,0,1", 'east "NaN" is not a finite number'),
        ("bad,0,1,-inf,1", 'south "-inf" is not a finite number'),
        ("bad,0,1,0,1e400", 'north "1e400" is not a finite number'),
        ("bad,1_0,20,0,1", 'west "1_0" is not a finite number'),
        ("bad,٣,20,0,1", 'west "٣" is not a finite number'),
        ("bad,W80,x,0,1", 'west "W80" is not a finite number; east "x" is not a finite number'),
        ("bad,5,5,0,1", "west 5.0 is not less than east 5.0"),
        ("bad,0,1,50,40", "south 50.0 is not less than north 40.0; swap them"),
        ("bad,0,1,40,40", "south 40.0 is not less than north 40.0"),
        ("bad,0,1,0,91", "north 91.0 is not a latitude from -90 to 90"),
        ("bad,0,400,0,1", "east 400.0 is not a longitude from -360 to 360 (numbers in metres need a crs)"),
        (
            "bad,-80.5,-91,0,1",
            "west -80.5 is not less than east -91.0; swap them, or write 269.0 to cross the antimeridian",
        ),
        (
            "FIRST,0,1,0,1",
            "line 2 has this name already (case does not count, as files are named by it); rename one",
        ),
        ("a\0b,0,1,0,1", 'the name "a\\x00b" holds a control character'),
    ],
)
def test_d8_bad_row(write: Write, row: str, fault: str) -> None:
    name = row.split(",")[0].replace("\0", "\\x00")
    if name == "FIRST":
        row, name = row.replace("FIRST", "FiRsT"), "FiRsT"
    assert row_fault(write, row) == f':3: "{name}": {fault}'


def test_d8_empty_name(write: Write) -> None:
    assert row_fault(write, " ,0,1,0,1") == ":3: the name is empty"


def test_d8_names_that_differ_by_unicode_composition_only(write: Write) -> None:
    names = (unicodedata.normalize(form, "Québec") for form in ("NFC", "NFD"))
    (fault,) = faults(write(HEADER + "".join(f"{name},0,1,0,1\n" for name in names)))
    assert fault.endswith(
        "line 2 has this name already (case does not count, as files are named by it); rename one"
    )


def test_d8_a_line_break_in_a_name_spoils_its_own_lines_only(write: Write) -> None:
    lines = faults(write(HEADER + '"a\nb",0,1,0,1\n' + GOOD + "bad,2,1,0,1\n"))
    assert [line[:3] for line in lines] == [":2:", ":5:"]
    assert "close each quoted cell on its own line" in lines[0]


@pytest.mark.parametrize("cell", ["1 2 3", "1,2,3,4,5", "", "[1,2,3,4"])
def test_d8_malformed_region_cell(write: Write, cell: str) -> None:
    fault = row_fault(write, f'bad,"{cell}"', "name,region\n")
    assert "x0, x1, y0, y1" in fault or 'west "[1" is not a finite number' in fault


def test_d8_projected_sides_are_called_by_their_columns(write: Write) -> None:
    fault = row_fault(write, "bad,2,1,0,1", "name,x0,x1,y0,y1\n", crs="EPSG:5070")
    assert fault == ':2: "bad": x0 2.0 is not less than x1 1.0; swap them'


def test_d8_all_bad_lines_are_reported_in_order(write: Write) -> None:
    lines = faults(write(HEADER + "a,2,1,0,1\nb,0,1,0\nc,0,1,0,99\n" + GOOD + "d,x,1,0,1\n"))
    assert [line.split(":")[1] for line in lines] == ["2", "3", "4", "6"]


def test_d8_the_list_of_bad_lines_is_capped(write: Write) -> None:
    lines = faults(write(HEADER + "".join(f"{i},x,1,0,1\n" for i in range(50))))
    assert len(lines) == 21
    assert lines[-1] == "... and 30 more like these"


def test_d8_long_values_are_cut_in_messages(write: Write) -> None:
    assert len(row_fault(write, f"bad,{'x' * 10_000},1,0,1")) < 120


def test_d8_a_hundred_thousand_rows_in_two_seconds(write: Write) -> None:
    row = '"County {0}",-{1}.25,{1}.75,-45.125,45.5,"Title, {0}",{0:05},{0}'
    rows = "\n".join(row.format(i, i % 90) for i in range(100_000))
    path = write("name,west,east,south,north,title,fips,number\n" + rows)
    start = time.process_time()
    regions = read_region_table(path)
    assert time.process_time() - start <= 2.0
    assert len(regions) == 100_000
    assert regions[-1].fields == {"fips": "99999", "number": 99_999}


def test_d8_a_hundred_thousand_bad_rows_in_two_seconds(write: Write) -> None:
    path = write(HEADER + "".join(f"{i},x,,1e400,91\n" for i in range(100_000)))
    start = time.process_time()
    assert faults(path)[-1] == "... and 99980 more like these"
    assert time.process_time() - start <= 2.0


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_unreadable_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "list.csv"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(RegionError, match=r"list\.csv can\'t be read: (No such file|Is a directory)"):
        read_regions(path)


# --- tables, by hypothesis

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
    lambda text: text == text.strip()
)
LONGITUDES = st.lists(st.integers(-18_000, 18_000), min_size=2, max_size=2, unique=True).map(sorted)
LATITUDES = st.lists(st.integers(-9_000, 9_000), min_size=2, max_size=2, unique=True).map(sorted)
ROWS = st.lists(
    st.tuples(
        TEXTS,
        LONGITUDES,
        LATITUDES,
        TEXTS | st.just(""),
        TEXTS.map("t{}".format),
        st.integers(-(10**9), 10**9),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: name_key(row[0]),
)
COLUMNS = ("name", "west", "east", "south", "north", "title", "note", "count")


def cells_of(row: Any, decimal: str) -> dict[str, str]:
    name, longitudes, latitudes, title, note, count = row
    numbers = [f"{value / 100:.2f}".replace(".", decimal) for value in (*longitudes, *latitudes)]
    return dict(zip(COLUMNS, (name, *numbers, title, note, str(count)), strict=True))


def spelled(rows: list[list[str]], separator: str, quoting: Any, end: str) -> str:
    if separator == "blanks":
        quoted = (["".join(('"', cell.replace('"', '""'), '"')) for cell in row] for row in rows)
        return end.join("  ".join(row) for row in quoted) + end
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return out.getvalue()


@given(
    rows=ROWS,
    order=st.permutations(COLUMNS),
    separator=st.sampled_from([",", ";", "\t", "blanks"]),
    decimal=st.sampled_from([".", ","]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    padding=st.sampled_from(["", "\n", '# a "comment\n', "  \n\n#\n"]),
)
@settings(max_examples=150, deadline=None)
def test_any_table_in_any_dialect_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Any],
    order: list[str],
    separator: str,
    decimal: str,
    quoting: Any,
    end: str,
    encoding: str,
    padding: str,
) -> None:
    decimal = decimal if separator == ";" else "."
    cells = [[cells_of(row, decimal)[column] for column in order] for row in rows]
    if any(row[0].startswith("#") for row in cells):
        quoting = csv.QUOTE_ALL  # else they would be comments
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((padding + spelled([order, *cells], separator, quoting, end)).encode(encoding))
    assert read_region_table(path) == tuple(
        Region(
            name,
            Extent(west / 100, east / 100, south / 100, north / 100),
            title=title,
            fields={"note": note, "count": count},
        )
        for name, (west, east), (south, north), title, note, count in rows
    )


HEADERS = st.sampled_from(
    [HEADER, HEADER.replace(",", ";"), "name,region\n", "name west east south north\n", ""]
)
PIECES = st.lists(
    st.sampled_from([*',;\t "#[]\n', "1", "-80.5", "x", "\0", "name", "1e400", "é"]) | st.text(max_size=3)
)


@given(
    content=st.binary()
    | st.tuples(HEADERS, PIECES.map("".join)).map(
        lambda parts: "".join(parts).encode("utf-8", "surrogatepass")
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_gives_regions_or_a_region_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    with contextlib.suppress(RegionError):
        regions = read_regions(path)
        assert len({name_key(region.name) for region in regions}) == len(regions) > 0


# --- doors


def test_dispatch_by_suffix_and_content(write: Write, layer: Write) -> None:
    assert read_regions(write(HEADER + GOOD, "list.TXT"))[0].name == "Ohio"
    assert read_regions(write(HEADER + GOOD, "no_suffix"))[0].name == "Ohio"
    polygons = layer([box(0, 0, 1, 1)], "polygons.gpkg")
    assert read_regions(polygons)[0].name == "r0"


def test_layer_with_an_odd_suffix_is_read_and_gdals_warning_logged_once(
    layer: Write, caplog: pytest.LogCaptureFixture
) -> None:
    polygons = layer([box(0, 0, 1, 1)])
    assert read_regions(polygons.rename(polygons.with_suffix(".data")))[0].name == "r0"
    (record,) = caplog.records
    assert "non conformant file extension" in record.getMessage()


def test_table_refuses_options_of_layers(write: Write) -> None:
    with pytest.raises(
        RegionError, match=r"where is for polygon layers, but .* text table; leave it out; margin is"
    ):
        read_regions(write(HEADER + GOOD), margin="10 %", where="a = 1")


def test_table_is_unmoved_by_the_maps_projection(write: Write) -> None:
    path = write(HEADER + GOOD)
    assert read_regions(path, target_crs="EPSG:5070") == read_regions(path)


def test_select_keeps_the_lists_order_and_ignores_case() -> None:
    regions = [Region(name, Extent(0, 1, 0, 1)) for name in ("Ohio", "Québec", "Iowa", "ohio")]
    chosen = select_regions(regions, ["IOWA", unicodedata.normalize("NFD", "québec"), "OHIO"])
    assert [region.name for region in chosen] == ["Ohio", "Québec", "Iowa", "ohio"]
    assert [region.name for region in select_regions(regions, ["iowa"])] == ["Iowa"]


def test_select_of_no_names_takes_all() -> None:
    regions = (Region("Ohio", Extent(0, 1, 0, 1)),)
    assert select_regions(regions, []) == regions


def test_select_names_all_that_are_unknown_with_the_nearest() -> None:
    regions = [Region(name, Extent(0, 1, 0, 1)) for name in ("Ohio", "Iowa")]
    with pytest.raises(RegionError) as caught:
        select_regions(regions, ["Ohoi", "ohio", "xyz"])
    assert str(caught.value).split("\n") == [
        'no region "Ohoi"; nearest: "Ohio"; there are: Ohio, Iowa',
        'no region "xyz"; there are: Ohio, Iowa',
    ]


# --- layers


@pytest.mark.parametrize("name", ["layer.gpkg", "layer.shp", "layer.geojson", "layer.fgb", "layer.shz"])
def test_layer_formats(layer: Write, name: str) -> None:
    path = layer([box(0, 0, 2, 1), box(5, 5, 6, 7)], name, name=["a", "b"], count=[1, 2])
    first, second = sorted(read_regions(path), key=lambda region: region.name)
    assert first == Region("a", Extent(0, 2, 0, 1), fields={"name": "a", "count": 1})
    assert sides(second) == (5, 6, 5, 7)


def test_layer_names_may_repeat(layer: Write) -> None:
    path = layer([box(0, 0, 1, 1), box(2, 0, 3, 1)], name=["Washington", "Washington"])
    assert len(read_region_layer(path)) == 2


def test_layer_name_field(layer: Write) -> None:
    path = layer([box(0, 0, 1, 1)], NAME_EN=["Fiji"], iso=[242])
    assert read_region_layer(path, name="name_en")[0].name == "Fiji"
    assert read_region_layer(path, name="iso")[0].name == "242"


@pytest.mark.parametrize("option", ["name", "sort", "title"])
def test_layer_unknown_field(layer: Write, option: str) -> None:
    path = layer([box(0, 0, 1, 1)], name=["Fiji"], iso=["FJ"])
    with pytest.raises(
        RegionError, match=f'{option}: no field "nome"; nearest: "name"; there are: name, iso'
    ):
        read_region_layer(path, **{option: "nome"})


def test_layer_where(layer: Write) -> None:
    path = layer([box(i, 0, i + 1, 1) for i in range(3)], name=list("abc"), pop=[1, 2, 3])
    assert [region.name for region in read_region_layer(path, where="pop >= 2")] == ["b", "c"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pup = 1", r"where 'pup = 1' can't be evaluated: .*pup.* \(fields: name, pop\)"),
        ("pop = = 1", "syntax error"),
        ("pop = 9", "no feature meets where 'pop = 9'"),
    ],
)
def test_layer_bad_where_gives_the_reason(layer: Write, where: str, message: str) -> None:
    with pytest.raises(RegionError, match=message):
        read_region_layer(layer([box(0, 0, 1, 1)], name=["a"], pop=[1]), where=where)


@pytest.mark.parametrize(
    ("sort", "order"),
    [("pop", "bca-"), ("-pop", "acb-"), ("text", "acb-"), ("-text", "bca-"), (None, "-abc")],
)
def test_layer_sort(layer: Write, sort: str | None, order: str) -> None:
    boxes = [box(i, 0, i + 1, 1) for i in range(4)]
    path = layer(boxes, name=list("-abc"), pop=[np.nan, 30.0, 4.0, 5.0], text=["", "A", "c", "b"])
    assert "".join(region.name for region in read_region_layer(path, sort=sort)) == order


def test_layer_titles(layer: Write) -> None:
    path = layer([box(0, 0, 1, 1)], name=["Ohio"], postal=["OH"], pop=[7])
    assert read_region_layer(path)[0].title == "Ohio"
    assert read_region_layer(path, title="postal")[0].title == "OH"
    assert read_region_layer(path, title="{name}, {POSTAL}: {pop:03d}")[0].title == "Ohio, OH: 007"


@pytest.mark.parametrize("title", ["{name:d}", "{name", "{name!z}"])
def test_layer_title_that_cannot_be_filled_in(layer: Write, title: str) -> None:
    with pytest.raises(RegionError, match=r"title .* can't be filled in: "):
        read_region_layer(layer([box(0, 0, 1, 1)]), title=title)


@pytest.mark.parametrize("title", ["{}", "{0}", "{name.upper}", "{name.__class__}"])
def test_layer_title_knows_nothing_but_fields(layer: Write, title: str) -> None:
    with pytest.raises(RegionError, match="title: no field"):
        read_region_layer(layer([box(0, 0, 1, 1)]), title=title)


def test_layer_attributes_become_fields(layer: Write) -> None:
    times = np.array(["2024-01-02T03:04:05"], "datetime64[ms]")
    path = layer([box(0, 0, 1, 1)], name=["a"], i=[3], f=[1.5], gap=[np.nan], t=times)
    fields = dict(read_region_layer(path)[0].fields)
    assert str(fields.pop("t")).startswith("2024-01-02T03:04:05")
    assert fields == {"name": "a", "i": 3, "f": 1.5, "gap": ""}


def test_layer_empty_name_is_a_fault_with_its_feature(layer: Write) -> None:
    path = layer([box(i, 0, i + 1, 1) for i in range(3)], "layer.shp", name=["a", "", "b\tc"])
    with pytest.raises(RegionError) as caught:
        read_region_layer(path)
    assert str(caught.value).split("\n") == [
        f"{path}: feature 1: the name is empty",
        f'{path}: feature 2: "b\\tc": the name "b\\tc" holds a control character',
    ]


def test_layer_margin_in_percent_of_each_side(layer: Write) -> None:
    (region,) = read_region_layer(layer([box(0, 0, 20, 10)]), margin="10 %")
    assert sides(region) == pytest.approx((-2, 22, -1, 11))


@pytest.mark.parametrize("margin", ["25 km", "25000 m", " 25km"])
def test_layer_margin_in_kilometres_on_the_ground(layer: Write, margin: str) -> None:
    (region,) = read_region_layer(layer([box(9, 59, 11, 61)]), margin=margin)
    geod = Geod(ellps="WGS84")
    assert geod.inv(region.extent.west, 60, 9, 60)[2] == pytest.approx(25_000, rel=1e-3)
    assert geod.inv(10, 61, 10, region.extent.north)[2] == pytest.approx(25_000, rel=1e-3)


def test_layer_margin_in_kilometres_on_a_projected_map(layer: Write) -> None:
    path = layer([box(9.99, 59.99, 10.01, 60.01)])
    (bare,), (region,) = (
        read_region_layer(path, margin=m, target_crs="EPSG:3857") for m in ("0 km", "25 km")
    )
    # Mercator's scale at 60 N on the sphere is 1 / cos 60 = 2.
    assert bare.extent.west - region.extent.west == pytest.approx(50_000, rel=1e-2)
    assert region.extent.north - bare.extent.north == pytest.approx(50_000, rel=1e-2)


def test_layer_margin_stops_at_the_poles_and_at_the_whole_world(layer: Write) -> None:
    (region,) = read_region_layer(layer([box(-170, -80, 170, 89)]), margin="50 %")
    assert sides(region) == (-180, 180, -90, 90)


def test_layer_margin_at_a_pole_is_finite(layer: Write) -> None:
    (region,) = read_region_layer(layer([box(0, 89.99999, 1, 90)]), margin="10 km")
    assert sides(region)[:2] == (-180, 180)
    assert region.extent.north == 90


def test_layer_min_size_lets_small_regions_grow_around_their_center(layer: Write) -> None:
    path = layer([box(-0.01, -0.02, 0.01, 0.02), box(10, 0, 20, 10)])
    small, large = read_region_layer(path, min_size="60 km", target_crs="EPSG:3857", margin="10 %")
    # On the equator EPSG:3857 is true along x, and 0.7 % too short along y.
    assert sides(small) == pytest.approx((-30_000, 30_000, -30_000, 30_000), rel=1e-2)
    assert sides(large) == pytest.approx(
        sides(read_region_layer(path, target_crs="EPSG:3857", margin="10 %")[1])
    )


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"margin": "10"}, 'write "10 %", "25 km" or "2500 m"'),
        ({"margin": "-5 %"}, "margin"),
        ({"margin": "10 miles"}, "margin"),
        ({"margin": 10}, 'margin "10"'),
        ({"min_size": "5 %"}, 'min_size "5 %" is not a number with its unit; write "60 km" or "2500 m"'),
    ],
)
def test_layer_amounts_need_a_unit(layer: Write, options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RegionError, match=remedy):
        read_region_layer(layer([box(0, 0, 1, 1)]), **options)


def test_layer_extents_follow_the_curves_of_the_projection(layer: Write) -> None:
    (region,) = read_region_layer(layer([box(-120, 40, -72, 49)]), target_crs="EPSG:5070")
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:5070", always_xy=True).transform
    # The 40th parallel is lowest on the central meridian, where the box has no corner.
    assert region.extent.south == pytest.approx(to_map(-96, 40)[1], abs=1)
    assert region.extent.north == pytest.approx(to_map(-120, 49)[1], abs=1)
    assert region.extent.west == pytest.approx(to_map(-120, 40)[0], abs=1)
    assert region.crs == "EPSG:5070"


def test_layer_in_metres_gives_degrees(layer: Write) -> None:
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform
    west, south = to_map(10, 50)
    east, north = to_map(12, 51)
    (region,) = read_region_layer(layer([box(west, south, east, north)], crs="EPSG:3857"))
    assert sides(region) == pytest.approx((10, 12, 50, 51))
    assert region.crs is None


def test_layer_partly_outside_the_projection_is_boxed_where_it_shows(layer: Write) -> None:
    path = layer([box(0, -0.1, 170, 0.1), box(170, -5, 175, 5)], name=["half", "back"])
    ortho = "+proj=ortho +lat_0=0 +lon_0=0 +R=6371000"
    (region,) = read_region_layer(path, target_crs=ortho, where="name = 'half'")
    assert region.extent.east == pytest.approx(6_371_000, rel=1e-4)
    with pytest.raises(RegionError, match='feature 2: "back": lies outside the map\'s projection'):
        read_region_layer(path, target_crs=ortho)


def test_layer_without_crs_says_what_to_set(layer: Write) -> None:
    path = layer([box(0, 0, 1, 1)], "layer.shp")
    path.with_suffix(".prj").unlink()
    with pytest.raises(
        RegionError, match=r'states no CRS \(is its .prj missing\?\); set its crs, such as "EPSG:4326"'
    ):
        read_regions(path)
    assert sides(read_regions(path, crs="EPSG:4326")[0]) == (0, 1, 0, 1)


def test_layer_refuses_another_crs_than_its_own(layer: Write) -> None:
    path = layer([box(0, 0, 1, 1)])
    with pytest.raises(RegionError, match="its CRS is WGS 84, not NAD83 / Conus Albers; leave crs out"):
        read_regions(path, crs="EPSG:5070")
    assert read_regions(path, crs="OGC:CRS84") == read_regions(path)


def test_layer_of_metres_that_claims_degrees(layer: Write) -> None:
    with pytest.raises(RegionError, match=r"WGS 84 is in degrees, but it has a latitude of 4000000\.0"):
        read_region_layer(layer([box(0, 0, 4e6, 4e6)]))


def test_layer_that_oversteps_the_pole_by_a_rounding_error(layer: Write) -> None:
    path = layer([box(0, 80, 1, 90.0000001)], crs="EPSG:4258")
    to_map = Transformer.from_crs("EPSG:4258", "EPSG:3035", always_xy=True).transform
    (region,) = read_region_layer(path, target_crs="EPSG:3035")
    assert region.extent.north == pytest.approx(to_map(1, 90)[1], abs=1)


def test_d7_layer_skips_features_without_geometry_with_one_warning(
    layer: Write, caplog: pytest.LogCaptureFixture
) -> None:
    path = layer([None, box(0, 0, 1, 1), Polygon()], name=list("abc"))
    with caplog.at_level(logging.WARNING):
        assert [region.name for region in read_region_layer(path)] == ["b"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 2 features without geometry skipped, feature 1 first"
    ]


def test_d7_layer_of_nothing_but_empty_geometries(layer: Write) -> None:
    with pytest.raises(RegionError, match="none of its 2 features has a geometry"):
        read_region_layer(layer([None, Polygon()]))


def test_layer_of_points_needs_a_min_size(layer: Write) -> None:
    path = layer([Point(10, 0)], name=["buoy"])
    with pytest.raises(RegionError, match='feature 1: "buoy": it has no width or no height; set min_size'):
        read_region_layer(path)
    (region,) = read_region_layer(path, min_size="200 km")
    assert region.extent.width == pytest.approx(200 / 111.32, rel=1e-3)


def test_d7_layer_with_invalid_and_three_dimensional_polygons(layer: Write) -> None:
    bow_tie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    raised = Polygon([(5, 5, 9), (6, 5, 9), (6, 6, 9)])
    assert [sides(r) for r in read_region_layer(layer([bow_tie, raised]))] == [(0, 2, 0, 2), (5, 6, 5, 6)]


def test_d7_layer_with_collections(layer: Write) -> None:
    nested = shapely.GeometryCollection([MultiPolygon([box(0, 0, 1, 1), box(3, 3, 4, 4)]), Point(6, -2)])
    assert sides(read_region_layer(layer([nested]))[0]) == (0, 6, -2, 4)


def test_layer_absurdly_large_polygon_costs_little(layer: Write) -> None:
    start = time.process_time()
    (region,) = read_region_layer(
        layer([box(-1e15, -1e15, 1e15, 1e15)], crs="EPSG:5070"), target_crs="EPSG:5070"
    )
    assert region.extent.width == 2e15
    assert time.process_time() - start < 1


def test_layer_of_several_must_be_chosen(layer: Write, tmp_path: Path) -> None:
    path = layer([box(0, 0, 1, 1)], "two.gpkg")
    write_layer(path, [box(5, 5, 6, 6)], "EPSG:4326", {"name": ["b"]}, layer="second", append=True)
    with pytest.raises(RegionError, match="set layer to one of its layers: two, second"):
        read_regions(path)
    assert read_regions(path, layer="second")[0].name == "b"
    with pytest.raises(RegionError, match='there is no layer "third"; layers: two, second'):
        read_regions(path, layer="third")


@pytest.mark.parametrize("suffix", [".shx", ".dbf"])
def test_d3_shapefile_with_a_part_missing(layer: Write, suffix: str) -> None:
    path = layer([box(0, 0, 1, 1)], "layer.shp")
    path.with_suffix(suffix).unlink()
    with pytest.raises(RegionError, match=r"(shx|no field \"name\"; there are: none)"):
        read_regions(path)


@pytest.mark.parametrize("content", [b"", b"\0garbage", b'{"type": "FeatureCollection", "features": [}'])
def test_unreadable_layer(write: Write, content: bytes) -> None:
    with pytest.raises(RegionError, match=r"bad\.geojson: can't be read as a layer: "):
        read_regions(write(content, "bad.geojson"))


def test_missing_layer_file(tmp_path: Path) -> None:
    with pytest.raises(RegionError, match=r"none\.shp: there is no such file"):
        read_regions(tmp_path / "none.shp")


def test_d3_layer_that_leads_to_another_file_is_refused(layer: Write, write: Write) -> None:
    secret = layer([box(0, 0, 1, 1)], "secret.gpkg")
    source = f'<OGRVRTLayer name="secret"><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer>'
    vrt = f"<OGRVRTDataSource>{source}</OGRVRTDataSource>"
    with pytest.raises(RegionError, match=r"OGRVRTDataSource.*leads to other files"):
        read_regions(write(vrt, "harmless.geojson"))


# --- D5: across the antimeridian

ALASKA = MultiPolygon([box(-179.1, 51.2, -130, 71.4), box(172.5, 51.8, 179.8, 53)])
FIJI = MultiPolygon([box(177, -20, 180, -16), box(-180, -20, -178, -16)])
CHUKOTKA = MultiPolygon([box(-180, 65, -169, 69), box(157, 62, 180, 71)])
ALEUTIANS = MultiPolygon([box(170, 51, 171, 52), box(-179, 51, -178, 52), box(179, 51, 179.5, 52)])


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        (ALASKA, (-187.5, -130)),
        (FIJI, (177, 182)),
        (CHUKOTKA, (157, 191)),
        (ALEUTIANS, (170, 182)),
        (box(-150, 0, 150, 1), (-150, 150)),
        (box(170, 0, 190, 1), (170, 190)),
        (box(190, 0, 200, 1), (-170, -160)),
        (box(-180, -90, 180, -60), (-180, 180)),
        (MultiPolygon([box(0, 0, 350, 1), box(-20, 0, 10, 1)]), (-180, 180)),
    ],
    ids=["alaska", "fiji", "chukotka", "aleutians", "wide", "beyond", "shifted", "antarctica", "all around"],
)
def test_d5_layer_extents(layer: Write, geometry: Any, expected: tuple[float, float]) -> None:
    (region,) = read_region_layer(layer([geometry]))
    assert sides(region)[:2] == pytest.approx(expected)


@pytest.mark.parametrize("target", ["EPSG:3857", "+proj=eqc +lon_0=0", "+proj=merc +lon_0=-96 +R=6371000"])
def test_d5_cylindrical_maps_run_around_the_world(layer: Write, target: str) -> None:
    (alaska,) = read_region_layer(layer([ALASKA]), target_crs=target)
    to_map = Transformer.from_crs("OGC:CRS84", target, always_xy=True).transform
    metres_per_degree = to_map(-129, 0)[0] - to_map(-130, 0)[0]
    assert alaska.extent.width == pytest.approx(57.5 * metres_per_degree)
    assert alaska.extent.east == pytest.approx(to_map(-130, 0)[0])


def test_d5_prime_meridian_elsewhere(layer: Write) -> None:
    (alaska,) = read_region_layer(layer([ALASKA]), target_crs="+proj=longlat +pm=180")
    assert sides(alaska)[:2] == pytest.approx((-7.5, 50))


def test_d5_projection_that_shows_the_antimeridian_whole(layer: Write) -> None:
    (alaska,) = read_region_layer(layer([ALASKA]), target_crs="EPSG:3338")
    assert alaska.extent.width < 4.5e6


def test_d5_polar_projection_to_degrees_includes_the_pole(layer: Write) -> None:
    (region,) = read_region_layer(layer([Point(0, 0).buffer(1e6)], crs="EPSG:3031"))
    assert sides(region)[:3] == (-180, 180, -90)
    # 1000 km from the pole on this map, true at 71 S: 80.8 S.
    expected = Transformer.from_crs("EPSG:3031", "OGC:CRS84", always_xy=True).transform(0, 1e6)[1]
    assert region.extent.north == pytest.approx(expected, abs=0.01)


def test_d5_outline_across_the_antimeridian_in_a_pacific_projection(layer: Write) -> None:
    # Equidistant cylindrical around 150 E on a sphere: x is proportional to longitude - 150.
    crs, degree = "+proj=eqc +lon_0=150 +R=6371000", 6_371_000 * np.pi / 180
    path = layer([box(20 * degree, -1e6, 50 * degree, 1e6)], crs=crs)
    assert sides(read_region_layer(path)[0])[:2] == pytest.approx((-190, -160))
    (region,) = read_region_layer(path, target_crs="+proj=eqc +lon_0=0 +R=6371000")
    assert sides(region)[:2] == pytest.approx((-190 * degree, -160 * degree))


def test_d5_the_real_alaska() -> None:
    (alaska,) = read_regions(BOUNDARIES / "states.shp", where="name = 'Alaska'")
    assert sides(alaska)[:2] == pytest.approx((-187.5, -130), abs=0.1)


@given(st.lists(st.tuples(st.integers(-180, 179), st.integers(1, 200)), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_d5_the_extent_is_the_shortest_arc(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "arcs.gpkg"
    path.unlink(missing_ok=True)
    write_layer(
        path, [MultiPolygon([box(w, 0, w + size, 1) for w, size in parts])], "EPSG:4326", {"name": ["a"]}
    )
    extent = read_region_layer(path)[0].extent
    covered = {(west + step) % 360 for west, size in parts for step in range(size)}
    widths = [max((degree - start) % 360 for degree in covered) + 1 for start in covered]
    assert extent.width == pytest.approx(min(widths))
    assert {round(extent.west + step) % 360 for step in range(round(extent.width))} >= covered


def test_counties_take_less_than_a_second() -> None:
    start = time.process_time()
    regions = read_regions(
        BOUNDARIES / "counties.shp",
        where="lower48 = 1",
        target_crs="EPSG:5070",
        margin="10 %",
        min_size="60 km",
    )
    assert time.process_time() - start < 1
    assert len(regions) > 3_000
    assert min(min(region.extent.width, region.extent.height) for region in regions) > 59_000
