"""Child processes of `watch`, a capture for each camera and a judge, and messages to and from them.

The supervisor sends Python objects. A child answers with JSON, of which the supervisor makes the
records that it expects: a capture decodes what a camera sends, and what it says is not trusted.
"""

import contextlib
import dataclasses
import functools
import importlib
import json
import logging
import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import types
import typing
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.live.configuration.config import Camera
from violence_detection.system.process_handle import ProcessKind

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 2**20
_MAX_LINE = 4096  # bytes
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from violence_detection.live.processes import worker_process; "
    "worker_process.serve(*map(int, sys.argv[2:]))"
)


@dataclass(frozen=True)
class CaptureStart:
    """The first argument of a capture process.

    Attributes:
        camera: The camera.
        run: Folder of the run, which says what a window and its images are.
        judge: Path of the Unix socket on which its judge takes chunks, in the folder of all data.
        first_section: Number of its first section: higher than those of its predecessors.
    """

    camera: Camera
    run: Path
    judge: Path
    first_section: int


@dataclass(frozen=True)
class JudgeStart:
    """The first argument of a judge process.

    Attributes:
        run: Folder of the run.
        address: Path of the Unix socket on which it takes chunks; it removes an old one.
    """

    run: Path
    address: Path


@dataclass(frozen=True)
class WorkerKind:
    """A kind of child process.

    Attributes:
        name: For messages: "the capture of door".
        module: Has `main(start, channel)`, which runs until the process is to end.
        messages: The records that it may send.
        threads: Threads that libraries may start; None for no limit.
        niceness: Added to its niceness; a higher number gives way to other processes.
        memory_bytes: Limit of its own memory; 0 for no limit.
        environment: Variables that it has in addition to the supervisor's.
    """

    name: str
    module: str
    messages: tuple[type, ...]
    threads: int | None = 1
    niceness: int = 0
    memory_bytes: int = 0
    environment: tuple[tuple[str, str], ...] = ()


class WorkerChannel:
    """The child's end: sends records, receives the supervisor's messages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, message: Any) -> None:
        """Sends a record; threads may share it. Where the supervisor has ended, so does this
        process."""
        content = encode(message)
        with self._sending:
            try:
                self._connection.send_bytes(content)
            except OSError:
                os._exit(0)

    def receive(self, timeout_s: float | None = None) -> Any:
        """The next message of the supervisor; None if none comes in time.

        Where the supervisor has ended, so does this process.
        """
        try:
            return self._connection.recv() if self._connection.poll(timeout_s) else None
        except (EOFError, OSError):
            os._exit(0)


def serve(descriptor: int, memory_bytes: int, niceness: int) -> None:
    """Runs a child process; its command line calls this."""
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor says when to end
    connection = Connection(descriptor)
    module, start = connection.recv()
    importlib.import_module(module).main(start, WorkerChannel(connection))


class WorkerProcess:
    """The supervisor's end of a child process.

    Attributes:
        kind: The kind of process.
        started_s: Monotonic time of its start.
        heard_s: Monotonic time of its last message; None before the first.
    """

    def __init__(
        self,
        kind: WorkerKind,
        start: Any,
        on_message: Callable[["WorkerProcess", Any], None],
        *,
        clean: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts it.

        Args:
            kind: The kind of process.
            start: The first argument of its `main`, pickled.
            on_message: Called in a thread with each record, and with None when it has ended.
            clean: Masks passwords in what it writes on stderr.
            clock: Monotonic seconds.

        Raises:
            ViolenceDetectionError: If it cannot be started.
        """
        self.kind, self._on_message, self._clean, self._clock = kind, on_message, clean, clock
        self.started_s = clock()
        self.heard_s: float | None = None
        self._last_lines: deque[str] = deque(maxlen=5)
        self._sending = threading.Lock()
        self._connection, child = multiprocessing.Pipe()
        arguments = [
            json.dumps(sys.path),
            str(child.fileno()),
            str(kind.memory_bytes),
            str(kind.niceness),
        ]
        limits = ProcessKind(
            kind.name, VideoError, threads=kind.threads, environment=kind.environment
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[child.fileno()],
                env=limits.variables,
                process_group=0,  # so that the terminal sends Ctrl-C to the supervisor only
            )
        except OSError as error:
            self._connection.close()
            raise ViolenceDetectionError(f"Could not start {kind.name}: {error}") from error
        finally:
            child.close()
        self._threads = [
            threading.Thread(target=target, name=kind.name, daemon=True)
            for target in (self._receive, self._read_stderr)
        ]
        self.send((kind.module, start))
        for thread in self._threads:
            thread.start()

    def send(self, message: Any) -> None:
        """Sends an object to the child; one that has ended gets nothing."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(message)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def terminate(self) -> None:
        """Ends it at once, without waiting for its end."""
        self._process.kill()

    def kill(self) -> str:
        """Ends it at once; returns why it ended: a signal, or its last words."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may hang in the kernel
            self._process.wait(timeout=5)
        self._threads[1].join(timeout=1)
        return self.end_reason()

    def wait(self, timeout_s: float) -> bool:
        """Waits for its end; False if it has not ended in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.is_running

    def end_reason(self) -> str:
        """The reason of its end: a signal, or its last words and exit status."""
        status = self._process.poll() or 0
        if status < 0:
            return signal.Signals(-status).name
        words = next((line for line in reversed(self._last_lines) if line.strip()), "no output")
        return f"{words.strip()[:200]}, exit status {status}"

    def _receive(self) -> None:
        kinds = {kind.__name__: kind for kind in self.kind.messages}
        try:
            while True:
                message = decode(self._connection.recv_bytes(MAX_MESSAGE_BYTES), kinds)
                self.heard_s = self._clock()
                self._on_message(self, message)
        except (EOFError, OSError):
            pass
        except VideoError as error:
            log.error(f"{self.kind.name} was ended: {self._clean(str(error))}")
            self._process.kill()
        self._process.wait()
        self._threads[1].join(timeout=1)
        self._connection.close()
        self._on_message(self, None)

    def _read_stderr(self) -> None:
        with self._process.stderr as stderr:
            for line in iter(lambda: stderr.readline(_MAX_LINE), b""):
                text = self._clean(line.decode(errors="replace").rstrip())
                self._last_lines.append(text)
                log.debug(f"{self.kind.name}: {text}")


def encode(message: Any) -> bytes:
    """A record as JSON with its kind."""
    content = {"kind": type(message).__name__, "values": dataclasses.asdict(message)}
    return json.dumps(content, allow_nan=False).encode()


def decode(content: bytes, kinds: Mapping[str, type]) -> Any:
    """The record of a text of `encode`.

    Args:
        content: The text.
        kinds: The records that may come, by name: dataclasses of numbers, texts, lists, mappings.

    Raises:
        VideoError: If it is none of them, or a value has another type.
    """
    try:
        message = json.loads(content)
        kind = kinds[message["kind"]]
        fields = _types_of(kind)
        values = {name: _checked(fields[name], value) for name, value in message["values"].items()}
        return kind(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VideoError(
            "A process must send whole messages of its kinds. Received: "
            f"{content[:80]!r} ({type(error).__name__}: {str(error)[:80]})"
        ) from error


@functools.cache
def _types_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _checked(annotation: Any, value: Any) -> Any:
    """A value of JSON as its field keeps it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        if value is None and types.NoneType in arguments:
            return None
        return _checked(next(kind for kind in arguments if kind is not types.NoneType), value)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(_checked(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin is list and isinstance(value, list):
        return [_checked(arguments[0], item) for item in value]
    if origin is dict and isinstance(value, dict):
        return {str(key): _checked(arguments[1], item) for key, item in value.items()}
    if annotation is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if annotation in (int, str, bool) and type(value) is annotation:
        return value
    raise ValueError(f"{annotation} and {str(value)[:40]!r}")
