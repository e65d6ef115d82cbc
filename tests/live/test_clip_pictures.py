"""A clip has pictures, and a video that any browser plays."""

import av
import cv2
import numpy as np
import pytest
from support.packets import DrawnStream, times_in

from violence_detection.errors import VideoError
from violence_detection.live.recording.clip_pictures import make_pictures
from violence_detection.live.recording.clips import ClipWriter


def write(path, drawn):
    writer = ClipWriter(path, drawn.header, drawn.time_base)
    for packet in drawn.packets:
        writer.write(packet)
    return writer.finish().path


def test_a_contact_sheet_shows_eight_moments_of_the_clip(tmp_path):
    clip = write(tmp_path / "a.mp4", DrawnStream())
    pictures = make_pictures(clip)
    assert pictures.preview is None
    sheet = cv2.imread(str(pictures.poster))
    assert sheet.shape == (480, 1280, 3) and pictures.bytes == pictures.poster.stat().st_size
    corners = [
        sheet[row * 240 + 200 : row * 240 + 238, column * 320 + 250 : column * 320 + 318].mean()
        for row in range(2)
        for column in range(4)
    ]
    assert corners == pytest.approx(20 + 2 * np.arange(2, 40, 5), abs=6)


@pytest.mark.parametrize("codec", ["libx265", "mjpeg"])
def test_what_browsers_do_not_play_has_a_preview_that_they_do(tmp_path, codec):
    clip = write(tmp_path / "a.mp4", DrawnStream(codec=codec, size=(1280, 96), frames=12))
    pictures = make_pictures(clip)
    with av.open(str(pictures.preview)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (640, 48)
    assert times_in(pictures.preview) == pytest.approx(times_in(clip), abs=0.002)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.jpg",
        "a.mp4",
        "a.preview.mp4",
    ]


def test_a_clip_of_one_frame_has_a_contact_sheet(tmp_path):
    clip = write(tmp_path / "a.mp4", DrawnStream(frames=2))
    assert make_pictures(clip).poster.exists()


@pytest.mark.parametrize("content", [b"", b"no video" * 200])
def test_what_cannot_be_decoded_has_no_pictures(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(VideoError, match="must be a readable MP4"):
        make_pictures(tmp_path / "a.mp4")


def test_the_preview_of_a_turned_clip_is_upright(tmp_path):
    drawn = DrawnStream(codec="libx265", rotation=90, frames=12)
    with av.open(str(make_pictures(write(tmp_path / "a.mp4", drawn)).preview)) as container:
        assert next(container.decode(video=0)).rotation == 90
