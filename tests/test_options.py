"""Option tables say what is wrong in words a user knows, all of it at once."""

import pickle
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from forkmaps.errors import RegionError, StyleError
from forkmaps.style.options import Listed, Options, explain


class Pen(Options):
    width: Annotated[float, Field(ge=0, lt=9)] = 1.0
    name: str = "pen"
    sides: int = 4
    marks: Listed[tuple[float, ...] | None] = None
    end: Literal["round", "flat"] = "round"
    shown: bool = True


class Box(Options):
    pen: Pen = Pen()
    pens: Listed[tuple[Pen, ...]] = ()
    bands: Literal["all"] | Listed[tuple[int | str, ...]] = "all"
    named: dict[str, Pen] | None = None


class Needing(Options):
    raises = RegionError
    path: str


def faults(model, **options):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(options)
    return explain(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": -1}, "width: a number of at least 0 is needed, not -1"),
        ({"width": 9}, "width: a number less than 9 is needed, not 9"),
        ({"width": "1"}, 'width: a number is needed, not "1"'),
        ({"width": True}, "width: a number is needed, not true"),
        ({"width": float("nan")}, "width: a finite number is needed, not nan"),
        ({"width": float("inf")}, "width: a finite number is needed, not inf"),
        ({"name": 5}, "name: a text in quotes is needed, not 5"),
        ({"sides": 2.5}, "sides: a whole number is needed, not 2.5"),
        ({"shown": "yes"}, 'shown: true or false is needed, not "yes"'),
        ({"end": "sharp"}, 'end: "round" or "flat" is needed, not "sharp"'),
        ({"marks": 3}, "marks: a list is needed, not 3"),
        ({"marks": [1, "2"]}, 'marks (no. 2): a number is needed, not "2"'),
        ({"wdth": 3}, 'there is no option "wdth"; did you mean "width"?; there are width, name, sides'),
        ({"xyz": 3}, 'xyz: there is no option "xyz"; there are width'),
        ({"name": ["a"] * 99}, "name: a text in quotes is needed, not ['a', 'a'"),
    ],
)
def test_message(options, message):
    (line,) = faults(Pen, **options)
    assert message in line
    assert len(line) < 150


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"pen": {"width": "a"}}, ['pen.width: a number is needed, not "a"']),
        ({"pen": 3}, ["pen: a table is needed, not 3"]),
        ({"pens": [{}, {"sides": "a"}]}, ['pens (no. 2).sides: a whole number is needed, not "a"']),
        ({"named": {"a": {"nam": "b"}}}, ['named.a.nam: there is no option "nam"; did you mean "name"?']),
        ({"bands": 1.5}, ['bands: "all" or a list is needed, not 1.5']),
        ({"bands": ["a", 1.5]}, ["bands (no. 2): a whole number or a text in quotes is needed, not 1.5"]),
        (
            {"pen": {"wdth": 1, "sides": "a"}, "bnads": 1},
            ["pen.sides: a whole", "pen.wdth: there is no option", "bnads: there is no option"],
        ),
    ],
)
def test_place_of_a_fault(options, lines):
    found = faults(Box, **options)
    assert len(found) == len(lines)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


def test_a_missing_option():
    assert faults(Needing) == ["path: is missing"]


def test_a_call_raises_our_own_error_with_a_line_for_each_fault():
    with pytest.raises(StyleError) as caught:
        Pen(width="a", nme="b")
    assert str(caught.value).splitlines() == [
        'Pen: width: a number is needed, not "a"',
        'Pen: nme: there is no option "nme"; did you mean "name"?; '
        "there are width, name, sides, marks, end, shown",
    ]


def test_a_table_says_which_error_a_call_raises():
    with pytest.raises(RegionError, match="Needing: path: is missing"):
        Needing()


@pytest.mark.parametrize("marks", [[1, 2], (1, 2), np.array([1.0, 2.0]), np.arange(1, 3)])
def test_lists_and_arrays_are_tuples(marks):
    assert Pen(marks=marks).marks == (1.0, 2.0)
    assert isinstance(Pen(marks=marks).marks, tuple)


def test_numbers_may_be_whole():
    assert Pen(width=2).width == 2.0
    assert Pen(width=np.float64(2)).width == 2.0


def test_tables_are_values():
    pen = Pen(width=2, marks=[1, 2])
    assert pen == Pen(marks=(1, 2), width=2.0)
    assert hash(pen) == hash(Pen(marks=(1, 2), width=2.0))
    assert pickle.loads(pickle.dumps(pen)) == pen
    with pytest.raises(ValidationError, match="frozen"):
        pen.width = 3
