"""A split is drawn once; later changes, and classes that a part lacks, are logged."""

import json
import logging
from pathlib import Path

import pytest

from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, ConfigError


def videos_of(*groups: str, labels=("calm", "fight"), split="") -> list[Video]:
    """A video of each class in each recording."""
    return [
        Video(f"{label}/{group}.mp4", label, f"{label} {group}", split)
        for group in groups
        for label in labels
    ]


NINE = videos_of(*"abcdefghi")
DEFAULTS = {
    "validation_fraction": 0.15,
    "test_fraction": 0.15,
    "split_seed": 42,
    "redraw": False,
}


@pytest.fixture
def update(tmp_path, caplog):
    """Updates the splits of a folder with these videos; keywords are settings of the draw."""
    caplog.set_level(logging.WARNING, "violence_detection")
    logging.getLogger("violence_detection").propagate = True
    root = tmp_path / "videos"
    root.mkdir()

    def run(videos, *, failed=(), **settings) -> dict[str, str]:
        folder = VideoFolder(root, tuple(videos), "videos.csv")
        entries = {
            video.key: ManifestEntry(
                video.key,
                video.label,
                video.group,
                "",
                status="failed" if video.key in failed else "ok",
            )
            for video in videos
        }
        return SplitStore(tmp_path / "cache").update(folder, entries, **DEFAULTS | settings)

    return run


# -- relation


def test_a_video_that_comes_back_has_its_former_split(update):
    before = update(NINE)
    for video in NINE:
        update([kept for kept in NINE if kept != video])
        assert update(NINE) == before


@pytest.mark.slow
def test_a_new_video_follows_a_recording_whose_videos_are_gone(update):
    before = update(NINE)
    for away in NINE:
        here = [video for video in NINE if video != away]
        new = Video("new.mp4", away.label, away.group)
        assert update([*here, new])["new.mp4"] == before[away.key]
        update(here, redraw=True)
        assert update(NINE, redraw=True) == before


def test_the_readable_videos_have_both_classes_in_each_part(update, caplog):
    failed = {video.key for video in NINE[:8]}
    assigned = update(NINE, failed=failed)
    present = {(assigned[v.key], v.label) for v in NINE if v.key not in failed}
    assert present == {(split, label) for split in SPLITS for label in ("calm", "fight")}
    assert caplog.messages == []


# -- warnings


def test_a_part_without_a_class_is_logged(update, caplog):
    update(videos_of("a", "b"))
    assert "In the split, test has no videos." in caplog.text


def test_a_class_that_cannot_be_read_is_logged(update, caplog):
    assigned = update(NINE)
    failed = {v.key for v in NINE if (assigned[v.key], v.label) == ("test", "fight")}
    update(NINE, failed=failed)
    assert "In the split, test has no videos of fight." in caplog.text


def test_videos_that_move_with_their_recording_are_logged(update, caplog):
    before = update(NINE)
    assert caplog.messages == []
    together = [Video(v.path, v.label, "one") for v in NINE]
    after = update(together)
    assert len(set(after.values())) == 1
    moved = [key for key in before if before[key] != after[key]]
    assert f"{len(moved)} videos moved to another part" in caplog.text


# -- error


def check(folder: Path, root: Path, *, redraw=False, force=False, **asked) -> None:
    SplitStore(folder).check_settings(root, asked=asked, redraw=redraw, force=force)


def test_a_dataset_name_belongs_to_one_folder_until_that_is_gone(update, tmp_path):
    update(NINE)
    other = tmp_path / "other"
    other.mkdir()
    check(tmp_path / "cache", tmp_path / "videos")
    with pytest.raises(ConfigError, match="--dataset-name must not be another folder's"):
        check(tmp_path / "cache", other)
    check(tmp_path / "cache", other, force=True)
    (tmp_path / "videos").rename(tmp_path / "moved")
    check(tmp_path / "cache", tmp_path / "moved")


def test_a_drawn_split_keeps_its_fractions(update, tmp_path):
    update(NINE, test_fraction=0.3)
    root = tmp_path / "videos"
    check(tmp_path / "cache", root, test_fraction=0.3)
    check(tmp_path / "cache", root)
    check(tmp_path / "cache", root, test_fraction=0.2, redraw=True)
    with pytest.raises(ConfigError, match=r"what the split was drawn with, 0\.3"):
        check(tmp_path / "cache", root, test_fraction=0.2)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"validation_fraction": "a"}'])
def test_altered_settings_are_one_line(update, tmp_path, text):
    update(NINE)
    (tmp_path / "cache" / "splits.json").write_text(text)
    with pytest.raises(CacheError, match=r"splits\.json must hold validation_fraction"):
        check(tmp_path / "cache", tmp_path / "videos")


def test_the_settings_of_the_draw_are_written_beside_the_split(update, tmp_path):
    update(NINE, split_seed=3)
    assert json.loads((tmp_path / "cache" / "splits.json").read_text()) == {
        "validation_fraction": 0.15,
        "test_fraction": 0.15,
        "split_seed": 3,
        "dir": str(tmp_path / "videos"),
    }
