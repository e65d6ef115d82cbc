"""Calls of native code that may crash, hang or take all the memory, each in a child process.

Decoders are written in C and read files that anybody has made. A child serves one call after the
other; what kills it costs that call alone. No child outlives the process that made it.
"""

import atexit
import contextlib
import json
import os
import pickle
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, Self

from violence_detection.errors import VideoError, ViolenceDetectionError

MEMORY_BYTES = 2**30  # of a child's own, over which it cannot get more
_DESCRIPTORS = 4096
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from violence_detection import isolation; isolation.serve(*map(int, sys.argv[2:]))"
)
# One thread each: the parallelism is over children.
_ONE_THREAD = ("OPENCV_FOR_THREADS_NUM", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

_idle: list["_Child"] = []


class _Crash(VideoError):
    """What took a child down: a signal, or its last words."""

    def __init__(self, came: str) -> None:
        super().__init__(f"the decoder crashed ({came})")
        self.came = came


class Calls:
    """Calls in children, from as many threads as there are to be children.

    Leaving the context ends those that are under way.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        """
        Args:
            memory_bytes: Of its own that each child may have.
        """
        _allow_descriptors()
        self._memory_bytes = memory_bytes
        self._busy: set[_Child] = set()
        self._lock = threading.Lock()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            self._ended = True
            for child in self._busy:
                child.end()

    def __call__(
        self, function: Callable, *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        """What `function` returns, called in a child.

        Args:
            function: One that a child can import; what it takes, returns and raises is pickled.
            timeout_s: Seconds that it may take; None does not end.

        Raises:
            VideoError: If the call took the child down, or longer than `timeout_s`.
            ViolenceDetectionError: If children cannot be started.
        """
        child = self._taken()
        try:
            raised, answer = child.ask(function, arguments, timeout_s)
        except BaseException:
            child.kill()
            raise
        finally:
            with self._lock:
                self._busy.discard(child)
        _idle.append(child)
        if raised:
            raise answer
        return answer

    def _taken(self) -> "_Child":
        child = _idle_child(self._memory_bytes) or _Child(self._memory_bytes)
        with self._lock:
            self._busy.add(child)
            if self._ended:  # while it was started
                child.end()
        return child


class Fresh:
    """Calls in one child that is made for them, and ends with the context.

    It has all the memory and all the cores that there are.
    """

    def __init__(self, what: str, environment: Mapping[str, str]) -> None:
        """
        Args:
            what: Runs there, for the line that says it crashed.
            environment: Variables of the child, beside those of this process.
        """
        self._what = what
        self._child = _Child(0, environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._child.kill()

    def __call__(self, function: Callable, *arguments: Any) -> Any:
        """What `function` returns; see `Calls`.

        Raises:
            ViolenceDetectionError: If the call took the child down.
        """
        try:
            raised, answer = self._child.ask(function, arguments, None)
        except _Crash as error:
            raise ViolenceDetectionError(
                f"{self._what} crashed ({error.came})."
            ) from error
        if raised:
            raise answer
        return answer


def _allow_descriptors() -> None:
    """A child takes five; many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, _DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _DESCRIPTORS), hard))


def _idle_child(memory_bytes: int) -> "_Child | None":
    with contextlib.suppress(IndexError):
        while True:
            child = _idle.pop()
            if child.lives and child.memory_bytes == memory_bytes:
                return child
            child.kill()
    return None


@atexit.register
def dismiss() -> None:
    """End the children that wait for another call."""
    with contextlib.suppress(IndexError):
        while True:
            _idle.pop().kill()


class _Child:
    """A process that serves calls."""

    def __init__(
        self, memory_bytes: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """
        Args:
            memory_bytes: That it may have; 0 for as much as there is.
            environment: Variables beside those of this process; None for one thread.
        """
        self.memory_bytes = memory_bytes
        if environment is None:
            environment = dict.fromkeys(_ONE_THREAD, "1")
        self._environment = os.environ | environment
        self._ready = False
        self._ended_with = ""
        self._killing = threading.Lock()
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as passed_on:
            try:
                self._start(opened, passed_on)
            except OSError as error:
                raise _not_started(str(error)) from error
            self._opened = opened.pop_all()

    def _start(
        self, opened: contextlib.ExitStack, passed_on: contextlib.ExitStack
    ) -> None:
        theirs_in, ours_out = os.pipe()
        passed_on.callback(os.close, theirs_in)
        self._out = opened.enter_context(Connection(ours_out, readable=False))
        ours_in, theirs_out = os.pipe()
        passed_on.callback(os.close, theirs_out)
        self._in = opened.enter_context(Connection(ours_in, writable=False))
        self._stderr = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        # Arrays come back in memory that both have: pipes are slow for megabytes.
        self._arrays = os.memfd_create("arrays")
        opened.callback(os.close, self._arrays)
        theirs = (theirs_in, theirs_out, self._arrays)
        arguments = (json.dumps(sys.path), *map(str, (*theirs, self.memory_bytes)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=theirs,
            env=self._environment,
            process_group=0,  # Ctrl-C is for the parent
        )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ask(
        self, function: Callable, arguments: tuple, timeout_s: float | None
    ) -> tuple[bool, Any]:
        """Whether the call raised, and what it raised or returned."""
        try:
            if not self._ready:
                self._ready = self._in.recv()
            self._out.send((function, arguments))
            if not self._in.poll(timeout_s):
                raise VideoError(
                    f"it took longer than {timeout_s:g} s (--video-timeout)"
                )
            return _received(self._in, self._arrays)
        except (EOFError, OSError) as error:
            came = self.kill()
            if self._ready:
                raise _Crash(came) from error
            raise _not_started(came) from error

    def end(self) -> None:
        """End it, whatever it does; whoever waits for its answer gets an error, and kills it."""
        self._process.kill()

    def kill(self) -> str:
        """End it, and close what it had; why it ended: the signal, or its last line and status."""
        with self._killing:
            self.end()
            with contextlib.suppress(
                subprocess.TimeoutExpired
            ):  # it hangs in the kernel
                self._process.wait(timeout=5)
            if not self._stderr.closed:
                self._ended_with = self._last_words()
                self._opened.close()
            return self._ended_with

    def _last_words(self) -> str:
        status = self._process.returncode or 0
        if status < 0:
            return signal.Signals(-status).name
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.strip()), "no word")
        return f"{said.strip()[:200]}, exit status {status}"


def _received(pipe: Connection, arrays: int) -> Any:
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


def _not_started(came: str) -> ViolenceDetectionError:
    return ViolenceDetectionError(
        f"Videos must be decoded in a process of its own. It did not start: {came}"
    )


# -- in the child


def serve(requests: int, answers: int, arrays: int, memory_bytes: int) -> None:
    """Serve calls until the parent is gone.

    Args:
        requests, answers, arrays: Descriptors of the pipes, and of memory for arrays.
        memory_bytes: That may be used; 0 for as much as there is.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        os.nice(10)  # the encoder's threads wait for each other, not for decoders
    asked, answered = (
        Connection(requests, writable=False),
        Connection(answers, readable=False),
    )
    calls: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked, calls), daemon=True).start()
    answered.send(True)
    while True:
        _send(answered, arrays, _result(*calls.get()))


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
    except MemoryError:
        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        return True, VideoError(f"it needs more than {limit / 2**30:.1f} GB of memory")
    except Exception as error:
        error.add_note(f"In the child:\n{traceback.format_exc()}")
        return True, error
