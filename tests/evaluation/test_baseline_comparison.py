"""Baselines learn from the run's training videos as they were, and are judged beside it."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.evaluation import baseline_comparison
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files

CLASSES = ["normal", "violent"]


@pytest.fixture
def cache(features_dir, tmp_path) -> FeatureCache:
    """A copy of the features, to be written to."""
    return FeatureCache.open(shutil.copytree(features_dir, tmp_path / "c" / "space"))


def entries_of(cache, split):
    return [one for one in dataset.usable_entries(cache) if one.split == split]


def judge(run_dir, cache, *, accuracy_ci=(0.9, 1.0), pictures=False):
    clips = dataset.read_dataset(cache, entries_of(cache, "test"), CLASSES)
    return baseline_comparison.compare_with_baselines(
        Run(run_dir),
        cache,
        clips,
        CLASSES,
        accuracy_ci=accuracy_ci,
        pictures=pictures,
        resamples=100,
        seed=1,
    )


# -- golden


def test_they_learn_from_train_and_are_judged_on_the_split(run_dir, cache):
    entries = [*entries_of(cache, "train"), *entries_of(cache, "test")]
    clips = dataset.read_dataset(cache, entries, CLASSES)
    ours = Baselines(clips, 2, "none")
    answer = ours.predict("linear", np.arange(16), np.arange(16, 24), seed=1)
    expected = ((answer[:, 1] >= 0.5) == clips.labels[16:]).mean()
    found = judge(run_dir, cache)
    assert found["baselines"]["linear"]["accuracy"] == pytest.approx(expected)
    assert found["baselines"].keys() == {"linear", "metadata", "majority"}
    assert found["baselines"]["majority"]["accuracy"] == 0.5
    assert found["baseline_videos"] == 16


def test_a_source_that_comes_close_is_warned_of(run_dir, cache):
    near = judge(run_dir, cache, accuracy_ci=(0.0, 1.0))
    assert near["close_baselines"] == ["metadata"]
    assert near["warnings"][0].startswith("The baseline metadata comes close")
    far = judge(run_dir, cache, accuracy_ci=(1.01, 1.01))
    assert (far["close_baselines"], far["warnings"]) == ([], [])


def test_with_the_videos_the_background_is_judged_too(run_dir, cache, monkeypatch):
    def sights(cache, entries):
        from violence_detection.datasets.video_summary import VideoSummaries

        violent = np.array([one.label == "violent" for one in entries], np.float32)
        pictures = np.tile(violent[:, None, None, None], (1, 16, 16, 3))
        sizes = np.full((len(entries), 2), 64, np.int32)
        hashes = np.zeros((len(entries), 8), np.uint64)
        return VideoSummaries(sizes, pictures, np.zeros((len(entries), 8), np.float32), hashes)

    monkeypatch.setattr(baseline_comparison.baselines, "sights_of", sights)
    found = judge(run_dir, cache, pictures=True)
    assert found["baselines"]["mean_picture"]["accuracy"] == 1.0
    assert found["baselines"]["motion_energy"]["accuracy"] == 0.5


# -- relation


def test_of_many_videos_an_even_share_is_learned_from(run_dir, cache, monkeypatch):
    monkeypatch.setattr(baseline_comparison, "_MOST_TRAINING", 8)
    assert judge(run_dir, cache)["baseline_videos"] == 8


def test_the_labels_are_those_that_the_run_learned(run_dir, cache):
    before = judge(run_dir, cache)
    rows = [
        dataclasses.replace(one, label="robbery") if one.split == "train" else one
        for one in cache.entries()
    ]
    cache.write_manifest(rows)
    assert judge(run_dir, cache)["baselines"] == before["baselines"]


def test_on_another_dataset_they_learn_where_the_run_did(features_dir, tmp_path):
    home = shutil.copytree(features_dir, tmp_path / "home" / "space")
    run = Path(train_quickly(home, tmp_path / "runs")["run"])
    other = {"name": "other", "dir": "/other"}
    cache = FeatureCache.open(draw_features(tmp_path / "o", seed=5, dataset=other))
    found = judge(run, cache)
    assert (found["baseline_videos"], found["baselines_left_out"][:-1]) == (16, [])
    shutil.rmtree(home)
    found = judge(run, cache)
    assert found["baselines"] == {}
    assert found["baselines_left_out"] == [
        "There are no baselines: the training videos are not there as the run learned from them."
    ]


# -- what is left out


def test_pictures_that_are_not_wanted_or_not_there_are_told(run_dir, cache):
    (line,) = judge(run_dir, cache)["baselines_left_out"]
    assert line.endswith("width and height: --no-pictures was given.")
    (line,) = judge(run_dir, cache, pictures=True)["baselines_left_out"]
    assert line.endswith("their folder /drawn does not exist.")


def test_training_videos_that_changed_are_done_without(run_dir, cache, tmp_path):
    changed = [
        dataclasses.replace(one, digest="other") if one.path.endswith("train_0.mp4") else one
        for one in cache.entries()
    ]
    cache.write_manifest(changed)
    run = shutil.copytree(run_dir, tmp_path / "run")
    config = Run(run).config() | {"features": str(tmp_path / "gone")}
    files.write_json(Run(run).config_path, config)
    found = judge(run, cache)
    assert found["baseline_videos"] == 15
    assert found["baselines_left_out"][0] == (
        "The baselines do without 1 training video: not there as they were."
    )
