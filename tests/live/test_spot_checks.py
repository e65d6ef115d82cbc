"""Spot checks: windows without an event, chosen by chance, a few a day."""

import random

import pytest

from violence_detection.live.watching.spot_checks import QuietWindow, SpotChecks

DAY_MS = 86_400_000


def a_day(checks: SpotChecks, *, day: int = 20_000, from_h: float = 0.0, events=lambda ms: False):
    """What is chosen on a day of windows that are 2 s apart and have random scores."""
    scores = random.Random(1)
    chosen = []
    for end_ms in range(day * DAY_MS + round(from_h * 3_600_000), (day + 1) * DAY_MS, 2000):
        end_s = end_ms / 1000
        window = QuietWindow(end_s - 2.0, end_s, end_ms, scores.random() ** 2)
        found = checks.add(window, has_event=events(end_ms))
        assert all(end_ms - 8000 < known.end_ms <= end_ms - 5000 for known in found)
        chosen += found
    return chosen


def test_three_a_day_one_of_any_score_one_high_and_one_in_the_middle():
    checks = SpotChecks("door", 3)
    first = a_day(checks)
    days = [a_day(checks, day=20_001 + number) for number in range(3)]
    assert len(first) <= 3 and [len(day) for day in days] == [3, 3, 3]
    for day in days:
        scores = sorted(window.score for window in day)
        assert sorted(window.stratum for window in day) == ["any", "high", "middle"]
        assert any(score > 0.78 for score in scores), "the highest tenth of squares"
        assert any(0.14 < score < 0.38 for score in scores), "the middle fifth"
    assert len({window.end_ms % DAY_MS for day in days for window in day}) == 9


def test_a_restart_repeats_no_check_and_cameras_differ():
    whole = {window.end_ms for window in a_day(SpotChecks("door", 24))}
    later = {window.end_ms for window in a_day(SpotChecks("door", 24), from_h=12.0)}
    assert len(later) < len(whole)
    assert first_of("door") == first_of("door") != first_of("yard")


def first_of(camera: str) -> int | None:
    checks = SpotChecks(camera, 24)
    start_ms = 20_000 * DAY_MS
    checks.add(QuietWindow(0.0, 2.0, start_ms, 0.0), has_event=False)
    return checks.next_ms


@pytest.mark.parametrize("seconds", [0, 4])
def test_no_window_of_an_event_is_chosen(seconds):
    """An event is open half of the time, and begins up to 4 s after its first window."""

    def is_open(end_ms: int) -> bool:
        return end_ms % 600_000 >= 300_000 + 1000 * seconds

    chosen = a_day(SpotChecks("door", 24), events=is_open)
    assert chosen and not any(window.end_ms % 600_000 >= 300_000 for window in chosen)


def test_none_a_day_are_none():
    assert a_day(SpotChecks("door", 0), from_h=20.0) == []


@pytest.mark.slow
def test_moments_by_chance_are_not_moved_to_after_an_event():
    """Windows right after events are not like the others: they would count too often."""
    checks = SpotChecks("door", 24)
    is_open = lambda end_ms: end_ms % 600_000 >= 300_000
    chosen = [
        window
        for day in range(20_000, 20_010)
        for window in a_day(checks, day=day, events=is_open)
        if window.stratum == "any"
    ]
    after = sum(window.end_ms % 600_000 < 10_000 for window in chosen)
    assert len(chosen) > 30 and after <= 4  # 1 in 30 by chance
