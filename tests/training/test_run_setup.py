"""A run is started, replaced or resumed, and nothing that exists is lost."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.features import draw_features
from support.folders import tree_of
from support.trainers import interrupt
from support.training import history_columns, read_history, train_quickly

from violence_detection import cli
from violence_detection.errors import (
    CacheError,
    ConfigError,
    RunError,
    TrainingError,
    ViolenceDetectionError,
)
from violence_detection.features.cache import FeatureCache
from violence_detection.models import classifier
from violence_detection.models.run import Run
from violence_detection.system import devices, files
from violence_detection.training.config import TrainConfig
from violence_detection.training.optimisation import step_builder
from violence_detection.training.saving import run_setup
from violence_detection.training.saving.checkpoint import Checkpoint
from violence_detection.training.train import train_classifier
from violence_detection.training.trainer import Trainer

PROGRAM = [sys.executable, "-c", "from violence_detection.cli import main; main()"]


def weights(path: Path) -> np.ndarray:
    return np.concatenate([np.ravel(array) for array in classifier.load_model(path).get_weights()])


def _never(*_, **__):
    raise AssertionError("nothing is to be trained")


@pytest.fixture(scope="module")
def interrupted_run(features_dir, tmp_path_factory) -> Path:
    """A run that was interrupted in its second epoch of three; not to be written to."""
    folder = tmp_path_factory.mktemp("interrupted")
    interrupt(features_dir, folder)
    return folder / "run"


@pytest.fixture
def resumable(interrupted_run, tmp_path) -> Path:
    """An interrupted run of its own."""
    return Path(shutil.copytree(interrupted_run, tmp_path / "run"))


@pytest.fixture
def finished(run_dir, tmp_path) -> Path:
    """A finished run of its own."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))


# -- a new run


@pytest.mark.slow
def test_runs_without_a_name_get_fresh_ones(features_dir, tmp_path):
    runs = {train_quickly(features_dir, tmp_path, epochs=1, run=None)["run"] for _ in range(2)}
    assert len(runs) == 2


# -- a resumed run


@pytest.mark.slow
def test_an_interrupted_training_ends_as_the_uninterrupted_one(features_dir, tmp_path):
    asked = {"epochs": 6, "head": "linear(dropout=0.5)", "checkpoint_epochs": 6}
    whole = Path(train_quickly(features_dir, tmp_path / "whole", **asked)["run"])
    interrupt(features_dir, tmp_path / "broken", epoch=4, **asked)
    assert len(read_history(tmp_path / "broken" / "run")) == 4
    result = train_quickly(features_dir, tmp_path / "broken", **asked, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (3, 6)
    last = "checkpoint_epoch_0006.keras"
    np.testing.assert_allclose(
        weights(tmp_path / "broken" / "run" / last), weights(whole / last), atol=1e-6
    )
    assert [row["epoch"] for row in read_history(tmp_path / "broken" / "run")] == list("123456")


@pytest.mark.slow
def test_an_interrupted_training_draws_what_the_uninterrupted_one_would_have(
    features_dir, tmp_path
):
    asked = {"epochs": 4, "checkpoint_epochs": 4, "sampling": "sqrt"}
    asked |= {"augment": "jitter+frame_dropout+reverse+noise+mixup+cutmix"}
    names = ("loss", "val_loss", "gradient_norm")
    train_quickly(features_dir, tmp_path / "whole", **asked)
    interrupt(features_dir, tmp_path / "broken", epoch=3, **asked)
    train_quickly(features_dir, tmp_path / "broken", **asked, resume=True)
    whole, broken = (
        history_columns(tmp_path / name / "run", *names) for name in ("whole", "broken")
    )
    assert whole.shape == (4, len(names))
    np.testing.assert_allclose(broken, whole, rtol=1e-5)


@pytest.mark.slow
def test_a_finished_run_prints_its_result_again(run_dir, monkeypatch):
    monkeypatch.setattr(Trainer, "run_epochs", _never)
    before = tree_of(run_dir)
    config = TrainConfig(checkpoint_dir=str(run_dir.parent), run="run", resume=True)
    assert train_classifier(config) == Run.open(run_dir).results()
    assert tree_of(run_dir) == before


@pytest.mark.slow
def test_a_run_of_before_the_renaming_of_settings_is_resumed(run_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "run_epochs", _never)
    path = Path(shutil.copytree(run_dir, tmp_path / "run")) / "training_config.json"
    record = json.loads(path.read_text())
    for former, new in {"seeds": "members", "clip_norm": "global_clipnorm"}.items():
        record["settings"][former] = record["settings"].pop(new)
    path.write_text(json.dumps(record))
    asked = {"checkpoint_dir": str(tmp_path), "run": "run", "resume": True}
    assert train_classifier(TrainConfig.from_flags(asked)).to_json()["epochs_run"]
    with pytest.raises(ConfigError, match="global_clipnorm=1.0. Received: global_clipnorm=0.5"):
        train_classifier(TrainConfig.from_flags(asked | {"global_clipnorm": 0.5}))


@pytest.mark.slow
def test_a_run_that_another_training_finished_meanwhile_is_not_trained_again(
    features_dir, tmp_path, resumable, monkeypatch
):
    start, finished = devices.start, []

    def while_another_finishes(**asked):
        if not finished:
            finished.append(None)
            finished.append(train_quickly(features_dir, tmp_path, resume=True))
        return start(**asked)

    monkeypatch.setattr(devices, "start", while_another_finishes)
    assert train_quickly(features_dir, tmp_path, resume=True) == finished[1]


@pytest.mark.slow
def test_resume_without_a_name_takes_the_newest_run(features_dir, tmp_path):
    train_quickly(features_dir, tmp_path, run="older", epochs=1)
    interrupt(features_dir, tmp_path, run="newer")
    config = TrainConfig(checkpoint_dir=str(tmp_path), resume=True)
    assert Path(train_classifier(config).run).name == "newer"


@pytest.mark.slow
def test_resume_of_nothing_starts_anew(features_dir, tmp_path):
    result = train_quickly(features_dir, tmp_path, epochs=1, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (0, 1)


@pytest.mark.slow
def test_a_run_killed_before_its_first_state_starts_anew(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, epoch=1)
    result = train_quickly(features_dir, tmp_path, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (0, 3)
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == list("123")


@pytest.mark.slow
def test_a_damaged_state_costs_an_epoch_but_not_the_run(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, epoch=3)
    state = tmp_path / "run" / "state" / "training_state.bin"
    state.write_bytes(state.read_bytes()[:-7])
    result = train_quickly(features_dir, tmp_path, resume=True)
    assert result["resumed_from_epoch"] == 1
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == list("123")


@pytest.mark.slow
def test_a_run_interrupted_before_its_features_were_made_is_found_again(
    features_dir, tmp_path, monkeypatch
):
    train_quickly(features_dir, tmp_path, run="older", epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "open", _interrupting)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, run=None, epochs=2)
    assert Run.newest(tmp_path).dir.name != "older"
    result = train_quickly(features_dir, tmp_path, run=None, epochs=2, resume=True)
    assert (Path(result["run"]).name != "older", result["epochs_run"]) == (True, 2)


def test_two_trainings_started_in_one_second_have_their_own_runs(tmp_path):
    run = Run.named(tmp_path, None)
    unnamed = {"new": True, "or_next": True}
    with run_setup.locked_run(run, {}, **unnamed) as first:
        with run_setup.locked_run(run, {}, **unnamed) as second:
            assert first.dir != second.dir
        again = run_setup.locked_run(run, {}, new=True, or_next=False)
        with pytest.raises(ConfigError, match="another training has taken it"):
            again.__enter__()


@pytest.mark.slow
@pytest.mark.parametrize("said", ["features", "checkpoint_dir"])
def test_a_run_goes_on_where_it_and_its_features_are_now(tmp_path, said):
    features = draw_features(tmp_path / "cache" / "space")
    interrupt(features, tmp_path / "runs")
    if said == "features":
        features = features.rename(tmp_path / "moved")
        features.with_name("splits.csv").unlink(missing_ok=True)
    else:
        (tmp_path / "runs").rename(tmp_path / "elsewhere")
    runs = tmp_path / ("runs" if said == "features" else "elsewhere")
    result = train_quickly(features, runs, resume=True)
    assert result["resumed_from_epoch"] == 1


def _interrupting(config):
    raise KeyboardInterrupt


def _words(features, folder, *flags) -> list[str]:
    """A command that trains 24 epochs."""
    common = ["train", "--features", features, "--checkpoint-dir", folder, "--run", "run", "--json"]
    quick = ["--epochs", 24, "--head", "linear(dropout=0.5)", "--checkpoint-epochs", 24]
    asked = [*common, *quick, "--batch-size", 8, "--early-stopping-patience", 0, *flags]
    return list(map(str, asked))


def _start(*words) -> subprocess.Popen:
    """The command in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*PROGRAM, *_words(*words)], **pipes, text=True)


def _ran(*words) -> dict:
    """The JSON object of the command in this process."""
    ran = CliRunner().invoke(cli.main, _words(*words))
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def _after_epochs(process, run: Path, epochs: int) -> None:
    """Wait until the history has some epochs; TensorFlow alone takes a minute on a busy machine."""
    deadline_s = time.monotonic() + 300
    path = run / "training_history.csv"
    while not (path.is_file() and path.read_text().count("\n") > epochs):
        assert process.poll() is None and time.monotonic() < deadline_s, process.communicate()
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "kills"),
    [
        (
            "--ema-decay 0.9 --sam-rho 0.05 --schedule one_cycle --sampling balanced "
            "--augment mixup+jitter+noise --head linear(dropout=0.3)",
            (12,),
        ),
        pytest.param(  # twice
            "--ema-decay 0.9 --sam-rho 0.05 --schedule one_cycle --sampling balanced "
            "--augment mixup+jitter+noise --head linear(dropout=0.3)",
            (4, 12),
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "--virtual-devices 2 --swa-fraction 0.5 --gradient-accumulation 2",
            (14,),  # in the averaging; the last ten epochs take only a third of a second
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_a_killed_training_ends_in_the_same_bits(features_dir, tmp_path, flags, kills):
    flags = flags.split()
    _ran(features_dir, tmp_path / "whole", *flags)
    run = tmp_path / "killed" / "run"
    for epochs in kills:
        with _start(features_dir, tmp_path / "killed", "--resume", *flags) as process:
            _after_epochs(process, run, epochs)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    result = _ran(features_dir, tmp_path / "killed", "--resume", *flags)
    assert result["epochs_run"] == 24 and result["resumed_from_epoch"] >= kills[-1] - 1
    for name in ("checkpoint_epoch_0024.keras", "best_model.keras"):
        np.testing.assert_array_equal(weights(run / name), weights(tmp_path / "whole/run" / name))
    assert read_history(run) == read_history(tmp_path / "whole" / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        pytest.param(signal.SIGINT, 130, "Interrupted", marks=pytest.mark.thorough),
        (signal.SIGTERM, 143, "Terminated"),
    ],
)
def test_a_signal_ends_the_command_and_the_run_can_go_on(
    features_dir, tmp_path, sent, status, said
):
    with _start(features_dir, tmp_path, "--epochs", 5000, "--deterministic") as process:
        _after_epochs(process, tmp_path / "run", 3)
        process.send_signal(sent)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (status, ""), err
    assert (
        err.splitlines()[-1] == f"{said}; start the same command again with --resume to continue."
    )
    state = tmp_path / "run" / "state"
    assert not list(state.glob("*.partial-*")) and list(state.glob("*.bin"))


# -- error


def test_an_existing_run_is_kept(features_dir, tmp_path, finished):
    before = (tmp_path / "run" / "training_results.json").read_bytes()
    with pytest.raises(ConfigError, match="--run must name a new run, or --resume or --force"):
        train_quickly(features_dir, tmp_path, epochs=2)
    assert (tmp_path / "run" / "training_results.json").read_bytes() == before


@pytest.mark.slow
def test_force_replaces_a_run_and_what_was_in_it(features_dir, tmp_path):
    train_quickly(features_dir, tmp_path, epochs=2, checkpoint_epochs=2)
    result = train_quickly(features_dir, tmp_path, epochs=1, force=True)
    assert result["epochs_run"] == 1
    assert not list((tmp_path / "run").glob("checkpoint_epoch_*"))


@pytest.mark.slow
@pytest.mark.parametrize("done", ["write_csv", "write_json"])
def test_a_run_killed_while_it_is_replaced_is_the_new_one(
    features_dir, tmp_path, monkeypatch, done
):
    """Neither can it not be gone on with, nor does it go on with what was there."""
    interrupt(features_dir, tmp_path, epoch=3)
    write = getattr(files, done)

    def killed(*asked):
        write(*asked)
        raise KeyboardInterrupt  # which cleans as little up as a kill does

    with monkeypatch.context() as patch:
        patch.setattr(files, done, killed)
        with pytest.raises(KeyboardInterrupt):
            train_quickly(features_dir, tmp_path, epochs=2, force=True)
    result = train_quickly(features_dir, tmp_path, epochs=2, resume=True)
    assert (result["resumed_from_epoch"], result["epochs_run"]) == (0, 2)


def test_force_does_not_remove_a_folder_that_is_no_run(features_dir, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="--force replaces runs only. Received: .*run"):
        train_quickly(features_dir, tmp_path, force=True)
    assert (tmp_path / "run" / "thesis.txt").is_file()


@pytest.mark.slow
def test_a_resumed_run_keeps_its_settings(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, learning_rate=0.01)
    with pytest.raises(ConfigError, match="learning_rate=0.01. Received: learning_rate=0.02"):
        train_quickly(features_dir, tmp_path, learning_rate=0.02, resume=True)


@pytest.mark.slow
def test_a_run_of_before_a_setting_was_there_goes_on_as_it_was(features_dir, tmp_path):
    natural = {"recording_weights": "natural"}
    whole = train_quickly(features_dir, tmp_path / "whole", epochs=4, **natural)["run"]
    interrupt(features_dir, tmp_path, epochs=4, **natural)
    run = Run(tmp_path / "run")
    recorded = run.config()
    del recorded["settings"]["recording_weights"]
    run.write_config(recorded)
    with pytest.raises(ConfigError, match="weights=natural. Received: .*weights=sqrt"):
        train_quickly(features_dir, tmp_path, epochs=4, recording_weights="sqrt", resume=True)
    result = train_quickly(features_dir, tmp_path, epochs=4, resume=True)
    assert read_history(Path(result["run"])) == read_history(Path(whole))


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"max_failures": 0.5}, {"retry_failed": True}])
def test_a_resumed_run_on_features_refuses_what_stage_one_reads(
    features_dir, tmp_path, resumable, asked
):
    with pytest.raises(ConfigError, match=f"`{next(iter(asked))}` must go with --data"):
        train_quickly(features_dir, tmp_path, resume=True, **asked)


@pytest.mark.slow
def test_a_resumed_run_keeps_its_videos(tmp_path):
    features = draw_features(tmp_path / "space")
    interrupt(features, tmp_path)
    draw_features(tmp_path / "space", seed=1)
    with pytest.raises(TrainingError, match="use the same videos, labels and split"):
        train_quickly(features, tmp_path, resume=True)


@pytest.mark.slow
def test_a_state_of_another_model_is_refused(features_dir, tmp_path, resumable):
    checkpoint = Checkpoint(tmp_path / "run" / "state")
    checkpoint.save([np.zeros(3)], checkpoint.load()[1])
    with pytest.raises(TrainingError, match="state must be of this model"):
        train_quickly(features_dir, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "came"),
    [({}, "neither"), ({"features": "a", "dataset_path": "b"}, "both")],
)
def test_features_come_from_one_place(tmp_path, settings, came):
    config = TrainConfig(checkpoint_dir=str(tmp_path), **settings)
    with pytest.raises(ConfigError, match=f"Exactly one of .* must be given. Received: {came}"):
        train_classifier(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [("backbone", "vgg19"), ("frames", 8), ("workers", 1), ("extract_batch_size", 4)],
)
def test_settings_of_stage_one_go_with_a_dataset(features_dir, tmp_path, name, value):
    with pytest.raises(
        ConfigError,
        match=f"`{name}` must go with --dataset-path.* Received: {name}={value}",
    ):
        train_quickly(features_dir, tmp_path, **{name: value})
    assert tree_of(tmp_path) == []


def test_force_keeps_a_run_until_the_new_run_can_start(run_dir, tmp_path):
    with pytest.raises(CacheError):
        train_classifier(
            TrainConfig(
                features=str(tmp_path / "typo"),
                checkpoint_dir=str(run_dir.parent),
                run=run_dir.name,
            ),
            force=True,
        )
    assert (run_dir / "best_model.keras").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["linear(dropout=2)", "bilstm_attention(units=0)"])
def test_force_keeps_a_run_if_the_head_is_invalid(features_dir, tmp_path, finished, head):
    before = tree_of(tmp_path)
    with pytest.raises(ConfigError, match="Received: "):
        train_quickly(features_dir, tmp_path, head=head, force=True)
    assert tree_of(tmp_path) == before
    assert Run.open(tmp_path / "run").finished


def test_force_keeps_a_run_if_the_model_cannot_be_built(
    features_dir, tmp_path, finished, monkeypatch
):
    monkeypatch.setattr(step_builder, "build_classifier", _never)
    with pytest.raises(AssertionError):
        train_quickly(features_dir, tmp_path, force=True)
    assert Run.open(tmp_path / "run").finished


def test_what_fails_before_it_starts_leaves_no_run(features_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(step_builder, "build_classifier", _never)
    with pytest.raises(AssertionError):
        train_quickly(features_dir, tmp_path / "runs")
    assert tree_of(tmp_path) == []


@pytest.mark.slow
def test_a_training_whose_state_is_lost_is_not_begun_again_over_its_model(features_dir, tmp_path):
    interrupt(features_dir, tmp_path, epoch=3)
    for path in (tmp_path / "run" / "state").iterdir():
        path.write_bytes(path.read_bytes()[:-7])
    before = tree_of(tmp_path)
    with pytest.raises(TrainingError, match="state of a training must be undamaged"):
        train_quickly(features_dir, tmp_path, resume=True)
    assert tree_of(tmp_path) == before


@pytest.mark.slow
def test_a_run_in_training_is_not_trained_by_another(features_dir, tmp_path, monkeypatch):
    asked = []

    def another(self):
        for flags in ({"resume": True}, {"force": True}):
            with pytest.raises(ConfigError, match="in use by another training"):
                train_quickly(features_dir, tmp_path, **flags)
            asked.append(flags)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run_epochs", another)
    with pytest.raises(KeyboardInterrupt):
        train_quickly(features_dir, tmp_path)
    assert len(asked) == 2
    monkeypatch.undo()
    assert train_quickly(features_dir, tmp_path, resume=True)["epochs_run"] == 3


def test_a_full_disk_does_not_block_the_name_of_a_run(tmp_path, monkeypatch):
    run = Run.named(tmp_path, "run")

    def full(*_):
        raise ViolenceDetectionError("Cannot write it: the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", full)
        with pytest.raises(ViolenceDetectionError, match="the disk is full"):
            run.reserve({}, or_next=False)
    assert run.reserve({}, or_next=False).config() == {
        "format_version": 1,
        "settings": {},
    }


@pytest.mark.slow
def test_force_replaces_a_run_whose_settings_are_torn(features_dir, tmp_path, finished):
    (tmp_path / "run" / "training_config.json").write_text('{"settings": {"se')
    train_quickly(features_dir, tmp_path, epochs=1, force=True)
    assert Run.open(tmp_path / "run").finished


def test_resume_does_not_draw_the_split_again(tmp_path, resumable):
    path = tmp_path / "run" / "training_config.json"
    config = json.loads(path.read_text())
    config["settings"]["redraw_splits"] = True
    path.write_text(json.dumps(config))
    asked = TrainConfig(checkpoint_dir=str(tmp_path), run="run", resume=True)
    resumed = asked.resumed(config["settings"], run="run", started=True)
    assert resumed.extract.redraw_splits is False


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["loss", "label_smoothing"])
def test_a_resumed_run_keeps_its_smoothing(features_dir, tmp_path, spelling):
    interrupt(features_dir, tmp_path, label_smoothing=0.1)
    changed = {"loss": "focal(label_smoothing=0.4)", "label_smoothing": 0.4}
    with pytest.raises(ConfigError, match="label_smoothing=0.1. Received"):
        asked = {spelling: changed[spelling], "resume": True, "run": "run"}
        config = TrainConfig.from_flags({**asked, "checkpoint_dir": str(tmp_path)})
        config.resumed(Run(tmp_path / "run").config()["settings"], run="run", started=True)


def test_resume_does_not_write_into_a_folder_that_is_no_run(features_dir, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "holiday.jpg").write_text("x")
    with pytest.raises(ConfigError, match="it exists and is not a run"):
        train_quickly(features_dir, tmp_path, resume=True)
    assert tree_of(tmp_path) == ["run", "run/holiday.jpg"]


def test_a_run_with_altered_settings_is_not_resumed(features_dir, tmp_path, resumable):
    config = json.loads((tmp_path / "run" / "training_config.json").read_text())
    for settings in (None, [], {"epocs": 3}):
        text = json.dumps({**config, "settings": settings})
        (tmp_path / "run" / "training_config.json").write_text(text)
        with pytest.raises(RunError, match="must hold the settings of a training"):
            train_quickly(features_dir, tmp_path, resume=True)


@pytest.mark.slow
def test_a_resumed_run_keeps_its_feature_space(tmp_path):
    features = draw_features(tmp_path / "space")
    interrupt(features, tmp_path)
    settings = json.loads((features / "extraction.json").read_text())
    settings["feature_space"]["engine"] = "openvino"
    (features / "extraction.json").write_text(json.dumps(settings))
    with pytest.raises(TrainingError, match="features of the same space"):
        train_quickly(features, tmp_path, resume=True)
