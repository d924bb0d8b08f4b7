"""Timing of calls."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any


def seconds_of(function: Callable[..., Any], *arguments: Any) -> float:
    """Call a function and return the seconds it took."""
    begin = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begin


class StageClock:
    """Adds up the seconds spent in functions, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count the time of a function or method, wherever it is called from."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[stage] += time.perf_counter() - begin

        setattr(owner, name, timed)

    def take(self) -> dict[str, float]:
        """Return the seconds by stage, and begin anew."""
        taken = dict(self.seconds)
        self.seconds.clear()
        return taken
