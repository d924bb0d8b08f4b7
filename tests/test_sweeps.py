"""Sweeps: each combination's figure in a file of its own, from its own part of the data."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure
from PIL import Image

from forkmaps.errors import DrawingError, OutputError, StyleError
from forkmaps.sweeps import sweep

K0, NU = [0.1, 0.25], [1e-3, 2e-4, 5e-5]


@pytest.fixture(autouse=True)
def in_memory():
    """Draw without windows, and close what a test leaves open."""
    mpl.use("agg")
    yield
    plt.close("all")


def run(draw, parameters, out, data=None, **options):
    return sweep(draw, parameters, out, data, **{"show_progress": False, "workers": 2, **options})


def shade(number):
    """A picture that tells a number up to 255."""
    return np.full((2, 3, 3), number, np.uint8)


def shades(folder, pattern="**/*.png"):
    """The numbers that pictures tell, by their files' names."""
    return {str(path.relative_to(folder)): int(read(path).max()) for path in sorted(folder.glob(pattern))}


def read(file):
    with Image.open(file) as picture:
        return np.asarray(picture)


def field(**coordinates):
    """An array of whole numbers with coordinates."""
    sizes = [len(values) for values in coordinates.values()]
    return xarray.DataArray(
        np.arange(np.prod(sizes)).reshape(sizes), coords=coordinates, dims=list(coordinates)
    )


def drawn(number):
    def draw(*data, **parameters):
        return shade(number(*data, **parameters))

    return draw


def test_each_combination_has_a_file_in_nested_folders(tmp_path):
    def draw(k0, nu):
        return shade(round(k0 * 100) + round(nu * 1e5))

    report = run(draw, {"k0": K0, "nu": NU}, tmp_path, file="k0={k0:.2f}/rc-{nu:.3e}.png")
    assert shades(tmp_path) == {
        "k0=0.10/rc-1.000e-03.png": 110,
        "k0=0.10/rc-2.000e-04.png": 30,
        "k0=0.10/rc-5.000e-05.png": 15,
        "k0=0.25/rc-1.000e-03.png": 125,
        "k0=0.25/rc-2.000e-04.png": 45,
        "k0=0.25/rc-5.000e-05.png": 30,
    }
    assert (report.figures, report.failed, report.skipped) == (6, 0, 0)
    assert report.outputs[1] == str(tmp_path / "k0=0.10" / "rc-2.000e-04.png")
    assert report.summary().startswith("6 figures in ")


def test_a_hundred_figures_land_in_nested_folders(tmp_path):
    parameters = {"a": range(5), "b": range(5), "c": range(4)}
    report = run(lambda a, b, c: shade(100 + a + 10 * b + c), parameters, tmp_path)
    assert report.figures == 100
    found = shades(tmp_path)
    assert len(found) == 100
    assert found["a=4/b=3/c=2.png"] == 136


def test_a_figure_is_the_one_that_matplotlib_saves(tmp_path):
    def draw(k0):
        figure = Figure(figsize=(3, 2), dpi=60)
        figure.add_subplot(title=f"$k_0$ = {k0}").plot([0, k0])
        return figure

    run(draw, {"k0": K0}, tmp_path)
    expected = io.BytesIO()
    draw(0.25).savefig(expected, format="png")
    np.testing.assert_array_equal(read(tmp_path / "k0=0.25.png"), read(expected)[:, :, :3])


def test_pyplots_figures_are_saved_and_closed_in_whatever_process(tmp_path):
    before = plt.figure()

    def draw(number):
        assert plt.get_fignums() == []
        plt.subplots(figsize=(1, 1), dpi=50)

    report = run(draw, {"number": range(30)}, tmp_path, workers=0)
    assert report.figures == 30
    assert plt.get_fignums() == [before.number]
    assert run(draw, {"number": range(5)}, tmp_path, workers=2).figures == 5


@pytest.mark.parametrize(("suffix", "start"), [("webp", b"RIFF"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_other_formats_are_written(tmp_path, suffix, start):
    run(lambda k0: Figure((1, 1)), {"k0": [1]}, tmp_path, file=f"{{k0}}.{suffix}")
    assert (tmp_path / f"1.{suffix}").read_bytes().startswith(start)


def test_the_resolution_can_be_given(tmp_path):
    run(lambda k0: Figure((2, 1), dpi=50), {"k0": [1]}, tmp_path, dpi=70)
    assert read(tmp_path / "k0=1.png").shape == (70, 140, 3)


def test_of_a_labelled_array_the_parameters_that_are_dimensions_select(tmp_path):
    data = field(member=["a", "b"], lat=[50.0, 52.0, 54.0], x=[0, 1])

    def draw(selected, member, lat, factor):
        assert selected.dims == ("x",)
        return shade(int(selected.max()) * factor)

    parameters = {"member": ["b", "a"], "lat": [51.9, 54.4], "factor": [1, 10]}
    run(draw, parameters, tmp_path, data, file="{member}-{lat:.0f}-{factor}.png")
    assert shades(tmp_path) == {
        "a-52-1.png": 3,
        "a-52-10.png": 30,
        "a-54-1.png": 5,
        "a-54-10.png": 50,
        "b-52-1.png": 9,
        "b-52-10.png": 90,
        "b-54-1.png": 11,
        "b-54-10.png": 110,
    }


def test_a_set_of_arrays_is_selected_from_too(tmp_path):
    data = xarray.Dataset({"u": field(step=[0, 6]), "v": field(step=[0, 6]) + 10})
    run(drawn(lambda selected, step: int(selected.u + selected.v)), {"step": [6]}, tmp_path, data)
    assert shades(tmp_path) == {"step=6.png": 12}


def test_times_select_and_can_be_formatted(tmp_path):
    times = np.array(["2026-01-01T06", "2026-01-01T12"], "datetime64[ns]")
    data = field(time=times)
    run(drawn(lambda one, time: int(one) + 1), {"time": times}, tmp_path, data, file="{time:%Y%m%d/%H}.png")
    assert shades(tmp_path) == {"20260101_06.png": 1, "20260101_12.png": 2}


def test_the_selection_is_made_in_the_worker(tmp_path):
    class Told(xarray.DataArray):
        __slots__ = ()

        def sel(self, *arguments, **options):
            with open(tmp_path / "pids", "a") as file:
                file.write(f"{os.getpid()} ")
            return super().sel(*arguments, **options)

        def __reduce__(self):
            raise AssertionError("the data was pickled")

    report = run(drawn(lambda one, x: int(one)), {"x": [0, 1, 2]}, tmp_path / "out", Told(field(x=[0, 1, 2])))
    assert report.figures == 3
    pids = set(map(int, (tmp_path / "pids").read_text().split()))
    assert os.getpid() not in pids


def test_what_a_figure_changes_in_its_data_raises_and_changes_no_other(tmp_path):
    data = field(x=[0, 1], y=[0, 1, 2])

    def draw(selected, x):
        selected += 100
        return shade(1)

    report = run(draw, {"x": [0, 1]}, tmp_path, data, workers=0)
    assert report.failed == 2
    assert "read-only" in report.failures[0].error
    assert data.values.max() == 5
    data[0, 0] = 7  # the user's own array stays writable


def test_any_other_data_is_handed_on_whole(tmp_path):
    run(drawn(lambda data, x: data["offset"] + x), {"x": [1, 2]}, tmp_path, {"offset": 50})
    assert shades(tmp_path) == {"x=1.png": 51, "x=2.png": 52}


def test_a_failing_figure_is_reported_and_stops_no_other(tmp_path):
    def draw(x):
        if x == 1:
            raise ValueError("no such field")
        if x == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return None if x == 3 else shade(x)

    report = run(draw, {"x": range(5)}, tmp_path)
    assert (report.figures, report.failed) == (2, 3)
    by_x = {failure.parameters["x"]: failure for failure in report.failures}
    assert by_x[1].error == "ValueError: no such field"
    assert "in draw" in by_x[1].traceback
    assert (by_x[2].cause, by_x[2].signal, by_x[2].attempts) == ("died", "SIGKILL", 3)
    assert "returned nothing, and made no figure" in by_x[3].error
    assert by_x[1].path == str(tmp_path / "x=1.png")
    assert sorted(shades(tmp_path)) == ["x=0.png", "x=4.png"]
    assert "\nfailed: x=2: killed by SIGKILL" in report.summary()


def test_a_figure_that_takes_too_long_is_given_up(tmp_path):
    def draw(x):
        while x == 1:
            pass
        return shade(x)

    report = run(draw, {"x": [0, 1]}, tmp_path, timeout=0.5)
    assert [(one.parameters, one.cause) for one in report.failures] == [({"x": 1}, "timeout")]


def test_existing_files_are_skipped_on_demand_and_else_drawn_anew(tmp_path):
    run(lambda x: shade(1), {"x": [0, 1]}, tmp_path)
    (tmp_path / "x=1.png").unlink()
    report = run(lambda x: shade(2), {"x": [0, 1]}, tmp_path, skip_existing=True)
    assert (report.figures, report.skipped) == (1, 1)
    assert shades(tmp_path) == {"x=0.png": 1, "x=1.png": 2}
    assert "1 were there" in report.summary()
    run(lambda x: shade(3), {"x": [0, 1]}, tmp_path)
    assert shades(tmp_path) == {"x=0.png": 3, "x=1.png": 3}


def test_a_sweep_that_was_stopped_leaves_nothing_behind_and_can_be_finished(tmp_path):
    parent = os.getpid()

    def draw(x):
        if x == 6:
            os.kill(parent, signal.SIGINT)
        return shade(x)

    with pytest.raises(KeyboardInterrupt):
        run(draw, {"x": range(60)}, tmp_path)
    done = shades(tmp_path)
    assert 0 < len(done) < 60
    report = run(lambda x: shade(100), {"x": range(60)}, tmp_path, skip_existing=True)
    assert (report.skipped, report.figures) == (len(done), 60 - len(done))
    assert {name: value for name, value in shades(tmp_path).items() if value != 100} == done


def test_a_full_disk_stops_the_sweep(tmp_path):
    code = f"""
        import resource, signal, numpy as np
        from forkmaps.sweeps import sweep
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def draw(x):
            if x == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            return np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8)
        sweep(draw, {{"x": range(100)}}, {str(tmp_path)!r}, workers=1)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("forkmaps.errors.DiskFullError")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["x=0.png", "x=1.png", "x=2.png"]


def test_another_run_in_the_folder_is_refused(tmp_path):
    def draw(x):
        sweep(lambda y: shade(1), {"y": [1]}, tmp_path, show_progress=False, workers=0)

    report = run(draw, {"x": [1]}, tmp_path)
    assert "is writing here" in report.failures[0].error


@pytest.mark.parametrize(
    ("parameters", "options", "error", "told"),
    [
        ({}, {}, DrawingError, "no parameters"),
        ({"a": [1], "b": []}, {}, DrawingError, "no values for b"),
        ({"a": 3}, {}, DrawingError, "a=3 is one value; give a list"),
        ({"a": "xyz"}, {}, DrawingError, "a='xyz' is one value; give a list"),
        ({"nu": NU}, {"file": "{nu:.0f}.png"}, OutputError, "nu=0.0002"),
        ({"a": [1, 2], "b": [1, 2]}, {"file": "{a}.png"}, OutputError, r"put \{b\} into it"),
        ({"nu": NU}, {"file": "{mu}.png"}, StyleError, "no parameter {mu}; there are nu"),
        ({"nu": ["x"]}, {"file": "{nu:.3e}.png"}, StyleError, 'a value like "x"'),
        ({"nu": NU}, {"file": "{nu}"}, OutputError, "must end with one of"),
        ({"nu": NU}, {"file": "../{nu}.png"}, OutputError, "isn't a path below the folder"),
    ],
)
def test_what_makes_no_sweep_is_told_before_anything_is_drawn(tmp_path, parameters, options, error, told):
    out = tmp_path / "out"
    with pytest.raises(error, match=told):
        run(lambda **parameters: shade(1), parameters, out, **options)
    assert not out.exists()


def test_a_value_never_makes_a_folder_or_leaves_the_one_given(tmp_path):
    run(lambda name: shade(5), {"name": ["../up", "a/b", "-rf"]}, tmp_path / "out", file="{name}.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_rf.png", "_up.png", "a_b.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("coordinate", "value", "told"),
    [
        ([0.0, 1.0, 3.0], 4.1, "x=4.1 is not on the data's coordinate, which goes from 0.0 to 3.0"),
        ([0.0, 1.0, 3.0], float("nan"), "x=nan is not on"),
        ([0, 1], 2, "x=2 is not on the data's coordinate: 0, 1$"),
        (list("abcdefgh"), "z", "x=z is not on the data's coordinate: a, b, c, d, e, f and 2 more"),
    ],
)
def test_a_value_off_the_coordinate_is_told_before_anything_is_drawn(tmp_path, coordinate, value, told):
    with pytest.raises(DrawingError, match=told):
        run(lambda one, x: shade(1), {"x": [coordinate[0], value]}, tmp_path / "out", field(x=coordinate))
    assert not (tmp_path / "out").exists()


def test_a_dimension_without_a_coordinate_is_selected_by_position(tmp_path):
    data = xarray.DataArray(np.arange(10, 13), dims="x")
    run(drawn(lambda one, x: int(one)), {"x": [0, 2]}, tmp_path, data)
    assert shades(tmp_path) == {"x=0.png": 10, "x=2.png": 12}
    for value in (3, 0.5, "a"):
        with pytest.raises(DrawingError, match="no coordinate x; give positions, whole numbers from 0 to 2"):
            run(drawn(lambda one, x: int(one)), {"x": [value]}, tmp_path, data)


def test_progress_and_failures_are_told_on_stderr(tmp_path, capfd):
    def draw(x):
        return shade(x) if x else 1 / 0

    run(draw, {"x": [0, 1]}, tmp_path, show_progress=True)
    told = capfd.readouterr().err
    assert "failed: x=0: ZeroDivisionError" in told
    assert "2/2 figures" in told


def test_nothing_warns(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(lambda x: plt.plot([1, 2]), {"x": [0, 1]}, tmp_path)
    assert len(list(tmp_path.glob("*.png"))) == 2


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_that_are_not_forked_from_this_process_draw_the_same(tmp_path, method):
    data = field(x=[0, 1, 2], y=[0, 1])

    def draw(selected, x):
        _, axes = plt.subplots(figsize=(2, 1))
        axes.plot(selected.y, selected)

    with mpl.rc_context({"lines.linewidth": 4.0}):
        for folder, options in (("here", {"start_method": "fork"}), ("there", {"start_method": method})):
            assert run(draw, {"x": [0, 2]}, tmp_path / folder, data, **options).failed == 0
    for path in (tmp_path / "here").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("a.png", r'^sweep: file template "a.png" gives 6 figures one file; put \{k\}, \{n\} into it$'),
        ("{k}.png", r'^sweep: file template "{k}.png" gives 6 figures 3 files; put \{n\} into it$'),
    ],
)
def test_a_template_that_tells_no_figures_apart_is_told_in_a_line(tmp_path, file, told):
    with pytest.raises(OutputError, match=told):
        sweep(lambda k, n: None, {"k": [1, 2, 3], "n": [1, 2]}, tmp_path / "out", file=file)
    assert not (tmp_path / "out").exists()
