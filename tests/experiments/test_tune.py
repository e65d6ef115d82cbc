"""A search is resumed after a kill, leaves a config for train, and never reads the test videos."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import tree_of
from support.training import train_quickly

from violence_detection import cli
from violence_detection.datasets.splitting import folds
from violence_detection.errors import ConfigError, TrainingError
from violence_detection.experiments.config import TuneConfig
from violence_detection.experiments.tuning import tune as tune_module
from violence_detection.experiments.tuning.tune import SearchStage, run_search
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import usable_entries
from violence_detection.models.run import Run
from violence_detection.models.training_results import TrainingResults
from violence_detection.system.study_folder import StudyFolder
from violence_detection.training.config import TrainConfig
from violence_detection.training.saving.checkpoint import Checkpoint
from violence_detection.training.train import train_classifier
from violence_detection.training.trainer import Trainer

optuna = pytest.importorskip("optuna")
SPACE = {"learning_rate": {"low": 1e-3, "high": 0.3, "log": True}}
KEYS = "study trials completed pruned failed best_trial best_value best_settings note"


def config_of(features, folder, *, space=SPACE, **settings) -> TuneConfig:
    quick = {"trials": 3, "epochs": 2, "head": "linear", "batch_size": 8}
    quick = {name: value for name, value in quick.items() if name not in (space or ())}
    if space:
        path = Path(features).parents[1] / "space.json"
        path.write_text(json.dumps(space))
        quick["space"] = str(path)
    places = {"features": str(features), "checkpoint_dir": str(folder)}
    return TuneConfig.from_flags({**quick, **places, **settings})


def tune(features, folder, *, force=False, **settings) -> dict:
    return run_search(config_of(features, folder, **settings), force=force).to_json()


def trials_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / "tune" / "trials.csv") as file:
        return list(csv.DictReader(file))


def chosen(folder: Path, *states) -> list[float]:
    return [float(row["learning_rate"]) for row in trials_of(folder)
            if row["state"] in states]  # fmt: skip


def interrupted_at(trial: int, epoch: int = 1):
    """A `Checkpoint.save` before which the program is interrupted in an epoch of a trial."""
    save, begun = Checkpoint.save, []

    def interrupting_save(self, variables, state):
        if self.folder not in begun:
            begun.append(self.folder)
        if (len(begun), len(state.history)) == (trial, epoch):
            raise KeyboardInterrupt
        save(self, variables, state)

    return interrupting_save


@pytest.fixture(scope="module")
def study(features_dir, tmp_path_factory):
    """The result of a search, and the folder of its study; not to be written to."""
    folder = tmp_path_factory.mktemp("study") / "checkpoints"
    return tune(features_dir, folder, trials=4), folder


@pytest.fixture
def copied(study, tmp_path) -> Path:
    """The study in a folder of its own."""
    return shutil.copytree(study[1], tmp_path / "c")


# -- what it leaves


@pytest.mark.slow
def test_a_study_holds_its_trials_and_the_best_settings(study):
    result, folder = study
    assert set(KEYS.split()) <= set(result)
    assert (result["trials"], result["completed"], result["failed"]) == (4, 4, 0)
    assert "best of 4 trials" in result["note"]
    rows = trials_of(folder)
    best = min(rows, key=lambda row: float(row["value"]))
    assert (int(best["number"]), float(best["value"])) == (
        result["best_trial"],
        result["best_value"],
    )
    assert result["best_settings"]["learning_rate"] == float(best["learning_rate"])
    names = {path.name for path in (folder / "tune").iterdir()}
    assert names - {".lock"} == {
        "best.json", "study.db", "trials.csv", "tune_config.json"}  # fmt: skip


@pytest.mark.slow
def test_the_best_settings_are_a_file_for_train(study, features_dir, tmp_path):
    """A training with them validates as the trial did."""
    result, _ = study
    settings = {"features": str(features_dir), "checkpoint_dir": str(tmp_path)}
    config = TrainConfig.from_flags(settings, json.loads(Path(result["best_config"]).read_text()))
    optimisation = config.optimisation
    assert config.model.head == "linear"
    assert (optimisation.epochs, optimisation.batch_size) == (2, 8)
    assert train_classifier(config).scores.validation.loss == pytest.approx(result["best_value"])


@pytest.mark.slow
def test_runs_are_kept_where_wanted(features_dir, tmp_path):
    result = tune(features_dir, tmp_path / "c", trials=1, keep_runs=True, folds=2)
    runs = sorted((Path(result["study"]) / "trials" / "0000").iterdir())
    assert [run.name for run in runs] == ["part_1_seed_42", "part_2_seed_42"]
    losses = [Run.open(run).results().scores.validation.loss for run in runs]
    assert sum(losses) / 2 == pytest.approx(result["best_value"])
    assert Run.open(runs[0]).results().scores.test is None


def test_a_dry_run_writes_nothing(features_dir, tmp_path):
    settings = {"features": str(features_dir), "checkpoint_dir": str(tmp_path)}
    planned = SearchStage(TuneConfig.from_flags({**settings, "folds": 3, "members": 2})).prepare()
    assert (planned["trainings_per_trial"], planned["videos"]) == (6, 24)
    assert "learning_rate" in planned["space"] and tree_of(tmp_path) == []


# -- the trials


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials(study, features_dir, tmp_path):
    again = tune(features_dir, tmp_path / "c", trials=2)
    assert again["completed"] == 2
    assert chosen(tmp_path / "c", "complete") == chosen(study[1], "complete")[:2]
    other = tune(features_dir, tmp_path / "d", trials=1, seed=1)
    assert other["best_settings"]["learning_rate"] not in chosen(study[1], "complete")


@pytest.mark.slow
def test_weight_averaging_may_be_fixed_or_searched(features_dir, tmp_path):
    """Neither is refused for the default patience."""
    searched = {"swa_fraction": [0.0, 0.5]}
    for name, settings in (
        ("fixed", {"swa_fraction": 0.5}),
        ("searched", {"space": searched}),
    ):
        result = tune(features_dir, tmp_path / name, trials=2, **settings)
        assert result["completed"] == 2


@pytest.mark.slow
def test_the_test_videos_are_not_read(features_dir, tmp_path, monkeypatch):
    read, read_clips = set(), dataset.read_dataset
    monkeypatch.setattr(
        dataset,
        "read_dataset",
        lambda cache, entries, classes: (
            read.update(entry.path for entry in entries) or read_clips(cache, entries, classes)
        ),
    )
    result = tune(features_dir, tmp_path / "c", trials=1, epochs=1, folds=2)
    assert result["videos"] == len(read) == 24
    assert not [path for path in read if "/test_" in path]


@pytest.mark.slow
@pytest.mark.parametrize(
    "monitor", ["val_auc", pytest.param("val_accuracy", marks=pytest.mark.thorough)]
)
def test_the_monitored_score_is_maximised(features_dir, tmp_path, monitor):
    result = tune(features_dir, tmp_path / "c", trials=2, monitor=monitor)
    values = [float(row["value"]) for row in trials_of(tmp_path / "c")]
    assert result["best_value"] == max(values)
    assert all(0 <= value <= 1 for value in values)


def test_folds_keep_recordings_together_and_use_each_video_once(features_dir):
    entries = [
        entry for entry in usable_entries(FeatureCache.open(features_dir)) if entry.split != "test"
    ]
    parts = folds.validation_folds(entries, 3, seed=0)
    held = [e.path for part in parts for e in part if e.split == "validation"]
    assert sorted(held) == sorted(entry.path for entry in entries)
    for part in parts:
        sides = {(entry.group, entry.split) for entry in part}
        assert len(sides) == len({entry.group for entry in part})
        for split in ("train", "validation"):
            labels = {entry.label for entry in part if entry.split == split}
            assert labels == {"normal", "violent"}


@pytest.mark.slow
@pytest.mark.parametrize("prune", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_trial_that_is_clearly_worse_is_pruned(features_dir, tmp_path, monkeypatch, prune):
    """A rate that moves nothing is worse than the median of those before."""
    monkeypatch.setattr(tune_module, "_WARMUP_EPOCHS", 0)
    monkeypatch.setattr(tune_module, "_FIRST_TRIALS", 1)
    rates = iter([0.05, 1e-9])
    monkeypatch.setattr(
        tune_module, "suggest_values", lambda *_: {"learning_rate": next(rates), "epochs": 4}
    )
    result = tune(features_dir, tmp_path / "c", trials=2, prune_trials=prune)
    states = [row["state"] for row in trials_of(tmp_path / "c")]
    assert states == ["complete", "pruned" if prune else "complete"]
    assert (result["completed"], result["pruned"]) == ((1, 1) if prune else (2, 0))


# -- resuming


@pytest.mark.slow
def test_an_interrupted_trial_runs_again(study, features_dir, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted_at(3))
        with pytest.raises(KeyboardInterrupt):
            tune(features_dir, tmp_path / "c", trials=4)
    assert len(trials_of(tmp_path / "c")) == 2
    result = tune(features_dir, tmp_path / "c", trials=4, resume=True)
    assert (result["trials"], result["retried"]) == (4, 1)
    rates = chosen(tmp_path / "c", "complete")
    assert len(rates) == 4 and rates[:3] == chosen(study[1], "complete")[:3]
    assert chosen(tmp_path / "c", "fail") == rates[2:3]
    assert not (tmp_path / "c" / "tune" / "trials").exists()


@pytest.mark.slow
def test_a_finished_study_gives_its_result_again_and_takes_more_trials(
    study, copied, features_dir, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epochs", None)
        again = tune(features_dir, copied, trials=4, resume=True)
    paths = {name: again[name] for name in ("study", "best_config", "trials_csv", "seconds")}
    assert again == study[0] | paths
    more = tune(features_dir, copied, trials=5, resume=True)
    assert more["trials"] == 5 and len(set(chosen(copied, "complete"))) == 5


@pytest.mark.slow
def test_no_trial_begins_after_the_timeout(copied, features_dir, monkeypatch):
    monkeypatch.setattr(Trainer, "run_epochs", None)
    late = tune(features_dir, copied, trials=9, timeout_s=1e-9, resume=True)
    assert late["trials"] == 4


@pytest.mark.slow
def test_a_training_that_breaks_is_a_failed_trial(features_dir, tmp_path, monkeypatch):
    run_epochs, broken = Trainer.run_epochs, []

    def breaks_once(self):
        if not broken:
            broken.append(self)
            raise TrainingError("The loss must stay finite. Received: NaN")
        run_epochs(self)

    monkeypatch.setattr(Trainer, "run_epochs", breaks_once)
    result = tune(features_dir, tmp_path / "c", trials=2)
    assert (result["trials"], result["completed"], result["failed"]) == (2, 1, 1)
    assert "Received: NaN" in trials_of(tmp_path / "c")[0]["reason"]
    broken.clear()
    with pytest.raises(TrainingError, match="must complete. Received: 1 failed"):
        tune(features_dir, tmp_path / "d", trials=1)


@pytest.mark.slow
def test_values_that_are_in_conflict_are_a_failed_trial(features_dir, tmp_path):
    space = {"ema_decay": [0.0, 0.9], "swa_fraction": [0.5]}
    result = tune(features_dir, tmp_path / "c", space=space, trials=6)
    assert result["completed"] and result["failed"]
    failed = [row for row in trials_of(tmp_path / "c") if row["state"] == "fail"]
    assert "`swa_fraction` must be 0" in failed[0]["reason"]


@pytest.mark.slow
def test_a_head_of_other_sizes_than_the_run_it_begins_with_is_a_failed_trial(
    features_dir, tmp_path
):
    head = "mean_pool(projection=4)"
    small = "mean_pool(projection=4, units=2)"
    began = train_quickly(features_dir, tmp_path, head=small, epochs=1)["run"]
    settings = {"init_from": began, "head": head, "epochs": 1, "trials": 6}
    space = {"head.units": [2, 3]}
    result = tune(features_dir, tmp_path / "c", space=space, **settings)
    assert result["completed"] and result["failed"]
    failed = [row for row in trials_of(tmp_path / "c") if row["state"] == "fail"]
    assert "`init_from` must be a run whose head" in failed[0]["reason"]


def test_settings_that_no_trial_can_have_leave_no_study(features_dir, tmp_path):
    for settings in (
        {"loss": "focal(alpha=7)"},
        {"augment": "jitter(frames=-1)"},
        {"space": {"augment": ["none", "jitter(frames=-1)"]}},
        {"space": {"loss": ["crossentropy", "focal(alpha=7)"]}},
        {"space": {"loss.alpha": {"low": 0.1, "high": 7.0}}},
    ):
        with pytest.raises(ConfigError, match="Received: (frames=-1|alpha=7)"):
            tune(features_dir, tmp_path / "c", **settings)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_study_from_before_a_setting_existed_resumes_with_its_former_value(copied, features_dir):
    path = copied / "tune" / "tune_config.json"
    recorded = json.loads(path.read_text())
    del recorded["settings"]["recording_weights"]
    path.write_text(json.dumps(recorded))
    with pytest.raises(ConfigError, match="weights=natural.*Received: .*weights=sqrt"):
        SearchStage(config_of(features_dir, copied, resume=True)).prepare()
    former = config_of(features_dir, copied, resume=True, recording_weights="natural")
    assert SearchStage(former).prepare()["dry_run"]


def test_losses_are_checked_for_the_number_of_classes(tmp_path):
    labels = ("normal", "fight", "robbery")
    features = draw_features(tmp_path / "space", counts=(24, 12, 0), labels=labels)
    for settings in (
        {"loss": "focal(alpha=0.3)"},
        {"space": {"loss.alpha": {"low": 0.1, "high": 0.9}}},
    ):
        with pytest.raises(ConfigError, match="alpha=0.[13] with 3 classes"):
            tune(features, tmp_path / "c", **settings)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_head_of_other_sizes_in_all_trials_leaves_no_study(features_dir, tmp_path):
    began = train_quickly(features_dir, tmp_path, head="mean_pool(units=2)", epochs=1)["run"]
    settings = {"init_from": began, "head": "mean_pool(units=3)"}
    with pytest.raises(ConfigError, match="a run whose head has the same sizes"):
        tune(features_dir, tmp_path / "c", **settings)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_with_weight_averaging_the_monitor_scores_the_trials(features_dir, tmp_path):
    """The best settings are a file for train all the same."""
    settings = {"swa_fraction": 0.5, "monitor": "val_auc", "trials": 1, "keep_runs": True}
    result = tune(features_dir, tmp_path / "c", **settings)
    run = tmp_path / "c" / "tune" / "trials" / "0000" / "part_1_seed_42"
    kept = Run.open(run).results()
    assert result["best_value"] == pytest.approx(kept.scores.validation.auc)
    assert kept.effective == train_with(result, features_dir, tmp_path).effective


def train_with(result, features, folder) -> TrainingResults:
    """The results of a training with the best settings of a search."""
    settings = json.loads(Path(result["best_config"]).read_text())
    places = {"features": str(features), "checkpoint_dir": str(folder)}
    return train_classifier(TrainConfig.from_flags({**settings, **places, "run": "best"}))


@pytest.mark.slow
def test_trials_of_other_lengths_are_compared_at_the_same_epochs(features_dir, tmp_path):
    """The second fold begins after the most epochs that the first can have."""
    space = {"epochs": [1, 3]}
    settings = {"folds": 2, "trials": 4, "prune_trials": False, "early_stopping_patience": 0}
    tune(features_dir, tmp_path / "c", space=space, **settings)
    storage = f"sqlite:///{tmp_path / 'c' / 'tune' / 'study.db'}"
    trials = optuna.load_study(study_name="tune", storage=storage).trials
    steps = {trial.params["epochs"]: sorted(trial.intermediate_values) for trial in trials}
    assert steps == {1: [1, 4], 3: [1, 2, 3, 4, 5, 6]}


PROGRAM = [sys.executable, "-c", "from violence_detection.cli import main; main()"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.thorough),
    ],
)
def test_a_killed_search_is_resumed(features_dir, tmp_path, sent, status):
    settings = ["--features", features_dir, "--checkpoint-dir", tmp_path, "--json"]
    settings += ["--head", "linear", "--epochs", 15, "--trials", 3, "--batch-size", 8]
    words = [*PROGRAM, "tune", *map(str, settings)]
    second = tmp_path / "tune" / "trials" / "0001"
    with subprocess.Popen(words, stdout=-3, stderr=-1, text=True) as process:
        deadline_s = time.monotonic() + 120
        while not list(second.glob("*/training_history.csv")):
            assert process.poll() is None and time.monotonic() < deadline_s
            time.sleep(0.005)
        process.send_signal(sent)
        stderr = process.communicate(timeout=30)[1]
    assert process.returncode == status, stderr
    done = CliRunner().invoke(cli.main, ["tune", *map(str, settings), "--resume"])
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["trials"], result["retried"]) == (3, 1)
    failed = [row for row in trials_of(tmp_path) if row["state"] == "fail"]
    assert [row["number"] for row in failed] == ["1"]


# -- error


@pytest.mark.slow
def test_an_existing_study_needs_resume_or_force(study, features_dir):
    stage = SearchStage(config_of(features_dir, study[1]))
    for act in (stage.prepare, stage.run):
        with pytest.raises(ConfigError, match="--resume or --force must be given"):
            act()


@pytest.mark.parametrize("flags", [{}, {"force": True}])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_refused(features_dir, tmp_path, flags, resume):
    (tmp_path / "c" / "tune").mkdir(parents=True)
    (tmp_path / "c" / "tune" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="it exists and is not a study"):
        SearchStage(config_of(features_dir, tmp_path / "c", resume=resume), **flags).prepare()


@pytest.mark.slow
def test_force_starts_a_new_study_and_resume_beats_it(copied, features_dir):
    again = tune(features_dir, copied, trials=4, resume=True, force=True)
    assert again["trials"] == 4
    assert tune(features_dir, copied, trials=1, force=True)["trials"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 3}, "other settings .epochs=2.*Received: epochs=3"),
        ({"space": {"weight_decay": [0.1, 0.2]}}, "another search space"),
        ({"folds": 2}, "folds=None.*Received: folds=2"),
    ],
)
def test_a_study_is_resumed_with_the_same_settings_and_space(study, features_dir, changed, message):
    config = config_of(features_dir, study[1], resume=True, **changed)
    with pytest.raises(ConfigError, match=message):
        SearchStage(config).prepare()


@pytest.mark.slow
def test_the_space_may_be_read_from_another_file(study, features_dir, tmp_path):
    moved = tmp_path / "moved.json"
    moved.write_text(json.dumps(SPACE, indent=4))
    config = config_of(features_dir, study[1], resume=True)
    SearchStage(config.with_settings(space=str(moved))).prepare()


@pytest.mark.slow
def test_a_study_is_locked_and_resumed_with_the_same_videos(study, features_dir):
    others = draw_features(features_dir.parents[1] / "others" / "space", seed=5)
    with pytest.raises(ConfigError, match="another videos_digest"):
        tune(others, study[1], resume=True)
    folder = StudyFolder(study[1] / "tune", "study", "tune_config.json", TuneConfig)
    with folder.lock(), pytest.raises(ConfigError, match="in use by another process"):
        tune(features_dir, study[1], resume=True)


def test_without_optuna_the_extra_is_named(features_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install .*\[tune\]'"):
        tune(features_dir, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_more_folds_than_recordings_are_refused(features_dir, tmp_path):
    with pytest.raises(ConfigError, match="Received: folds=9, and 6 of normal, 6 of"):
        tune(features_dir, tmp_path / "c", folds=9)


def test_features_must_be_given(tmp_path):
    with pytest.raises(ConfigError, match="--features must be given"):
        run_search(TuneConfig.from_settings({"checkpoint_dir": str(tmp_path)}))


@pytest.mark.slow
def test_trials_may_begin_with_a_run(run_dir, features_dir, tmp_path):
    settings = {"init_from": str(run_dir), "epochs": 1, "trials": 1}
    space = {"learning_rate": [1e-9]}
    warm = tune(features_dir, tmp_path / "c", space=space, **settings)
    assert warm["best_settings"]["init_from"] == str(run_dir)
    loss = Run.open(run_dir).results().scores.validation.loss
    assert warm["best_value"] == pytest.approx(loss, rel=1e-4)
    cold = train_quickly(features_dir, tmp_path, epochs=1, learning_rate=1e-9)
    assert cold["validation"]["loss"] != pytest.approx(loss, rel=1e-4)
