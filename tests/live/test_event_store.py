"""The event store keeps what it accepted: over kills, full disks, clock steps, other processes."""

import dataclasses
import math
import signal
import sqlite3
import subprocess
import sys

import pytest

from violence_detection.errors import ConfigError, RunError, ViolenceDetectionError
from violence_detection.live.storage import event_backups, event_store_schema, ulids
from violence_detection.live.storage.event_records import (
    Addressed,
    EventWindow,
    Gap,
    JudgedStretch,
    Minute,
    Snooze,
    StoredClip,
    StoredEvent,
)
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

DAY_MS = 24 * 3_600_000
NOON_MS = 1_796_040_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now = now_ms

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with EventStore.open(tmp_path / "events.db", now_ms=clock, ballast_bytes=0) as store:
        yield store


def start(store, *sinks, camera="door", kind="start", **changes) -> StoredEvent:
    event = StoredEvent(store.new_id(), camera, store.now_ms(), **changes)
    store.record_start(event, [message_for(event, sink, kind) for sink in sinks])
    return event


def message_for(event, sink, kind="start") -> Addressed:
    message = Message(f"{event.id}-{kind}", kind, event.start_ms, event=event.id)
    return Addressed(sink, message)


def test_an_event_and_its_messages_come_back(store, clock):
    event = start(store, "phone", "hook", priority="medium", peak=0.8, peak_ms=NOON_MS)
    assert store.event(event.id) == event and store.open_events() == [event]
    store.record_rise(event.id, peak=0.97, peak_ms=NOON_MS + 2000, priority="high")
    store.record_windows(event.id, [EventWindow(1, 2, 0.75, (0.1, 0.2, 0.3, 0.4))] * 2)
    store.record_windows(event.id, [EventWindow(2, 3, 0.5)])
    end = [message_for(event, "phone", "end")]
    store.record_end(event.id, end_ms=NOON_MS - 5, messages=end)
    ended = store.event(event.id)
    assert (ended.state, ended.priority, ended.peak) == ("ended", "high", 0.97)
    assert ended.end_ms == ended.start_ms, "an event has no negative duration"
    assert [row.message.kind for row in store.waiting("phone")] == ["start", "end"]
    assert [window.region for window in store.windows(event.id)] == [(0.1, 0.2, 0.3, 0.4), None]
    assert store.open_events() == []


def test_a_start_is_kept_whole_or_not_at_all(store):
    event = StoredEvent(store.new_id(), "door", NOON_MS)
    other = Message("x-start", "start", NOON_MS, event="no such event")
    with pytest.raises(sqlite3.IntegrityError):
        store.record_start(event, [message_for(event, "phone"), Addressed("phone", other)])
    assert store.event(event.id) is None and store.waiting("phone") == []


def test_a_message_is_stored_once_a_sink(store):
    event = start(store, "phone")
    store.record_start(event, [message_for(event, "phone"), message_for(event, "hook")])
    assert [row.sink for row in store.waiting("phone") + store.waiting("hook")] == ["phone", "hook"]


def test_pages_of_events_follow_each_other(store, clock):
    ids = []
    for number in range(7):
        clock.now += 1000
        ids.append(start(store, camera=("door", "gym")[number % 2]).id)
    first = store.events(limit=3)
    assert [event.id for event in first] == ids[:3:-1]
    assert [event.id for event in store.events(limit=3, before=first[-1].id)] == ids[3:0:-1]
    assert [event.id for event in store.events(camera="gym")] == ids[5::-2]
    hour = store.events(from_ms=NOON_MS + 2000, to_ms=NOON_MS + 4000)
    assert [event.id for event in hour] == ids[2:0:-1]


def test_ids_sort_by_time_also_after_the_clock_stepped_back(tmp_path, clock):
    path = tmp_path / "events.db"
    with EventStore.open(path, now_ms=clock, ballast_bytes=0) as store:
        ids = [start(store).id for _ in range(100)]
        assert ulids.time_ms(ids[0]) == NOON_MS
        clock.now -= 2 * 3_600_000
        ids += [start(store).id for _ in range(100)]
    with EventStore.open(path, now_ms=clock, ballast_bytes=0) as store:
        ids += [start(store).id for _ in range(100)]
    assert ids == sorted(set(ids))
    assert ulids.time_ms(ids[-1]) - NOON_MS < 1000


@pytest.mark.parametrize("text", ["", "8" + "0" * 25, "0" * 27, "U" * 26])
def test_other_texts_are_no_ulids(text):
    with pytest.raises(ValueError):
        ulids.time_ms(text)


def test_an_acknowledged_event_is_not_escalated(store):
    event = start(store, "phone")
    store.record_messages([message_for(event, "manager", "escalation")])
    assert store.acknowledge(event.id, by="anna")
    assert not store.acknowledge(event.id, by="ben") and not store.acknowledge("none", by="anna")
    assert store.event(event.id).acknowledged_by == "anna"
    assert store.waiting("manager") == [] and len(store.waiting("phone")) == 1


def test_an_event_that_people_are_told_of_later_is_not_suppressed_any_more(store):
    for late in ("rise", "due"):
        event = start(store, suppressed_by="cooldown")
        peak = {"peak": 0.9, "peak_ms": 0, "priority": "high"}
        store.record_rise(event.id, **peak)
        assert store.event(event.id).suppressed_by == "cooldown", "nobody was told of the rise"
        messages = [message_for(event, "phone", "rise")]
        if late == "rise":
            store.record_rise(event.id, **peak, messages=messages)
        else:
            store.record_late_messages(event.id, messages)
        assert store.event(event.id).suppressed_by == ""


def test_verdicts_are_never_overwritten(store):
    event = start(store)
    first = store.record_verdict(event.id, "violent", by="anna", start_s=1.0, end_s=4.0)
    store.record_label(first, "clip.mp4,1,4,violent")
    assert store.undo_verdict(first, by="ben") and not store.undo_verdict(first, by="ben")
    store.record_verdict(event.id, "unsure", by="ben", note="a hug?")
    first, second = store.verdicts(event.id)
    assert (first.verdict, first.undone_by, first.label_row[:4]) == ("violent", "ben", "clip")
    assert (second.verdict, second.undone_by, second.note) == ("unsure", None, "a hug?")


def test_minutes_gaps_clips_and_snoozes_come_back(store):
    stretches = (
        JudgedStretch(10**12, 10**12 + 2000, 0.5),
        JudgedStretch(10**12 + 1000, 10**12 + 3000, math.nan),
        JudgedStretch(10**12 - 5000, 10**12 - 3000, 0.25),  # the camera's clock went back
    )
    minute = Minute("door", 7, "abc", 3, 0, stretches, frames=1500, dropped=2)
    store.record_minutes([minute, minute])
    [kept] = store.minutes("door", first=0, last=10)
    assert kept.scores == [0.5, 0.25] and kept.frames == 1500
    assert [row[:2] for row in kept.stretches] == [row[:2] for row in stretches]
    assert math.isnan(kept.stretches[1].probability)
    store.record_minutes([dataclasses.replace(minute, watch_ms=4)])  # a watch after that
    assert len(list(store.minutes("door", first=7, last=7))) == 2
    store.record_gap(Gap("door", 10, None, "silent"))
    store.record_gap(Gap("door", 20, None, "waiting", "refused"))
    store.end_gap("door", 50)
    gaps = store.gaps("door", since_ms=0)
    assert [(gap.state, gap.from_ms, gap.to_ms) for gap in gaps] == [
        ("silent", 10, 20),
        ("waiting", 20, 50),
    ]
    assert [gap.state for gap in store.gaps("door", since_ms=20)] == ["waiting"]
    event = start(store)
    store.record_clip(StoredClip(event.id, "clips/a.mp4"))
    store.record_clip(StoredClip(event.id, "clips/a.mp4", bytes=5, state="kept"))
    assert store.clip(event.id).bytes == 5 and len(store.clips("kept", "writing")) == 1
    store.snooze(Snooze("door", 100, "anna"))
    store.snooze(Snooze("door", 200, "ben"))
    assert [snooze.by for snooze in store.snoozes(150)] == ["ben"]
    assert store.snoozes(200) == []


def test_a_reader_sees_what_is_written_and_cannot_write(store):
    event = start(store, "phone")
    with EventStore.reader(store.path) as reader:
        assert reader.event(event.id) == event
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.rows("delete from events")


def test_one_process_writes(store):
    with pytest.raises(ConfigError, match="One process at a time"):
        EventStore.open(store.path)


def test_a_network_file_system_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="which is on NFS"):
        EventStore.open(tmp_path / "events.db", file_system=lambda folder: "NFS")
    assert event_store_schema.network_file_system(tmp_path) == ""


def test_files_that_are_no_event_store_are_refused(tmp_path):
    path = tmp_path / "events.db"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(RunError, match="must be a readable SQLite file"):
        EventStore.open(path)
    with pytest.raises(RunError, match="must be there"):
        EventStore.reader(tmp_path / "none.db")


def test_a_store_of_a_later_version_is_refused(store):
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(RunError, match="version 99"):
        EventStore.open(store.path)


def test_a_backup_is_made_once_a_day_and_seven_are_kept(store, clock):
    event = start(store, "phone")
    for day in range(9):
        backup = event_backups.back_up_if_due(store.path, now_ms=clock.now + day * DAY_MS)
        assert event_backups.back_up_if_due(store.path, now_ms=clock.now + day * DAY_MS) is None
    assert len(list(backup.parent.iterdir())) == 7
    with EventStore.open(backup.rename(store.path.parent / "restored.db")) as restored:
        assert restored.event(event.id) == event and len(restored.waiting("phone")) == 1


_WRITER = """
import os, sys
from pathlib import Path
from violence_detection.live.storage.event_records import Addressed, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message
with EventStore.open(Path(sys.argv[1]), ballast_bytes=0) as store:
    while True:
        event = StoredEvent(store.new_id(), "door", store.now_ms())
        message = Message(event.id + "-start", "start", 0, event=event.id)
        store.record_start(event, [Addressed("phone", message)])
        os.write(1, event.id.encode() + b"\\n")
"""


@pytest.mark.slow
def test_what_was_accepted_is_there_after_kills(tmp_path):
    path, accepted = tmp_path / "events.db", []
    for _ in range(5):
        command = [sys.executable, "-c", _WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            accepted += [process.stdout.readline().strip() for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split(b"\n")
            accepted += [line for line in lines if len(line) == ulids.LENGTH]
    with EventStore.open(path, ballast_bytes=0) as store:
        kept = [event.id for event in store.open_events()]
        assert {name.decode() for name in accepted} <= set(kept)
        assert [row.message.event for row in store.waiting("phone", limit=10**6)] == kept


def test_a_full_disk_costs_no_event_until_the_ballast_is_used(small_disk, caplog):
    path, accepted = small_disk / "events.db", []
    with EventStore.open(path, ballast_bytes=1 << 20) as store:
        assert not store.is_short_of_disk
        (small_disk / "clips").write_bytes(b"x" * 1_900_000)
        with pytest.raises(ViolenceDetectionError, match="must be writable"):
            while True:
                accepted.append(start(store, "phone", run_digest="x" * 4000).id)
                if store.is_short_of_disk and "full" not in locals():
                    full = len(accepted)
        assert len(accepted) > full + 10, "the ballast has room for further events"
        assert "ballast file was deleted" in caplog.text
        (small_disk / "clips").unlink()
        accepted.append(start(store, "phone").id)
        assert not store.restore_ballast(), "less than twice its size is free"
    with EventStore.open(path, ballast_bytes=0) as store:
        assert [event.id for event in store.open_events()] == accepted


def test_a_store_on_a_full_disk_opens(small_disk):
    path = small_disk / "events.db"
    with EventStore.open(path, ballast_bytes=1 << 20) as store:
        event = start(store)
    with open(small_disk / "clips", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    with EventStore.open(path, ballast_bytes=1 << 20) as store:
        assert store.event(event.id) == event and store.is_short_of_disk
