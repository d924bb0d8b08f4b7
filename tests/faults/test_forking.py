"""Unsafe parents, by the rows P10, P11, P14 and P15 of the list of faults.

Each fault is seen twice: without the guard it does its harm, with it there is none, or an error that names
it. What touches GDAL runs in a process of its own, since GDAL's threads, once started, never end.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from affine import Affine

from forkmaps.doctor.trial import trial_data
from forkmaps.errors import ForkUnsafe
from forkmaps.plan import Plan, plan_maps
from forkmaps.pool import Done, Pool
from forkmaps.pool.forkable import after_fork, check_forkable, own_offsets, reset_fonts
from forkmaps.projection import Size, projection_from_text, view_of
from forkmaps.raster import Raster
from forkmaps.regions import Extent, Region
from forkmaps.run import mapdrawer
from forkmaps.run.batch import Run, draw_maps
from forkmaps.shared import SharedData, set_shared_data
from forkmaps.style import Style

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems are refused"),
]

ROUNDS = 8
"""Tries for a fault that comes by chance; each shows it in more than 9 of 10 cases."""


def run_script(*parts: str, **environment: str) -> Any:
    """Run a script in a process of its own, for 40 seconds at most, and return the JSON that it prints."""
    script = "\n".join(textwrap.dedent(part) for part in parts)
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env={**os.environ, **environment},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


# P10: unsafe parents

RASTER = """
    import functools, json, os, sys, threading
    import numpy, rasterio
    from rasterio.windows import Window
    from forkmaps.errors import ForkmapsError
    from forkmaps.pool.forkable import after_fork, check_forkable
    from forkmaps.pool import Done, Pool

    GUARD = {"before_fork": check_forkable, "after_fork": after_fork}
    FORK = {"start_method": "fork"}
    PATH, SIZE = os.environ["RASTER"], 1024
    VALUES = numpy.random.default_rng(0).random((SIZE, SIZE), dtype="float32")

    profile = dict(driver="GTiff", width=SIZE, height=SIZE, count=1, dtype="float32", compress="deflate")
    profile |= dict(tiled=True, blockxsize=128, blockysize=128, transform=rasterio.Affine.scale(2))
    with rasterio.open(PATH, "w", **profile, num_threads=1) as file:
        file.write(VALUES, 1)

    def window(number):
        return (number * 37) % (SIZE - 128), (number * 101) % (SIZE - 128)

    def right(file, number):
        row, column = window(number)
        read = file.read(1, window=Window(column, row, 128, 128))
        return bool((read == VALUES[row : row + 128, column : column + 128]).all())

    def all_right(file):
        return bool((file.read(1) == VALUES).all())

    def read_again(number):
        with rasterio.open(PATH) as file:
            return all_right(file)

    def outcomes(function, count, workers=2, timeout=30, **guard):
        # How many were right, wrong, failed, and out of time; or the error.
        found = dict.fromkeys(("right", "wrong", "error", "timeout", "died"), 0)
        try:
            with Pool(function, workers=workers, timeout=timeout, **guard, **FORK) as pool:
                for outcome in pool.run(range(count)):
                    done = isinstance(outcome, Done)
                    found[("right" if outcome.value else "wrong") if done else outcome.cause] += 1
        except ForkmapsError as error:
            return str(error)
        return {name: number for name, number in found.items() if number}
"""

HAS_THREADS = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False
"""With one CPU, GDAL's "ALL_CPUS" is one thread, and nothing hangs."""


def test_p10_a_gdal_that_used_all_cpus_hangs_no_worker(tmp_path: Path) -> None:
    found = run_script(
        RASTER,
        """
        with rasterio.open(PATH) as file:
            file.read()
        print(json.dumps([outcomes(read_again, 8, **GUARD), outcomes(read_again, 1, timeout=0.5)]))
        """,
        RASTER=str(tmp_path / "raster.tif"),
        GDAL_NUM_THREADS="ALL_CPUS",
    )
    assert found == [{"right": 8}, {"timeout": 1} if HAS_THREADS else {"right": 1}]


def test_p10_nor_does_one_that_an_env_gave_all_cpus(tmp_path: Path) -> None:
    found = run_script(
        RASTER,
        """
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
            with rasterio.open(PATH) as file:
                file.read()
            print(json.dumps([outcomes(read_again, 8, **GUARD), outcomes(read_again, 1, timeout=0.5)]))
        """,
        RASTER=str(tmp_path / "raster.tif"),
    )
    assert found == [{"right": 8}, {"timeout": 1} if HAS_THREADS else {"right": 1}]


def test_p10_an_open_raster_that_was_read_with_threads_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "raster.tif")
    error, after_closing, ours, unguarded = run_script(
        RASTER,
        """
        file = rasterio.open(PATH, num_threads=2)
        file.read()
        def read_on(number):
            return all_right(file)
        ours = {**GUARD, "before_fork": functools.partial(check_forkable, foreign_code=False)}
        half = {"after_fork": after_fork, "timeout": 0.5}
        found = [outcomes(lambda _: True, 4, **ours), outcomes(read_on, 1, **half)]
        error = outcomes(read_on, 4, **GUARD)
        file.close()
        print(json.dumps([error, outcomes(read_again, 4, **GUARD), *found]))
        """,
        RASTER=path,
    )
    assert f'"{path}" is open, and GDAL has read with several threads' in error
    assert "close it" in error
    assert after_closing == {"right": 4}
    assert ours == {"right": 4}  # our own workers never read it
    assert unguarded == {"timeout": 1}


def test_p10_p11_an_open_raster_is_read_by_four_workers(tmp_path: Path) -> None:
    guarded, unguarded = run_script(
        RASTER,
        f"""
        file = rasterio.open(PATH)
        def read_on(number):
            return right(file, number)
        guarded = outcomes(read_on, 1200, workers=4, **GUARD)
        for _ in range({ROUNDS}):
            unguarded = outcomes(read_on, 1200, workers=4)
            if unguarded != {{"right": 1200}}:
                break
        print(json.dumps([guarded, unguarded]))
        """,
        RASTER=str(tmp_path / "raster.tif"),
    )
    assert guarded == {"right": 1200}
    assert unguarded != {"right": 1200}


def test_p10_a_thread_that_holds_a_lock_is_named(tmp_path: Path) -> None:
    error, unguarded = run_script(
        RASTER,
        """
        lock, held, end = threading.Lock(), threading.Event(), threading.Event()
        def hold():
            with lock:
                held.set()
                end.wait()
        thread = threading.Thread(target=hold, name="loader")
        thread.start()
        held.wait()
        def need(number):
            with lock:
                return True
        found = [outcomes(need, 2, **GUARD), outcomes(need, 1, timeout=0.5)]
        end.set()
        thread.join()
        print(json.dumps(found))
        """,
        RASTER=str(tmp_path / "raster.tif"),
    )
    assert 'the thread "loader" is running (__main__.hold)' in error
    assert unguarded == {"timeout": 1}


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[tuple[SharedData, Plan]]:
    """Have shared data of two regions, and a plan of their maps."""
    raster, boundary = trial_data()
    shared = SharedData(raster, {boundary.name: boundary}, boundary.projection)
    set_shared_data(shared)
    regions = [Region("west", Extent(-105, -100, 35, 40)), Region("east", Extent(-100, -95, 35, 40))]
    yield shared, plan_maps(shared, regions, folder=tmp_path, style=Style(width=3, height=2))
    set_shared_data(None)


def test_p10_maps_are_refused_beside_a_thread_and_drawn_without_workers(
    planned: tuple[SharedData, Plan],
) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="loader")
    thread.start()
    try:
        with pytest.raises(ForkUnsafe, match='"loader" is running'):
            draw_maps(*planned, Run(workers=2, start_method="fork"))
        assert draw_maps(*planned, Run(workers=0)).maps == 2
    finally:
        end.set()
        thread.join()


def test_p10_maps_are_drawn_by_workers_of_one_thread_from_frozen_arrays(
    planned: tuple[SharedData, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, plan = planned
    shared.raster.values.flags.writeable = True
    monkeypatch.setattr(mapdrawer, "picture_bytes", lambda *_: os.environ["GDAL_NUM_THREADS"].encode())
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    assert draw_maps(shared, plan, Run(workers=2)).maps == 2
    assert {one.path.read_bytes() for one in plan.maps} == {b"1"}
    assert not shared.raster.values.flags.writeable


# P11: samples


def test_p11_1200_samples_from_four_workers_are_right() -> None:
    values = np.random.default_rng(1).random((2, 400, 600), dtype=np.float32)
    raster = Raster(values, pyproj.CRS("EPSG:4326"), Affine(0.1, 0, -130, 0, -0.1, 60))
    projection = projection_from_text("+proj=lcc +lat_1=33 +lat_2=45 +lat_0=39 +lon_0=-96")
    projection.inverse(raster.crs_text)(0.0, 0.0)

    def sample(number: int) -> str:
        west, south = -125 + number % 16, 25 + number % 15
        region = Region("x", Extent(west, west + 9, south, south + 7))
        view = view_of(region, projection, Size(120, 90))
        return hashlib.sha256(raster.sample(view, projection, band=number % 2)).hexdigest()

    with Pool(sample, workers=4, before_fork=check_forkable, after_fork=after_fork) as pool:
        found = {outcome.job: outcome.value for outcome in pool.run(range(1200)) if isinstance(outcome, Done)}
    right = {place: sample(place) for place in range(240)}
    assert found == {number: right[number % 240] for number in range(1200)}
    assert len(set(right.values())) == 240


# P14: fonts of a parent that has drawn

FORMULA = r"$\alpha\beta\gamma\delta\sum_{i=0}^{n}\Omega\Xi\approx\int_0^\infty\psi\leq\sqrt{\zeta}WQ\nabla$"


def drawing() -> Callable[[object], str]:
    """Draw text and formulas on a figure, and return a function that draws it again and digests it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2), dpi=80)
    canvas: Any = FigureCanvasAgg(figure)
    for line in range(6):
        figure.text(0.05, 0.05 + 0.15 * line, FORMULA if line else "Höhe über dem Meer", size=7 + line)

    def draw(_: object = None) -> str:
        canvas.draw()
        return hashlib.sha256(canvas.buffer_rgba()).hexdigest()

    draw()
    return draw


def count_garbled(draw: Callable[[object], str], pictures: int, guard: Callable[[], None] | None) -> int:
    with Pool(draw, workers=4, after_fork=guard) as pool:
        outcomes = list(pool.run(range(pictures)))
    right = draw(None)
    return sum(not isinstance(outcome, Done) or outcome.value != right for outcome in outcomes)


def test_p14_text_is_garbled_without_the_guard() -> None:
    draw = drawing()
    assert any(count_garbled(draw, 50, guard=None) for _ in range(ROUNDS))


def test_p14_0_of_100_pictures_are_garbled_by_a_parent_that_has_drawn() -> None:
    assert count_garbled(drawing(), 100, after_fork) == 0


@pytest.mark.slow
@pytest.mark.parametrize("guard", [after_fork, own_offsets, reset_fonts])
def test_p14_0_of_1000_pictures_are_garbled_by_a_parent_that_has_drawn(guard: Callable[[], None]) -> None:
    assert count_garbled(drawing(), 1000, guard) == 0


# P15: inside of other programs

POOL_TEST = """
    import pytest
    from forkmaps.pool.forkable import after_fork, check_forkable
    from forkmaps.pool import Pool

    @pytest.mark.parametrize("turn", range(4))
    def test_pool(turn):
        with Pool(abs, workers=2, timeout=20, before_fork=check_forkable, after_fork=after_fork) as pool:
            assert sorted(outcome.value for outcome in pool.run(range(-20, 0))) == list(range(1, 21))
"""


@pytest.mark.slow
def test_p15_pools_work_under_pytest_xdist(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_pool.py").write_text(textwrap.dedent(POOL_TEST))
    command = [sys.executable, "-m", "pytest", "-n2", "-p", "no:cacheprovider", "test_pool.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "4 passed" in ended.stdout, ended.stdout


NOTEBOOK = """
    import json, os
    from jupyter_client.manager import start_new_kernel

    printed = []

    def note(message):
        content = message["content"]
        printed.append(content.get("text") or "\\n".join(content.get("traceback", [])))

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute_interactive(os.environ["CELL"], timeout=30, output_hook=note)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print(json.dumps("".join(printed)))
"""


@pytest.mark.slow
def test_p15_pools_work_in_a_notebook() -> None:
    pytest.importorskip("ipykernel")
    cell = textwrap.dedent(POOL_TEST).replace("@pytest", "#") + "test_pool(0)\nprint('well')"
    assert run_script(NOTEBOOK, CELL=cell).endswith("well\n")
