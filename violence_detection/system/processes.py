"""Calls in child processes: of native code that may crash, hang or take all the memory, and of work
that goes on side by side.

Decoders are written in C and read files that anybody has made. A child serves one call after the
other; what kills it costs that call alone. No child outlives the process that made it.
"""

import atexit
import contextlib
import dataclasses
import itertools
import json
import os
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system.child_process import advance, begin, received

MEMORY_BYTES = 2**30  # of a child's own, over which it cannot get more
_DESCRIPTORS = 4096
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from violence_detection.system import child_process; "
    "child_process.serve(*map(int, sys.argv[2:]))"
)
_THREADS = (
    "OPENCV_FOR_THREADS_NUM OPENBLAS_NUM_THREADS OMP_NUM_THREADS TF_NUM_INTRAOP_THREADS "
    "TF_NUM_INTEROP_THREADS"
).split()


@dataclass(frozen=True)
class Kind:
    """What children are for.

    Attributes:
        what: Crashes, if one does.
        error: Is raised then.
        threads: That libraries may start in each, None for any; the parallelism is over children.
        niceness: How much they give way to others.
        memory_bytes: Of its own that each may have; 0 for any.
        environment: Variables that they have beside the parent's.
    """

    what: str
    error: type[ViolenceDetectionError]
    threads: int | None = 1
    niceness: int = 0
    memory_bytes: int = 0
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        """All variables of a child."""
        limited = {} if self.threads is None else dict.fromkeys(_THREADS, self.threads)
        limits = {name: str(threads) for name, threads in limited.items()}
        return os.environ | limits | dict(self.environment)


# The encoder's threads wait for each other, not for decoders.
DECODER = Kind("the decoder", VideoError, niceness=10, memory_bytes=MEMORY_BYTES)

_Item, _Result = TypeVar("_Item"), TypeVar("_Result")

_idle: list["_Child"] = []


class Calls:
    """Calls in children, from as many threads as there are to be children.

    Leaving the context ends those that are under way.
    """

    def __init__(self, memory_bytes: int | None = None, kind: Kind = DECODER) -> None:
        """
        Args:
            memory_bytes: Of its own that each child may have, if not what the kind says.
            kind: Of the children.
        """
        _allow_descriptors()
        if memory_bytes is not None:
            kind = dataclasses.replace(kind, memory_bytes=memory_bytes)
        self._kind = kind
        self._busy: set[_Child] = set()
        self._lock = threading.Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the context was left."""
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        with self._lock:
            self._ended = True
            for child in self._busy:
                child.end()

    def __call__(self, function: Callable, *arguments: Any, timeout_s: float | None = None) -> Any:
        """What `function` returns, called in a child.

        Args:
            function: One that a child can import; what it takes, returns and raises is pickled.
            timeout_s: Seconds that it may take; None does not end.

        Raises:
            ViolenceDetectionError: The kind's own, if the call took the child down or longer
                than `timeout_s`.
            ViolenceDetectionError: If children cannot be started.
        """
        with self._child() as child:
            raised, answer = child.ask(function, arguments, timeout_s)
        if raised:
            raise answer
        return answer

    def stream(
        self, function: Callable, *arguments: Any, timeout_s: float | None = None
    ) -> Iterator[Any]:
        """What a generator yields that runs in a child.

        Args:
            function: A generator function that a child can import; what it takes, yields and
                raises is pickled.
            timeout_s: Seconds that each item may take; None does not end.

        Raises:
            VideoError, ViolenceDetectionError: As a call does.
        """
        with self._child() as child:
            raised, item = child.ask(begin, (function, arguments), timeout_s)
            while not raised and item is not None:
                raised, item = child.ask(advance, (), timeout_s)
                if not raised and item is not None:
                    yield item[0]
        if raised:
            raise item

    @contextlib.contextmanager
    def _child(self) -> "Iterator[_Child]":
        """A child that serves nobody else; after an error here it is ended."""
        child = self._taken()
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        finally:
            with self._lock:
                self._busy.discard(child)
        _idle.append(child)

    def _taken(self) -> "_Child":
        child = _idle_child(self._kind) or _Child(self._kind)
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
        variables = tuple(environment.items())
        kind = Kind(what, ViolenceDetectionError, threads=None, environment=variables)
        self._child = _Child(kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._child.kill()

    def __call__(self, function: Callable, *arguments: Any) -> Any:
        """What `function` returns; see `Calls`.

        Raises:
            ViolenceDetectionError: If the call took the child down.
        """
        raised, answer = self._child.ask(function, arguments, None)
        if raised:
            raise answer
        return answer


def as_they_finish(
    work: Callable[[_Item, Calls], _Result],
    items: Iterable[_Item],
    *,
    children: int,
    memory_bytes: int,
) -> Iterator[_Result]:
    """What comes of items, as it is done: a slow one holds no other up.

    Args:
        work: What is done with an item, in a thread; the calls are for it to use.
        items: Taken as they are needed, twice as many as there are children ahead.
        children: That work at the same time.
        memory_bytes: Of its own that each may have.
    """
    finished: queue.SimpleQueue[Future[_Result]] = queue.SimpleQueue()
    flying: set[Future[_Result]] = set()
    waiting = iter(items)
    with (
        ThreadPoolExecutor(children, thread_name_prefix="decode") as pool,
        Calls(memory_bytes) as call,
    ):

        def launch(count: int) -> None:
            for item in itertools.islice(waiting, count):
                future = pool.submit(work, item, call)
                flying.add(future)
                future.add_done_callback(finished.put)

        launch(2 * children)  # as many as keep the encoder fed
        try:
            while flying:
                future = finished.get()
                flying.remove(future)
                one = future.result()
                launch(1)
                yield one
        finally:
            for future in flying:
                future.cancel()


def _allow_descriptors() -> None:
    """A child takes five; many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, _DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _DESCRIPTORS), hard))


def _idle_child(kind: Kind) -> "_Child | None":
    with contextlib.suppress(IndexError):
        while True:
            child = _idle.pop()
            if child.lives and child.kind == kind:
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

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._ready = False
        self._ended_with = ""
        self._killing = threading.Lock()
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as passed_on:
            try:
                self._start(opened, passed_on)
            except OSError as error:
                raise _not_started(kind, str(error)) from error
            self._opened = opened.pop_all()

    def _start(self, opened: contextlib.ExitStack, passed_on: contextlib.ExitStack) -> None:
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
        limits = (self.kind.memory_bytes, self.kind.niceness)
        arguments = (json.dumps(sys.path), *map(str, (*theirs, *limits)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=theirs,
            env=self.kind.variables,
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
                raise self.kind.error(f"it took longer than {timeout_s:g} s (--video-timeout)")
            return received(self._in, self._arrays)
        except (EOFError, OSError) as error:
            came = self.kill()
            if self._ready:
                raise self.kind.error(f"{self.kind.what} crashed ({came})") from error
            raise _not_started(self.kind, came) from error

    def end(self) -> None:
        """End it, whatever it does; whoever waits for its answer gets an error, and kills it."""
        self._process.kill()

    def kill(self) -> str:
        """End it, and close what it had; why it ended: the signal, or its last line and status."""
        with self._killing:
            self.end()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
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


def _not_started(kind: Kind, came: str) -> ViolenceDetectionError:
    return ViolenceDetectionError(
        f"{kind.what.capitalize()} must have a process of its own. It did not start: {came}"
    )
