"""Stages of `watch replay` and `watch calibrate`, which work on the scores that a watch kept."""

import dataclasses
import getpass
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from violence_detection.errors import ConfigError, EvidenceError, ViolenceDetectionError
from violence_detection.live.configuration import cameras_file
from violence_detection.live.configuration.config import (
    CalibrateConfig,
    Camera,
    ReplayConfig,
    WatchFile,
)
from violence_detection.live.configuration.kept_calibrations import (
    KeptCalibration,
    keep_calibration,
    read_calibrations,
    run_digest,
)
from violence_detection.live.processes.supervisor_requests import RequestClient
from violence_detection.live.replaying.replay import (
    MINUTE_MS,
    CameraReplay,
    judged_stretches,
    replay_camera,
)
from violence_detection.live.replaying.threshold_calibration import Calibration, calibrate
from violence_detection.live.storage.event_list import EventFilter, list_events
from violence_detection.live.storage.event_reader import EventReader
from violence_detection.live.supervision.watch_parts import SOCKET, STORE
from violence_detection.live.watching.camera_alerts import alert_settings
from violence_detection.live.watching.watched_camera import settings_digest

_HOUR_MS = 3_600_000
_MAX_EVENTS = 1_000_000


@dataclass(frozen=True)
class ReplayResult:
    """The replay of the cameras of a file.

    Attributes:
        from_ms, to_ms: UTC.
    """

    from_ms: int
    to_ms: int
    timezone: str
    cameras: tuple[CameraReplay, ...]

    def to_json(self) -> dict[str, Any]:
        cameras = [camera.to_json() for camera in self.cameras]
        return dataclasses.asdict(self) | {"cameras": cameras}


def replay(
    path: Path, settings: ReplayConfig, *, clock: Callable[[], float] = time.time
) -> ReplayResult:
    """Replays the kept scores of cameras through the alert policy of a cameras file.

    Args:
        path: The cameras file, whose settings are tried.
        settings: The time, the camera, and a threshold.
        clock: Seconds since 1970, UTC.

    Raises:
        ConfigError: If the file, the time or the camera is wrong.
        RunError: If there is no event store.
    """
    file = cameras_file.load(path)
    to_ms = _parse_time(settings.until, file.timezone) or int(1000 * clock())
    from_ms = to_ms - round(settings.hours * _HOUR_MS)
    names = [settings.camera] if settings.camera else [camera.name for camera in file.cameras]
    cameras = [_camera_of(file, name) for name in names]
    with EventReader.open(file.data / STORE) as reader:
        if not settings.until and not _is_running(file):
            # A watch that has ended has stored its last minute, although that is not over.
            to_ms = max(to_ms, min(reader.last_minute_ms(), to_ms + MINUTE_MS))
        replays = tuple(
            replay_camera(
                reader,
                camera,
                settings_digest=settings_digest(camera),
                from_ms=from_ms,
                to_ms=to_ms,
                threshold=settings.threshold,
            )
            for camera in cameras
        )
    return ReplayResult(from_ms, to_ms, file.timezone, replays)


def _is_running(file: WatchFile) -> bool:
    """True if a watch of the file answers."""
    try:
        RequestClient(file.data / SOCKET).status()
    except ViolenceDetectionError:
        return False
    return True


@dataclass(frozen=True)
class CalibrationResult:
    """A threshold that was chosen for a camera, or would be.

    Attributes:
        unreviewed: Events in the hours that nobody has judged; they count as false alarms.
        left_out: Hours that were left out, because an event in them was judged violent or is in
            dispute.
        missed: Ids of events that were judged violent and whose peak is below the threshold.
        path: The file in which it is kept.
        dry_run: It was not kept.
    """

    camera: str
    calibration: Calibration
    unreviewed: int
    left_out: int
    missed: tuple[str, ...]
    path: Path
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "camera": self.camera,
            **self.calibration.to_json(),
            "unreviewed": self.unreviewed,
            "left_out": self.left_out,
            "missed": list(self.missed),
            "written": str(self.path),
            "dry_run": self.dry_run,
        }


class CalibrationStage:
    """Chooses the threshold of a camera on its own quiet hours, and keeps it.

    Hours in which an event was judged violent, or in which people differ, are left out. An event
    that nobody has judged counts as a false alarm: that errs to a higher threshold.
    """

    def __init__(
        self,
        path: Path,
        camera: str,
        config: CalibrateConfig,
        *,
        force: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            path: The cameras file.
            camera: Name of the camera.
            config: The rate, and the days that are looked at.
            force: An earlier threshold of the camera may be replaced.
            clock: Seconds since 1970, UTC.
        """
        self._path, self._camera, self._config, self._clock = path, camera, config, clock
        self._force = force

    def prepare(self) -> CalibrationResult:
        """The result of `run`, with `dry_run`.

        Raises:
            ConfigError: If the file, the camera or the rate is wrong.
            RunError: If there is no event store.
            EvidenceError: If there are too few quiet hours, or no threshold keeps the rate.
        """
        return dataclasses.replace(self._choose()[0], dry_run=True)

    def run(self) -> CalibrationResult:
        """Chooses the threshold and keeps it.

        Raises:
            ConfigError, RunError, EvidenceError: See `prepare`.
        """
        result, file = self._choose()
        chosen = result.calibration
        earlier = read_calibrations(file.data).get(self._camera)
        if earlier and not self._force:
            raise ConfigError(
                f"An earlier threshold of {self._camera} is replaced with --force only. Received: "
                f"{chosen.threshold:.4f}, in place of {earlier.threshold:.4f}"
            )
        keep_calibration(
            file.data,
            self._camera,
            KeptCalibration(
                threshold=chosen.threshold,
                per_hour=chosen.per_hour,
                hours=chosen.hours,
                alarms=chosen.alarms,
                run_digest=run_digest(file.run),
                at_ms=int(1000 * self._clock()),
                by=_login_name(),
            ),
        )
        return result

    def _choose(self) -> tuple[CalibrationResult, WatchFile]:
        file = cameras_file.load(self._path)
        camera = _camera_of(file, self._camera)
        per_hour = self._config.false_alarms_per_hour or camera.settings.alert.false_alarms_per_hour
        if per_hour is None:
            raise ConfigError(
                "--false-alarms-per-hour must be given, or the camera's alert must have the key "
                "false_alarms_per_hour in the file. "
                "Received: neither"
            )
        to_ms = int(1000 * self._clock())
        from_ms = to_ms - round(24 * _HOUR_MS * self._config.days)
        with EventReader.open(file.data / STORE) as reader:
            chosen = EventFilter(camera=camera.name, from_ms=from_ms, to_ms=to_ms)
            events = list_events(reader, chosen, limit=_MAX_EVENTS)
            loud = {
                hour
                for row in events
                if row.verdict in ("violent", "disputed") or row.event.kind == "reported"
                for hour in _hours_of(row.event.start_ms, row.event.end_ms or row.event.start_ms)
            }
            first, last = from_ms // MINUTE_MS, to_ms // MINUTE_MS - 1
            digest = run_digest(file.run)
            minutes = [
                minute
                for minute in reader.minutes(camera.name, first=first, last=last)
                if minute.run_digest == digest and minute.minute * MINUTE_MS // _HOUR_MS not in loud
            ]
        if not minutes:
            raise EvidenceError(
                f"{camera.name} must have quiet hours that the run of the file judged. Received: "
                f"none in {self._config.days:g} days (watch it for some days first)"
            )
        calibration = calibrate(
            judged_stretches(minutes), alert_settings(camera.settings.alert), per_hour=per_hour
        )
        missed = [
            row.event.id
            for row in events
            if row.verdict == "violent" and (row.event.peak or 0.0) < calibration.threshold
        ]
        result = CalibrationResult(
            camera.name,
            calibration,
            unreviewed=sum(row.verdict == "" and row.event.kind == "violence" for row in events),
            left_out=len(loud),
            missed=tuple(missed),
            path=file.data / "calibration.json",
        )
        return result, file


def _hours_of(start_ms: int, end_ms: int) -> range:
    """Numbers of the hours since 1970 that a time touches."""
    return range(start_ms // _HOUR_MS, end_ms // _HOUR_MS + 1)


def _camera_of(file: WatchFile, name: str) -> Camera:
    names = [camera.name for camera in file.cameras]
    if name not in names:
        raise ConfigError(f"The camera must be one of {', '.join(names)}. Received: {name}")
    return file.camera(name)


def _parse_time(text: str | None, timezone: str) -> int | None:
    """UTC in milliseconds of a time without a zone, in a zone.

    Raises:
        ConfigError: If it is no time.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--until must be a time, as 2026-11-30T06:00. Received: {text}"
        ) from error
    return int(1000 * (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).timestamp())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
