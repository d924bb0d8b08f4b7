"""Shared data saved to a folder, opened from it, and pickled: the same data, the same pictures, no copies."""

import logging
import os
import pickle
import subprocess
import sys

import cartopy.crs as ccrs
import numpy as np
import pytest

from forkmaps.errors import ForkmapsError, OutputError, ProjectionError, StoreError
from forkmaps.mapset import read_mapset
from forkmaps.projection import MapProjection
from forkmaps.regions import Extent, Region
from forkmaps.render import Job, Renderer
from forkmaps.shared import SharedData, raster_reads, set_shared_data, shared_data
from forkmaps.shared.folder import FILE
from forkmaps.style import Line, Style
from small import SET, make_set

FILLED = SET.replace("linewidth = 1.0", 'linewidth = 1.0\nfill = "yellow"').replace(
    "{region.name}.png", "{region.name}-{band.number}.png"
)


@pytest.fixture(autouse=True)
def empty_slot():
    set_shared_data(None)
    yield
    set_shared_data(None)


@pytest.fixture
def mapset(tmp_path):
    return read_mapset(make_set(tmp_path / "set", text=FILLED, bands=2))


@pytest.fixture
def shared(mapset):
    return mapset.load()[0]


def picture(shared, mapset, band=1):
    renderer = Renderer(shared, mapset.options.style, mapset.lines)
    region = Region("here", Extent(-104, -96, 36, 46), title="Here")
    return renderer.picture(Job(region, band)).tobytes()


def assert_same(again, shared):
    """All that shared data consists of is the same in both."""
    assert again.projection == shared.projection
    assert list(again.rasters) == list(shared.rasters)
    assert list(again.features) == list(shared.features)
    for name, raster in shared.rasters.items():
        other = again.rasters[name]
        assert other.bands == raster.bands
        assert other.crs_text == raster.crs_text
        assert other.transform == raster.transform
        assert other.value_range == raster.value_range
        for key in ("name", "unit", "source", "resampling"):
            assert getattr(other, key) == getattr(raster, key)
    for one, other in zip(shared.arrays(), again.arrays(), strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def ways(tmp_path):
    def through_folder(shared):
        shared.save(tmp_path / "store")
        return SharedData.open(tmp_path / "store")

    def through_pickle(shared):
        return pickle.loads(pickle.dumps(shared))

    def out_of_band(shared):
        buffers = []
        small = pickle.dumps(shared, protocol=5, buffer_callback=buffers.append)
        return pickle.loads(small, buffers=[memoryview(b.raw()).toreadonly() for b in buffers])

    return {"folder": through_folder, "pickle": through_pickle, "out of band": out_of_band}


@pytest.mark.parametrize("way", ["folder", "pickle", "out of band"])
def test_it_comes_back_with_everything_and_draws_the_same_picture(shared, mapset, tmp_path, way):
    again = ways(tmp_path)[way](shared)
    assert_same(again, shared)
    assert again.features["square"].filled
    assert picture(again, mapset) == picture(shared, mapset)
    assert picture(again, mapset, band=0) != picture(shared, mapset)


@pytest.mark.parametrize("way", ["folder", "pickle", "out of band"])
def test_nothing_of_what_comes_back_can_be_written_into(shared, tmp_path, way):
    again = ways(tmp_path)[way](shared)
    layers = [a for level in again.features["square"].levels for a in level.arrays]
    for array in (*again.raster.levels, *layers):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_arrays_travel_apart_from_a_small_pickle_and_are_not_copied(shared):
    buffers = []
    small = pickle.dumps(shared, protocol=5, buffer_callback=buffers.append)
    raw = [bytearray(buffer.raw()) for buffer in buffers]
    again = pickle.loads(small, buffers=raw)
    assert len(small) < 20_000
    assert sum(map(len, raw)) >= 0.95 * shared.nbytes
    values = np.frombuffer(next(r for r in raw if len(r) == shared.raster.values.nbytes), np.float32)
    assert np.shares_memory(again.raster.values, values)


def test_what_was_opened_from_a_folder_is_pickled_as_the_folder(shared, mapset, tmp_path):
    shared.save(tmp_path / "store")
    opened = SharedData.open(tmp_path / "store")
    pickled = pickle.dumps(opened)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert_same(again, shared)
    assert pickle.dumps(again) == pickled


def test_a_folder_with_other_data_by_now_is_not_taken_for_the_one_that_was_pickled(shared, tmp_path):
    shared.save(tmp_path / "store")
    pickled = pickle.dumps(SharedData.open(tmp_path / "store"))
    SharedData(shared.raster, {}, shared.projection).save(tmp_path / "store")
    with pytest.raises(StoreError, match="other data was saved there meanwhile"):
        pickle.loads(pickled)


def test_what_is_derived_from_opened_data_is_not_pickled_as_the_folder(shared, tmp_path):
    from dataclasses import replace

    shared.save(tmp_path / "store")
    fewer = replace(SharedData.open(tmp_path / "store"), features={})
    assert list(pickle.loads(pickle.dumps(fewer)).features) == []


def test_who_opened_the_file_of_before_keeps_it(shared, tmp_path):
    shared.save(tmp_path / "store")
    opened = SharedData.open(tmp_path / "store")
    before = opened.raster.values.copy()
    SharedData(
        type(shared.raster)(before + 1, shared.raster.crs, shared.raster.transform), {}, shared.projection
    ).save(tmp_path / "store")
    assert np.array_equal(opened.raster.values, before)
    assert np.array_equal(SharedData.open(tmp_path / "store").raster.values, before + 1)


def test_opening_makes_it_the_processs_own_which_can_be_loaded_again(shared, tmp_path):
    from forkmaps.shared.slot import _Slot

    shared.save(tmp_path / "store")
    opened = SharedData.open(tmp_path / "store")
    assert shared_data() is opened
    load = pickle.loads(pickle.dumps(_Slot.load))
    before = raster_reads()
    set_shared_data(None, load)
    assert_same(shared_data(), shared)
    assert raster_reads() == before


def test_a_folder_without_data_says_so(tmp_path):
    with pytest.raises(
        StoreError, match=r"nothing: no shared data was saved there; make it with SharedData\.save"
    ):
        SharedData.open(tmp_path / "nothing")


def test_a_cut_file_is_refused(shared, tmp_path):
    shared.save(tmp_path)
    os.truncate(tmp_path / FILE, 4096)
    with pytest.raises(StoreError, match=r"has 4096 bytes where it says .*: cut off"):
        SharedData.open(tmp_path)


def test_a_changed_index_is_refused(shared, tmp_path):
    shared.save(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content.replace(b'"Height"', b'"Hoight"', 1))
    with pytest.raises(StoreError, match="is damaged: its index"):
        SharedData.open(tmp_path)


def test_a_changed_array_is_found_when_asked_for(shared, tmp_path):
    shared.save(tmp_path)
    values = shared.raster.values.tobytes()
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content.replace(values, values[:-1] + b"\x7f", 1))
    SharedData.open(tmp_path)
    with pytest.raises(StoreError, match=r"array 'raster\.0\.level\.0' doesn't agree"):
        SharedData.open(tmp_path, verify=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda meta, arrays: meta.update(version=99), "is version 99 of saved data, this forkmaps reads 1"),
        (lambda meta, arrays: meta.update(kind="cache"), "holds no shared data; check the path"),
        (lambda meta, arrays: meta.pop("projection"), "holds no shared data that can be used"),
        (
            lambda meta, arrays: meta.update(projection={"cartopy": "os.system"}),
            "no projection of this cartopy",
        ),
        (lambda meta, arrays: arrays.pop("raster.0.level.0"), "holds no shared data that can be used"),
        (
            lambda meta, arrays: arrays.update({"raster.0.level.0": np.zeros(3)}),
            r"needed are levels of \(bands, rows, columns\) float32",
        ),
    ],
)
def test_a_store_of_something_else_is_refused(shared, tmp_path, change, told):
    from forkmaps.cache.store import open_store, write_store

    shared.save(tmp_path)
    stored = open_store(tmp_path / FILE)
    change(stored.meta, stored.arrays)
    write_store(tmp_path / "other", stored.arrays, stored.meta)
    os.replace(tmp_path / "other", tmp_path / FILE)
    with pytest.raises(StoreError, match=told):
        SharedData.open(tmp_path)


def test_saving_is_whole_or_nothing(shared, tmp_path, monkeypatch):
    """A disk that is full in the middle leaves what was there before."""
    import forkmaps.cache.store as store

    shared.save(tmp_path)
    before, names = (tmp_path / FILE).read_bytes(), sorted(os.listdir(tmp_path))

    def full(array, size=0):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(store, "blocks_of", full)
    with pytest.raises(OutputError):
        SharedData(shared.raster, {}, shared.projection).save(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == names


def test_a_projection_of_the_users_own_class_is_refused_before_anything_is_written(shared, tmp_path):
    class Mine(ccrs.PlateCarree):
        pass

    with pytest.raises(ProjectionError, match="can't be stored"):
        SharedData(shared.raster, {}, MapProjection(Mine())).save(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_processes_that_open_it_share_one_copy(tmp_path, shared):
    """A process that looks at all of 32 MB has them as pages of the file, not as memory of its own."""
    values = np.arange(8_000_000, dtype=np.float32).reshape(1, 2000, 4000)
    raster = type(shared.raster)(values, shared.raster.crs, shared.raster.transform, resampling="nearest")
    SharedData(raster, {}, shared.projection).save(tmp_path)
    code = (
        "import sys; from forkmaps.shared import SharedData; import psutil\n"
        "shared = SharedData.open(sys.argv[1])\n"
        "total = shared.raster.values.sum(dtype=float)\n"
        "maps = [m for m in psutil.Process().memory_maps() if m.path.endswith('.forkmaps')]\n"
        "print(total == (8_000_000 - 1) * 4_000_000.0)\n"
        "print(sum(m.rss for m in maps), sum(m.private_dirty for m in maps))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert shown[0] == "True"
    assert int(shown[1]) >= values.nbytes
    assert int(shown[2]) == 0


def test_the_parts_of_a_map_set_can_be_pickled(shared, mapset, tmp_path):
    """What travels to workers that are not forked."""
    regions = (Region("a", Extent(-104, -96, 36, 40), title="A"),)
    plan = mapset.plan(shared, regions, folder=tmp_path)
    parts = (
        mapset,
        plan,
        Style(palette="magma"),
        Line(fill="red"),
        shared.projection,
        plan.maps[0].job.region,
    )
    for part in parts:
        assert pickle.loads(pickle.dumps(part)) == part


def test_a_recipe_of_files_can_be_pickled_and_loads_the_same(shared, mapset):
    from forkmaps.shared.slot import _Slot

    load = pickle.loads(pickle.dumps(_Slot.load))
    assert_same(load(), shared)


def test_loading_again_is_logged(shared, tmp_path, caplog):
    shared.save(tmp_path)
    SharedData.open(tmp_path)
    from forkmaps.shared.slot import _Slot

    set_shared_data(None, _Slot.load)
    with caplog.at_level(logging.INFO, "forkmaps"):
        shared_data()
    assert "loading shared data" in caplog.text
    set_shared_data(None)
    with pytest.raises(ForkmapsError):
        shared_data()
