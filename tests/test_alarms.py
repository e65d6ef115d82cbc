"""Alarms are the segments that `predict` shows, counted at every threshold at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.alarms import Watched, hours_needed, poisson_interval
from violence_detection.errors import EvidenceError
from violence_detection.segments import lower_of, segments

PROBABILITIES = st.lists(
    st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=40
)


def windows_of(probabilities, *, stride_s=1.0, window_s=2.0) -> list[dict[str, float]]:
    return [
        {"start_s": k * stride_s, "end_s": k * stride_s + window_s, "probability": p}
        for k, p in enumerate(probabilities)
    ]


# -- golden


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0.0, 3.6889),
        (1, 0.0253, 5.5716),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
    ],
)
def test_the_interval_of_a_count_is_garwoods(count, low, high):
    """Exact limits of a Poisson mean at 95%, as in Johnson and Kotz, 1969, and many tables."""
    assert poisson_interval(count, 1.0) == pytest.approx([low, high], abs=2e-4)


def test_one_alarm_a_day_takes_three_days_without_any():
    assert hours_needed(1 / 24) == pytest.approx(71.9, abs=0.05)


def test_an_alarm_that_wavers_is_one():
    """0.9, 0.7, 0.9: at 0.9 the lower threshold is 0.675, so nothing parts it; 0.6 does."""
    assert counted(windows_of([0.9, 0.7, 0.9], window_s=1.0), 0.9) == 1
    assert counted(windows_of([0.9, 0.6, 0.9], window_s=1.0), 0.9) == 2


def watched(*videos, stride_s=1.0) -> Watched:
    return Watched.of(
        {f"{n}.mp4": windows_of(one, stride_s=stride_s) for n, one in enumerate(videos)}
    )


def test_a_point_counted_by_hand():
    """Alarms at 0.8 and 0.6 in an hour, far apart."""
    probability = np.full(3599, 0.1)
    probability[[100, 2000]] = 0.8, 0.6
    found = watched(probability)
    assert found.total_hours == pytest.approx(1)
    assert found.counts(np.array([0.5, 0.7, 0.9])).tolist() == [[2, 1, 0]]
    assert found.choose(1)[0] == pytest.approx(0.7)
    assert 0.1 < found.choose(2)[0] < 0.6
    assert found.choose(0.5)[0] == pytest.approx(0.9)
    told = found.told(0.7, resamples=10, seed=0)
    assert (told["alarms"], told["videos"]) == (1, 1)
    assert told["alarms_per_hour"] == pytest.approx(1)
    assert told["alarm_minutes"] == pytest.approx(1 / 60)
    assert told["alarms_per_hour_ci_videos"] is None  # one says nothing of others
    quiet = watched(probability, probability).told(0.9, resamples=10, seed=0)
    assert (quiet["alarms"], quiet["alarms_per_hour_ci_videos"]) == (0, None)


def test_an_alarm_that_never_ends_counts_every_minute():
    """At 0.3 and below all of it is one alarm: of 60 minutes, so it does not pass for one."""
    found = watched(np.full(3599, 0.3))
    assert found.counts(np.array([0.3])).tolist() == [[1]]
    assert found.choose(59)[0] > 0.3
    assert found.choose(61)[0] < 0.3


# -- relation


def test_more_alarms_allowed_is_a_lower_threshold():
    rng = np.random.default_rng(0)
    found = watched(rng.random(200), rng.random(100) ** 2)
    thresholds = [found.choose(rate)[0] for rate in (1, 50, 100, 200, 400)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) > 2


def test_the_interval_of_the_threshold_holds_it():
    rng = np.random.default_rng(1)
    found = watched(*(rng.random(60) for _ in range(12)))
    threshold, _ = found.choose(100)
    low, high = found.threshold_interval(100, resamples=200, seed=0)
    assert low <= threshold <= high and low < high
    assert watched(rng.random(60)).threshold_interval(9, resamples=9, seed=0) is None


def counted(windows, threshold) -> int:
    return int(Watched.of({"a": windows}).counts(np.array([threshold])).sum())


# -- property


@given(PROBABILITIES, st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.integers(0, 40))
def test_alarms_are_counted_as_predict_shows_them(probabilities, stride_s, step):
    windows, threshold = windows_of(probabilities, stride_s=stride_s), step / 40
    shown = segments(windows, threshold, lower=lower_of(threshold))
    if threshold:  # 0 is below everything
        assert counted(windows, threshold) == len(shown)


@given(PROBABILITIES)
def test_the_rate_that_is_asked_for_is_kept_at_and_above_the_threshold(probabilities):
    watched = Watched.of({"a": windows_of(probabilities, stride_s=60.0)})
    per_hour = 2 / watched.total_hours
    try:
        threshold, _ = watched.choose(per_hour)
    except EvidenceError:
        assert watched.counts(np.array([1.0])).sum() > 2
        return
    above = np.linspace(threshold, 1.0, 50)
    assert watched.counts(above).sum(axis=0).max() <= 2


@given(st.lists(PROBABILITIES, min_size=1, max_size=3), st.floats(1, 2000))
def test_no_lower_threshold_keeps_the_rate(videos, rate):
    found = watched(*videos)
    try:
        threshold, _ = found.choose(rate)
    except EvidenceError:
        return
    below = np.unique([p for one in videos for p in one])
    below = below[below < threshold]
    if below.size:
        counts, minutes = (
            of(below).sum(axis=0) for of in (found.counts, found.minutes)
        )
        higher = np.linspace(below[-1], threshold, 200)
        many = np.maximum(
            found.counts(higher).sum(axis=0), found.minutes(higher).sum(axis=0)
        )
        assert (
            max(counts[-1], minutes[-1], many.max()) / found.total_hours > rate - 1e-6
        )


# -- errors


def test_too_few_hours_are_refused_with_what_it_would_take():
    watched = Watched.of({"a": windows_of([0.1] * 10)})
    with pytest.raises(EvidenceError, match=r"must have 6\.0 hours .* Received: 0\.00"):
        watched.check_support(0.5)


def test_alarms_that_no_threshold_stops_are_an_error():
    found = watched([1.0] + [0.1] * 40_000)
    with pytest.raises(EvidenceError, match="1 alarms have the probability 1"):
        found.choose(0.05)
