"""MQTT: events and states of cameras for programs, and Home Assistant's discovery."""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from violence_detection.errors import ConfigError
from violence_detection.live.notifiers import _home_assistant
from violence_detection.live.notifying.delivery import (
    DELIVERED,
    Delivery,
    PublishedCameraState,
    ShownCamera,
)
from violence_detection.live.storage import messages
from violence_detection.live.storage.messages import Message
from violence_detection.registry import Range
from violence_detection.system.requirements import install_command

log = logging.getLogger(__name__)

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TYPES = {"start": "new", "end": "end"}
_KEEPALIVE_S = 30
_RECONNECT_S = (1, 30)
_SCORE_EVERY_S = 1.0
# Events whose last content is kept, for `before`; further ones push the oldest out.
_REMEMBERED = 200
_UNREACHABLE = "the broker cannot be reached"
_WRONG_TOPIC = set("+#\0 ")


def build(
    *,
    sink: str,
    url: str,
    cameras: Sequence[ShownCamera],
    on_snooze: Callable[[str, int], None],
    user: str = "",
    password: str = "",
    prefix: str = "violence-detection",
    discovery: bool = True,
    discovery_prefix: str = "homeassistant",
    scores: bool = False,
    timeout_s: Annotated[float, Range(0.1, 120)] = 10.0,
    ca_file: str = "",
) -> "Mqtt":
    """
    Args:
        user, password: Those of the broker; they may also be in the URL.
        prefix: The first part of all topics.
        discovery: Whether Home Assistant is told of the cameras.
        discovery_prefix: The first part of Home Assistant's topics.
        scores: Whether each camera's score is published once a second.
        timeout_s: Seconds to wait for the broker's acknowledgement.
        ca_file: Certificates that the broker's is verified with (mqtts); empty takes the system's.

    Raises:
        ConfigError: If paho-mqtt is not installed, or the URL or a topic cannot be used.
    """
    parts = _checked(sink, url, [prefix, discovery_prefix])
    try:
        import paho.mqtt.client as paho
    except ImportError as error:
        raise ConfigError(f"The sink {sink} needs paho-mqtt: {install_command('watch')}") from error
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    if name := user or unquote(parts.username or ""):
        client.username_pw_set(name, password or unquote(parts.password or "") or None)
    if parts.scheme == "mqtts":
        try:
            client.tls_set(ca_certs=ca_file or None, cert_reqs=ssl.CERT_REQUIRED)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"`ca_file` of the sink {sink} must hold certificates in PEM. Received: {ca_file} "
                f"({error})"
            ) from error
    notifier = Mqtt(
        client,
        cameras,
        on_snooze,
        prefix=prefix,
        discovery_prefix=discovery_prefix if discovery else "",
        with_scores=scores,
        timeout_s=timeout_s,
    )
    notifier.connect(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    return notifier


class Mqtt:
    """Publishes to a broker, and stays connected.

    Topics below the prefix, all retained but `events`: `status` (`online`, or `offline` by the
    last will), `<camera>/state` (`up`, `down`), `<camera>/violence` (`ON`, `OFF`),
    `<camera>/snooze` (minutes), `<camera>/score`, and `events` (JSON with `type` `new`, `update`,
    `end` or `notice`, `before` and `after`). Minutes that somebody publishes on
    `<camera>/snooze/set` snooze the camera.
    """

    wants_end = True

    def __init__(
        self,
        client: Any,
        cameras: Sequence[ShownCamera],
        on_snooze: Callable[[str, int], None],
        *,
        prefix: str = "violence-detection",
        discovery_prefix: str = "homeassistant",
        with_scores: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        """
        Args:
            client: A client of paho-mqtt.
            discovery_prefix: The first part of Home Assistant's topics; empty tells it nothing.
        """
        self._client, self._cameras, self._on_snooze = client, tuple(cameras), on_snooze
        self._prefix, self._discovery_prefix = prefix, discovery_prefix
        self._with_scores, self._timeout_s = with_scores, timeout_s
        self._states: dict[str, PublishedCameraState] = {}
        self._score_times: dict[str, float] = {}
        self._after: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._count = 0
        # The count at which the broker acknowledged a number. Numbers are used again after 65535.
        self._acknowledged: dict[int, int] = {}
        # By id of a message that the client has: its number, and the count when it was given.
        self._given: dict[str, tuple[int, int]] = {}
        self._reason = _UNREACHABLE
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_publish = self._published
        client.on_message = self._received

    def connect(self, host: str, port: int) -> None:
        """Connects in the background, again and again."""
        self._client.will_set(f"{self._prefix}/status", "offline", qos=1, retain=True)
        self._client.reconnect_delay_set(*_RECONNECT_S)
        self._client.connect_async(host, port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def send(self, message: Message, *, late_s: float, picture: Path | None) -> Delivery:
        if message.id not in self._given:
            if not self._client.is_connected():
                return Delivery("unavailable", self._reason)
            content = json.dumps(self._content(message, late_s), ensure_ascii=False)
            count = self._count
            info = self._client.publish(f"{self._prefix}/events", content, qos=1)
            self._given[message.id] = (info.mid, count)
        # The client keeps a message in memory and sends it when the broker is back, so one that
        # was given to it is waited for, and not given again.
        number, count = self._given[message.id]
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._acknowledged.get(number, 0) > count, timeout=self._timeout_s
            ):
                return Delivery("unavailable", f"no acknowledgement within {self._timeout_s:g} s")
        del self._given[message.id]
        return DELIVERED

    def show(self, camera: str, state: PublishedCameraState) -> None:
        previous = self._states.get(camera)
        self._states[camera] = state
        if self._client.is_connected():
            self._publish_state(camera, state, previous)

    def close(self) -> None:
        if self._client.is_connected():
            self._client.publish(f"{self._prefix}/status", "offline", qos=1, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _content(self, message: Message, late_s: float) -> dict[str, Any]:
        """An event in the form that users of Frigate know."""
        after = messages.payload(message, late_s=late_s)
        if not message.event:
            return {"type": "notice", "before": None, "after": after}
        before = self._after.pop(message.event, None)
        if message.kind != "end":
            self._after[message.event] = after
        while len(self._after) > _REMEMBERED:
            del self._after[next(iter(self._after))]
        return {"type": _TYPES.get(message.kind, "update"), "before": before, "after": after}

    def _publish_state(
        self, camera: str, state: PublishedCameraState, previous: PublishedCameraState | None
    ) -> None:
        texts = [_state_texts(each) if each else {} for each in (state, previous)]
        for name, text in texts[0].items():
            if texts[1].get(name) != text:
                self._client.publish(f"{self._prefix}/{camera}/{name}", text, qos=1, retain=True)
        now = time.monotonic()
        if (
            self._with_scores
            and state.score is not None
            and now - self._score_times.get(camera, -_SCORE_EVERY_S) >= _SCORE_EVERY_S
        ):
            self._score_times[camera] = now
            self._client.publish(f"{self._prefix}/{camera}/score", f"{state.score:.3f}", qos=0)

    def _announce(self) -> None:
        """Publishes everything that is retained, for a broker or a Home Assistant that is new."""
        if self._discovery_prefix:
            for topic, text in _home_assistant.discovery(
                self._cameras,
                prefix=self._prefix,
                discovery_prefix=self._discovery_prefix,
                with_scores=self._with_scores,
            ):
                self._client.publish(topic, text, qos=1, retain=True)
        self._client.publish(f"{self._prefix}/status", "online", qos=1, retain=True)
        for camera, state in list(self._states.items()):
            self._publish_state(camera, state, None)

    # -- called by the client's thread

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._reason = f"the broker refuses: {messages.clean(str(reason))}"
            return
        self._reason = "the connection to the broker was lost"
        client.subscribe(f"{self._prefix}/+/snooze/set", qos=1)
        if self._discovery_prefix:
            client.subscribe(f"{self._discovery_prefix}/status", qos=1)
        self._announce()

    def _not_connected(self, _client: Any, _data: Any) -> None:
        self._reason = _UNREACHABLE

    def _published(self, _client: Any, _data: Any, number: int, _reason: Any, _more: Any) -> None:
        with self._changed:
            self._count += 1
            self._acknowledged[number] = self._count
            self._changed.notify_all()

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic == f"{self._discovery_prefix}/status":
            if message.payload == b"online":
                self._announce()
            return
        camera = message.topic.removeprefix(f"{self._prefix}/").removesuffix("/snooze/set")
        text = message.payload[:8].decode("ascii", errors="replace").strip()
        number = text.partition(".")[0]
        is_known = any(camera == known.name for known in self._cameras)
        # A retained command would snooze the camera at each connection.
        if message.retain or not is_known or not number.isdecimal():
            log.warning("MQTT: A snooze command that is retained or malformed was ignored.")
        elif int(number) <= _home_assistant.MAX_SNOOZE_MIN:
            self._on_snooze(camera, int(number))


def _state_texts(state: PublishedCameraState) -> dict[str, str]:
    return {
        "state": "up" if state.is_up else "down",
        "violence": "ON" if state.is_violent else "OFF",
        "snooze": str(state.snooze_min),
    }


def _checked(sink: str, url: str, prefixes: Sequence[str]) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigError(
            f"The address of the sink {sink} must read mqtt://host:1883 or mqtts://host:8883. "
            "Received: another text"
        )
    for prefix in prefixes:
        if not prefix or len(prefix) > 100 or _WRONG_TOPIC & set(prefix) or prefix[0] == "$":
            raise ConfigError(
                f"A prefix of topics of the sink {sink} must be a text without blanks, + and #. "
                f"Received: {prefix!r}"
            )
    return parts
