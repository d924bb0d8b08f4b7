"""What travels between processes arrives as it was sent, however it is cut on the way."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkmaps.pool import messages
from forkmaps.pool.messages import GarbledError, Line, Reader, TravelError, pack, pickled, unpickled

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


parts_strategy = st.lists(st.binary(max_size=300), max_size=4)


@given(sent=st.lists(parts_strategy, min_size=1, max_size=3), cuts=st.sets(st.integers(1, 2000)))
def test_messages_arrive_whole_wherever_they_are_cut(sent: list[list[bytes]], cuts: set[int]) -> None:
    stream = b"".join(stretch for parts in sent for stretch in pack(parts))
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    ours, theirs = socket.socketpair()
    reader = Reader()
    theirs.setblocking(False)
    with ours, theirs:
        for begin, end in pairwise(edges):
            ours.sendall(stream[begin:end])
            while True:
                try:
                    reader.step(theirs)
                except BlockingIOError:
                    break
    assert [[bytes(part) for part in message] for message in reader.messages] == sent
    assert not reader.halfway


def test_a_large_array_is_sent_from_where_it_lies_and_used_where_it_was_received(pair: Pair) -> None:
    array = np.arange(100_000.0)
    parts = pickled({"a": array}, "the job")
    assert len(parts[0]) < 1000
    assert np.shares_memory(np.frombuffer(parts[1]), array)
    thread = threading.Thread(target=messages.send, args=(pair[0], parts))
    thread.start()
    received = messages.receive(pair[1])
    thread.join()
    assert received
    value = unpickled(received, "the job")["a"]
    assert np.shares_memory(value, np.frombuffer(received[1]))
    assert value.flags.writeable
    np.testing.assert_array_equal(value, array)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(40_000.0).reshape(200, 200)),
        np.arange(80_000.0)[::2],
        np.broadcast_to(np.arange(300.0), (300, 300)),
        np.zeros((0, 5)),
        np.array([{"any": "object"}], dtype=object),
    ],
    ids=["Fortran", "strided", "broadcast", "empty", "objects"],
)
def test_arrays_of_any_layout_travel(array: np.ndarray) -> None:
    np.testing.assert_array_equal(unpickled(pickled(array, "x"), "x"), array)


def test_what_is_read_only_stays_so() -> None:
    array = np.arange(100_000.0)
    array.flags.writeable = False
    assert not unpickled(pickled(array, "x"), "x").flags.writeable


def test_functions_travel_by_value_only_where_asked() -> None:
    with pytest.raises(TravelError, match=r"the job .function. can't be pickled"):
        pickled(lambda: 5, "the job")
    assert unpickled(pickled(lambda: 5, "the job", by_value=True), "the job")() == 5


def test_the_small_parts_go_in_one_stretch() -> None:
    assert len(pack([b"a" * 100, b"", b"b" * 100])) == 1
    assert len(pack([b"a" * 100, bytes(messages.SMALL), b"b"])) == 3


def test_rubbish_is_no_message(pair: Pair) -> None:
    pair[0].sendall(b"GET / HTTP/1.1\r\n")
    with pytest.raises(GarbledError):
        messages.receive(pair[1])


def test_a_message_without_room_for_it_is_an_error_and_not_the_end(pair: Pair) -> None:
    pair[0].sendall(messages.HEAD.pack(messages.MARK, 1) + messages.SIZE.pack(2**60))
    with pytest.raises(MemoryError):
        messages.receive(pair[1])


def test_nothing_is_read_after_what_could_not_be_read(pair: Pair) -> None:
    reader = Reader()
    pair[0].sendall(b"?" * messages.HEAD.size + b"".join(pack([b"a message"])))
    for _ in range(3):
        with pytest.raises(GarbledError):
            reader.step(pair[1])
    assert not reader.messages


def test_end_of_file_in_the_middle_is_noticed(pair: Pair) -> None:
    pair[0].sendall(b"".join(pack([pickle.dumps(1)]))[:-1])
    pair[0].close()
    assert messages.receive(pair[1]) is None


def test_a_line_never_waits(pair: Pair) -> None:
    line = Line(pair[0])
    assert line.read()
    line.post([bytes(5_000_000)])
    assert line.writing
    reader = Reader()
    pair[1].setblocking(False)
    while not reader.messages:
        try:
            reader.step(pair[1])
        except BlockingIOError:
            line.write()
    assert not line.writing
    assert len(reader.messages[0][0]) == 5_000_000


def test_a_line_to_the_dead_drops_what_it_has(pair: Pair) -> None:
    line = Line(pair[0])
    line.post([bytes(5_000_000)])
    pair[1].close()
    line.write()
    assert not line.writing
    assert not line.read()


@pytest.mark.parametrize(("letters", "kept"), [(60, 60), (1000, 120)])
def test_what_a_job_says_of_itself_is_shown_unless_it_is_long(letters: int, kept: int) -> None:
    class Job:
        def __repr__(self) -> str:
            return "n" * letters

    assert len(messages.shown(Job())) == kept
