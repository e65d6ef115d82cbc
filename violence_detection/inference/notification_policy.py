"""Notification policy: which changes of events are sent, to which sinks, and which are held back.

Without a clock and files: times are given, in UTC, and do not go back. The limit of messages of a
sink is the outbox's, which knows after a restart what was sent.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from violence_detection.inference.alert_policy import PRIORITIES, Event, EventChange, Priority
from violence_detection.inference.notification_settings import (
    EscalationRule,
    NotificationSettings,
    QuietRule,
)

Reason = Literal["", "cooldown", "quiet_hours", "snooze", "observe", "low", "told"]


@dataclass(frozen=True)
class Addressee:
    """A sink that is told, with the number of the camera's other events of which a message to it
    was held back since its last one, and the time of the first of them."""

    sink: str
    held_back: int = 0
    held_back_since: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """The messages that are sent about a change of an event.

    Attributes:
        to: The sinks that are told now.
        reason: Why no sink is told of a start or a rise: `cooldown`, `quiet_hours`, `snooze`,
            `observe`, `low`
            (no sink takes the priority) or `told` (all that take it know of the event); else empty.
        priority: The highest priority of the event so far; in quiet hours it may count as lower.
    """

    to: tuple[Addressee, ...]
    reason: Reason
    priority: Priority

    @property
    def send(self) -> bool:
        return bool(self.to)

    @property
    def held_back(self) -> int:
        """The largest number of events that a sink is told were held back."""
        return max((sink.held_back for sink in self.to), default=0)


@dataclass(frozen=True)
class DueMessage:
    """A message that no change but the time has made due.

    Attributes:
        kind: `start` or `rise` of an event that was held back and is still open, or `escalation`.
        camera: Name of the camera.
        event: The event as it was last changed.
        decision: Who is told.
    """

    kind: Literal["start", "rise", "escalation"]
    camera: str
    event: Event
    decision: Decision


class _Incident:
    """An event with those that continue it.

    Attributes:
        event: The last one, as it was last changed.
        rank: The highest priority so far that was decided on, as an index of `PRIORITIES`.
        is_open: It has not ended.
        is_acknowledged: A person has seen it.
        told: The rank of the priority that each sink was told.
        sent_at: When a message with at least the priority of a rank was first sent.
        escalated: Indices of the escalation rules that have been followed.
    """

    def __init__(self, camera: str, event: Event) -> None:
        self.camera, self.event, self.rank = camera, event, 0
        self.is_open, self.is_acknowledged = True, False
        self.told: dict[str, int] = {}
        self.sent_at: dict[int, datetime] = {}
        self.escalated: set[int] = set()


class _HeldBack:
    """Incidents of a camera of which a message to a sink was held back.

    Attributes:
        times: When, of those that something may still be sent about.
        gone: Count of the others,
        gone_since: and the time of the first of them.
    """

    def __init__(self) -> None:
        self.times: dict[_Incident, datetime] = {}
        self.gone = 0
        self.gone_since: datetime | None = None

    def release(self, incident: _Incident) -> None:
        """Keeps the count of an incident that nothing can be sent about any more."""
        if (at := self.times.pop(incident, None)) is not None:
            self.gone += 1
            self.gone_since = min(at, self.gone_since or at)

    def take(self, sink: str, told: _Incident) -> Addressee:
        """The sink that is told of an incident, with the others, which are forgotten.

        An event that is still open stays: it is sent late, or counted once it has ended.
        """
        self.times.pop(told, None)
        for incident in [incident for incident in self.times if not incident.is_open]:
            self.release(incident)
        addressee = Addressee(sink, self.gone, self.gone_since)
        self.gone, self.gone_since = 0, None
        return addressee


class _CameraMessages:
    """Messages of a camera: the last one that was sent, and those that were held back.

    Attributes:
        sent: Time and rank of the last message; None before the first.
        snoozed_until: Nothing is sent before this time; None without a snooze.
        observed_until: The same, and nothing is counted as held back.
        held: What was held back, for each sink.
    """

    def __init__(self) -> None:
        self.sent: tuple[datetime, int] | None = None
        self.snoozed_until: datetime | None = None
        self.observed_until: datetime | None = None
        self.held: defaultdict[str, _HeldBack] = defaultdict(_HeldBack)

    def hold(self, sink: str, incident: _Incident, at: datetime) -> None:
        self.held[sink].times.setdefault(incident, at)


class NotificationPolicy:
    """Decides what is sent about the events of all cameras.

    A start is sent to the sinks that take its priority, a rise to those that did not know of the
    event, and to all if it is now high. An event that continues another is no news to a sink that
    knows of the other. After a message of a camera that was sent, `cooldown_s` hold back all that
    is not of a higher priority. What is held back, by that, by quiet hours or by a snooze, is sent
    late if its event is still open when nothing holds it back any more; else it is counted into
    the next message of the camera to that sink.
    """

    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings
        self._zone = ZoneInfo(settings.timezone)
        self._cooldowns = {
            camera: timedelta(seconds=seconds) for camera, seconds in settings.cooldowns_s
        }
        self._cooldown = timedelta(seconds=settings.cooldown_s)
        self._cameras: dict[str, _CameraMessages] = {}
        self._incidents: dict[tuple[str, int], _Incident] = {}  # by each number of their events

    def on_change(self, camera: str, change: EventChange, at: datetime) -> Decision:
        """Decides on a change of an event, and takes what it decides as sent.

        Args:
            camera: Name of the camera; the numbers of its events do not repeat.
            change: The next change of the camera's alert policy.
            at: The time, UTC.
        """
        event = change.event
        key = camera, event.number
        if change.kind == "start":
            before = self._incidents.get((camera, event.continues)) if event.continues else None
            self._incidents[key] = before or _Incident(camera, event)
        incident = self._incidents.setdefault(key, _Incident(camera, event))
        incident.event = event
        if change.kind != "end":
            incident.is_open = True
            return self._decide(incident, at)
        incident.is_open = change.goes_on
        enders = [sink.name for sink in self._settings.sinks if sink.wants_end]
        to = [Addressee(name) for name in enders if name in incident.told and not incident.is_open]
        self._forget_finished()
        return Decision(tuple(to), "", PRIORITIES[incident.rank])

    def due(self, at: datetime) -> list[DueMessage]:
        """The messages that have become due, which are taken as sent; to be called each second."""
        incidents = list(dict.fromkeys(self._incidents.values()))
        messages = [message for incident in incidents for message in self._late(incident, at)]
        messages += [message for incident in incidents for message in self._escalate(incident, at)]
        self._forget_finished()
        return messages

    def restore(
        self,
        camera: str,
        event: Event,
        *,
        told: Mapping[str, Priority],
        sent_at: Mapping[Priority, datetime],
        escalated: Iterable[int],
        is_open: bool,
        earlier: Iterable[int] = (),
    ) -> None:
        """Goes on with an event that messages were sent about before this policy began, and that
        nobody has acknowledged.

        Args:
            camera: Name of the camera.
            event: The event, or the last of those that continue it.
            told: The priority that each sink was told.
            sent_at: When a message with at least a priority was first sent.
            escalated: Indices of the escalation rules that were followed.
            is_open: It has not ended.
            earlier: Numbers of the events that it continues.
        """
        incident = _Incident(camera, event)
        incident.told = {sink: PRIORITIES.index(priority) for sink, priority in told.items()}
        incident.rank = max(incident.told.values(), default=0)
        incident.sent_at = {PRIORITIES.index(name): at for name, at in sent_at.items()}
        incident.escalated, incident.is_open = set(escalated), is_open
        for number in (*earlier, event.number):
            self._incidents[camera, number] = incident

    def acknowledge(self, camera: str, number: int) -> None:
        """Ends the escalation of an event, and of those that it continues or that continue it."""
        incident = self._incidents.get((camera, number))
        if incident is not None:
            incident.is_acknowledged = True

    def snooze(self, camera: str, until: datetime | None) -> None:
        """Sends nothing about the events of a camera before a time; None ends that."""
        self._of(camera).snoozed_until = until

    def observe(self, camera: str, until: datetime | None) -> None:
        """Sends nothing about the events of a camera before a time, and counts nothing of them as
        held back; None ends that."""
        self._of(camera).observed_until = until

    def note_sent(self, camera: str, priority: Priority, at: datetime) -> None:
        """Notes a message that was sent before this policy began, so that its cool-down holds."""
        self._of(camera).sent = at, PRIORITIES.index(priority)

    # -- starts and rises

    def _decide(self, incident: _Incident, at: datetime) -> Decision:
        messages, high = self._of(incident.camera), len(PRIORITIES) - 1
        rank = PRIORITIES.index(incident.event.priority)
        if self._quiet_action(incident.camera, at) == "lower":
            rank = max(0, rank - 1)
        rank = incident.rank = max(rank, incident.rank)
        priority = PRIORITIES[rank]
        if messages.observed_until is not None and at < messages.observed_until:
            return Decision((), "observe", priority)
        takers = [
            sink.name
            for sink in self._settings.sinks
            if PRIORITIES.index(sink.min_priority) <= rank
        ]
        if not takers:
            return Decision((), "low", priority)
        sent_ranks = incident.told
        wanting = [
            name
            for name in takers
            if name not in sent_ranks or (rank == high and sent_ranks[name] < high)
        ]
        if not wanting:
            return Decision((), "told", priority)
        if held_by := self._held_by(incident.camera, at, rank):
            for name in wanting:
                messages.hold(name, incident, at)
            return Decision((), held_by, priority)
        messages.sent = at, rank
        for lower in range(rank + 1):
            incident.sent_at.setdefault(lower, at)
        sent_ranks |= dict.fromkeys(wanting, rank)
        to = tuple(messages.held[name].take(name, incident) for name in wanting)
        return Decision(to, "", priority)

    def _held_by(self, camera: str, at: datetime, rank: int | None = None) -> Reason:
        """The reason why a message of a rank is not sent; without a rank the cool-down is left
        out."""
        messages = self._of(camera)
        if messages.snoozed_until is not None and at < messages.snoozed_until:
            return "snooze"
        if self._quiet_action(camera, at) == "store":
            return "quiet_hours"
        if rank is not None and messages.sent is not None:
            sent_at, sent_rank = messages.sent
            if rank <= sent_rank and at < sent_at + self._cooldowns.get(camera, self._cooldown):
                return "cooldown"
        return ""

    def _quiet_action(self, camera: str, at: datetime) -> Literal["", "lower", "store"]:
        """The strongest action of the quiet hours at a time, by the wall clock of the zone: an hour
        that the clock shows twice counts twice."""
        wall = at.astimezone(self._zone)
        minute, day = 60 * wall.hour + wall.minute, wall.weekday()
        actions = {
            rule.action
            for rule in self._settings.quiet_hours
            if (not rule.cameras or camera in rule.cameras) and _covers(rule, minute, day)
        }
        return "store" if "store" in actions else "lower" if "lower" in actions else ""

    # -- what becomes due

    def _late(self, incident: _Incident, at: datetime) -> Iterator[DueMessage]:
        """The message of an open event that was held back, once nothing does so any more."""
        sinks = self._of(incident.camera).held.values()
        is_held = any(incident in held.times for held in sinks)
        if incident.is_open and not incident.is_acknowledged and is_held:
            kind: Literal["start", "rise"] = "rise" if incident.told else "start"
            decision = self._decide(incident, at)
            if decision.send:
                yield DueMessage(kind, incident.camera, incident.event, decision)

    def _escalate(self, incident: _Incident, at: datetime) -> Iterator[DueMessage]:
        if incident.is_acknowledged or self._held_by(incident.camera, at):
            return
        for number, rule in self._pending(incident):
            sent_at = incident.sent_at[PRIORITIES.index(rule.priority)]
            if at >= sent_at + timedelta(seconds=rule.unacknowledged_s):
                incident.escalated.add(number)
                to = tuple(map(Addressee, rule.to))
                decision = Decision(to, "", PRIORITIES[incident.rank])
                yield DueMessage("escalation", incident.camera, incident.event, decision)

    def _pending(self, incident: _Incident) -> list[tuple[int, EscalationRule]]:
        """The escalation rules that an event may still have to follow, with their indices."""
        return [
            (number, rule)
            for number, rule in enumerate(self._settings.escalation)
            if number not in incident.escalated
            and PRIORITIES.index(rule.priority) in incident.sent_at
        ]

    def _forget_finished(self) -> None:
        """Drops the incidents that nothing can be sent about any more."""
        for key, incident in list(self._incidents.items()):
            is_done = incident.is_acknowledged or not self._pending(incident)
            if not incident.is_open and is_done:
                del self._incidents[key]
                for held in self._of(incident.camera).held.values():
                    held.release(incident)

    def _of(self, camera: str) -> _CameraMessages:
        return self._cameras.setdefault(camera, _CameraMessages())


def _covers(rule: QuietRule, minute: int, day: int) -> bool:
    """True if a minute of a day is in the hours of a rule."""
    if rule.start_min < rule.end_min:
        return rule.start_min <= minute < rule.end_min and day in rule.days
    if minute >= rule.start_min:
        return day in rule.days
    return minute < rule.end_min and (day - 1) % 7 in rule.days
