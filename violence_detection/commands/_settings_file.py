"""Reads the file of --config: settings by name, in JSON or YAML."""

import json
import re
from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError

_YAML = (".yaml", ".yml")
# YAML 1.1 takes `1e-4` for a text, `10:30` and `010` for other numbers, and dates for objects.
_YAML_NUMBERS = {
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)",
}
_TAG = "tag:yaml.org,2002:"


def read_settings(file: Path) -> dict[str, Any]:
    """The settings in a file, by name; `batch-size` is `batch_size`.

    Args:
        file: JSON, or YAML if its name ends in .yaml or .yml.

    Raises:
        ConfigError: If it cannot be read, names a setting twice, or is not an object of settings.
    """
    is_yaml = file.suffix.lower() in _YAML
    try:
        text = file.read_text(encoding="utf-8-sig")
        if is_yaml:
            return _read_yaml(text)
        values = json.loads(text, object_pairs_hook=_settings)
    except (OSError, ValueError, RecursionError) as error:
        kind = "YAML" if is_yaml else "JSON"
        hint = "" if is_yaml else "; a YAML file ends in .yaml"
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"--config must name a readable {kind} file. Received: {file} ({reason}{hint})"
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config must hold a JSON object. Received: a {type(values).__name__}")
    return values


def _settings(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """
    Raises:
        ValueError: If a name is given twice (`a-b` and `a_b` are the same name).
    """
    names = [name.replace("-", "_") for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"`{twice[0]}` is given twice")
    return dict(zip(names, (value for _, value in pairs), strict=True))


def _read_yaml(text: str) -> dict[str, Any]:
    """
    Raises:
        ConfigError: If the text holds something else than names, each with one value.
        ValueError: If it is not YAML, or names a setting twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}

    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
        kept = [item for item in resolvers if item[0] in (f"{_TAG}bool", f"{_TAG}null")]
        Loader.yaml_implicit_resolvers[first] = kept
    for name, pattern in _YAML_NUMBERS.items():
        number = re.compile(rf"(?:{pattern})\Z")
        Loader.add_implicit_resolver(f"{_TAG}{name}", number, list("-+.0123456789"))
    loader = Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        pairs = root.value if isinstance(root, yaml.MappingNode) else []
        if not pairs or not all(
            isinstance(node, yaml.ScalarNode) for pair in pairs for node in pair
        ):
            raise ConfigError(
                "--config must hold lines `name: value`, each with one value. Received: lists, or "
                "names within names"
            )
        return _settings([(key.value, loader.construct_object(node)) for key, node in pairs])
    except yaml.YAMLError as error:
        raise ValueError(error) from error
    finally:
        loader.dispose()
