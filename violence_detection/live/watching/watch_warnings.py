"""Warnings of a watch about itself: shown while they hold, sent when they begin."""

import logging
from collections.abc import Callable

from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

log = logging.getLogger(__name__)

_SENT_EVERY_S = 3600.0


class WatchWarnings:
    """The warnings that hold. Sinks are told of each once in an hour at most: when it begins, or
    once that hour is over and it holds still; and when one that they were told of is over.

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
        self._told: dict[str, str] = {}  # those that hold and that sinks know of

    @property
    def texts(self) -> tuple[str, ...]:
        """Sentences for people."""
        return tuple(self._texts.values())

    def set(self, kind: str, text: str, *, holds: bool, detail: str = "") -> None:
        """Begins or ends a warning.

        Args:
            kind: Of a message: `disk`, `falling_behind`, ...
            text: A sentence, which everybody reads who may open the page.
            holds: It holds now.
            detail: The sentence for sinks; default: the same.
        """
        self._texts.pop(kind, None)
        if holds:
            self._texts[kind] = text
        elif kind in self._told:
            self._send_text(kind, f"This is over: {self._told[kind]}")
            del self._told[kind]
        now_s = self._clock.monotonic()
        may_send = now_s - self._sent_s.get(kind, -_SENT_EVERY_S) >= _SENT_EVERY_S
        if holds and kind not in self._told and may_send:
            log.warning(detail or text)
            self._send_text(kind, detail or text)
            self._sent_s[kind], self._told[kind] = now_s, detail or text

    def _send_text(self, kind: str, text: str) -> None:
        self._send(
            Message(
                id=f"{self._store.new_id()}-{kind}",
                kind=kind,
                at_ms=self._clock.now_ms(),
                timezone=self.timezone,
                detail=text,
            )
        )
