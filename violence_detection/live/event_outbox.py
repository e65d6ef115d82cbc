"""Outbox of the event store: what became of each message that waits for a sink."""

import sqlite3
from collections.abc import Sequence

from violence_detection.live.event_records import Addressed, OutboxRow
from violence_detection.live.event_store import EventStore, enqueue
from violence_detection.live.messages import Message


def mark_sent(store: EventStore, row: OutboxRow) -> None:
    """Stores that the sink has a message."""
    _update(store, row, "done_ms = ?", store.now_ms())


def mark_dead(store: EventStore, row: OutboxRow, *, error: str) -> None:
    """Stores that a message is given up."""
    _update(store, row, "dead_ms = ?, tries = tries + 1, error = ?", store.now_ms(), error)


def mark_failed(
    store: EventStore, row: OutboxRow, *, next_ms: int, error: str, refused: bool
) -> None:
    """Stores that sending a message failed, why, and when it is tried again."""
    change = "tries = tries + 1, next_ms = ?, error = ?, refused = ?"
    _update(store, row, change, next_ms, error, int(refused))


def fold_into_digest(store: EventStore, rows: Sequence[OutboxRow], digest: Message) -> None:
    """Replaces messages that wait for a sink by one digest of them, in one transaction."""
    sink = rows[0].sink

    def write(db: sqlite3.Connection) -> None:
        now = store.now_ms()
        enqueue(db, [Addressed(sink, digest)], now)
        db.executemany(
            "update outbox set done_ms = ?, digest = ? where n = ?",
            [(now, digest.id, row.n) for row in rows],
        )

    store.write(write)


def _update(store: EventStore, row: OutboxRow, change: str, *values: int | str) -> None:
    store.write(
        lambda db: db.execute(f"update outbox set {change} where n = ?", [*values, row.n]) and None
    )
