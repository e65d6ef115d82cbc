"""How the machines of a training meet, agree, and notice that one is gone.

TensorFlow's collective operations wait for a machine that died for minutes, and Python cannot
interrupt them. So each machine keeps a connection to the chief of its own, beside TensorFlow's:
it closes where a process ends, and falls silent where a machine or the network does.
"""

import contextlib
import json
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from violence_detection.errors import ConfigError, TrainingError, ViolenceDetectionError
from violence_detection.system import cluster_spec
from violence_detection.system.cluster_spec import ClusterSpec

log = logging.getLogger(__name__)

_MEET_S, _AGAIN_S = 300.0, 0.5
_BEAT_S, _SILENCE_S = 2.0, 8.0  # TensorFlow itself aborts after 10 s, less clearly
# For one that leaves by itself, for the reason of the others: an error of its own, a signal.
_GRACE_S = 3.0
_LONGEST_HELLO_BYTES = 200


class Coordinator:
    """The other machines of a training, all over the chief; nobody, if it is alone.

    Used with `with`: whoever leaves by an error tells the others why. If one is gone, the
    process ends with status 1 and a line on stderr, whatever it is waiting for.
    """

    def __init__(self, machines: ClusterSpec | None) -> None:
        """
        Args:
            machines: All of them; None for one alone.
        """
        self._hosts = machines or ClusterSpec(("",), 0)
        self._links: dict[int, _Link] = {}  # of a chief to all, of the others to it
        self._leaving = threading.Event()
        self._gone = threading.Lock()

    @property
    def is_chief(self) -> bool:
        return self._hosts.rank == 0

    def __enter__(self) -> Self:
        """Wait until all are there.

        Raises:
            TrainingError: If they do not come.
        """
        if len(self._hosts) > 1:
            log.info(
                f"This is rank {self._hosts.rank} of {len(self._hosts)} machines "
                f"({self._hosts.source}); waiting for the others."
            )
            wait = self._wait_for_all if self.is_chief else self._join_chief
            for rank, connection in wait(time.monotonic() + _MEET_S).items():
                self._links[rank] = _Link(connection)
            for rank, link in self._links.items():
                link.start(lambda why, rank=rank: self._lost(rank, why))
        return self

    def __exit__(self, kind: Any, error: BaseException | None, *_: Any) -> None:
        if error is not None and self._links:
            _await_verdict(error)
        self._leaving.set()
        with self._gone:  # not while the other way out is taken
            last = {"end": True} if error is None else {"left": _reason(error)}
            for link in self._links.values():
                link.close(last)

    # -- agreeing

    def gather(self, value: Any) -> list[Any]:
        """What each machine gives (JSON), by rank; none goes on before all have given theirs."""
        if not self._links:
            return [value]
        if self.is_chief:
            values = [value, *(self._links[rank].get() for rank in sorted(self._links))]
            for link in self._links.values():
                link.send({"value": values})
            return values
        self._links[0].send({"value": value})
        return self._links[0].get()

    def of_chief(self, value: Any) -> Any:
        """What the chief gives."""
        return self.gather(value if self.is_chief else None)[0]

    def check_same(self, **facts: Any) -> None:
        """Whether all machines have the same.

        Raises:
            ConfigError: If not, on all of them.
        """
        different = cluster_spec.describe_difference(self.gather(facts))
        if different:
            raise ConfigError(f"All machines must train with the same. Received: {different}")

    # -- meeting

    def _wait_for_all(self, until_s: float) -> dict[int, socket.socket]:
        """Connections of the other ranks; afterwards the port is TensorFlow's."""
        came: dict[int, socket.socket] = {}
        with _listening(_split(self._hosts.addresses[0])[1]) as listening:
            while len(came) < len(self._hosts) - 1:
                listening.settimeout(max(0.01, until_s - time.monotonic()))
                try:
                    connection, _ = listening.accept()
                except TimeoutError as error:
                    for connection in came.values():
                        connection.close()
                    lacking = set(range(1, len(self._hosts))) - came.keys()
                    raise TrainingError(
                        f"All {len(self._hosts)} machines must be there within {_MEET_S:.0f} s. "
                        f"Received: no rank {', '.join(map(str, sorted(lacking)))}"
                    ) from error
                rank = self._hello(connection)
                if rank in came:  # it was started again
                    _answer(came[rank], "another process came with this rank")
                if rank is not None:
                    came[rank] = connection
        for connection in came.values():
            _answer(connection, "")
        return came

    def _hello(self, connection: socket.socket) -> int | None:
        """The rank of who came; None for one that is not of this training."""
        connection.settimeout(5)
        try:
            said = json.loads(_line(connection))
            rank, machines = int(said["rank"]), int(said["machines"])
        except (OSError, ValueError, TypeError, KeyError):  # whoever it is
            connection.close()
            return None
        if machines != len(self._hosts) or not 0 < rank < machines:
            wanted = f"it waits for {len(self._hosts)} machines, and is rank 0 itself"
            _answer(connection, wanted)
            return None
        return rank

    def _join_chief(self, until_s: float) -> dict[int, socket.socket]:
        address = self._hosts.addresses[0]
        _listening(_split(self._hosts.addresses[self._hosts.rank])[1]).close()
        while True:
            try:
                connection, refused = self._ask(address)
                break
            except (OSError, ValueError, TypeError, KeyError) as error:
                if time.monotonic() > until_s:
                    raise TrainingError(
                        f"The chief must be there within {_MEET_S:.0f} s. Received: {address} "
                        f"({error})"
                    ) from error
            time.sleep(_AGAIN_S)
        if refused:
            connection.close()
            raise TrainingError(
                f"The chief must wait for this machine. Received: rank {self._hosts.rank} of "
                f"{len(self._hosts)} ({refused})"
            )
        return {0: connection}

    def _ask(self, address: str) -> tuple[socket.socket, str]:
        """A connection to the chief, once it has all machines or has refused this one."""
        hello = {"rank": self._hosts.rank, "machines": len(self._hosts)}
        connection = socket.create_connection(_split(address), timeout=5)
        try:
            connection.sendall(json.dumps(hello).encode() + b"\n")
            connection.settimeout(_MEET_S)
            return connection, json.loads(_line(connection))["refused"]
        except BaseException:
            connection.close()
            raise

    # -- noticing

    def _lost(self, rank: int, why: str) -> None:
        """End the process; called on the thread that listens to a machine."""
        if why:
            self._leaving.wait(_GRACE_S)
        with self._gone:
            if self._leaving.is_set():
                return
            reason = why or "its connection was closed or fell silent"
            line = (
                f"Error: All machines must stay until the end. Received: rank {rank} is gone "
                f"({reason}); --resume on all of them goes on"
            )
            os.write(2, " ".join(line.split()).encode() + b"\n")
            for other, link in self._links.items():
                if other != rank:
                    link.send({"left": f"rank {rank} is gone"})
            os._exit(TrainingError.exit_status)


class _Link:
    """A connection to another machine: JSON in lines, an empty one as a sign of life."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._values: queue.SimpleQueue = queue.SimpleQueue()
        self._closed = threading.Event()
        connection.settimeout(_SILENCE_S)

    def start(self, lost: Callable[[str], None]) -> None:
        """Listen, and give signs of life; `lost` is called if there are none, with the reason
        that the other gave."""
        threading.Thread(target=self._listen, args=(lost,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()

    def get(self) -> Any:
        """The next value.

        Raises:
            TrainingError: If the other has ended before.
        """
        message = self._values.get()
        if "value" not in message:
            raise TrainingError(
                "All machines must stay until the end. Received: one that ended before"
            )
        return message["value"]

    def send(self, message: dict[str, Any] | None) -> None:
        line = b"" if message is None else json.dumps(message).encode()
        # Who listens to it notices that it is gone.
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(line + b"\n")

    def close(self, last: dict[str, Any]) -> None:
        self._closed.set()
        self.send(last)
        self._connection.close()

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT_S):
            self.send(None)

    def _listen(self, lost: Callable[[str], None]) -> None:
        why = ""
        with contextlib.suppress(OSError, ValueError):
            for line in self._connection.makefile("rb"):
                message = json.loads(line) if line.strip() else {}
                if message.keys() & {"value", "end"}:
                    self._values.put(message)
                if "end" in message:
                    return
                why = message.get("left", why)
        if not self._closed.is_set():
            lost(why)


def _listening(port: int) -> socket.socket:
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise TrainingError(
            f"The port of this machine must be free. Received: {port} ({error})"
        ) from error


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _line(connection: socket.socket) -> bytes:
    """What was sent before the end of the line, and nothing of what comes after."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST_HELLO_BYTES:
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError("it closed the connection")
        line += byte
    return line


def _answer(connection: socket.socket, refused: str) -> None:
    with contextlib.suppress(OSError):  # who is gone by now is missed soon
        connection.sendall(json.dumps({"refused": refused}).encode() + b"\n")
    if refused:
        connection.close()


def _reason(error: BaseException) -> str:
    if isinstance(error, ViolenceDetectionError):
        return str(error)
    return f"{type(error).__name__.lstrip('_')} {error}".strip()[:300]


def _await_verdict(error: BaseException) -> None:
    """A collective operation fails where a machine dies; which one is known a moment later,
    and then the process ends."""
    if type(error).__module__.startswith("tensorflow."):
        time.sleep(_SILENCE_S + _BEAT_S)
