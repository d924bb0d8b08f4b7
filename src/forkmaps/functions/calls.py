"""What a worker does with an item: call the user's function, with the shared data and a random stream."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forkmaps.freezing import freeze_what_it_refers_to, frozen
from forkmaps.functions.streams import Streams, own_state
from forkmaps.pool.messages import TravelError, stack, unpickled
from forkmaps.pool.workers import pickled_result
from forkmaps.shared import SharedData, set_shared_data

GIVEN = ("shared", "rng")
"""Parameters that a function gets by their names, unless a call fills them itself."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Surroundings:
    """What functions find in a worker: shared data, read-only, and a stream of random numbers for each call.

    Parameters
    ----------
    shared
        Anything; a `SharedData` is also what `forkmaps.shared_data()` returns there.
    seed
        Of the streams.
    """

    def __init__(self, shared: Any, seed: int | None) -> None:
        self.shared = frozen(shared)
        self.streams = Streams(seed)
        self._home = os.getpid()

    @property
    def abroad(self) -> bool:
        """Whether this is another process than the user's."""
        return os.getpid() != self._home

    def prepare(self) -> None:
        """Make this process's shared data what is shared, if that is a `SharedData`."""
        if isinstance(self.shared, SharedData):
            set_shared_data(self.shared)

    def call(self, index: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function for the item of a number."""
        seed = self.streams.of(index)
        given = {"shared": self.shared, "rng": np.random.default_rng(seed)}
        extra = {name: given[name] for name in wanted(function, args) if name not in kwargs}
        with own_state(seed):
            return function(*args, **extra, **kwargs)


class ItemCall:
    """A user's function, as a pool calls it: with the number of an item, and the item."""

    def __init__(self, function: Callable[..., Any], around: Surroundings) -> None:
        self.function, self.around = function, around

    def prepare(self) -> None:
        """Make a worker ready for its first item."""
        self.around.prepare()
        if self.around.abroad:
            freeze_what_it_refers_to(self.function)

    def __call__(self, job: tuple[int, Any]) -> Any:
        """Do an item."""
        index, item = job
        return self.around.call(index, self.function, item)


@dataclass(frozen=True, slots=True)
class Thrown:
    """What a call raised, and the traceback of it as text."""

    error: Exception
    traceback: str


class SubmittedCall:
    """What a worker does with a call that was submitted to an executor."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around

    def __call__(self, job: tuple[int, Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> Any:
        """Call the function; what it raises is returned, if it can travel."""
        number, function, args, kwargs = job
        try:
            return self.around.call(number, function, *args, **kwargs)
        except MemoryError:
            raise
        except Exception as error:
            if not travels(error):
                raise
            return Thrown(error, stack(error))


def travels(error: Exception) -> bool:
    """Tell whether an exception can be pickled and unpickled."""
    try:
        return type(unpickled(pickled_result(error, by_value=True), "the error")) is type(error)
    except TravelError:
        return False


def wanted(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, ...]:
    """Return those of `GIVEN` that a function has parameters for, other than those that `args` fill."""
    # Not cached: each call that is submitted brings a function of its own, and what that refers to.
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some that are written in C don't tell
        return ()
    positional = [name for name, one in parameters.items() if one.kind in POSITIONAL]
    free = parameters.keys() - set(positional[: len(args)])
    return tuple(name for name in GIVEN if name in free and parameters[name].kind in BY_NAME)
