"""Row P12 of the list of faults: maps are the same whichever way workers come into being."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import forkmaps
from forkmaps.doctor.trial import trial_data
from forkmaps.plan import Plan, plan_maps
from forkmaps.regions import Extent, Region
from forkmaps.run.batch import Run, draw_maps
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.style import Style

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]

LOADS = {"fork": 0, "forkserver": 1, "spawn": 2}
"""How often the data is loaded beside this process's own time, with two workers."""


@pytest.fixture
def shared() -> Iterator[SharedData]:
    raster, boundary = trial_data()
    data = SharedData(raster, {boundary.name: boundary}, boundary.projection)
    set_shared_data(data)
    yield data
    set_shared_data(None)


def plan_of(shared: SharedData, folder: Path) -> Plan:
    regions = [
        Region(f"r{n}", Extent(-105 + n, -100 + n, 35, 40), title=f"$x^{n}$ and text") for n in range(6)
    ]
    return plan_maps(shared, regions, folder=folder, style=Style(width=3, height=2))


def draw(plan: Plan, shared: SharedData, **options: Any) -> tuple[dict[str, bytes], Any]:
    report = draw_maps(shared, plan, Run(**options))
    assert (report.maps, report.failed) == (len(plan.maps), 0), report.failures
    assert report.raster_reads == forkmaps.shared.raster_reads()
    return {one.path.name: one.path.read_bytes() for one in plan.maps}, report


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_p12_maps_are_the_same_whichever_way_and_the_data_is_loaded_as_often_as_promised(
    method: str, shared: SharedData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mpl.rc_context({"axes.titlecolor": "red", "font.size": 7}):
        expected, _ = draw(plan_of(shared, tmp_path / "serial"), shared, workers=0)
        with caplog.at_level(logging.INFO, "forkmaps"):
            found, report = draw(plan_of(shared, tmp_path / method), shared, workers=2, start_method=method)
    assert found == expected
    told = re.findall(r"process (\d+) has loaded its data", caplog.text)
    everybody = {str(worker.pid) for worker in report.workers}
    at_work = {str(worker.pid) for worker in report.workers if worker.maps}
    assert len(told) == len(set(told)) <= LOADS[method]
    if method == "spawn":
        assert at_work <= set(told) <= everybody  # one may not be ready in time for a map
    else:
        assert len(told) == LOADS[method]


def test_p12_beside_a_thread_maps_are_drawn_by_forkserver(shared: SharedData, tmp_path: Path) -> None:
    expected, _ = draw(plan_of(shared, tmp_path / "serial"), shared, workers=0)
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="simulation")
    thread.start()
    try:
        found, report = draw(plan_of(shared, tmp_path / "beside"), shared, workers=2)
    finally:
        end.set()
        thread.join()
    assert found == expected
    assert report.workers


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_p12_49_states_are_the_same_whichever_way(tmp_path: Path) -> None:
    mapset = forkmaps.read_mapset(ROOT / "regions" / "states.toml")
    data, regions = mapset.load()
    pictures = {
        method: draw(
            mapset.plan(data, regions, folder=tmp_path / method), data, start_method=method, workers=2
        )[0]
        for method in LOADS
    }
    assert len(pictures["fork"]) == 49
    assert pictures["fork"] == pictures["forkserver"] == pictures["spawn"]
