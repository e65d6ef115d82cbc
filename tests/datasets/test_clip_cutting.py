"""Long videos cut into clips: their times, their recordings, and a folder of normal videos
alone."""

import pytest
from support.videos import draw_video

from violence_detection.datasets.annotations.clip_cutting import video_of_key
from violence_detection.datasets.labels import label_mapping, normal_entries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.video_folder import read_folder
from violence_detection.errors import CacheError, DatasetError


@pytest.fixture
def quiet(tmp_path):
    """One video of 10 s and one of 3 s, of the normal class."""
    draw_video(tmp_path / "normal" / "long.mp4", frames=120)
    draw_video(tmp_path / "normal" / "short.mp4", frames=36, seed=1)
    return tmp_path


def test_a_long_video_becomes_clips_without_gaps_of_its_recording(quiet):
    folder = read_folder(quiet, clip_s=3.0)
    assert [video.key for video in folder.videos] == [
        "normal/long.mp4@0-3",
        "normal/long.mp4@3-6",
        "normal/long.mp4@6-9",
        "normal/short.mp4",
    ]
    assert {video.group for video in folder.videos} == {"normal/long.mp4", "normal/short.mp4"}
    assert (folder.grouping, folder.ungrouped) == ("--clip-s", 1)
    assert any("3 clips" in note for note in folder.notes)
    assert "1 video without a cut" in folder.recordings_warning


def test_a_clip_is_found_in_a_folder_that_is_read_whole(quiet):
    by_key = {video.key: video for video in read_folder(quiet).videos}
    clip = video_of_key("normal/long.mp4@3-6", by_key)
    assert (clip.path, clip.start_s, clip.end_s) == ("normal/long.mp4", 3.0, 6.0)
    assert video_of_key("normal/short.mp4", by_key).start_s is None
    assert video_of_key("normal/gone.mp4@3-6", by_key) is None


def test_the_normal_class_alone_is_read_with_a_note(quiet):
    assert any("--one-class" in note for note in read_folder(quiet).notes)


def test_another_class_alone_is_refused(tmp_path):
    draw_video(tmp_path / "fight" / "a.mp4")
    with pytest.raises(DatasetError, match="one that is called normal"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["normal"], {"normal": "normal"}),
        (["noFight", "fight"], {"noFight": "normal", "fight": "unusual"}),
        (
            ["Normal", "Arson", "Abuse"],
            {"Normal": "normal", "Arson": "unusual", "Abuse": "unusual"},
        ),
        (["normal", "unusual"], {"normal": "normal", "unusual": "unusual"}),
    ],
)
def test_all_classes_but_the_normal_one_are_unusual(labels, expected):
    assert label_mapping(["normal", "unusual"], labels) == expected


def test_labels_without_a_normal_one_cannot_be_mapped():
    with pytest.raises(CacheError, match="normal class"):
        label_mapping(["normal", "unusual"], ["fight", "arson"])


def test_normal_entries_are_those_of_the_normal_class():
    entries = [ManifestEntry(f"{n}.mp4", label, "g", "train") for n, label in enumerate("aba")]
    chosen, classes = normal_entries(entries, "a")
    assert [entry.path for entry in chosen] == ["0.mp4", "2.mp4"]
    assert classes == ["a", "unusual"]
