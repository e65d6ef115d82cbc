"""Scores of several classes: golden values, scikit-learn's means, and three kinds of confusions."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from violence_detection.errors import ConfigError
from violence_detection.metrics import several_classes
from violence_detection.metrics.several_classes import ClassReport, class_report

CLASSES = ["normal", "fight", "riot"]
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTED = np.array([0, 0, 1, 2, 1, 0, 2, 2, 1, 1])


def report_of(labels=LABELS, predicted=PREDICTED, classes=CLASSES, groups=None) -> ClassReport:
    rng = np.random.default_rng(0)
    probability = 0.1 * rng.random((len(labels), len(classes))) + np.eye(len(classes))[predicted]
    probability /= probability.sum(1, keepdims=True)
    groups = np.arange(len(labels)).astype(str) if groups is None else groups
    return class_report(labels, predicted, probability, groups, classes)


def test_each_class_has_its_scores():
    normal, fight, riot = report_of().scores
    assert (normal.videos, fight.videos, riot.videos) == (4, 3, 3)
    assert (normal.recall, fight.recall, riot.recall) == (2 / 4, 1 / 3, 1 / 3)
    assert (normal.precision, fight.precision, riot.precision) == (2 / 3, 1 / 4, 1 / 3)
    assert fight.f1 == pytest.approx(2 / 7)
    assert all(0 <= score.auc <= 1 for score in (normal, fight, riot))


def test_confusions_are_of_three_kinds_with_their_share_of_the_true_class():
    report = report_of()
    kinds = {kind: report.confusions_of(kind) for kind in several_classes.KINDS}
    assert [
        (row.true, row.predicted, row.count, row.share)
        for row in kinds[several_classes.FALSE_ALARM]
    ] == [("normal", "fight", 1, 0.25), ("normal", "riot", 1, 0.25)]
    (miss,) = kinds[several_classes.MISS]
    assert (miss.true, miss.predicted, miss.count) == ("fight", "normal", 1)
    first, second = kinds[several_classes.BETWEEN]
    assert (first.true, first.predicted, first.count, first.share) == ("riot", "fight", 2, 2 / 3)
    assert (second.true, second.predicted, second.count) == ("fight", "riot", 1)


@pytest.mark.parametrize("classes", [3, 14])
def test_means_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    labels, predicted = rng.integers(0, classes, (2, 200))
    report = report_of(labels, predicted, [f"class{number}" for number in range(classes)])
    assert report.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert report.weighted_f1 == pytest.approx(f1_score(labels, predicted, average="weighted"))
    assert report.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    f1s = {score.name: score.f1 for score in report.scores}
    assert report.best[0] == max(f1s, key=f1s.get) and report.hardest[0] == min(f1s, key=f1s.get)
    assert not set(report.best) & set(report.hardest)
    assert all(len(report.confusions_of(kind)) <= 5 for kind in several_classes.KINDS)


def test_a_class_of_fewer_than_five_recordings_is_an_anecdote():
    labels = np.repeat([0, 1, 2], [5, 6, 3])
    groups = [*"abcde", *"ffghij", *"klm"]
    report = report_of(labels, labels, CLASSES, groups)
    assert [score.recordings for score in report.scores] == [5, 5, 3]
    assert [score.name for score in report.anecdotes] == ["riot"]


def test_a_class_without_videos_does_not_count_in_the_means():
    labels = np.array([0, 0, 1, 1])
    report = report_of(labels, labels)
    assert (report.macro_f1, report.weighted_f1, report.balanced_accuracy) == (1, 1, 1)
    assert (report.scores[2].auc, report.scores[2].f1) == (None, 0)
    assert "riot" not in [*report.best, *report.hardest, *(s.name for s in report.anecdotes)]


def test_a_report_is_its_json():
    report = report_of()
    assert ClassReport.from_json(report.to_json()) == report


def test_lengths_must_agree():
    with pytest.raises(ConfigError):
        class_report(LABELS, PREDICTED, np.eye(3)[:2], LABELS, CLASSES)
