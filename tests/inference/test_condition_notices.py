"""Notices of cameras that are down, full disks and the like: when they begin, and when they end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.inference.condition_notices import ConditionNotices, Notice

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def down(notices: ConditionNotices, camera: str, seconds: float, present=True) -> None:
    notices.note("camera_down", camera, present, at(seconds))


def told(notices: ConditionNotices, *seconds: float) -> list[list[tuple]]:
    """Subjects and ends of the notices that are due at each time."""
    return [[(row.subjects, row.has_ended) for row in notices.due(at(s))] for s in seconds]


def test_a_camera_is_down_after_a_minute_and_up_after_a_minute_of_frames():
    notices = ConditionNotices(camera_down_s=60)
    down(notices, "door", 0)
    down(notices, "door", 30)  # it is still down, and since 0
    assert told(notices, 59.9, 60, 61) == [[], [(("door",), False)], []]
    assert notices.is_told("camera_down", "door")
    down(notices, "door", 100, present=False)
    assert told(notices, 159) == [[]]
    down(notices, "door", 159.5)
    down(notices, "door", 160, present=False)
    assert told(notices, 219.9, 220, 221) == [[], [(("door",), True)], []]
    assert not notices.is_told("camera_down", "door")


def test_cameras_that_fall_together_are_one_notice_and_one_that_falls_later_another():
    notices = ConditionNotices(camera_down_s=60)
    for camera, seconds in (("c", 0), ("a", 4), ("b", 10), ("late", 11)):
        down(notices, camera, seconds)
    (notice,) = notices.due(at(60))
    assert notice == Notice("camera_down", False, ("a", "b", "c"), at(0))
    assert told(notices, 70, 71) == [[], [(("late",), False)]]
    for camera in ("a", "b", "c"):
        down(notices, camera, 100, present=False)
    assert told(notices, 160) == [[(("a", "b", "c"), True)]]


def test_a_camera_that_comes_back_at_once_is_no_notice():
    notices = ConditionNotices(camera_down_s=60)
    down(notices, "door", 0)
    down(notices, "door", 2, present=False)
    down(notices, "door", 55)
    down(notices, "door", 57, present=False)
    assert told(notices, 60, 100, 200) == [[], [], []]
    down(notices, "door", 300)
    assert told(notices, 359, 360) == [[], [(("door",), False)]]  # the old seconds do not count


def test_a_camera_that_comes_and_goes_is_down_once_its_gaps_are_a_minute_together():
    notices = ConditionNotices(camera_down_s=60)
    found = []
    for second in range(600):
        down(notices, "door", second, present=second % 6 == 0)  # a second down, five up
        found += [(second, row.has_ended) for row in notices.due(at(second))]
    assert found == [(360, False)]


def test_other_kinds_are_told_at_once_and_a_sink_is_not_told_that_it_is_down():
    notices = ConditionNotices()
    notices.note("sink_down", "phone", True, at(0), "refused")
    notices.note("disk", "/data", True, at(0), "1 GB left")
    sink, disk = notices.due(at(0))
    assert (sink.detail, disk.detail) == ("refused", "1 GB left")
    assert sink.sinks(["phone", "mail"]) == ("mail",)
    assert disk.sinks(["phone", "mail"]) == ("phone", "mail")
    notices.note("disk", "gone", True, at(1))
    notices.forget("gone")
    assert notices.due(at(500)) == []


@pytest.mark.parametrize("delay_s", [0.0, 30.0])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 90)), max_size=40))
def test_beginnings_and_ends_alternate_for_each_camera(delay_s, notes):
    notices = ConditionNotices(camera_down_s=delay_s)
    now, state = 0, dict.fromkeys("abc", False)
    for camera, present, wait_s in [*notes, *((name, False, 0) for name in "abc")]:
        now += wait_s
        down(notices, camera, now, present)
        for notice in notices.due(at(now)):
            for subject in notice.subjects:
                assert state[subject] is notice.has_ended
                state[subject] = not notice.has_ended
    for notice in notices.due(at(now + 60)):
        assert notice.has_ended
        state |= dict.fromkeys(notice.subjects, False)
    assert not any(state.values())
