"""The data that all maps of a set are drawn from: loaded once in a process, read by its workers.

The process's one `SharedData` is reached by `shared_data()`. A forked worker inherits it. A process that has
none (started anew, not forked) loads it on first use, from the recipe or the folder that it was started with.
"""

from __future__ import annotations

from forkmaps.shared.data import SharedData
from forkmaps.shared.recipe import ONLY_RASTER, Boundary, RasterRecipe, Recipe
from forkmaps.shared.slot import raster_reads, set_shared_data, shared_data

__all__ = [
    "ONLY_RASTER",
    "Boundary",
    "RasterRecipe",
    "Recipe",
    "SharedData",
    "raster_reads",
    "set_shared_data",
    "shared_data",
]
