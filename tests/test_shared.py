"""The process's shared data: one instance, read-only, without copies."""

import logging
import os

import numpy as np
import pytest

from forkmaps.errors import ForkmapsError
from forkmaps.mapset import read_mapset
from forkmaps.shared import SharedData, raster_reads, set_shared_data, shared_data
from small import make_raster, make_set


@pytest.fixture(autouse=True)
def empty_slot():
    set_shared_data(None)
    yield
    set_shared_data(None)


def test_loading_from_paths_makes_it_the_processs_own(tmp_path):
    make_set(tmp_path)
    loaded = SharedData.load(
        tmp_path / "raster.tif", boundaries={"square": tmp_path / "square.gpkg"}, projection="EPSG:5070"
    )
    assert shared_data() is loaded
    assert loaded.features["square"].crs == loaded.projection.crs


def test_a_process_without_data_says_so():
    with pytest.raises(ForkmapsError, match=r"has no shared data; call SharedData.load"):
        shared_data()


def test_a_process_without_data_loads_it_from_its_recipe_once_and_logs_it(tmp_path, caplog):
    loaded, _ = read_mapset(make_set(tmp_path)).load()
    recipe = shared_data_recipe()
    set_shared_data(None, recipe)
    before = raster_reads()
    with caplog.at_level(logging.INFO, "forkmaps"):
        again = shared_data()
        assert shared_data() is again
    assert f"loading shared data in {os.getpid()}" in caplog.text
    assert raster_reads() - before == 1
    assert np.array_equal(again.raster.values, loaded.raster.values)


def shared_data_recipe():
    from forkmaps.shared.slot import _Slot

    return _Slot.load


def test_a_map_set_reads_its_raster_once(tmp_path):
    before = raster_reads()
    read_mapset(make_set(tmp_path)).load()
    assert raster_reads() - before == 1


def test_all_arrays_are_read_only(tmp_path):
    shared, _ = read_mapset(make_set(tmp_path)).load()
    arrays = [*shared.raster.levels, shared.x, shared.y]
    arrays += [a for level in shared.features["square"].levels for a in level.arrays]
    assert not any(array.flags.writeable for array in arrays)
    with pytest.raises(ValueError, match="read-only"):
        shared.raster.values[0, 0, 0] = 1


def test_the_meshgrid_takes_no_memory_and_has_the_cells_centers(tmp_path):
    make_raster(tmp_path / "raster.tif", bounds=(-110, 30, -80, 50))
    shared = SharedData.load(tmp_path / "raster.tif")
    assert shared.x.shape == shared.y.shape == (20, 30)
    assert shared.x[7, 0] == -109.5
    assert shared.y[0, 7] == 49.5
    assert shared.x.strides[0] == 0
    assert shared.y.strides[1] == 0


def test_the_data_array_has_coordinates_crs_and_the_same_memory(tmp_path):
    make_raster(tmp_path / "raster.tif", bounds=(-110, 30, -80, 50))
    shared = SharedData.load(tmp_path / "raster.tif")
    array = shared.data
    assert array.dims == ("band", "y", "x")
    assert float(array.sel(x=-109.5, y=49.5).squeeze()) == 1.0
    assert array.rio.crs.to_epsg() == 4326
    assert np.shares_memory(array.values, shared.raster.values)


def test_no_file_stays_open(tmp_path):
    read_mapset(make_set(tmp_path)).load()
    targets = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _exists(fd)]
    assert not [target for target in targets if str(tmp_path) in target]


def _exists(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")
