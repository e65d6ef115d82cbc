"""Deletes old rows of the event store, and gives their room back to the disk.

An event goes with its windows, messages, verdicts and the row of its clip. It stays as long as
something needs it: its clip is there, a message about it waits, its verdict is not a label yet, or
nobody has judged it and it is one of high priority or reported by a person.
"""

import sqlite3
from dataclasses import dataclass

from violence_detection.live.storage import ulids
from violence_detection.live.storage.event_reader import WAITING
from violence_detection.live.storage.event_store import EventStore

_DAY_MS = 86_400_000
_MINUTES_A_DAY = 1440
_EVENTS, _MINUTE_DAYS, _PAGES = 500, 2, 4096  # at a time: no alert waits for long

_DELETABLE = f"""
    select e.id from events e where e.id < ? and e.state = 'ended'
    and not exists (select 1 from clips c where c.event = e.id and c.state in ('writing', 'kept'))
    and not exists (select 1 from outbox o where o.event = e.id and {WAITING})
    and not exists (
        select 1 from verdicts v where v.event = e.id and (
            (v.undone_by is null and v.label_row = '' and v.verdict <> 'unsure'
             and exists (select 1 from clips c where c.event = e.id and c.state <> 'lost'
                         and c.state <> 'expired'))
            or (v.undone_by is not null and v.label_row <> '')
        )
    )
    and (e.kind <> 'reported' and not (e.kind = 'violence' and e.priority = 'high') or exists (
        select 1 from verdicts v where v.event = e.id and v.undone_by is null
    ))
    order by e.id limit ?
"""


@dataclass(frozen=True)
class DeletedRows:
    """Counts of rows that were deleted; `is_done` if none is left that is old enough."""

    events: int
    minutes: int
    gaps: int
    messages: int
    is_done: bool


def delete_old(store: EventStore, *, event_days: float, minute_days: float) -> DeletedRows:
    """Deletes some of the rows that are too old, the oldest first; a part of a second at most.

    Args:
        store: The event store.
        event_days: Days after which events are deleted, and messages that are about none.
        minute_days: Days after which scores and gaps are deleted.

    Raises:
        ViolenceDetectionError: If the store cannot be written.
    """
    now_ms = store.now_ms()
    event_ms = now_ms - round(event_days * _DAY_MS)
    minute_ms = now_ms - round(minute_days * _DAY_MS)

    def write(db: sqlite3.Connection) -> DeletedRows:
        ids = [row[0] for row in db.execute(_DELETABLE, (ulids.lowest(event_ms), _EVENTS))]
        for statement in (
            "update events set continues = null where continues = ?",
            "delete from outbox where event = ?",
            "delete from verdicts where event = ?",
            "delete from events where id = ?",  # its windows and the row of its clip go with it
        ):
            db.executemany(statement, [(id_,) for id_ in ids])
        messages = db.execute(
            "delete from outbox where n in (select n from outbox where event is null "
            f"and created_ms < ? and not ({WAITING}) limit ?)",
            (event_ms, _EVENTS),
        ).rowcount
        gaps = db.execute("delete from gaps where to_ms < ?", (minute_ms,)).rowcount
        minutes, is_done = _delete_minutes(db, minute_ms // 60_000)
        is_done = is_done and len(ids) < _EVENTS and messages < _EVENTS
        return DeletedRows(len(ids), minutes, gaps, messages, is_done)

    deleted = store.write(write)
    store.shrink(pages=_PAGES)
    return deleted


def _delete_minutes(db: sqlite3.Connection, before: int) -> tuple[int, bool]:
    """Deletes the oldest two days of each camera's minutes before one; their count, and True if no
    other is left."""
    count, is_done = 0, True
    for (camera,) in db.execute("select name from cameras").fetchall():
        first = db.execute("select min(minute) from minutes where camera = ?", (camera,)).fetchone()
        if first[0] is None or first[0] >= before:
            continue
        until = min(before, first[0] + _MINUTE_DAYS * _MINUTES_A_DAY)
        values = (camera, until)
        count += db.execute("delete from minutes where camera = ? and minute < ?", values).rowcount
        is_done = is_done and until == before
    return count, is_done
