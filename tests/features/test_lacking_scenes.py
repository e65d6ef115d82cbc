"""The everyday scenes that the normal class of a folder lacks, by the motion of its videos."""

import numpy as np

from violence_detection.datasets.videos import Video
from violence_detection.features.checking.folder_findings import lacking_scenes
from violence_detection.features.checking.inspection import (
    VideoInspection,
    inspect_video,
    motion_places,
)


def inspected(motion: float | None) -> VideoInspection:
    thumbnails = np.zeros((8, 8, 9), np.float32)
    return VideoInspection(60, 2.0, "", thumbnails, (64, 48), 30.0, False, motion=motion)


def found(normal: list, violent: list) -> list[str]:
    motions = {f"normal/{n}.mp4": value for n, value in enumerate(normal)}
    motions |= {f"fight/{n}.mp4": value for n, value in enumerate(violent)}
    videos = [Video(path, path.split("/")[0], path) for path in motions]
    inspections = {path: inspected(value) for path, value in motions.items()}
    return lacking_scenes(videos, inspections, "normal")


def test_a_normal_class_without_lively_scenes_is_named():
    (text,) = found([1.0] * 30, [3.0] * 30)
    assert text.startswith("no normal video moves as much as the middle one of the violent videos")
    (text,) = found([1.0] * 28 + [4.0] * 2, [3.0] * 30)
    assert text.startswith("2 of 30 normal videos move as much as")


def test_enough_lively_scenes_and_too_few_videos_are_no_lack():
    assert found([1.0] * 24 + [4.0] * 6, [3.0] * 30) == []
    assert found([1.0] * 10, [3.0] * 30) == []
    assert found([None] * 30, [3.0] * 30) == []


def test_motion_is_the_mean_change_of_places(tmp_path):
    from support.videos import draw_video

    still = inspect_video(draw_video(tmp_path / "a.mp4", frames=30, seed=1)).motion
    assert still is not None and 0 <= still < 255
    grey = motion_places(np.full((36, 64, 3), 100, np.uint8))
    assert grey.shape == (18, 32)
    assert np.abs(grey - 100).max() <= 1
