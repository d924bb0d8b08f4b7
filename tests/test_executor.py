"""Functions in the background: an executor whose workers share data."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from forkmaps import ForkExecutor
from forkmaps.errors import ForkUnsafe, ItemError, PoolError
from forkmaps.pool import launching

pytestmark = pytest.mark.timeout(60)

ALL = ("fork", "forkserver", "spawn")


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie that nobody collects has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


@pytest.mark.parametrize("method", ALL)
def test_calls_of_any_function_are_done_with_shared_data(method: Any) -> None:
    table = np.arange(200_000.0)
    with ForkExecutor(table, workers=2, start_method=method) as executor:
        offset = 5
        futures = [executor.submit(lambda n, shared: shared[n] + offset, n) for n in range(6)]
        assert [future.result(timeout=30) for future in futures] == [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
        refused = executor.submit(lambda shared: shared.fill(0)).exception(timeout=30)
        assert isinstance(refused, ValueError)
        assert "read-only" in str(refused)
        assert executor.submit(os.getppid).result(timeout=30) != (os.getpid() if method != "spawn" else 0)


def test_it_is_an_executor_like_others() -> None:
    with ForkExecutor(workers=2) as executor:
        assert isinstance(executor, concurrent.futures.Executor)
        assert list(executor.map(pow, [2, 3], [4, 5])) == [16, 243]
        futures = {executor.submit(abs, -n) for n in range(5)}
        done, not_done = concurrent.futures.wait(futures, timeout=30)
        assert {future.result() for future in concurrent.futures.as_completed(done)} == set(range(5))
        assert not not_done
        assert executor.submit(dict, a=1).result(timeout=30) == {"a": 1}


def test_arguments_are_those_at_the_time_of_submit() -> None:
    state = np.zeros(200_000)
    with ForkExecutor(workers=1) as executor:
        futures = []
        for step in range(5):
            state[:] = step
            futures.append(executor.submit(np.mean, state))
        assert [future.result(timeout=30) for future in futures] == [0, 1, 2, 3, 4]


def test_the_caller_goes_on_meanwhile() -> None:
    with ForkExecutor(workers=1) as executor:
        future = executor.submit(time.sleep, 0.3)
        begin = time.monotonic()
        steps = sum(1 for _ in range(1000))
        assert time.monotonic() - begin < 0.2
        assert steps == 1000
        assert not future.done()
        future.result(timeout=30)


def test_random_streams_follow_the_order_of_submission() -> None:
    def draw(rng: np.random.Generator) -> float:
        return rng.random()

    found = []
    for workers in (1, 2):
        with ForkExecutor(workers=workers, seed=7) as executor:
            found.append([future.result(timeout=30) for future in [executor.submit(draw) for _ in range(4)]])
    seeds = np.random.SeedSequence(7).spawn(4)
    assert found == [[np.random.default_rng(seed).random() for seed in seeds]] * 2


# Failures


def test_exceptions_deaths_and_timeouts_are_the_futures_own() -> None:
    def fail() -> None:
        raise ValueError("no data here")

    with ForkExecutor(workers=2, timeout=0.5, attempts=2) as executor:
        failed, dead, late = executor.submit(fail), executor.submit(os.abort), executor.submit(signal.pause)
        fine = executor.submit(abs, -1)
        with pytest.raises(ValueError, match=r"^no data here$") as caught:
            failed.result(timeout=30)
        assert isinstance(caught.value.__cause__, ItemError)
        assert re.search(r"(?s)in worker \d+:\nTraceback.*in fail\n", str(caught.value.__cause__))
        with pytest.raises(ItemError, match="killed by SIGABRT"):
            dead.result(timeout=30)
        with pytest.raises(ItemError, match=r"no result after 0\.5 s"):
            late.result(timeout=30)
        assert fine.result(timeout=30) == 1


@pytest.mark.parametrize("method", ALL)
def test_an_exception_that_can_not_travel_becomes_text(method: Any) -> None:
    class AwkwardError(Exception):
        def __init__(self) -> None:
            super().__init__("a lock inside")
            self.lock = threading.Lock()

    class OwnError(Exception):
        pass

    def fail(*, awkward: bool) -> None:
        raise AwkwardError if awkward else OwnError("too hot")

    with ForkExecutor(workers=1, start_method=method) as executor:
        with pytest.raises(ItemError, match=r"(?s)^fail: AwkwardError: a lock inside.*Traceback"):
            executor.submit(fail, awkward=True).result(timeout=30)
        with pytest.raises(OwnError, match="too hot"):
            executor.submit(fail, awkward=False).result(timeout=30)


def test_what_cannot_travel_is_refused_at_once() -> None:
    with ForkExecutor(workers=1) as executor, pytest.raises(ItemError, match=r"the call .* can't be pickled"):
        executor.submit(threading.Lock().acquire)


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_supervisor_that_is_killed_is_replaced(method: Any) -> None:
    with ForkExecutor(np.arange(10), workers=1, start_method=method) as executor:
        first = executor.submit(os.getppid).result(timeout=30)
        waiting = [executor.submit(lambda n, shared: (time.sleep(0.05), shared[n])[1], n) for n in range(4)]
        os.kill(first, signal.SIGKILL)
        assert [future.result(timeout=30) for future in waiting] == [0, 1, 2, 3]
        assert executor.submit(os.getppid).result(timeout=30) != first


def test_when_nobody_can_be_started_every_future_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "CODE", "import sys; sys.exit(7)")
    with ForkExecutor(workers=1, start_method="forkserver") as executor:
        futures = [executor.submit(abs, 1) for _ in range(8)]
        for _ in range(200):
            try:
                futures.append(executor.submit(abs, 1))
            except PoolError:  # once it is known
                break
            time.sleep(0.05)
        assert len(futures) < 208
        for future in futures:
            with pytest.raises(PoolError, match="exit code 7"):
                future.result(timeout=30)


# Ends


def test_queued_calls_can_be_cancelled_and_running_ones_can_not(tmp_path: Path) -> None:
    def wait(number: int) -> int:
        while not (tmp_path / "go").exists():
            time.sleep(0.005)
        (tmp_path / f"{number} was called").touch()
        return number

    with ForkExecutor(workers=1) as executor:
        calls = [executor.submit(wait, number) for number in range(6)]
        while not calls[0].running():
            time.sleep(0.005)
        assert not calls[0].cancel()
        assert calls[-1].cancel()
        (tmp_path / "go").touch()
        assert [call.result(timeout=30) for call in calls[:-1]] == [0, 1, 2, 3, 4]
        with pytest.raises(CancelledError):
            calls[-1].result(timeout=30)
        assert executor.submit(abs, -7).result(timeout=30) == 7
    assert not (tmp_path / "5 was called").exists()


def test_shutdown_does_what_was_submitted_and_takes_no_more() -> None:
    executor = ForkExecutor(workers=2)
    futures = [executor.submit(abs, -n) for n in range(10)]
    executor.shutdown()
    assert [future.result(timeout=0) for future in futures] == list(range(10))
    assert processes() == []
    with pytest.raises(PoolError, match="shut down"):
        executor.submit(abs, 1)
    executor.shutdown()


def test_shutdown_may_cancel_what_waits() -> None:
    executor = ForkExecutor(workers=1)
    futures = [executor.submit(time.sleep, 0.05) for _ in range(50)]
    executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) > 40


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_the_block_ends_all_at_once(error: type[BaseException]) -> None:
    futures: list[Any] = []

    def simulate() -> None:
        with ForkExecutor(workers=2) as executor:
            futures.extend(executor.submit(signal.pause) for _ in range(8))
            while not futures[0].running():
                time.sleep(0.005)
            raise error

    begin = time.monotonic()
    with pytest.raises(error):
        simulate()
    assert time.monotonic() - begin < 3
    assert processes() == []
    for future in futures:
        with pytest.raises((PoolError, CancelledError)):
            future.result(timeout=0)


def test_an_executor_that_nobody_refers_to_does_its_work_and_ends() -> None:
    future = ForkExecutor(workers=1).submit(abs, -3)
    gc.collect()
    assert future.result(timeout=30) == 3
    end = time.monotonic() + 10
    while processes() and time.monotonic() < end:
        time.sleep(0.01)
    assert processes() == []
    for thread in threading.enumerate():
        if thread.name == "forkmaps-executor":
            thread.join(timeout=10)


def test_nothing_starts_before_it_is_needed_but_the_supervisor() -> None:
    with ForkExecutor(workers=4) as executor:
        assert len(processes()) == 1
        executor.submit(abs, 1).result(timeout=30)
        assert len(processes()) == 2


@pytest.mark.parametrize("method", ALL)
def test_the_program_s_end_waits_for_what_was_submitted(method: str) -> None:
    done = run_script(f"""
        import os, time
        from forkmaps import ForkExecutor

        def job(n):
            time.sleep(0.1)
            os.write(1, b"done %d\\n" % n)

        executor = ForkExecutor(workers=1, start_method="{method}")
        for n in range(2):
            executor.submit(job, n)
        print("end", flush=True)
    """)
    assert (done.stdout, done.stderr) == ("end\ndone 0\ndone 1\n", "")


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_nobody_outlives_a_program_that_is_killed(method: str) -> None:
    script = f"""
        import os, signal
        from forkmaps import ForkExecutor

        def job():
            os.write(1, f"{{os.getpid()}} {{os.getppid()}}\\n".encode())
            signal.pause()

        executor = ForkExecutor(workers=1, start_method="{method}")
        executor.submit(job).result()
    """
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout
    with program.stdout:
        them = [psutil.Process(int(pid)) for pid in program.stdout.readline().split()]
        program.kill()
        end = time.monotonic() + 3
        while any(is_alive(process) for process in them) and time.monotonic() < end:
            time.sleep(0.01)
    program.wait(timeout=10)
    assert not [process for process in them if is_alive(process)]


# Beside threads


def test_beside_threads_the_supervisor_is_started_anew_and_a_fork_is_refused() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="training")
    thread.start()
    try:
        with ForkExecutor(np.arange(5), workers=1) as executor:
            assert executor.submit(lambda shared: int(shared.sum())).result(timeout=30) == 10
        with pytest.raises(ForkUnsafe, match="training"):
            ForkExecutor(workers=1, start_method="fork")
    finally:
        end.set()
        thread.join()


def test_two_at_once_do_not_hinder_each_other() -> None:
    with ForkExecutor(1, workers=1) as first, ForkExecutor(2, workers=1) as second:
        assert first.submit(lambda shared: shared).result(timeout=30) == 1
        assert second.submit(lambda shared: shared).result(timeout=30) == 2


def test_no_workers_are_refused() -> None:
    with pytest.raises(PoolError, match="at least 1"):
        ForkExecutor(workers=0)


def test_a_call_may_fill_parameters_that_it_would_be_given() -> None:
    def told(shared: Any, n: int = 0) -> Any:
        return shared, n

    with ForkExecutor("data", workers=1) as executor:
        calls = executor.submit(told), executor.submit(told, "mine", 1), executor.submit(told, shared="named")
        assert [call.result(timeout=30) for call in calls] == [("data", 0), ("mine", 1), ("named", 0)]


def test_a_worker_keeps_nothing_of_the_calls_that_it_did() -> None:
    def bound(data: np.ndarray) -> Any:
        return lambda: data.nbytes

    def living() -> int:
        gc.collect()
        return sum(isinstance(one, np.ndarray) and one.nbytes == 123_456 for one in gc.get_objects()) + sum(
            isinstance(one, types.CellType) and getattr(one.cell_contents, "nbytes", 0) == 123_456
            for one in gc.get_objects()
        )

    with ForkExecutor(workers=1) as executor:
        before = executor.submit(living).result(timeout=30)
        for _ in range(3):
            executor.submit(bound(np.zeros(123_456, np.uint8))).result(timeout=30)
        assert executor.submit(living).result(timeout=30) == before
