"""Read-only: what workers share, so that an accidental write raises and neither copies memory nor is lost."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np


def frozen(value: Any) -> Any:
    """Return read-only views of the arrays in a value, which itself stays as it is; nothing is copied.

    Looked at are arrays, dicts, lists and tuples of them, and xarray's DataArray and Dataset; anything else
    is returned as it is.
    """
    if isinstance(value, np.ndarray):
        return frozen_view(value)
    if type(value) is dict:
        return {key: frozen(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(frozen(part) for part in value)
    return _frozen_labelled(value) if is_labelled(value) else value


def is_labelled(value: Any) -> bool:
    """Tell whether a value is an array, or a set of them, of xarray."""
    xarray = sys.modules.get("xarray")  # who has such data has imported it
    return xarray is not None and isinstance(value, xarray.DataArray | xarray.Dataset)


def _frozen_labelled(value: Any) -> Any:
    copy = value.copy(deep=False)
    of_data = copy.data_vars.values() if hasattr(copy, "data_vars") else [copy]
    for variable in [part.variable for part in (*of_data, *copy.coords.values())]:
        if not isinstance(variable, sys.modules["xarray"].IndexVariable):  # which nobody can write to
            variable.data = frozen(variable.data)
    return copy


def frozen_view(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a view of an array that can't be written."""
    view = array.view()
    view.flags.writeable = False
    return view


def freeze_what_it_refers_to(function: Callable[..., Any]) -> None:
    """Make read-only, in this process, the arrays that a function refers to: in its closure, as globals."""
    for value in referred(function):
        for array in arrays_in(value):
            array.flags.writeable = False


def referred(function: Any) -> Iterator[Any]:
    """Yield what a function refers to: bound arguments, its closure's variables, the globals it names."""
    while isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values())
        function = function.func
    if not isinstance(function, FunctionType):
        return
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    names = set(names_in(function.__code__))
    yield from (function.__globals__[name] for name in names & function.__globals__.keys())


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names of globals and attributes in code, and in the functions defined in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def arrays_in(value: Any) -> Iterable[np.ndarray[Any, Any]]:
    """Return the array that a value is, or those that it directly holds."""
    if isinstance(value, np.ndarray):
        return [value]
    parts = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    return [part for part in parts if isinstance(part, np.ndarray)]
