"""Times, damage and packets of opened videos. Frames are in test_clip_reader."""

import cv2
import numpy as np
import pytest
from support.videos import draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.video.decoding import decoder
from violence_detection.video.decoding.decoder import open_video

# -- times


def test_iterating_gives_the_time_of_each_frame(tmp_path):
    with open_video(draw_video(tmp_path / "a.mp4", frames=24)) as video:
        assert (video.fps, video.declared_frames, video.codec) == (12.0, 24, "fmp4")
        frames = list(video)
    assert [index for index, _ in frames] == list(range(24))
    np.testing.assert_allclose([time_s for _, time_s in frames], np.arange(24) / 12, atol=1e-3)


def test_frames_without_timestamps_follow_at_the_declared_rate(tmp_path, monkeypatch):
    with open_video(draw_video(tmp_path / "a.mp4", frames=6)) as video:
        number = video._number

        def without_times(property_id):
            return 0.0 if property_id == decoder.cv2.CAP_PROP_POS_MSEC else number(property_id)

        monkeypatch.setattr(video, "_number", without_times)
        times_s = [time_s for _, time_s in video]
    np.testing.assert_allclose(times_s, np.arange(6) / 12)


@pytest.mark.parametrize(
    ("times_s", "declared_fps", "fps"),
    [
        (np.arange(50) / 25, 25.0, 25.0),
        (np.arange(50) / 25.5, 25.0, 25.0),  # within 5%
        (np.arange(50) / 10, 25.0, 10.0),
        ([0.0], 25.0, 25.0),
        ([], 0.0, decoder.FALLBACK_FPS),
    ],
)
def test_the_rate_is_that_of_the_timestamps_if_it_differs(times_s, declared_fps, fps):
    assert decoder.measured_fps(times_s, declared_fps) == pytest.approx(fps)


# -- formats


def bits(*fields: tuple[int, int]) -> bytes:
    """Values of so many bits each, then a 1 and zeros up to a whole byte."""
    text = "".join(f"{value:0{count}b}" for value, count in fields) + "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def test_raw_vc1_is_read(tmp_path):
    """No library here encodes VC-1: a sequence header of 352x288, an entry point, skipped
    frames."""
    size = ((352 // 2 - 1, 12), (288 // 2 - 1, 12))
    flags = [(0, 1)] * 4 + [(1, 1)] + [(0, 1)] * 3
    sequence = bits((3, 2), (2, 3), (1, 2), (0, 3), (0, 5), (0, 1), *size, *flags)
    entry_point, skipped = bits((1, 2), (0, 10)), bits((15, 4), (0, 4))
    stream = b"\0\0\1\x0f" + sequence + b"\0\0\1\x0e" + entry_point
    (tmp_path / "a.vc1").write_bytes(stream + (b"\0\0\1\x0d" + skipped) * 30)
    with open_video(tmp_path / "a.vc1") as video:
        frames = [video.retrieve().shape for _ in video]
        assert (video.codec, set(frames)) == ("wvc1", {(288, 352, 3)}) and len(frames) >= 30


@pytest.mark.parametrize("name", ["a.mjpeg", "A.MJPG"])
def test_raw_mjpeg_of_large_frames_is_read_and_a_picture_is_no_video(tmp_path, name):
    frames = np.random.default_rng(0).integers(0, 256, (6, 240, 320, 3), np.uint8)
    pictures = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
    (tmp_path / name).write_bytes(b"".join(pictures))
    with open_video(tmp_path / name) as video:
        assert [index for index, _ in video] == list(range(6))
    (tmp_path / "b.mp4").write_bytes(pictures[0])
    with pytest.raises(VideoError, match="not a video"), open_video(tmp_path / "b.mp4"):
        pass


# -- packets, seeking, streams


def test_packets_have_the_times_of_the_frames(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=20, codec="MJPG")
    times_s, is_key = decoder.read_packets(path)
    np.testing.assert_allclose(times_s, np.arange(20) / 12, atol=1e-3)
    assert is_key.all()


def test_a_frame_is_reached_by_seeking_and_one_behind_the_end_is_none(tmp_path):
    path = draw_video(tmp_path / "a.avi", frames=20, codec="MJPG")
    with open_video(path) as video:
        np.testing.assert_array_equal(video.frame_near(13), frames_of(path)[13])
        assert video.frame_near(900) is None


def test_a_path_that_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(VideoError, match="its path is not UTF-8"), open_video(tmp_path / "\udcff"):
        raise AssertionError("not reached")
