"""What is said of a machine, and the trial maps."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from forkmaps import cache, doctor, memory
from forkmaps.doctor import EXAMINATIONS, Finding, examine, run, safely, trial

pytestmark = pytest.mark.timeout(100)

FINE = Finding("fine", "here", "all is well")
NOTE = Finding("note", "there", "it is slow", "make haste")
WRONG = Finding("wrong", "fork", "it broke\nin two", "take a knife")


def only(look: Callable[[], Iterable[Finding]], verdict: str | None = None) -> Finding:
    """Return the one finding, of those with a verdict."""
    (found,) = (finding for finding in look() if verdict in (None, finding.verdict))
    return found


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the doctor find what a test says."""

    def say(*findings: Finding) -> None:
        monkeypatch.setattr(doctor, "EXAMINATIONS", {"any": lambda: findings})

    return say


# All of it


def test_nothing_is_wrong_with_this_machine() -> None:
    findings = examine()
    assert [str(finding) for finding in findings if finding.verdict == "wrong"] == []
    topics = {finding.topic for finding in findings}
    assert topics >= {
        "Python",
        "versions",
        "GDAL",
        "faults",
        "forking",
        "trial",
        "threads",
        "fonts",
        "PNG",
        "CPUs",
    }
    assert topics >= {"memory", "cache", "system"}
    assert all(finding.remedy for finding in findings if finding.verdict != "fine")


@pytest.mark.parametrize(
    ("findings", "code", "end"),
    [
        ((FINE,), 0, "maps can be drawn here"),
        ((NOTE,), 0, "maps can be drawn here"),
        ((WRONG, FINE), 1, "wrong: fork"),
    ],
)
def test_the_exit_code_tells_whether_something_is_wrong(
    found: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    findings: tuple[Finding, ...],
    code: int,
    end: str,
) -> None:
    found(*findings)
    assert run() == code
    assert capsys.readouterr().out.splitlines()[-1] == end


def test_a_finding_is_told_with_what_to_do() -> None:
    assert str(FINE) == "fine  here      all is well"
    margin = " " * 16
    assert str(WRONG) == f"WRONG fork      it broke\n{margin}in two\n{margin}-> take a knife"


def test_what_can_not_be_examined_is_wrong() -> None:
    def look() -> Iterable[Finding]:
        yield FINE
        raise OSError("no such thing")

    (finding,) = safely("here", look)
    assert (finding.verdict, finding.topic) == ("wrong", "here")
    assert finding.text == "can't be examined: OSError: no such thing"
    assert finding.remedy


# One by one


def test_an_unsafe_process_is_noted_as_its_workers_are_started_in_another_way() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="loader")
    thread.start()
    try:
        finding = only(doctor.forking)
    finally:
        end.set()
        thread.join()
    assert finding.verdict == "note"
    assert '"loader" is running' in finding.text
    assert "another way" in finding.remedy


def test_a_missing_font_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.font_manager

    def findfont(*_: object, **__: object) -> str:
        raise ValueError("Failed to find font")

    monkeypatch.setattr(matplotlib.font_manager, "findfont", findfont)
    assert "DejaVu Sans is missing" in only(doctor.fonts, "wrong").text


def test_a_list_of_fonts_that_can_not_be_kept_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    monkeypatch.setattr(matplotlib, "get_cachedir", lambda: "/tmp/matplotlib-x1y2")
    assert "MPLCONFIGDIR" in only(doctor.fonts, "note").remedy


def test_fonts_that_are_kept_elsewhere_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "font_caches", lambda: [])
    assert "matplotlib" in only(doctor.known_faults, "note").text


def test_the_slower_encoder_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert only(doctor.encoder, "note").remedy == "pip install deflate"


@pytest.mark.parametrize(
    ("available", "container", "own", "verdict"),
    [
        (8e9, None, None, "fine"),
        (0.5e9, None, None, "note"),
        (8e9, 0.5e9, None, "note"),
        (8e9, None, 0.5e9, "note"),
        (8e9, 4e9, 2e9, "fine"),
    ],
)
def test_little_memory_is_noted(
    monkeypatch: pytest.MonkeyPatch, available: float, container: float, own: float, verdict: str
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available, total=16e9))
    monkeypatch.setattr(memory, "container_memory", lambda: container)
    monkeypatch.setattr(memory, "own_limit", lambda: own)
    finding = only(doctor.memory)
    assert finding.verdict == verdict
    assert ("limited" in finding.text) == bool(container or own)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1000000\n", 1_000_000), ("max\n", None), ("9223372036854771712\n", None), (None, None)],
)
def test_a_containers_memory_is_read(tmp_path: Path, text: str | None, limit: int | None) -> None:
    file = tmp_path / "memory.max"
    if text is not None:
        file.write_text(text)
    assert memory.container_memory([tmp_path / "none", file]) == limit


def test_a_limit_of_our_own_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (5, 7))
    assert memory.own_limit() == 5
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 7))
    assert memory.own_limit() is None


def test_a_system_without_limits_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert memory.own_limit() is None


def test_a_cache_that_can_not_be_written_is_noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, verdict in ((tmp_path / "new" / "cache", "fine"), (tmp_path / "file" / "cache", "note")):
        monkeypatch.setattr(cache, "_users_folder", lambda folder=folder: folder)
        finding = only(doctor.folders)
        assert (finding.verdict, str(folder) in finding.text) == (verdict, True)
        assert not (tmp_path / "new").exists()


# The trial


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have maps drawn that hold what a test says: who, region, content."""

    def draw(content: Callable[[str, str], bytes | None], said: str = "") -> None:
        def draw_apart(folder: Path) -> str:
            for who in trial.TRIAL_WORKERS:
                (folder / who).mkdir()
                for name in trial.trial_names():
                    data = content(who, name)
                    if data is not None:
                        (folder / who / f"{name}.png").write_bytes(data)
            return said

        monkeypatch.setattr(doctor, "draw_apart", draw_apart)

    return draw


def test_equal_trial_maps_are_fine(drawn: Callable[..., None]) -> None:
    drawn(lambda _, name: name.encode())
    assert only(doctor.trial_maps).verdict == "fine"


@pytest.mark.parametrize("data", [b"other", b"", None])
def test_trial_maps_that_differ_are_wrong(drawn: Callable[..., None], data: bytes | None) -> None:
    drawn(lambda who, name: data if (who, name) == ("forked", "trial-2") else b"map")
    finding = only(doctor.trial_maps)
    assert finding.verdict == "wrong"
    assert "1 of 4 maps" in finding.text


def test_trial_maps_that_are_missing_in_both_are_wrong(drawn: Callable[..., None]) -> None:
    drawn(lambda *_: None)
    assert "4 of 4 maps" in only(doctor.trial_maps).text


def test_a_trial_that_fails_is_wrong_in_its_own_words(drawn: Callable[..., None]) -> None:
    drawn(lambda *_: b"map", said="it broke")
    assert (only(doctor.trial_maps).verdict, only(doctor.trial_maps).text) == ("wrong", "it broke")


def test_a_trial_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trial, "TRIAL_LIMIT", 0.01)
    assert "were not done after 0.01 s" in trial.draw_apart(tmp_path)


def test_a_trial_that_can_not_be_drawn_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = "\n".join(f"line {number}" for number in range(20))
    ended = subprocess.CompletedProcess([], 1, stdout="", stderr=f"{words}\nOutputError: no room")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    said = trial.draw_apart(tmp_path)
    assert said.startswith("the trial maps could not be drawn (exit code 1):\nline 15\n")
    assert said.endswith("OutputError: no room")


def test_the_trial_leaves_no_folder(
    drawn: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    drawn(lambda *_: b"map")
    list(doctor.trial_maps())
    assert os.listdir(tmp_path) == []


def test_all_that_is_looked_at_says_something() -> None:
    quick = {topic: look for topic, look in EXAMINATIONS.items() if topic != "trial"}
    found: dict[str, Any] = {topic: list(look()) for topic, look in quick.items()}
    assert all(found.values())
    assert sys.executable in str(found["system"][0])
