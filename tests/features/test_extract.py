"""Stage one does each video once, keeps what is done, and lists what cannot be read."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from filelock import FileLock
from keras.src.legacy.saving import legacy_h5_format
from support.extraction import SMALL, build_once, contents
from support.folders import SHARED
from support.videos import draw_video

from violence_detection import registry
from violence_detection.datasets.manifest import MANIFEST_COLUMNS, ManifestEntry
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    ViolenceDetectionError,
    WeightsError,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.dataset import usable_entries
from violence_detection.features.extract import Extraction, extract_features, plan
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.reports import console
from violence_detection.system.processes import ProcessPool


@pytest.fixture(autouse=True)
def _build_each_backbone_once(monkeypatch):
    monkeypatch.setattr(FeatureExtractor, "build", build_once)


@pytest.fixture
def extract(tmp_path, dataset_dir):
    """Extract the twelve clips with a small random backbone; keywords are settings."""

    def run(root: Path = dataset_dir, *, force: bool = False, **settings) -> Extraction:
        flags = {"cache_dir": str(tmp_path / "cache"), **SMALL, **settings}
        return extract_features(root, ExtractConfig.of(flags), force=force)

    return run


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the videos that were decoded."""
    names, call = [], ProcessPool.__call__

    def noting(self, read, path, *part, **limits):
        names.append(f"{path.parent.name}/{path.name}")
        return call(self, read, path, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", noting)
    return names


def manifest(extraction: Extraction) -> dict[str, ManifestEntry]:
    return {entry.path: entry for entry in FeatureCache.open(extraction.features).entries()}


def mtimes(folder: Path) -> dict[str, int]:
    return {path.as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.npy")}


def counts(extraction: Extraction) -> tuple[int, int, int]:
    return extraction.extracted, extraction.reused, extraction.failed


def spoil(path: Path) -> Path:
    path.write_text("This is no video.")
    return path


# -- what is left


def test_every_video_leaves_an_array_and_a_row(extract, dataset_dir):
    extraction = extract()
    assert counts(extraction) == (12, 0, 0)
    entries = manifest(extraction)
    assert len(entries) == 12
    for path, entry in entries.items():
        video, array = dataset_dir / path, extraction.features / f"{path}.npy"
        values = np.load(array)
        assert (values.dtype, values.shape) == (np.float16, (4, 1280))
        assert np.isfinite(values).all() and values.any()
        assert entry.digest == hashlib.sha256(video.read_bytes()).hexdigest()
        assert entry.array_digest == hashlib.sha256(array.read_bytes()).hexdigest()
        assert (entry.size, entry.mtime) == (
            video.stat().st_size,
            video.stat().st_mtime_ns,
        )


def test_the_rows_say_what_was_read(extract):
    extraction = extract()
    with open(extraction.features / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == MANIFEST_COLUMNS
    first = {name: rows[0][name] for name in ("path", "label", "group", "status", "error")}
    path = "fight/0.mp4"
    assert first == {
        "path": path,
        "label": "fight",
        "group": path,
        "status": "ok",
        "error": "",
    }
    assert [int(row["frames"]) for row in rows] == [*range(10, 16)] * 2
    assert {float(row["fps"]) for row in rows} == {12.0}
    assert float(rows[0]["duration_s"]) == pytest.approx(10 / 12, abs=1e-5)


def test_the_settings_are_left_beside_the_arrays(extract, dataset_dir):
    extraction = extract()
    settings = json.loads((extraction.features / "extraction.json").read_text())
    assert settings["complete"] is True
    assert settings["dataset"] == {
        "name": extraction.features.parent.name,
        "dir": str(dataset_dir.resolve()),
    }
    assert (settings["grouping"], settings["classes"]) == ("none", ["fight", "noFight"])
    assert settings["settings"]["frames"] == 4
    assert settings["weights"]["source"] == "random"
    assert settings["effective"] == {"engine": "tensorflow", "precision": "float32"}
    assert settings["versions"]["tensorflow"].startswith("2.")
    assert settings["feature_space"]["dim"] == 1280


def test_the_folder_is_named_by_dataset_and_space(extract, tmp_path):
    extraction = extract()
    dataset, space = extraction.features.relative_to(tmp_path.resolve() / "cache").parts
    assert dataset.startswith("videos-")
    assert space.startswith("mobilenetv2-motion-focus-true-4f-")
    assert extract(dataset_name="mine").features.parent.name == "mine"


def test_the_json_has_the_keys_of_the_contract(extract):
    result = extract().as_dict()
    assert set(result) == set(
        "features videos extracted reused failed failures frames slowest seconds videos_per_s "
        "engine precision complete".split()
    )
    assert result["videos"] == result["extracted"] + result["reused"] + result["failed"] == 12
    assert result["frames"] == 48
    assert Path(result["features"]).is_absolute()


def test_a_dry_run_counts_and_writes_nothing(extract, dataset_dir, tmp_path):
    config = ExtractConfig.of({"cache_dir": str(tmp_path / "cache"), **SMALL})
    planned = plan(dataset_dir, config)
    assert not (tmp_path / "cache").exists()
    assert (planned["to_extract"], planned["reused"]) == (12, 0)
    assert planned["features"] == str(extract().features)
    planned = plan(dataset_dir, config)
    assert (planned["to_extract"], planned["reused"]) == (0, 12)


@pytest.fixture
def no_download(monkeypatch, tmp_path):
    """A cache of Keras that is empty, where nothing may be downloaded; its folder."""

    def refused(*_, **__):
        raise AssertionError("a dry run must not download")

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", refused)
    monkeypatch.setattr(keras.utils, "get_file", refused)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "keras" / "models"
    folder.mkdir(parents=True)
    return folder


def planned_with_imagenet(dataset_dir, tmp_path):
    flags = {"cache_dir": str(tmp_path / "cache"), **SMALL, "weights": "imagenet"}
    return plan(dataset_dir, ExtractConfig.of(flags))


def test_a_dry_run_downloads_and_builds_nothing(
    dataset_dir, tmp_path, no_download, monkeypatch, caplog
):
    part = registry.module("backbones", "mobilenetv2")
    monkeypatch.setattr(part, "build", None)
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    assert (planned["features"], planned["weights_to_download"]) == ("", True)
    assert (planned["to_extract"], planned["reused"]) == (12, 0)
    assert "ImageNet weights of mobilenetv2 are not in the cache of Keras" in caplog.text
    lines = console.extraction_table(planned)
    assert lines[1].split(maxsplit=1) == ["features", "not known before the weights are downloaded"]
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_without_weights_finds_the_features_that_are_here(
    extract, dataset_dir, tmp_path, no_download
):
    folder = extract().features
    path = folder / "extraction.json"
    settings = json.loads(path.read_text())
    settings["weights"]["source"] = "imagenet"
    path.write_text(json.dumps(settings))
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    assert (planned["features"], planned["weights_to_download"]) == (str(folder), True)
    assert (planned["to_extract"], planned["reused"]) == (0, 12)


def test_a_dry_run_takes_weights_from_the_cache_of_keras(dataset_dir, tmp_path, no_download):
    drawn = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    with h5py.File(no_download / name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, drawn)
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    config = ExtractConfig.of({**SMALL, "weights": str(no_download / name)})
    space = FeatureExtractor.of_config(config).space
    assert (Path(planned["features"]).name, planned["weights_to_download"]) == (space.name, False)
    (no_download / name).write_bytes(b"cut")
    assert planned_with_imagenet(dataset_dir, tmp_path)["weights_to_download"] is True


# -- starting again


def test_a_second_start_reuses_everything(extract, decoded):
    first = extract()
    before, when = contents(first.features), mtimes(first.features)
    decoded.clear()
    second = extract()
    assert counts(second) == (0, 12, 0)
    assert decoded == []
    assert contents(second.features) == before
    assert mtimes(second.features) == when


def test_only_what_is_changed_or_added_is_extracted_again(extract, dataset_dir, decoded):
    when = mtimes(extract().features)
    decoded.clear()
    draw_video(dataset_dir / "fight" / "0.mp4", frames=30, seed=55)
    draw_video(dataset_dir / "fight" / "new.mp4", seed=56)
    (dataset_dir / "noFight" / "5.mp4").unlink()
    again = extract()
    assert sorted(decoded) == ["fight/0.mp4", "fight/new.mp4"]
    assert counts(again) == (2, 10, 0)
    assert "noFight/5.mp4" not in manifest(again)
    assert manifest(again)["fight/0.mp4"].frames == 30
    changed = {path for path, mtime in mtimes(again.features).items() if when.get(path) != mtime}
    assert {Path(path).name for path in changed} == {"0.mp4.npy", "new.mp4.npy"}


def test_a_touched_video_of_the_same_bytes_is_reused(extract, dataset_dir):
    extract()
    os.utime(dataset_dir / "fight" / "0.mp4", ns=(5, 5))
    again = extract()
    assert counts(again) == (0, 12, 0)
    assert manifest(again)["fight/0.mp4"].mtime == 5


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


def test_workers_and_batches_do_not_change_the_features(extract, tmp_path):
    one = extract(workers=1, cache_dir=str(tmp_path / "one"))
    four = extract(workers=4, cache_dir=str(tmp_path / "four"))
    assert contents(one.features) == contents(four.features)


@pytest.mark.slow
def test_another_seed_of_random_weights_is_another_space(extract):
    first, second = extract(), extract(seed=7)
    assert first.features != second.features
    assert first.features.parent == second.features.parent
    assert counts(second) == (12, 0, 0)


def test_leftovers_of_a_kill_are_swept(extract):
    first = extract()
    leftover = first.features / "fight" / "0.mp4.npy.partial-999999"
    leftover.write_bytes(b"half")
    extract()
    assert not leftover.exists()


@pytest.mark.parametrize(
    "name", ["a b.mp4", 'it\'s, "x".mp4', "暴力.mp4", " lead.mp4", "a\r\nb.mp4"]
)
def test_names_survive_the_manifest(extract, dataset_dir, name):
    draw_video(dataset_dir / "fight" / name)
    first = extract()
    assert manifest(first)[f"fight/{name}"].usable
    assert counts(extract()) == (0, 13, 0)


def test_two_datasets_of_one_name_live_in_one_cache(extract, dataset_dir, tmp_path):
    other = tmp_path / "elsewhere" / "videos"
    shutil.copytree(dataset_dir, other)
    draw_video(other / "fight" / "0.mp4", frames=25, seed=77)
    first, second = extract(), extract(other)
    assert first.features.parent != second.features.parent
    assert manifest(first)["fight/0.mp4"].digest != manifest(second)["fight/0.mp4"].digest
    assert counts(extract()) == counts(extract(other)) == (0, 12, 0)


def test_parts_of_a_recording_have_an_array_each(extract, tmp_path):
    root = tmp_path / "long"
    draw_video(root / "a.mp4", frames=48)
    lines = [
        "path,label,start_s,end_s",
        "a.mp4,calm,0,2",
        "a.mp4,fight,2,4",
        "a.mp4,fight,0.5,1",
    ]
    (root / "videos.csv").write_text("\n".join(lines))
    extraction = extract(root)
    assert {key: entry.frames for key, entry in manifest(extraction).items()} == {
        "a.mp4@0-2": 24,
        "a.mp4@2-4": 24,
        "a.mp4@0.5-1": 6,
    }
    assert (extraction.features / "a.mp4@0.5-1.npy").is_file()
    assert counts(extract(root)) == (0, 3, 0)


# -- videos that cannot be read


def test_a_failed_video_has_a_reason_and_no_array(extract, dataset_dir):
    spoil(dataset_dir / "fight" / "0.mp4")
    extraction = extract()
    assert counts(extraction) == (11, 0, 1)
    assert extraction.failures == (("fight/0.mp4", "not a video that can be opened"),)
    entry = manifest(extraction)["fight/0.mp4"]
    assert (entry.status, entry.error) == ("failed", "not a video that can be opened")
    assert not (extraction.features / "fight" / "0.mp4.npy").exists()
    assert extraction.as_dict()["failures"] == [
        {"path": "fight/0.mp4", "reason": "not a video that can be opened"}
    ]


def test_a_failed_video_is_listed_again_and_tried_only_when_asked(extract, dataset_dir, decoded):
    spoil(dataset_dir / "fight" / "0.mp4")
    first = extract()
    decoded.clear()
    assert extract().failures == first.failures
    assert decoded == []
    assert extract(retry_failed=True).failures == first.failures
    assert decoded == ["fight/0.mp4"]


def test_a_mended_video_is_extracted_without_being_asked(extract, dataset_dir):
    path = spoil(dataset_dir / "fight" / "0.mp4")
    extract()
    draw_video(path)
    assert counts(extract()) == (1, 11, 0)


def test_a_video_that_is_spoiled_loses_its_array(extract, dataset_dir):
    extraction = extract()
    spoil(dataset_dir / "fight" / "0.mp4")
    assert counts(extract()) == (0, 11, 1)
    assert not (extraction.features / "fight" / "0.mp4.npy").exists()


def test_a_row_without_a_file_fails(extract, dataset_dir):
    lines = [f"fight/{n}.mp4,fight" for n in range(6)] + [f"noFight/{n}.mp4,no" for n in range(6)]
    (dataset_dir / "videos.csv").write_text("\n".join(["path,label", *lines]))
    (dataset_dir / "fight" / "3.mp4").unlink()
    assert extract().failures == (("fight/3.mp4", "no such file"),)


def test_a_damaged_video_is_used_and_marked(extract, dataset_dir):
    path = draw_video(dataset_dir / "fight" / "x.avi", frames=40, codec="MJPG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    extraction = extract()
    entry = manifest(extraction)["fight/x.avi"]
    assert counts(extraction) == (13, 0, 0)
    assert entry.status == "damaged"
    assert entry.error == f"{entry.frames} of 40 declared frames can be decoded"
    assert (extraction.features / "fight" / "x.avi.npy").is_file()


def test_features_that_are_not_finite_fail(extract, monkeypatch):
    monkeypatch.setattr(
        FeatureExtractor,
        "encode",
        lambda self, x: np.full((len(x), 1280), np.inf, np.float16),
    )
    reason = "At least one video must be readable. Received: 12 that are not, e.g. fight/0.mp4 "
    with pytest.raises(DatasetError) as raised:
        extract(max_failures=1.0)
    assert str(raised.value) == f"{reason}(its features are not finite in float16)"


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


def test_what_was_done_before_too_many_failed_is_kept(extract, dataset_dir, decoded):
    for number in range(2):
        spoil(dataset_dir / "noFight" / f"{number}.mp4")
    with pytest.raises(DatasetError):
        extract(workers=1)
    decoded.clear()
    assert counts(extract(max_failures=1.0, workers=1))[2] == 2
    assert 0 < len(decoded) < 12


def test_the_slowest_videos_are_listed(extract):
    slowest = extract().as_dict()["slowest"]
    assert len(slowest) == 5
    seconds = [row["seconds"] for row in slowest]
    assert seconds == sorted(seconds, reverse=True)
    assert all(row["path"].endswith(".mp4") for row in slowest)
    assert extract().slowest == ()


def test_views_are_kept_beside_the_array_which_stays_the_same(extract, tmp_path):
    plain = extract()
    before = contents(plain.features)
    with_views = extract(cache_dir=str(tmp_path / "other"), views=3)
    after = contents(with_views.features)
    assert plain.features.name == with_views.features.name
    assert {name: after[name] for name in before if name.endswith(".npy")} == {
        name: content for name, content in before.items() if name.endswith(".npy")
    }
    cache = FeatureCache.open(with_views.features)
    for entry in cache.entries():
        arrays = cache.read_arrays(entry, (4, 1280))
        assert arrays.shape == (4, 4, 1280)
        assert len({array.tobytes() for array in arrays}) == 4
    assert sum(name.endswith(".npy") for name in after) == 12 * 4


def test_views_that_are_there_are_reused_and_those_that_lack_are_made(extract, decoded):
    extract(views=1)
    assert counts(extract(views=1)) == counts(extract()) == (0, 12, 0)
    decoded.clear()
    more = extract(views=2)
    assert counts(more) == (12, 0, 0)
    assert len(decoded) == 12
    (more.features / "fight" / "0.mp4.view2.npy").write_bytes(b"torn")
    assert counts(extract(views=1)) == (1, 11, 0)


def test_views_of_a_video_that_changed_do_not_stay(extract, dataset_dir):
    features_dir = extract(views=2).features
    draw_video(dataset_dir / "fight" / "0.mp4", frames=30, seed=50)
    extract()
    assert not (features_dir / "fight" / "0.mp4.view1.npy").exists()
    spoil(dataset_dir / "fight" / "1.mp4")
    extract()
    assert not list((features_dir / "fight").glob("1.mp4*"))


def test_views_follow_a_video_that_is_renamed(extract, dataset_dir, decoded):
    before = contents(extract(views=2).features)
    decoded.clear()
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir / "fight" / "new.mp4")
    after = contents(extract(views=2).features)
    assert decoded == []
    for end in (".npy", ".view1.npy", ".view2.npy"):
        assert after[f"fight/new.mp4{end}"] == before[f"fight/0.mp4{end}"]


def test_a_manifest_from_before_views_is_read(extract):
    cache = FeatureCache.open(extract().features)
    lines = cache.manifest_path.read_text().splitlines()
    cache.manifest_path.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert [entry.views for entry in cache.entries()] == [""] * 12
    assert counts(extract()) == (0, 12, 0)


def test_a_crash_of_the_decoder_costs_one_video(extract, monkeypatch):
    call = ProcessPool.__call__

    def crashing(self, read, path, *part, **limits):
        read, part = (os.abort, ()) if path.name == "3.mp4" else (read, (path, *part))
        return call(self, read, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", crashing)
    extraction = extract(max_failures=1.0)
    assert counts(extraction) == (10, 0, 2)
    reasons = {reason for _, reason in extraction.failures}
    assert reasons == {"the decoder crashed (SIGABRT)"}


def test_a_decoder_that_hangs_costs_one_video(extract, monkeypatch):
    call = ProcessPool.__call__

    def hanging(self, read, path, *part, **limits):
        read, part = (time.sleep, (99,)) if path.name == "3.mp4" else (read, (path, *part))
        return call(self, read, *part, **limits)

    monkeypatch.setattr(ProcessPool, "__call__", hanging)
    noted, note = [], FeatureCache.note
    monkeypatch.setattr(
        FeatureCache,
        "note",
        lambda self, entry: noted.append(entry.path) or note(self, entry),
    )
    # Batches of one video: with larger ones, the last waits for the hanging ones.
    extraction = extract(max_failures=1.0, video_timeout=8.0, workers=3, batch_size=4)
    assert counts(extraction) == (10, 0, 2)
    assert set(noted[-2:]) == {"fight/3.mp4", "noFight/3.mp4"}  # no other waited
    reasons = {reason for _, reason in extraction.failures}
    assert reasons == {"it took longer than 8 s (--video-timeout)"}


def test_a_pipe_in_place_of_a_video_is_not_waited_for(extract, dataset_dir):
    path = dataset_dir / "fight" / "0.mp4"
    path.unlink()
    os.mkfifo(path)
    for _ in range(2):
        assert extract().failures == (("fight/0.mp4", "it is not a plain file"),)


def test_an_interruption_keeps_what_is_done(extract, monkeypatch):
    noted, note = [], FeatureCache.note

    def interrupted(self, entry):
        note(self, entry)
        noted.append(entry.path)
        if len(noted) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(FeatureCache, "note", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract()
    monkeypatch.setattr(FeatureCache, "note", note)
    assert counts(extract()) == (7, 5, 0)


def test_an_interrupted_force_forgets_nothing(extract, monkeypatch, decoded):
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
    monkeypatch.setattr(FeatureCache, "has_arrays", _interrupted_check)
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


def test_a_dry_run_recognises_what_was_renamed_and_writes_nothing(extract, dataset_dir, tmp_path):
    features_dir = extract().features
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir / "fight" / "renamed.mp4")
    before = mtimes(features_dir)
    config = ExtractConfig.of({"cache_dir": str(tmp_path / "cache"), **SMALL})
    planned = plan(dataset_dir, config)
    assert (planned["to_extract"], planned["reused"]) == (0, 12)
    assert mtimes(features_dir) == before


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


def test_what_a_killed_run_noted_is_known_when_its_video_comes_back(
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


def test_a_video_that_is_away_keeps_its_array(extract, dataset_dir, decoded):
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


def test_a_name_that_is_too_long_fails_its_video(extract, dataset_dir):
    draw_video(dataset_dir / "fight" / ("n" * 248 + ".mp4"))
    extraction = extract(max_failures=0.5)
    assert counts(extraction) == (12, 0, 1)
    assert "its name is too long" in extraction.failures[0][1]
    (dataset_dir / "videos.csv").write_text(
        "path,label\n" + "".join(f"fight/{n}.mp4,a\n" for n in range(6)) + "b" * 300 + ".mp4,b\n"
    )
    assert counts(extract(max_failures=1.0))[2] == 1


def test_why_an_extraction_was_stopped_is_told_to_training(extract, dataset_dir):
    features_dir = extract().features
    for number in range(3):
        spoil(dataset_dir / "fight" / f"{number}.mp4")
    with pytest.raises(DatasetError):
        extract()
    with pytest.raises(CacheError, match=r"it was stopped: At most 20% of a class"):
        usable_entries(FeatureCache.open(features_dir))


# -- splits


def test_the_manifest_has_no_recording_on_two_sides(extract, dataset_dir):
    for label in ("fight", "noFight"):
        for number in range(6, 18):
            draw_video(dataset_dir / label / f"{number}.mp4", seed=number)
    extraction = extract(group_pattern=r"(\w+/\d)\d?\.")  # 1, 10, 11, ... are one recording
    sides, classes = {}, set()
    for entry in manifest(extraction).values():
        sides.setdefault(entry.group, set()).add(entry.split)
        classes.add((entry.split, entry.label))
    assert len(sides) == 20
    assert all(len(found) == 1 for found in sides.values())
    assert len(classes) == 6


def split_of(extraction: Extraction) -> dict[str, str]:
    return {path: entry.split for path, entry in manifest(extraction).items()}


def test_the_split_stays_put_when_videos_are_added(extract, dataset_dir):
    before = split_of(extract())
    for number in range(6):
        draw_video(dataset_dir / "fight" / f"new{number}.mp4", seed=number)
    after = split_of(extract())
    assert {path: after[path] for path in before} == before
    assert set(after.values()) == {"train", "validation", "test"}


@pytest.mark.slow
def test_two_feature_spaces_share_the_split(extract):
    assert split_of(extract()) == split_of(extract(frames=5))


def test_groups_found_later_leave_no_recording_on_two_sides(extract):
    assert len(set(split_of(extract()).values())) == 3
    entries = manifest(extract(group_pattern=r"(\w+/)")).values()
    assert len({(entry.group, entry.split) for entry in entries}) == 2


def test_other_fractions_need_the_split_to_be_drawn_again(extract):
    extract()
    with pytest.raises(ConfigError) as raised:
        extract(test_fraction=0.5)
    assert str(raised.value) == (
        "`test_fraction` must be what the split was drawn with, 0.15, or --redraw-splits given "
        "(train --features draws for one run alone). Received: test_fraction=0.5"
    )
    drawn = extract(test_fraction=0.5, redraw_splits=True)
    assert list(split_of(drawn).values()).count("test") == 6
    assert split_of(extract()) == split_of(drawn)


def test_given_split_folders_are_honoured(extract, tmp_path):
    root = tmp_path / "split"
    for split in ("train", "valid", "test"):
        for label in ("a", "b"):
            draw_video(root / split / label / "1.mp4")
    found = split_of(extract(root))
    assert found == {
        f"{folder}/{label}/1.mp4": split
        for folder, split in [
            ("train", "train"),
            ("valid", "validation"),
            ("test", "test"),
        ]
        for label in ("a", "b")
    }


# -- what the machine refuses


def test_a_file_in_place_of_the_cache_is_one_line(extract, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ViolenceDetectionError) as raised:
        extract(dataset_name="mine")
    told = f"Cannot write {tmp_path}/cache/mine: a file stands where a folder must be."
    assert str(raised.value) == told


def test_a_folder_in_place_of_an_array_is_one_line(extract):
    path = extract().features / "fight" / "0.mp4.npy"
    path.unlink()
    (path / "x").mkdir(parents=True)
    with pytest.raises(ViolenceDetectionError, match=f"^Cannot write {path}: "):
        extract()


def test_another_extraction_is_waited_for(extract):
    lock = FileLock(extract().features / ".lock")
    lock.acquire()
    waiting = threading.Thread(target=extract)
    waiting.start()
    waiting.join(timeout=0.5)
    assert waiting.is_alive()
    lock.release()
    waiting.join(timeout=30)
    assert not waiting.is_alive()


def in_child(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own, after `program`."""
    program += "\nimport sys; from violence_detection.cli import main; main(sys.argv[1:])"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = [sys.executable, "-c", program, "extract-features", *arguments, *flags]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


KILLED_AFTER_FIVE = """
import os
from violence_detection.features.cache import FeatureCache
done, note = [], FeatureCache.note
def killing(self, entry):
    note(self, entry)
    done.append(entry)
    if len(done) == 5:
        os.kill(os.getpid(), 9)
FeatureCache.note = killing
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_nothing_and_changes_nothing(extract, dataset_dir, tmp_path):
    killed = in_child(KILLED_AFTER_FIVE, dataset_dir, "--cache-dir", tmp_path / "killed")
    assert killed.returncode == -9
    continued = extract(cache_dir=str(tmp_path / "killed"))
    assert counts(continued) == (7, 5, 0)
    assert contents(continued.features) == contents(extract().features)


FULL_AFTER_9_KB = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_starting_again_goes_on(extract, dataset_dir, tmp_path):
    full = in_child(FULL_AFTER_9_KB, dataset_dir, "--cache-dir", tmp_path / "cache", "-q")
    assert full.returncode == 1
    assert full.stdout == ""
    line = full.stderr.splitlines()[-1]
    assert line.startswith(f"Error: Cannot write {tmp_path}/cache/videos-")
    assert line.endswith(".npy: the file-size limit is reached.")
    assert list((tmp_path / "cache").rglob("*.npy*")) == []
    assert counts(extract()) == (12, 0, 0)


# -- the backbone's weights


def test_weights_that_are_not_there_are_said_before_anything_is_read(extract, tmp_path, decoded):
    with pytest.raises(WeightsError) as raised:
        extract(weights=str(tmp_path / "none.h5"))
    assert str(raised.value) == (
        f"--weights must be imagenet, random or a file. Received: {tmp_path}/none.h5 (not there)"
    )
    assert decoded == []


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="needs ../shared")
def test_real_clips_give_features_that_differ(extract, tmp_path):
    root = tmp_path / "real"
    for folder in ("violent", "nonviolent"):
        clips = sorted((SHARED / "data" / "surveillance-fights" / folder).iterdir())[:3]
        (root / folder).mkdir(parents=True)
        for clip in clips:
            shutil.copy(clip, root / folder)
    weights = SHARED / "weights" / "mobilenet_v2_1.0_224_imagenet_notop.weights.h5"
    extraction = extract(root, weights=str(weights), frame_size=224)
    assert counts(extraction) == (6, 0, 0)
    arrays = [np.load(path).astype(float) for path in extraction.features.rglob("*.npy")]
    assert all(0.1 < array.mean() < 1.5 and array.min() >= 0 for array in arrays)
    assert np.std([array.mean(0) for array in arrays], axis=0).mean() > 0.05


# -- shards


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Everything that must be the same however the work was divided."""
    return contents(folder) | {"splits.csv": (folder.parent / "splits.csv").read_bytes()}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_leave_what_one_extraction_does(extract, tmp_path, order):
    expected = bytes_of(extract(cache_dir=str(tmp_path / "one")).features)
    for number in order:
        assert "splits.csv" not in {path.name for path in tmp_path.rglob("cache/*/*")}
        part = extract(shard=f"{number}/3")
        assert (part.extracted, part.reused, part.failed) == (part.videos, 0, 0)
    assert bytes_of(part.features) == expected
    assert len(usable_entries(FeatureCache.open(part.features))) == 12
    assert not list(part.features.glob("*.jsonl"))
    assert counts(extract()) == (0, 12, 0)


def test_features_are_not_complete_before_the_last_shard(extract):
    part = extract(shard="1/3")
    assert 0 < part.videos < 12
    with pytest.raises(CacheError, match="of other shards than 1-of-3 are not done"):
        usable_entries(FeatureCache.open(part.features))
    assert counts(extract(shard="1/3")) == (0, part.videos, 0)


def test_an_extraction_takes_over_what_shards_have_done(extract):
    part = extract(shard="2/3")
    assert counts(extract()) == (12 - part.videos, part.videos, 0)


def test_what_a_killed_shard_noted_is_known_to_all(extract, monkeypatch):
    noted, note = [], FeatureCache.note

    def interrupted(self, entry):
        note(self, entry)
        noted.append(entry.path)
        if len(noted) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "note", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(shard="1/2")
    assert extract(shard="1/2").reused == 2
    assert extract(shard="2/2").reused == 0
    assert counts(extract()) == (0, 12, 0)


def test_a_shard_at_work_keeps_what_it_noted_when_another_merges(extract, tmp_path):
    """The other one rewrites the manifest while this one is under way."""
    expected = bytes_of(extract(cache_dir=str(tmp_path / "one")).features)
    results, note = {}, FeatureCache.note

    def slow_note(self, entry):
        note(self, entry)
        if "1-of-2" in str(self._journal_path) and not results:
            results[2] = extract(shard="2/2")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureCache, "note", slow_note)
        one = extract(shard="1/2")
    assert one.extracted + results[2].extracted == 12
    assert bytes_of(one.features) == expected


def test_a_video_that_cannot_be_read_is_its_shard_s(extract, dataset_dir, tmp_path):
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
    assert bytes_of(parts[1].features) == bytes_of(whole.features)


def write_table(root: Path, *more: str) -> None:
    rows = [f"{label}/{n}.mp4,{label}" for n in range(6) for label in ("fight", "noFight")]
    (root / "videos.csv").write_text("\n".join(["path,label", *rows, *more]) + "\n")


def test_shards_complete_with_what_is_no_file_at_all(extract, dataset_dir):
    (dataset_dir / "folder.mp4").mkdir()
    long = draw_video(dataset_dir / ("x" * 248 + ".mp4"), seed=70)
    write_table(dataset_dir, "folder.mp4,fight", "gone.mp4,fight", f"{long.name},fight")
    for _ in range(2):
        parts = [extract(shard=f"{n}/2", max_failures=1.0) for n in (1, 2)]
        assert sum(part.failed for part in parts) == 3
        assert parts[1].complete
    whole = extract(max_failures=1.0)
    assert counts(whole) == (0, 12, 3)


def test_failures_are_a_share_of_the_whole_class(extract, dataset_dir):
    """Not of the few that a shard holds of it."""
    spoil(dataset_dir / "fight" / "0.mp4")
    failed = [extract(shard=f"{number}/4").failed for number in (1, 2, 3, 4)]
    assert sum(failed) == 1
    assert usable_entries(FeatureCache.open(extract().features))


def test_shards_together_hold_to_max_failures(extract, dataset_dir):
    spoil(dataset_dir / "fight" / "0.mp4")
    spoil(dataset_dir / "fight" / "1.mp4")
    settings = {"max_failures": 0.2}
    with pytest.raises(DatasetError, match="Received: 2 of 6 videos of fight"):
        for number in (1, 2, 3, 4, 5, 6):
            extract(shard=f"{number}/6", **settings)


def test_shards_of_which_nothing_can_be_read_say_so(extract, dataset_dir):
    for path in dataset_dir.rglob("*.mp4"):
        spoil(path)
    extract(shard="1/2", max_failures=1.0)
    with pytest.raises(DatasetError, match="At least one video must be readable"):
        extract(shard="2/2", max_failures=1.0)
    settings = next(dataset_dir.parent.rglob("extraction.json")).read_text()
    assert json.loads(settings)["stopped"].startswith("At least one video must be")


def test_the_last_shard_sweeps_what_a_kill_left(extract):
    folder = extract(shard="1/2").features
    leftover = folder / "fight" / "9.mp4.npy.partial-01234567-99-abcd"
    leftover.parent.mkdir(exist_ok=True)
    leftover.touch()
    assert not extract(shard="1/2").complete
    assert leftover.exists()
    assert extract(shard="2/2").complete
    assert not leftover.exists()


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


def test_too_many_shards_leave_some_without_a_video(extract):
    for number in range(1, 17):
        extract(shard=f"{number}/16")
    assert counts(extract()) == (0, 12, 0)


@pytest.mark.slow
def test_two_shards_at_once_leave_what_one_extraction_does(dataset_dir, tmp_path):
    def command(cache: str, *flags: str) -> list[str]:
        small = ["--backbone", "mobilenetv2", "--weights", "random", "--frames", "4"]
        code = "from violence_detection.cli import extract_features as e; e()"
        places = [str(dataset_dir), "--cache-dir", str(tmp_path / cache)]
        size = ["--frame-size", "32", "-q"]
        return [sys.executable, "-c", code, *places, *small, *size, *flags]

    running = [subprocess.Popen(command("cache", "--shard", f"{number}/2")) for number in (1, 2)]
    assert [process.wait() for process in running] == [0, 0]
    subprocess.run(command("one"), check=True)
    one, cache = (
        next((tmp_path / name).rglob("extraction.json")).parent for name in ("one", "cache")
    )
    assert bytes_of(cache) == bytes_of(one)
