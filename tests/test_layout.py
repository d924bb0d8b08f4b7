"""Where things stand on a picture: whole pixels, inside of it, and not on one another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkmaps.errors import StyleError
from forkmaps.projection import Size
from forkmaps.style import Style
from forkmaps.style.layout import Box, Layout


@settings(deadline=None)
@given(
    width=st.floats(2, 25),
    height=st.floats(2, 25),
    dpi=st.floats(61, 400),
    size=st.floats(4, 20),
    subtitle=st.sampled_from(["", "One"]),
    title=st.sampled_from(["", "One"]),
    padding=st.sampled_from([0.0, 0.1, 20.0]),
)
def test_nothing_overlaps_or_leaves_the_picture(width, height, dpi, size, subtitle, title, padding):
    texts = {"label_size": size, "title": title, "subtitle": subtitle}
    style = Style(width=width, height=height, dpi=dpi, padding=padding, **texts)
    try:
        layout = Layout.of(style)
    except StyleError:
        return
    box, bar, size = layout.map, layout.color_bar, layout.size
    half_line = style.label_size * dpi / 72 / 2
    assert 0 < box.left < box.left + box.width < size.width
    assert box.bottom + box.height < size.height
    assert box.left <= bar.left < bar.left + bar.width <= box.left + box.width
    assert layout.label - half_line > 0
    assert layout.label + half_line <= layout.tick_labels - half_line + 1
    assert layout.tick_labels + half_line <= bar.bottom - layout.tick + 1
    assert bar.bottom + bar.height < box.bottom
    if title:
        assert box.bottom + box.height < layout.title - style.title_size * dpi / 72 / 2
    if title and subtitle:
        assert layout.subtitle < layout.title


def test_the_map_fills_what_the_texts_leave():
    layout = Layout.of(Style())
    assert layout.size == Size(1400, 900)
    assert layout.map_size == Size(layout.map.width, layout.map.height)
    assert layout.map.width >= 1370
    assert layout.map.height >= 780


def test_no_title_no_strip():
    with_title, without = Layout.of(Style()), Layout.of(Style(title=""))
    assert without.map.height - with_title.map.height > 25
    assert without.size.height - without.map.bottom - without.map.height < 10


@pytest.mark.parametrize("color_bar", [True, False])
def test_padding_is_left_free_on_all_sides_of_the_map(color_bar):
    plain, padded = (Layout.of(Style(dpi=144, padding=p, color_bar=color_bar)) for p in (0, 20))
    assert padded.map.left - plain.map.left == 40  # 20 points at 2 pixels each
    assert plain.map.width - padded.map.width == 80
    assert padded.map.bottom - plain.map.bottom == 40
    assert plain.map.height - padded.map.height == 80
    if color_bar:
        bar, box = padded.color_bar, padded.map
        assert bar.left - box.left == box.left + box.width - bar.left - bar.width > 0
        assert padded.color_bar.bottom == plain.color_bar.bottom


def test_a_box_is_a_view_on_its_pixels():
    picture = np.zeros((10, 20, 4), np.uint8)
    Box(left=2, bottom=1, width=5, height=3).of(picture)[:] = 1
    assert picture[6:9, 2:7].all()
    assert picture.sum() == 5 * 3 * 4


def test_a_box_in_fractions_of_the_picture():
    assert Box(2, 1, 5, 3).fractions(Size(20, 10)) == pytest.approx((0.1, 0.1, 0.25, 0.3))


def test_too_small_for_a_map():
    with pytest.raises(StyleError, match=r"a picture of 130 x 120 pixels leaves \d+ x -?\d+ for the map"):
        Layout.of(Style(width=1.3, height=1.2, dpi=100, title_size=40))
