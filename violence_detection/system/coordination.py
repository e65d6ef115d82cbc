"""Rendezvous, agreement and heartbeat of the machines that train together.

TensorFlow's collective operations wait for minutes for a machine that has died, and Python cannot
interrupt them. So each machine keeps its own connection to the chief, in addition to
TensorFlow's: it is closed when the other process ends, and sends nothing more when the other
machine or the network fails.
"""

import abc
import contextlib
import json
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

from violence_detection.errors import ConfigError, TrainingError, ViolenceDetectionError
from violence_detection.system import cluster_spec
from violence_detection.system.cluster_spec import ClusterSpec

log = logging.getLogger(__name__)

_RENDEZVOUS_S, _RETRY_S = 300.0, 0.5
_HEARTBEAT_S, _SILENCE_S = 2.0, 8.0  # TensorFlow itself aborts after 10 s, with a worse message
# Time for this process to end by itself after another has said why it ends: by its own error or
# by a signal, which is then the better message.
_GRACE_S = 3.0
_MAX_HELLO_BYTES = 200


@dataclass(frozen=True)
class _Hello:
    """The first message of a machine to the chief."""

    rank: int
    machines: int

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """
        Raises:
            ValueError, TypeError, KeyError: If the values are something else.
        """
        return cls(int(values["rank"]), int(values["machines"]))

    def to_json(self) -> dict[str, int]:
        return {"rank": self.rank, "machines": self.machines}


@dataclass(frozen=True)
class _Message:
    """A message between connected machines: an object of one key.

    Attributes:
        kind: `value` for `gather`; `end` if the sender has finished; `left` if it ends early.
        content: The value, JSON; true at the end; the reason for leaving.
    """

    kind: Literal["value", "end", "left"]
    content: Any

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """
        Raises:
            ValueError, AttributeError: If the object has not one key.
        """
        ((kind, content),) = values.items()
        return cls(kind, content)

    def to_json(self) -> dict[str, Any]:
        return {self.kind: self.content}


class Coordinator(contextlib.AbstractContextManager):
    """The connection of a machine to the others that train together with it.

    Attributes:
        cluster: All machines and the rank of this one; None if it trains alone.
    """

    cluster: ClusterSpec | None = None

    @property
    def is_chief(self) -> bool:
        return self.cluster is None or self.cluster.rank == 0

    @abc.abstractmethod
    def gather(self, value: Any) -> list[Any]:
        """The value (JSON) of each machine, by rank; returns when all have given theirs."""

    def broadcast(self, value: Any) -> Any:
        """The chief's value, on all machines."""
        return self.gather(value if self.is_chief else None)[0]

    def check_same(self, **facts: Any) -> None:
        """Raises ConfigError on all machines if they do not all have the same facts."""
        difference = cluster_spec.describe_difference(self.gather(facts))
        if difference:
            raise ConfigError(f"All machines must train with the same. Received: {difference}")


class LocalCoordinator(Coordinator):
    """The coordinator of a machine that trains alone: it is the chief, and agrees with itself."""

    def __exit__(self, *_: Any) -> None:
        pass

    def gather(self, value: Any) -> list[Any]:
        return [value]


def coordinator_of(cluster: ClusterSpec | None) -> Coordinator:
    """The coordinator of a cluster; a local one for None."""
    return LocalCoordinator() if cluster is None else ClusterCoordinator(cluster)


class ClusterCoordinator(Coordinator):
    """The coordinator of several machines, which are all connected to the chief.

    Used with `with`: a machine that leaves by an error tells the others why. If a machine is lost,
    this process ends with status 1 and a line on stderr, whatever it is waiting for.
    """

    def __init__(self, cluster: ClusterSpec) -> None:
        self.cluster = cluster
        self._links: dict[int, _Link] = {}  # from the chief to all, from each other to the chief
        self._leaving = threading.Event()
        self._ending = threading.Lock()

    def __enter__(self) -> Self:
        """Wait until all machines are connected.

        Raises:
            TrainingError: If one does not connect in time.
        """
        log.info(
            f"This is rank {self.cluster.rank} of {len(self.cluster)} machines "
            f"({self.cluster.source}); waiting for the others."
        )
        connect = self._accept_all if self.is_chief else self._connect_to_chief
        for rank, connection in connect(time.monotonic() + _RENDEZVOUS_S).items():
            self._links[rank] = _Link(connection)
        for rank, link in self._links.items():
            link.start(lambda reason, rank=rank: self._end_process(rank, reason))
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *_: Any) -> None:
        if error is not None and self._links:
            _await_heartbeat(error)
        self._leaving.set()
        with self._ending:  # not while `_end_process` is at it
            last = _Message("end", True) if error is None else _Message("left", _reason(error))
            for link in self._links.values():
                link.close(last)

    def gather(self, value: Any) -> list[Any]:
        if self.is_chief:
            values = [value, *(self._links[rank].get() for rank in sorted(self._links))]
            for link in self._links.values():
                link.send(_Message("value", values))
            return values
        self._links[0].send(_Message("value", value))
        return self._links[0].get()

    # -- rendezvous

    def _accept_all(self, until_s: float) -> dict[int, socket.socket]:
        """Connections to the other ranks. The port is free afterwards: TensorFlow needs it."""
        connections: dict[int, socket.socket] = {}
        with _listen_on(_split(self.cluster.addresses[0])[1]) as server:
            while len(connections) < len(self.cluster) - 1:
                server.settimeout(max(0.01, until_s - time.monotonic()))
                try:
                    connection, _ = server.accept()
                except TimeoutError as error:
                    for connection in connections.values():
                        connection.close()
                    missing = sorted(set(range(1, len(self.cluster))) - connections.keys())
                    raise TrainingError(
                        f"All {len(self.cluster)} machines must connect within "
                        f"{_RENDEZVOUS_S:.0f} s. "
                        f"Received: no rank {', '.join(map(str, missing))}"
                    ) from error
                rank = self._read_hello(connection)
                if rank in connections:  # that machine was started again
                    _reply(connections[rank], "another process came with this rank")
                if rank is not None:
                    connections[rank] = connection
        for connection in connections.values():
            _reply(connection, "")
        return connections

    def _read_hello(self, connection: socket.socket) -> int | None:
        """The rank of a machine that has connected; None, and the connection closed, if it is not
        of this training."""
        connection.settimeout(5)
        try:
            hello = _Hello.from_json(json.loads(_read_line(connection)))
        except (OSError, ValueError, TypeError, KeyError):  # some other program: a port scanner
            connection.close()
            return None
        if hello.machines != len(self.cluster) or not 0 < hello.rank < hello.machines:
            _reply(connection, f"it waits for {len(self.cluster)} machines, and is rank 0 itself")
            return None
        return hello.rank

    def _connect_to_chief(self, until_s: float) -> dict[int, socket.socket]:
        address = self.cluster.addresses[0]
        # Fails now, with a clear message, if TensorFlow could not open this machine's port later.
        _listen_on(_split(self.cluster.addresses[self.cluster.rank])[1]).close()
        while True:
            try:
                connection, refusal = self._send_hello(address)
                break
            except (OSError, ValueError, TypeError, KeyError) as error:
                if time.monotonic() > until_s:
                    raise TrainingError(
                        f"The chief must answer within {_RENDEZVOUS_S:.0f} s. Received: {address} "
                        f"({error})"
                    ) from error
            time.sleep(_RETRY_S)
        if refusal:
            connection.close()
            raise TrainingError(
                f"The chief must accept this machine. Received: rank {self.cluster.rank} of "
                f"{len(self.cluster)} ({refusal})"
            )
        return {0: connection}

    def _send_hello(self, address: str) -> tuple[socket.socket, str]:
        """A connection to the chief and its refusal, empty if it accepts this machine; returns
        when the chief has all machines or has refused this one."""
        hello = _Hello(self.cluster.rank, len(self.cluster))
        connection = socket.create_connection(_split(address), timeout=5)
        try:
            connection.sendall(json.dumps(hello.to_json()).encode() + b"\n")
            connection.settimeout(_RENDEZVOUS_S)
            return connection, json.loads(_read_line(connection))["refused"]
        except BaseException:
            connection.close()
            raise

    # -- heartbeat

    def _end_process(self, rank: int, reason: str) -> None:
        """End this process because a machine was lost; called in the thread that listens to it.

        Args:
            rank: The lost machine.
            reason: Why it left, by its own account; empty if it said nothing.
        """
        if reason:
            self._leaving.wait(_GRACE_S)
        with self._ending:
            if self._leaving.is_set():
                return
            reason = reason or "its connection was closed or fell silent"
            line = (
                f"Error: Machine {rank} was lost ({reason}). Start all machines again with "
                "--resume to continue."
            )
            os.write(2, " ".join(line.split()).encode() + b"\n")
            for other_rank, link in self._links.items():
                if other_rank != rank:
                    link.send(_Message("left", f"machine {rank} was lost"))
            os._exit(TrainingError.exit_status)


class _Link:
    """A connection to another machine: one JSON message a line; an empty line is a heartbeat."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._values: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._closed = threading.Event()
        connection.settimeout(_SILENCE_S)

    def start(self, on_loss: Callable[[str], None]) -> None:
        """Start to listen and to send heartbeats.

        Args:
            on_loss: Called if the other machine is lost, with the reason that it gave.
        """
        threading.Thread(target=self._listen, args=(on_loss,), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    def get(self) -> Any:
        """The next value.

        Raises:
            TrainingError: If the other machine ended before it sent one.
        """
        message = self._values.get()
        if message.kind != "value":
            raise TrainingError(
                "All machines must train until the end. Received: a machine that ended before"
            )
        return message.content

    def send(self, message: _Message | None) -> None:
        """Sends a message, or None for a heartbeat."""
        line = b"" if message is None else json.dumps(message.to_json()).encode()
        # An error is ignored here: `_listen` notices that the other machine is lost.
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(line + b"\n")

    def close(self, last: _Message) -> None:
        self._closed.set()
        self.send(last)
        self._connection.close()

    def _send_heartbeats(self) -> None:
        while not self._closed.wait(_HEARTBEAT_S):
            self.send(None)

    def _listen(self, on_loss: Callable[[str], None]) -> None:
        reason = ""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in self._connection.makefile("rb"):
                if not line.strip():  # a heartbeat
                    continue
                message = _Message.from_json(json.loads(line))
                if message.kind == "left":
                    reason = str(message.content)
                    continue
                self._values.put(message)
                if message.kind == "end":
                    return
        if not self._closed.is_set():
            on_loss(reason)


def _listen_on(port: int) -> socket.socket:
    """A server on a port of this machine, IPv6 and IPv4 where the system has both.

    Raises:
        TrainingError: If the port is not free.
    """
    dual_stack = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual_stack)
    except OSError as error:
        raise TrainingError(
            f"The port of this machine must be free. Received: {port} ({error})"
        ) from error


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _read_line(connection: socket.socket) -> bytes:
    """One line. It is read byte by byte, so that nothing of what follows it is lost."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _MAX_HELLO_BYTES:
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError("it closed the connection")
        line += byte
    return line


def _reply(connection: socket.socket, refusal: str) -> None:
    """Answer a machine's hello; an empty refusal accepts it, any other closes the connection."""
    with contextlib.suppress(OSError):  # a machine lost by now is missed at its first heartbeat
        connection.sendall(json.dumps({"refused": refusal}).encode() + b"\n")
    if refusal:
        connection.close()


def _reason(error: BaseException) -> str:
    if isinstance(error, ViolenceDetectionError):
        return str(error)
    return f"{type(error).__name__.lstrip('_')} {error}".strip()[:300]


def _await_heartbeat(error: BaseException) -> None:
    """Give the heartbeat time to notice a lost machine, after an error of TensorFlow.

    A collective operation fails on all machines when one dies, without saying which. The heartbeat
    knows it a moment later, and ends the process with that message.
    """
    if type(error).__module__.startswith("tensorflow."):
        time.sleep(_SILENCE_S + _HEARTBEAT_S)
