"""What is known of one band of a raster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a raster.

    Attributes
    ----------
    number : int
        Its number in the file, from 1.
    name : str
        What it shows, without the unit: "Minimum Relative Humidity".
    unit : str
        Unit of its values, "" when unknown.
    valid_time : datetime or None
        The time it is valid for, UTC.
    """

    number: int
    name: str
    unit: str = ""
    valid_time: dt.datetime | None = None

    def to_stored(self) -> list[Any]:
        """Return the band as JSON can hold it."""
        time = self.valid_time
        return [self.number, self.name, self.unit, None if time is None else time.isoformat()]

    @classmethod
    def from_stored(cls, stored: Sequence[Any]) -> Self:
        """Return the band that `to_stored` told of."""
        number, name, unit, time = stored
        return cls(number, name, unit, None if time is None else dt.datetime.fromisoformat(time))
