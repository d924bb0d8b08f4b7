"""Ticks stand at round numbers or at the levels, and their labels never touch."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps.render.ticks import Ruler, written

CHARACTER = 8.0


def ruler_of(limits, length=1000.0, stepped=None):
    stepped = len(limits) > 2 if stepped is None else stepped
    return Ruler(
        limits, length, room=30.0, gap=6.0, measure=lambda text: CHARACTER * len(text), stepped=stepped
    )


def labels(ruler, given=None):
    return [tick.label.replace("\N{MINUS SIGN}", "-") for tick in ruler.ticks(given) if tick.label]


def assert_apart(ruler, ticks):
    spans = [
        (tick.place * ruler.length - len(tick.label) * 4, tick.place * ruler.length + len(tick.label) * 4)
        for tick in ticks
        if tick.label
    ]
    assert all(after[0] - before[1] >= 5.99 for before, after in pairwise(spans))
    assert not spans or (spans[0][0] >= -30.01 and spans[-1][1] <= ruler.length + 30.01)


any_speed = settings(deadline=None)
finite = st.floats(-1e9, 1e9, allow_subnormal=False)


@any_speed
@given(finite, st.floats(1e-3, 1e9), st.floats(20, 2000))
def test_round_numbers_never_touch(low, span, length):
    ruler = ruler_of((low, low + span), length)
    ticks = ruler.ticks(None)
    assert_apart(ruler, ticks)
    assert all(-1e-6 <= tick.place <= 1 + 1e-6 for tick in ticks)
    assert len({tick.label for tick in ticks if tick.label}) == len([tick for tick in ticks if tick.label])


@any_speed
@given(st.lists(finite, min_size=2, max_size=60, unique=True), st.floats(20, 2000))
def test_levels_never_touch(levels, length):
    ruler = ruler_of(tuple(sorted(levels)), length, stepped=True)
    ticks = ruler.ticks(None)
    assert_apart(ruler, ticks)
    assert [tick.place for tick in ticks] == pytest.approx(
        [i / (len(levels) - 1) for i in range(len(levels))]
    )


@any_speed
@given(st.lists(finite, max_size=30), st.floats(20, 2000))
def test_given_ticks_never_touch(values, length):
    ruler = ruler_of((-1e8, 1e8), length)
    ticks = ruler.ticks(values)
    assert_apart(ruler, ticks)
    assert len(ticks) == len({value for value in values if -1e8 <= value <= 1e8})


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((0, 10), "0 1 2 3 4 5 6 7 8 9 10"),
        ((-1000, 4000), "-1000 -500 0 500 1000 1500 2000 2500 3000 3500 4000"),
        ((-0.2, 0.2), "-0.20 -0.15 -0.10 -0.05 0.00 0.05 0.10 0.15 0.20"),
        (
            (273.2, 273.25),
            "273.200 273.205 273.210 273.215 273.220 273.225 273.230 273.235 273.240 273.245 273.250",
        ),
        ((0, 2.5e8), "0 2.5e7 5e7 7.5e7 1e8 1.25e8 1.5e8 1.75e8 2e8 2.25e8 2.5e8"),
        ((1e-9, 2e-9), "1e-9 1.1e-9 1.2e-9 1.3e-9 1.4e-9 1.5e-9 1.6e-9 1.7e-9 1.8e-9 1.9e-9 2e-9"),
    ],
)
def test_round_numbers(limits, expected):
    assert labels(ruler_of(limits)) == expected.split()


def test_fewer_round_numbers_where_there_is_less_room():
    assert labels(ruler_of((0, 10), 100)) == ["0", "2", "4", "6", "8", "10"]
    assert labels(ruler_of((-10000, 10000), 100)) == ["-10000", "0", "10000"]


def test_levels_are_all_labelled_where_there_is_room():
    levels = (-6000.0, -200.0, 0.0, 0.5, 100.0)
    assert labels(ruler_of(levels)) == ["-6000", "-200", "0", "0.5", "100"]
    assert [tick.place for tick in ruler_of(levels).ticks(None)] == [0, 0.25, 0.5, 0.75, 1]


def test_even_levels_are_thinned_to_round_numbers():
    found = labels(ruler_of(tuple(range(0, 101, 2)), 500))
    assert found == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90", "100"]


def test_uneven_levels_are_thinned_around_zero():
    levels = (-4000.0, -2000.0, -200.0, 0.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
    ticks = ruler_of(levels, 220).ticks(None)
    assert len(ticks) == 9
    assert "0" in [tick.label for tick in ticks]
    assert 2 < len([tick for tick in ticks if tick.label]) < 9


def test_one_step_is_labelled_at_its_levels():
    assert labels(ruler_of((0.0, 7.0), stepped=True)) == ["0", "7"]


def test_given_ticks_are_exactly_those():
    assert labels(ruler_of((0, 100)), given=(80, 33.3, 0, 33.3, 200)) == ["0", "33.3", "80"]
    assert ruler_of((0, 100)).ticks(()) == []


def test_given_ticks_too_close_keep_their_marks():
    ticks = ruler_of((0, 100)).ticks((50, 50.1, 90))
    assert [tick.label for tick in ticks] == ["50", "", "90"]


def test_given_ticks_between_levels():
    assert [tick.place for tick in ruler_of((0.0, 10.0, 1000.0)).ticks((5, 505))] == pytest.approx(
        [0.25, 0.75]
    )


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 0.2, 0.30000000000000004], ["0.1", "0.2", "0.3"]),
        ([0.01, 0.25, 1, 20], ["0.01", "0.25", "1", "20"]),
        ([1e-17, 0.5, 1], ["0", "0.5", "1"]),
        ([-0.0, 1], ["0", "1"]),
        ([1e-6, 1, 1e6], ["0.000001", "1", "1000000"]),
        ([5], ["5"]),
        ([1 / 3], ["0.333"]),
        ([], []),
    ],
)
def test_numbers_are_written_short(values, texts):
    assert written(values) == texts


def test_numbers_on_one_scale_have_the_same_decimals():
    assert written([0, 0.5, 1], same_decimals=True) == ["0.0", "0.5", "1.0"]
