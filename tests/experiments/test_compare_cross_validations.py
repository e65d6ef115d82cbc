"""Comparisons of cross-validations: the contract's keys, what is paired, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score
from support.cross_validations import draw_cross_validation
from support.folders import tree_of

from violence_detection import cli
from violence_detection.errors import ConfigError, RunError
from violence_detection.evaluation.config import CompareConfig
from violence_detection.experiments.cross_validation.compare_cross_validations import (
    CrossValidationComparisonStage,
)

KEYS = "accuracy_difference ci mcnemar_p auc_difference auc_p videos".split()


def compare(*folders: Path, force=False, **settings) -> dict:
    config = CompareConfig.from_flags({"bootstrap": 200, **settings})
    stage = CrossValidationComparisonStage([str(folder) for folder in folders], config, force=force)
    return stage.run().to_json()


def invoke(*words) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.main, ["compare", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "predictions.csv") as file:
        return list(csv.DictReader(file))


def change_json(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.fixture
def pair(tmp_path):
    """A mediocre and a good cross-validation of the same videos and folds."""
    return (
        draw_cross_validation(tmp_path / "a", quality=0.3, noise=1, settings={"head": "linear"}),
        draw_cross_validation(tmp_path / "b", quality=1.5, noise=2, settings={"head": "tcn"}),
    )


# -- results


def test_the_numbers_are_those_counted_from_the_tables(pair):
    result = compare(*pair)
    assert set(KEYS) <= set(result)
    a, b = map(rows_of, pair)
    right = [np.array([row["correct"] == "True" for row in rows]) for rows in (a, b)]
    violent = [row["label"] == "violent" for row in a]
    areas = [roc_auc_score(violent, [float(row["probability"]) for row in rows]) for rows in (a, b)]
    assert result["accuracy_difference"] == pytest.approx(np.mean(right[1]) - np.mean(right[0]))
    assert result["auc_difference"] == pytest.approx(areas[1] - areas[0])
    assert result["b"]["auc"] == pytest.approx(areas[1])
    assert result["agreement"]["only_b_right"] == (right[1] & ~right[0]).sum()
    by_fold = [
        right[1][rows].mean() - right[0][rows].mean()
        for fold in "1234"
        for rows in [np.array([row["fold"] == fold for row in a])]
    ]
    assert result["over_folds"]["accuracy"]["values"] == pytest.approx(by_fold)
    assert (result["videos"], result["recordings"], result["same_folds"]) == (96, 12, True)
    assert result["setting_differences"] == {"head": ["linear", "tcn"]}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_better_one_is_named_last_and_exchanging_changes_the_sign(pair):
    status, text, _ = invoke(*pair)
    verdict = text.rpartition("\n\n")[2]  # last
    assert (status, verdict[:32]) == (0, "B is right more often than A: +2")
    assert "head: linear (A), tcn (B)" in text
    assert "As papers do" in text and "cannot be below 0.125" in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(pair[0].parent) not in line)
    forth, back = compare(*pair), compare(*pair[::-1])
    assert (forth["better"]["accuracy"], back["better"]["accuracy"]) == ("b", "a")
    assert back["accuracy_difference"] == pytest.approx(-forth["accuracy_difference"])
    assert back["auc_difference"] == pytest.approx(-forth["auc_difference"])
    assert back["over_folds"]["auc"]["p"] == pytest.approx(forth["over_folds"]["auc"]["p"])


def test_repeats_are_averaged_and_only_those_of_all_are_used(tmp_path):
    three = draw_cross_validation(tmp_path / "a", repeats=3)
    two = draw_cross_validation(tmp_path / "b", repeats=2, quality=2.0)
    result = compare(three, two, report=str(tmp_path / "page.html"))
    assert "Fold 4 of repeat 2" in (tmp_path / "page.html").read_text()
    assert (result["repeats"], result["same_folds"], result["videos"]) == (2, True, 96)
    assert len(result["over_folds"]["accuracy"]["values"]) == 2 * 4
    right = [
        [row["correct"] == "True" for row in rows_of(folder) if row["repeat"] != "3"]
        for folder in (three, two)
    ]
    difference = np.mean(right[1]) - np.mean(right[0])
    assert result["accuracy_difference"] == pytest.approx(difference)


def test_of_three_all_pairs_are_compared_with_p_by_holm(pair, tmp_path):
    third = draw_cross_validation(tmp_path / "c", quality=0.3, noise=3)
    result = compare(*pair, third)
    titles = [(row["first"], row["second"]) for row in result["pairs"]]
    assert titles == [("A", "B"), ("A", "C"), ("B", "C")]
    assert [row["better"]["accuracy"] for row in result["pairs"]] == ["b", "neither", "b"]
    p = [row["accuracy_exchange_p"] for row in result["pairs"]]
    adjusted = [row["accuracy_exchange_p_holm"] for row in result["pairs"]]
    assert min(adjusted) == pytest.approx(3 * min(p))
    text = invoke(*pair, third)[1]
    assert "p by Holm" in text and "B is right more often than C" in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(tmp_path) not in line)
    assert text.count("p by folds\n") == 2  # the headers are not broken


# -- what differs is said


def test_only_shared_videos_are_compared_and_the_others_counted(pair, tmp_path):
    fewer = draw_cross_validation(tmp_path / "c", videos=range(2, 96), quality=1.5)
    result = compare(pair[0], fewer)
    assert (result["videos"], result["a"]["left_out"], result["b"]["left_out"]) == (94, 2, 0)
    assert "2 videos of A not compared" in invoke(pair[0], fewer)[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"seed": 7}, "seed: 42 (A), 7 (B)"), ({"folds": 3}, "number of folds: 4 (A), 3 (B)")],
)
def test_other_folds_are_not_paired(pair, tmp_path, changes, reason):
    other = draw_cross_validation(tmp_path / "c", quality=1.5, noise=2, **changes)
    result = compare(pair[0], other)
    assert (result["same_folds"], result["over_folds"]) == (False, {})
    assert result["fold_differences"] == [reason]
    assert result["accuracy_difference"] > 0.2 and result["better"]["accuracy"] == "b"
    text = " ".join(invoke(pair[0], other)[1].split())
    assert f"not paired ({reason})" in text and "As papers do" not in text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kinds": ("random",)}, "in random folds, clips of one recording are on both sides"),
        ({"leaks": ["recording x"]}, "videos or recordings are in two folds"),
        ({"videos": range(32)}, "these 4 recordings cannot show it"),
    ],
)
def test_the_better_one_is_unknown_where_nothing_can_show_it(tmp_path, settings, text):
    folders = [
        draw_cross_validation(tmp_path / name, quality=quality, **settings)
        for name, quality in (("a", 0.2), ("b", 2.0))
    ]
    assert compare(*folders)["better"] == {"accuracy": "unknown", "auc": "unknown"}
    assert text in " ".join(invoke(*folders)[1].split())


def test_of_both_kinds_the_shared_one_is_compared(tmp_path):
    both = draw_cross_validation(tmp_path / "a", kinds=("grouped", "random"))
    random = draw_cross_validation(tmp_path / "b", kinds=("random",))
    grouped = draw_cross_validation(tmp_path / "c")
    assert compare(both, random)["kind"] == "random"
    assert compare(both, grouped)["kind"] == "grouped"
    with pytest.raises(
        ConfigError, match=r"same way. Received: random folds \(A\), grouped folds \(B\)"
    ):
        compare(random, grouped)


# -- the page


def test_the_page_is_written_and_not_replaced_without_force(pair, tmp_path):
    page = tmp_path / "page.html"
    assert compare(*pair, report=str(page))["report"] == str(page)
    text = page.read_text()
    assert "B is right more often than A" in text and "Fold 4" in text and "As papers do" in text
    with pytest.raises(ConfigError, match="`report` must name a new file, or come with --force"):
        compare(*pair, report=str(page))
    compare(*pair, report=str(page), force=True)


def test_a_dry_run_writes_nothing(pair, tmp_path):
    before = tree_of(tmp_path)
    status, text, _ = invoke(*pair, "--dry-run", "--json", "--report", tmp_path / "page.html")
    plan = json.loads(text)
    assert (status, plan["videos"], plan["same_folds"]) == (0, 96, True)
    assert tree_of(tmp_path) == before


# -- error


def test_runs_and_cross_validations_do_not_mix(pair, tmp_path):
    for words, message in (
        ((pair[0], tmp_path), "runs only or cross-validations only"),
        ((tmp_path, tmp_path, tmp_path), "only cross-validations may be more"),
        ((pair[0],), "Received: 1 folder"),
        (
            (*pair, "--split", "test"),
            "--split must be given for runs only: a cross-validation has k",
        ),
        (
            (*pair, "--videos-per-day", "9", "--prevalence", "0.1"),
            "has a threshold in each fold, a site only one",
        ),
        ((tmp_path, tmp_path, "--report", "x.html"), "--report must be given for cross-valid"),
    ):
        status, _, error = invoke(*words)
        assert (status, message in error, error.count("\n")) == (2, True, 1), error


def test_other_labels_classes_or_no_shared_videos_are_refused(pair, tmp_path):
    other = draw_cross_validation(tmp_path / "c", videos=range(200, 220))
    with pytest.raises(ConfigError, match="must have videos in common"):
        compare(pair[0], other)
    change_json(other / "results.json", classes=["violent", "normal"])
    with pytest.raises(ConfigError, match=r"same classes.*normal, violent \(A\); violent, normal"):
        compare(pair[0], other)
    path = pair[1] / "predictions.csv"
    path.write_text(path.read_text().replace("normal/2.mp4,normal", "normal/2.mp4,violent"))
    with pytest.raises(ConfigError, match=r"1 video with other labels in B than in A \(normal/2"):
        compare(*pair)


def test_an_unfinished_or_damaged_cross_validation_is_refused(pair):
    change_json(pair[1] / "results.json", complete=False)
    with pytest.raises(RunError, match="must be finished before it is compared"):
        compare(*pair)
    path = pair[1] / "predictions.csv"
    table = path.read_text()
    change_json(pair[1] / "results.json", complete=True)
    path.write_text(table.replace(",threshold,", ",level,", 1))  # as an older version wrote it
    with pytest.raises(RunError, match="of this version. .* without a training"):
        compare(*pair)
    path.write_text(table)
    change_json(pair[1] / "results.json", by_fold=None)
    with pytest.raises(RunError, match="of this version. Received"):
        compare(*pair)
