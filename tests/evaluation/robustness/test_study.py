"""The robustness study: corrupted videos are read as any video, and a study can be resumed."""

import contextlib
import csv
import json
import os
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from support.training import train_on_videos
from support.videos import draw_video

from violence_detection import cli
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError, VideoError
from violence_detection.evaluation.robustness import corrupted_features, study
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, CONTROL
from violence_detection.evaluation.robustness.study import CorruptionTask, _PredictionFile
from violence_detection.features.cache import FeatureCache
from violence_detection.system import files
from violence_detection.video.corruptions import compress
from violence_detection.video.video_file import VideoPart

CONDITIONS = "darken,drop_frames(fps=4),mirror+noise"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run trained on parts of two long videos and on whole clips of two classes."""
    root = tmp_path_factory.mktemp("robust")
    rows = []
    for label, seed in (("fight", 0), ("noFight", 50)):
        for number in range(4):
            path = f"{label}/{number}.mp4"
            draw_video(root / "videos" / path, seed=seed + number, frames=24)
            rows.append({"path": path, "label": label, "group": path})
        long = f"{label}/long.mp4"
        draw_video(root / "videos" / long, seed=seed + 9, frames=48)
        for start_s in (0, 2):
            rows.append(
                {"path": long, "label": label, "group": long}
                | {"start_s": start_s, "end_s": start_s + 1.5}
            )
    with open(root / "videos" / "videos.csv", "w") as file:
        table = csv.DictWriter(file, ["path", "label", "group", "start_s", "end_s"])
        table.writeheader()
        table.writerows(rows)
    run = train_on_videos(root / "videos", root, epochs=2, backbone="mobilenetv2")
    return run, root


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "run")


def measure(run, *, force=False, **settings):
    settings = {"split": "all", "conditions": CONDITIONS, "bootstrap": 100, **settings}
    config = RobustnessConfig(batch_size=8, **settings)
    return study.measure_robustness(str(run), config, force=force).to_json()


@pytest.fixture(scope="module")
def whole_study(trained, tmp_path_factory):
    """A run that was measured, and the result; not to be written to."""
    run = shutil.copytree(trained[0], tmp_path_factory.mktemp("studied") / "run")
    return run, measure(run)


# -- whole studies


@pytest.mark.slow
def test_clean_and_control_agree_with_the_evaluation(whole_study, tmp_path):
    """Whole videos and parts of long ones are read as in the extraction."""
    run, result = shutil.copytree(whole_study[0], tmp_path / "run"), whole_study[1]
    folder = run / "evaluation" / "all"
    assert json.loads((folder / "robustness.json").read_text()) == result
    with open(folder / "robustness_predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 * 5
    probabilities = {(row["path"], row["condition"]): row["probability"] for row in rows}
    done = CliRunner().invoke(cli.main, ["evaluate", str(run), "--split", "all", "--json"])
    assert done.exit_code == 0, done.stderr
    with open(folder / "predictions.csv") as file:
        for row in csv.DictReader(file):
            cached = pytest.approx(float(row["probability"]), abs=2e-3)
            assert float(probabilities[row["path"], CLEAN]) == cached
            assert float(probabilities[row["path"], CONTROL]) == cached
    assert result["control"]["accuracy_difference"] == 0.0
    assert [row["name"] for row in result["conditions"]] == [
        "darken",
        "drop_frames(fps=4)",
        "mirror+noise",
    ]
    assert result["conditions"][2]["condition"] == "mirror+noise(sigma=0.08)"
    assert all(row["videos"] == 12 for row in result["conditions"])
    left = {path.name for path in folder.iterdir()}
    assert {"robustness.csv", "robustness.png", "robustness_answers.jsonl"} <= left
    assert not any("partial" in name for name in left)


@pytest.mark.slow
def test_a_resumed_study_predicts_only_what_is_missing(whole_study, tmp_path, monkeypatch):
    run, whole = shutil.copytree(whole_study[0], tmp_path / "run"), whole_study[1]
    path = run / "evaluation" / "all" / "robustness_answers.jsonl"
    lines = path.read_text().split("\n")
    path.write_text("\n".join(lines[:40]) + '\n{"path": "fight/0.m')  # left by a killed process
    recorded = []
    extract = corrupted_features.extract_corrupted_features

    def record(extractor, tasks, *rest, **more):
        recorded.extend(tasks)
        return extract(extractor, tasks, *rest, **more)

    monkeypatch.setattr(study, "extract_corrupted_features", record)
    again = measure(run)
    assert len(recorded) == 60 - 39
    assert again["conditions"] == whole["conditions"]
    more = measure(run, conditions=f"{CONDITIONS},crop")
    assert len(recorded) == 60 - 39 + 12  # only the new condition
    assert more["conditions"][:3] == whole["conditions"]
    with pytest.raises(
        ConfigError, match="another seed; repeat the command as it was, or use --force"
    ):
        measure(run, seed=7)
    folder = study._study_folder(run / "evaluation" / "all")
    with folder.lock(), pytest.raises(ConfigError, match="in use by another process"):
        measure(run)
    asked = {"seed": 7, "conditions": "mirror"}
    assert measure(run, **asked, force=True)["clean"]["videos"] == 12


@pytest.mark.slow
def test_missing_and_changed_videos_are_listed_and_the_status_is_3(run, trained, tmp_path):
    videos = shutil.copytree(trained[1] / "videos", tmp_path / "videos")
    (videos / "fight" / "0.mp4").unlink()
    draw_video(videos / "noFight" / "1.mp4", seed=3, frames=30)
    words = f"robustness {run} --split all --conditions mirror --dataset-path {videos}"
    done = CliRunner().invoke(cli.main, [*words.split(), "--json"])
    assert done.exit_code == 3, done.stderr
    result = json.loads(done.stdout)
    assert [(row["path"], row["reason"]) for row in result["failures"]] == [
        ("fight/0.mp4", "no such file"),
        ("noFight/1.mp4", "it has changed since its features were extracted"),
    ]
    assert (result["videos"], result["clean"]["videos"]) == (12, 10)
    done = CliRunner().invoke(cli.main, words.split())
    assert "re-encoded" in done.stdout and "failed      fight/0.mp4" in done.stdout


@pytest.mark.slow
def test_killed_processes_leave_no_copy(run, caplog):
    """The time limit is too short for any video; on a busy machine some may still be read."""
    with contextlib.suppress(VideoError):
        measure(run, video_timeout_s=1e-4, conditions="blur")
    assert "it took longer than 0.0001 s (--video-timeout-s)" in caplog.text
    left = {path.name for path in (run / "evaluation" / "all").iterdir()}
    assert not any("partial" in name for name in left)


@pytest.mark.slow
def test_a_dry_run_writes_nothing(run):
    plan = study.RobustnessStage(str(run), RobustnessConfig(split="all")).prepare()
    assert (plan["videos"], plan["not_there"]) == (12, 0)
    assert plan["conditions"][:3] == [CLEAN, CONTROL, "blur"]
    assert not (run / "evaluation").exists()


# -- videos


def entry_of(root, path):
    stat = (root / path).stat()
    return ManifestEntry(
        path=path,
        label=path.split("/")[0],
        group=path,
        split="test",
        size=stat.st_size,
        mtime=stat.st_mtime_ns,
        digest=files.sha256_of_file(root / path),
    )


def test_a_video_with_another_time_and_the_same_bytes_is_unchanged(dataset_dir, features_dir):
    entry = entry_of(dataset_dir, "fight/0.mp4")
    os.utime(dataset_dir / "fight/0.mp4", ns=(1, 1))
    cache = FeatureCache.open(features_dir)
    excerpts, failures = corrupted_features.unchanged_excerpts(cache, [entry], str(dataset_dir))
    assert excerpts == {"fight/0.mp4": VideoPart(dataset_dir / "fight/0.mp4")}
    assert failures == []


def test_a_missing_folder_names_the_option_that_helps(features_dir):
    cache = FeatureCache.open(features_dir)
    with pytest.raises(CacheError, match=r"--dataset-path names its new place.*Received: /drawn"):
        corrupted_features.unchanged_excerpts(cache, cache.entries())


# -- saved predictions


TASK = CorruptionTask("a.mp4", VideoPart(None), "mirror")


def test_predictions_are_read_back_to_the_bit(tmp_path):
    probability = np.array([0.1, 0.2, 0.7]) / 3
    _PredictionFile(tmp_path, {"seed": 1}, force=False).append(TASK, probability)
    saved = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    assert saved.has("a.mp4", "mirror") and not saved.has("a.mp4", "noise")
    by_key = saved.of_condition("mirror", ["a.mp4", "b.mp4"])
    np.testing.assert_array_equal(by_key["a.mp4"], probability)


@pytest.mark.parametrize("torn", ['\n{"path": "b.m', "\n[1, 2]", "\n\0\0", "\nnull"])
def test_an_incomplete_line_loses_only_its_prediction(tmp_path, torn):
    saved = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    saved.append(TASK, np.array([0.25, 0.75]))
    with open(tmp_path / "robustness_answers.jsonl", "a") as file:
        file.write(torn)
    again = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    again.append(TASK._replace(key="c.mp4"), np.array([0.5, 0.5]))
    last = _PredictionFile(tmp_path, {"seed": 1}, force=False)
    by_key = last.of_condition("mirror", ["a.mp4", "b.mp4", "c.mp4"])
    assert sorted(by_key) == ["a.mp4", "c.mp4"]


def test_predictions_of_something_else_need_force(tmp_path):
    _PredictionFile(tmp_path, {"seed": 1}, force=False).append(TASK, np.array([0.5, 0.5]))
    with pytest.raises(
        ConfigError, match="another seed; .* or use --force. Received: another seed than in .*jsonl"
    ):
        _PredictionFile(tmp_path, {"seed": 2}, force=False)
    assert not _PredictionFile(tmp_path, {"seed": 2}, force=True).has("a.mp4", "mirror")


# -- conditions


def test_a_condition_without_its_extra_is_left_out_of_all_and_refused_by_name(monkeypatch):
    monkeypatch.setattr(compress, "missing", lambda: "install it")
    conditions, left_out = study._conditions(RobustnessConfig().listed, skip_missing=True)
    assert "compress" not in conditions and "mirror" in conditions
    assert left_out == ["compress (install it)"]
    with pytest.raises(ConfigError, match="The corruption compress must have a PyAV"):
        study._conditions(["compress"], skip_missing=False)


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("blur", ["blur"]),
        ("blur, mirror", ["blur", "mirror"]),
        (
            "compress(codec=mpeg4, bits_per_pixel=0.1),darken+noise",
            ["compress(bits_per_pixel=0.1, codec=mpeg4)", "darken+noise"],
        ),
    ],
)
def test_conditions_are_separated_by_commas(text, listed):
    config = RobustnessConfig(conditions=text)
    assert config.listed == listed
    assert RobustnessConfig(conditions=config.conditions).listed == listed
