"""Advice for drawn datasets: its files, and the learning curve."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.videos import draw_video

from violence_detection import cli
from violence_detection.experiments.advising import learning_curve
from violence_detection.experiments.cross_validation.pooled_scores import PooledPredictions


def run_json(*words, status=0):
    answer = CliRunner().invoke(cli.main, [*map(str, words), "--json"])
    assert answer.exit_code == status, answer.stderr
    return json.loads(answer.stdout) if answer.stdout else answer.stderr


@pytest.mark.slow
def test_train_takes_the_file_and_the_probe_has_times(features_dir, tmp_path):
    file = tmp_path / "advice.json"
    words = ("advise", "--features", features_dir, "--output", file, "--head", "linear")
    planned = run_json(*words, "--dry-run")
    assert planned["dry_run"] and not file.exists() and "probe" not in planned
    result = run_json(*words, "--epochs", 2)
    assert result["config"] == str(file)
    settings = json.loads(file.read_text())
    assert settings == result["settings"] and settings["epochs"] == 2
    assert set(result["reasons"]) == set(result["sources"]) == set(settings)
    assert result["dataset"] | {"balance": 0} == {
        "videos": 32,
        "recordings": result["dataset"]["recordings"],
        "classes": {"normal": 16, "violent": 16},
        "balance": 0,
        "training_videos": 16,
        "recordings_known": True,
    }
    assert result["dataset"]["balance"] == {"normal": 0.5, "violent": 0.5}
    probe = result["probe"]
    assert probe["epoch_s"] > 0 and probe["steps_per_epoch"] == 1 and probe["memory_bytes"] > 1e8
    assert result["seconds_at_most"] == pytest.approx(2 * probe["epoch_s"])
    trained = run_json(
        *("train", "--features", features_dir, "--config", file),
        *("--checkpoint-dir", tmp_path / "runs", "--calibrate-by", "validation"),
    )
    assert trained["epochs_run"] == 2
    assert "it exists" in run_json(*words, status=2)


def test_a_folder_of_videos_has_advice_without_times(tmp_path):
    for label, offset in (("fight", 0), ("noFight", 100)):
        for number in range(8):
            draw_video(tmp_path / label / f"{number}.mp4", frames=5, seed=offset + number)
    result = run_json("advise", "--dataset-path", tmp_path)
    assert result["dataset"]["classes"] == {"noFight": 8, "fight": 8}
    assert result["settings"]["recording_weights"] == "natural"
    assert "probe" not in result and result["config"] == ""
    assert "--learning-curve" in run_json(
        "advise", "--dataset-path", tmp_path, "--learning-curve", status=2
    )


@pytest.mark.slow
def test_the_learning_curve_grows_resumes_and_has_a_band(tmp_path):
    features = draw_features(
        tmp_path / "cache" / "space", counts=(48, 0, 0), shift=0.8, grouping="table"
    )
    words = ("advise", "--features", features, "--learning-curve", "--folds", 3, "--no-probe")
    words += ("--checkpoint-dir", tmp_path / "runs", "--head", "linear", "--epochs", 2)
    words += ("--jobs", 1, "--batch-size", 8, "--validation-fraction", 0.25, "--test-fraction", 0)
    result = run_json(*words)["learning_curve"]
    sizes = [point["recordings"] for point in result["points"]]
    assert [point["share"] for point in result["points"]] == [0.25, 0.5, 0.75, 1.0]
    assert sizes == sorted(sizes) and sizes[-1] == pytest.approx(result["recordings"] * 2 / 3)
    for name in ("accuracy", "auc"):
        twice = result["twice_the_recordings"][name]
        assert 0 <= twice["gain"] <= 1 and twice["gain_ci"][0] <= twice["gain_ci"][1]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*fold_*.json")}
    assert len(kept) == 12
    first, *_ = kept
    first.unlink()
    assert run_json(*words)["learning_curve"] == result
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*fold_*.json") if p != first} == {
        path: time for path, time in kept.items() if path != first
    }


def test_the_extrapolation_goes_on_with_errors_that_halve():
    groups, rng = np.repeat(np.arange(20), 50), np.random.default_rng(0)
    violent = np.arange(1000) % 2 == 0
    pooled = []
    for error in (0.4, 0.2, 0.1):  # of 10, 20, 40 recordings: 4 / n
        wrong = np.zeros(1000, bool)
        wrong[rng.permutation(1000)[: int(1000 * error)]] = True
        part = PooledPredictions(violent)
        predicted = (violent ^ wrong).astype(int)
        part.add(np.arange(1000), predicted, predicted.astype(float), ~wrong)
        pooled.append(part)
    result = learning_curve.extrapolate(
        pooled, "accuracy", np.array([10, 20, 40]), groups.astype(str), seed=0
    )
    assert result.expected.value == pytest.approx(0.95, abs=0.003)
    assert result.gain.value == pytest.approx(0.05, abs=0.003)
    assert result.gain.ci[0] < 0.05 < result.gain.ci[1] and result.limit > 0.99
