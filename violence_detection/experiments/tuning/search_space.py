"""The search space of `tune`: the values that a trial may choose for each setting."""

import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.experiments.config import TuneConfig
from violence_detection.settings import new_name
from violence_detection.system import json_or_yaml
from violence_detection.training.config import TrainConfig

_REGISTRIES = {"head": "heads", "loss": "losses"}
_DEFAULT = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "weight_decay": {"low": 1e-4, "high": 0.3, "log": True},
    "batch_size": [16, 32, 64],
    "label_smoothing": {"low": 0.0, "high": 0.2},
    "loss.gamma": {"low": 0.0, "high": 3.0},
    "head.projection": [32, 64, 128],
    "head.units": [16, 32, 64],
    "head.feature_dropout": {"low": 0.2, "high": 0.8},
    "head.dropout": {"low": 0.0, "high": 0.7},
}
_CHANGES_SHAPES = {"head", "head.projection", "head.units"}


@dataclass(frozen=True)
class Interval:
    """A range of numbers.

    Attributes:
        low, high: The ends, both included.
        log: Whether values are drawn uniformly on a logarithmic scale.
        step: Distance between the values; None for all values in between.
        whole: Whether values are integers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False


Space = dict[str, Interval | tuple]


def build_space(
    base: Mapping[str, Any], *, given: Collection[str], space_file: str | None
) -> Space:
    """The search space of a file, or the default one.

    Args:
        base: The settings of every trial, by name.
        given: Names of the settings that were given; the default space leaves them out.
        space_file: JSON, or YAML if its name ends in .yaml; None for the default space.

    Returns:
        Intervals, and tuples of values, by the name of a setting, `head.<argument>` or
        `loss.<argument>`.

    Raises:
        ConfigError: If the file cannot be read, or names a setting that cannot vary.
    """
    axes = _read_file(Path(space_file)) if space_file else _default_space(base, given)
    specs, space = _specs(base, axes), {}
    for name, values in axes.items():
        if space_file and name in given:
            raise ConfigError(
                f"`{name}` must be given or be in --space, not both. Received: "
                f"{name}={base[name]}, and {name} in --space"
            )
        space[name] = _axis(name, values, whole=_is_whole(name, specs))
    for config in boundary_configs(base, space):
        for name, registry_name in _REGISTRIES.items():
            registry.check_arguments(registry_name, getattr(config.model, name))
    return space


def boundary_configs(base: Mapping[str, Any], space: Space) -> Iterator[TrainConfig]:
    """A training config for each value of the space alone; of an interval, for its ends.

    Checking them finds an invalid value before the first trial.

    Args:
        base: The settings of every trial, by name.
        space: The search space.

    Raises:
        ConfigError: If a setting cannot have a value, or no part takes an argument.
    """
    specs = _specs(base, space)
    for name, axis in space.items():
        values = (axis.low, axis.high) if isinstance(axis, Interval) else axis
        for value in values:
            for changed in _changed_settings(name, value, specs):
                yield TrainConfig.from_settings({**base, **changed})


def keeps_weight_shapes(space: Space) -> bool:
    """True if the heads of all trials have weights of the same shapes."""
    return not any(
        name == "head" or (name.startswith("head.") and not name.endswith("dropout"))
        for name in space
    )


def apply_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trial: `base` with the values that were suggested for the trial.

    An argument that the head or loss does not take has no effect.
    """
    settings = dict(base) | {name: value for name, value in values.items() if "." not in name}
    for part in _REGISTRIES:
        spec, *_ = registry.parse(settings[part])
        arguments = {
            argument: value
            for name, value in values.items()
            for prefix, _, argument in [name.partition(".")]
            if prefix == part and argument in _annotations(part, spec.name)
        }
        settings[part] = str(spec._replace(arguments=spec.arguments | arguments))
    return settings


def has_effect(name: str, values: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """True if a value of `name` changes a trial with these values so far."""
    part, dot, argument = name.partition(".")
    if not dot:
        return True
    spec, *_ = registry.parse(values.get(part, base[part]))
    return argument in _annotations(part, spec.name)


def space_as_json(space: Space) -> dict[str, Any]:
    """A search space, ready for JSON."""
    return {
        name: vars(axis) if isinstance(axis, Interval) else list(axis)
        for name, axis in space.items()
    }


def _default_space(base: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The default space, without given settings and arguments that head and loss do not take."""
    left_out = set(given)
    for part in _REGISTRIES:
        if part in given:
            spec, *_ = registry.parse(base[part])
            left_out |= {f"{part}.{argument}" for argument in spec.arguments}
    if base["init_from"]:
        left_out |= _CHANGES_SHAPES
    return {
        name: values
        for name, values in _DEFAULT.items()
        if name not in left_out and has_effect(name, {}, base)
    }


def _specs(base: Mapping[str, Any], axes: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The specs that trials may have for the head and the loss."""
    return {part: axes[part] if part in axes else [base[part]] for part in _REGISTRIES}


def _read_file(path: Path) -> dict[str, Any]:
    """The axes of a search-space file, by name; their values are not checked yet."""
    try:
        axes = json_or_yaml.read_values(path)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(
            f"--space must name a readable JSON or YAML file. Received: {path} ({reason})"
        ) from error
    if not isinstance(axes, dict) or not axes:
        raise ConfigError(f"--space must hold settings to try, by name. Received: {path}")
    tunable = [setting.name for setting in TuneConfig.settings() if setting.rule.tunable]
    for name, values in axes.items():
        part, dot, argument = name.partition(".")
        if name not in tunable and not (dot and argument and part in _REGISTRIES):
            new = new_name(name, tunable)
            advice = f" It is called `{new}`." if new else registry.did_you_mean(name, tunable)
            raise ConfigError(
                f"--space must have settings that a trial can vary. Received: {name}.{advice}"
            )
        if not values or not isinstance(values, list | dict):
            raise _not_a_range(name, values)
    return axes


def _axis(name: str, values: Any, *, whole: bool) -> Interval | tuple:
    if isinstance(values, list):
        if any(type(value) not in (str, int, float, bool) for value in values):
            raise _not_a_range(name, values)
        return tuple(values)
    kinds = {
        "low": (int, float),
        "high": (int, float),
        "log": (bool,),
        "step": (int, float),
    }
    if not {"low", "high"} <= values.keys() <= kinds.keys() or any(
        type(value) not in kinds[key] for key, value in values.items()
    ):
        raise _not_a_range(name, values)
    axis = Interval(**values, whole=whole)
    valid = axis.low < axis.high and (axis.step is None or axis.step > 0)
    if axis.log:
        valid = valid and axis.low > 0 and axis.step is None
    if whole:
        numbers = (axis.low, axis.high, axis.step or 1)
        valid = valid and all(number == int(number) for number in numbers)
    if not valid:
        raise ConfigError(
            f"`{name}` in --space must have low < high; with log, low > 0 and no step; and whole "
            f"numbers if the setting is a whole number. Received: {values}"
        )
    return axis


def _not_a_range(name: str, values: Any) -> ConfigError:
    return ConfigError(
        f"`{name}` in --space must be a list of values, or low and high with log or step. "
        f"Received: {values!r}"
    )


def _changed_settings(
    name: str, value: Any, specs: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    """The setting with a value; for an argument, the spec of each part that takes the argument."""
    part, dot, argument = name.partition(".")
    if not dot:
        yield {name: value}
        return
    parsed = [registry.parse(text)[0] for text in specs[part]]
    taking = [spec for spec in parsed if argument in _annotations(part, spec.name)]
    if not taking:
        raise ConfigError(
            f"--space must have arguments that {' or '.join(specs[part])} takes. Received: {name}"
        )
    for spec in taking:
        yield {part: str(spec._replace(arguments={argument: value}))}


def _is_whole(name: str, specs: Mapping[str, Sequence[str]]) -> bool:
    """True for a setting, or an argument of a part, that is a whole number."""
    part, dot, argument = name.partition(".")
    if not dot:
        return any(
            setting.name == name and setting.type is int for setting in TrainConfig.settings()
        )
    for spec, *_ in map(registry.parse, specs[part]):
        annotation = _annotations(part, spec.name).get(argument)
        if annotation is not None:
            plain = getattr(annotation, "__origin__", annotation)
            types = typing.get_args(plain) or (plain,)
            return int in types and float not in types
    return False


def _annotations(part: str, name: str) -> dict[str, Any]:
    """Annotations of the arguments that a spec may give a head or a loss, by name.

    Args:
        part: `head` or `loss`.
        name: The file of the part.
    """
    return registry.options_of(_REGISTRIES[part], name)
