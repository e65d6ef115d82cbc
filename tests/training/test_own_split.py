"""A split that a run draws for itself: the dataset's stays, and evaluation goes by the run's."""

import csv
import json
import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.datasets.splitting import splits
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving import run_setup
from violence_detection.training.train import TrainingStage, train_classifier
from violence_detection.training.trainer import Trainer

ALL = {"test_fraction": 0.0, "validation_fraction": 0.25}


def split_of(run) -> dict[str, str]:
    with open(Path(run) / "training_videos.csv") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def write_splits(features: Path, source=splits.DRAWN) -> Path:
    """The dataset's splits.csv as its extraction would have left it."""
    rows = [
        {"path": e.path, "label": e.label, "group": e.group, "split": e.split}
        | {"source": source if isinstance(source, str) else source(e)}
        for e in FeatureCache.open(features).entries()
    ]
    path = features.parent / "splits.csv"
    files.write_csv(path, splits.SPLIT_COLUMNS, rows)
    return path


def own_split(features: Path, **settings) -> dict[str, str]:
    """The split that a training with these settings draws, by path; nothing is trained."""
    config = TrainConfig.from_flags({"features": str(features), **settings})
    entries = run_setup.read_entries(
        Run(features / "new"),
        FeatureCache.open(features),
        resume=False,
        own_split=config.own_split,
    )
    return {entry.path: entry.split for entry in entries}


@pytest.fixture(scope="module")
def final_run(features_dir, tmp_path_factory) -> Path:
    """A run without test videos; not to be written to."""
    folder = tmp_path_factory.mktemp("final")
    return Path(train_quickly(features_dir, folder, epochs=1, **ALL)["run"])


@pytest.fixture(scope="module")
def seeded_run(features_dir, tmp_path_factory) -> Path:
    """A run with a split of another seed; evaluations may be written into it."""
    folder = tmp_path_factory.mktemp("seeded")
    return Path(train_quickly(features_dir, folder, epochs=1, split_seed=5)["run"])


def evaluate(run, split) -> dict:
    return evaluate_run(
        run, EvaluateConfig(split=split, bootstrap=100), with_figures=False
    ).to_json()


# -- a final model


@pytest.mark.slow
def test_a_final_model_is_trained_on_all_videos(tmp_path):
    features = draw_features(tmp_path / "cache" / "space")
    kept = write_splits(features).read_bytes()
    result = train_quickly(features, tmp_path / "runs", epochs=1, **ALL)
    assert result["test"] is None and set(result["videos"]) == {"train", "validation"}
    assert sum(result["videos"].values()) == 32
    assert 6 <= result["videos"]["validation"] <= 10
    config = Run.open(result["run"]).config()
    assert config["own_split"] is True and config["settings"]["test_fraction"] == 0
    assert (features.parent / "splits.csv").read_bytes() == kept


def test_recordings_stay_together(features_dir):
    group = {e.path: e.group for e in FeatureCache.open(features_dir).entries()}
    sides = {(group[path], split) for path, split in own_split(features_dir, split_seed=5).items()}
    assert len(sides) == len(set(group.values()))


@pytest.mark.slow
def test_another_seed_is_another_split(features_dir, seeded_run):
    five, six = (own_split(features_dir, split_seed=seed) for seed in (5, 6))
    assert split_of(seeded_run) == five != six
    assert Counter(five.values()).keys() == {"train", "validation", "test"}


def test_with_the_dataset_s_own_settings_it_is_the_dataset_s_split(tmp_path):
    """The draw is the one that extraction makes."""
    features = draw_features(tmp_path / "cache" / "space")
    entries = FeatureCache.open(features).entries()
    drawn = splits.assign_splits(
        [Video(entry.path, entry.label, entry.group) for entry in entries],
        kept={},
        leads={},
        validation_fraction=0.15,
        test_fraction=0.15,
        seed=42,
    )
    assert own_split(features, split_seed=42) == drawn


# -- evaluation


@pytest.mark.slow
@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_goes_by_the_run_s_split(seeded_run, split):
    evaluated = evaluate(str(seeded_run), split)
    own = sorted(path for path, side in split_of(seeded_run).items() if side == split)
    with open(seeded_run / "evaluation" / split / "predictions.csv") as file:
        assert sorted(row["path"] for row in csv.DictReader(file)) == own
    assert evaluated["clean"] is True
    assert evaluated["accuracy"] == Run.open(seeded_run).results().to_json()[split]["accuracy"]


@pytest.mark.slow
def test_a_final_model_has_no_test(final_run):
    with pytest.raises(CacheError, match="has train, validation"):
        evaluate(str(final_run), "test")


@pytest.mark.slow
def test_another_dataset_has_its_own_split(final_run, tmp_path):
    """Paths that are the same there do not get this run's split."""
    run = shutil.copytree(final_run, tmp_path / "run")
    dataset = {"name": "other", "dir": "/other"}
    other = draw_features(tmp_path / "o" / "space", seed=9, dataset=dataset)
    config = EvaluateConfig(bootstrap=100, features=str(other))
    assert evaluate_run(run, config, with_figures=False).videos == 8


# -- resume


@pytest.mark.slow
def test_a_resumed_run_keeps_its_own_split(features_dir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epochs", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, **ALL)
    before = split_of(tmp_path / "run")
    config = TrainConfig(checkpoint_dir=str(tmp_path), run="run", resume=True)
    assert train_classifier(config).scores.test is None
    assert split_of(tmp_path / "run") == before


@pytest.mark.slow
def test_a_run_interrupted_before_its_start_draws_it_too(features_dir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "open", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, **ALL)
    config = TrainConfig(checkpoint_dir=str(tmp_path), run="run", resume=True)
    assert train_classifier(config).scores.test is None


def _interrupted(_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_members_have_the_run_s_split(features_dir, tmp_path):
    run = Path(train_quickly(features_dir, tmp_path, epochs=1, members=2, **ALL)["run"])
    tables = [split_of(run / name) for name in (".", "seed_42", "seed_43")]
    assert tables[0] == tables[1] == tables[2]
    assert "test" not in tables[0].values()


# -- what is given


def test_a_given_split_stays(tmp_path, caplog):
    caplog.set_level(logging.WARNING, "violence_detection")
    logging.getLogger("violence_detection").propagate = True
    features = draw_features(tmp_path / "cache" / "space")
    given = {e.path for e in FeatureCache.open(features).entries() if e.split == "test"}
    write_splits(features, lambda e: "given" if e.path in given else "drawn")
    split = own_split(features, **ALL)
    assert {path for path, side in split.items() if side == "test"} == given
    assert "gives test videos; a fraction does not change that" in caplog.text


def test_where_all_is_given_there_is_nothing_to_draw(tmp_path):
    features = draw_features(tmp_path / "cache" / "space")
    write_splits(features, splits.GIVEN)
    with pytest.raises(ConfigError, match="test_fraction=0.0, and a dataset that gives"):
        train_quickly(features, tmp_path / "runs", test_fraction=0.0)
    assert not (tmp_path / "runs").exists()


def test_the_dataset_s_split_is_not_redrawn_through_features(features_dir, tmp_path):
    with pytest.raises(ConfigError, match="`redraw_splits` must go with --dataset-path"):
        train_quickly(features_dir, tmp_path, redraw_splits=True, **ALL)


def test_a_dry_run_counts_the_run_s_own_split(features_dir):
    asked = {"features": str(features_dir), "head": "linear", **ALL}
    planned = TrainingStage(TrainConfig.from_flags(asked)).prepare()
    assert set(planned.videos) == {"train", "validation"}
    assert planned.settings["test_fraction"] == 0.0
    plain = TrainingStage(TrainConfig.from_flags({"features": str(features_dir)})).prepare()
    assert "test_fraction" not in plain.settings


def test_a_run_from_before_has_the_dataset_s_split(run_dir, tmp_path):
    run = Path(shutil.copytree(run_dir, tmp_path / "copy"))
    config = json.loads((run / "training_config.json").read_text())
    config.pop("own_split")
    (run / "training_config.json").write_text(json.dumps(config))
    assert evaluate(str(run), "test")["videos"] == 8
