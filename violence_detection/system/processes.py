"""Function calls in child processes, with a memory limit and a time limit.

Decoders are written in C and read files of unknown origin: they may crash, hang, or take all the
memory. In a child process such a failure costs one call only. A child serves one call at a time,
and ends with the process that started it.
"""

import atexit
import contextlib
import dataclasses
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.system import child_process, progress
from violence_detection.system.child_process import begin_stream, next_item
from violence_detection.system.process_handle import ProcessHandle, ProcessKind

MEMORY_LIMIT_BYTES = 2**30  # of a decoder's own memory
# The niceness keeps decoders behind the encoder: its threads wait for each other at every layer,
# so that one of them that loses its core to a decoder holds up all.
DECODER = ProcessKind("the decoder", VideoError, niceness=10, memory_bytes=MEMORY_LIMIT_BYTES)

_Item, _Result = TypeVar("_Item"), TypeVar("_Result")

# Processes that wait for the next call, of any pool: starting one takes a third of a second.
_idle: list[ProcessHandle] = []


class ProcessPool:
    """Calls functions in child processes; several threads may call at the same time.

    The pool has as many processes as threads call at the same time. Leaving its context ends the
    calls that are in progress.
    """

    def __init__(self, memory_bytes: int | None = None, kind: ProcessKind = DECODER) -> None:
        """
        Args:
            memory_bytes: Memory limit of each process, if not that of the kind.
            kind: The purpose and the limits of the processes.
        """
        if memory_bytes is not None:
            kind = dataclasses.replace(kind, memory_bytes=memory_bytes)
        self._kind = kind
        self._busy: set[ProcessHandle] = set()
        self._lock = threading.Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        """True once `end` was called or the context was left."""
        return self._ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()

    def end(self) -> None:
        """End the calls that are in progress, and those that still come."""
        with self._lock:
            self._ended = True
            for process in self._busy:
                process.terminate()

    def __call__(
        self,
        function: Callable,
        *arguments: Any,
        timeout_s: float | None = None,
        timeout_option: str = "",
    ) -> Any:
        """Call `function` in a child process and return its result.

        Args:
            function: A function that the child can import. Its arguments, its result and its
                exceptions are pickled.
            timeout_s: Seconds that the call may take; None for no limit.
            timeout_option: The option that sets `timeout_s`, for the error message.

        Raises:
            ViolenceDetectionError: The kind's own, if the call crashed its process or took longer
                than `timeout_s`; the base class, if no process could be started.
            Exception: Whatever the function raised.
        """
        with self._process() as process:
            raised, answer = process.ask(function, arguments, timeout_s, timeout_option)
        if raised:
            raise answer
        return answer

    def stream(
        self,
        function: Callable,
        *arguments: Any,
        timeout_s: float | None = None,
        timeout_option: str = "",
    ) -> Iterator[Any]:
        """The items of a generator that runs in a child process.

        Args:
            function: A generator function that the child can import. Its arguments, its items and
                its exceptions are pickled.
            timeout_s: Seconds that each item may take; None for no limit.
            timeout_option: As in `__call__`.

        Raises:
            ViolenceDetectionError: As `__call__` does.
            Exception: Whatever the generator raised.
        """
        with self._process() as process:
            limit = (timeout_s, timeout_option)
            raised, item = process.ask(begin_stream, (function, arguments), *limit)
            while not raised and item is not None:
                raised, item = process.ask(next_item, (), *limit)
                if not raised and item is not None:
                    yield item[0]
        if raised:
            raise item

    @contextlib.contextmanager
    def _process(self) -> Iterator[ProcessHandle]:
        """A process for one call. After an error of the call it is killed, else kept for the
        next."""
        process = self._take_process()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            with self._lock:
                self._busy.discard(process)
        _idle.append(process)

    def _take_process(self) -> ProcessHandle:
        process = _idle_process(self._kind) or ProcessHandle(self._kind)
        with self._lock:
            self._busy.add(process)
            if self._ended:  # by another thread, while the process was started
                process.terminate()
        return process


class DedicatedProcess:
    """Calls in one child process that is started for them and ends with the context.

    It has no limit of memory or threads.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        """
        Args:
            name: What runs in the process, for error messages: "the converter".
            environment: Variables that the process has in addition to those of this one.
        """
        variables = tuple(environment.items())
        kind = ProcessKind(name, ViolenceDetectionError, threads=None, environment=variables)
        self._process = ProcessHandle(kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()

    def __call__(self, function: Callable, *arguments: Any) -> Any:
        """Call `function` in the process and return its result; see `ProcessPool`.

        Raises:
            ViolenceDetectionError: If the call crashed the process.
            Exception: Whatever the function raised.
        """
        raised, answer = self._process.ask(function, arguments, None)
        if raised:
            raise answer
        return answer

    def construct(self, factory: Callable, *arguments: Any) -> None:
        """Construct the object of the process, which stays there; see `call_method`.

        Args:
            factory: A class, or a function that returns the object.
            arguments: The arguments of the factory.
        """
        self(child_process.construct, factory, arguments)

    def call_method(self, method: Callable, *arguments: Any) -> Any:
        """Call a method of the object that `construct` has made, and return its result.

        Args:
            method: A function of the class: `Converter.write`.
            arguments: The arguments of the method, without `self`.
        """
        return self(child_process.call_method, method, arguments)


def map_unordered(
    work: Callable[[_Item, ProcessPool], _Result],
    items: Iterable[_Item],
    *,
    children: int,
    memory_bytes: int,
) -> Iterator[_Result]:
    """The results of `work` on each item, in the order in which they are ready: a slow item does
    not delay the others.

    Args:
        work: Called in a thread with an item and a pool of processes.
        items: Taken as they are needed, at most twice as many as `children` ahead.
        children: Processes that work at the same time.
        memory_bytes: Memory limit of each process.
    """
    finished: queue.SimpleQueue[Future[_Result]] = queue.SimpleQueue()
    in_progress: set[Future[_Result]] = set()
    waiting = iter(items)
    with (
        ThreadPoolExecutor(children, thread_name_prefix="decode") as threads,
        ProcessPool(memory_bytes) as pool,
    ):

        def submit(count: int) -> None:
            for item in itertools.islice(waiting, count):
                future = threads.submit(work, item, pool)
                in_progress.add(future)
                future.add_done_callback(finished.put)

        # Twice as many as work at the same time: a result is ready while the caller uses the last.
        submit(2 * children)
        try:
            while in_progress:
                future = finished.get()
                in_progress.remove(future)
                result = future.result()
                submit(1)
                yield result
        finally:
            for future in in_progress:
                future.cancel()


def map_in_order(
    work: Callable[[_Item, ProcessPool], _Result],
    items: Sequence[_Item],
    *,
    title: str,
    unit: str,
    children: int | None = None,
) -> Iterator[_Result]:
    """The results of `work` on each item, in their order, with progress on stderr.

    The processes end afterwards.

    Args:
        work: Called in a thread with an item and a pool of processes.
        items: The items.
        title, unit: What is done, and the name of several items, for the progress.
        children: Processes that work at the same time; None for the number of cores.
    """
    try:
        with (
            ThreadPoolExecutor(children or os.cpu_count() or 1) as threads,
            ProcessPool() as pool,
            progress.track(title, len(items), unit) as step,
        ):
            for result in threads.map(lambda item: work(item, pool), items):
                yield result
                step()
    finally:
        end_idle_processes()


def _idle_process(kind: ProcessKind) -> ProcessHandle | None:
    """An idle process of a kind; those of other kinds and those that have ended are killed."""
    with contextlib.suppress(IndexError):
        while True:
            process = _idle.pop()
            if process.is_running and process.kind == kind:
                return process
            process.kill()
    return None


@atexit.register
def end_idle_processes() -> None:
    """End the processes that wait for another call."""
    with contextlib.suppress(IndexError):
        while True:
            _idle.pop().kill()
