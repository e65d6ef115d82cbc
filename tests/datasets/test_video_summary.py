"""A summary has the size, mean image, motion and hashes of a video, or the reason without."""

import numpy as np
import pytest
from support.videos import draw_video

from violence_detection.datasets.summaries import video_summary
from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.errors import VideoError


def summaries_with(mean_images: np.ndarray) -> VideoSummaries:
    count = len(mean_images)
    return VideoSummaries(
        np.zeros((count, 2)), mean_images, np.zeros((count, 8)), np.zeros((count, 8), np.uint64)
    )


def test_brightness_is_the_luma_of_the_mean_image():
    """White, black, pure green, by ITU-R BT.601."""
    images = np.zeros((3, 16, 16, 3), np.float32)
    images[0], images[2, ..., 1] = 1, 1
    brightness = summaries_with(images).brightness
    np.testing.assert_allclose(brightness, [255, 0, 0.587 * 255], rtol=1e-5)


def test_an_image_with_little_contrast_is_uniform():
    images = np.full((2, 16, 16, 3), 0.5, np.float32)
    images[0, 0, 0], images[1, 0, 0] = 0.5 + 11 / 255, 0.5 + 13 / 255
    assert summaries_with(images).is_uniform.tolist() == [True, False]


def test_summaries_are_concatenated_in_order(rng):
    parts = [summaries_with(rng.random((count, 16, 16, 3), np.float32)) for count in (2, 0, 3)]
    whole = VideoSummaries.concatenate([VideoSummaries.empty(), *parts])
    assert len(whole) == 5
    np.testing.assert_array_equal(whole.mean_images[2:], parts[2].mean_images)


def test_a_summary_has_size_mean_image_and_motion(cached_videos, tmp_path):
    size, image, energies, hashes = video_summary.summarise_video(cached_videos / "fight" / "0.mp4")
    assert size.tolist() == [96, 64]
    assert image.shape == (16, 16, 3) and 0 < image.mean() < 1
    assert energies.shape == (8,) and energies.max() > 0
    assert (hashes.shape, hashes.dtype) == ((8,), np.uint64)
    still = draw_video(tmp_path / "still.mp4", frames=1)
    assert video_summary.summarise_video(still)[2].max() == 0


def test_a_summary_of_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        video_summary.summarise_video(tmp_path / "none.mp4")


def test_a_video_that_cannot_be_read_gives_its_error_in_place(tmp_path):
    draw_video(tmp_path / "still.mp4", frames=1)
    paths = [(tmp_path / name, None, None) for name in ("still.mp4", "missing")]
    first, second = video_summary.summarise_videos(paths)
    assert first[2].max() == 0  # a single frame has no motion
    assert isinstance(second, VideoError)
