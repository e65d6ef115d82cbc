"""Reads the file of --config: settings by name, in JSON or YAML."""

from pathlib import Path
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.system.json_or_yaml import is_yaml, read_values


def read_settings(file: Path) -> dict[str, Any]:
    """The settings in a file, by name; `batch-size` is `batch_size`.

    Args:
        file: JSON, or YAML if its name ends in .yaml or .yml.

    Raises:
        ConfigError: If it cannot be read, names a setting twice, or is not an object of settings.
    """
    try:
        values = read_values(file, _settings)
    except (OSError, ValueError, RecursionError) as error:
        kind = "YAML" if is_yaml(file) else "JSON"
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(
            f"--config must name a readable {kind} file. Received: {file} ({reason})"
        ) from error
    if not is_yaml(file) and not isinstance(values, dict):
        raise ConfigError(f"--config must hold a JSON object. Received: a {type(values).__name__}")
    if values is None:
        return {}
    if not isinstance(values, dict) or any(
        isinstance(value, dict | list) for value in values.values() if is_yaml(file)
    ):
        raise ConfigError(
            "--config must hold lines `name: value`, each with one value. Received: lists, or "
            "names within names"
        )
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
