"""Old rows go, and those that something still needs stay."""

import sqlite3

import pytest
from support.watch_files import write_cameras_file
from support.watch_processes import PlayedWatch

from violence_detection.live.access.accounts import Accounts
from violence_detection.live.processes.page_start import ACCOUNTS
from violence_detection.live.storage import event_store_schema, row_retention, ulids
from violence_detection.live.storage.event_records import (
    Addressed,
    Gap,
    JudgedStretch,
    Minute,
    StoredClip,
    StoredEvent,
)
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

DAY_MS = 24 * 3_600_000


class _Clock:
    def __init__(self) -> None:
        self.ms = 1_796_040_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def store(tmp_path, clock):
    with EventStore.open(tmp_path / "events.db", now_ms=clock, ballast_bytes=0) as store:
        store.record_camera("door", title="Door", site="", settings_digest="")
        yield store


def _event(store, *, clip="", verdict="", label="", sent=True, **values) -> str:
    event = StoredEvent(
        store.new_id(), "door", store.now_ms(), **{"state": "ended", "priority": "low"} | values
    )
    message = Message(f"{event.id}-start", "start", event.start_ms, event=event.id)
    store.record_start(event, [Addressed("phone", message)])
    if sent:
        statement = "update outbox set done_ms = 1 where event = ?"
        store.write(lambda db: db.execute(statement, [event.id]))
    if clip:
        store.record_clip(StoredClip(event.id, f"{event.id}.mp4", 0, 1000, state=clip))
    if verdict:
        number = store.record_verdict(event.id, verdict, by="anna")
        store.record_label(number, label)
    return event.id


def test_the_record_of_who_did_what_goes_after_its_days(short_tmp):
    text = "cameras: [{name: door, source: 1, alert: {threshold: 0.5}}]\n"
    text += "retention: {audit_days: 10, min_free_gb: 0}\n"
    path = write_cameras_file(short_tmp, text + "web: {enabled: false}\n")
    watch = PlayedWatch(path)
    (path.parent / "data").mkdir()
    now_s = watch.times.utc_s
    for age_days in (11, 9):
        clock = lambda: now_s - 86_400 * age_days  # noqa: B023, E731
        with Accounts(path.parent / "data" / ACCOUNTS, clock=clock) as accounts:
            accounts.record("login", who="anna", address="::1", subject=f"{age_days} days ago")
    with watch.running():
        watch.advance(1.0)
    with Accounts(path.parent / "data" / ACCOUNTS) as accounts:
        assert [entry.subject for _, entry in accounts.deeds()] == ["9 days ago"]


def test_what_nothing_needs_goes_and_the_rest_stays(store, clock):
    old = [
        _event(store),
        _event(store, clip="expired", verdict="violent", label="a.mp4"),
        _event(store, clip="lost", verdict="unsure", priority="high"),
        _event(store, kind="spot_check"),
    ]
    needed = {
        "its clip is kept": _event(store, clip="kept"),
        "it is written": _event(store, clip="writing"),
        "a message waits": _event(store, sent=False),
        "nobody has judged it": _event(store, clip="expired", priority="high"),
        "a person has reported it": _event(store, kind="reported"),
        "it goes on": _event(store, state="open"),
    }
    follower = _event(store, continues=old[0], clip="kept")
    clock.ms += 366 * DAY_MS
    recent = _event(store)
    deleted = row_retention.delete_old(store, event_days=365, minute_days=90)
    assert deleted.events == len(old) and deleted.is_done
    left = {event.id for event in store.events(limit=100)}
    assert left == {*needed.values(), follower, recent}
    assert store.event(follower).continues is None
    assert store.rows("select count(*) from verdicts") == [(0,)]
    assert store.rows("pragma foreign_key_check") == []


def test_a_verdict_that_is_no_label_yet_keeps_its_event(store, clock):
    """Its clip is there as long as it can become one; an undone one keeps its row until that is
    taken back."""
    waits = _event(store, clip="kept", verdict="violent")
    undone = _event(store, clip="expired", verdict="violent", label="b.mp4")
    store.undo_verdict(store.verdicts(undone)[0].n, by="anna")
    clock.ms += 366 * DAY_MS
    assert row_retention.delete_old(store, event_days=365, minute_days=90).events == 0
    store.mark_clips([waits], "expired")
    store.record_label(store.verdicts(undone)[0].n, "")
    assert row_retention.delete_old(store, event_days=365, minute_days=90).events == 2


def test_minutes_gaps_and_other_messages_go_after_their_days(store, clock):
    first = clock.ms // 60_000
    rows = [
        Minute("door", first + 60 * hour, "r", stretches=(JudgedStretch(0, 2000, 0.5),))
        for hour in range(24 * 7)
    ]
    store.record_minutes(rows)
    store.record_gap(Gap("door", clock.ms, clock.ms + 1000, "silent"))
    store.record_gap(Gap("door", clock.ms + 5000, None, "waiting"))
    store.record_messages([Addressed("phone", Message("1-disk", "disk", clock.ms))])
    store.write(lambda db: db.execute("update outbox set done_ms = 1"))
    clock.ms += 91 * DAY_MS
    deleted = [row_retention.delete_old(store, event_days=90, minute_days=90) for _ in range(2)]
    assert [part.minutes for part in deleted] == [24, 0]  # those of the first day
    assert deleted[0].gaps == deleted[0].messages == 1
    assert [gap.state for gap in store.gaps("door", since_ms=0)] == ["waiting"]
    clock.ms += 30 * DAY_MS
    parts = [row_retention.delete_old(store, event_days=90, minute_days=90) for _ in range(4)]
    assert [part.minutes for part in parts] == [48, 48, 48, 0]  # two days at a time
    assert [part.is_done for part in parts] == [False, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("is_old", [False, True])
def test_the_file_shrinks(tmp_path, clock, is_old):
    """So does one that an earlier version wrote, which could not give room back."""
    path = tmp_path / "events.db"
    if is_old:
        with sqlite3.connect(path) as connection:
            connection.executescript(f"{event_store_schema.MIGRATIONS[0]} pragma user_version = 1;")
        connection.close()
    with EventStore.open(path, now_ms=clock, ballast_bytes=0) as store:
        store.record_camera("door", title="Door", site="", settings_digest="")
        stretches = tuple(JudgedStretch(at, at + 2000, at / 1e6) for at in range(0, 300_000, 100))
        minutes = (
            Minute("door", clock.ms // 60_000 + at, "r", stretches=stretches) for at in range(100)
        )
        store.record_minutes(minutes)
    size = path.stat().st_size
    assert size > 1_000_000
    clock.ms += 100 * DAY_MS
    with EventStore.open(path, now_ms=clock, ballast_bytes=0) as store:
        row_retention.delete_old(store, event_days=365, minute_days=90)
    assert path.stat().st_size < size / 4


def test_the_lowest_id_of_a_time(store, clock):
    ids = [store.new_id()]
    clock.ms += 1
    ids.append(store.new_id())
    assert ids[0] < ulids.lowest(clock.ms) <= ids[1]
