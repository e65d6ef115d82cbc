"""Rates over frames and events, beside those of scikit-learn and of a hand's count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from violence_detection.metrics.localisation import FRAME_S, Timeline, localisation_scores


def timeline(events=(), scores=(), segments=(), *, threshold=0.5, window_s=2.0, duration_s=None):
    """Windows of `window_s` side by side."""
    windows = [(number * window_s, (number + 1) * window_s) for number in range(len(scores))]
    return Timeline.from_windows(
        events,
        windows,
        scores,
        segments,
        threshold=threshold,
        duration_s=duration_s or window_s * len(scores),
    )


def scores_of(lines, groups=None):
    groups = groups or [str(number) for number in range(len(lines))]
    return localisation_scores(lines, groups, resamples=200, seed=1)


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=12),
    st.integers(0, 9),
    st.integers(1, 6),
)
def test_frames_are_scored_as_scikit_learn_scores_them(scores, start, length):
    scores = [score / 1000 for score in scores]
    end = min(start + length, 2 * len(scores))
    events = [(float(start), float(end))] if start < end else []
    found = scores_of([timeline(events, scores)])
    middles = (np.arange(round(2 * len(scores) / FRAME_S)) + 0.5) * FRAME_S
    truth = np.zeros(len(middles), bool)
    for first, last in events:
        truth |= (middles >= first) & (middles < last)
    of_frames = np.repeat(scores, round(2 / FRAME_S))
    if truth.any():
        assert found.frame_ap == pytest.approx(average_precision_score(truth, of_frames))
    else:
        assert found.frame_ap is None
    if truth.any() and not truth.all():
        assert found.frame_auc == pytest.approx(roc_auc_score(truth, of_frames))
    else:
        assert found.frame_auc is None
    assert found.violent_fraction == pytest.approx(truth.mean())


def test_windows_that_overlap_are_averaged_and_gaps_score_nothing():
    line = Timeline.from_windows(
        [(0.0, 1.0)], [(0.0, 2.0), (1.0, 3.0)], [1.0, 0.5], [], threshold=0.5, duration_s=4.0
    )
    of_score = {score: line.counts[:, score].tolist() for score in (1000, 750, 500, 0)}
    assert of_score == {1000: [0, 25], 750: [25, 0], 500: [25, 0], 0: [25, 0]}


def test_events_are_found_by_segments_and_told_by_windows():
    line = timeline(
        [(3.0, 5.0), (9.0, 10.0), (15.0, 16.0)],
        [0.1, 0.2, 0.9, 0.1, 0.1, 0.1, 0.8, 0.1],
        [(4.0, 6.0), (12.0, 14.0)],
    )
    assert line.detected() == [True, False, False]
    assert line.delays_s() == [3.0]  # told when the window from 4 to 6 s has ended
    assert line.false_alarms() == 1
    quiet = timeline([], [0.1] * 8, [(0.0, 2.0)])
    scores = scores_of([line, quiet])
    assert (scores.events, scores.detected, scores.false_alarms) == (3, 1, 2)
    assert scores.event_recall == pytest.approx(1 / 3)
    assert scores.time_to_detect_s == scores.time_to_detect_p90_s == 3.0
    assert scores.hours == pytest.approx(32 / 3600)
    assert scores.false_alarms_per_hour == pytest.approx(2 / (28 / 3600))
    low, high = scores.false_alarms_per_hour_ci
    assert low <= scores.false_alarms_per_hour <= high
    nothing = scores_of([quiet])
    assert (nothing.event_recall, nothing.event_recall_ci) == (0.0, None)
    assert nothing.time_to_detect_s is None
