"""Child processes of watch: started, heard, ended; what they send is checked."""

import queue
import signal
from dataclasses import dataclass

import pytest

from violence_detection.errors import VideoError
from violence_detection.live.processes.worker_process import (
    WorkerChannel,
    WorkerKind,
    WorkerProcess,
    decode,
    encode,
)


@dataclass(frozen=True)
class Word:
    """A record with each type of field."""

    text: str
    number: float = 0.0
    count: int = 0
    maybe: float | None = None
    spans: tuple[tuple[int, float], ...] = ()
    counts: dict[str, int] | None = None


def main(start: str, channel: WorkerChannel) -> None:
    """The work of the child process of these tests: it repeats what it is told."""
    channel.send(Word(f"began with {start}"))
    while (told := channel.receive()) != "end":
        if told == "crash":
            raise RuntimeError(f"no more of {start}")
        if told == "lie":
            channel._connection.send_bytes(b'{"kind": "Word", "values": {"text": 1}}')
        channel.send(Word(told))


KIND = WorkerKind("the echo", __name__, (Word,))


class Echo:
    def __init__(self) -> None:
        self.heard: queue.SimpleQueue = queue.SimpleQueue()
        self.process = WorkerProcess(
            KIND,
            "geheim",
            lambda _, message: self.heard.put(message),
            clean=lambda text: text.replace("geheim", "***"),
        )

    def next(self):
        return self.heard.get(timeout=20)


@pytest.fixture
def echo():
    echo = Echo()
    yield echo
    echo.process.kill()


def test_messages_go_both_ways_until_the_child_is_told_to_end(echo):
    assert echo.next() == Word("began with geheim")
    echo.process.send("hello")
    assert echo.next() == Word("hello")
    echo.process.send("end")
    assert echo.next() is None
    assert echo.process.wait(5) and not echo.process.is_running
    echo.process.send("too late")  # is no error


def test_the_end_has_a_reason_without_passwords(echo):
    echo.next()
    echo.process.send("crash")
    assert echo.next() is None
    assert echo.process.end_reason() == "RuntimeError: no more of ***, exit status 1"


def test_a_child_that_sends_something_else_is_ended(echo):
    echo.next()
    echo.process.send("lie")
    assert echo.next() is None
    assert echo.process.end_reason() == signal.SIGKILL.name


WORD = Word("a", 1.5, 2, None, ((1, 2.0),), {"x": 1})


def test_a_record_comes_back_equal():
    assert decode(encode(WORD), {"Word": Word}) == WORD


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"kind": "Word"}',
        b'{"kind": "Other", "values": {}}',
        b'{"kind": "Word", "values": {}}',
        b'{"kind": "Word", "values": {"text": "a", "more": 1}}',
        b'{"kind": "Word", "values": {"text": "a", "number": NaN}}',
        b'{"kind": "Word", "values": {"text": "a", "number": true}}',
        b'{"kind": "Word", "values": {"text": "a", "count": 1.0}}',
        b'{"kind": "Word", "values": {"text": "a", "spans": [[1]]}}',
        b'{"kind": "Word", "values": {"text": "a", "counts": {"x": "1"}}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_record_is_refused(content):
    with pytest.raises(VideoError, match="must send whole messages of its kinds"):
        decode(content, {"Word": Word})
