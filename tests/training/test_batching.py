"""What an epoch draws, and the batches made of it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.features import draw_features

from violence_detection.errors import ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.training import batching

CLASSES = ["normal", "violent"]
COUNT, BATCH = st.integers(1, 60), st.integers(1, 20)
MIXED = "jitter+mixup(alpha=1)+noise(scale=0.3)"


@pytest.fixture
def cache(tmp_path) -> FeatureCache:
    return FeatureCache.open(draw_features(tmp_path / "space", counts=(6, 2, 2)))


@pytest.fixture
def clips(cache) -> dataset.FeatureDataset:
    rows = [entry for entry in cache.entries() if entry.split == "train"]
    return dataset.read_dataset(cache, rows, CLASSES)


def targets_of(clips) -> np.ndarray:
    return clips.labels[:, None].astype(np.float32)


def epoch_of(clips, weights, *, order=None, **asked):
    order = np.arange(len(clips)) if order is None else order
    return first_epoch(
        clips,
        batching.batches(clips, targets_of(clips), weights, order=lambda epoch: order, **asked),
        asked["batch_size"],
    )


def first_epoch(clips, batches, batch_size):
    steps = batching.steps_per_epoch(len(clips), batch_size)
    return list(batches.take(steps).as_numpy_iterator())


# -- golden


def test_the_last_batch_is_filled_up_with_rows_that_do_not_count():
    rows, real = zip(*batching.batch_indices(np.array([4, 3, 2, 1, 0]), 3), strict=True)
    np.testing.assert_array_equal(rows, [[4, 3, 2], [1, 0, 0]])
    np.testing.assert_array_equal(real, [[1, 1, 1], [1, 1, 0]])


def test_weights_are_divided_by_the_real_videos_of_the_batch(clips):
    weights = np.arange(1, 7, dtype=np.float32)
    *_, (_, _, last) = epoch_of(clips, weights, batch_size=4)
    np.testing.assert_allclose(last, [5 / 2, 6 / 2, 0, 0])


@pytest.mark.parametrize(
    ("sampling", "drawn"),
    [("natural", [90, 9, 1]), ("sqrt", [70, 22, 8]), ("balanced", [34, 33, 33])],
)
def test_sampling_draws_classes_in_proportion(sampling, drawn):
    """The roots are 9.487, 3 and 1, which of 100 are 70.35, 22.24 and 7.41."""
    labels = np.repeat([0, 1, 2], [90, 9, 1])
    order = batching.sampled_order(labels, sampling, seed=1, epoch=1)
    assert np.bincount(labels[order]).tolist() == drawn


@pytest.mark.parametrize(("videos", "steps"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_an_epoch_has_a_step_for_the_videos_that_remain(videos, steps):
    assert batching.steps_per_epoch(videos, 8) == steps


def test_shares_of_what_is_drawn():
    labels = np.repeat([0, 1], [64, 36])
    for sampling, shares in {
        "natural": [0.64, 0.36],
        "sqrt": [8 / 14, 6 / 14],
        "balanced": [0.5, 0.5],
    }.items():
        fractions = batching.drawn_fractions(labels, 2, sampling)
        np.testing.assert_allclose(fractions, shares)


# -- relation


def test_a_batch_holds_the_arrays_of_the_cache_in_the_asked_order(cache, clips):
    order = np.array([5, 0, 3, 1, 2, 4])
    features, goals, _ = epoch_of(clips, np.ones(6, np.float32), batch_size=2, order=order)[0]
    for row, number in enumerate(order[:2]):
        entry = clips.entries[number]
        np.testing.assert_array_equal(features[row], cache.read_array(entry, (6, 8)))
        assert goals[row, 0] == CLASSES.index(entry.label)
    assert features.dtype == np.float16  # what the step brings to float32


@pytest.mark.parametrize("augment", ["none", MIXED])
def test_epochs_follow_each_other_in_one_stream(clips, augment):
    """Whatever epoch it begins with, as a resumed training does."""
    asked = {
        "order": lambda epoch: batching.epoch_order(6, seed=1, epoch=epoch),
        "batch_size": 4,
        "augment": batching.build_augmentation(augment, clips),
    }
    weights = np.ones(6, np.float32)
    whole = batching.batches(clips, targets_of(clips), weights, **asked).take(6)
    resumed = batching.batches(clips, targets_of(clips), weights, **asked, first_epoch=2).take(4)
    assert_same_batches(list(whole.as_numpy_iterator())[2:], list(resumed.as_numpy_iterator()))
    firsts = [batch[0] for batch in list(whole.as_numpy_iterator())[::2]]
    assert not np.array_equal(firsts[0], firsts[1])


def test_batches_have_static_shapes(clips):
    batches = batching.batches(
        clips,
        targets_of(clips),
        np.ones(6, np.float32),
        order=lambda epoch: np.arange(6),
        batch_size=4,
    )
    assert [tuple(tensor.shape) for tensor in batches.element_spec] == [
        (4, 6, 8),
        (4, 1),
        (4,),
    ]


def test_a_batch_is_no_larger_than_what_there_is(clips):
    asked = {"order": lambda epoch: np.arange(6), "batch_size": 4096, "replicas": 4}
    batches = batching.batches(clips, targets_of(clips), np.ones(6, np.float32), **asked)
    assert batches.element_spec[0].shape == (8, 6, 8)


def test_shares_of_batches_make_up_the_whole_ones(clips):
    """The last batch has one video and three fillers; its weight is that of the whole batch."""
    weights, asked = np.arange(1, 7, dtype=np.float32), {"batch_size": 5, "replicas": 3}
    whole = epoch_of(clips, weights, **asked)
    shares = [epoch_of(clips, weights, **asked, part=(number, 3)) for number in range(3)]
    assert len(whole) == 2
    for batch, *parts in zip(whole, *shares, strict=True):
        for arrays in zip(batch, *parts, strict=True):
            np.testing.assert_array_equal(arrays[0], np.concatenate(arrays[1:]))


def test_the_order_is_a_function_of_seed_and_epoch():
    order = batching.epoch_order(50, seed=1, epoch=2)
    np.testing.assert_array_equal(order, batching.epoch_order(50, seed=1, epoch=2))
    assert not np.array_equal(order, batching.epoch_order(50, seed=1, epoch=3))
    assert not np.array_equal(order, batching.epoch_order(50, seed=2, epoch=2))


def test_natural_sampling_is_the_order_as_it_was():
    order = batching.sampled_order(np.arange(50) % 2, "natural", seed=1, epoch=2)
    np.testing.assert_array_equal(order, batching.epoch_order(50, seed=1, epoch=2))


@pytest.mark.parametrize("sampling", ["sqrt", "balanced"])
def test_what_is_sampled_is_a_function_of_seed_and_epoch(sampling):
    labels = np.repeat([0, 1], [30, 20])
    first, again, later, other_seed = (
        batching.sampled_order(labels, sampling, seed=seed, epoch=epoch)
        for seed, epoch in ((1, 2), (1, 2), (1, 3), (2, 2))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later) and not np.array_equal(first, other_seed)
    assert set(first[labels[first] == 0]) != set(later[labels[later] == 0])


def test_sampled_classes_are_mixed_all_along_the_epoch():
    labels = np.repeat([0, 1], [900, 100])
    order = batching.sampled_order(labels, "balanced", seed=0, epoch=1)
    quarters = labels[order].reshape(4, 250).mean(1)
    np.testing.assert_allclose(quarters, 0.5, atol=0.15)


# -- property


@given(COUNT, st.integers(0, 2**31 - 1), st.integers(1, 1000))
def test_an_epoch_sees_each_video_once(count, seed, epoch):
    order = batching.epoch_order(count, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(count))


# -- relation, of augmentation


def augmented(clips, augment, *, seed=1, epoch=1, replicas=1, batch_size=4):
    """Features, targets and weights of the batches of an epoch."""
    batches = batching.batches(
        clips,
        targets_of(clips),
        np.arange(1, 1 + len(clips), dtype=np.float32),
        order=lambda epoch: np.arange(len(clips)),
        batch_size=batch_size,
        replicas=replicas,
        augment=batching.build_augmentation(augment, clips),
        seed=seed,
        first_epoch=epoch,
    )
    return first_epoch(clips, batches, batch_size)


def assert_same_batches(some, second_arrays):
    for first, second in zip(some, second_arrays, strict=True):
        for mine, array in zip(first, second, strict=True):
            np.testing.assert_array_equal(mine, array)


@pytest.mark.slow
def test_augmentation_is_a_function_of_seed_epoch_and_batch(clips):
    first = augmented(clips, MIXED)
    assert_same_batches(first, augmented(clips, MIXED))
    for changed in ({"seed": 2}, {"epoch": 2}):
        second = augmented(clips, MIXED, **changed)
        assert not np.array_equal(first[0][0], second[0][0])
    twice = dataclasses.replace(clips, features=clips.features[:][[0, 1, 2] * 2])
    first, second = augmented(twice, "noise", batch_size=3)
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize("augment", ["reverse(p=1)", "cutmix(p=1)", MIXED])
def test_rows_that_fill_a_batch_up_are_neither_changed_nor_mixed_in(clips, augment):
    """6 videos in batches of 4 are 4 real ones, then 2 and two times row 0."""
    _, plain = augmented(clips, "none", epoch=3)
    _, changed = augmented(clips, augment, epoch=3)
    assert not np.array_equal(changed[0][:2], plain[0][:2])
    np.testing.assert_array_equal(changed[0][2:], plain[0][2:])
    np.testing.assert_array_equal(changed[1][2:], plain[1][2:])
    np.testing.assert_array_equal(changed[2][2:], [0, 0])


def test_replicas_do_not_change_what_is_drawn(clips):
    """3 replicas make batches of 6 rows of the same 4 videos."""
    whole, three = augmented(clips, MIXED), augmented(clips, MIXED, replicas=3)
    assert len(whole) == 2
    for (features, *rest), (same, *padded_rest) in zip(whole, three, strict=True):
        real = np.count_nonzero(rest[1])
        assert len(features) == 4 and len(same) == 6
        np.testing.assert_array_equal(features[:real], same[:real])
        for mine, padded in zip(rest, padded_rest, strict=True):
            np.testing.assert_array_equal(mine[:real], padded[:real])


def test_mixed_weights_are_divided_by_the_real_videos(clips):
    _, (_, _, weights) = augmented(clips, "mixup(p=1)")
    assert weights[:2].sum() == pytest.approx((5 + 6) / 2, rel=0.2)
    assert weights[:2].min() >= 5 / 2 and weights[:2].max() <= 6 / 2


def test_parts_work_in_the_order_of_the_spec(clips):
    """Dropped frames are of the mixed clip, or clips are mixed of dropped frames."""
    reversed_first = augmented(clips, "reverse(p=1)+jitter(frames=2)")
    jittered_first = augmented(clips, "jitter(frames=2)+reverse(p=1)")
    assert not np.array_equal(reversed_first[0][0], jittered_first[0][0])


def test_without_augmentation_batches_are_the_features(clips):
    assert batching.build_augmentation("none", clips) is None
    np.testing.assert_array_equal(augmented(clips, "none")[0][0], clips.features[:4])


def with_cached_views(cache, views=2) -> dataset.FeatureDataset:
    """Clips of a cache in which view v of a video is its own features plus v."""
    rows = []
    for entry in cache.entries():
        own = cache.read_array(entry, (6, 8))
        shifts = np.arange(1 + views, dtype=np.float16)[:, None, None]
        digests = cache.write_arrays(entry.path, own + shifts)
        rows.append(dataclasses.replace(entry, views=" ".join(digests[1:])))
    cache.write_manifest(rows)
    return dataset.with_views(cache, dataset.read_dataset(cache, rows, CLASSES))


def test_views_come_from_the_cache_and_follow_their_clips(cache):
    clips = with_cached_views(cache).take([5, 0, 7])
    for number, view in enumerate(clips.views, start=1):
        np.testing.assert_allclose(view[:], clips.features[:] + number, atol=0.01)
    ((features, *_),) = augmented(clips, "views(p=1)", batch_size=3)
    shift = features - clips.features[:]
    assert set(np.round(shift.mean((1, 2)))) <= {1, 2}


def test_views_that_not_every_video_has_are_not_chosen(cache):
    with_cached_views(cache)
    first, *rest = cache.entries()
    few = dataclasses.replace(first, views=first.views.split()[0])
    clips = dataset.read_dataset(cache, [few, *rest], CLASSES)
    assert len(dataset.with_views(cache, clips).views) == 1


# -- property


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.sampled_from(["natural", "sqrt", "balanced"]),
    st.integers(0, 99),
)
def test_no_video_is_repeated_before_the_others_of_its_class(counts, sampling, epoch):
    labels = np.repeat(np.arange(len(counts)), counts)
    order = batching.sampled_order(labels, sampling, seed=3, epoch=epoch)
    assert len(order) == len(labels)
    exact = batching.drawn_fractions(labels, len(counts), sampling) * len(labels)
    drawn = np.bincount(labels[order], minlength=len(counts))
    assert (np.abs(drawn - exact) < 1).all()
    times = np.bincount(order, minlength=len(labels))
    for kind in range(len(counts)):
        assert np.ptp(times[labels == kind]) <= 1


@given(COUNT, BATCH)
def test_batches_are_full_and_hold_the_order(count, batch_size):
    order = np.random.default_rng(0).permutation(count)
    batches = list(batching.batch_indices(order, batch_size))
    assert {len(rows) for rows, _ in batches} == {batch_size}
    drawn = np.concatenate([rows[real > 0] for rows, real in batches])
    np.testing.assert_array_equal(drawn, order)


# -- error


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (
            "noise(scale=-1)",
            r"`scale` of the augmentation noise must be float in \[0, 100",
        ),
        ("reverse+jitter(seconds=1)", "The augmentation jitter takes frames, p. Received"),
        ("reverse+views", "`views` must come first.* Received: augment=reverse"),
        ("views+views", "`views` must come first"),
    ],
)
def test_augmentations_that_cannot_be_are_refused(augment, message):
    with pytest.raises(ConfigError, match=message):
        batching.check_augmentation(augment)


def test_views_that_are_not_cached_are_named(cache, clips):
    with pytest.raises(ConfigError, match="extract-features --views N keeps them"):
        dataset.with_views(cache, clips)
