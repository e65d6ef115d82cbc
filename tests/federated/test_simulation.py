"""A federation on one machine: beside `train`, beside the pool of its sites, and interrupted."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.features import draw_features
from support.training import train_quickly

from violence_detection.errors import CacheError, ConfigError
from violence_detection.evaluation.config import EvaluateConfig
from violence_detection.evaluation.evaluate import evaluate_run
from violence_detection.features.cache import FeatureCache
from violence_detection.federated.config import SimulateConfig
from violence_detection.federated.local_training import LocalTraining
from violence_detection.federated.simulation import FederationResult, SimulationStage
from violence_detection.models.classifier import load_model
from violence_detection.models.run import Run

pytestmark = pytest.mark.slow

SETTINGS = {"head": "linear", "rounds": 2, "local_epochs": 2, "learning_rate": 0.02}


def federate(clients, folder: Path, *, force=False, **settings) -> FederationResult:
    asked = {"checkpoint_dir": str(folder), "run": "federated", "batch_size": 8}
    config = SimulateConfig.from_flags(asked | SETTINGS | settings)
    return SimulationStage([str(client) for client in clients], config, force=force).run()


def weights_of(run: str | Path) -> list[np.ndarray]:
    return [np.array(weight) for weight in load_model(Run(Path(run)).model_path).get_weights()]


def pool(sites, folder: Path) -> Path:
    """One folder of features with the videos of all sites; their recordings stay apart."""
    draw_features(folder, counts=(0, 0, 0))
    cache, entries = FeatureCache(folder), []
    for number, site in enumerate(map(FeatureCache, sites)):
        for entry in site.entries():
            array = site.read_array(entry, (6, 8))
            key, group = f"{number}/{entry.path}", f"{number} {entry.group}"
            cache.write_arrays(key, array[None])
            entries.append(replace(entry, path=key, group=group))
    cache.write_manifest(entries)
    return folder


@pytest.mark.parametrize("head", ["linear", "bilstm_attention"])
def test_one_site_is_the_training_of_train_to_the_bit(site_dirs, tmp_path, head):
    shared = {"head": head, "learning_rate": 0.02, "recording_weights": "sqrt"}
    trained = train_quickly(site_dirs[1], tmp_path, epochs=4, monitor="none", **shared)
    result = federate(site_dirs[1:2], tmp_path, **shared)
    pairs = zip(weights_of(trained["run"]), weights_of(result.results.run), strict=True)
    assert all(np.array_equal(alone, federated) for alone, federated in pairs)
    scores = result.results.scores
    assert scores.validation.accuracy == trained["validation"]["accuracy"]
    assert scores.validation.loss == pytest.approx(trained["validation"]["loss"], abs=0.01)
    assert result.rounds[1].mean("loss") == pytest.approx(
        np.mean([float(row["loss"]) for row in Run(Path(trained["run"])).history()[:2]])
    )


def test_a_full_batch_step_of_sgd_of_all_sites_is_the_step_on_their_pool(site_dirs, tmp_path):
    step = {
        "rounds": 1,
        "local_epochs": 1,
        "optimizer": "sgd",
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "global_clipnorm": 0.0,
        "batch_size": 64,
        "learning_rate": 5.0,
        "weight_decay": 0.0,
    }
    apart = federate(site_dirs, tmp_path, **step)
    pooled = federate([pool(site_dirs, tmp_path / "pool")], tmp_path, run="pooled", **step)
    videos = [site.videos["train"] for site in apart.sites]
    assert videos == [16, 24, 10] and pooled.sites[0].videos["train"] == sum(videos)
    far = 0.0
    for several, one in zip(
        weights_of(apart.results.run), weights_of(pooled.results.run), strict=True
    ):
        np.testing.assert_allclose(several, one, rtol=1e-6, atol=1e-7)
        far = max(far, np.abs(one).max())
    assert far > 0.01  # the step went somewhere


def test_what_a_federation_leaves_is_a_run_that_names_no_video(site_dirs, tmp_path):
    result = federate(site_dirs, tmp_path, site_names="north, south,east")
    run = Run.open(result.results.run)
    record = run.record()
    assert record.classes == ["normal", "violent"] and record.window_s == 2.0
    assert not (run.dir / "sites").exists() and not (run.dir / "updates").exists()
    texts = [path.read_text() for path in run.dir.glob("*.*") if path.suffix in (".json", ".csv")]
    for text in [*texts, (run.dir / "MODEL_CARD.md").read_text()]:
        assert "train_1.mp4" not in text and str(site_dirs[0].parent) not in text
    card = (run.dir / "MODEL_CARD.md").read_text()
    assert "Federated over 3 sites" in card and "| 2 (south) | 12 | 12 | 8 |" in card
    with open(run.dir / "rounds.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["site"] for row in rows] == ["1", "2", "3"] * 4
    assert [row["epoch"] for row in run.history()] == [1, 2]
    assert all(row["val_loss"] > 0 for row in run.history())
    assert (
        federate(site_dirs, tmp_path, site_names="north, south,east").to_json() == result.to_json()
    )
    with pytest.raises(ConfigError, match="other settings"):
        federate(site_dirs, tmp_path, site_names="north, south,east", rounds=3)
    with pytest.raises(ConfigError, match="--site-names"):
        federate(site_dirs, tmp_path, run="new", site_names="north")


def test_a_site_finds_its_own_leaks_in_an_evaluation(site_dirs, tmp_path):
    run = federate(site_dirs[:2], tmp_path).results.run
    elsewhere = "the run is federated and lists no videos of other sites"
    for features, split, clean in (
        (site_dirs[0], "test", True),
        (site_dirs[0], "all", False),  # its own training videos are among them
        (site_dirs[2], "all", True),  # no site of the federation: nothing is known
    ):
        asked = {"features": str(features), "split": split, "bootstrap": 100}
        result = evaluate_run(run, EvaluateConfig.from_flags(asked), force=True)
        assert result.clean is clean
        assert elsewhere in result.near_duplicates_reason
    with pytest.raises(CacheError, match="at the sites of the federation"):
        evaluate_run(run, EvaluateConfig())


def test_an_interrupted_federation_goes_on_as_if_it_had_not_been(site_dirs, tmp_path, monkeypatch):
    whole = federate(site_dirs[:2], tmp_path, run="whole")
    epochs = []
    save = LocalTraining.save_epoch

    def killed(self, *args):
        save(self, *args)
        epochs.append(1)
        if len(epochs) in (1, 4, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(LocalTraining, "save_epoch", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            federate(site_dirs[:2], tmp_path)
    resumed = federate(site_dirs[:2], tmp_path)
    assert len(epochs) == 8  # no epoch of two sites and two rounds was trained twice
    pairs = zip(weights_of(whole.results.run), weights_of(resumed.results.run), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_sites_that_do_not_fit_are_left_out_and_named(site_dirs, tmp_path):
    names = {
        "space": draw_features(tmp_path / "a" / "space", shape=(6, 9)),
        "labels": draw_features(tmp_path / "b" / "space", labels=("cat", "dog", "cow"), seed=9),
        "empty": draw_features(tmp_path / "c" / "space", counts=(0, 4, 4), seed=8),
        "normal": draw_features(tmp_path / "d" / "space", labels=("normal",), seed=7),
        "twice": Path(shutil.copytree(site_dirs[0], tmp_path / "e" / "space")),
    }
    result = federate([*site_dirs, *names.values()], tmp_path, site_names=None)
    assert [site.number for site in result.sites] == [1, 2, 3, 4]
    assert result.sites[3].by_class == {"normal": 16, "violent": 0}  # one class is enough
    reasons = {item.what: item.reason for round_, item in result.left_out}
    assert {round_ for round_, _ in result.left_out} == {0}
    assert "another space (dim 9, not 8)" in reasons["0004.npz"]
    assert "its classes are cat" in reasons["0005.npz"]
    assert "must have training videos" in reasons["site 6"]
    assert "its videos are those of 0001.npz" in reasons["0008.npz"]


def test_a_strong_pull_keeps_the_weights_of_the_start(site_dirs, tmp_path):
    free = federate(site_dirs, tmp_path, run="free")
    held = federate(site_dirs, tmp_path, run="held", algorithm="fedprox", proximal=1000.0)
    kernels = [weights_of(result.results.run)[0] for result in (free, held)]
    assert 0 < np.abs(kernels[1]).max() < 0.3 * np.abs(kernels[0]).max()
    record = json.loads((tmp_path / "held" / "training_config.json").read_text())
    assert record["federation"]["algorithm"] == "fedprox"
