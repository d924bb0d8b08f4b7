"""Titles and file names as templates: `{region.title}`, `{valid_time:%d %b %Y %H}Z`, `{max:.1f}`.

A template is checked when it is made: a field that does not exist is an error before anything is drawn.
"""

from __future__ import annotations

import datetime as dt
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forkmaps.errors import StyleError, nearest

REGION_FIELDS = ("region.name", "region.title", "name")
BAND_FIELDS = (
    *("band.name", "band.unit", "band.number"),
    *("raster.key", "raster.name", "raster.unit", "valid_time"),
)
STATISTICS_FIELDS = ("min", "max", "mean")
"""Of the values that the map shows, in the band's unit."""
FILE_FIELDS = (*REGION_FIELDS, *BAND_FIELDS)
MAP_FIELDS = (*FILE_FIELDS, *STATISTICS_FIELDS)

_SAMPLES: Mapping[str, Any] = {
    "valid_time": dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
    "band.number": 1,
    **dict.fromkeys(STATISTICS_FIELDS, 1.0),
}
"""A value of each field's type, on which a format is tried."""


class Template:
    """A text with fields in braces.

    Parameters
    ----------
    text : str
        Format specifications are Python's: `{max:.1f}`, `{band.number:02d}`, `{valid_time:%Y-%m-%d}`.
    known : sequence of str
        The fields that may be used; any `region.` column is taken until `check` is given the list's columns.

    Raises
    ------
    StyleError
        Braces that don't match, or a field or format that there is none of.
    """

    def __init__(self, text: str, known: Sequence[str]) -> None:
        self.text, self.known = text, tuple(known)
        try:
            parsed = list(string.Formatter().parse(text))
        except ValueError as error:
            raise StyleError(f'template "{text}": {error}; write {{{{ and }}}} for braces') from error
        self.parts = [(literal, field, spec or "", conversion) for literal, field, spec, conversion in parsed]
        for _, field, spec, conversion in self.parts:
            if field is not None:
                self._check_field(field, spec, conversion)

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in use."""
        return frozenset(field for _, field, _, _ in self.parts if field is not None)

    def check(self, columns: Sequence[str], where: str) -> None:
        """Raise StyleError for a field that is neither known nor a column of the region list `where`."""
        region = [f"region.{column}" for column in columns]
        for field in sorted(self.fields):
            if field not in self.known and field not in region and field not in columns:
                known = [*self.known, *region]
                raise StyleError(
                    f'template "{self.text}": there is no field {{{field}}}{nearest(field, known)}; '
                    f"there are {', '.join(known)} (columns of {where})"
                )

    def format(self, values: Mapping[str, Any], *, clean: Callable[[str], str] = str) -> str:
        """Return the text with each field's value; a value that is None, or NaN, shows as "no data".

        `clean` is applied to each shown value (not to the template's own text).
        """
        return "".join(
            literal + ("" if field is None else clean(self._shown(field, spec, values)))
            for literal, field, spec, _ in self.parts
        )

    def _check_field(self, field: str, spec: str, conversion: str | None) -> None:
        if conversion or "{" in spec or "[" in field:
            raise StyleError(
                f'template "{self.text}": {{{field}}} can only have a format after a colon, as in {{max:.1f}}'
            )
        known = field in self.known or field.startswith("region.") or field.isidentifier()
        if not known or not _is_name(field):
            raise StyleError(
                f'template "{self.text}": there is no field {{{field}}}{nearest(field, self.known)}; '
                f"there are {', '.join(self.known)}, and {{region.COLUMN}} for each column of the region list"
            )
        if field in _SAMPLES:
            self._format(field, spec, _SAMPLES[field])

    def _shown(self, field: str, spec: str, values: Mapping[str, Any]) -> str:
        if field not in values:
            raise StyleError(
                f'template "{self.text}": there is no field {{{field}}}{nearest(field, list(values))}; '
                f"there are {', '.join(values)}"
            )
        value = values[field]
        return "no data" if value is None or value != value else self._format(field, spec, value)

    def _format(self, field: str, spec: str, value: Any) -> str:
        try:
            return format(value, spec)
        except ValueError as error:
            raise StyleError(
                f'template "{self.text}": {{{field}:{spec}}} does not fit a value like "{value}": {error}'
            ) from error


def _is_name(field: str) -> bool:
    return all(part and not part.startswith("_") for part in field.split("."))
