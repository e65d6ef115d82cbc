"""Members that differ in their seed: each is a run, and one model of them is kept."""

import dataclasses
import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.trainers import interrupt
from support.training import read_history, train_quickly

from violence_detection.evaluation import evaluate
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.training.optimisation import step_builder
from violence_detection.training.trainer import Trainer
from violence_detection.training.training_job import TrainingJob

pytestmark = pytest.mark.slow  # its fixtures train or extract

SEEDS = ("seed_7", "seed_8", "seed_9")
# Dropout: else the seed decides the order of the videos only.
ASKED = {"seed": 7, "members": 3, "head": "linear(dropout=0.5)", "learning_rate": 0.05}


def clips_of(features: Path, split: str) -> np.ndarray:
    cache = FeatureCache.open(features)
    rows = [row for row in cache.entries() if row.split == split]
    return np.stack([cache.read_array(row, (6, 8)) for row in rows])


def weights(run: Path) -> np.ndarray:
    loaded = classifier.load_model(run / "best_model.keras")
    return np.concatenate([np.ravel(array) for array in loaded.get_weights()])


@pytest.fixture(scope="module")
def members(features_dir, tmp_path_factory) -> dict:
    return train_quickly(features_dir, tmp_path_factory.mktemp("members"), **ASKED)


@pytest.fixture(scope="module")
def ensemble(features_dir, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("ensemble")
    return train_quickly(features_dir, folder, **ASKED, ensemble=True)


# -- relation


def test_a_member_is_the_run_of_its_seed(members, features_dir, tmp_path):
    alone = train_quickly(features_dir, tmp_path, **ASKED | {"members": 1, "seed": 8})
    member = Path(members["run"]) / "seed_8"
    np.testing.assert_array_equal(weights(member), weights(Path(alone["run"])))
    assert read_history(member) == read_history(Path(alone["run"]))
    results = Run.open(member).results().to_json()
    for name in ("validation", "test", "threshold", "best_epoch"):
        assert results[name] == alone[name]


def test_members_differ(members):
    run = Path(members["run"])
    first, second, third = (weights(run / name) for name in SEEDS)
    assert not np.allclose(first, second) and not np.allclose(second, third)
    tables = [(run / name / "training_videos.csv").read_bytes() for name in SEEDS]
    assert len(set(tables)) == 1


def test_what_was_got_is_what_all_members_got(features_dir, tmp_path, monkeypatch):
    """Whether XLA is faster is measured by each."""

    def effective_in(self, trainer):
        return dataclasses.replace(self.effective, xla=trainer.settings.seed == 7)

    monkeypatch.setattr(TrainingJob, "effective_in", effective_in)
    asked = ASKED | {"members": 2, "epochs": 1}
    result = train_quickly(features_dir, tmp_path, **asked)
    run = Run.open(result["run"])
    assert result["effective"]["xla"] is run.results().effective.xla is False
    members = [Run.open(run.dir / name).results() for name in SEEDS[:2]]
    assert [member.effective.xla for member in members] == [True, False]


def test_each_member_has_a_trace(features_dir, tmp_path):
    asked = ASKED | {"members": 2, "epochs": 2, "profile": "1,2"}
    rows = train_quickly(features_dir, tmp_path, **asked)["seeds"]
    assert [row["profiled_steps"] for row in rows] == [[1, 2], [1, 2]]


def test_the_member_with_the_lowest_validation_loss_is_kept(members):
    run = Path(members["run"])
    rows = members["seeds"]
    best = min(rows, key=lambda row: row["validation"]["loss"])
    assert members["kept"]["seeds"] == [best["seed"]]
    assert members["kept"]["ensemble"] is False
    for name in ("validation", "test", "threshold", "best_epoch", "epochs_run"):
        assert members[name] == best[name]
    np.testing.assert_array_equal(weights(run), weights(run / best["run"]))
    assert read_history(run) == read_history(run / best["run"])


def test_mean_and_deviation_are_over_the_members(members):
    for split in ("validation", "test"):
        for name in ("accuracy", "auc", "loss"):
            values = [row[split][name] for row in members["seeds"]]
            summary = members["over_seeds"][split][name]
            assert summary["mean"] == pytest.approx(np.mean(values))
            assert summary["sd"] == pytest.approx(statistics.stdev(values))


def test_the_ensemble_answers_the_mean_of_the_probabilities(ensemble, features_dir):
    run, clips = Path(ensemble["run"]), clips_of(features_dir, "test")
    of_members = [
        classifier.probabilities(classifier.load_model(run / name / "best_model.keras"), clips)
        for name in SEEDS
    ]
    model = classifier.load_model(run / "best_model.keras")
    of_ensemble = classifier.probabilities(model, clips)
    np.testing.assert_allclose(of_ensemble, np.mean(of_members, axis=0), atol=1e-6)
    assert np.abs(of_members[0] - of_members[1]).max() > 1e-3
    assert ensemble["kept"]["seeds"] == [7, 8, 9] and ensemble["kept"]["ensemble"]


def test_an_ensemble_is_a_run_like_any_other(ensemble):
    evaluated = evaluate.evaluate_run(ensemble["run"], EvaluateConfig(bootstrap=100))
    assert evaluated.accuracy == ensemble["test"]["accuracy"]
    assert evaluated.auc == pytest.approx(ensemble["test"]["auc"])
    member = evaluate.evaluate_run(f"{ensemble['run']}/seed_8", EvaluateConfig(bootstrap=100))
    assert member.auc == pytest.approx(ensemble["seeds"][1]["test"]["auc"])


def test_one_seed_leaves_what_it_always_left(run_dir):
    results = Run.open(run_dir).results().to_json()
    assert not {"seeds", "over_seeds", "kept"} & results.keys()
    assert not list(run_dir.glob("seed_*"))


# -- going on


def test_what_is_finished_is_not_trained_again(members, features_dir, tmp_path, monkeypatch):
    """Interrupted in the second epoch of the second member, it goes on right there."""
    interrupt(features_dir, tmp_path, epoch=2, training=2, **ASKED)
    run_epochs, seeds = Trainer.run_epochs, []

    def noted(self):
        run_epochs(self)
        seeds.append((self.settings.seed, self.resumed_from_epoch))

    monkeypatch.setattr(Trainer, "run_epochs", noted)
    result = train_quickly(features_dir, tmp_path, **ASKED, resume=True)
    assert seeds == [(8, 1), (9, 0)]
    assert result["seeds"] == members["seeds"] and result["kept"] == members["kept"]
    again = train_quickly(features_dir, tmp_path, **ASKED, resume=True)
    assert again == result


@pytest.mark.thorough  # an interruption, above, and a kill of one training do the same
def test_a_kill_in_the_third_member_resumes_there(features_dir, tmp_path):
    program = "from violence_detection.cli import main; main()"
    asked = ["--features", features_dir, "--checkpoint-dir", tmp_path, "--run", "run"]
    asked += ["--head", "linear", "--epochs", 40, "--members", 3, "--seed", 7, "--json"]
    asked += ["--early-stopping-patience", 0, "--deterministic"]
    words = [sys.executable, "-c", program, "train", *map(str, asked)]
    third = tmp_path / "run" / "seed_9" / "training_history.csv"
    with subprocess.Popen(words, stdout=-3, stderr=-3) as process:
        deadline_s = time.monotonic() + 120
        while not (third.is_file() and third.read_text().count("\n") > 5):
            assert process.poll() is None and time.monotonic() < deadline_s
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    before = {name: (tmp_path / "run" / name).stat().st_mtime_ns for name in SEEDS[:2]}
    done = subprocess.run([*words, "--resume"], capture_output=True, check=True)
    result = json.loads(done.stdout)
    assert [row["epochs_run"] for row in result["seeds"]] == [40, 40, 40]
    assert Run.open(tmp_path / "run" / "seed_9").results().summary.resumed_from_epoch >= 4
    for name, time_ns in before.items():
        assert (tmp_path / "run" / name).stat().st_mtime_ns == time_ns


# -- error


def test_force_keeps_members_if_the_model_cannot_be_built(features_dir, tmp_path, monkeypatch):
    train_quickly(features_dir, tmp_path, members=2, epochs=1)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(step_builder, "build_classifier", never)
    with pytest.raises(AssertionError):
        train_quickly(features_dir, tmp_path, members=2, force=True)
    assert Run.open(tmp_path / "run" / "seed_43").finished
