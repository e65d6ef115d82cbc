"""Baselines are fitted on the run's unchanged training videos and scored on the same videos."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.evaluation import baseline_comparison
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files

CLASSES = ["normal", "violent"]


@pytest.fixture
def cache(features_dir, tmp_path) -> FeatureCache:
    """A copy of the features, for tests that write to it."""
    return FeatureCache.open(shutil.copytree(features_dir, tmp_path / "c" / "space"))


def entries_of(cache, split):
    return [entry for entry in dataset.usable_entries(cache) if entry.split == split]


def compare(run_dir, cache, *, accuracy_ci=(0.9, 1.0), read_videos=False, videos=None):
    clips = dataset.read_dataset(cache, entries_of(cache, "test")[:videos], CLASSES)
    return baseline_comparison.compare_with_baselines(
        Run(run_dir),
        cache,
        clips,
        CLASSES,
        accuracy_ci=accuracy_ci,
        read_videos=read_videos,
        resamples=100,
        seed=1,
    )


# -- golden


@pytest.mark.slow
def test_they_are_fitted_on_train_and_scored_on_the_split(run_dir, cache):
    entries = [*entries_of(cache, "train"), *entries_of(cache, "test")]
    clips = dataset.read_dataset(cache, entries, CLASSES)
    baselines = Baselines(clips, 2, "none")
    probability = baselines.predict("linear", np.arange(16), np.arange(16, 24), seed=1)
    expected = ((probability[:, 1] >= 0.5) == clips.labels[16:]).mean()
    result = compare(run_dir, cache)
    assert result.baselines["linear"].accuracy == pytest.approx(expected)
    assert result.baselines.keys() == {"linear", "knn", "metadata", "majority"}
    assert result.baselines["majority"].accuracy == 0.5
    assert result.baseline_videos == 16


@pytest.mark.slow
def test_a_source_baseline_that_comes_close_is_a_warning(run_dir, cache):
    near = compare(run_dir, cache, accuracy_ci=(0.0, 1.0))
    assert near.close_baselines == ["metadata"]
    assert near.warnings[0].startswith("The baseline metadata comes close")
    far = compare(run_dir, cache, accuracy_ci=(1.01, 1.01))
    assert (far.close_baselines, far.warnings) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("videos", [1, 3, 7])
def test_with_fewer_than_four_videos_of_a_class_none_comes_close(run_dir, cache, videos):
    result = compare(run_dir, cache, accuracy_ci=(0.0, 1.0), videos=videos)
    assert "metadata" in result.baselines
    assert (result.close_baselines, result.warnings) == ([], [])


def test_with_the_videos_the_background_is_a_baseline_too(run_dir, cache, monkeypatch):
    def summaries(cache, entries):
        violent = np.array([entry.label == "violent" for entry in entries], np.float32)
        images = np.tile(violent[:, None, None, None], (1, 16, 16, 3))
        sizes = np.full((len(entries), 2), 64, np.int32)
        hashes = np.zeros((len(entries), 8), np.uint64)
        return VideoSummaries(sizes, images, np.zeros((len(entries), 8), np.float32), hashes)

    monkeypatch.setattr(baseline_comparison.baselines, "complete_summaries", summaries)
    scores = compare(run_dir, cache, read_videos=True).baselines
    assert scores["mean_picture"].accuracy == 1.0
    assert scores["motion_energy"].accuracy == 0.5


# -- relation


def test_of_many_videos_an_even_part_is_used(run_dir, cache, monkeypatch):
    monkeypatch.setattr(baseline_comparison, "_MAX_TRAINING", 8)
    assert compare(run_dir, cache).baseline_videos == 8


@pytest.mark.slow
def test_the_labels_are_those_of_the_training(run_dir, cache):
    before = compare(run_dir, cache)
    rows = [
        dataclasses.replace(entry, label="robbery") if entry.split == "train" else entry
        for entry in cache.entries()
    ]
    cache.write_manifest(rows)
    assert compare(run_dir, cache).baselines == before.baselines


@pytest.mark.slow
def test_for_another_dataset_they_use_the_features_of_the_training(features_dir, tmp_path):
    features = shutil.copytree(features_dir, tmp_path / "own" / "space")
    run = Path(train_quickly(features, tmp_path / "runs")["run"])
    dataset = {"name": "other", "dir": "/other"}
    cache = FeatureCache.open(draw_features(tmp_path / "o", seed=5, dataset=dataset))
    result = compare(run, cache)
    assert (result.baseline_videos, result.baselines_left_out[:-1]) == (16, [])
    shutil.rmtree(features)
    result = compare(run, cache)
    assert result.baselines == {}
    assert result.baselines_left_out == [
        "There are no baselines: the training videos no longer exist or have changed."
    ]


# -- missing videos


def test_the_reason_for_missing_baselines_is_stated(run_dir, cache):
    (line,) = compare(run_dir, cache).baselines_left_out
    assert line.endswith("width and height: --no-read-videos was given.")
    (line,) = compare(run_dir, cache, read_videos=True).baselines_left_out
    assert line.endswith("their folder /drawn does not exist.")


def test_changed_training_videos_are_not_used(run_dir, cache, tmp_path):
    changed = [
        dataclasses.replace(entry, digest="other") if entry.path.endswith("train_0.mp4") else entry
        for entry in cache.entries()
    ]
    cache.write_manifest(changed)
    run = shutil.copytree(run_dir, tmp_path / "run")
    config = Run(run).config() | {"features": str(tmp_path / "gone")}
    files.write_json(Run(run).config_path, config)
    result = compare(run, cache)
    assert result.baseline_videos == 15
    assert result.baselines_left_out[0] == (
        "The baselines lack 1 training video: no features, or they changed."
    )
