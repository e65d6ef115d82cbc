"""The contract of every augmentation, and the closed form of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.training.augmentations._batch import Batch
from violence_detection.training.augmentations.frame_dropout import nearest
from violence_detection.training.augmentations.noise import deviation_of

NAMES = registry.available("augmentations")
COUNT, SHAPE = 40, (7, 5)
CLIPS = np.random.default_rng(1).normal(3, 2, (COUNT, *SHAPE)).astype(np.float16)
VIEWS = (CLIPS + np.float16(100), CLIPS - np.float16(100))
each_part = pytest.mark.parametrize("name", NAMES)
FRAMES = (
    "jitter",
    "frame_dropout",
    "reverse",
)  # change the order of frames, and no more
MIXING = ("mixup", "cutmix")


def build(spec, *, clips=CLIPS, views=VIEWS):
    return registry.load("augmentations", spec, clips=clips, views=views)


def drawn(count=12, classes=2) -> Batch:
    rows = np.random.default_rng(0).permutation(COUNT)[:count]
    goals = np.eye(classes, dtype=np.float32)[rows % classes]
    return Batch(
        CLIPS[rows].astype(np.float32),
        goals[:, 1:] if classes == 2 else goals,
        (1 + rows % 3).astype(np.float32),
        rows,
    )


def numbered(count, length) -> Batch:
    """Clips of which frame t of clip i is 100 i + t; (B, T, 2)."""
    frames = 100 * np.arange(count)[:, None] + np.arange(length)
    return Batch(
        np.repeat(frames[:, :, None], 2, axis=2).astype(np.float32),
        np.zeros((count, 1), np.float32),
        np.ones(count, np.float32),
        np.arange(count),
    )


def change(spec, batch: Batch, seed=3, **context) -> Batch:
    return build(spec, **context)(batch, np.random.default_rng(seed))


def assert_same(first: Batch, second: Batch) -> None:
    for mine, array in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, array)


# -- property: what every augmentation promises


@each_part
@pytest.mark.parametrize("count", [1, 2, 12])
@pytest.mark.parametrize("classes", [2, 3])
def test_shapes_and_dtypes_stay_and_values_are_finite(name, count, classes):
    before = drawn(count, classes=classes)
    after = change(name, before)
    assert len(before) == 4
    for changed, array in zip(after, before, strict=True):
        assert (changed.shape, changed.dtype) == (array.shape, array.dtype)
        assert np.isfinite(changed).all()


@each_part
@pytest.mark.parametrize("length", [1, 2])
def test_clips_of_few_frames_go_through(name, length):
    batch = numbered(4, length)
    views = (np.ones((COUNT, length, 2), np.float16),)
    clips = np.ones((COUNT, length, 2), np.float16)
    assert change(name, batch, clips=clips, views=views).features.shape == (
        4,
        length,
        2,
    )


@each_part
def test_the_same_seed_gives_the_same_bits_and_another_one_others(name):
    first, again, second = (change(name, drawn(), seed=seed) for seed in (3, 3, 4))
    assert_same(first, again)
    assert not np.array_equal(first.features, second.features)


@each_part
def test_something_changes_and_the_arrays_given_do_not(name):
    batch, kept = drawn(), drawn()
    after = change(name, batch)
    assert_same(batch, kept)
    assert not np.array_equal(after.features, batch.features)
    after.features[:] = 0
    assert_same(batch, kept)


@each_part
def test_with_p_0_nothing_changes(name):
    assert_same(change(f"{name}(p=0)", drawn()), drawn())


@each_part
def test_p_is_the_share_that_changes(name):
    """Of 4000 clips, a quarter to within 5 standard errors; of frames for frame_dropout."""
    batch = numbered(4000, 7)._replace(rows=np.zeros(4000, np.int64))
    arguments = {"cutmix": ", alpha=50", "mixup": ", alpha=50", "jitter": ", frames=3"}
    views = (np.full((1, 7, 2), -1, np.float16),)
    spec = f"{name}(p=0.25{arguments.get(name, '')})"
    after = change(spec, batch, clips=batch.features[:9] / 100, views=views)
    differ = (after.features != batch.features).any(2)
    share = differ.mean() if name == "frame_dropout" else differ.any(1).mean()
    # Of the ends that are moved by up to 3 frames, a few are moved by less than half a frame.
    assert share == pytest.approx(0.25, abs=0.035)


@each_part
def test_targets_and_weights_stay_where_nothing_is_mixed(name):
    before, after = drawn(), change(name, drawn())
    mixed = not np.array_equal(after.targets, before.targets)
    assert mixed == (name in MIXING)
    assert np.array_equal(after.weights, before.weights) != mixed
    np.testing.assert_array_equal(after.rows, before.rows)


@each_part
def test_every_argument_has_a_range(name):
    with pytest.raises(ConfigError, match=r"`p` .* must be float in \[0, "):
        build(f"{name}(p=1.5)")
    with pytest.raises(ConfigError, match="Received: q"):
        build(f"{name}(q=1)")


# -- golden and relation, of those that move frames


def frames_seen(spec, *, count=200, length=9, seed=3) -> np.ndarray:
    """The number of the frame that is seen at each time, (B, T)."""
    after = change(spec, numbered(count, length), seed=seed)
    return after.features[:, :, 0] - 100 * np.arange(len(after.features))[:, None]


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_after_a_change_of_time_is_a_frame_of_the_clip(name):
    frames = frames_seen(name)
    assert ((frames >= 0) & (frames < 9) & (frames == np.rint(frames))).all()


def test_reversed_twice_is_as_it_was():
    assert_same(change("reverse(p=1)", change("reverse(p=1)", drawn())), drawn())
    np.testing.assert_array_equal(frames_seen("reverse(p=1)", count=1), [range(8, -1, -1)])


def test_jitter_keeps_the_order_and_moves_the_ends_as_far_as_asked():
    frames = frames_seen("jitter(frames=2)", count=40)
    assert (np.diff(frames, axis=1) >= 0).all()
    assert set(frames[:, 0]) == {0, 1, 2} and set(frames[:, -1]) == {6, 7, 8}
    still = np.abs(frames - np.arange(9)).max()
    assert 1 < still <= 2


def test_jitter_never_turns_a_clip_round():
    frames = frames_seen("jitter(frames=1000)", count=40)
    assert (np.diff(frames, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("kept", "frames"),
    [
        ("1111", [0, 1, 2, 3]),
        ("1001", [0, 0, 3, 3]),
        (
            "10001",
            [0, 0, 0, 4, 4],
        ),  # the frame in the middle is as near to the first as to the last
        ("0010", [2, 2, 2, 2]),
        ("0001", [3, 3, 3, 3]),
        ("1000", [0, 0, 0, 0]),
    ],
)
def test_the_nearest_frame_stands_in(kept, frames):
    assert nearest(np.array([[digit == "1" for digit in kept]])).tolist() == [frames]


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_the_nearest_frame_is_kept_and_none_is_nearer(kept):
    kept = np.array(kept)
    times = np.arange(len(kept))
    chosen = nearest(kept[None])[0]
    assert kept[chosen].all()
    distances = np.abs(times[:, None] - times[kept])
    np.testing.assert_array_equal(np.abs(times - chosen), distances.min(1))


def test_a_clip_that_would_lose_every_frame_keeps_all():
    frames = frames_seen("frame_dropout(p=0.95)", count=40, length=2)
    assert (frames == [0, 1]).all(1).mean() > 0.8  # 0.95 ** 2


# -- golden, of noise


def test_noise_is_a_share_of_the_deviation_of_each_feature():
    scale = np.float32([0, 1, 10])
    clips = np.random.default_rng(0).normal(5, scale, (300, 8, 3)).astype(np.float16)
    np.testing.assert_allclose(deviation_of(clips), scale, rtol=0.05, atol=1e-6)
    batch = numbered(300, 8)._replace(features=clips.astype(np.float32))
    added = change("noise(scale=0.5)", batch, clips=clips).features - batch.features
    np.testing.assert_allclose(added.std((0, 1)), 0.5 * scale, rtol=0.07, atol=1e-6)
    np.testing.assert_allclose(added.mean((0, 1)), 0, atol=0.05 * 5)


def test_noise_is_normal():
    """Of a million numbers: the share within 1, 2 and 3 deviations, and the fourth moment."""
    clips = np.stack([np.ones((1, 1)), -np.ones((1, 1))]).astype(np.float16)
    batch = numbered(1000, 1)._replace(features=np.zeros((1000, 1000, 1), np.float32))
    added = change("noise(scale=1)", batch, clips=clips).features
    for bound, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert (np.abs(added) < bound).mean() == pytest.approx(share, abs=0.002)
    assert (added.astype(np.float64) ** 4).mean() == pytest.approx(3, abs=0.05)


def test_the_deviation_is_that_of_numpy_where_the_mean_is_large():
    clips = np.random.default_rng(0).normal(1000, 8, (130, 4, 3)).astype(np.float16)
    expected = clips.astype(np.float64).std((0, 1))
    np.testing.assert_allclose(deviation_of(clips), expected, rtol=1e-5)


# -- golden, of those that mix


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("classes", [2, 4])
def test_targets_and_weights_are_mixed_as_the_features_are(name, classes):
    """Features of one hot number each: what is in a clip says which clips were mixed, and how."""
    count = 10
    rng = np.random.default_rng(0)
    goals = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, count)]
    goals = goals[:, 1:] if classes == 2 else goals
    weights = rng.uniform(1, 2, count).astype(np.float32)
    features = np.repeat(np.eye(count, dtype=np.float32)[:, None], 8, axis=1)
    batch = Batch(features, goals, weights, np.arange(count))
    after = change(f"{name}(p=1)", batch)
    share = after.features.mean(1)  # (B, B), rows sum to 1
    assert ((share > 0.02).sum(1) == 2).any()
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(after.targets, share @ goals, atol=1e-6)
    np.testing.assert_allclose(after.weights, share @ weights, rtol=1e-5)


def test_cutmix_takes_successive_frames_from_the_same_times():
    after = change("cutmix(p=1)", numbered(60, 9)).features[:, :, 0]
    np.testing.assert_array_equal(after % 100, np.tile(np.arange(9), (60, 1)))
    whose = after // 100
    assert (np.count_nonzero(np.diff(whose, axis=1), axis=1) <= 2).all()
    assert len({tuple(row != row[0]) for row in whose}) > 10


@pytest.mark.parametrize(("alpha", "deviation"), [(0.2, 0.4226), (1.0, 0.2887)])
def test_the_shares_of_mixup_are_drawn_from_a_beta_distribution(alpha, deviation):
    """Var Beta(a, a) = 1 / (4 (2 a + 1)): 0.4226 for a = 0.2, 0.2887 for a = 1."""
    batch = numbered(4000, 2)
    batch = batch._replace(targets=np.arange(4000, dtype=np.float32)[:, None])
    after = change(f"mixup(alpha={alpha})", batch)
    rng = np.random.default_rng(3)
    _, partner = rng.random(4000), rng.permutation(4000)
    own = batch.targets[:, 0]
    away = np.abs(partner - own) > 100  # else rounding decides
    share = ((after.targets[:, 0] - partner) / (own - partner + 1e-9))[away]
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.std() == pytest.approx(deviation, abs=0.01)


@pytest.mark.parametrize("name", MIXING)
def test_a_clip_that_is_not_finite_spoils_its_partners_only(name):
    batch = drawn()
    batch.features[4] = np.nan
    after = change(f"{name}(p=0.01)", batch)
    assert np.isnan(after.features).any((1, 2)).sum() == 1


# -- golden, of views


def test_a_view_is_that_of_the_clip():
    batch = drawn()
    shift = change("views(p=1)", batch).features - batch.features
    assert set(np.round(shift.mean((1, 2)))) == {-100, 100}
    expected = [
        VIEWS[int(one < 0)][row] for one, row in zip(shift[:, 0, 0], batch.rows, strict=True)
    ]
    np.testing.assert_array_equal(batch.features + shift, expected)


def test_views_must_be_cached():
    with pytest.raises(ConfigError, match="must have views .*extract-features --views"):
        build("views", views=())
