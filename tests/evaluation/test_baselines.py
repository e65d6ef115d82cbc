"""Baselines see what their names say, learn from the other folds, and do without the videos."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from support.features import draw_features
from support.videos import draw_video

from violence_detection.datasets import video_summary
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_summary import VideoSummaries
from violence_detection.errors import VideoError
from violence_detection.evaluation import baselines
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset

CLASSES = ["normal", "violent"]


def clips_of(folder: Path) -> FeatureDataset:
    cache = FeatureCache.open(folder)
    return dataset.read_dataset(cache, dataset.usable_entries(cache), CLASSES)


def sights_with(count, *, pictures=None, energies=None) -> VideoSummaries:
    return VideoSummaries(
        np.full((count, 2), 64, np.int32),
        np.zeros((count, 16, 16, 3), np.float32) if pictures is None else pictures,
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
    """In NumPy and scikit-learn, as the contract says it."""
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
    wanted = fit.predict_proba(scaler.transform(pooled[test]))
    found = Baselines(clips, 2, "none").predict("linear", train, test, seed=0)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_majority_is_the_commonest_class_of_the_other_folds(features_dir):
    clips = clips_of(features_dir)
    violent = np.flatnonzero(clips.labels == 1)
    train = np.concatenate([violent, np.flatnonzero(clips.labels == 0)[:3]])
    found = Baselines(clips, 2, "none").predict("majority", train, violent, seed=0)
    np.testing.assert_array_equal(found, [[0, 1]] * len(violent))


def test_metadata_is_what_the_container_says():
    (row,) = baselines.container_metadata(entries_with([3000], duration_s=1.5, fps=25.0))
    assert row.tolist() == [3000, 1.5, 25, 2000]
    (row,) = baselines.container_metadata(entries_with([3000]))
    assert np.isfinite(row).all()


def test_energies_are_mean_deviation_and_maximum():
    energies = np.array([[0, 1, 0, 1, 0, 1, 0, 1]], np.float32)
    found = baselines.motion_statistics(sights_with(1, energies=energies))
    np.testing.assert_allclose(found, [[0.5, 0.5, 1]])


# -- relation: each baseline learns from what its name says, and from nothing else


@pytest.mark.parametrize("name", ["metadata", "mean_picture", "motion_energy"])
def test_a_baseline_finds_what_is_there_for_it_alone(tmp_path, name):
    clips = clips_of(draw_features(tmp_path / "drawn" / "space", shift=0.0))
    told = clips.labels.astype(np.float32)
    seen = {
        "mean_picture": {"pictures": np.ones((32, 16, 16, 3)) * told[:, None, None, None]},
        "motion_energy": {"energies": np.ones((32, 8)) * told[:, None]},
        "metadata": {},
    }  # fmt: skip
    if name == "metadata":
        entries = entries_with(1000 + 1000 * told)
        clips = FeatureDataset(clips.features, clips.labels, tuple(entries))
    made = Baselines(clips, 2, sights_with(32, **seen[name]))
    train, test = np.arange(0, 24), np.arange(24, 32)
    answers = {
        other: made.predict(other, train, test, seed=0).argmax(axis=1)
        for other in ("metadata", "mean_picture", "motion_energy")
    }
    np.testing.assert_array_equal(answers.pop(name), clips.labels[test])
    for other in answers.values():
        assert (other != clips.labels[test]).any()


def test_the_seed_decides_what_trees_answer(features_dir, rng):
    clips = clips_of(features_dir)
    clips = FeatureDataset(
        clips.features, clips.labels, tuple(entries_with(rng.integers(1, 999, 32)))
    )
    made, train, test = Baselines(clips, 2, "none"), np.arange(24), np.arange(24, 32)
    first, again, other = (made.predict("metadata", train, test, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# -- the videos


def test_a_glance_has_size_picture_and_motion(seen_videos, tmp_path):
    size, picture, energies, hashes = video_summary.summarise_video(seen_videos / "fight" / "0.mp4")
    assert size.tolist() == [96, 64]
    assert picture.shape == (16, 16, 3) and 0 < picture.mean() < 1
    assert energies.shape == (8,) and energies.max() > 0
    assert (hashes.shape, hashes.dtype) == ((8,), np.uint64)
    still = draw_video(tmp_path / "still.mp4", frames=1)
    assert video_summary.summarise_video(still)[2].max() == 0


def test_without_the_videos_it_is_said(features_dir):
    clips = clips_of(features_dir)
    made = Baselines(clips, 2, "they are gone")
    assert made.names == ["linear", "metadata", "majority"]
    assert made.notes == [
        "The baselines mean_picture and motion_energy are left out, and metadata goes without "
        "width and height: they are gone."
    ]


def test_videos_that_were_not_seen_are_not_learned_from(features_dir, rng):
    clips = clips_of(features_dir)
    test, seen = np.array([3, 30]), np.array([*range(3, 31, 3), *range(2, 32, 4)])
    seen, train = np.unique(seen), np.setdiff1d(np.arange(32), test)
    pictures = rng.uniform(size=(32, 16, 16, 3)).astype(np.float32)
    some = sights_with(len(seen), pictures=pictures[seen])
    made = Baselines(clips, 2, some, seen)
    whole = Baselines(clips, 2, sights_with(32, pictures=pictures))
    np.testing.assert_array_equal(
        made.predict("mean_picture", train, test, seed=1),
        whole.predict("mean_picture", np.intersect1d(train, seen), test, seed=1),
    )


@pytest.mark.parametrize(("theirs", "warned"), [([0.5, 0.6], 0), ([0.5, 0.8], 1), ([0.5, 0.9], 1)])
def test_a_baseline_of_the_source_that_comes_close_is_warned_of(theirs, warned):
    pooled = {"model": {"accuracy_ci": [0.8, 0.9]}, "linear": {"accuracy_ci": [0, 1]}}
    pooled["metadata"] = {"accuracy_ci": theirs}
    lines = baselines.source_warnings(pooled, "model")
    assert len(lines) == warned
    assert all("may have learned the source" in line for line in lines)


# -- hostile


def test_sights_of_some_videos_are_none_for_baselines(seen_cache, seen_videos, tmp_path):
    opened, entries = seen_cache
    entries = [*entries[:-1], ManifestEntry("normal/9.mp4", "normal", "9", "", size=3)]
    told = baselines.complete_summaries(opened, entries, tmp_path / "sights.npz")
    assert told == f"1 of 6 videos is no longer in {seen_videos}, or changed"


def test_a_glance_at_nothing_is_an_error(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        video_summary.summarise_video(tmp_path / "none.mp4")
