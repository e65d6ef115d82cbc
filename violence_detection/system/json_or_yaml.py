"""Reads the values of a JSON or YAML file; numbers and words of YAML mean what those of JSON do."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_YAML = (".yaml", ".yml")
# YAML 1.1 takes `1e-4` for a text, `10:30` and `010` for other numbers, and dates for objects.
_YAML_NUMBERS = {
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)",
}
_TAG = "tag:yaml.org,2002:"
Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def is_yaml(file: Path) -> bool:
    """True if the name of a file ends in .yaml or .yml."""
    return file.suffix.lower() in _YAML


def read_values(file: Path, pairs: Pairs = dict) -> Any:
    """The values of a file; None for a YAML file without any.

    Args:
        file: JSON, or YAML if its name says so.
        pairs: Makes the dict of names and values, in their order; a name may be there twice.

    Raises:
        OSError: If the file cannot be read.
        ValueError, RecursionError: If it is not JSON or YAML in UTF-8, or `pairs` raises it.
    """
    text = file.read_text(encoding="utf-8-sig")
    if is_yaml(file):
        return _parse_yaml(text, pairs)
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error}; a YAML file ends in .yaml") from error


def _parse_yaml(text: str, pairs: Pairs) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}
        yaml_constructors = dict(yaml.SafeLoader.yaml_constructors)

    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
        kept = [item for item in resolvers if item[0] in (f"{_TAG}bool", f"{_TAG}null")]
        Loader.yaml_implicit_resolvers[first] = kept
    for name, pattern in _YAML_NUMBERS.items():
        number = re.compile(rf"(?:{pattern})\Z")
        Loader.add_implicit_resolver(f"{_TAG}{name}", number, list("-+.0123456789"))

    def named_values(loader: Loader, node: yaml.MappingNode) -> dict[str, Any]:
        if not all(isinstance(name, yaml.ScalarNode) for name, _ in node.value):
            raise ValueError("a name must be a text")
        rows = [
            (name.value, loader.construct_object(value, deep=True)) for name, value in node.value
        ]
        return pairs(rows)

    Loader.add_constructor(f"{_TAG}map", named_values)
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(error) from error
