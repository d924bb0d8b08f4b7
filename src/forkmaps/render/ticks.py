"""The color bar's ticks: where they stand, and labels that never touch each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

_MOST_TICKS = 11
"""Of a shaded palette; more are hard to read."""
_STEPS = (1, 2, 2.5, 5, 10)
"""Distances of ticks, times powers of ten."""
_PLAIN = (1e-4, 1e7)
"""Range of the largest number that is written without an exponent."""
_SHARE_OF_DISTANCE, _SHARE_OF_NUMBER = 1e-6, 1e-3
"""Written numbers are off by no more than these shares of the least distance of two, and of themselves."""
_NOISE = 1e-14
"""Numbers smaller than this share of the largest are zeros that rounding has spoilt."""
_MOST_DECIMALS = 15

Measure = Callable[[str], float]
"""Width of a label, in pixels."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the color bar: `place` from 0 (its left end) to 1; an empty label where there is no room."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Ruler:
    """The color bar as ticks see it.

    Attributes
    ----------
    limits : sequence of float
        Values that stand at equal distances from end to end: the levels, or the two ends of a palette.
    length : float
        From end to end, in pixels.
    room : float
        Pixels that a label may reach beyond either end.
    gap : float
        Pixels between two labels, at least.
    measure : callable
    stepped : bool
        Whether the limits are levels, and so have ticks by default.
    """

    limits: Sequence[float]
    length: float
    room: float
    gap: float
    measure: Measure
    stepped: bool

    def ticks(self, given: Sequence[float] | None) -> list[Tick]:
        """Return the ticks at `given` values; by default at the levels, or at round numbers."""
        low, high = self.limits[0], self.limits[-1]
        if given is not None:
            return self._as_many_as_fit(sorted({value for value in given if low <= value <= high}))
        if self.stepped:
            return self._thinned(self.limits)
        return self._round_numbers(low, high)

    def _round_numbers(self, low: float, high: float) -> list[Tick]:
        for most in range(_MOST_TICKS, 0, -1):
            numbers = MaxNLocator(most, steps=_STEPS).tick_values(low, high)
            slack = (high - low) * 1e-9
            inside = [float(n) for n in numbers if low - slack <= n <= high + slack]
            ticks = self._labelled(inside, written(inside, same_decimals=True))
            if self._fits(ticks):
                return ticks
        return self._as_many_as_fit(inside)

    def _thinned(self, values: Sequence[float]) -> list[Tick]:
        """Label every value; or every second, third ... where they would touch, 0 among them if it is one."""
        texts = written(values)
        anchor = values.index(0.0) if 0.0 in values else 0
        for step in _strides(values):
            labels = [text if (i - anchor) % step == 0 else "" for i, text in enumerate(texts)]
            ticks = self._labelled(values, labels)
            if self._fits(ticks):
                return ticks
        return self._as_many_as_fit(values)

    def _as_many_as_fit(self, values: Sequence[float]) -> list[Tick]:
        """Label each value, from the left, whose label does not touch the one before."""
        texts, ticks = written(values), self._labelled(values, [""] * len(values))
        for i, text in enumerate(texts):
            candidate = [*ticks[:i], Tick(ticks[i].place, text), *ticks[i + 1 :]]
            if self._fits(candidate):
                ticks = candidate
        return ticks

    def _labelled(self, values: Sequence[float], labels: Sequence[str]) -> list[Tick]:
        places = np.interp(values, self.limits, np.linspace(0, 1, len(self.limits)))
        return [Tick(float(place), label) for place, label in zip(places, labels, strict=True)]

    def _fits(self, ticks: Sequence[Tick]) -> bool:
        free = -self.room
        for tick in ticks:
            if tick.label:
                middle, half = tick.place * self.length, self.measure(tick.label) / 2
                if middle - half < free:
                    return False
                free = middle + half + self.gap
        return free - self.gap <= self.length + self.room


def _strides(values: Sequence[float]) -> list[int]:
    """Return 1, 2, 3 ...; for values at equal distances, those first that lead to round numbers."""
    strides = list(range(1, len(values) + 1))
    distances = np.diff(values)
    if not len(distances) or np.ptp(distances) > _SHARE_OF_DISTANCE * distances.min():
        return strides
    round_ones = [stride for stride in strides[1:] if _is_round(distances[0] * stride)]
    return [1, *round_ones, *strides[1:]]


def _is_round(distance: float) -> bool:
    share = distance / 10.0 ** np.floor(np.log10(distance) + _SHARE_OF_DISTANCE)
    return bool(np.isclose(share, _STEPS).any())


def written(values: Sequence[float], *, same_decimals: bool = False) -> list[str]:
    """Write numbers with as few decimals as tell them; with an exponent where they are huge or tiny."""
    if not values:
        return []
    numbers = np.array(values, float)
    largest = np.abs(numbers).max()
    numbers[np.abs(numbers) <= largest * _NOISE] = 0.0
    kind = "f" if largest == 0 or _PLAIN[0] <= largest < _PLAIN[1] else "e"
    return [_tidy(text, kind, same_decimals) for text in _shortest(numbers, kind)]


def _shortest(numbers: NDArray[np.float64], kind: str) -> list[str]:
    distances = np.abs(np.diff(numbers))
    error = np.abs(numbers) * _SHARE_OF_NUMBER
    if distances.any():
        error = np.minimum(error, distances[distances > 0].min() * _SHARE_OF_DISTANCE)
    for decimals in range(_MOST_DECIMALS + 1):
        texts = [f"{number:.{decimals}{kind}}" for number in numbers]
        if (np.abs(np.array(texts, float) - numbers) <= error).all():
            break
    return texts


def _tidy(text: str, kind: str, same_decimals: bool) -> str:
    number, _, exponent = text.partition("e")
    if "." in number and not (same_decimals and kind == "f"):
        number = number.rstrip("0").rstrip(".")
    if float(number) == 0:
        number, exponent = number.lstrip("-"), ""
    power = f"e{int(exponent)}" if exponent else ""
    return f"{number}{power}".replace("-", "\N{MINUS SIGN}")
