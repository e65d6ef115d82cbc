"""A threshold is chosen on the run's validation videos, never on those that are judged."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.training import train_on_videos, train_quickly
from support.videos import draw_two_classes, draw_video

from violence_detection import cli
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    EvidenceError,
)
from violence_detection.evaluation import normal_footage, thresholds
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.features.cache import FeatureCache
from violence_detection.inference.config import PredictConfig
from violence_detection.inference.predict import Predictor
from violence_detection.models.run import Run

SHORT = {"epochs": 4, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """Features with 80 videos of each class to validate on, and a run of them."""
    root = tmp_path_factory.mktemp("thresholds")
    space = draw_features(root / "cache" / "space", counts=(16, 160, 16), shift=0.3)
    return space, Path(train_quickly(space, root / "runs", **SHORT)["run"])


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return shutil.copytree(trained[1], tmp_path / "copy")


def evaluate(run, **settings):
    config = EvaluateConfig(**{"bootstrap": 100, **settings})
    return evaluate_run(str(run), config, figures=False)


def command(*words):
    return CliRunner().invoke(cli.main, [*map(str, words)])


# -- train


def test_a_training_says_its_point(trained):
    results = Run(trained[1]).results()
    point = results["operating_point"]
    assert (point["asked"], point["from"]) == ("balanced_accuracy", "validation")
    assert (point["videos"], point["recordings"]) == (160, 80)
    assert point["threshold"] == results["threshold"]
    low, high = point["interval"]
    assert low <= point["threshold"] <= high


def test_a_training_takes_the_point_that_it_is_asked_for(trained, tmp_path):
    found = {
        asked: train_quickly(trained[0], tmp_path, run=asked[-2:], operating_point=asked, **SHORT)
        for asked in ("recall=0.95", "recall=0.5")
    }
    for asked, results in found.items():
        reached = results["operating_point"]["achieved"]["recall"]
        assert float(asked[7:]) <= reached < float(asked[7:]) + 0.05
        assert results["operating_point"]["asked"] == asked
    assert found["recall=0.95"]["threshold"] < found["recall=0.5"]["threshold"]
    shown = command(
        "train", "--features", trained[0], "--checkpoint-dir", tmp_path, "--run", "c",
        "--head", "linear", "--epochs", 1, "--operating-point", "recall=0.9",
    ).stdout  # fmt: skip
    assert "(recall of 0.9 or more on validation (160 videos); 95%: " in shown
    assert "            on validation: recall 9" in shown


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ("recall=0.99", 1, "must be chosen on 299 violent videos or more"),
        ("false_alarms_per_hour=1", 2, "must be chosen by evaluate with --normal-foot"),
        ("recal=0.9", 2, "`operating_point` must be best_f1, balanced_accuracy, recall="),
    ],
)  # fmt: skip
def test_what_cannot_be_supported_is_refused_before_the_training(
    trained, tmp_path, asked, status, told
):
    words = ["train", "--features", trained[0], "--checkpoint-dir", tmp_path / "runs"]
    for more in ([], ["--dry-run"]):
        result = command(*words, "--operating-point", asked, *more)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        assert told in result.stderr
    assert not (tmp_path / "runs").exists()


# -- evaluate


def test_the_videos_that_are_judged_have_no_say(trained, run, tmp_path):
    """With other labels in the test, the threshold is the same."""
    first = evaluate(run, operating_point="recall=0.9")
    copy = shutil.copytree(trained[0], tmp_path / "space")
    cache = FeatureCache.open(copy)
    other = {"normal": "violent", "violent": "normal"}
    rows = [
        dataclasses.replace(entry, label=other[entry.label]) if entry.split == "test" else entry
        for entry in cache.entries()
    ]
    cache.write_manifest(rows)
    second = evaluate_run(
        str(run),
        EvaluateConfig(bootstrap=100, operating_point="recall=0.9", features=str(copy)),
        force=True,
    )
    assert second["threshold"] == first["threshold"]
    assert second["accuracy"] != first["accuracy"]
    assert second["operating_point"] == first["operating_point"]


def test_a_point_of_an_evaluation_is_its_own_unless_it_is_set(run):
    before = Run(run).results()
    found = evaluate(run, operating_point="false_positive_rate=0.1")
    assert found["operating_point"]["asked"] == "false_positive_rate=0.1"
    assert found["threshold"] != before["threshold"]
    assert Run(run).results() == before
    assert evaluate(run)["threshold"] == before["threshold"]
    kept = evaluate(run, operating_point="false_positive_rate=0.1", set_threshold=True)
    results = Run(run).results()
    assert results["threshold"] == kept["threshold"] == found["threshold"]
    assert results["operating_point"] == kept["operating_point"]
    assert evaluate(run)["operating_point"] == kept["operating_point"]


def test_a_run_of_an_older_version_has_no_point(run):
    results = Run(run).results()
    del results["operating_point"]
    Run(run).write_results(results)
    assert "operating_point" not in evaluate(run)
    assert f"threshold   {results['threshold']:.3f}" in command("evaluate", run).stdout


def test_videos_of_another_dataset_are_judged_by_a_point_of_the_runs_own(run, tmp_path):
    dataset = {"name": "other", "dir": "/other"}
    other = draw_features(tmp_path / "space", seed=5, dataset=dataset)
    asked = {"operating_point": "best_f1"}
    here = evaluate(run, **asked)
    config = EvaluateConfig(bootstrap=100, features=str(other), **asked)
    there = evaluate_run(str(run), config, force=True)
    assert there["operating_point"] == here["operating_point"]


def test_validation_videos_that_are_gone_are_an_error(trained, run, tmp_path):
    copy = shutil.copytree(trained[0], tmp_path / "space")
    cache = FeatureCache.open(copy)
    rows = [row for row in cache.entries() if not row.path.endswith("validation_3.mp4")]
    cache.write_manifest(rows)
    told = "must have the run's validation videos .* lacks 1 of 160 videos"
    with pytest.raises(CacheError, match=told):
        evaluate(run, features=str(copy), operating_point="best_f1")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"set_threshold": True}, "`set_threshold` must come with operating_point"),
        ({"operating_point": "best_f1", "split": "validation"}, "that are judged"),
        ({"operating_point": "false_alarms_per_hour=1"}, "come with normal_footage"),
        ({"weights": "w.h5"}, "`weights` must come with normal_footage"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        EvaluateConfig(**settings)


def test_a_point_beyond_the_videos_is_refused_and_writes_nothing(run):
    result = command("evaluate", run, "--operating-point", "recall=0.99")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "must be chosen on 299 violent videos or more" in result.stderr
    assert not (run / "evaluation").exists()


def test_three_classes_are_judged_as_violence(tmp_path):
    features = draw_features(
        tmp_path / "cache" / "space", counts=(24, 180, 12), labels=("normal", "a", "b")
    )
    run = Path(train_quickly(features, tmp_path / "runs", **SHORT)["run"])
    found = evaluate(run, operating_point="recall=0.9")
    assert 0.9 <= found["operating_point"]["achieved"]["recall"] < 0.92


# -- normal footage


@pytest.fixture(scope="module")
def looking(tmp_path_factory) -> tuple[Path, Path]:
    """A run that can look at videos, and footage: two videos of 12 s and a text file."""
    root = tmp_path_factory.mktemp("looking")
    videos = draw_two_classes(root / "videos")
    run = train_on_videos(videos, root, backbone="mobilenetv2")
    for number in range(2):
        draw_video(root / "footage" / f"{number}.mp4", frames=144, seed=number)
    (root / "footage" / "text.mp4").write_text("no video")
    return run, root / "footage"


def watched(looking) -> normal_footage.NormalFootage:
    run, folder = looking
    return normal_footage.score_footage(Run(run), folder, PredictConfig())


def test_footage_is_scored_as_predict_scores_it(looking):
    run, folder = looking
    found = watched(looking)
    told = found.told(0.5, resamples=100, seed=0)
    predictor = Predictor(Run(run), PredictConfig())
    predictor.threshold = 0.5
    segments = [predictor.predict(folder / name)["segments"] for name in ("0.mp4", "1.mp4")]
    assert told["alarms"] == sum(map(len, segments))
    assert told["hours"] == pytest.approx(24 / 3600, rel=0.01)
    assert [row["path"] for row in told["unreadable"]] == ["text.mp4"]


def test_what_was_scored_once_is_not_scored_again(looking, monkeypatch):
    first = watched(looking).told(0.5, resamples=100, seed=0)
    monkeypatch.setattr(normal_footage, "Predictor", None)
    kept = sorted((looking[0] / "footage").iterdir())
    for path in (looking[1] / "text.mp4",):  # was not scored, and would be tried again
        path.unlink()
    assert watched(looking).told(0.5, resamples=100, seed=0) == first | {"unreadable": []}
    kept[0].write_text(json.dumps({"windows": []}))
    with pytest.raises(TypeError):
        watched(looking)
    (looking[1] / "text.mp4").write_text("no video")


def test_alarms_an_hour_are_refused_below_the_hours_that_they_need(looking):
    run, folder = looking
    words = ["evaluate", run, "--normal-footage", folder, "--split", "train"]
    result = command(*words, "--operating-point", "false_alarms_per_hour=0.5")
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert "must have 6.0 hours of normal footage or more" in result.stderr
    assert "Received: 0.01 hours" in result.stderr


def test_alarms_an_hour_choose_the_threshold(looking, monkeypatch, tmp_path):
    run, folder = shutil.copytree(looking[0], tmp_path / "run"), looking[1]
    rate = 3 / (24 / 3600) * 1.1
    found = evaluate(
        run, split="train", normal_footage=str(folder), set_threshold=True,
        operating_point=f"false_alarms_per_hour={rate}",
    )  # fmt: skip
    point, told = found["operating_point"], found["normal_footage"]
    assert told["alarms_per_hour"] <= rate
    assert point["achieved"]["false_alarms_per_hour"] == told["alarms_per_hour"]
    assert point["achieved_ci"]["false_alarms_per_hour"] == told["alarms_per_hour_ci"]
    assert "h of normal footage" in point["from"]
    assert Run(run).results()["threshold"] == found["threshold"]
    result = command("evaluate", run, "--split", "train", "--normal-footage", folder)
    assert result.exit_code == 3, result.output
    assert "cries wolf  " in result.stdout and "not read    text.mp4" in result.stdout


def test_footage_that_is_none_is_refused(looking, tmp_path):
    run = looking[0]
    for folder, told in ((tmp_path / "gone", "folder of videos"), (tmp_path, "hold")):
        with pytest.raises(DatasetError, match=f"--normal-footage must .*{told}"):
            evaluate(run, split="train", normal_footage=str(folder))


def test_the_runs_own_point_is_not_chosen_again(trained, monkeypatch):
    monkeypatch.setattr(thresholds, "validation_entries", None)
    judge = thresholds.ThresholdChooser(
        Run(trained[1]), FeatureCache.open(trained[0]), EvaluateConfig()
    )
    assert judge.choose(None, None)["threshold"] == Run(trained[1]).results()["threshold"]


def test_evidence_is_told_before_anything_is_read(run, monkeypatch):
    monkeypatch.setattr(Run, "load_classifier", None)
    with pytest.raises(EvidenceError):
        evaluate(run, operating_point="recall=0.99")
