"""The parent's side of one child process: starts it, sends it calls, and says why it ended."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from violence_detection.errors import ViolenceDetectionError
from violence_detection.system.child_process import receive

_MIN_DESCRIPTORS = 4096
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from violence_detection.system import child_process; "
    "child_process.serve(*map(int, sys.argv[2:]))"
)
_THREAD_LIMITS = (
    "OPENCV_FOR_THREADS_NUM OPENBLAS_NUM_THREADS OMP_NUM_THREADS TF_NUM_INTRAOP_THREADS "
    "TF_NUM_INTEROP_THREADS"
).split()


@dataclass(frozen=True)
class ProcessKind:
    """The purpose and the limits of child processes.

    Attributes:
        name: What runs in the process, for error messages: "the decoder".
        error: The error raised if the process crashes or is too slow.
        threads: Threads that libraries may start in each process; None for no limit. One is the
            default, because the parallelism is over processes.
        niceness: Added to the process's niceness; a higher number gives way to other processes.
        memory_bytes: Limit of the process's own memory; 0 for no limit.
        environment: Variables that the process has in addition to the parent's.
    """

    name: str
    error: type[ViolenceDetectionError]
    threads: int | None = 1
    niceness: int = 0
    memory_bytes: int = 0
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        """All environment variables of a process of this kind."""
        limited = {} if self.threads is None else dict.fromkeys(_THREAD_LIMITS, self.threads)
        limits = {name: str(threads) for name, threads in limited.items()}
        return os.environ | limits | dict(self.environment)


class ProcessHandle:
    """A child process that answers one call after the other."""

    def __init__(self, kind: ProcessKind) -> None:
        """Start the process.

        Raises:
            ViolenceDetectionError: If it cannot be started.
        """
        self.kind = kind
        self._ready = False
        self._terminated = False
        self._end_reason = ""
        self._killing = threading.Lock()
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as passed_on:
            try:
                self._start(opened, passed_on)
            except OSError as error:
                raise _start_error(kind, str(error)) from error
            self._opened = opened.pop_all()

    def _start(self, opened: contextlib.ExitStack, passed_on: contextlib.ExitStack) -> None:
        """Start the process.

        Args:
            opened: Gets what this side uses, and closes when the process has ended.
            passed_on: Gets the ends of pipes that only the child uses; they are closed here.
        """
        _raise_descriptor_limit()
        child_in, parent_out = os.pipe()
        passed_on.callback(os.close, child_in)
        self._calls = opened.enter_context(Connection(parent_out, readable=False))
        parent_in, child_out = os.pipe()
        passed_on.callback(os.close, child_out)
        self._answers = opened.enter_context(Connection(parent_in, writable=False))
        self._stderr = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        # The answers' arrays come back in this memory; see `child_process`.
        self._arrays = os.memfd_create("arrays")
        opened.callback(os.close, self._arrays)
        descriptors = (child_in, child_out, self._arrays)
        limits = (self.kind.memory_bytes, self.kind.niceness)
        arguments = (json.dumps(sys.path), *map(str, (*descriptors, *limits)))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=descriptors,
            env=self.kind.variables,
            process_group=0,  # so that the terminal sends Ctrl-C to the parent only
        )

    @property
    def is_running(self) -> bool:
        # A process that was told to end may be there for a moment; it takes no further call.
        return not self._terminated and self._process.poll() is None

    def ask(
        self,
        function: Callable,
        arguments: tuple,
        timeout_s: float | None,
        timeout_option: str = "",
    ) -> tuple[bool, Any]:
        """Call a function in the process.

        Args:
            function: A function that the child can import.
            arguments: Pickled.
            timeout_s: Seconds that the call may take; None for no limit.
            timeout_option: The option that sets `timeout_s`, for the error message; empty if the
                time is fixed.

        Returns:
            True and the exception if the function raised, else False and what it returned.

        Raises:
            ViolenceDetectionError: The kind's own, if the process ended or took too long; the
                base class, if it could not be started.
        """
        try:
            if not self._ready:
                self._ready = self._answers.recv()
            self._calls.send((function, arguments))
            if not self._answers.poll(timeout_s):
                option = f" ({timeout_option})" if timeout_option else ""
                raise self.kind.error(f"it took longer than {timeout_s:g} s{option}")
            return receive(self._answers, self._arrays)
        except (EOFError, OSError) as error:
            reason = self.kill()
            if self._ready:
                raise self.kind.error(f"{self.kind.name} crashed ({reason})") from error
            raise _start_error(self.kind, reason) from error

    def terminate(self) -> None:
        """End the process. A thread that waits for its answer gets an error and calls `kill`."""
        self._terminated = True
        self._process.kill()

    def kill(self) -> str:
        """End the process and close its files.

        Returns:
            The reason of its end: the name of a signal, or the last line of its stderr and its
            exit status. The first call decides; later calls return the same.
        """
        with self._killing:
            self.terminate()
            # A process that hangs in the kernel (a dead network drive) does not even end by
            # SIGKILL; it is left alone.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            if not self._stderr.closed:
                self._end_reason = self._read_end_reason()
                self._opened.close()
            return self._end_reason

    def _read_end_reason(self) -> str:
        status = self._process.returncode or 0
        if status < 0:
            return signal.Signals(-status).name
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last_line = next((line for line in reversed(lines) if line.strip()), "no output")
        return f"{last_line.strip()[:200]}, exit status {status}"


def _raise_descriptor_limit() -> None:
    """Raise the limit of open files: a child needs five, and many systems start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, _MIN_DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _MIN_DESCRIPTORS), hard))


def _start_error(kind: ProcessKind, reason: str) -> ViolenceDetectionError:
    name = kind.name[:1].lower() + kind.name[1:]
    return ViolenceDetectionError(f"Could not start the process of {name}: {reason}")
