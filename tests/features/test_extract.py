"""Stage one leaves a complete cache with a split, and a dry run writes nothing."""

import json
import shutil
import threading
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from filelock import FileLock
from keras.src.legacy.saving import legacy_h5_format
from support.extraction import (
    SMALL,
    array_times,
    contents,
    counts,
    in_child,
    manifest_of,
    split_of,
    spoil,
)
from support.folders import SHARED
from support.videos import draw_video

from violence_detection import registry
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    ViolenceDetectionError,
    WeightsError,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.dataset import read_dataset, usable_entries
from violence_detection.features.extraction import extract as extract_module
from violence_detection.features.extraction.extract import ExtractionStage
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.reports import console


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_folder_is_named_by_dataset_and_space(extract, tmp_path):
    extraction = extract()
    dataset, space = extraction.features.relative_to(tmp_path.resolve() / "cache").parts
    assert dataset.startswith("videos-")
    assert space.startswith("mobilenetv2-motion-focus-true-4f-")
    assert extract(dataset_name="mine").features.parent.name == "mine"


def test_the_json_has_the_keys_of_the_contract(extract):
    result = extract().to_json()
    assert set(result) == set(
        "features videos extracted reused failed failures frames slowest seconds videos_per_s "
        "engine precision complete splits".split()
    )
    assert result["videos"] == result["extracted"] + result["reused"] + result["failed"] == 12
    assert result["frames"] == 48
    assert Path(result["features"]).is_absolute()


@pytest.mark.slow
def test_a_dry_run_counts_and_writes_nothing(extract, dataset_dir, tmp_path):
    config = ExtractConfig.from_flags({"cache_dir": str(tmp_path / "cache"), **SMALL})
    planned = ExtractionStage(dataset_dir, config).prepare()
    assert not (tmp_path / "cache").exists()
    assert (planned.to_extract, planned.reused) == (12, 0)
    assert planned.features == extract().features
    planned = ExtractionStage(dataset_dir, config).prepare()
    assert (planned.to_extract, planned.reused) == (0, 12)


@pytest.fixture
def no_download(monkeypatch, tmp_path):
    """The folder of an empty cache of Keras, into which nothing may be downloaded."""

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
    return ExtractionStage(dataset_dir, ExtractConfig.from_flags(flags)).prepare()


def test_a_dry_run_downloads_and_builds_nothing(
    dataset_dir, tmp_path, no_download, monkeypatch, caplog
):
    part = registry.module("backbones", "mobilenetv2")
    monkeypatch.setattr(part, "build", None)
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    assert (planned.features, planned.weights_to_download) == (None, True)
    assert (planned.to_extract, planned.reused) == (12, 0)
    assert "ImageNet weights of mobilenetv2 are not in the cache of Keras" in caplog.text
    lines = console.format_extraction_plan(planned.to_json())
    assert lines[1].split(maxsplit=1) == ["features", "not known before the weights are downloaded"]
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_without_weights_finds_existing_features(
    extract, dataset_dir, tmp_path, no_download
):
    folder = extract().features
    path = folder / "extraction.json"
    settings = json.loads(path.read_text())
    settings["weights"]["source"] = "imagenet"
    path.write_text(json.dumps(settings))
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    assert (planned.features, planned.weights_to_download) == (folder, True)
    assert (planned.to_extract, planned.reused) == (0, 12)


@pytest.mark.slow
@pytest.mark.usefixtures("whole_mobilenets")
def test_a_dry_run_takes_weights_from_the_cache_of_keras(dataset_dir, tmp_path, no_download):
    drawn = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    with h5py.File(no_download / name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, drawn)
    planned = planned_with_imagenet(dataset_dir, tmp_path)
    config = ExtractConfig.from_flags({**SMALL, "weights": str(no_download / name)})
    space = FeatureExtractor.for_machine(extract_module.extractor_settings(config)).space
    assert (planned.features.name, planned.weights_to_download) == (space.name, False)
    (no_download / name).write_bytes(b"cut")
    assert planned_with_imagenet(dataset_dir, tmp_path).weights_to_download


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


def test_two_datasets_of_one_name_live_in_one_cache(extract, dataset_dir, tmp_path):
    other = tmp_path / "elsewhere" / "videos"
    shutil.copytree(dataset_dir, other)
    draw_video(other / "fight" / "0.mp4", frames=25, seed=77)
    first, second = extract(), extract(other)
    assert first.features.parent != second.features.parent
    assert manifest_of(first)["fight/0.mp4"].digest != manifest_of(second)["fight/0.mp4"].digest
    assert counts(extract()) == counts(extract(other)) == (0, 12, 0)


def test_long_videos_are_warned_of(extract, tmp_path, caplog):
    for label in ("fight", "noFight"):
        for number in range(6):
            draw_video(tmp_path / "long" / label / f"{number}.mp4", frames=10, fps=0.1, seed=number)
    extract()
    assert "The median video" not in caplog.text
    extract(tmp_path / "long")
    assert "The median video is 1:40 long, and 4 frames of it are seen, 25 s apart" in caplog.text


@pytest.mark.slow
def test_segments_are_kept_side_by_side(extract, tmp_path):
    whole, extraction = extract(), extract(segments=3)
    cache = FeatureCache.open(extraction.features)
    space = cache.space()
    assert (space.segments, space.shape) == (3, (3, 4, 1280))
    assert "-3x4f-" in extraction.features.name and extraction.features != whole.features
    assert "segments" not in FeatureCache.open(whole.features).space().as_dict()
    entries = usable_entries(cache)
    clips = read_dataset(cache, entries, ["noFight", "fight"])
    assert clips.features.shape == (12, 3, 4, 1280)
    assert np.array_equal(clips.features[5], cache.read_array(entries[5], space.shape))
    assert counts(extract(segments=3)) == (0, 12, 0)
    (cache.dir / f"{entries[0].path}.npy").write_bytes(b"")
    assert counts(extract(segments=3)) == (1, 11, 0)


@pytest.mark.slow
def test_a_dry_run_recognises_renamed_videos_and_writes_nothing(extract, dataset_dir, tmp_path):
    features_dir = extract().features
    (dataset_dir / "fight" / "0.mp4").rename(dataset_dir / "fight" / "renamed.mp4")
    before = array_times(features_dir)
    config = ExtractConfig.from_flags({"cache_dir": str(tmp_path / "cache"), **SMALL})
    planned = ExtractionStage(dataset_dir, config).prepare()
    assert (planned.to_extract, planned.reused) == (0, 12)
    assert array_times(features_dir) == before


@pytest.mark.slow
def test_training_names_the_reason_for_which_an_extraction_stopped(extract, dataset_dir):
    features_dir = extract().features
    for number in range(3):
        spoil(dataset_dir / "fight" / f"{number}.mp4")
    with pytest.raises(DatasetError):
        extract()
    with pytest.raises(CacheError, match=r"it was stopped: At most 20% of a class"):
        usable_entries(FeatureCache.open(features_dir))


def test_the_manifest_has_no_recording_on_two_sides(extract, dataset_dir):
    for label in ("fight", "noFight"):
        for number in range(6, 18):
            draw_video(dataset_dir / label / f"{number}.mp4", seed=number)
    extraction = extract(group_pattern=r"(\w+/\d)\d?\.")  # 1, 10, 11, ... are one recording
    sides, classes = {}, set()
    for entry in manifest_of(extraction).values():
        sides.setdefault(entry.group, set()).add(entry.split)
        classes.add((entry.split, entry.label))
    assert len(sides) == 20
    assert all(len(found) == 1 for found in sides.values())
    assert len(classes) == 6


def test_the_split_stays_when_videos_are_added(extract, dataset_dir):
    before = split_of(extract())
    for number in range(6):
        draw_video(dataset_dir / "fight" / f"new{number}.mp4", seed=number)
    after = split_of(extract())
    assert {path: after[path] for path in before} == before
    assert set(after.values()) == {"train", "validation", "test"}


@pytest.mark.slow
def test_two_feature_spaces_share_the_split(extract):
    assert split_of(extract()) == split_of(extract(frames=5))


def test_recordings_named_later_are_not_on_two_sides(extract):
    assert len(set(split_of(extract()).values())) == 3
    entries = manifest_of(extract(group_pattern=r"(\w+/)")).values()
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


def test_a_file_in_place_of_the_cache_is_one_line(extract, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ViolenceDetectionError) as raised:
        extract(dataset_name="mine")
    told = f"Cannot write {tmp_path}/cache/mine: there is a file where a folder must be."
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


KILLED_AFTER_FIVE = """
import os
from violence_detection.features.cache import FeatureCache
done, note = [], FeatureCache.append_to_journal
def killing(self, entry):
    note(self, entry)
    done.append(entry)
    if len(done) == 5:
        os.kill(os.getpid(), 9)
FeatureCache.append_to_journal = killing
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
def test_a_full_disk_is_one_line_and_starting_again_continues(extract, dataset_dir, tmp_path):
    full = in_child(FULL_AFTER_9_KB, dataset_dir, "--cache-dir", tmp_path / "cache", "-q")
    assert full.returncode == 1
    assert full.stdout == ""
    line = full.stderr.splitlines()[-1]
    assert line.startswith(f"Error: Cannot write {tmp_path}/cache/videos-")
    assert line.endswith(".npy: the file-size limit is reached.")
    assert list((tmp_path / "cache").rglob("*.npy*")) == []
    assert counts(extract()) == (12, 0, 0)


def test_missing_weights_are_an_error_before_a_video_is_read(extract, tmp_path, decoded):
    with pytest.raises(WeightsError) as raised:
        extract(weights=str(tmp_path / "none.h5"))
    assert str(raised.value) == (
        f"--weights must be imagenet, random or a file. Received: {tmp_path}/none.h5 "
        "(it does not exist)"
    )
    assert decoded == []


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="needs ../shared")
@pytest.mark.usefixtures("whole_mobilenets")
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
