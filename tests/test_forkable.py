"""What is looked at before a fork, and what is put right after it. Faults: faults/test_forking.py."""

from __future__ import annotations

import _thread
import fcntl
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from forkmaps.errors import ForkUnsafe
from forkmaps.pool import Done, Pool, forkable, nativethreads
from forkmaps.pool.forkable import after_fork, check_forkable, own_offsets, reset_fonts

pytestmark = pytest.mark.timeout(60)

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def run_script(script: str, **environment: str) -> Any:
    """Run a script in a process of its own, and return the JSON that it prints."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=40, check=False, env={**os.environ, **environment}
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def in_worker(function: Callable[[], Any], **options: Any) -> Any:
    """Call a function in one forked worker, and return its value."""
    with Pool(lambda _: function(), workers=1, timeout=20, **options) as pool:
        (outcome,) = pool.run([0])
    assert isinstance(outcome, Done), outcome
    return outcome.value


def call(function: Callable[[], None]) -> None:
    function()


@contextmanager
def a_thread(target: Callable[..., object] = call, name: str = "loader") -> Iterator[None]:
    """Keep a thread running, started with a function that calls what it is given."""
    begun, end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        end.wait()

    thread = threading.Thread(target=target, args=(wait,), name=name)
    thread.start()
    assert begun.wait(10)
    try:
        yield
    finally:
        end.set()
        thread.join()


def function_of(module: str) -> Callable[[Callable[[], None]], None]:
    """Make a function of another module that calls what it is given."""
    names: dict[str, Any] = {"__name__": module}
    exec("def work(wait): wait()", names)
    function: Callable[[Callable[[], None]], None] = names["work"]
    return function


# Threads


def test_a_process_with_one_thread_can_be_forked() -> None:
    check_forkable()


def test_a_thread_is_named_with_what_it_runs_and_the_way_out() -> None:
    with (
        a_thread(),
        pytest.raises(ForkUnsafe, match=r'"loader" is running \(\S+\.call\).*end it first') as info,
    ):
        check_forkable()
    assert "workers=0" in str(info.value)
    check_forkable()


def test_an_idle_executor_is_named() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as executor:
        executor.submit(int).result()
        with pytest.raises(ForkUnsafe, match=r"reader_0.*concurrent\.futures\.thread\._worker.*shutdown"):
            check_forkable()


def test_a_thread_without_a_name_is_found() -> None:
    lock, begun = threading.Lock(), threading.Event()

    def wait() -> None:
        begun.set()
        with lock:
            pass

    with lock:
        ident = _thread.start_new_thread(wait, ())
        assert begun.wait(10)
        with pytest.raises(ForkUnsafe, match=f'"{ident}" is running'):
            check_forkable()
    while ident in sys._current_frames():
        time.sleep(0.001)


def test_all_obstacles_are_told_at_once() -> None:
    with (
        a_thread(name="one"),
        a_thread(name="two"),
        pytest.raises(ForkUnsafe, match=r'(?s)"one".*"two"|"two".*"one"'),
    ):
        check_forkable()


@pytest.mark.parametrize("module", ["ipykernel.iostream", "IPython.core.history", "execnet.gateway_base"])
def test_threads_of_notebooks_and_test_runners_are_tolerated(module: str) -> None:
    with a_thread(function_of(module)):
        check_forkable()


@pytest.mark.parametrize("module", ["ipykernels", "dask.threaded"])
def test_other_threads_are_not(module: str) -> None:
    with a_thread(function_of(module)), pytest.raises(ForkUnsafe, match=rf"\({module}\.work\)"):
        check_forkable()


def test_the_monitor_of_tqdm_is_ended() -> None:
    from tqdm import tqdm

    interval = tqdm.monitor_interval
    tqdm.monitor_interval = 10
    try:
        with tqdm(range(3), file=open(os.devnull, "w")) as bar:
            assert "tqdm_monitor" in [thread.name for thread in threading.enumerate()]
            check_forkable()
        bar.fp.close()
    finally:
        tqdm.monitor_interval = interval
    assert "tqdm_monitor" not in [thread.name for thread in threading.enumerate()]


def test_p15_a_pool_in_a_thread_of_a_bigger_program_says_why_not() -> None:
    caught: list[str] = []

    def draw() -> None:
        try:
            in_worker(int, before_fork=check_forkable, start_method="fork")
        except ForkUnsafe as error:
            caught.append(str(error))

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert "draw in the main thread" in caught[0]


# The system


@pytest.mark.parametrize(("system", "named"), [("darwin", "macOS"), ("linux", None), ("freebsd14", None)])
def test_macos_is_named(monkeypatch: pytest.MonkeyPatch, system: str, named: str | None) -> None:
    monkeypatch.setattr(sys, "platform", system)
    found = list(forkable.wrong_systems())
    assert [named in one for one in found if named] == [True] * bool(named)


def test_a_system_that_can_not_fork_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ForkUnsafe, match=r"this system \(win32\) can't fork"):
        check_forkable()


# Arrays


def test_arrays_are_frozen() -> None:
    array = np.zeros((2, 3))
    check_forkable([array])
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


# Libraries


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("_polars_runtime.abi3.so", "Polars"),
        ("libjax_common.so", "JAX"),
        ("xla_extension.so", "XLA"),
        ("cygrpc.cpython-311-x86_64-linux-gnu.so", "gRPC"),
        ("libcuda.so.1", "CUDA"),
    ],
)
def test_a_library_that_hangs_children_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, file: str, name: str
) -> None:
    monkeypatch.setattr(forkable, "native_threads", lambda: {1: f"/x/{file}", 2: f"/x/{file}", 3: None})
    with pytest.raises(ForkUnsafe, match=f"threads are running of {name}") as info:
        check_forkable()
    assert str(info.value).count(name) == str(info.value).count(f"of {name}")  # once
    with caplog.at_level(logging.DEBUG, "forkmaps"):
        check_forkable(foreign_code=False)
    assert name in caplog.text


def test_an_unknown_library_with_threads_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forkable, "native_threads", lambda: {1: "/x/libodd.so"})
    with caplog.at_level(logging.DEBUG, "forkmaps"):
        check_forkable()
    assert "threads are running of /x/libodd.so" in caplog.text


def test_a_gdal_that_can_not_be_asked_has_no_rasters() -> None:
    assert forkable.open_datasets("/no/libgdal.so") == []
    assert forkable.open_datasets("libc.so.6") == []


THREADS_OF_GDAL = """
    import json, numpy, rasterio, sys
    from pathlib import Path
    from forkmaps.pool.forkable import check_forkable, open_datasets, threaded_libraries
    from forkmaps.pool.nativethreads import native_threads

    def make(path):
        profile = dict(driver="GTiff", width=512, height=512, count=1, dtype="float32", compress="deflate")
        profile |= dict(tiled=True, blockxsize=128, blockysize=128, transform=rasterio.Affine.scale(2))
        with rasterio.open(path, "w", **profile) as file:
            file.write(numpy.random.default_rng(0).random((1, 512, 512), dtype="float32"))

    make(sys.argv[1])
    raster = rasterio.open(sys.argv[1], num_threads=2)
    raster.read()
    libraries = [path for path in native_threads().values() if path and "libgdal" in path]
    before = list(threaded_libraries()), open_datasets(libraries[0])
    raster.close()
    after = list(threaded_libraries()), open_datasets(libraries[0])
    print(json.dumps([len(libraries), before, after]))
"""


@LINUX
def test_threads_of_gdal_are_known_and_rasters_that_it_holds_named(tmp_path: Path) -> None:
    path = str(tmp_path / "a b.tif")
    script = textwrap.dedent(THREADS_OF_GDAL).replace("sys.argv[1]", repr(path))
    count, before, after = run_script(script)
    assert count >= 1
    assert len(before[0]) == 1
    assert before[0][0].startswith(f'"{path}" is open')
    assert before[1] == [path]
    assert after == [[], []]


@LINUX
def test_threads_of_openblas_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
        import json, numpy
        from forkmaps.pool.nativethreads import native_threads
        a = numpy.ones((600, 600)); a @ a
        print(json.dumps(list(native_threads().values())))
    """
    found = run_script(script, OPENBLAS_NUM_THREADS="2")
    if not any("openblas" in pool["internal_api"] for pool in threadpoolctl.threadpool_info()):
        pytest.skip("this numpy has another BLAS")
    assert [path for path in found if path is None or "openblas" in path] == found


def test_where_the_system_tells_nothing_there_are_no_native_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nativethreads, "THREADS", Path("/no/such/folder"))
    assert nativethreads.native_threads() == {}


@LINUX
def test_a_thread_that_can_not_be_looked_at_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for thread, text in ("900001", "running\n"), ("900002", "202 0x0 0x1 0x7\n"), ("900003", "what?\n"):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "syscall").write_text(text)
    (tmp_path / "900004").mkdir()
    monkeypatch.setattr(nativethreads, "THREADS", tmp_path)
    assert nativethreads.native_threads() == dict.fromkeys(range(900001, 900005))


def test_a_thread_belongs_to_the_library_that_started_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starts = {
        0x1000: "/x/libcalled.so",
        0x2000: "/x/libowner.so",
        0x3000: "/x/libstdc++.so.6",
        0x4000: "[vdso]",
    }
    code = [nativethreads.Code(start, start + 0x100, path) for start, path in starts.items()]
    stack = [0x1010, 0x2020, 7, 0x2150, 0x3030, 0x4040, 2**64 - 1]  # innermost first
    (tmp_path / "900001").mkdir()
    monkeypatch.setattr(nativethreads, "THREADS", tmp_path)
    monkeypatch.setattr(nativethreads, "loaded_code", lambda: code)
    monkeypatch.setattr(nativethreads, "_stack", lambda _: b"".join(map(nativethreads.WORD.pack, stack)))
    assert nativethreads.native_threads() == {900001: "/x/libowner.so"}


def test_a_check_is_cheap() -> None:
    arrays = [np.zeros(10) for _ in range(100)]
    with threadpoolctl.threadpool_limits(2):
        np.ones((600, 600)) @ np.ones((600, 600))
    seconds = []
    for _ in range(10):
        begin = time.perf_counter()
        check_forkable(arrays)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05  # 0.1 to 3 ms were measured


# Files


@LINUX
def test_own_offsets_part_the_files_that_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(100)))
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    os.lseek(file, 10, os.SEEK_SET)
    try:
        assert in_worker(lambda: os.read(file, 5), after_fork=own_offsets) == bytes(range(10, 15))
        assert os.lseek(file, 0, os.SEEK_CUR) == 10
        assert in_worker(lambda: os.read(file, 5)) == bytes(range(10, 15))
        assert os.lseek(file, 0, os.SEEK_CUR) == 15  # as it is without
    finally:
        os.close(file)


@LINUX
def test_own_offsets_find_a_file_that_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc")
    with open(path, "rb", buffering=0) as file:
        path.unlink()
        assert in_worker(lambda: file.read(2), after_fork=own_offsets) == b"ab"
        assert file.tell() == 0


@LINUX
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
def test_own_offsets_leave_files_alone_that_are_written(tmp_path: Path, flags: int) -> None:
    path = tmp_path / "log"
    file = os.open(path, flags | os.O_CREAT)
    try:
        os.write(file, b"parent ")
        in_worker(lambda: os.write(file, b"child "), after_fork=own_offsets)
        os.write(file, b"parent")
    finally:
        os.close(file)
    assert path.read_bytes() == b"parent child parent"


@LINUX
@pytest.mark.parametrize("inherited", [True, False])
def test_own_offsets_keep_whether_a_file_is_inherited(tmp_path: Path, inherited: bool) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc")
    with open(path, "rb") as file:
        os.set_inheritable(file.fileno(), inherited)
        assert in_worker(lambda: os.get_inheritable(file.fileno()), after_fork=own_offsets) == inherited


@LINUX
def test_own_offsets_leave_no_descriptor_behind(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc")

    def count() -> tuple[int, int, int]:
        before = len(os.listdir("/proc/self/fd"))
        return before, own_offsets(), len(os.listdir("/proc/self/fd"))

    with open(path, "rb"):
        before, opened, after = in_worker(count)
    assert opened >= 1
    assert before == after


@LINUX
def test_own_offsets_pass_over_files_that_can_not_be_opened_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc")

    def refuse(*_: object) -> None:
        raise PermissionError

    with open(path, "rb", buffering=0) as file:
        monkeypatch.setattr(fcntl, "fcntl", refuse)
        assert own_offsets() == 0
        assert file.read() == b"abc"


# Threads in children


def test_children_use_one_thread() -> None:
    def look() -> tuple[str, list[int]]:
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        return os.environ["GDAL_NUM_THREADS"], pools

    before = os.environ.get("GDAL_NUM_THREADS")
    variable, pools = in_worker(look, after_fork=after_fork)
    assert variable == "1"
    assert set(pools) <= {1}
    assert os.environ.get("GDAL_NUM_THREADS") == before


def test_children_use_one_thread_of_gdal_whatever_an_env_says() -> None:
    import pyogrio
    import rasterio
    import rasterio.env

    def look() -> tuple[Any, Any]:
        with rasterio.Env():
            pass  # its end sets anew what was set before
        return rasterio.env.getenv()["GDAL_NUM_THREADS"], pyogrio.get_gdal_config_option("GDAL_NUM_THREADS")

    pyogrio.set_gdal_config_options({"GDAL_NUM_THREADS": 2})
    try:
        with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
            assert in_worker(look, after_fork=after_fork) == (1, 1)
            assert look() == ("ALL_CPUS", 2)
    finally:
        pyogrio.set_gdal_config_options({"GDAL_NUM_THREADS": None})


# Fonts


def draw_a_formula() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "$x^2$")
    FigureCanvasAgg(figure).draw()


def fonts_kept() -> list[bool]:
    return [cached.cache_info().currsize > 0 for cached in forkable.font_caches()]


def test_reset_fonts_empties_what_keeps_fonts() -> None:
    draw_a_formula()
    assert fonts_kept() == [True, True]
    reset_fonts()
    assert fonts_kept() == [False, False]


def test_children_begin_without_fonts() -> None:
    draw_a_formula()
    assert in_worker(fonts_kept, after_fork=after_fork) == [False, False]
    assert fonts_kept() == [True, True]


def test_nothing_heavy_is_imported_for_a_child() -> None:
    script = """
        import json, sys
        from forkmaps.pool.forkable import after_fork, check_forkable
        check_forkable(); after_fork()
        print(json.dumps(sorted({"matplotlib", "rasterio", "pyogrio", "tqdm"} & set(sys.modules))))
    """
    assert run_script(script) == []


# The pool's hooks


def test_before_fork_is_called_here_before_each_fork_and_after_fork_there_before_all() -> None:
    before: list[int] = []
    steps: list[str] = []

    def die_once(job: int) -> list[str]:
        if job == 0 and len(before) == 1:
            os._exit(1)
        return steps

    options: dict[str, Any] = {
        "before_fork": lambda: before.append(os.getpid()),
        "after_fork": lambda: steps.append("after_fork"),
        "prepare": lambda: steps.append("prepare"),
    }
    with Pool(die_once, workers=1, **options) as pool:
        values = [outcome.value for outcome in pool.run(range(3)) if isinstance(outcome, Done)]
    assert values == [["after_fork", "prepare"]] * 3
    assert before == [os.getpid()] * 2
    assert steps == []


def test_without_workers_no_hook_is_called() -> None:
    def fail() -> None:
        raise AssertionError

    with Pool(abs, workers=0, before_fork=fail, after_fork=fail) as pool:
        assert [outcome.value for outcome in pool.run([-1]) if isinstance(outcome, Done)] == [1]


def test_an_unsafe_process_is_told_and_nothing_forked() -> None:
    with a_thread(), Pool(abs, workers=2, before_fork=check_forkable, start_method="fork") as pool:
        with pytest.raises(ForkUnsafe, match="loader"):
            list(pool.run([1, 2, 3]))
        assert pool.report() == ()


def test_where_a_worker_can_not_be_replaced_the_others_do_the_work(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    calls: list[int] = []
    died, refused = tmp_path / "died", tmp_path / "refused"

    def unsafe_from_now_on() -> None:
        calls.append(1)
        if len(calls) > 2:
            refused.touch()
            raise ForkUnsafe("a thread was started")

    def die_at_three(job: int) -> int:
        if job == 3 and not died.exists():
            died.touch()
            os._exit(1)
        while job > 10 and not refused.exists():
            time.sleep(0.001)
        return job

    options: dict[str, Any] = {"before_fork": unsafe_from_now_on, "start_method": "fork"}
    with Pool(die_at_three, workers=2, timeout=20, **options) as pool:
        done = sorted(outcome.value for outcome in pool.run(range(40)) if isinstance(outcome, Done))
    assert done == list(range(40))
    assert caplog.text.count("a thread was started") == 1


def test_where_none_is_left_the_reason_is_raised() -> None:
    calls: list[int] = []

    def unsafe_from_now_on() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise ForkUnsafe("a thread was started")

    with (
        Pool(lambda _: os._exit(1), workers=1, before_fork=unsafe_from_now_on) as pool,
        pytest.raises(ForkUnsafe, match="a thread was started"),
    ):
        list(pool.run([1]))
