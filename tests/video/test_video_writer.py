"""The writer gives a file with the frames that were written, and with the sound."""

from pathlib import Path

import av
import numpy as np
import pytest
from support.encoding import encode
from support.videos import draw_video, frames_of

from violence_detection.errors import ViolenceDetectionError
from violence_detection.video.writing.video_writer import VideoWriter, choose_codec


def write(path: Path, sound: Path, codec: str = "", count: int = 30) -> Path:
    """Grey frames of 64 x 48, each brighter than the last."""
    writer = VideoWriter(path, size=(64, 48), fps=15.0, sound=sound, codec=codec)
    for number in range(count):
        writer.write(np.full((48, 64, 3), 40 + 5 * number, np.uint8))
    writer.close()
    return path


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libvpx-vp9", "vp9")])
def test_the_frames_written_are_those_read(tmp_path, codec, name):
    source = draw_video(tmp_path / "silent.mp4")
    path = write(tmp_path / "a.mp4", source, codec)
    frames = frames_of(path)
    assert len(frames) == 30
    assert frames[0].shape == (48, 64, 3)
    brightness = [frame.mean() for frame in frames]
    np.testing.assert_allclose(brightness, 40 + 5 * np.arange(30), atol=4)
    with av.open(str(path)) as file:
        assert name in file.streams.video[0].codec_context.name


def test_the_sound_is_copied_up_to_the_last_frame(tmp_path):
    source = encode(tmp_path / "sound.mp4", frames=100, sound="aac")
    with av.open(str(write(tmp_path / "a.mp4", source))) as written:
        sound = written.streams.audio[0]
        seconds = float(sound.duration * sound.time_base)
    assert sound.codec_context.name == "aac"
    assert seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("available", "codec"), [({"libx264", "libvpx-vp9"}, "libx264"), ({"libvpx-vp9"}, "libvpx-vp9")]
)
def test_h264_comes_before_vp9(monkeypatch, available, codec):
    monkeypatch.setattr(av, "codecs_available", available)
    assert choose_codec() == codec


def test_without_an_encoder_the_message_names_the_remedy(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(ViolenceDetectionError, match=r"libx264, libvpx-vp9 .*pip install .* av$"):
        choose_codec()
