"""The same maps from a raster of ten times the cells, drawn in turns by one worker."""

from __future__ import annotations

import statistics

from forkmaps.run.mapdrawer import MapDrawer
from parts.clock import seconds_of
from parts.common import LoadedSet, draw_to_file, in_worker
from parts.findings import Findings, spread
from parts.places import BenchData

ROUNDS = 5
"""The first doesn't count: see `parts.pictures`."""


class Turns:
    """Draws a region from one raster, then from the other."""

    def __init__(self, *sets: LoadedSet) -> None:
        self.sets = sets
        self.drawers: list[MapDrawer] = []

    def prepare(self) -> None:
        self.drawers = [loaded.ready_drawer() for loaded in self.sets]

    def __call__(self, number: int) -> list[float]:
        turns = zip(self.sets, self.drawers, strict=True)
        return [seconds_of(draw_to_file, drawer, loaded.planned[number]) for loaded, drawer in turns]


def measure(data: BenchData) -> Findings:
    """Draw all states from both rasters, in several rounds."""
    folder = data.scratch
    one = LoadedSet.of(data.map_set, folder)
    ten = LoadedSet.of(data.ten_times, folder / "ten-times")
    turns = Turns(one, ten)
    numbers = range(len(one.planned))
    seconds = in_worker(turns, [*numbers] * ROUNDS, turns.prepare)[len(numbers) :]
    ratio = statistics.median(after / before for before, after in seconds)
    details = {
        "cells": [loaded.shared.raster.values.size for loaded in (one, ten)],
        "ms": [spread([1e3 * second for second in column]) for column in zip(*seconds, strict=True)],
    }
    return Findings({"ratio_cells": ratio}, details)
