"""Shards that divide a dataset leave the same files as a single extraction."""

import json
import subprocess
import sys

import pytest
from support.extraction import SMALL_BACKBONES, contents_with_split, counts, spoil, write_table
from support.videos import draw_video

from violence_detection.errors import (
    CacheError,
    DatasetError,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import usable_entries


@pytest.mark.slow
@pytest.mark.parametrize("order", [pytest.param((1, 2, 3), marks=pytest.mark.slow), (3, 1, 2)])
def test_shards_leave_the_files_of_a_single_extraction(extract, tmp_path, order):
    expected = contents_with_split(extract(cache_dir=str(tmp_path / "one")).features)
    for number in order:
        assert "splits.csv" not in {path.name for path in tmp_path.rglob("cache/*/*")}
        part = extract(shard=f"{number}/3")
        assert (part.extracted, part.reused, part.failed) == (part.videos, 0, 0)
    assert contents_with_split(part.features) == expected
    assert len(usable_entries(FeatureCache.open(part.features))) == 12
    assert not list(part.features.glob("*.jsonl"))
    assert counts(extract()) == (0, 12, 0)


def test_features_are_not_complete_before_the_last_shard(extract):
    part = extract(shard="1/3")
    assert 0 < part.videos < 12
    with pytest.raises(CacheError, match="of other shards than 1-of-3 are not done"):
        usable_entries(FeatureCache.open(part.features))
    assert counts(extract(shard="1/3")) == (0, part.videos, 0)


def test_an_extraction_reuses_the_videos_of_shards(extract):
    part = extract(shard="2/3")
    assert counts(extract()) == (12 - part.videos, part.videos, 0)


def test_the_videos_of_a_killed_shard_are_reused_by_all(extract, monkeypatch):
    noted, note = [], FeatureCache.append_to_journal

    def interrupted(self, entry):
        note(self, entry)
        noted.append(entry.path)
        if len(noted) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "append_to_journal", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(shard="1/2")
    assert extract(shard="1/2").reused == 2
    assert extract(shard="2/2").reused == 0
    assert counts(extract()) == (0, 12, 0)


@pytest.mark.slow
def test_a_shard_in_progress_keeps_its_journal_when_another_merges(extract, tmp_path):
    """The other shard rewrites the manifest while this shard is in progress."""
    expected = contents_with_split(extract(cache_dir=str(tmp_path / "one")).features)
    results, note = {}, FeatureCache.append_to_journal

    def slow_note(self, entry):
        note(self, entry)
        if "1-of-2" in str(self._journal_path) and not results:
            results[2] = extract(shard="2/2")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureCache, "append_to_journal", slow_note)
        one = extract(shard="1/2")
    assert one.extracted + results[2].extracted == 12
    assert contents_with_split(one.features) == expected


def test_a_video_that_cannot_be_read_is_counted_by_its_shard(extract, dataset_dir, tmp_path):
    spoil(dataset_dir / "fight" / "0.mp4")
    (dataset_dir / "videos.csv").write_text(
        "path,label\n"
        + "".join(f"fight/{n}.mp4,fight\nnoFight/{n}.mp4,noFight\n" for n in range(6))
        + "fight/gone.mp4,fight\n"
    )
    settings = {"max_failures": 1.0}
    whole = extract(cache_dir=str(tmp_path / "one"), **settings)
    parts = [extract(shard=f"{number}/2", **settings) for number in (1, 2)]
    assert sum(part.failed for part in parts) == whole.failed == 2
    assert contents_with_split(parts[1].features) == contents_with_split(whole.features)


def test_shards_complete_with_videos_that_are_not_files(extract, dataset_dir):
    (dataset_dir / "folder.mp4").mkdir()
    long = draw_video(dataset_dir / ("x" * 248 + ".mp4"), seed=70)
    write_table(dataset_dir, "folder.mp4,fight", "gone.mp4,fight", f"{long.name},fight")
    for _ in range(2):
        parts = [extract(shard=f"{n}/2", max_failures=1.0) for n in (1, 2)]
        assert sum(part.failed for part in parts) == 3
        assert parts[1].complete
    whole = extract(max_failures=1.0)
    assert counts(whole) == (0, 12, 3)


def test_failures_are_a_fraction_of_the_whole_class(extract, dataset_dir):
    """Not of the few videos that a shard has of the class."""
    spoil(dataset_dir / "fight" / "0.mp4")
    failed = [extract(shard=f"{number}/4").failed for number in (1, 2, 3, 4)]
    assert sum(failed) == 1
    assert usable_entries(FeatureCache.open(extract().features))


def test_shards_together_keep_to_max_failures(extract, dataset_dir):
    spoil(dataset_dir / "fight" / "0.mp4")
    spoil(dataset_dir / "fight" / "1.mp4")
    settings = {"max_failures": 0.2}
    with pytest.raises(DatasetError, match="Received: 2 of 6 videos of fight"):
        for number in (1, 2, 3, 4, 5, 6):
            extract(shard=f"{number}/6", **settings)


def test_shards_without_a_readable_video_are_an_error(extract, dataset_dir):
    for path in dataset_dir.rglob("*.mp4"):
        spoil(path)
    extract(shard="1/2", max_failures=1.0)
    with pytest.raises(DatasetError, match="At least one video must be readable"):
        extract(shard="2/2", max_failures=1.0)
    settings = next(dataset_dir.parent.rglob("extraction.json")).read_text()
    assert json.loads(settings)["stopped"].startswith("At least one video must be")


def test_the_last_shard_removes_the_files_of_a_kill(extract):
    folder = extract(shard="1/2").features
    leftover = folder / "fight" / "9.mp4.npy.partial-01234567-99-abcd"
    leftover.parent.mkdir(exist_ok=True)
    leftover.touch()
    assert not extract(shard="1/2").complete
    assert leftover.exists()
    assert extract(shard="2/2").complete
    assert not leftover.exists()


@pytest.mark.slow
def test_too_many_shards_leave_some_without_a_video(extract):
    for number in range(1, 17):
        extract(shard=f"{number}/16")
    assert counts(extract()) == (0, 12, 0)


@pytest.mark.slow
def test_two_shards_at_once_leave_the_files_of_a_single_extraction(extract, dataset_dir, tmp_path):
    def command(shard: str) -> list[str]:
        small = ["--backbone", "mobilenetv2", "--weights", "random", "--frames", "4"]
        code = SMALL_BACKBONES + "from violence_detection.cli import extract_features as e; e()"
        places = [str(dataset_dir), "--cache-dir", str(tmp_path / "cache")]
        asked = ["--frame-size", "32", "-q", "--shard", shard]
        return [sys.executable, "-c", code, *places, *small, *asked]

    running = [subprocess.Popen(command(f"{number}/2")) for number in (1, 2)]
    assert [process.wait() for process in running] == [0, 0]
    alone = extract(cache_dir=str(tmp_path / "alone")).features
    cache = next((tmp_path / "cache").rglob("extraction.json")).parent
    assert contents_with_split(cache) == contents_with_split(alone)
