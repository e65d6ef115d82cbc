"""Baselines use the data that their names say, and work without the videos."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from support.features import draw_features

from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation import baselines
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models import linear_baseline

CLASSES = ["normal", "violent"]


def clips_of(folder: Path) -> FeatureDataset:
    cache = FeatureCache.open(folder)
    return dataset.read_dataset(cache, dataset.usable_entries(cache), CLASSES)


def summaries_with(count, *, images=None, energies=None) -> VideoSummaries:
    return VideoSummaries(
        np.full((count, 2), 64, np.int32),
        np.zeros((count, 16, 16, 3), np.float32) if images is None else images,
        np.zeros((count, 8), np.float32) if energies is None else energies,
        np.zeros((count, 8), np.uint64),
    )


def entries_with(values, **settings) -> list[ManifestEntry]:
    return [
        ManifestEntry(f"{n}.mp4", "normal", "r", "", **settings | {"size": int(value)})
        for n, value in enumerate(values)
    ]


# -- golden


def test_linear_is_a_regression_on_three_statistics(features_dir):
    """Computed with NumPy and scikit-learn from the definition in the contract."""
    clips = clips_of(features_dir)
    features = clips.features[:].astype(np.float64)
    pooled = np.hstack(
        [
            features.mean(axis=1),
            features.std(axis=1),
            np.abs(np.diff(features, axis=1)).mean(axis=1),
        ]
    )
    train, test = np.arange(20), np.arange(20, 32)
    scaler = StandardScaler().fit(pooled[train])
    fit = LogisticRegression(C=1, max_iter=1000)
    fit.fit(scaler.transform(pooled[train]), clips.labels[train])
    expected = fit.predict_proba(scaler.transform(pooled[test]))
    probability = Baselines(clips, 2, "none").predict("linear", train, test, seed=0)
    np.testing.assert_allclose(probability, expected, atol=2e-3)


def test_majority_is_the_commonest_class_of_the_other_folds(features_dir):
    clips = clips_of(features_dir)
    violent = np.flatnonzero(clips.labels == 1)
    train = np.concatenate([violent, np.flatnonzero(clips.labels == 0)[:3]])
    probability = Baselines(clips, 2, "none").predict("majority", train, violent, seed=0)
    np.testing.assert_array_equal(probability, [[0, 1]] * len(violent))


def test_metadata_are_values_of_the_container():
    (row,) = baselines.container_metadata(entries_with([3000], duration_s=1.5, fps=25.0))
    assert row.tolist() == [3000, 1.5, 25, 2000]
    (row,) = baselines.container_metadata(entries_with([3000]))
    assert np.isfinite(row).all()


def test_energies_are_mean_deviation_and_maximum():
    energies = np.array([[0, 1, 0, 1, 0, 1, 0, 1]], np.float32)
    statistics = baselines.motion_statistics(summaries_with(1, energies=energies))
    np.testing.assert_allclose(statistics, [[0.5, 0.5, 1]])


# -- relation: each baseline uses the data that its name says, and no other


def test_knn_is_the_vote_of_the_five_nearest(features_dir):
    """Computed with scikit-learn from the definition."""
    clips = clips_of(features_dir)
    pooled = np.concatenate(list(linear_baseline.pooled_blocks(clips, np.arange(32))))
    train, test = np.arange(20), np.arange(20, 32)
    scaler = StandardScaler().fit(pooled[train])
    fit = KNeighborsClassifier(5, weights="distance")
    fit.fit(scaler.transform(pooled[train]), clips.labels[train])
    expected = fit.predict_proba(scaler.transform(pooled[test]))
    probability = Baselines(clips, 2, "none").predict("knn", train, test, seed=0)
    np.testing.assert_allclose(probability, expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metadata", "mean_picture", "motion_energy"])
def test_only_the_baseline_of_the_informative_data_is_right(tmp_path, name):
    clips = clips_of(draw_features(tmp_path / "drawn" / "space", shift=0.0))
    signal = clips.labels.astype(np.float32)
    informative = {
        "mean_picture": {"images": np.ones((32, 16, 16, 3)) * signal[:, None, None, None]},
        "motion_energy": {"energies": np.ones((32, 8)) * signal[:, None]},
        "metadata": {},
    }  # fmt: skip
    if name == "metadata":
        entries = entries_with(1000 + 1000 * signal)
        clips = FeatureDataset(clips.features, clips.labels, tuple(entries))
    fitted = Baselines(clips, 2, summaries_with(32, **informative[name]))
    train, test = np.arange(0, 24), np.arange(24, 32)
    predicted = {
        baseline: fitted.predict(baseline, train, test, seed=0).argmax(axis=1)
        for baseline in ("metadata", "mean_picture", "motion_energy")
    }
    right = [
        baseline for baseline in predicted if (predicted[baseline] == clips.labels[test]).all()
    ]
    assert right == [name]


@pytest.mark.slow
def test_the_seed_determines_the_predictions_of_the_trees(features_dir, rng):
    clips = clips_of(features_dir)
    clips = FeatureDataset(
        clips.features, clips.labels, tuple(entries_with(rng.integers(1, 999, 32)))
    )
    fitted, train, test = Baselines(clips, 2, "none"), np.arange(24), np.arange(24, 32)
    first, again, second = (
        fitted.predict("metadata", train, test, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


# -- the videos


def test_without_the_videos_a_note_gives_the_reason(features_dir):
    clips = clips_of(features_dir)
    fitted = Baselines(clips, 2, "they are gone")
    assert fitted.names == ["linear", "knn", "metadata", "majority"]
    assert fitted.notes == [
        "The baselines mean_picture and motion_energy are left out, and metadata lacks width and "
        "height: they are gone."
    ]


def test_videos_without_summary_are_not_trained_on(features_dir, rng):
    clips = clips_of(features_dir)
    test = np.array([3, 30])
    rows = np.unique([*range(3, 31, 3), *range(2, 32, 4)])
    train = np.setdiff1d(np.arange(32), test)
    images = rng.uniform(size=(32, 16, 16, 3)).astype(np.float32)
    partial = Baselines(clips, 2, summaries_with(len(rows), images=images[rows]), rows)
    whole = Baselines(clips, 2, summaries_with(32, images=images))
    np.testing.assert_array_equal(
        partial.predict("mean_picture", train, test, seed=1),
        whole.predict("mean_picture", np.intersect1d(train, rows), test, seed=1),
    )


@pytest.mark.parametrize(
    ("interval", "warned"), [([0.5, 0.6], 0), ([0.5, 0.8], 1), ([0.5, 0.9], 1)]
)
def test_a_source_baseline_that_comes_close_is_a_warning(interval, warned):
    intervals = {"model": [0.8, 0.9], "linear": [0, 1], "metadata": interval}
    lines = baselines.source_warnings(intervals, "model")
    assert len(lines) == warned
    assert all("may have learned the source" in line for line in lines)


# -- missing videos


def test_summaries_of_some_videos_are_not_enough(video_cache, cached_videos, tmp_path):
    opened, entries = video_cache
    entries = [*entries[:-1], ManifestEntry("normal/9.mp4", "normal", "9", "", size=3)]
    reason = baselines.complete_summaries(opened, entries, tmp_path / "sights.npz")
    assert reason == f"1 of 6 videos is no longer in {cached_videos}, or changed"
