"""Reads the event store: events with their clips, verdicts and windows, gaps, minutes, messages."""

import dataclasses
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from violence_detection.live.storage import event_store_schema
from violence_detection.live.storage.event_records import (
    EventVerdict,
    EventWindow,
    Gap,
    Minute,
    OutboxRow,
    SentMessage,
    SinkCounts,
    Snooze,
    StoredClip,
    StoredEvent,
)
from violence_detection.live.storage.judged_stretches import unpack_stretches
from violence_detection.live.storage.messages import Message

_Record = TypeVar("_Record")
WAITING = "done_ms is null and dead_ms is null and cancelled_ms is null"


class EventReader:
    """A connection that reads an event store; threads may share it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """A reader that cannot write; the writer may be another process.

        Raises:
            RunError: If the file is not there, or no event store of today's version.
        """
        return cls(path, event_store_schema.connect_reader(path))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    # -- events

    def event(self, event_id: str) -> StoredEvent | None:
        return next(iter(self._records(StoredEvent, "events", "where id = ?", [event_id])), None)

    def events(
        self,
        *,
        camera: str | None = None,
        before: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 50,
    ) -> list[StoredEvent]:
        """Events from the newest to the oldest.

        Args:
            camera: Of this camera only.
            before: Older than the event of this id: the next page.
            from_ms, to_ms: That start in this time, without its end.
            limit: At most this many.
        """
        conditions = {
            "camera = ?": camera,
            "id < ?": before,
            "start_ms >= ?": from_ms,
            "start_ms < ?": to_ms,
        }
        given = {text: value for text, value in conditions.items() if value is not None}
        where = f"where {' and '.join(given)}" if given else ""
        return self._records(
            StoredEvent, "events", f"{where} order by id desc limit ?", [*given.values(), limit]
        )

    def open_events(self) -> list[StoredEvent]:
        """Events without an end, the oldest first: after a kill, those of the killed process."""
        return self._records(StoredEvent, "events", "where state = 'open' order by id")

    def chain(self, event_id: str) -> list[StoredEvent]:
        """An event with those that it continues and those that continue it, the oldest first."""
        names = ", ".join(field.name for field in dataclasses.fields(StoredEvent))
        earlier = (
            "with recursive earlier(id, continues) as (select id, continues from events where "
            "id = ? union select e.id, e.continues from events e join earlier on "
            "e.id = earlier.continues) select id from earlier order by id limit 1"
        )
        later = (
            "with recursive later(id, camera) as (select id, camera from events where id = ? "
            "union select e.id, e.camera from events e join later on e.camera = later.camera and "
            "e.id > later.id and e.continues = later.id) "
            f"select {names} from events where id in (select id from later) order by id"
        )
        first = self.rows(earlier, [event_id])
        return [StoredEvent(*row) for row in self.rows(later, first[0])] if first else []

    def windows(self, event_id: str) -> list[EventWindow]:
        rows = self.rows(
            "select start_ms, end_ms, p, novelty, x, y, w, h from event_windows where event = ? "
            "order by end_ms",
            [event_id],
        )
        return [
            EventWindow(start, end, p, None if region[0] is None else tuple(region), novelty)
            for start, end, p, novelty, *region in rows
        ]

    def clip(self, event_id: str) -> StoredClip | None:
        return next(iter(self._records(StoredClip, "clips", "where event = ?", [event_id])), None)

    def clips(self, *states: str) -> list[StoredClip]:
        """Clips in these states, the oldest event first."""
        marks = ", ".join("?" * len(states))
        return self._records(
            StoredClip, "clips", f"where state in ({marks}) order by event", list(states)
        )

    def verdicts(self, event_id: str) -> list[EventVerdict]:
        """Verdicts on an event in their order, those that were undone too."""
        return self._records(EventVerdict, "verdicts", "where event = ? order by n", [event_id])

    # -- cameras

    def gaps(self, camera: str, *, since_ms: int) -> list[Gap]:
        """Gaps of a camera that end after `since_ms`, or have not ended, in their order."""
        return self._records(
            Gap,
            "gaps",
            "where camera = ? and (to_ms is null or to_ms > ?) order by from_ms",
            [camera, since_ms],
        )

    def minutes(self, camera: str, *, first: int, last: int) -> Iterator[Minute]:
        """Minutes of a camera from `first` to `last`, both included, in their order; one in which a
        watch ended and another started comes twice."""
        names = ", ".join(field.name for field in dataclasses.fields(Minute))
        for row in self.rows(
            f"select {names} from minutes where camera = ? and minute between ? and ? "
            "order by minute, watch_ms",
            [camera, first, last],
        ):
            minute = Minute(*row)
            yield dataclasses.replace(minute, stretches=unpack_stretches(minute.stretches))

    def snoozes(self, now_ms: int) -> list[Snooze]:
        """Cameras that are snoozed at a time."""
        return self._records(Snooze, "snoozes", "where until_ms > ? order by camera", [now_ms])

    # -- messages

    def waiting(self, sink: str, *, limit: int = 100) -> list[OutboxRow]:
        """Messages that wait for a sink, in the order in which they are sent."""
        return [
            OutboxRow(n, name, Message.from_json(body), *rest)
            for n, name, body, *rest in self.rows(
                "select n, sink, body, created_ms, tries, next_ms, refusals, error from outbox "
                f"where sink = ? and {WAITING} order by n limit ?",
                [sink, limit],
            )
        ]

    def sent_between(self, sink: str, after_ms: int, until_ms: int) -> list[int]:
        """Times at which a sink got messages, the earliest first; a digest is one message."""
        rows = self.rows(
            "select done_ms from outbox where sink = ? and done_ms > ? and done_ms <= ? "
            "and digest is null order by done_ms",
            [sink, after_ms, until_ms],
        )
        return [done for (done,) in rows]

    def knows_of(self, sink: str, event_id: str) -> bool:
        """True if a sink got a message of its own about the start or a rise of an event."""
        return bool(
            self.rows(
                "select 1 from outbox where event = ? and sink = ? and kind in ('start', 'rise') "
                "and done_ms is not null and digest is null limit 1",
                [event_id, sink],
            )
        )

    def last_sent(self, since_ms: int) -> list[tuple[str, str, int]]:
        """Camera, priority and time of the last start or rise of each camera that was decided to be
        sent after `since_ms`; of several at a time the highest priority."""
        rows = self.rows(
            "select e.camera, o.priority, o.created_ms from outbox o "
            "join events e on e.id = o.event "
            "where o.kind in ('start', 'rise') and o.created_ms > ? order by o.created_ms, "
            "case o.priority when 'high' then 2 when 'medium' then 1 else 0 end",
            [since_ms],
        )
        return list({row[0]: row for row in rows}.values())

    def sent_messages(self, event_id: str | None = None, *, since_ms: int = 0) -> list[SentMessage]:
        """Messages about an event, or about all events, that were decided after `since_ms`, in
        their order; those that nobody needs any more are left out."""
        rows = self.rows(
            "select event, sink, kind, priority, created_ms from outbox where created_ms > ? and "
            "cancelled_ms is null and event is not null and (? is null or event = ?) order by n",
            [since_ms, event_id, event_id],
        )
        return [SentMessage(*row) for row in rows]

    def last_minute_ms(self) -> int:
        """UTC at which the last stored minute of a camera ends; 0 before the first."""
        return 60_000 * (1 + self.rows("select coalesce(max(minute), -1) from minutes")[0][0])

    def sink_counts(self) -> list[SinkCounts]:
        """Counts of each sink that ever had a message; what a digest holds counts as sent."""
        rows = self.rows(
            f"select sink, coalesce(sum({WAITING}), 0), coalesce(sum(done_ms is not null), 0), "
            "coalesce(sum(dead_ms is not null), 0), "
            f"min(case when {WAITING} then created_ms end) from outbox group by sink order by sink"
        )
        return [SinkCounts(*row) for row in rows]

    def last_id(self) -> str:
        """The largest id that was given; empty if none was."""
        return max(
            self.rows("select coalesce(max(id), '') from events")[0][0],
            self.rows(
                "select coalesce(max(substr(id, 1, 26)), '') from outbox where instr(id, '-') = 27"
            )[0][0],
        )

    def _records(
        self, kind: type[_Record], table: str, rest: str, values: Iterable[Any] = ()
    ) -> list[_Record]:
        """Rows of a table whose columns have the names of a record's fields."""
        names = ", ".join(field.name for field in dataclasses.fields(kind))
        return [kind(*row) for row in self.rows(f"select {names} from {table} {rest}", [*values])]
