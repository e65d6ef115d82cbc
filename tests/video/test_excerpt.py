"""An excerpt shows the images of the part that it was cut for, whatever the codec."""

import pytest
from support.encoding import encode

from violence_detection.errors import VideoError
from violence_detection.video.writing.excerpt import excerpt_start_s, shows_the_same, write_excerpt


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b-frames.mp4", {"g": 25, "bf": 3}),
        ("camera.mkv", {"g": 50, "bf": 0}),
        ("mpeg4.avi", {"codec": "mpeg4", "g": 12}),
        ("late.ts", {"g": 25, "bf": 0}),
    ],
)
def test_an_excerpt_shows_the_part(tmp_path, name, options):
    video = encode(tmp_path / name, frames=250, **options)
    start_s, end_s = 6.0, 8.0
    first_s = excerpt_start_s(video, start_s)
    assert 3.0 < first_s <= start_s  # not from the start of the video
    excerpt = tmp_path / "excerpt.mp4"
    write_excerpt(video, excerpt, first_s, end_s)
    part_s = (start_s - first_s - 0.0005, end_s - first_s - 0.0005)
    assert shows_the_same(video, start_s, end_s, excerpt, *part_s)
    assert not shows_the_same(video, start_s - 1, end_s - 1, excerpt, *part_s)


def test_what_is_no_video_is_an_error(tmp_path):
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be read"):
        excerpt_start_s(tmp_path / "torn.mp4", 1.0)
