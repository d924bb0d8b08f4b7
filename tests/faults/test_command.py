"""Faults during a run of the command (P1, P5, P7, P8, M4, M7, M8): what stands in the folder, what is told.

Faults are planted in the drawing of a map, by its region, in a program that is the command in all else.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import rasterio

from small import SET, make_set

pytestmark = [
    pytest.mark.timeout(100),
    pytest.mark.skipif(sys.platform != "linux", reason="workers are forked, and watched in /proc"),
]

SECONDS = 30
"""For anything that is waited for here; each takes some 2 s at most."""

MANIFEST = ".forkmaps-manifest.jsonl"

PROGRAM = """
    import os, signal, sys, time, warnings
    from pathlib import Path
    from forkmaps import cli

    def plant(options):
        # Only now: what is imported before would open files that the command itself opens later.
        from forkmaps.run import mapdrawer

        real = mapdrawer.picture_bytes

        def picture_bytes(renderer, job, suffix):
            return fault(job.region.name, lambda: real(renderer, job, suffix))

        mapdrawer.picture_bytes = picture_bytes
        return real_render(options)

    real_render, cli._render = cli._render, plant
"""

KILLS_ITSELF = """
    def fault(region, draw):
        if region == "r3":
            with open(os.environ["TRIES"], "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return draw()
"""

HANGS_FROM_5_ON = """
    def fault(region, draw):
        if int(region[1:]) >= 5:
            while True:
                signal.pause()
        return draw()
"""

TOO_LARGE_FROM_5_ON = """
    def fault(region, draw):
        return draw() + bytes(300_000 if int(region[1:]) >= 5 else 0)
"""


def table(number: int, title: str = "t") -> str:
    """Return a region list of regions r0, r1 ... that differ."""
    rows = [f"r{i},-104,-96,{32 + i % 10},{36 + i % 10},{title}{i}" for i in range(number)]
    return "\n".join(["name,west,east,south,north,title", *rows]) + "\n"


def program(fault: str) -> list[str]:
    """Return the command, with a fault planted."""
    text = "".join(map(textwrap.dedent, (PROGRAM, fault, "sys.exit(cli.main(sys.argv[1:]))")))
    return [sys.executable, "-c", text, "render"]


def run(command: list[str], *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        **options,
    )


Command = Callable[..., tuple[int, str, str]]
Report = Callable[..., Any]
"""What the fixtures `command` and `report` are."""


@pytest.fixture
def report(command: Command) -> Report:
    """A function that runs the command, without a fault, in this process; returns its report."""

    def report(*arguments: object) -> Any:
        code, shown, told = command("render", *arguments, "--json", "--workers", 1)
        assert code == 0, told
        return json.loads(shown)

    return report


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def recorded(folder: Path) -> list[str]:
    """Return the names in a manifest of which every line is whole."""
    text = (folder / MANIFEST).read_text()
    assert text.endswith("\n")
    return [json.loads(line)["path"] for line in text.splitlines()[1:]]


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that has to come, from a process that has to live for it."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@contextmanager
def running(command: list[str], *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own, which is gone in the end."""
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if not gone(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def gone(group: int) -> bool:
    """Whether no process of a group lives; one that only waits for its parent's look does not."""
    return not any(
        process.info["status"] != psutil.STATUS_ZOMBIE
        for process in psutil.process_iter(["pid", "status"])
        if is_of(process.pid, group)
    )


def is_of(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def hanging(path: Path) -> Any:
    """Run a set of ten maps, of which the last five hang, until five are done."""
    return running(program(HANGS_FROM_5_ON), path, "--workers", 2, "--no-cache")


def five_are_done(folder: Path) -> Callable[[], bool]:
    return lambda: (folder / MANIFEST).exists() and (folder / MANIFEST).read_bytes().count(b"\n") == 6


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """A map set of ten maps, which go to the folder `out` beside it."""
    return make_set(tmp_path, regions=table(10))


@pytest.fixture
def undisturbed(tmp_path: Path, report: Report) -> dict[str, bytes]:
    """The pictures of `ten` from a run without a fault."""
    path = make_set(tmp_path / "undisturbed", regions=table(10))
    assert report(path)["maps"] == 10
    return pictures(path.parent)


# P5: a region that always kills its worker


def test_p5_a_region_that_always_kills_its_worker_is_reported_and_the_command_ends_with_1(
    ten: Path, undisturbed: dict[str, bytes], report: Report, command: Command
) -> None:
    tries = ten.parent / "tries"
    log = ten.parent / "log"
    ended = run(
        program(KILLS_ITSELF), ten, "--workers", 2, "--log-file", log, env={**os.environ, "TRIES": str(tries)}
    )
    assert ended.returncode == 1, ended.stderr
    assert tries.read_text() == "xxx"
    assert 'region "r3", band 1: killed by SIGKILL' in ended.stderr
    assert "3 attempts" in ended.stdout
    (failure,) = json.loads((ten.parent / "out" / "report.json").read_text())["failures"]
    assert (failure["region"], failure["cause"], failure["signal"]) == ("r3", "died", "SIGKILL")
    assert failure["attempts"] == 3
    del (expected := dict(undisturbed))["r3.png"]
    assert pictures(ten.parent / "out") == expected
    assert "region r3: failed: " in log.read_text()
    code, shown, _ = command("render", ten, "--summary")
    assert code == 1
    assert 'region "r3", band 1: killed by SIGKILL' in shown
    code, shown, _ = command("render", ten, "--summary", "--json")
    assert (code, json.loads(shown)["failures"]) == (1, [failure])
    assert report(ten, "--only-failed")["maps"] == 1
    assert pictures(ten.parent / "out") == undisturbed
    assert command("render", ten, "--summary")[0] == 0


# P7: the command is killed


def test_p7_after_a_kill_of_the_command_the_next_run_draws_only_what_is_unfinished(
    ten: Path, undisturbed: dict[str, bytes], report: Report, command: Command
) -> None:
    folder = ten.parent / "out"
    with hanging(ten) as process:
        until(five_are_done(folder), process)
        process.kill()
        end = time.monotonic() + 2
        while not gone(process.pid):
            assert time.monotonic() < end, "workers live on"
            time.sleep(0.01)
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert sorted(before) == [f"r{i}.png" for i in range(5)]
    code, shown, _ = command("render", ten, "--summary")
    assert code == 1
    assert "stopped: killed, before it could tell why; 10 maps were to draw" in shown
    again = report(ten)
    assert (again["maps"], again["skipped"]) == (5, 5)
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before
    assert pictures(folder) == undisturbed


# P8: signals


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_p8_a_signal_ends_the_command_and_its_workers_and_the_next_run_goes_on(
    ten: Path,
    undisturbed: dict[str, bytes],
    report: Report,
    command: Command,
    number: signal.Signals,
    code: int,
) -> None:
    folder = ten.parent / "out"
    with hanging(ten) as process:
        until(five_are_done(folder), process)
        begin = time.monotonic()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, told = process.communicate(timeout=SECONDS)
        assert time.monotonic() - begin < 3
        assert gone(process.pid)
    assert process.returncode == code
    assert told.splitlines()[-1] == f"forkmaps: stopped by {number.name}"
    assert "Traceback" not in told
    assert sorted(recorded(folder)) == [f"r{i}.png" for i in range(5)]
    assert not list(folder.glob(".*.tmp"))
    assert f"stopped by {number.name}; 5 maps are left" in command("render", ten, "--summary")[1]
    assert report(ten)["maps"] == 5
    assert pictures(folder) == undisturbed


def test_p8_a_command_that_was_started_with_ctrl_c_ignored_goes_on(ten: Path) -> None:
    folder, go_on = ten.parent / "out", ten.parent / "go on"
    waits_from_5_on = f"""
    def fault(region, draw):
        while int(region[1:]) >= 5 and not os.path.exists({str(go_on)!r}):
            time.sleep(0.01)
        return draw()
    """
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    with running([*in_background, *program(waits_from_5_on)], ten, "--workers", 2, "--no-cache") as process:
        until(five_are_done(folder), process)
        os.killpg(process.pid, signal.SIGINT)
        go_on.touch()
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told
    assert sorted(recorded(folder)) == [f"r{i}.png" for i in range(10)]


def test_p8_a_second_ctrl_c_ends_the_command_at_once(ten: Path) -> None:
    folder, cleaning = ten.parent / "out", ten.parent / "cleaning"
    cleans_for_ever = f"""
    from forkmaps.run import batch

    real_sweep = batch.sweep_stale

    def sweep_stale(folder):
        if real_sweep(folder) is not None and os.path.exists({str(folder / "r4.png")!r}):
            Path({str(cleaning)!r}).touch()
            while True:
                signal.pause()

    batch.sweep_stale = sweep_stale
    """
    with running(program(cleans_for_ever + HANGS_FROM_5_ON), ten, "--workers", 2, "--no-cache") as process:
        until(five_are_done(folder), process)
        os.killpg(process.pid, signal.SIGINT)
        until(cleaning.exists, process)
        assert process.poll() is None
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=SECONDS)
        assert time.monotonic() - begin < 1
        until(lambda: gone(process.pid))
    assert process.returncode == -signal.SIGINT  # which a shell shows as 130
    assert sorted(recorded(folder)) == [f"r{i}.png" for i in range(5)]


# M4: a full disk


def test_m4_a_full_disk_stops_the_command_with_one_message_and_the_next_run_goes_on(
    ten: Path, undisturbed: dict[str, bytes], report: Report, command: Command
) -> None:
    folder = ten.parent / "out"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    stopped = run(
        program(TOO_LARGE_FROM_5_ON), ten, "--workers", 1, "--no-cache", "--force", preexec_fn=limit
    )
    assert stopped.returncode == 1, stopped.stderr
    told = [line for line in stopped.stderr.splitlines() if "per second" not in line]
    (message,) = told
    assert message.startswith(f"forkmaps: {folder}/r5.png: can't be written: File too large; raise the limit")
    assert sorted(pictures(folder)) == [f"r{i}.png" for i in range(5)]
    assert not list(folder.glob(".*.tmp"))
    assert "stopped: " in command("render", ten, "--summary")[1]
    assert report(ten)["maps"] == 5
    assert pictures(folder) == undisturbed


ON_A_SMALL_DISK = """
    set -e
    mkdir -p "$OUT"
    mount -t tmpfs -o size=160k none "$OUT"
    set +e
    "$PYTHON" -m forkmaps.cli render "$SET" --workers 2 > "$TOLD" 2>&1
    echo "$?" "$(find "$OUT" -name '*.png' | wc -l)" "$(find "$OUT" -name '*.tmp' | wc -l)"
    grep '"state"' "$OUT/report.json"
    mount -o remount,size=16m "$OUT"
    "$PYTHON" -m forkmaps.cli render "$SET" --workers 2 > "$TOLD.2" 2>&1
    echo "$?" "$(find "$OUT" -name '*.png' | wc -l)" "$(find "$OUT" -name '*.tmp' | wc -l)"
    mkdir "$KEPT" && cp "$OUT"/*.png "$KEPT"
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_m4_on_a_disk_that_gets_full_the_command_stops_and_goes_on_when_there_is_space(
    tmp_path: Path, report: Report, suffix: str
) -> None:
    if shutil.which("unshare") is None or run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("needs a name space for mounts of its own")
    path = make_set(tmp_path, SET.replace(".png", f".{suffix}"), table(40))
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        **{"SET": str(path), "OUT": str(tmp_path / "out"), "TOLD": str(tmp_path / "told")},
        "KEPT": str(tmp_path / "kept"),
    }
    script = textwrap.dedent(ON_A_SMALL_DISK).replace(".png", f".{suffix}")
    ended = run(["unshare", "-rm", "sh", "-c", script], env=environment)
    first, state, second = ended.stdout.splitlines()
    code, maps, temporaries = map(int, first.split())
    assert (code, temporaries) == (1, 0)
    assert 0 < maps < 40
    assert "stopped: " in state
    assert "No space left on device" in state
    told = (tmp_path / "told").read_text()
    assert told.count("No space left on device; free space there and run again") == 1
    assert second.split() == ["0", "40", "0"]
    reference = make_set(tmp_path / "undisturbed", SET.replace(".png", f".{suffix}"), table(40))
    assert report(reference)["maps"] == 40
    kept = {one.name: one.read_bytes() for one in (tmp_path / "kept").iterdir()}
    assert kept == {one.name: one.read_bytes() for one in (reference.parent / "out").glob(f"*.{suffix}")}


# M7: the manifest, and two runs in one folder


def test_m7_a_torn_manifest_costs_one_map_and_a_missing_one_all(ten: Path, report: Report) -> None:
    report(ten)
    manifest = ten.parent / "out" / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    torn = report(ten)
    assert (torn["maps"], torn["skipped"]) == (1, 9)
    manifest.unlink()
    assert report(ten)["maps"] == 10


def test_m7_a_manifest_of_a_newer_version_is_refused_until_forced(
    ten: Path, report: Report, command: Command
) -> None:
    report(ten)
    manifest = ten.parent / "out" / MANIFEST
    manifest.write_bytes(newer := manifest.read_bytes().replace(b'manifest": 1}', b'manifest": 999}'))
    code, _, told = command("render", ten)
    assert code == 2
    assert "a newer forkmaps wrote it in format 999" in told
    assert manifest.read_bytes() == newer
    assert report(ten, "--force")["maps"] == 10


def test_m7_a_second_run_in_a_folder_is_refused_while_the_first_lasts_or_waits(
    ten: Path, command: Command
) -> None:
    go = ten.parent / "go"
    waits = f"""
    def fault(region, draw):
        while int(region[1:]) >= 5 and not os.path.exists({str(go)!r}):
            time.sleep(0.01)
        return draw()
    """
    with running(program(waits), ten, "--workers", 2) as first:
        until(five_are_done(ten.parent / "out"), first)
        code, _, told = command("render", ten)
        assert code == 2
        assert f"another run (pid {first.pid}) is writing here" in told
        code, shown, _ = command("render", ten, "--summary")
        assert (code, "running; 10 maps were to draw" in shown) == (1, True)
        with running([sys.executable, "-m", "forkmaps.cli", "render"], ten, "--wait", "--json") as third:
            until(
                lambda: "flock" in Path(f"/proc/{third.pid}/wchan").read_text() or waits_for_lock(third.pid)
            )
            go.touch()
            first.communicate(timeout=SECONDS)
            shown, _ = third.communicate(timeout=SECONDS)
    assert (first.returncode, third.returncode) == (0, 0)
    assert (json.loads(shown)["maps"], json.loads(shown)["skipped"]) == (0, 10)


def waits_for_lock(pid: int) -> bool:
    """Whether a process waits for a file's lock, as the kernel lists it."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in lines)


# M8: reruns


def test_m8_of_a_finished_set_only_what_has_changed_is_drawn_again(ten: Path, report: Report) -> None:
    def drawn() -> set[str]:
        return {Path(path).stem for path in report(ten)["outputs"]}

    regions = ten.parent / "regions.csv"
    everything = {f"r{i}" for i in range(10)}
    assert drawn() == everything
    assert drawn() == set()
    assert report(ten, "--force")["maps"] == 10
    regions.write_text(regions.read_text().replace("t7", "seven"))
    assert drawn() == {"r7"}
    ten.write_text(ten.read_text().replace("dpi = 60", "dpi = 61"))
    assert drawn() == everything
    with rasterio.open(ten.parent / "raster.tif", "r+") as file:
        values = file.read(1)
        values[6] += 0.25  # from 43 to 44 degrees north
        file.write(values, 1)
    seen = drawn()
    assert {"r8", "r9"} <= seen
    assert not seen & {"r0", "r1", "r2", "r3", "r4"}
    assert drawn() == set()


@pytest.mark.slow
def test_m8_a_finished_set_of_500_maps_is_rerun_within_two_seconds(tmp_path: Path, report: Report) -> None:
    path = make_set(tmp_path, regions=table(500))
    assert report(path)["maps"] == 500
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        ended = run([sys.executable, "-m", "forkmaps.cli", "render"], path, "--json")
        seconds.append(time.monotonic() - begin)
        again = json.loads(ended.stdout)
        assert (again["maps"], again["skipped"]) == (0, 500)
    assert min(seconds) <= 2


# What is told of a run, and where


SPEAKS_LOW = """
    def fault(region, draw):
        for number in (0, 1, 2):
            try:
                os.write(number, b"GARBAGE")
            except OSError:
                pass
        return draw()
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_leave_no_descriptor_to_a_data_file(
    ten: Path, undisturbed: dict[str, bytes], closed: str
) -> None:
    log = ten.parent / "log"
    ended = run(
        ["sh", "-c", f'"$@" {closed}', "sh", *program(SPEAKS_LOW)],
        *(ten, "--workers", 1, "--no-cache", "--log-file", log),
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert pictures(ten.parent / "out") == undisturbed
    written = [path for path in ten.parent.rglob("*") if path.is_file()]
    assert log in written
    assert not [path for path in written if b"GARBAGE" in path.read_bytes()]


CRASHES_AND_WARNS = """
    import ctypes, logging

    warnings.simplefilter("default")

    def fault(region, draw):
        warnings.warn("cells are odd")
        logging.getLogger("matplotlib.font_manager").warning("no font")
        if region == "r3":
            ctypes.string_at(0)
        if region == "r4":
            raise ValueError("no cells")
        return draw()
"""


def test_warnings_are_counted_and_a_crash_leaves_its_stack_in_report_and_log(ten: Path) -> None:
    log = ten.parent / "log"
    ended = run(program(CRASHES_AND_WARNS), ten, "--workers", 2, "--json", "--log-file", log)
    assert ended.returncode == 1, ended.stderr
    told = json.loads(ended.stdout)
    assert told == json.loads((ten.parent / "out" / "report.json").read_text())
    counted = {one["text"].partition(" (")[0]: one["maps"] for one in told["warnings"]}
    assert counted == {"UserWarning: cells are odd": 9, "matplotlib.font_manager: no font": 9}
    assert ended.stderr.count("cells are odd") == 1
    crash, error = sorted(told["failures"], key=lambda failure: str(failure["region"]))
    assert (crash["signal"], crash["attempts"]) == ("SIGSEGV", 3)
    assert "in fault" in crash["traceback"]
    assert "ValueError: no cells" in error["traceback"]
    records = log.read_text()
    assert records.count("Fatal Python error: Segmentation fault") == 3
    assert records.count("ValueError: no cells") >= 1
    pids = {worker["pid"] for worker in told["workers"]}
    warned = re.findall(r"WARNING pid (\d+) region (r\d): UserWarning: cells are odd", records)
    assert sorted(region for _, region in warned) == sorted(["r3", "r3", *(f"r{i}" for i in range(10))])
    assert {int(pid) for pid, _ in warned} <= pids
    assert all(re.match(r"\d{4}-\d\d-\d\dT|    ", line) for line in records.splitlines())
