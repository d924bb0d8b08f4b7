"""Sets of regional maps, fast: load the data once, fork many workers.

The names below are the public ones. They are imported when first used: `import forkmaps` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from forkmaps.errors import ForkmapsError
    from forkmaps.functions import fork_map
    from forkmaps.functions.executor import ForkExecutor
    from forkmaps.grid import parallel_plot
    from forkmaps.maps import render_maps
    from forkmaps.mapset import MapSet, read_mapset
    from forkmaps.plan import Plan, plan_maps
    from forkmaps.raster import Raster
    from forkmaps.regions import Extent, Region, read_regions
    from forkmaps.run.batch import Run, draw_maps
    from forkmaps.run.report import Report
    from forkmaps.shared import Boundary, SharedData, shared_data
    from forkmaps.sheet import contact_sheet
    from forkmaps.showmap import show_map
    from forkmaps.style import Line, Style
    from forkmaps.sweeps import sweep

_HOMES = {
    "Boundary": "shared",
    "Extent": "regions",
    "ForkExecutor": "functions.executor",
    "ForkmapsError": "errors",
    "Line": "style",
    "MapSet": "mapset",
    "Plan": "plan",
    "Raster": "raster",
    "Region": "regions",
    "Report": "run.report",
    "Run": "run.batch",
    "SharedData": "shared",
    "Style": "style",
    "contact_sheet": "sheet",
    "draw_maps": "run.batch",
    "fork_map": "functions",
    "parallel_plot": "grid",
    "plan_maps": "plan",
    "read_mapset": "mapset",
    "read_regions": "regions",
    "render_maps": "maps",
    "shared_data": "shared",
    "show_map": "showmap",
    "sweep": "sweeps",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
