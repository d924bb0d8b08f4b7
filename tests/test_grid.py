"""Grids of plots: panels are the ones drawn alone, pixel for pixel, and stand in their cells."""

import io
import multiprocessing
import os
import re
import signal
import threading
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from forkmaps.errors import DrawingError, PoolError
from forkmaps.grid import parallel_plot
from forkmaps.grid.panels import Cell

CELL = (1.53, 1.21)
DPI = 67


@pytest.fixture(autouse=True)
def small_and_in_memory():
    """Draw without windows at a low resolution, and close what a test leaves open."""
    mpl.use("agg")
    with mpl.rc_context({"figure.dpi": DPI}):
        yield
    plt.close("all")


def lines(data, fig, axes):
    axes.set_position([0.25, 0.2, 0.7, 0.6])
    axes.plot(data)
    axes.set_title("Height $x^2$ (m)")


def values(count=6):
    return np.random.default_rng(7).uniform(-1, 1, (count, 5))


def grid(plot_fn, data, shape, **options):
    options = {"grid_cell_size": CELL, "show_progress": False, "max_workers": 2, **options}
    return parallel_plot(plot_fn, data, shape, **options)


def picture(figure, **options):
    file = io.BytesIO()
    figure.savefig(file, format="png", **options)
    return np.asarray(Image.open(file))[:, :, :3]


def drawn_alone(plot_fn, item):
    """A panel, drawn in this process and saved by matplotlib."""
    figure = plt.figure(figsize=CELL, dpi=DPI)
    plot_fn(item, figure, figure.add_subplot())
    plt.close(figure)
    return picture(figure)


def cell_of(figure, axes):
    """The part of a figure's saved picture that lies in the box of some axes."""
    saved, box = picture(figure), axes.get_window_extent()
    top = len(saved) - round(box.y1)
    return saved[top : top + round(box.height), round(box.x0) : round(box.x1)]


def marks(item, fig, axes):
    """A panel that is told by one number: a gray of all its pixels."""
    fig.set_facecolor(str(item / 10))
    axes.set_axis_off()


def shades(figure, axes):
    """The numbers that `marks` has drawn in each cell."""
    shown = [[np.unique(cell_of(figure, one)) for one in row] for row in axes]
    return [[round(float(one[0]) / 25.5) if len(one) == 1 else None for one in row] for row in shown]


def test_a_panels_pixels_are_those_of_the_figure_drawn_alone():
    data = values()
    figure, axes = grid(lines, data, (2, 3), col_labels=["a", "b", "c"], row_labels=["d", "e"])
    for one, item in zip(axes.flat, data, strict=True):
        np.testing.assert_array_equal(cell_of(figure, one), drawn_alone(lines, item))


@pytest.mark.parametrize("size", [(6, 12), (3, 2.5)])
def test_tick_labels_axis_labels_and_a_title_fit_on_a_panel(size):
    cell = Cell.of(size)
    figure = cell.figure()
    axes = figure.add_subplot(ylim=(-1000, 1000), title="Title", xlabel="x", ylabel="y")
    figure.canvas.draw()
    needed = axes.get_tightbbox()
    assert needed.x0 >= 0
    assert needed.y0 >= 0
    assert needed.x1 <= figure.bbox.width
    assert needed.y1 <= figure.bbox.height


def test_without_labels_the_figure_is_its_cells():
    figure, axes = grid(lines, values(), (2, 3))
    assert picture(figure).shape == (2 * int(1.21 * DPI), 3 * int(1.53 * DPI), 3)
    assert axes.shape == (2, 3)


def test_the_figure_is_a_live_one_of_pyplots():
    figure, axes = grid(marks, [5], (1, 1), grid_cell_size=(2, 1))
    assert plt.gcf() is figure
    before = picture(figure)
    axes[0, 0].set_title("changed", y=0.5)
    assert (picture(figure) != before).any()
    assert picture(figure, dpi=2 * DPI).shape[1] == 4 * DPI


def test_the_grid_is_filled_row_by_row():
    assert shades(*grid(marks, range(6), (2, 3))) == [[0, 1, 2], [3, 4, 5]]


def test_or_column_by_column():
    assert shades(*grid(marks, range(6), (2, 3), switch_axis=True)) == [[0, 2, 4], [1, 3, 5]]


def test_cells_without_an_item_stay_empty():
    assert shades(*grid(marks, range(2), (2, 2))) == [[0, 1], [10, 10]]


def test_preprocessing_comes_before_the_plot():
    assert shades(*grid(marks, range(2), (1, 2), preprocessing_fn=lambda item: item + 4)) == [[4, 5]]


def test_lambdas_and_closures_draw():
    seen = 8
    figure, axes = grid(lambda item, fig, axes: marks(seen, fig, axes), [None], (1, 1))
    assert shades(figure, axes) == [[8]]


def test_pyplots_own_functions_draw_on_the_panel():
    def by_pyplot(item, fig, axes):
        assert plt.gcf() is fig
        assert plt.gca() is axes
        plt.gcf().set_facecolor(str(item / 10))
        plt.axis("off")

    assert shades(*grid(by_pyplot, [3, 7], (1, 2))) == [[3, 7]]


def test_workers_draw_in_memory_whatever_the_parent_draws_in():
    def check(item, fig, axes):
        assert plt.get_backend() == "agg"
        marks(item, fig, axes)

    mpl.use("template")  # stands for one that draws in windows
    _, axes = grid(check, [4], (1, 1))
    assert plt.get_backend() == "template"
    assert not axes[0, 0].texts


def test_labels_are_titles_of_the_first_row_and_y_labels_of_the_first_column():
    _, axes = grid(marks, range(4), (2, 2), col_labels=["left", "right"], row_labels=["above", "below"])
    assert [one.get_title() for one in axes.flat] == ["left", "right", "", ""]
    assert [one.get_ylabel() for one in axes.flat] == ["above", "", "below", ""]


@pytest.mark.parametrize("label", ["one", "a label that is much too long for one line of such a small cell"])
def test_labels_stand_outside_of_the_panels_and_on_the_figure(label):
    figure, axes = grid(marks, range(2), (1, 2), col_labels=[label] * 2, row_labels=[label])
    figure.canvas.draw()
    title, side, panel = (
        one.get_window_extent() for one in (axes[0, 0].title, axes[0, 0].yaxis.label, axes[0, 0])
    )
    assert panel.y1 < title.y0
    assert title.y1 <= figure.bbox.y1
    assert side.x0 >= 0
    assert side.x1 < panel.x0


def test_each_item_is_drawn_by_a_worker():
    def tell(item, fig, axes):
        raise RuntimeError(os.getpid())

    with pytest.warns(UserWarning, match="4 of 4 panels failed") as told:
        grid(tell, range(4), (2, 2))
    pids = set(map(int, re.findall(r"RuntimeError: (\d+)", str(told[0].message))))
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_no_workers_draw_in_this_process():
    seen = []
    before = plt.figure()
    _, axes = grid(lambda item, fig, axes: seen.append(item), range(4), (2, 2), max_workers=0)
    assert seen == [0, 1, 2, 3]
    assert plt.get_fignums() == [before.number, axes[0, 0].figure.number]


def test_shared_data_is_never_pickled():
    class Unpicklable(list):
        def __reduce__(self):
            raise AssertionError("the data was pickled")

    data = Unpicklable([Unpicklable([1]), Unpicklable([2])])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shades(*grid(lambda item, fig, axes: marks(item[0], fig, axes), data, (1, 2))) == [[1, 2]]


class OldSequence:
    """Has items by number and a length, and neither `__iter__` nor a shape."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return range(2)[index]


class LabelledFromOne(dict):
    """Stands for a table of pandas: a collection with a shape, whose items go by labels."""

    shape = (2,)
    iloc = None


@pytest.mark.parametrize(
    "data",
    [
        [0, 1],
        (0, 1),
        range(2),
        np.arange(2),
        {0: "a", 1: "b"}.keys(),
        LabelledFromOne({0: 8, 1: 9}),
        OldSequence(),
        iter([0, 1]),
        (number for number in range(2)),
        map(int, "01"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_may_be_of_any_kind(data):
    assert shades(*grid(marks, data, (1, 2))) == [[0, 1]]


def test_items_of_a_labelled_array_are_those_of_its_first_dimension():
    import xarray

    data = xarray.DataArray(np.arange(6).reshape(2, 3), dims=("time", "x"), coords={"time": [7, 5]})

    def check(item, fig, axes):
        marks(float(item.time), fig, axes)

    assert shades(*grid(check, data, (1, 2))) == [[7, 5]]


def test_a_generator_is_consumed_as_needed_and_no_further_than_total():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield taken[-1]

    assert shades(*grid(marks, endless(), (2, 2), total=3)) == [[0, 1], [2, 10]]
    assert taken == [0, 1, 2]


def test_total_takes_the_first_items_of_those_that_have_a_length():
    assert shades(*grid(marks, range(100), (1, 2), total=2)) == [[0, 1]]


def test_by_files_the_pixels_are_the_same_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written = tmp_path / "written"

    def plot(item, fig, axes):
        written.write_text(str(len(list(tmp_path.glob("forkmaps-*/*.npy")))))
        marks(item, fig, axes)

    assert shades(*grid(plot, range(9), (1, 9), in_memory=False, max_workers=1)) == [[*range(9)]]
    assert int(written.read_text()) < 5
    assert list(tmp_path.iterdir()) == [written]


def test_a_transparent_panel_shows_the_figure_behind_it():
    def plot(item, fig, axes):
        fig.patch.set_alpha(0)
        axes.set_axis_off()

    figure, axes = grid(plot, [0], (1, 1))
    figure.set_facecolor("0.2")
    assert set(np.unique(cell_of(figure, axes[0, 0]))) == {51}


def test_a_failing_panel_says_so_in_its_place_and_stops_no_other():
    def plot(item, fig, axes):
        if item == 1:
            raise ValueError("no $data$ here")
        if item == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        marks(item, fig, axes)

    with pytest.warns(UserWarning, match="^2 of 4 panels failed:") as told:
        figure, axes = grid(plot, range(4), (2, 2))
    message = str(told[0].message)
    assert len(told) == 1
    assert "item 1 (row 0, column 1): ValueError: no $data$ here" in message
    assert "item 2 (row 1, column 0): killed by SIGKILL" in message
    assert told[0].filename == __file__
    assert axes[0, 1].texts[0].get_text().replace("\n", " ") == "ValueError: no $data$ here"
    shown = shades(figure, axes)
    assert (shown[0][0], shown[1][1]) == (0, 3)
    assert (shown[0][1], shown[1][0]) == (None, None)


def test_of_many_failures_the_first_are_named():
    with pytest.warns(UserWarning, match="25 of 25 panels failed") as told:
        grid(lambda item, fig, axes: item + None, range(25), (5, 5), grid_cell_size=(0.5, 0.5))
    assert str(told[0].message).count("TypeError") == 20
    assert str(told[0].message).endswith("and 5 more")


def test_a_panel_that_resizes_its_figure_keeps_the_cells_size():
    def plot(item, fig, axes):
        marks(item, fig, axes)
        fig.set_size_inches(9, 9)
        fig.dpi = 20

    figure, axes = grid(plot, [4], (1, 1))
    assert shades(figure, axes) == [[4]]
    assert axes[0, 0].images[0].get_array().shape[:2] == (int(CELL[1] * DPI), int(CELL[0] * DPI))


def test_settings_that_lay_out_or_crop_change_nothing():
    data = values(1)
    expected = drawn_alone(lines, data[0])
    with mpl.rc_context({"savefig.bbox": "tight", "savefig.pad_inches": 0}):
        figure, axes = grid(lines, data, (1, 1))
    with mpl.rc_context({"figure.autolayout": True}):
        other, _ = grid(marks, range(2), (1, 2))
    np.testing.assert_array_equal(cell_of(figure, axes[0, 0]), expected)
    assert other.get_layout_engine() is None


def test_text_is_right_though_it_was_drawn_before_the_fork():
    data = values(15)
    expected = [drawn_alone(lines, item) for item in data]
    figure, axes = grid(lines, data, (3, 5))
    for one, alone in zip(axes.flat, expected, strict=True):
        np.testing.assert_array_equal(cell_of(figure, one), alone)


def test_progress_is_told_on_stderr(capfd):
    grid(marks, range(4), (2, 2), show_progress=True)
    assert "4/4 panels" in capfd.readouterr().err
    grid(marks, range(4), (2, 2))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "shape", "options", "told"),
    [
        (range(5), (2, 2), {}, "5 items don't fit in 4 cells"),
        (range(9), (2, 2), {"total": 6}, "6 items don't fit in 4 cells"),
        (range(4), (2, 2), {"total": -1}, "total -1 is not a number of items"),
        (7, (2, 2), {}, "data is a int, which has no items"),
        (range(4), 4, {}, r"grid_shape 4 is not \(rows, columns\)"),
        (range(4), (2.5, 2), {}, r"grid_shape \(2.5, 2\)"),
        (range(4), (0, 2), {}, r"grid_shape \(0, 2\)"),
        (range(4), (2, 2), {"grid_cell_size": (0, 1)}, r"grid_cell_size \(0, 1\)"),
        (range(4), (2, 2), {"grid_cell_size": 3}, r"grid_cell_size 3 is not \(width, height\)"),
        (range(4), (2, 2), {"col_labels": "abc"}, "col_labels: 3 labels for 2 columns"),
        (range(4), (2, 2), {"row_labels": "abc"}, "row_labels: 3 labels for 2 rows"),
    ],
)
def test_what_makes_no_grid_is_told_before_anything_is_drawn(data, shape, options, told, tmp_path):
    drawn = Path(tmp_path, "drawn")
    with pytest.raises(DrawingError, match=told):
        grid(lambda item, fig, axes: drawn.touch(), data, shape, **options)
    assert not drawn.exists()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_however_workers_come_into_being_panels_are_the_same(method):
    data = values(2)
    factor = 2.0

    def plot(item, fig, axes):
        lines(factor * item, fig, axes)

    with mpl.rc_context({"lines.linewidth": 4.0}):
        expected = [drawn_alone(plot, item) for item in data]
        figure, axes = grid(plot, data, (1, 2), mp_context=multiprocessing.get_context(method))
    for one, alone in zip(axes.flat, expected, strict=True):
        np.testing.assert_array_equal(cell_of(figure, one), alone)


def test_an_unknown_start_method_is_refused():
    with pytest.raises(PoolError, match='"threads" is not one of'):
        grid(marks, range(4), (2, 2), mp_context="threads")


def test_a_grid_can_be_drawn_in_a_thread():
    drawn = []
    thread = threading.Thread(target=lambda: drawn.append(grid(marks, range(2), (1, 2))))
    thread.start()
    thread.join()
    assert shades(*drawn[0]) == [[0, 1]]


@pytest.mark.parametrize(
    ("functions", "told"),
    [
        (
            {"plot_fn": lambda data, axes: None},
            r"^plot_fn: .*<lambda>\(data, axes\) can't be called with \(item, fig",
        ),
        ({"plot_fn": lambda a, b, c, d: None}, "missing a required argument: 'd'"),
        ({"plot_fn": 7}, "plot_fn: 7 is not a function"),
        (
            {"preprocessing_fn": lambda: None},
            r"^preprocessing_fn: .* can't be called with \(item\): too many",
        ),
    ],
)
def test_functions_of_other_parameters_are_refused_before_a_panel_fails(functions, told):
    functions = {"plot_fn": lambda data, fig, axes: None} | functions
    with pytest.raises(DrawingError, match=told):
        parallel_plot(data=range(12), grid_shape=(3, 4), show_progress=False, **functions)


def test_functions_may_take_more_than_they_need():
    def draw(*anything, color="red", **more):
        anything[2].set_facecolor(color)

    fig, _ = parallel_plot(draw, range(1), (1, 1), grid_cell_size=(1, 1), max_workers=0, show_progress=False)
    assert fig is not None
    plt.close(fig)
