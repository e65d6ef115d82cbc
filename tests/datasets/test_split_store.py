"""A split is drawn once; what changes in it later, and what it lacks, is said."""

import json
import logging
from pathlib import Path

import pytest

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.split_store import SplitStore
from violence_detection.datasets.video_folder import SPLITS, Video, VideoFolder
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features.config import ExtractConfig


def videos_of(*groups: str, labels=("calm", "fight"), split="") -> list[Video]:
    """One video of each class in each recording."""
    return [
        Video(f"{label}/{group}.mp4", label, f"{label} {group}", split)
        for group in groups
        for label in labels
    ]


NINE = videos_of(*"abcdefghi")


@pytest.fixture
def resolve(tmp_path, caplog):
    """Splits of a folder with these videos; keywords are settings that were given."""
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
        return SplitStore(tmp_path / "cache").resolve(
            folder, entries, ExtractConfig.from_flags(settings)
        )

    return run


# -- relation


def test_a_video_that_comes_back_has_the_side_that_it_had(resolve):
    before = resolve(NINE)
    for video in NINE:
        resolve([one for one in NINE if one != video])
        assert resolve(NINE) == before


def test_a_new_video_follows_a_recording_that_is_away(resolve):
    before = resolve(NINE)
    for away in NINE:
        here = [video for video in NINE if video != away]
        new = Video("new.mp4", away.label, away.group)
        assert resolve([*here, new])["new.mp4"] == before[away.key]
        resolve(here, redraw_splits=True)
        assert resolve(NINE, redraw_splits=True) == before


def test_the_readable_videos_have_both_classes_in_each_part(resolve, caplog):
    failed = {video.key for video in NINE[:8]}
    assigned = resolve(NINE, failed=failed)
    there = {(assigned[v.key], v.label) for v in NINE if v.key not in failed}
    assert there == {(split, label) for split in SPLITS for label in ("calm", "fight")}
    assert caplog.messages == []


# -- what is said


def test_a_part_without_a_class_is_said(resolve, caplog):
    resolve(videos_of("a", "b"))
    assert "In the split, test has no videos." in caplog.text


def test_a_class_that_cannot_be_read_is_said(resolve, caplog):
    assigned = resolve(NINE)
    failed = {v.key for v in NINE if (assigned[v.key], v.label) == ("test", "fight")}
    resolve(NINE, failed=failed)
    assert "In the split, test has no videos of fight." in caplog.text


def test_videos_that_move_with_their_recording_are_said(resolve, caplog):
    before = resolve(NINE)
    assert caplog.messages == []
    together = [Video(v.path, v.label, "one") for v in NINE]
    after = resolve(together)
    assert len(set(after.values())) == 1
    moved = [key for key in before if before[key] != after[key]]
    assert f"{len(moved)} videos moved to another part" in caplog.text


# -- error


def check(folder: Path, root: Path, *, force=False, **settings) -> None:
    SplitStore(folder).check(root, ExtractConfig.from_flags(settings), force=force)


def test_a_name_is_one_folder_s_until_that_is_gone(resolve, tmp_path):
    resolve(NINE)
    other = tmp_path / "other"
    other.mkdir()
    check(tmp_path / "cache", tmp_path / "videos")
    with pytest.raises(ConfigError, match="--dataset-name must not be another folder's"):
        check(tmp_path / "cache", other)
    check(tmp_path / "cache", other, force=True)
    (tmp_path / "videos").rename(tmp_path / "moved")
    check(tmp_path / "cache", tmp_path / "moved")


def test_a_drawn_split_keeps_its_fractions(resolve, tmp_path):
    resolve(NINE, test_fraction=0.3)
    root = tmp_path / "videos"
    check(tmp_path / "cache", root, test_fraction=0.3)
    check(tmp_path / "cache", root)
    check(tmp_path / "cache", root, test_fraction=0.2, redraw_splits=True)
    with pytest.raises(ConfigError, match=r"what the split was drawn with, 0\.3"):
        check(tmp_path / "cache", root, test_fraction=0.2)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"validation_fraction": "a"}'])
def test_altered_settings_are_one_line(resolve, tmp_path, text):
    resolve(NINE)
    (tmp_path / "cache" / "splits.json").write_text(text)
    with pytest.raises(CacheError, match=r"splits\.json must hold validation_fraction"):
        check(tmp_path / "cache", tmp_path / "videos")


def test_what_it_was_drawn_with_is_left_beside_it(resolve, tmp_path):
    resolve(NINE, split_seed=3)
    assert json.loads((tmp_path / "cache" / "splits.json").read_text()) == {
        "validation_fraction": 0.15,
        "test_fraction": 0.15,
        "split_seed": 3,
        "dir": str(tmp_path / "videos"),
    }
