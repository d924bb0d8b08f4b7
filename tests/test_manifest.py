"""The manifest: what was drawn is known to the next run; what is lost or damaged is drawn again."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps import manifest as module
from forkmaps.errors import DiskFullError, ManifestError, OutputError
from forkmaps.manifest import MANIFEST_NAME, Manifest
from forkmaps.manifest.choosing import choose, longest_first
from forkmaps.manifest.entries import entry_of, file_state, find_lines, key_of_path, path_of_key
from forkmaps.output import sweep_stale

A, B = "a" * 32, "b" * 32


@dataclass(frozen=True)
class Planned:
    path: Path


def draw(folder, name, content=b"a map"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def record(manifest, path, fingerprint=A, **options):
    options = {"region": path.stem, "band": 1, "seconds": 0.04, **options}
    manifest.record_done(path, fingerprint, file_state(path), **options)


def fail(manifest, path, error="ValueError: no", **options):
    options = {"region": path.stem, "band": 1, "seconds": 0.04, **options}
    manifest.record_failed(path, error, **options)


def drawn_before(folder, *names):
    """A folder in which a run has drawn some maps; their paths."""
    paths = [draw(folder, name) for name in names]
    with Manifest.open(folder) as manifest:
        for path in paths:
            record(manifest, path)
    return paths


def lines(folder):
    return (folder / MANIFEST_NAME).read_bytes().splitlines(keepends=True)


def done(folder, *paths, fingerprint=A, **options):
    with Manifest.open(folder, **options) as manifest:
        return [manifest.drawn_from(path) == fingerprint for path in paths]


# What is done


def test_a_map_that_was_drawn_is_done_in_the_next_run(tmp_path):
    paths = drawn_before(tmp_path, "north.png", "2026/01/south ü.png")
    assert done(tmp_path, *paths) == [True, True]


def test_a_map_that_was_never_drawn_is_not_done(tmp_path):
    drawn_before(tmp_path, "north.png")
    assert done(tmp_path, draw(tmp_path, "south.png")) == [False]


def test_a_map_that_is_shaped_by_something_else_now_is_not_done(tmp_path):
    assert done(tmp_path, *drawn_before(tmp_path, "a.png"), fingerprint=B) == [False]


def test_of_a_map_s_lines_the_last_one_counts(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    draw(tmp_path, "a.png", b"another map")
    with Manifest.open(tmp_path) as manifest:
        record(manifest, path, B)
        assert manifest.drawn_from(path) == B
    assert done(tmp_path, path, fingerprint=B) == [True]


def test_a_file_that_is_gone_is_not_done(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    path.unlink()
    assert done(tmp_path, path) == [False]


def test_a_file_of_another_size_is_not_done(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    draw(tmp_path, "a.png", b"cut")
    assert done(tmp_path, path) == [False]


def test_a_file_of_another_time_is_done_if_its_content_is_the_same(tmp_path):
    same, other = drawn_before(tmp_path, "same.png", "other.png")
    draw(tmp_path, "other.png", b"A MAP")
    for path in (same, other):
        os.utime(path, (1, 1))
    assert done(tmp_path, same, other) == [True, False]


def test_a_file_may_be_looked_at_under_its_temporary_name(tmp_path):
    temporary, path = draw(tmp_path, ".part.temporary"), tmp_path / "a.png"
    state = file_state(temporary)
    temporary.rename(path)
    with Manifest.open(tmp_path) as manifest:
        manifest.record_done(path, A, state, region="a", band=1, seconds=0.1)
    assert done(tmp_path, path) == [True]
    os.utime(path, (1, 1))
    assert done(tmp_path, path) == [True]


@pytest.mark.parametrize("thing", ["folder", "link"])
def test_what_is_no_file_is_not_done(tmp_path, thing):
    (path,) = drawn_before(tmp_path, "a.png")
    path.unlink()
    path.mkdir() if thing == "folder" else path.symlink_to(draw(tmp_path, "b.png"))
    assert done(tmp_path, path) == [False]


def test_a_link_to_the_same_content_is_not_done(tmp_path):
    target = tmp_path / "b.png"
    content = b"x" * len(str(target))  # a link's size is the length of where it leads to
    path = draw(tmp_path, "a.png", content)
    with Manifest.open(tmp_path) as manifest:
        record(manifest, path)
    path.rename(target)
    path.symlink_to(target)
    assert done(tmp_path, path) == [False]


def test_a_file_that_was_cut_in_the_same_instant_is_not_done(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    instant = path.stat().st_mtime_ns
    os.truncate(path, 2)
    os.utime(path, ns=(instant, instant))
    assert done(tmp_path, path) == [False]


def test_a_folder_that_was_moved_is_done_still(tmp_path):
    (tmp_path / "before").mkdir()
    drawn_before(tmp_path / "before", "x/a.png")
    (tmp_path / "before").rename(tmp_path / "after")
    assert done(tmp_path / "after", tmp_path / "after" / "x" / "a.png") == [True]


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (path,) = drawn_before(Path(), "a.png")
    assert done(Path(), path) == [True]


# What has failed


def test_a_map_that_failed_is_not_done_and_has_failed_before(tmp_path):
    path = draw(tmp_path, "a.png", b"of an older run")
    with Manifest.open(tmp_path) as manifest:
        fail(manifest, path)
    with Manifest.open(tmp_path) as manifest:
        assert manifest.drawn_from(path) != A
        assert manifest.failed_before(path)


def test_a_map_that_was_drawn_after_it_failed_has_not_failed_before(tmp_path):
    path = draw(tmp_path, "a.png")
    with Manifest.open(tmp_path) as manifest:
        fail(manifest, path)
        record(manifest, path)
    with Manifest.open(tmp_path) as manifest:
        assert not manifest.failed_before(path)
        assert not manifest.failed_before(tmp_path / "never.png")


def test_an_entry_tells_what_became_of_a_map(tmp_path):
    path = draw(tmp_path, "a.png")
    with Manifest.open(tmp_path) as manifest:
        fail(manifest, path, "killed by SIGSEGV", attempts=3, signal="SIGSEGV", seconds=0.123456)
    with Manifest.open(tmp_path) as manifest:
        entry = manifest.entry(path)
    assert (entry.path, entry.status, entry.region, entry.band) == ("a.png", "failed", "a", 1)
    assert (entry.error, entry.signal, entry.attempts) == ("killed by SIGSEGV", "SIGSEGV", 3)
    assert entry.seconds == 0.123
    assert entry.finished.endswith("+00:00")


# M7: torn, missing, newer


def test_m7_a_missing_manifest_has_all_maps_redone(tmp_path):
    paths = drawn_before(tmp_path, "a.png", "b.png")
    (tmp_path / MANIFEST_NAME).unlink()
    assert done(tmp_path, *paths) == [False, False]


def test_m7_a_torn_last_line_is_ignored_without_a_word(tmp_path, caplog):
    paths = drawn_before(tmp_path, "a.png", "b.png", "c.png")
    whole = (tmp_path / MANIFEST_NAME).read_bytes()
    last = len(lines(tmp_path)[-1])
    for torn_off in (1, 2, last // 2, last - 1, last):
        (tmp_path / MANIFEST_NAME).write_bytes(whole[:-torn_off])
        assert done(tmp_path, *paths) == [True, True, False]
    assert not caplog.records


def test_m7_the_next_line_after_a_torn_one_is_whole(tmp_path):
    paths = drawn_before(tmp_path, "a.png", "b.png")
    whole = (tmp_path / MANIFEST_NAME).read_bytes()
    (tmp_path / MANIFEST_NAME).write_bytes(whole[:-9])
    with Manifest.open(tmp_path) as manifest:
        record(manifest, paths[1])
    assert done(tmp_path, *paths) == [True, True]


@pytest.mark.parametrize("content", [b"", b"{", b'{"forkmaps manifest": 1}', b"\n", b"\x89PNG\r\n\x1a\n\0\n"])
def test_m7_a_torn_header_has_all_maps_redone(tmp_path, content):
    (path,) = drawn_before(tmp_path, "a.png")
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    assert done(tmp_path, path) == [False]
    assert lines(tmp_path) == [b'{"forkmaps manifest": 1}\n']


def test_m7_lines_below_a_damaged_header_are_not_believed(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    (tmp_path / MANIFEST_NAME).write_bytes(b'{"forkmaps man\n' + lines(tmp_path)[1])
    assert done(tmp_path, path) == [False]
    assert lines(tmp_path) == [b'{"forkmaps manifest": 1}\n']


def test_m7_a_newer_version_is_refused_and_left_as_it_is(tmp_path):
    newer = b'{"forkmaps manifest": 2}\n{"other": "lines"}\n'
    (tmp_path / MANIFEST_NAME).write_bytes(newer)
    with pytest.raises(ManifestError, match=r"format 2, this one knows 1; update .* folder, .* --force"):
        Manifest.open(tmp_path)
    assert (tmp_path / MANIFEST_NAME).read_bytes() == newer


def test_m7_a_newer_version_is_replaced_by_force(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    (tmp_path / MANIFEST_NAME).write_bytes(b'{"forkmaps manifest": 2}\n' + lines(tmp_path)[1])
    assert done(tmp_path, path, force=True) == [False]
    assert lines(tmp_path) == [b'{"forkmaps manifest": 1}\n']


def test_m7_a_killed_parent_loses_no_line_that_it_has_written(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from forkmaps.manifest.entries import file_state
from forkmaps.manifest import Manifest
folder = Path(sys.argv[1])
manifest = Manifest.open(folder)
for i in range(7):
    path = folder / f"{i}.png"
    path.write_bytes(b"map")
    manifest.record_done(path, "f", file_state(path), region=str(i), band=1, seconds=0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert done(tmp_path, *(tmp_path / f"{i}.png" for i in range(8)), fingerprint="f") == [True] * 7 + [False]


# Damage elsewhere


@pytest.mark.parametrize(
    "damage",
    [b"garbage\n", b"\n", b'{"path": "b.png", "status": "done"\n', b'{"path": 5}\n', b"\xff\xfe\0\n"],
)
def test_damaged_lines_cost_one_warning_and_their_maps(tmp_path, caplog, damage):
    paths = drawn_before(tmp_path, "a.png", "b.png", "c.png")
    header, a, _, c = lines(tmp_path)
    (tmp_path / MANIFEST_NAME).write_bytes(header + a + damage + damage + c)
    with caplog.at_level(logging.WARNING, "forkmaps"):
        assert done(tmp_path, *paths) == [True, False, True]
        assert done(tmp_path, *paths) == [True, False, True]
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / MANIFEST_NAME}: 2 damaged lines left out; their maps are drawn anew"
    ]


def test_a_line_damaged_within_costs_its_map(tmp_path):
    paths = drawn_before(tmp_path, "a.png", "b.png")
    content = (tmp_path / MANIFEST_NAME).read_bytes()
    (tmp_path / MANIFEST_NAME).write_bytes(content.replace(b'"region": "a"', b'"region: "a"'))
    assert done(tmp_path, *paths) == [False, True]


def test_what_is_no_manifest_at_all_costs_one_warning(tmp_path, caplog):
    (tmp_path / MANIFEST_NAME).write_text("dear diary,\n")
    assert done(tmp_path, draw(tmp_path, "a.png")) == [False]
    assert [r.getMessage().rpartition(": ")[2] for r in caplog.records] == [
        "doesn't begin as a manifest does; all maps are drawn anew"
    ]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_makes_a_map_done_that_is_not(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    paths = drawn_before(folder, "a.png", "b.png", "c.png")
    draw(folder, "b.png", b"MAP B")
    os.utime(paths[1], (1, 1))
    content = bytearray((folder / MANIFEST_NAME).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 60))] = data.draw(st.binary(max_size=5))
    (folder / MANIFEST_NAME).write_bytes(bytes(content))
    with suppress(ManifestError):  # the header may have become one of a newer version
        assert not done(folder, *paths)[1]


# Cleaning up


def test_opening_leaves_one_line_for_each_map(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    for _ in range(3):
        with Manifest.open(tmp_path) as manifest:
            assert len(lines(tmp_path)) == 2
            record(manifest, path)
            record(manifest, path)
    assert len(lines(tmp_path)) == 4


def test_a_manifest_with_nothing_to_clean_up_is_not_written_again(tmp_path):
    drawn_before(tmp_path, "a.png", "b.png")
    before = (tmp_path / MANIFEST_NAME).stat()
    Manifest.open(tmp_path).close()
    after = (tmp_path / MANIFEST_NAME).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_maps_that_are_planned_no_more_are_kept_as_long_as_their_files_are_there(tmp_path):
    paths = drawn_before(tmp_path, "x/a.png", "x/b.png", "y/c.png", "d é.png")
    paths[1].unlink()
    paths[2].unlink()
    paths[2].parent.rmdir()
    Manifest.open(tmp_path).close()
    kept = [json.loads(line)["path"] for line in lines(tmp_path)[1:]]
    assert kept == ["x/a.png", "d é.png"]


def test_maps_that_failed_are_kept_until_they_are_drawn(tmp_path):
    path = tmp_path / "a.png"
    with Manifest.open(tmp_path) as manifest:
        fail(manifest, path)
    Manifest.open(tmp_path).close()
    with Manifest.open(tmp_path) as manifest:
        assert manifest.failed_before(path)


def test_the_sweep_of_temporaries_leaves_it_alone(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    sweep_stale(tmp_path)
    assert done(tmp_path, path) == [True]


# Errors


def test_a_folder_in_its_place_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / MANIFEST_NAME).mkdir()
    with pytest.raises(ManifestError, match="can't be read: Is a directory; make it readable, or choose"):
        Manifest.open(tmp_path)


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path):
    outside = draw(tmp_path, "outside.txt", b"mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / MANIFEST_NAME).symlink_to(outside)
    (path,) = drawn_before(folder, "a.png")
    assert outside.read_bytes() == b"mine"
    assert done(folder, path) == [True]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="the folder is gone"):
        Manifest.open(tmp_path / "none")


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [(errno.ENOSPC, DiskFullError, "free space there and run"), (errno.EIO, OutputError, "look at the disk")],
)
def test_a_line_that_can_not_be_written_is_an_error_and_spoils_no_other(
    tmp_path, monkeypatch, code, kind, remedy
):
    one, two, three = (draw(tmp_path, name) for name in ("1.png", "2.png", "3.png"))
    write = os.write

    def torn_write(descriptor, data):
        if len(data) < 100:
            raise OSError(code, os.strerror(code))
        return write(descriptor, data[: len(data) - 50])

    with Manifest.open(tmp_path) as manifest:
        record(manifest, one)
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "write", torn_write)
            with pytest.raises(kind, match=f"can't be written: .*; {remedy}") as caught:
                record(manifest, two)
        assert type(caught.value) is kind
        record(manifest, three)
    assert done(tmp_path, one, two, three) == [True, False, True]


def test_a_line_that_is_written_in_parts_is_whole(tmp_path, monkeypatch):
    path, write = draw(tmp_path, "a.png"), os.write
    with Manifest.open(tmp_path) as manifest, monkeypatch.context() as patch:
        patch.setattr(module.os, "write", lambda descriptor, data: write(descriptor, data[:7]))
        record(manifest, path)
    assert done(tmp_path, path) == [True]


def test_a_path_outside_of_the_folder_has_no_entry(tmp_path):
    with Manifest.open(tmp_path) as manifest, pytest.raises(ValueError, match="subpath"):
        manifest.drawn_from(tmp_path.parent / "a.png")


def test_closing_twice_does_no_harm(tmp_path):
    manifest = Manifest.open(tmp_path)
    manifest.close()
    manifest.close()


# Lines


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_characters="\0"), min_size=1), st.text(), st.floats(0, 1e6))
def test_any_text_comes_back_from_its_line(tmp_path_factory, name, error, seconds):
    folder = tmp_path_factory.mktemp("text")
    with Manifest.open(folder) as manifest:
        path = folder / ("x" + name.replace("/", "_"))
        fail(manifest, path, error, region=name, seconds=seconds)
    with Manifest.open(folder) as manifest:
        entry = manifest.entry(path)
    assert (entry.region, entry.error, entry.seconds) == (name, error, round(seconds, 3))


@given(st.binary(max_size=200))
def test_any_content_is_read_without_an_exception(content):
    for head in (b"", b'{"forkmaps manifest": 1}\n', b'{"forkmaps manifest": 1}\n{"path": "'):
        for key, line in find_lines(head + content).lines.items():
            entry_of(line)
            path_of_key(key)


@given(st.text())
def test_a_path_comes_back_from_its_key(path):
    assert path_of_key(key_of_path(path)) == path


# What to draw


def planned_after(folder):
    """Maps of which one is done, one has failed, one was made of something else, and one was never tried."""
    names = ("done", "failed", "outdated", "new")
    paths = {name: draw(folder, f"{name}.png") for name in names}
    with Manifest.open(folder) as manifest:
        record(manifest, paths["done"])
        record(manifest, paths["outdated"], B)
        fail(manifest, paths["failed"])
    return [Planned(path) for path in paths.values()]


@pytest.mark.parametrize(
    ("options", "to_draw"),
    [
        ({}, ["failed", "outdated", "new"]),
        ({"force": True}, ["done", "failed", "outdated", "new"]),
        ({"only_failed": True}, ["failed"]),
        ({"only_failed": True, "force": True}, ["failed"]),
    ],
)
def test_what_is_drawn_is_what_is_not_done_or_as_asked_for(tmp_path, options, to_draw):
    planned = planned_after(tmp_path)
    with Manifest.open(tmp_path) as manifest:
        drawn, skipped = choose(planned, manifest, lambda maps: [A] * len(maps), **options)
    assert [one.path.stem for one in drawn] == to_draw
    assert set(drawn) | set(skipped) == set(planned)
    assert len(drawn) + len(skipped) == 4


def test_what_is_drawn_anyway_is_not_asked_for(tmp_path):
    planned, asked = planned_after(tmp_path), []

    def fingerprints_of(maps):
        asked.extend(one.path.stem for one in maps)
        return [A] * len(maps)

    with Manifest.open(tmp_path) as manifest:
        choose(planned, manifest, fingerprints_of, force=True)
        choose(planned, manifest, fingerprints_of, only_failed=True)
        assert asked == []
        choose(planned, manifest, fingerprints_of)
    assert asked == ["done", "outdated"]


@pytest.mark.parametrize(
    ("seconds", "order"),
    [
        ([1, 1, 1, 1, 1], "abcde"),
        ([1, 1, 3, 9, 1], "dcabe"),
        ([1, 1.5, 1.9, 1, 1], "abcde"),
        ([None, 1, 1, 5, None], "dabce"),
        ([None, None, None, None, None], "abcde"),
    ],
)
def test_maps_that_took_long_come_first(tmp_path, seconds, order):
    paths = [draw(tmp_path, f"{name}.png") for name in "abcde"]
    with Manifest.open(tmp_path) as manifest:
        for path, took in zip(paths, seconds, strict=True):
            if took is not None:
                fail(manifest, path, seconds=took)
        first = longest_first([Planned(path) for path in paths], manifest)
    assert "".join(one.path.stem for one in first) == order


def test_seconds_that_are_none_are_not_known(tmp_path):
    (path,) = drawn_before(tmp_path, "a.png")
    manifest = tmp_path / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b'"seconds": 0.04', b'"seconds": "x"'))
    with Manifest.open(tmp_path) as found:
        assert found.seconds_before(path) is None
        assert found.drawn_from(path) is None


# Speed


def test_a_hundred_thousand_lines_are_read_in_half_a_second(tmp_path):
    path = draw(tmp_path, "0.png")
    drawn_before(tmp_path, "0.png")
    header, line = lines(tmp_path)
    many = [
        line.replace(b'"0.png"', b'"%d.png"' % i).replace(b'"done"', b'"failed"') for i in range(1, 100_000)
    ]
    (tmp_path / MANIFEST_NAME).write_bytes(header + line + b"".join(many))
    begin = time.process_time()
    with Manifest.open(tmp_path) as manifest:
        took = time.process_time() - begin
        assert manifest.drawn_from(path) == A
        assert manifest.failed_before(tmp_path / "99999.png")
    assert took < 0.5
