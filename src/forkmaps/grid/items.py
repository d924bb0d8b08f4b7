"""The items of a grid: what a worker shares with its parent, and what has to travel to it."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from forkmaps.errors import DrawingError


@dataclass(frozen=True, slots=True)
class Job:
    """A panel to draw: the number of its item, and the item itself where it is not shared."""

    index: int
    item: Any = None


@dataclass(frozen=True, slots=True)
class Items:
    """The data of a grid of panels.

    Attributes
    ----------
    data : sequence, array or iterable
    total : int
        How many items are drawn, at most.
    shared : bool
        Whether a worker takes its item from `data`, by its number.
    """

    data: Any
    total: int
    shared: bool

    @classmethod
    def of(cls, data: Iterable[Any], total: int | None, *, cells: int) -> Self:
        """Find out how the items of `data` get to the workers of a grid with so many cells.

        Raises
        ------
        DrawingError
            There are more items than cells, or none can be taken from `data`.
        """
        shared = _gives_items_by_number(data)
        if not shared and isinstance(data, Collection):
            data, shared = tuple(data), True
        if not shared and not isinstance(data, Iterable):
            raise DrawingError(f"data is a {type(data).__name__}, which has no items to draw")
        count = _count(data, total, cells)
        if count > cells:
            raise DrawingError(
                f"{count} items don't fit in {cells} cells; make grid_shape larger, or give total"
            )
        return cls(data, count, shared)

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs; items that are not shared are made as they are asked for."""
        if self.shared:
            return map(Job, range(self.total))
        return (Job(index, item) for index, item in enumerate(islice(self.data, self.total)))

    def item(self, job: Job) -> Any:
        """Return the item of a job."""
        return self.data[job.index] if self.shared else job.item


def _gives_items_by_number(data: Any) -> bool:
    """Tell whether `data[i]` is what iteration gives as number `i`."""
    if isinstance(data, Sequence):
        return True
    by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    # Arrays of all kinds have a shape; a table of pandas has one too, but its items go by labels.
    is_array = hasattr(data, "shape") and not hasattr(data, "iloc")
    return by_number and (is_array or not hasattr(data, "__iter__"))


def _count(data: Any, total: int | None, cells: int) -> int:
    """Return how many items are to be drawn, as far as that is known before the first."""
    try:
        length = len(data)
    except TypeError:
        length = None
    if total is None:
        return cells if length is None else length
    count = operator.index(total)
    if count < 0:
        raise DrawingError(f"total {count} is not a number of items, 0 or more")
    return count if length is None else min(count, length)
