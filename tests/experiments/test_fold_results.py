"""Scores over folds, their intervals, and the warnings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.experiments.cross_validation.fold_results import FoldResult, FoldResults
from violence_detection.experiments.cross_validation.pooled_scores import mean_over_folds
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.reports.cross_validation.cross_validation_scores import FoldMean

CLASSES = ["normal", "violent"]


def fold_result(
    fold, rows, violence, *, repeat=1, threshold=0.5, training_videos=4, **others
) -> FoldResult:
    by_name = {"model": violence, **others}
    predictions = {
        name: np.stack([1 - np.array(score), score], axis=1) for name, score in by_name.items()
    }
    return FoldResult(
        repeat=repeat,
        fold=fold,
        grouped=True,
        rows=np.array(rows),
        epochs=3,
        kept_epoch=2,
        threshold=threshold,
        temperature=1.0,
        predictions=predictions,
        effective=EffectiveSettings(1, 1, "float32", xla=False, engine="tensorflow"),
        left_out=[],
        training_videos=training_videos,
    )


def results_of(folds, labels, *, digests=None, classes=CLASSES) -> FoldResults:
    """Of videos of which each two in a row are from one recording."""
    entries = [
        ManifestEntry(f"{n}.mp4", classes[k], f"rec{n // 2}", "", digest=(digests or {}).get(n, ""))
        for n, k in enumerate(labels)
    ]  # fmt: skip
    return FoldResults(
        folds,
        entries=entries,
        labels=np.array(labels),
        classes=classes,
        seed=1,
        note="a note",
    )


# -- golden


def test_the_interval_over_folds_is_the_closed_form():
    """t(4) = 2.7764, sd = sqrt(0.0125), and sqrt(1 / 5 + 1 / 4) for what folds share."""
    scores = mean_over_folds([0.8, 0.9, 0.7, 0.6, 0.75], 1 / 4)
    half = 2.7764451051977987 * math.sqrt(0.0125) * math.sqrt(0.45)
    assert scores.mean == pytest.approx(0.75)
    assert scores.sd == pytest.approx(math.sqrt(0.0125))
    assert scores.ci == pytest.approx([0.75 - half, 0.75 + half])


def test_the_interval_over_folds_by_time_has_the_ratio_of_their_videos():
    """Held out 4 of 8 known, then 4 of 12: the ratio is (1/2 + 1/3) / 2, not that of k folds."""
    right, half = [0.1, 0.9, 0.1, 0.9], [0.1, 0.9, 0.9, 0.1]
    folds = [
        fold_result(1, range(4), right, training_videos=8),
        fold_result(2, range(4, 8), half, training_videos=12),
    ]
    accuracy = results_of(folds, [0, 1] * 4).means()["model"].accuracy
    assert accuracy == mean_over_folds([1.0, 0.5], 5 / 12)


def test_pooled_scores_are_those_of_all_predictions():
    labels = [0, 1, 0, 1, 1, 0, 1, 0]
    violence = np.array([0.2, 0.9, 0.6, 0.7, 0.4, 0.1, 0.8, 0.3])
    folds = [
        fold_result(1, [0, 1, 2, 3], violence[:4]),
        fold_result(2, [4, 5, 6, 7], violence[4:]),
    ]
    scores = results_of(folds, labels).pooled()["model"]
    assert scores.accuracy.value == pytest.approx(6 / 8)
    assert scores.auc.value == pytest.approx(roc_auc_score(labels, violence))
    low, high = scores.accuracy.ci
    assert 0 <= low < 6 / 8 < high <= 1


def test_several_repeats_are_averaged():
    labels = [0, 1, 0, 1]
    right, wrong = [0.1, 0.9], [0.9, 0.1]
    folds = [
        fold_result(1, [0, 1], right),
        fold_result(2, [2, 3], right),
        fold_result(1, [0, 1], wrong, repeat=2),
        fold_result(2, [2, 3], right, repeat=2),
    ]
    scores = results_of(folds, labels).pooled()["model"]
    assert scores.accuracy.value == pytest.approx(3 / 4)
    assert scores.auc.value == pytest.approx((1 + 0.5) / 2)


def test_each_fold_goes_by_its_own_threshold():
    folds = [
        fold_result(1, [0, 1], [0.2, 0.35], threshold=0.3, linear=[0.2, 0.35]),
        fold_result(2, [2, 3], [0.6, 0.9], threshold=0.8, linear=[0.6, 0.9]),
    ]
    results = results_of(folds, [0, 1, 0, 1])
    first, second = results.fold_rows()
    assert (first.model.accuracy, second.model.accuracy) == (1, 1)
    assert (first.scores["linear"].accuracy, second.scores["linear"].accuracy) == (0.5, 0.5)
    assert first.scores["linear"].auc == 1
    assert results.means()["linear"].accuracy.mean == 0.5
    assert (first.recall, first.false_positive_rate) == (1, 0)
    assert first.recording_names == ["rec0"]
    assert [row.threshold for row in results.out_of_fold()] == [0.3, 0.3, 0.8, 0.8]


def test_a_difference_counts_the_same_videos():
    """The model is right where the linear baseline is, and in two of eight videos more."""
    labels = [0, 1] * 4
    right = np.array([0.1, 0.9] * 4)
    linear = np.array([0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9])
    folds = [
        fold_result(1, range(4), right[:4], linear=linear[:4]),
        fold_result(2, range(4, 8), right[4:], linear=linear[4:]),
    ]
    results = results_of(folds, labels)
    difference = results.over_linear().accuracy
    assert difference.value == pytest.approx(2 / 8) and difference.sign == 0
    assert difference.ci[0] == 0 and difference.ci[1] <= 0.5
    same = results.over(results).accuracy
    assert (same.value, same.ci, same.sign) == (0, [0, 0], 0)


# -- property


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(2, 10))
def test_an_interval_holds_the_mean_and_stays_a_fraction(values, folds):
    scores = mean_over_folds(values, 1 / (folds - 1))
    low, high = scores.ci
    assert 0 <= low <= scores.mean + 1e-12 and scores.mean - 1e-12 <= high <= 1


def test_a_fold_comes_back_from_json_to_the_bit(rng):
    import json

    result = fold_result(1, [4, 2], rng.random(2), linear=rng.random(2))
    values = result.to_json()
    assert list(values["answers"]) == ["model", "linear"]
    again = FoldResult.from_json(json.loads(json.dumps(values)))
    for name, prediction in result.predictions.items():
        np.testing.assert_array_equal(again.predictions[name], prediction)
    assert again.to_json() == values


# -- warnings


def test_metadata_that_comes_close_is_warned_of():
    labels = [0, 1] * 8
    good = [0.1, 0.9] * 4
    poor = [0.9, 0.1] * 4

    def warnings_with(metadata):
        folds = [
            fold_result(1, range(8), good, metadata=metadata),
            fold_result(2, range(8, 16), good, metadata=metadata),
        ]
        results = results_of(folds, labels)
        return results.warnings(results.pooled())

    (line,) = warnings_with(good)
    assert "metadata comes close: 100.0% to 100.0% over recordings" in line
    assert "the source of the videos and not the violence" in line
    assert warnings_with(poor) == []


def test_folds_without_a_class_are_named_and_have_no_auc():
    folds = [fold_result(1, [0, 2], [0.1, 0.2]), fold_result(2, [1, 3], [0.7, 0.8])]
    results = results_of(folds, [0, 1, 0, 1])
    assert [row.model.auc for row in results.fold_rows()] == [None, None]
    assert [row.recall for row in results.fold_rows()] == [None, 1]
    assert results.means()["model"].auc == FoldMean(mean=None, sd=0.0, ci=None)
    assert results.warnings(results.pooled()) == [
        "No video of 'normal' is in 1 fold of 2.",
        "No video of 'violent' is in 1 fold of 2.",
    ]


def test_draws_say_the_fold_of_each_video():
    folds = [
        fold_result(1, [0, 2], [0.1, 0.2]),
        fold_result(2, [1], [0.7]),
        fold_result(2, [3], [0.7], repeat=2),
    ]
    draws = results_of(folds, [0, 1, 0, 1]).draws()
    assert [draw.tolist() for draw in draws] == [[1, 2, 1, -1], [-1, -1, -1, 2]]


def test_pooled_rates_and_brier_score_are_counted_by_hand():
    """Two folds, each at its own threshold."""
    folds = [
        fold_result(1, [0, 1], [0.2, 0.4], threshold=0.3),
        fold_result(2, [2, 3], [0.6, 0.9], threshold=0.5),
    ]
    scores = results_of(folds, [0, 1, 0, 1]).pooled()["model"]
    assert (scores.recall.value, scores.false_positive_rate.value) == (1.0, 0.5)
    squares = 0.2**2 + 0.6**2 + 0.6**2 + 0.1**2
    assert scores.brier_score.value == pytest.approx(squares / 4)
    errors = 0.2 + 0.6 + 0.6 + 0.1  # each in a bin of its own
    assert scores.calibration_error == pytest.approx(errors / 4)


# -- hostile


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: values.pop("answers"),
        lambda values: values.pop("threshold"),
        lambda values: values["rows"].append(7),
        lambda values: values.update(rows="x"),
        lambda values: values.update(more=1),
    ],
)
def test_anything_but_a_fold_is_refused(spoil):
    values = fold_result(1, [0, 1], [0.1, 0.9]).to_json()
    spoil(values)
    with pytest.raises((TypeError, ValueError, KeyError)):
        FoldResult.from_json(values)


def test_one_value_has_no_interval():
    assert mean_over_folds([None, 0.5], 1) == FoldMean(mean=0.5, sd=0.0, ci=None)
