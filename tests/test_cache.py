import logging
import os
import random
import shutil
import traceback
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps import cache
from forkmaps.cache import SUFFIX, Cache, NoCache, array_digest, file_digest, key_of
from forkmaps.output.temporaries import temporary_name

KEY = key_of("a result")
RNG = np.random.default_rng(6)
AS_USER = pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")


@pytest.fixture
def kept(tmp_path):
    return Cache(tmp_path / "cache")


def files(kept):
    return sorted(kept.folder.glob("*"))


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- get and put


def test_a_result_is_found_in_a_later_run(kept):
    kept.put(KEY, {"a": np.arange(9)}, {"crs": "EPSG:4326"})
    found = Cache(kept.folder).get(KEY)
    np.testing.assert_array_equal(found.arrays["a"], np.arange(9))
    assert found.meta == {"crs": "EPSG:4326"}


def test_put_gives_the_mapped_version(kept):
    own = np.arange(9)
    stored = kept.put(KEY, {"a": own}, {"x": 1})
    np.testing.assert_array_equal(stored.arrays["a"], own)
    assert not stored.arrays["a"].flags.writeable
    assert not np.shares_memory(stored.arrays["a"], own)
    assert stored.meta == {"x": 1}


def test_another_key_is_a_miss(kept):
    kept.put(KEY, {"a": np.arange(9)}, {})
    assert kept.get(key_of("another result")) is None


def test_a_new_result_replaces_the_old(kept):
    for value in (1, 2):
        kept.put(KEY, {"a": np.full(3, value)}, {})
    assert kept.get(KEY).arrays["a"].tolist() == [2, 2, 2]


def test_an_empty_cache_makes_no_folder(kept, caplog):
    assert kept.get(KEY) is None
    assert not kept.folder.exists()
    assert not caplog.records


def test_what_is_no_key_is_refused(kept):
    for key in ("../../passwd", KEY + "\n", KEY.upper() + "A", ""):
        with pytest.raises(ValueError, match="is no key; make one with key_of"):
            kept.get(key)
        with pytest.raises(ValueError, match="is no key"):
            kept.put(key, {}, {})


def test_a_damaged_file_is_removed_and_told_of(kept, caplog):
    path = kept.put(KEY, {"a": np.arange(9)}, {}).path
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert kept.get(KEY) is None
    assert files(kept) == []
    (warning,) = warnings(caplog)
    assert str(path) in warning
    assert "array 'a'" in warning


def test_no_cache_keeps_nothing():
    assert NoCache().put(KEY, {"a": np.arange(3)}, {}) is None
    assert NoCache().get(KEY) is None


def test_the_folder_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().folder == tmp_path / "forkmaps"


def test_a_user_without_a_home_has_no_cache(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache, "_users_folder", lambda: Path("~/.cache/forkmaps"))
    assert Cache().put(KEY, {"a": np.arange(3)}, {}) is None
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_survives_a_change_of_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    kept = Cache(Path("cache"))
    monkeypatch.chdir("/")
    assert kept.put(KEY, {}, {}).path.parent == tmp_path / "cache"


# --- a folder that can't be used


def assert_gives_up_with_one_warning(kept, caplog):
    for _ in range(3):
        assert kept.put(KEY, {"a": np.arange(9)}, {}) is None
        assert kept.get(KEY) is None
    (warning,) = warnings(caplog)
    assert "nothing is kept for later runs" in warning


def test_a_folder_that_cannot_be_made_costs_one_warning(kept, caplog):
    kept.folder.write_text("a file stands here")
    assert_gives_up_with_one_warning(kept, caplog)


@AS_USER
def test_a_read_only_folder_costs_one_warning(kept, caplog):
    kept.folder.mkdir(mode=0o500)
    assert_gives_up_with_one_warning(kept, caplog)


def test_a_full_disk_costs_one_warning(kept, caplog, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert_gives_up_with_one_warning(kept, caplog)
    assert files(kept) == []


def test_a_result_that_cannot_be_stored_is_no_error(kept, caplog):
    assert kept.put(KEY, {"a": np.array(["text"])}, {}) is None
    assert len(warnings(caplog)) == 1


def test_a_file_evicted_before_it_is_mapped_is_no_reason_to_give_up(kept, caplog, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_store", lambda *_: None)
        assert kept.put(KEY, {"a": np.arange(3)}, {}) is None
    assert not caplog.records
    assert kept.put(KEY, {"a": np.arange(3)}, {}) is not None


def test_a_killed_writers_file_is_swept(kept):
    kept.put(KEY, {}, {})
    dead = "-4194999-"  # above any pid
    left = kept.folder / temporary_name().replace(f"-{os.getpid()}-", dead)
    left.touch()
    Cache(kept.folder).put(KEY, {}, {})
    assert files(kept) == [kept._path(KEY)]


# --- bounded size


def put_sized(kept, name, size=100_000):
    return kept.put(key_of(name), {"a": np.full(size, 7, np.uint8)}, {})


def used_at(stored, seconds):
    os.utime(stored.path, (seconds, seconds))


def test_the_least_recently_used_goes_first(tmp_path):
    kept = Cache(tmp_path, limit=350_000)
    for i, name in enumerate("abc"):
        used_at(put_sized(kept, name), 1000 + i)
    assert kept.get(key_of("a")) is not None
    put_sized(kept, "d")
    assert [name for name in "abcd" if kept.get(key_of(name))] == ["a", "c", "d"]


def test_what_is_evicted_stays_with_who_has_it(tmp_path):
    kept = Cache(tmp_path, limit=150_000)
    first = put_sized(kept, "a")
    used_at(first, 1000)
    put_sized(kept, "b")
    assert not first.path.exists()
    assert first.arrays["a"].sum() == 700_000


def test_the_files_never_exceed_the_limit(tmp_path):
    kept = Cache(tmp_path, limit=500_000)
    for i in range(30):
        put_sized(kept, i, size=int(RNG.integers(1, 200_000)))
        assert sum(file.stat().st_size for file in files(kept)) <= kept.limit


def test_a_result_above_the_limit_is_not_written(tmp_path, caplog):
    kept = Cache(tmp_path, limit=150_000)
    put_sized(kept, "a")
    assert put_sized(kept, "b", size=150_001) is None
    assert kept.get(key_of("a")) is not None
    assert not caplog.records


def test_files_of_others_are_left_alone(tmp_path):
    kept = Cache(tmp_path, limit=100)
    other = tmp_path / "photo.jpg"
    other.write_bytes(bytes(1000))
    put_sized(kept, "a", size=90)
    assert files(kept) == [other]


# --- several processes

NAMES = tuple(range(6))
CHILDREN = 4
STEPS = 120


def content(name):
    return {"a": np.arange(20_000, dtype=np.int32) * (name + 1), "b": np.array([name])}


def use(kept, chance):
    """Put, get, damage and lose results at random; fail on a wrong one."""
    expected = {name: content(name) for name in NAMES}
    held = []
    for _ in range(STEPS):
        name = chance.choice(NAMES)
        match chance.randrange(10):
            case 0:
                kept._path(key_of(name)).unlink(missing_ok=True)
            case 1:
                damage(kept._path(key_of(name)), chance)
            case n:
                held.append(
                    (name, kept.put(key_of(name), expected[name], {}) if n < 6 else kept.get(key_of(name)))
                )
        held = held[-5:]
        for which, stored in held:
            assert stored is None or all(
                np.array_equal(stored.arrays[part], array) for part, array in expected[which].items()
            )
    assert kept._writes


def damage(path, chance):
    """Put a file cut off in a whole one's place, as a power cut may; who has mapped the old one keeps it."""
    copy = path.with_name(f"damaged-{os.getpid()}")
    try:
        shutil.copyfile(path, copy)
        os.truncate(copy, chance.randrange(copy.stat().st_size))
        os.utime(copy, (1, 1))
        os.replace(copy, path)
    except FileNotFoundError:
        copy.unlink(missing_ok=True)


def in_a_child(function, *arguments):
    if child := os.fork():
        return child
    try:
        logging.disable()
        function(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def test_several_processes_use_one_folder(tmp_path):
    kept = Cache(tmp_path, limit=300_000)
    children = [in_a_child(use, kept, random.Random(seed)) for seed in range(CHILDREN)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * CHILDREN
    put_sized(kept, "last", 10)
    assert sum(file.stat().st_size for file in files(kept)) <= kept.limit
    assert all(file.suffix == SUFFIX for file in files(kept))


# --- keys

parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def exact(part):
    """Tell apart what Python holds equal: 1, 1.0 and True, 0.0 and -0.0."""
    if isinstance(part, tuple):
        return tuple(map(exact, part))
    return type(part).__name__, repr(part)


@settings(max_examples=150, deadline=None)
@given(st.lists(parts, max_size=4), st.lists(parts, max_size=4))
def test_keys_agree_just_where_the_parts_do(one, other):
    assert (key_of(*one) == key_of(*other)) == (exact(tuple(one)) == exact(tuple(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ((("a",), "b"), (("a", "b"),)),
        (("1",), (1,)),
        ((1,), (1.0,)),
        ((1,), (True,)),
        ((0.0,), (-0.0,)),
        ((b"a",), ("a",)),
        ((None,), ("None",)),
        (((),), ()),
    ],
    ids=str,
)
def test_parts_are_told_apart(one, other):
    assert key_of(*one) != key_of(*other)


def test_a_key_is_the_same_in_every_process_and_names_a_file():
    assert len(KEY) == 32
    assert set(KEY) <= set("0123456789abcdef")
    assert key_of("x", 1, (2.5, None, b"\xff", True)) == key_of(
        "x", 1, (np.float64(2.5), None, b"\xff", True)
    )


@pytest.mark.parametrize("version", ["CACHE_VERSION", "FORMAT_VERSION"])
def test_a_version_makes_other_keys(monkeypatch, version):
    monkeypatch.setattr(cache, version, 99)
    assert key_of("a result") != KEY


@pytest.mark.parametrize("part", [[1], {"a": 1}, np.int64(1), np.arange(3), ("a", {1})], ids=str)
def test_other_types_make_no_key(part):
    with pytest.raises(TypeError, match="a key can't be made of"):
        key_of("a", part)


# --- digests of arrays


def raster(rows=200, columns=700):
    return RNG.normal(size=(rows, columns)).astype(np.float32)


def test_an_arrays_layout_and_byte_order_do_not_count():
    array = raster()
    digest = array_digest(array)
    for same in (array.copy(), np.asfortranarray(array), array[::-1].copy()[::-1], array.astype(">f4")):
        assert array_digest(same) == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.reshape(-1),
        lambda a: a.reshape(a.shape[::-1]),
        lambda a: a.view(np.int32),
        lambda a: a[:-1],
        lambda a: a[::-1],
        lambda a: np.vstack([a, a[:1]]),
        lambda a: np.roll(a, 1),
        lambda a: -a,
        lambda a: a + np.float32(1e-3),
    ],
)
def test_other_content_has_another_digest(change):
    array = raster()
    assert array_digest(change(array)) != array_digest(array)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_two_changed_values_change_the_digest(data):
    array = np.arange(150_000, dtype=np.float32)
    place = st.integers(0, array.size - 1)
    i, j = data.draw(st.tuples(place, place).filter(lambda pair: pair[0] != pair[1]))
    swapped, negated = array.copy(), array.copy()
    swapped[[i, j]] = array[[j, i]]
    negated[[i, j]] = -array[[i, j]] - 1
    assert len({array_digest(each) for each in (array, swapped, negated)}) == 3


def test_swapped_blocks_change_the_digest():
    block = cache.DIGEST_BLOCK_BYTES
    array = RNG.integers(0, 256, 3 * block + 17, np.uint8)
    swapped = np.concatenate([array[block : 2 * block], array[:block], array[2 * block :]])
    assert array_digest(swapped) != array_digest(array)


def test_one_changed_byte_in_a_block_changes_the_digest():
    array = np.zeros(cache.DIGEST_BLOCK_BYTES, np.uint8)
    digests = set()
    for i in range(0, array.size, 97):
        array[i] = 1
        digests.add(cache._digest(cache.blocks_of(array, cache.DIGEST_BLOCK_BYTES)))
        array[i] = 0
    assert len(digests) == len(range(0, array.size, 97))


def test_what_crc32_misses_changes_the_digest():
    generator = [int(bit) for bit in f"{0x104C11DB7:b}"]  # adding a multiple of it leaves a CRC-32 as it was
    array = RNG.integers(0, 256, cache.DIGEST_BLOCK_BYTES, np.uint8)
    changed = array.copy()
    changed[1000:1005] ^= np.packbits(generator, bitorder="little")
    assert zlib.crc32(changed) == zlib.crc32(array)
    assert array_digest(changed) != array_digest(array)


def test_what_adler32_misses_changes_the_digest():
    array = np.full(cache.DIGEST_BLOCK_BYTES, 7, np.uint8)
    changed = array.copy()
    changed[1000:1003] = 8, 5, 8
    assert zlib.adler32(changed) == zlib.adler32(array)
    assert array_digest(changed) != array_digest(array)


def test_a_blocks_sums_are_not_taken_for_content(tmp_path):
    block = bytes(cache.DIGEST_BLOCK_BYTES)
    (tmp_path / "a").write_bytes(block)
    (tmp_path / "b").write_bytes(cache._SUMS.pack(zlib.crc32(block), zlib.adler32(block)))
    assert file_digest(tmp_path / "a") != file_digest(tmp_path / "b")


@pytest.mark.parametrize("array", [np.empty(0), np.array(1.5), np.empty((0, 4), bool)], ids=str)
def test_empty_and_scalar_arrays_have_a_digest(array):
    assert array_digest(array) == array_digest(array.copy())


def test_empty_arrays_of_other_shapes_differ():
    assert array_digest(np.empty((0, 4))) != array_digest(np.empty((4, 0)))


def test_libdeflate_and_zlib_digest_alike(monkeypatch):
    array = raster()
    digest = array_digest(array)
    monkeypatch.setattr(cache, "crc32", zlib.crc32)
    monkeypatch.setattr(cache, "adler32", zlib.adler32)
    assert array_digest(array) == digest


# --- digests of files


def shapefile(folder, stem="counties", upper=False, **changes):
    folder.mkdir(exist_ok=True)
    for suffix in ("shp", "shx", "dbf", "prj", "cpg"):
        name = f"{stem}.{suffix.upper() if upper else suffix}"
        (folder / name).write_bytes(changes.get(suffix, f"content of {suffix}").encode())
    return folder / (f"{stem}.SHP" if upper else f"{stem}.shp")


def test_a_copied_file_has_the_same_digest(tmp_path):
    one = shapefile(tmp_path / "one")
    other = shapefile(tmp_path / "other", stem="renamed")
    assert file_digest(one) == file_digest(other)


@pytest.mark.parametrize("suffix", ["shp", "shx", "dbf", "prj", "cpg"])
@pytest.mark.parametrize("upper", [False, True])
def test_every_file_of_a_shapefile_counts(tmp_path, suffix, upper):
    before = file_digest(shapefile(tmp_path / "a", upper=upper))
    after = file_digest(shapefile(tmp_path / "a", upper=upper, **{suffix: "changed"}))
    assert before != after


def test_a_missing_sidecar_counts(tmp_path):
    path = shapefile(tmp_path)
    before = file_digest(path)
    path.with_suffix(".prj").unlink()
    assert file_digest(path) != before


def test_content_that_moves_between_files_counts(tmp_path):
    before = file_digest(shapefile(tmp_path / "a", shx="x", dbf="yz"))
    assert file_digest(shapefile(tmp_path / "a", shx="xy", dbf="z")) != before


def test_other_files_beside_do_not_count(tmp_path):
    path = shapefile(tmp_path)
    before = file_digest(path)
    (tmp_path / "counties.xml").touch()
    (tmp_path / "states.dbf").touch()
    assert file_digest(path) == before


def test_a_change_that_keeps_size_and_time_counts(tmp_path):
    path = tmp_path / "borders.zip"
    path.write_bytes(bytes(1_000_000))
    os.utime(path, (1000, 1000))
    before = file_digest(path)
    path.write_bytes(bytes(500_000) + b"\1" + bytes(499_999))
    os.utime(path, (1000, 1000))
    assert file_digest(path) != before


def test_a_folders_names_and_bytes_count(tmp_path):
    folder = shapefile(tmp_path / "layers").parent
    digests = {file_digest(folder)}
    (folder / "inner").mkdir()
    (folder / "inner" / "more.dbf").write_text("more")
    digests.add(file_digest(folder))
    (folder / "inner" / "more.dbf").rename(folder / "more.dbf")
    digests.add(file_digest(folder))
    assert len(digests) == 3


def test_a_missing_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "none.shp")
