"""Temperature, threshold and rates from counts of scores, beside those from the scores."""

import numpy as np
import pytest

from violence_detection.errors import EvidenceError
from violence_detection.federated.score_histogram import FORM, ScoreHistogram
from violence_detection.federated.update_file import BadUpdateError
from violence_detection.metrics import calibration, classification
from violence_detection.metrics.thresholds import threshold_selection


@pytest.fixture
def predicted(rng):
    """Probabilities of 200 videos of 40 recordings, their labels and recordings."""
    labels = np.arange(200) % 2
    logit = 2.5 * (2 * labels - 1) + rng.normal(0, 3, 200)
    score = 1 / (1 + np.exp(-logit))
    groups = np.array([f"{number % 2} {number // 10}" for number in range(200)], object)
    return np.stack([1 - score, score], axis=1), labels, groups


def histogram_of(predicted) -> ScoreHistogram:
    probability, labels, groups = predicted
    parts = [
        ScoreHistogram.from_probabilities(probability[rows], labels[rows], groups[rows])
        for rows in (slice(0, 60), slice(60, 200))
    ]
    return ScoreHistogram.joined(parts)


def test_choices_are_those_on_the_scores_up_to_a_bin(predicted):
    probability, labels, groups = predicted
    histogram, violent = histogram_of(predicted), labels > 0
    assert histogram.videos == 200 and histogram.recordings == (20, 20)
    wanted, _ = calibration.fit_temperature(probability, labels, groups, violent=violent)
    temperature, reason = histogram.choose_temperature(2)
    assert temperature == pytest.approx(wanted, rel=0.02) and "200 videos" in reason
    assert histogram.choose_temperature(3)[0] == 1.0
    score = calibration.apply_temperature(probability, temperature)[:, 1]
    chosen = threshold_selection.choose_operating_point(None, violent, score, groups)
    point = histogram.choose_operating_point(None, temperature)
    for name, value in chosen.achieved.items():
        assert point.achieved[name] == pytest.approx(value, abs=0.021), name
        low, high = point.achieved_ci[name]
        assert low <= point.achieved[name] <= high
    scores = histogram.scores_at(point.threshold, temperature, 2)
    auc = classification.area_under_curve(violent, score)
    assert scores.auc == pytest.approx(auc, abs=0.002)
    assert (scores.videos, scores.recordings) == (200, 40)
    asked = histogram.choose_operating_point("recall=0.9", temperature)
    assert asked.achieved["recall"] >= 0.9


def test_too_few_videos_choose_nothing(predicted):
    probability, labels, groups = predicted
    few = ScoreHistogram.from_probabilities(probability[:30], labels[:30], groups[:30])
    assert few.choose_temperature(2)[0] == 1.0
    assert few.choose_operating_point(None, 1.0).threshold == 0.5
    with pytest.raises(EvidenceError, match="needs more videos"):
        few.choose_operating_point("recall=0.9", 1.0)
    nothing = ScoreHistogram.nothing()
    assert nothing.choose_operating_point(None, 1.0).threshold == 0.5
    assert nothing.scores_at(0.5, 1.0, 2).videos == 0


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        ({"recordings": [1, 2]}, 0),
        ({"recordings": [1, 2.5], "correct": 3}, 0),
        ({"recordings": [1, 1], "correct": 10**9}, 0),
        ({"recordings": [0, 1], "correct": 1}, 0),
        ({"recordings": [50, 1], "correct": 1}, 0),
        ({"recordings": [1, 1], "correct": 1}, -9),
        ({"recordings": [1, 1], "correct": 1}, 10**12),
    ],
)
def test_counts_that_contradict_each_other_are_refused(facts, change):
    counts = np.zeros(FORM["histogram"][1], np.int64)
    counts[:, 300] = 5
    counts[0, 7] += change
    with pytest.raises(BadUpdateError):
        ScoreHistogram.from_facts(facts, counts)
