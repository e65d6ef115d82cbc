"""Outbox: a thread for each sink sends what waits in the event store."""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from violence_detection.errors import ViolenceDetectionError
from violence_detection.live.notifying.outbox_sender import OutboxSink, Sender, SinkState
from violence_detection.live.storage.event_records import Addressed
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import EVENT_KINDS, PRIORITIES, Message

log = logging.getLogger(__name__)

# It is looked for messages at least this often, so that no forgotten wake-up delays one for long.
_LOOK_S = 5.0


def addressed(message: Message, sinks: Sequence[OutboxSink]) -> list[Addressed]:
    """The message for each sink that is told of it.

    A message about an event goes to the sinks whose lowest priority it reaches; the end of an
    event, to those of programs. All others go to every sink.
    """
    rank = PRIORITIES.index(message.priority)
    return [
        Addressed(sink.name, message)
        for sink in sinks
        if message.kind not in EVENT_KINDS
        or (
            rank >= PRIORITIES.index(sink.min_priority)
            and (message.kind != "end" or sink.notifier.wants_end)
        )
    ]


class Outbox:
    """Context manager: sends from the store until it is left; what is not sent stays there."""

    def __init__(
        self,
        store: EventStore,
        sinks: Sequence[OutboxSink],
        *,
        data: Path | None = None,
        timezone: str = "UTC",
    ) -> None:
        """
        Args:
            store: Has the messages; its `on_messages` is set.
            sinks: The sinks; messages for others stay in the store.
            data: The folder that paths of pictures are relative to.
            timezone: Zone of the times in messages about sinks.
        """
        self._store, self._sinks = store, tuple(sinks)
        names = [sink.name for sink in sinks]
        self._senders = [
            Sender(
                store,
                sink,
                others=[name for name in names if name != sink.name],
                data=data,
                timezone=timezone,
            )
            for sink in sinks
        ]
        self._is_ending = False
        self._wakes = [threading.Event() for _ in sinks]
        self._threads = [
            threading.Thread(
                target=self._run, args=(sender, wake), name=f"sink-{sink.name}", daemon=True
            )
            for sink, sender, wake in zip(sinks, self._senders, self._wakes, strict=True)
        ]

    def __enter__(self) -> "Outbox":
        self._store.on_messages = self.wake
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wake(self) -> None:
        """Looks for messages now."""
        for wake in self._wakes:
            wake.set()

    @property
    def states(self) -> list[SinkState]:
        """The state of each sink."""
        return [sender.state for sender in self._senders]

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Ends after the messages that are being sent, or after `timeout_s` without them."""
        self._is_ending = True
        self._store.on_messages = lambda: None
        self.wake()
        end_s = time.monotonic() + timeout_s  # of all: the watch waits for it
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        for sink in self._sinks:
            sink.notifier.close()

    def _run(self, sender: Sender, wake: threading.Event) -> None:
        while not self._is_ending:
            wake.clear()
            try:
                wait_s = sender.send_next()
            except sqlite3.ProgrammingError:
                if self._is_ending:
                    return  # the store was closed before a slow sink had answered: it is sent again
                raise
            except (ViolenceDetectionError, sqlite3.OperationalError) as error:  # a full disk
                log.error(f"{error} Messages are sent when it can be written again.")
                wait_s = _LOOK_S
            if wait_s != 0:
                wake.wait(min(_LOOK_S, wait_s) if wait_s else _LOOK_S)
