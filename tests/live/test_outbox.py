"""Messages reach their sinks in order, once by id, however often the sink fails."""

import dataclasses
import threading

import pytest

from violence_detection.live.notifying.delivery import DELIVERED, Delivery
from violence_detection.live.notifying.outbox import Outbox, addressed
from violence_detection.live.notifying.outbox_sender import DELAYS_S, OutboxSink, Sender
from violence_detection.live.storage import messages
from violence_detection.live.storage.event_records import Addressed, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message

NOON_MS = 1_796_040_000_000
DAY_S = 24 * 3600
DOWN = Delivery("unavailable", "it answered HTTP 503")


class Clocks:
    """UTC that a test may step, and a clock that only goes on."""

    def __init__(self) -> None:
        self.utc_ms, self.monotonic_s = NOON_MS, 1000.0

    def now_ms(self) -> int:
        return self.utc_ms

    def wait(self, seconds: float) -> None:
        self.utc_ms += round(1000 * seconds)
        self.monotonic_s += seconds


class Receiver:
    """A notifier that answers what a test wants; `had` are the messages that it took."""

    wants_end = True

    def __init__(self, answer=DELIVERED) -> None:
        self.answer, self.had, self.attempts = answer, [], []
        self.late_s, self.pictures, self.arrived = [], [], threading.Event()

    def send(self, message, *, late_s, picture):
        self.attempts.append(message)
        answer = self.answer(message) if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        if answer.state == "delivered":
            self.had.append(message)
            self.late_s.append(late_s)
            self.pictures.append(picture)
            self.arrived.set()
        return answer

    def show(self, camera, state):
        pass

    def close(self):
        pass


class Site:
    """A store, its clocks, and senders of drawn sinks."""

    def __init__(self, path) -> None:
        self.clocks = Clocks()
        self.path = path
        self.store = EventStore.open(path, now_ms=self.clocks.now_ms, ballast_bytes=0)

    def restart(self) -> None:
        self.store.close()
        self.store = EventStore.open(self.path, now_ms=self.clocks.now_ms, ballast_bytes=0)

    def sender(self, receiver, name="phone", **changes) -> Sender:
        others = changes.pop("others", ())
        sink = OutboxSink(name, receiver, **changes)
        return Sender(
            self.store,
            sink,
            others=others,
            data=self.path.parent,
            monotonic_s=lambda: self.clocks.monotonic_s,
            draw=lambda low, high: 1.0,
        )

    def event(self, *sinks, camera="door", priority="medium", **changes) -> str:
        event = StoredEvent(self.store.new_id(), camera, self.clocks.utc_ms, priority)
        message = Message(
            f"{event.id}-start",
            "start",
            self.clocks.utc_ms,
            event=event.id,
            camera=camera,
            priority=priority,
        )
        message = dataclasses.replace(message, **changes)
        self.store.record_start(event, [Addressed(sink, message) for sink in sinks or ["phone"]])
        return event.id

    def run(self, sender, seconds: float) -> None:
        """Lets a sender work for so long; the clocks are set on to what it waits for."""
        end = self.clocks.monotonic_s + seconds
        while True:
            wait_s = sender.send_next()
            left = end - self.clocks.monotonic_s
            if wait_s != 0:
                if wait_s is None or wait_s > left:
                    return self.clocks.wait(left)
                self.clocks.wait(wait_s)

    def counts(self, sink="phone"):
        return next(counts for counts in self.store.sink_counts() if counts.sink == sink)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path / "events.db")
    yield site
    site.store.close()


def events_of(receiver) -> list[str]:
    return [message.event for message in receiver.had]


def test_messages_are_sent_in_order_once(site):
    receiver = Receiver()
    ids = [site.event() for _ in range(5)]
    sender = site.sender(receiver)
    site.run(sender, 1)
    assert events_of(receiver) == ids and len(receiver.attempts) == 5
    assert sender.send_next() is None
    assert (site.counts().sent, site.counts().waiting) == (5, 0)


def test_a_sink_that_fails_is_tried_at_growing_distances_and_gets_all_in_order(site):
    times = []

    def answer(message):
        times.append(site.clocks.monotonic_s - began)
        return DOWN if times[-1] < 3600 else DELIVERED

    receiver = Receiver(answer)
    ids = [site.event() for _ in range(4)]
    sender, began = site.sender(receiver), site.clocks.monotonic_s
    site.run(sender, 2 * 3600)
    distances = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert distances[:7] == list(DELAYS_S)
    assert sorted(events_of(receiver)) == ids and len(set(events_of(receiver))) == 4
    assert site.counts().sent == 4


def test_retry_after_is_kept_to_an_hour_at_most(site):
    answers = iter([Delivery("unavailable", "busy", 90.0), Delivery("unavailable", "b", 1e9)])
    receiver = Receiver(lambda message: next(answers, DELIVERED))
    site.event()
    sender = site.sender(receiver)
    sender.send_next()
    assert sender.send_next() == 90
    site.clocks.wait(90)
    sender.send_next()
    assert sender.send_next() == 3600


def test_other_sinks_are_told_once_that_a_sink_is_down_and_up_again(site):
    receiver, other = Receiver(DOWN), Receiver()
    site.event()
    sender = site.sender(receiver, others=["hook"])
    hook = site.sender(other, "hook", others=["phone"])
    site.run(sender, 6)
    assert not sender.state.is_down and site.store.waiting("hook") == []
    site.run(sender, 3 * 3600)
    site.run(hook, 0)
    assert sender.state.is_down and [message.kind for message in other.had] == ["sink_down"]
    assert "HTTP 503" in other.had[0].detail
    receiver.answer = DELIVERED
    site.run(sender, 3600)
    site.run(hook, 0)
    assert [message.kind for message in other.had] == ["sink_down", "sink_up"]


def test_two_sinks_that_are_down_do_not_tell_each_other_forever(site):
    senders = [
        site.sender(Receiver(DOWN), "phone", others=["hook"]),
        site.sender(Receiver(DOWN), "hook", others=["phone"]),
    ]
    site.event("phone", "hook")
    for _ in range(20):
        for sender in senders:
            site.run(sender, 600)
    waiting = [row.message.kind for name in ("phone", "hook") for row in site.store.waiting(name)]
    assert sorted(waiting) == ["sink_down", "sink_down", "start", "start"]


def test_after_24_hours_messages_are_given_up_and_counted(site):
    receiver = Receiver(DOWN)
    site.event()
    sender = site.sender(receiver)
    site.run(sender, DAY_S - 3600)
    young = site.event()
    site.run(sender, 2 * 3600)
    assert (site.counts().dead, site.counts().waiting) == (1, 1)
    receiver.answer = DELIVERED
    site.run(sender, 3600)
    assert events_of(receiver) == [young]


def test_a_clock_that_jumps_by_a_day_gives_nothing_up(site):
    receiver = Receiver(DOWN)
    event = site.event()
    sender = site.sender(receiver)
    site.run(sender, 2)
    site.clocks.utc_ms += 1000 * DAY_S
    site.run(sender, 100)
    assert site.counts().dead == 0
    receiver.answer = DELIVERED
    site.run(sender, 1000)
    assert events_of(receiver) == [event]


def test_a_clock_that_steps_back_delays_nothing(site):
    receiver = Receiver(DOWN)
    site.event()
    sender = site.sender(receiver)
    sender.send_next()
    site.clocks.utc_ms -= 2 * 3_600_000
    receiver.answer = DELIVERED
    site.run(sender, 1)
    site.event()
    site.run(sender, 0)
    assert len(receiver.had) == 2


def test_a_restart_tries_at_once_and_repeats_nothing(site):
    receiver = Receiver()
    sent = site.event()
    site.run(site.sender(receiver), 0)
    receiver.answer = DOWN
    late = site.event()
    sender = site.sender(receiver)
    site.run(sender, 3000)
    failures = sender.state.failures
    site.restart()
    sender = site.sender(receiver)
    assert sender.state.is_down and sender.state.failures == failures
    receiver.answer = DELIVERED
    assert sender.send_next() == 0 and events_of(receiver) == [sent, late]


def test_a_message_that_is_refused_does_not_hold_up_the_others(site):
    refused = site.event(camera="bad")
    receiver = Receiver(
        lambda message: Delivery("refused", "HTTP 422") if message.camera == "bad" else DELIVERED
    )
    ids = [site.event() for _ in range(3)]
    sender = site.sender(receiver)
    site.run(sender, 0)
    assert events_of(receiver) == ids
    site.run(sender, 3600)
    assert [message.event for message in receiver.attempts].count(refused) == 5
    assert site.counts().dead == 1 and not sender.state.is_down


def test_a_message_that_alone_fails_holds_up_the_others_for_minutes_only(site):
    bad = site.event(camera="bad")
    receiver = Receiver(lambda message: DOWN if message.camera == "bad" else DELIVERED)
    sender, ids = site.sender(receiver), [site.event() for _ in range(3)]
    site.run(sender, 1000)
    assert events_of(receiver) == ids
    site.run(sender, DAY_S)
    assert site.counts().dead == 1 and receiver.attempts[-1].event == bad


def test_an_error_of_a_notifier_is_a_failure_without_its_text(site, caplog):
    receiver = Receiver(ValueError("https://user:canary@host"))
    site.event()
    sender = site.sender(receiver)
    sender.send_next()
    assert sender.state.failures == 1
    [row] = site.store.waiting("phone")
    assert "canary" not in row.error + caplog.text + str(sender.state)


def test_many_messages_become_a_digest_but_none_of_high_priority(site):
    receiver = Receiver()
    sender = site.sender(receiver, per_10_min=3)
    for number in range(20):
        site.event(camera=f"c{number % 2}", priority="high" if number == 10 else "medium")
        site.run(sender, 1)
    kinds = [message.kind for message in receiver.had]
    assert kinds == ["start"] * 4 and receiver.had[-1].priority == "high"
    site.run(sender, 600)
    assert receiver.had[-1].kind == "digest"
    assert "16 events" in receiver.had[-1].detail and "c1: 9, c0: 7" in receiver.had[-1].detail
    assert site.counts().waiting == 0 and len(receiver.had) == 5
    site.run(sender, 600)
    site.event()
    site.run(sender, 0)
    assert receiver.had[-1].kind == "start", "an event by itself is not a digest"


def test_a_sink_learns_the_ends_of_the_events_that_it_knows_of_whatever_its_limit(site):
    receiver = Receiver()
    sender = site.sender(receiver, per_10_min=3)
    events = []
    for _ in range(5):
        events.append(site.event())
        site.run(sender, 1)
    for event in events:
        end = Message(f"{event}-end", "end", NOON_MS, event=event, camera="door", priority="medium")
        site.store.record_messages([Addressed("phone", end)])
        site.run(sender, 1)
    told = [(message.kind, message.event) for message in receiver.had]
    assert told == [("start", event) for event in events[:3]] + [
        ("end", event) for event in events[:3]
    ]
    site.run(sender, 600)
    assert [message.kind for message in receiver.had[6:]] == ["digest"]
    assert "2 events" in receiver.had[-1].detail


def test_a_digest_that_fails_is_the_same_digest_after_a_restart(site):
    receiver = Receiver()
    for _ in range(5):
        site.event()
    sender = site.sender(receiver, per_10_min=2)
    receiver.answer = DOWN
    sender.send_next()
    digest = receiver.attempts[-1]
    site.restart()
    receiver.answer = DELIVERED
    site.run(site.sender(receiver, per_10_min=2), 1)
    assert receiver.had == [digest]


def test_a_late_message_says_so(site):
    receiver = Receiver(DOWN)
    site.event()
    sender = site.sender(receiver)
    site.run(sender, 43 * 60)
    receiver.answer = DELIVERED
    site.run(sender, 3600)
    assert 43 * 60 < receiver.late_s[0] < 2 * 3600
    late = messages.body(receiver.had[0], late_s=43 * 60)
    assert "late by 43 min" in late
    assert "late by" not in messages.body(receiver.had[0], late_s=14 * 60)


@pytest.mark.parametrize(
    ("picture", "name"), [("none", None), ("blurred", "b.jpg"), ("original", "o.jpg")]
)
def test_a_picture_is_sent_only_where_it_is_set(site, picture, name):
    (site.path.parent / "b.jpg").write_bytes(b"b")
    (site.path.parent / "o.jpg").write_bytes(b"o")
    receiver = Receiver()
    site.event(picture="o.jpg", blurred_picture="b.jpg")
    site.event(picture="gone.jpg", blurred_picture="gone.jpg")
    site.event(picture="gone.jpg", blurred_picture="b.jpg")  # a camera whose clips are blurred
    site.run(site.sender(receiver, picture=picture), 10)
    only_blurred = None if picture == "none" else site.path.parent / "b.jpg"
    assert receiver.pictures == [name and site.path.parent / name, None, only_blurred]


def test_a_new_message_waits_a_moment_for_its_picture(site):
    receiver = Receiver()
    sender = site.sender(receiver, picture="blurred")
    site.event(picture="o.jpg", blurred_picture="b.jpg")
    site.run(sender, 1.0)
    assert not receiver.had
    (site.path.parent / "b.jpg").write_bytes(b"b")
    site.run(sender, 0.2)
    site.event(picture="p.jpg", blurred_picture="q.jpg")
    site.run(sender, 3.5)
    assert [path and path.name for path in receiver.pictures] == ["b.jpg"]
    site.run(sender, 1.0)  # four seconds, then it goes without
    assert [path and path.name for path in receiver.pictures] == ["b.jpg", None]
    other = Receiver()
    site.event("plain", picture="o.jpg")
    site.run(site.sender(other, "plain"), 0)
    assert len(other.had) == 1  # a sink without pictures waits for none


@pytest.mark.parametrize("end", [None, True, False])
def test_a_sink_is_told_of_ends_as_the_file_says(end):
    assert OutboxSink("phone", Receiver(), end=end).wants_end == (end is not False)


def test_a_sink_is_told_of_what_it_wants(site):
    person = OutboxSink("phone", Receiver(), min_priority="high")
    person.notifier.wants_end = False
    program = OutboxSink("hook", Receiver(), min_priority="low")

    def told(kind, priority):
        message = Message("x", kind, 0, priority=priority)
        return [each.sink for each in addressed(message, [person, program])]

    assert told("start", "low") == ["hook"] and told("rise", "high") == ["phone", "hook"]
    assert told("end", "high") == ["hook"]
    assert told("camera_down", "medium") == ["phone", "hook"]


def test_a_thread_sends_what_is_stored_at_once(site):
    receiver = Receiver()
    with Outbox(site.store, [OutboxSink("phone", receiver)]) as outbox:
        event = site.event()
        assert receiver.arrived.wait(2)
        assert [state.is_down for state in outbox.states] == [False]
    assert events_of(receiver) == [event]
    site.event()
    assert len(receiver.had) == 1, "after the end nothing is sent"
