"""MQTT by a drawn client, and against mosquitto where it is installed."""

import json
import shutil
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.live.notifiers.mqtt import Mqtt
from violence_detection.live.notifying.delivery import PublishedCameraState, ShownCamera
from violence_detection.live.storage.messages import Message

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
CAMERAS = (ShownCamera("door", "Front door", "shop-1"), ShownCamera("gym", "Gym"))
EVENT = "01M8NP73E5PGM1E8AGEYEK68FS"


def message(kind, event=EVENT) -> Message:
    return Message(f"{EVENT}-{kind}", kind, 0, event=event, camera="door", priority="high")


class Client:
    """What the notifier uses of a client of paho-mqtt; `acknowledges` answers at once."""

    def __init__(self) -> None:
        self.published, self.subscribed, self.calls = [], [], []
        self.is_up, self.acknowledges = False, True

    def __getattr__(self, name):
        if name.startswith("on_"):
            raise AttributeError(name)
        return lambda *args, **options: self.calls.append((name, args, options))

    def is_connected(self):
        return self.is_up

    def publish(self, topic, text, qos=0, retain=False):
        self.published.append((topic, text, qos, retain))
        number = len(self.published)
        if self.acknowledges:
            self.acknowledge(number)
        return SimpleNamespace(mid=number)

    def subscribe(self, topic, qos=0):
        self.subscribed.append(topic)

    def acknowledge(self, number):
        self.on_publish(self, None, number, None, None)

    def connect_now(self, failure=""):
        self.is_up = not failure
        reason = type("Reason", (), {"is_failure": bool(failure), "__str__": lambda _: failure})()
        self.on_connect(self, None, None, reason, None)

    def receive(self, topic, payload, retain=False):
        received = SimpleNamespace(topic=topic, payload=payload, retain=retain)
        self.on_message(self, None, received)

    def retained(self) -> dict[str, str]:
        return {topic: text for topic, text, _, retain in self.published if retain}


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def snoozed():
    return []


@pytest.fixture
def notifier(client, snoozed):
    return build(client, snoozed)


def build(client, snoozed, **options) -> Mqtt:
    notifier = Mqtt(
        client, CAMERAS, lambda *snooze: snoozed.append(snooze), **({"timeout_s": 0.05} | options)
    )
    notifier.connect("127.0.0.1", 1883)
    return notifier


def build_part(snoozed, url, **options) -> Mqtt:
    return registry.module("notifiers", "mqtt").build(
        sink="home",
        url=url,
        cameras=CAMERAS,
        on_snooze=lambda *snooze: snoozed.append(snooze),
        **options,
    )


def send(notifier, kind="start", **changes):
    return notifier.send(message(kind, **changes), late_s=0.0, picture=None)


def test_the_last_will_and_the_status_are_retained(client, notifier):
    will = ("will_set", ("violence-detection/status", "offline"), {"qos": 1, "retain": True})
    assert will in client.calls
    client.connect_now()
    assert client.retained()["violence-detection/status"] == "online"
    notifier.close()
    assert client.published[-1] == ("violence-detection/status", "offline", 1, True)


def test_home_assistant_is_told_at_each_connection_and_when_it_starts(client, notifier):
    client.connect_now()
    topic = "homeassistant/binary_sensor/vd_door/violence/config"
    config = json.loads(client.retained()[topic])
    assert config["device_class"] == "safety" and config["unique_id"] == "vd_door_violence"
    topics = [row["topic"] for row in config["availability"]]
    assert topics == ["violence-detection/status", "violence-detection/door/state"]
    assert config["availability_mode"] == "all", "a camera that is down is not shown as safe"
    assert config["state_topic"] == "violence-detection/door/violence"
    assert config["device"] == {
        "identifiers": ["vd_door"],
        "name": "Front door",
        "manufacturer": "violence-detection",
        "sw_version": config["device"]["sw_version"],
        "suggested_area": "shop-1",
    }
    for occasion in (
        client.connect_now,
        lambda: client.receive("homeassistant/status", b"online"),
    ):
        client.published.clear()
        occasion()
        assert topic in client.retained()
    client.published.clear()
    client.receive("homeassistant/status", b"offline")
    assert client.published == []


def test_discovery_can_be_off_and_prefixes_differ(client, snoozed):
    build(client, snoozed, prefix="site/two", discovery_prefix="")
    client.connect_now()
    assert list(client.retained()) == ["site/two/status"]
    build(client, snoozed, prefix="site/two")
    client.connect_now()
    assert "homeassistant/number/site_two_gym/snooze/config" in client.retained()


def test_states_are_retained_and_sent_again_to_a_new_broker(client, notifier):
    state = PublishedCameraState(is_up=True, is_violent=True, snooze_min=5)
    notifier.show("door", state)
    assert client.published == []
    client.connect_now()
    base = "violence-detection/door"
    expected = {f"{base}/state": "up", f"{base}/violence": "ON", f"{base}/snooze": "5"}
    assert expected.items() <= client.retained().items()
    client.published.clear()
    notifier.show("door", state)
    assert client.published == [], "what did not change is not published"
    notifier.show("door", PublishedCameraState(is_up=False, is_violent=True, snooze_min=5))
    assert client.published == [(f"{base}/state", "down", 1, True)]


def test_scores_are_published_once_a_second_where_they_are_set(client, snoozed):
    notifier = build(client, snoozed, with_scores=True)
    client.connect_now()
    for _ in range(5):
        notifier.show("door", PublishedCameraState(is_up=True, score=0.25))
    scores = [text for topic, text, *_ in client.published if topic.endswith("door/score")]
    assert scores == ["0.250"]


def test_an_event_is_new_then_updated_then_ended(client, notifier):
    client.connect_now()
    client.published.clear()
    for kind in ("start", "rise", "end"):
        assert send(notifier, kind).state == "delivered"
    assert send(notifier, "camera_down", event="").state == "delivered"
    contents = [json.loads(text) for _, text, *_ in client.published]
    assert [content["type"] for content in contents] == ["new", "update", "end", "notice"]
    assert [content["before"] and content["before"]["kind"] for content in contents] == [
        None,
        "start",
        "rise",
        None,
    ]
    assert {topic for topic, *_ in client.published} == {"violence-detection/events"}


def test_nothing_is_given_to_a_client_without_a_connection(client, notifier):
    delivery = send(notifier)
    assert (delivery.state, delivery.reason) == ("unavailable", "the broker cannot be reached")
    client.connect_now(failure="Not authorized")
    assert send(notifier).reason == "the broker refuses: Not authorized"
    assert client.published == []


def test_a_message_without_acknowledgement_is_not_given_twice(client, notifier):
    client.connect_now()
    client.published.clear()
    client.acknowledges = False
    assert send(notifier).state == send(notifier).state == "unavailable"
    assert len(client.published) == 1, "the client sends it itself when the broker is back"
    client.acknowledge(len(client.published))
    assert send(notifier).state == "delivered" and len(client.published) == 1
    assert send(notifier, "rise").state == "unavailable"


def test_an_old_acknowledgement_of_the_same_number_does_not_count(client, notifier):
    client.connect_now()
    client.published.clear()
    client.acknowledges = False
    client.acknowledge(1)
    assert send(notifier).state == "unavailable"


def test_a_snooze_command_snoozes_a_known_camera(client, notifier, snoozed):
    client.connect_now()
    assert "violence-detection/+/snooze/set" in client.subscribed
    topic = "violence-detection/door/snooze/set"
    client.receive(topic, b"30")
    client.receive(topic, b"15.0")
    client.receive(topic, b"0")
    assert snoozed == [("door", 30), ("door", 15), ("door", 0)]


@pytest.mark.parametrize(
    ("topic", "payload", "retain"),
    [
        ("violence-detection/door/snooze/set", b"30", True),
        ("violence-detection/none/snooze/set", b"30", False),
        ("violence-detection/door/snooze/set", b"-1", False),
        ("violence-detection/door/snooze/set", b"99999", False),
        ("violence-detection/door/snooze/set", b"3" * 5000, False),
        ("violence-detection/door/snooze/set", "³".encode(), False),
        ("violence-detection/door/snooze/set", b"\xff\x00", False),
        ("violence-detection/door/snooze/set", b"", False),
        ("other", b"30", False),
    ],
)
def test_other_snooze_commands_are_ignored(client, notifier, snoozed, topic, payload, retain):
    client.connect_now()
    client.receive(topic, payload, retain)
    assert snoozed == []


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://h", {}),
        ("mqtt://", {}),
        ("mqtt://h:99999", {}),
        ("mqtt://h", {"prefix": "a/#"}),
        ("mqtt://h", {"discovery_prefix": ""}),
        ("mqtts://h", {"ca_file": "/no/such/file"}),
    ],
)
def test_addresses_and_topics_that_cannot_be_used_are_refused(url, options):
    pytest.importorskip("paho.mqtt.client")
    with pytest.raises(ConfigError, match="sink home"):
        build_part([], url, **options)


# -- against a broker


class Broker:
    """A mosquitto on loopback that can be killed and started again."""

    def __init__(self, folder) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.start()

    def start(self) -> None:
        command = [MOSQUITTO, "-c", str(self._config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def wait_for(condition, timeout_s=10.0) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_a_broker_that_is_away_for_a_while_gets_all_once(tmp_path, snoozed):
    paho = pytest.importorskip("paho.mqtt.client")
    broker, seen = Broker(tmp_path), []
    listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
    listener.on_message = lambda client, data, each: seen.append((each.topic, each.payload))
    listener.on_connect = lambda client, *_: client.subscribe("#", qos=1)
    listener.reconnect_delay_set(1, 1)
    listener.connect_async("127.0.0.1", broker.port)
    listener.loop_start()
    notifier = build_part(snoozed, f"mqtt://127.0.0.1:{broker.port}", timeout_s=3.0)
    try:
        assert wait_for(lambda: send(notifier).state == "delivered")
        assert wait_for(lambda: ("violence-detection/status", b"online") in seen)
        notifier.show("door", PublishedCameraState(is_up=True, is_violent=True))
        listener.publish("violence-detection/door/snooze/set", "10", qos=1)
        assert wait_for(lambda: snoozed == [("door", 10)])
        broker.kill()
        assert wait_for(lambda: send(notifier, "rise").state == "unavailable")
        seen.clear()
        broker.start()
        assert wait_for(lambda: send(notifier, "rise").state == "delivered", 20)
        assert wait_for(lambda: ("violence-detection/door/violence", b"ON") in seen)
        notifier.close()
        assert wait_for(lambda: ("violence-detection/status", b"offline") in seen)
        ids = [
            json.loads(text)["after"]["id"]
            for topic, text in seen
            if topic == "violence-detection/events"
        ]
        assert ids == [f"{EVENT}-rise"]
    finally:
        notifier.close()
        listener.loop_stop()
        broker.kill()
