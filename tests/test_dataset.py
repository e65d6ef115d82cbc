"""Splits read from the cache, and the batches made of them."""

import dataclasses

import numpy as np
import pytest
from conftest import draw_features
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import dataset, files
from violence_detection.cache import FeatureCache
from violence_detection.errors import CacheError

CLASSES = ["normal", "violent"]
COUNT, BATCH = st.integers(1, 60), st.integers(1, 20)


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache.open(draw_features(tmp_path / "space", counts=(6, 2, 2)))


@pytest.fixture
def clips(cache) -> dataset.Clips:
    rows = [entry for entry in cache.entries() if entry.split == "train"]
    return dataset.read_clips(cache, rows, CLASSES)


def epoch_of(clips, weights, *, order=None, **asked):
    order = np.arange(len(clips)) if order is None else order
    batches = dataset.batches(clips, weights, classes=2, order=order, **asked)
    return list(batches.as_numpy_iterator())


# -- golden


def test_targets_are_a_column_for_two_classes_and_one_hot_for_more():
    labels = np.array([0, 1, 1])
    np.testing.assert_array_equal(dataset.targets(labels, 2), [[0], [1], [1]])
    np.testing.assert_array_equal(
        dataset.targets(labels, 3), [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    )
    assert dataset.targets(labels, 2).dtype == np.float32


def test_the_last_batch_is_filled_up_with_rows_that_do_not_count():
    rows, real = zip(*dataset.batch_indices(np.array([4, 3, 2, 1, 0]), 3), strict=True)
    np.testing.assert_array_equal(rows, [[4, 3, 2], [1, 0, 0]])
    np.testing.assert_array_equal(real, [[1, 1, 1], [1, 1, 0]])


def test_weights_are_divided_by_the_real_videos_of_the_batch(clips):
    weights = np.arange(1, 7, dtype=np.float32)
    *_, (_, _, last) = epoch_of(clips, weights, batch_size=4)
    np.testing.assert_allclose(last, [5 / 2, 6 / 2, 0, 0])


# -- relation


def test_a_batch_holds_the_arrays_of_the_cache_in_the_asked_order(cache, clips):
    order = np.array([5, 0, 3, 1, 2, 4])
    features, goals, _ = epoch_of(
        clips, np.ones(6, np.float32), batch_size=2, order=order
    )[0]
    for row, number in enumerate(order[:2]):
        entry = clips.entries[number]
        np.testing.assert_array_equal(features[row], cache.read_array(entry, (6, 8)))
        assert goals[row, 0] == CLASSES.index(entry.label)
    assert features.dtype == np.float32


def test_batches_have_static_shapes(clips):
    batches = dataset.batches(
        clips, np.ones(6, np.float32), classes=2, order=np.arange(6), batch_size=4
    )
    assert [tuple(one.shape) for one in batches.element_spec] == [
        (4, 6, 8),
        (4, 1),
        (4,),
    ]


def test_shares_of_batches_make_up_the_whole_ones(clips):
    """The last batch has one video and three fillers; its weight is that of the whole batch."""
    weights, asked = np.arange(1, 7, dtype=np.float32), {"batch_size": 5, "replicas": 3}
    whole = epoch_of(clips, weights, **asked)
    shares = [
        epoch_of(clips, weights, **asked, share=(number, 3)) for number in range(3)
    ]
    assert len(whole) == 2
    for batch, *parts in zip(whole, *shares, strict=True):
        for arrays in zip(batch, *parts, strict=True):
            np.testing.assert_array_equal(arrays[0], np.concatenate(arrays[1:]))


def test_the_order_is_a_function_of_seed_and_epoch():
    order = dataset.epoch_order(50, seed=1, epoch=2)
    np.testing.assert_array_equal(order, dataset.epoch_order(50, seed=1, epoch=2))
    assert not np.array_equal(order, dataset.epoch_order(50, seed=1, epoch=3))
    assert not np.array_equal(order, dataset.epoch_order(50, seed=2, epoch=2))


# -- property


@given(COUNT, st.integers(0, 2**31 - 1), st.integers(1, 1000))
def test_an_epoch_sees_each_video_once(count, seed, epoch):
    order = dataset.epoch_order(count, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(count))


@given(COUNT, BATCH)
def test_batches_are_full_and_hold_the_order(count, batch_size):
    order = np.random.default_rng(0).permutation(count)
    batches = list(dataset.batch_indices(order, batch_size))
    assert {len(rows) for rows, _ in batches} == {batch_size}
    seen = np.concatenate([rows[real > 0] for rows, real in batches])
    np.testing.assert_array_equal(seen, order)


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
        dataset.read_clips(cache, [entry], CLASSES)


def test_a_missing_array_is_named(cache):
    entry = cache.entries()[0]
    cache.array_path(entry.path).unlink()
    with pytest.raises(
        CacheError, match=f"array of {entry.path} cannot be read: No such file"
    ):
        dataset.read_clips(cache, [entry], CLASSES)


def test_a_label_that_the_run_does_not_know_is_named(cache):
    with pytest.raises(
        CacheError, match="must be among normal, calm. Received: violent"
    ):
        dataset.read_clips(cache, cache.entries(), ["normal", "calm"])


def test_an_array_of_another_shape_is_refused(cache):
    settings = cache.settings()
    settings["feature_space"]["frames"] = 7
    files.write_json(cache.extraction_path, settings)
    with pytest.raises(
        CacheError, match=r"must be float16 \(7, 8\). Received: float16 \(6, 8\)"
    ):
        dataset.read_clips(cache, cache.entries(), CLASSES)
