"""Ways to start processes, as those see them who lead the processes: by fork or anew, it is all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from forkmaps.pool.handles import Handle, Worker

FAILED_STARTS = 3
"""Processes that may fail to start, one after the other without a job done, before no more are started."""


class Start(Protocol):
    """A way to start processes."""

    def get_ready(self) -> None:
        """Do what comes before a start."""

    def welcome(self, process: Any) -> None:
        """Take note that a process is ready."""

    def close(self) -> None:
        """Let go of what is held for further starts."""


class WorkerStart(Start, Protocol):
    """A way to start workers."""

    def worker(self, siblings: Sequence[Worker[Any]], mask: set[int]) -> Worker[Any]:
        """Start a worker beside others. Called with signals blocked; the worker is to set `mask`."""


class SupervisorStart(Start, Protocol):
    """A way to start supervisors."""

    def supervisor(self, mask: set[int]) -> Handle:
        """Start a supervisor. Called with signals blocked; it is to set `mask`."""
