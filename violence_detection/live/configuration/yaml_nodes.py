"""Reads YAML in which every value has its line and column, for errors; its size is bounded.

A value is read by its text, not by what YAML 1.1 makes of it: `off` is a name where a name is
wanted, and `16:00` is no number.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from violence_detection import registry
from violence_detection.errors import ConfigError
from violence_detection.settings import Config, Setting
from violence_detection.system.requirements import install_command

if TYPE_CHECKING:
    from yaml import Node

MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
# Of values, where an alias counts as often as it is used: a few lines of aliases of aliases can
# stand for billions.
_MAX_NODES = 100_000
_MAX_TEXT = 2000  # characters of a value
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_TAGS = "tag:yaml.org,2002:"
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_Settings = TypeVar("_Settings", bound=Config)

Reader = Callable[["Node"], Any]
"""A function that gives the value of a node, or raises ConfigError."""


@dataclass(frozen=True)
class YamlProblem:
    """An error or a warning, and its place in a file.

    Attributes:
        line, column: From 1.
    """

    line: int
    column: int
    message: str

    def text(self, path: Path) -> str:
        return f"{path}:{self.line}:{self.column}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def compose(text: str) -> "Node | YamlProblem":
    """The root node of a YAML document; a finding if it is not well-formed, too deep or too large.

    Raises:
        ConfigError: If PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(
            "A cameras file needs PyYAML. Received: an installation without it (install it by "
            f"{install_command('watch')})"
        ) from error
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        # Events come one by one; composing calls itself for each level of nesting.
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH or count > _MAX_NODES:
                return _too_large(event)
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return YamlProblem(line, column, f"The file must be YAML. Received: {reason}")
    except yaml.YAMLError as error:  # characters that YAML does not allow
        reason = " ".join(str(error).split())[:200]
        return YamlProblem(1, 1, f"The file must be YAML. Received: {reason}")
    if root is None:
        return YamlProblem(1, 1, "The file must hold settings. Received: an empty file")
    return _check_size(root) or root


def _check_size(root: "Node") -> YamlProblem | None:
    """A finding if the document is too large with every alias in place, or has tags."""
    pending, count = [(root, 0)], 0
    while pending:
        node, depth = pending.pop()
        count += 1
        if depth > _MAX_DEPTH or count > _MAX_NODES:
            return _too_large(node)
        if "/" in node.tag.removeprefix(_TAGS) or not node.tag.startswith(_TAGS):
            return _finding(node, f"A value must have no tag. Received: {node.tag[:60]}")
        if isinstance(node.value, list):
            for item in node.value:
                pending += [(part, depth + 1) for part in (item if type(item) is tuple else [item])]
    return None


def _too_large(place: Any) -> YamlProblem:
    return _finding(
        place,
        f"The file must have at most {_MAX_NODES:,} values, {_MAX_DEPTH} levels deep, with every "
        "alias in its place. Received: more",
    )


def _finding(node: Any, message: str) -> YamlProblem:
    return YamlProblem(node.start_mark.line + 1, node.start_mark.column + 1, message)


def text_of(node: "Node") -> str:
    """The text of a scalar.

    Raises:
        ConfigError: If the node is none, is empty, too long, or holds characters that cannot be
            shown.
    """
    kind = _kind(node)
    if kind != "text":
        raise ConfigError(f"The value must be a text. Received: {kind}")
    if len(node.value) > _MAX_TEXT:
        raise ConfigError(
            f"A text must have at most {_MAX_TEXT} characters. Received: {len(node.value)}"
        )
    if not node.value.isprintable():
        raise ConfigError(f"A text must be printable. Received: {node.value[:60]!r}")
    return node.value


def _kind(node: "Node") -> str:
    if node.tag == f"{_TAGS}null" or node.value == "":
        return "nothing"
    return {"scalar": "text", "sequence": "a list", "mapping": "a mapping"}[node.id]


def _is_plain(node: "Node") -> bool:
    """True for a scalar without quotes."""
    return node.id == "scalar" and not node.style


def _shown(node: "Node") -> str:
    return node.value[:60] if _kind(node) == "text" else _kind(node)


def name_of(node: "Node") -> str:
    name = text_of(node)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "`name` must be at most 32 lower-case letters, digits, `-` and `_`, and begin with a "
            f"letter or digit. Received: {name[:60]}"
        )
    return name


def scalar_of(node: "Node") -> bool | int | float | str:
    """A truth value or a number without quotes, else the text of a scalar.

    Raises:
        ConfigError: If the node is none.
    """
    if _is_plain(node):
        if node.value.lower() in _WORDS:
            return _WORDS[node.value.lower()]
        if _INTEGER.fullmatch(node.value):
            return int(node.value)
        if _NUMBER.fullmatch(node.value):
            return float(node.value)
    return text_of(node)


def setting_reader(setting: Setting) -> Reader:
    """A reader of a setting's value, by its type and its rule."""

    def read(node: "Node") -> Any:
        if setting.type is str:
            return setting.check(text_of(node))
        value: Any = _shown(node) if node.id != "scalar" else scalar_of(node)
        if type(value) is bool and setting.type is not bool:
            value = node.value  # `no` is shown as it stands
        return setting.check(value)

    return read


class NodeReader:
    """Reads nodes by readers of their values, and collects errors and warnings with their place.

    Attributes:
        errors, warnings: In the order in which they were met.
    """

    def __init__(self) -> None:
        self.errors: list[YamlProblem] = []
        self.warnings: list[YamlProblem] = []

    def error(self, node: "Node", message: str) -> None:
        finding = _finding(node, message)
        if finding not in self.errors:  # an alias is read wherever it is used
            self.errors.append(finding)

    def warn(self, node: "Node", message: str) -> None:
        finding = _finding(node, message)
        if finding not in self.warnings:
            self.warnings.append(finding)

    def value(self, node: "Node", read: Reader, default: Any = None) -> Any:
        """The value that `read` gives; after an error, `default`."""
        try:
            return read(node)
        except ConfigError as error:
            self.error(node, str(error))
            return default

    def mapping(
        self,
        node: "Node",
        readers: Mapping[str, Reader],
        *,
        noun: str,
        required: Iterable[str] = (),
    ) -> dict[str, Any]:
        """The values of a mapping, by key; those with errors are left out.

        Args:
            node: Any node; one that is no mapping is an error.
            readers: A reader for each key that the mapping may have.
            noun: The thing that is described: "a camera".
            required: Keys that it must have.
        """
        if node.id != "mapping":
            self.error(node, f"The value must be a mapping, {noun}. Received: {_shown(node)}")
            return {}
        values, met, missing = {}, set(), object()
        for key_node, value_node in node.value:
            key = key_node.value if key_node.id == "scalar" else "a list or a mapping"
            if key in met:
                self.error(key_node, f"A key must be given once. Received: `{key[:60]}` twice")
            elif key == "<<":
                self.error(key_node, "Keys must stand where they are used; use `defaults` for all "
                    "cameras. Received: `<<`")  # fmt: skip
            elif key not in readers:
                self.error(key_node, self._unknown(key[:60], readers, noun))
            else:
                value = self.value(value_node, readers[key], missing)
                if value is not missing:
                    values[key] = value
            met.add(key)
        for key in required:
            if key not in met:
                self.error(node, f"`{key}` must be given for {noun}. Received: nothing")
        return values

    @staticmethod
    def _unknown(key: str, readers: Mapping[str, Reader], noun: str) -> str:
        hint = registry.did_you_mean(key, readers) or f" The keys are {', '.join(readers)}."
        return f"Unknown key `{key}` for {noun}.{hint}"

    def items(self, node: "Node", *, noun: str, limit: int) -> "list[Node]":
        """The nodes of a list.

        Args:
            node: Any node; one that is no list is an error.
            noun: The things that are listed: "cameras".
            limit: So many items at most.
        """
        if node.id != "sequence":
            self.error(node, f"The value must be a list of {noun}. Received: {_shown(node)}")
            return []
        if len(node.value) > limit:
            self.error(node, f"There may be {limit} {noun}. Received: {len(node.value)}")
            return []
        return node.value

    def config(
        self,
        node: "Node",
        base: _Settings,
        *,
        noun: str,
        nested: Mapping[str, Callable[["Node", Any], Any]] | None = None,
        other: Mapping[str, Reader] | None = None,
        required: Iterable[str] = (),
    ) -> tuple[_Settings, dict[str, Any]]:
        """A config with the values of a mapping in place of those of `base`.

        Args:
            node: The mapping.
            base: The values of keys that the mapping lacks.
            noun: As in `mapping`.
            nested: For each field that holds another config: reads it, over that of `base`.
            other: Readers of further keys, which are no settings of the config.
            required: Keys that the mapping must have.

        Returns:
            The config, and the values of the further keys.
        """
        known = {setting.name: setting_reader(setting) for setting in base.settings()}
        inner = {
            name: lambda part, read=read, field=name: read(part, getattr(base, field))
            for name, read in (nested or {}).items()
        }
        values = self.mapping(
            node, {**known, **inner, **(other or {})}, noun=noun, required=required
        )
        further = {key: values.pop(key) for key in other or () if key in values}
        config = self.value(node, lambda _: dataclasses.replace(base, **values), base)
        return config, further
