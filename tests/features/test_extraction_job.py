"""A job extracts only what is missing or changed, and keeps what is done."""

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from support.extraction import array_times, contents, counts, manifest_of, spoil, write_table
from support.videos import draw_video

from violence_detection.commands import extract_features
from violence_detection.errors import (
    DatasetError,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import usable_entries


@pytest.mark.slow
def test_a_second_start_reuses_everything(extract, decoded):
    first = extract()
    before, when = contents(first.features), array_times(first.features)
    decoded.clear()
    second = extract()
    assert counts(second) == (0, 12, 0)
    assert decoded == []
    assert contents(second.features) == before
    assert array_times(second.features) == when


@pytest.mark.slow
def test_only_what_is_changed_or_added_is_extracted_again(extract, dataset_dir, decoded):
    when = array_times(extract().features)
    decoded.clear()
    draw_video(dataset_dir / "fight" / "0.mp4", frames=30, seed=55)
    draw_video(dataset_dir / "fight" / "new.mp4", seed=56)
    (dataset_dir / "noFight" / "5.mp4").unlink()
    again = extract()
    assert sorted(decoded) == ["fight/0.mp4", "fight/new.mp4"]
    assert counts(again) == (2, 10, 0)
    assert "noFight/5.mp4" not in manifest_of(again)
    assert manifest_of(again)["fight/0.mp4"].frames == 30
    changed = {
        path for path, mtime in array_times(again.features).items() if when.get(path) != mtime
    }
    assert {Path(path).name for path in changed} == {"0.mp4.npy", "new.mp4.npy"}


@pytest.mark.slow
def test_a_touched_video_of_the_same_bytes_is_reused(extract, dataset_dir):
    extract()
    os.utime(dataset_dir / "fight" / "0.mp4", ns=(5, 5))
    again = extract()
    assert counts(again) == (0, 12, 0)
    assert manifest_of(again)["fight/0.mp4"].mtime == 5


@pytest.mark.slow
def test_a_missing_array_is_made_again_to_the_bit(extract):
    before = contents(extract().features)
    (extract().features / "fight" / "0.mp4.npy").unlink()
    again = extract()
    assert counts(again) == (1, 11, 0)
    assert contents(again.features) == before


def test_an_altered_array_is_made_again_with_verify(extract):
    first = extract()
    before, path = contents(first.features), first.features / "fight" / "0.mp4.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert counts(extract()) == (0, 12, 0)
    again = extract(verify=True)
    assert counts(again) == (1, 11, 0)
    assert contents(again.features) == before


def test_a_video_changed_under_the_same_size_and_time_is_noticed_by_verify(extract, dataset_dir):
    extract()
    path = dataset_dir / "fight" / "0.mp4"
    stat, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert counts(extract()) == (0, 12, 0)
    assert counts(extract(verify=True)) == (1, 11, 0)


def test_force_extracts_everything_again_to_the_bit(extract):
    before = contents(extract().features)
    again = extract(force=True)
    assert counts(again) == (12, 0, 0)
    assert contents(again.features) == before


def test_a_failed_video_is_listed_again_and_retried_only_with_a_flag(extract, dataset_dir, decoded):
    spoil(dataset_dir / "fight" / "0.mp4")
    first = extract()
    decoded.clear()
    assert extract().failures == first.failures
    assert decoded == []
    assert extract(retry_failed=True).failures == first.failures
    assert decoded == ["fight/0.mp4"]


def test_a_repaired_video_is_extracted_without_a_flag(extract, dataset_dir):
    path = spoil(dataset_dir / "fight" / "0.mp4")
    extract()
    draw_video(path)
    assert counts(extract()) == (1, 11, 0)


@pytest.mark.slow
def test_too_many_failures_of_a_class_stop(extract, dataset_dir):
    for number in range(2):
        spoil(dataset_dir / "noFight" / f"{number}.mp4")
    with pytest.raises(DatasetError) as raised:
        extract()
    assert str(raised.value) == (
        "At most 20% of a class may be unreadable (--max-failures; 1 never stops). Received: "
        "2 of 6 videos of noFight, e.g. noFight/0.mp4 (not a video that can be opened)"
    )
    assert counts(extract(max_failures=0.5))[2] == 2


def test_files_that_may_be_videos_count_as_unreadable(extract, dataset_dir):
    (dataset_dir / "fight" / "notes.txt").write_text("x")
    (dataset_dir / "fight" / "0.jpg").write_bytes(b"x")
    for number in range(2):
        (dataset_dir / "fight" / f"ch{number}.xyz").write_bytes(b"DHAV")
    with pytest.raises(DatasetError) as raised:
        extract(max_failures=0.2)
    assert "Received: 2 of 8 videos of fight, e.g. fight/ch0.xyz (.xyz is not an ending" in str(
        raised.value
    )
    assert counts(extract(max_failures=0.3)) == (12, 0, 0)


@pytest.mark.slow
def test_videos_done_before_too_many_failed_are_kept(extract, dataset_dir, decoded):
    for number in range(2):
        spoil(dataset_dir / "noFight" / f"{number}.mp4")
    with pytest.raises(DatasetError):
        extract(workers=1)
    decoded.clear()
    assert counts(extract(max_failures=1.0, workers=1))[2] == 2
    assert 0 < len(decoded) < 12


def test_the_slowest_videos_are_listed(extract):
    slowest = extract().to_json()["slowest"]
    assert len(slowest) == 5
    seconds = [row["seconds"] for row in slowest]
    assert seconds == sorted(seconds, reverse=True)
    assert all(row["path"].endswith(".mp4") for row in slowest)
    assert extract().slowest == ()


def test_the_console_names_videos_that_took_over_ten_seconds(extract):
    result = extract()
    slowest = (("long.mp4", 94.2), ("b.mp4", 10.0), ("c.mp4", 3.0))
    lines = extract_features.console_lines(dataclasses.replace(result, slowest=slowest))
    assert "slow        long.mp4 94 s, b.mp4 10 s to decode" in lines
    quick = dataclasses.replace(result, slowest=slowest[2:])
    assert not any("c.mp4" in line for line in extract_features.console_lines(quick))


@pytest.mark.slow
def test_existing_views_are_reused_and_missing_views_are_made(extract, decoded):
    extract(views=1)
    assert counts(extract(views=1)) == counts(extract()) == (0, 12, 0)
    decoded.clear()
    more = extract(views=2)
    assert counts(more) == (12, 0, 0)
    assert len(decoded) == 12
    (more.features / "fight" / "0.mp4.view2.npy").write_bytes(b"torn")
    assert counts(extract(views=1)) == (1, 11, 0)


@pytest.mark.slow
def test_views_follow_a_video_that_is_renamed(extract, dataset_dir, decoded):
    before = contents(extract(views=2).features)
    decoded.clear()
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir / "fight" / "new.mp4")
    after = contents(extract(views=2).features)
    assert decoded == []
    for end in (".npy", ".view1.npy", ".view2.npy"):
        assert after[f"fight/new.mp4{end}"] == before[f"fight/0.mp4{end}"]


@pytest.mark.slow
def test_an_interruption_keeps_the_videos_that_are_done(extract, monkeypatch):
    noted, note = [], FeatureCache.append_to_journal

    def interrupted(self, entry):
        note(self, entry)
        noted.append(entry.path)
        if len(noted) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(FeatureCache, "append_to_journal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract()
    monkeypatch.setattr(FeatureCache, "append_to_journal", note)
    assert counts(extract()) == (7, 5, 0)


@pytest.mark.slow
def test_an_interrupted_force_loses_nothing(extract, monkeypatch, decoded):
    before = contents(extract().features)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "write_arrays", _interrupt_at("3.mp4"))
        with pytest.raises(KeyboardInterrupt):
            extract(force=True)
    decoded.clear()
    again = extract()
    assert (counts(again), decoded) == ((0, 12, 0), [])
    assert contents(again.features) == before


def _interrupt_at(name: str):
    write = FeatureCache.write_arrays

    def writing(self, key, features):
        if key.endswith(name):
            raise KeyboardInterrupt
        return write(self, key, features)

    return writing


def test_a_start_with_nothing_to_do_leaves_the_features_usable(extract, monkeypatch):
    features_dir = extract().features
    monkeypatch.setattr(FeatureCache, "arrays_exist", _interrupted_check)
    with pytest.raises(KeyboardInterrupt):
        extract(verify=True)
    assert len(usable_entries(FeatureCache.open(features_dir))) == 12


def _interrupted_check(*_, **__):
    raise KeyboardInterrupt


def test_a_renamed_video_is_recognised_by_its_bytes(extract, dataset_dir, decoded):
    before = contents(extract().features)
    decoded.clear()
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir / "fight" / "renamed.mp4")
    (dataset_dir / "noFight" / "deep").mkdir()
    (dataset_dir / "noFight" / "1.mp4").rename(dataset_dir / "noFight" / "deep" / "1.mp4")
    again = extract()
    assert (counts(again), decoded) == ((0, 12, 0), [])
    after = contents(again.features)
    assert after["fight/renamed.mp4.npy"] == before["fight/0.mp4.npy"]
    assert after["noFight/deep/1.mp4.npy"] == before["noFight/1.mp4.npy"]
    usable_entries(FeatureCache.open(again.features))


def test_two_videos_that_swap_their_names_keep_their_own_features(extract, dataset_dir):
    before = contents(extract().features)
    one, two = (dataset_dir / "fight" / name for name in ("0.mp4", "1.mp4"))
    one.rename(dataset_dir / "x")
    two.rename(one)
    (dataset_dir / "x").rename(two)
    again = extract()
    assert again.extracted + again.reused == 12
    after = contents(again.features)
    assert after["fight/0.mp4.npy"] == before["fight/1.mp4.npy"]
    assert after["fight/1.mp4.npy"] == before["fight/0.mp4.npy"]


def test_a_part_is_not_taken_for_the_whole_nor_for_another_part(extract, tmp_path):
    root = tmp_path / "parts"
    draw_video(root / "long.mp4", frames=48)
    draw_video(root / "other.mp4", frames=48, seed=9)
    table = "path,label,start_s,end_s\nlong.mp4,a,0,1\nlong.mp4,b,1,2\nother.mp4,a,0,1\n"
    (root / "videos.csv").write_text(table)
    extract(root)
    (root / "long.mp4").rename(root / "new.mp4")
    table = table.replace("long.mp4,b,1,2", "long.mp4,b,2,3").replace("long", "new")
    (root / "videos.csv").write_text(table)
    again = extract(root)
    assert counts(again) == (1, 2, 0)


def test_a_video_that_comes_back_is_not_extracted_again(extract, dataset_dir, decoded):
    before = contents(extract().features)
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir.parent / "away.mp4")
    assert counts(extract()) == (0, 11, 0)
    decoded.clear()
    (dataset_dir.parent / "away.mp4").rename(dataset_dir / "fight" / "0.mp4")
    again = extract()
    assert (counts(again), decoded) == ((0, 12, 0), [])
    assert contents(again.features) == before


def test_a_video_of_a_killed_run_is_reused_when_it_comes_back(
    extract, dataset_dir, monkeypatch, decoded
):
    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "write_manifest", _interrupted_check)
        with pytest.raises(KeyboardInterrupt):
            extract()
    video, away = dataset_dir / "fight" / "0.mp4", dataset_dir.parent / "away.mp4"
    video.rename(away)
    extract()
    away.rename(video)
    decoded.clear()
    assert (counts(extract()), decoded) == ((0, 12, 0), [])


def test_a_missing_video_keeps_its_array(extract, dataset_dir, decoded):
    table = [
        "path,label",
        *(f"{k}/{n}.mp4,{k}" for k in ("fight", "noFight") for n in range(6)),
    ]
    (dataset_dir / "videos.csv").write_text("\n".join(table))
    first = extract()
    (dataset_dir / "fight").rename(dataset_dir.parent / "away")
    assert counts(extract(max_failures=1.0))[2] == 6
    assert len(list(first.features.rglob("*.npy"))) == 12
    (dataset_dir.parent / "away").rename(dataset_dir / "fight")
    decoded.clear()
    assert (counts(extract()), decoded) == ((0, 12, 0), [])


def test_a_copy_with_too_long_a_name_is_listed_each_time(extract, dataset_dir):
    extract()
    source = dataset_dir / "fight" / "0.mp4"
    shutil.copy(source, source.with_name("x" * 250 + ".mp4"))
    for _ in range(2):
        extraction = extract()
        assert counts(extraction) == (0, 12, 1)
        assert "its name is too long" in extraction.failures[0][1]


def test_a_missing_video_may_change_its_class(extract, dataset_dir):
    write_table(dataset_dir, "gone.mp4,fight")
    assert counts(extract(max_failures=1.0)) == (12, 0, 1)
    write_table(dataset_dir, "gone.mp4,noFight")
    assert counts(extract(max_failures=1.0)) == (0, 12, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a b.mp4", 'it\'s, "x".mp4', "暴力.mp4", " lead.mp4", "a\r\nb.mp4"]
)
def test_names_survive_the_manifest(extract, dataset_dir, name):
    draw_video(dataset_dir / "fight" / name)
    first = extract()
    assert manifest_of(first)[f"fight/{name}"].usable
    assert counts(extract()) == (0, 13, 0)


def test_a_manifest_from_before_views_is_read(extract):
    cache = FeatureCache.open(extract().features)
    lines = cache.manifest_path.read_text().splitlines()
    cache.manifest_path.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert [entry.views for entry in cache.entries()] == [""] * 12
    assert counts(extract()) == (0, 12, 0)
