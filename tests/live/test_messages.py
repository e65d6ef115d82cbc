"""Texts of notifications: what a person needs at night, and nothing that breaks a receiver."""

import json
from pathlib import Path

import pytest

from violence_detection.live.storage import messages
from violence_detection.live.storage.messages import Message

# 2026-10-25 02:30 in Berlin, the first of two: 00:30 UTC.
DOUBLED_HOUR_MS = 1_792_888_200_000
SCHEMA = Path(__file__).parents[2] / "docs" / "notification.schema.json"


def message(**changes) -> Message:
    values = {
        "id": "01M8NP73E5PGM1E8AGEYEK68FS-start",
        "kind": "start",
        "at_ms": DOUBLED_HOUR_MS + 500,
        "timezone": "Europe/Berlin",
        "event": "01M8NP73E5PGM1E8AGEYEK68FS",
        "camera": "door",
        "title": "Front door",
        "site": "shop-1",
        "priority": "high",
        "start_ms": DOUBLED_HOUR_MS,
        "peak": 0.97,
        "threshold": 0.9,
        "link": "https://example.org/events/01M8NP73E5PGM1E8AGEYEK68FS",
    }
    return Message(**values | changes)


def test_a_message_says_what_a_person_needs():
    event = message(held_back=3, held_back_since_ms=DOUBLED_HOUR_MS - 600_000)
    assert messages.headline(event) == "Possible violence (high): Front door (shop-1)"
    assert messages.body(event, late_s=43 * 60).split("\n") == [
        "Front door (shop-1), 2026-10-25 02:30:00 CEST.",
        "Priority: high. A person must look at it.",
        "And 3 more of this camera since 2026-10-25 02:20:00 CEST.",
        "This message is late by 43 min.",
        "https://example.org/events/01M8NP73E5PGM1E8AGEYEK68FS",
    ]


def test_what_a_run_of_normal_videos_finds_is_unusual_and_not_violent():
    event = message(finds="unusual", novelty=1.5)
    assert messages.headline(event) == "Something unusual (high): Front door (shop-1)"
    text = messages.body(event)
    assert "unusual is not violent" in text and "possible violence" not in text.lower()
    content = messages.payload(event)
    assert (content["finds"], content["novelty"]) == ("unusual", 1.5)


@pytest.mark.parametrize(("novelty", "is_told"), [(None, False), (0.9, False), (1.2, True)])
def test_a_message_says_that_a_scene_is_unlike_the_training(novelty, is_told):
    assert ("its score says little" in messages.body(message(novelty=novelty))) == is_told


def test_the_doubled_hour_of_autumn_is_named_by_its_zone():
    times = [
        messages.local_time(DOUBLED_HOUR_MS + hour * 3_600_000, "Europe/Berlin") for hour in (0, 1)
    ]
    assert times == ["2026-10-25 02:30:00 CEST", "2026-10-25 02:30:00 CET"]
    assert messages.local_time(0, "No/Such_zone") == "1970-01-01 00:00:00 UTC"
    assert messages.local_time(0, "../etc/passwd") == "1970-01-01 00:00:00 UTC"


def test_a_message_about_the_system_is_its_detail():
    down = Message("x-camera_down", "camera_down", 0, camera="door", detail="No frames for 60 s.")
    assert messages.headline(down) == "Camera is down: door"
    assert messages.body(down) == "door, 1970-01-01 00:00:00 UTC.\nNo frames for 60 s."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (8.4, "8 s"), (119, "119 s"), (43 * 60, "43 min"), (7500, "2 h 5 min")],
)
def test_durations_are_short(seconds, text):
    assert messages.duration(seconds) == text


def test_texts_are_bounded_lines_without_control_characters():
    title = "Door\r\nBcc: x\x1b[2J\u202e" + "y" * 10_000
    text = messages.headline(message(title=title))
    assert len(text) == 400 and text.startswith("Possible violence (high): Door  Bcc: x[2Jy")
    assert len(messages.body(message(title=title)).split("\n")) == 3


def test_a_stored_message_comes_back_also_from_another_version():
    event = message()
    assert Message.from_json(event.as_json()) == event
    later = json.dumps(json.loads(event.as_json()) | {"new": 1})
    assert Message.from_json(later) == event


def test_the_json_follows_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    ended = message(kind="end", end_ms=DOUBLED_HOUR_MS + 4200)
    for each in (message(), ended, Message("x-disk", "disk", 0)):
        content = messages.payload(each, late_s=1.23)
        jsonschema.validate(content, schema)
        assert content.keys() <= schema["properties"].keys()
    assert content["late_s"] == 1.2 and content["at"] == "1970-01-01T00:00:00.000Z"
