"""Temperature and threshold from out-of-fold predictions: when, of which videos, and resumed."""

from collections import Counter

import numpy as np
import pytest
from support.features import draw_features

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError, EvidenceError
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.run import Run
from violence_detection.training import train
from violence_detection.training.calibration_folds import plan_calibration, predict_out_of_fold
from violence_detection.training.config import TrainConfig
from violence_detection.training.training_settings import DecisionConfig

CLASSES = ["normal", "violent"]


def entries_of(train=60, validation=20, test=20) -> list[ManifestEntry]:
    """Videos of both classes in turn, four of a recording."""
    return [
        ManifestEntry(f"{split}_{row}.mp4", CLASSES[row % 2], f"{split} {row // 4}", split)
        for split, count in (("train", train), ("validation", validation), ("test", test))
        for row in range(count)
    ]


def plan_of(entries, *, monitor="val_loss", obstacle="", **decision):
    return plan_calibration(
        entries, CLASSES, DecisionConfig(**decision), monitor=monitor, seed=1, obstacle=obstacle
    )


# -- the plan


def test_validation_is_chosen_on_where_it_supports_the_choice():
    plan = plan_of(entries_of(validation=40))
    assert (plan.by, plan.folds, plan.reason) == ("validation", (), "")


def test_folds_are_chosen_on_where_validation_is_too_small():
    plan = plan_of(entries_of())
    assert plan.by == "folds" and len(plan.folds) == 5
    assert plan.reason.startswith("validation has 10 violent videos of 5 recordings")


def test_nothing_is_chosen_where_both_are_too_small():
    plan = plan_of(entries_of(train=16, validation=8))
    assert plan.by == "validation"
    assert "training and validation have 12 violent videos of 6 recordings" in plan.reason


@pytest.mark.parametrize("monitor", ["val_loss", "none"])
def test_each_own_video_is_held_out_once_with_its_recording(monitor):
    """Test videos have no part in it, and with the last epoch kept nothing validates."""
    entries = entries_of()
    plan = plan_of(entries, calibrate_by="folds", calibration_folds=4, monitor=monitor)
    own = {entry.path for entry in entries if entry.split != "test"}
    held_out = Counter()
    for fold in plan.folds:
        assert {entry.path for entry in fold} == own
        recordings = {
            split: {entry.group for entry in fold if entry.split == split}
            for split in ("train", "validation", "test")
        }
        assert recordings["test"].isdisjoint(recordings["train"] | recordings["validation"])
        assert recordings["train"].isdisjoint(recordings["validation"])
        assert bool(recordings["validation"]) == (monitor != "none")
        held_out.update(entry.path for entry in fold if entry.split == "test")
    assert held_out == Counter(own)


@pytest.mark.parametrize(
    ("sizes", "settings", "error", "message"),
    [
        ((16, 8), {"calibrate_by": "folds"}, EvidenceError, "needs more videos"),
        ((60, 20), {"calibrate_by": "folds", "obstacle": "here. Received: 2 machines"},
         ConfigError, "must not be folds here. Received: 2 machines"),
        ((60, 20), {"operating_point": "best_f1", "calibrate_by": "validation"},
         EvidenceError, "Received: validation has 10 violent.*--calibrate-by folds"),
        ((60, 20), {"operating_point": "recall=0.95"},
         EvidenceError, "chosen on 59 violent videos.*Received: training and validation with 40"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused(sizes, settings, error, message):
    with pytest.raises(error, match=message):
        plan_of(entries_of(*sizes), **settings)


def test_an_operating_point_that_folds_support_is_not_refused():
    assert plan_of(entries_of(), operating_point="recall=0.9").by == "folds"


# -- the predictions


def clips_of(entries) -> FeatureDataset:
    labels = np.array([CLASSES.index(entry.label) for entry in entries])
    features = np.random.default_rng(0).normal(labels[:, None, None], 1, (len(labels), 4, 6))
    return FeatureDataset(features.astype(np.float16), labels, tuple(entries))


@pytest.mark.slow
def test_a_finished_fold_is_not_trained_again(tmp_path):
    plan = plan_of(entries_of(), calibrate_by="folds")
    clips, trained = clips_of(plan.folds[0]), []

    def train_and_predict(parts, folder):
        trained.append({split: len(part) for split, part in parts.items()})
        if len(trained) == 3:
            raise KeyboardInterrupt
        violent = 0.25 + 0.5 * parts["test"].labels
        return np.stack([1 - violent, violent], axis=1)

    arguments = plan, clips, CLASSES, tmp_path, train_and_predict
    with pytest.raises(KeyboardInterrupt):
        predict_out_of_fold(*arguments)
    predicted = predict_out_of_fold(*arguments)
    assert len(trained) == 3 + 3  # the third fold twice
    assert sorted(predicted.paths) == sorted(entry.path for entry in clips.entries)
    np.testing.assert_array_equal(predicted.scores(1.0), 0.25 + 0.5 * predicted.labels)
    assert set(predicted.folds) == {1, 2, 3, 4, 5}


def test_predictions_are_read_as_they_were_written(tmp_path):
    written = CalibrationPredictions(
        paths=("a, b.mp4", "c.mp4"),
        groups=np.array(["x", "y"], object),
        labels=np.array([0, 1]),
        probability=np.array([[0.1 + 0.2, 0.7], [1 / 3, 2 / 3]]),
        folds=np.array([1, 2]),
        baseline=np.array([0.5, 1 / 7]),
    )
    written.write(tmp_path / "predictions.csv", CLASSES, temperature=2.0)
    read = CalibrationPredictions.read(tmp_path / "predictions.csv", CLASSES)
    assert read.paths == written.paths and read.source == "out-of-fold predictions"
    for name in ("groups", "labels", "probability", "folds", "baseline"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


# -- a training


@pytest.mark.slow
def test_a_training_with_a_small_validation_chooses_on_folds(tmp_path):
    """The run says where it was chosen, and its predictions give the same threshold again."""
    features = draw_features(tmp_path / "space", counts=(40, 8, 16), shift=0.7)
    settings = {
        "features": str(features),
        "checkpoint_dir": str(tmp_path / "runs"),
        "run": "run",
        "head": "linear",
        "epochs": 2,
        "calibration_folds": 2,
        "members": 2,
        "ensemble": True,
    }
    results = train.train_classifier(TrainConfig.from_flags(settings))
    scores, run = results.scores, Run.open(results.run)
    assert (scores.calibration.chosen_on, scores.calibration.folds) == ("folds", 2)
    assert (scores.calibration.videos, scores.calibration.recordings) == (48, 24)
    assert results.effective.calibrate_by == "folds"
    assert scores.operating_point.chosen_on == "out-of-fold predictions"
    assert scores.operating_point.is_chosen and run.results().scores == scores
    predicted = CalibrationPredictions.read(run.calibration_path, CLASSES)
    point = scores.operating_point
    alarm = predicted.scores(scores.temperature) >= scores.threshold
    assert point.achieved["recall"] == pytest.approx(alarm[predicted.violent].mean())
    assert not run.state_dir.exists()
