"""Main loop of a child process, and the protocol between it and its parent.

A call goes to the child through a pipe, pickled. Its answer comes back in two parts. The bytes of
arrays go through a memory file (`memfd_create`) that the parent has made and that parent and child
have open: a clip is megabytes, and a pipe takes 64 KiB at a time, with a change of process for
each. The rest goes through a pipe: the pickled answer without its arrays, and the arrays' sizes.

The two never use the memory at the same time, so that it needs no lock: the child writes it before
it sends the sizes, and the parent sends the next call after it has read it. Each answer starts at
offset 0 and overwrites the last. The memory keeps the size of the largest answer until the child
ends.
"""

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


def serve(calls: int, answers: int, arrays: int, memory_bytes: int, niceness: int) -> None:
    """Answer calls until the parent has ended.

    Args:
        calls: Descriptor of the pipe that calls come from.
        answers: Descriptor of the pipe that answers go to.
        arrays: Descriptor of the memory file for the bytes of arrays.
        memory_bytes: Limit of this process's own memory; 0 for no limit.
        niceness: Added to this process's niceness.
    """
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    incoming, outgoing = Connection(calls, writable=False), Connection(answers, readable=False)
    pending: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_receive_calls, args=(incoming, pending), daemon=True).start()
    outgoing.send(True)  # the process has started; what ends it from now on is a crash
    while True:
        _send(outgoing, arrays, _call(*pending.get()))


# The object that `construct` has made, and that `call_method` calls methods of.
_object: list[Any] = []


def construct(factory: Callable, arguments: tuple) -> None:
    """Construct the object of this process."""
    _object[:] = [factory(*arguments)]


def call_method(method: Callable, arguments: tuple) -> Any:
    """Call a method, given as a function of its class, of the object of this process."""
    return method(_object[0], *arguments)


# The generator that `begin_stream` has started; a child serves one call at a time.
_stream: list[Iterator[Any]] = []


def begin_stream(function: Callable, arguments: tuple) -> bool:
    """Call a generator function; `next_item` returns what it yields."""
    _stream[:] = [iter(function(*arguments))]
    return True


def next_item() -> tuple[Any] | None:
    """The next item of the stream, in a tuple; None after the last.

    The tuple tells an item that is None from the end.
    """
    for item in _stream[0]:
        return (item,)
    return None


def _receive_calls(incoming: Connection, pending: queue.SimpleQueue) -> None:
    """Queue the parent's calls, and end the process when the parent has ended.

    This runs in its own thread: the main thread may be inside a long call, and the closed pipe is
    the only sign that the parent has ended.
    """
    while True:
        try:
            pending.put(incoming.recv())
        except (EOFError, OSError):
            os._exit(0)
        except BaseException:  # a call that cannot be unpickled: the parent must not wait for it
            traceback.print_exc()
            os._exit(1)


def _call(function: Callable, arguments: tuple) -> tuple[bool, Any]:
    """Call a function; True and the exception if it raised, else False and its result."""
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


def _send(outgoing: Connection, arrays: int, answer: Any) -> None:
    """Send an answer: the bytes of its arrays through the memory file, the rest through the pipe.

    `pickle` hands over each array's bytes as a buffer without copying it (protocol 5).
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    views, offset = [buffer.raw() for buffer in buffers], 0
    sizes = [view.nbytes for view in views]
    try:
        for rest in views:
            while rest:  # a write may take a part only
                count = os.pwrite(arrays, rest, offset)
                rest, offset = rest[count:], offset + count
    except OSError:
        # `ulimit -f` limits a memory file too: then the arrays go through the pipe, slower.
        pickled, sizes = pickle.dumps(answer, protocol=5), []
    outgoing.send((pickled, sizes))


def receive(incoming: Connection, arrays: int) -> Any:
    """The answer that `_send` has sent; called by the parent.

    Its arrays are copied out of the memory file, so that the next answer does not change them.

    Raises:
        EOFError: If the child ended before it has sent all.
    """
    pickled, sizes = incoming.recv()
    buffers, offset = [bytearray(size) for size in sizes], 0
    for buffer in buffers:
        rest = memoryview(buffer)
        while rest:  # a read may give a part only
            count = os.preadv(arrays, [rest], offset)
            if not count:
                raise EOFError
            rest, offset = rest[count:], offset + count
    return pickle.loads(pickled, buffers=buffers)
