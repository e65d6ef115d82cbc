"""The window encoder fills batches with images of several videos, and keeps their windows apart."""

import numpy as np

from violence_detection.inference.sliding_windows import WindowImages
from violence_detection.inference.window_encoder import WindowEncoder
from violence_detection.inference.window_reader import Chunk


class Recorder:
    """An encoder whose feature is the level of the image; records the sizes of its batches."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.sizes.append(len(images))
        return images.mean((1, 2)).astype(np.float16)


def chunk(*levels: int, windows=()) -> Chunk:
    images = np.array([np.full((4, 4, 3), level, np.uint8) for level in levels])
    return Chunk(images.reshape(-1, 4, 4, 3), list(windows))


def window(*numbers: int, needed_from: int = 0) -> WindowImages:
    """A window of one view and one stream."""
    return WindowImages(0.0, 1.0, np.array(numbers).reshape(1, -1, 1), needed_from)


def levels_of(encoded) -> list[list[float]]:
    return [item.features[0, :, 0].tolist() for item in encoded]


def test_a_window_is_complete_with_the_batch_of_its_last_image():
    encode = Recorder()
    encoder = WindowEncoder(encode, batch_size=2)
    assert list(encoder.add("a", chunk(1, 2, 3, windows=[window(0, 1, 2)]))) == []
    assert encoder.has_waiting("a") and encode.sizes == [2]
    assert levels_of(encoder.flush()) == [[1.0, 2.0, 3.0]]
    assert not encoder.has_waiting("a") and encode.sizes == [2, 1]


def test_videos_share_a_batch_and_keep_their_own_images():
    encode = Recorder()
    encoder = WindowEncoder(encode, batch_size=4)
    encoded = list(encoder.add("a", chunk(1, 2, windows=[window(0, 1)])))
    encoded += encoder.add("b", chunk(7, 8, windows=[window(1, 0)]))
    assert encode.sizes == [4]
    assert [item.video for item in encoded] == ["a", "b"]
    assert levels_of(encoded) == [[1.0, 2.0], [8.0, 7.0]]


def test_a_closed_video_leaves_the_images_of_others():
    encode = Recorder()
    encoder = WindowEncoder(encode, batch_size=8)
    list(encoder.add("a", chunk(1, windows=[window(0)])))
    list(encoder.add("b", chunk(9, windows=[window(0)])))
    encoder.close("a")
    encoder.close("unknown")
    assert levels_of(encoder.flush()) == [[9.0]]
    assert encode.sizes == [1]


def test_features_that_no_later_window_needs_are_dropped():
    encoder = WindowEncoder(Recorder(), batch_size=1)
    list(encoder.add("a", chunk(1, 2, 3, windows=[window(0, 1, needed_from=1)])))
    assert sorted(encoder._videos["a"].features) == [1, 2]


def test_views_and_streams_are_joined_along_their_axes():
    encoder = WindowEncoder(Recorder(), batch_size=8)
    numbers = np.arange(8).reshape(2, 2, 2)  # views, moments, streams
    images = WindowImages(0.0, 1.0, numbers, 0)
    (encoded,) = encoder.add("a", chunk(*range(8), windows=[images]))
    assert encoded.features.shape == (2, 2, 6)
    np.testing.assert_array_equal(encoded.features[:, :, ::3], numbers)
