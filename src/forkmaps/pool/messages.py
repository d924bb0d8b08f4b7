"""What travels between a pool's processes: messages of several parts, each as long as it likes.

The first part is a pickle; further ones are the large buffers that belong to it (pickle protocol 5 keeps them
apart), sent from where they lie and received into the memory that the values then use. So an array of any
size is copied once into the socket and once out of it.

On the wire: `HEAD` (a mark and the number of parts), the parts' sizes in 8 bytes each, the parts.
"""

from __future__ import annotations

import pickle
import reprlib
import socket
import struct
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

Part: TypeAlias = bytes | bytearray | memoryview

HEAD = struct.Struct("!4sI")
SIZE = struct.Struct("!Q")
MARK = b"fkm1"

PICKLE_PROTOCOL = 5
"""The newest protocol that every supported Python reads; large buffers go without detours."""

SMALL = 64 * 1024
"""Bytes below which a buffer is copied to where its neighbours are: a system call costs more."""

NO_SIGPIPE = getattr(socket, "MSG_NOSIGNAL", 0)
"""Writing to a dead process must not raise SIGPIPE, which a command line tool may have set to kill it."""

SHORT = reprlib.Repr()
"""Shortens what is shown of a value; objects may say more of themselves than the usual 30 letters."""
SHORT.maxother = 120


class GarbledError(Exception):
    """What came is not a message: something else wrote to the socket."""


class TravelError(Exception):
    """A job or a result can't travel between processes."""


# Values and parts


def pickled(value: object, what: str, *, by_value: bool = False) -> list[Part]:
    """Pickle `value` into parts; a failure that is not for want of memory names `what` can't be pickled.

    Parameters
    ----------
    by_value
        Whether functions and classes that another process can't import (lambdas, closures, what stands in the
        main script) travel as such, by cloudpickle.
    """
    buffers: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        view = memoryview(buffer)
        if not view.contiguous or view.nbytes < SMALL:
            return True
        buffers.append(buffer.raw())
        return False

    try:
        return [dumps(by_value)(value, protocol=PICKLE_PROTOCOL, buffer_callback=keep_in_band), *buffers]
    except MemoryError:
        raise
    except Exception as error:
        raise TravelError(f"{what} ({type(value).__name__}) can't be pickled: {describe(error)}") from error


def dumps(by_value: bool) -> Callable[..., bytes]:
    """Return a function like `pickle.dumps`."""
    if not by_value:
        return pickle.dumps
    import cloudpickle  # takes 20 ms, and forked workers never need it

    found: Callable[..., bytes] = cloudpickle.dumps
    return found


def unpickled(parts: Sequence[Part], what: str) -> Any:
    """Unpickle parts; a failure that is not for want of memory names `what` can't be unpickled."""
    try:
        return pickle.loads(parts[0], buffers=parts[1:])
    except MemoryError:
        raise
    except Exception as error:
        raise TravelError(f"{what} can't be unpickled: {describe(error)}") from error


def describe(error: BaseException) -> str:
    """Return an exception as one line of text: its type and its message."""
    try:
        text = str(error)
    except Exception:
        text = "(its message can't be printed)"
    if isinstance(error, TravelError):
        return text
    name = type(error).__name__
    line = f"{name}: {text}" if text else name
    return f"out of memory: {line}" if isinstance(error, MemoryError) else line


def stack(error: BaseException) -> str:
    """Return an exception's traceback as text; empty when there is no memory for it."""
    try:
        return "".join(traceback.format_exception(error))
    except MemoryError:
        return ""


def shown(value: object) -> str:
    """Return a value as short text for a log."""
    try:
        return SHORT.repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


# Parts and bytes


def pack(parts: Sequence[Part]) -> list[memoryview]:
    """Return a message as stretches of bytes: small parts together, large ones where they lie."""
    sizes = (SIZE.pack(memoryview(part).nbytes) for part in parts)
    together = bytearray().join([HEAD.pack(MARK, len(parts)), *sizes])
    stretches: list[memoryview] = []
    for part in parts:
        view = memoryview(part).cast("B")
        if view.nbytes < SMALL:
            together += view
        else:
            stretches += [memoryview(together), view]
            together = bytearray()
    stretches.append(memoryview(together))
    return [stretch for stretch in stretches if stretch.nbytes]


def send(channel: socket.socket, parts: Sequence[Part]) -> None:
    """Write a message, waiting until the other side has taken it."""
    for stretch in pack(parts):
        channel.sendall(stretch)


class Reader:
    """Puts messages together from what a socket gives, as it comes.

    Attributes
    ----------
    messages
        Those that are whole, for the caller to take.
    """

    def __init__(self) -> None:
        self.messages: deque[list[bytearray]] = deque()
        self._begun = False
        self._gaps = self._one_message()
        self._gap = next(self._gaps)

    @property
    def halfway(self) -> bool:
        """Whether part of a message has come."""
        return self._begun

    def step(self, channel: socket.socket) -> int:
        """Read what fits into the next gap, once; 0 at end of file.

        Raises
        ------
        GarbledError
            If what came is no message, or follows on one that could not be read.
        BlockingIOError
            If nothing is there and the socket doesn't wait.
        MemoryError
            If there is no room for the message.
        """
        if not self._gap:  # the message before was none, or too large: nobody knows where the next one begins
            raise GarbledError
        try:
            count = channel.recv_into(self._gap)
        except ConnectionError:  # it died before it had read all that we sent
            return 0
        self._begun = self._begun or count > 0
        self._gap = self._gap[count:]
        if not self._gap:
            self._go_on()
        return count

    def _go_on(self) -> None:
        try:
            self._gap = next(self._gaps)
        except StopIteration as end:
            self.messages.append(end.value)
            self._begun = False
            self._gaps = self._one_message()
            self._gap = next(self._gaps)

    def _one_message(self) -> Generator[memoryview, None, list[bytearray]]:
        """Yield what is to be filled with bytes, one after the other; return the parts."""
        head = bytearray(HEAD.size)
        yield memoryview(head)
        mark, count = HEAD.unpack(head)
        if mark != MARK:
            raise GarbledError
        sizes = bytearray(SIZE.size * count)
        yield from filled(sizes)
        parts = [bytearray(size) for (size,) in SIZE.iter_unpack(sizes)]
        for part in parts:
            yield from filled(part)
        return parts


def filled(part: bytearray) -> Iterator[memoryview]:
    """Yield a part as memory to be filled, unless there is nothing to fill."""
    if part:
        yield memoryview(part)


def receive(channel: socket.socket) -> list[bytearray] | None:
    """Wait for a message; None at end of file."""
    reader = Reader()
    while not reader.messages:
        if not reader.step(channel):
            return None
    return reader.messages.popleft()


class Line:
    """A socket to another process that is written to and read from without ever waiting.

    Attributes
    ----------
    channel
        Our end.
    """

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self.channel = channel
        self._reader = Reader()
        self._outgoing: deque[memoryview] = deque()

    @property
    def writing(self) -> bool:
        """Whether something still waits to be written."""
        return bool(self._outgoing)

    @property
    def halfway(self) -> bool:
        """Whether part of a message has come."""
        return self._reader.halfway

    def post(self, parts: Sequence[Part]) -> None:
        """Write a message, as much of it as the socket takes now."""
        self._outgoing += pack(parts)
        self.write()

    def write(self) -> None:
        """Write as much as the socket takes now of what waits."""
        try:
            while self._outgoing:
                first = self._outgoing[0]
                count = self.channel.send(first, NO_SIGPIPE)
                if count == first.nbytes:
                    self._outgoing.popleft()
                else:
                    self._outgoing[0] = first[count:]
        except BlockingIOError:
            return
        except OSError:  # the other side is dying: its death tells the rest
            self._outgoing.clear()

    def read(self, heard: Callable[[], None] = lambda: None) -> bool:
        """Take what was sent so far, calling `heard` each time something comes; False at end of file.

        Raises GarbledError and MemoryError as `Reader.step` does.
        """
        with suppress(BlockingIOError):
            while self._reader.step(self.channel):
                heard()
            return False
        return True

    def messages(self) -> Iterable[list[bytearray]]:
        """Yield the messages that are whole, and forget them."""
        while self._reader.messages:
            yield self._reader.messages.popleft()

    def hang_up(self) -> None:
        """Give the other side end of file, even where another process holds a copy of our end."""
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close our end."""
        self._outgoing.clear()
        self.channel.close()
