"""Files with random damage (D11): a map or one error of ours; no hang, no traceback, no foreign warning."""

import random
import time
from types import SimpleNamespace

import pytest

from forkmaps.cache import NoCache
from forkmaps.errors import ForkmapsError
from forkmaps.job import Job
from forkmaps.mapset import read_mapset
from forkmaps.render import Renderer
from small import REGIONS, SET, SQUARE, make_layer, make_set

LONGEST = 5.0
"""Seconds that any damaged file may take."""
FILES = ("raster.tif", "regions.csv", "set.toml", "square.geojson")
PIECES = [b"", b"\0", b'"', b",", b"\n", b"[", b"]", b"{", b"}", b"nan", b"-1", b"1e400", b"9" * 30, b"null"]
PIECES += [
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3\xa9",
    b"..",
    b"/",
    b"$x^",
    b"%s",
    b"0x7f",
    b"true",
    b"#",
    b"=",
]


def damaged(content, dice):
    """Return a file's content with one to four pieces of it changed, lost, doubled, moved or swapped."""
    for _ in range(dice.randint(1, 4)):
        start = dice.randrange(len(content) + 1)
        end = min(len(content), start + dice.choice([1, 1, 2, 4, 8, 40]))
        piece = content[start:end]
        content = dice.choice(
            [
                content[:start] + bytes(byte ^ 1 << dice.randrange(8) for byte in piece) + content[end:],
                content[:start] + dice.randbytes(len(piece)) + content[end:],
                content[:start] + dice.choice(PIECES) + content[end:],
                content[:start] + content[end:],
                content[:end] + piece * dice.choice([1, 1, 100]) + content[end:],
                content[end:] + content[:end]
                if dice.random() < 0.1
                else content[:start] + b"0" + content[end:],
                content[: max(end, 1)] if dice.random() < 0.2 else content[:start] + b"9" + content[end:],
            ]
        )
    return content


def outcome(path, draw):
    """Read a set, plan it and draw its maps if they are of the usual size; return the error if it is ours."""
    try:
        mapset = read_mapset(path)
        shared, regions = mapset.load(NoCache())
        maps = mapset.plan(shared, regions).maps
        renderer = Renderer(shared, mapset.options.style, mapset.lines) if draw else None
        for planned in maps[:2] if renderer else ():
            renderer.picture(Job(planned.job.region))
    except ForkmapsError as error:
        return str(error) or "nothing is said"
    return ""


def try_out(folder, name, seeds, monkeypatch):
    """Damage a file of a set with each seed; assert that each is told of or drawn; return how many are."""
    memory = SimpleNamespace(available=1e9, total=16e9)
    monkeypatch.setattr("forkmaps.memory.psutil.virtual_memory", lambda: memory)
    path = make_set(folder, SET.replace("square.gpkg", "square.geojson"), REGIONS)
    make_layer(folder / "square.geojson", [SQUARE, SQUARE.buffer(1)])
    whole, told = (folder / name).read_bytes(), 0
    for seed in seeds:
        (folder / name).write_bytes(damaged(whole, random.Random(f"{name} {seed}")))
        start = time.monotonic()
        try:
            told += bool(outcome(path, draw=name != "set.toml"))
        except Exception as error:
            raise AssertionError(f"{name}, seed {seed}: {type(error).__name__}: {error}") from error
        assert time.monotonic() - start < LONGEST, f"{name}, seed {seed}"
    return told


@pytest.mark.parametrize("name", FILES)
def test_d11_damaged_files_give_a_map_or_an_error_of_ours(tmp_path, monkeypatch, name):
    assert try_out(tmp_path, name, range(20), monkeypatch) >= 5


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", FILES)
def test_d11_500_damaged_files_give_a_map_or_an_error_of_ours(tmp_path, monkeypatch, name):
    assert try_out(tmp_path, name, range(500), monkeypatch) >= 100
