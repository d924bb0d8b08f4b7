"""Layers prepared by other processes: what they leave in the cache is what this process would make."""

import signal
import subprocess

import cartopy.crs as ccrs
import numpy as np
import pytest

import forkmaps.features
from forkmaps.cache import Cache, NoCache
from forkmaps.errors import FeatureError
from forkmaps.projection import MapProjection, projection_from_text
from forkmaps.shared import apart
from forkmaps.shared.recipe import Boundary

SQUARES = """{"type": "FeatureCollection", "features": [
 {"type": "Feature", "properties": {"no": 1}, "geometry": {"type": "Polygon",
  "coordinates": [[[-100, 40], [-99, 40], [-99, 41], [-100, 41], [-100, 40]]]}},
 {"type": "Feature", "properties": {"no": 2}, "geometry": {"type": "Polygon",
  "coordinates": [[[-99, 40], [-98, 40], [-98, 41], [-99, 41], [-99, 40]]]}}]}"""


@pytest.fixture
def layer(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "_LARGE", 10)
    path = tmp_path / "squares.geojson"
    path.write_text(SQUARES)
    return path


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


PROJECTION = projection_from_text("EPSG:5070")


def refuse(*_):
    raise AssertionError("read in this process")


def test_what_is_prepared_comes_from_the_cache(layer, cache, monkeypatch):
    here = Boundary(layer, where="no = 2").read("squares", PROJECTION, NoCache())
    monkeypatch.setattr(forkmaps.features, "_read", refuse)
    boundaries = {"squares": Boundary(layer, where="no = 2"), "all": Boundary(layer)}
    apart.prepare_apart(boundaries, PROJECTION, cache)
    there = boundaries["squares"].read("squares", PROJECTION, cache)
    for name, array in here.to_arrays().items():
        np.testing.assert_array_equal(there.to_arrays()[name], array)
    assert len(boundaries["all"].read("all", PROJECTION, cache).levels[0].xy) > len(here.levels[0].xy)


@pytest.mark.parametrize("why", ["small", "kept", "no cache"])
def test_no_process_is_started_in_vain(layer, cache, monkeypatch, why):
    if why == "small":
        monkeypatch.setattr(apart, "_LARGE", 10_000)
    if why == "kept":
        Boundary(layer).read("squares", PROJECTION, cache)
    monkeypatch.setattr(apart, "_start", refuse)
    apart.prepare_apart({"squares": Boundary(layer)}, PROJECTION, NoCache() if why == "no cache" else cache)


def test_what_goes_wrong_there_is_told_here(layer, cache, capfd):
    layer.write_text(SQUARES[:200])
    apart.prepare_apart({"squares": Boundary(layer)}, PROJECTION, cache)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(FeatureError, match=r"squares\.geojson"):
        Boundary(layer).read("squares", PROJECTION, cache)


def test_an_interrupt_ends_the_processes(layer, cache, monkeypatch):
    started, interrupts = [], []

    def start(order):
        started.append(subprocess.Popen(["sleep", "60"]))
        return started[-1]

    def interrupted(process, timeout=None):
        if not interrupts:
            interrupts.append(process)
            raise KeyboardInterrupt
        return wait(process, timeout)

    wait = subprocess.Popen.wait
    monkeypatch.setattr(apart, "_start", start)
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apart.prepare_apart({"a": Boundary(layer), "b": Boundary(layer)}, PROJECTION, cache)
    monkeypatch.undo()
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_what_cannot_travel_is_prepared_here(layer, cache):
    class Own(ccrs.LambertConformal):
        """A class that no other process can find."""

    boundary = Boundary(layer)
    apart.prepare_apart({"squares": boundary}, MapProjection(Own()), cache)
    assert boundary.read("squares", MapProjection(Own()), cache).vertices


@pytest.mark.parametrize("program", ["/no/such/program", "/bin/true"], ids=["not there", "ends at once"])
def test_a_process_that_reads_no_order_is_done_without(layer, cache, monkeypatch, program):
    monkeypatch.setattr(apart.sys, "executable", program)
    large = Boundary(layer, where="no = 1 OR " * 20_000 + "no = 2")
    apart.prepare_apart({"squares": large}, PROJECTION, cache)
    assert Boundary(layer).read("squares", PROJECTION, cache).vertices
