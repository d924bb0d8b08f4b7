"""Any function over shared data."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import psutil
import pytest
import xarray

import forkmaps
from forkmaps import fork_map
from forkmaps.doctor.trial import trial_data
from forkmaps.errors import ForkUnsafe, ItemError, PoolError
from forkmaps.freezing import frozen
from forkmaps.pool import Failed
from forkmaps.progress import Progress
from forkmaps.shared import SharedData, set_shared_data

pytestmark = pytest.mark.timeout(60)

ALL = ("fork", "forkserver", "spawn")


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


# Values


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_values_come_in_the_order_of_the_items(workers: int) -> None:
    assert list(fork_map(lambda n: n * n, range(20), workers=workers)) == [n * n for n in range(20)]


def test_in_order_a_slow_item_holds_back_those_after_it() -> None:
    read, write = os.pipe()

    def job(name: str) -> str:
        if name == "slow":
            os.read(read, 1)
        elif name == "last":
            os.write(write, b"!")
        return name

    names = ["slow", "quick", "quick", "last"]
    assert list(fork_map(job, names, workers=2)) == names
    os.close(read)
    os.close(write)


def test_values_may_come_as_they_are_done() -> None:
    read, write = os.pipe()

    def job(name: str) -> str:
        return os.read(read, 1).decode() or name if name == "slow" else name

    found = []
    for value in fork_map(job, ["slow", "quick"], workers=2, ordered=False):
        found.append(value)
        os.write(write, b"!")
    os.close(read)
    os.close(write)
    assert found == ["quick", "!"]


def test_no_items_give_no_values_and_start_nobody() -> None:
    assert list(fork_map(abs, [], workers=2)) == []


def test_items_are_drawn_when_there_is_a_worker_for_them() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(30):
            drawn.append(number)
            yield number

    for done, _ in enumerate(fork_map(abs, items(), workers=2, ordered=False), 1):
        assert len(drawn) <= done + 5


def test_builtin_functions_and_partial_ones_will_do() -> None:
    assert list(fork_map(partial(pow, 2), [3, 4], workers=1)) == [8, 16]
    assert list(fork_map(len, ["a", "bb"], workers=1)) == [1, 2]


def test_progress_counts_the_items(capsys: pytest.CaptureFixture[str]) -> None:
    list(fork_map(abs, range(4), workers=0, progress=True))
    assert "4/4 items" in capsys.readouterr().err


def test_progress_begins_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr("forkmaps.functions.shown_progress", lambda items: begun.append(1) or Progress(4))
    values = fork_map(abs, range(4), workers=0, progress=True)
    assert begun == []
    assert (next(values), begun) == (0, [1])


def test_progress_of_nobody_knows_how_many_writes_few_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = fork_map(abs, (n for n in range(5)), workers=0, progress=True)
    next(values)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("forkmaps.progress._LINE_AFTER", 0.0)
    next(values)
    assert re.fullmatch(r"2 items, [\d.]+ per second\n", capsys.readouterr().err)


# Shared data


@pytest.mark.parametrize("method", ALL)
def test_a_function_gets_shared_data_by_name_and_can_not_write_it(method: Any) -> None:
    table = np.arange(200_000.0)

    def job(n: int, shared: dict[str, Any]) -> Any:
        if n < 0:
            shared["table"][n] = 0.0
        return shared["table"][n], shared["table"].flags.writeable

    values = list(
        fork_map(job, [7, -1], shared={"table": table}, workers=2, errors="return", start_method=method)
    )
    assert values[0] == (7.0, False)
    assert values[1].message == "ValueError: assignment destination is read-only"
    assert table.flags.writeable


def test_shared_data_is_not_copied_by_fork() -> None:
    table = np.zeros(20_000_000)

    def private_mb(_: int, shared: Any) -> float:
        assert shared.sum() == 0
        return float(psutil.Process().memory_full_info().uss / 1e6)

    (private,) = fork_map(private_mb, [1], shared=table, workers=1)
    assert private < 100


def test_arrays_that_a_function_refers_to_are_read_only_in_workers() -> None:
    table, tables = np.zeros(3), [np.zeros(3)]

    def write(which: str) -> None:
        {"closure": table, "list": tables[0], "global": A_GLOBAL}[which][0] = 1.0

    for which in ("closure", "list", "global"):
        with pytest.raises(ItemError, match="read-only"):
            list(fork_map(write, [which], workers=1))
    assert table.flags.writeable
    assert A_GLOBAL.flags.writeable


A_GLOBAL = np.zeros(3)


def test_so_are_the_coordinates_of_labelled_arrays_and_the_users_own_stay_as_they_are() -> None:
    lat = (("y", "x"), np.ones((2, 3)))
    array = xarray.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords={"lat": lat, "x": [1, 2, 3]})
    for view in (frozen(array), frozen(array.to_dataset(name="rain"))["rain"]):
        assert np.shares_memory(view["lat"].values, array["lat"].values)
        assert not view["lat"].values.flags.writeable
        assert view["x"].values.tolist() == [1, 2, 3]
    assert array["lat"].values.flags.writeable
    assert array.values.flags.writeable


def test_views_of_labelled_arrays_are_read_only_and_share_memory() -> None:
    array = xarray.DataArray(np.zeros((2, 3)), dims=("y", "x"), coords={"x": [1, 2, 3]}, name="rain")
    both = xarray.Dataset({"rain": array})
    for view in (frozen(array), frozen(both)["rain"], frozen((array,))[0], frozen({"a": [array]})["a"][0]):
        assert view.identical(array)
        assert np.shares_memory(view.values, array.values)
        with pytest.raises(ValueError, match="Assignment destination is a view"):  # xarray's words
            view[0, 0] = 1.0
    array[0, 0] = 1.0


@pytest.mark.parametrize("method", ALL)
def test_shared_data_of_maps_is_the_workers_own(method: Any) -> None:
    raster, boundary = trial_data()
    data = SharedData(raster, {boundary.name: boundary}, boundary.projection)

    def mean(band: int) -> float:
        return float(np.nanmean(forkmaps.shared_data().raster.values[band]))

    set_shared_data(None)
    (found,) = fork_map(mean, [0], shared=data, workers=1, start_method=method)
    assert found == pytest.approx(np.nanmean(raster.values[0]))
    with pytest.raises(forkmaps.ForkmapsError, match="no shared data"):
        forkmaps.shared_data()


# Random numbers


def draws(n: int, rng: np.random.Generator) -> tuple[float, float, float]:
    return rng.random(), random.random(), float(np.random.random())


def test_each_item_has_its_own_stream_whoever_does_it() -> None:
    ways: list[dict[str, Any]] = [
        {"workers": 0},
        {"workers": 1},
        {"workers": 3},
        {"workers": 2, "start_method": "forkserver"},
        {"workers": 2, "start_method": "spawn"},
    ]
    found = [list(fork_map(draws, range(6), seed=5, **way)) for way in ways]
    assert all(one == found[0] for one in found)
    assert len({value for triple in found[0] for value in triple}) == 18
    seeds = np.random.SeedSequence(5).spawn(6)
    assert [triple[0] for triple in found[0]] == [np.random.default_rng(seed).random() for seed in seeds]


def test_another_seed_or_none_gives_other_streams() -> None:
    streams = [next(fork_map(draws, [0], seed=seed, workers=0)) for seed in (1, 2, None, None)]
    assert len(set(streams)) == 4


def test_the_stream_of_an_item_is_the_same_when_it_is_tried_again(tmp_path: Any) -> None:
    def die_at_first(n: int, rng: np.random.Generator) -> float:
        if not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return rng.random()

    assert list(fork_map(die_at_first, [0], seed=3, workers=1)) == list(
        fork_map(die_at_first, [0], seed=3, workers=0)
    )


def test_the_user_s_own_generators_go_on_where_they_stood() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    list(fork_map(draws, [1, 2], workers=0))
    assert (random.random(), np.random.random()) == expected


# Failures


def fails_at_two(n: int) -> int:
    if n == 2:
        raise KeyError("no station 2")
    return n


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_names_the_item_and_shows_the_worker_s_traceback(workers: int) -> None:
    values = fork_map(fails_at_two, [0, 1, 2, 3], workers=workers)
    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(
        ItemError, match=r"(?s)^item 2, 2: KeyError: 'no station 2'.*in fails_at_two"
    ) as caught:
        next(values)
    assert caught.value is not None
    assert children() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_failures_may_stand_in_the_place_of_values(workers: int) -> None:
    first, failed, last = fork_map(fails_at_two, [1, 2, 3], workers=workers, errors="return")
    assert (first, last) == (1, 3)
    assert isinstance(failed, Failed)
    assert (failed.job, failed.cause, failed.message) == (2, "error", "KeyError: 'no station 2'")
    assert "in fails_at_two" in failed.traceback


def test_deaths_and_timeouts_are_failures_of_their_items() -> None:
    def job(name: str) -> str:
        if name == "dies":
            os.abort()
        if name == "hangs":
            signal.pause()
        return name

    found = list(
        fork_map(job, ["dies", "hangs", "fine"], workers=2, timeout=0.5, attempts=2, errors="return")
    )
    assert [one.cause for one in found[:2]] == ["died", "timeout"]
    assert (found[0].attempts, found[0].signal, found[2]) == (2, "SIGABRT", "fine")


def test_wrong_options_are_told_at_once() -> None:
    with pytest.raises(PoolError, match='errors: "ignore" is neither'):
        fork_map(abs, [], errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(PoolError, match="workers: -1 is negative"):
        fork_map(abs, [], workers=-1)


def test_an_unsafe_fork_is_refused_where_it_is_asked_for() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="loader")
    thread.start()
    try:
        with pytest.raises(ForkUnsafe, match="loader"):
            list(fork_map(abs, [1], workers=1, start_method="fork"))
        assert list(fork_map(abs, [-1], workers=1)) == [1]
    finally:
        end.set()
        thread.join()


# Ends


@pytest.mark.parametrize("ordered", [True, False])
def test_who_breaks_off_leaves_no_process(ordered: bool) -> None:
    for value in fork_map(lambda n: n if n == 0 else signal.pause(), range(5), workers=2, ordered=ordered):
        assert value == 0
        break
    gc.collect()
    assert children() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_of_the_caller_s_leaves_no_process(error: type[BaseException]) -> None:
    def consume() -> None:
        for _ in fork_map(lambda n: n if n == 0 else signal.pause(), range(5), workers=2):
            raise error

    with pytest.raises(error):
        consume()
    assert children() == []


def test_items_that_raise_end_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(fork_map(abs, items(), workers=2))


def test_ctrl_c_ends_it_with_one_traceback() -> None:
    script = """
        import os, signal
        from forkmaps import fork_map

        def job(n):
            if n == 3:
                os.kill(os.getppid(), signal.SIGINT)
                signal.pause()
            return n

        list(fork_map(job, range(9), workers=2, start_method="fork"))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.count("Traceback") == 1
