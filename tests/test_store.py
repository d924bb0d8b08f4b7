import gc
import json
import os
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forkmaps.cache import checksums, store
from forkmaps.cache.store import StoreError, open_store, write_store
from forkmaps.errors import ForkmapsError, OutputError

RNG = np.random.default_rng(5)
PLAIN = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MIB = 1024**2
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")


def some_arrays():
    return {
        "levels": RNG.normal(size=(70, 31)).astype(np.float32),
        "starts": np.arange(40, dtype=np.int64),
        "mask": RNG.integers(0, 2, 77).astype(bool),
        "none": np.empty((0, 3), np.uint16),
        "one": np.float64(2.5)[()].reshape(()),
    }


@pytest.fixture(scope="module", autouse=True)
def unflushed():
    """Leave out the flush to disk, which takes most of the time here and is test_output's matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.store"


@pytest.fixture
def written(path):
    write_store(path, some_arrays(), {"crs": "EPSG:4326", "tolerance": [0.5, 1]})
    return path


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def forged(path, index, size=None, version=store.FORMAT_VERSION):
    """Write a store with any index, checksums and all."""
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    start = store._start(len(text))
    preamble = store._PREAMBLE.pack(store._MAGIC, version, len(text), size or start + 64)
    head = preamble + store._SUM.pack(zlib.crc32(preamble + text)) + text
    path.write_bytes(head.ljust(start, b"\0") + bytes(64))


def entry(**changes):
    plain = {"dtype": "<f4", "shape": [16], "offset": 0, "crc32": f"{zlib.crc32(bytes(64)):08x}"}
    return {"arrays": {"a": {**plain, **changes}}, "meta": {}}


# --- round trip


def test_arrays_and_meta_come_back(path):
    arrays = some_arrays()
    write_store(path, arrays, {"crs": "EPSG:4326", "nested": {"a": [1, None, True]}, "no data": float("inf")})
    stored = open_store(path)
    assert_same(stored.arrays, arrays)
    assert stored.meta == {"crs": "EPSG:4326", "nested": {"a": [1, None, True]}, "no data": float("inf")}
    assert stored.path == path


any_array = st.sampled_from(PLAIN).flatmap(
    lambda code: hnp.arrays(
        st.sampled_from(["<", ">"]).map(lambda order: np.dtype(code).newbyteorder(order)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)


@settings(max_examples=100, deadline=None)
@given(
    arrays=st.dictionaries(st.text(max_size=5), any_array, max_size=4),
    meta=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    ),
)
def test_any_plain_arrays_come_back(arrays, meta):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        write_store(path, arrays, meta)
        for verify in (True, False):
            stored = open_store(path, verify=verify)
            assert_same(stored.arrays, arrays)
            assert stored.meta == meta


def layouts():
    base = RNG.integers(0, 2**15, (60, 90)).astype(np.int16)
    yield "by columns", np.asfortranarray(base)
    yield "upside down", base[::-1]
    yield "with gaps", base[:, ::3]
    yield "transposed", base.T
    yield "broadcast", np.broadcast_to(base[0], base.shape)
    yield "big-endian", base.astype(">i2")
    yield "read-only", np.frombuffer(base.tobytes(), np.int16)


@pytest.mark.parametrize("array", [pytest.param(array, id=name) for name, array in layouts()])
def test_any_layout_comes_back(path, array, monkeypatch):
    monkeypatch.setattr(store.blocks_of, "__defaults__", (1024,))
    write_store(path, {"a": array}, {})
    assert_same(open_store(path).arrays, {"a": array})


def test_arrays_are_aligned(path):
    arrays = {
        "flags": np.ones(3, bool),
        "small": np.ones(5),
        "odd": np.ones(3, bool),
        "large": np.ones(100_000),
    }
    write_store(path, arrays, {})
    places = {name: array.ctypes.data for name, array in open_store(path).arrays.items()}
    assert places["small"] % 64 == places["odd"] % 64 == 0
    assert places["large"] % 4096 == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_writing_takes_no_copy_of_a_large_array(path, order):
    array = np.ones((2048, 2048), order=order)
    tracemalloc.start()
    write_store(path, {"a": array}, {})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * checksums.BLOCK_BYTES < array.nbytes


def test_same_arrays_same_bytes(tmp_path):
    arrays = some_arrays()
    for name in ("a", "b"):
        write_store(tmp_path / name, arrays, {"x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_libdeflate_and_zlib_read_each_others_stores(path, monkeypatch):
    arrays = some_arrays()
    write_store(path, arrays, {})
    monkeypatch.setattr(store, "crc32", zlib.crc32)
    assert_same(open_store(path).arrays, arrays)


# --- what can't be written


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}], object),
        np.array(["a"]),
        np.array([1j]),
        np.array(["2024-01-01"], "M8[s]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_only_plain_arrays_are_stored(path, array):
    with pytest.raises(StoreError, match=r"a\.store: array 'a' is .*; convert it"):
        write_store(path, {"a": array}, {})
    assert not path.exists()


@pytest.mark.parametrize("meta", [{"a": object()}, {"a": np.float32(1)}, {(1, 2): 3}])
def test_only_json_is_stored_as_meta(path, meta):
    with pytest.raises(StoreError, match="meta can't be stored"):
        write_store(path, {}, meta)


def test_a_failed_write_leaves_the_old_store(written, monkeypatch):
    def full(block, crc):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "crc32", full)
        with pytest.raises(OutputError, match="No space left"):
            write_store(written, {"a": np.ones(3)}, {})
    assert list(open_store(written).arrays) == list(some_arrays())


def test_a_new_store_leaves_the_old_one_to_who_has_it_open(path):
    write_store(path, {"a": np.zeros(100_000)}, {})
    old = open_store(path)
    write_store(path, {"a": np.ones(100)}, {})
    assert not old.arrays["a"].any()
    path.unlink()
    assert not old.arrays["a"].any()


# --- read-only, shared, nothing open


def test_writing_to_an_array_raises(written):
    for name, array in open_store(written).arrays.items():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        assert not array.flags.owndata, name


@ON_LINUX
def test_no_file_stays_open(written):
    stored = open_store(written)
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert str(written) not in opened
    assert stored.arrays["starts"][7] == 7


@ON_LINUX
def test_the_map_lasts_as_long_as_one_of_its_arrays(written):
    def is_mapped():
        gc.collect()
        return str(written) in Path("/proc/self/maps").read_text()

    stored = open_store(written)
    starts = stored.arrays["starts"][3:]
    del stored
    assert is_mapped()
    assert starts[0] == 3
    del starts
    assert not is_mapped()


@ON_LINUX
def test_a_refused_store_is_not_mapped(written):
    data = bytearray(written.read_bytes())
    data[-1] ^= 1
    written.write_bytes(data)
    with pytest.raises(StoreError):
        open_store(written)
    gc.collect()
    assert str(written) not in Path("/proc/self/maps").read_text()


def memory_of(path):
    """Return {field: kB} of the map of a file, in the words of proc(5)'s smaps."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    next(line for line in lines if line.endswith(str(path)))
    fields = (line.split() for line, _ in zip(lines, range(20), strict=False))
    return {field[0].rstrip(":"): int(field[1]) for field in fields if field[-1] == "kB"}


def in_a_child(function):
    """Return what `function` returns in a forked child."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, pickle.dumps(function()))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    return answer


@ON_LINUX
def test_processes_share_one_copy(path):
    write_store(path, {"a": np.ones(MIB)}, {})
    array = open_store(path).arrays["a"]

    def read():
        assert array.sum() == open_store(path).arrays["a"].sum() == MIB
        return memory_of(path)

    memory = in_a_child(read)
    assert memory["Rss"] >= array.nbytes / 1024
    assert memory["Private_Dirty"] == 0
    assert memory["Pss"] <= memory["Rss"] / 2


def test_arrays_can_be_used_until_the_interpreter_ends(written):
    code = (
        "import atexit, sys; from pathlib import Path; from forkmaps.cache.store import open_store\n"
        "atexit.register(lambda: print(array.sum()))\n"
        "array = open_store(Path(sys.argv[1])).arrays['starts']\n"
    )
    done = subprocess.run([sys.executable, "-c", code, written], check=True, capture_output=True, text=True)
    assert done.stdout == "780\n"


# --- damage


def test_every_damaged_byte_of_the_head_is_found(written):
    whole = written.read_bytes()
    for i in range(store._HEAD_BYTES + store._PREAMBLE.unpack_from(whole)[2]):
        damaged = bytearray(whole)
        damaged[i] ^= 1 << i % 8
        written.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"a\.store: .*; "):
            open_store(written)


damage = st.one_of(
    st.tuples(st.just("change"), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True), st.just(b"")),
    st.tuples(st.just("append"), st.just(1.0), st.binary(min_size=1, max_size=5)),
    st.tuples(st.just("zero"), st.floats(0, 1, exclude_max=True), st.just(b"")),
    st.tuples(st.just("insert"), st.floats(0, 1), st.binary(min_size=1, max_size=5)),
)


def damaged(data, how, where, content):
    at = int(where * len(data))
    match how:
        case "change":
            return (data[:at] + content + data[at + len(content) :])[: len(data)]
        case "zero":
            return data[:at].ljust(len(data), b"\0")
        case "cut":
            return data[:at]
    return data[:at] + content + data[at:]


@settings(max_examples=300, deadline=None)
@given(damage)
def test_a_damaged_store_gives_an_error_or_the_right_arrays(kind):
    arrays = {"a": np.arange(3000, dtype=np.float32), "b": np.arange(7, dtype=np.int8), "empty": np.empty(0)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        write_store(path, arrays, {"a": 1})
        path.write_bytes(damaged(path.read_bytes(), *kind))
        try:
            stored = open_store(path)
        except StoreError:
            return
        assert_same(stored.arrays, arrays)
        assert stored.meta == {"a": 1}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_are_taken_for_a_store(content, with_magic):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(store._MAGIC + content if with_magic else content)
        with pytest.raises(StoreError):
            open_store(path)


def test_an_unverified_store_is_still_checked_in_its_head(written):
    data = bytearray(written.read_bytes())
    data[-1] ^= 1
    written.write_bytes(data)
    open_store(written, verify=False)
    data[60] ^= 1
    written.write_bytes(data)
    with pytest.raises(StoreError, match="index doesn't agree"):
        open_store(written, verify=False)


def test_a_damaged_array_is_named(written):
    data = bytearray(written.read_bytes())
    data[data.index(np.arange(40, dtype="<i8").tobytes()) + 9] ^= 1
    written.write_bytes(data)
    with pytest.raises(
        StoreError, match=r"a\.store: is damaged: array 'starts' .*; remove it and make it anew"
    ):
        open_store(written)


def test_a_store_cut_off_says_so(written):
    size = written.stat().st_size
    os.truncate(written, size - 1)
    with pytest.raises(StoreError, match=f"has {size - 1} bytes where it says {size}"):
        open_store(written)


def test_a_foreign_file_is_named_as_such(path):
    path.write_bytes(pickle.dumps(list(range(100))))
    with pytest.raises(StoreError, match=r"isn't a store, it begins with .*; check the path"):
        open_store(path)


def test_an_empty_file_is_no_store(path):
    path.touch()
    with pytest.raises(StoreError, match="has only 0 bytes"):
        open_store(path)


def test_a_newer_format_asks_for_an_update(path):
    forged(path, entry(), version=store.FORMAT_VERSION + 1)
    with pytest.raises(
        StoreError, match=r"is in format 2 where this forkmaps reads format 1; update forkmaps"
    ):
        open_store(path)


def test_an_older_format_asks_for_a_new_store(path):
    forged(path, entry(), version=0)
    with pytest.raises(StoreError, match=r"format 0 .*; remove it and make it anew"):
        open_store(path)


def test_a_missing_file_is_a_store_error_caused_by_the_system(path):
    with pytest.raises(StoreError, match="can't be opened: No such file") as caught:
        open_store(path)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert isinstance(caught.value, ForkmapsError)


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="can't be opened: Is a directory"):
        open_store(tmp_path)


# --- an index that lies, with right checksums


def test_a_forged_store_is_read_like_another(path):
    forged(path, entry())
    assert_same(open_store(path).arrays, {"a": np.zeros(16, np.float32)})


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "|O"},
        {"dtype": "<c8"},
        {"dtype": ">f4"},
        {"dtype": ["<f4"]},
        {"shape": [17]},
        {"shape": [-16]},
        {"shape": [4.0, 4.0]},
        {"shape": [True]},
        {"shape": ["16"]},
        {"shape": 16},
        {"shape": None},
        {"shape": [2**40, 2**40]},
        {"shape": [0, 2**80]},
        {"shape": [1] * 100},
        {"offset": 64},
        {"offset": -4},
        {"offset": 0.0},
        {"offset": 2**70},
        {"crc32": "00000000"},
        {"crc32": None},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_entry_that_cannot_be_is_refused(path, changes):
    forged(path, entry(**changes))
    with pytest.raises(StoreError, match=r"a\.store: .*; remove it"):
        open_store(path)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        [],
        {"arrays": {}},
        {"arrays": [], "meta": {}},
        {"arrays": {}, "meta": 1},
        {"arrays": {"a": 1}, "meta": {}},
        {"arrays": {"a": {}}, "meta": {}},
    ],
    ids=lambda index: str(index)[:40],
)
def test_an_index_of_another_form_is_refused(path, index):
    forged(path, index)
    with pytest.raises(StoreError, match="has an index"):
        open_store(path)


def test_an_index_longer_than_the_file_is_refused(path):
    forged(path, entry())
    data = bytearray(path.read_bytes())
    data[12:16] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(StoreError, match="index doesn't agree"):
        open_store(path)
