"""The most common size and rate of videos, measured at training for exports."""

import pytest
from support.videos import draw_video

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import VideoError
from violence_detection.features.checking import frame_formats
from violence_detection.features.checking.frame_formats import FrameFormat


@pytest.fixture
def entries(tmp_path) -> list[ManifestEntry]:
    """Two videos of 64x48 at 12 frames a second, and a larger one at 10."""
    rows = []
    for name, size, fps in (("a", (64, 48), 12.0), ("b", (160, 96), 10.0), ("c", (64, 48), 12.0)):
        path = draw_video(tmp_path / "fight" / f"{name}.mp4", size=size, fps=fps)
        draw_video(tmp_path / "noFight" / f"{name}.mp4")
        rows.append(
            ManifestEntry(
                f"fight/{name}.mp4", "fight", name, "train", size=path.stat().st_size, fps=fps
            )
        )
    return rows


def test_the_most_common_size_and_rate_are_measured(entries, tmp_path):
    found = frame_formats.measure_format(entries, tmp_path)
    assert found == FrameFormat(48, 64, 12.0, longest_side=160, measured=3, videos=3)
    assert FrameFormat.from_json(vars(found)) == found


def test_videos_that_are_gone_have_no_format(entries, tmp_path):
    assert frame_formats.measure_format(entries, tmp_path / "gone") is None


def test_a_text_has_no_frame_size(tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(VideoError):
        frame_formats.read_frame_size(tmp_path / "text.mp4")


def test_a_size_of_nothing_is_refused():
    record = {"height": 0, "width": 64, "fps": 12, "longest_side": 64, "measured": 1, "videos": 1}
    with pytest.raises(ValueError, match="positive"):
        FrameFormat.from_json(record)
