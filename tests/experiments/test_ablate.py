"""An ablation of drawn features: its variants, its rows, and that a second start goes on."""

import json

import pytest
from click.testing import CliRunner
from support.features import draw_features

from violence_detection import cli
from violence_detection.experiments.ablation.ablation_config import OPTIONS
from violence_detection.experiments.ablation.ablation_variants import (
    Hardware,
    cumulative_steps,
    single_variants,
)
from violence_detection.training.config import TrainConfig

EVERYTHING = Hardware(gpus=0, reduced_precision="bfloat16", xla_failure="", views=1)
NOTHING = Hardware(gpus=1, reduced_precision="", xla_failure="no ptxas", views=0)


def variants(hardware=EVERYTHING, **settings):
    train = TrainConfig.from_settings(settings)
    return train, {item.name: item for item in single_variants(train, OPTIONS, hardware)}


def test_every_option_changes_the_defaults_and_is_a_training():
    train, found = variants()
    assert list(found) == list(OPTIONS) and not any(item.missing for item in found.values())
    for item in found.values():
        other = train.with_settings(**item.changed)
        differing = {k for k, v in other.as_dict().items() if v != train.as_dict()[k]}
        assert differing and differing <= set(item.changed)
    assert found["statistics"].changed == {"head": "bilstm_attention(statistics=false)"}
    assert found["change"].changed == {"head": "bilstm_attention(change=false)"}
    assert found["replicas"].changed["virtual_devices"] == 2 and found["replicas"].note


def test_what_the_baseline_has_off_is_switched_on():
    _, found = variants(
        loss="crossentropy", use_class_weights=False, label_smoothing=0.1, schedule="constant"
    )
    assert found["focal"].changed == {"loss": "focal(alpha=auto, gamma=2.0)"}
    assert found["class-weights"].changed == {"use_class_weights": True}
    assert found["label-smoothing"].changed == {"label_smoothing": 0.0}
    assert found["schedule"].changed == {"schedule": "warmup_cosine"}


def test_what_cannot_be_had_is_named():
    _, found = variants(NOTHING, head="mean_pool")
    missing = {name for name, item in found.items() if item.missing}
    assert missing == {"statistics", "change", "views", "mixed-precision", "xla", "replicas"}


@pytest.mark.parametrize("head", ["bilstm_attention", "linear", "tcn(change=false)"])
def test_the_cumulative_list_ends_with_the_baseline_and_each_step_changes_it(head):
    train = TrainConfig.from_settings({"head": head})
    steps = cumulative_steps(train)
    assert steps[0].off == "all off" and steps[-1].changed == {}
    made = [train.with_settings(**step.changed).as_dict() for step in steps]
    assert made[-1] == train.as_dict()
    assert all(before != after for before, after in zip(made, made[1:], strict=False))
    assert made[0]["loss"] == "crossentropy" and not made[0]["use_class_weights"]


def run_json(*words, status=0):
    answer = CliRunner().invoke(cli.main, [*map(str, words), "--json"])
    assert answer.exit_code == status, answer.stderr
    return json.loads(answer.stdout) if answer.stdout else answer.stderr


def test_wrong_options_and_a_thinning_that_is_impossible_are_refused(features_dir, tmp_path):
    words = ("ablate", "--features", features_dir, "--checkpoint-dir", tmp_path)
    assert "options" in run_json(*words, "--options", "focal,magic", status=2)
    assert "at most the fraction" in run_json(*words, "--thin", 0.9, status=2)


@pytest.mark.slow
def test_rows_are_paired_with_the_baseline_and_a_second_start_goes_on(tmp_path):
    features = draw_features(
        tmp_path / "cache" / "space", counts=(48, 0, 0), shift=0.6, grouping="table"
    )
    words = ("ablate", "--features", features, "--checkpoint-dir", tmp_path / "runs")
    words += ("--head", "linear", "--epochs", 2, "--batch-size", 8, "--learning-rate", 0.05)
    words += ("--folds", 2, "--monitor", "none", "--jobs", 1, "--thin", 0.3, "--no-cumulative")
    planned = run_json(*words, "--options", "focal,views", "--dry-run")
    assert planned["trainings"] == 4 and planned["classes"]["violent"] == 24
    assert planned["missing"][0]["off"] == "views on" and not (tmp_path / "runs").exists()

    first = run_json(*words, "--options", "focal,views")
    (row,) = first["rows"]
    assert row["changed"] == {"loss": "crossentropy"} and first["complete"]
    assert row["difference"] == pytest.approx(row["accuracy"] - first["baseline"]["accuracy"])
    assert row["ci"][0] <= row["difference"] <= row["ci"][1]
    assert row["seconds"] > 0 and 0 <= row["recall_normal"] <= 1
    assert first["missing"] == [{"off": "views on", "reason": first["missing"][0]["reason"]}]
    counts = first["classes"]
    assert counts["normal"] < counts["violent"] == 24 and first["thin"] == 0.3
    text = (tmp_path / "runs" / "ablation" / "ablation.md").read_text()
    assert "| focal loss: cross-entropy |" in text and "| views on | not here |" in text

    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*fold_*.json")}
    second = run_json(*words, "--options", "focal,class-weights")
    assert len(kept) == 4 and all(path.stat().st_mtime_ns == t for path, t in kept.items())
    assert len([*tmp_path.rglob("*fold_*.json")]) == 6
    assert second["baseline"] == first["baseline"] and second["rows"][0] == row
    assert "learning_rate" in run_json(*words, "--learning-rate", 0.1, status=2)
    (listed,) = run_json("runs", "--checkpoint-dir", tmp_path / "runs")["runs"]
    assert (listed["kind"], listed["auc"]) == ("ablation", first["baseline"]["auc"])
