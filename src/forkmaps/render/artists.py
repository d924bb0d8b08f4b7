"""The artists of a map: its raster as pixels, a boundary layer in a view, a line of text that stays inside.

All stand on matplotlib's own figure and axes, so any of its backends draws them.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from forkmaps.features.paths import path_of

if TYPE_CHECKING:
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import BboxBase

    from forkmaps.features import BoundaryFeature
    from forkmaps.projection import View
    from forkmaps.style import Line

_log = logging.getLogger(__name__)

_LACKING = re.compile(r"Glyph \d+ .* missing from font\(s\) (.*)\.", re.DOTALL)
"""Matplotlib's warning."""
_SMALLEST_TEXT = 0.6
"""A text too long for its room shrinks to this share of its size, and is then cut."""
_UNDRAWABLE = ("Cc", "Cs", "Cn", "Zl", "Zp")
"""Unicode categories that no font has a shape for: control characters, lone surrogates, line ends."""


class PixelImage(Artist):
    """An image that fills a box with one pixel of its own for each of the picture's: nothing resamples it.

    Attributes
    ----------
    pixels : (rows, columns, 4) uint8
        RGBA, top row first; of the size of the box in pixels.
    """

    def __init__(self, box: BboxBase) -> None:
        super().__init__()
        self.box = box
        self.pixels: NDArray[np.uint8] = np.zeros((1, 1, 4), np.uint8)
        self.set_zorder(0)

    def draw(self, renderer: Any) -> None:
        """Draw the image on a renderer of any backend."""
        if not self.get_visible():
            return
        context = renderer.new_gc()
        place = self.box.x0, self.box.y0, self.pixels[::-1]
        if renderer.option_scale_image():
            # PDF and SVG; told of the size, matplotlib asks for pixels that viewers don't blur.
            renderer.draw_image(context, *place, Affine2D().scale(self.box.width, self.box.height))
        else:
            renderer.draw_image(context, *place)
        context.restore()


class LayerArtists:
    """A boundary layer on a map's axes: its filled areas, and its lines.

    Attributes
    ----------
    artists : tuple of matplotlib artists
        In the order in which they are drawn.
    """

    def __init__(self, axes: Any, feature: BoundaryFeature, line: Line) -> None:
        self.feature = feature
        self._areas = PathPatch(_NOTHING, facecolor=line.fill, edgecolor="none", linewidth=0)
        self._lines = PathPatch(_NOTHING, facecolor="none", edgecolor=line.color, linewidth=line.linewidth)
        self._areas.set_visible(line.fill != "none")
        self._lines.set(joinstyle="round", snap=False, visible=line.linewidth > 0 and line.color != "none")
        self.artists = tuple(patch for patch in (self._areas, self._lines) if patch.get_visible())
        for patch in self.artists:
            # add_patch would walk all segments for the axes' limits, which are set here anyway.
            axes.add_artist(patch)
            patch.set_clip_path(Rectangle((0, 0), 1, 1, transform=axes.transAxes))

    def show(self, view: View) -> None:
        """Set the artists to what is in a view."""
        if self._lines.get_visible():
            self._lines.set_path(path_of(*self.feature.lines(view), closed=False))
        if self._areas.get_visible():
            self._areas.set_path(path_of(*self.feature.areas(view), closed=True))


class Caption:
    """A line of text in the middle of a picture, that never leaves it: shrunk first, then cut.

    Parameters
    ----------
    height : float
        Of the text's middle, in pixels from below.
    room : float
        Pixels that the text may fill.
    """

    def __init__(self, figure: Figure, height: float, room: float, *, size: float, font: str) -> None:
        self.size, self.room = size, room
        across, up = 0.5, height / figure.bbox.height
        self.text: Text = figure.text(across, up, "", fontsize=size, **plain_text(font))

    def show(self, content: str, renderer: RendererAgg) -> None:
        """Set the text so that it fits."""
        # No letter of a readable text is narrower than a pixel.
        content = drawable(content)[: int(self.room) + 1]
        self.text.set(text=content, fontsize=self.size, visible=bool(content))
        if not content:
            return
        with fonts_told():
            self._shrink(content, renderer)

    def _shrink(self, content: str, renderer: RendererAgg) -> None:
        width, share = self._width(renderer), 1.0
        # Hinted glyphs don't shrink in proportion, so that one step may not do.
        while width > self.room and share > _SMALLEST_TEXT:
            share = max(share * self.room / width, _SMALLEST_TEXT)
            self.text.set_fontsize(self.size * share)
            width = self._width(renderer)
        while width > self.room and content:
            content = content[: min(int(len(content) * self.room / width), len(content) - 1)]
            self.text.set_text(content.rstrip() + "…" if content else "")
            width = self._width(renderer)

    def _width(self, renderer: RendererAgg) -> float:
        return float(self.text.get_window_extent(renderer).width)


def drawable(text: str) -> str:
    """Return a text on one line, without what no font can draw."""
    known = (" " if unicodedata.category(c) in _UNDRAWABLE else c for c in text)
    return " ".join("".join(known).split())


def plain_text(font: str) -> dict[str, Any]:
    """Return how all our texts are set: centered, and a $ or a backslash as they stand."""
    return {
        "fontfamily": font,
        "ha": "center",
        "va": "center",
        "parse_math": False,
        "usetex": False,
    }


@contextmanager
def fonts_told() -> Iterator[None]:
    """Tell once of a font that lacks characters, which show as boxes, instead of once for each of them."""
    told: set[str] = set()
    show = warnings.showwarning

    def show_once(message: Warning | str, *where: Any, **further: Any) -> None:
        lacking = _LACKING.match(str(message))
        if lacking is None:
            show(message, *where, **further)
        elif lacking[1] not in told:
            told.add(lacking[1])
            _log.warning(
                "the font %s lacks characters of a text, which show as boxes; "
                "set the style's font, or your own text's, to one that has them",
                lacking[1],
            )

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=_LACKING.pattern)
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        warnings.showwarning = show_once
        yield


_NOTHING = Path(np.zeros((1, 2)))
