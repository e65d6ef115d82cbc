"""The search space: the default, that of a file, and the settings of a trial."""

import json

import pytest

from violence_detection.errors import ConfigError
from violence_detection.experiments.config import TuneConfig
from violence_detection.experiments.tuning import search_space
from violence_detection.experiments.tuning.search_space import Interval
from violence_detection.training.config import TrainConfig


@pytest.fixture
def space_of(tmp_path):
    """A function from the content of a file, and from flags, to a space."""

    def space(content, **flags):
        path = tmp_path / "space.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return space_with(**flags, space=str(path))

    return space


def space_with(**flags):
    """The space of these flags; the default one without `space`."""
    config = TuneConfig.from_flags(flags)
    return search_space.build_space(config.base(), given=config.given, space_file=config.space)


# -- the default


def test_the_default_space_has_the_arguments_of_head_and_loss():
    names = {"learning_rate", "weight_decay", "batch_size", "label_smoothing"}
    of_head = {"projection", "units", "feature_dropout", "dropout"}
    assert set(space_with()) == names | {"loss.gamma"} | {f"head.{n}" for n in of_head}
    linear = space_with(head="linear", loss="crossentropy")
    assert set(linear) == names | {"head.dropout"}


def test_given_settings_are_not_varied():
    space = space_with(batch_size=8, head="bilstm_attention(units=4)", loss="focal")
    assert not {"batch_size", "head.units"} & set(space)
    assert {"head.projection", "loss.gamma"} <= set(space)


def test_weights_of_another_run_fix_the_sizes():
    space = space_with(init_from="somewhere")
    assert not {"head.units", "head.projection"} & set(space)
    assert "head.dropout" in space


# -- a file


def test_a_file_gives_the_space(space_of):
    space = space_of(
        {
            "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
            "head": ["linear", "bilstm_attention"],
            "head.units": {"low": 8, "high": 32, "step": 8},
            "use_class_weights": [True, False],
        }
    )
    assert space == {
        "learning_rate": Interval(1e-5, 1e-2, log=True),
        "head": ("linear", "bilstm_attention"),
        "head.units": Interval(8, 32, step=8, whole=True),
        "use_class_weights": (True, False),
    }
    json.dumps(search_space.space_as_json(space))


def test_a_yaml_file_gives_the_space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "learning_rate: {low: 1e-5, high: 1e-2, log: true}\n"
        "head:\n  - linear\n  - bilstm_attention(units=16)\n"
    )
    assert space_with(space=str(path)) == {
        "learning_rate": Interval(1e-5, 1e-2, log=True),
        "head": ("linear", "bilstm_attention(units=16)"),
    }
    path.write_text("head: [linear")
    with pytest.raises(ConfigError, match="JSON or YAML file. Received: .*expected ',' or ']'"):
        space_with(space=str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "--space must name a readable JSON or YAML file"),
        ([], "must hold settings to try"),
        ({}, "must hold settings to try"),
        ({"learning_rat": [1]}, "learning_rat. Did you mean `learning_rate`"),
        ({"seed": [1, 2]}, "settings that a trial can vary. Received: seed"),
        ({"test_fraction": [0.0]}, "can vary. Received: test_fraction"),
        ({"engine.x": [1]}, "can vary. Received: engine.x"),
        ({"epochs": []}, "must be a list of values, or low and high"),
        ({"epochs": 3}, "must be a list of values, or low and high"),
        ({"epochs": {"low": 1}}, "must be a list of values, or low and high"),
        ({"epochs": {"low": 1, "high": True}}, "must be a list of values"),
        ({"epochs": [[1]]}, "must be a list of values"),
        ({"epochs": {"low": 9, "high": 3}}, "low < high"),
        ({"epochs": {"low": 1.5, "high": 3}}, "whole numbers"),
        ({"weight_decay": {"low": 0, "high": 1, "log": True}}, "with log, low > 0"),
        ({"learning_rate": [0.1, -1.0]}, "must be > 0.0. Received: learning_rate=-1"),
        ({"batch_size": {"low": 1, "high": 10**9}}, "`batch_size` must be <= 65536"),
        ({"head": ["linear", "typo"]}, "Received: typo"),
        ({"head": ["linear(dropout=2)"]}, "`dropout` of the head linear must be"),
        ({"head.dropout": [0.5, 1.5]}, "must be float in"),
        ({"head.typo": [1]}, "that bilstm_attention takes. Received: head.typo"),
        ({"loss.typo": [1]}, "takes. Received: loss.typo"),
    ],
)
def test_an_invalid_space_is_refused_before_the_first_trial(space_of, content, message):
    with pytest.raises(ConfigError) as raised:
        space_of(content)
    assert message in str(raised.value)


def test_a_setting_is_given_or_varied(space_of):
    with pytest.raises(ConfigError, match="given or be in --space, not both.*batch_size=8"):
        space_of({"batch_size": [8, 16]}, batch_size=8)


# -- the settings of a trial


def test_arguments_go_to_the_chosen_head():
    base = TuneConfig.from_flags({"loss": "focal(alpha=0.3)"}).base()
    values = {"head": "linear", "head.dropout": 0.2, "loss.gamma": 1.5, "epochs": 7}
    settings = search_space.apply_values(base, values)
    assert settings["head"] == "linear(dropout=0.2)"
    assert settings["loss"] == "focal(alpha=0.3, gamma=1.5)"
    assert TrainConfig.from_settings(settings).optimisation.epochs == 7


def test_an_argument_that_the_head_does_not_take_is_not_varied():
    base = TuneConfig().base()
    assert search_space.has_effect("head.units", {}, base)
    assert not search_space.has_effect("head.units", {"head": "linear"}, base)
    settings = search_space.apply_values(base, {"head": "linear", "head.units": 3})
    assert settings["head"] == "linear"


def test_every_setting_of_tune_is_its_own_or_one_of_train():
    train = {setting.name for setting in TrainConfig.settings()}
    names = {setting.name for setting in TuneConfig.settings()}
    assert names - train == set("trials space folds timeout_s prune_trials keep_runs".split())
    assert not names & {"backbone", "dataset_path", "ensemble", "cache_dir"}
    with pytest.raises(ConfigError, match="Unknown setting `backbone`"):
        TuneConfig.from_flags({"backbone": "vgg19"})
