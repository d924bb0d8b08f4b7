"""A user's own drawing function, and how it wants to be called.

    def plotter(axes, shared, region): ...     # adds to the map, on a GeoAxes that is set up
    def plotter(region): ...                   # draws a figure of its own

Either may have a parameter `band` too, and gets the `Band` that the picture is of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from forkmaps.errors import DrawingError, function_name

if TYPE_CHECKING:
    from forkmaps.raster import Band

_WANTED = "it should take (axes, shared, region), to draw on a map, or (region), to draw a figure of its own"
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Plotter:
    """A user's function that draws.

    Attributes
    ----------
    function : callable
    on_map : bool
        Whether it is called with (axes, shared, region), to add to a map; else with (region), to draw a
        figure of its own.
    takes_band : bool
        Whether it is also told the band, as `band`.
    """

    function: Callable[..., Any]
    on_map: bool
    takes_band: bool

    @property
    def name(self) -> str:
        """What the function is called, for messages."""
        return function_name(self.function)

    def __call__(self, *arguments: Any, band: Band) -> Any:
        """Call the function."""
        return self.function(*arguments, **({"band": band} if self.takes_band else {}))


def plotter_of(function: Callable[..., Any]) -> Plotter:
    """Look at a function's parameters, and return how it is to be called.

    Raises
    ------
    DrawingError
        It can be called in neither way.
    """
    if not callable(function):
        raise DrawingError(f"{function!r} can't draw, as it is not a function; {_WANTED}")
    name = function_name(function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise DrawingError(f"the parameters of {name} can't be found; {_WANTED}") from error
    takes_band = any(one.name == "band" and one.kind != Parameter.POSITIONAL_ONLY for one in parameters)
    others = [one for one in parameters if not (one.name == "band" and takes_band)]
    if [one.name for one in others] in (["ax"], ["axes"]):
        raise DrawingError(f"{name}({others[0].name}) would be called with a region; {_WANTED}")
    for number in (3, 1):
        if _takes(others, number):
            return Plotter(function, on_map=number == 3, takes_band=takes_band)
    raise DrawingError(f"{name}{inspect.signature(function)} can't draw; {_WANTED}")


def _takes(parameters: Sequence[Parameter], number: int) -> bool:
    """Tell whether a function with these parameters can be called with so many positions, and wants them.

    Those that have a default are left to it.
    """
    needed = [one for one in parameters if one.default is Parameter.empty]
    positions = sum(one.kind in _POSITIONAL for one in needed)
    takes_more = any(one.kind is Parameter.VAR_POSITIONAL for one in needed)
    if any(one.kind is Parameter.KEYWORD_ONLY for one in needed):
        return False
    return positions == number or (takes_more and positions < number)
