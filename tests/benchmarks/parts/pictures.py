"""A map's time on one worker, by stage, against only encoding the same picture.

After each map its picture is encoded by Pillow and by our own encoder, in the same worker: so whatever slows
the machine down slows all three, and the ratio holds. Pillow gets a ready image and writes to memory; a map's
time has everything, to the file's name.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

import forkmaps.run.mapdrawer
from forkmaps.encode import encode_png
from forkmaps.plan import PlannedMap
from forkmaps.raster import Raster
from forkmaps.render import Renderer
from forkmaps.style.colorscale import ColorScale
from parts.clock import StageClock, seconds_of
from parts.common import LoadedSet, draw_to_file, in_worker
from parts.findings import Findings, p95, spread
from parts.places import BenchData

ROUNDS = 6
"""Each a map of every state; the first, in which a worker draws what it then keeps, doesn't count."""


def watch_stages(clock: StageClock) -> None:
    """Watch the stages of a map. What `picture` does beside sampling and coloring is drawing."""
    clock.watch(Raster, "sample", "sample")
    clock.watch(ColorScale, "colors", "sample")
    clock.watch(Renderer, "picture", "picture")
    clock.watch(forkmaps.run.mapdrawer, "encode_png", "encode")


@dataclass(frozen=True)
class Drawn:
    """Seconds of one map, of its stages, and of encoding the same picture."""

    whole: float
    stages: dict[str, float]
    pillow: float
    own: float

    @property
    def draw(self) -> float:
        return self.stages["picture"] - self.stages["sample"]

    @property
    def write(self) -> float:
        """What comes after the encoding: the file is written, flushed to disk, and gets its name."""
        return self.whole - self.stages["picture"] - self.stages["encode"]


class Comparison:
    """Draws maps in a worker, and encodes each one's picture."""

    def __init__(self, loaded: LoadedSet) -> None:
        self.drawer = loaded.drawer()
        self.clock = StageClock()

    def prepare(self) -> None:
        watch_stages(self.clock)
        self.drawer.prepare()

    def __call__(self, planned: PlannedMap) -> Drawn:
        self.clock.take()
        whole = seconds_of(draw_to_file, self.drawer, planned)
        stages = self.clock.take()
        image = picture_in(planned)
        pillow = seconds_of(encode_by_pillow, image, 1)
        own = seconds_of(encode_png, np.asarray(image))
        return Drawn(whole, stages, pillow, own)


def picture_in(planned: PlannedMap) -> Image.Image:
    with Image.open(planned.path) as image:
        return image.convert("RGB")


def encode_by_pillow(image: Image.Image, level: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", compress_level=level)
    return file.getvalue()


def byte_ratio(planned: PlannedMap) -> float:
    """Return the bytes of a map's file as a share of what Pillow's level 3 makes of it."""
    return planned.path.stat().st_size / len(encode_by_pillow(picture_in(planned), 3))


def measure(data: BenchData) -> Findings:
    """Draw all states in several rounds."""
    loaded = LoadedSet.of(data.map_set, data.scratch)
    comparison = Comparison(loaded)
    drawn = in_worker(comparison, loaded.planned * ROUNDS, comparison.prepare)[len(loaded.planned) :]
    sizes = [byte_ratio(planned) for planned in loaded.planned]
    figures = {
        "ms_per_map": statistics.median(one.whole for one in drawn) * 1e3,
        "ratio_png": statistics.median(one.whole / one.pillow for one in drawn),
        "ratio_bytes": statistics.median(sizes),
    }
    return Findings(figures, {**details(drawn), "bytes_worst_ratio": max(sizes)})


def details(drawn: Sequence[Drawn]) -> dict[str, Any]:
    stages = {
        "whole": [one.whole for one in drawn],
        "sample": [one.stages["sample"] for one in drawn],
        "draw": [one.draw for one in drawn],
        "encode": [one.stages["encode"] for one in drawn],
        "write": [one.write for one in drawn],
        "pillow level 1, encoding only": [one.pillow for one in drawn],
        "our encoder, encoding only": [one.own for one in drawn],
    }
    ratios = [one.whole / one.pillow for one in drawn]
    return {
        "ms": {stage: spread([1e3 * second for second in seconds]) for stage, seconds in stages.items()},
        "ratio_png_p95": p95(ratios),
        "ratio_own_encoder": statistics.median(one.whole / one.own for one in drawn),
    }
