"""Store of events and of what belongs to them: messages, clips, verdicts, gaps, minutes.

One process writes (`EventStore`), others read (`EventReader`). An event's start and the messages
about it are one transaction, and so are its rise and its end: after a kill either both are there
or neither is, and nobody is told of an event that does not exist.
"""

import dataclasses
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from violence_detection.live.storage.event_reader import WAITING, EventReader
from violence_detection.live.storage.event_records import (
    Addressed,
    ClipState,
    EventWindow,
    Gap,
    Minute,
    Snooze,
    StoredClip,
    StoredEvent,
    Verdict,
)
from violence_detection.live.storage.event_store_writer import StoreWriter
from violence_detection.live.storage.judged_stretches import pack_stretches


class EventStore(StoreWriter):
    """The writer of an event store, from `EventStore.open`.

    Threads of one process may share it.

    Attributes:
        on_messages: Called after messages were stored, so that they are sent at once.
    """

    on_messages: Callable[[], None] = staticmethod(lambda: None)

    @staticmethod
    def reader(path: Path) -> EventReader:
        """A reader of the store; see `EventReader.open`."""
        return EventReader.open(path)

    # -- events

    def record_start(self, event: StoredEvent, messages: Sequence[Addressed] = ()) -> None:
        """Stores an event and the messages about it, both or neither.

        A second call with the same id changes nothing.
        """

        def write(db: sqlite3.Connection) -> None:
            _insert(db, "events", dataclasses.asdict(event), conflict="do nothing")

        self.write_with(messages, write)

    def record_rise(
        self,
        event_id: str,
        *,
        peak: float,
        peak_ms: int,
        priority: str,
        messages: Sequence[Addressed] = (),
    ) -> None:
        """Stores a higher priority or peak of an open event, and the messages about it."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "update events set peak = ?, peak_ms = ?, priority = ?, "
                "suppressed_by = iif(?, '', suppressed_by) where id = ?",
                [peak, peak_ms, priority, bool(messages), event_id],
            )

        self.write_with(messages, write)

    def record_late_messages(self, event_id: str, messages: Sequence[Addressed]) -> None:
        """Stores messages about an event that time has made due: it is not held back any more."""

        def write(db: sqlite3.Connection) -> None:
            statement = "update events set suppressed_by = '' where id = ?"
            if messages:
                db.execute(statement, [event_id])

        self.write_with(messages, write)

    def record_end(
        self,
        event_id: str,
        *,
        end_ms: int,
        peak: float | None = None,
        peak_ms: int | None = None,
        priority: str | None = None,
        messages: Sequence[Addressed] = (),
    ) -> None:
        """Stores the end of an event, and the messages about it; None keeps what is stored."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "update events set state = 'ended', end_ms = max(?, start_ms), "
                "peak = coalesce(?, peak), peak_ms = coalesce(?, peak_ms), "
                "priority = coalesce(?, priority) where id = ?",
                [end_ms, peak, peak_ms, priority, event_id],
            )

        self.write_with(messages, write)

    def record_windows(self, event_id: str, windows: Iterable[EventWindow]) -> None:
        """Stores judged windows of an event; one that is stored already is replaced."""
        rows = [
            (event_id, window.start_ms, window.end_ms, window.probability)
            + (window.region or (None, None, None, None))
            + (window.novelty,)
            for window in windows
        ]
        statement = "insert or replace into event_windows values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.write(lambda db: db.executemany(statement, rows) and None)

    def acknowledge(self, event_id: str, *, by: str) -> bool:
        """Stores that a person has seen an event; escalations that wait, of those that it continues
        too, are not sent.

        Returns:
            False if the event does not exist, or somebody has acknowledged it before.
        """

        def write(db: sqlite3.Connection) -> bool:
            now = self.now_ms()
            changed = db.execute(
                "update events set acknowledged_by = ?, acknowledged_ms = ? "
                "where id = ? and acknowledged_by is null",
                [by, now, event_id],
            ).rowcount
            db.execute(
                "with recursive earlier(id) as (select ? union select e.continues from events e "
                "join earlier on e.id = earlier.id where e.continues is not null) "
                "update outbox set cancelled_ms = ? where event in earlier "
                f"and kind = 'escalation' and {WAITING}",
                [event_id, now],
            )
            return changed == 1

        return self.write(write)

    def record_messages(self, messages: Sequence[Addressed]) -> None:
        """Stores messages for sinks; one that a sink has had, or waits for, is left out."""
        self.write_with(messages, lambda db: None)

    def write_with(
        self, messages: Sequence[Addressed], work: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Runs `work` and stores messages in one transaction; see `write`."""

        def write(db: sqlite3.Connection) -> None:
            work(db)
            _enqueue(db, messages, self.now_ms())

        self.write(write)
        if messages:
            self.on_messages()

    # -- clips and verdicts

    def record_clip(self, clip: StoredClip) -> None:
        """Stores the clip of an event, before its file is written; a second call replaces it."""
        self.write(lambda db: _insert(db, "clips", dataclasses.asdict(clip), conflict="event"))

    def mark_clips(self, event_ids: Iterable[str], state: ClipState) -> None:
        """Stores another state of clips."""
        values = [(state, event_id) for event_id in event_ids]
        statement = "update clips set state = ? where event = ?"
        if values:
            self.write(lambda db: db.executemany(statement, values) and None)

    def record_verdict(
        self,
        event_id: str,
        verdict: Verdict,
        *,
        by: str,
        start_s: float | None = None,
        end_s: float | None = None,
        note: str = "",
    ) -> int:
        """Stores a verdict; earlier ones stay.

        Args:
            start_s, end_s: The violent part, in seconds of the clip.

        Returns:
            The number of the verdict.
        """
        values = {
            "event": event_id,
            "verdict": verdict,
            "by": by,
            "at_ms": self.now_ms(),
            "start_s": start_s,
            "end_s": end_s,
            "note": note,
            "label_row": "",
        }
        return self.write(lambda db: _insert(db, "verdicts", values))

    def record_label(self, verdict_n: int, label_row: str) -> None:
        """Stores the row that `label` wrote for a verdict."""
        statement = "update verdicts set label_row = ? where n = ?"
        self.write(lambda db: db.execute(statement, [label_row, verdict_n]) and None)

    def undo_verdict(self, verdict_n: int, *, by: str) -> bool:
        """Takes a verdict back.

        Returns:
            False if it does not exist, or was taken back before.
        """
        statement = "update verdicts set undone_by = ? where n = ? and undone_by is null"
        return self.write(lambda db: db.execute(statement, [by, verdict_n]).rowcount == 1)

    # -- cameras

    def record_camera(self, name: str, *, title: str, site: str, settings_digest: str) -> None:
        """Stores a camera, or its new title, site and settings."""
        values = [name, title, site, self.now_ms(), settings_digest]
        statement = (
            "insert into cameras values (?, ?, ?, ?, ?) on conflict (name) do update set "
            "title = excluded.title, site = excluded.site, "
            "settings_digest = excluded.settings_digest"
        )
        self.write(lambda db: db.execute(statement, values) and None)

    def record_gap(self, gap: Gap) -> None:
        """Stores a gap; it ends the one of its camera that has not ended."""

        def write(db: sqlite3.Connection) -> None:
            _end_gap(db, gap.camera, gap.from_ms)
            _insert(db, "gaps", dataclasses.asdict(gap))

        self.write(write)

    def end_gap(self, camera: str, to_ms: int) -> None:
        """Stores that a camera is up."""
        self.write(lambda db: _end_gap(db, camera, to_ms))

    def record_minutes(self, minutes: Iterable[Minute]) -> None:
        """Stores minutes of cameras; one that is stored already is replaced."""
        rows = [
            dataclasses.asdict(minute) | {"stretches": pack_stretches(minute.stretches)}
            for minute in minutes
        ]

        def write(db: sqlite3.Connection) -> None:
            for row in rows:
                _insert(db, "minutes", row, conflict="camera, minute, watch_ms")

        self.write(write)

    def snooze(self, snooze: Snooze) -> None:
        """Stores until when nothing is sent of a camera; a time that is past ends the snooze."""
        values = dataclasses.asdict(snooze)
        self.write(lambda db: _insert(db, "snoozes", values, conflict="camera"))


def _enqueue(db: sqlite3.Connection, messages: Iterable[Addressed], now_ms: int) -> None:
    """Stores messages in a transaction; one that a sink has had, or waits for, is left out."""
    for addressed in messages:
        message = addressed.message
        values = {
            "sink": addressed.sink,
            "id": message.id,
            "event": message.event or None,
            "kind": message.kind,
            "priority": message.priority,
            "body": message.as_json(),
            "created_ms": now_ms,
            "tries": 0,
            "next_ms": now_ms,
            "refusals": 0,
            "error": "",
        }
        _insert(db, "outbox", values, conflict="do nothing")


def _end_gap(db: sqlite3.Connection, camera: str, to_ms: int) -> None:
    db.execute(
        "update gaps set to_ms = max(?, from_ms) where camera = ? and to_ms is null",
        [to_ms, camera],
    )


def _insert(
    db: sqlite3.Connection, table: str, values: dict[str, Any], *, conflict: str = ""
) -> int:
    """Inserts a row and returns its number.

    Args:
        conflict: `do nothing` leaves a row with the same keys as it is; names of columns are a
            key, and a row with that key gets the values.
    """
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    if conflict == "do nothing":
        conflict = "on conflict do nothing"
    elif conflict:
        changes = ", ".join(f"{name} = excluded.{name}" for name in values)
        conflict = f"on conflict ({conflict}) do update set {changes}"
    statement = f"insert into {table} ({names}) values ({marks}) {conflict}"
    return db.execute(statement, list(values.values())).lastrowid or 0
