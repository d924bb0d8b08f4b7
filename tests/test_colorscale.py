"""Colors are those that matplotlib's `pcolormesh` gives the same values, byte for byte."""

import matplotlib.colors as mcolors
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forkmaps.style import Style
from forkmaps.style.colorscale import ColorScale

LARGEST = float(np.finfo(np.float32).max)
EXTREMES = {"under": "#123456", "over": "#fedcba", "no_data": "#808080"}

numbers = st.floats(-1e30, 1e30, allow_subnormal=False)
random_values = st.lists(st.floats(-LARGEST, LARGEST, width=32), min_size=1, max_size=40)
few = settings(max_examples=150, deadline=None)


def matplotlib_colors(scale, values):
    """What matplotlib gives: norm, color map, and Agg's rounding of a mesh's colors to bytes."""
    with np.errstate(all="ignore"):
        rgba = scale.cmap(scale.norm(np.ma.masked_invalid(values)))
    return (rgba * 255 + 0.5).astype(np.uint8)


def with_neighbors(limits, values):
    """Values, each limit as float32, the float32 numbers beside it, and what is not finite."""
    near = np.float32(limits)
    sides = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    odd = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0])
    return np.concatenate([near, *sides, np.float32(values), odd])[None]


def assert_same(scale, values):
    np.testing.assert_array_equal(scale.colors(values), matplotlib_colors(scale, values))


@few
@given(numbers, st.floats(1e-6, 1e6), random_values)
def test_shades_are_matplotlibs(low, share, values):
    high = low + max(abs(low), 1e-20) * share
    if not low < high:
        return
    scale = ColorScale(Style(palette="turbo", min=low, max=high, **EXTREMES), 0.0, 1.0)
    between = np.linspace(low, high, 257)
    assert_same(scale, with_neighbors(between, [*values, *np.random.default_rng(1).uniform(low, high, 50)]))


@few
@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=2, max_size=30, unique=True), random_values
)
def test_steps_are_matplotlibs(levels, values):
    levels = sorted(levels)
    if (np.diff(np.float32(levels)) <= 0).any():
        return
    scale = ColorScale(Style(palette="terrain", levels=levels, **EXTREMES), 0.0, 1.0)
    assert_same(
        scale, with_neighbors(levels, [*values, *np.random.default_rng(1).uniform(levels[0], levels[-1], 50)])
    )


@pytest.mark.parametrize(
    "levels",
    [
        [0.1, 0.3, 0.7, 0.9],
        [0.0, 1e-6, 1e6],
        [-1e-30, 0.0, 1e-30],
        [0.0, 1e-37],
        [-3e38, 3e38],
        list(range(101)),
        [1e30, 2e30],
        [100_000.1, 100_000.2, 100_000.3],
    ],
)
def test_steps_at_awkward_levels(levels):
    scale = ColorScale(Style(palette="viridis", levels=levels, **EXTREMES), 0.0, 1.0)
    assert_same(scale, with_neighbors(levels, np.linspace(levels[0], levels[-1], 500)))


def test_levels_closer_than_float32_can_tell():
    scale = ColorScale(Style(levels=[1.0, 1.0 + 1e-12, 2.0]), 0.0, 1.0)
    assert scale.colors(np.float32([[0.5, 1.0, 1.5, 2.5]])).shape == (1, 4, 4)


def test_colors_are_those_a_mesh_is_drawn_with():
    scale = ColorScale(Style(palette="terrain", min=-500, max=3500, no_data="0.6", over="red"), 0.0, 1.0)
    values = np.linspace(-600, 3600, 400, dtype=np.float32)[None]
    values[0, 7] = np.nan
    figure = Figure(figsize=(4, 1), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.pcolormesh(np.arange(401), [0, 1], values, norm=scale.norm, cmap=scale.cmap)
    axes.set(xlim=(0, 400), ylim=(0, 1))
    axes.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    np.testing.assert_array_equal(scale.colors(values)[0], np.asarray(canvas.buffer_rgba())[50])


def test_colors_given_as_a_list_are_the_steps():
    scale = ColorScale(Style(levels=[0, 1, 5], colors=["red", "blue"], under="black", over="white"), 0.0, 1.0)
    shown = scale.colors(np.float32([[-1, 0, 0.5, 1, 4, 5]]))[0, :, :3].tolist()
    black, red, blue, white = [0, 0, 0], [255, 0, 0], [0, 0, 255], [255, 255, 255]
    assert shown == [black, red, red, blue, blue, white]


def test_colors_without_levels_are_shaded_between():
    scale = ColorScale(Style(min=0, max=1, colors=["black", "white"]), 0.0, 1.0)
    gray = scale.colors(np.linspace(0, 1, 50, dtype=np.float32)[None])[0, :, 0]
    assert gray[0] == 0
    assert gray[-1] == 255
    assert (np.diff(gray.astype(int)) > 0).all()


def test_translucent_color_shows_the_background_through():
    scale = ColorScale(Style(no_data="#ff000080", background="blue"), 0.0, 1.0)
    assert scale.colors(np.float32([[np.nan]]))[0, 0].tolist() == [128, 0, 127, 255]


@pytest.mark.parametrize(
    ("options", "low", "high", "expected"),
    [
        ({}, 1.0, 3.0, (1.0, 3.0)),
        ({"min": -2.0}, 1.0, 3.0, (-2.0, 3.0)),
        ({"min": 0.0, "max": 9.0}, 1.0, 3.0, (0.0, 9.0)),
        ({}, float("nan"), float("nan"), (0.0, 1.0)),
        ({}, -np.inf, 3.0, (0.0, 1.0)),
        ({"min": 5.0}, float("nan"), float("nan"), (5.0, 5.5)),
        ({}, 7.0, 7.0, (6.5, 7.5)),
        ({}, 0.0, 0.0, (-0.5, 0.5)),
        ({"min": 10.0}, 1.0, 3.0, (10.0, 10.5)),
        ({"max": -10.0}, 1.0, 3.0, (-10.5, -10.0)),
        ({}, 1e30, 1e30, (0.99e30, 1.01e30)),
    ],
)
def test_ends_of_the_palette(options, low, high, expected):
    scale = ColorScale(Style(**options), low, high)
    assert (scale.norm.vmin, scale.norm.vmax) == pytest.approx(expected)
    assert scale.norm.vmin < scale.norm.vmax


def test_extend_follows_the_colors_beyond():
    assert ColorScale(Style(), 0, 1).extend == "neither"
    assert ColorScale(Style(under="red"), 0, 1).extend == "min"
    assert ColorScale(Style(over="red"), 0, 1).extend == "max"
    assert ColorScale(Style(under="red", over="red"), 0, 1).extend == "both"


@pytest.mark.parametrize(
    ("options", "extend"),
    [
        ({}, "neither"),
        ({"min": -8, "max": 4}, "neither"),
        ({"min": -7}, "min"),
        ({"max": 3}, "max"),
        ({"levels": [-6, 0, 4]}, "min"),
        ({"levels": [-8, 0, 3]}, "max"),
        ({"levels": [-6, 0, 3]}, "both"),
        ({"levels": [-6, 0, 4], "over": "red"}, "both"),
    ],
)
def test_extend_tells_of_values_beyond(options, extend):
    assert ColorScale(Style(**options), -8.0, 4.0).extend == extend


def test_extend_is_not_for_values_that_are_rounded():
    ends = np.float32([0.1, 0.7])
    assert ColorScale(Style(min=0.1, max=0.7), *map(float, ends)).extend == "neither"


def test_norm_and_cmap_are_matplotlibs():
    scale = ColorScale(Style(levels=[0, 1, 2]), 0, 1)
    assert isinstance(scale.norm, mcolors.BoundaryNorm)
    assert isinstance(scale.cmap, mcolors.Colormap)
