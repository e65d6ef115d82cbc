"""Notification policy: which changes of events are sent, to which sinks, and which are held back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from violence_detection.inference.alert_policy import Priority

Reason = Literal["", "cooldown", "quiet_hours", "snooze", "low", "told"]


@dataclass(frozen=True)
class SinkRule:
    """The events that a sink is told of.

    Attributes:
        name: Its name.
        min_priority: Events below it are not sent.
        wants_end: It is told when an event that it knows of has ended.
    """

    name: str
    min_priority: Priority = "medium"
    wants_end: bool = False


@dataclass(frozen=True)
class QuietRule:
    """Hours of the day in which events are not sent, or count as less.

    Attributes:
        cameras: Names; empty means all.
        days: Days of the week on which the hours begin, Monday is 0.
        start_min, end_min: Minutes after midnight by the wall clock; an end that is not after the
            start is on the next day.
        action: `store` sends nothing, `lower` takes one priority off.
    """

    cameras: tuple[str, ...]
    days: tuple[int, ...]
    start_min: int
    end_min: int
    action: Literal["store", "lower"] = "store"


@dataclass(frozen=True)
class EscalationRule:
    """Sinks that are told of an event of at least a priority that nobody has acknowledged.

    Attributes:
        priority: The lowest priority.
        unacknowledged_s: Seconds since the event was first sent with that priority.
        to: Names of sinks.
    """

    priority: Priority
    unacknowledged_s: float
    to: tuple[str, ...]


@dataclass(frozen=True)
class NotificationSettings:
    """Settings of a notification policy.

    Attributes:
        sinks: Sinks of the messages about events.
        cooldown_s: Seconds after a message of a camera in which only a higher priority is sent.
        cooldowns_s: The same of single cameras, as pairs of name and seconds.
        timezone: Name of the zone of the quiet hours, in the IANA database.
        quiet_hours, escalation: See `QuietRule` and `EscalationRule`.
    """

    sinks: tuple[SinkRule, ...]
    cooldown_s: float = 60.0
    cooldowns_s: tuple[tuple[str, float], ...] = ()
    timezone: str = "UTC"
    quiet_hours: tuple[QuietRule, ...] = ()
    escalation: tuple[EscalationRule, ...] = ()


@dataclass(frozen=True)
class Addressee:
    """A sink that is told, with the number of the camera's other events of which a message to it was
    held back since its last one, and the time of the first of them."""

    sink: str
    held_back: int = 0
    held_back_since: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """The messages that are sent about a change of an event.

    Attributes:
        to: The sinks that are told now.
        reason: Why no sink is: `cooldown`, `quiet_hours`, `snooze`, `low` (no sink takes the
            priority) or `told` (all that take it know of the event); empty if one is.
        priority: The priority that was decided on; quiet hours may lower it.
    """

    to: tuple[Addressee, ...]
    reason: Reason
    priority: Priority

    @property
    def send(self) -> bool:
        return bool(self.to)

    @property
    def held_back(self) -> int:
        """The most events that a sink is told were held back."""
        return max((sink.held_back for sink in self.to), default=0)
