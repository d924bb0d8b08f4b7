"""Styles and lines as they are given in Python: what is none is told before anything is drawn with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from forkmaps.errors import StyleError
from forkmaps.style import Line, Style


def style_of(given: Style | None) -> Style:
    """Return a style; the default one where none is given.

    Raises
    ------
    StyleError
        Something else is given.
    """
    if given is None:
        return Style()
    if isinstance(given, Style):
        return given
    if isinstance(given, Mapping) and any(isinstance(one, Style) for one in given.values()):
        name, one = next((name, one) for name, one in given.items() if isinstance(one, Style))
        raise StyleError(
            f"style: one Style is needed, for all rasters that a call draws; make "
            f"a call for each raster that has another, with rasters={name!r}, style=Style({_changed(one)})"
        )
    raise StyleError(f"style: a Style is needed, not {given!r:.100}; write {_call('Style', given)}")


def lines_of(given: Mapping[str, Line] | None, layers: Iterable[str]) -> dict[str, Line]:
    """Return how boundary layers are drawn; all of them by default, each as `Line()` says.

    Raises
    ------
    StyleError
        Something else is given.
    """
    if given is None:
        return dict.fromkeys(layers, Line())
    if not isinstance(given, Mapping):
        raise StyleError(
            f"lines: a Line by each layer's name is needed, not {given!r:.100}; write "
            'lines={"states": Line(linewidth=1.2)}'
        )
    for name, line in given.items():
        if not isinstance(line, Line):
            raise StyleError(
                f'lines: layer "{name}": a Line is needed, not {line!r:.100}; write {_call("Line", line)}'
            )
    return dict(given)


def _changed(style: Style) -> str:
    """Return the options of a style that were given, as they are written in a call; the first few."""
    given = [f"{name}={getattr(style, name)!r}" for name in sorted(style.model_fields_set)]
    return ", ".join(given[:2] + ["..."] * (len(given) > 2)) or "..."


def _call(kind: str, given: Any) -> str:
    """Return the call that was meant, where options stand in a dict."""
    if isinstance(given, Mapping) and given and all(isinstance(key, str) for key in given):
        return f"{kind}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
    return {"Style": 'Style(palette="viridis")', "Line": "Line(linewidth=1.2)"}[kind]
