"""A comparison of two runs: the contract's keys, the predictions that it uses, and errors."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import tree_of
from support.training import train_quickly

from violence_detection import cli
from violence_detection.errors import ConfigError, RunError
from violence_detection.evaluation.compare import (
    ComparedRun,
    ComparisonStage,
    check_same_videos,
    compare_runs,
)
from violence_detection.evaluation.config import CompareConfig
from violence_detection.evaluation.evaluate import EvaluationStage
from violence_detection.features.cache import FeatureCache

KEYS = "accuracy_difference ci mcnemar_p auc_difference auc_p videos".split()
SHORT = {"epochs": 3, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def evaluated_pair(evaluated, evaluate, features_dir, tmp_path_factory):
    """Two evaluated runs, the second of other features of the same videos; not to be written
    to."""
    root = tmp_path_factory.mktemp("pair")
    features = draw_features(root / "other" / "space", shape=(7, 8), seed=3, shift=0.3)
    same_content(features, features_dir)
    shutil.copytree(evaluated.run, root / "a")
    train_quickly(features, root, run="b", **SHORT)
    evaluate(root / "b")
    return root / "a", root / "b"


@pytest.fixture
def pair(evaluated_pair, tmp_path):
    """Copies of the two runs, for tests that write to them."""
    return [shutil.copytree(run, tmp_path / run.name) for run in evaluated_pair]


@pytest.fixture
def no_evaluation(monkeypatch):
    def run(_):
        raise AssertionError("evaluated again")

    monkeypatch.setattr(EvaluationStage, "run", run)


def same_content(features, source):
    """Gives videos the digests of the same videos in another cache."""
    digests = {row.path: row.digest for row in FeatureCache.open(source).entries()}
    change_entries(features, lambda row: {"digest": digests[row.path]})


def change_entries(features, change):
    cache = FeatureCache.open(features)
    rows = [dataclasses.replace(row, **change(row)) for row in cache.entries()]
    cache.write_manifest(rows)


def compare(pair, *, force=False, **settings):
    config = CompareConfig(**{"bootstrap": 200, **settings})
    return compare_runs(*map(str, pair), config, force=force).to_json()


def rows_of(run):
    with open(run / "evaluation" / "test" / "predictions.csv") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# -- results


@pytest.mark.usefixtures("no_evaluation")
def test_the_result_has_the_keys_of_the_contract_and_no_nulls(pair):
    result = compare(pair)
    assert set(KEYS) <= set(result)
    assert (result["videos"], result["recordings"], result["clean"]) == (8, 4, True)
    assert [result[name]["run"] for name in "ab"] == [str(run) for run in pair]
    nulls = {name for name, value in result.items() if value is None}
    assert nulls <= {"auc_ci", "auc_ci_delong"}
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.usefixtures("no_evaluation")
def test_scores_are_those_of_the_predictions_counted_by_hand(pair):
    result = compare(pair)
    a, b = (rows_of(run) for run in pair)
    right_a, right_b = (
        [rows[path]["label"] == rows[path]["predicted"] for path in a] for rows in (a, b)
    )
    assert result["a"]["accuracy"] == np.mean(right_a)
    assert result["accuracy_difference"] == pytest.approx(np.mean(right_b) - np.mean(right_a))
    only_b = sum(y and not x for x, y in zip(right_a, right_b, strict=True))
    assert result["agreement"]["only_b_right"] == only_b
    assert sum(result["agreement"].values()) == 8
    for name, run in zip("ab", pair, strict=True):
        metrics = json.loads((run / "evaluation/test/metrics.json").read_text())
        for key in ("accuracy", "auc", "auc_ci_delong", "threshold"):
            assert result[name][key] == metrics[key]


@pytest.mark.usefixtures("no_evaluation")
def test_exchanged_runs_change_the_sign(pair):
    forth, back = compare(pair), compare(pair[::-1])
    for name in ("accuracy_difference", "auc_difference", "cohens_g"):
        assert back[name] == pytest.approx(-forth[name])
    for name in ("mcnemar_p", "auc_p", "accuracy_exchange_p", "auc_exchange_p"):
        assert back[name] == pytest.approx(forth[name])


@pytest.mark.usefixtures("no_evaluation")
def test_a_run_does_not_differ_from_itself(pair):
    result = compare([pair[0], pair[0]])
    assert (result["accuracy_difference"], result["ci"]) == (0.0, [0.0, 0.0])
    assert {value for name, value in result.items() if name.endswith("_p")} == {1.0}


@pytest.mark.slow
def test_the_order_of_the_videos_does_not_matter(pair, tmp_path):
    """Manifests are sorted by path; a user may have sorted this one."""
    features = Path(features_for(pair[1], tmp_path / "space"))
    header, *rows = (features / "manifest.csv").read_text().splitlines()
    lines = [header, *reversed(rows)]
    (features / "manifest.csv").write_text("\n".join(lines) + "\n")
    reordered = compare(pair, features_b=str(features), force=True)
    expected = compare(pair, force=True)
    for name in ("accuracy_difference", "agreement", "auc_difference", "auc_p"):
        assert reordered[name] == pytest.approx(expected[name]), name


# -- predictions


@pytest.mark.slow
def test_a_run_without_evaluation_is_evaluated_first(pair):
    expected = compare(pair)
    shutil.rmtree(pair[1] / "evaluation")
    assert compare(pair) == expected
    assert (pair[1] / "evaluation" / "test" / "report.html").is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "predictions.csv").unlink(),
        lambda folder: (folder / "predictions.csv").write_text("path,prob\n"),
        lambda folder: (folder / "metrics.json").write_text("[]"),
        lambda folder: (folder / "metrics.json").write_text('{"clean": tr'),
        lambda folder: change_json(folder / "metrics.json", model_digest="0"),
        lambda folder: change_json(folder / "metrics.json", videos_digest="0"),
        lambda folder: change_json(folder / "metrics.json", temperature=3.0),
        lambda folder: cut(folder / "predictions.csv", lines=3),
        lambda folder: cut(folder / "predictions.csv", number="nan"),
        lambda folder: cut(folder / "predictions.csv", number="1.5"),
    ],
)
def test_an_incomplete_evaluation_or_one_of_something_else_is_not_used(pair, damage):
    compared = ComparedRun.open(str(pair[0]), split="test")
    assert compared.saved_predictions() is not None
    damage(pair[0] / "evaluation" / "test")
    assert compared.saved_predictions() is None


@pytest.mark.usefixtures("no_evaluation")
def test_an_evaluation_at_another_threshold_is_used_at_the_runs_own(pair):
    """`evaluate --operating-point` leaves such an evaluation; it is not replaced."""
    expected = compare(pair)
    folder = pair[0] / "evaluation" / "test"
    change_json(folder / "metrics.json", threshold=0.0)
    rows = rows_of(pair[0])
    lines = [",".join(next(iter(rows.values())))]
    lines += [",".join({**row, "predicted": "violent"}.values()) for row in rows.values()]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    assert compare(pair) == expected


@pytest.mark.usefixtures("no_evaluation")
def test_thresholds_of_different_operating_points_are_stated(pair):
    path = pair[0] / "training_results.json"
    point = json.loads(path.read_text())["operating_point"] | {"asked": "recall=0.9"}
    change_json(path, operating_point=point)
    assert compare(pair)["a"]["operating_point"] == "recall=0.9"
    text = CliRunner().invoke(cli.main, ["compare", *map(str, pair)]).stdout
    assert "thresholds were chosen by recall=0.9 and by balanced_accuracy: compare AUC" in " ".join(
        text.split()
    )


def cut(path: Path, *, lines=None, number=None):
    """Keeps the first lines, or replaces the last probability."""
    rows = path.read_text().splitlines()[:lines]
    if number:
        cells = rows[-1].split(",")
        cells[3] = number
        rows[-1] = ",".join(cells)
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.slow
def test_an_evaluation_of_another_model_is_replaced_with_force_only(pair):
    path = pair[0] / "evaluation" / "test" / "metrics.json"
    change_json(path, model_digest="0" * 64)
    with pytest.raises(ConfigError, match="replaced with --force only. Received: .*a/"):
        compare(pair)
    assert compare(pair, force=True)["videos"] == 8


def test_a_dry_run_writes_nothing_and_names_the_runs_to_evaluate(pair, tmp_path):
    shutil.rmtree(pair[1] / "evaluation")
    before = tree_of(tmp_path)
    plan = ComparisonStage(*map(str, pair), CompareConfig()).prepare()
    assert [plan[name]["evaluates_first"] for name in "ab"] == [False, True]
    assert (plan["videos"], tree_of(tmp_path)) == (8, before)


# -- caveats


@pytest.mark.usefixtures("no_evaluation")
def test_few_recordings_leave_the_better_run_unknown(pair):
    assert compare(pair)["better"] == {"accuracy": "unknown", "auc": "unknown"}
    text = " ".join(CliRunner().invoke(cli.main, ["compare", *map(str, pair)]).stdout.split())
    assert "accuracy, A or B, is unknown: these 4 recordings cannot show it" in text


def features_for(run, folder, **settings):
    """A copy of the features that a run was trained on, with other settings of the extraction."""
    config = json.loads((run / "training_config.json").read_text())
    copy = shutil.copytree(config["features"], folder)
    change_json(copy / "extraction.json", **settings)
    return str(copy)


@pytest.mark.usefixtures("no_evaluation")
def test_recordings_are_those_of_the_features_that_have_them(pair, tmp_path):
    a, b = (features_for(run, tmp_path / f"{run.name} space", grouping="none") for run in pair)
    assert compare(pair, features_a=a)["grouped"] is True
    assert compare(pair, features_a=a, features_b=b)["grouped"] is False
    words = ["compare", *map(str, pair), "--features-a", a, "--features-b", b]
    text = CliRunner().invoke(cli.main, words).stdout
    assert "95% over videos\n" in text
    assert "warning     recordings are not all known" in text


@pytest.mark.usefixtures("no_evaluation")
def test_recordings_with_different_names_are_a_warning(pair, tmp_path, caplog):
    features = features_for(pair[1], tmp_path / "space")
    change_entries(features, lambda row: {"group": row.path})
    assert compare(pair, features_b=features)["recordings"] == 4
    assert "name recordings differently; those of RUN_A are used" in caplog.text


@pytest.mark.usefixtures("no_evaluation")
def test_a_run_that_was_trained_on_the_videos_makes_it_not_clean(pair, tmp_path):
    features = features_for(pair[1], tmp_path / "space")
    trained = {"normal test 0": "normal train 0", "violent test 0": "normal train 1"}
    change_entries(features, lambda row: {"group": trained.get(row.group, row.group)})
    result = compare(pair, features_b=features)
    assert (result["clean"], result["a"]["clean"]) == (False, True)
    words = ["compare", *map(str, pair), "--features-b", features]
    text = CliRunner().invoke(cli.main, words).stdout
    leaks = "B was trained on some of these videos: 2 recordings, e.g. recording normal"
    assert f"leaks {leaks}" in " ".join(text.split())
    assert "is unknown: a run was trained on some of these videos" in " ".join(text.split())


@pytest.mark.slow
def test_one_class_only_has_no_area(tmp_path):
    features = draw_features(tmp_path / "cache" / "space")
    run = train_quickly(features, tmp_path, **SHORT)["run"]
    cache = FeatureCache.open(features)
    rows = [row for row in cache.entries() if (row.split, row.label) != ("test", "violent")]
    cache.write_manifest(rows)
    result = compare([run, run])
    assert (result["a"]["auc"], result["auc_difference"], result["auc_p"]) == (
        None,
        0.0,
        1.0,
    )
    assert result["undefined"] == ["auc_difference", "auc_exchange_p", "auc_p"]
    text = CliRunner().invoke(cli.main, ["compare", run, run]).stdout
    assert "AUC         none: videos of one class only" in text and "better AUC" not in text


# -- error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"path": "violent/else.mp4"},
            r"1 of the 8 videos of RUN_A not in RUN_B \(violent/test_1.mp4\); "
            r"1 of the 8 videos of RUN_B not in RUN_A \(violent/else.mp4\)",
        ),
        ({"label": "normal"}, r"1 with another label \(violent/test_1.mp4\)"),
        ({"digest": "f" * 64}, r"1 with other content \(violent/test_1.mp4\)"),
    ],
)
def test_other_videos_are_refused_and_named(pair, change, message):
    a, b = (ComparedRun.open(str(run), split="test") for run in pair)
    changed = [
        dataclasses.replace(row, **change) if row.path.endswith("test_1.mp4") else row
        for row in b.entries
    ]
    with pytest.raises(ConfigError, match=f"on the same videos. Received: {message}$"):
        check_same_videos(a.entries, changed)


def test_unknown_content_is_not_a_difference(pair):
    entries = ComparedRun.open(str(pair[0]), split="test").entries
    unknown = [dataclasses.replace(row, digest="") for row in entries]
    check_same_videos(entries, unknown)


def test_three_of_many_different_videos_are_named(pair):
    a = ComparedRun.open(str(pair[0]), split="test").entries
    with pytest.raises(ConfigError, match=r"7 of the 8 .* \(\S+, \S+, \S+ and 4 more\)$"):
        check_same_videos(a, a[:1])


def test_features_of_other_videos_are_refused(pair, tmp_path):
    other = str(draw_features(tmp_path / "other", seed=9))
    with pytest.raises(ConfigError, match="8 with other content"):
        compare(pair, features_a=other)


def test_another_normal_class_is_refused(pair):
    change_json(pair[1] / "training_config.json", normal_class="violent")
    with pytest.raises(ConfigError, match="same normal class. Received: normal and viol"):
        compare(pair)


def test_an_unfinished_run_is_refused(pair):
    (pair[1] / "training_results.json").unlink()
    with pytest.raises(RunError, match="A finished run must hold training_results"):
        compare(pair)


def test_other_videos_are_wrong_usage(pair, tmp_path):
    other = str(draw_features(tmp_path / "other", seed=9))
    words = ["compare", *map(str, pair), "--features-a", other, "--json"]
    result = CliRunner().invoke(cli.main, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: RUN_A and RUN_B must be evaluated on the same")
