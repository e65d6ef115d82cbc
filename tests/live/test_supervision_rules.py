"""Rules of the supervisor that need no processes: clocks, restarts, strides."""

import pytest

from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.restart_rule import RestartRule
from violence_detection.live.supervision.stride_control import StrideControl


class Times:
    """Two clocks that a test sets."""

    monotonic_s, utc_s = 100.0, 1_000_000.0

    def wait(self, seconds: float, utc_step_s: float = 0.0) -> None:
        self.monotonic_s += seconds
        self.utc_s += seconds + utc_step_s


def test_a_step_of_utc_is_found_and_changes_no_duration():
    times = Times()
    clock = JoinedClock(lambda: times.monotonic_s, lambda: times.utc_s)
    start_ms = clock.ms(100.0)
    assert start_ms == 1_000_000_000
    times.wait(10.0)
    assert (clock.compare(), clock.now_ms() - start_ms) == (0.0, 10_000)
    times.wait(1.0, utc_step_s=-7200.0)
    assert clock.compare() == pytest.approx(-7200.0)
    assert clock.ms(105.0) - clock.ms(100.0) == 5000
    assert clock.compare() == 0.0, "once"
    times.wait(1.0, utc_step_s=0.01)
    assert clock.compare() == 0.0
    assert clock.now_ms() == round(times.utc_s * 1000)


def test_a_process_that_dies_again_and_again_is_tried_every_five_minutes():
    rule, now_s = RestartRule(), 0.0
    delays = []
    for _ in range(7):
        delays.append(rule.delay_s(now_s, lived_s=2.0))
        now_s += delays[-1] + 2.0
    assert delays == [1.0] * 4 + [300.0] * 3
    assert rule.has_failed
    assert rule.delay_s(now_s + 700.0, lived_s=700.0) == 1.0, "it lived long enough"
    assert not rule.has_failed


def test_deaths_that_are_far_apart_are_no_failure():
    rule = RestartRule()
    assert [rule.delay_s(200.0 * n, lived_s=199.0) for n in range(8)] == [1.0] * 8


def test_quiet_cameras_are_judged_less_often_first_and_never_less_than_every_four_seconds():
    control = StrideControl()
    cameras = {"quiet": (1.0, True), "busy": (1.0, False), "slow": (6.0, True)}
    strides = []
    for second in range(25):
        control.update(float(second), 1.0, float(second))
        strides.append(tuple(control.strides(cameras).values()))
    assert strides[0] == strides[2] == (1.0, 1.0, 6.0), "what waited at the start is no delay"
    assert strides[3] == strides[7] == (2.0, 1.0, 6.0)
    assert strides[8] == (4.0, 1.0, 6.0)
    assert strides[13] == (4.0, 2.0, 6.0)
    assert strides[18] == strides[24] == (4.0, 4.0, 6.0)


def test_windows_that_come_at_once_and_are_judged_in_time_are_no_delay():
    control = StrideControl()
    for second in range(60):
        control.update(float(second), 0.9, 0.95)
    assert not control.is_behind and control.strides({"door": (1.0, True)}) == {"door": 1.0}


def test_strides_come_back_one_step_after_thirty_seconds_without_delay():
    control = StrideControl()
    cameras = {"quiet": (1.0, True)}
    for second in (-3.0, 0.0, 5.0):
        control.update(second, 1.0, second + 6.0)
    strides = []
    for second in range(6, 80):
        control.update(float(second), 0.3, 1.5 if second < 10 else 0.6)
        strides.append(control.strides(cameras)["quiet"])
    assert strides.index(2.0) + 6 == 40
    assert strides.index(1.0) + 6 == 70
    assert not control.is_behind
