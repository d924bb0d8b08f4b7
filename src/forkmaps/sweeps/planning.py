"""All figures of a sweep: combinations of the parameters' values, and each one's file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np

from forkmaps.errors import DrawingError, OutputError, StyleError, nearest
from forkmaps.names import check_outputs, safe_name
from forkmaps.plan import file_template
from forkmaps.style.template import Template
from forkmaps.sweeps.report import label_of

Combination: TypeAlias = dict[str, Any]
"""A value of each parameter."""


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep draws.

    Attributes
    ----------
    values : mapping of str to tuple
        Each parameter's values.
    combinations : tuple of mapping of str to value
        The last parameter varies fastest.
    folder : Path
    paths : tuple of Path
        Each combination's file.
    """

    values: dict[str, tuple[Any, ...]]
    combinations: tuple[Combination, ...]
    folder: Path
    paths: tuple[Path, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Iterable[Any]], folder: Path, file: str | None) -> Self:
        """Plan the figures; for the errors see `sweep`."""
        _check_parameters(parameters)
        values = {name: tuple(given) for name, given in parameters.items()}
        _check_values(values)
        combinations = tuple(dict(zip(values, one, strict=True)) for one in product(*values.values()))
        template = _template(file, list(values))
        names = [template.format(_fields(one), clean=safe_name) for one in combinations]
        _check_told_apart(values, template, names)
        paths = check_outputs(folder, names, jobs=[label_of(one) for one in combinations])
        return cls(values, combinations, folder, paths)


def _check_parameters(parameters: Mapping[str, Iterable[Any]]) -> None:
    if not parameters:
        raise DrawingError("sweep: there are no parameters; give each one's name and values")
    for name, given in parameters.items():
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise DrawingError(f"sweep: {name}={given!r:.60} is one value; give a list, as in {name}=[...]")


def _check_values(values: Mapping[str, tuple[Any, ...]]) -> None:
    if empty := [name for name, given in values.items() if not given]:
        raise DrawingError(f"sweep: there are no values for {', '.join(empty)}; give one at least")


def _template(file: str | None, names: Sequence[str]) -> Template:
    """Return the template of the files' names, whose fields are parameters."""
    if file is None:
        file = "/".join(f"{name}={{{name}}}" for name in names) + ".png"
    template = file_template(file, names)
    for unknown in sorted(template.fields.difference(names)):
        raise StyleError(
            f'template "{file}": there is no parameter {{{unknown}}}{nearest(unknown, names)}; '
            f"there are {', '.join(names)}"
        )
    return template


def _check_told_apart(
    values: Mapping[str, tuple[Any, ...]], template: Template, names: Sequence[str]
) -> None:
    """Raise OutputError where figures have one name as parameters that vary are not in the template."""
    missing = [name for name, given in values.items() if len(given) > 1 and name not in template.fields]
    if missing and (different := len(set(names))) < len(names):
        files = "one file" if different == 1 else f"{different} files"
        fields = ", ".join(f"{{{name}}}" for name in missing)
        raise OutputError(
            f'sweep: file template "{template.text}" gives {len(names)} figures {files}; put {fields} into it'
        )


def _fields(combination: Combination) -> Combination:
    """Return a combination as a template formats it: numpy's times as Python's."""
    return {
        name: _as_datetime(value) if isinstance(value, np.datetime64) else value
        for name, value in combination.items()
    }


def _as_datetime(time: np.datetime64) -> dt.datetime | dt.date | None:
    found: dt.datetime | dt.date | None = time.astype("datetime64[us]").item()
    return found
