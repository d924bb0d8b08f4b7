"""Planted faults, by the rows "Processes" of the list of faults: what the pool must survive.

Faults are planted in the job itself, which kills its process, stops answering or never ends; nothing here
waits for a time to pass in the hope that something has happened by then.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from forkmaps.errors import PoolError
from forkmaps.pool import Done, Failed, Pool, messages, workers

pytestmark = pytest.mark.timeout(60)

DEADLINE = 0.5
"""Seconds for a job that is meant to exceed them."""


def picture(number: int, rounds: int = 20) -> bytes:
    """Do some work with a result that can be compared: 64 kB of bytes that depend on all of it."""
    digest = number.to_bytes(4, "big")
    for _ in range(rounds):
        digest = hashlib.sha256(digest * 64).digest()
    return digest * 2048


def draw(job: int) -> bytes:
    return picture(job)


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def pause_for_ever() -> None:
    while True:
        signal.pause()


def first_time(marker: Path) -> bool:
    """Tell, over all processes, whether this is the first call with this marker."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def values(outcomes: Iterable[Any]) -> dict[Any, Any]:
    """Return each job's value; fail if one has none."""
    results = {}
    for outcome in outcomes:
        assert isinstance(outcome, Done), outcome
        assert outcome.job not in results
        results[outcome.job] = outcome.value
    return results


def ended(processes: list[psutil.Process], seconds: float) -> bool:
    """Wait for processes that may not be our children; a zombie that nobody collects has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(is_alive(process) for process in processes):
            return True
        time.sleep(0.01)
    return False


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# P1: workers killed at random


@pytest.mark.parametrize("seed", range(3))
def test_p1_forty_jobs_and_five_random_kills_lose_nothing(seed: int) -> None:
    dice = random.Random(seed)
    moments = set(dice.sample(range(35), 5))
    results = {}
    with Pool(draw, workers=4) as pool:
        for count, outcome in enumerate(pool.run(range(40))):
            assert isinstance(outcome, Done), outcome
            results[outcome.job] = outcome.value
            if count in moments:
                dice.choice(psutil.Process().children()).kill()
    assert results == {job: picture(job) for job in range(40)}


KILLER = """
    import random, sys, time, psutil
    parent, seed = psutil.Process(int(sys.argv[1])), int(sys.argv[2])
    dice = random.Random(seed)
    print(flush=True)
    while True:
        time.sleep(0.5)
        workers = [child for child in parent.children() if child.pid != psutil.Process().pid]
        if workers:
            victim = dice.choice(workers)
            victim.kill()
            print(victim.pid, flush=True)
"""


def run_500(function: Callable[[int], bytes]) -> tuple[dict[int, bytes], float]:
    begin = time.monotonic()
    with Pool(function, workers=4) as pool:
        return values(pool.run(range(500))), time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_p1_500_jobs_and_a_kill_every_half_second_lose_nothing_and_little_time() -> None:
    def function(job: int) -> bytes:
        return picture(job, rounds=8000)

    expected, undisturbed = run_500(function)
    for seed in range(5):
        command = [sys.executable, "-c", textwrap.dedent(KILLER), str(os.getpid()), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killer:
            assert killer.stdout
            killer.stdout.readline()
            results, seconds = run_500(function)
            killer.kill()
            kills = len(killer.stdout.readlines())
        assert kills >= 5
        assert results == expected
        assert seconds <= 1.5 * undisturbed + 0.2 * kills


# P2: idle workers killed between two batches


def test_p2_idle_workers_killed_between_two_runs_are_replaced() -> None:
    with Pool(draw, workers=3) as pool:
        values(pool.run(range(10)))
        for worker in psutil.Process().children():
            worker.kill()
            worker.wait()
        outcomes = list(pool.run(range(10)))
    assert {outcome.job: outcome.value for outcome in outcomes} == {job: picture(job) for job in range(10)}
    assert {outcome.attempts for outcome in outcomes} == {1}


def test_p2_idle_workers_killed_during_a_run_are_replaced() -> None:
    with Pool(draw, workers=2) as pool:
        values(pool.run(range(10)))
        run = pool.run(range(10))
        results = [next(run)]
        for worker in psutil.Process().children():
            worker.kill()
        results += run
    assert sorted(outcome.job for outcome in results) == list(range(10))


# P3: workers that die in the middle of a message

BIG = 2_000_000


def die_while_sending(marker: Path, *, leave_a_copy: int | None = None) -> Callable[[], None]:
    """Return a `prepare`: the first result of all is sent by half, then its worker dies.

    With `leave_a_copy`, a pipe's end: a child of the worker's lives on, until it can read from that pipe, and
    keeps the worker's socket open.
    """
    send = workers.send

    def send_half(channel: socket.socket, answer: workers.Answer) -> None:
        if not isinstance(answer, workers.Returned) or not first_time(marker):
            return send(channel, answer)
        message = b"".join(messages.pack(workers.parts_of(answer)))
        channel.sendall(message[: len(message) // 2])
        if leave_a_copy is not None and os.fork() == 0:
            os.read(leave_a_copy, 1)
            os._exit(0)
        kill_myself()

    return lambda: setattr(workers, "send", send_half)


def die_while_reading(marker: Path) -> Callable[[], None]:
    """Return a `prepare`: the first worker to read a job dies when it has read half of it."""
    receive = workers.receive

    def read_half(channel: socket.socket) -> Any:
        if first_time(marker):
            channel.recv(BIG // 2, socket.MSG_WAITALL)
            kill_myself()
        return receive(channel)

    return lambda: setattr(workers, "receive", read_half)


def no_pidfd(_: int) -> int:
    raise OSError("no such system call")


def test_p3_a_worker_that_dies_in_the_middle_of_its_result_holds_nobody_up(tmp_path: Path) -> None:
    begin = time.monotonic()
    with Pool(lambda n: bytes([n]) * BIG, workers=2, prepare=die_while_sending(tmp_path / "died")) as pool:
        outcomes = list(pool.run(range(4)))
    assert time.monotonic() - begin < 2
    assert {outcome.job: outcome.value for outcome in outcomes} == {n: bytes([n]) * BIG for n in range(4)}
    assert sorted(outcome.attempts for outcome in outcomes) == [1, 1, 1, 2]


def test_p3_a_worker_that_dies_in_the_middle_of_its_job_holds_nobody_up(tmp_path: Path) -> None:
    jobs = [bytes([n]) * (BIG + 1) for n in range(4)]
    begin = time.monotonic()
    with Pool(lambda job: job[-1], workers=2, prepare=die_while_reading(tmp_path / "died")) as pool:
        outcomes = list(pool.run(jobs))
    assert time.monotonic() - begin < 2
    assert sorted(outcome.value for outcome in outcomes) == [0, 1, 2, 3]
    assert sorted(outcome.attempts for outcome in outcomes) == [1, 1, 1, 2]


@pytest.mark.parametrize("pidfd_open", [os.pidfd_open, no_pidfd])
def test_p3_a_dead_worker_is_noticed_though_a_child_of_its_own_keeps_its_socket(
    pidfd_open: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    ear, mouth = os.pipe()
    prepare = die_while_sending(tmp_path / "died", leave_a_copy=ear)
    begin = time.monotonic()
    try:
        with Pool(lambda n: bytes([n]) * BIG, workers=1, prepare=prepare) as pool:
            results = values(pool.run(range(4)))
    finally:
        os.write(mouth, b"!")  # lets that child go
        os.close(ear)
        os.close(mouth)
    assert time.monotonic() - begin < 2
    assert results == {n: bytes([n]) * BIG for n in range(4)}


def test_p3_a_worker_that_does_not_read_its_job_holds_nobody_up(tmp_path: Path) -> None:
    def receive(channel: socket.socket) -> Any:
        if first_time(tmp_path / "deaf"):
            pause_for_ever()
        return original(channel)

    original = workers.receive
    jobs = [bytes([n]) * (5 * BIG) for n in range(4)]
    prepare: Callable[[], None] = lambda: setattr(workers, "receive", receive)  # noqa: E731
    with Pool(lambda job: job[-1], workers=2, timeout=DEADLINE, prepare=prepare) as pool:
        outcomes = list(pool.run(jobs))
    assert [outcome.cause for outcome in outcomes if isinstance(outcome, Failed)] == ["timeout"]
    assert len([outcome for outcome in outcomes if isinstance(outcome, Done)]) == 3


def test_p3_a_worker_that_stops_in_the_middle_of_its_result_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def send_half(channel: socket.socket, answer: workers.Answer) -> None:
        if isinstance(answer, workers.Returned):
            channel.sendall(b"".join(messages.pack([b"x" * BIG]))[:BIG])
            pause_for_ever()
        send(channel, answer)

    send = workers.send
    monkeypatch.setattr("forkmaps.pool.handles.TRANSFER_LIMIT", DEADLINE)
    with Pool(draw, workers=1, prepare=lambda: setattr(workers, "send", send_half)) as pool:
        (outcome,) = pool.run([1])
    assert (outcome.cause, outcome.message) == ("timeout", "it stopped in the middle of sending its result")


# P4: every kind of end


def exhaust_memory() -> None:
    bytearray(1 << 60)


def crash() -> None:
    ctypes.string_at(0)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)  # ignored by workers
    raise KeyboardInterrupt


def recurse() -> None:
    recurse()


def lose_the_socket() -> None:
    os.closerange(3, 1000)


def lose_the_socket_and_stay() -> None:
    os.closerange(3, 1000)
    pause_for_ever()


def write_rubbish(rubbish: Sequence[bytes | memoryview] = tuple(messages.pack([b"????"]))) -> None:
    """Write to our socket what the parent takes for a message of four bytes, but not for an answer."""
    for name in os.listdir("/proc/self/fd"):
        try:
            os.writev(int(name), rubbish) if is_socket(int(name)) else None
        except OSError:
            continue
    pause_for_ever()


def is_socket(number: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False


ENDS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "raise": (lambda: [][0], "error", r"IndexError: list index out of range"),
    "interrupt": (interrupt, "error", r"^KeyboardInterrupt$"),
    "sys.exit": (lambda: sys.exit(3), "error", r"SystemExit: 3"),
    "os._exit(0)": (lambda: os._exit(0), "died", r"ended with exit code 0"),
    "os._exit(1)": (lambda: os._exit(1), "died", r"ended with exit code 1"),
    "SIGSEGV": (crash, "died", r"killed by SIGSEGV"),
    "SIGABRT": (os.abort, "died", r"killed by SIGABRT"),
    "SIGKILL": (kill_myself, "died", r"killed by SIGKILL"),
    "real-time signal": (lambda: os.kill(os.getpid(), 40), "died", r"killed by signal 40"),
    "generator": (lambda: (n for n in "x"), "error", r"the result \(generator\) can't be pickled: TypeError"),
    "lock": (threading.Lock, "error", r"the result \(lock\) can't be pickled: TypeError"),
    "MemoryError": (exhaust_memory, "error", r"out of memory: MemoryError"),
    "MemoryError unsaid": (
        lambda: os._exit(workers.EXIT_OUT_OF_MEMORY),
        "error",
        r"out of memory: the worker had not even",
    ),
    "recursion": (recurse, "error", r"RecursionError: maximum recursion depth"),
    "socket closed": (lose_the_socket, "died", r"ended with exit code 1"),
    "socket closed, alive": (lose_the_socket_and_stay, "died", r"it closed its connection without ending"),
    "rubbish": (write_rubbish, "died", r"it sent something that is not an answer"),
    "more rubbish": (partial(write_rubbish, [b"?" * 99]), "died", r"it sent something that is not an answer"),
}


@pytest.mark.parametrize("name", ENDS)
def test_p4_every_kind_of_end_is_reported_under_its_own_name(name: str) -> None:
    end, cause, message = ENDS[name]

    def function(job: int) -> Any:
        return end() if job == 3 else picture(job)

    with Pool(function, workers=2) as pool:
        outcomes = {outcome.job: outcome for outcome in pool.run(range(8))}
    failed = outcomes.pop(3)
    assert isinstance(failed, Failed)
    assert failed.cause == cause
    assert re.search(message, failed.message)
    assert failed.attempts == (3 if cause == "died" else 1)
    assert {job: outcome.value for job, outcome in outcomes.items()} == {
        n: picture(n) for n in range(8) if n != 3
    }


@pytest.mark.parametrize(("end", "name"), [(crash, "SIGSEGV"), (os.abort, "SIGABRT")])
def test_p4_a_crash_leaves_the_stack_it_happened_in(end: Callable[[], None], name: str) -> None:
    with Pool(lambda _: end(), workers=1, attempts=1) as pool:
        (outcome,) = pool.run([1])
    assert outcome.signal == name
    assert "Fatal Python error" in outcome.traceback
    assert "test_processes.py" in outcome.traceback


def test_p4_a_worker_out_of_memory_is_replaced() -> None:
    with Pool(lambda job: os.getpid() if job else exhaust_memory(), workers=1) as pool:
        before, failed, after = pool.run([1, 0, 1])
    assert before.value == failed.pid != after.value


# P5: a job that always kills its worker


@pytest.mark.parametrize("size", [1, 3])
def test_p5_a_job_that_always_kills_its_worker_is_tried_three_times(size: int, tmp_path: Path) -> None:
    tries = tmp_path / "tries"

    def function(job: int) -> bytes:
        if job == 3:
            with tries.open("a") as file:
                file.write("x")
            kill_myself()
        return picture(job)

    with Pool(function, workers=size) as pool:
        outcomes = {outcome.job: outcome for outcome in pool.run(range(10))}
    failed = outcomes.pop(3)
    assert tries.read_text() == "xxx"
    assert (failed.cause, failed.attempts, failed.signal) == ("died", 3, "SIGKILL")
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())
    assert len(outcomes) == 9


# P6: jobs that never end


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pause_for_ever()


def block_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pause_for_ever()


def never_let_python_run() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


@pytest.mark.parametrize("endless", [pause_for_ever, ignore_sigterm, block_sigterm, never_let_python_run])
def test_p6_a_job_that_never_ends_is_stopped_soon_after_its_deadline(
    endless: Callable[[], None], tmp_path: Path
) -> None:
    tries = tmp_path / "tries"

    def function(job: int) -> bytes:
        if job == 1:
            with tries.open("a") as file:
                file.write(f"{os.getpid()} ")
            endless()
        return picture(job)

    with Pool(function, workers=2, timeout=DEADLINE) as pool:
        outcomes = {outcome.job: outcome for outcome in pool.run(range(6))}
    late = outcomes.pop(1)
    assert (late.cause, late.attempts) == ("timeout", 1)
    assert DEADLINE <= late.seconds <= DEADLINE + 1
    assert tries.read_text() == f"{late.pid} "
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


# P7, P8: the parent's end

PARENT = """
    import os, signal, sys, threading
    from forkmaps.pool import Pool

    def say(word):
        os.write(1, f"{word} {os.getpid()}\\n".encode())

    def job(name):
        say(name)
        if name == "computes":
            while True:
                pass
        if name == "waits":
            os.read(silence, 1)

    def main():
        with Pool(job, workers=3, prepare=lambda: say("ready"), start_method="fork") as pool:
            for outcome in pool.run(["idles", "waits", "computes"]):
                pass

    silence, _ = os.pipe()
"""


def start_parent(ending: str) -> tuple[subprocess.Popen[str], dict[str, psutil.Process]]:
    """Run `PARENT` with an ending until its jobs are at work; return it, and its workers by what they do."""
    script = textwrap.dedent(PARENT) + textwrap.dedent(ending)
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout
    said = [parent.stdout.readline().split() for _ in range(6)]  # three are ready, three begin a job
    doing = {pid: word for word, pid in sorted(said, key=lambda line: line[0] != "ready")}
    idle = (f"idle {pid}" if word in ("ready", "idles") else word for pid, word in doing.items())
    return parent, dict(zip(idle, (psutil.Process(int(pid)) for pid in doing), strict=True))


def finish(parent: subprocess.Popen[str]) -> str:
    """Collect a parent's exit status, and return what it wrote to its standard error."""
    parent.wait(timeout=10)
    assert parent.stdout
    assert parent.stderr
    with parent.stdout, parent.stderr:
        return parent.stderr.read()


def test_p7_no_worker_outlives_a_parent_that_is_killed() -> None:
    parent, crew = start_parent("main()")
    parent.kill()
    assert ended(list(crew.values()), seconds=2)
    finish(parent)


def test_p7_an_idle_worker_ends_though_a_busy_sibling_lives_on() -> None:
    """Without the kernel's help, which a worker forked in a thread can't use, end of file must do."""
    parent, crew = start_parent("thread = threading.Thread(target=main); thread.start(); thread.join()")
    idle = [process for name, process in crew.items() if name.startswith("idle")]
    parent.kill()
    try:
        assert ended(idle, seconds=2)
    finally:
        crew["waits"].kill()
        crew["computes"].kill()
    finish(parent)


def test_p8_an_interrupt_from_the_keyboard_ends_all_workers() -> None:
    parent, crew = start_parent("main()")
    os.killpg(parent.pid, signal.SIGINT)
    assert ended(list(crew.values()), seconds=3)
    errors = finish(parent)
    assert parent.returncode == -signal.SIGINT
    assert errors.count("Traceback") == errors.count("KeyboardInterrupt\n") == 1


def test_p8_a_handler_of_sigterm_that_exits_ends_all_workers() -> None:
    parent, crew = start_parent("signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); main()")
    parent.terminate()
    assert ended(list(crew.values()), seconds=3)
    assert finish(parent) == ""
    assert parent.returncode == 143


# P9: no worker can start


def refuse_to_start() -> None:
    raise FileNotFoundError("no fonts here")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (refuse_to_start, "FileNotFoundError: no fonts here"),
        (lambda: sys.exit("no"), "SystemExit: no"),
        (lambda: os._exit(7), "ended with exit code 7"),
        (kill_myself, "killed by SIGKILL"),
        (crash, "killed by SIGSEGV"),
        (exhaust_memory, "out of memory"),
    ],
)
@pytest.mark.parametrize("size", [1, 4])
def test_p9_workers_that_all_fail_to_start_stop_the_run_with_the_reason(
    size: int, prepare: Callable[[], None], reason: str, tmp_path: Path
) -> None:
    def count_and_prepare() -> None:
        (tmp_path / str(os.getpid())).touch()
        prepare()

    begin = time.monotonic()
    with (
        Pool(draw, workers=size, prepare=count_and_prepare) as pool,
        pytest.raises(PoolError, match=f"no worker can be started: .*{reason}"),
    ):
        list(pool.run(range(100)))
    assert time.monotonic() - begin < 5
    assert len(list(tmp_path.iterdir())) <= size + 2


def test_p9_one_worker_that_started_does_all_the_work(tmp_path: Path) -> None:
    def prepare() -> None:
        if not first_time(tmp_path / "started"):
            refuse_to_start()

    with Pool(draw, workers=3, prepare=prepare) as pool:
        assert len(values(pool.run(range(30)))) == 30


def test_p9_a_pool_tries_again_in_its_next_run(tmp_path: Path) -> None:
    def prepare() -> None:
        if not (tmp_path / "repaired").exists():
            refuse_to_start()

    with Pool(draw, workers=2, prepare=prepare) as pool:
        with pytest.raises(PoolError, match="no fonts here"):
            list(pool.run(range(3)))
        (tmp_path / "repaired").touch()
        assert len(values(pool.run(range(3)))) == 3
