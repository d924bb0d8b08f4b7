"""A style is checked when it is made, and says what is wrong with it."""

import ast
import inspect
import itertools
import pathlib
import re
import subprocess
import sys
import textwrap
import tomllib

import matplotlib as mpl
import pytest
from matplotlib.colors import ListedColormap

from forkmaps.errors import StyleError
from forkmaps.projection import Size
from forkmaps.style import MOST_PIXELS, Line, Style


def test_defaults_are_14_by_9_inches_at_100_dpi():
    assert Style().size == Size(1400, 900)


def test_a_color_map_itself_is_a_palette():
    assert Style(palette=mpl.colormaps["Blues"]).palette == "Blues"
    mine, other = ListedColormap(["red", "blue"], name="mine"), ListedColormap(["red", "green"], name="mine")
    names = [Style(palette=one).palette for one in (mine, other, mine, other)]
    try:
        assert names == ["mine", names[1], "mine", names[1]]
        assert (mpl.colormaps["mine"], mpl.colormaps[names[1]]) == (mine, other)
    finally:
        for name in set(names):
            mpl.colormaps.unregister(name)


def test_size_is_in_whole_pixels():
    assert Style(width=3.333, height=2.5, dpi=150).size == Size(500, 375)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"palette": "virdis"}, '"virdis" is not a palette; did you mean "viridis"'),
        ({"no_data": "grren"}, 'no_data: "grren" is not a color; did you mean "green"'),
        ({"under": "#12"}, "under:"),
        ({"colors": ["red", "bleu"], "levels": [1, 2, 3]}, r'colors \(no. 2\): "bleu" is not a color'),
        ({"colors": ["red"]}, "two or more"),
        (
            {"colors": ["red"], "levels": [1, 2, 3]},
            "3 levels have 2 steps between them, but there are 1 colors",
        ),
        ({"levels": [1]}, "two or more ascending numbers"),
        ({"levels": [1, 1]}, "two or more ascending numbers"),
        ({"levels": [2, 1]}, "two or more ascending numbers"),
        ({"levels": [1, float("nan")]}, r"levels \(no. 2\): a finite number"),
        ({"levels": [1, 2], "min": 0}, "exclude each other"),
        (
            {"levels": list(range(12)), "palette": "tab10"},
            '11 steps .* the palette "tab10" has only 10 colors',
        ),
        ({"min": 2, "max": 1}, "min 2 is not less than max 1"),
        ({"min": 1, "max": 1}, "min 1 is not less than max 1"),
        ({"max": float("inf")}, "max: a finite number"),
        ({"max": 1e39}, r"max: a number of at most 3\.4e\+38"),
        ({"levels": [-1e300, 1]}, r"levels \(no. 1\): a number of at least -3\.4e\+38"),
        ({"background": "none"}, "background: a color that hides what is behind it"),
        ({"background": "#ffffff80"}, "background: a color that hides what is behind it"),
        ({"interpolation": "cubic"}, 'interpolation: "nearest" or "linear" is needed, not "cubic"'),
        ({"title": "{region.title"}, "title: template"),
        ({"title": "{maxx:.1f}", "subtitle": "{max:q}"}, r"subtitle: template .*\{max:q\}"),
        ({"title": "{1}"}, "there is no field {1}"),
        ({"width": 0}, "width: a number greater than 0"),
        ({"width": 300}, "width: a number of at most 200"),
        ({"width": 1, "dpi": 20}, "width x dpi is 20 pixels; 120 to 20000 are possible"),
        ({"width": 100, "dpi": 300}, f"width x dpi is 30000 pixels; 120 to {MOST_PIXELS}"),
        ({"title_size": 0}, "title_size: a number of at least 1"),
        ({"frame": -1}, "frame: a number of at least 0"),
        ({"font": "DejaVu Sand"}, 'font: the font "DejaVu Sand" is not on this machine.*mean "DejaVu Sans"'),
        ({"pallete": "viridis"}, 'no option "pallete"; did you mean "palette"'),
        ({"ticks": "1, 2"}, "ticks: a list is needed"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(StyleError, match=message):
        Style(**options)


def test_all_faults_are_told_at_once():
    with pytest.raises(StyleError) as caught:
        Style(palette="x", dpi="a", colour="b")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("font", ["DejaVu Sans", "DejaVu Serif", "sans-serif", "monospace"])
def test_fonts_that_are_there(font):
    assert Style(font=font).font == font


@pytest.mark.parametrize("color", ["white", "none", "#abc", "#aabbccdd", "0.5", "C1", "tab:blue"])
def test_colors_that_are_taken(color):
    assert Line(fill=color).fill == color


def test_lines_are_checked_too():
    with pytest.raises(StyleError, match="Line: linewidth: a number of at least 0"):
        Line(linewidth=-1)


def test_lists_from_a_file_are_taken():
    style = Style.model_validate({"levels": [0, 1.5, 3], "ticks": [0], "colors": ["red", "blue"]})
    assert style.levels == (0.0, 1.5, 3.0)


def test_a_style_loads_no_fonts():
    code = (
        "import sys; from forkmaps.style import Style; Style(); "
        "sys.exit('matplotlib.font_manager' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def rows_of(heading):
    """The rows of the table under a heading of docs/style.md: option, meaning, default."""
    text = (pathlib.Path(__file__).parents[1] / "docs" / "style.md").read_text()
    section = re.split(r"^# ", text, flags=re.MULTILINE)[1:]
    found = next(part for part in section if part.startswith(heading))
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| `.*", found, re.M)
    ]


@pytest.mark.parametrize(("kind", "heading"), [(Style, "Styles"), (Line, "Lines")])
def test_the_page_of_styles_has_all_options_with_their_defaults(kind, heading):
    rows = rows_of(heading)
    assert [option for option, _, _ in rows] == [f"`{name}`" for name in kind.model_fields]
    for option, meaning, default in rows:
        field = kind.model_fields[option.strip("`")]
        assert meaning
        if field.default is not None:
            assert tomllib.loads(f"v = {default.strip('`')}") == {"v": field.default}, option
        else:
            assert not default.startswith("`"), option


@pytest.mark.parametrize("kind", [Style, Line])
def test_every_option_says_what_it_is(kind):
    [body] = (node.body for node in ast.parse(textwrap.dedent(inspect.getsource(kind))).body)
    for before, after in itertools.pairwise(body):
        if isinstance(before, ast.AnnAssign):
            told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            assert told, f"{kind.__name__}.{before.target.id}"
