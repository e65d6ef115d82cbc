"""Reads a cameras file: every error with its line and column, every password masked.

A key that is a number or a text is a field in `config`, and nothing here.
"""

import dataclasses
import ipaddress
import logging
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.errors import ConfigError, RunError
from violence_detection.live.access.config import WebSettings
from violence_detection.live.configuration import sinks_section
from violence_detection.live.configuration.camera_settings import (
    CameraAlert,
    CameraSettings,
    Priorities,
)
from violence_detection.live.configuration.config import Camera, Secret, WatchFile
from violence_detection.live.configuration.file_secrets import FileSecrets
from violence_detection.live.configuration.kept_calibrations import read_calibrations, run_digest
from violence_detection.live.configuration.mask_polygons import read_masks
from violence_detection.live.configuration.retention_settings import RetentionConfig
from violence_detection.live.configuration.yaml_nodes import (
    MAX_BYTES,
    Finding,
    NodeReader,
    compose,
    name_of,
    setting_reader,
    text_of,
)
from violence_detection.models.run import Run

if TYPE_CHECKING:
    from yaml import Node

log = logging.getLogger(__name__)

VERSION = 1
MAX_LISTED = 20
_MAX_CAMERAS = 128
_SCHEMES = ("rtsp", "rtsps", "http", "https")
_LOCAL_CAMERA = re.compile(r"(?:/dev/video)?\d{1,3}", re.ASCII)
_MAX_TITLE = 100
_ALERT = {setting.name: setting_reader(setting) for setting in CameraAlert.settings()}
_THRESHOLD, _FALSE_ALARMS = _ALERT["threshold"], _ALERT["false_alarms_per_hour"]


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
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


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
    if isinstance(root, Finding):
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
        raise ConfigError(first)
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
        raise ConfigError(
            f"CAMERAS must be a readable YAML file in UTF-8. Received: {path} ({error})"
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
        self._camera_names: list[str] = []  # those of cameras with errors, too
        self._run_threshold = 0.5  # until the run is read

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
            defaults = self._camera_settings(nodes["defaults"], defaults, {})[0]
        cameras = self._cameras(nodes["cameras"], defaults) if "cameras" in nodes else ()
        sinks, escalation, quiet_hours = (), (), ()
        if "sinks" in nodes:
            sinks = sinks_section.read_sinks(nodes["sinks"], self._nodes, self._secrets)
        if "escalation" in nodes:
            names = [sink.name for sink in sinks]
            escalation = sinks_section.read_escalation(nodes["escalation"], self._nodes, names)
        if "quiet_hours" in nodes:
            quiet_hours = sinks_section.read_quiet_hours(
                nodes["quiet_hours"], self._nodes, self._camera_names
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
            self._with_calibration(nodes["cameras"], camera, values["data"], values["run"])
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
            self._run_threshold = run.record().threshold
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

    # -- cameras

    def _cameras(self, node: "Node", defaults: CameraSettings) -> tuple[Camera, ...]:
        cameras: dict[str, Camera] = {}
        sources: dict[Secret, str] = {}
        nodes = self._nodes.items(node, noun="cameras", limit=_MAX_CAMERAS)
        if node.id == "sequence" and not node.value:
            self._nodes.error(node, "There must be a camera. Received: an empty list")
        for part in nodes:
            camera = self._camera(part, defaults)
            if camera is None:
                continue
            if first := sources.get(camera.source):
                self._nodes.warn(part, f"{camera.name} has the source of {first}.")
            cameras[camera.name] = camera
            sources[camera.source] = camera.name
        return tuple(cameras.values())

    def _camera(self, node: "Node", defaults: CameraSettings) -> Camera | None:
        settings, values = self._camera_settings(
            node,
            defaults,
            {"name": name_of, "title": _title, "source": self._source, "site": _title},
        )
        if node.id != "mapping":
            return None
        if settings.alert.threshold is None:
            self._nodes.error(
                node,
                "`alert` must give a `threshold` for each camera, here or in `defaults`: a number, "
                "or `run` for the run's own; or `false_alarms_per_hour`. Received: nothing",
            )
        if "name" in values and values["name"] in self._camera_names:
            self._nodes.error(
                node, f"Each camera must have a name of its own. Received: {values['name']} twice"
            )
        self._camera_names += [values["name"]] if "name" in values else []
        if not {"name", "source"} <= values.keys():
            return None
        return Camera(
            name=values["name"],
            title=values.get("title", values["name"]),
            source=values["source"],
            site=values.get("site", ""),
            settings=settings,
        )

    def _camera_settings(
        self, node: "Node", base: CameraSettings, other: Mapping[str, Any]
    ) -> tuple[CameraSettings, dict[str, Any]]:
        noun = "a camera" if other else "`defaults`"
        nested = {
            "lag": self._section("lag"),
            "alert": self._alert,
            "clips": self._section("clips"),
            "privacy_masks": lambda part, _: read_masks(part, self._nodes),
        }
        return self._nodes.config(
            node,
            base,
            noun=noun,
            nested=nested,
            other=other,
            required=("name", "source") if other else (),
        )

    def _alert(self, node: "Node", base: CameraAlert) -> CameraAlert:
        nested = {
            "confirm": self._section("confirm"),
            "priorities": self._priorities,
        }
        other = {
            "threshold": self._threshold_of,
            "false_alarms_per_hour": lambda node: self._nodes.value(node, _FALSE_ALARMS, 1.0),
        }
        alert, values = self._nodes.config(node, base, noun="`alert`", nested=nested, other=other)
        if len(values) == 2:
            self._nodes.error(
                node,
                "`alert` must have one of `threshold` and `false_alarms_per_hour`. Received: both",
            )
        if not values:
            return alert
        return dataclasses.replace(
            alert,
            threshold=values.get("threshold", self._run_threshold),
            false_alarms_per_hour=values.get("false_alarms_per_hour"),
        )

    def _with_calibration(self, node: "Node", camera: Camera, data: Path, run: Path) -> Camera:
        """The camera with the threshold that was chosen for its false alarms an hour."""
        alert = camera.settings.alert
        if alert.false_alarms_per_hour is None:
            return camera
        kept = read_calibrations(data).get(camera.name)
        if kept is None or (kept.per_hour, kept.run_digest) != (
            alert.false_alarms_per_hour,
            run_digest(run),
        ):
            self._nodes.warn(
                node,
                f"No threshold was chosen for {alert.false_alarms_per_hour:g} false alarms an hour "
                f"of {camera.name} with this run (watch calibrate): the run's own holds, "
                f"{alert.threshold:.3g}.",
            )
            return camera
        alert = dataclasses.replace(alert, threshold=kept.threshold)
        return dataclasses.replace(
            camera, settings=dataclasses.replace(camera.settings, alert=alert)
        )

    def _priorities(self, node: "Node", base: Priorities) -> Priorities:
        nested = {
            name: lambda part, limit, name=name: self._nodes.config(part, limit, noun=f"`{name}`")[
                0
            ]
            for name in ("medium", "high")
        }
        return self._nodes.config(node, base, noun="`priorities`", nested=nested)[0]

    def _threshold_of(self, node: "Node") -> float:
        """A threshold. After an error some value: that there is one is not an error as well."""
        if node.value == "run":
            return self._run_threshold
        return self._nodes.value(node, _THRESHOLD, 0.5)

    def _source(self, node: "Node") -> Secret:
        source = self._secrets.secret(node, shows_rest=True)
        value = source.reveal()
        scheme, is_url, rest = value.partition("://")
        if is_url and scheme.lower() in _SCHEMES and rest.strip("/"):
            return source
        if _LOCAL_CAMERA.fullmatch(value):
            return source
        raise ConfigError(
            f"`source` must be a URL of {', '.join(_SCHEMES)}, or the number of a local camera. "
            f"Received: {source}"
        )


def _version(node: "Node") -> int:
    if node.value != str(VERSION):
        raise ConfigError(
            f"`version` must be {VERSION}, the format of this program. Received: "
            f"{node.value if node.id == 'scalar' else node.id}"
        )
    return VERSION


def _title(node: "Node") -> str:
    title = text_of(node)
    if len(title) > _MAX_TITLE:
        raise ConfigError(
            f"A title must have at most {_MAX_TITLE} characters. Received: {len(title)}"
        )
    return title
