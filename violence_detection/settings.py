"""What a setting is, and a config that is checked when it is made."""

import contextlib
import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from violence_detection import registry, units
from violence_detection.errors import ConfigError

_AS_NOW = object()


@dataclass(frozen=True)
class Rule:
    """What a setting must be, and what its help says."""

    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] | None = None
    shelf: str | None = None
    words: tuple[str, ...] = ()  # that are no parts of the shelf, and mean something all the same
    path: bool = False
    span: int | None = None  # `FIRST,LAST`, at most so many apart
    canonical: Callable[[str], str] | None = None  # to the one way to write it, or an error
    off: str | None = None  # what the flag that says no is called, if not --no-...
    formerly: Any = _AS_NOW  # how it was before it could be asked for, if not the default

    def check(self, name: str, value: Any) -> Any:
        """`value`, once it is in range; a spec comes back in its canonical form, a path
        absolute, so that a run means the same from every folder.

        Raises:
            ConfigError: If it is out of range, not a choice, or not on the shelf.
        """
        if value is None:
            return None
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"`{name}` must be finite. Received: {name}={value}")
        if self.above is not None and not value > self.above:
            raise ConfigError(f"`{name}` must be > {self.above}. Received: {name}={value}")
        if self.low is not None and not value >= self.low:
            raise ConfigError(f"`{name}` must be >= {self.low}. Received: {name}={value}")
        if self.high is not None and not value <= self.high:
            raise ConfigError(f"`{name}` must be <= {self.high}. Received: {name}={value}")
        if self.choices and value not in self.choices:
            listed = ", ".join(self.choices)
            raise ConfigError(f"`{name}` must be one of {listed}. Received: {name}={value}")
        if self.span:
            first, last = span_of(value) or (0, 0)
            if not 1 <= first < last <= first + self.span:
                raise ConfigError(
                    f"`{name}` must be FIRST,LAST with 1 <= FIRST < LAST <= FIRST + {self.span}. "
                    f"Received: {name}={value}"
                )
        if self.canonical:
            return self.canonical(value)
        if self.path and (not value or "\0" in value or not units.is_utf8(value)):
            raise ConfigError(f"`{name}` must be a path in UTF-8. Received: {name}={value!r}")
        if self.path:
            return str(Path(value).absolute())
        if self.shelf and value not in self.words:
            return registry.check(self.shelf, value)
        return value


def span_of(text: str) -> tuple[int, int] | None:
    """`10,20` -> (10, 20); None for what is no two whole numbers."""
    numbers = re.fullmatch(r"(\d{1,9}),(\d{1,9})", text, re.ASCII)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def option(default: Any, help: str, **rule: Any) -> Any:
    """A dataclass field with its default, range and help."""
    return dataclasses.field(default=default, metadata={"rule": Rule(help, **rule)})


def same_as(config: type, name: str, help: str | None = None) -> Any:
    """A field with the default and range of another config's; its help too, where none is given."""
    field = _fields(config)[name]
    rule = field.metadata["rule"]
    if help is not None:
        rule = dataclasses.replace(rule, help=help)
    return dataclasses.field(default=field.default, metadata={"rule": rule})


@dataclass(frozen=True)
class Setting:
    """One setting of a config, as the command line needs it."""

    name: str
    type: type
    default: Any
    rule: Rule

    @property
    def formerly(self) -> Any:
        """What it was in runs of before it was there."""
        return self.default if self.rule.formerly is _AS_NOW else self.rule.formerly

    def checked(self, value: Any) -> Any:
        """`value` as the setting keeps it, once it is of its type and keeps its rule.

        Raises:
            ConfigError: If it is not, or does not.
        """
        return self.rule.check(self.name, _typed(self, value))


@dataclass(frozen=True)
class Config:
    """Base of the configs: checked when made, JSON both ways.

    `given` holds the names that a flag or a file set, so that a stage can tell a wish
    from a default.
    """

    seed: int = option(42, "Seed of everything that is drawn at random.", low=0, high=2**31 - 1)
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for setting in self.settings():
            value = setting.checked(getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    @classmethod
    def settings(cls) -> Iterator[Setting]:
        """The settings, in the order of the class."""
        for name, field in _fields(cls).items():
            if "rule" in field.metadata:
                yield Setting(name, _plain_type(field.type), field.default, field.metadata["rule"])

    @classmethod
    def recorded(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that were written down, with those that there were none of then, as it was."""
        return {one.name: one.formerly for one in cls.settings()} | dict(settings)

    @classmethod
    def of(cls, flags: Mapping[str, Any], file: Path | None = None) -> Self:
        """The config of a command: flag beats `file` beats default.

        Raises:
            ConfigError: If the file cannot be read, or names an unknown setting.
        """
        values = {**(_read(file) if file else {}), **flags}
        known = [setting.name for setting in cls.settings()]
        for name in values:
            if name not in known:
                hint = registry.nearest(name, known)
                raise ConfigError(f"Unknown setting `{name}`.{hint}")
        return cls(**values, given=frozenset(values))

    def as_dict(self) -> dict[str, Any]:
        """Every setting, ready for JSON."""
        return {setting.name: getattr(self, setting.name) for setting in self.settings()}


def _fields(config: type) -> dict[str, dataclasses.Field]:
    return {field.name: field for field in dataclasses.fields(config)}


def _plain_type(annotation: Any) -> type:
    """`int | None` -> int."""
    if isinstance(annotation, types.UnionType):
        return next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return annotation


def _typed(setting: Setting, value: Any) -> Any:
    if value is None and setting.default is None:
        return None
    if setting.type is float and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    if type(value) is not setting.type:
        raise ConfigError(
            f"`{setting.name}` must be of type {setting.type.__name__}. "
            f"Received: {setting.name}={value!r}"
        )
    return value


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = json.loads(text, object_pairs_hook=_unique)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--config must name a readable JSON file. Received: {file} ({error})"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config must hold a JSON object. Received: a {type(values).__name__}")
    return {name.replace("-", "_"): value for name, value in values.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, once no name in it comes twice (`a-b` and `a_b` are one)."""
    names = [name.replace("-", "_") for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`{twice[0]}` is there twice")
    return dict(pairs)
