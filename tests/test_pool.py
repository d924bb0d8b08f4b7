"""The pool, tested with plain functions. What it survives stands in faults/test_processes.py."""

from __future__ import annotations

import gc
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from forkmaps.errors import PoolError
from forkmaps.pool import Done, Failed, Outcome, Pool, answers, crew, handles, messages, workers

pytestmark = pytest.mark.timeout(30)

AWHILE = 0.3
"""A time limit, in seconds, for jobs that are meant to exceed it."""


def double(number: int) -> int:
    return 2 * number


def work_pid(_: object) -> int:
    return os.getpid()


def for_ever(_: object = None) -> None:
    while True:
        signal.pause()


def only(outcomes: Iterator[Outcome[Any, Any]]) -> Any:
    """Return the one outcome of a run with one job."""
    (outcome,) = outcomes
    return outcome


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with buffered output."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=env)


# Jobs and their outcomes


@pytest.mark.parametrize("size", [0, 1, 3])
def test_every_job_has_one_outcome(size: int) -> None:
    with Pool(double, workers=size) as pool:
        outcomes = list(pool.run(range(20)))
    assert {outcome.job: outcome.value for outcome in outcomes} == {n: 2 * n for n in range(20)}
    assert len(outcomes) == 20
    assert all(outcome.attempts == 1 and outcome.seconds >= 0 for outcome in outcomes)


@pytest.mark.parametrize("size", [0, 2])
def test_no_jobs_are_no_trouble(size: int) -> None:
    with Pool(double, workers=size) as pool:
        assert list(pool.run([])) == []


def test_the_function_may_be_a_closure_that_no_pickle_could_hold() -> None:
    lock = threading.Lock()
    with Pool(lambda n: (n, lock.locked()), workers=1) as pool:
        assert only(pool.run([7])).value == (7, False)


def test_outcomes_come_as_they_finish() -> None:
    read, write = os.pipe()
    with Pool(lambda job: os.read(read, 1) if job == "waits" else b"", workers=2) as pool:
        order = []
        for outcome in pool.run(["waits", "quick"]):
            order.append(outcome.job)
            os.write(write, b"!")
    os.close(read)
    os.close(write)
    assert order == ["quick", "waits"]


def test_jobs_are_drawn_only_when_there_is_a_worker_for_them() -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(30):
            drawn.append(number)
            yield number

    with Pool(double, workers=2) as pool:
        for finished, _ in enumerate(pool.run(jobs()), 1):
            assert len(drawn) <= finished + 4  # one more result may wait, two more jobs be at work


def test_large_jobs_and_results_arrive_whole() -> None:
    blob = os.urandom(5_000_000)
    with Pool(lambda data: data[::-1], workers=2) as pool:
        assert [outcome.value for outcome in pool.run([blob] * 4)] == [blob[::-1]] * 4


# Workers


def test_runs_share_the_same_workers() -> None:
    with Pool(work_pid, workers=1) as pool:
        assert only(pool.run([1])).value == only(pool.run([2])).value != os.getpid()


def test_there_are_no_more_workers_than_jobs() -> None:
    with Pool(double, workers=8) as pool:
        list(pool.run([1, 2]))
        assert len(pool.report()) <= 2


def test_no_workers_means_this_process() -> None:
    with Pool(work_pid, workers=0) as pool:
        assert only(pool.run([1])).value == os.getpid()
        assert [(row.pid, row.jobs) for row in pool.report()] == [(os.getpid(), 1)]


def test_prepare_is_called_once_in_each_worker(tmp_path: Path) -> None:
    def own_file() -> Path:
        return tmp_path / str(os.getpid())

    def prepare() -> None:
        with own_file().open("a") as file:
            file.write("x")

    with Pool(lambda _: own_file().read_text(), workers=2, prepare=prepare) as pool:
        assert {outcome.value for outcome in pool.run(range(10))} == {"x"}


def test_prepare_is_called_once_in_this_process_if_that_does_the_work() -> None:
    calls: list[int] = []
    with Pool(double, workers=0, prepare=lambda: calls.append(1)) as pool:
        assert len([*pool.run([1, 2]), *pool.run([3])]) == 3
    assert calls == [1]


def test_a_prepare_that_fails_in_this_process_is_reported() -> None:
    with (
        Pool(double, workers=0, prepare=lambda: print(1 / 0)) as pool,
        pytest.raises(PoolError, match="ZeroDivision"),
    ):
        list(pool.run([1]))


def test_a_report_counts_jobs_and_measures_memory() -> None:
    ballast = bytearray(30_000_000)

    with Pool(lambda n: ballast[n], workers=2) as pool:
        list(pool.run(range(10)))
        rows = pool.report()
    assert sum(row.jobs for row in rows) == 10
    assert all(0 < row.private_mb < 20 < row.pss_mb + 20 for row in rows if row.private_mb and row.pss_mb)
    assert [(row.pid, row.jobs) for row in pool.report()] == [(row.pid, row.jobs) for row in rows]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system doesn't tell")
def test_a_report_tells_private_memory_from_shared() -> None:
    hoard: list[bytes] = []
    with Pool(lambda size: hoard.append(os.urandom(size)), workers=1) as pool:
        list(pool.run([1]))
        (before,) = pool.report()
        list(pool.run([20_000_000]))
        (after,) = pool.report()
    assert 18 < after.private_mb - before.private_mb < 30


def test_a_report_remembers_workers_that_died() -> None:
    def die_at_two(number: int) -> None:
        if number == 2:
            os._exit(1)

    with Pool(die_at_two, workers=1, attempts=2) as pool:
        list(pool.run(range(4)))
        assert [row.jobs for row in pool.report()] == [2, 0, 1]


def test_a_worker_retires_after_so_many_jobs_and_nothing_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Pool(work_pid, workers=1, jobs_per_worker=3) as pool:
        outcomes = list(pool.run(range(8)))
        assert [row.jobs for row in pool.report()] == [3, 3, 2]
    pids = [outcome.value for outcome in outcomes]
    assert pids == [pid for pid in dict.fromkeys(pids) for _ in range(pids.count(pid))]
    assert len(set(pids)) == 3
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert caplog.text == ""


def test_no_worker_follows_the_last_that_retires() -> None:
    with Pool(work_pid, workers=2, jobs_per_worker=1) as pool:
        assert len({outcome.value for outcome in pool.run(range(4))}) == 4
        assert len(pool.report()) == 4


def test_retired_workers_are_no_failed_starts() -> None:
    with Pool(double, workers=1, jobs_per_worker=1) as pool:
        assert len(list(pool.run(range(12)))) == 12


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this system doesn't tell")
def test_a_worker_whose_memory_grows_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    hoard: list[bytes] = []

    def leak(size: int) -> int:
        hoard.append(os.urandom(size))
        return os.getpid()

    monkeypatch.setattr(crew, "LOOK_INTERVAL", 0)
    with Pool(leak, workers=1, worker_memory_mb=25) as pool:
        pids = [outcome.value for outcome in pool.run([10_000_000] * 8)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4]  # 10 MB at first, then 30 more


def test_memory_is_looked_at_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(handles, "memory_of", looks.append)
    with Pool(double, workers=2) as pool:
        list(pool.run(range(50)))
        assert looks == []


# Failures that are values


@pytest.mark.parametrize("size", [0, 1])
def test_an_exception_becomes_text_with_its_traceback(size: int) -> None:
    def refuse(_: int) -> None:
        raise ValueError("no data here")

    with Pool(refuse, workers=size) as pool:
        outcome = only(pool.run([1]))
    assert (outcome.cause, outcome.message) == ("error", "ValueError: no data here")
    assert outcome.attempts == 1
    assert "in refuse" in outcome.traceback
    assert outcome.pid == pool.report()[0].pid


def test_an_exception_need_not_be_picklable_nor_printable() -> None:
    class AwkwardError(Exception):
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __str__(self) -> str:
            raise RuntimeError

    def refuse(_: int) -> None:
        raise AwkwardError

    with Pool(refuse, workers=1) as pool:
        assert only(pool.run([1])).message == "AwkwardError: (its message can't be printed)"


class Reluctant:
    """Something that raises when it is pickled, or when it is unpickled."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __reduce__(self) -> Any:
        if self.where == "leaving":
            raise TypeError("won't go")
        return (refuse_to_come, ())


def refuse_to_come() -> None:
    raise TypeError("won't come")


def test_a_job_that_cannot_be_pickled_fails_alone() -> None:
    with Pool(lambda job: job, workers=2) as pool:
        outcomes = list(pool.run([1, Reluctant("leaving"), Reluctant("leaving"), 2, Reluctant("leaving")]))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert sorted(outcome.value for outcome in outcomes if isinstance(outcome, Done)) == [1, 2]
    assert [failure.message for failure in failures] == [
        "the job (Reluctant) can't be pickled: TypeError: won't go"
    ] * 3
    assert {(failure.attempts, failure.pid) for failure in failures} == {(0, None)}


def test_a_job_that_cannot_be_unpickled_fails_alone() -> None:
    with Pool(lambda job: job, workers=1) as pool:
        first, second = pool.run([Reluctant("arriving"), 2])
    assert first.message == "the job can't be unpickled: TypeError: won't come"
    assert second.value == 2


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("leaving", "the result (Reluctant) can't be pickled: TypeError: won't go"),
        ("arriving", "the result can't be unpickled: TypeError: won't come"),
    ],
)
def test_a_result_that_cannot_travel_is_named(where: str, message: str) -> None:
    with Pool(lambda job: Reluctant(where) if job else 0, workers=1) as pool:
        first, second = pool.run([1, 0])
    assert (first.cause, first.message) == ("error", message)
    assert second.value == 0


def test_a_result_that_there_is_no_room_for_fails_alone() -> None:
    def send_more_than_there_is(channel: socket.socket, answer: Any) -> None:
        if isinstance(answer, answers.Returned) and b"huge" in answer.value[0]:
            sizes = messages.SIZE.pack(10) + messages.SIZE.pack(2**60)
            channel.sendall(messages.HEAD.pack(messages.MARK, 2) + sizes)
            signal.pause()
        send(channel, answer)

    send = workers.send
    prepare: Callable[[], None] = lambda: setattr(workers, "send", send_more_than_there_is)  # noqa: E731
    with Pool(lambda job: job, workers=1, prepare=prepare) as pool:
        first, second = pool.run(["huge", "small"])
    assert first.message == "out of memory: there is no room for the result in this process"
    assert (first.cause, first.attempts, second.value) == ("error", 1, "small")


def test_the_stack_of_a_job_that_was_stopped_is_kept() -> None:
    with Pool(for_ever, workers=1, timeout=AWHILE) as pool:
        outcome = only(pool.run([1]))
    assert outcome.message == "no result after 0.3 s"
    assert "in for_ever" in outcome.traceback
    assert outcome.signal is None


def test_a_job_is_not_late_because_its_result_was_not_fetched_in_time() -> None:
    with Pool(lambda size: bytes(size), workers=2, timeout=2 * AWHILE) as pool:
        run = pool.run([1, 2_000_000])
        first = next(run)
        time.sleep(4 * AWHILE)  # a caller that is busy with something else
        assert isinstance(first, Done)
        assert isinstance(next(run), Done)
        run.close()


def test_a_death_that_is_tried_again_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def crash_once(_: int) -> None:
        if not (tmp_path / "crashed").exists():
            (tmp_path / "crashed").touch()
            os.abort()

    with Pool(crash_once, workers=1) as pool:
        assert only(pool.run([11])).attempts == 2
    assert "killed by SIGABRT; job 11 is tried again (attempt 2 of 3)" in caplog.text
    assert "in crash_once" in caplog.text


# What a worker inherits, and what it doesn't


def test_a_worker_leaves_interrupts_to_its_parent_and_dies_of_sigterm() -> None:
    def handlers(_: int) -> list[bool]:
        ours = (
            (signal.SIGINT, signal.SIG_IGN),
            (signal.SIGTERM, signal.SIG_DFL),
            (signal.SIGHUP, signal.SIG_DFL),
        )
        return [signal.getsignal(number) == handler for number, handler in ours]

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        with Pool(handlers, workers=1) as pool:
            assert only(pool.run([1])).value == [True] * 3
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_worker_blocks_no_more_signals_than_its_parent() -> None:
    with Pool(lambda _: signal.pthread_sigmask(signal.SIG_BLOCK, []), workers=1) as pool:
        assert only(pool.run([1])).value == signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_worker_collects_garbage_and_its_parent_froze_it() -> None:
    gc.disable()
    try:
        with Pool(lambda _: (gc.isenabled(), gc.get_freeze_count() > 1000), workers=1) as pool:
            assert only(pool.run([1])).value == (True, True)
    finally:
        gc.enable()
    assert gc.get_freeze_count() < 1000


def test_a_pool_does_not_thaw_what_somebody_else_froze() -> None:
    gc.freeze()
    try:
        with Pool(double, workers=1) as pool:
            list(pool.run([1]))
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_a_worker_reads_nothing_of_its_parents_input() -> None:
    with Pool(lambda _: sys.stdin.read(), workers=1) as pool:
        assert only(pool.run([1])).value == ""


def test_a_worker_holds_no_socket_but_its_own() -> None:
    def mine(job: int) -> int:
        return len(own_sockets()) if job else 0

    before = len(own_sockets())
    with Pool(mine, workers=3) as pool:
        assert {outcome.value for outcome in pool.run([1] * 12)} == {before + 2}


def own_sockets() -> list[str]:
    """Return where our descriptors of sockets and processes lead to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return [target for target in found if target.startswith(("socket:", "anon_inode:[pidfd]"))]


def test_logging_works_in_a_worker(tmp_path: Path) -> None:
    log = logging.getLogger("forkmaps.test")
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    log.addHandler(handler)
    try:
        with Pool(lambda n: log.warning("drew %d", n), workers=2) as pool:
            list(pool.run(range(10)))
    finally:
        log.removeHandler(handler)
        handler.close()
    lines = (tmp_path / "log").read_text(encoding="utf-8").split("\n")
    assert sorted(lines)[1:] == sorted(f"drew {n}" for n in range(10))


def test_what_a_parent_has_in_its_buffers_or_does_at_its_end_happens_once(tmp_path: Path) -> None:
    done = run_script(f"""
        import atexit, os
        from forkmaps.pool import Pool
        atexit.register(print, "bye")
        print("hello", end=" ")
        file = open({str(tmp_path / "text")!r}, "w")
        file.write("once")
        job = lambda n: print("job", n, end=" ") if n else os._exit(0)
        try:
            with Pool(job, workers=1, attempts=1) as pool:
                list(pool.run([1, 2, 0]))
        finally:
            print("finally", end=" ")
    """)
    assert (done.stdout, done.stderr) == ("hello job 1 job 2 finally bye\n", "")
    assert (tmp_path / "text").read_text(encoding="ascii") == "once"


def test_a_copy_of_a_worker_that_a_job_forks_and_lets_return_changes_nothing() -> None:
    def fork(number: int) -> int:
        os.fork()
        return number

    with Pool(fork, workers=1) as pool:
        assert [outcome.value for outcome in pool.run(range(5))] == list(range(5))


# Stopping early


def still_there(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid)]


def test_a_caller_that_breaks_off_kills_the_workers_and_may_run_again() -> None:
    with Pool(lambda n: n if n == 0 else for_ever(), workers=2) as pool:
        for outcome in pool.run([0, 1, 2]):
            assert outcome.job == 0
            pids = [row.pid for row in pool.report()]
            break
        assert still_there(pids) == []
        assert only(pool.run([0])).value == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_callers_kills_the_workers(error: type[BaseException]) -> None:
    pids: list[int] = []

    def interrupted() -> None:
        with Pool(lambda n: n if n == 0 else for_ever(), workers=2) as pool:
            for _ in pool.run([0, 1, 2]):
                pids.extend(row.pid for row in pool.report())
                raise error

    with pytest.raises(error):
        interrupted()
    assert pids
    assert still_there(pids) == []


def test_an_iterable_of_jobs_that_raises_stops_the_run() -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise KeyError("jobs")

    with Pool(for_ever, workers=2) as pool, pytest.raises(KeyError, match="jobs"):
        list(pool.run(jobs()))


def test_closing_a_pool_in_the_middle_of_a_run_ends_that_run() -> None:
    pool = Pool(lambda n: n if n == 0 else for_ever(), workers=2)
    run = pool.run([0, 1, 2])
    next(run)
    pool.close()
    pool.close()
    with pytest.raises(PoolError, match="closed"):
        next(run)


def test_a_closed_pool_says_so() -> None:
    with Pool(double, workers=1) as pool:
        pass
    with pytest.raises(PoolError, match="closed"):
        list(pool.run([1]))


def test_one_run_at_a_time() -> None:
    with Pool(double, workers=1) as pool:
        run = pool.run([1, 2])
        next(run)
        with pytest.raises(PoolError, match="middle of a run"):
            list(pool.run([3]))
        assert len(list(run)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "workers: -1 is negative"),
        ({"timeout": 0}, "timeout: 0 is not"),
        ({"timeout": float("nan")}, "timeout: nan is not"),
        ({"attempts": 0}, "attempts: 0 is not"),
        ({"jobs_per_worker": 0}, "jobs_per_worker: 0 is not"),
        ({"worker_memory_mb": -1}, "worker_memory_mb: -1 is not"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        Pool(double, **options)


def test_closing_a_pool_does_not_wait_for_the_workers_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "CLOSE_GRACE", 20)
    with Pool(double, workers=1) as first, Pool(double, workers=1) as second:
        list(first.run([1]))
        list(second.run([1]))  # its worker holds a copy of all that is open here
        begin = time.monotonic()
        first.close()
        assert time.monotonic() - begin < 10


# Where the system gives less help


def no_pidfd(_: int) -> int:
    raise OSError("no such system call")


def die_once(marker: Path) -> Callable[[int], int]:
    """Return a function that kills its process the first time it is called with 3."""

    def function(number: int) -> int:
        if number == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return function


def test_without_pidfd_deaths_are_still_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    with Pool(die_once(tmp_path / "died"), workers=2, timeout=5) as pool:
        assert sorted(outcome.value for outcome in pool.run(range(8))) == list(range(8))


def test_without_pidfd_a_job_that_never_ends_is_still_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    with Pool(for_ever, workers=1, timeout=AWHILE) as pool:
        assert only(pool.run([1])).cause == "timeout"


def test_a_parent_that_has_its_children_reaped_elsewhere_still_learns_of_deaths(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Pool(die_once(tmp_path / "died"), workers=2) as pool:
            assert sorted(outcome.value for outcome in pool.run(range(8))) == list(range(8))
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_fork_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with (
        Pool(double, workers=2) as pool,
        pytest.raises(PoolError, match=r"the start of a process failed: .*unavailable"),
    ):
        list(pool.run([1, 2]))


def test_a_worker_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "START_LIMIT", AWHILE)
    with Pool(double, workers=1, prepare=for_ever) as pool, pytest.raises(PoolError, match="not ready after"):
        list(pool.run([1]))


def test_a_worker_that_the_kernel_does_not_let_go_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    kill = handles.Worker.kill

    def kill_in_vain(worker: handles.Worker[int], number: signal.Signals = signal.SIGKILL) -> None:
        left.append(worker.pid)
        worker.killed = worker.killed or number == signal.SIGKILL

    monkeypatch.setattr(handles, "KILL_GRACE", AWHILE)
    with Pool(lambda n: n if n else for_ever(), workers=1, timeout=AWHILE) as pool:
        monkeypatch.setattr(handles.Worker, "kill", kill_in_vain)
        stuck, done = pool.run([0, 1])
        monkeypatch.setattr(handles.Worker, "kill", kill)
    os.kill(left[0], signal.SIGKILL)
    os.waitpid(left[0], 0)
    assert (stuck.cause, done.value) == ("timeout", 1)


def test_a_pool_works_in_a_thread() -> None:
    values: list[int] = []

    def work() -> None:
        with Pool(double, workers=2) as pool:
            values.extend(outcome.value for outcome in pool.run(range(4)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert sorted(values) == [0, 2, 4, 6]


def test_a_tool_that_dies_of_broken_pipes_does_not_die_of_dead_workers() -> None:
    done = run_script("""
        import os, signal
        from forkmaps.pool import workers
        from forkmaps.pool import Pool

        def die_in_the_middle(channel):
            channel.recv(1000)
            os.kill(os.getpid(), signal.SIGKILL)

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        prepare = lambda: setattr(workers, "receive", die_in_the_middle)
        with Pool(len, workers=1, prepare=prepare) as pool:
            print(*(outcome.message for outcome in pool.run([bytes(5_000_000)])))
    """)
    assert done.stdout.startswith("killed by SIGKILL")


def test_a_signal_at_the_moment_of_the_fork_loses_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def fork_and_interrupt() -> int:
        pid = fork()
        signal.raise_signal(signal.SIGINT)  # in both: each has Python's own handler, which raises
        return pid

    monkeypatch.setattr(os, "fork", fork_and_interrupt)
    with Pool(double, workers=2) as pool, pytest.raises(KeyboardInterrupt):
        list(pool.run([1, 2]))


def test_answers_arrive_as_they_were_given() -> None:
    for answer in (answers.Ready(), answers.Returned([b"x"], 1.0), answers.Raised("a", "b", 1.0, last=True)):
        assert answers.read_answer(answers.parts_of(answer)) == answer


def test_a_selector_that_can_not_wait_for_nothing_is_never_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class LikeOnWindows(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> Any:
            if not self.get_map():
                raise OSError(10022, "an invalid argument was supplied")
            return super().select(timeout)

    monkeypatch.setattr(selectors, "PollSelector", LikeOnWindows)
    monkeypatch.setattr(os, "pidfd_open", no_pidfd)
    with Pool(lambda n: n if n else os._exit(1), workers=2, attempts=1) as pool:
        assert [outcome.job for outcome in pool.run([])] == []
        assert sorted(outcome.job for outcome in pool.run(range(6))) == list(range(6))


def test_without_workers_a_preparation_that_failed_is_tried_again() -> None:
    tries: list[int] = []

    def prepare() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("not yet")

    with Pool(lambda job: job, workers=0, prepare=prepare) as pool:
        with pytest.raises(PoolError, match="not yet"):
            list(pool.run([1]))
        assert [outcome.value for outcome in pool.run([1])] == [1]
        assert [outcome.value for outcome in pool.run([2])] == [2]
    assert len(tries) == 2
