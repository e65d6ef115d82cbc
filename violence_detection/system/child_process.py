"""The other end of `isolation`: what a child process does."""

import os
import pickle
import queue
import resource
import threading
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from violence_detection.errors import VideoError


def serve(requests: int, answers: int, arrays: int, memory_bytes: int, niceness: int) -> None:
    """Serve calls until the parent is gone.

    Args:
        requests, answers, arrays: Descriptors of the pipes, and of memory for arrays.
        memory_bytes, niceness: As in `isolation.Kind`.
    """
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    asked, answered = (
        Connection(requests, writable=False),
        Connection(answers, readable=False),
    )
    calls: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked, calls), daemon=True).start()
    answered.send(True)
    while True:
        _send(answered, arrays, _result(*calls.get()))


_flow: list[Iterator[Any]] = []


def begin(function: Callable, arguments: tuple) -> bool:
    """Call a generator function; `advance` takes what it yields."""
    _flow[:] = [iter(function(*arguments))]
    return True


def advance() -> tuple[Any] | None:
    """The next item of what was begun, in a tuple; None after the last."""
    for item in _flow[0]:
        return (item,)
    return None


def _listen(asked: Connection, calls: queue.SimpleQueue) -> None:
    """Pass calls on; in a thread of its own, to notice the parent's end during one."""
    while True:
        try:
            calls.put(asked.recv())
        except (EOFError, OSError):
            os._exit(0)
        except BaseException:  # the parent must not wait for an answer
            traceback.print_exc()
            os._exit(1)


def _result(function: Callable, arguments: tuple) -> tuple[bool, Any]:
    try:
        return False, function(*arguments)
    except MemoryError as error:
        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if limit == resource.RLIM_INFINITY:
            return True, error
        return True, VideoError(f"it needs more than {limit / 2**30:.1f} GB of memory")
    except Exception as error:
        error.add_note(f"In the child:\n{traceback.format_exc()}")
        return True, error


def received(pipe: Connection, arrays: int) -> Any:
    """What `_send` has sent."""
    pickled, sizes = pipe.recv()
    buffers, offset = [bytearray(size) for size in sizes], 0
    for buffer in buffers:
        rest = memoryview(buffer)
        while rest:
            count = os.preadv(arrays, [rest], offset)
            if not count:
                raise EOFError
            rest, offset = rest[count:], offset + count
    return pickle.loads(pickled, buffers=buffers)


def _send(pipe: Connection, arrays: int, answer: Any) -> None:
    """Send an answer: the bytes of arrays through memory, the rest through a pipe."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    views, offset = [buffer.raw() for buffer in buffers], 0
    sizes = [view.nbytes for view in views]
    try:
        for rest in views:
            while rest:
                count = os.pwrite(arrays, rest, offset)
                rest, offset = rest[count:], offset + count
    except OSError:  # `ulimit -f` holds for memory too
        pickled, sizes = pickle.dumps(answer, protocol=5), []
    pipe.send((pickled, sizes))
