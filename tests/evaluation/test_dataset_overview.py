"""`check --report`: frames of each class and recording, near-duplicates, the split, the
interval."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.videos import patterns, write_frames

from violence_detection import cli
from violence_detection.evaluation.dataset_overview import overview
from violence_detection.features.checking.folder_check import check_folder
from violence_detection.features.config import CheckConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four recordings a class, of which one of calm is also, a little longer, one of fight."""
    root = tmp_path_factory.mktemp("dataset") / "Lobby <2>"
    rows = ["path,label,group"]
    for number in range(16):
        label = ("calm", "fight & run")[number % 2]
        drawn = patterns(0 if number in (0, 1) else number)
        write_frames(root / label / f"{number}.avi", drawn)
        rows.append(f"{label}/{number}.avi,{label},r{number // 4}{label[0]}")
    (root / "calm" / "broken.mp4").write_bytes(b"no video")
    rows.append("calm/broken.mp4,calm,r9")
    (root / "videos.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def dataset(folder):
    return overview(check_folder(folder, CheckConfig(report="x.html")), blur=False)


def test_each_recording_is_shown_by_a_video_of_its_own(dataset):
    assert {label: len(videos) for label, videos in dataset.shown.items()} == {
        "calm": 4,
        "fight & run": 4,
    }
    videos = [video for shown in dataset.shown.values() for video in shown]
    assert all(video.image.startswith("data:image/jpeg;base64,") for video in videos)
    assert len({video.image for video in videos}) >= 7
    assert dataset.shown["calm"][0].caption == "r0c (2 videos)"


def test_pairs_parts_and_properties_are_there(dataset):
    [copies] = dataset.check.duplicates or [dataset.pairs[0].videos]
    assert len(copies) == 2
    assert sum(part.videos for part in dataset.splits) == 16
    assert dataset.recordings == 8
    assert {name: len(values["calm"]) for name, values in dataset.properties.items()} == {
        "Length (s)": 8,
        "Shorter side (pixels)": 8,
        "Frames per second": 8,
        "Brightness (0 to 255)": 8,
    }


@pytest.mark.slow
def test_the_command_writes_a_page_and_replaces_none(folder, tmp_path):
    page = tmp_path / "dataset.html"
    arguments = ["check", str(folder), "--report", str(page)]
    assert CliRunner().invoke(cli.main, [*arguments, "--dry-run"]).exit_code == 3
    assert not page.exists()
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 3
    assert str(page) in result.stdout.replace("\n", "")
    text = page.read_text()
    assert "Lobby &lt;2&gt;" in text
    assert "fight &amp; run" in text
    assert "calm/broken.mp4" in text.replace("<wbr>", "")
    assert "within about" in text
    again = CliRunner().invoke(cli.main, arguments)
    assert again.exit_code == 2
    assert "must name a new file" in again.stderr
    assert CliRunner().invoke(cli.main, ["check", str(folder), "--blur-faces"]).exit_code == 2
