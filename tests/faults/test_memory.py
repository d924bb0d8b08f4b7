"""Memory, by the rows M1, M2 and M3 of the list of faults: what is shared stays shared, and a worker that has
none left harms nobody else."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from forkmaps.doctor.trial import trial_data
from forkmaps.plan import plan_maps
from forkmaps.pool import Done, Failed, Pool
from forkmaps.pool.forkable import after_fork, check_forkable
from forkmaps.regions import Extent, Region
from forkmaps.render import Job, Renderer
from forkmaps.run.batch import Run, draw_maps
from forkmaps.shared import SharedData, set_shared_data

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="this system doesn't tell"),
]

# M1: what workers add

SET = """
    import json, os, resource, sys
    from pathlib import Path
    import numpy, psutil, pyproj, shapely
    from affine import Affine
    from forkmaps.run.batch import Run, draw_maps
    from forkmaps.features import BoundaryFeature
    from forkmaps.plan import plan_maps
    from forkmaps.pool.tasks import memory_of
    from forkmaps.progress import Progress
    from forkmaps.projection import projection_from_text
    from forkmaps.raster import Raster
    from forkmaps.regions import Extent, Region
    from forkmaps.shared import SharedData, set_shared_data
    from forkmaps.style import Style

    def load(cells, boxes):
        values = numpy.random.default_rng(0).random((1, cells, cells), dtype="float32")
        raster = Raster(values, pyproj.CRS("EPSG:4326"), Affine(40 / cells, 0, -120, 0, -30 / cells, 55))
        projection = projection_from_text("+proj=lcc +lat_1=33 +lat_2=45 +lat_0=39 +lon_0=-96")
        places = [(-119 + 0.6 * i, 26 + 0.6 * j) for i in range(boxes) for j in range(40)]
        squares = [shapely.segmentize(shapely.box(x, y, x + 0.6, y + 0.6), 0.02) for x, y in places]
        shared = SharedData(raster, {"boxes": BoundaryFeature(squares, "EPSG:4326", projection)}, projection)
        set_shared_data(shared)
        return shared

    def maps(shared, number, **style):
        def extent(i):
            return Extent(-110 + i % 10, -104 + i % 10, 33 + i % 7, 38 + i % 7)

        regions = [Region(f"r{i}", extent(i)) for i in range(number)]
        return plan_maps(shared, regions, folder=os.environ["OUT"], style=Style(**style))
"""


def run_script(*parts: str, **environment: str) -> Any:
    """Run a script in a process of its own, for 100 seconds at most, and return the JSON that it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(textwrap.dedent(part) for part in parts)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **environment},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


MEASURED = """
    EXCLUSIVE = 1 << 56  # of a page in memory that no other process has; see proc_pid_pagemap(5)
    PRESENT = 1 << 63

    def own_bytes(pid, array):
        # Bytes of an array that a process has copied for itself.
        page = resource.getpagesize()
        first = array.ctypes.data // page
        count = (array.ctypes.data + array.nbytes) // page + 1 - first
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
            file.seek(8 * first)
            pages = numpy.frombuffer(file.read(8 * count), numpy.uint64)
        own = numpy.uint64(EXCLUSIVE | PRESENT)
        return int(((pages & own) == own).sum()) * page

    class Measure(Progress):
        # Measures all processes while they are there: when all maps are done.
        def step(self):
            super().step()
            if self.done == self.total:
                pids = [child.pid for child in psutil.Process().children()]
                found["pss"] = [memory_of(pid).pss_mb for pid in (os.getpid(), *pids)]
                arrays = shared.raster.levels
                found["own"] = [sum(own_bytes(pid, array) for array in arrays) / 1e6 for pid in pids]

    workers = int(os.environ["WORKERS"])
    found = {"base": memory_of(os.getpid()).pss_mb}
    shared = load(5000, boxes=20)
    found["data"] = shared.nbytes / 1e6
    report = draw_maps(shared, maps(shared, 20 * workers), Run(workers=workers, timeout=60), progress=Measure)
    print(json.dumps({**found, "maps": report.maps}))
"""


@pytest.mark.parametrize(
    "workers", [2, pytest.param(4, marks=pytest.mark.slow), pytest.param(8, marks=pytest.mark.slow)]
)
def test_m1_workers_add_little_to_what_is_shared(tmp_path: Path, workers: int) -> None:
    found = run_script(SET, MEASURED, WORKERS=str(workers), OUT=str(tmp_path))
    assert found["maps"] == 20 * workers
    assert len(found["pss"]) == 1 + workers
    assert sum(found["pss"]) <= 1.15 * (found["data"] + found["base"]) + 60 * workers, found
    assert max(found["own"]) <= 0.02 * found["data"], found


def test_m1_the_garbage_collector_copies_no_shared_objects() -> None:
    objects = [[number] for number in range(400_000)]  # some 30 MB

    def collect(job: int) -> int:
        if job == 2:
            gc.unfreeze()  # as it were without the pool's care
        return gc.collect() * 0 + len(objects)

    with Pool(collect, workers=1, before_fork=check_forkable, after_fork=after_fork) as pool:
        private = []
        for job in range(3):
            list(pool.run([job]))
            private.append(pool.report()[0].private_mb)
    assert private[1] - private[0] < 5
    assert private[2] - private[0] > 10


# M2: writing into what is shared

MB = 1_000_000


def pool_that_shares(
    array: NDArray[np.float32], function: Callable[[int], object], *, guarded: bool = True
) -> tuple[Any, float]:
    """Call a function once in a worker; return the outcome, and the MB that became the worker's own."""
    before_fork = partial(check_forkable, [array]) if guarded else None
    with Pool(
        lambda job: function(job) if job else None, workers=1, before_fork=before_fork, after_fork=after_fork
    ) as pool:
        list(pool.run([0]))
        before = pool.report()[0].private_mb
        (outcome,) = pool.run([1])
        after = pool.report()[0].private_mb
    assert before is not None
    assert after is not None
    return outcome, after - before


def test_m2_a_drawing_function_that_writes_into_a_shared_array_fails_and_costs_nothing() -> None:
    array = np.ones(16 * MB, np.float32)

    def smooth(_: int) -> None:
        array[:] = 2

    outcome, more = pool_that_shares(array, smooth)
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("ValueError")
    assert "read-only" in outcome.message
    assert more < 8

    array = np.ones(16 * MB, np.float32)
    outcome, more = pool_that_shares(array, smooth, guarded=False)
    assert isinstance(outcome, Done)
    assert more > 56  # as it is without: all of its 64 MB


def test_m2_nor_can_a_drawing_function_write_into_the_shared_raster() -> None:
    import pyproj
    from affine import Affine

    from forkmaps.raster import Raster

    raster = Raster(np.ones((1, 4000, 4000), np.float32), pyproj.CRS("EPSG:4326"), Affine.scale(0.01))

    def smooth(_: int) -> None:
        raster.values[0] += 1

    outcome, more = pool_that_shares(raster.values, smooth, guarded=False)
    assert "ValueError" in outcome.message
    assert more < 8


# M3: a worker without memory


def test_m3_a_worker_out_of_memory_is_reported_and_the_rest_is_done() -> None:
    import resource

    def draw(job: int) -> int:
        if job % 10 == 5:
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 64 * MB, resource.RLIM_INFINITY))
            np.ones(256 * MB, np.uint8)
        return int(np.ones(MB).sum()) + job

    with Pool(draw, workers=2, before_fork=check_forkable, after_fork=after_fork) as pool:
        outcomes = list(pool.run(range(30)))
    failed = {outcome.job: outcome for outcome in outcomes if isinstance(outcome, Failed)}
    assert sorted(failed) == [5, 15, 25]
    assert all(one.message.startswith("out of memory") and one.attempts == 1 for one in failed.values())
    done = {outcome.job: outcome.value for outcome in outcomes if isinstance(outcome, Done)}
    assert done == {job: MB + job for job in range(30) if job not in failed}
    last_jobs = {outcome.pid: outcome.job for outcome in outcomes}
    assert {last_jobs[one.pid] for one in failed.values()} == set(failed)  # it gets no other job
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert np.ones(256 * MB, np.uint8).size == 256 * MB  # we have not lost any


def use_up_memory() -> list[bytearray]:
    """Forbid this process any more memory than it has, and return all of it that is free."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms, resource.RLIM_INFINITY))
    blocks: list[bytearray] = []
    with suppress(MemoryError):
        while True:
            blocks.append(bytearray(100_000))
    return blocks


def test_m3_a_map_for_which_there_is_no_memory_is_reported_and_the_rest_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def picture(renderer: Renderer, job: Job) -> NDArray[np.uint8]:
        blocks = use_up_memory() if job.region.name == "r2" else []
        drawn = real(renderer, job)
        assert not blocks
        return drawn

    real = Renderer.picture
    monkeypatch.setattr(Renderer, "picture", picture)
    raster, boundary = trial_data()
    shared = SharedData(raster, {boundary.name: boundary}, boundary.projection)
    set_shared_data(shared)
    regions = [Region(f"r{step}", Extent(-105 + step, -99 + step, 34, 39)) for step in range(6)]
    try:
        report = draw_maps(shared, plan_maps(shared, regions, folder=tmp_path), Run(workers=2))
    finally:
        set_shared_data(None)
    ((region, error),) = ((failure.region, failure.error) for failure in report.failures)
    assert region == "r2"
    assert "out of memory" in error
    assert sorted(path.stem for path in tmp_path.glob("*.png")) == ["r0", "r1", "r3", "r4", "r5"]
