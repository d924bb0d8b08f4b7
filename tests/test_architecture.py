"""The house: who may import whom, and which names are public."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

import forkmaps

SOURCE = pathlib.Path(forkmaps.__file__).parent

# Which rooms (a module, or a folder of them) a room may import from, in the order in which data flows.
MAY_IMPORT = {
    "errors": set(),
    "html": set(),
    "freezing": set(),
    "layerfile": {"errors"},
    "regions": {"errors", "html", "layerfile"},
    "projection": {"errors", "regions"},
    "names": {"errors"},
    "output": {"errors"},
    "cache": {"errors", "output"},
    "memory": set(),
    "raster": {"errors", "freezing", "html", "memory", "regions", "projection", "cache"},
    "features": {"errors", "layerfile", "regions", "projection", "cache"},
    "shared": {"errors", "html", "output", "regions", "projection", "cache", "raster", "features"},
    "style": {"errors", "projection", "raster"},
    "plotter": {"errors", "raster"},
    "job": {"errors", "regions", "raster", "shared", "style"},
    "render": {
        *("errors", "regions", "projection", "raster", "features", "shared", "style", "job", "plotter"),
        "figures",
    },
    "pool": {"errors"},
    "encode": {"errors"},
    "figures": {"errors", "encode"},
    "progress": set(),
    "drawers": {"pool", "figures"},
    "grid": {"errors", "pool", "encode", "figures", "drawers", "progress"},
    "onraster": {"errors", "regions", "projection", "raster"},
    "plan": {
        "errors",
        "onraster",
        "html",
        "regions",
        "projection",
        "names",
        "raster",
        "shared",
        "style",
        "job",
        "plotter",
    },
    "manifest": {
        "errors",
        "projection",
        "output",
        "cache",
        "raster",
        "features",
        "shared",
        "style",
        "job",
        "regions",
    },
    "run": {
        *(
            "errors",
            "html",
            "output",
            "encode",
            "figures",
            "pool",
            "drawers",
            "progress",
            "shared",
            "job",
            "render",
            "plan",
        ),
        "manifest",
    },
    "maps": {"errors", "regions", "shared", "style", "plan", "progress", "run"},
    "showmap": {
        *("errors", "regions", "raster", "output", "figures", "shared", "style", "job", "render", "plan"),
        "maps",
    },
    "sweeps": {
        *("errors", "html", "freezing", "names", "output", "style", "pool", "figures", "drawers"),
        *("progress", "plan"),
    },
    "functions": {"errors", "freezing", "shared", "pool", "progress"},
    "sheet": {
        *("errors", "html", "output", "projection", "raster", "regions", "shared", "style", "job", "render"),
        *("pool", "encode", "figures", "drawers", "plan", "progress"),
    },
    "mapset": {"errors", "regions", "projection", "cache", "raster", "shared", "style", "plan"},
    "bundled": set(),
    "doctor": {
        *("errors", "regions", "projection", "output", "cache", "raster", "features", "shared", "style"),
        *("memory", "pool", "encode", "plan", "run"),
    },
    "cli": {
        *("errors", "output", "regions", "cache", "mapset", "plan", "progress", "run", "bundled", "doctor"),
        "sheet",
    },
}


def room_of(path):
    """The module, or the folder of modules, that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path):
    """The rooms that a file imports from; imports for type checkers only are left out."""
    tree = ast.parse(path.read_text())
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    skipped = {id(n) for block in checked for n in ast.walk(block)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and id(n) not in skipped]
    return {n.module.split(".")[1] for n in found if n.module and n.module.startswith("forkmaps.")}


FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py" and "bundled/" not in str(p))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_room_may(path):
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} has no place in the house; give it one here"
    assert imports(path) <= MAY_IMPORT[room] | {room}


def test_no_room_imports_from_one_that_imports_from_it():
    def reached(room, seen=()):
        assert room not in seen, f"{' -> '.join((*seen, room))}"
        for below in MAY_IMPORT[room]:
            reached(below, (*seen, room))

    reached("cli")


def test_nothing_imports_the_command_line():
    assert not [path for path in FILES if "cli" in imports(path)]


def test_only_grids_of_plots_import_pyplot_whose_figures_they_return():
    named = re.compile(r"matplotlib\.pyplot|import pyplot")
    assert {room_of(path) for path in FILES if named.search(path.read_text())} == {"grid"}


def test_the_public_names_are_these():
    assert forkmaps.__all__ == [
        "Boundary",
        "Extent",
        "ForkExecutor",
        "ForkmapsError",
        "Line",
        "MapSet",
        "Plan",
        "Raster",
        "Region",
        "Report",
        "Run",
        "SharedData",
        "Style",
        "contact_sheet",
        "draw_maps",
        "fork_map",
        "parallel_plot",
        "plan_maps",
        "read_mapset",
        "read_regions",
        "render_maps",
        "shared_data",
        "show_map",
        "sweep",
    ]
    for name in forkmaps.__all__:
        assert getattr(forkmaps, name).__name__ == name


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="render_everything"):
        _ = forkmaps.render_everything


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import forkmaps, sys; print(sorted({'numpy', 'matplotlib', 'cartopy', 'pandas'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
