"""What a user's own function draws: take it from what the function returns, and make it pixels or a file.

    with own_figures():
        content = figure_bytes(figure_of(plot(data)), ".png")

Inside of the block, pyplot has no figures but those that the function makes, and they are closed after it. So
a function may work with pyplot or without, in a worker or in the user's own process, and leaves nothing open.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib._pylab_helpers import Gcf
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from forkmaps.encode import Picture, encode_png, encode_webp
from forkmaps.errors import DrawingError

Drawing: TypeAlias = Figure | Picture
"""A matplotlib figure, or (rows, columns, 3 or 4) uint8 pixels, top row first."""

VectorFormat: TypeAlias = Literal["pdf", "svg"]

_METADATA: dict[VectorFormat, dict[str, Any]] = {
    "pdf": {"Creator": "forkmaps", "CreationDate": None},
    "svg": {"Creator": "forkmaps", "Date": None},
}
"""No dates, so that the same figure has the same bytes."""
_SETTINGS: Any = {"svg.hashsalt": "forkmaps", "svg.image_inline": True, "savefig.bbox": None}
"""What a user's own matplotlib settings must not change: names of parts, one file, the figure's own size."""
_WANTED = (
    "return a matplotlib figure, its axes or an artist on them, or (rows, columns, 3 or 4) uint8 pixels; "
    "or draw with pyplot and return nothing"
)


@contextmanager
def own_figures() -> Iterator[None]:
    """Set pyplot's open figures aside, and put them back in the end in place of those made meanwhile."""
    others = Gcf.figs.copy()
    Gcf.figs.clear()
    try:
        yield
    finally:
        Gcf.destroy_all()
        Gcf.figs.update(others)


def figure_of(returned: Any) -> Drawing:
    """Return what a function has drawn, from what it returned.

    Parameters
    ----------
    returned
        A figure; axes or any artist on one; a tuple, list or array that has those of one figure among its
        items, such as what `plt.subplots` returns; an object with a `figure`, such as seaborn's grids; pixels
        as (rows, columns, 3 or 4) uint8; or None: pyplot's current figure, which within `own_figures` is one
        that the function made.

    Raises
    ------
    DrawingError
        It is nothing of these, or belongs to more than one figure.
    """
    if returned is None:
        return _current_figure()
    if isinstance(returned, np.ndarray) and returned.dtype != object:
        return _checked_pixels(returned)
    figures = list(dict.fromkeys(_figures_in(returned)))
    if len(figures) > 1:
        raise DrawingError(f"the function returned parts of {len(figures)} figures; return one of them")
    if not figures:
        raise DrawingError(f"the function returned {_shown(returned)}, which is no drawing; {_WANTED}")
    return figures[0]


def draw_off_screen() -> None:
    """Make pyplot in a forked worker draw in memory: the parent's windows are not the worker's to use."""
    Gcf.figs.clear()  # not closed: that would talk to the parent's display
    mpl.use("agg")


def figure_bytes(drawing: Drawing, suffix: str, *, dpi: float | None = None) -> bytes:
    """Return a drawing as the bytes of a file. Same drawing, same bytes: no dates, no random names.

    Parameters
    ----------
    drawing : Figure or (rows, columns, 3 or 4) uint8
    suffix : ".png", ".webp", ".pdf" or ".svg"
    dpi : float
        Pixels per inch; default: the figure's. Pixels stay as they are: it is only stated.

    Raises
    ------
    DrawingError
        Pixels for a PDF or SVG file, or a suffix of none of these.
    """
    if suffix not in (".png", ".webp", ".pdf", ".svg"):
        raise DrawingError(f'a drawing can be a file .png, .webp, .pdf or .svg, not "{suffix}"')
    if suffix in (".pdf", ".svg"):
        return vector_bytes(_with_shapes(drawing, suffix), "pdf" if suffix == ".pdf" else "svg", dpi=dpi)
    if isinstance(drawing, Figure):
        dpi = drawing.dpi if dpi is None else dpi
        drawing = figure_pixels(drawing, dpi=dpi)
    clear = drawing.shape[2] == 4 and bool((drawing[:, :, 3] < 255).any())
    if suffix == ".webp":
        return encode_webp(drawing, alpha=clear)
    return encode_png(drawing, dpi=dpi, alpha=clear)


def figure_pixels(figure: Figure, *, dpi: float | None = None) -> Picture:
    """Draw a figure as `figure.savefig` does, at its own size. Returns (rows, columns, 4) uint8 RGBA.

    `dpi` is in pixels per inch; default: the figure's.
    """
    sink = _Sink()
    with mpl.rc_context({"savefig.bbox": None}):
        figure.savefig(sink, format="rgba", dpi="figure" if dpi is None else dpi)  # type: ignore[arg-type]
    return sink.pixels


def vector_bytes(figure: Figure, format: VectorFormat, *, dpi: float | None = None) -> bytes:
    """Return a figure as a PDF or SVG file, at its own size; `dpi` is that of images in it."""
    file = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        metadata = _METADATA[format]
        figure.savefig(file, format=format, dpi="figure" if dpi is None else dpi, metadata=metadata)
    return file.getvalue()


def inches(pixels: int, dpi: float) -> float:
    """Return a length that is not less than `pixels` when it is multiplied by `dpi` again and cut off."""
    length = pixels / dpi
    return length if length * dpi >= pixels else float(np.nextafter(length, np.inf))


class _Sink(io.RawIOBase):
    """Stands in for a file where matplotlib writes a picture's pixels, and keeps them in their shape."""

    pixels: Picture

    def write(self, pixels: Any) -> int:
        self.pixels = np.array(pixels)
        return self.pixels.nbytes


def _current_figure() -> Figure:
    manager = Gcf.get_active()
    if manager is None:
        raise DrawingError("the function returned nothing, and made no figure with pyplot; let it do either")
    return manager.canvas.figure


def _with_shapes(drawing: Drawing, suffix: str) -> Figure:
    if not isinstance(drawing, Figure):
        raise DrawingError(f"pixels can't be a {suffix} file; return a figure, or write .png or .webp")
    return drawing


def _figures_in(returned: Any) -> Iterator[Figure]:
    """Find the figures that an artist, another object with a figure, or the items of a sequence belong to."""
    if isinstance(returned, np.ndarray):
        returned = list(returned.flat) if returned.dtype == object else []
    if isinstance(returned, tuple | list):
        for item in returned:
            yield from _figures_in(item)
    elif isinstance(figure := _figure_of(returned), Figure):
        yield figure


def _figure_of(one: Any) -> Any:
    return one.get_figure(root=True) if isinstance(one, Artist) else getattr(one, "figure", None)


def _checked_pixels(pixels: Any) -> Picture:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or not pixels.size:
        found = f"an array of shape {pixels.shape} and type {pixels.dtype}"
        raise DrawingError(f"the function returned {found}; pixels are (rows, columns, 3 or 4) uint8")
    checked: Picture = pixels
    return checked


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
