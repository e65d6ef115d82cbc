"""Reads a cameras file: every error with its line and column, every password masked.

A key that is a number or a text is a field of a record, and nothing here.
"""

import dataclasses
import ipaddress
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.errors import ConfigError, FileKeyError, RunError
from violence_detection.live.access.config import WebSettings
from violence_detection.live.configuration import sinks_section
from violence_detection.live.configuration.camera_settings import (
    CameraSettings,
)
from violence_detection.live.configuration.cameras_section import CamerasReader
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.configuration.file_secrets import FileSecrets
from violence_detection.live.configuration.retention_settings import RetentionConfig
from violence_detection.live.configuration.yaml_nodes import (
    MAX_BYTES,
    NodeReader,
    YamlProblem,
    compose,
    setting_reader,
    text_of,
)
from violence_detection.models.run import Run

if TYPE_CHECKING:
    from yaml import Node

log = logging.getLogger(__name__)

VERSION = 1
MAX_LISTED = 20


@dataclass(frozen=True)
class CamerasFile:
    """Everything that was read of a cameras file.

    Attributes:
        path: The file.
        settings: Its content; None if it has errors.
        errors, warnings: In the order of the file.
    """

    path: Path
    settings: WatchFile | None
    errors: tuple[YamlProblem, ...] = ()
    warnings: tuple[YamlProblem, ...] = ()


def read(path: Path, environment: Mapping[str, str] | None = os.environ) -> CamerasFile:
    """Reads and checks a cameras file.

    Args:
        path: The file.
        environment: Has the values of variables; None for a reader who connects to nothing, and
            may not be the user who has the passwords.

    Raises:
        ConfigError: If the file cannot be read at all, or PyYAML is not installed.
    """
    path = path.absolute()
    text, is_private = _read_text(path)
    root = compose(text)
    if isinstance(root, YamlProblem):
        return CamerasFile(path, None, (root,))
    nodes = NodeReader()
    secrets = FileSecrets(path.name, environment, nodes, is_private=is_private)
    settings = _FileReader(path, nodes, secrets).read(root)
    order = lambda finding: (finding.line, finding.column)
    errors = tuple(sorted(nodes.errors, key=order))
    warnings = tuple(sorted(nodes.warnings, key=order))
    return CamerasFile(path, None if errors else settings, errors, warnings)


def load(path: Path, environment: Mapping[str, str] | None = os.environ) -> WatchFile:
    """The content of a cameras file; warnings, and errors if there are several, are logged.

    Args:
        path: The file.
        environment: Has the values of variables; None for a reader who connects to nothing, and
            may not be the user who has the passwords.

    Raises:
        ConfigError: If it cannot be read, or has errors.
    """
    result = read(path, environment)
    for warning in result.warnings:
        log.warning(warning.text(path))
    if result.settings:
        return result.settings
    first, *others = [error.text(path) for error in result.errors]
    if not others:
        raise FileKeyError(first)
    for error in [first, *others][:MAX_LISTED]:
        log.error(error)
    raise ConfigError(
        f"CAMERAS must be without errors. Received: {len(result.errors)} errors in {path}, of "
        f"which {min(len(result.errors), MAX_LISTED)} are listed above"
    )


def _read_text(path: Path) -> tuple[str, bool]:
    """The text of the file, and True if only its owner can read it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"CAMERAS must be a readable YAML file in UTF-8. Received: {path} ({reason}). "
            "`violence-detection watch example` prints one"
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"CAMERAS must be a file of at most {MAX_BYTES:,} bytes. Received: {path} (more)"
        )
    return text, not mode & (stat.S_IRWXG | stat.S_IRWXO)


class _FileReader:
    """Makes the records of one file out of its nodes."""

    def __init__(self, path: Path, nodes: NodeReader, secrets: FileSecrets) -> None:
        self._path, self._nodes, self._secrets = path, nodes, secrets
        self._cameras = CamerasReader(nodes, secrets)

    def read(self, root: "Node") -> WatchFile | None:
        """The file's content; None if a part is missing."""
        nodes: dict[str, Node] = {}  # of what can be read after something else only
        later = ("defaults", "cameras", "sinks", "escalation", "quiet_hours", "web", "retention")
        known = {setting.name: setting_reader(setting) for setting in WatchFile.settings()}
        values = self._nodes.mapping(
            root,
            {
                "version": _version,
                "run": self._run,
                "data": self._data,
                **known,
                **{key: lambda node, key=key: nodes.setdefault(key, node) for key in later},
            },
            noun="a cameras file",
            required=("version", "run", "data", "cameras"),
        )
        defaults = CameraSettings()
        if "defaults" in nodes:
            defaults = self._cameras.read_settings(nodes["defaults"], defaults, {})[0]
        cameras = self._cameras.read(nodes["cameras"], defaults) if "cameras" in nodes else ()
        sinks, escalation, quiet_hours = (), (), ()
        if "sinks" in nodes:
            sinks = sinks_section.read_sinks(nodes["sinks"], self._nodes, self._secrets)
        if "escalation" in nodes:
            names = [sink.name for sink in sinks]
            escalation = sinks_section.read_escalation(nodes["escalation"], self._nodes, names)
        if "quiet_hours" in nodes:
            quiet_hours = sinks_section.read_quiet_hours(
                nodes["quiet_hours"], self._nodes, self._cameras.names
            )
        web = self._web(nodes["web"]) if "web" in nodes else WebSettings()
        retention = RetentionConfig()
        if "retention" in nodes:
            retention = self._nodes.config(
                nodes["retention"],
                retention,
                noun="`retention`",
                nested={"days": self._section("days"), "judged_days": self._section("judged_days")},
            )[0]
        if not {"run", "data"} <= values.keys():
            return None
        cameras = tuple(
            self._cameras.with_calibration(nodes["cameras"], camera, values["data"], values["run"])
            for camera in cameras
        )
        return WatchFile(
            path=self._path,
            cameras=cameras,
            sinks=sinks,
            escalation=escalation,
            quiet_hours=quiet_hours,
            web=web,
            retention=retention,
            **{key: values[key] for key in ("run", "data", *known) if key in values},
        )

    # -- paths

    def _run(self, node: "Node") -> Path:
        folder = self._path_of(node)
        try:
            run = Run.open(folder)
            self._cameras.run_threshold = run.record().threshold
        except RunError as error:
            raise ConfigError(str(error)) from error
        return run.dir

    def _data(self, node: "Node") -> Path:
        folder = self._path_of(node)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"`data` must be a folder. Received: {folder}")
        return folder

    def _path_of(self, node: "Node") -> Path:
        """A path; one that is relative begins at the file's folder."""
        return self._path.parent / Path(text_of(node)).expanduser()

    def _section(self, name: str) -> Callable[["Node", Any], Any]:
        """A reader of a mapping that holds settings only, over their former values."""
        return lambda node, base: self._nodes.config(node, base, noun=f"`{name}`")[0]

    # -- the page

    def _web(self, node: "Node") -> WebSettings:
        paths = dict.fromkeys(("tls_certificate", "tls_key"), self._existing_file)
        settings, values = self._nodes.config(
            node, WebSettings(), noun="`web`", other={**paths, "trusted_proxies": self._addresses}
        )
        try:
            return dataclasses.replace(settings, **values)
        except ConfigError as error:
            self._nodes.error(node, str(error))
            return settings

    def _existing_file(self, node: "Node") -> Path:
        path = self._path_of(node)
        if not path.is_file():
            raise ConfigError(f"There must be such a file. Received: {path}")
        return path

    def _addresses(self, node: "Node") -> tuple[str, ...]:
        """Addresses of proxies, whose word on who asks is taken."""
        addresses = []
        for part in self._nodes.items(node, noun="addresses", limit=16):
            try:
                addresses.append(str(ipaddress.ip_address(text_of(part))))
            except ValueError as error:
                raise ConfigError(f"An address must be as 192.0.2.1. Received: {error}") from error
        return tuple(addresses)


def _version(node: "Node") -> int:
    if node.value != str(VERSION):
        raise ConfigError(
            f"`version` must be {VERSION}, the format of this program. Received: "
            f"{node.value if node.id == 'scalar' else node.id}"
        )
    return VERSION
