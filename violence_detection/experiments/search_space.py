"""What `tune` is asked for: its settings, and the space of settings that it searches."""

import inspect
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.experiments.config import TuneConfig
from violence_detection.training.config import TrainConfig

_SHELVES = {"head": "heads", "loss": "losses"}
# What a part is given besides what its spec says.
_CONTEXT = {
    "head": ("examples", "outputs", "recurrence"),
    "loss": ("label_smoothing", "class_shares"),
}
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
_CHANGES_SIZES = {"head", "head.projection", "head.units"}


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included.

    `log`: equally likely by their logarithm; `step`: of the numbers between which to try;
    `whole`: whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False


Space = dict[str, Interval | tuple]


def space_of(config: TuneConfig) -> Space:
    """What is tried: intervals, and tuples of values, by the name of a setting, or by
    `head.<argument>` and `loss.<argument>`.

    Raises:
        ConfigError: If the file cannot be read, or names what cannot be tried.
    """
    asked = _read(Path(config.space)) if config.space else _default(config)
    specs, space = _specs(config, asked), {}
    for name, values in asked.items():
        if config.space and name in config.given:
            raise ConfigError(
                f"`{name}` must be given or tried, not both. Received: "
                f"{name}={config.as_dict()[name]}, and {name} in --space"
            )
        space[name] = _axis(name, values, whole=_is_whole(name, specs))
    for settings in with_each(config, space):
        for name, shelf in _SHELVES.items():
            registry.check_arguments(shelf, getattr(settings, name), context=_CONTEXT[name])
    return space


def with_each(config: TuneConfig, space: Space) -> Iterator[TrainConfig]:
    """Settings of a training with each value of a space by itself, of an interval with its ends:
    what is wrong with one is said before the first trial, not in the twentieth.

    Raises:
        ConfigError: If a setting cannot have one, or no part takes an argument.
    """
    specs = _specs(config, space)
    for name, axis in space.items():
        ends = (axis.low, axis.high) if isinstance(axis, Interval) else axis
        for value in ends:
            yield from _settings(config, name, value, specs)


def keeps_sizes(space: Space) -> bool:
    """Whether the heads of all trials have weights of the same sizes."""
    return not any(
        name == "head" or (name.startswith("head.") and not name.endswith("dropout"))
        for name in space
    )


def settings_with(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values that a trial chose; an argument that its head or loss does not
    take has no effect."""
    settings = dict(base) | {n: v for n, v in chosen.items() if "." not in n}
    for shelf in _SHELVES:
        spec, *_ = registry.parse(settings[shelf])
        arguments = {
            name.partition(".")[2]: value
            for name, value in chosen.items()
            if name.startswith(f"{shelf}.")
        }
        taken = {n: v for n, v in arguments.items() if n in _taken(shelf, spec.name)}
        settings[shelf] = str(spec._replace(arguments=spec.arguments | taken))
    return settings


def takes(chosen: Mapping[str, Any], base: Mapping[str, Any], name: str) -> bool:
    """Whether a value of `name` changes a trial that has chosen this so far."""
    shelf, dot, argument = name.partition(".")
    if not dot:
        return True
    spec, *_ = registry.parse(chosen.get(shelf, base[shelf]))
    return argument in _taken(shelf, spec.name)


def as_json(space: Space) -> dict[str, Any]:
    """A space as it is written down."""
    return {
        name: vars(axis) if isinstance(axis, Interval) else list(axis)
        for name, axis in space.items()
    }


def _default(config: TuneConfig) -> dict[str, Any]:
    """The default space, without what is given and what head and loss do not take."""
    given = set(config.given)
    for shelf in _SHELVES:
        spec, *_ = registry.parse(getattr(config.train, shelf))
        if shelf in given:
            given |= {f"{shelf}.{argument}" for argument in spec.arguments}
    if config.train.init_from:
        given |= _CHANGES_SIZES
    base = config.base()
    return {
        name: values
        for name, values in _DEFAULT.items()
        if name not in given and takes({}, base, name)
    }


def _specs(config: TuneConfig, asked: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The specs of each shelf that trials may have."""
    return {
        shelf: asked[shelf] if shelf in asked else [getattr(config.train, shelf)]
        for shelf in _SHELVES
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        asked = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--space must name a readable JSON file. Received: {path} ({error})"
        ) from error
    if not isinstance(asked, dict) or not asked:
        raise ConfigError(f"--space must hold a JSON object of settings to try. Received: {path}")
    known = [one.name for one in TuneConfig.settings() if one.rule.tunable]
    for name, values in asked.items():
        shelf, dot, argument = name.partition(".")
        if name in known or (dot and argument and shelf in _SHELVES):
            if not values or not isinstance(values, list | dict):
                raise _not_a_range(name, values)
            continue
        raise ConfigError(
            f"--space must have settings that a trial can vary. Received: {name}."
            f"{registry.nearest(name, known)}"
        )
    return asked


def _axis(name: str, values: Any, *, whole: bool) -> Interval | tuple:
    if isinstance(values, list):
        if any(type(one) not in (str, int, float, bool) for one in values):
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
    sound = axis.low < axis.high and (axis.step is None or axis.step > 0)
    if axis.log:
        sound = sound and axis.low > 0 and axis.step is None
    if whole:
        numbers = (axis.low, axis.high, axis.step or 1)
        sound = sound and all(number == int(number) for number in numbers)
    if not sound:
        raise ConfigError(
            f"`{name}` in --space must have low < high, with log low > 0 and no step, and whole "
            f"numbers where the setting has them. Received: {values}"
        )
    return axis


def _not_a_range(name: str, values: Any) -> ConfigError:
    return ConfigError(
        f"`{name}` in --space must be a list of values, or low and high with log or step. "
        f"Received: {values!r}"
    )


def _settings(
    config: TuneConfig, name: str, value: Any, specs: Mapping[str, Sequence[str]]
) -> Iterator[TrainConfig]:
    """Settings of a training with this value; of an argument, with each part that takes it."""
    shelf, dot, argument = name.partition(".")
    if not dot:
        yield TrainConfig.from_settings(config.base() | {name: value})
        return
    taking = [
        spec._replace(arguments={argument: value})
        for spec, *_ in map(registry.parse, specs[shelf])
        if argument in _taken(shelf, spec.name)
    ]
    if not taking:
        raise ConfigError(
            f"--space must have arguments that {' or '.join(specs[shelf])} takes. Received: {name}"
        )
    for spec in taking:
        yield TrainConfig.from_settings(config.base() | {shelf: str(spec)})


def _is_whole(name: str, specs: Mapping[str, list[str]]) -> bool:
    shelf, dot, argument = name.partition(".")
    if not dot:
        return any(s.name == name and s.type is int for s in TrainConfig.settings())
    for spec, *_ in map(registry.parse, specs[shelf]):
        annotation = _taken(shelf, spec.name).get(argument)
        if annotation is not None:
            plain = getattr(annotation, "__origin__", annotation)
            kinds = typing.get_args(plain) or (plain,)
            return int in kinds and float not in kinds
    return False


def _taken(shelf: str, name: str) -> dict[str, Any]:
    """Annotations of the arguments that a spec may give a part, by name."""
    build = registry.module(_SHELVES[shelf], name).build
    hints = typing.get_type_hints(build, include_extras=True)
    return {
        argument: hints[argument]
        for argument in inspect.signature(build).parameters
        if argument not in _CONTEXT[shelf]
    }
