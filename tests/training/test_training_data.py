"""The training videos: weights of classes and recordings, sampling, and the split that is read."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from support.features import draw_features

from violence_detection.datasets.training_readiness import check_splits
from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.models.output_set import OutputSet
from violence_detection.training import training_data
from violence_detection.training.training_data import TrainingData

PLAIN = {
    "batch_size": 8,
    "seed": 0,
    "sampling": "natural",
    "use_class_weights": True,
    "recording_weights": "natural",
    "augment": "none",
}


def videos_of(labels, groups=None) -> FeatureDataset:
    """Videos of these labels and recordings; without recordings, each is one of its own."""
    groups = range(len(labels)) if groups is None else groups
    entries = tuple(SimpleNamespace(group=str(group)) for group in groups)
    features = np.zeros((len(labels), 3, 2), np.float16)
    return FeatureDataset(features, np.asarray(labels), entries)


def data_of(labels, groups=None, *, classes=2, **settings) -> TrainingData:
    outputs = OutputSet.of_spec("classes", classes)
    return TrainingData(videos_of(labels, groups), outputs=outputs, **PLAIN | settings)


# -- golden


def test_class_weights_are_the_inverse_of_the_fractions():
    """11 videos of two classes: N / (2 n_c), to the bit."""
    labels = np.repeat([0, 1], [4, 7])
    inverse = 1 / (2 * np.array([4 / 11, 7 / 11]))
    np.testing.assert_array_equal(data_of(labels).weights, inverse[labels].astype(np.float32))


@pytest.mark.parametrize("counts", [(4, 4, 3), (9, 1, 2, 5), (3, *range(1, 14))])
def test_the_normal_class_has_half_of_the_weight_and_the_others_share_the_rest(counts):
    classes = len(counts)
    labels = np.repeat(np.arange(classes), counts)
    data = data_of(labels, classes=classes)
    shares = np.bincount(labels, data.weights) / len(labels)
    np.testing.assert_allclose(shares, [0.5, *[0.5 / (classes - 1)] * (classes - 1)], rtol=1e-6)
    np.testing.assert_allclose(data.class_fractions, shares, rtol=1e-6)


def test_without_class_weights_the_loss_gets_the_fractions():
    labels = np.repeat([0, 1], [6, 5])
    assert data_of(labels, use_class_weights=True).class_fractions == [0.5, 0.5]
    plain = data_of(labels, use_class_weights=False)
    assert (plain.weights == 1).all()
    np.testing.assert_allclose(plain.class_fractions, [6 / 11, 5 / 11])


@pytest.mark.parametrize(
    ("sampling", "fractions"),
    [("natural", [9 / 13, 4 / 13]), ("sqrt", [3 / 5, 2 / 5]), ("balanced", [0.5, 0.5])],
)
def test_weights_or_the_loss_correct_what_is_drawn_once(sampling, fractions):
    labels = np.repeat([0, 1], [9, 4])
    weighted = data_of(labels, sampling=sampling)
    plain = data_of(labels, sampling=sampling, use_class_weights=False)
    np.testing.assert_allclose(weighted.weights, 1 / (2 * np.array(fractions)[labels]), rtol=1e-6)
    assert weighted.class_fractions == [0.5, 0.5]
    assert (plain.weights == 1).all()
    np.testing.assert_allclose(plain.class_fractions, fractions)


@pytest.mark.parametrize(
    ("weighting", "of_one", "of_two", "of_four"),
    [("natural", 1, 1, 1), ("sqrt", 1, 2**-0.5, 0.5), ("balanced", 1, 1 / 2, 1 / 4)],
)
def test_a_recording_weighs_as_asked(weighting, of_one, of_two, of_four):
    """Of the normal class recordings of 4, 2 and 1 videos; each violent video is alone."""
    labels = np.repeat([0, 1], [7, 7])
    videos = videos_of(labels, [*"aaaabbc", *range(7)])
    weights = training_data.recording_weights_of(videos, weighting)
    expected = np.repeat([of_four, of_two, of_one], [4, 2, 1])
    np.testing.assert_allclose(weights[:7], expected / expected.mean(), rtol=1e-6)
    np.testing.assert_array_equal(weights[7:], 1)


# -- relation


@pytest.mark.parametrize("weighting", ["natural", "sqrt", "balanced"])
def test_the_weights_of_recordings_leave_the_classes_as_they_are(weighting):
    """A recording of both classes counts by all of its videos; class weights stay exact."""
    labels = np.repeat([0, 1], [9, 4])
    groups = [*"aabbccdde", *"aaff"]
    data = data_of(labels, groups, recording_weights=weighting)
    np.testing.assert_allclose(np.bincount(labels, data.weights), 13 / 2, rtol=1e-6)
    of_four = data.weights[data.videos.groups == "a"]
    assert (len(of_four), len(set(of_four))) == (4, 2)
    assert data.class_fractions == [0.5, 0.5]


@pytest.mark.parametrize(("sampling", "fraction"), [("natural", 2 / 14), ("balanced", 0.5)])
def test_sampling_decides_what_an_epoch_draws(sampling, fraction):
    data = data_of(np.repeat([0, 1], [12, 2]), sampling=sampling)
    assert data.steps_per_epoch == 2
    batches = data.dataset().take(data.steps_per_epoch).as_numpy_iterator()
    drawn = [np.ravel(targets)[weights > 0] for _, targets, weights in batches]
    assert np.mean(np.concatenate(drawn)) == fraction


# -- the split that is read


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache.open(draw_features(tmp_path / "space", counts=(6, 4, 0)))


def test_a_split_without_videos_is_left_out(cache):
    clips = training_data.read_splits(cache, dataset.usable_entries(cache), ["normal", "violent"])
    assert {split: len(part) for split, part in clips.items()} == {"train": 6, "validation": 4}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_training_and_validation_must_have_videos(cache, split):
    entries = [entry for entry in cache.entries() if entry.split != split]
    with pytest.raises(CacheError, match=f"readable videos for {split}. Received: .*0 {split}"):
        check_splits(entries, ["normal", "violent"])


def test_every_class_must_be_in_training(cache):
    entries = [
        dataclasses.replace(entry, split="validation") if entry.label == "violent" else entry
        for entry in cache.entries()
    ]
    with pytest.raises(CacheError, match="have every class. Received: none of violent"):
        check_splits(entries, ["normal", "violent"])
