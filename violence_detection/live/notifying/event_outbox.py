"""Outbox of the event store: what became of each message that waits for a sink."""

import sqlite3
from collections.abc import Sequence

from violence_detection.live.storage.event_records import Addressed, OutboxRow
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message


def mark_sent(store: EventStore, row: OutboxRow) -> None:
    """Stores that the sink has a message."""
    _update(store, row, "done_ms = ?", store.now_ms())


def mark_dead(store: EventStore, rows: Sequence[OutboxRow], *, error: str) -> None:
    """Stores that messages are given up."""
    now = store.now_ms()
    values = [(now, error, row.n) for row in rows]
    statement = "update outbox set dead_ms = ?, error = ? where n = ?"
    store.write(lambda db: db.executemany(statement, values) and None)


def mark_failed(
    store: EventStore, row: OutboxRow, *, next_ms: int, error: str, refusals: int
) -> None:
    """Stores that sending a message failed, why, and when it is tried again."""
    change = "tries = tries + 1, next_ms = ?, error = ?, refusals = ?"
    _update(store, row, change, next_ms, error, refusals)


def fold_into_digest(store: EventStore, rows: Sequence[OutboxRow], digest: Message) -> None:
    """Replaces messages that wait for a sink by one digest of them, in one transaction."""
    now = store.now_ms()
    values = [(now, digest.id, row.n) for row in rows]

    def write(db: sqlite3.Connection) -> None:
        db.executemany("update outbox set done_ms = ?, digest = ? where n = ?", values)

    store.write_with([Addressed(rows[0].sink, digest)], write)


def _update(store: EventStore, row: OutboxRow, change: str, *values: int | str) -> None:
    store.write(
        lambda db: db.execute(f"update outbox set {change} where n = ?", [*values, row.n]) and None
    )
