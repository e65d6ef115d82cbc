"""Summaries are made once, kept by content, and missing ones have a reason."""

import shutil

import numpy as np
import pytest

from violence_detection.datasets.summaries import video_summary
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import VideoError
from violence_detection.system import files


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "run" / "sights.npz"


@pytest.mark.slow
def test_summaries_are_kept(video_cache, kept, monkeypatch):
    available = video_cache[0].summaries(video_cache[1], kept)
    assert available.summaries.sizes.tolist() == [[96, 64]] * 3 + [[64, 48]] * 3
    monkeypatch.setattr(video_summary, "summarise_videos", None)
    again = video_cache[0].summaries(video_cache[1], kept)
    np.testing.assert_array_equal(again.summaries.mean_images, available.summaries.mean_images)


def test_only_new_videos_are_summarised(video_cache, kept, monkeypatch):
    cache, entries = video_cache
    cache.summaries(entries[:4], kept)
    summarised, summarise = [], video_summary.summarise_videos
    monkeypatch.setattr(
        video_summary,
        "summarise_videos",
        lambda paths: summarised.extend(paths) or summarise(paths),
    )
    assert len(cache.summaries(entries, kept).rows) == 6
    assert [path.name for path, *_ in summarised] == ["1.mp4", "2.mp4"]


def test_the_default_file_is_beside_the_feature_spaces(video_cache):
    cache, entries = video_cache
    cache.summaries(entries)
    assert (cache.dir.parent / "sights.npz").is_file()


def test_changed_videos_are_not_summarised(video_cache, cached_videos, kept):
    cache, entries = video_cache
    entries = [*entries[:-1], ManifestEntry("normal/9.mp4", "normal", "9", "", size=3)]
    available = cache.summaries(entries, kept)
    assert available.rows.tolist() == [0, 1, 2, 3, 4]
    assert available.missing_reason == f"1 of 6 videos is no longer in {cached_videos}, or changed"


def test_summaries_remain_when_the_videos_are_gone(video_cache, kept):
    cache, entries = video_cache
    cache.summaries(entries[:5], kept)
    settings = cache.record().to_json() | {"dataset": {"name": "d", "dir": "/nowhere"}}
    files.write_json(cache.extraction_path, settings)
    assert cache.summaries(entries[:5], kept).missing_reason == ""
    available = cache.summaries(entries, kept)
    assert available.missing_reason == "their folder /nowhere does not exist"
    assert len(available.rows) == len(available.summaries) == 5


def test_a_video_that_became_unreadable_is_the_reason(video_cache, cached_videos, tmp_path, kept):
    cache, entries = video_cache
    spoilt = shutil.copytree(cached_videos, tmp_path / "spoilt")
    (spoilt / entries[0].path).write_bytes(b"x" * entries[0].size)
    settings = cache.record().to_json() | {"dataset": {"name": "d", "dir": str(spoilt)}}
    files.write_json(cache.extraction_path, settings)
    available = cache.summaries(entries, kept)
    assert available.missing_reason.startswith("the videos cannot be read (fight/0.mp4: ")
    assert available.rows.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"no archive"])
def test_a_torn_file_is_replaced(video_cache, kept, content):
    kept.parent.mkdir()
    kept.write_bytes(content)
    cache, entries = video_cache
    assert len(cache.summaries(entries[:1], kept).rows) == 1


def test_an_interruption_keeps_the_summaries_so_far(video_cache, kept, monkeypatch):
    summarise = video_summary.summarise_videos

    def interrupted(paths):
        yield from summarise(paths[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(video_summary, "summarise_videos", interrupted)
        with pytest.raises(KeyboardInterrupt):
            video_cache[0].summaries(video_cache[1], kept)
    monkeypatch.setattr(
        video_summary, "summarise_videos", lambda paths: iter([VideoError("x")] * 4)
    )
    assert video_cache[0].summaries(video_cache[1], kept).rows.tolist() == [0, 1]
