"""Nothing is chosen on the held-out fold; after a kill the results are those without a kill."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import tree_of

from violence_detection import cli
from violence_detection.datasets import video_folder
from violence_detection.errors import CacheError, ConfigError, EvidenceError
from violence_detection.evaluation import baselines, predictions
from violence_detection.experiments.config import CrossValidateConfig
from violence_detection.experiments.cross_validation import fold_processes, pooled_scores
from violence_detection.experiments.cross_validation.cross_validate import (
    CrossValidationStage,
    run_cross_validation,
)
from violence_detection.experiments.cross_validation.drawn_folds import FoldPlan
from violence_detection.experiments.cross_validation.fold_runner import (
    FoldRunner,
    FoldSetup,
    TrainedFold,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import usable_entries
from violence_detection.models.training_results import EffectiveSettings
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
)
from violence_detection.system import files
from violence_detection.system.study_folder import StudyFolder

KEYS = "folds repeats grouped accuracy auc baselines"
COLUMNS_OF_EVALUATE = predictions.COLUMNS
COLUMNS = (
    "repeat fold grouped videos recordings training_videos accuracy auc recall "
    "false_positive_rate epochs best_epoch threshold temperature "
    "linear_accuracy linear_auc knn_accuracy knn_auc metadata_accuracy metadata_auc "
    "majority_accuracy majority_auc note"
)
CHECK_BUILDABLE = FoldRunner.check_buildable
EFFECTIVE = EffectiveSettings(1, 1, "float32", xla=False, engine="tensorflow")
QUICK = {"head": "linear", "epochs": 2, "batch_size": 8, "folds": 2}


def config_of(features, folder, **settings) -> CrossValidateConfig:
    places = {"features": str(features), "checkpoint_dir": str(folder), "run": "cv"}
    return CrossValidateConfig.from_flags({**QUICK, **places, **settings})


def validate(features, folder, *, force=False, **settings) -> dict:
    config = config_of(features, folder, **settings)
    return run_cross_validation(config, force=force).to_json()


def table(folder: Path, name: str = "folds.csv") -> list[dict[str, str]]:
    with open(folder / "cv" / name) as file:
        return list(csv.DictReader(file))


def outputs_in(folder: Path) -> dict[str, bytes]:
    """The tables and the results, byte for byte."""
    names = ("folds.csv", "predictions.csv", "results.json")
    return {name: (folder / "cv" / name).read_bytes() for name in names}


def train_nothing(self, fold) -> TrainedFold:
    """In place of a training: predictions that are a function of the fold."""
    job = self.training_job(fold)
    assert len(job.clips["train"])
    rng = np.random.default_rng([fold.repeat, fold.number, fold.grouped])
    violence = rng.random(len(job.clips["test"]))
    probability = np.stack([1 - violence, violence], axis=1)
    return TrainedFold(2, 1, 1.0, 0.5, EFFECTIVE, probability)


@pytest.fixture
def quick_baselines(monkeypatch):
    """Baselines of two trees, and intervals of 50 draws."""
    monkeypatch.setattr(baselines, "_TREES", 2)
    monkeypatch.setattr(pooled_scores, "_RESAMPLES", 50)


@pytest.fixture
def untrained(monkeypatch, quick_baselines):
    """Folds that cost nothing; a list of those that were trained."""
    trained = []

    def noted(self, fold):
        trained.append(fold.name)
        return train_nothing(self, fold)

    monkeypatch.setattr(FoldRunner, "train_fold", noted)
    monkeypatch.setattr(FoldRunner, "check_buildable", lambda _: None)
    return trained


@pytest.fixture(scope="module")
def trained(features_dir, tmp_path_factory):
    """The result of a cross-validation, and its folder."""
    folder = tmp_path_factory.mktemp("trained")
    return validate(features_dir, folder), folder


# -- what it leaves


def test_it_leaves_what_the_contract_says(trained):
    result, folder = trained
    assert set(KEYS.split()) <= set(result)
    assert (result["folds"], result["repeats"], result["grouped"]) == (2, 1, True)
    for name in ("accuracy", "auc"):
        assert set(result[name]) == {"mean", "sd", "ci"}
    for name in ("linear", "knn", "metadata", "majority"):
        assert {"accuracy", "auc"} <= set(result["baselines"][name])
    assert result == json.loads((folder / "cv" / "results.json").read_text())
    assert result["complete"] and result["clean"]
    left = {path.name for path in (folder / "cv").iterdir()} - {".lock"}
    assert left == set(
        "folds.csv predictions.csv results.json cross_validation.json folds report.html "
        "roc.png precision_recall.png reliability.png confusion.png".split()
    )
    assert CrossValidationResult.from_json(result).to_json() == result


def test_the_tables_say_what_the_result_says(trained):
    result, folder = trained
    rows = table(folder)
    assert list(rows[0]) == COLUMNS.split()
    assert [int(row["fold"]) for row in rows] == [1, 2]
    accuracies = [float(row["accuracy"]) for row in rows]
    assert result["accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert result["accuracy"]["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    linear = [float(row["linear_auc"]) for row in rows]
    assert result["baselines"]["linear"]["auc"] == pytest.approx(np.mean(linear))
    predictions = table(folder, "predictions.csv")
    assert len({row["path"] for row in predictions}) == len(predictions) == 32
    right = [row["correct"] == "True" for row in predictions]
    assert result["pooled"]["model"]["accuracy"] == pytest.approx(np.mean(right))
    linear = result["pooled"]["linear"]["accuracy"]
    difference = result["difference_to_linear"]["accuracy"]
    assert difference == pytest.approx(np.mean(right) - linear)


def test_a_prediction_has_the_columns_of_evaluate_and_its_fold(trained):
    for row in table(trained[1], "predictions.csv"):
        assert set(row) >= {*COLUMNS_OF_EVALUATE, "repeat", "fold", "threshold"}
        assert (row["kind"], row["seed"]) == ("grouped", "42")
        normal, violent = float(row["probability_normal"]), float(row["probability_violent"])
        assert normal + violent == pytest.approx(1)
        assert violent == pytest.approx(float(row["probability"]))
        alarm = float(row["probability"]) >= float(row["threshold"])
        assert (row["predicted"] == "violent") == alarm


def test_the_report_shows_the_nearest_training_videos_of_the_fold(trained):
    page = (trained[1] / "cv" / "report.html").read_text().replace("<wbr>", "")
    fold_of = {row["path"]: row["fold"] for row in table(trained[1], "predictions.csv")}
    articles = [article.split("</article>")[0] for article in page.split("<article")[1:]]
    assert articles
    for article in articles:
        mistake, *nearest = [
            path for path in re.findall(r"[\w/]+\.mp4", article) if path in fold_of
        ]
        shown = {path for path in nearest if path != mistake}
        assert len(shown) == 3 and fold_of[mistake] not in {fold_of[path] for path in shown}


def test_no_recording_is_in_two_folds(trained):
    sides = {}
    for row in table(trained[1], "predictions.csv"):
        sides.setdefault(row["group"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in sides.values())


def test_a_class_that_differs_is_found(trained):
    """The drawn classes are one deviation apart in each of eight features."""
    result, _ = trained
    assert result["baselines"]["linear"]["accuracy"] > 0.9
    assert result["baselines"]["majority"]["auc"] == 0.5
    assert result["left_out"] == [
        "The baselines mean_picture and motion_energy are left out, and metadata lacks "
        "width and height: their folder /drawn does not exist."
    ]


def test_a_plan_writes_nothing(features_dir, tmp_path):
    asked = config_of(features_dir, tmp_path, both=True, repeats=2)
    planned = CrossValidationStage(asked).prepare()
    assert (planned["trainings"], planned["videos"]) == (8, 32)
    assert tree_of(tmp_path) == []


# -- nothing is chosen on the held-out fold


@pytest.mark.parametrize("grouped", [True, False])
def test_validation_videos_are_neither_trained_on_nor_held_out(features_dir, tmp_path, grouped):
    runner = runner_of(features_dir, tmp_path, grouped=grouped)
    for fold in runner.folds:
        clips = runner.training_job(fold).clips
        groups = {split: set(part.groups) for split, part in clips.items()}
        paths = {split: {e.path for e in part.entries} for split, part in clips.items()}
        assert not groups["validation"] & groups["train"] and groups["validation"]
        assert not paths["test"] & (paths["train"] | paths["validation"])
        if grouped:
            assert not groups["test"] & (groups["train"] | groups["validation"])


def test_without_a_monitor_all_other_folds_are_trained_on(features_dir, tmp_path):
    runner = runner_of(features_dir, tmp_path, monitor="none")
    for fold in runner.folds:
        clips = runner.training_job(fold).clips
        assert len(clips["train"]) + len(clips["test"]) == 32
        assert clips["validation"] is clips["train"]


@pytest.mark.slow
def test_without_a_monitor_the_last_epoch_is_kept(features_dir, tmp_path, quick_baselines):
    result = validate(features_dir, tmp_path, monitor="none", epochs=3)
    for row in result["by_fold"]:
        assert (row["epochs"], row["best_epoch"], row["threshold"]) == (3, 3, 0.5)


def test_the_labels_of_the_held_out_fold_do_not_matter(features_dir, tmp_path):
    """A fold whose labels are swapped has the same predictions."""
    runner = runner_of(features_dir, tmp_path)
    fold = runner.folds[0]
    test = fold.rows("test")
    train = np.setdiff1d(np.arange(len(runner.clips)), test)
    before, after = (
        baselines.Baselines(clips, 2, "not read").predict("linear", train, test, seed=42)
        for clips in (runner.clips, with_swapped_labels(runner.clips, test))
    )
    np.testing.assert_array_equal(before, after)


def with_swapped_labels(clips, rows):
    labels = clips.labels.copy()
    labels[rows] ^= 1
    return dataclasses.replace(clips, labels=labels)


def setup_of(features, folder, **settings) -> FoldSetup:
    config = config_of(features, folder, **settings)
    names = ("folds", "repeats", "protocols", "seed", "validation_fraction", "calibrate_by")
    plan = FoldPlan(**{name: getattr(config, name) for name in names})
    entries = tuple(usable_entries(FeatureCache.open(features)))
    return FoldSetup(config.train, plan, folder, entries)


def runner_of(features, folder, **settings) -> FoldRunner:
    return FoldRunner(setup_of(features, folder, **settings), None)


@pytest.mark.slow
def test_weights_that_were_trained_on_the_videos_are_refused(run_dir, features_dir, tmp_path):
    with pytest.raises(ConfigError, match="trained on 24 videos or their recordings"):
        validate(features_dir, tmp_path, init_from=str(run_dir))


# -- the two kinds of folds


@pytest.mark.slow
def test_both_protocols_are_named_in_every_output(features_dir, tmp_path, untrained):
    result = validate(features_dir, tmp_path, both=True)
    kinds = ("grouped", "random")
    assert untrained == [f"{k}_repeat_1_fold_{n}" for k in kinds for n in (1, 2)]
    assert (result["grouped"], result["random"]["grouped"]) == (True, False)
    assert result["clean"] and not result["random"]["clean"]
    note = "random folds: clips of one recording are on both sides, and the numbers may be too good"
    assert result["random"]["note"] == note
    # The random predictions of these folds are no better than the grouped ones.
    assert result["random"]["difference_to_grouped"]["accuracy_ci"][0] <= 0
    assert not any("too good" in line for line in result["warnings"])
    for name in ("folds.csv", "predictions.csv"):
        notes = {row["grouped"]: row["note"] for row in table(tmp_path, name)}
        assert notes["False"] == note and notes["True"].startswith("grouped folds")
    assert result["random"]["accuracy"] != result["accuracy"]


def test_unknown_recordings_are_named_in_every_output(tmp_path, untrained):
    features = draw_features(tmp_path / "drawn" / "space", grouping="none")
    result = validate(features, tmp_path)
    note = result["note"]
    assert note.startswith("the recordings are not known: ")
    assert not result["clean"] and not result["recordings_known"]
    assert [line for line in result["warnings"] if line[1:].startswith(note[1:])]
    for name in ("folds.csv", "predictions.csv"):
        assert {row["note"] for row in table(tmp_path, name)} == {note}


def test_repeats_draw_anew(features_dir, tmp_path, untrained):
    result = validate(features_dir, tmp_path / "a", repeats=2)
    assert (result["repeats"], len(table(tmp_path / "a", "predictions.csv"))) == (2, 64)
    first, second = (held_in(tmp_path / "a", repeat, 1) for repeat in (1, 2))
    assert first != second
    # The second repeat is the first of the next seed.
    validate(features_dir, tmp_path / "b", seed=43)
    assert held_in(tmp_path / "b", 1, 1) == second


def held_in(folder: Path, repeat: int, fold: int) -> set[str]:
    rows = table(folder, "predictions.csv")
    wanted = (str(repeat), str(fold))
    return {row["path"] for row in rows if (row["repeat"], row["fold"]) == wanted}


# -- resuming


@pytest.mark.slow
def test_it_resumes_with_the_missing_folds(features_dir, tmp_path, untrained, monkeypatch):
    validate(features_dir, tmp_path / "whole", repeats=2)
    del untrained[:]
    write, left = CrossValidationStage._write, [2]

    def interrupted(*arguments, **settings):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(CrossValidationStage, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            validate(features_dir, tmp_path / "cut", repeats=2)
    so_far = json.loads((tmp_path / "cut" / "cv" / "results.json").read_text())
    assert not so_far["complete"] and len(table(tmp_path / "cut")) == 2
    validate(features_dir, tmp_path / "cut", repeats=2)
    assert len(untrained) == 4  # the third was trained, and its tables are written now
    for name in ("folds.csv", "predictions.csv"):
        whole, cut = (outputs_in(tmp_path / kind)[name] for kind in ("whole", "cut"))
        assert whole == cut


def test_a_finished_cross_validation_gives_its_result_again(features_dir, tmp_path, untrained):
    first = validate(features_dir, tmp_path)
    before = outputs_in(tmp_path)
    assert validate(features_dir, tmp_path) == first
    assert len(untrained) == 2 and outputs_in(tmp_path) == before


def test_a_majority_baseline_of_an_older_version_is_replaced(features_dir, tmp_path, untrained):
    """It was the larger class of each fold's training videos; all folds now have that of all."""
    first = validate(features_dir, tmp_path)
    path = tmp_path / "cv" / "folds" / "grouped_repeat_1_fold_1.json"
    fold = json.loads(path.read_text())
    fold["answers"]["majority"] = [row[::-1] for row in fold["answers"]["majority"]]
    del fold["training_videos"]
    path.write_text(json.dumps(fold))
    again = validate(features_dir, tmp_path)
    assert again == first and len(untrained) == 2
    assert {row["training_videos"] for row in again["by_fold"]} == {16}


@pytest.mark.slow
def test_force_starts_anew(features_dir, tmp_path, untrained):
    validate(features_dir, tmp_path)
    result = validate(features_dir, tmp_path, force=True, repeats=2)
    assert len(untrained) == 6 and result["repeats"] == 2


def test_a_training_that_cannot_be_built_replaces_nothing(
    features_dir, tmp_path, untrained, monkeypatch
):
    validate(features_dir, tmp_path)
    before = tree_of(tmp_path)
    monkeypatch.setattr(FoldRunner, "check_buildable", CHECK_BUILDABLE)
    with pytest.raises(ConfigError):
        validate(features_dir, tmp_path, force=True, head="transformer(heads=0)")
    assert tree_of(tmp_path) == before


@pytest.mark.slow
def test_a_study_is_locked_and_resumed_with_the_same_settings_and_videos_only(
    features_dir, tmp_path, untrained
):
    validate(features_dir, tmp_path)
    stage = CrossValidationStage(config_of(features_dir, tmp_path, grouped=False))
    for act in (stage.prepare, stage.run):
        with pytest.raises(ConfigError, match="grouped=True.*Received: grouped=False"):
            act()
    study = StudyFolder(tmp_path / "cv", "study", "cross_validation.json", CrossValidateConfig)
    with pytest.raises(ConfigError, match="Received: another videos_digest"):
        validate(draw_features(tmp_path / "drawn" / "space", seed=1), tmp_path)
    with study.lock(), pytest.raises(ConfigError, match="in use by another process"):
        validate(features_dir, tmp_path)
    validate(features_dir, tmp_path, jobs=1)
    assert len(untrained) == 2


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal(trained, features_dir, tmp_path):
    validate(features_dir, tmp_path)
    again, first = outputs_in(tmp_path), outputs_in(trained[1])
    for name in ("folds.csv", "predictions.csv"):
        assert again[name] == first[name]


def started(features, folder: Path, jobs: int) -> subprocess.Popen:
    words = ["cross-validate", "--features", features, "--run", "cv", "--jobs", jobs]
    words += "--head linear --epochs 2 --batch-size 8 --folds 3".split()
    words += ["--checkpoint-dir", folder]
    program = "from violence_detection.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, words)]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        command, stdout=nowhere, stderr=subprocess.PIPE, text=True, process_group=0
    )


def ended(process: subprocess.Popen) -> tuple[int, str]:
    stderr = process.communicate()[1]
    return process.returncode, stderr


def wait_for(process: subprocess.Popen, happens) -> None:
    while process.poll() is None and not happens():
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(features_dir, tmp_path_factory) -> Path:
    """Folds trained one after the other, without a kill, in this process."""
    folder = tmp_path_factory.mktemp("whole")
    validate(features_dir, folder, folds=3)
    return folder


def check_same(folder: Path, wanted: Path) -> None:
    for name in ("folds.csv", "predictions.csv"):
        assert outputs_in(folder)[name] == outputs_in(wanted)[name]
    for path in fold_files(wanted):
        assert path.read_bytes() == (folder / "cv" / "folds" / path.name).read_bytes()


@pytest.mark.slow
def test_side_by_side_and_killed_twice_it_ends_to_the_bit_as_one_after_the_other(
    whole, features_dir, tmp_path
):
    """SIGKILL for the processes that train, whose folds are trained again; then, as soon as a
    fold is finished, for the command: no process is left that writes."""
    process = started(features_dir, tmp_path, 2)
    wait_for(process, lambda: (tmp_path / "cv" / "training").is_dir())
    for pid in children_of(process.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(process, lambda: fold_files(tmp_path))
    children = children_of(process.pid)
    process.kill()
    _, stderr = ended(process)
    assert "its process crashed (SIGKILL); it is trained again." in stderr
    deadline_s = time.monotonic() + 30
    while any(map(runs, children)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert children and not any(map(runs, children))
    validate(features_dir, tmp_path, folds=3)
    check_same(tmp_path, whole)
    assert not (tmp_path / "cv" / "training").exists()


@pytest.mark.thorough
def test_an_interruption_ends_all_processes_and_can_be_resumed(whole, features_dir, tmp_path):
    process = started(features_dir, tmp_path, 2)
    wait_for(process, lambda: (tmp_path / "cv" / "training").is_dir())
    os.kill(process.pid, signal.SIGINT)
    status, stderr = ended(process)
    assert status == 130, stderr
    assert "start the same command again to resume" in stderr
    assert ended(started(features_dir, tmp_path, 2))[0] == 0
    check_same(tmp_path, whole)


def runs(pid: int) -> bool:
    """Whether a process is there, and not only its entry that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def fold_files(folder: Path) -> list[Path]:
    return list((folder / "cv" / "folds").glob("*.json"))


@pytest.mark.slow
def test_members_are_trained_for_every_fold(features_dir, tmp_path, quick_baselines):
    result = validate(features_dir, tmp_path, members=2, ensemble=True, epochs=1)
    assert result["complete"] and len(result["by_fold"]) == 2
    assert not (tmp_path / "cv" / "training").exists()


# -- leaks between folds


def test_a_pattern_groups_the_videos_at_hand(features_dir, tmp_path, untrained):
    """Recordings by the last digit, instead of those of the features."""
    result = validate(features_dir, tmp_path, group_pattern=r"(\d)\.mp4$")
    rows = table(tmp_path, "predictions.csv")
    assert {row["group"] for row in rows} == set("0123456789")
    assert result["recordings"] == 10 and result["grouped_by"] == "--group-pattern"
    sides = {}
    for row in rows:
        sides.setdefault(row["group"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in sides.values())
    assert result["clean"] and not any(result["leak_counts"].values())


@pytest.mark.slow
def test_a_pattern_makes_unknown_recordings_known(tmp_path, untrained):
    features = draw_features(tmp_path / "drawn" / "space", grouping="none")
    assert validate(features, tmp_path, group_pattern=r"_(\d+)")["recordings_known"]
    partly = validate(features, tmp_path, group_pattern=r"train_(\d+)", run="partly")
    assert not partly["recordings_known"] and not partly["clean"]


def test_random_folds_count_the_recordings_on_both_sides(features_dir, tmp_path, untrained):
    result = validate(features_dir, tmp_path, grouped=False)
    rows = table(tmp_path, "predictions.csv")
    sides = {}
    for row in rows:
        sides.setdefault(row["group"], set()).add(row["fold"])
    torn = sum(len(folds) > 1 for folds in sides.values())
    assert result["leak_counts"]["recordings"] == torn > 0
    assert result["leaks"][0].startswith("recording ") and not result["clean"]


@pytest.fixture
def filmed(tmp_path) -> Path:
    """Features of clips that are there: 0 and 1 of a class are the same, at another size."""
    root, rng = tmp_path / "videos", np.random.default_rng(0)
    for label in ("fight", "noFight"):
        for number in range(8):
            if number != 1:
                scene = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            draw_scene(root / label / f"{number}.mp4", scene, side=64 + 16 * number)
    features = draw_features(
        tmp_path / "cache" / "drawn" / "space",
        dataset={"name": "drawn", "dir": str(root)},
        labels=("noFight", "fight"),
        counts=(16, 0, 0),
    )
    cache = FeatureCache.open(features)
    rows = []
    for entry, path in zip(cache.entries(), sorted(root.rglob("*.mp4")), strict=True):
        key = path.relative_to(root).as_posix()
        array = cache.read_array(entry, (6, 8))
        digest = cache.write_arrays(key, array[None])[0]
        size = path.stat().st_size
        rows.append(
            dataclasses.replace(
                entry,
                path=key,
                label=path.parent.name,
                group=key,
                size=size,
                digest=files.sha256_of_file(path),
                array_digest=digest,
            )  # fmt: skip
        )
    cache.write_manifest(rows)
    return features


def draw_scene(path: Path, scene: np.ndarray, side: int) -> None:
    """A still of coloured squares, for a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (side, side * 3 // 4)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12, size)
    for _ in range(12):
        writer.write(cv2.resize(scene, size, interpolation=cv2.INTER_CUBIC))
    writer.release()


@pytest.mark.slow
def test_near_duplicates_in_several_folds_are_not_clean(filmed, tmp_path, untrained):
    shown = call("--features", filmed, "--checkpoint-dir", tmp_path, "--folds", 2,
                 "--run", "cv", "--seed", apart(filmed, tmp_path))  # fmt: skip
    result = json.loads((tmp_path / "cv" / "results.json").read_text())
    assert result["near_duplicates_searched"] and not result["clean"]
    assert result["leak_counts"]["near_duplicates"] in (2, 4)
    assert "similar to a video of another recording in another fold" in " ".join(result["warnings"])
    assert "the numbers are too good: several folds share" in shown.stdout
    assert "near-duplicates, e.g. near-duplicate of" in shown.stdout


def apart(features, folder) -> int:
    """A seed that draws 0 and 1 of a class into two folds."""
    for seed in range(20):
        runner = runner_of(features, folder, seed=seed)
        first = {entry.path: entry.split for entry in runner.folds[0].entries}
        if (first["fight/0.mp4"] == "test") != (first["fight/1.mp4"] == "test"):
            return seed
    raise AssertionError


def test_near_duplicates_are_kept_together_on_request(filmed, tmp_path, untrained):
    result = validate(filmed, tmp_path, group_near_duplicates=True)
    sides = {row["path"]: row["fold"] for row in table(tmp_path, "predictions.csv")}
    for label in ("fight", "noFight"):
        assert sides[f"{label}/0.mp4"] == sides[f"{label}/1.mp4"]
    assert (result["recordings"], result["grouped_by"]) == (14, "likeness")
    assert result["leak_counts"]["near_duplicates"] == 0


@pytest.mark.slow
def test_videos_are_summarised_once(filmed, tmp_path, untrained, monkeypatch):
    first = validate(filmed, tmp_path, run="a")
    shutil.rmtree(tmp_path / "videos")
    monkeypatch.setattr(video_folder, "read_folder", None)
    again = validate(filmed, tmp_path, run="b")
    for name in ("leak_counts", "near_duplicates_searched", "baselines"):
        assert again[name] == first[name]


@pytest.mark.slow
def test_missing_videos_cannot_be_grouped_by_similarity(features_dir, tmp_path):
    with pytest.raises(EvidenceError, match="files of all videos. Received: their"):
        validate(features_dir, tmp_path, group_near_duplicates=True)
    result = validate_untrained(features_dir, tmp_path)
    assert not result["near_duplicates_searched"]
    assert "their folder /drawn does not exist" in result["near_duplicates_reason"]


def validate_untrained(features, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FoldRunner, "train_fold", train_nothing)
        patch.setattr(FoldRunner, "check_buildable", lambda _: None)
        return validate(features, folder)


# -- validation


def test_a_monitor_that_a_fold_cannot_compute_is_refused_before_anything(tmp_path):
    """Of two violent recordings one is held out, and the other is trained on."""
    features = draw_features(tmp_path / "cache" / "drawn" / "space", counts=(40, 0, 0))
    cache = FeatureCache.open(features)
    few = {"violent train 0", "violent train 1"}
    rows = [row for row in cache.entries() if row.label == "normal" or row.group in few]
    cache.write_manifest(rows)
    message = "val_auc must have .* normal videos only .grouped_repeat_1_fold_"
    with pytest.raises(ConfigError, match=message):
        validate(features, tmp_path / "runs", monitor="val_auc", folds=2)
    assert not (tmp_path / "runs").exists()


def test_a_point_that_no_fold_can_support_is_refused_before_anything(features_dir, tmp_path):
    message = "recall=0.9 needs more videos.*grouped_repeat_1_fold_1"
    with pytest.raises(EvidenceError, match=message):
        validate(features_dir, tmp_path, operating_point="recall=0.9")
    assert tree_of(tmp_path) == []


def test_folds_to_choose_on_are_drawn_within_the_training_part(tmp_path):
    features = draw_features(tmp_path / "drawn" / "space", counts=(96, 0, 0))
    settings = {"calibrate_by": "folds", "calibration_folds": 3}
    stage = CrossValidationStage(config_of(features, tmp_path, **settings))
    assert stage.prepare()["trainings"] == 2 * (1 + 3)
    runner = runner_of(features, tmp_path, **settings)
    for fold in runner.folds:
        known = sorted(fold.entries[row].path for row in fold.training_rows)
        inner = runner.training_job(fold).calibration.folds
        assert len(inner) == 3 and len(known) == 48
        assert all(sorted(entry.path for entry in part) == known for part in inner)
        held_out = [entry.path for part in inner for entry in part if entry.split == "test"]
        assert sorted(held_out) == known


@pytest.mark.slow
def test_temperature_and_threshold_are_chosen_on_folds_without_the_held_out_videos(
    tmp_path, quick_baselines
):
    """The labels of the held-out fold are exchanged, and nothing changes."""
    features = draw_features(tmp_path / "drawn" / "space", counts=(96, 0, 0), shift=0.3)
    settings = {"calibrate_by": "folds", "calibration_folds": 2, "seed": 7}
    runner = fold_processes.runner_of(setup_of(features, tmp_path / "cv", **settings))
    fold = runner.folds[0]
    before = runner.train_fold(fold)
    # About six videos validate, on which nothing could be chosen.
    assert before.threshold != 0.5 and before.temperature != 1.0
    runner.clips = with_swapped_labels(runner.clips, fold.rows("test"))
    after = runner.train_fold(fold)
    assert (after.threshold, after.temperature) == (before.threshold, before.temperature)
    np.testing.assert_array_equal(after.probability, before.probability)


@pytest.mark.slow
def test_each_fold_has_a_threshold_of_its_own_validation(tmp_path, quick_baselines):
    """About 120 videos in each fold's validation, none of which is held out."""
    features = draw_features(tmp_path / "drawn" / "space", counts=(480, 0, 0), shift=0.5)
    settings = {"validation_fraction": 0.5, "epochs": 4, "learning_rate": 0.05}
    results = {
        point: validate(features, tmp_path / point, operating_point=point, **settings)
        for point in ("recall=0.7", "recall=0.95")
    }
    low, high = ([row["threshold"] for row in result["by_fold"]] for result in results.values())
    assert all(b < a for a, b in zip(low, high, strict=True))
    recalls = [result["pooled"]["model"]["recall"] for result in results.values()]
    # Chosen on 60 violent videos each: a standard error of 0.06 on those, and as much here.
    assert recalls == [pytest.approx(0.7, abs=0.15), pytest.approx(0.95, abs=0.1)]
    for row in results["recall=0.7"]["by_fold"]:
        assert row["temperature"] != 1.0


# -- the command


def call(*words):
    return CliRunner().invoke(cli.main, ["cross-validate", *map(str, words)])


def test_the_command_shows_tables_or_json(features_dir, tmp_path, untrained):
    words = ["--features", features_dir, "--checkpoint-dir", tmp_path, "--folds", 2]
    shown = call(*words, "--both", "--run", "a")
    assert shown.exit_code == 0, shown.output
    for part in ("recall ", "flagged ", "by fold ", "linear ", "random ", "majority", "sd "):
        assert part in shown.stdout
    tables = [line for line in shown.stdout.splitlines() if line.startswith(" " * 12)]
    assert max(len(line) for line in tables if "  " in line.strip()) <= 80
    done = call(*words, "--random", "--run", "b", "--json")
    result = json.loads(done.stdout)
    assert set(KEYS.split()) <= set(result) and result["grouped"] is False
    assert any(line.startswith("Random folds") for line in result["warnings"])
    assert done.stderr.count("Random folds") == 1
    planned = call(*words, "--run", "c", "--dry-run")
    assert "trainings   2: 2 folds, 1 repeat" in planned.stdout
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fold", "3"], "No such option"),
        (["--backbone", "vgg19"], "No such option"),
        (["--both", "--random"], "--both must come without --random"),
        (["--folds", "1"], "--folds must be >= 2. Received: folds=1"),
        (["--folds", "9"], "9, and 8 of normal, 8 of violent"),
        (["--run", "a/b"], "--run must be the name of a folder"),
        (["--validation-fraction", "0"], "--validation-fraction must be > 0"),
        (["--monitor", "none", "--validation-fraction", "0.2"], "must not be given with"),
        (["--monitor", "none", "--members", "2"], "--members must come with ensemble"),
        (["--monitor", "none", "--operating-point", "best_f1"], "there are no validation videos"),
        (["--operating-point", "false_alarms_per_hour=1"], "by evaluate --normal-footage"),
        (["--operating-point", "recall=2"], "recall must be a number > 0 and < 1"),
        (["--group-near-duplicates", "--no-read-videos"], "must come with read_videos"),
        (["--group-pattern", "("], "must be a regular expression"),
        (["--group-pattern", "nothing"], "must match the videos' paths"),
        (["--jobs", "0"], "--jobs must be >= 1. Received: jobs=0"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(features_dir, tmp_path, words, message):
    places = ["--features", features_dir, "--checkpoint-dir", tmp_path]
    result = call(*places, *words)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert message in result.stderr
    assert tree_of(tmp_path) == []


def test_features_must_be_given(tmp_path):
    result = call("--checkpoint-dir", tmp_path)
    assert result.exit_code == 2 and "--features must be given" in result.stderr


# -- hostile


@pytest.mark.slow
@pytest.mark.parametrize("content", ['{"repeat": 1', "[]", "{}"])
def test_a_torn_fold_is_trained_again(features_dir, tmp_path, untrained, content):
    validate(features_dir, tmp_path)
    before = outputs_in(tmp_path)
    torn, _ = sorted(fold_files(tmp_path))
    torn.write_text(content)
    validate(features_dir, tmp_path)
    assert untrained[2:] == [torn.stem] and outputs_in(tmp_path) == before


def test_torn_tables_are_written_again(features_dir, tmp_path, untrained):
    validate(features_dir, tmp_path)
    before = outputs_in(tmp_path)
    for name, content in before.items():
        (tmp_path / "cv" / name).write_bytes(content[: len(content) // 2])
    validate(features_dir, tmp_path)
    assert len(untrained) == 2 and outputs_in(tmp_path) == before


def test_one_class_in_one_recording_is_refused(tmp_path):
    features = draw_features(tmp_path / "drawn" / "space", counts=(3, 0, 0))
    with pytest.raises(ConfigError, match="recordings of each class.*1 of violent"):
        validate(features, tmp_path)


def test_one_class_alone_is_refused(tmp_path):
    features = draw_features(tmp_path / "drawn" / "space", labels=("normal",))
    with pytest.raises(CacheError, match="videos of two classes"):
        validate(features, tmp_path)


@pytest.mark.slow
def test_several_classes_are_evaluated(tmp_path, quick_baselines):
    classes = ("normal", "kick", "punch")
    features = draw_features(tmp_path / "drawn" / "space", labels=classes, counts=(18, 9, 9))
    result = validate(features, tmp_path, epochs=1)
    assert result["classes"] == list(classes)
    report = result["class_report"]
    assert [score["name"] for score in report["scores"]] == list(classes)
    assert sum(score["videos"] for score in report["scores"]) == 36
    assert 0 <= result["accuracy"]["mean"] <= 1 and result["auc"]["mean"] is not None


@pytest.mark.slow
def test_a_detector_learns_from_the_normal_videos_of_the_other_folds(features_dir, tmp_path):
    config = CrossValidateConfig.from_flags(
        {
            "features": str(features_dir),
            "checkpoint_dir": str(tmp_path),
            "one_class": "mahalanobis",
            "folds": 2,
            "validation_fraction": 0.3,
            "read_videos": False,
        }
    )
    result = run_cross_validation(config).to_json()
    assert result["complete"]
    with open(result["predictions_csv"]) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32
    assert {row["label"] for row in rows} == {"normal", "unusual"}
    assert result["pooled"]["linear"]["auc"] > 0.5
    assert {row["epochs"] for row in result["by_fold"]} == {0}
