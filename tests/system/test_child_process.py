"""The protocol between a child process and its parent, with both sides in this process."""

import os
import pickle
from multiprocessing import Pipe

import numpy as np
import pytest

from violence_detection.errors import VideoError
from violence_detection.system import child_process


@pytest.fixture
def channel():
    """The child's end of a pipe, the parent's end, and the memory file."""
    receiving, sending = Pipe(duplex=False)
    arrays = os.memfd_create("arrays")
    yield sending, receiving, arrays
    os.close(arrays)
    sending.close()
    receiving.close()


def test_the_bytes_of_arrays_go_through_the_memory_file_and_the_rest_through_the_pipe(channel):
    sending, receiving, arrays = channel
    answer = {"frames": np.arange(600_000, dtype=np.uint8), "name": "a"}
    child_process._send(sending, arrays, answer)
    assert os.fstat(arrays).st_size == 600_000
    received = child_process.receive(receiving, arrays)
    np.testing.assert_array_equal(received["frames"], answer["frames"])
    assert received["name"] == "a"


def test_the_next_answer_does_not_change_the_last(channel):
    sending, receiving, arrays = channel
    received = []
    for value in (1, 2, 3):
        child_process._send(sending, arrays, np.full(1000, value))
        received.append(child_process.receive(receiving, arrays))
    assert [set(array.tolist()) for array in received] == [{1}, {2}, {3}]


def test_where_the_memory_file_cannot_be_written_arrays_go_through_the_pipe(channel, monkeypatch):
    sending, receiving, arrays = channel

    def refuse(*_):
        raise OSError(27, "File too large")

    monkeypatch.setattr(os, "pwrite", refuse)
    child_process._send(sending, arrays, np.arange(100))
    np.testing.assert_array_equal(child_process.receive(receiving, arrays), np.arange(100))
    assert os.fstat(arrays).st_size == 0


def test_a_child_that_ended_before_it_wrote_all_is_an_end_of_file(channel):
    sending, receiving, arrays = channel
    pickled = pickle.dumps(None)
    os.write(arrays, b"half")
    sending.send((pickled, [8]))
    with pytest.raises(EOFError):
        child_process.receive(receiving, arrays)


def test_a_stream_gives_its_items_in_tuples_and_then_none():
    assert child_process.begin_stream(iter, ([1, None],))
    items = [child_process.next_item() for _ in range(3)]
    assert items == [(1,), (None,), None]


def test_what_a_call_raises_is_returned_with_its_traceback():
    assert child_process._call(divmod, (7, 2)) == (False, (3, 1))
    raised, error = child_process._call(divmod, (7, 0))
    assert raised and isinstance(error, ZeroDivisionError)
    assert "In the child:\nTraceback" in error.__notes__[0]


def test_running_out_of_limited_memory_is_an_error_of_the_video(monkeypatch):
    def fail():
        raise MemoryError

    monkeypatch.setattr(child_process.resource, "getrlimit", lambda _: (2**29, 2**29))
    raised, error = child_process._call(fail, ())
    assert raised and isinstance(error, VideoError)
    assert str(error) == "it needs more than 0.5 GB of memory"
