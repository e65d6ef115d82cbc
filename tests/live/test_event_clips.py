"""Rows of clips follow what the captures do, and believe them only what can be true."""

import pytest

from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.storage.event_records import StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.event_clips import ClipMargins, EventClips

NOW_MS = 1_792_888_200_000
MARGINS = ClipMargins(pre_s=10.0, post_s=5.0)


class Room:
    """A retention that has room, or none for low and medium events."""

    is_short = False

    def may_write(self, priority):
        return priority == "high" or not self.is_short


class Site:
    def __init__(self, folder) -> None:
        self.data, self.room, self.orders = folder, Room(), []
        self.store = EventStore.open(folder / "events.db", now_ms=lambda: NOW_MS, ballast_bytes=0)
        self.clips = EventClips(
            self.store,
            folder,
            self.room,
            lambda camera, order: self.orders.append((camera, order)),
            to_utc_ms=lambda at_s: NOW_MS + round(1000 * (at_s - 500)),
        )

    def event(self, priority="medium") -> StoredEvent:
        event = StoredEvent(self.store.new_id(), "door", NOW_MS, priority)
        self.store.record_start(event)
        return event

    def write(self, path, content=b"x" * 100) -> None:
        (self.data / path).parent.mkdir(parents=True, exist_ok=True)
        (self.data / path).write_bytes(content)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.store.close()


def written(path, **changes) -> ClipWritten:
    values = {"from_s": 489.0, "duration_s": 20.0, "bytes": 120, "codec": "h264", "sha256": "ab"}
    return ClipWritten(path, **values | {"has_poster": True, "has_preview": True} | changes)


def test_an_event_has_a_row_before_its_file_and_a_kept_clip_after(site):
    event = site.event()
    assert site.clips.start(event, 500.0, MARGINS) and site.clips.start(event, 500.0, MARGINS)
    row = site.store.clip(event.id)
    assert (row.state, row.start_ms) == ("writing", NOW_MS - 10_000)
    site.clips.end(event, 504.0, MARGINS)
    assert site.orders == [
        ("door", ClipOrder(event.id, row.path, 490.0)),
        ("door", ClipEnd(event.id, 509.0)),
    ]
    site.write(row.path)
    site.write(row.path.replace(".mp4", ".jpg"))
    site.clips.written("door", written(row.path))
    kept = site.store.clip(event.id)
    assert (kept.state, kept.bytes, kept.poster_path) == (
        "kept",
        120,
        row.path.replace(".mp4", ".jpg"),
    )
    assert (kept.start_ms, kept.end_ms) == (NOW_MS - 11_000, NOW_MS + 9_000)
    assert kept.preview_path is None, "a file that is not there is not believed"


def test_a_clip_of_a_killed_capture_keeps_the_start_that_was_ordered(site):
    event = site.event()
    site.clips.start(event, 500.0, MARGINS)
    row = site.store.clip(event.id)
    site.write(row.path)
    site.clips.written("door", written(row.path, from_s=0.0, reason="killed"))
    assert site.store.clip(event.id).start_ms == NOW_MS - 10_000


def test_without_room_only_high_events_have_clips(site):
    site.room.is_short = True
    event = site.event("medium")
    assert not site.clips.start(event, 500.0, MARGINS) and site.store.clip(event.id) is None
    assert site.clips.start(site.event("high"), 500.0, MARGINS)


def test_a_clip_that_could_not_be_written_is_lost(site):
    event = site.event()
    site.clips.start(event, 500.0, MARGINS)
    site.clips.written("door", written(site.store.clip(event.id).path, duration_s=0.0))
    assert site.store.clip(event.id).state == "lost"


def test_a_capture_reports_clips_of_its_own_camera_only(site, caplog):
    event = site.event()
    site.clips.start(event, 500.0, MARGINS)
    path = site.store.clip(event.id).path
    site.write(path)
    site.clips.written("gym", written(path))
    site.clips.written("door", written("../../etc/passwd"))
    assert site.store.clip(event.id).state == "writing"
    assert caplog.text.count("was not ordered") == 2
