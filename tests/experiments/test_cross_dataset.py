"""A matrix of trainings and datasets: each cell has the numbers of evaluate."""

import csv
import json
import shutil

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import tree_of

from violence_detection import cli
from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.experiments.config import CrossDatasetConfig
from violence_detection.experiments.cross_dataset import CrossDatasetStage
from violence_detection.experiments.cross_dataset_result import CrossDatasetResult
from violence_detection.features.cache import FeatureCache
from violence_detection.system.study_folder import StudyFolder

pytestmark = pytest.mark.slow  # its fixtures train or extract

QUICK = {"head": "linear", "epochs": 2, "batch_size": 8, "bootstrap": 100}


def draw(folder, name, **settings):
    source = {"name": name, "dir": f"/{name}"}
    return draw_features(folder / name / "space", dataset=source, **settings)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two datasets whose classes have other names, and that share a video."""
    folder = tmp_path_factory.mktemp("datasets")
    north = draw(folder, "north", seed=1)
    south = draw(folder, "south", seed=2, labels=("noFight", "fight"), counts=(12, 8, 8))
    caches = [FeatureCache.open(path) for path in (north, south)]
    rows = caches[1].entries()
    trained = next(row for row in caches[0].entries() if row.split == "train")
    copies = [row for row in rows if row.path == "fight/test_1.mp4"]
    object.__setattr__(copies[0], "digest", trained.digest)
    caches[1].write_manifest(rows)
    return str(north), str(south)


def stage_of(drawn, folder, **settings) -> CrossDatasetStage:
    config = CrossDatasetConfig.from_flags({**QUICK, "checkpoint_dir": str(folder), **settings})
    return CrossDatasetStage(list(drawn), config)


def matrix(drawn, folder, **settings):
    return stage_of(drawn, folder, **settings).run().to_json()


@pytest.fixture(scope="module")
def made(drawn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    return matrix(drawn, folder), folder


def cell(result, trained_on, judged_on):
    return next(
        cell
        for cell in result["cells"]
        if (cell["trained_on"], cell["judged_on"]) == (trained_on, judged_on)
    )


def test_other_datasets_are_used_whole_and_its_own_by_its_test_videos(made):
    result, _ = made
    assert [
        (cell["trained_on"], cell["judged_on"], cell["split"], cell["videos"])
        for cell in result["cells"]
    ] == [
        ("north", "north", "test", 8),
        ("north", "south", "all", 28),
        ("south", "north", "all", 32),
        ("south", "south", "test", 8),
    ]


def test_a_cell_has_the_numbers_of_evaluate(made, drawn):
    result, _ = made
    assert CrossDatasetResult.from_json(result).to_json() == result
    run = result["runs"][0]
    config = EvaluateConfig(split="all", features=drawn[1], bootstrap=100)
    metrics = evaluate_run(run, config, with_figures=False).to_json()
    shown = cell(result, "north", "south")
    names = "videos recordings accuracy accuracy_ci auc auc_ci recall clean threshold class_mapping"
    for name in names.split():
        assert shown[name] == metrics[name], name


def test_classes_of_other_names_are_matched(made):
    scores = cell(made[0], "south", "north")
    assert scores["class_mapping"] == {"normal": "noFight", "violent": "fight"}
    assert cell(made[0], "north", "north")["class_mapping"] == {}


def test_a_video_of_both_datasets_is_counted_and_warned_of(made):
    result, _ = made
    scores = cell(result, "north", "south")
    assert (scores["clean"], scores["shared_videos"]) == (False, 1)
    assert cell(result, "south", "north")["clean"] is True  # it is south's test video
    assert "1 video of north and south have the same bytes" in result["warnings"][0]


def test_the_table_and_the_result_are_on_disk(made):
    result, folder = made
    kept = folder / "cross_dataset"
    assert json.loads((kept / "results.json").read_text()) == result
    with open(kept / "matrix.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [c["accuracy"] for c in result["cells"]]


def test_started_again_nothing_is_trained_again(made, drawn, tmp_path):
    result, folder = made
    folder = shutil.copytree(folder, tmp_path / "copy")
    models = list(folder.rglob("best_model.keras"))
    before = [path.stat().st_mtime_ns for path in models]
    again = matrix(drawn, folder)
    assert [path.stat().st_mtime_ns for path in models] == before
    assert again["cells"] == result["cells"]


def test_a_training_that_is_missing_is_made(made, drawn, tmp_path):
    result, folder = made
    folder = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder / "cross_dataset" / "runs" / "south")
    assert matrix(drawn, folder)["cells"] == result["cells"]


def test_a_study_is_locked_and_resumed_with_the_same_settings_and_videos_only(
    made, drawn, tmp_path
):
    folder = shutil.copytree(made[1], tmp_path / "copy")
    other_settings = stage_of(drawn, folder, epochs=3)
    for act in (other_settings.prepare, other_settings.run):
        with pytest.raises(ConfigError, match="other settings .epochs=2.*Received: epochs=3"):
            act()
    others = draw(tmp_path, "south", seed=5, labels=("noFight", "fight"))
    with pytest.raises(ConfigError, match="Received: another videos_digest"):
        matrix((drawn[0], str(others)), folder)
    study = StudyFolder(folder / "cross_dataset", "study", "cross_dataset.json", CrossDatasetConfig)
    with study.lock(), pytest.raises(ConfigError, match="in use by another process"):
        matrix(drawn, folder)


def test_the_console_shows_a_matrix(made, drawn):
    folder = made[1]
    words = ["--checkpoint-dir", str(folder)]
    for name, value in QUICK.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    done = CliRunner().invoke(cli.main, ["cross-dataset", *drawn, *words])
    assert done.exit_code == 0, done.stderr
    assert "accuracy    of the training on the dataset of the row" in done.stdout
    assert "NOT CLEAN" in done.stdout
    assert "fight is mapped to violent, noFight is mapped to normal" in done.stdout
    narrow = CliRunner(env={"COLUMNS": "60"}).invoke(cli.main, ["cross-dataset", *drawn, *words])
    assert "            north on south  " in narrow.stdout


# -- error


def test_a_dry_run_writes_nothing(drawn, tmp_path):
    plan = stage_of(drawn, tmp_path).prepare()
    assert (plan["trainings"], plan["datasets"]) == (2, {"north": 32, "south": 28})
    assert tree_of(tmp_path) == []


def test_one_dataset_or_the_same_twice_is_refused(drawn, tmp_path):
    with pytest.raises(ConfigError, match="two or more.*Received: 1 dataset"):
        matrix(drawn[:1], tmp_path)
    with pytest.raises(ConfigError, match="different datasets. Received: north twice"):
        matrix((drawn[0], drawn[0]), tmp_path)


def test_a_monitor_that_a_dataset_cannot_compute_is_refused_before_any_training(drawn, tmp_path):
    south = draw(tmp_path, "south")
    cache = FeatureCache.open(south)
    rows = [row for row in cache.entries() if row.split != "validation" or row.label == "violent"]
    cache.write_manifest(rows)
    with pytest.raises(ConfigError, match="val_auc must have .* violent videos only"):
        matrix((drawn[0], south), tmp_path / "runs", monitor="val_auc")
    assert not (tmp_path / "runs").exists()


def test_another_feature_space_is_refused_with_what_differs(drawn, tmp_path):
    east = draw(tmp_path, "east", shape=(7, 8))
    with pytest.raises(CacheError, match=r"one feature space.*east.*frames 7, not 6"):
        matrix((drawn[0], str(east)), tmp_path / "runs")


def test_joined_features_of_one_space_are_accepted(drawn, tmp_path):
    part = FeatureCache.open(drawn[0]).space().as_dict()
    joined = part | {"backbone": "joined", "parts": [part, part]}
    folders = [draw(tmp_path, name, feature_space=joined) for name in ("north", "east")]
    assert FeatureCache.open(folders[0]).space().parts
    assert stage_of(map(str, folders), tmp_path / "runs").prepare()["trainings"] == 2


def test_classes_that_cannot_be_matched_are_refused_before_any_training(drawn, tmp_path):
    east = draw(tmp_path, "east", labels=("normal", "kick", "punch"))
    with pytest.raises(CacheError, match="Received: kick, punch"):
        matrix((drawn[0], str(east)), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_dataset_without_test_videos_has_no_cell_of_its_own(drawn, tmp_path):
    east = draw(tmp_path, "east", counts=(12, 8, 0), seed=4)
    result = matrix((drawn[0], str(east)), tmp_path / "runs")
    assert cell(result, "east", "east") == {
        "trained_on": "east",
        "judged_on": "east",
        "split": "test",
        "videos": 0,
    }
