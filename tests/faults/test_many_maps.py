"""Many maps through the same workers: random kills (P1), what gathers over time (P13), other programs (P15).

The maps are a map set's, drawn by `draw_maps`; faults come from its progress, which tells when a map is done.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from forkmaps.cache import NoCache
from forkmaps.errors import ForkUnsafe
from forkmaps.maps import render_maps
from forkmaps.mapset import read_mapset
from forkmaps.plan import Plan
from forkmaps.pool.tasks import memory_of
from forkmaps.progress import Progress
from forkmaps.run import batch
from forkmaps.run.batch import Run, draw_maps
from forkmaps.run.report import Report
from forkmaps.shared import SharedData, set_shared_data
from small import SET, make_set

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="workers are forked, and watched in /proc"),
]

LARGE = SET.replace("width = 4.0\nheight = 3.0\ndpi = 60", "width = 14\nheight = 9\ndpi = 100")

Planned = Callable[..., tuple[SharedData, Plan]]
"""What the fixture `planned` is."""


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[Planned]:
    """A function that loads a set of so many maps, and plans them for a folder."""

    def planned(number: int, folder: str, text: str = SET) -> tuple[SharedData, Plan]:
        rows = [f"r{i},-104,-96,{32 + i % 10},{36 + i % 10},t{i}" for i in range(number)]
        regions = "\n".join(["name,west,east,south,north,title", *rows]) + "\n"
        mapset = read_mapset(make_set(tmp_path / "set", text, regions))
        shared, listed = mapset.load(NoCache())
        return shared, mapset.plan(shared, listed, folder=tmp_path / folder)

    yield planned
    set_shared_data(None)


def workers() -> list[psutil.Process]:
    return psutil.Process().children()


def contents(plan: Plan) -> dict[str, bytes]:
    """Return all that lies in a plan's folder, but for what is told of the run."""
    told = (".forkmaps-manifest.jsonl", "report.json")
    return {path.name: path.read_bytes() for path in plan.folder.iterdir() if path.name not in told}


# P1: workers killed at random


@pytest.mark.parametrize("seed", range(2))
def test_p1_forty_maps_and_five_kills_are_all_whole(planned: Planned, seed: int) -> None:
    dice = random.Random(seed)
    moments = set(dice.sample(range(1, 36), 5))
    killed: set[int] = set()

    class Killer(Progress):
        def step(self) -> None:
            super().step()
            if self.done in moments:
                victim = dice.choice([worker for worker in workers() if worker.pid not in killed])
                victim.kill()
                killed.add(victim.pid)

    shared, plan = planned(40, "killed")
    report = draw_maps(shared, plan, Run(workers=4), progress=Killer)
    assert (report.maps, report.failed) == (40, 0)
    assert len(killed) == 5
    assert killed < {worker.pid for worker in report.workers}
    shared, reference = planned(40, "undisturbed")
    draw_maps(shared, reference, Run(workers=2))
    assert contents(plan) == contents(reference)


class KillsEveryHalfSecond(Progress):
    """Kills a random worker when a map is done and half a second has passed since the last kill."""

    def __init__(self, total: int, dice: random.Random, kills: list[int]) -> None:
        super().__init__(total)
        self.dice, self.kills, self.last = dice, kills, time.monotonic()

    def step(self) -> None:
        super().step()
        if time.monotonic() - self.last > 0.5:
            self.last = time.monotonic()
            self.dice.choice(workers()).kill()
            self.kills.append(self.done)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_p1_500_maps_and_a_kill_every_half_second_are_all_whole_in_little_more_time(planned: Planned) -> None:
    shared, reference = planned(500, "undisturbed", LARGE)
    undisturbed = draw_maps(shared, reference, Run(workers=4)).seconds
    expected = contents(reference)
    assert len(expected) == 500
    for seed in range(5):
        kills: list[int] = []
        killer = partial(KillsEveryHalfSecond, dice=random.Random(seed), kills=kills)
        shared, plan = planned(500, f"killed-{seed}", LARGE)
        report = draw_maps(shared, plan, Run(workers=4), progress=killer)
        assert (report.maps, report.failed) == (500, 0)
        assert len(kills) >= 5
        assert contents(plan) == expected
        assert report.seconds <= 1.5 * undisturbed + 0.2 * len(kills)


# P13: what gathers over time


class Watcher(Progress):
    """Looks at the workers when 50 maps are done by each, and when all are."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.looks: dict[int, list[tuple[float, int]]] = {}
        Watcher.last = self

    last: Watcher

    def step(self) -> None:
        super().step()
        if self.done in (100, self.total):
            for worker in workers():
                memory = memory_of(worker.pid)
                assert memory is not None
                self.looks.setdefault(worker.pid, []).append((memory.private_mb, worker.num_fds()))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_p13_2000_maps_through_two_workers_gather_no_memory_and_no_open_files(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MAPS_PER_WORKER", 10_000)
    shared, plan = planned(2000, "many")
    files = len(os.listdir("/proc/self/fd"))
    report = draw_maps(shared, plan, Run(workers=2), progress=Watcher)
    assert (report.maps, len(report.workers)) == (2000, 2)
    assert len(os.listdir("/proc/self/fd")) == files
    for before, after in Watcher.last.looks.values():
        assert after[0] <= 1.2 * before[0]
        assert after[1] == before[1]


@pytest.mark.slow
def test_p13_workers_are_replaced_after_a_number_of_maps(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MAPS_PER_WORKER", 100)
    shared, plan = planned(500, "many")
    report = draw_maps(shared, plan, Run(workers=2))
    assert (report.maps, report.failed) == (500, 0)
    assert {worker.maps for worker in report.workers if worker.maps} <= set(range(1, 101))
    assert len(report.workers) >= 5


# P15: inside of another program


@pytest.mark.slow
def test_p15_in_a_thread_of_another_program_maps_are_drawn_without_forks_from_it(planned: Planned) -> None:
    shared, plan = planned(10, "in-a-thread")
    found: list[object] = []

    def draw(run: Run) -> None:
        try:
            found.append(draw_maps(shared, plan, run).maps)
        except ForkUnsafe as error:
            found.append(str(error))

    for run in (Run(workers=2, start_method="fork"), Run(workers=0, force=True)):
        thread = threading.Thread(target=draw, args=(run,))
        thread.start()
        thread.join()
    refusal, drawn = found
    assert "the main thread runs beside this one; draw in the main thread" in str(refusal)
    assert drawn == 10
    expected = contents(plan)
    assert draw_maps(shared, plan, Run(workers=2, force=True)).maps == 10
    assert contents(plan) == expected


@pytest.mark.slow
def test_p15_in_a_thread_of_another_program_workers_draw_what_they_draw_for_the_main_thread(
    planned: Planned, tmp_path: Path
) -> None:
    shared, plan = planned(6, "unused")
    regions, color = [one.job.region for one in plan.maps], "red"
    reports: list[Report] = []

    def draw(folder: Path) -> None:
        reports.append(
            render_maps(
                shared,
                regions,
                lambda axes, shared, region: axes.set_title(region.name, color=color),
                out=folder,
                style=plan.style,
                workers=2,
                show_progress=False,
            )
        )

    thread = threading.Thread(target=draw, args=(tmp_path / "thread",))
    thread.start()
    thread.join()
    draw(tmp_path / "main")
    assert [(report.maps, report.failed) for report in reports] == [(6, 0), (6, 0)]
    for one in regions:
        in_thread, in_main = (tmp_path / folder / f"{one.name}.png" for folder in ("thread", "main"))
        assert in_thread.read_bytes() == in_main.read_bytes()
