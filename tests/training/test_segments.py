"""Trainings on videos in segments, of which only the whole is labelled."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.features import draw_features
from support.training import train_quickly

from violence_detection.errors import ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.export.config import ExportConfig
from violence_detection.export.export import ExportStage
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models import segment_bags
from violence_detection.models.classifier import build_classifier, load_model, probabilities
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.augmentations._batch import Batch
from violence_detection.training.batching import build_augmentation
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import TrainingStage

SEGMENTS, FRAMES, DIM = 6, 3, 8


@pytest.fixture(scope="module")
def bags_dir(tmp_path_factory) -> Path:
    """Features of 72 videos in six segments; one segment of a violent video is shifted."""
    folder = draw_features(
        tmp_path_factory.mktemp("bags") / "drawn" / "space",
        counts=(40, 16, 16),
        shape=(FRAMES, DIM),
    )
    cache, rng, rows = FeatureCache(folder), np.random.default_rng(3), []
    for entry in cache.entries():
        features = rng.normal(0, 1, (SEGMENTS, FRAMES, DIM)).astype(np.float16)
        if entry.label == "violent":
            features[rng.integers(SEGMENTS)] += 3
        digest = cache.write_arrays(entry.path, features[None])[0]
        rows.append(dataclasses.replace(entry, array_digest=digest, duration_s=12.0))
    cache.write_manifest(rows)
    record = json.loads(cache.extraction_path.read_text())
    record["feature_space"]["segments"] = SEGMENTS
    record["fingerprint"] = FeatureSpace.from_json(record["feature_space"]).fingerprint
    files.write_json(cache.extraction_path, record)
    return folder


def test_segments_is_in_the_fingerprint_where_there_are_several(bags_dir):
    space = FeatureCache.open(bags_dir).space()
    whole = dataclasses.replace(space, segments=1)
    assert space.fingerprint != whole.fingerprint and "segments" not in whole.as_dict()
    assert FeatureSpace.from_json(space.as_dict()) == space
    assert FeatureSpace.from_json(whole.as_dict()) == whole


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["classes", "mil"])
def test_labels_of_whole_videos_find_the_segment(bags_dir, tmp_path, outputs):
    settings = {"epochs": 20, "learning_rate": 0.02, "outputs": outputs, "monitor": "val_auc"}
    trained = train_quickly(bags_dir, tmp_path, **settings)
    assert trained["test"]["auc"] > 0.9
    run = Run.open(trained["run"])
    assert run.record().window_s == 2.0  # a window of a video is as long as a segment
    assert not (run.dir / "training_clips.npz").exists()  # distances of whole videos mislead
    cache = FeatureCache.open(bags_dir)
    videos = np.stack(
        [
            cache.read_array(entry, (SEGMENTS, FRAMES, DIM))
            for entry in cache.entries()
            if entry.split == "test" and entry.label == "violent"
        ]
    )
    classifier = run.load_classifier()
    of_segments = classifier.scores(videos.reshape(-1, FRAMES, DIM))
    assert roc_auc_score((videos.mean((2, 3)) > 1.5).ravel(), of_segments) > 0.95
    # A video is as violent as its most violent segment.
    of_videos = classifier.scores(videos)
    np.testing.assert_allclose(of_videos, of_segments.reshape(-1, SEGMENTS).max(1), atol=1e-6)
    result = evaluate_run(trained["run"], EvaluateConfig.from_flags({"bootstrap": 100}))
    assert (result.videos, result.auc) == (16, pytest.approx(trained["test"]["auc"]))


@pytest.mark.slow
def test_a_run_of_segments_is_exported_as_a_model_of_clips(bags_dir, tmp_path):
    settings = {"epochs": 2, "outputs": "classes+mil", "augment": "reverse+noise"}
    trained = train_quickly(bags_dir, tmp_path, **settings)
    asked = {"scope": "classifier", "format": "tflite", "precision": "float16"}
    result = ExportStage(trained["run"], ExportConfig.from_flags(asked)).run()
    assert (result.videos_checked, result.windows_checked) == (16, 16 * SEGMENTS)
    assert result.as_they_are.changed_decisions == 0
    described = files.read_json(Path(result.path).with_name("model.json"))
    assert described["inputs"][0]["shape"][-2:] == [FRAMES, DIM]


@pytest.mark.parametrize("augment", ["reverse", "noise(scale=0.01)", "jitter", "frame_dropout"])
def test_augmentations_change_each_segment_by_itself(augment):
    rng = np.random.default_rng(0)
    videos = rng.normal(size=(4, SEGMENTS, FRAMES, DIM)).astype(np.float32)
    videos += 100 * np.arange(4 * SEGMENTS).reshape(4, SEGMENTS, 1, 1)  # each segment is known
    clips = FeatureDataset(videos.astype(np.float16), np.zeros(4, np.int64), ())
    change = build_augmentation(augment, clips)
    ones = np.ones((4, 1), np.float32)
    changed = change(Batch(videos, ones, ones[:, 0], np.arange(4)), rng).features
    assert changed.shape == videos.shape and not np.array_equal(changed, videos)
    assert np.abs(changed.mean((2, 3)) - videos.mean((2, 3))).max() < 10


@pytest.mark.parametrize("head", ["linear", "mean_pool"])
def test_a_model_of_bags_is_one_of_windows(tmp_path, head):
    rng = np.random.default_rng(0)
    bags = rng.normal(size=(10, SEGMENTS, FRAMES, DIM)).astype(np.float16)
    model = build_classifier(head=head, features=bags, classes=2, recurrence="loop")
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    segment_bags.window_model(model).save(tmp_path / "model.keras")
    windows = load_model(tmp_path / "model.keras")
    assert windows.input_shape == (None, FRAMES, DIM)
    clips = bags[:, :1]
    np.testing.assert_allclose(
        probabilities(windows, clips[:, 0]), probabilities(model, clips), atol=1e-6
    )


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"outputs": "fusion"}, "`outputs` must be of classes, mil, violence"),
        ({"augment": "noise+mixup"}, "must not have mixup for features in segments"),
        ({"one_class": "knn"}, "one-class must have features of whole videos"),
    ],
)
def test_what_needs_whole_clips_is_refused_before_anything_is_done(
    bags_dir, tmp_path, setting, message
):
    asked = {"features": str(bags_dir), "checkpoint_dir": str(tmp_path / "runs")} | setting
    with pytest.raises(ConfigError, match=message):
        TrainingStage(TrainConfig.from_flags(asked)).prepare()
    videos = tmp_path / "videos"
    for label in ("normal", "violent"):
        (videos / label).mkdir(parents=True)
        for number in range(8):
            (videos / label / f"{number}.mp4").touch()
    asked |= {"dataset_path": str(videos), "segments": 4, "cache_dir": str(tmp_path / "cache")}
    del asked["features"]
    with pytest.raises(ConfigError, match=message):
        TrainingStage(TrainConfig.from_flags(asked)).prepare()
    assert [item.name for item in tmp_path.iterdir()] == ["videos"]
