"""Rows of a manifest survive the CSV, and are found by the content of a video."""

import hashlib
from dataclasses import asdict, replace

import pytest

from violence_detection.datasets.table_files.manifest import (
    LATER_COLUMNS,
    ContentIndex,
    ManifestEntry,
    part_suffix,
)
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError


def entry_of(path: str, content: bytes, **values) -> ManifestEntry:
    digest = hashlib.sha256(content).hexdigest()
    return ManifestEntry(path, "calm", path, "train", size=len(content), digest=digest, **values)


def test_a_row_is_read_as_it_was_written_and_may_lack_later_columns():
    entry = entry_of("a.mp4", b"x", frames=3, fps=12.5, array_digest="a", views="b c")
    row = {name: str(value) for name, value in asdict(entry).items()}
    assert ManifestEntry.from_row(row) == entry
    assert entry.digests == ["a", "b", "c"]
    for name in LATER_COLUMNS:
        del row[name]
    assert ManifestEntry.from_row(row) == replace(entry, views="")


@pytest.mark.parametrize("change", [{"size": "many"}, {"path": None}])
def test_a_row_without_a_column_or_with_text_for_a_number_is_an_error(change):
    row = {name: str(value) for name, value in asdict(entry_of("a.mp4", b"x")).items()} | change
    row = {name: value for name, value in row.items() if value is not None}
    with pytest.raises(CacheError, match="must hold every column"):
        ManifestEntry.from_row(row)


@pytest.fixture
def index() -> ContentIndex:
    return ContentIndex([
        entry_of("old.mp4", b"same"),
        entry_of("newer.mp4", b"same"),
        entry_of("failed.mp4", b"none", status="failed"),
        entry_of("long.mp4@0-2", b"long"),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("content", "part", "expected"),
    [
        (b"same", (), "newer.mp4"),
        (b"emas", (), None),  # the same size
        (b"none", (), None),
        (b"long", (), None),
        (b"long", (0, 2), "long.mp4@0-2"),
        (b"long", (0, 1), None),
    ],
)
def test_a_video_is_found_by_its_bytes_and_its_part(index, tmp_path, content, part, expected):
    (tmp_path / "renamed.mp4").write_bytes(content)
    entry = index.find(tmp_path, Video("renamed.mp4", "calm", "g", "", *part))
    assert (entry and entry.path) == expected


def test_a_missing_video_is_not_found(index, tmp_path):
    assert index.find(tmp_path, Video("gone.mp4", "calm", "g")) is None


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b.mp4@0-2", "a/b.mp4"),
        ("a/b.mp4@1.5-12.25", "a/b.mp4"),
        ("a@1-2/b.mp4", "a@1-2/b.mp4"),
        ("b.mp4", "b.mp4"),
    ],
)
def test_the_path_of_a_part_is_that_of_its_file(key, path):
    assert key.removesuffix(part_suffix(key)) == path
