"""Tables of options: frozen models, and what is wrong with given options in plain words.

An option is written down once, as a field of an `Options` model; Python, the map set file and the command
line all make the model, so all get the same checks and the same messages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from forkmaps.errors import ForkmapsError, StyleError, nearest

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

_LONGEST_SHOWN = 60
"""Characters of a wrong value that a message shows."""
_UNKNOWN_KEY = "unknown_key"

_NEEDED = {
    "string_type": "a text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "literal_error": "{expected}",
    "finite_number": "a finite number",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "string_too_short": "a text that is not empty",
    "too_short": "a list of at least {min_length}",
}
"""What is needed where pydantic finds this type of error, with values from the error's context."""


class _Explained(ModelMetaclass):
    """Raises our errors where a model is made by a call in Python; inside of other models, pydantic's."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            what = [f"{self.__name__}: {line}" for line in explain(error)]
            raise self.raises("\n".join(what)) from error


class Options(BaseModel, metaclass=_Explained):
    """Base of all option tables: frozen, strictly typed, no unknown keys, finite numbers.

    Making one in Python with wrong options raises the class's `raises`, one line for each fault;
    `model_validate` raises pydantic's ValidationError, which `explain` puts in words.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )
    raises: ClassVar[type[ForkmapsError]] = StyleError
    """The error of a call with wrong options."""

    @model_validator(mode="wrap")
    @classmethod
    def _name_known_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Tell the nearest known key for each unknown one: only here the model's own keys are at hand."""
        try:
            return handler(data)
        except ValidationError as error:
            known = [field.alias or name for name, field in cls.model_fields.items()]
            faults = [_fault(details, known) for details in error.errors()]
            raise ValidationError.from_exception_data(error.title, faults) from error


_Sequence = TypeVar("_Sequence")


def _as_tuple(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


Listed = Annotated[_Sequence, BeforeValidator(_as_tuple)]
"""A tuple that may be given as a list or an array: `Listed[tuple[float, ...]]`."""


def explain(error: ValidationError) -> list[str]:
    """Return what is wrong with options, a line for each: `style.palette: "virdis" is not a palette; ...`."""
    found: dict[str, list[ErrorDetails]] = {}
    for details in error.errors():
        found.setdefault(_place(details["loc"]), []).append(details)
    # Where an option may be of several types, what is wrong inside of it tells more than that it is of none.
    inner = [place for place in found if not any(p.startswith((f"{place}.", f"{place} (")) for p in found)]
    return [f"{place}: {_message(found[place])}" if place else _message(found[place]) for place in inner]


def _fault(details: ErrorDetails, known: list[str]) -> InitErrorDetails:
    kind: str | PydanticCustomError = details["type"]
    context = dict(details.get("ctx", {}))
    key = details["loc"][0] if len(details["loc"]) == 1 else None
    if kind == "extra_forbidden" and isinstance(key, str):
        message = f'there is no option "{_short(key)}"{nearest(key, known)}; there are {", ".join(known)}'
        kind = PydanticCustomError(_UNKNOWN_KEY, "{message}", {"message": message})
    elif kind == _UNKNOWN_KEY:
        kind = PydanticCustomError(_UNKNOWN_KEY, "{message}", context)
    return InitErrorDetails(type=kind, loc=details["loc"], input=details["input"], ctx=context)


def _message(faults: list[ErrorDetails]) -> str:
    """Return what is wrong at one place: several faults there are those of the types it could have had."""
    needed = [
        _NEEDED[fault["type"]].format(**fault.get("ctx", {})) for fault in faults if fault["type"] in _NEEDED
    ]
    said = [_said(fault) for fault in faults if fault["type"] not in _NEEDED]
    if needed:
        wanted = " or ".join(dict.fromkeys(needed)).replace("'", '"')
        said.append(f"{wanted} is needed, not {_shown(faults[0]['input'])}")
    return "; or: ".join(dict.fromkeys(said))


def _said(fault: ErrorDetails) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return "is missing" if fault["type"] == "missing" else fault["msg"]


def _place(location: tuple[int | str, ...]) -> str:
    """Return `boundaries (no. 2).linewidth`; without the labels that pydantic adds for a choice of types."""
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f" (no. {part + 1})"
        elif _is_key(part):
            place += f".{part}" if place else part
    return place


def _is_key(part: str) -> bool:
    models = {model.__name__ for model in _models(Options)}
    return part not in models and part not in _TYPE_LABELS and not set(part).intersection("[](){}")


_TYPE_LABELS = frozenset(
    {"str", "int", "float", "bool", "none", "constrained-str", "constrained-int", "constrained-float"}
)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | os.PathLike):
        return f'"{_short(os.fspath(value))}"'
    return _short(repr(list(value) if isinstance(value, tuple) else value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _models(base: type[Options]) -> set[type[Options]]:
    return {base}.union(*(_models(model) for model in base.__subclasses__()))
