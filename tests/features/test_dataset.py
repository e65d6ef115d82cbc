"""Splits read from the cache."""

import dataclasses

import numpy as np
import pytest
from support.features import draw_features

from violence_detection.errors import CacheError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files

CLASSES = ["normal", "violent"]


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache.open(draw_features(tmp_path / "space", counts=(6, 2, 2)))


# -- balanced rows


def test_balanced_rows_are_as_many_of_each_class_and_evenly_spaced():
    labels = np.array([0] * 90 + [1] * 10 + [2])
    rows = dataset.balanced_rows(labels, 9)
    assert np.bincount(labels[rows]).tolist() == [3, 3, 1]
    assert rows.tolist() == [0, 44, 89, 90, 94, 99, 100]


def test_few_rows_are_all_taken():
    labels = np.array([1, 0, 1])
    for proportional in (False, True):
        rows = dataset.balanced_rows(labels, 10, proportional=proportional)
        assert sorted(rows.tolist()) == [0, 1, 2]
    assert dataset.balanced_rows(np.zeros(0, int), 10).tolist() == []


# -- error


def test_an_interrupted_extraction_cannot_be_trained_on(tmp_path):
    folder = draw_features(tmp_path, complete=False)
    with pytest.raises(CacheError, match="must be of a finished extraction"):
        dataset.usable_entries(FeatureCache.open(folder))


def test_features_of_no_video_are_refused(tmp_path):
    folder = draw_features(tmp_path, counts=(0, 0, 0))
    with pytest.raises(CacheError, match="features of at least one video"):
        dataset.usable_entries(FeatureCache.open(folder))


def test_failed_videos_are_not_used(cache):
    rows = cache.entries()
    failed = dataclasses.replace(rows[0], status="failed", error="torn")
    cache.write_manifest([failed, *rows[1:]])
    assert rows[0].path not in {entry.path for entry in dataset.usable_entries(cache)}


def test_an_altered_array_is_refused_by_its_digest(cache):
    entry = cache.entries()[0]
    path = cache.array_path(entry.path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CacheError, match=f"array of {entry.path} .* it was altered"):
        dataset.read_dataset(cache, [entry], CLASSES)


def test_a_missing_array_is_named(cache):
    entry = cache.entries()[0]
    cache.array_path(entry.path).unlink()
    with pytest.raises(CacheError, match=f"array of {entry.path} cannot be read: No such file"):
        dataset.read_dataset(cache, [entry], CLASSES)


def test_a_label_that_the_run_does_not_know_is_named(cache):
    with pytest.raises(CacheError, match="must be among normal, calm. Received: violent"):
        dataset.read_dataset(cache, cache.entries(), ["normal", "calm"])


def test_an_array_of_another_shape_is_refused(cache):
    settings = cache.record().to_json()
    settings["feature_space"]["frames"] = 7
    files.write_json(cache.extraction_path, settings)
    with pytest.raises(CacheError, match=r"must be float16 \(7, 8\). Received: float16 \(6, 8\)"):
        dataset.read_dataset(cache, cache.entries(), CLASSES)


@pytest.mark.parametrize(("classes", "counts"), [(12, [1] * 12), (2, [4, 4])])
def test_balanced_rows_are_of_every_class(classes, counts):
    labels = np.arange(30) % classes
    rows = dataset.balanced_rows(labels, 8)
    assert np.bincount(labels[rows]).tolist() == counts


def test_proportional_rows_keep_the_fractions_and_every_class():
    labels = np.repeat([0, 1, 2], [80, 19, 1])
    rows = dataset.balanced_rows(labels, 10, proportional=True)
    assert np.bincount(labels[rows]).tolist() == [8, 1, 1]
