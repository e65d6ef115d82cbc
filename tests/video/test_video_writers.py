"""Every writer gives a file with the frames that were written; PyAV's has the sound too."""

import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.encoding import encode
from support.videos import draw_video, frames_of

from violence_detection.errors import ViolenceDetectionError
from violence_detection.video import video_writers


def write(name: str, path: Path, sound: Path, count: int = 30) -> Path:
    """Grey frames of 64 x 48, each brighter than the last."""
    writer = video_writers.open_writer(name, path, size=(64, 48), fps=15.0, sound=sound)
    for number in range(count):
        writer.write(np.full((48, 64, 3), 40 + 5 * number, np.uint8))
    writer.close()
    return path


@pytest.fixture
def silent(tmp_path) -> Path:
    return draw_video(tmp_path / "silent.mp4")


@pytest.mark.parametrize("name", ["pyav", "opencv"])
def test_the_frames_written_are_those_read(tmp_path, name, silent):
    frames = frames_of(write(name, tmp_path / "a.mp4", silent))
    assert len(frames) == 30
    assert frames[0].shape == (48, 64, 3)
    brightness = [frame.mean() for frame in frames]
    np.testing.assert_allclose(brightness, 40 + 5 * np.arange(30), atol=4)


def test_pyav_copies_the_sound_up_to_the_last_frame(tmp_path):
    source = encode(tmp_path / "sound.mp4", frames=100, sound="aac")
    with av.open(str(write("pyav", tmp_path / "a.mp4", source))) as written:
        assert written.streams.video[0].codec_context.name == "h264"
        sound = written.streams.audio[0]
        seconds = float(sound.duration * sound.time_base)
    assert sound.codec_context.name == "aac"
    assert seconds == pytest.approx(2.0, abs=0.1)


def test_opencv_reports_a_disk_that_is_full(tmp_path, silent, monkeypatch):
    path = tmp_path / "a.mp4"
    writer = video_writers.open_writer("opencv", path, size=(64, 48), fps=15.0, sound=silent)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer._writer.release()
    path.write_bytes(b"")
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_opencv_without_vp9_names_what_to_install(tmp_path, silent, monkeypatch):
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *_: -1)
    with pytest.raises(ViolenceDetectionError, match=r"adds another encoder\. Received: "):
        video_writers.open_writer(
            "opencv", tmp_path / "a.none", size=(64, 48), fps=15.0, sound=silent
        )


def test_an_ffmpeg_that_fails_or_is_missing_has_no_encoder(monkeypatch):
    def fail(*_, **__):
        raise subprocess.TimeoutExpired("ffmpeg", 20)

    monkeypatch.setattr(video_writers.subprocess, "run", fail)
    assert video_writers._ffmpeg_codec() == ""


def replace_ffmpeg(folder: Path, script: str, monkeypatch) -> None:
    """Put a shell script on the PATH in place of ffmpeg; it lists no encoders."""
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\ncase $* in *-encoders) exit 0;; esac\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cat >/dev/null; echo first >&2; echo 'no such encoder' >&2; exit 1", "no such encoder"),
        ("cat >/dev/null; echo 'av: No space left on device' >&2; exit 1", "the disk is full"),
        ("cat >/dev/null; exit 3", "it ended with status 3"),
    ],
)
def test_an_error_of_ffmpeg_has_its_reason(tmp_path, silent, monkeypatch, script, reason):
    replace_ffmpeg(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(ViolenceDetectionError, match=f"could not be written by ffmpeg: {reason}$"):
        write("ffmpeg", tmp_path / "a.mp4", silent)


def test_frames_go_to_ffmpeg_as_bytes_in_order(tmp_path, silent, monkeypatch):
    copy = tmp_path / "frames"
    replace_ffmpeg(tmp_path / "bin", f"cat >'{copy}'", monkeypatch)
    write("ffmpeg", tmp_path / "a.mp4", silent, count=5)
    frames = np.fromfile(copy, np.uint8).reshape(5, 48, 64, 3)
    assert frames.mean(axis=(1, 2, 3)).tolist() == [40, 45, 50, 55, 60]
