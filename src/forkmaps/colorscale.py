"""Values to colors, as matplotlib's norms and color maps do it, by one table.

matplotlib turns a value into a color through several temporaries of float and of RGBA. Here a value becomes an
index into a table of 32-bit colors. The arithmetic is matplotlib's own, in its order and precision, so the
colors are the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.colors as mcolors
import numpy as np
from numpy.typing import NDArray

from forkmaps.sampling import Plane

if TYPE_CHECKING:
    from forkmaps.style import Style

_SHADES = 256
"""Colors of a palette that is shaded between its ends; matplotlib's usual number."""
_BINS_PER_STEP = 4
"""Bins of the look-up of levels, at least, per narrowest step between two levels."""
_MOST_BINS = 1 << 16
_STRIP_ROWS = 48
"""Rows that are colored at a time: few enough for their arrays to stay in the CPU's cache."""


class ColorScale:
    """The colors of a style's values.

    Parameters
    ----------
    style : Style
    low, high : float
        The palette's ends where the style leaves them open, in the raster's unit.

    Attributes
    ----------
    norm, cmap : matplotlib's
        For a color bar, and for anybody's own artists.
    extend : "neither", "min", "max" or "both"
        At which ends the color bar has a point: where the style gives a color for values beyond.
    """

    def __init__(self, style: Style, low: float, high: float) -> None:
        low = low if style.min is None else style.min
        high = high if style.max is None else style.max
        if not low < high:
            # One value only, or none: any range shows it.
            low, high = (low - 0.5, low + 0.5) if np.isfinite(low) else (0.0, 1.0)
        self.cmap = _cmap(style)
        self.extend = _extend(style)
        self.norm: Any
        if style.levels is None:
            self.norm = mcolors.Normalize(low, high)
        else:
            self.norm = mcolors.BoundaryNorm(style.levels, self.cmap.N, extend="neither")
        self._table = _table(self.norm, self.cmap, style.levels)
        self._no_data = np.uint32(len(self._table) - 1)
        self._finder = None if style.levels is None else _StepFinder(style.levels)

    def colors(self, values: Plane) -> NDArray[np.uint8]:
        """Return (rows, columns, 4) RGBA bytes of (rows, columns) values; NaN gets the color of no data."""
        out = np.empty(values.shape, np.uint32)
        for start in range(0, len(values), _STRIP_ROWS):
            strip = values[start : start + _STRIP_ROWS]
            index = self._shade(strip) if self._finder is None else self._finder.index(strip)
            self._table.take(index, out=out[start : start + _STRIP_ROWS], mode="clip")
        return out.view(np.uint8).reshape(*values.shape, 4)

    def _shade(self, values: Plane) -> NDArray[np.intp]:
        """Index: 0 under, 1 to N the shades, N + 1 over, N + 2 no data."""
        low, high = self.norm.vmin, self.norm.vmax
        place = values - np.float32(low)
        place /= np.float32(high - low)
        place *= self.cmap.N
        missing = np.isnan(place)
        # The highest value itself has the last color.
        np.putmask(place, values == np.float32(high), self.cmap.N - 0.5)
        np.clip(place, -1.0, self.cmap.N, out=place)
        place += 1.0
        if missing.any():
            place[missing] = self.cmap.N + 2
        return place.astype(np.intp)


class _StepFinder:
    """Find the step between two levels that a value lies in, by equal bins narrower than any step.

    A bin holds at most one level, so its value lies in the bin's first step or in the next one.
    """

    def __init__(self, levels: tuple[float, ...]) -> None:
        self.levels = np.array(levels, np.float32)
        span = float(self.levels[-1] - self.levels[0])
        bins = min(int(span / np.diff(self.levels).min() * _BINS_PER_STEP) + 1, _MOST_BINS)
        self.bins, self.per_unit = bins, np.float32(bins / span)
        edges = self.levels[0] + np.arange(bins, dtype=np.float64) / self.per_unit
        # Steps count from 1; rounding may put a value just below a bin's edge into the bin, hence the margin.
        self.first = np.searchsorted(self.levels, edges - 0.01 / self.per_unit, side="right").clip(1)
        self.uneven = bins == _MOST_BINS
        self.next = np.append(self.levels[1:], np.float32(np.inf)).astype(np.float32)

    def index(self, values: Plane) -> NDArray[np.intp]:
        """Index: 0 under, 1 to n the steps, n + 1 over, n + 2 no data."""
        steps = len(self.levels) - 1
        missing = np.isnan(values)
        if self.uneven:
            index = np.searchsorted(self.levels, values, side="right")
        else:
            place = np.nan_to_num((values - self.levels[0]) * self.per_unit, nan=0.0)
            index = self.first.take(np.clip(place, 0, self.bins - 1).astype(np.intp))
            index += values >= self.next.take(index - 1)
        index[values < self.levels[0]] = 0
        index[values >= self.levels[-1]] = steps + 1
        # As in matplotlib, the last step does not hold its upper limit.
        index[missing] = steps + 2
        return index


def _cmap(style: Style) -> Any:
    if style.colors is None:
        cmap = mpl.colormaps[style.palette].copy()
    elif style.levels is None:
        cmap = mcolors.LinearSegmentedColormap.from_list("colors", list(style.colors), N=_SHADES)
    else:
        cmap = mcolors.ListedColormap(list(style.colors))
    beyond = {"under": style.under, "over": style.over, "bad": style.no_data}
    cmap.set_extremes(**{key: color for key, color in beyond.items() if color is not None})
    return cmap


def _extend(style: Style) -> str:
    ends = (style.under is not None, style.over is not None)
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[ends]


def _table(norm: Any, cmap: Any, levels: tuple[float, ...] | None) -> NDArray[np.uint32]:
    """Return RGBA of under, each shade or step, over, and no data, each packed into 32 bits."""
    if levels is None:
        index = np.arange(cmap.N)
    else:
        middles = (np.array(levels[:-1]) + np.array(levels[1:])) / 2
        index = np.asarray(norm(middles))
    inside = cmap(index, bytes=True)
    under, over, bad = (
        np.array([mcolors.to_rgba(c)]) for c in (cmap.get_under(), cmap.get_over(), cmap.get_bad())
    )
    beyond = [np.round(c * 255).astype(np.uint8) for c in (under, over, bad)]
    table = np.concatenate([beyond[0], inside, beyond[1], beyond[2]])
    return np.ascontiguousarray(table).view(np.uint32).ravel()
