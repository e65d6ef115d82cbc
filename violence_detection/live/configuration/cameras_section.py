"""Reads `cameras` and `defaults` of a cameras file."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violence_detection.errors import ConfigError
from violence_detection.live.configuration.camera_settings import (
    CameraAlert,
    CameraSettings,
    Priorities,
)
from violence_detection.live.configuration.config import Camera, Secret
from violence_detection.live.configuration.file_secrets import FileSecrets
from violence_detection.live.configuration.kept_calibrations import read_calibrations, run_digest
from violence_detection.live.configuration.mask_polygons import read_masks
from violence_detection.live.configuration.yaml_nodes import (
    NodeReader,
    name_of,
    setting_reader,
    text_of,
)

if TYPE_CHECKING:
    from yaml import Node

_MAX_CAMERAS = 128
_SCHEMES = ("rtsp", "rtsps", "http", "https")
_LOCAL_CAMERA = re.compile(r"(?:/dev/video)?\d{1,3}", re.ASCII)
_MAX_TITLE = 100
_ALERT = {setting.name: setting_reader(setting) for setting in CameraAlert.settings()}
_THRESHOLD, _FALSE_ALARMS = _ALERT["threshold"], _ALERT["false_alarms_per_hour"]


class CamerasReader:
    """Makes cameras of the nodes of a file.

    Attributes:
        names: Names of the cameras that were read, those with errors too.
        run_threshold: The threshold that the word `run` means.
    """

    def __init__(self, nodes: NodeReader, secrets: FileSecrets) -> None:
        self._nodes, self._secrets = nodes, secrets
        self.names: list[str] = []
        self.run_threshold = 0.5  # until the run is read

    def _section(self, name: str) -> Callable[["Node", Any], Any]:
        """A reader of a mapping that holds settings only, over their former values."""
        return lambda node, base: self._nodes.config(node, base, noun=f"`{name}`")[0]

    def read(self, node: "Node", defaults: CameraSettings) -> tuple[Camera, ...]:
        """The cameras of the file; what has an error is left out."""
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
        settings, values = self.read_settings(
            node,
            defaults,
            {
                "name": name_of,
                "title": _title,
                "source": self._source,
                "clip_source": self._clip_source,
                "site": _title,
            },
        )
        if node.id != "mapping":
            return None
        if settings.alert.threshold is None:
            self._nodes.error(
                node,
                "`alert` must give a `threshold` for each camera, here or in `defaults`: a number, "
                "or `run` for the run's own; or `false_alarms_per_hour`. Received: nothing",
            )
        if "name" in values and values["name"] in self.names:
            self._nodes.error(
                node, f"Each camera must have a name of its own. Received: {values['name']} twice"
            )
        keep = settings.clips.keep
        if keep == "masked" and not settings.privacy_masks:
            self._nodes.error(
                node,
                "`clips.keep: masked` must have `privacy_masks`, without which clips would show "
                "everything. Received: none",
            )
        if "clip_source" in values and keep == "none":
            self._nodes.warn(node, "`clip_source` is not read, because no clips are kept.")
        self.names += [values["name"]] if "name" in values else []
        if not {"name", "source"} <= values.keys():
            return None
        return Camera(
            name=values["name"],
            title=values.get("title", values["name"]),
            source=values["source"],
            site=values.get("site", ""),
            settings=settings,
            clip_source=values.get("clip_source"),
        )

    def read_settings(
        self, node: "Node", base: CameraSettings, other: Mapping[str, Any]
    ) -> tuple[CameraSettings, dict[str, Any]]:
        """The settings of a camera or of `defaults` over their former values.

        Args:
            node: The mapping.
            base: The values of what it does not give.
            other: Readers of further keys, by name: those of a camera; `defaults` has none.
        """
        noun = "a camera" if other else "`defaults`"
        nested = {
            "lag": self._section("lag"),
            "alert": self._alert,
            "clips": self._section("clips"),
            "privacy_masks": lambda part, _: read_masks(part, self._nodes),
            "ignore": lambda part, _: read_masks(part, self._nodes),
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
            threshold=values.get("threshold", self.run_threshold),
            false_alarms_per_hour=values.get("false_alarms_per_hour"),
        )

    def with_calibration(self, node: "Node", camera: Camera, data: Path, run: Path) -> Camera:
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
            return self.run_threshold
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

    def _clip_source(self, node: "Node") -> Secret:
        source = self._secrets.secret(node, shows_rest=True)
        scheme, is_url, rest = source.reveal().partition("://")
        if is_url and scheme.lower() in _SCHEMES and rest.strip("/"):
            return source
        raise ConfigError(
            f"`clip_source` must be a URL of {', '.join(_SCHEMES)}. Received: {source}"
        )


def _title(node: "Node") -> str:
    title = text_of(node)
    if len(title) > _MAX_TITLE:
        raise ConfigError(
            f"A title must have at most {_MAX_TITLE} characters. Received: {len(title)}"
        )
    return title
