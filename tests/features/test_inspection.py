"""The inspection of a single video: damage, stillness, and long videos by seeking."""

import contextlib

import numpy as np
import pytest
from support.videos import draw_video, patterns, write_frames

from violence_detection.features.checking import inspection
from violence_detection.features.checking.folder_findings import near_duplicates
from violence_detection.features.checking.inspection import inspect_video


@pytest.mark.parametrize("limit", [10, 900])
def test_a_still_camera_with_one_short_event_is_not_frozen(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(inspection, "_SHORT_FRAMES", limit)
    still = patterns(61, count=1)[0]
    event = still.copy()
    event[20:70, 20:90] = 255
    frames = [still] * 45 + [event] * 10 + [still] * 45
    assert not inspect_video(write_frames(tmp_path / "event.avi", frames)).is_frozen


def test_a_long_video_is_inspected_by_seeking_with_the_same_result(tmp_path, monkeypatch):
    path = write_frames(tmp_path / "a.avi", patterns(3, count=80))
    read = inspect_video(path)
    monkeypatch.setattr(inspection, "_SHORT_FRAMES", 10)
    monkeypatch.setattr(inspection, "_read_all", None)
    skimmed = inspect_video(path)
    assert (skimmed.frames, skimmed.duration_s) == (80, 8.0)
    assert np.abs(skimmed.thumbnails - read.thumbnails).max() < 6
    assert near_duplicates({"a": read, "b": skimmed}, {}, max_bits=4.0)


@pytest.mark.slow
def test_every_mutated_file_that_extraction_refuses_is_found(tmp_path, rng):
    from violence_detection.errors import VideoError
    from violence_detection.video.clip_reader import ClipReader

    reader = ClipReader(stream="rgb", frames=20, frame_size=32)
    sound = draw_video(tmp_path / "sound.mp4", frames=40).read_bytes()
    refused = 0
    for _ in range(40):
        content = np.frombuffer(sound, np.uint8).copy()
        places = rng.integers(0, len(content), 60)
        content[places] = rng.integers(0, 256, len(places))
        (tmp_path / "b.mp4").write_bytes(content.tobytes())
        try:
            clip = reader.read(tmp_path / "b.mp4")
        except VideoError:
            refused += 1
            with contextlib.suppress(VideoError):
                assert inspect_video(tmp_path / "b.mp4").damage
        else:
            assert inspect_video(tmp_path / "b.mp4").damage == clip.damage
    assert refused
