"""An evaluation: the contract's keys, metrics, leaks, and errors."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.evaluation import read_predictions
from support.features import draw_features
from support.training import train_quickly

from violence_detection import cli
from violence_detection.commands.evaluate import evaluation_lines
from violence_detection.errors import CacheError, ConfigError, RunError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import EvaluationStage, evaluate_run
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.models.calibration_predictions import OUT_OF_FOLD
from violence_detection.models.run import Run
from violence_detection.reports import pandas_tables
from violence_detection.reports.evaluation import findings
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult

KEYS = (
    "run split videos clean accuracy accuracy_ci accuracy_ci_wilson auc auc_ci auc_ci_delong "
    "precision recall f1 recall_per_class threshold report average_precision confusion"
).split()


def table(folder, name) -> list[dict[str, str]]:
    with open(folder / name) as file:
        return list(csv.DictReader(file))


# -- results


def test_few_recordings_name_folds_and_the_rates_of_the_choice_of_the_threshold(evaluated):
    point = ChosenOperatingPoint(
        asked="balanced_accuracy",
        threshold=0.4,
        reason="",
        interval=[0.3, 0.5],
        achieved={"recall": 0.91, "false_positive_rate": 0.14},
        achieved_ci={"recall": [0.8, 1.0], "false_positive_rate": [0.0, 0.3]},
        chosen_on=OUT_OF_FOLD,
        videos=198,
        recordings=30,
    )
    kept = EvaluationResult.from_json(evaluated.result)
    result = dataclasses.replace(kept, operating_point=point)
    texts = [finding.text for finding in findings.evaluation_findings(result)]
    told = "198 other videos of 30 recordings. At the threshold they find 91 of 100 violent videos"
    assert any(told in text for text in texts)
    following = evaluation_lines(result)[-1]
    assert "violence-detection cross-validate --features" in following
    as_many = dataclasses.replace(point, recordings=result.recordings)
    result = dataclasses.replace(kept, operating_point=as_many)
    assert not any("At the threshold" in row.text for row in findings.evaluation_findings(result))


@pytest.mark.slow
def test_the_result_has_the_keys_of_the_contract(run):
    result = evaluate_run(str(run), EvaluateConfig(bootstrap=100)).to_json()
    assert set(KEYS) <= set(result)
    assert (result["videos"], result["split"], result["run"]) == (8, "test", str(run))
    folder = run / "evaluation" / "test"
    assert json.loads((folder / "metrics.json").read_text()) == result
    names = {path.name for path in folder.iterdir()}
    assert {"metrics.json", "predictions.csv", "report.html"} <= names
    assert any(name.endswith(".png") for name in names)
    probability = {row["path"]: row["probability"] for row in table(folder, "predictions.csv")}
    suggested = table(folder, "label_next.csv")
    assert {row["path"]: row["probability"] for row in suggested} == probability  # 8 of 50
    first = min(probability.values(), key=lambda p: abs(float(p) - result["threshold"]))
    assert suggested[0]["probability"] == first


@pytest.mark.slow
@pytest.mark.parametrize("prevalence", [0.0, 0.01])
def test_the_cost_at_a_site_is_that_of_the_measured_rates(run, evaluate, prevalence):
    site = {"videos_per_day": 10_000, "prevalence": prevalence, "review_cost": 0.5}
    result = evaluate(run, **site)
    cost, normal, violent = result["cost"], 10_000 * (1 - prevalence), 10_000 * prevalence
    false_alarms = normal * result["false_alarm_rate"]
    assert cost["false_alarms_per_day"] == pytest.approx(false_alarms)
    assert cost["misses_per_day"] == pytest.approx(violent * (1 - result["recall"]))
    reviews = false_alarms + violent * result["recall"]
    assert cost["cost_per_year"] == pytest.approx(365 * 0.5 * reviews)
    assert "At a site with 10,000 videos a day" in (run / "MODEL_CARD.md").read_text()
    assert result == json.loads((run / "evaluation/test/metrics.json").read_text())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"videos_per_day": 100}, "`videos_per_day` and `prevalence` must be given together"),
        ({"cameras": 2}, "`cameras` must come with normal_footage"),
        ({"review_cost": 2}, "`review_cost` must come with videos_per_day or cameras"),
    ],
)
def test_a_site_needs_all_its_numbers(settings, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateConfig(**settings)


def test_numbers_are_never_null_but_auc(evaluated):
    result = evaluated.result
    for name in set(KEYS) - {
        "auc",
        "auc_ci",
        "auc_ci_delong",
        "run",
        "split",
        "report",
    }:
        assert result[name] is not None, name
    low, high = result["accuracy_ci"]
    assert 0 <= low <= result["accuracy"] <= high <= 1


def test_metrics_are_those_of_the_predictions_counted_by_hand(evaluated):
    _, result, rows = evaluated
    right = [row["label"] == row["predicted"] for row in rows]
    predicted = [row for row in rows if row["predicted"] == "violent"]
    violent = [row for row in rows if row["label"] == "violent"]
    hits = sum(row["label"] == "violent" for row in predicted)
    assert result["accuracy"] == pytest.approx(np.mean(right))
    assert result["recall"] == pytest.approx(hits / len(violent))
    assert result["precision"] == pytest.approx(hits / max(1, len(predicted)))
    assert result["recall_per_class"]["violent"] == pytest.approx(result["recall"])
    assert [row["correct"] == "True" for row in rows] == right


def test_the_threshold_is_the_one_that_training_chose(evaluated):
    run, result, rows = evaluated
    assert len(rows) == 8
    trained = json.loads((run / "training_results.json").read_text())
    assert result["threshold"] == trained["threshold"]
    assert result["accuracy"] == trained["test"]["accuracy"]
    for row in rows:
        violent = float(row["probability"]) >= result["threshold"]
        assert row["predicted"] == ("violent" if violent else "normal")


@pytest.mark.slow
def test_the_temperature_divides_the_logits(run, evaluate):
    def logits():
        violence = np.array([float(row["probability"]) for row in read_predictions(run)])
        return np.log(violence / (1 - violence))

    result = evaluate(run)
    before = logits()
    path = run / "training_results.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps(results | {"temperature": 2 * result["temperature"]}))
    softer = evaluate(run)
    np.testing.assert_allclose(logits(), before / 2, atol=1e-4)
    assert softer["auc"] == result["auc"]
    assert softer["calibration_error_as_trained"] == result["calibration_error_as_trained"]


@pytest.mark.parametrize("temperature", [0, -1, "1", None])
def test_an_invalid_temperature_is_refused(run, temperature, evaluate):
    path = run / "training_results.json"
    results = json.loads(path.read_text())
    path.write_text(json.dumps(results | {"temperature": temperature}))
    with pytest.raises(RunError, match="`temperature` in training_results.json must"):
        evaluate(run)


def test_a_dry_run_writes_nothing(run):
    plan = EvaluationStage(str(run), EvaluateConfig()).prepare()
    assert (plan["dry_run"], plan["videos"]) == (True, 8)
    assert not (run / "evaluation").exists()


# -- leaks


def test_a_held_out_split_is_clean(run, evaluated, evaluate):
    assert (evaluated.result["clean"], evaluated.result["leaks"]) == (True, [])
    assert evaluate(run, split="validation")["clean"] is True


def test_the_training_videos_are_not_clean(run, evaluate):
    result = evaluate(run, split="train")
    assert result["clean"] is False
    assert "recording normal train 0" in result["leaks"]


@pytest.mark.slow
def test_a_recording_of_the_training_is_found_in_the_test(run, tmp_path, evaluate):
    features = draw_features(tmp_path / "space")
    cache = FeatureCache.open(features)
    rows = [
        dataclasses.replace(row, group="normal train 0") if row.path.endswith("test_0.mp4") else row
        for row in cache.entries()
    ]
    cache.write_manifest(rows)
    assert evaluate(run, features=str(features))["leaks"] == ["recording normal train 0"]


def test_recordings_of_another_dataset_differ_even_with_equal_names(run, tmp_path, evaluate):
    dataset = {"name": "other", "dir": "/other"}
    features = draw_features(tmp_path / "space", seed=1, dataset=dataset)
    cache = FeatureCache.open(features)
    cache.write_manifest([dataclasses.replace(row, group="same") for row in cache.entries()])
    assert evaluate(run, features=str(features))["clean"] is True


def test_the_same_file_under_another_name_is_found(run, features_dir, tmp_path, evaluate):
    entries = FeatureCache.open(features_dir).entries()
    train = next(row for row in entries if row.split == "train")
    dataset = {"name": "other", "dir": "/other"}
    cache = FeatureCache.open(draw_features(tmp_path / "space", seed=1, dataset=dataset))
    rows = cache.entries()
    rows[0] = dataclasses.replace(rows[0], split="test", digest=train.digest)
    cache.write_manifest(rows)
    result = evaluate(run, features=str(cache.dir))
    assert result["leaks"] == [f"content of {rows[0].path}"]


# -- repeated evaluation


@pytest.mark.slow
def test_the_same_evaluation_can_be_repeated(run, evaluate):
    first = evaluate(run)
    assert evaluate(run) == first


@pytest.mark.slow
def test_an_evaluation_of_other_videos_needs_force(run, tmp_path, evaluate):
    evaluate(run)
    origin = {"name": "other", "dir": "/other"}
    other = str(draw_features(tmp_path / "space", seed=1, dataset=origin))
    with pytest.raises(ConfigError, match="other videos or another model .* --force only"):
        evaluate(run, features=other)
    result = evaluate(run, features=other, force=True)
    assert result["features"] == other
    home = result["home"]
    assert (home["split"], home["videos"]) == ("test", 8)
    assert home["accuracy_difference"] == pytest.approx(result["accuracy"] - home["accuracy"])
    assert "These cameras were not in its training" in (run / "MODEL_CARD.md").read_text()
    assert "home" not in evaluate(run, force=True)


@pytest.mark.slow
def test_an_evaluation_of_another_model_needs_force(run, features_dir, tmp_path, evaluate):
    evaluate(run)
    other = train_quickly(features_dir, tmp_path, seed=9, epochs=1)["run"]
    shutil.copy(f"{other}/best_model.keras", run / "best_model.keras")
    with pytest.raises(ConfigError, match="replaced with --force only. Received: .*test"):
        evaluate(run)


# -- error


@pytest.mark.parametrize(
    ("changed", "differs"),
    [({"shape": (7, 8)}, "frames 7, not 6"), ({"shape": (6, 9)}, "dim 9, not 8")],
)
def test_another_feature_space_is_refused_with_what_differs(
    run, tmp_path, changed, differs, evaluate
):
    features = draw_features(tmp_path / "space", **changed)
    with pytest.raises(CacheError, match=rf"of the run's feature space.*\({differs}\)"):
        evaluate(run, features=str(features))
    assert not (run / "evaluation").exists()


def test_an_altered_array_is_refused(run, tmp_path, evaluate):
    features = draw_features(tmp_path / "space")
    path = features / "normal" / "test_0.mp4.npy"
    path.write_bytes(path.read_bytes()[:-2] + b"\0\0")
    with pytest.raises(CacheError, match="array of normal/test_0.mp4 .* it was altered"):
        evaluate(run, features=str(features))


def test_a_split_without_videos_is_refused(run, tmp_path, evaluate):
    features = draw_features(tmp_path / "space", counts=(8, 4, 0))
    with pytest.raises(CacheError, match="Received: test .* has train, validation"):
        evaluate(run, features=str(features))


def test_missing_features_are_refused(run, tmp_path, evaluate):
    config = json.loads((run / "training_config.json").read_text())
    config["features"] = str(tmp_path / "gone")
    (run / "training_config.json").write_text(json.dumps(config))
    with pytest.raises(CacheError, match="--features names their new folder. Received: .*gone"):
        evaluate(run)


@pytest.mark.parametrize(
    ("name", "must"),
    [
        ("training_results.json", "A finished run must hold training_results.json"),
        ("best_model.keras", "A finished run must hold best_model.keras"),
    ],
)
def test_an_unfinished_run_is_refused(run, name, must, evaluate):
    (run / name).unlink()
    with pytest.raises(RunError, match=must):
        evaluate(run)


def test_a_damaged_model_is_refused(run, evaluate):
    (run / "best_model.keras").write_bytes(b"torn")
    with pytest.raises(RunError, match="must be one that train saved. Received: .*best_model"):
        evaluate(run)
    assert not (run / "evaluation").exists()


def test_a_run_of_a_newer_version_is_refused(run, evaluate):
    path = run / "training_config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 99'))
    with pytest.raises(RunError, match="format must be <= 1. Received: 99"):
        evaluate(run)


def test_a_missing_folder_is_refused(tmp_path, evaluate):
    with pytest.raises(RunError, match="folder that train left. Received: .* \\(does not exist\\)"):
        evaluate(tmp_path / "gone")


# -- several classes


@pytest.mark.slow
def test_three_classes_are_scored_each_and_as_violence(tmp_path, evaluate):
    labels = ("normal", "fight", "robbery")
    features = draw_features(tmp_path / "space", counts=(24, 12, 12), labels=labels, shift=2.0)
    settings = {"epochs": 8, "learning_rate": 0.05}
    run = Path(train_quickly(features, tmp_path / "runs", **settings)["run"])
    result, rows = evaluate(run), read_predictions(run)
    assert result["classes"] == list(labels) == list(result["recall_per_class"])
    assert [len(row) for row in result["confusion"]] == [3, 3, 3]
    right = [row["label"] == row["predicted"] for row in rows]
    assert result["accuracy"] == pytest.approx(np.mean(right))
    assert rows
    for row in rows:
        violent = float(row["probability"]) >= result["threshold"]
        assert (row["predicted"] != "normal") is violent
        by_class = [float(row[f"probability_{name}"]) for name in labels]
        assert sum(by_class) == pytest.approx(1)
        assert float(row["probability"]) == pytest.approx(1 - by_class[0])
    report = result["class_report"]
    assert [score["name"] for score in report["scores"]] == list(labels)
    for score in report["scores"]:
        assert score["recall"] == result["recall_per_class"][score["name"]]
        assert (score["videos"], score["recordings"]) == (4, 2)
    text = CliRunner().invoke(cli.main, ["evaluate", str(run), "--force"]).stdout
    assert re.search(r"by class +videos +recordings +precision +recall +F1 +AUC", text)
    assert "come from fewer than five recordings: what is said of them here is an anecdote" in text
    own = EvaluateConfig(class_threshold="fight=0.99", set_threshold=True)
    changed = evaluate_run(str(run), own, with_figures=False)
    predicted = [row["predicted"] for row in read_predictions(run)]
    assert "fight" not in predicted and changed.class_thresholds == {"fight": 0.99}
    assert Run(run).record().thresholds.own == {"fight": 0.99}
    assert changed.recall < result["recall"]
    table = pandas_tables.predictions(run)
    assert (table[[f"probability_{name}" for name in labels]].dtypes == "float64").all()


@pytest.mark.slow
def test_a_split_of_one_class_names_the_undefined_rates(tmp_path):
    features = draw_features(tmp_path / "cache" / "space")
    cache = FeatureCache.open(features)
    rows = [entry for entry in cache.entries() if (entry.split, entry.label) != ("test", "violent")]
    run = train_quickly(features, tmp_path / "runs")["run"]
    cache.write_manifest(rows)
    result = evaluate_run(run, EvaluateConfig(), with_figures=False).to_json()
    assert (result["auc"], result["recall"]) == (None, 0.0)
    assert {"recall", "average_precision", "recall_per_class.violent"} <= set(result["undefined"])
    text = CliRunner().invoke(cli.main, ["evaluate", run, "--force"]).stdout
    assert "recall      none: no violent videos" in text
    assert "F1          none: no violent videos" in text
    assert "recall 0.0%" not in text


@pytest.mark.slow
def test_unknown_recordings_make_a_dataset_ungrouped(tmp_path):
    features = draw_features(tmp_path / "cache" / "space", ungrouped=3)
    run = train_quickly(features, tmp_path / "runs")["run"]
    assert evaluate_run(run, EvaluateConfig(), with_figures=False).grouped is False


def test_settings_without_effect_are_refused():
    with pytest.raises(ConfigError, match="`blur_faces` must come with show_frames"):
        EvaluateConfig(blur_faces=True, show_frames=False)
    with pytest.raises(ConfigError, match="must come with read_videos"):
        EvaluateConfig(group_near_duplicates=True, read_videos=False)


# -- novelty


def test_a_run_of_an_older_version_gets_its_training_clips(evaluate, run):
    path = Run(run).training_clips_path
    path.unlink()
    result = evaluate(run)
    assert path.is_file()
    assert result["novelty"].keys() == {"videos", "share", "errors"}
    assert result["novelty"]["share"] == result["novelty"]["videos"] / result["videos"]


def test_videos_far_from_the_training_are_novel(evaluate, run, tmp_path):
    far = draw_features(tmp_path / "far" / "space", shift=1.0, seed=3)
    cache = FeatureCache.open(far)
    entries = [
        dataclasses.replace(
            entry,
            array_digest=cache.write_arrays(entry.path, np.full((1, 6, 8), 40, np.float16))[0],
        )
        for entry in cache.entries()
    ]
    cache.write_manifest(entries)
    result = evaluate(run, features=str(far))
    assert result["novelty"]["share"] == 1
    assert result["novelty"]["errors"] > 0


def test_the_report_shows_the_nearest_training_videos_of_a_mistake(evaluate, run, tmp_path):
    far = draw_features(tmp_path / "far" / "space", shift=-1.0)
    evaluate(run, features=str(far))
    page = (run / "evaluation" / "test" / "report.html").read_text()
    assert "Nearest training videos" in page
