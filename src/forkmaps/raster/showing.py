"""How a raster shows itself: in one line, and in notebooks as a table with a small picture."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from forkmaps.errors import ProjectionError, counted
from forkmaps.html import Markup
from forkmaps.projection import MapProjection, Size, View, projection_from_text
from forkmaps.raster.sampling import Plane
from forkmaps.regions import Extent

if TYPE_CHECKING:
    from forkmaps.raster import Raster

_SIDE = 160
"""Pixels that the picture is wide or high."""
_SHADES = 31
"""Colors in it: of noise it takes 19 KB, of a smooth field 2."""
_SHOWN = 6
"""So many bands are named."""


def one_line(raster: Raster) -> str:
    """Return what a raster is: `name: 2 bands of 20 x 30 cells (rows x columns), WGS 84, 0.1 MB`."""
    rows, columns = raster.shape
    bands = counted(len(raster.bands), "band")
    kind = "" if raster.is_rectilinear else " on a grid that is not rectilinear"
    name = f"{raster.name}: " if raster.name else ""
    cells = f"{rows} x {columns} cells (rows x columns){kind}"
    return f"{name}{bands} of {cells}, {raster.crs.name}, {megabytes(raster)}"


def facts_of(raster: Raster) -> dict[str, object]:
    """Return what is worth telling of a raster, by name."""
    rows, columns = raster.shape
    low, high = raster.value_range
    return {
        "name": raster.name,
        "unit": raster.unit,
        "cells": f"{rows} rows x {columns} columns",
        "grid": "" if raster.is_rectilinear else "not rectilinear",
        "bands": _bands(raster),
        "values": "none" if np.isnan(low) else f"{low:g} to {high:g}",
        "CRS": raster.crs.name,
        "memory": megabytes(raster),
        "source": raster.source,
    }


def megabytes(part: Raster) -> str:
    """Return how much memory a raster takes, with its pyramid."""
    return f"{part.nbytes / 1e6:.1f} MB"


def _bands(raster: Raster) -> str:
    texts = [
        " ".join(filter(None, (band.name, f"{band.valid_time:%Y-%m-%d %H:%MZ}" if band.valid_time else "")))
        for band in raster.bands[:_SHOWN]
    ]
    more = f" and {len(raster.bands) - _SHOWN} more" if len(raster.bands) > _SHOWN else ""
    return f"{len(raster.bands)}: {', '.join(filter(None, texts))}{more}"


def picture(raster: Raster, projection: MapProjection | None = None) -> Markup:
    """Return a small picture of a raster's first band, without a scale; nothing where it can't be drawn."""
    try:
        projection = projection or projection_from_text(raster.crs_text)
        view = _whole(raster, projection)
    except ProjectionError:
        return Markup()
    if view is None:
        return Markup()
    data = base64.b64encode(_png(raster.sample(view, projection))).decode()
    name = escape(raster.name or "the raster")
    return Markup(f'<img src="data:image/png;base64,{data}" alt="{name}, all of it">')


def _whole(raster: Raster, projection: MapProjection) -> View | None:
    """Return the view of all of a raster that the map shows."""
    x, y = projection.transformer(raster.crs_text).transform(*raster.outline())
    if projection.period is not None:
        x = np.unwrap(x, period=projection.period, axis=1)
    shown = np.isfinite(x) & np.isfinite(y)
    if not shown.any():
        return None
    west, east, south, north = x[shown].min(), x[shown].max(), y[shown].min(), y[shown].max()
    if not (west < east and south < north):
        return None
    step = max(east - west, north - south) / _SIDE
    size = Size(max(round((east - west) / step), 1), max(round((north - south) / step), 1))
    return View(Extent(float(west), float(east), float(south), float(north)), size)


def _png(values: Plane) -> bytes:
    """Return values as a picture from purple to yellow, transparent where there are none."""
    import matplotlib as mpl
    from PIL import Image

    known = np.isfinite(values)
    low, high = np.percentile(values[known], [1, 99]) if known.any() else (0.0, 1.0)
    with np.errstate(invalid="ignore"):
        shade = np.clip((values - low) / max(high - low, 1e-30) * _SHADES, 0, _SHADES - 1)
    index = np.where(known, np.nan_to_num(shade), _SHADES).astype(np.uint8)
    image = Image.fromarray(index)
    colors = mpl.colormaps["viridis"](np.linspace(0, 1, _SHADES), bytes=True)[:, :3]
    image.putpalette(colors.tobytes() + b"\xff\xff\xff")
    file = io.BytesIO()
    image.save(file, format="PNG", transparency=_SHADES, optimize=True)
    return file.getvalue()
