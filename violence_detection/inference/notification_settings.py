"""The settings of messages: who gets them, when it is quiet, and who is told if nobody answers."""

from dataclasses import dataclass
from typing import Literal

from violence_detection.inference.alert_policy import Priority


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
