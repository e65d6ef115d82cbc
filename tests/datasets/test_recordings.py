"""Recordings come from extraction, from a pattern, or from near-duplicates."""

import numpy as np
import pytest

from violence_detection.datasets.splitting import recordings
from violence_detection.datasets.splitting.recordings import NearDuplicates, choose_recordings
from violence_detection.datasets.summaries import summary_cache
from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import EvidenceError

ENTRIES = [ManifestEntry(f"cam{n // 2}/{n}.mp4", "calm", f"{n}", "test") for n in range(4)]


def chosen(*, complete=True, pattern=None, joined_by=None) -> recordings.Grouping:
    return choose_recordings(ENTRIES, complete=complete, pattern=pattern, joined_by=joined_by)


def test_without_a_setting_the_recordings_are_those_of_extraction():
    grouping = chosen(complete=False)
    assert grouping.groups == {entry.path: entry.group for entry in ENTRIES}
    assert (grouping.complete, grouping.source) == (False, "")


def test_a_pattern_names_the_recordings_and_is_complete_if_it_matches_all():
    grouping = chosen(complete=False, pattern=r"cam\d")
    assert [entry.group for entry in grouping.apply_to(ENTRIES)] == ["cam0", "cam0", "cam1", "cam1"]
    assert (grouping.complete, grouping.source) == (True, "--group-pattern")
    partial = chosen(pattern=r"cam0")
    assert [entry.group for entry in partial.apply_to(ENTRIES)] == ["cam0", "cam0", "2", "3"]
    assert not partial.complete


def test_near_duplicates_join_recordings_after_the_pattern():
    pairs = {(ENTRIES[1].path, ENTRIES[2].path): 1.0}
    grouping = chosen(pattern=r"cam\d", joined_by=NearDuplicates(pairs, True, ""))
    assert set(grouping.groups.values()) == {"cam0"}
    assert grouping.source == "--group-pattern and likeness"


def test_recordings_are_not_joined_if_some_videos_could_not_be_read():
    with pytest.raises(EvidenceError, match="must have the files of all videos. Received: gone"):
        chosen(joined_by=NearDuplicates.not_searched("gone"))


def test_uniform_videos_are_no_near_duplicates(monkeypatch, tmp_path, rng):
    images = rng.random((4, 16, 16, 3), np.float32)
    images[:2] = 0.0
    summaries = VideoSummaries(
        np.zeros((4, 2), np.int32), images, np.zeros((4, 8)), np.zeros((4, 8), np.uint64)
    )
    available = AvailableSummaries(np.arange(4), summaries, "")
    monkeypatch.setattr(summary_cache, "summaries_of", lambda *_, **__: available)
    near, _ = recordings.find_near_duplicates(
        ENTRIES, video_dir=tmp_path, summaries_path=tmp_path / "s", read_videos=True, max_bits=4.0
    )
    assert near == NearDuplicates({(ENTRIES[2].path, ENTRIES[3].path): 0.0}, True, "")


def test_without_reading_videos_nothing_is_searched(tmp_path):
    near, summaries = recordings.find_near_duplicates(
        ENTRIES, video_dir=tmp_path, summaries_path=tmp_path / "s", read_videos=False, max_bits=4.0
    )
    assert (near.searched, near.reason, summaries) == (False, "--no-read-videos was given", None)


def test_recordings_are_joined_along_chains():
    groups = {"0": "a", "1": "b", "2": "c", "3": "d", "4": "b"}
    pairs = {("0", "1"): 1.0, ("2", "4"): 2.0}
    assert recordings._joined(groups, pairs) == {
        "0": "a", "1": "a", "2": "a", "3": "d", "4": "a",
    }  # fmt: skip
    assert recordings._joined(groups, {}) == groups
