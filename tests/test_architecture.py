"""The house: who may import whom, and which names are public."""

import ast
import pathlib
import subprocess
import sys

import pytest

import forkmaps

SOURCE = pathlib.Path(forkmaps.__file__).parent

# Each floor may import from the floors below it, and within itself only what stands left of it.
FLOORS = [
    ["errors"],
    ["regions", "regionlayer"],
    ["projection"],
    ["sampling", "raster", "bands", "rasterfile"],
    ["linework", "features"],
    ["shared"],
    ["options", "template", "style", "colorscale", "layout"],
    ["render"],
]
# What stands beside the floors: it knows nothing of maps.
BESIDE = {
    "cpus": {"errors"},
    "workers": set(),
    "tasks": {"errors", "workers"},
    "handles": {"errors", "workers", "tasks"},
    "crew": {"errors", "workers", "tasks", "handles"},
    "pool": {"errors", "workers", "tasks", "handles", "crew", "cpus"},
    "output": {"errors"},
    "encode": {"errors"},
    "progress": set(),
    "bundled": set(),
}
# And what brings all of it together.
ON_TOP = {
    "plan": {"errors", "projection", "raster", "regions", "render", "shared", "style", "template", "output"},
    "batch": {"errors", "plan", "pool", "progress", "output", "encode", "render", "shared", "style"},
    "mapset": {"errors", "options", "projection", "raster", "regions", "shared", "style", "template"},
    "cli": {"errors", "batch", "bundled", "mapset", "plan", "progress", "regions"},
}


def imports(module):
    """Our own modules that a module imports, those for type checkers only left out."""
    tree = ast.parse((SOURCE / f"{module}.py").read_text())
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    skipped = {id(n) for block in checked for n in ast.walk(block)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and id(n) not in skipped]
    return {n.module.split(".")[1] for n in found if n.module and n.module.startswith("forkmaps.")}


def allowed(module):
    if module in BESIDE:
        return BESIDE[module]
    if module in ON_TOP:
        return ON_TOP[module]
    below = []
    for floor in FLOORS:
        if module in floor:
            return {*below, *floor[: floor.index(module)]}
        below += floor
    raise AssertionError(f"{module}.py has no place in the house; give it one here")


MODULES = sorted(p.stem for p in SOURCE.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_place_allows(module):
    # A table may be read from a layer: the dispatcher imports it where it is needed, and only there.
    extra = {"regions": {"regionlayer"}}.get(module, set())
    assert imports(module) <= allowed(module) | extra


def test_nothing_imports_the_command_line():
    assert not [module for module in MODULES if "cli" in imports(module)]


def test_the_library_never_imports_pyplot():
    assert not [p.name for p in SOURCE.glob("*.py") if "pyplot" in p.read_text().replace("no pyplot", "")]


def test_the_public_names_are_these():
    assert forkmaps.__all__ == [
        "Extent",
        "ForkmapsError",
        "Line",
        "MapSet",
        "Plan",
        "Region",
        "Report",
        "Run",
        "SharedData",
        "Style",
        "draw_maps",
        "plan_maps",
        "read_mapset",
        "read_regions",
        "shared_data",
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
