"""Maps per second with one worker and with two: whole batches in turns, from the first fork to the report."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from forkmaps import Run, draw_maps
from forkmaps.plan import PlannedMap
from forkmaps.pool import Pool
from parts.clock import seconds_of
from parts.common import LoadedSet, value_of
from parts.findings import Findings
from parts.pictures import encode_by_pillow, picture_in
from parts.places import BenchData

MAPS_PER_REGION = 4
PAIRS = 3
ENCODINGS = 120
"""Pictures that are encoded to see what two processes with nothing in common reach on this machine."""


def measure(data: BenchData) -> Findings:
    """Draw the states four times over with 1 and with 2 workers, in turns."""
    loaded = LoadedSet.of(data.map_set, data.scratch)
    planned = several_times(loaded.planned)
    rates = in_turns(lambda workers: maps_per_second(loaded, planned, workers))
    image = picture_in(loaded.planned[0])
    encoders = in_turns(lambda workers: encodings_per_second(image, workers))
    figures = {"speedup_two_workers": speedup(rates)}
    details = {
        "maps_per_batch": len(planned),
        "maps_per_second": rates,
        "encodings_per_second": encoders,
        "speedup_two_encoders": speedup(encoders),
    }
    return Findings(figures, details)


def in_turns(rate: Callable[[int], float]) -> list[tuple[float, float]]:
    """Measure with 1 and with 2 workers, in pairs. Every other pair has the two first."""
    pairs = []
    for number in range(PAIRS):
        if number % 2:
            two, one = rate(2), rate(1)
        else:
            one, two = rate(1), rate(2)
        pairs.append((one, two))
    return pairs


def speedup(rates: list[tuple[float, float]]) -> float:
    return statistics.median(two / one for one, two in rates)


def several_times(planned: tuple[PlannedMap, ...]) -> list[PlannedMap]:
    return [replace(one, path=numbered(one.path, n)) for n in range(MAPS_PER_REGION) for one in planned]


def numbered(path: Path, number: int) -> Path:
    return path.with_stem(f"{path.stem}-{number}")


def maps_per_second(loaded: LoadedSet, planned: list[PlannedMap], workers: int) -> float:
    report = draw_maps(
        loaded.shared, replace(loaded.plan, maps=tuple(planned)), Run(workers=workers, force=True)
    )
    if report.failed:
        raise RuntimeError(f"{report.failed} maps failed: {report.failures[0]}")
    return report.maps / report.seconds


def encodings_per_second(image: Image.Image, workers: int) -> float:
    def encode_all() -> None:
        with Pool(lambda _: len(encode_by_pillow(image, 1)), workers=workers) as pool:
            for outcome in pool.run(range(ENCODINGS)):
                value_of(outcome)

    return ENCODINGS / seconds_of(encode_all)
