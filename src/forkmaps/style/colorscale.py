"""Values to colors, as matplotlib's norms and color maps do it, by one table.

matplotlib turns a value into a color through several temporaries of float and of RGBA. Here a value becomes
an index into a table of 32-bit colors. The arithmetic is matplotlib's own, in its order and precision, so the
colors are those that `pcolormesh` and the color bar show, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import matplotlib.colors as mcolors
import numpy as np
from numpy.typing import NDArray

from forkmaps.raster.sampling import Plane

if TYPE_CHECKING:
    from forkmaps.style import Style

_SHADES = 256
"""Colors of a palette that is shaded between its ends; matplotlib's usual number."""
_BINS_PER_STEP = 4
"""Bins of the look-up of levels per narrowest step between two levels: none holds two levels, with room."""
_MOST_BINS = 1 << 16
"""Levels so uneven that they need more bins are found by binary search, ten times as slow."""
_NARROWEST_STEP = 1e-30
"""... and so are levels closer than this, whose bins per unit float32 can't hold."""
_STRIP_ROWS = 48
"""Rows that are colored at a time: few enough for their arrays to stay in the CPU's cache."""


class ColorScale:
    """The colors of a style's values.

    Parameters
    ----------
    style : Style
    low, high : float
        Least and greatest value, in the raster's unit: the palette's ends where the style leaves them open;
        NaN if there are no values.

    Attributes
    ----------
    norm, cmap : matplotlib's
        For a color bar, and for anybody's own artists.
    extend : "neither", "min", "max" or "both"
        At which ends the color bar has a point: where there are values beyond, or the style has a color for
        them.
    """

    def __init__(self, style: Style, low: float, high: float) -> None:
        self.cmap = _cmap(style)
        self.norm: Any
        self._index: _Shades | _Steps
        if style.levels is None:
            self.norm = mcolors.Normalize(*_ends(style, low, high))
            self._index = _Shades(self.norm.vmin, self.norm.vmax, self.cmap.N)
            inside = np.arange(self.cmap.N)
        else:
            self.norm = mcolors.BoundaryNorm(style.levels, self.cmap.N)
            self._index = _Steps(style.levels)
            inside = np.asarray(self.norm(np.array(style.levels[:-1])))
        beyond = low < np.float32(self.norm.vmin), high > np.float32(self.norm.vmax)
        self.extend = _extend(style, *map(bool, beyond))
        self._table = _table(self.cmap, inside, style.background)

    def colors(self, values: Plane, *, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return (rows, columns, 4) RGBA bytes of (rows, columns) values, opaque.

        NaN and infinite values get the color of no data, as matplotlib masks both. `out` takes the bytes; the
        four of a pixel must lie together in it.
        """
        if out is None:
            out = np.empty((*values.shape, 4), np.uint8)
        packed = out.view(np.uint32)[..., 0]
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(values), _STRIP_ROWS):
                strip, colored = values[start : start + _STRIP_ROWS], packed[start : start + _STRIP_ROWS]
                colored[...] = self._table.take(self._index(strip), mode="clip")
                np.copyto(colored, self._table[-1], where=~np.isfinite(strip))
        return out


class _Shades:
    """Index into a palette shaded from `low` to `high`: `Normalize`, then `Colormap.__call__`.

    0 is under, 1 the first shade, the last number over.
    """

    def __init__(self, low: float, high: float, shades: int) -> None:
        self.low, self.width, self.shades = _narrow(low), _narrow(high - low), np.float32(shades)

    def __call__(self, values: Plane) -> NDArray[np.intp]:
        place = np.empty(values.shape, np.float32)
        np.subtract(values, self.low, out=place, casting="same_kind")
        np.divide(place, self.width, out=place, casting="same_kind")
        place *= self.shades
        # The highest value itself has the last color.
        np.copyto(place, self.shades - 1, where=place == self.shades)
        np.floor(place, out=place)
        np.clip(place, np.float32(-1), self.shades, out=place)
        place += 1
        return _integers(place)


class _Steps:
    """Index of the step between two levels: `BoundaryNorm`. A step holds its lower limit.

    The range is cut in equal bins so narrow that a bin holds one level at most: a value's bin tells its step,
    or that it lies in this step or the next.
    """

    def __init__(self, levels: tuple[float, ...]) -> None:
        exact = np.array(levels)
        nearest = exact.astype(np.float32)
        # The least float32 values that are not less than the levels; but matplotlib rounds the highest one.
        self.limits = np.where(nearest < exact, np.nextafter(nearest, np.float32(np.inf)), nearest)
        self.limits[-1] = nearest[-1]
        self.next = np.append(self.limits, np.float32(np.inf))
        self.first, self.per_unit = self._bins()

    def _bins(self) -> tuple[NDArray[np.intp] | None, np.float32]:
        """Return the step that each bin begins in, and how many bins there are in a unit."""
        limits = self.limits.astype(float)
        span, narrowest = limits[-1] - limits[0], np.diff(limits).min()
        if span * _BINS_PER_STEP > narrowest * _MOST_BINS or narrowest < _NARROWEST_STEP:
            return None, np.float32(0)
        per_unit = np.float32(_BINS_PER_STEP / narrowest)
        begins = limits[0] + np.arange(np.ceil(span * float(per_unit))) / float(per_unit)
        # Rounding may put a value just below a bin's beginning into the bin, hence the margin.
        return np.searchsorted(limits, begins - 0.1 / float(per_unit), side="right"), per_unit

    def __call__(self, values: Plane) -> NDArray[np.intp]:
        if self.first is None:
            return np.searchsorted(self.limits, values, side="right")
        place = values - self.limits[0]
        place *= self.per_unit
        np.clip(place, np.float32(0), np.float32(len(self.first) - 1), out=place)
        index = self.first.take(_integers(place), mode="clip")
        index += values >= self.next.take(index)
        return index


def _integers(numbers: NDArray[np.float32]) -> NDArray[np.intp]:
    """Cut off fractions; by way of int32, which is three times as fast."""
    return numbers.astype(np.int32).astype(np.intp)


def _narrow(number: float) -> np.float32 | np.float64:
    """Return a float32 where it is exact: the results are the same then, several times as fast."""
    with np.errstate(over="ignore"):
        narrow = np.float32(number)
    return narrow if float(narrow) == number else np.float64(number)


def _ends(style: Style, low: float, high: float) -> tuple[float, float]:
    """Return the palette's ends: the style's, then the data's, then any that show a single value, or none."""
    if not (np.isfinite(low) and np.isfinite(high)):
        low, high = 0.0, 1.0
    if style.min is not None:
        low, high = style.min, max(high, style.min)
    if style.max is not None:
        low, high = min(low, style.max), style.max
    if low < high:
        return low, high
    room = max(0.5, abs(low) * 0.01)
    if style.min is not None:
        return low, low + room
    most = float(np.finfo(np.float32).max)
    return max(high - room, -most), high if style.max is not None else min(high + room, most)


def _cmap(style: Style) -> Any:
    if style.colors is None:
        cmap = mpl.colormaps[style.palette]
    elif style.levels is None:
        cmap = mcolors.LinearSegmentedColormap.from_list("colors", list(style.colors), N=_SHADES)
    else:
        cmap = mcolors.ListedColormap(list(style.colors))
    beyond = {"under": style.under, "over": style.over, "bad": style.no_data}
    return cmap.with_extremes(**{key: color for key, color in beyond.items() if color is not None})


def _extend(style: Style, is_below: bool, is_above: bool) -> Literal["neither", "min", "max", "both"]:
    if is_below or style.under is not None:
        return "both" if is_above or style.over is not None else "min"
    return "max" if is_above or style.over is not None else "neither"


def _table(cmap: Any, inside: NDArray[np.integer[Any]], background: str) -> NDArray[np.uint32]:
    """Return the opaque RGBA, packed into 32 bits, of under, what is `inside`, over, and no data."""
    rgba = np.concatenate([[cmap.get_under()], cmap(inside), [cmap.get_over()], [cmap.get_bad()]])
    behind, alpha = np.array(mcolors.to_rgb(background)), rgba[:, 3:]
    rgb = rgba[:, :3] * alpha + behind * (1 - alpha)
    # Rounded as Agg rounds the colors of a mesh, and so of the color bar; cmap(..., bytes=True) cuts off.
    table = np.full((len(rgba), 4), 255, np.uint8)
    table[:, :3] = (rgb * 255 + 0.5).astype(np.uint8)
    return table.view(np.uint32).ravel()
