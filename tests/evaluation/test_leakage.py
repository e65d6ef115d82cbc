"""Leaks are found by recording, by bytes and by similarity, and counted by kind."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import SHARED
from support.training import train_quickly

from violence_detection import cli
from violence_detection.commands.evaluate import evaluation_lines
from violence_detection.datasets.splitting.recordings import NearDuplicates
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError
from violence_detection.evaluation import leakage
from violence_detection.evaluation.config import CompareConfig
from violence_detection.evaluation.leakage import Leaks
from violence_detection.features.cache import FeatureCache
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.system import files

COUNTS = ("recordings", "identical", "near_duplicates")


def scene(path: Path, number: int, *, width=64, frames=12) -> Path:
    """A still of coloured squares, different for each number."""
    import cv2

    image = np.random.default_rng(number).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    size = (width, width * 3 // 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12, size)
    for _ in range(frames):
        writer.write(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))
    writer.release()
    return path


@pytest.fixture(scope="module")
def filmed(tmp_path_factory) -> tuple[Path, Path]:
    """Features of existing videos, and a run. The first two test videos are copies of training
    videos: one at another size, one byte for byte."""
    root = tmp_path_factory.mktemp("filmed")
    space = draw_features(
        root / "cache" / "drawn" / "space",
        dataset={"name": "drawn", "dir": str(root / "videos")},
        counts=(12, 8, 8),
    )
    cache = FeatureCache.open(space)
    twins = {"test_0": "train_0", "test_1": "train_1"}
    rows = []
    for number, entry in enumerate(cache.entries()):
        path = root / "videos" / entry.path
        twin = path.with_name(twins.get(path.stem, "") + ".mp4")
        if path.stem == "test_1":
            rows.append((entry, path, twin))
            continue
        of = 1000 if path.stem in ("train_0", "test_0") else number
        scene(path, of, width=96 if path.stem == "test_0" else 64)
        rows.append((entry, path, None))
    done = []
    for entry, path, twin in rows:
        if twin is not None:
            shutil.copyfile(twin, path)
        done.append(
            dataclasses.replace(entry, size=path.stat().st_size, digest=files.sha256_of_file(path))
        )
    cache.write_manifest(done)
    return space, Path(train_quickly(space, root / "runs", epochs=1)["run"])


@pytest.fixture
def run(filmed, tmp_path) -> Path:
    return shutil.copytree(filmed[1], tmp_path / "run")


def counts_of(result) -> tuple[int, ...]:
    return tuple(result["leak_counts"][name] for name in COUNTS)


# -- between training and evaluated videos


@pytest.mark.slow
def test_each_kind_is_counted_once(run, evaluate):
    result = evaluate(run)
    assert counts_of(result) == (0, 1, 1) and not result["clean"]
    assert result["leaks"] == [
        "content of violent/test_1.mp4",
        "near-duplicate of normal/train_0.mp4: normal/test_0.mp4",
    ]
    assert result["near_duplicates_searched"]
    text = CliRunner().invoke(cli.main, ["evaluate", str(run)]).stdout
    leaks = "in training and here are 1 identical file and 1 near-duplicate, e.g. content"
    assert f"leaks       the numbers are too good: {leaks}" in text


@pytest.mark.slow
def test_the_run_s_own_copies_of_a_video_are_no_leak(run, evaluate):
    assert counts_of(evaluate(run, split="validation")) == (0, 0, 0)


def test_without_decoding_no_search_for_near_duplicates_is_claimed(run, evaluate):
    result = evaluate(run, read_videos=False)
    assert counts_of(result) == (0, 1, 0)
    assert not result["near_duplicates_searched"]
    assert result["near_duplicates_reason"] == "--no-read-videos was given"


def test_missing_videos_are_the_reason_for_no_search(evaluated):
    result = evaluated.result
    assert result["clean"] and not result["near_duplicates_searched"]
    assert result["near_duplicates_reason"].startswith("their folder /drawn does not exist")
    lines = "\n".join(evaluation_lines(EvaluationResult.from_json(result)))
    assert "near-duplicates were not searched: their folder" in lines


def test_near_duplicates_in_another_dataset_are_found(run, tmp_path, evaluate):
    """For example in a test set that was cut from the same footage."""
    other = tmp_path / "other"
    scene(other / "normal" / "a.mp4", 1000, width=128, frames=30)
    for number in range(3):
        scene(other / "violent" / f"{number}.mp4", 5000 + number)
    dataset = {"name": "other", "dir": str(other)}
    space = draw_features(tmp_path / "cache" / "o" / "space", dataset=dataset, counts=(0, 0, 4))
    cache = FeatureCache.open(space)
    rows = []
    for entry, path in zip(cache.entries(), sorted(other.rglob("*.mp4")), strict=True):
        key = path.relative_to(other).as_posix()
        array = cache.read_array(entry, (6, 8))[None]
        rows.append(
            dataclasses.replace(
                entry,
                path=key,
                label=path.parent.name,
                size=path.stat().st_size,
                digest=files.sha256_of_file(path),
                array_digest=cache.write_arrays(key, array)[0],
            )  # fmt: skip
        )
    cache.write_manifest(rows)
    result = evaluate(run, features=str(space))
    assert result["leaks"] == ["near-duplicate of normal/train_0.mp4: normal/a.mp4"]


def test_a_group_pattern_takes_recordings_from_the_path(run, evaluate):
    """Each class is then one recording, in training and test."""
    result = evaluate(run, group_pattern="^[a-z]+")
    assert counts_of(result) == (2, 1, 0)
    assert (result["recordings"], result["grouped_by"]) == (2, "--group-pattern")
    assert result["leaks"][:2] == ["recording normal", "recording violent"]


def test_a_group_pattern_may_name_videos_of_other_splits_alone(run, evaluate):
    """They count in the search for leaks, so a pattern of the training videos is of use."""
    result = evaluate(run, group_pattern="train_[0-9]+")
    assert result["grouped_by"] == "--group-pattern"


def test_a_pattern_that_matches_nothing_is_refused(run, evaluate):
    with pytest.raises(ConfigError, match="--group-pattern must match"):
        evaluate(run, group_pattern="nothing")
    assert not (run / "evaluation").exists()


def test_recordings_joined_by_near_duplicates_are_leaks(run, evaluate):
    result = evaluate(run, group_near_duplicates=True)
    assert counts_of(result) == (2, 1, 0)  # the identical file is a near-duplicate too
    assert result["grouped_by"] == "likeness"


def test_compare_is_not_clean_either(run):
    from violence_detection.evaluation.compare import compare_runs

    result = compare_runs(str(run), str(run), CompareConfig(bootstrap=100), force=True).to_json()
    assert not result["clean"] and counts_of(result["a"]) == (0, 1, 1)


# -- between folds


def entries(*rows: tuple[str, str]) -> list[ManifestEntry]:
    return [
        ManifestEntry(f"{n}.mp4", "normal", group, "", digest=digest or f"d{n}")
        for n, (group, digest) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("folds", "counts"),
    [
        ([1, 1, 1, 1, 1], (0, 0, 0)),
        ([1, 2, 1, 1, 1], (1, 0, 0)),  # recording a
        ([1, 1, 1, 2, 1], (0, 2, 0)),  # the same bytes
        ([1, 1, 1, 1, 2], (0, 0, 2)),  # near-duplicates
        ([1, 1, 1, 1, -1], (0, 0, 2)),  # in no test fold is another side
        ([1, 2, 1, 2, 1], (1, 2, 0)),
    ],
)
def test_leaks_between_folds_are_counted(folds, counts):
    videos = entries(("a", ""), ("a", ""), ("b", "x"), ("c", "x"), ("d", ""))
    # Not counted again: 0 and 1, of one recording, and 2 and 3, which are identical.
    pairs = {("0.mp4", "1.mp4"): 1, ("2.mp4", "3.mp4"): 0, ("0.mp4", "4.mp4"): 2}
    leaks = leakage.find_leaks_between_folds(
        videos, [np.array(folds)], NearDuplicates(pairs, True, "")
    )
    assert counts_of(leaks.to_json()) == counts
    assert leaks.clean is not any(counts)


def test_a_leak_in_a_single_draw_counts():
    videos = entries(("a", ""), ("a", ""))
    draws = [np.array([1, 1]), np.array([1, 2])]
    assert leakage.find_leaks_between_folds(
        videos, draws, NearDuplicates.not_searched("gone")
    ).recordings == {"a"}


# -- groups


def test_no_leaks_are_clean_and_state_the_search():
    values = Leaks(searched=True).to_json()
    assert values == {
        "clean": True,
        "leaks": [],
        "leak_counts": dict.fromkeys(COUNTS, 0),
        "near_duplicates_searched": True,
        "near_duplicates_reason": "",
    }
    assert json.dumps(values)


# -- real clips

CLIPS = SHARED / "data" / "surveillance-fights"


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.skipif(not CLIPS.is_dir(), reason="no real clips beside the checkout")
def test_real_clips_are_near_duplicates_of_their_changed_copies_only(tmp_path):
    """12 recordings, and copies of six: smaller, brighter, a fifth later."""
    import csv

    import cv2

    from violence_detection.datasets.summaries import perceptual_hash, video_summary

    with open(CLIPS / "videos.csv") as file:
        rows = {row["group"]: row["path"] for row in csv.DictReader(file)}
    paths = [CLIPS / path for path in list(rows.values())[:12]]
    hashes = np.stack([video_summary.summarise_video(path)[3] for path in paths])
    bits = perceptual_hash.hash_distances(hashes, hashes)
    assert bits[~np.eye(len(paths), dtype=bool)].min() > 8
    for number, path in enumerate(paths[:6]):
        capture = cv2.VideoCapture(str(path))
        frames = []
        while (read := capture.read())[0]:
            frames.append(cv2.resize(read[1], (320, 240), interpolation=cv2.INTER_AREA))
        changed = [cv2.convertScaleAbs(frame, alpha=1.1, beta=20) for frame in frames]
        changed = changed[len(changed) // 5 :]
        copy = tmp_path / "copy.mp4"
        writer = cv2.VideoWriter(str(copy), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 240))
        for frame in changed:
            writer.write(frame)
        writer.release()
        distances = perceptual_hash.hash_distances(
            video_summary.summarise_video(copy)[3][None], hashes
        )[0]
        assert distances[number] <= 4 and np.delete(distances, number).min() > 8
