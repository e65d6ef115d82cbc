"""Damage is what FFmpeg says it is: frames that are missing or corrupt, and nothing else."""

import struct

import numpy as np
import pytest
from support.encoding import encode, lose_packets, trim
from support.videos import draw_video

from violence_detection.errors import VideoError
from violence_detection.features.checking.inspection import inspect_video
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding import damage, ffmpeg_log
from violence_detection.video.decoding.decoder import open_video

READER = ClipReader(stream="rgb", frames=8, frame_size=32)
MOTION = ClipReader(stream="motion+rgb", frames=8, frame_size=32)


# -- missing frames


@pytest.mark.parametrize(
    ("times_s", "declared", "expected"),
    [
        (np.arange(100) / 25, 100, ""),
        (np.arange(95) / 25, 100, ""),  # 5% may be missing
        (np.arange(60) / 25, 100, "60 of 100 declared frames can be decoded"),
        (np.arange(50) / 12.5, 100, ""),  # half of the frames, but up to the declared end
        (np.append(np.arange(99) / 25, 5000.0), 100, "its timestamps jump by 4996 s"),
        (np.arange(60) / 25, 0, ""),  # nothing is declared
    ],
)
def test_missing_frames_are_a_clear_lack_or_a_jump_in_time(times_s, declared, expected):
    longest_s = float(np.diff(times_s).max())
    described = damage.describe_missing(
        len(times_s), times_s[-1], longest_s=longest_s, declared=declared, fps=25.0
    )
    assert described == expected


def test_a_part_is_damaged_if_its_file_ends_before_it():
    assert damage.describe_part_damage(9.9, 0.0, 10.0) == ""
    assert damage.describe_part_damage(8.0, 5.0, 10.0) == (
        "the file ends at 8.0 s, the part at 10 s"
    )


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path):
    whole = encode(tmp_path / "whole.mp4", frames=60, g=60, bf=2)
    path = trim(whole, tmp_path / "trimmed.mp4", from_frame=40)
    clip = READER.read(path)
    assert (clip.frames, clip.damage) == (20, "")
    assert inspect_video(path).damage == ""
    with open_video(path) as video:
        assert video.declared_frames == 20


def test_a_trimmed_file_that_was_cut_is_damaged(tmp_path):
    whole = encode(tmp_path / "whole.mp4", frames=80, g=80, bf=0, movflags="faststart")
    path = trim(whole, tmp_path / "trimmed.mp4", from_frame=20)
    data = path.read_bytes()
    index = data.index(b"moov") - 4
    size = int.from_bytes(data[index : index + 4])
    # The index first, as in files for the web, then two thirds of the frames.
    kept = data[:index][: index * 2 // 3]
    path.write_bytes(kept + bytes(index - len(kept)) + data[index : index + size])
    assert "of 60 declared frames can be decoded" in READER.read(path).damage


def test_sound_that_lasts_longer_than_the_frames_is_no_damage(tmp_path):
    path = encode(tmp_path / "a.mkv", frames=30, sound="aac", sound_s=6.0)
    assert (READER.read(path).damage, inspect_video(path).damage) == ("", "")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 4 // 10])
    assert "declared frames can be decoded" in READER.read(path).damage


def test_a_wrong_duration_in_the_header_is_no_damage(tmp_path):
    path = encode(tmp_path / "a.mkv", frames=30)
    data = bytearray(path.read_bytes())
    struct.pack_into(">d", data, data.index(b"\x44\x89\x88") + 3, 36e6)  # ten hours
    path.write_bytes(data)
    assert READER.read(path).damage == ""
    path.write_bytes(data[: len(data) * 6 // 10])
    assert "of 900000 declared frames can be decoded" in READER.read(path).damage


def test_zeros_in_place_of_the_second_half_are_damage(tmp_path):
    path = encode(tmp_path / "a.webm", frames=24, codec="libvpx-vp9")
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[:half] + bytes(len(data) - half))
    for reader in (READER.read, inspect_video):
        assert "of 24 declared frames can be decoded" in reader(path).damage


# -- corrupt frames


def lossy(path, every: int):
    return lose_packets(encode(path, frames=60, size=(320, 240), g=25, bf=0), every=every)


@pytest.mark.slow
def test_corrupt_frames_are_counted(tmp_path):
    path = lossy(tmp_path / "a.ts", every=20)
    clip = READER.read(path)
    assert clip.damage.endswith("of 60 frames are corrupt")
    assert 5 < int(clip.damage.split()[0]) <= 30
    assert inspect_video(path).damage == clip.damage
    part = READER.read(path, 0.0, 1.0)
    assert int(part.damage.split()[0]) < int(clip.damage.split()[0])


@pytest.mark.slow
def test_a_video_whose_frames_are_mostly_corrupt_is_unreadable(tmp_path):
    path = lossy(tmp_path / "a.ts", every=8)
    for read in (READER.read, inspect_video):
        with pytest.raises(VideoError, match="of 60 frames are corrupt, more than half"):
            read(path)


def test_corrupt_frames_are_found_by_pyav_without_the_log(tmp_path, monkeypatch):
    path = lossy(tmp_path / "a.ts", every=20)
    monkeypatch.setattr(ffmpeg_log, "LISTENING", False)
    monkeypatch.setattr(ffmpeg_log, "counts", ffmpeg_log._Counts())
    assert READER.read(path).damage.endswith("frames are corrupt")


def test_a_codec_whose_frames_ffmpeg_does_not_mark_is_judged_by_its_errors(tmp_path):
    mjpeg = {"codec": "mjpeg", "pixels": "yuvj420p", "size": (320, 240)}
    path = encode(tmp_path / "a.avi", frames=40, **mjpeg)
    images = path.read_bytes().split(b"\xff\xd8\xff")
    noise = np.random.default_rng(0).integers(0, 255, 300, np.uint8).tobytes()
    for number in (10, 20, 21):
        middle = len(images[number]) // 2
        images[number] = images[number][:middle] + noise + images[number][middle + 300 :]
    path.write_bytes(b"\xff\xd8\xff".join(images))
    assert READER.read(path).damage == "3 of 40 frames are corrupt"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"bf": 2}),
        ("a.ts", {"g": 12}),
        ("a.mkv", {"codec": "mpeg4", "bf": 2}),
        ("a.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
        ("a.mpg", {"codec": "mpeg2video"}),
    ],
)
def test_an_intact_video_has_no_corrupt_frames(tmp_path, name, options):
    path = encode(tmp_path / name, frames=30, **options)
    assert READER.read(path).damage == ""
    with open_video(path) as video:
        assert len(list(video)) == 30
        assert not video.is_suspect


@pytest.mark.slow
def test_a_stream_that_begins_between_key_frames_is_not_damaged(tmp_path):
    path = encode(tmp_path / "a.ts", frames=90, size=(320, 240), g=25, bf=0)
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 8) :])
    clip = READER.read(path)
    assert 50 < clip.frames < 90
    assert clip.damage == ""


# -- few frames


def test_one_frame_shows_no_motion(tmp_path):
    path = encode(tmp_path / "a.mp4", frames=1)
    with pytest.raises(VideoError, match="^it has one frame, and motion needs two$"):
        MOTION.read(path)
    assert READER.read(path).damage == "1 frame, and 8 are sampled (--frames)"


def test_fewer_frames_than_half_of_the_images_are_damage(tmp_path):
    few, enough = (encode(tmp_path / f"{count}.mp4", frames=count) for count in (3, 4))
    assert MOTION.read(few).damage == "3 frames, and 8 are sampled (--frames)"
    assert MOTION.read(enough).damage == ""


# -- rates


@pytest.mark.parametrize(
    ("fps", "usual_fps", "expected"),
    [
        (25.0, 0.0, ""),
        (240.0, 0.0, ""),
        (250.0, 0.0, ""),  # 240, in whole milliseconds
        (600.0, 0.0, "600 frames per second is not plausible"),
        (1.0, 0.0, "1 frames per second is not plausible"),
        (5.0, 25.0, "5 frames per second, and 25 in most other videos"),
        (120.0, 25.0, "120 frames per second, and 25 in most other videos"),
        (10.0, 25.0, ""),
        (0.0, 25.0, ""),  # unknown
    ],
)
def test_a_rate_that_cannot_be_meant_is_said(fps, usual_fps, expected):
    assert damage.describe_rate(fps, usual_fps) == expected


def test_a_usual_rate_needs_five_videos():
    assert damage.usual_fps([25.0, 25.0, 30.0, 0.0, 5.0, 25.0]) == 25.0
    assert damage.usual_fps([25.0, 25.0, 30.0, 0.0, 5.0]) == 0.0


def test_the_rate_of_a_clip_is_that_of_most_of_its_frames(tmp_path):
    fast = draw_video(tmp_path / "fast.avi", frames=20, fps=600, codec="MJPG")
    assert READER.read(fast).notes == ("600 frames per second is not plausible",)
    slow = draw_video(tmp_path / "slow.avi", frames=20, fps=1, codec="MJPG")
    assert READER.read(slow).notes == ("1 frames per second is not plausible",)
    # Nothing was recorded for ten minutes.
    gap = encode(tmp_path / "gap.mp4", frames=20, times=[*range(10), *range(15000, 15010)])
    assert READER.read(gap).notes == ()
    assert inspect_video(gap).fps == pytest.approx(25.0)
