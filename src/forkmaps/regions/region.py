"""Regions: what one map shows, under which name and in which CRS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pyproj import CRS
from pyproj.exceptions import CRSError

from forkmaps.errors import RegionError
from forkmaps.html import block, facts
from forkmaps.regions.extent import DEGREE_SIDES, Extent
from forkmaps.regions.faults import quoted, refuse

Value = str | float | int

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Fields(Mapping[str, Value]):
    """An immutable mapping that can be hashed and pickled (`MappingProxyType` can't be pickled)."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Fields({self._values!r})"


@dataclass(frozen=True, slots=True)
class Region:
    """A named extent: what one map shows.

    Parameters
    ----------
    name : str
        Not empty, without control characters. (Whether it can name a file is the output's concern.)
    extent : Extent
        In units of `crs`.
    crs : str, optional
        A text that pyproj accepts (EPSG:n, PROJ string, WKT); axis order x, y, whatever the CRS says.
        None: degrees longitude and latitude (OGC:CRS84).
    title : str, optional
        The name if empty.
    fields : mapping of str to str, float or int, optional
        Further columns of the table, or the attributes of the feature.

    Raises
    ------
    RegionError
        If the name is empty or holds a control character.
    """

    name: str
    extent: Extent
    crs: str | None = None
    title: str = ""
    fields: Mapping[str, Value] = Fields()

    def __post_init__(self) -> None:
        refuse(_name_faults(self.name))
        object.__setattr__(self, "title", self.title or self.name)
        if not isinstance(self.fields, Fields):
            object.__setattr__(self, "fields", Fields(self.fields))

    def _repr_html_(self) -> str:
        sides = {side: f"{getattr(self.extent, side):g}" for side in DEGREE_SIDES}
        title = {"title": self.title} if self.title != self.name else {}
        return block(
            f'Region "{self.name}"', facts({**title, **sides, "crs": self.crs or "degrees", **self.fields})
        )


def _name_faults(name: str) -> Iterator[str]:
    if not name.strip():
        yield "the name is empty"
    if not name.isprintable() and _CONTROL.search(name):
        yield f"the name {quoted(name)} holds a control character"


def parse_crs(crs: str | CRS) -> CRS:
    """Make a pyproj CRS of a CRS text; RegionError with pyproj's reason if it is none."""
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise RegionError(
            f"crs {quoted(str(crs))} is not understood ({error}); write for instance EPSG:5070"
        ) from error


def crs_text(crs: str | CRS | None) -> str | None:
    """Give the text that a Region keeps of a CRS."""
    return crs if crs is None or isinstance(crs, str) else parse_crs(crs).srs
