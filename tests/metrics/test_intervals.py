"""Intervals of rates and areas, against papers, closed forms and scikit-learn."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from support.scores import SCORED_VIDEOS, columns_of, draw_scores

from violence_detection.errors import ConfigError
from violence_detection.metrics import intervals


@pytest.mark.parametrize(
    ("correct", "total", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_interval_is_that_of_newcombes_table(correct, total, interval):
    """Newcombe, Statistics in Medicine 17, 1998, 857-872, table I, score method."""
    assert intervals.wilson_interval(correct, total) == pytest.approx(interval, abs=5e-5)


def test_bootstrap_of_videos_alone_agrees_with_wilson():
    correct = np.arange(200) < 140
    interval = intervals.accuracy_interval(correct, np.arange(200), resamples=4000)
    assert interval == pytest.approx(intervals.wilson_interval(140, 200), abs=0.012)


def test_copies_within_a_recording_add_no_information():
    violent, probability, groups = draw_scores(80, 12)
    once = intervals.auc_interval(violent, probability, groups)
    copied = (np.repeat(column, 3) for column in (violent, probability, groups))
    assert intervals.auc_interval(*copied) == pytest.approx(once)


def test_recordings_that_agree_within_widen_the_interval():
    correct = np.arange(200) < 140
    alone = intervals.accuracy_interval(correct, np.arange(200))
    together = intervals.accuracy_interval(correct, np.arange(200) // 10)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_inverted_probabilities_mirror_auc_and_its_interval():
    violent, probability, groups = draw_scores()
    low, high = intervals.auc_interval(violent, probability, groups)
    inverted = intervals.auc_interval(violent, 1 - probability, groups)
    assert inverted == pytest.approx([1 - high, 1 - low])


def test_weighted_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    violent, probability = rng.random(50) < 0.4, rng.integers(0, 8, 50) / 7
    counts = rng.integers(0, 4, (20, 50))
    expected = [roc_auc_score(violent, probability, sample_weight=row) for row in counts]
    np.testing.assert_allclose(intervals.weighted_auc(violent, probability)(counts), expected)


def test_the_seed_decides_and_block_size_does_not(monkeypatch):
    columns = draw_scores()
    whole = intervals.auc_interval(*columns, seed=3)
    assert whole != intervals.auc_interval(*columns, seed=4)
    monkeypatch.setattr(intervals, "_BLOCK_CELLS", 5000)
    assert intervals.auc_interval(*columns, seed=3) == whole


def test_intervals_of_240_videos_take_less_than_a_second():
    violent, probability, groups = draw_scores()
    start = time.perf_counter()
    intervals.accuracy_interval(violent, groups, resamples=2000)
    intervals.auc_interval(violent, probability, groups, resamples=2000)
    assert time.perf_counter() - start < 1.0


@settings(max_examples=40, deadline=None)
@given(SCORED_VIDEOS, st.integers(0, 5))
def test_intervals_are_ordered_and_in_bounds(videos, seed):
    violent, probability = columns_of(videos)
    groups = np.arange(len(violent)) // 3
    settings = {"resamples": 50, "seed": seed}
    low, high = intervals.accuracy_interval(violent, groups, **settings)
    assert 0.0 <= low <= high <= 1.0
    interval = intervals.auc_interval(violent, probability, groups, **settings)
    assert interval is None or 0.0 <= interval[0] <= interval[1] <= 1.0


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_interval_contains_the_proportion(correct, more):
    low, high = intervals.wilson_interval(correct, correct + more)
    assert 0.0 <= low <= high <= 1.0
    if correct + more:
        assert low - 1e-9 <= correct / (correct + more) <= high + 1e-9


# -- empty, one class


def test_without_videos_intervals_are_zero_or_none():
    assert intervals.wilson_interval(0, 0) == [0.0, 0.0]
    assert intervals.accuracy_interval([], []) == [0.0, 0.0]
    assert intervals.auc_interval([], [], []) is None


def test_one_recording_has_an_interval_without_width():
    low, high = intervals.accuracy_interval([True, True, False, True], ["a"] * 4)
    assert low == high == 0.75


def test_the_standard_error_of_groups_of_one_is_that_of_the_mean():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    expected = np.std(values, ddof=1) / 2
    assert intervals.standard_error(values, np.arange(4)) == pytest.approx(expected)
    # Copies of a value within its group add no information.
    copies = intervals.standard_error(values.repeat(3), np.arange(4).repeat(3))
    assert copies == pytest.approx(expected)
    assert intervals.standard_error(values, np.zeros(4, int)) == np.inf


def test_a_ratio_is_nan_where_the_denominator_is_0():
    parts, wholes = np.array([1, 0, 3]), np.array([2, 0, 0])
    np.testing.assert_array_equal(intervals.ratio(parts, wholes), [0.5, np.nan, np.nan])


# -- error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.wilson_interval(3, 2), r"in \[0, total=2\]. Received: corr"),
        (lambda: intervals.wilson_interval(1, 2, 1.0), r"`level` must be in \(0, 1\)"),
        (
            lambda: intervals.accuracy_interval([True], ["a"], resamples=0),
            "`resamples` must be >= 1. Received: resamples=0",
        ),
        (
            lambda: intervals.accuracy_interval([1, 0, 1], ["a", "b"]),
            r"correct \(3,\), groups \(2,\)",
        ),
    ],
)
def test_misuse_says_what_must_hold_and_what_came(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
