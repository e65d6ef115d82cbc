"""Cross-validation by time, by camera, and with one recording at a time."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features

from violence_detection.errors import ConfigError
from violence_detection.evaluation import baselines
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.cross_validation import pooled_scores
from violence_detection.experiments.cross_validation.cross_validate import CrossValidationStage
from violence_detection.experiments.cross_validation.fold_processes import FoldProcesses
from violence_detection.experiments.cross_validation.fold_runner import FoldRunner, TrainedFold
from violence_detection.features.cache import FeatureCache
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
)
from violence_detection.system import files

EFFECTIVE = EffectiveSettings(1, 1, "float32", xla=False, engine="tensorflow")


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """32 videos of 8 recordings of either class, two on each of eight days, and of three
    cameras."""
    folder = draw_features(tmp_path_factory.mktemp("drawn") / "data" / "space")
    cache = FeatureCache(folder)
    recordings = sorted({entry.group.split(" ", 1)[1] for entry in cache.entries()})
    cache.write_manifest(
        dataclasses.replace(
            entry,
            camera=f"cam{number % 3}",
            recorded_at=f"2024-05-{1 + number:02d}T21:00:00",
        )
        for entry in cache.entries()
        for number in [recordings.index(entry.group.split(" ", 1)[1])]
    )
    return folder


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Folds that cost nothing: predictions that depend on the label alone, mostly right."""

    def train(self, folds):
        runner = FoldRunner(self._setup, None)
        for fold in folds:
            clips = runner.training_job(fold).clips
            assert len(clips["train"])
            violence = np.where(clips["test"].labels == 1, 0.8, 0.3)
            violence[0] = 1 - violence[0]
            probability = np.stack([1 - violence, violence], axis=1)
            yield fold, TrainedFold(2, 1, 1.0, 0.5, EFFECTIVE, probability)

    monkeypatch.setattr(FoldProcesses, "train", train)
    monkeypatch.setattr(FoldProcesses, "check_buildable", lambda _: None)
    monkeypatch.setattr(baselines, "_TREES", 2)
    monkeypatch.setattr(pooled_scores, "_RESAMPLES", 50)


def stage(features, folder, **settings) -> CrossValidationStage:
    places = {"features": str(features), "checkpoint_dir": str(folder), "run": "cv"}
    quick = {"head": "linear", "epochs": 2, "monitor": "none"}
    return CrossValidationStage(CrossValidateConfig.from_flags({**quick, **places, **settings}))


def validate(features, folder, **settings) -> CrossValidationResult:
    result = stage(features, folder, **settings).run()
    assert CrossValidationResult.from_json(result.to_json()).to_json() == result.to_json()
    return result


def words_of(result: CrossValidationResult) -> str:
    return " ".join(Path(result.report).read_text(encoding="utf-8").split())


def test_by_time_the_first_block_is_for_training_only(features, tmp_path):
    result = validate(features, tmp_path, by="time", folds=3)
    assert (result.folds, result.by, result.training_only) == (3, "time", 8)
    assert (result.videos, result.recordings) == (24, 12)
    (protocol,) = result.protocols
    assert protocol.note == (
        "folds by time: each is predicted by a model trained on earlier recordings only; the first "
        "8 videos, until 2024-05-02T21:00:00, are for training only"
    )
    assert [row.held_out for row in result.by_fold] == [
        "2024-05-03T21:00:00 to 2024-05-04T21:00:00",
        "2024-05-05T21:00:00 to 2024-05-06T21:00:00",
        "2024-05-07T21:00:00 to 2024-05-08T21:00:00",
    ]
    # One mistake a fold; videos that no fold holds out count nowhere.
    assert protocol.pooled.model.accuracy.value == pytest.approx(21 / 24)
    assert protocol.pooled.clean
    rows = files.read_own_csv(Path(result.predictions_csv), ("path", "fold"))
    assert len({row["path"] for row in rows}) == len(rows) == 24
    assert "3 folds by time" in words_of(result)
    assert "a later time" in words_of(result)


def test_by_time_the_latest_of_the_past_validate(features, tmp_path):
    plan = stage(features, tmp_path, by="time", folds=3, monitor="val_loss").prepare()
    assert plan["protocols"][0].endswith("of the earlier recordings the latest are for validation")


def test_an_unfinished_study_that_validated_at_random_is_not_continued(features, tmp_path):
    settings = {"by": "time", "folds": 3, "monitor": "val_loss"}
    validate(features, tmp_path, **settings)
    path = tmp_path / "cv" / "cross_validation.json"
    record = files.read_json(path)
    files.write_json(path, {name: record[name] for name in record if name != "validation"})
    with pytest.raises(ConfigError, match="was started with another validation"):
        stage(features, tmp_path, **settings).prepare()


def test_by_camera_each_of_few_cameras_is_a_fold(features, tmp_path):
    result = validate(features, tmp_path, by="camera")
    assert [row.held_out for row in result.by_fold] == ["cam0", "cam1", "cam2"]
    assert (result.folds, result.videos, result.training_only) == (3, 32, 0)
    assert result.protocols[0].note.endswith("on one side (each camera is a fold)")
    assert "Hour of day" in words_of(result) and "Camera" in words_of(result)


@pytest.mark.slow
def test_one_recording_at_a_time_scores_are_of_all_folds_together(features, tmp_path):
    result = validate(features, tmp_path, leave_one_recording_out=True)
    (protocol,) = result.protocols
    assert (result.folds, len(result.by_fold), result.recordings) == (16, 16, 16)
    assert result.by_fold[0].held_out == result.by_fold[0].recording_names[0]
    assert protocol.model.auc.mean is None  # a recording has one class
    assert protocol.pooled.model.accuracy.value == pytest.approx(0.5)
    assert protocol.pooled.model.auc.value is not None
    assert not any("is in 8 folds" in line for line in result.warnings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"by": "camera", "both": True}, "must come without --both and --random"),
        ({"by": "time", "leave_one_recording_out": True}, "must come without by"),
        ({"leave_one_recording_out": True, "folds": 4}, "as many as recordings"),
        ({"by": "time", "folds": 8}, "folds=8, and 8 "),
    ],
)
def test_a_conflict_is_refused(features, tmp_path, settings, reason):
    with pytest.raises(ConfigError, match=reason):
        stage(features, tmp_path, **settings).prepare()


def test_without_the_column_the_message_names_it_and_the_pattern(features, tmp_path):
    plain = draw_features(tmp_path / "plain" / "space")
    for by, column in (("time", "recorded_at"), ("camera", "camera")):
        with pytest.raises(ConfigError, match=f"--by {by} must have the column {column} of every"):
            stage(plain, tmp_path, by=by).prepare()
    with pytest.raises(ConfigError, match="Received: 1 of 32 videos without"):
        bare = shutil.copytree(features, tmp_path / "bare" / "space")
        cache = FeatureCache(bare)
        first, *rest = cache.entries()
        cache.write_manifest([dataclasses.replace(first, camera=""), *rest])
        stage(bare, tmp_path, by="camera").prepare()


def test_the_camera_is_found_in_the_path(features, tmp_path):
    plain = draw_features(tmp_path / "plain" / "space")
    plan = stage(plain, tmp_path, by="camera", camera_pattern=r"(train|validation|test)_").prepare()
    assert (plan["folds"], plan["trainings"]) == (3, 3)
