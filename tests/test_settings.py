"""Every setting has one default, range and help; flag beats file beats default."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.evaluation import config
from violence_detection.evaluation.robustness.config import RobustnessConfig
from violence_detection.experiments.ablation.ablation_config import AblateConfig
from violence_detection.experiments.advising.advice_config import AdviseConfig
from violence_detection.experiments.config import (
    CrossDatasetConfig,
    CrossValidateConfig,
    DemoConfig,
    TuneConfig,
)
from violence_detection.export.config import ExportConfig
from violence_detection.features.cache_config import CacheExportConfig, CacheImportConfig
from violence_detection.features.config import CheckConfig, ExtractConfig
from violence_detection.federated.config import InitConfig, SimulateConfig, UpdateConfig
from violence_detection.inference.config import PredictConfig
from violence_detection.settings import (
    FORMER,
    GROUPS,
    CommandConfig,
    Config,
    nested,
    new_name,
    option,
)
from violence_detection.training.config import TrainConfig
from violence_detection.training.training_settings import (
    BatchConfig,
    ModelConfig,
    OptimisationConfig,
)

CONFIGS = (
    CheckConfig,
    ExtractConfig,
    CacheExportConfig,
    CacheImportConfig,
    TrainConfig,
    config.EvaluateConfig,
    config.CompareConfig,
    config.LabelConfig,
    RobustnessConfig,
    PredictConfig,
    ExportConfig,
    DemoConfig,
    TuneConfig,
    CrossValidateConfig,
    CrossDatasetConfig,
)
EVERY_CONFIG = (*CONFIGS, InitConfig, SimulateConfig, UpdateConfig, AblateConfig, AdviseConfig)
# A test of all settings of a config: one for each of the 300 would take longer to report than to
# run.
each_config = pytest.mark.parametrize("kind", CONFIGS)


def message_of(kind: type[Config], **values) -> str:
    with pytest.raises(ConfigError) as raised:
        kind.from_flags(values)
    return str(raised.value)


def test_a_path_means_the_same_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = TrainConfig.from_settings({"features": "f", "cache_dir": "c", "weights": "w.h5"})
    assert config.features == str(tmp_path / "f")
    assert config.extract.cache_dir == str(tmp_path / "c")
    assert config.extract.weights == str(tmp_path / "w.h5")
    assert ExtractConfig(weights="random").weights == "random"


def test_the_splits_of_an_evaluation_may_be_named_as_folders_are():
    assert config.EvaluateConfig(split="val").split == "validation"
    assert config.CompareConfig(split="Testing").split == "test"
    assert "must be one of train, validation, test, all" in message_of(
        config.EvaluateConfig, split="valley"
    )


def test_a_path_may_begin_with_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = TrainConfig.from_settings({"features": "~/f", "weights": "~/w.h5"})
    assert (config.features, config.extract.weights) == (f"{tmp_path}/f", f"{tmp_path}/w.h5")


# -- golden: the contract's defaults


def test_the_defaults_are_those_of_the_contract():
    defaults = {setting.name: setting.default for setting in TrainConfig.settings()}
    wanted = {
        "backbone": "efficientnetb0",
        "weights": "imagenet",
        "frames": 20,
        "frame_size": None,
        "stream": "motion(focus=true)",
        "cache_dir": "feature_cache",
        "checkpoint_dir": "checkpoints",
        "seed": 42,
        "validation_fraction": 0.15,
        "test_fraction": 0.15,
    }
    assert {name: defaults[name] for name in wanted} == wanted


# -- relation


def test_a_flag_beats_the_file_which_beats_the_default():
    chosen = ExtractConfig.from_flags(
        {"frames": 16}, {"frames": 8, "cache_dir": "there", "batch_size": 4}
    )
    assert (chosen.frames, chosen.cache_dir, chosen.batch_size) == (
        16,
        str(Path("there").absolute()),
        4,
    )
    assert chosen.backbone == "efficientnetb0"
    assert chosen.given == {"frames", "cache_dir", "batch_size"}


@given(st.integers(1, 1024), st.floats(0, 1), st.booleans())
def test_a_config_written_as_json_comes_back_equal(frames, max_failures, verify):
    chosen = ExtractConfig(frames=frames, max_failures=max_failures, verify=verify)
    again = ExtractConfig.from_settings(json.loads(json.dumps(chosen.as_dict())))
    assert again == chosen


def test_a_spec_is_kept_in_its_canonical_form():
    assert ModelConfig(loss="focal( gamma=3.0,alpha=0.25 )").loss == (
        "focal(alpha=0.25, gamma=3.0)"
    )


# -- nested configs


@dataclasses.dataclass(frozen=True)
class Inner(CommandConfig):
    """A config that another one holds."""

    size: int = option(1, "A size.", group="Model", low=1)
    color: str = option("red", "A colour.", group="Model", choices=("red", "blue"))
    depth: int = option(3, "A depth.", group="Model", may_change_on_resume=True)


@dataclasses.dataclass(frozen=True)
class Outer(CommandConfig):
    """A config that holds another one."""

    inner: Inner = nested(
        Inner,
        shared=("seed",),
        without=("depth",),
        renamed={"size": "inner_size"},
        changes={"color": {"choices": ("red",)}},
    )
    size: int = option(5, "Another size.", group="Data")


def test_a_nested_config_is_flat_in_json_and_flags():
    outer = Outer.from_flags({"inner_size": 2, "size": 7, "seed": 9})
    assert outer.as_dict() == {"seed": 9, "inner_size": 2, "color": "red", "size": 7}
    assert (outer.inner.size, outer.inner.depth, outer.inner.seed) == (2, 3, 9)
    assert outer.given == {"inner_size", "size", "seed"}
    assert outer.inner.given == {"size"}
    assert Outer.from_settings(outer.as_dict(), given=outer.given) == outer
    assert Outer.names_in("inner") == {"inner_size", "color"}


def test_a_setting_of_a_nested_config_is_refused_by_its_name_in_the_outer_one():
    assert message_of(Outer, inner_size=0) == "`inner_size` must be >= 1. Received: inner_size=0"
    assert "must be one of red. Received: color=blue" in message_of(Outer, color="blue")
    assert message_of(Outer, depth=2) == "Unknown setting `depth`."
    with pytest.raises(ConfigError, match="must be one of red. Received: color=blue"):
        Outer(inner=Inner(color="blue"))


def test_a_changed_copy_keeps_what_was_given():
    changed = Outer.from_flags({"size": 7}).with_settings(inner_size=4)
    assert (changed.size, changed.inner.size, changed.given) == (7, 4, {"size"})


def test_train_has_stage_one_under_its_own_names():
    config = TrainConfig.from_flags(
        {"batch_size": 4, "extract_batch_size": 8, "split_seed": 5, "seed": 6, "workers": 2}
    )
    assert (config.optimisation.batch_size, config.extract.batch_size) == (4, 8)
    assert config.extract.seed == 6
    assert config.extract.split == config.split and config.split.split_seed == 5
    assert config.extract.given == {"batch_size", "workers", "split_seed"}
    assert "views" in message_of(TrainConfig, views=1)


@pytest.mark.parametrize("kind", CONFIGS)
def test_flat_names_are_unique(kind):
    names = [setting.name for setting in kind.settings()]
    assert len(names) == len(set(names))


# -- records of earlier versions


def test_a_record_of_an_earlier_version_means_what_it_meant():
    earlier = TrainConfig.complete_record({"workers": "a:1,b:1", "rank": 0, "epochs": 3})
    assert (earlier["hosts"], earlier["workers"], earlier["rank"]) == ("a:1,b:1", None, 0)
    assert TrainConfig.complete_record({"workers": "4"})["workers"] == 4
    assert TrainConfig.complete_record({"workers": None})["hosts"] is None
    assert earlier["recording_weights"] == "natural" != BatchConfig().recording_weights
    assert CrossValidateConfig.complete_record({})["recording_weights"] == "natural"
    assert TrainConfig.from_settings(earlier).optimisation.epochs == 3


def test_every_former_name_is_one_of_no_setting_that_has_the_new_one():
    """Else an old record could not be told from one of today."""
    renamed = set()
    for kind in EVERY_CONFIG:
        names = {setting.name for setting in kind.settings()}
        for former, new in FORMER.items():
            if any(name in names for name in new):
                assert former not in names, (kind, former)
                assert new_name(former, names) in new
                renamed.add(former)
    assert renamed == set(FORMER)


def test_a_record_of_before_the_renaming_is_read():
    before = {"seeds": 3, "clip_norm": 0.5, "video_timeout": 60.0, "frames": 12, "epochs": 7}
    config = TrainConfig.from_settings(TrainConfig.complete_record(before))
    assert (config.members, config.optimisation.global_clipnorm) == (3, 0.5)
    assert (config.extract.video_timeout_s, config.extract.frames) == (60.0, 12)
    study = {"name": "cv", "frames": False, "pictures": False, "by": "camera"}
    record = CrossValidateConfig.complete_record(study)
    assert (record["run"], record["show_frames"], record["read_videos"]) == ("cv", False, False)
    assert record["by"] == "camera" and set(record) == {
        setting.name for setting in CrossValidateConfig.settings()
    }


# -- specs and shorthands


@pytest.mark.parametrize(("use", "name"), [(True, "focal"), (False, "crossentropy")])
def test_the_shorthand_chooses_the_loss(use, name):
    chosen = TrainConfig.from_flags({"use_focal_loss": use})
    assert chosen.model.loss.startswith(name)
    assert chosen.model.use_focal_loss is None
    again = TrainConfig.from_flags(chosen.as_dict())
    assert again.model.loss == chosen.model.loss


def test_the_shorthand_keeps_the_arguments_of_a_loss_that_agrees():
    chosen = TrainConfig.from_flags({"use_focal_loss": True, "loss": "focal(gamma=3.0)"})
    assert chosen.model.loss == "focal(gamma=3.0)"


# -- property, over every setting


@each_config
def test_every_default_keeps_its_own_rule(kind):
    for setting in kind.settings():
        if setting.default is not None:
            kept = setting.rule.check(setting.name, setting.default)
            assert (setting.name, kept) == (
                setting.name,
                str(Path(setting.default).absolute()) if setting.rule.path else setting.default,
            )


@each_config
def test_every_setting_has_a_help_that_is_a_sentence(kind):
    for setting in kind.settings():
        assert setting.rule.help.rstrip().endswith("."), setting.name
        assert setting.type in (bool, int, float, str), setting.name


@each_config
def test_every_setting_has_a_group(kind):
    for setting in kind.settings():
        assert setting.rule.group in GROUPS, setting.name


@each_config
def test_out_of_range_says_what_must_hold_and_what_came(kind):
    for setting in kind.settings():
        name, rule = setting.name, setting.rule
        if rule.low is not None:
            value = setting.type(rule.low - 1)
            message = f"`{name}` must be >= {rule.low}. Received: {name}={value}"
            assert message_of(kind, **{name: value}) == message
        if rule.high is not None:
            value = setting.type(rule.high + 1)
            message = f"`{name}` must be <= {rule.high}. Received: {name}={value}"
            assert message_of(kind, **{name: value}) == message


@each_config
def test_another_type_is_refused(kind):
    for setting in kind.settings():
        wrong = {str: 1.5, bool: 1}.get(setting.type, "1")
        message = message_of(kind, **{setting.name: wrong})
        hint = f" ({setting.rule.hint})" if setting.rule.hint else ""
        assert message == (
            f"`{setting.name}` must be of type {setting.type.__name__}. "
            f"Received: {setting.name}={wrong!r}{hint}"
        )


def test_machines_in_workers_are_sent_to_hosts():
    message = message_of(TrainConfig, workers="a:1,b:1")
    assert message.endswith("workers='a:1,b:1' (--hosts names the machines of a training)")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_no_finite_number_is_in_no_range(value):
    message = message_of(TrainConfig, global_clipnorm=float(value))
    assert message == f"`global_clipnorm` must be finite. Received: global_clipnorm={value}"


def test_a_number_beyond_any_float_is_refused():
    assert "must be of type float" in message_of(TrainConfig, global_clipnorm=10**400)


@pytest.mark.parametrize("path", ["a\0b", "a\udcff"])
def test_a_path_that_cannot_be_written_down_is_refused(path):
    assert "must be a path in UTF-8" in message_of(TrainConfig, cache_dir=path)


def test_a_learning_rate_of_nothing_is_refused():
    message = message_of(TrainConfig, learning_rate=0.0)
    assert message == "`learning_rate` must be > 0.0. Received: learning_rate=0.0"


@pytest.mark.parametrize("name", ["cache_dir", "checkpoint_dir", "features", "weights"])
def test_an_empty_path_is_not_the_folder_one_is_in(name):
    assert f"`{name}` must be " in message_of(TrainConfig, **{name: ""})


def test_label_smoothing_may_be_an_argument_of_the_loss():
    config = ModelConfig(loss="focal(label_smoothing=0.2, gamma=1)")
    assert (config.loss, config.label_smoothing) == ("focal(gamma=1)", 0.2)
    contradiction = {"loss": "crossentropy(label_smoothing=0.2)", "label_smoothing": 0.1}
    assert "--label-smoothing and --loss must agree" in message_of(TrainConfig, **contradiction)
    assert "`label_smoothing` must be <= 0.5" in message_of(
        TrainConfig, loss="focal(label_smoothing=3)"
    )


def test_a_whole_number_will_do_for_a_fraction():
    assert OptimisationConfig(learning_rate=1).learning_rate == 1.0
    assert "must be of type float" in message_of(TrainConfig, learning_rate=True)


# -- error


def test_an_unknown_setting_is_answered_with_the_nearest():
    assert message_of(TrainConfig, epoch=3) == ("Unknown setting `epoch`. Did you mean `epochs`?")
    assert message_of(TrainConfig, zzz=3) == "Unknown setting `zzz`."


def test_a_former_name_is_an_error_that_names_the_new_one():
    assert message_of(TrainConfig, seeds=3) == "Unknown setting `seeds`. It is called `members`."
    assert message_of(config.EvaluateConfig, frames=False).endswith("called `show_frames`.")
    assert message_of(TuneConfig, name="x").endswith("It is called `run`.")
    assert ExtractConfig(frames=4).frames == 4  # the number, which has its name


def test_given_is_not_a_setting():
    assert message_of(TrainConfig, given=["seed"]).startswith("Unknown setting `given`.")


def test_settings_that_exclude_each_other_are_refused():
    assert message_of(ExtractConfig, validation_fraction=0.5, test_fraction=0.5) == (
        "`validation_fraction` + `test_fraction` must be < 1. Received: 0.5 + 0.5"
    )
    assert message_of(TrainConfig, epochs=3, warmup_epochs=3.0) == (
        "`warmup_epochs` must be < epochs. Received: warmup_epochs=3.0, epochs=3"
    )
    assert message_of(TrainConfig, use_focal_loss=False, loss="focal") == (
        "--no-use-focal-loss and --loss must agree. Received: --loss focal"
    )


def test_an_unknown_part_and_an_unknown_choice_are_named():
    assert message_of(ExtractConfig, backbone="vgg11").startswith(
        "The backbone must be one of densenet121, "
    )
    assert message_of(TrainConfig, monitor="loss") == (
        "`monitor` must be one of val_loss, val_auc, val_accuracy, none. Received: monitor=loss"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_dataset_name_is_the_name_of_a_folder(name):
    assert message_of(ExtractConfig, dataset_name=name) == (
        f"`dataset_name` must be the name of a folder. Received: {name!r}"
    )


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExtractConfig().seed = 1
