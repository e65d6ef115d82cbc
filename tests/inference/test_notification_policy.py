"""Notifications about events: what is sent when, and that nothing which is held back is lost."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.inference.alert_policy import PRIORITIES, Event, EventChange
from violence_detection.inference.notification_policy import NotificationPolicy
from violence_detection.inference.notification_settings import (
    EscalationRule,
    NotificationSettings,
    QuietRule,
    SinkRule,
)

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
PHONE, MAIL = SinkRule("phone", "high"), SinkRule("mail", "medium", wants_end=True)
SETTINGS = NotificationSettings((PHONE, MAIL), cooldown_s=60)
EVERY_DAY = tuple(range(7))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Cameras:
    """Events of cameras, and the sinks that a policy tells of them with the counts held back."""

    def __init__(self, settings=SETTINGS):
        self.policy = NotificationPolicy(settings)

    def change(self, kind, number, priority, seconds, *, camera="door", continues=None, on=False):
        event = Event(number, 0.0, 2.0, 0.9, 1.0, priority, continues)
        change = EventChange(kind, event, 2.0, goes_on=on)
        when = seconds if isinstance(seconds, datetime) else at(seconds)
        return self.policy.on_change(camera, change, when)

    def told(self, *args, **kwargs):
        decision = self.change(*args, **kwargs)
        return {sink.sink: sink.held_back for sink in decision.to} or decision.reason

    def short(self, number, priority, seconds, **kwargs):
        """An event that ends as soon as it has started."""
        told = self.told("start", number, priority, seconds, **kwargs)
        self.change("end", number, priority, seconds, **kwargs)
        return told

    def due(self, seconds):
        when = seconds if isinstance(seconds, datetime) else at(seconds)
        return [
            (row.kind, row.event.number, {sink.sink: sink.held_back for sink in row.decision.to})
            for row in self.policy.due(when)
        ]


# -- sinks and priorities


def test_a_start_goes_to_the_sinks_that_take_its_priority():
    cameras = Cameras()
    assert cameras.short(1, "low", 0) == "low"
    assert cameras.short(2, "medium", 1) == {"mail": 0}
    assert cameras.short(3, "high", 2) == {"phone": 0, "mail": 0}
    assert Cameras(NotificationSettings(())).short(1, "high", 0) == "low"


def test_a_rise_tells_those_who_did_not_know_and_all_of_high():
    low = SinkRule("page", "low")
    cameras = Cameras(dataclasses.replace(SETTINGS, sinks=(low, PHONE, MAIL)))
    assert cameras.told("start", 1, "low", 0) == {"page": 0}
    assert cameras.told("rise", 1, "medium", 1) == {"mail": 0}
    assert cameras.told("rise", 1, "high", 2) == {"page": 0, "phone": 0, "mail": 0}


def test_an_end_is_sent_to_those_who_want_it_and_know_of_the_event():
    cameras = Cameras()
    cameras.change("start", 1, "medium", 0)
    assert cameras.told("end", 1, "medium", 5) == {"mail": 0}
    assert cameras.short(2, "medium", 6) == "cooldown"
    assert cameras.told("end", 2, "medium", 7) == ""
    # In a snooze too: a switch that was set must be set back.
    cameras.change("start", 3, "high", 8)
    cameras.policy.snooze("door", at(100))
    assert cameras.told("end", 3, "high", 9) == {"mail": 0}


def test_an_event_that_continues_another_is_no_news():
    cameras = Cameras()
    assert cameras.told("start", 1, "medium", 0) == {"mail": 0}
    assert cameras.told("end", 1, "medium", 300, on=True) == ""
    assert cameras.told("start", 2, "medium", 300, continues=1) == "told"
    assert cameras.told("rise", 2, "high", 310) == {"phone": 0, "mail": 0}
    assert cameras.told("end", 2, "high", 400) == {"mail": 0}


# -- cool-down


def test_the_cooldown_runs_from_what_was_sent():
    cameras = Cameras()
    assert cameras.short(1, "medium", 0) == {"mail": 0}
    assert cameras.short(2, "medium", 59) == "cooldown"
    assert cameras.short(3, "low", 59.5) == "low"  # never sent: it is neither held nor counted
    assert cameras.short(4, "medium", 60) == {"mail": 1}
    assert cameras.short(5, "medium", 119) == "cooldown"  # from 60
    assert cameras.short(6, "medium", 121) == {"mail": 1}
    assert cameras.short(7, "medium", 122, camera="yard") == {"mail": 0}  # of a camera


def test_a_higher_priority_breaks_the_cooldown_and_counts_for_each_sink():
    cameras = Cameras()
    cameras.short(1, "medium", 0)
    cameras.short(2, "medium", 10)
    assert cameras.short(3, "high", 20) == {"phone": 0, "mail": 1}
    assert cameras.short(4, "high", 30) == "cooldown"
    assert cameras.short(5, "medium", 81) == {"mail": 1}
    assert cameras.short(6, "high", 82) == {"phone": 1, "mail": 0}
    (sink, *_) = cameras.change("start", 7, "high", 500).to
    assert (sink.held_back, sink.held_back_since) == (0, None)


def test_the_time_of_the_first_that_was_held_back_is_told():
    cameras = Cameras()
    for number, seconds in enumerate((0, 10, 20)):
        cameras.short(number, "medium", seconds)
    (sink,) = cameras.change("start", 9, "medium", 60).to
    assert (sink.held_back, sink.held_back_since) == (2, at(10))


def test_an_open_event_that_was_held_back_is_sent_late():
    cameras = Cameras()
    cameras.short(1, "medium", 0)
    assert cameras.told("start", 2, "medium", 10) == "cooldown"
    cameras.short(3, "medium", 20)
    assert cameras.due(59) == []
    assert cameras.due(60) == [("start", 2, {"mail": 1})]  # 3; it does not count itself
    assert cameras.due(200) == []
    assert cameras.told("end", 2, "medium", 201) == {"mail": 0}


def test_an_event_that_continues_one_that_was_held_back_is_sent_and_counts_once():
    cameras = Cameras(dataclasses.replace(SETTINGS, cooldown_s=1000))
    cameras.short(1, "medium", 0)
    cameras.change("start", 2, "medium", 10)
    cameras.change("end", 2, "medium", 310, on=True)
    assert cameras.told("start", 3, "medium", 310, continues=2) == "cooldown"
    assert cameras.due(1000) == [("start", 3, {"mail": 0})]


def test_the_cooldown_holds_over_a_restart_and_has_its_length_from_the_camera():
    settings = dataclasses.replace(SETTINGS, cooldowns_s=(("yard", 5.0),))
    cameras = Cameras(settings)
    for camera in ("door", "yard"):
        cameras.policy.note_sent(camera, "medium", at(0))
    assert cameras.short(1, "medium", 10) == "cooldown"
    assert cameras.short(1, "medium", 10, camera="yard") == {"mail": 0}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["door", "yard"]),
            st.sampled_from(PRIORITIES),
            st.floats(0, 100),
            st.booleans(),
            st.sampled_from([None, 30, 300]),
        ),
        max_size=15,
    )
)
def test_what_is_held_back_is_counted_or_sent_once(events):
    """Each event that a sink takes is sent to it, or counted in a later message."""
    cameras, now, told, counted, wanted = Cameras(), 0.0, set(), {}, set()

    def note(number, told_now):
        for sink, held_back in told_now.items() if isinstance(told_now, dict) else ():
            assert (sink, number) not in told
            told.add((sink, number))
            counted[sink] = counted.get(sink, 0) + held_back

    closing = [(name, "high", 1e4, True, None) for name in ("door", "yard")]
    for number, (camera, priority, wait_s, is_short, snooze_s) in enumerate(events + closing):
        if number == len(events):
            for minute in range(5, len(events) + 10):  # open events are sent late, one a minute
                for _, due, told_now in cameras.due(now + 60 * minute):
                    note(due, told_now)
        now += wait_s
        if snooze_s:
            cameras.policy.snooze(camera, at(now + snooze_s))
        for _, due, told_now in cameras.due(now):
            note(due, told_now)
        note(number, cameras.told("start", number, priority, now, camera=camera))
        if is_short:
            cameras.change("end", number, priority, now, camera=camera)
        wanted |= {
            (sink.name, number)
            for sink in (PHONE, MAIL)
            if PRIORITIES.index(priority) >= PRIORITIES.index(sink.min_priority)
        }
    for sink in ("phone", "mail"):
        sent = sum(name == sink for name, _ in told)
        assert sent + counted.get(sink, 0) == sum(name == sink for name, _ in wanted)


# -- snooze and quiet hours


def test_a_snooze_ends_by_itself_or_by_hand_and_is_counted():
    cameras = Cameras()
    cameras.policy.snooze("door", at(100))
    assert cameras.short(1, "high", 99) == "snooze"
    assert cameras.short(2, "high", 99, camera="yard") == {"phone": 0, "mail": 0}
    assert cameras.short(3, "high", 100) == {"phone": 1, "mail": 1}
    cameras.policy.snooze("door", at(1000))
    cameras.policy.snooze("door", None)
    assert cameras.short(4, "high", 500) == {"phone": 0, "mail": 0}


def quiet(action="store", *, days=EVERY_DAY, hours=(22, 6), zone="UTC", cameras=()):
    rule = QuietRule(cameras, days, hours[0] * 60, hours[1] * 60, action)
    return dataclasses.replace(SETTINGS, timezone=zone, quiet_hours=(rule,), cooldown_s=0)


@pytest.mark.parametrize(
    ("hours", "days", "moment", "is_quiet"),
    [
        ((22, 6), EVERY_DAY, "2026-03-02T21:59", False),
        ((22, 6), EVERY_DAY, "2026-03-02T22:00", True),
        ((22, 6), EVERY_DAY, "2026-03-03T05:59", True),
        ((22, 6), EVERY_DAY, "2026-03-03T06:00", False),
        ((22, 6), (4,), "2026-03-07T05:00", True),  # Saturday morning, which began on Friday
        ((22, 6), (4,), "2026-03-06T05:00", False),
        ((22, 6), (6,), "2026-03-02T05:00", True),  # Monday morning, which began on Sunday
        ((8, 16), (0,), "2026-03-02T12:00", True),
        ((8, 16), (1,), "2026-03-02T12:00", False),
        ((0, 24), (0,), "2026-03-02T23:59", True),
        ((6, 6), (0,), "2026-03-03T05:59", True),  # the whole day from 6 on
    ],
)
def test_quiet_hours_belong_to_the_day_on_which_they_begin(hours, days, moment, is_quiet):
    cameras = Cameras(quiet(hours=hours, days=days))
    told = cameras.short(1, "high", datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (told == "quiet_hours") is is_quiet


def test_an_hour_that_the_clock_shows_twice_is_quiet_twice():
    """Berlin, 25 October 2026: 03:00 summer time is 02:00 winter time; 02:30 comes twice."""
    cameras = Cameras(quiet(hours=(2, 3), zone="Europe/Berlin"))
    night = datetime(2026, 10, 24, 23, 45, tzinfo=UTC)  # 01:45 by the clock
    told = [
        cameras.short(quarter, "high", night + timedelta(minutes=15 * quarter))
        for quarter in range(10)
    ]
    is_quiet = [row == "quiet_hours" for row in told]
    assert is_quiet == [False] + [True] * 8 + [False]
    assert told[-1] == {"phone": 8, "mail": 8}


def test_an_hour_that_the_clock_leaves_out_is_not_quiet():
    """Berlin, 29 March 2026: 02:00 is 03:00."""
    cameras = Cameras(quiet(hours=(2, 3), zone="Europe/Berlin"))
    night = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    told = [cameras.short(n, "high", night + timedelta(minutes=n)) for n in range(3)]
    assert told == [{"phone": 0, "mail": 0}] * 3


def test_quiet_hours_may_lower_the_priority_of_some_cameras():
    cameras = Cameras(quiet("lower", hours=(0, 24), cameras=("gym",)))
    assert cameras.short(1, "high", 0, camera="gym") == {"mail": 0}
    assert cameras.short(2, "medium", 1, camera="gym") == "low"
    assert cameras.short(3, "high", 2) == {"phone": 0, "mail": 0}
    for kind in ("start", "end"):
        assert cameras.change(kind, 4, "high", 3, camera="gym").priority == "medium"


def test_an_event_that_outlasts_the_quiet_hours_is_sent_at_their_end():
    cameras = Cameras(quiet(hours=(11, 13)))
    assert cameras.told("start", 1, "high", 0) == "quiet_hours"
    assert cameras.due(3599) == []
    assert cameras.due(3600) == [("start", 1, {"phone": 0, "mail": 0})]


# -- escalation


RULES = (EscalationRule("high", 120, ("manager",)), EscalationRule("high", 300, ("owner", "guard")))


def test_an_event_that_nobody_acknowledges_is_escalated_step_by_step():
    cameras = Cameras(dataclasses.replace(SETTINGS, escalation=RULES))
    assert cameras.told("start", 1, "medium", 0) == {"mail": 0}
    cameras.change("rise", 1, "high", 10)
    cameras.change("end", 1, "high", 20)  # its end does not end the escalation
    assert cameras.due(129) == []
    assert cameras.due(130) == [("escalation", 1, {"manager": 0})]
    assert cameras.due(309) == []
    assert cameras.due(310) == [("escalation", 1, {"owner": 0, "guard": 0})]
    assert cameras.due(10_000) == []


def test_acknowledging_ends_the_escalation_of_the_events_that_continue_it():
    cameras = Cameras(dataclasses.replace(SETTINGS, escalation=RULES))
    cameras.change("start", 1, "high", 0)
    cameras.change("end", 1, "high", 60, on=True)
    cameras.change("start", 2, "high", 60, continues=1)
    cameras.policy.acknowledge("door", 1)
    cameras.policy.acknowledge("door", 99)  # unknown, or of before a restart
    assert cameras.due(1000) == []


def test_what_was_not_sent_is_not_escalated_and_a_snooze_defers_it():
    cameras = Cameras(dataclasses.replace(SETTINGS, escalation=RULES))
    cameras.change("start", 1, "medium", 0)
    cameras.policy.snooze("yard", at(50))
    cameras.short(2, "high", 1, camera="yard")
    cameras.change("start", 3, "high", 60, camera="yard")
    cameras.policy.snooze("yard", at(500))
    assert cameras.due(499) == []
    assert [row[:2] for row in cameras.due(500)] == [("escalation", 3)] * 2


# -- observation


def test_an_observed_camera_tells_nobody_and_counts_nothing():
    cameras = Cameras()
    cameras.policy.observe("door", at(100))
    assert cameras.short(1, "high", 0) == "observe"
    assert cameras.short(2, "high", 1, camera="yard") == {"phone": 0, "mail": 0}
    assert cameras.told("start", 3, "medium", 90) == "observe"
    assert cameras.due(101) == []
    assert cameras.told("rise", 3, "high", 102) == {"phone": 0, "mail": 0}
