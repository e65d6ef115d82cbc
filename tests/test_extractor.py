"""Sharing batches and frames changes the cost, never the features."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import draw_video
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.cache import FeatureSpace
from violence_detection.errors import ConfigError, VideoError, WeightsError
from violence_detection.extractor import FeatureExtractor
from violence_detection.frames import ClipReader, sample_indices

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
    """An encoder whose features are known: the mean of each channel. Counts its calls."""

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


def features_of_every_frame(path: Path) -> np.ndarray:
    """Mean colour of each frame, float16 (frames, 3): the oracle, by OpenCV alone."""
    capture, rows = cv2.VideoCapture(str(path)), []
    while True:
        done, frame = capture.read()
        if not done:
            return np.float16(rows)
        small = cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        rows.append(small[:, :, ::-1].mean((0, 1), dtype=np.float32))


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """60 frames at 12 a second."""
    return draw_video(tmp_path_factory.mktemp("video") / "a.mp4", frames=60, fps=FPS)


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
        np.testing.assert_array_equal(
            features, np.float16(clip.mean((1, 2, 3), dtype=np.float32))
        )
    assert set(extractor._encode.sizes) <= {batch_size}
    assert len(extractor._encode.sizes) == -(-sum(lengths) // batch_size)


def test_features_beyond_float16_become_infinite_without_a_warning():
    extractor = mean_colour_extractor()
    extractor._encode = lambda pictures: np.full((len(pictures), DIM), 1e6, np.float32)
    features = extractor.encode(np.zeros((2, SIZE, SIZE, 3), np.uint8))
    assert features.shape == (2, DIM)
    assert features.dtype == np.float16
    assert np.isinf(features).all()


# -- windows


@pytest.mark.parametrize(
    ("window_s", "stride_s", "frames", "batch_size"),
    [(2, 1, 4, 8), (1, 0.25, 7, 5), (0.5, 0.75, 3, 64), (1, 0.1, 20, 3), (2, 2, 1, 1)],
)
def test_windows_have_the_features_of_their_own_frames(
    video, window_s, stride_s, frames, batch_size
):
    rows, length = features_of_every_frame(video), round(window_s * FPS)
    extractor = mean_colour_extractor(frames, batch_size)
    windows = list(extractor.windows(video, window_s=window_s, stride_s=stride_s))
    for start_s, end_s, features in windows:
        start = round(start_s * FPS)
        np.testing.assert_array_equal(
            features, rows[start + sample_indices(length, frames)]
        )
        assert end_s - start_s == pytest.approx(length / FPS)


@pytest.mark.parametrize("stride_s", [0.1, 0.5, 1.0, 1.3])
def test_windows_cover_the_video_from_its_start_to_its_end(video, stride_s):
    extractor = mean_colour_extractor()
    spans = [
        (a, b) for a, b, _ in extractor.windows(video, window_s=1.0, stride_s=stride_s)
    ]
    assert spans[0][0] == 0.0
    assert spans[-1][1] == pytest.approx(60 / FPS)
    for (start_s, _), (next_s, _) in zip(spans, spans[1:], strict=False):
        assert 0 < next_s - start_s <= round(stride_s * FPS) / FPS + 1e-6


def test_frames_that_windows_share_are_encoded_once(video):
    extractor = mean_colour_extractor(frames=12, batch_size=1)
    windows = list(extractor.windows(video, window_s=1.0, stride_s=1 / FPS))
    assert len(windows) == 49
    assert len(extractor._encode.sizes) == 60


@pytest.mark.parametrize(
    ("focus_s", "pictures"), [(None, 4 * 9), (60.0, 20), (2.5, 22)]
)
def test_focused_windows_share_what_looks_at_one_place(video, focus_s, pictures):
    """9 windows of 1 s in 5 s, 4 pictures each; half a window shares 2 of them."""
    extractor = mean_colour_extractor(4, batch_size=1, stream="rgb(focus=true)")
    asked = {"window_s": 1.0, "stride_s": 0.5, "focus_s": focus_s}
    assert len(list(extractor.windows(video, **asked))) == 9
    assert len(extractor._encode.sizes) == pictures


def test_a_focused_window_is_the_clip_that_is_cut_out_there(video, tmp_path):
    extractor = mean_colour_extractor(4, stream="rgb(focus=true)+motion(focus=true)")
    found = list(extractor.windows(video, window_s=1.0, stride_s=1.0))
    for start_s, end_s, features in found[1:-1]:  # motion looks past a window's ends
        clip = extractor.reader.read(video, start_s - 1e-3, end_s - 1e-3)
        ((_, expected),) = extractor.encode_clips([(None, clip.pictures)])
        assert features.shape == (4, 2 * DIM)
        np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("stream", ["rgb", "motion+rgb(focus=true)"])
@pytest.mark.parametrize("window_s", [5.0, 3.4, 60.0])
def test_one_window_is_the_clip_that_extraction_reads(video, window_s, stream):
    extractor = mean_colour_extractor(stream=stream)
    ((start_s, end_s, features),) = extractor.windows(
        video, window_s=window_s, stride_s=1.0
    )
    ((_, expected),) = extractor.encode_clips(
        [(None, extractor.reader.read(video).pictures)]
    )
    np.testing.assert_array_equal(features, expected)
    assert (start_s, end_s) == (0.0, pytest.approx(5.0))


def test_a_one_frame_video_has_one_window(tmp_path):
    path = draw_video(tmp_path / "a.mp4", frames=1)
    ((_, end_s, features),) = mean_colour_extractor().windows(
        path, window_s=2.0, stride_s=1.0
    )
    assert features.shape == (4, DIM)
    assert end_s == pytest.approx(1 / FPS)


def test_a_truncated_video_has_windows_as_far_as_it_goes(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=60, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    left = len(features_of_every_frame(path))
    assert 24 < left < 55
    *_, (_, end_s, _) = mean_colour_extractor().windows(
        path, window_s=1.0, stride_s=0.5
    )
    assert (left - 12) / FPS < end_s <= left / FPS + 1e-6


def test_no_window_of_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(VideoError, match="^not a video that can be opened$"):
        list(
            mean_colour_extractor().windows(
                tmp_path / "a.mp4", window_s=1.0, stride_s=1.0
            )
        )


# -- building


@pytest.fixture(scope="module")
def small() -> FeatureExtractor:
    return FeatureExtractor.build(**SMALL)


def test_the_space_says_what_was_built(small):
    space = dataclasses.asdict(small.space)
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


def test_an_extractor_is_built_again_from_its_space(small, rng):
    again = FeatureExtractor.of_space(
        small.space, weights="random", batch_size=8, seed=42
    )
    pictures = rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(again.encode(pictures), small.encode(pictures))


def test_weights_of_another_space_are_refused(small):
    with pytest.raises(WeightsError) as raised:
        FeatureExtractor.of_space(small.space, weights="random", batch_size=8, seed=43)
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


def test_a_size_that_the_backbone_cannot_take_is_wrong_usage():
    with pytest.raises(
        ConfigError, match="^`frame_size` must suit Xception. Received: 32 "
    ):
        FeatureExtractor.build(**SMALL | {"backbone": "xception"})
