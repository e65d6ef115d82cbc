"""Nearest training clips and novelty: distances as defined, and the file of a run."""

import numpy as np
import pytest
from support.features import draw_features

from violence_detection.errors import RunError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.models.neighbours import clip_distances
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.run import Run


@pytest.fixture(scope="module")
def clips(features_dir):
    cache = FeatureCache.open(features_dir)
    entries = [e for e in dataset.usable_entries(cache) if e.split == "train"]
    return dataset.read_dataset(cache, entries, ["normal", "violent"])


def test_distances_are_those_of_the_definition_in_blocks_of_any_size(rng, monkeypatch):
    points, references = rng.normal(size=(7, 5)), rng.normal(size=(11, 5))
    expected = np.linalg.norm(points[:, None] - references[None], axis=2)
    monkeypatch.setattr(clip_distances, "_BLOCK_CELLS", 22)  # two points at a time
    rows, distances = clip_distances.nearest(points, references, 3)
    np.testing.assert_array_equal(rows, np.argsort(expected, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :3], rtol=1e-5)


def test_equal_clips_have_no_negative_distance(rng):
    far = rng.normal(1e3, 1, size=(4, 300))
    assert clip_distances.squared_distances(far, far).min() == 0


def test_clips_of_the_own_recording_are_not_neighbours():
    points = np.array([[0.0], [0.1], [5.0]])
    groups = ["a", "a", "b"]
    neighbours = clip_distances.nearest(
        points, points, 2, point_groups=groups, reference_groups=groups
    )
    np.testing.assert_allclose(clip_distances.mean_distances(neighbours), [5, 4.9, 4.95], rtol=1e-5)


def test_a_value_that_hardly_varies_is_not_blown_up(rng):
    statistics = np.column_stack([rng.normal(size=100), np.full(100, 3.0)])
    scale = clip_distances.Standardisation.fitted_to(statistics)
    assert abs(scale.apply(np.array([[0.0, 3.01]]))[0, 1]) < 1


def test_one_percent_of_the_training_clips_is_farther_than_the_limit(tmp_path):
    folder = draw_features(tmp_path / "drawn" / "space", counts=(200, 8, 8))
    cache = FeatureCache.open(folder)
    entries = [entry for entry in dataset.usable_entries(cache) if entry.split == "train"]
    clips = dataset.read_dataset(cache, entries, ["normal", "violent"])
    known = TrainingClips.from_features(clips)
    pooled = known.statistics.astype(np.float64)
    distances = np.linalg.norm(pooled[:, None] - pooled[None], axis=2)
    own = clips.groups[:, None] == clips.groups[None]
    nearest = np.sort(np.where(own, np.inf, distances), axis=1)[:, :5].mean(axis=1)
    assert (nearest > known.limit).sum() == 2


def test_a_clip_far_from_all_training_clips_is_novel(clips):
    known = TrainingClips.from_features(clips)
    own, foreign = clips.features[:4], clips.features[:4] + np.float16(30)
    assert (known.novelty(own) < 1).all()
    assert (known.novelty(foreign) > 2).all()


def test_the_nearest_training_clip_of_a_training_clip_is_itself(clips):
    known = TrainingClips.from_features(clips)
    for entry, near in zip(clips.entries, known.nearest(clips.features[:]), strict=True):
        assert (near[0].path, near[0].label, near[0].group) == (
            entry.path,
            entry.label,
            entry.group,
        )
        assert near[0].distance < 0.02 < near[1].distance <= near[2].distance


def test_the_file_of_a_run_holds_the_same_and_moves_with_it(clips, tmp_path):
    known = TrainingClips.from_features(clips)
    (tmp_path / "run").mkdir()
    known.write(Run(tmp_path / "run"))
    (tmp_path / "run").rename(tmp_path / "moved")
    read = TrainingClips.of_run(Run(tmp_path / "moved"))
    np.testing.assert_array_equal(read.novelty(clips.features[:]), known.novelty(clips.features[:]))
    assert read.nearest(clips.features[:2]) == known.nearest(clips.features[:2])


def test_a_single_recording_shows_no_limit(clips):
    recording = clips.entries[0].group
    single = clips.take([n for n, entry in enumerate(clips.entries) if entry.group == recording])
    assert TrainingClips.from_features(single).novelty(clips.features[:2]) is None


def test_a_run_of_an_older_version_has_none_and_a_damaged_file_is_refused(clips, tmp_path):
    run = Run(tmp_path)
    assert TrainingClips.of_run(run) is None
    TrainingClips.from_features(clips).write(run)
    content = run.training_clips_path.read_bytes()
    run.training_clips_path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="training_clips.npz"):
        TrainingClips.of_run(run)
