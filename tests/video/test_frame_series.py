"""Numbered pictures are read as the video that they were cut from, and what is wrong is named."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.folders import SHARED
from support.videos import cut_to_pictures, draw_video, frames_of

from violence_detection.errors import VideoError
from violence_detection.features.checking.inspection import inspect_video
from violence_detection.video import frame_series, video_file
from violence_detection.video.clip_reader import ClipReader, end_of_video_s
from violence_detection.video.decoding.decoder import open_video
from violence_detection.video.decoding.frame_series_decoder import picture_size
from violence_detection.video.still_frames import shown_frames

STREAMS = "rgb+motion(focus=true)"
CLIPS = SHARED / "data" / "surveillance-fights" / "violent"


def read(path: Path):
    return ClipReader(stream=STREAMS, frames=4, frame_size=32).read(path)


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of 24 frames, and the video of them at 12 a second beside it."""
    video = draw_video(tmp_path / "v1.mp4", frames=24)
    return cut_to_pictures(video, tmp_path / "v1")


def test_pictures_are_read_as_their_video(pictures):
    video, series = pictures.with_suffix(".mp4"), pictures.with_name("v1@12fps")
    clip, of_pictures = read(video), read(series)
    assert np.array_equal(of_pictures.views, clip.views)
    assert (of_pictures.frames, of_pictures.fps, of_pictures.damage) == (24, 12.0, "")
    assert of_pictures.duration_s == pytest.approx(clip.duration_s)
    assert end_of_video_s(series) == pytest.approx(2.0)
    assert inspect_video(series).motion == inspect_video(video).motion
    for shown, expected in zip(shown_frames(series), shown_frames(video), strict=True):
        assert np.array_equal(shown, expected)
    part = ClipReader(stream=STREAMS, frames=4, frame_size=32)
    assert np.array_equal(part.read(series, 0.5, 1.5).views, part.read(video, 0.5, 1.5).views)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs ../shared")
def test_pictures_of_a_real_clip_are_read_as_the_clip(tmp_path):
    clip = sorted(CLIPS.iterdir())[0]
    with open_video(clip) as video:
        fps = video.fps
    cut_to_pictures(clip, tmp_path / "v1")
    of_pictures = read(tmp_path / f"v1@{fps:.10g}fps")
    assert np.array_equal(of_pictures.views, read(clip).views)


def test_a_long_series_is_read_as_a_short_one(tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(950):
        image = np.full((24, 32, 3), number % 250, np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    (folder / "500.png").unlink()
    assert read(tmp_path / "long@25fps").frames == 949
    inspection = inspect_video(tmp_path / "long@25fps")
    assert inspection.damage == "1 frame is missing, e.g. between 499.png and 501.png"


def test_flat_names_with_a_step_are_videos_of_their_own(pictures, tmp_path):
    for source in pictures.iterdir():
        number = int(source.stem) - 1
        shutil.copy(source, tmp_path / f"Abuse001_x264_{10 * number}.png")
        shutil.copy(source, tmp_path / f"Abuse002_x264_{10 * number}.png")
    names = [path.name for path in tmp_path.iterdir()]
    assert sorted(frame_series.names_by_video(names)) == ["Abuse001_x264", "Abuse002_x264"]
    series = frame_series.read_series(tmp_path / "Abuse001_x264@12fps")
    assert (len(series.pictures), series.places[-1], series.gaps) == (24, 23, "")
    flat = read(tmp_path / "Abuse001_x264@12fps")
    assert np.array_equal(flat.views, read(tmp_path / "v1@12fps").views)


def test_what_may_be_several_videos_or_none_is_none():
    assert frame_series.names_by_video(["1.png", "2.png", "x.png", "notes7.txt"]) == {}
    same = [f"v1{separator}{number}.png" for separator in "_-" for number in range(9)]
    assert frame_series.names_by_video(same) == {}
    stray = [*(f"{number:03d}.jpg" for number in range(9)), "thumb1.jpg", "cover.jpg"]
    assert [len(names) for names in frame_series.names_by_video(stray).values()] == [9]


def test_a_gap_in_the_numbering_is_damage_and_keeps_the_times(pictures):
    (pictures / "0010.png").unlink()
    (pictures / "0011.png").unlink()
    clip = read(pictures.with_name("v1@12fps"))
    assert clip.damage == "2 frames are missing, e.g. between 0009.png and 0012.png"
    assert clip.duration_s == pytest.approx(2.0)


def test_pictures_of_several_sizes_are_resized_and_noted(pictures):
    path = pictures / "0024.png"
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (32, 24)))
    clip = read(pictures.with_name("v1@12fps"))
    assert clip.notes == ("its pictures differ in size: 1 of 32x24 are resized to 64x48",)
    assert clip.damage == ""


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_torn_picture_counts_as_corrupt(pictures, ending):
    for picture in pictures.iterdir():
        image = cv2.imread(str(picture))
        picture.unlink()
        cv2.imwrite(str(picture.with_suffix(ending)), image)
    assert picture_size(pictures / f"0003{ending}") == (64, 48)
    torn = pictures / f"0005{ending}"
    torn.write_bytes(torn.read_bytes()[:-40])
    clip = read(pictures.with_name("v1@12fps"))
    assert (clip.frames, clip.damage) == (24, "1 of 24 frames is corrupt")
    for number in range(1, 15):
        (pictures / f"{number:04d}{ending}").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="14 of 24 frames are corrupt, more than half"):
        read(pictures.with_name("v1@12fps"))


def test_a_torn_picture_shows_the_frame_before_it(pictures):
    (pictures / "0005.png").write_bytes(b"no picture")
    frames = frames_of(pictures.with_suffix(".mp4"))
    with open_video(pictures.with_name("v1@12fps")) as video:
        shown = [video.retrieve() for _ in video]
    assert np.array_equal(shown[4], frames[3])
    assert np.array_equal(shown[5], frames[5])


def test_what_cannot_be_read_is_named(pictures, tmp_path):
    with pytest.raises(VideoError, match="no such file"):
        read(tmp_path / "v2@12fps")
    shutil.copy(pictures / "0001.png", pictures / "1.png")
    with pytest.raises(VideoError, match=r"0001.png and 1.png have the same number|1.png and 0001"):
        read(tmp_path / "v1@12fps")
    assert not video_file.exists(tmp_path / "v1@12fps")
    for picture in pictures.iterdir():
        picture.write_bytes(b"no picture")
    (pictures / "1.png").unlink()
    with pytest.raises(VideoError, match="none of its pictures is a JPEG or PNG"):
        read(tmp_path / "v1@12fps")


def test_a_change_of_a_picture_the_rate_or_a_number_changes_the_digest(pictures):
    series = pictures.with_name("v1@12fps")
    before = video_file.digest_of(series)
    assert video_file.digest_of(pictures.with_name("v1@25fps")) != before
    state = video_file.state_of(series)
    shutil.copy(pictures / "0001.png", pictures / "0002.png")
    os.utime(pictures / "0002.png", ns=(0, state.mtime_ns + 10**9))
    assert video_file.digest_of(series) != before
    assert video_file.state_of(series).mtime_ns > state.mtime_ns
    changed = video_file.digest_of(series)
    (pictures / "0024.png").rename(pictures / "0026.png")
    assert video_file.digest_of(series) not in (before, changed)


def test_a_file_of_such_a_name_is_a_file(tmp_path):
    path = tmp_path / "v1@12fps"
    draw_video(tmp_path / "a.mp4").rename(path)
    assert frame_series.read_series(path) is None
    assert read(path).frames == 12
