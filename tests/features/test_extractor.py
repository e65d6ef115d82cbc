"""Sharing batches and frames changes the cost, never the features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError, WeightsError
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.video.clip_reader import ClipReader

SIZE, DIM, FPS = 32, 3, 12.0
SMALL = {
    "backbone": "mobilenet",
    "weights": "random",
    "stream": "rgb",
    "frames": 4,
    "frame_size": SIZE,
    "engine": "tensorflow",
    "precision": "float32",
    "batch_size": 8,
    "seed": 42,
}


class MeanColour:
    """An encoder whose features are the mean of each channel; it counts its calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        self.sizes.append(len(pictures))
        return pictures.mean((1, 2), dtype=np.float32)


def mean_colour_extractor(
    frames: int = 4, batch_size: int = 8, stream: str = "rgb"
) -> FeatureExtractor:
    space = FeatureSpace(
        "none", "mean", stream, frames, SIZE, "area", DIM, "0" * 64, "none", "float32"
    )
    reader = ClipReader(stream=stream, frames=frames, frame_size=SIZE)
    return FeatureExtractor(space, reader, MeanColour(), batch_size=batch_size)


# -- batches

CLIPS = st.lists(st.integers(1, 9), max_size=8)


@given(CLIPS, st.integers(1, 10))
def test_clips_that_share_batches_get_their_own_features_in_order(lengths, batch_size):
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (n, 1, SIZE, SIZE, 3), np.uint8) for n in lengths]
    extractor = mean_colour_extractor(batch_size=batch_size)
    found = list(extractor.encode_clips(enumerate(clips)))
    assert [item for item, _ in found] == list(range(len(clips)))
    for (_, features), clip in zip(found, clips, strict=True):
        np.testing.assert_array_equal(features, np.float16(clip.mean((1, 2, 3), dtype=np.float32)))
    assert set(extractor.encode_batch.sizes) <= {batch_size}
    assert len(extractor.encode_batch.sizes) == -(-sum(lengths) // batch_size)


def test_nothing_is_padded_for_an_engine_of_single_images():
    extractor = mean_colour_extractor(batch_size=8)
    extractor.pads = False
    extractor.encode(np.zeros((11, SIZE, SIZE, 3), np.uint8))
    extractor.encode(np.zeros((3, SIZE, SIZE, 3), np.uint8))
    assert extractor.encode_batch.sizes == [11, 3]


def test_features_beyond_float16_become_infinite_without_a_warning():
    extractor = mean_colour_extractor()
    extractor.encode_batch = lambda pictures: np.full((len(pictures), DIM), 1e6, np.float32)
    features = extractor.encode(np.zeros((2, SIZE, SIZE, 3), np.uint8))
    assert features.shape == (2, DIM)
    assert features.dtype == np.float16
    assert np.isinf(features).all()


# -- building


@pytest.fixture(scope="module")
def small() -> FeatureExtractor:
    return FeatureExtractor.build(**SMALL)


def test_the_space_has_the_settings_of_the_extractor(small):
    space = small.space.as_dict()
    assert len(space.pop("weights_digest")) == 64
    assert space == {
        "backbone": "mobilenet",
        "layer": "pool",
        "stream": "rgb",
        "frames": 4,
        "frame_size": SIZE,
        "resize": "area, aspect ratio not kept",
        "dim": 1024,
        "engine": "tensorflow",
        "precision": "float32",
        "recipe": 1,
    }


def test_the_batch_size_and_the_neighbours_do_not_change_features(small, rng):
    pictures = rng.integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
    together = small.encode(pictures)
    alone = np.concatenate([small.encode(picture[None]) for picture in pictures])
    np.testing.assert_array_equal(together, alone)
    assert together.shape == (8, 1024)


@pytest.mark.slow
def test_an_extractor_is_built_again_from_its_space(small, rng):
    again = FeatureExtractor.from_space(small.space, weights="random", batch_size=8, seed=42)
    pictures = rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(again.encode(pictures), small.encode(pictures))


def test_weights_of_another_space_are_refused(small):
    with pytest.raises(WeightsError) as raised:
        FeatureExtractor.from_space(small.space, weights="random", batch_size=8, seed=43)
    start = (
        "The backbone's weights must be those that the features were made with "
        f"({small.space.weights_digest[:8]}). Received: random ("
    )
    assert str(raised.value).startswith(start)


@pytest.mark.slow
def test_another_precision_is_another_space_with_near_features(small, rng):
    reduced = FeatureExtractor.build(**SMALL | {"precision": "mixed_bfloat16"})
    assert reduced.space.fingerprint != small.space.fingerprint
    assert reduced.space.weights_digest == small.space.weights_digest
    pictures = rng.integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
    mine, theirs = (one.encode(pictures).astype(float) for one in (small, reduced))
    assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.8


def test_a_size_that_the_backbone_does_not_accept_is_wrong_usage():
    with pytest.raises(ConfigError, match="^`frame_size` must suit Xception. Received: 32 "):
        FeatureExtractor.build(**SMALL | {"backbone": "xception"})


def test_an_extractor_for_segments_reads_each_as_a_clip_with_the_same_encoder():
    clips = mean_colour_extractor()
    segments = clips.in_segments(3)
    assert (segments.space.shape, clips.space.shape) == ((3, 4, DIM), (4, DIM))
    assert segments.images_per_clip == 3 * clips.images_per_clip and segments.reader.segments == 3
    assert segments.encode_batch is clips.encode_batch and segments.in_segments(3) is segments
