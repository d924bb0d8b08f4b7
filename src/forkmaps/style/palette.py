"""Palettes: matplotlib's color maps by name, also those that a user has made or registered."""

from __future__ import annotations

import zlib
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap

from forkmaps.errors import nearest


def palette_name(value: Any) -> Any:
    """Return the name of a color map, registered with matplotlib if it is not yet; anything else as it is.

    It is registered under its own name, or if that is taken by another, under one made of its colors.
    """
    if not isinstance(value, Colormap):
        return value
    name = value.name
    if name in mpl.colormaps and mpl.colormaps[name] != value:
        colors = value(np.arange(-1, value.N + 1))
        name = f"{name}-{zlib.crc32(colors.tobytes()):08x}"
    if name not in mpl.colormaps:
        mpl.colormaps.register(value, name=name)
    return name


def known_palette(value: str) -> str:
    """Return the name of a palette; raise ValueError where there is none of this name."""
    if value not in mpl.colormaps:
        raise ValueError(
            f'"{value}" is not a palette{nearest(value, list(mpl.colormaps))}; '
            f"any name of a matplotlib color map is one"
        )
    return value
