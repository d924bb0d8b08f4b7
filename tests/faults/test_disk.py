"""Faults of the disk (M4 to M6): a full one, folders that can't be used, kills in the middle of a write."""

import os
import random
import resource
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from forkmaps.encode import encode_png, encode_webp
from forkmaps.errors import OutputError
from forkmaps.names import check_outputs
from forkmaps.output import make_folders, sweep_stale, write_whole, writing

SIZE_LIMIT = 4096
MOMENTS = 200
NOBODY = 65_534
OLD, NEW = b"old map" * 1000, [bytes([i]) * 997 for i in range(64)]


def outcome_in_child(function):
    """Run a function in a forked child; return "done" or the error's class, its message, and the signal."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        told = "done\n"
        try:
            function()
        except BaseException as error:
            told = f"{type(error).__name__}\n{error}"
        os.write(writer, told.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        name, _, message = pipe.read().partition("\n")
    return name, message, os.WTERMSIG(os.waitpid(pid, 0)[1])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_map(path):
    """Write a map of more than SIZE_LIMIT bytes in the format that the path's suffix names."""
    rng = np.random.default_rng(4)
    picture = rng.integers(0, 256, (60, 80, 3), np.uint8)
    if path.suffix == ".png":
        write_whole(path, encode_png(picture))
    elif path.suffix == ".webp":
        write_whole(path, encode_webp(picture))
    else:
        figure = Figure()
        figure.subplots().plot(rng.random(3000))
        with writing(path) as file:
            figure.savefig(file, format=path.suffix[1:])


@pytest.mark.parametrize("old", [{}, {"a": OLD}], ids=["new", "overwrite"])
@pytest.mark.parametrize("suffix", ["png", "webp", "pdf", "svg"])
def test_m4_a_full_disk_leaves_nothing_half_written(tmp_path, suffix, old):
    old = {f"{name}.{suffix}": data for name, data in old.items()}
    for name, data in old.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / f"a.{suffix}"

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_LIMIT, SIZE_LIMIT))
        write_map(path)

    error, message, _ = outcome_in_child(work)
    assert error == "DiskFullError"
    assert message.startswith(f"{path}: can't be written: File too large; raise the limit on file sizes")
    assert contents(tmp_path) == old


@pytest.mark.parametrize("suffix", ["png", "webp", "pdf", "svg"])
def test_m4_with_space_again_the_file_is_whole(tmp_path, suffix):
    write_map(tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").stat().st_size > SIZE_LIMIT
    assert list(contents(tmp_path)) == [f"a.{suffix}"]


@pytest.fixture
def read_only(tmp_path):
    """Give a folder that nobody may write in, reachable for all users."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(folder, folder.stat().st_mode | 0o055)
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def as_nobody(function):
    """Run a function as a user without rights: root may write everywhere."""

    def work():
        if os.getuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        function()

    return work


@pytest.mark.parametrize("step", ["the folders", "the file"])
def test_m5_read_only_folder_is_one_error(read_only, step):
    path = read_only / "a.png"

    def work():
        make_folders([path]) if step == "the folders" else write_whole(path, OLD)

    error, message, _ = outcome_in_child(as_nobody(work))
    named = path if step == "the file" else read_only
    assert error == "OutputError"
    assert message.startswith(f"{named}: can't be written: Permission denied; make the folder writable")


def test_m5_folder_removed_midway_is_one_error(tmp_path):
    folder = tmp_path / "out"
    paths = check_outputs(folder, ["TX/a.png", "TX/b.png"], jobs=["a", "b"])
    make_folders(paths)
    write_whole(paths[0], OLD)
    shutil.rmtree(folder)
    with pytest.raises(
        OutputError, match=r"TX/b\.png: can't be written: No such file .*; the folder is gone"
    ):
        write_whole(paths[1], OLD)
    assert os.listdir(tmp_path) == []


def test_m5_folder_removed_while_a_file_is_written_is_one_error(tmp_path):
    path = tmp_path / "out" / "a.png"
    make_folders([path])
    with pytest.raises(OutputError, match="the folder is gone"), writing(path):
        shutil.rmtree(path.parent)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("where", ["out", "out/TX"])
def test_m5_file_where_a_folder_should_be_is_one_error(tmp_path, where):
    path = tmp_path / "out" / "TX" / "a.png"
    blocker = tmp_path / where
    blocker.parent.mkdir(exist_ok=True)
    blocker.write_bytes(b"theirs")
    with pytest.raises(OutputError, match=f"{tmp_path}/out/TX: .*; a file stands where a folder should be"):
        make_folders([path])
    with pytest.raises(
        OutputError, match=r"a\.png: .* Not a directory; a file stands where a folder should be"
    ):
        write_whole(path, OLD)
    assert contents(tmp_path) == {where: b"theirs"}


def test_m5_linked_output_folder_is_used(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    (path,) = check_outputs(tmp_path / "out", ["TX/a.png"], jobs=["a"])
    make_folders([path])
    write_whole(path, OLD)
    assert contents(tmp_path / "disk") == {"TX/a.png": OLD}


@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "../elsewhere/.."])
def test_m5_link_inside_that_leads_out_is_refused_and_nothing_written_there(tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "TX").symlink_to(tmp_path / target)
    with pytest.raises(OutputError, match=r"'TX' is a link that leads out to .*; remove it"):
        check_outputs(tmp_path / "out", ["TX/a.png"], jobs=["a"])
    assert contents(tmp_path) == {}


def test_m5_link_in_the_file_s_place_is_replaced(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to("../theirs")
    write_whole(tmp_path / "out" / "a.png", OLD)
    assert contents(tmp_path) == {"theirs": b"theirs", "out/a.png": OLD}


class Steps:
    """Counts the interpreter's steps in forkmaps.output and in `overwrite`, and acts at one of them."""

    def __init__(self, last=None, act=None):
        self.count, self.last, self.act = 0, last, act

    def __call__(self, frame, event, argument):
        file = Path(frame.f_code.co_filename)
        if "output" not in file.parts and file.name != "test_disk.py":
            return None
        frame.f_trace_opcodes = True
        self.count += 1
        if self.count == self.last:
            self.act()
        return self


def overwrite(path):
    """Write a file in many pieces, each of which reaches the disk's cache by itself."""
    with writing(path) as file:
        for piece in NEW:
            file.write(piece)
            file.flush()


def traced(steps, path):
    sys.settrace(steps)
    try:
        overwrite(path)
    finally:
        sys.settrace(None)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def no_flush(monkeypatch):
    """Spare the flush to disk: for a kill, unlike a power cut, it makes no difference."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def moments(path):
    """Count the steps of one undisturbed overwrite, and choose random ones."""
    traced(counted := Steps(), path)
    return sorted(random.Random(6).sample(range(1, counted.count), MOMENTS))


def test_m6_killed_at_200_moments_the_file_is_old_or_new(tmp_path, no_flush):
    path, seen, left = tmp_path / "a.png", [], 0
    for moment in moments(tmp_path / "a.png"):
        path.write_bytes(OLD)
        *_, ended_by = outcome_in_child(lambda at=moment: traced(Steps(at, kill), path))
        assert ended_by == signal.SIGKILL
        seen.append(path.read_bytes())
        left += len(sweep_stale(tmp_path))
        assert os.listdir(tmp_path) == ["a.png"]
    assert {data == OLD or data == b"".join(NEW) for data in seen} == {True}
    assert 0 < seen.count(OLD) < MOMENTS  # moments before and after the rename were met
    assert left > MOMENTS // 2


@pytest.mark.filterwarnings("ignore:unclosed file", "ignore:Exception ignored in")
def test_m6_an_exception_at_200_moments_leaves_the_old_file_or_the_new_one(tmp_path, no_flush):
    def fail():
        raise RuntimeError("planted")

    path, left = tmp_path / "a.png", 0
    for moment in moments(tmp_path / "a.png"):
        path.write_bytes(OLD)
        with pytest.raises(RuntimeError, match="planted"):
            traced(Steps(moment, fail), path)
        assert path.read_bytes() in (OLD, b"".join(NEW))
        for rest in tmp_path.glob(".forkmaps-*"):
            rest.unlink()
            left += 1
    assert left <= 5  # between the file's opening and the block that removes it


def test_m6_of_the_last_steps_each_is_tried(tmp_path, no_flush):
    """The flush and the rename lie in the last steps of an overwrite."""
    path = tmp_path / "a.png"
    traced(counted := Steps(), path)
    for moment in range(counted.count - 60, counted.count):
        path.write_bytes(OLD)
        outcome_in_child(lambda at=moment: traced(Steps(at, kill), path))
        assert path.read_bytes() in (OLD, b"".join(NEW))
        sweep_stale(tmp_path)
        assert os.listdir(tmp_path) == ["a.png"]
