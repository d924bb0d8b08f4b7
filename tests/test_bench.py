"""The benchmark's own parts: its table, its stage clock, its data. What it measures is its own affair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from forkmaps import read_mapset

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_table_tells_what_is_met() -> None:
    from parts.figures import table

    lines = table({"ratio_png": 1.2, "ratio_baseline": 412.0, "ms_per_map": 31.25}).splitlines()
    assert [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]] == [
        ["31.2", "", ""],
        ["1.20", "<= 1", "NO"],
        ["412", ">= 350", "yes"],
    ]


def test_every_figure_of_the_issue_has_a_row() -> None:
    from parts.figures import FIGURES

    assert {figure.key for figure in FIGURES} == {
        "ms_per_map",
        "ratio_png",
        "ratio_baseline",
        "ratio_bytes",
        "ratio_cells",
        "speedup_two_workers",
        "private_mb",
        "pss_over_bound",
        "ratio_help",
        "ratio_first_map",
        "prepare_seconds",
        "rerun_seconds",
        "start_methods_differ",
        "spawn_data_over_bound",
        "spawn_start_seconds",
        "grid_first_panel_seconds",
        "ratio_grid_pickled",
        "grid_private_mb",
        "ratio_counties",
    }


def test_clock_adds_up_what_it_watches() -> None:
    from parts.clock import StageClock

    class Work:
        def do(self, number: int) -> int:
            return sum(range(number))

    clock = StageClock()
    clock.watch(Work, "do", "work")
    assert Work().do(10) == 45
    Work().do(1000)
    assert clock.take()["work"] > 0
    assert clock.take() == {}


def test_a_raster_of_any_size_is_the_terrain(tmp_path: Path) -> None:
    from parts.data import build_raster
    from parts.places import REPOSITORY

    build_raster(tmp_path / "raster.tif", 840, 420)  # cells as large as the terrain's
    with (
        rasterio.open(tmp_path / "raster.tif") as file,
        rasterio.open(REPOSITORY / "data/terrain.tif") as terrain,
    ):
        assert tuple(file.bounds) == (-130, 20, -60, 55)
        assert file.dtypes == ("float32",)
        here = list(terrain.sample(((file.xy(row, 300)) for row in range(420)), 1))
        there = file.read(1)[:, 300]
    assert np.corrcoef(there, np.ravel(here))[0, 1] > 0.98


def test_a_raster_is_the_same_each_time(tmp_path: Path) -> None:
    from parts.data import build_raster

    for name in ("one.tif", "two.tif"):
        build_raster(tmp_path / name, 70, 35)
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


@pytest.mark.slow
def test_the_benchmarks_map_sets_load(tmp_path: Path) -> None:
    pytest.importorskip("_plotly_geo", reason="the bench extra is not installed")
    from parts.data import build
    from parts.places import BenchData

    data = BenchData(tmp_path)
    build(data, columns=700, rows=350)
    for path in (data.map_set, data.ten_times):
        shared, regions = read_mapset(path).load()
        assert len(regions) == 49
        assert set(shared.features) == {"counties", "states"}
