"""Sends the messages that wait for one sink: in order, again after failures, as digests when many.

What the sink cannot receive now is tried again after 1, 5, 15, 60, 300, 900 and then every 3600 s,
and what waits behind it stays in order. What the sink refuses to take, or what alone fails after
many attempts, does not hold up the rest.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from violence_detection.live.notifying import event_outbox
from violence_detection.live.notifying.delivery import Delivery, Notifier
from violence_detection.live.storage import messages
from violence_detection.live.storage.event_records import Addressed, OutboxRow
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import PRIORITIES, Message

log = logging.getLogger(__name__)

DELAYS_S = (1, 5, 15, 60, 300, 900, 3600)
DOWN_AFTER = 5  # failures in a row
_DEAD_AFTER_MS = 24 * 3_600_000
# So many failures first: a clock that jumps by a day gives nothing up.
_DEAD_AFTER_TRIES = 10
_MOST_REFUSALS = 5
_JITTER = (0.8, 1.2)
_PER_MS = 600_000
_ROWS = 500
_PICTURE_MS, _PICTURE_LOOK_MS = 4000, 100  # a message waits so long for its picture
_DIGESTED = ("start", "rise", "end")


@dataclass(frozen=True)
class OutboxSink:
    """A sink of the outbox.

    Attributes:
        name: Its name.
        notifier: What sends.
        min_priority: Lowest priority of an event that it is told of.
        per_10_min: Number of messages in 10 minutes after which those of low and medium priority
            wait and become one digest, save ends of events that it knows of; 0 sets no limit.
        picture: `none`, `blurred` or `original`: the picture that is sent with a message; where
            there is no original one, the blurred.
        end: It is told of the ends of events; None leaves that to the notifier.
    """

    name: str
    notifier: Notifier
    min_priority: str = "medium"
    per_10_min: int = 0
    picture: Literal["none", "blurred", "original"] = "none"
    end: bool | None = None

    @property
    def wants_end(self) -> bool:
        return self.notifier.wants_end if self.end is None else self.end


@dataclass(frozen=True)
class SinkState:
    """The state of a sink since the start: down or not, failures in a row, and their reason."""

    name: str
    is_down: bool
    failures: int
    reason: str


class Sender:
    """Sends what waits for one sink, one message a call. It has no thread and does not wait."""

    def __init__(
        self,
        store: EventStore,
        sink: OutboxSink,
        *,
        others: Sequence[str] = (),
        data: Path | None = None,
        timezone: str = "UTC",
        monotonic_s: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """
        Args:
            store: Has the messages, and the clock of their times.
            sink: The sink.
            others: Names of the other sinks, which are told when this one is down.
            data: The folder that paths of pictures are relative to.
            timezone: Zone of the times in messages about the sink.
            monotonic_s: A clock that never steps, for the time between attempts.
            draw: Draws a number between two.
        """
        self._store, self._sink, self._others = store, sink, tuple(others)
        self._data, self._timezone = data, timezone
        self._monotonic_s, self._draw = monotonic_s, draw
        waiting = self._waiting()
        self._failures = waiting[0].tries if waiting and not waiting[0].refusals else 0
        self._reason = waiting[0].error if self._failures else ""
        # The first attempt after a start is made at once.
        self._paused_until_s = monotonic_s()
        self._unmarked: OutboxRow | None = None

    @property
    def state(self) -> SinkState:
        is_down = self._failures >= DOWN_AFTER
        return SinkState(self._sink.name, is_down, self._failures, self._reason)

    def send_next(self) -> float | None:
        """Sends the next message that is due.

        Returns:
            Seconds after which there may be something to send; 0 after a message was sent, None
            if nothing waits.
        """
        self._mark_delivered()
        wait_s = self._paused_until_s - self._monotonic_s()
        waiting = self._waiting()
        if wait_s > 0 and waiting:
            return wait_s
        due, wait_s = self._choose(waiting)
        if not due:
            return wait_s
        row = self._row_to_try(due)
        delivery = self._deliver(row)
        if delivery.state == "delivered":
            self._unmarked = row
            self._recovered()
            self._mark_delivered()
            if row is not due[0]:
                self._set_aside(due[0])
        elif delivery.state == "refused":
            self._recovered()
            self._refused(row, delivery)
        elif row.refusals:
            self._failed_alone(row, delivery)
        else:
            self._failed(row, delivery)
        return 0.0

    def _row_to_try(self, due: Sequence[OutboxRow]) -> OutboxRow:
        """The first row; while the sink is down, every second time the first of another event: if
        that one is delivered, it is the first that fails, and not the sink."""
        if self.state.is_down and self._failures % 2:
            event = due[0].message.event
            return next((row for row in due if row.message.event != event), due[0])
        return due[0]

    def _waiting(self) -> list[OutboxRow]:
        return self._store.waiting(self._sink.name, limit=_ROWS)

    def _mark_delivered(self) -> None:
        """Stores that a message was delivered; on a full disk it is not sent again meanwhile."""
        if self._unmarked is not None:
            event_outbox.mark_sent(self._store, self._unmarked)
            self._unmarked = None

    # -- choosing

    def _choose(self, waiting: Sequence[OutboxRow]) -> tuple[list[OutboxRow], float | None]:
        """The rows that are due, in order; if there are none, seconds until one may be."""
        now = self._store.now_ms()
        due, waits_ms = [], []
        for row in waiting:
            picture_ms = self._picture_wait_ms(row, now)
            wait_ms = max(_wait_ms(row, now), picture_ms)
            (due if wait_ms <= 0 else waits_ms).append(row if wait_ms <= 0 else wait_ms)
            if picture_ms:
                break  # what comes after it stays behind it
        limited = [row for row in due if self._is_limited(row)]
        free, free_in_ms = self._free_slots(now)
        if limited and free <= 0:
            due = [row for row in due if row not in limited]
            waits_ms.append(free_in_ms)
        elif len(limited) > max(free, 1):
            event_outbox.fold_into_digest(self._store, limited, self._digest(limited, now))
            return self._choose(self._waiting())
        return due, min(waits_ms) / 1000 if waits_ms else None

    def _is_limited(self, row: OutboxRow) -> bool:
        """True for a message that may become a part of a digest: never one of high priority, none
        that the sink may have had already, and no end of an event that it knows of, which would
        seem to go on."""
        message = row.message
        return (
            self._sink.per_10_min > 0
            and message.kind in _DIGESTED
            and message.priority != "high"
            and row.tries == 0
            and not (message.kind == "end" and self._store.knows_of(self._sink.name, message.event))
        )

    def _free_slots(self, now: int) -> tuple[int, int]:
        """The number of messages that may be sent now, and milliseconds until one more may be."""
        limit = self._sink.per_10_min
        sent = self._store.sent_between(self._sink.name, now - _PER_MS, now) if limit else []
        if len(sent) < limit:
            return limit - len(sent), 0
        return 0, sent[-limit] + _PER_MS - now if limit else 0

    def _digest(self, rows: Sequence[OutboxRow], now: int) -> Message:
        """One message in place of several."""
        first, last = rows[0].message, rows[-1].message
        events = {row.message.event: row.message for row in rows}.values()
        counts = Counter(message.title or message.camera for message in events)
        listed = ", ".join(f"{title}: {count}" for title, count in counts.most_common(10))
        more = f" and {len(counts) - 10} more cameras" if len(counts) > 10 else ""
        times = [messages.local_time(each.at_ms, each.timezone) for each in (first, last)]
        return Message(
            id=f"{self._store.new_id()}-digest",
            kind="digest",
            at_ms=now,
            timezone=last.timezone,
            priority=max((message.priority for message in events), key=PRIORITIES.index),
            link=last.link,
            detail=f"{len(events)} events from {times[0]} to {times[1]} ({listed}{more}). "
            "A person must look at them.",
        )

    # -- delivering

    def _deliver(self, row: OutboxRow) -> Delivery:
        late_s = (self._store.now_ms() - row.message.at_ms) / 1000
        try:
            return self._sink.notifier.send(
                row.message, late_s=late_s, picture=self._picture(row.message)
            )
        except Exception as error:  # a library's text may hold an address with a password
            log.warning(f"Sink {self._sink.name}: {type(error).__name__} while sending.")
            return Delivery("unavailable", f"an error of the program: {type(error).__name__}")

    def _picture(self, message: Message) -> Path | None:
        names = {
            "blurred": [message.blurred_picture],
            "original": [message.picture, message.blurred_picture],
        }.get(self._sink.picture, [])
        paths = [self._data / name for name in names if self._data and name]
        return next((path for path in paths if path.is_file()), None)

    def _picture_wait_ms(self, row: OutboxRow, now: int) -> int:
        """Milliseconds after which the picture of a new message may be there."""
        message = row.message
        has_picture = self._sink.picture != "none" and message.picture and not row.tries
        if not has_picture or not 0 <= now - row.created_ms < _PICTURE_MS:
            return 0
        return 0 if self._picture(message) else _PICTURE_LOOK_MS

    def _recovered(self) -> None:
        """Ends a row of failures, and tells the other sinks if they were told of it."""
        was_down, self._failures, self._reason = self.state.is_down, 0, ""
        if was_down:
            log.info(f"Sink {self._sink.name} works again.")
            self._tell_others("sink_up", f"{self._sink.name} receives messages again.")

    def _set_aside(self, row: OutboxRow) -> None:
        """Lets a message no longer hold up the others; it is tried again at once."""
        now = self._store.now_ms()
        event_outbox.mark_failed(self._store, row, next_ms=now, error=row.error, refusals=1)

    def _refused(self, row: OutboxRow, delivery: Delivery) -> None:
        error, refusals = f"refused: {delivery.reason}", row.refusals + 1
        if refusals >= _MOST_REFUSALS:
            event_outbox.mark_dead(self._store, [row], error=error)
            log.error(f"Sink {self._sink.name} does not take {row.message.id}: {delivery.reason}.")
            return
        next_ms = self._store.now_ms() + round(1000 * self._delay_s(row.refusals, delivery))
        event_outbox.mark_failed(self._store, row, next_ms=next_ms, error=error, refusals=refusals)

    def _failed_alone(self, row: OutboxRow, delivery: Delivery) -> None:
        now, error = self._store.now_ms(), delivery.reason
        if row.tries >= _DEAD_AFTER_TRIES and now - row.created_ms >= _DEAD_AFTER_MS:
            event_outbox.mark_dead(self._store, [row], error=error)
            log.error(f"Sink {self._sink.name}: {row.message.id} was given up: {error}.")
            return
        next_ms = now + round(1000 * self._delay_s(row.tries, delivery))
        event_outbox.mark_failed(
            self._store, row, next_ms=next_ms, error=error, refusals=row.refusals
        )

    def _failed(self, row: OutboxRow, delivery: Delivery) -> None:
        delay_s = self._delay_s(self._failures, delivery)
        self._failures += 1
        self._reason = delivery.reason
        self._paused_until_s = self._monotonic_s() + delay_s
        now = self._store.now_ms()
        event_outbox.mark_failed(
            self._store,
            row,
            next_ms=now + round(1000 * delay_s),
            error=delivery.reason,
            refusals=0,
        )
        if self._failures == DOWN_AFTER:
            log.error(f"Sink {self._sink.name} is down: {delivery.reason}.")
            self._tell_others(
                "sink_down",
                f"{self._sink.name} does not receive messages: {delivery.reason}. "
                "They are kept and sent when it is back.",
            )
        if self._failures >= _DEAD_AFTER_TRIES:
            old = [row for row in self._waiting() if now - row.created_ms >= _DEAD_AFTER_MS]
            if old:
                event_outbox.mark_dead(self._store, old, error=delivery.reason)
                log.error(f"Sink {self._sink.name}: {len(old)} messages of over 24 h given up.")

    def _delay_s(self, failures: int, delivery: Delivery) -> float:
        delay_s = DELAYS_S[min(failures, len(DELAYS_S) - 1)] * self._draw(*_JITTER)
        return max(delay_s, min(delivery.retry_after_s or 0.0, DELAYS_S[-1]))

    def _tell_others(self, kind: str, detail: str) -> None:
        message = Message(
            id=f"{self._store.new_id()}-{kind}",
            kind=kind,
            at_ms=self._store.now_ms(),
            timezone=self._timezone,
            detail=detail,
        )
        self._store.record_messages([Addressed(name, message) for name in self._others])


def _wait_ms(row: OutboxRow, now: int) -> int:
    """Milliseconds until a row is due; 0 for one that waits for the sink, whose pause holds.

    A clock that stepped back makes nothing wait longer.
    """
    wait_ms = row.next_ms - now
    is_stepped = wait_ms > 1000 * DELAYS_S[-1] * _JITTER[1]
    return 0 if is_stepped or not row.refusals else max(0, wait_ms)
