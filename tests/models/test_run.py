"""A run's folder: fresh names, what a finished one holds, and what is refused."""

import json
import os

import pytest
from support.features import SPACE

from violence_detection.errors import ConfigError, RunError
from violence_detection.models.run import Run
from violence_detection.models.run_record import CONFIG_KEYS, FORMAT_VERSION
from violence_detection.system import files

CONFIG = {name: name.upper() for name in sorted(CONFIG_KEYS)} | {
    "classes": ["normal", "fight"],
    "dataset": {"name": "mine", "dir": "/videos/mine"},
    "feature_space": SPACE.as_dict(),
    "weights": {"source": "imagenet", "digest": SPACE.weights_digest, "seed": 42},
    "window_s": 2.0,
}


@pytest.fixture
def run(tmp_path) -> Run:
    """A finished run."""
    run = Run.named(tmp_path / "checkpoints", "mine")
    run.write_config(CONFIG)
    run.model_path.write_bytes(b"a model")
    files.write_json(run.results_path, {"threshold": 0.5})
    return run


def message_of(folder) -> str:
    with pytest.raises(RunError) as raised:
        Run.open(folder)
    return str(raised.value)


@pytest.mark.parametrize("name", ["training_config.json", "training_results.json"])
def test_a_run_whose_json_lacks_what_it_must_say_is_refused(run, name):
    (run.dir / name).write_text('{"format_version": 1}')
    assert f"{name} must have `" in message_of(run.dir)


def test_a_run_leaves_the_files_of_the_contract(run):
    names = [run.model_path, run.config_path, run.results_path, run.history_path]
    assert [path.name for path in names] == [
        "best_model.keras",
        "training_config.json",
        "training_results.json",
        "training_history.csv",
    ]
    assert run.checkpoint_path(7).name == "checkpoint_epoch_0007.keras"
    assert run.tensorboard_dir == run.dir / "tensorboard"
    assert run.evaluation_dir("test") == run.dir / "evaluation" / "test"


def test_a_finished_run_opens_with_what_was_written(run):
    opened = Run.open(str(run.dir))
    assert opened == run
    assert opened.config() == {"format_version": FORMAT_VERSION, **CONFIG}
    assert opened.record().threshold == 0.5


def test_the_record_says_how_the_run_was_trained_and_is_read(run):
    """A run made before temperatures existed has the temperature 1."""
    record = run.record()
    assert (record.classes, record.threshold) == (["normal", "fight"], 0.5)
    assert (record.temperature, record.operating_point) == (1.0, "")
    assert record.feature_space == SPACE
    assert (record.weights_source, record.weights_seed, record.window_s) == ("imagenet", 42, 2.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset", "mine"),
        ("feature_space", {}),
        ("feature_space", "rgb"),
        ("weights", None),
        ("window_s", "long"),
    ],
)
def test_a_record_that_is_not_usable_is_refused(run, key, value):
    run.write_config(CONFIG | {key: value})
    line = "training_config.json must describe dataset, feature space, weights and window_s"
    assert line in message_of(run.dir)


def test_a_moved_run_opens_where_it_is_now(run, tmp_path):
    moved = run.dir.rename(tmp_path / "elsewhere")
    assert Run.open(moved).config()["classes"] == CONFIG["classes"]


def test_a_name_that_is_taken_is_not_given_again(tmp_path):
    dirs = []
    for _ in range(3):
        run = Run.named(tmp_path, None)
        run.dir.mkdir()
        dirs.append(run.dir)
    assert len(set(dirs)) == 3


def test_naming_a_run_makes_nothing(tmp_path):
    Run.named(tmp_path / "checkpoints", None)
    assert not (tmp_path / "checkpoints").exists()


def test_the_newest_run_is_the_one_whose_settings_were_written_last(tmp_path):
    assert Run.newest(tmp_path) is None
    for age_s, name in ((10, "b"), (0, "a"), (20, "c")):
        run = Run.named(tmp_path, name)
        run.write_config({})
        os.utime(run.config_path, (1e9 - age_s, 1e9 - age_s))
    assert Run.newest(tmp_path).dir.name == "a"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b"])
def test_a_run_has_the_name_of_a_folder(tmp_path, name):
    with pytest.raises(ConfigError) as raised:
        Run.named(tmp_path, name)
    assert str(raised.value) == f"`run` must be the name of a folder. Received: {name!r}"


def test_a_folder_that_is_not_there_is_no_run(tmp_path):
    assert message_of(tmp_path / "x") == (
        f"RUN must be a folder that train left. Received: {tmp_path}/x (does not exist)"
    )


def test_the_runs_that_are_there_are_named_where_none_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    second = tmp_path / "checkpoints" / "second"
    second.mkdir(parents=True)
    (second / "training_config.json").write_text("{}")
    assert message_of("secnd").endswith("(does not exist). Did you mean checkpoints/second?")
    assert message_of("other").endswith("(does not exist). Existing runs: checkpoints/second")
    assert message_of("checkpoints").endswith("). Existing runs: checkpoints/second")


@pytest.mark.parametrize("name", ["training_results.json", "best_model.keras"])
def test_an_unfinished_run_is_told_how_to_finish(run, name):
    (run.dir / name).unlink()
    assert message_of(run.dir) == (
        f"A finished run must hold {name}. Received: {run.dir} (it does not; train --resume "
        "finishes an interrupted one)"
    )


def test_a_folder_that_is_no_run_is_not_told_to_resume(tmp_path):
    assert message_of(tmp_path) == (
        f"RUN must be a folder that train left. Received: {tmp_path} (it has no "
        "training_config.json)"
    )


@pytest.mark.parametrize("threshold", ["0.5", None, 1.5, float("nan"), True])
def test_a_threshold_that_is_no_share_is_refused(run, threshold):
    run.results_path.write_text(json.dumps({"threshold": threshold}))
    assert "`threshold` in training_results.json must be in [0, 1]" in message_of(run.dir)


def test_a_run_of_a_newer_version_is_refused(run):
    run.config_path.write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    assert message_of(run.dir) == (
        f"The run's format must be <= {FORMAT_VERSION}. Received: {FORMAT_VERSION + 1} in "
        f"{run.dir} (made by a newer version of this program)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "must be readable JSON"), ("[]", "must hold a JSON object")],
)
def test_damaged_settings_are_refused(run, text, message):
    run.config_path.write_text(text)
    assert message in message_of(run.dir)
