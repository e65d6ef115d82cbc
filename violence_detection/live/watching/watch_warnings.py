"""Warnings of a watch about itself: shown while they hold, sent when they begin."""

import logging
from collections.abc import Callable

from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

log = logging.getLogger(__name__)

_SENT_EVERY_S = 3600.0


class WatchWarnings:
    """The warnings that hold. Sinks are told when one begins, at most once an hour.

    Attributes:
        timezone: Zone of the times in messages.
    """

    def __init__(
        self,
        store: EventStore,
        clock: JoinedClock,
        send: Callable[[Message], None],
        timezone: str,
    ) -> None:
        """
        Args:
            store: Gives the ids of messages.
            clock: Monotonic times and UTC.
            send: Sends a message to all sinks.
        """
        self._store, self._clock, self._send = store, clock, send
        self.timezone = timezone
        self._texts: dict[str, str] = {}
        self._sent_s: dict[str, float] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """Sentences for people."""
        return tuple(self._texts.values())

    def set(self, kind: str, text: str, *, holds: bool) -> None:
        """Begins or ends a warning.

        Args:
            kind: Of a message: `disk`, `falling_behind`, ...
            text: A sentence.
            holds: It holds now.
        """
        is_new = holds and kind not in self._texts
        self._texts.pop(kind, None)
        if holds:
            self._texts[kind] = text
        now_s = self._clock.monotonic()
        if is_new and now_s - self._sent_s.get(kind, -_SENT_EVERY_S) >= _SENT_EVERY_S:
            self._sent_s[kind] = now_s
            log.warning(text)
            self._send(
                Message(
                    id=f"{self._store.new_id()}-{kind}",
                    kind=kind,
                    at_ms=self._clock.now_ms(),
                    timezone=self.timezone,
                    detail=text,
                )
            )
