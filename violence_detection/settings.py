"""Settings with their defaults, ranges, help and groups, and the configs that check them."""

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from violence_detection import registry, units
from violence_detection.errors import ConfigError

COMMON = "Common options"
# Headings of the help, in the order in which every command shows them.
GROUPS = (
    "Data",
    "Split",
    "Feature extraction",
    "Model",
    "Optimisation",
    "Imbalance",
    "Averaging",
    "Study",
    "Windows",
    "Decision",
    "Analysis",
    "Devices",
    "Output",
    "Advanced",
    COMMON,
)


# New names by former name. A config that has none of them, or the former name for something else,
# is not concerned: `frames` is the number of frames of a clip where `show_frames` is unknown.
FORMER = {
    "by": ("reviewer",),
    "clip_norm": ("global_clipnorm",),
    "clips": ("videos_to_check",),
    "frames": ("show_frames",),
    "name": ("run", "site_name"),
    "names": ("site_names",),
    "pictures": ("read_videos", "show_frames"),
    "prune": ("prune_trials",),
    "seeds": ("members",),
    "timeout": ("timeout_s",),
    "video_dir": ("dataset_path",),
    "video_timeout": ("video_timeout_s",),
    "videos": ("dataset_path",),
}


@dataclass(frozen=True)
class Rule:
    """The limits of a setting, its help, and its place in the help.

    Attributes:
        help: A sentence.
        group: One of `GROUPS`.
        low, high: Smallest and largest number.
        above: A number that the value must exceed.
        choices: The only values.
        registry: A registry folder; the value is a spec of its parts.
        words: Values besides the parts of the registry folder.
        path: `FILE`, `DIRECTORY` or `PATH` (either) where the value is one; a `~` at its start is
            the user's home.
        canonical: Brings the value into its canonical form, before it is checked, or raises
            ConfigError.
        metavar: Name of the value in the help; None takes that of the type.
        flag: Name of the flag; None is the setting's name.
        off: Name of the flag that switches the setting off; None is `no-` and the flag's name.
        hint: Advice for a value of another type.
        may_change_on_resume: The value may differ when the work is resumed: a name, a place, or the
            speed.
        tunable: A trial of `tune` may vary it.
    """

    help: str
    group: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] | None = None
    registry: str | None = None
    words: tuple[str, ...] = ()
    path: str = ""
    canonical: Callable[[str], str] | None = None
    metavar: str | None = None
    flag: str | None = None
    off: str | None = None
    hint: str = ""
    may_change_on_resume: bool = False
    tunable: bool = False

    def check(self, name: str, value: Any) -> Any:
        """Checks a value, returns it as the config keeps it.

        A spec gets its canonical form. A path becomes absolute, so that a run means the same
        from every folder.

        Raises:
            ConfigError: If the value is out of range, no choice, or not in the registry folder.
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
        if self.canonical:
            value = self.canonical(value)
        if self.choices and value not in self.choices:
            listed = ", ".join(self.choices)
            raise ConfigError(f"`{name}` must be one of {listed}. Received: {name}={value}")
        if self.path and (not value or "\0" in value or not units.is_utf8(value)):
            raise ConfigError(f"`{name}` must be a path in UTF-8. Received: {name}={value!r}")
        if self.path:
            return units.absolute_path(value)
        if self.registry and value not in self.words:
            for part in registry.parse(value) if self.words else ():
                if part.name in self.words:
                    raise ConfigError(f"`{name}` must name {part.name} alone. Received: {value}")
            return registry.check(self.registry, value)
        return value


@dataclass(frozen=True)
class Setting:
    """A setting of a config, as the command line and the JSON files name it.

    Attributes:
        name: Its flat name.
        path: Where a config keeps it: the names of the nested fields, and its own name there.
    """

    name: str
    type: type
    default: Any
    rule: Rule
    path: tuple[str, ...]

    def value_in(self, config: "Config") -> Any:
        return functools.reduce(getattr, self.path, config)

    def check(self, value: Any) -> Any:
        """Checks the type and the rule, returns the value as the config keeps it.

        Raises:
            ConfigError: If the value has another type, or breaks the rule.
        """
        return self.rule.check(self.name, self._typed(value))

    def _typed(self, value: Any) -> Any:
        if value is None and self.default is None:
            return None
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            with contextlib.suppress(OverflowError):
                return float(value)
        if type(value) is not self.type:
            hint = f" ({self.rule.hint})" if self.rule.hint else ""
            raise ConfigError(
                f"`{self.name}` must be of type {self.type.__name__}. "
                f"Received: {self.name}={value!r}{hint}"
            )
        return value


def option(default: Any, help: str, *, group: str, **rule: Any) -> Any:
    """A field of a config that is a setting."""
    return dataclasses.field(default=default, metadata={"rule": Rule(help, group, **rule)})


def same_as(config: "type[Config]", name: str, help: str | None = None, **changes: Any) -> Any:
    """A field with the default and the rule of another config's, but for what is given here."""
    field = {field.name: field for field in dataclasses.fields(config)}[name]
    changes |= {} if help is None else {"help": help}
    rule = dataclasses.replace(field.metadata["rule"], **changes)
    return dataclasses.field(default=field.default, metadata={"rule": rule})


@dataclass(frozen=True)
class _Nested:
    """The config of a nested field, and which settings the outer config takes from it."""

    config: "type[Config]"
    shared: frozenset[str]
    without: frozenset[str]
    renamed: Mapping[str, str]
    changes: Mapping[str, Mapping[str, Any]]

    def settings(self, field: str) -> Iterator[Setting]:
        for setting in self.config.settings():
            if (self.shared | self.without).isdisjoint({setting.name, *setting.path[:-1]}):
                yield dataclasses.replace(
                    setting,
                    name=self.renamed.get(setting.name, setting.name),
                    rule=dataclasses.replace(setting.rule, **self.changes.get(setting.name, {})),
                    path=(field, *setting.path),
                )


def nested(
    config: "type[Config]",
    *,
    shared: Iterable[str] = (),
    without: Iterable[str] = (),
    renamed: Mapping[str, str] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """A field that holds another config, whose settings are settings of the outer one too.

    Args:
        config: Class of the field.
        shared: Fields of the same name in both; the outer one's value holds.
        without: Settings, or nested fields with all of their settings, that the outer config
            does not take: they keep their defaults, or the outer config sets them.
        renamed: Name in the outer config by name in the nested one.
        changes: Parts of the rule that differ in the outer config, by name in the nested one.
    """
    part = _Nested(config, frozenset(shared), frozenset(without), renamed or {}, changes or {})
    return dataclasses.field(default_factory=config, metadata={"nested": part})


@dataclass(frozen=True)
class Config:
    """Base of the configs: checked when made; flat at the command line and in JSON.

    Attributes:
        given: Flat names of the settings that a flag or a file set, so that a stage can tell
            them from defaults.
    """

    given: frozenset[str] = dataclasses.field(default=frozenset(), kw_only=True)

    def __post_init__(self) -> None:
        for name, part in _nested_fields(type(self)).items():
            shared = {field: getattr(self, field) for field in part.shared}
            self._set(name, dataclasses.replace(getattr(self, name), **shared))
        given = set()
        for setting in self.settings():
            value = setting.check(setting.value_in(self))
            *fields, name = setting.path
            if not fields:
                self._set(name, value)
            if name in functools.reduce(getattr, fields, self).given:
                given.add(setting.name)
        self._set("given", frozenset(given))

    def _set(self, name: str, value: Any) -> None:
        """Set a field of the frozen config; only while it is made."""
        object.__setattr__(self, name, value)

    @classmethod
    def settings(cls) -> tuple[Setting, ...]:
        """The settings, those of nested fields too, in the order of the class."""
        return _settings(cls)

    @classmethod
    def names_in(cls, field: str) -> frozenset[str]:
        """Flat names of the settings that a nested field holds."""
        return frozenset(setting.name for setting in cls.settings() if field in setting.path[:-1])

    @classmethod
    def names_that_may_change(cls) -> frozenset[str]:
        """Names of the settings that may differ when the work is resumed."""
        return frozenset(
            setting.name for setting in cls.settings() if setting.rule.may_change_on_resume
        )

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any], file: Mapping[str, Any] | None = None) -> Self:
        """The config of a command: a flag beats the file of --config, which beats the default.

        Args:
            flags, file: Value by flat name.

        Raises:
            ConfigError: If a name is unknown, or a value breaks its rule.
        """
        values = {**(file or {}), **flags}
        return cls.from_settings(values, given=values)

    @classmethod
    def from_settings(cls, values: Mapping[str, Any], *, given: Iterable[str] = ()) -> Self:
        """The config with these values, by flat name; every other setting has its default.

        Raises:
            ConfigError: If a name is unknown, or a value breaks its rule.
        """
        known = {setting.name: setting for setting in cls.settings()}
        for name in values:
            if name not in known:
                new = new_name(name, known)
                advice = f" It is called `{new}`." if new else registry.did_you_mean(name, known)
                raise ConfigError(f"Unknown setting `{name}`.{advice}")
        checked = {known[name].path: known[name].check(value) for name, value in values.items()}
        return _build(cls, checked, {known[name].path for name in given if name in known})

    def with_settings(self, **changed: Any) -> Self:
        """The config with other values for these settings, by flat name."""
        return self.from_settings(self.as_dict() | changed, given=self.given)

    def as_dict(self) -> dict[str, Any]:
        """Every setting by its flat name, ready for JSON."""
        return {setting.name: setting.value_in(self) for setting in self.settings()}

    def changed(self) -> dict[str, Any]:
        """The settings that have not their defaults, by flat name, ready for JSON."""
        defaults = {setting.name: setting.default for setting in self.settings()}
        return {name: value for name, value in self.as_dict().items() if value != defaults[name]}

    @classmethod
    def complete_record(cls, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """Settings that an earlier version may have recorded, by today's names, all of them.

        A setting that the record lacks has the value in effect before the setting existed.
        """
        defaults = {setting.name: setting.default for setting in cls.settings()}
        return defaults | cls._upgraded(with_new_names(recorded, defaults))

    @classmethod
    def _upgraded(cls, recorded: dict[str, Any]) -> dict[str, Any]:
        """A record of an earlier version by today's names; a config overrides it as needed."""
        for part in _nested_fields(cls).values():
            recorded = part.config._upgraded(recorded)
        return recorded


@dataclass(frozen=True)
class CommandConfig(Config):
    """Base of the configs of commands."""

    seed: int = option(42, "Seed of all random draws.", group=COMMON, low=0, high=2**31 - 1)


@functools.cache
def _settings(config: type[Config]) -> tuple[Setting, ...]:
    settings: list[Setting] = []
    for field in dataclasses.fields(config):
        if rule := field.metadata.get("rule"):
            kind = _plain_type(field.type)
            settings.append(Setting(field.name, kind, field.default, rule, (field.name,)))
        elif part := field.metadata.get("nested"):
            settings += part.settings(field.name)
    return tuple(settings)


@functools.cache
def _nested_fields(config: type[Config]) -> dict[str, _Nested]:
    return {
        field.name: field.metadata["nested"]
        for field in dataclasses.fields(config)
        if "nested" in field.metadata
    }


def _build(
    config: type[Config], values: Mapping[tuple[str, ...], Any], given: set[tuple[str, ...]]
) -> Any:
    """A config from the inside out: nested fields first."""
    fields = {path[0]: value for path, value in values.items() if len(path) == 1}
    for name, part in _nested_fields(config).items():
        inner = {path[1:]: value for path, value in values.items() if path[0] == name and path[1:]}
        fields[name] = _build(part.config, inner, {path[1:] for path in given if path[0] == name})
    return config(**fields, given=frozenset(path[0] for path in given if len(path) == 1))


def _plain_type(annotation: Any) -> type:
    """`int | None` -> int."""
    if isinstance(annotation, types.UnionType):
        return next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return annotation


def new_name(former: str, names: Collection[str]) -> str:
    """The one of `names` that was called `former`; empty if there is none, or `former` is one."""
    if former in names:
        return ""
    return next((name for name in FORMER.get(former, ()) if name in names), "")


def with_new_names(recorded: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The settings of a record of this or an earlier version, by the names of today.

    Args:
        recorded: Value by name.
        names: The names that the config of the record has today.
    """
    return {new_name(name, names) or name: value for name, value in recorded.items()}
