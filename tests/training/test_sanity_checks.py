"""Each guard warns of what it guards against, and of nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import linear_baseline
from violence_detection.models.run import Run
from violence_detection.training.checks import sanity_checks

CLASSES = ["normal", "violent"]
TRUTH = np.arange(40) % 2
RIGHT = np.where(TRUTH, 0.9, 0.1)


def clips_of(labels, *, shift=1.0, groups=None, seed=0, shape=(6, 8)) -> FeatureDataset:
    """Random clips, those of class k shifted by k; four to a recording."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (len(labels), *shape)) + shift * labels[:, None, None]
    if groups is None:
        groups = np.arange(len(labels)) // 4
    entries = tuple(SimpleNamespace(group=str(group)) for group in groups)
    return FeatureDataset(features.astype(np.float16), np.asarray(labels), entries)


def of_two_classes(violence) -> np.ndarray:
    return np.stack([1 - violence, violence], axis=1)


def examined(violence=RIGHT, *, recall_bar=0.5, shift=1.0, **more):
    clips = {
        "train": clips_of(TRUTH, shift=shift),
        "validation": clips_of(TRUTH, seed=1),
    }
    predicted = {"validation": of_two_classes(violence)}
    for name, (part, probability) in more.items():
        clips[name], predicted[name] = part, probability
    return sanity_checks.check_classifier(
        clips,
        predicted,
        linear_baseline.baseline_predictions(clips, predicted.keys()),
        classes=CLASSES,
        threshold=0.5,
        baseline_threshold=0.5,
        recall_bar=recall_bar,
    )


# -- golden


def test_a_sound_classifier_is_not_warned_of():
    checked = examined()
    assert checked.warnings == []
    assert checked.baseline.compared == "no clear difference"


def test_a_constant_prediction_is_warned_of():
    lines = examined(np.full(40, 0.8)).warnings
    assert lines[0] == "The model predicts 'violent' for every video of validation."


def test_a_constant_prediction_on_the_test_is_warned_of_too():
    test = clips_of(TRUTH, seed=2), of_two_classes(np.full(40, 0.2))
    assert examined(test=test).warnings == ["The model predicts 'normal' for every video of test."]


def test_a_constant_prediction_is_right_for_a_single_class():
    test = clips_of(np.ones(8, int)), of_two_classes(np.full(8, 0.8))
    assert examined(test=test).warnings == []


@pytest.mark.parametrize(("bar", "lines"), [(0.5, 1), (0.4, 0), (0.0, 0), (1.0, 1)])
def test_a_class_with_a_low_recall_is_warned_of(bar, lines):
    """8 of the 20 violent videos are found."""
    decided = TRUTH * (np.arange(40) < 16)
    warnings = sanity_checks.low_recalls(TRUTH, decided, CLASSES, bar)
    warning = (
        "Of the validation videos of 'violent', 8 of 20 are predicted right, fewer than "
        f"--recall-bar {bar:g} of them."
    )
    assert warnings == [warning] * lines


def test_a_class_without_videos_is_named():
    warnings = sanity_checks.low_recalls(TRUTH, TRUTH, [*CLASSES, "robbery"], 0.5)
    assert warnings == ["There is no validation video of 'robbery': its recall is unknown."]


def test_a_worse_classifier_than_the_baseline_is_warned_of():
    violence = np.random.default_rng(0).uniform(0.1, 0.9, 40)
    checked = examined(violence, recall_bar=0.0)
    assert checked.baseline.compared == "the baseline is clearly better"
    assert (checked.baseline.validation.accuracy, checked.baseline.validation.auc) == (1.0, 1.0)
    assert checked.warnings == [
        "A linear classifier on pooled features does better on validation: 40 of 40 videos right, "
        "100.0% (95%: 91.2% to 100.0%), AUC 1.000. --head linear, more epochs or another "
        "--learning-rate may help."
    ]


def test_a_better_classifier_than_the_baseline_is_reported():
    checked = examined(shift=0.0)  # the baseline learns from noise
    assert checked.baseline.compared == "the model is clearly better"
    assert checked.warnings == []


def test_the_baseline_scores_the_test_videos_too():
    assert examined().baseline.test is None
    test = clips_of(TRUTH, seed=2), of_two_classes(RIGHT)
    assert examined(test=test).baseline.test.accuracy == 1.0


# -- relation


def test_few_recordings_are_not_compared():
    validation = clips_of(TRUTH, groups=np.arange(40) // 10)
    compared = sanity_checks.compare_with_baseline(
        validation, of_two_classes(1 - RIGHT), of_two_classes(RIGHT), thresholds=(0.5, 0.5), seed=1
    )
    assert compared == ("not compared: validation has too few recordings", False)


def test_a_gain_on_one_recording_is_noise():
    """The baseline is better on one recording of ten."""
    violence = RIGHT.copy()
    violence[:4] = 1 - violence[:4]
    compared = sanity_checks.compare_with_baseline(
        clips_of(TRUTH),
        of_two_classes(violence),
        of_two_classes(RIGHT),
        thresholds=(0.5, 0.5),
        seed=1,
    )
    assert compared == ("no clear difference", False)


def test_three_classes_are_compared_by_what_they_are_called():
    """Both call everything violent rightly, and the model mixes up how."""
    labels = np.arange(60) % 3
    right = np.eye(3)[labels] * 0.8 + 0.1
    mixed = np.where(labels[:, None] > 0, right[:, [0, 2, 1]], right)
    compared = sanity_checks.compare_with_baseline(
        clips_of(labels), mixed, right, thresholds=(0.5, 0.5), seed=1
    )
    assert compared == ("the baseline is clearly better", True)


def test_one_class_in_validation_has_no_curve_to_compare():
    labels = np.ones(40, int)
    compared = sanity_checks.compare_with_baseline(
        clips_of(labels),
        of_two_classes(RIGHT),
        of_two_classes(RIGHT),
        thresholds=(0.5, 0.5),
        seed=1,
    )
    assert compared == ("no clear difference", False)


# -- what a training says


@pytest.mark.slow
def test_a_training_on_noise_warns(tmp_path):
    features = draw_features(tmp_path / "space", counts=(16, 24, 8), shift=0.0)
    result = train_quickly(features, tmp_path, epochs=1, recall_bar=1.0)
    assert result["warnings"] == Run.open(result["run"]).results().scores.warnings
    assert "fewer than --recall-bar 1 of" in result["warnings"][0]
    assert set(result["baseline"]) == {"validation", "test", "videos", "compared"}
    assert result["baseline"]["videos"] == 16


@pytest.mark.slow
def test_a_training_that_separates_the_classes_does_not_warn(tmp_path):
    features = draw_features(tmp_path / "space", counts=(32, 24, 8), shift=3.0)
    result = train_quickly(features, tmp_path, epochs=10, learning_rate=0.05)
    assert result["warnings"] == []
