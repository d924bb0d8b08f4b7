"""Odd boundary layers (D7), bad region tables (D8), hostile names (D9) and titles (D10)."""

import logging
import shutil

import numpy as np
import pytest
import shapely
from PIL import Image
from test_bad_rasters import VALUES, cells

from forkmaps.mapset import read_mapset
from forkmaps.style.layout import Layout
from plain import assert_alike, plain_cartopy
from small import SET, SQUARE, make_layer, make_set

TABLE = "name,west,east,south,north\n"
HERE = "-104,-96,36,40"

# D7: boundary layers

BOW_TIE = shapely.Polygon([(-102, 37), (-98, 39), (-98, 37), (-102, 39)])
LAYERS = {
    "a bow-tie": [BOW_TIE],
    "with heights": [shapely.force_3d(SQUARE, 7.0)],
    "with measures": [shapely.from_wkt("LINESTRING M (-102 37 1, -98 39 2, -97 38 3)")],
    "of mixed types": [
        shapely.box(-103, 37, -101, 39),
        shapely.LineString([(-100, 37), (-98, 39)]),
        shapely.MultiLineString([[(-99, 38), (-97, 38)], [(-99, 37), (-97, 37)]]),
        shapely.GeometryCollection([shapely.box(-97.5, 38, -97, 39)]),
    ],
}


@pytest.mark.parametrize("shapes", LAYERS.values(), ids=LAYERS.keys())
def test_d7_odd_shapes_are_drawn_where_plain_cartopy_draws_them(tmp_path, drawn, caplog, shapes):
    path = make_set(tmp_path, regions=f"{TABLE}here,{HERE}\n")
    (tmp_path / "square.gpkg").unlink()
    make_layer(tmp_path / "square.gpkg", shapes)
    flat = [shapely.force_2d(shape) for shape in shapes]
    plain = plain_cartopy(path, cells(VALUES + 1), flat)["here"]
    caplog.clear()
    shown = drawn(path)["here"]
    assert_alike(shown, plain)
    assert not caplog.records


@pytest.mark.parametrize(
    "odd", [None, shapely.Polygon(), shapely.Point(-100, 38)], ids=["null", "empty", "point"]
)
def test_d7_what_has_no_lines_is_left_out_with_one_warning(tmp_path, drawn, caplog, odd):
    path = make_set(tmp_path, SET.replace("square.gpkg", "square.geojson"), f"{TABLE}here,{HERE}\n")
    make_layer(tmp_path / "square.geojson", [SQUARE, SQUARE, odd, SQUARE])
    with caplog.at_level(logging.WARNING):
        shown = drawn(path)["here"]
    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith("square")
    assert "left out 1 " in warning
    assert "feature 3 of 4" in warning
    assert_alike(shown, plain_cartopy(path, cells(VALUES + 1))["here"])


@pytest.mark.parametrize("shapes", [[], [None], [shapely.Point(-100, 38)]], ids=["none", "null", "point"])
def test_d7_a_layer_with_nothing_to_draw_is_refused(tmp_path, refused, shapes):
    path = make_set(tmp_path, SET.replace("square.gpkg", "square.geojson"))
    make_layer(tmp_path / "square.geojson", shapes)
    assert f"square.geojson): holds no polygons or lines to draw, in {len(shapes)} features" in refused(path)


# D8: region tables

ROWS = {
    "a,-104,-96,36": "4 cells, but 5 columns",
    "b,-104,-96,36,40,7": "6 cells, but 5 columns",
    "c,-104,-96,NaN,40": 'south "NaN" is not a finite number',
    "d,-104,-96,36,1e400": 'north "1e400" is not a finite number',
    "e,-104,-104,36,40": "west -104.0 is not less than east -104.0",
    "f,-104,-96,40,36": "south 40.0 is not less than north 36.0; swap them",
    "g,-104,-96,36,91": "north 91.0 is not a latitude from -90 to 90",
    "h,400,401,36,40": "west 400.0 is not a longitude from -360 to 360",
    "good,-103,-96,36,40": "line 2 has this name already",
    "GOOD,-103,-96,36,40": "line 2 has this name already",
    ",-104,-96,36,40": "the name is empty",
    "x\0y,-104,-96,36,40": "holds a control character",
    "i,west,-96,,40": 'west "west" is not a finite number; south is empty',
    "j,-104;-96;36;40": "2 cells, but 5 columns",
    "k,-104,5,-96,36,40": "6 cells, but 5 columns",
}


def test_d8_all_bad_lines_are_told_at_once_with_line_and_value(tmp_path, refused):
    table = f"{TABLE}good,{HERE}\n" + "\n".join(ROWS) + "\n"
    lines = refused(make_set(tmp_path, regions=table)).splitlines()
    assert len(lines) == len(ROWS)
    for number, (line, fault) in enumerate(zip(lines, ROWS.values(), strict=True), start=3):
        assert line.startswith(f"{tmp_path}/regions.csv:{number}: ")
        assert fault in line


HEADERS = {
    "name,west,east,south\na,-104,-96,36\n": 'no column "north"; ',
    "nam,west,east,south,north\na,-104,-96,36,40\n": 'no column "name"; nearest: "nam"',
    "": "the table is empty",
    " \n\n# nothing\n": "the table is empty",
    TABLE: "there is only a header",
    "name,west,east,south,north,west\na,1,2,3,4,5\n": 'there are several columns "west"',
}


@pytest.mark.parametrize("table", HEADERS)
def test_d8_a_table_without_rows_or_columns_is_refused(tmp_path, refused, table):
    assert HEADERS[table] in refused(make_set(tmp_path, regions=table))


PLAIN = f"{TABLE}here,{HERE}\n"
DIALECTS = {
    "BOM": b"\xef\xbb\xbf" + PLAIN.encode(),
    "CRLF": PLAIN.replace("\n", "\r\n").encode(),
    "CR": PLAIN.replace("\n", "\r").encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "decimal commas": PLAIN.replace(",", ";").replace("-96", "-96,0").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "blank lines": PLAIN.replace("\n", "\n\n \n").encode(),
    "an extra column": (PLAIN.replace("north", "north,title").replace("40", "40,Here")).encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "in one column": f'name,region\nhere,"[{HERE}]"\n'.encode(),
}


def test_d8_dialects_of_tables_give_the_same_picture(tmp_path, drawn):
    usual = drawn(make_set(tmp_path, regions=PLAIN))["here"]
    for dialect, table in DIALECTS.items():
        path = make_set(tmp_path)
        (tmp_path / "regions.csv").write_bytes(table)
        shutil.rmtree(tmp_path / "out")
        np.testing.assert_array_equal(drawn(path)["here"], usual, err_msg=dialect)


def test_d8_latin_1_is_drawn_with_one_warning(tmp_path, drawn, caplog):
    path = make_set(tmp_path)
    (tmp_path / "regions.csv").write_bytes(f"{TABLE}Québec,{HERE}\n".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert list(drawn(path)) == ["Québec"]
    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith(f"{tmp_path}/regions.csv:2: not UTF-8, read as Windows-1252")


# D9: names

SAFE = {
    "../x": "_x",
    "/etc/x": "_etc_x",
    "a/b": "a_b",
    ".": "_",
    "CON": "_CON",
    "é": "é",
    "-rf": "_rf",
    "$(x)": "_(x)",
    "%s": "_s",
    "~": "~",
}


def test_d9_hostile_names_make_safe_files_in_the_folder(tmp_path, drawn):
    rows = "".join(f"{name},{HERE}\n" for name in [*SAFE, "x" * 300])
    path = make_set(tmp_path / "set", regions=TABLE + rows)
    before = {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "set" / "out")}
    shown = drawn(path)
    assert sorted(name for name in shown if len(name) < 99) == sorted(SAFE.values())
    assert len(shown) == len(SAFE) + 1
    assert {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "set" / "out")} == before


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("A", "a"), "has this name already"),
        (("é", "e\u0301"), "has this name already"),
        (("a/b", "a\\b"), "add a field that tells them apart"),
        (("",), "the name is empty"),
        (("new\x85line",), "control character"),
    ],
)
def test_d9_names_that_make_no_file_or_the_same_are_refused(tmp_path, refused, names, fault):
    rows = "".join(f"{name},{HERE}\n" for name in names)
    assert fault in refused(make_set(tmp_path, regions=TABLE + rows))


@pytest.mark.parametrize(
    "template", ["../{region.name}.png", "/tmp/{region.name}.png", "a//{region.name}.png"]
)
def test_d9_a_template_that_leads_out_of_the_folder_is_refused(tmp_path, refused, template):
    path = make_set(tmp_path, SET.replace("{region.name}.png", template))
    assert "isn't a path below the folder; correct the file name template" in refused(path)


# D10: titles

TITLES = {
    "mathtext": "$x^",
    "TeX": r"\frac",
    "percent": "100 %",
    "right to left": "שלום עולם, مرحبا بالعالم",
    "emoji": "Rain 🌧️ and 👨‍👩‍👧",
    "5,000 characters": "long " * 1000,
    "one word": "W" * 5000,
    "braces": "{region.name} {0} {}",
}


def test_d10_any_title_stays_within_the_picture(tmp_path, drawn):
    header = "name;west;east;south;north;title\n"
    rows = "".join(f"{name};{HERE.replace(',', ';')};{title}\n" for name, title in TITLES.items())
    path = make_set(tmp_path, SET.replace("[style]", '[style]\nsubtitle = "{region.title}"'), header + rows)
    shown = drawn(path, "lacks characters")  # emoji
    layout = Layout.of(read_mapset(path).options.style)
    assert len(shown) == len(TITLES)
    for file in (tmp_path / "out").glob("*.png"):
        strip = np.asarray(Image.open(file))[: layout.size.height - layout.map.bottom - layout.map.height - 2]
        assert (strip != 255).any(), file
        assert (strip[:, :5] == 255).all(), file
        assert (strip[:, -5:] == 255).all(), file
    for name in shown:
        np.testing.assert_array_equal(shown[name], shown["percent"])
