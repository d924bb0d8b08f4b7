"""Workers that are not copies of this process: they do the same, with what was sent to them."""

from __future__ import annotations

import ctypes
import locale
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import psutil
import pytest
from matplotlib.colors import LinearSegmentedColormap

from forkmaps.errors import ForkmapsError, PoolError
from forkmaps.pool import Done, Failed, Outcome, Pool, client, handles, hiring, launching, parcel
from forkmaps.pool.parcel import Parcel

pytestmark = pytest.mark.timeout(60)

ALL = ("fork", "forkserver", "spawn")
ANEW = ("forkserver", "spawn")

AWHILE = 0.5
"""A time limit, in seconds, for jobs that are meant to exceed it."""

Method = Any


def only(outcomes: Iterator[Outcome[Any, Any]]) -> Any:
    (outcome,) = outcomes
    return outcome


def values(outcomes: Iterator[Outcome[Any, Any]]) -> dict[Any, Any]:
    found = {}
    for outcome in outcomes:
        assert isinstance(outcome, Done), outcome
        found[outcome.job] = outcome.value
    return found


def run_script(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options.pop("flags", ()), "-c", textwrap.dedent(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, **options)


# The same work, whichever way workers come into being


@pytest.mark.parametrize("method", ALL)
def test_every_job_has_its_outcome(method: Method) -> None:
    offset = 100
    with Pool(lambda n: (n + offset, os.getpid()), workers=2, start_method=method) as pool:
        outcomes = list(pool.run(range(12)))
        rows = pool.report()
    assert {outcome.job: outcome.value[0] for outcome in outcomes} == {n: n + 100 for n in range(12)}
    assert {outcome.pid for outcome in outcomes} == {outcome.value[1] for outcome in outcomes}
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert sum(row.jobs for row in rows) == 12
    assert {row.pid for row in rows} >= {outcome.pid for outcome in outcomes}
    assert os.getpid() not in {row.pid for row in rows}


@pytest.mark.parametrize("method", ANEW)
def test_a_second_run_meets_the_same_workers(method: Method) -> None:
    with Pool(lambda _: (os.getpid(), os.getppid()), workers=1, start_method=method) as pool:
        assert list(pool.run([])) == []
        assert only(pool.run([1])).value == only(pool.run([2])).value


def test_forkserver_workers_have_one_parent_that_is_not_this_process() -> None:
    with Pool(lambda _: os.getppid(), workers=2, start_method="forkserver") as pool:
        parents = {outcome.value for outcome in pool.run(range(8))}
        assert len(parents) == 1
        assert psutil.Process(parents.pop()).ppid() == os.getpid()


def test_spawned_workers_are_children_of_this_process() -> None:
    with Pool(lambda _: os.getppid(), workers=2, start_method="spawn") as pool:
        assert {outcome.value for outcome in pool.run(range(4))} == {os.getpid()}


@pytest.mark.parametrize("method", ANEW)
def test_failures_are_told_as_ever(method: Method) -> None:
    def job(what: str) -> str:
        if what == "raise":
            raise ValueError("no data here")
        if what == "crash":
            ctypes.string_at(0)
        if what == "hang":
            signal.pause()
        return what

    with Pool(job, workers=2, start_method=method, timeout=AWHILE, attempts=2) as pool:
        outcomes = {outcome.job: outcome for outcome in pool.run(["raise", "crash", "hang", "fine"])}
    assert outcomes["fine"].value == "fine"
    assert outcomes["raise"].message == "ValueError: no data here"
    assert "in job" in outcomes["raise"].traceback
    assert (outcomes["crash"].cause, outcomes["crash"].signal, outcomes["crash"].attempts) == (
        "died",
        "SIGSEGV",
        2,
    )
    assert "Fatal Python error" in outcomes["crash"].traceback
    assert (outcomes["hang"].cause, outcomes["hang"].attempts) == ("timeout", 1)
    assert "in job" in outcomes["hang"].traceback


@pytest.mark.parametrize("method", ANEW)
def test_workers_retire(method: Method) -> None:
    with Pool(lambda _: os.getpid(), workers=1, jobs_per_worker=2, start_method=method) as pool:
        pids = [outcome.value for outcome in pool.run(range(4))]
        assert [row.jobs for row in pool.report() if row.jobs] == [2, 2]
    assert pids[0] == pids[1] != pids[2] == pids[3]


@pytest.mark.parametrize("method", ANEW)
def test_signals_are_as_in_a_forked_worker(method: Method) -> None:
    def handlers(_: int) -> Any:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), blocked

    with Pool(handlers, workers=1, start_method=method) as pool:
        expected = (signal.SIG_IGN, signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []))
        assert only(pool.run([1])).value == expected


# What is sent to them


@pytest.mark.parametrize("method", ANEW)
def test_large_arrays_are_shared_and_can_not_be_written(method: Method) -> None:
    data = np.arange(500_000.0)

    def job(write: bool) -> Any:
        if write:
            data[3] = 5.0
        lines = Path("/proc/self/maps").read_text().splitlines()
        address = data.ctypes.data
        (mapping,) = (line for line in lines if begins(line) <= address < ends(line))
        return data.sum(), mapping.split(maxsplit=5)[1:]

    def begins(line: str) -> int:
        return int(line.split("-")[0], 16)

    def ends(line: str) -> int:
        return int(re.split(r"[- ]", line)[1], 16)

    with Pool(job, workers=2, start_method=method) as pool:
        outcomes = list(pool.run([False, False, True]))
    mappings = set()
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            assert outcome.job
            assert outcome.message == "ValueError: assignment destination is read-only"
        else:
            total, (access, _, device, inode, path) = outcome.value
            assert total == data.sum()
            assert access == "r--s"
            assert "forkmaps-" in path or "/" in path
            mappings.add((device, inode))
    assert len(mappings) == 1
    assert data.flags.writeable


def test_data_is_loaded_once_in_each_spawned_process(caplog: pytest.LogCaptureFixture) -> None:
    assert loads("spawn", caplog) == 2


def test_data_is_loaded_once_in_all_by_forkserver(caplog: pytest.LogCaptureFixture) -> None:
    assert loads("forkserver", caplog) == 1


def test_data_is_never_loaded_by_fork(caplog: pytest.LogCaptureFixture) -> None:
    assert loads("fork", caplog) == 0


class Counted:
    """Data that notes in a file whenever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getstate__(self) -> Any:
        return {"path": self.path}

    def __setstate__(self, state: Any) -> None:
        self.path = state["path"]
        with self.path.open("a") as file:
            file.write(f"{os.getpid()}\n")


def loads(method: Method, caplog: pytest.LogCaptureFixture) -> int:
    """Count how often the data is loaded for two workers and eight jobs."""
    with tempfile.TemporaryDirectory() as folder, caplog.at_level(logging.INFO, "forkmaps"):
        data = Counted(Path(folder) / "loads")

        def job(_: int) -> int:
            time.sleep(0.02)
            return len(data.path.name)

        with Pool(job, workers=2, start_method=method) as pool:
            rows = set()
            for _ in range(20):
                values(pool.run(range(8)))
                rows = {row.pid for row in pool.report() if row.jobs}
                if len(rows) == 2:
                    break
        pids = data.path.read_text().split() if data.path.exists() else []
    told = re.findall(r"process (\d+) has loaded its data, 0\.0 MB", caplog.text)
    assert sorted(told) == sorted(pids)
    assert len(rows) == 2
    return len(pids)


@pytest.mark.parametrize("method", ANEW)
def test_what_stands_in_the_main_script_works_without_a_guard(method: Method, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        from dataclasses import dataclass
        from forkmaps.pool import Pool

        print("begins")

        @dataclass
        class Job:
            number: int

        @dataclass
        class Result:
            number: int

        def double(job):
            return Result(2 * job.number)

        with Pool(double, workers=2, start_method="{method}") as pool:
            results = [outcome.value for outcome in pool.run([Job(1), Job(2)])]
        print(sorted(result.number for result in results), {{type(result) is Result for result in results}})
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("begins\n[2, 4] {True}\n", "")


@pytest.mark.parametrize("method", ANEW)
def test_modules_folder_and_environment_are_this_process_s(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_own_module.py").write_text("def answer(_):\n    return 42\n")
    (tmp_path / "json.py").write_text("raise ImportError('taken for the json of the library')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path[1:], str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORKMAPS_TEST", "yes")
    from their_own_module import answer  # type: ignore[import-not-found]

    def job(number: int) -> Any:
        return answer(number), os.getcwd(), os.environ["FORKMAPS_TEST"]

    with Pool(job, workers=1, start_method=method) as pool:
        assert only(pool.run([1])).value == (42, str(tmp_path), "yes")
    del sys.modules["their_own_module"]


@pytest.mark.parametrize("method", ANEW)
def test_matplotlib_draws_by_this_process_s_parameters(method: Method) -> None:
    with (
        mpl.rc_context({"lines.linewidth": 7.5, "axes.facecolor": "pink"}),
        Pool(lambda name: mpl.rcParams[name], workers=1, start_method=method) as pool,
    ):
        found = values(pool.run(["lines.linewidth", "axes.facecolor", "backend"]))
    assert found == {"lines.linewidth": 7.5, "axes.facecolor": "pink", "backend": "agg"}


@pytest.mark.parametrize("method", ANEW)
def test_color_maps_that_are_registered_here_are_known_there(method: Method) -> None:
    shades = {key: lambda place: place**2 for key in ("red", "green", "blue")}
    mine = LinearSegmentedColormap("mine", shades, N=100).with_extremes(under="red", bad="blue")
    places = [-1.0, *np.linspace(0, 1, 301), 2.0, np.nan]
    mpl.colormaps.register(mine)
    try:
        with Pool(lambda name: mpl.colormaps[name](places), workers=1, start_method=method) as pool:
            np.testing.assert_array_equal(only(pool.run(["mine"])).value, mine(places))
    finally:
        mpl.colormaps.unregister("mine")


@pytest.mark.parametrize("method", ANEW)
def test_locale_and_arguments_are_this_process_s(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["my program", "--fast"])
    before = locale.setlocale(locale.LC_TIME)
    locale.setlocale(locale.LC_TIME, "C.UTF-8" if before == "C" else "C")
    try:
        here = locale.setlocale(locale.LC_ALL)
        with Pool(
            lambda _: (locale.setlocale(locale.LC_ALL), sys.argv), workers=1, start_method=method
        ) as pool:
            assert only(pool.run([1])).value == (here, ["my program", "--fast"])
    finally:
        locale.setlocale(locale.LC_TIME, before)


@pytest.mark.parametrize("method", ANEW)
def test_warnings_are_what_they_are_here(method: Method) -> None:
    def warn(_: int) -> None:
        warnings.warn("watch out", UserWarning, stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with Pool(warn, workers=1, start_method=method) as pool:
            assert only(pool.run([1])).message == "UserWarning: watch out"


@pytest.mark.parametrize("method", ANEW)
def test_what_workers_log_is_logged_here(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    def job(number: int) -> int:
        logging.getLogger("forkmaps.test").warning("job %d", number)
        logging.getLogger("forkmaps.test").debug("not to be seen")
        return os.getpid()

    with Pool(job, workers=1, start_method=method) as pool:
        pid = only(pool.run([7])).value
    (record,) = (record for record in caplog.records if record.name == "forkmaps.test")
    assert (record.getMessage(), record.process, record.levelname) == ("job 7", pid, "WARNING")


@pytest.mark.parametrize("method", ANEW)
def test_what_is_not_to_be_logged_here_is_not(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    def job(_: int) -> None:
        logging.getLogger("forkmaps.test").warning("not to be seen")

    with Pool(job, workers=1, start_method=method) as pool:
        logging.disable(logging.WARNING)
        try:
            list(pool.run([1]))
        finally:
            logging.disable(logging.NOTSET)
    assert caplog.text == ""


def test_a_death_that_forkserver_sees_is_logged_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = tmp_path / "crashed"

    def crash_once(_: int) -> None:
        if not marker.exists():
            marker.touch()
            os.abort()

    with Pool(crash_once, workers=1, start_method="forkserver") as pool:
        assert only(pool.run([11])).attempts == 2
    assert "killed by SIGABRT; job 11 is tried again (attempt 2 of 3)" in caplog.text


@pytest.mark.parametrize("method", ANEW)
def test_prepare_and_after_fork_are_called_in_each_worker(method: Method) -> None:
    calls: list[str] = []
    with Pool(
        lambda _: calls,
        workers=1,
        prepare=lambda: calls.append("prepare"),
        after_fork=lambda: calls.append("after"),
        start_method=method,
    ) as pool:
        assert [outcome.value for outcome in pool.run([1, 2])] == [["after", "prepare"]] * 2
    assert calls == []


@pytest.mark.parametrize("method", ANEW)
def test_large_jobs_and_results_arrive_whole(method: Method) -> None:
    blob = np.random.default_rng(0).integers(0, 256, 5_000_000, dtype=np.uint8)
    with Pool(lambda data: data[::-1].copy(), workers=2, start_method=method) as pool:
        for outcome in pool.run([blob] * 3):
            np.testing.assert_array_equal(outcome.value, blob[::-1])


@pytest.mark.parametrize("method", ANEW)
def test_a_value_that_cannot_travel_is_named(method: Method) -> None:
    with Pool(lambda job: threading.Lock() if job else 5, workers=1, start_method=method) as pool:
        first, second = pool.run([1, 0])
    assert first.message.startswith("the result (lock) can't be pickled: TypeError")
    assert second.value == 5


def test_a_job_that_cannot_travel_fails_alone() -> None:
    with Pool(lambda job: job, workers=1, start_method="forkserver") as pool:
        outcomes = list(pool.run([1, threading.Lock(), 2]))
    assert sorted(outcome.value for outcome in outcomes if isinstance(outcome, Done)) == [1, 2]
    (failed,) = (outcome for outcome in outcomes if isinstance(outcome, Failed))
    assert failed.message.startswith("the job (lock) can't be pickled")


# What goes wrong


@pytest.mark.parametrize("method", ANEW)
def test_a_function_that_cannot_be_sent_is_refused_with_the_way_out(method: Method) -> None:
    lock = threading.Lock()
    with (
        Pool(lambda _: lock.locked(), workers=1, start_method=method) as pool,
        pytest.raises(PoolError, match=r"can't be pickled: TypeError: .*start_method=\"fork\""),
    ):
        list(pool.run([1]))


@pytest.mark.parametrize("method", ANEW)
def test_workers_that_fail_to_start_stop_the_run_with_the_reason(method: Method) -> None:
    def prepare() -> None:
        raise FileNotFoundError("no fonts here")

    with (
        Pool(len, workers=1, prepare=prepare, start_method=method) as pool,
        pytest.raises(
            PoolError, match=r"no worker can be started: 3 in a row failed.*FileNotFoundError: no fonts"
        ),
    ):
        list(pool.run(["a"]))


class ComesToNothing:
    def __reduce__(self) -> Any:
        return (refuse, ())


def refuse() -> None:
    raise TypeError("won't come")


@pytest.mark.parametrize("method", ANEW)
def test_data_that_cannot_be_unpickled_stops_the_run_with_the_reason(method: Method) -> None:
    data = ComesToNothing()
    with (
        Pool(lambda _: data, workers=1, start_method=method) as pool,
        pytest.raises(
            PoolError, match=r"the function with its data can't be unpickled: TypeError: won't come"
        ),
    ):
        list(pool.run([1]))


def test_no_room_for_the_data_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parcel.NamelessFile, "write", full)
    with pytest.raises(PoolError, match=r"8 MB of data .* no room for it in .* TMPDIR"):
        Parcel(np.zeros(1_000_000), "data")


def test_objections_of_before_fork_count_where_the_fork_is() -> None:
    def object_there() -> None:
        raise ForkmapsError(f"no fork of {os.getpid()}")

    with (
        Pool(len, workers=1, before_fork=object_there, start_method="forkserver") as pool,
        pytest.raises(PoolError, match=r"no fork of \d+") as caught,
    ):
        list(pool.run(["a"]))
    assert str(os.getpid()) not in str(caught.value)


def test_a_supervisor_that_is_killed_is_replaced_and_its_jobs_are_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Pool(
        lambda n: (time.sleep(0.02), os.getppid(), n)[1:], workers=2, start_method="forkserver"
    ) as pool:
        supervisors, done = [], []
        for outcome in pool.run(range(12)):
            assert isinstance(outcome, Done), outcome
            supervisors.append(outcome.value[0])
            done.append(outcome.value[1])
            if len(done) == 4:
                os.kill(supervisors[-1], signal.SIGKILL)
    assert sorted(done) == list(range(12))
    assert len(set(supervisors)) == 2
    assert "killed by SIGKILL" in caplog.text


@pytest.mark.parametrize("method", ANEW)
def test_random_kills_of_workers_and_supervisors_lose_nothing(method: Method) -> None:
    dice = random.Random(3)
    moments = set(dice.sample(range(35), 6))
    found = {}
    with Pool(lambda n: bytes([n]) * 300_000, workers=3, attempts=20, start_method=method) as pool:
        for count, outcome in enumerate(pool.run(range(40))):
            assert isinstance(outcome, Done), outcome
            found[outcome.job] = outcome.value
            if count in moments:
                victims = psutil.Process().children(recursive=True)
                dice.choice(sorted(victims, key=lambda process: process.pid)).kill()
    assert found == {n: bytes([n]) * 300_000 for n in range(40)}


def test_a_job_that_kills_every_supervisor_is_given_up() -> None:
    def job(number: int) -> int:
        if number == 3:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        return number

    with Pool(job, workers=1, attempts=2, start_method="forkserver") as pool:
        outcomes = {outcome.job: outcome for outcome in pool.run(range(6))}
    failed = outcomes.pop(3)
    assert (failed.cause, failed.attempts, failed.signal) == ("died", 2, "SIGKILL")
    assert {job: outcome.value for job, outcome in outcomes.items()} == {n: n for n in (0, 1, 2, 4, 5)}


def test_supervisors_that_all_die_at_start_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "CODE", "import sys; sys.exit(7)")
    with (
        Pool(len, workers=1, start_method="forkserver") as pool,
        pytest.raises(
            PoolError, match=r"no supervisor .* 3 in a row failed; the last: ended with exit code 7"
        ),
    ):
        list(pool.run(["a"]))


def test_the_reason_that_is_told_is_that_of_the_last_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    late_once = f"""
        import os, sys, time
        try:
            os.mkdir({str(tmp_path / "begun")!r})
        except FileExistsError:
            sys.exit(7)
        time.sleep(60)
    """
    monkeypatch.setattr(launching, "CODE", textwrap.dedent(late_once))
    monkeypatch.setattr(handles, "START_LIMIT", 0.5)
    with (
        Pool(len, workers=1, start_method="forkserver") as pool,
        pytest.raises(PoolError, match=r"3 in a row failed; the last: ended with exit code 7"),
    ):
        list(pool.run(["a"]))


def test_a_start_that_would_fail_again_is_tried_once_and_said_to_be() -> None:
    data = ComesToNothing()
    with (
        Pool(lambda _: data, workers=1, start_method="forkserver") as pool,
        pytest.raises(PoolError, match=r"can be started: the function with its data can't be unpickled"),
    ):
        list(pool.run([1]))


def test_a_process_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "CODE", "import time; time.sleep(60)")
    monkeypatch.setattr(client, "START_LIMIT", 0.1)
    monkeypatch.setattr(handles, "START_LIMIT", 0.1)
    for method in ANEW:
        with (
            Pool(len, workers=1, start_method=method) as pool,
            pytest.raises(PoolError, match="not ready after"),
        ):
            list(pool.run(["a"]))


# Their ends


@pytest.mark.parametrize("method", ANEW)
def test_a_caller_that_breaks_off_ends_all_and_may_run_again(method: Method) -> None:
    with Pool(lambda n: n if n == 0 else signal.pause(), workers=2, start_method=method) as pool:
        for outcome in pool.run([0, 1, 2]):
            assert outcome.job == 0
            pids = [row.pid for row in pool.report()]
            break
        assert pids
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert only(pool.run([0])).value == 0


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie that nobody collects has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


PARENT = """
    import os, signal, sys
    from forkmaps.pool import Pool

    def job(number):
        os.write(1, f"{{os.getpid()}} {{os.getppid()}}\\n".encode())
        while number:
            pass
        os.read(silence, 1)

    silence, _ = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Pool(lambda n: job(n), workers=2, start_method="{method}") as pool:
        list(pool.run([0, 1]))
"""


@pytest.mark.parametrize("method", ANEW)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nobody_outlives_a_parent_that_is_stopped(method: Method, number: signal.Signals) -> None:
    script = textwrap.dedent(PARENT.format(method=method)).replace("os.read(silence, 1)", "signal.pause()")
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout
    assert parent.stderr
    with parent.stdout, parent.stderr:
        lines = [parent.stdout.readline().split() for _ in range(2)]
        them = {psutil.Process(int(pid)) for line in lines for pid in line} - {psutil.Process(parent.pid)}
        assert len(them) == (3 if method == "forkserver" else 2)
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        end = time.monotonic() + 3
        while any(is_alive(process) for process in them) and time.monotonic() < end:
            time.sleep(0.01)
        parent.wait(timeout=10)
        said = parent.stderr.read()
    assert not [process for process in them if is_alive(process)]
    assert parent.returncode == (143 if number == signal.SIGTERM else -number)
    assert said.count("Traceback") == (number == signal.SIGINT)


# The choice


def choice(before_fork: Callable[[], None] | None = None) -> str:
    return hiring.chosen("auto", before_fork)[0]


def test_auto_is_fork_in_a_process_with_one_thread() -> None:
    assert choice() == "fork"


def test_auto_is_forkserver_beside_another_thread() -> None:
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="simulation")
    thread.start()
    try:
        method, reason = hiring.chosen("auto", None)
        with Pool(lambda n: 2 * n, workers=1) as pool:
            assert only(pool.run([4])).value == 8
            assert only(pool.run([4])).pid not in {child.pid for child in psutil.Process().children()}
    finally:
        go_on.set()
        thread.join()
    assert method == "forkserver"
    assert "simulation" in reason


def test_auto_is_forkserver_where_before_fork_objects() -> None:
    def object_to_it() -> None:
        raise ForkmapsError("a raster is open")

    assert choice(object_to_it) == "forkserver"


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_auto_is_spawn_on_other_systems(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert choice() == "spawn"


def test_auto_tells_why_it_did_not_fork_if_nothing_else_can_be_done() -> None:
    lock = threading.Lock()

    def object_to_it() -> None:
        raise ForkmapsError("a raster is open")

    with (
        Pool(lambda _: lock, workers=1, before_fork=object_to_it) as pool,
        pytest.raises(PoolError, match=r"(?s)can't be pickled.*a raster is open"),
    ):
        list(pool.run([1]))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        PoolError, match='start_method: "threads" is not one of auto, fork, forkserver, spawn'
    ):
        Pool(len, start_method="threads")  # type: ignore[arg-type]


def test_a_method_that_the_system_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(PoolError, match='can\'t fork; "spawn"'):
        Pool(len, start_method="forkserver")


def test_the_method_of_multiprocessing_is_left_alone() -> None:
    done = run_script("""
        import multiprocessing
        from forkmaps.pool import Pool
        for method in ("fork", "forkserver", "spawn"):
            with Pool(len, workers=1, start_method=method) as pool:
                assert [outcome.value for outcome in pool.run(["abc"])] == [3]
        print(multiprocessing.get_start_method(allow_none=True))
    """)
    assert done.stdout == "None\n"


def test_the_pool_can_be_imported_where_much_of_posix_is_missing() -> None:
    done = run_script("""
        import faulthandler, os, select, selectors, signal, socket, sys
        import psutil, numpy, threadpoolctl, subprocess, tempfile, logging.handlers, ctypes
        for module, names in {
            signal: "pthread_sigmask pidfd_send_signal SIGKILL SIGHUP SIGCHLD pause",
            os: "fork pidfd_open waitpid WNOHANG sched_getaffinity getppid",
            select: "poll epoll",
            selectors: "PollSelector EpollSelector",
            faulthandler: "register unregister",
            socket: "MSG_NOSIGNAL AF_UNIX",
        }.items():
            for name in names.split():
                delattr(module, name)
        sys.platform = "win32"
        from forkmaps.pool import Pool
        from forkmaps.pool import anew, background, launching, supervisor
        from forkmaps.pool.hiring import chosen
        with Pool(len, workers=0) as pool:
            print([outcome.value for outcome in pool.run(["abc"])], chosen("auto", None)[0])
    """)
    assert (done.stdout, done.stderr) == ("[3] spawn\n", "")


def log_and_wait(seconds: float) -> float:
    logging.getLogger("forkmaps.test").warning("begun")
    time.sleep(seconds)
    return seconds


def log_for_ever(_: object) -> None:
    while True:
        log_and_wait(AWHILE / 5)


def test_a_job_that_logs_has_as_much_time_as_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forkmaps.pool.handles.TRANSFER_LIMIT", AWHILE)
    with Pool(log_and_wait, workers=1, start_method="spawn") as pool:
        (done,) = pool.run([3 * AWHILE])
    assert isinstance(done, Done)


def test_a_job_that_logs_for_ever_is_stopped_in_time() -> None:
    with Pool(log_for_ever, workers=1, timeout=2 * AWHILE, start_method="spawn") as pool:
        (failed,) = pool.run([1])
    assert failed.message == f"no result after {2 * AWHILE:g} s"
