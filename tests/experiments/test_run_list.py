"""The table of runs and studies: what is listed, in which order, and what cannot be read."""

import json
import shutil

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.training import train_quickly

from violence_detection import cli
from violence_detection.reports import run_table
from violence_detection.reports.run_table import RunRow
from violence_detection.system import files


def run_runs(*words):
    answer = CliRunner().invoke(cli.main, ["runs", *map(str, words)])
    assert answer.exit_code in (0, 2, 3), answer.output
    return answer


def run_json(*words):
    return json.loads(run_runs(*words, "--json").stdout)


@pytest.fixture
def folder(tmp_path, run_dir):
    """A finished run, a run in a folder below with members, one in progress, and a search."""
    root = tmp_path / "checkpoints"
    shutil.copytree(run_dir, root / "first")
    shutil.copytree(run_dir, root / "site" / "second")
    shutil.copytree(run_dir, root / "site" / "second" / "seed_42")  # a member
    results = files.read_json(root / "site" / "second" / "training_results.json")
    results["validation"]["auc"] = 0.25
    results["warnings"] = ["It predicts nothing."]
    files.write_json(root / "site" / "second" / "training_results.json", results)
    files.write_json(root / "begun" / "training_config.json", {"settings": {"head": "tcn"}})
    search = {"settings": {"head": "linear", "monitor": "val_auc", "features": "/gone/mine/space"}}
    files.write_json(root / "tune" / "tune_config.json", search)
    rows = [
        {"number": 0, "state": "complete", "value": 0.7},
        {"number": 1, "state": "complete", "value": 0.8},
        {"number": 2, "state": "fail", "value": None},
    ]
    files.write_csv(root / "tune" / "trials.csv", list(rows[0]), rows)
    return root


def test_runs_and_studies_are_listed_with_their_scores(folder):
    result = run_json("--checkpoint-dir", folder)
    rows = {row["name"]: row for row in result["runs"]}
    assert set(rows) == {"first", "site/second", "begun", "tune"}
    results = files.read_json(folder / "first" / "training_results.json")
    first = rows["first"]
    assert first["auc"] == results["validation"]["auc"]
    assert first["auc_ci"] == results["validation"]["auc_ci"]
    assert (first["threshold"], first["epochs"]) == (results["threshold"], 8)
    assert (first["dataset"], first["stream"], first["head"]) == ("drawn", "rgb", "linear")
    assert rows["site/second"]["warnings"] == ["It predicts nothing."]
    assert (rows["begun"]["state"], rows["begun"]["auc"]) == ("unfinished", None)
    assert rows["tune"]["auc"] == 0.8 and rows["tune"]["dataset"] == "mine"
    assert [row["name"] for row in result["runs"]][-2:] == ["site/second", "begun"]


def test_the_order_is_that_of_a_column(folder):
    names = [row["name"] for row in run_json("--checkpoint-dir", folder, "--sort", "name")["runs"]]
    assert names == sorted(names)
    dates = [row["date"] for row in run_json("--checkpoint-dir", folder, "--sort", "date")["runs"]]
    assert dates == sorted(dates, reverse=True)


def test_what_cannot_be_read_is_named_and_the_status_is_3(folder):
    (folder / "first" / "training_results.json").write_text("{torn")
    files.write_json(folder / "tune" / "tune_config.json", {"no": "settings"})
    answer = run_runs("--checkpoint-dir", folder)
    assert answer.exit_code == 3
    assert "unreadable  first: " in answer.stdout and "unreadable  tune: " in answer.stdout
    result = run_json("--checkpoint-dir", folder)
    assert {row["path"] for row in result["unreadable"]} == {"first", "tune"}
    assert {row["name"] for row in result["runs"]} == {"site/second", "begun"}


def test_the_page_has_every_row_and_warning_and_is_not_replaced(folder, tmp_path):
    page = tmp_path / "runs.html"
    words = ("--checkpoint-dir", folder, "--html", page)
    assert run_runs(*words, "--dry-run").exit_code == 0 and not page.exists()
    assert run_json(*words)["html"] == str(page)
    text = page.read_text()
    for wanted in ("first", "site/second", "begun", "It predicts nothing.", "0.250"):
        assert wanted in text
    assert run_runs(*words).exit_code == 2
    assert run_runs(*words, "--force").exit_code == 0


def test_an_empty_folder_and_none(tmp_path):
    assert run_runs("--checkpoint-dir", tmp_path).stdout == f"No runs in {tmp_path}.\n"
    assert run_runs("--checkpoint-dir", tmp_path / "none").exit_code == 2


@pytest.mark.slow
def test_a_cross_validation_is_listed_by_all_folds_and_its_runs_are_not(tmp_path):
    features = draw_features(tmp_path / "cache" / "drawn" / "space", counts=(16, 8, 0))
    root = tmp_path / "runs"
    train_quickly(features, root, epochs=1)
    words = ["cross-validate", "--features", features, "--checkpoint-dir", root, "--folds", 2]
    words += ["--head", "linear", "--epochs", 1, "--run", "cv", "--no-read-videos", "--json"]
    answer = CliRunner().invoke(cli.main, [*map(str, words), "--monitor", "none"])
    assert answer.exit_code == 0, answer.stderr
    rows = {row["name"]: row for row in run_json("--checkpoint-dir", root)["runs"]}
    assert set(rows) == {"run", "cv"}
    pooled = json.loads(answer.stdout)["pooled"]["model"]
    assert (rows["cv"]["auc"], rows["cv"]["auc_ci"]) == (pooled["auc"], pooled["auc_ci"])
    assert (rows["cv"]["kind"], rows["cv"]["scored_on"]) == ("cross-validation", "folds")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_the_table_fits_the_terminal_and_keeps_name_and_auc(width):
    row = RunRow(
        name="a_run_with_a_very_long_name_on_camera_12",
        kind="cross-validation",
        date="2026-11-30T10:00:00",
        state="finished",
        dataset="surveillance-fights-8c9fe6ea",
        stream="motion(focus=true)",
        head="bilstm_attention",
        accuracy=0.9,
        auc=0.95,
        auc_ci=[0.9, 0.99],
        threshold=0.5,
        warnings=("one", "two"),
    )
    lines = run_table.table_lines([row, row], width)
    assert len(lines) == 3 and max(map(len, lines)) <= width
    assert "0.950" in lines[1] and "0.900-0.990" in lines[1] and lines[1].startswith("a_run")
    assert lines[1].endswith("12") is False and "…" in lines[1]
