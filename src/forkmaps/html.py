"""HTML for notebooks: tables, and small pictures that link to files.

What an object shows of itself stays in the notebook's file. So pictures are small, lists are cut, and nothing
runs there: every text is escaped.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

SHOWN_ROWS = 20
"""So many rows of a list are shown."""
SHOWN_PICTURES = 6
"""So many pictures are shown."""

_SIDE = 240
"""Pixels that a small picture may be wide or high."""
_QUALITY = 80
"""Of a small picture as WebP: some 8 KB for a map."""
_LEFT = "text-align:left;vertical-align:top"


class Markup(str):
    """A text that is HTML already; any other is escaped."""

    __slots__ = ()


def block(title: str, *parts: str) -> Markup:
    """Return parts under a title."""
    return Markup(f"<div><strong>{escape(title)}</strong>{''.join(parts)}</div>")


def facts(values: Mapping[str, object]) -> Markup:
    """Return a table of names and values; those that are empty are left out."""
    shown = {name: value for name, value in values.items() if value not in ("", None)}
    rows = (
        f'<tr><th style="{_LEFT}">{escape(name)}</th>{_cell(value)}</tr>' for name, value in shown.items()
    )
    return Markup(f"<table><tbody>{''.join(rows)}</tbody></table>")


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, total: int) -> Markup:
    """Return a table of the first `SHOWN_ROWS` of so many rows, and how many more there are; or nothing."""
    if not total:
        return Markup()
    head = "".join(f'<th style="{_LEFT}">{escape(name)}</th>' for name in header)
    shown = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in islice(rows, SHOWN_ROWS))
    more = f"<div>and {total - SHOWN_ROWS} more</div>" if total > SHOWN_ROWS else ""
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{shown}</tbody></table>{more}")


def error(message: str, traceback: str) -> Markup:
    """Return what went wrong, with the traceback, if there is one, to be unfolded by a click."""
    if not traceback:
        return Markup(escape(message))
    return Markup(f"<details><summary>{escape(message)}</summary><pre>{escape(traceback)}</pre></details>")


def pictures(paths: Sequence[str | Path]) -> Markup:
    """Return the first `SHOWN_PICTURES` files as small pictures, each linked to its file."""
    shown = "".join(_figure(Path(path)) for path in paths[:SHOWN_PICTURES])
    return Markup(f'<div style="display:flex;flex-wrap:wrap;gap:8px">{shown}</div>') if shown else Markup()


def image(pixels: NDArray[np.uint8], name: str, *, side: int) -> Markup:
    """Return (rows, columns, 3 or 4) pixels as a picture that is at most `side` pixels wide and high."""
    from PIL import Image

    source = _data_uri(Image.fromarray(pixels), side)
    return Markup(f'<img src="{source}" alt="{escape(name)}" style="display:block">')


def link(path: Path, content: str | None = None) -> Markup:
    """Return a link to a file or folder: relative to the notebook's folder where it lies in there."""
    with suppress(ValueError):
        path = path.resolve().relative_to(Path.cwd().resolve())
    target = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return Markup(f'<a href="{escape(target)}" target="_blank">{content or escape(str(path))}</a>')


def _cell(value: object) -> str:
    content = value if isinstance(value, Markup) else escape(str(value))
    return f'<td style="{_LEFT}">{content}</td>'


def _figure(path: Path) -> str:
    name = escape(path.name)
    source = _thumbnail(path)
    image = f'<img src="{source}" alt="{name}" style="display:block">' if source else ""
    return f'<figure style="margin:0">{link(path, f"{image}{name}")}</figure>'


def _thumbnail(path: Path) -> str:
    """Return a small picture of a file as a data URI; nothing of one that is gone, or is no such picture."""
    # Here, since reports are also made where no notebook is, and Pillow takes its time to import.
    from PIL import Image

    if path.suffix.lower() not in (".png", ".webp"):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # too large
            picture = Image.open(path)
        with picture:
            small = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        return ""
    return _data_uri(small, _SIDE)


def _data_uri(small: Image, side: int) -> str:
    """Return a picture as a data URI, made smaller where it is wider or higher than `side` pixels."""
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, format="WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
