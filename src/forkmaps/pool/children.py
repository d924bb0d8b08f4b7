"""A child process: how to stop it, and how it ended; never waiting for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

SIGKILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The signal that ends a process whatever it does; Windows has one way only, and calls it SIGTERM."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by its own exit code, by a signal, or (neither) nobody knows."""

    code: int | None = None
    signal: str | None = None

    def __str__(self) -> str:
        if self.signal == "SIGKILL":
            return "killed by SIGKILL (by hand, or by the kernel when memory runs out)"
        if self.signal is not None:
            return f"killed by {self.signal}"
        return "ended, nobody knows how" if self.code is None else f"ended with exit code {self.code}"


class Child:
    """A child of this process.

    Attributes
    ----------
    pid
        Its process id.
    pidfd
        A file descriptor that becomes readable at its death; None where the system has none.
    exit
        How it ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = open_pidfd(pid)
        self.exit: Exit | None = None

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal, never to another process that was given its number since."""
        if self.exit is None:
            with suppress(ProcessLookupError):
                if self.pidfd is None:
                    os.kill(self.pid, number)
                else:
                    signal.pidfd_send_signal(self.pidfd, number)

    def gone(self) -> bool:
        """Collect its exit status if it has ended, and say whether it has."""
        if self.exit is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else waits for our children, or has told the kernel not to
                self.exit = Exit()
            else:
                self.exit = read_status(status) if pid else None
        return self.exit is not None

    def close(self) -> None:
        """Let go of it."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


class WindowsChild(Child):
    """A child on Windows, which knows processes by handles and not by numbers."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process.pid)
        self._process = process

    def kill(self, number: signal.Signals) -> None:
        """End it, whatever the signal."""
        with suppress(PermissionError):  # it has ended
            self._process.kill()

    def gone(self) -> bool:
        """Say whether it has ended."""
        if self.exit is None and self._process.poll() is not None:
            self.exit = Exit(code=self._process.returncode)
        return self.exit is not None


def child_of(process: subprocess.Popen[bytes]) -> Child:
    """Take a process that was started as a child of ours, whose end is ours to collect."""
    if sys.platform == "win32":
        return WindowsChild(process)
    process.returncode = 0  # Popen is not to wait for it, nor to warn that nobody did
    return Child(process.pid)


def open_pidfd(pid: int) -> int | None:
    """Open a file descriptor on a process; None where there is no such thing (not Linux, a sandbox)."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def read_status(status: int) -> Exit:
    """Translate what `os.waitpid` returned."""
    code = os.waitstatus_to_exitcode(status)
    return Exit(code=code) if code >= 0 else Exit(signal=signal_name(-code))


def signal_name(number: int) -> str:
    """Return a signal's name; "signal 40" for one that has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
