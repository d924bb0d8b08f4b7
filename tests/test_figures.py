"""What users' functions draw: found in what they return, turned into pixels and files."""

import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from forkmaps.errors import DrawingError
from forkmaps.figures import draw_off_screen, figure_bytes, figure_of, figure_pixels, own_figures


@pytest.fixture(autouse=True)
def in_memory():
    """Draw without windows, and close what a test leaves open."""
    mpl.use("agg")
    yield
    plt.close("all")


def some_figure(**options):
    figure = Figure(figsize=(3.03, 2.01), dpi=70, **options)
    axes = figure.add_subplot(title="Height $x^2$")
    axes.plot([1, 3, 2])
    return figure


def saved(figure, **options):
    """The pixels that matplotlib itself saves."""
    file = io.BytesIO()
    figure.savefig(file, format="png", **options)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    "take",
    [
        lambda figure: figure,
        lambda figure: figure.axes[0],
        lambda figure: figure.axes[0].lines[0],
        lambda figure: (figure, figure.axes[0]),
        lambda figure: [figure.axes[0].lines[0], 7, "text"],
        lambda figure: (figure, np.array([[figure.axes[0]]], object)),
        lambda figure: (np.arange(3.0), np.arange(4), figure.axes[0].bar([1], [2])),
        lambda figure: figure.subfigures(1, 2)[1].add_subplot(),
        lambda figure: type("Grid", (), {"figure": figure})(),
    ],
)
def test_a_figure_is_found_in_what_a_function_returns(take):
    figure = some_figure()
    assert figure_of(take(figure)) is figure


def test_pixels_are_a_drawing_as_they_are():
    pixels = np.zeros((4, 5, 3), np.uint8)
    assert figure_of(pixels) is pixels


def test_nothing_returned_is_pyplots_current_figure():
    with own_figures():
        plt.figure()
        made = plt.figure()
        assert figure_of(None) is made


def test_a_figure_that_was_open_before_is_not_taken_for_the_functions():
    plt.figure()
    with own_figures(), pytest.raises(DrawingError, match="returned nothing, and made no figure"):
        figure_of(None)


def test_what_a_function_opens_is_closed_and_what_was_open_is_back():
    before = plt.figure("mine")
    with own_figures():
        plt.plot([1, 2])
        assert plt.gcf() is not before
    assert plt.get_figlabels() == ["mine"]
    assert plt.gcf() is before


def test_figures_are_put_back_after_an_error_too():
    before = plt.figure()
    with pytest.raises(ValueError, match="color"), own_figures():
        plt.plot([1, 2], color="no color")
    assert plt.get_fignums() == [before.number]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (7, "returned 7, which is no drawing"),
        ("x" * 90, r"returned 'xxx.*\.\.\., which"),
        ((), r"returned \(\), which"),
        (np.zeros((4, 5)), r"an array of shape \(4, 5\) and type float64"),
        (np.zeros((4, 5, 2), np.uint8), r"an array of shape \(4, 5, 2\)"),
        ((some_figure(), some_figure()), "parts of 2 figures"),
    ],
)
def test_what_is_no_drawing_is_told(returned, told):
    with pytest.raises(DrawingError, match=told):
        figure_of(returned)


@pytest.mark.parametrize("settings", [{}, {"savefig.bbox": "tight", "savefig.pad_inches": 0}])
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_pixels_are_those_that_matplotlib_saves(settings, layout):
    expected = saved(some_figure(layout=layout))
    with mpl.rc_context(settings):
        pixels = figure_pixels(some_figure(layout=layout))
    assert pixels.shape == (140, 212, 4)
    np.testing.assert_array_equal(pixels, expected)


def test_the_resolution_can_be_another():
    np.testing.assert_array_equal(figure_pixels(some_figure(), dpi=111), saved(some_figure(), dpi=111))


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_a_picture_file_holds_the_pixels(suffix):
    with Image.open(io.BytesIO(figure_bytes(some_figure(), suffix))) as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), saved(some_figure())[:, :, :3])


def test_a_png_states_the_figures_resolution():
    with Image.open(io.BytesIO(figure_bytes(some_figure(), ".png"))) as picture:
        assert picture.info["dpi"] == pytest.approx((70, 70), abs=0.02)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_what_is_transparent_stays_so(suffix):
    figure = some_figure(facecolor="none")
    with Image.open(io.BytesIO(figure_bytes(figure, suffix))) as picture:
        assert picture.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(picture), saved(figure))


def test_vector_files_are_of_their_kind_and_keep_the_figures_size():
    with mpl.rc_context({"savefig.bbox": "tight"}):
        pdf, svg = figure_bytes(some_figure(), ".pdf"), figure_bytes(some_figure(), ".svg")
    box = re.search(rb"/MediaBox \[ 0 0 (\S+) (\S+) \]", pdf)
    assert pdf.startswith(b"%PDF")
    assert [float(side) for side in box.groups()] == pytest.approx([3.03 * 72, 2.01 * 72])
    assert b'width="218.16pt"' in svg


@pytest.mark.parametrize("suffix", [".png", ".webp", ".pdf", ".svg"])
def test_the_same_figure_has_the_same_bytes(suffix, monkeypatch):
    first = figure_bytes(some_figure(), suffix)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert figure_bytes(some_figure(), suffix) == first


def test_pixels_can_be_no_vector_file():
    with pytest.raises(DrawingError, match=r"pixels can't be a \.pdf file"):
        figure_bytes(np.zeros((4, 5, 3), np.uint8), ".pdf")


def test_other_suffixes_are_refused():
    with pytest.raises(DrawingError, match=r'not "\.bmp"'):
        figure_bytes(some_figure(), ".bmp")


def test_off_screen_no_window_of_the_parents_is_touched():
    class Window:
        num = 1

        def destroy(self):
            raise AssertionError("the parent's window was closed")

    from matplotlib._pylab_helpers import Gcf

    Gcf.figs[1] = Window()
    mpl.use("template")  # stands for one that draws in windows
    draw_off_screen()
    assert plt.get_fignums() == []
    assert plt.get_backend() == "agg"
