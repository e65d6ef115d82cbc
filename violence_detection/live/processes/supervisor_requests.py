"""Requests of the page and of commands to the supervisor, over a Unix socket.

The supervisor alone writes the event store and talks to the cameras' processes: who wants
something of them asks here. A message is one JSON object; an answer that is a picture follows as
bytes of its own.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Protocol, Self

from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.live.processes.watch_status import WatchStatus

log = logging.getLogger(__name__)

_ANSWER_S = 10.0
_MAX_CONNECTIONS = 32
_MAX_IDLE = 4  # that a client keeps: each takes a thread of the server from other clients
_MAX_BYTES = 2**20
_MAX_PATH = 100  # of a Unix socket, in bytes


class WatchRequests(Protocol):
    """Requests that a supervisor answers. Every method may raise a ViolenceDetectionError."""

    def status(self) -> WatchStatus: ...

    def picture(self, camera: str) -> bytes:
        """The newest picture of a camera, JPEG; empty if there is none."""
        ...

    def video(self, camera: str, stream: int, after: int) -> bytes:
        """The next part of live MP4 of a camera, a `LiveVideoPart`."""
        ...

    def acknowledge(self, event: str, by: str) -> bool:
        """False if somebody has acknowledged it before."""
        ...

    def snooze(self, camera: str, until_ms: int, by: str) -> None: ...

    def record_verdict(
        self,
        event: str,
        verdict: str,
        by: str,
        start_s: float | None = None,
        end_s: float | None = None,
        note: str = "",
    ) -> int:
        """Stores a verdict, returns its number."""
        ...

    def undo_verdict(self, verdict: int, by: str) -> bool:
        """False if it was undone before."""
        ...

    def record_label(self, verdict: int, label_row: str) -> None: ...

    def report_missed(self, camera: str, at_ms: int, by: str) -> str:
        """Makes an event of something that raised no alert, returns its id."""
        ...


REQUESTS = tuple(name for name in vars(WatchRequests) if not name.startswith("_"))


class RequestServer:
    """Answers requests in threads, until it is closed."""

    def __init__(self, path: Path, supervisor: WatchRequests) -> None:
        """
        Args:
            path: Of the socket, which only this user may open.
            supervisor: Its methods are called from several threads.

        Raises:
            ConfigError: If the path is too long for a socket.
        """
        if len(os.fsencode(path)) > _MAX_PATH:
            raise ConfigError(
                f"The path of `data` must leave the socket {_MAX_PATH} bytes or fewer. Received: "
                f"{path}"
            )
        self._path, self._supervisor = path, supervisor
        path.unlink(missing_ok=True)  # of a supervisor that was killed
        mask = os.umask(0o177)
        try:
            self._listener = Listener(str(path), "AF_UNIX", backlog=_MAX_CONNECTIONS)
        finally:
            os.umask(mask)
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._is_closed = False
        threading.Thread(target=self._accept, name="requests", daemon=True).start()

    def close(self) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            # `accept` does not end when its socket is closed; a last caller ends it.
            Client(str(self._path), "AF_UNIX").close()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection = self._listener.accept()
            except OSError:
                continue
            if self._is_closed or not self._free.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: Connection) -> None:
        with self._free_after(), connection, contextlib.suppress(EOFError, OSError):
            while not self._is_closed:
                self._answer(connection, connection.recv_bytes(_MAX_BYTES))

    @contextlib.contextmanager
    def _free_after(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._free.release()

    def _answer(self, connection: Connection, request: bytes) -> None:
        try:
            name, values = json.loads(request)
            if name not in REQUESTS:
                raise ConfigError(f"A request must be one of {', '.join(REQUESTS)}")
            answer = getattr(self._supervisor, name)(**values)
        except ViolenceDetectionError as error:
            answer = error
        except (ValueError, TypeError) as error:
            answer = ConfigError(f"A request must have its values. Received: {error}")
        except Exception:  # a defect here must not end the conversation without a word
            log.exception(f"The request {request[:200]!r} failed")
            answer = RunError("the supervisor failed at this request; its log says why")
        if isinstance(answer, ViolenceDetectionError):
            message = {"error": str(answer), "is_usage": isinstance(answer, ConfigError)}
            connection.send_bytes(json.dumps(message).encode())
        elif isinstance(answer, bytes):
            connection.send_bytes(b'{"bytes": true}')
            connection.send_bytes(answer)
        else:
            value = answer.to_json() if isinstance(answer, WatchStatus) else answer
            connection.send_bytes(json.dumps({"value": value}).encode())


class RequestClient:
    """Asks a supervisor; it has the methods of `WatchRequests`. Threads may share it."""

    def __init__(self, path: Path, *, timeout_s: float = _ANSWER_S) -> None:
        """
        Args:
            path: The socket.
            timeout_s: Seconds to wait for an answer.
        """
        self._path, self._timeout_s = path, timeout_s
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def status(self) -> WatchStatus:
        return WatchStatus.from_json(self._ask("status"))

    def picture(self, camera: str) -> bytes:
        return self._ask("picture", camera=camera)

    def video(self, camera: str, stream: int, after: int) -> bytes:
        return self._ask("video", camera=camera, stream=stream, after=after)

    def acknowledge(self, event: str, by: str) -> bool:
        return self._ask("acknowledge", event=event, by=by)

    def snooze(self, camera: str, until_ms: int, by: str) -> None:
        self._ask("snooze", camera=camera, until_ms=until_ms, by=by)

    def record_verdict(
        self,
        event: str,
        verdict: str,
        by: str,
        start_s: float | None = None,
        end_s: float | None = None,
        note: str = "",
    ) -> int:
        values = {"verdict": verdict, "by": by, "start_s": start_s, "end_s": end_s, "note": note}
        return self._ask("record_verdict", event=event, **values)

    def undo_verdict(self, verdict: int, by: str) -> bool:
        return self._ask("undo_verdict", verdict=verdict, by=by)

    def record_label(self, verdict: int, label_row: str) -> None:
        self._ask("record_label", verdict=verdict, label_row=label_row)

    def report_missed(self, camera: str, at_ms: int, by: str) -> str:
        return self._ask("report_missed", camera=camera, at_ms=at_ms, by=by)

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _ask(self, name: str, **values: Any) -> Any:
        """
        Raises:
            RunError: If the supervisor does not run or does not answer, or it refuses.
            ConfigError: If the request is wrong.
        """
        request = json.dumps([name, values]).encode()
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            try:
                answer = self._converse(connection, request)
            except (ConnectionError, EOFError):
                if connection is None:
                    raise
                # The idle connection was one of a supervisor that has been started anew since.
                connection = None
                answer = self._converse(None, request)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            raise RunError(
                f"The watch must run and answer. Received: nothing at {self._path} ({reason}); "
                "start `watch run`"
            ) from error
        if isinstance(answer, dict) and "error" in answer:
            raise (ConfigError if answer["is_usage"] else RunError)(answer["error"])
        return answer if isinstance(answer, bytes) else answer["value"]

    def _converse(self, connection: Connection | None, request: bytes) -> dict[str, Any] | bytes:
        """The answer to a request, over a connection or a new one, which is kept for later."""
        connection = connection or Client(str(self._path), "AF_UNIX")
        try:
            connection.send_bytes(request)
            if not connection.poll(self._timeout_s):
                raise TimeoutError(f"no answer within {self._timeout_s:g} s")
            answer = json.loads(connection.recv_bytes())
            if answer.get("bytes"):
                answer = connection.recv_bytes()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            is_kept = len(self._idle) < _MAX_IDLE
            if is_kept:
                self._idle.append(connection)
        if not is_kept:
            connection.close()
        return answer
