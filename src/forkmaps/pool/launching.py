"""Processes started anew, by this Python with this process's environment, folder and path of modules.

Nothing of the main script runs in them: what they are to do comes in a parcel. They talk over the same pairs
of sockets as forked workers do.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, TypeVar

from forkmaps.errors import PoolError
from forkmaps.pool.children import Child, child_of
from forkmaps.pool.forking import origin_here
from forkmaps.pool.handles import Handle, Worker, close_all
from forkmaps.pool.orders import Orders, settings
from forkmaps.pool.parcel import Parcel
from forkmaps.pool.workers import flush_streams

J = TypeVar("J")
H = TypeVar("H", bound=Handle)

CODE = (
    r"import sys; sys.path[:] = sys.argv[1].split('\n'); "
    "from forkmaps.pool.anew import main; main(sys.argv[2])"
)
"""What a new process runs; nothing but `sys` is imported before the path is this process's."""

_log = logging.getLogger(__name__)


class AnewStart:
    """Starts processes anew, workers or supervisors, that have the same orders.

    Parameters
    ----------
    orders
        What they are to do; pickled before the first start.
    reason
        Why they are not forked, if that was the first choice.
    """

    def __init__(self, orders: Orders, reason: str = "") -> None:
        self._orders = orders
        self._reason = reason
        self._parcel: Parcel | None = None

    def get_ready(self) -> None:
        """Pack the orders, once. Raises `PoolError` where that can't be done."""
        if self._parcel is None:
            try:
                self._parcel = Parcel((self._orders, settings()), "what workers are to do")
            except PoolError as error:
                if not self._reason:
                    raise
                raise PoolError(f"{error}; but {self._reason}") from error

    def worker(self, siblings: Sequence[Worker[J]], mask: set[int]) -> Worker[J]:
        """Start a worker. Called with signals blocked; raises OSError where that fails."""
        return self._launch("worker", Worker, mask)

    def supervisor(self, mask: set[int]) -> Handle:
        """Start a supervisor. Called with signals blocked; raises OSError where that fails."""
        return self._launch("supervisor", Handle, mask)

    def welcome(self, process: Handle) -> None:
        """Log that a process has loaded its data."""
        assert self._parcel is not None
        _log.info("process %d has loaded its data, %.1f MB", process.pid, self._parcel.nbytes / 1e6)

    def close(self) -> None:
        """Let go of the orders' parcel."""
        if self._parcel is not None:
            self._parcel.close()
            self._parcel = None

    def _launch(
        self, role: str, handle: Callable[[Child, socket.socket, socket.socket], H], mask: set[int]
    ) -> H:
        assert self._parcel is not None, "get_ready() comes first"
        ours, theirs = socket.socketpair()
        our_ear, their_mouth = socket.socketpair()
        call = {
            "role": role,
            "argv": [str(argument) for argument in sys.argv],
            "ticket": self._parcel.ticket,
            "mask": [int(number) for number in mask],
            **asdict(origin_here()),
        }
        try:
            process = start(call, (theirs, their_mouth), self._parcel.inherited)
        except OSError:
            close_all([ours, our_ear])
            raise
        finally:
            close_all([theirs, their_mouth])
        return handle(child_of(process), ours, our_ear)


def start(
    call: dict[str, Any], ends: Sequence[socket.socket], inherited: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start a process, and leave it the ends of sockets and descriptors."""
    flush_streams()
    if sys.platform == "win32":
        return start_on_windows(call, ends)
    descriptors = [end.fileno() for end in ends]
    return subprocess.Popen(
        command({**call, "ends": descriptors}), stdin=subprocess.DEVNULL, pass_fds=[*descriptors, *inherited]
    )


def start_on_windows(call: dict[str, Any], ends: Sequence[socket.socket]) -> subprocess.Popen[bytes]:
    """Start a process; sockets are made over to it by its number, through its standard input.

    A virtual environment's python.exe starts another process that would not be the one we know: so the one
    that it would start is started, and told of the environment as that does.
    """
    env = {**os.environ, "__PYVENV_LAUNCHER__": sys.executable}
    python = getattr(sys, "_base_executable", sys.executable)
    with ExitStack() as on_failure:
        process = subprocess.Popen(command(call, python), stdin=subprocess.PIPE, env=env)
        on_failure.callback(process.kill)
        assert process.stdin is not None
        with process.stdin as pipe:
            for end in ends:
                shared: bytes = getattr(end, "share")(process.pid)  # noqa: B009 - which only Windows has
                pipe.write(len(shared).to_bytes(4, "big") + shared)
        on_failure.pop_all()
    return process


def command(call: dict[str, Any], python: str = sys.executable) -> list[str]:
    """Return the command that starts a process."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    path = "\n".join(str(entry) for entry in sys.path)
    return [python, *flags, "-c", CODE, path, json.dumps(call)]
