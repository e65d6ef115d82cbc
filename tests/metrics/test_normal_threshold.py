"""The threshold on normal videos alone: the rate is kept, and refused where it cannot be shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import EvidenceError
from violence_detection.metrics.thresholds.normal_threshold import (
    check_normal_support,
    choose_on_normal,
)


def choose(asked, score, hours=10.0):
    score = np.asarray(score, float)
    groups = [f"r{number // 10}" for number in range(len(score))]
    return choose_on_normal(asked, score, groups, hours=hours, resamples=50)


@given(st.lists(st.sampled_from(np.linspace(0, 0.99, 40).tolist()), min_size=60, max_size=90))
def test_the_lowest_threshold_that_keeps_the_rate(score):
    score = np.array(score)
    point = choose("false_positive_rate=0.05", score)
    assert np.mean(score >= point.threshold) <= 0.05
    assert point.achieved["false_positive_rate"] == np.mean(score >= point.threshold)
    lower = score[score < point.threshold]
    assert not lower.size or np.mean(score >= lower.max()) > 0.05


def test_false_alarms_per_hour_are_counted_over_the_length_of_the_videos():
    score = np.linspace(0, 0.99, 100)
    point = choose("false_alarms_per_hour=0.5", score, hours=10)
    assert (score >= point.threshold).sum() == 5
    assert point.achieved["false_alarms_per_hour"] == 0.5
    low, high = point.achieved_ci["false_alarms_per_hour"]
    assert low < 0.5 < high


def test_no_recall_is_claimed():
    point = choose(None, np.linspace(0, 0.9, 20))
    assert point.threshold == 0.5
    assert point.achieved.keys() == {"false_positive_rate", "false_alarms_per_hour"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("false_positive_rate=0.05", "59 normal videos"),
        ("false_alarms_per_hour=0.1", "30 hours or more"),
        ("recall=0.9", "no violent ones"),
        ("balanced_accuracy", "no violent ones"),
    ],
)
def test_what_the_videos_cannot_show_is_refused(asked, message):
    with pytest.raises(EvidenceError, match=message):
        check_normal_support(asked, 58, hours=2.0)


@pytest.mark.parametrize("asked", ["false_positive_rate=0.05", "false_alarms_per_hour=1"])
def test_the_advice_is_a_larger_part_only_where_all_videos_are_enough(asked):
    few, enough = {"of_videos": 59, "of_hours": 2.9}, {"of_videos": 200, "of_hours": 40.0}
    for known, advice in ((few, "all splits together have"), (enough, "--validation-fraction")):
        with pytest.raises(EvidenceError, match=advice):
            check_normal_support(asked, 16, hours=0.5, **known)


def test_without_a_video_there_is_no_threshold():
    with pytest.raises(EvidenceError, match="none"):
        check_normal_support(None, 0, hours=0.0)
