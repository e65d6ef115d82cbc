"""What a tracker is sent of a training; the trackers are stand-ins with the calls of the real
ones."""

import sys
import types

import pytest
from support.training import train_quickly

from violence_detection.errors import ConfigError
from violence_detection.training.monitoring import trackers


class MlflowStore:
    """The calls of MlflowClient that are used, and what they wrote."""

    def __init__(self, uri=None):
        self.uri, self.runs, self.experiments = uri, {}, []

    def __call__(self, uri):
        self.uri = uri
        return self

    def get_experiment_by_name(self, name):
        found = name in self.experiments
        return types.SimpleNamespace(experiment_id=name) if found else None

    def create_experiment(self, name):
        self.experiments.append(name)
        return name

    def create_run(self, experiment, run_name):
        self.runs[run_name] = {"params": {}, "metrics": {}, "files": [], "ended": False}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_name))

    def log_batch(self, run, params):
        assert len(params) <= 100
        self.runs[run]["params"].update(params)

    def log_metric(self, run, name, value, step):
        self.runs[run]["metrics"].setdefault(name, {})[step] = value

    def log_artifact(self, run, path):
        self.runs[run]["files"].append(path.rpartition("/")[2])

    def set_terminated(self, run):
        self.runs[run]["ended"] = True


def install(monkeypatch, name, **attributes):
    module = types.ModuleType(name)
    vars(module).update(attributes)
    module.__spec__ = types.SimpleNamespace(name=name)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def mlflow(monkeypatch):
    store = MlflowStore()
    install(monkeypatch, "mlflow", MlflowClient=store)
    install(monkeypatch, "mlflow.entities", Param=lambda key, value: (key, value))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return store


@pytest.mark.slow
def test_settings_epochs_and_results_are_sent_and_no_path_of_the_machine(
    mlflow, features_dir, tmp_path
):
    result = train_quickly(features_dir, tmp_path, tracker="mlflow", epochs=3)
    assert mlflow.uri == (tmp_path / "mlruns").as_uri() and mlflow.experiments == ["drawn"]
    (sent,) = mlflow.runs.values()
    assert sent["ended"] and sent["files"] == ["MODEL_CARD.md"]
    assert list(sent["metrics"]["val_auc"]) == [1, 2, 3] and list(sent["metrics"]["loss"])
    assert sent["metrics"]["validation_auc"] == {0: result["validation"]["auc"]}
    assert sent["params"]["head"] == "linear" and sent["params"]["features"] == "space"
    assert "backbone" not in sent["params"]  # it has no effect on given features
    assert not [value for value in sent["params"].values() if str(tmp_path) in value]


@pytest.mark.slow
def test_several_seeds_are_a_tracked_run_each_and_one_for_the_kept_model(
    mlflow, features_dir, tmp_path
):
    train_quickly(features_dir, tmp_path, tracker="mlflow", epochs=1, members=2)
    assert list(mlflow.runs) == ["run seed 42", "run seed 43", "run"]
    assert all(run["ended"] for run in mlflow.runs.values())
    assert "val_auc" in mlflow.runs["run seed 43"]["metrics"]
    assert "validation_auc" in mlflow.runs["run"]["metrics"]


@pytest.mark.slow
def test_a_tracker_that_fails_is_named_once_and_the_training_goes_on(
    mlflow, features_dir, tmp_path, monkeypatch, caplog
):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(mlflow, "log_metric", refuse, raising=False)
    with caplog.at_level("WARNING", "violence_detection"):
        assert train_quickly(features_dir, tmp_path, tracker="mlflow")["epochs_run"] == 3
    lines = [line for line in caplog.messages if "--tracker" in line]
    assert len(lines) == 1 and "no route to host" in lines[0]


@pytest.mark.slow
def test_wandb_has_the_same(features_dir, tmp_path, monkeypatch):
    opened = []

    class Tracked:
        def __init__(self, **given):
            self.given, self.rows, self.summary, self.saved = given, {}, {}, []
            self.finished = False
            opened.append(self)

        def log(self, numbers, step):
            self.rows[step] = numbers

        def save(self, path, base_path, policy):
            self.saved.append(path)

        def finish(self):
            self.finished = True

    install(monkeypatch, "wandb", init=lambda **given: Tracked(**given))
    result = train_quickly(features_dir, tmp_path, tracker="wandb")
    (tracked,) = opened
    assert (tracked.given["project"], tracked.given["name"]) == ("drawn", "run")
    assert tracked.given["config"]["epochs"] == 3 and list(tracked.rows) == [1, 2, 3]
    assert tracked.summary["validation_auc"] == result["validation"]["auc"]
    assert tracked.finished and tracked.saved[0].endswith("MODEL_CARD.md")


def test_a_tracker_that_is_not_installed_is_refused_before_the_training(
    features_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"violence-detection\[wandb\]"):
        train_quickly(features_dir, tmp_path, tracker="wandb")
    assert not (tmp_path / "run").exists()
