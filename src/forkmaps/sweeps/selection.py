"""The part of the data that a combination of parameters shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forkmaps.errors import DrawingError
from forkmaps.freezing import frozen, is_labelled

_SHOWN_LABELS = 6
"""So many of a coordinate's labels are named where one is wrong."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects from the data what a combination of parameters is about.

    Attributes
    ----------
    data : any object or None
    dimensions : tuple of str
        The parameters that select from a labelled array: those that are its dimensions.
    """

    data: Any
    dimensions: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Any, *, parameters: Mapping[str, Sequence[Any]]) -> Self:
        """Look at the data, and at all values that select from it.

        Raises
        ------
        DrawingError
            A value is not on its coordinate.
        """
        if not is_labelled(data):
            return cls(data)
        dimensions = tuple(name for name in parameters if name in data.dims)
        for name in dimensions:
            _check_on_coordinate(name, parameters[name], data)
        return cls(data, dimensions)

    def arguments(self, combination: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return what the drawing function gets before the parameters: the selected data, or nothing."""
        if self.data is None:
            return ()
        return (self._selected(combination) if is_labelled(self.data) else self.data,)

    def _selected(self, combination: Mapping[str, Any]) -> Any:
        values = {name: combination[name] for name in self.dimensions}
        near = {name: value for name, value in values.items() if _is_float(value)}
        equal = {name: value for name, value in values.items() if name not in near}
        return frozen(self.data.sel(equal).sel(near, method="nearest"))


def _is_float(value: Any) -> bool:
    return isinstance(value, float | np.floating)


def _check_on_coordinate(name: str, values: Sequence[Any], data: Any) -> None:
    labels = data.indexes.get(name)
    if labels is None:
        _check_positions(name, values, data.sizes[name])
        return
    reach = _reach(np.asarray(labels))
    for value in values:
        if _is_float(value) and reach is not None:
            if not reach[0] <= value <= reach[1]:
                raise DrawingError(
                    f"sweep: {name}={value} is not on the data's coordinate, which goes from "
                    f"{labels.min()} to {labels.max()}"
                )
        elif value not in labels:
            shown = ", ".join(str(label) for label in labels[:_SHOWN_LABELS])
            more = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
            raise DrawingError(f"sweep: {name}={value} is not on the data's coordinate: {shown}{more}")


def _check_positions(name: str, values: Sequence[Any], size: int) -> None:
    """Check the values of a dimension without a coordinate: they are positions."""
    for value in values:
        if not isinstance(value, int | np.integer) or not -size <= value < size:
            raise DrawingError(
                f"sweep: {name}={value}: the data has no coordinate {name}; "
                f"give positions, whole numbers from 0 to {size - 1}"
            )


def _reach(labels: NDArray[Any]) -> tuple[float, float] | None:
    """Return the least and greatest value that numbers can select: half a step beyond the ends."""
    if labels.dtype.kind not in "iuf" or not labels.size:
        return None
    ordered = np.sort(labels.astype(float))
    half = float(np.diff(ordered).max()) / 2 if labels.size > 1 else np.inf
    return float(ordered[0]) - half, float(ordered[-1]) + half
