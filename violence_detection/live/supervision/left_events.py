"""Events that a notification policy finds in the store when it begins.

A supervisor that was killed has left events without an end; a supervisor or a policy that has ended
has left events that nobody has acknowledged.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from violence_detection.inference.alert_policy import PRIORITIES, Event, Priority
from violence_detection.inference.notification_policy import NotificationPolicy
from violence_detection.live.configuration.config import EscalationStep, WatchFile
from violence_detection.live.notifying.event_messages import event_message
from violence_detection.live.storage.event_records import Addressed, SentMessage, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.event_numbers import EventNumbers

_DAY_MS = 86_400_000
_NEWS = ("start", "rise")


def end_open_events(
    store: EventStore, file: WatchFile, enders: Sequence[str], page: str, finds: str
) -> None:
    """Ends the events that a supervisor that was killed has left open, and says so to those who
    know of them.

    Args:
        store: The event store.
        file: The cameras file.
        enders: Names of the sinks that are told of ends.
        page: Address of the review page; empty for none.
        finds: What the run finds; see `Message`.
    """
    cameras = {camera.name: camera for camera in file.cameras}
    for event in store.open_events():
        windows = store.windows(event.id)
        novelties = [window.novelty for window in windows if window.novelty is not None]
        end_ms = max(windows[-1].end_ms if windows else event.start_ms, event.start_ms)
        chain = store.chain(event.id)
        message = event_message(
            chain,
            "end",
            at_ms=store.now_ms(),
            timezone=file.timezone,
            page=page,
            camera=cameras.get(event.camera),
            end_ms=end_ms,
            finds=finds,
            novelty=max(novelties, default=None),
        )
        informed_sinks = {
            sent.sink for sent in store.sent_messages(chain[0].id) if sent.kind in _NEWS
        }
        messages = [Addressed(name, message) for name in enders if name in informed_sinks]
        store.record_end(event.id, end_ms=end_ms, messages=messages)


def restore_incidents(
    policy: NotificationPolicy,
    store: EventStore,
    numbers: EventNumbers,
    escalation: Sequence[EscalationStep],
    *,
    alive_ms: int,
) -> None:
    """Lets a policy go on with the events of the last day that others have sent messages about.

    Args:
        policy: A policy that has just begun.
        store: The event store.
        numbers: Numbers of the events.
        escalation: The steps of the policy.
        alive_ms: UTC up to which a policy was there: what was due before it is not due any more.
    """
    sent_of: dict[str, list[SentMessage]] = defaultdict(list)
    for sent in store.sent_messages(since_ms=store.now_ms() - _DAY_MS):
        sent_of[sent.event].append(sent)
    for first_id, messages in sent_of.items():
        chain = store.chain(first_id)
        if not chain or any(event.acknowledged_ms is not None for event in chain):
            continue
        told: dict[str, Priority] = {}
        sent_ms: dict[Priority, int] = {}
        for sent in (sent for sent in messages if sent.kind in _NEWS):
            told[sent.sink] = max(sent.priority, told.get(sent.sink, "low"), key=PRIORITIES.index)
            for priority in PRIORITIES[: PRIORITIES.index(sent.priority) + 1]:
                sent_ms.setdefault(priority, sent.at_ms)
        if not told:
            continue
        escalations = [sent for sent in messages if sent.kind == "escalation"]
        policy.restore(
            chain[-1].camera,
            _event_of(chain, numbers),
            earlier=[numbers.of_stored(event.id) for event in chain[:-1]],
            is_open=chain[-1].state == "open",
            told=told,
            sent_at={priority: _utc(at_ms) for priority, at_ms in sent_ms.items()},
            escalated=[
                number
                for number, step in enumerate(escalation)
                if step.priority in sent_ms
                and _is_done(step, sent_ms[step.priority], escalations, alive_ms)
            ],
        )


def _is_done(
    step: EscalationStep, sent_ms: int, escalations: Sequence[SentMessage], alive_ms: int
) -> bool:
    """True if a step of an escalation was followed, or was due while there was no such step."""
    due_ms = sent_ms + round(1000 * step.unacknowledged_s)
    informed_sinks = {sent.sink for sent in escalations if sent.at_ms >= due_ms}
    return due_ms < alive_ms or informed_sinks >= set(step.to)


def _event_of(chain: Sequence[StoredEvent], numbers: EventNumbers) -> Event:
    """The last event of a chain for the policy, which needs no more than its priority."""
    ids, last = [numbers.of_stored(event.id) for event in chain], chain[-1]
    start_s, end_s = last.start_ms / 1000, (last.end_ms or last.start_ms) / 1000
    continues = ids[-2] if len(ids) > 1 else None
    return Event(ids[-1], start_s, end_s, last.peak or 0.0, start_s, last.priority, continues)


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)
