"""False alarms per camera-hour: tables, closed forms, and `find_segments` at every threshold."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from violence_detection.errors import EvidenceError
from violence_detection.evaluation.footage import alarm_counts
from violence_detection.evaluation.footage.alarm_counts import PLAIN, AlarmRule
from violence_detection.evaluation.footage.false_alarms import ScoredFootage
from violence_detection.inference.prediction_records import Window
from violence_detection.inference.segments import (
    LOWER_FRACTION,
    default_lower_threshold,
    find_segments,
)
from violence_detection.metrics.rate_per_hour import hours_needed, poisson_interval

# Few values, so that ties are likely; windows may overlap, touch or be apart.
PROBABILITIES = st.lists(st.integers(0, 6).map(lambda k: k / 6), min_size=1, max_size=25)
STRIDE = st.sampled_from([0.5, 1.0, 2.0, 2.5])
RULES = st.builds(
    AlarmRule,
    st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 3), (3, 4)]),
    st.sampled_from([0.0, 1.0, 3.0]),
)


def windows(probabilities, stride_s=1.0) -> list[Window]:
    return [
        Window(n * stride_s, n * stride_s + 2, probability)
        for n, probability in enumerate(probabilities)
    ]


def footage(*videos, stride_s=1.0, rule=PLAIN) -> ScoredFootage:
    """Footage with the windows of these probabilities, a list for each video."""
    return ScoredFootage.from_windows(
        {f"{n}.mp4": windows(video, stride_s) for n, video in enumerate(videos)}, rule
    )


def quiet_hours(hours: float, alarm=0.9) -> ScoredFootage:
    """A window with the probability `alarm`, and a quiet window up to the end."""
    first, last = windows([alarm, 0.1])
    last = dataclasses.replace(last, end_s=hours * 3600)
    return ScoredFootage.from_windows({"a.mp4": [first, last]})


# -- golden


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.025, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390)],
)
def test_the_interval_is_garwoods(count, low, high):
    """Garwood, Biometrika 28, 1936, table of 95% limits."""
    assert poisson_interval(count, 1.0) == pytest.approx([low, high], abs=1e-3)


def test_the_interval_is_of_a_rate():
    assert poisson_interval(10, 4.0) == pytest.approx(
        [end / 4 for end in poisson_interval(10, 1.0)]
    )


def test_three_hours_without_an_alarm_show_one_an_hour():
    assert hours_needed(1.0) == pytest.approx(2.9957, abs=1e-4)
    assert hours_needed(1 / 24) == pytest.approx(71.9, abs=0.01)
    assert math.exp(-hours_needed(0.5) * 0.5) == pytest.approx(0.05)


def test_a_point_counted_by_hand():
    """Alarms at 0.8 and 0.6 in an hour, far apart."""
    probability = np.full(3599, 0.1)
    probability[[100, 2000]] = 0.8, 0.6
    scored = footage(probability)
    assert scored.total_hours == pytest.approx(1)
    assert scored.counts(np.array([0.5, 0.7, 0.9])).tolist() == [[2, 1, 0]]
    assert scored.choose_threshold(1)[0] == pytest.approx(0.7)
    # At 0.1 / 0.75 and below, the quiet windows continue an alarm that has begun.
    assert scored.choose_threshold(2)[0] == pytest.approx((0.1 / 0.75 + 0.6) / 2)
    assert scored.choose_threshold(0.5)[0] == pytest.approx(0.9)
    alarms = scored.alarms_at(0.7, resamples=10, seed=0)
    assert (alarms.alarms, alarms.videos) == (1, 1)
    assert alarms.alarms_per_hour == pytest.approx(1)
    assert alarms.alarm_minutes == pytest.approx(2 / 60)
    assert alarms.alarms_per_hour_ci_videos is None  # undefined for a single video
    quiet = footage(probability, probability).alarms_at(0.9, resamples=10, seed=0)
    assert (quiet.alarms, quiet.alarms_per_hour_ci_videos) == (0, None)


def test_a_probability_above_the_lower_threshold_does_not_split_an_alarm():
    """At 0.9 the lower threshold is 0.675: 0.7 does not split an alarm, 0.6 does."""
    counts = [
        footage([0.9, between, 0.9], stride_s=2.0).counts(np.array([0.9])) for between in (0.7, 0.6)
    ]
    assert np.ravel(counts).tolist() == [1, 2]


def test_an_alarm_that_never_ends_counts_every_minute():
    """At 0.3 and below there is a single alarm; it lasts 60 minutes, so it counts 60 times."""
    scored = footage(np.full(3599, 0.3))
    assert scored.counts(np.array([0.3])).tolist() == [[1]]
    assert scored.choose_threshold(59)[0] > 0.3
    assert scored.choose_threshold(61)[0] < 0.3


def test_confirmed_alarms_with_closed_gaps_are_counted_by_the_policy():
    """One window at 0.9; 2 s later two of three at 0.8; and 2 s after those another two."""
    video = [0.9, 0.1, 0.1, 0.1, 0.8, 0.1, 0.8, 0.1, 0.1, 0.1, 0.8, 0.8, 0.1]
    hours = footage(video).total_hours
    plain, confirmed, closed = (
        footage(video, rule=rule).alarms_at(0.7, resamples=10, seed=0)
        for rule in (PLAIN, AlarmRule((2, 3)), AlarmRule((2, 3), 2.0))
    )
    assert [row.alarms for row in (plain, confirmed, closed)] == [3, 2, 1]
    assert [row.rule for row in (plain, confirmed, closed)] == [
        "",
        "2 of 3 windows confirm an alarm",
        "2 of 3 windows confirm an alarm, gaps up to 2 s are closed",
    ]
    assert closed.to_json()["confirm"] == "2/3"
    threshold, reason = footage(video, rule=AlarmRule((2, 3))).choose_threshold(1.5 / hours)
    assert 0.8 < threshold < 0.9 and reason.endswith("h; 2 of 3 windows confirm an alarm)")


# -- relation


def test_more_alarms_allowed_is_a_lower_threshold():
    rng = np.random.default_rng(0)
    scored = footage(rng.random(200), rng.random(100) ** 2)
    thresholds = [scored.choose_threshold(rate)[0] for rate in (1, 50, 100, 200, 400)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("rule", [PLAIN, AlarmRule((2, 3), 1.0)])
def test_the_interval_of_the_threshold_holds_it(rule):
    rng = np.random.default_rng(1)
    scored = footage(*(rng.random(60) for _ in range(12)), rule=rule)
    threshold, _ = scored.choose_threshold(100)
    low, high = scored.threshold_interval(100, resamples=200, seed=0)
    assert low <= threshold <= high and low < high
    assert footage(rng.random(60)).threshold_interval(9, resamples=9, seed=0) is None


# -- property


@pytest.mark.slow
@given(st.lists(PROBABILITIES, min_size=1, max_size=3), STRIDE, RULES)
def test_alarms_are_the_segments_at_every_threshold(videos, stride_s, rule):
    scored = footage(*videos, stride_s=stride_s, rule=rule)
    thresholds = np.unique([0.01, 0.99, 1.0, *(k / 12 for k in range(1, 13))])
    counts, minutes = scored.counts(thresholds), scored.minutes(thresholds)
    for number, video in enumerate(videos):
        by_threshold = [
            find_segments(
                windows(video, stride_s),
                threshold,
                lower=default_lower_threshold(threshold),
                confirm=rule.confirm,
                close_gaps_s=rule.close_gaps_s,
            )
            for threshold in thresholds
        ]
        lengths_s = [sum(segment.duration_s for segment in row) for row in by_threshold]
        assert counts[number].tolist() == [len(row) for row in by_threshold]
        np.testing.assert_allclose(60 * minutes[number], lengths_s, atol=1e-9)


@pytest.mark.slow
@given(st.lists(PROBABILITIES, min_size=1, max_size=3), st.floats(1, 2000), RULES)
@example([[0.0, 1 / 6, 1 / 6, 0.0, 0.0, 1 / 6, 1 / 6]], 450.0, AlarmRule((2, 2)))
def test_no_threshold_above_the_chosen_one_has_too_many(videos, rate, rule):
    """Of up to 64 thresholds; of more, a rule that is not plain tries some only."""
    scored = footage(*videos, rule=rule)
    try:
        threshold, _ = scored.choose_threshold(rate)
    except EvidenceError:
        assert scored.counts(np.array([1.0])).sum() / scored.total_hours > rate
        return
    reached = np.concatenate(videos)
    edges = np.concatenate([reached, reached / LOWER_FRACTION, [1.0]])
    edges = np.unique(edges[edges <= 1.0])

    def burden(at) -> np.ndarray:
        counts, minutes = scored.counts(np.array(at)), scored.minutes(np.array(at))
        return np.maximum(counts.sum(axis=0), minutes.sum(axis=0)) / scored.total_hours

    assert (burden([threshold, *edges[edges > threshold]]) <= rate + 1e-6).all()
    below = edges[edges < threshold]
    if below.size:  # the chosen one is the lowest: the next probability below has too many
        assert burden(below)[-1] > rate


# -- error


def test_too_few_hours_are_refused_with_the_number_needed():
    message = "must have 71.9 hours of normal footage or more: .* Received: 0.02 hours"
    with pytest.raises(EvidenceError, match=message):
        quiet_hours(0.02).check_support(1 / 24)
    quiet_hours(72.0).check_support(1 / 24)


def test_alarms_that_no_threshold_stops_are_an_error():
    with pytest.raises(EvidenceError, match="1 alarms have the probability 1"):
        quiet_hours(10, alarm=1.0).choose_threshold(0.05)


@pytest.mark.slow
def test_many_windows_are_counted_quickly():
    rng = np.random.default_rng(0)
    starts = alarm_counts.threshold_ranges(windows(rng.random(50_000)))
    assert 1_000 < len(starts) < 50_000
