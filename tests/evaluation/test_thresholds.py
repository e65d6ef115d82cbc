"""A threshold is chosen on the run's validation videos, never on the evaluated ones."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.training import train_on_videos, train_quickly
from support.videos import cut_to_pictures, draw_two_classes, draw_video

from violence_detection import cli
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    EvidenceError,
)
from violence_detection.evaluation import thresholds
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.footage import normal_footage
from violence_detection.evaluation.footage.alarm_counts import AlarmRule
from violence_detection.features.cache import FeatureCache
from violence_detection.inference.predict import Predictor
from violence_detection.models.run import Run
from violence_detection.video import video_file

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


def command(*words):
    return CliRunner().invoke(cli.main, [*map(str, words)])


# -- train


@pytest.mark.slow
def test_a_training_records_its_operating_point(trained):
    scores = Run(trained[1]).results().scores
    point = scores.operating_point
    assert (point.asked, point.chosen_on) == ("balanced_accuracy", "validation")
    assert (point.videos, point.recordings) == (160, 80)
    assert point.threshold == scores.threshold
    low, high = point.interval
    assert low <= point.threshold <= high


@pytest.mark.slow
def test_a_training_reaches_the_requested_operating_point(trained, tmp_path):
    by_point = {
        asked: train_quickly(trained[0], tmp_path, run=asked[-2:], operating_point=asked, **SHORT)
        for asked in ("recall=0.95", "recall=0.5")
    }
    for asked, results in by_point.items():
        reached = results["operating_point"]["achieved"]["recall"]
        assert float(asked[7:]) <= reached < float(asked[7:]) + 0.05
        assert results["operating_point"]["asked"] == asked
    assert by_point["recall=0.95"]["threshold"] < by_point["recall=0.5"]["threshold"]
    text = command(
        "train", "--features", trained[0], "--checkpoint-dir", tmp_path, "--run", "c",
        "--head", "linear", "--epochs", 1, "--operating-point", "recall=0.9",
    ).stdout  # fmt: skip
    assert "(recall of 0.9 or more on validation (160 videos); 95%: " in text
    assert "            on validation, 160 videos of 80 recordings: recall 9" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ("recall=0.99", 1, "must be chosen on 299 violent videos or more"),
        ("false_alarms_per_hour=1", 2, "must be chosen by evaluate --normal-footage"),
        ("recal=0.9", 2, "--operating-point must be best_f1, balanced_accuracy, recall="),
    ],
)  # fmt: skip
def test_an_unsupported_point_is_refused_before_the_training(
    trained, tmp_path, asked, status, message
):
    words = ["train", "--features", trained[0], "--checkpoint-dir", tmp_path / "runs"]
    for more in ([], ["--dry-run"]):
        result = command(*words, "--operating-point", asked, *more)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        assert message in result.stderr
    assert not (tmp_path / "runs").exists()


# -- evaluate


@pytest.mark.slow
def test_the_evaluated_videos_do_not_change_the_threshold(trained, run, tmp_path, evaluate):
    """The threshold is the same with other labels in the test."""
    first = evaluate(run, operating_point="recall=0.9")
    copy = shutil.copytree(trained[0], tmp_path / "space")
    cache = FeatureCache.open(copy)
    other = {"normal": "violent", "violent": "normal"}
    rows = [
        dataclasses.replace(entry, label=other[entry.label]) if entry.split == "test" else entry
        for entry in cache.entries()
    ]
    cache.write_manifest(rows)
    second = evaluate(run, operating_point="recall=0.9", features=str(copy), force=True)
    assert second["threshold"] == first["threshold"]
    assert second["accuracy"] != first["accuracy"]
    assert second["operating_point"] == first["operating_point"]


@pytest.mark.slow
def test_an_operating_point_is_saved_in_the_run_only_on_request(run, evaluate):
    before = Run(run).results()
    result = evaluate(run, operating_point="false_positive_rate=0.1")
    assert result["operating_point"]["asked"] == "false_positive_rate=0.1"
    assert result["threshold"] != before.scores.threshold
    assert Run(run).results() == before
    assert evaluate(run)["threshold"] == before.scores.threshold
    saved = evaluate(run, operating_point="false_positive_rate=0.1", set_threshold=True)
    scores = Run(run).results().to_json()
    assert scores["threshold"] == saved["threshold"] == result["threshold"]
    assert scores["operating_point"] == saved["operating_point"]
    assert evaluate(run)["operating_point"] == saved["operating_point"]


@pytest.mark.slow
def test_a_run_of_an_older_version_has_no_point(run, evaluate):
    results = Run(run).results()
    scores = dataclasses.replace(results.scores, operating_point=None)
    Run(run).write_results(dataclasses.replace(results, scores=scores))
    assert "operating_point" not in evaluate(run)
    assert f"threshold   {scores.threshold:.3f}" in command("evaluate", run).stdout


@pytest.mark.slow
def test_the_threshold_for_another_dataset_is_chosen_on_the_runs_validation(
    run, tmp_path, evaluate
):
    dataset = {"name": "other", "dir": "/other"}
    other = draw_features(tmp_path / "space", seed=5, dataset=dataset)
    own = evaluate(run, operating_point="best_f1")
    result = evaluate(run, operating_point="best_f1", features=str(other), force=True)
    assert result["operating_point"] == own["operating_point"]


@pytest.mark.slow
def test_missing_validation_videos_are_an_error(trained, run, tmp_path, evaluate):
    copy = shutil.copytree(trained[0], tmp_path / "space")
    cache = FeatureCache.open(copy)
    rows = [row for row in cache.entries() if not row.path.endswith("validation_3.mp4")]
    cache.write_manifest(rows)
    message = "features of all validation videos .* lacks 1 of 160 videos"
    with pytest.raises(CacheError, match=message):
        evaluate(run, features=str(copy), operating_point="best_f1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"set_threshold": True}, "`set_threshold` must come with operating_point"),
        ({"operating_point": "best_f1", "split": "validation"}, "that are evaluated"),
        ({"operating_point": "false_alarms_per_hour=1"}, "come with normal_footage"),
        ({"weights": "w.h5"}, "`weights` must come with normal_footage"),
        ({"confirm": "2/3"}, "`confirm` must come with normal_footage"),
        ({"close_gaps_s": 1.0}, "`close_gaps_s` must come with normal_footage"),
    ],
)
def test_contradicting_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateConfig(**settings)


@pytest.mark.slow
def test_an_unsupported_point_writes_nothing(run):
    result = command("evaluate", run, "--operating-point", "recall=0.99")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "must be chosen on 299 violent videos or more" in result.stderr
    assert not (run / "evaluation").exists()


@pytest.mark.slow
def test_three_classes_are_scored_as_violence(tmp_path, evaluate):
    features = draw_features(
        tmp_path / "cache" / "space", counts=(24, 180, 12), labels=("normal", "a", "b")
    )
    run = Path(train_quickly(features, tmp_path / "runs", **SHORT)["run"])
    result = evaluate(run, operating_point="recall=0.9")
    assert 0.9 <= result["operating_point"]["achieved"]["recall"] < 0.92


# -- normal footage


@pytest.fixture(scope="module")
def footage(tmp_path_factory) -> tuple[Path, Path]:
    """A run that was trained on videos, and footage: two videos of 12 s and a text file."""
    root = tmp_path_factory.mktemp("footage")
    videos = draw_two_classes(root / "videos")
    run = train_on_videos(videos, root, backbone="mobilenetv2")
    for number in range(2):
        draw_video(root / "footage" / f"{number}.mp4", frames=144, seed=number)
    (root / "footage" / "text.mp4").write_text("no video")
    return run, root / "footage"


def scored(footage) -> normal_footage.NormalFootage:
    run, folder = footage
    return normal_footage.score_footage(Run(run), folder)


@pytest.mark.slow
def test_footage_is_scored_as_predict_scores_it(footage):
    run, folder = footage
    for confirm, gap_s in ((1, 1), 0.0), ((2, 3), 3.0):
        rule = AlarmRule(confirm, gap_s)
        alarms = normal_footage.score_footage(Run(run), folder, rule=rule).alarms_at(
            0.5, resamples=100, seed=0
        )
        settings = {"confirm": rule.confirm_text, "close_gaps_s": gap_s}
        predictor = Predictor(Run(run), threshold=0.5, **settings)
        segments = [predictor.predict(folder / name)["segments"] for name in ("0.mp4", "1.mp4")]
        assert alarms.alarms == sum(map(len, segments))
    assert alarms.hours == pytest.approx(24 / 3600, rel=0.01)
    assert [video.path for video in alarms.unreadable] == ["text.mp4"]


def test_footage_may_be_numbered_pictures(tmp_path):
    for name in ("night", "day"):
        cut_to_pictures(
            draw_video(tmp_path / f"{name}.mp4", frames=8), tmp_path / "pictures" / name
        )
    pictures = tmp_path / "pictures"
    videos = normal_footage.list_videos(pictures, 12.0)
    assert videos == {name: pictures / name for name in ("day@12fps", "night@12fps")}
    (whole,) = normal_footage.list_videos(pictures / "night", 12.0).values()
    assert video_file.exists(whole)
    for folder in (pictures, pictures / "night"):
        with pytest.raises(DatasetError, match="--frames-fps must give the rate"):
            normal_footage.list_videos(folder)


@pytest.mark.slow
def test_scored_footage_is_not_scored_again(footage, monkeypatch):
    run, folder = footage
    first = scored(footage).alarms_at(0.5, resamples=100, seed=0)
    monkeypatch.setattr(normal_footage, "Predictor", None)
    saved = sorted((run / "footage").iterdir())
    (folder / "text.mp4").unlink()  # has no saved windows, so it would be tried again
    again = scored(footage).alarms_at(0.5, resamples=100, seed=0)
    assert again == dataclasses.replace(first, unreadable=[])
    saved[0].write_text(json.dumps({"windows": []}))
    with pytest.raises(TypeError):
        scored(footage)
    (folder / "text.mp4").write_text("no video")


@pytest.mark.slow
def test_a_rate_of_false_alarms_needs_enough_hours(footage):
    run, folder = footage
    words = ["evaluate", run, "--normal-footage", folder, "--split", "train"]
    result = command(*words, "--operating-point", "false_alarms_per_hour=0.5")
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert "must have 6.0 hours of normal footage or more" in result.stderr
    assert "Received: 0.01 hours" in result.stderr


@pytest.mark.slow
def test_a_rate_of_false_alarms_chooses_the_threshold(footage, tmp_path, evaluate):
    run, folder = shutil.copytree(footage[0], tmp_path / "run"), footage[1]
    rate = 3 / (24 / 3600) * 1.1
    result = evaluate(
        run, split="train", normal_footage=str(folder), set_threshold=True,
        operating_point=f"false_alarms_per_hour={rate}",
    )  # fmt: skip
    point, alarms = result["operating_point"], result["normal_footage"]
    assert alarms["alarms_per_hour"] <= rate
    assert point["achieved"]["false_alarms_per_hour"] == alarms["alarms_per_hour"]
    assert point["achieved_ci"]["false_alarms_per_hour"] == alarms["alarms_per_hour_ci"]
    assert "h of normal footage" in point["from"]
    assert Run(run).results().scores.threshold == result["threshold"]
    done = command("evaluate", run, "--split", "train", "--normal-footage", folder)
    assert done.exit_code == 3, done.output
    assert "false alarms an hour and camera (95%: " in done.stdout
    assert "not read    text.mp4" in done.stdout


@pytest.mark.slow
def test_a_folder_without_footage_is_refused(trained, tmp_path, evaluate):
    for folder, message in ((tmp_path / "gone", "folder of videos"), (tmp_path, "hold")):
        with pytest.raises(DatasetError, match=f"--normal-footage must .*{message}"):
            evaluate(trained[1], split="train", normal_footage=str(folder))


@pytest.mark.slow
def test_the_runs_own_threshold_needs_no_validation_videos(trained, monkeypatch):
    monkeypatch.setattr(thresholds, "validation_entries", None)
    chooser = thresholds.ThresholdChooser(
        Run(trained[1]),
        FeatureCache.open(trained[0]),
        operating_point=None,
        normal_footage=None,
        weights=None,
        resamples=100,
        seed=1,
    )
    assert chooser.choose(None, None).threshold == Run(trained[1]).results().scores.threshold


@pytest.mark.slow
def test_evidence_is_checked_before_the_model_is_loaded(run, monkeypatch, evaluate):
    monkeypatch.setattr(Run, "load_classifier", None)
    with pytest.raises(EvidenceError):
        evaluate(run, operating_point="recall=0.99")
