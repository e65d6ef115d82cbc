"""A training begins with another run's weights and scale, or says why it cannot."""

import dataclasses
import logging
from pathlib import Path

import keras
import numpy as np
import pytest
from support.features import draw_features
from support.trainers import interrupt
from support.training import train_quickly

from violence_detection.errors import ConfigError, RunError, TrainingError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.models.training_results import KeptMembers, MemberResult, MembersResult
from violence_detection.system.files import sha256_of_file
from violence_detection.training.config import TrainConfig
from violence_detection.training.train import TrainingStage
from violence_detection.training.trainer import Trainer

NONE = {"split_seed": 42, "init_from": None}
NO_STEP = {"learning_rate": 1e-12, "weight_decay": 0.0, "epochs": 1}


def weights(path: Path) -> np.ndarray:
    loaded = classifier.load_model(path)
    return np.concatenate([np.ravel(array) for array in loaded.get_weights()])


def scale(path: Path) -> list:
    layers = classifier.load_model(path).layers
    return [
        (layer.get_config()["mean"], layer.get_config()["variance"])
        for layer in layers
        if isinstance(layer, keras.layers.Normalization)
    ]


def evaluate(run) -> dict:
    return evaluate_run(run, EvaluateConfig(bootstrap=100), with_figures=False).to_json()


def interrupted(self):
    raise KeyboardInterrupt


# -- relation


@pytest.mark.slow
def test_without_a_step_the_model_is_the_initial_model(run_dir, tmp_path):
    """Weights and the scale of its inputs, on videos of another scale."""
    scaled = draw_features(tmp_path / "other", shift=5.0, seed=3)
    result = train_quickly(scaled, tmp_path, init_from=str(run_dir), **NO_STEP)
    model, source = (
        Path(result["run"]) / "best_model.keras",
        run_dir / "best_model.keras",
    )
    np.testing.assert_allclose(weights(model), weights(source), atol=1e-6)
    assert np.abs(weights(source)).max() > 0.1
    assert scale(model) == scale(source) != []


@pytest.mark.slow
def test_the_record_names_the_source(run_dir, features_dir, tmp_path):
    run = train_quickly(features_dir, tmp_path, init_from=str(run_dir), epochs=1)["run"]
    digest = sha256_of_file(run_dir / "best_model.keras")
    assert Run.open(run).config()["init_from"] == {
        "run": str(run_dir),
        "model_digest": digest,
        "met": {"validation": 0, "test": 0},
    }
    assert not (Path(run) / "state").exists()


@pytest.mark.slow
def test_training_videos_of_the_source_are_no_clean_test(run_dir, features_dir, tmp_path, caplog):
    """A split of its own puts some of them into validation and test; that stays known."""
    caplog.set_level(logging.WARNING, "violence_detection")
    logging.getLogger("violence_detection").propagate = True
    asked = {"init_from": str(run_dir), "split_seed": 5, "epochs": 1}
    run = train_quickly(features_dir, tmp_path, **asked)["run"]
    met = Run.open(run).config()["init_from"]["met"]
    assert min(met.values()) > 0
    assert f"trained on {met['test']} of the test videos" in caplog.text
    assert evaluate(run)["clean"] is False
    onward = train_quickly(features_dir, tmp_path, run="c", init_from=run, split_seed=5, epochs=1)[
        "run"
    ]
    assert evaluate(onward)["clean"] is False
    same = train_quickly(features_dir, tmp_path, run="b", **asked | NONE)["run"]
    assert evaluate(same)["clean"] is True


def test_the_state_of_the_optimizer_is_not_copied(run_dir, features_dir, tmp_path, monkeypatch):
    iterations = []

    def look(self):
        iterations.append(int(self.step.optimizer.iterations.numpy()))
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run_epochs", look)
    with pytest.raises(KeyboardInterrupt):
        train_quickly(features_dir, tmp_path, init_from=str(run_dir))
    assert iterations == [0]


@pytest.mark.slow
def test_dropout_is_the_new_runs(run_dir, features_dir, tmp_path):
    asked = {"init_from": str(run_dir), "head": "linear(dropout=0.4)"}
    run = train_quickly(features_dir, tmp_path, **asked, **NO_STEP)["run"]
    loaded = classifier.load_model(Path(run) / "best_model.keras")
    assert loaded.get_layer("dropout").rate == 0.4


@pytest.mark.slow
def test_a_resumed_run_does_not_need_its_source(features_dir, tmp_path):
    """It ends as one that was not interrupted, although the source is gone."""
    source = train_quickly(features_dir, tmp_path, run="source")["run"]
    asked = {"init_from": source, "epochs": 4, "checkpoint_epochs": 4}
    whole = train_quickly(features_dir, tmp_path, run="whole", **asked)["run"]
    interrupt(features_dir, tmp_path, epoch=3, **asked)
    Path(source).rename(tmp_path / "elsewhere")
    result = train_quickly(features_dir, tmp_path, **asked, resume=True)
    assert result["resumed_from_epoch"] == 2
    last = "checkpoint_epoch_0004.keras"
    np.testing.assert_allclose(
        weights(tmp_path / "run" / last), weights(Path(whole) / last), atol=1e-6
    )


@pytest.mark.slow
def test_a_run_killed_before_its_first_state_starts_from_the_copy(
    run_dir, features_dir, tmp_path, monkeypatch
):
    asked = {"init_from": str(run_dir), **NO_STEP}
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epochs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, **asked)
    train_quickly(features_dir, tmp_path, **asked, resume=True)
    np.testing.assert_allclose(
        weights(tmp_path / "run" / "best_model.keras"),
        weights(run_dir / "best_model.keras"),
        atol=1e-6,
    )


# -- error


@pytest.mark.parametrize(
    ("drawn", "asked", "message"),
    [
        (
            {"shape": (6, 9)},
            {},
            r"features of the same space. Received: .*dim 9, not 8",
        ),
        (
            {"labels": ("normal", "brawl")},
            {},
            "classes normal, brawl, the normal class first. Received: normal, violent",
        ),
        ({}, {"head": "bilstm_attention"}, "head bilstm_attention. Received: linear"),
    ],
)
def test_what_does_not_fit_is_refused(run_dir, tmp_path, drawn, asked, message):
    features = draw_features(tmp_path / "cache" / "space", **drawn)
    with pytest.raises(ConfigError, match=message):
        train_quickly(features, tmp_path / "runs", init_from=str(run_dir), **asked)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_head_of_other_sizes_is_refused(features_dir, tmp_path):
    small = "bilstm_attention(projection=4, units=2)"
    source = train_quickly(features_dir, tmp_path, run="a", head=small, epochs=1)["run"]
    with pytest.raises(
        ConfigError, match=r"same sizes, here .*kernel \(16, 8\). Received: \(16, 4\)"
    ):
        wide = "bilstm_attention(projection=8, units=2)"
        train_quickly(features_dir, tmp_path, head=wide, init_from=source)


def test_a_source_that_is_not_a_run_or_the_run_itself_is_refused(run_dir, features_dir, tmp_path):
    with pytest.raises(RunError, match="RUN must be a folder that train left"):
        train_quickly(features_dir, tmp_path, init_from=str(tmp_path / "typo"))
    before = sha256_of_file(run_dir / "best_model.keras")
    with pytest.raises(ConfigError, match="`init_from` must be another run"):
        train_quickly(features_dir, run_dir.parent, init_from=str(run_dir), force=True)
    assert sha256_of_file(run_dir / "best_model.keras") == before


def test_a_missing_copy_is_reported(run_dir, features_dir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epochs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, init_from=str(run_dir))
    (tmp_path / "run" / "state" / "initial_model.keras").unlink()
    with pytest.raises(TrainingError, match="must have initial_model.keras until"):
        train_quickly(features_dir, tmp_path, resume=True)


def test_a_dry_run_checks_it_too(run_dir, tmp_path):
    features = draw_features(tmp_path / "space", shape=(6, 9))
    config = TrainConfig.from_settings(
        {"features": str(features), "init_from": str(run_dir), "head": "linear", "run": "new"}
    )
    with pytest.raises(ConfigError, match="features of the same space"):
        TrainingStage(config).prepare()


@pytest.mark.slow
def test_a_dry_run_checks_the_sizes(features_dir, tmp_path):
    small = "mean_pool(projection=4, units=2)"
    source = train_quickly(features_dir, tmp_path, head=small, epochs=1)["run"]
    asked = {"features": str(features_dir), "init_from": source, "run": "new"}
    asked["checkpoint_dir"] = str(tmp_path)
    same = TrainConfig.from_settings({**asked, "head": small})
    assert TrainingStage(same).prepare().to_json()["dry_run"]
    wider = TrainConfig.from_settings({**asked, "head": "mean_pool(units=3)"})
    with pytest.raises(ConfigError, match="a run whose head has the same sizes"):
        TrainingStage(wider).prepare()


def test_an_ensemble_gives_no_initial_weights(run_dir, features_dir, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for path in run_dir.glob("*.*"):
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    results = Run(source).results()
    member = MemberResult(42, "seed_42", results.summary, results.scores.validation, None, 0.5)
    kept = KeptMembers([42], True, "the mean of the probabilities")
    members = MembersResult([member], None, None, kept)
    Run(source).write_results(dataclasses.replace(results, members=members))
    with pytest.raises(ConfigError, match="must be one model. Received: .*seed_42"):
        train_quickly(features_dir, tmp_path, init_from=str(source))
