"""Videos are looked at once, where they are as they were; what is torn is looked at again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_features, draw_video

from violence_detection import files, kept_sights, sights
from violence_detection.cache import Entry, FeatureCache


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for number in range(2):
        draw_video(root / "fight" / f"{number}.mp4", size=(96, 64), frames=30)
        draw_video(root / "normal" / f"{number}.mp4", size=(64, 48), seed=number)
    return root


@pytest.fixture
def cache(tmp_path, videos) -> tuple[FeatureCache, list[Entry]]:
    """A cache that names the folder of videos, and its rows."""
    dataset = {"name": "d", "dir": str(videos)}
    folder = draw_features(tmp_path / "cache" / "drawn" / "space", dataset=dataset)
    entries = [
        Entry(path.relative_to(videos).as_posix(), path.parent.name, path.stem, "",
              size=path.stat().st_size, digest=files.sha256_of_file(path))
        for path in sorted(videos.rglob("*.mp4"))
    ]  # fmt: skip
    return FeatureCache.open(folder), entries


def kept_in(cache: FeatureCache) -> Path:
    return cache.dir.parent / "sights.npz"


def test_what_was_seen_is_kept_for_all_features_of_the_dataset(cache, monkeypatch):
    found = kept_sights.look(*cache)
    assert found.sights.sizes.tolist() == [[96, 64]] * 2 + [[64, 48]] * 2
    assert (found.rows.tolist(), found.lacking) == ([0, 1, 2, 3], "")
    assert kept_in(cache[0]).is_file()
    monkeypatch.setattr(sights, "glance", None)
    again = kept_sights.look(cache[0], cache[1][::-1])
    for name, values in vars(found.sights).items():
        np.testing.assert_array_equal(vars(again.sights)[name], values[::-1])


def test_a_new_video_alone_is_looked_at(cache, monkeypatch):
    kept_sights.look(cache[0], cache[1][:3])
    seen = []
    tried = sights._tried
    monkeypatch.setattr(
        sights, "_tried", lambda call, one: seen.append(one[0].name) or tried(call, one)
    )
    assert kept_sights.look(*cache).rows.tolist() == [0, 1, 2, 3]
    assert seen == ["1.mp4"]


def test_a_video_that_changed_is_told_and_the_others_are_seen(cache, videos):
    opened, (first, *others) = cache
    entries = [dataclasses.replace(first, size=3), *others]
    found = kept_sights.look(opened, entries)
    assert found.lacking == f"1 video of 4: not in {videos} as before"
    assert found.rows.tolist() == [1, 2, 3]


def test_a_folder_that_is_gone_is_told(cache):
    opened, entries = cache
    settings = opened.settings() | {"dataset": {"name": "d", "dir": "/nowhere"}}
    files.write_json(opened.extraction_path, settings)
    found = kept_sights.look(opened, entries)
    assert found.lacking == "4 videos of 4: their folder /nowhere is not there"
    assert found.sights.hashes.shape == (0, 8)


def test_a_video_that_cannot_be_read_any_more_is_told(cache, videos, tmp_path):
    opened, entries = cache
    for entry in entries:
        target = tmp_path / "spoilt" / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((videos / entry.path).read_bytes())
    target.write_bytes(b"x" * entries[-1].size)
    dataset = {"name": "d", "dir": str(tmp_path / "spoilt")}
    files.write_json(opened.extraction_path, opened.settings() | {"dataset": dataset})
    found = kept_sights.look(opened, entries)
    assert found.lacking.startswith("1 video of 4: 1.mp4 cannot be read (")
    assert len(found.rows) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"no archive"])
def test_a_torn_file_is_made_again(cache, content):
    kept_sights.look(*cache)
    whole = kept_in(cache[0]).read_bytes()
    kept_in(cache[0]).write_bytes(content or whole[:-100])
    assert len(kept_sights.look(*cache).rows) == 4
    assert len(kept_in(cache[0]).read_bytes()) == len(whole)


def test_an_interruption_keeps_what_was_seen(cache, monkeypatch):
    tried, left = sights._tried, [2]

    def interrupted(call, one):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return tried(call, one)

    monkeypatch.setattr(sights, "cpu_count", lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr(sights, "_tried", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept_sights.look(*cache)
    album = sights.Album.read(kept_in(cache[0]))
    keys = [f"{one.digest} {one.path}" for one in cache[1]]
    assert [key in album for key in keys] == [True, True, False, False]
