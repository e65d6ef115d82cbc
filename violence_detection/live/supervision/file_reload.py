"""Takes over a cameras file that was changed while a watch runs."""

import logging
from collections.abc import Callable
from typing import Any

from violence_detection.errors import ConfigError, ViolenceDetectionError
from violence_detection.live.access.accounts import Accounts
from violence_detection.live.access.listening import check_free, check_listen
from violence_detection.live.configuration import cameras_file
from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.page_start import ACCOUNTS
from violence_detection.live.processes.watch_notices import Notice, Reloaded
from violence_detection.live.supervision.watch_parts import WatchParts

log = logging.getLogger(__name__)

_AT_START_ONLY = ("run", "data", "judges")


class FileReload:
    """Reads the cameras file again, and changes the parts of a watch that are concerned."""

    def __init__(
        self, parts: WatchParts, clock: JoinedClock, report: Callable[[Notice], None]
    ) -> None:
        """
        Args:
            parts: The parts of the watch.
            clock: UTC.
            report: Is told of each attempt.
        """
        self._parts, self._clock, self._report = parts, clock, report

    def run(self) -> None:
        """Reads the file. One with errors changes nothing, and it is said."""
        parts, new, errors = self._parts, None, []
        try:
            result = cameras_file.read(parts.file.path)
            new, errors = result.settings, [error.text(result.path) for error in result.errors]
            if new and not errors:
                self._check(new)
                if _rules_of(new) != _rules_of(parts.file):
                    parts.replace_sinks(new)
        except ViolenceDetectionError as error:
            errors = [str(error)]
        text = "The cameras file has errors: what was read before holds."
        parts.warnings.set("reload", text, holds=bool(errors))
        now_ms = self._clock.now_ms()
        if errors:
            for error in errors:
                log.error(f"Not reloaded: {error}")
            self._report(Reloaded(now_ms, ok=False, errors=errors))
            return
        parts.states.down_after_s, parts.states.timezone = new.camera_down_s, new.timezone
        parts.warnings.timezone = new.timezone
        parts.file = new
        parts.clips.apply(new)
        parts.upkeep.retention = new.retention
        parts.spot_checks.apply(new)
        parts.judges.assign([camera.name for camera in new.cameras])
        changes = parts.cameras.apply(new)
        self._apply_web(new)
        self._report(Reloaded(now_ms, ok=True, **changes._asdict()))

    def _check(self, new: WatchFile) -> None:
        """
        Raises:
            ConfigError: If the file cannot be taken over while the watch runs.
        """
        before = self._parts.file
        changed = [key for key in _AT_START_ONLY if getattr(new, key) != getattr(before, key)]
        if changed:
            names = " and ".join(f"`{key}`" for key in changed)
            raise ConfigError(
                f"{new.path}: {names} can change at a start only: restart the watch, or take the "
                "change back."
            )
        if new.web == before.web or not new.web.enabled:
            return
        with Accounts(new.data / ACCOUNTS) as accounts:
            check_listen(new.web, accounts)
        if not before.web.enabled or new.web.address != before.web.address:
            check_free(new.web)

    def _apply_web(self, new: WatchFile) -> None:
        """Starts, restarts or ends the review page, or tells it the new settings."""
        parts = self._parts
        if parts.web and new.web.enabled:
            parts.web.apply(new)
        elif parts.web:
            parts.web.end()
            parts.web = None
            parts.warnings.set("page", "", holds=False)
        else:
            parts.start_web()


def _rules_of(file: WatchFile) -> tuple[Any, ...]:
    """Everything that the sinks and the notification policy depend on."""
    cameras = [
        (
            camera.name,
            camera.title,
            camera.site,
            camera.settings.alert.cooldown_s,
            camera.settings.observe_hours,
        )
        for camera in file.cameras
    ]
    return file.sinks, file.quiet_hours, file.escalation, file.timezone, cameras
