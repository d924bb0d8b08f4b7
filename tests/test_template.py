"""Templates of titles and file names: checked when made, filled in for a job."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps.errors import StyleError
from forkmaps.style.template import FILE_FIELDS, MAP_FIELDS, Template

VALUES = {
    "name": "ohio",
    "region.name": "ohio",
    "region.title": "Ohio",
    "region.population": 11_800_000,
    "state": "OH",
    "band.number": 3,
    "band.name": "2 m temperature",
    "valid_time": dt.datetime(2026, 1, 2, 6, tzinfo=dt.UTC),
    "min": -3.21,
    "max": float("nan"),
    "raster.unit": None,
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("A title, 100 % of $x^ and \\frac", "A title, 100 % of $x^ and \\frac"),
        ("{region.title}", "Ohio"),
        ("{state}: {region.population:,}", "OH: 11,800,000"),
        ("{valid_time:%d %b %Y %H}Z", "02 Jan 2026 06Z"),
        ("{band.number:02d}-{band.name}", "03-2 m temperature"),
        ("{min:.1f} to {max:.1f}", "-3.2 to no data"),
        ("in {raster.unit}", "in no data"),
        ("{{braces}} {name:>6}", "{braces}   ohio"),
    ],
)
def test_format(text, shown):
    assert Template(text, MAP_FIELDS).format(VALUES) == shown


def test_fields_in_use():
    template = Template("{min:.1f} {min} {region.title} plain", MAP_FIELDS)
    assert template.fields == {"min", "region.title"}


def test_only_values_are_cleaned():
    template = Template("a/{name}", FILE_FIELDS)
    assert template.format({"name": "b/c"}, clean=lambda text: text.replace("/", "_")) == "a/b_c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{region.title", r'template "\{region.title": .*; write \{\{ and \}\} for braces'),
        ("}", r"write \{\{ and \}\}"),
        ("{}", r"there is no field \{\}"),
        ("{0}", r"there is no field \{0\}"),
        ("{band.nam}", r'there is no field \{band.nam\}; did you mean "band.name"'),
        ("{rgion.title}", 'did you mean "region.title"'),
        ("{region.}", r"there is no field \{region.\}"),
        ("{region._x}", r"there is no field \{region._x\}"),
        ("{__class__}", r"there is no field \{__class__\}"),
        ("{min.real}", r"there is no field \{min.real\}"),
        ("{min!r}", "can only have a format after a colon"),
        ("{min:{max}}", "can only have a format after a colon"),
        ("{name[0]}", "can only have a format after a colon"),
        ("{min:d}", r'\{min:d\} does not fit a value like "1.0"'),
        ("{band.number:%Y}", r'\{band.number:%Y\} does not fit a value like "1"'),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(StyleError, match=message):
        Template(text, MAP_FIELDS)


def test_columns_are_checked_when_the_list_is_known():
    template = Template("{state} {region.county} {region.title} {min}", MAP_FIELDS)
    template.check(["state", "county"], "list.csv")
    with pytest.raises(
        StyleError, match=r"no field \{region.county\}.*region.country.*\(columns of list.csv\)"
    ):
        template.check(["state", "country"], "list.csv")
    with pytest.raises(StyleError, match=r"no field \{state\}"):
        template.check(["county"], "list.csv")


def test_a_value_that_is_not_there():
    with pytest.raises(
        StyleError, match=r'template "\{nme\}": there is no field \{nme\}; did you mean "name"'
    ):
        Template("{nme}", MAP_FIELDS).format(VALUES)


def test_a_value_that_the_format_does_not_fit():
    with pytest.raises(StyleError, match=r'\{region.title:.1f\} does not fit a value like "Ohio"'):
        Template("{region.title:.1f}", MAP_FIELDS).format(VALUES)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_template_or_an_error_of_ours(text):
    try:
        template = Template(text, MAP_FIELDS)
    except StyleError:
        return
    if template.fields <= set(VALUES):
        template.format(VALUES)
