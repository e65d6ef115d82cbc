"""Clips of a watch: ordered as events change, stored as captures report, deleted in time."""

import logging
from collections.abc import Callable

from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.configuration.retention_settings import RetentionConfig
from violence_detection.live.processes.clip_messages import (
    ClipEnd,
    ClipOrder,
    ClipWritten,
    EventPictureOrder,
)
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.recording.clips import picture_paths
from violence_detection.live.recording.retention import Retention, RetentionSettings
from violence_detection.live.storage.event_records import StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.event_clips import ClipMargins, EventClips
from violence_detection.live.watching.watch_warnings import WatchWarnings

log = logging.getLogger(__name__)

_SWEEP_EVERY_S = 60.0
_PICTURES_EVERY_S = 3600.0
_GB = 10**9


def retention_settings(config: RetentionConfig) -> RetentionSettings:
    """The limits of a cameras file in bytes and days."""
    return RetentionSettings(
        low_days=config.days.low,
        medium_days=config.days.medium,
        high_days=config.days.high,
        violent_days=config.judged_days.violent,
        not_violent_days=config.judged_days.not_violent,
        max_bytes=None if config.max_gb is None else round(_GB * config.max_gb),
        min_free_bytes=round(_GB * config.min_free_gb),
    )


class WatchClips:
    """Keeps a clip of each event of the cameras that have clips."""

    def __init__(
        self,
        file: WatchFile,
        store: EventStore,
        clock: JoinedClock,
        warnings: WatchWarnings,
        send: Callable[[str, ClipOrder | ClipEnd | EventPictureOrder], None],
    ) -> None:
        """
        Args:
            file: The cameras file.
            store: Has the rows of clips.
            clock: Monotonic times and UTC.
            warnings: Is told while there is no room.
            send: Sends an order to the capture of a camera.
        """
        self._store, self._clock, self._warnings, self._send = store, clock, warnings, send
        self._sweep_s, self._text = clock.monotonic(), ""
        self._pictures_s = clock.monotonic() + _PICTURES_EVERY_S
        self._writing: dict[str, str] = {}  # camera of each clip that was ordered, by its path
        self.apply(file)
        self._retention.sweep_at_start()

    def apply(self, file: WatchFile) -> None:
        """Takes over the settings of a new file."""
        self._margins = {
            camera.name: ClipMargins(camera.settings.clips.pre_s, camera.settings.clips.post_s)
            for camera in file.cameras
            if camera.settings.clips.keep != "none"
        }
        self._pictures = {sink.picture for sink in file.sinks} - {"none"}
        self._blurred = {c.name for c in file.cameras if c.settings.clips.keep == "blurred"}
        settings = retention_settings(file.retention)
        self._retention = Retention(self._store, file.data, settings)
        self._clips = EventClips(
            self._store, file.data, self._retention, self._send, to_utc_ms=self._clock.ms
        )

    def change(self, kind: str, event: StoredEvent, time_s: float) -> None:
        """Orders the clip of an event, or its end.

        Args:
            kind: `start`, `rise` or `end`.
            event: As it is stored.
            time_s: Monotonic time of its start, or of its end.
        """
        if kind == "start" and event.kind == "violence":
            self._order_pictures(event)
        margins = self._margins.get(event.camera)
        if margins is None:
            return
        if kind == "end":
            self._clips.end(event, time_s, margins)
        elif self._store.clip(event.id) is None:
            self._sweep()
            self._clips.start(event, time_s, margins)
            if row := self._store.clip(event.id):
                self._writing[row.path] = event.camera

    def _order_pictures(self, event: StoredEvent) -> None:
        """Orders the pictures that sinks send with messages about an event."""
        original, blurred = picture_paths(event.camera, event.id, event.start_ms)
        # Of a camera whose clips are blurred nothing else reaches the disk.
        wants_blurred = "blurred" in self._pictures or event.camera in self._blurred
        order = EventPictureOrder(
            original if "original" in self._pictures and event.camera not in self._blurred else "",
            blurred if wants_blurred and self._pictures else "",
        )
        if order.original or order.blurred:
            self._send(event.camera, order)

    def keep(self, event: StoredEvent, start_s: float, end_s: float) -> None:
        """Orders the clip of an event of the past, as far as its packets are kept.

        Args:
            event: As it is stored.
            start_s, end_s: Monotonic times of the event.
        """
        self.change("start", event, start_s)
        self.change("end", event, end_s)

    def written(self, camera: str, message: ClipWritten) -> None:
        """Stores what a capture reports."""
        if self._writing.get(message.path) == camera:
            del self._writing[message.path]
        self._clips.written(camera, message)

    def tick(self) -> None:
        """Deletes what is due, clips once a minute, pictures once an hour; to be called each
        second."""
        if self._clock.monotonic() >= self._sweep_s:
            self._sweep()
        if self._clock.monotonic() >= self._pictures_s:
            self._pictures_s = self._clock.monotonic() + _PICTURES_EVERY_S
            self._retention.sweep_pictures()

    def end_all(self) -> None:
        """Orders the end of every clip that is being written, now."""
        for row in self._store.clips("writing"):
            if camera := self._writing.get(row.path):
                self._send(camera, ClipEnd(row.event, self._clock.monotonic()))

    @property
    def is_writing(self) -> bool:
        """True while a clip that was ordered is not finished."""
        return bool(self._writing)

    def forget(self, camera: str) -> None:
        """Waits for no clip of a camera whose capture has ended: the next one finishes them."""
        self._writing = {path: name for path, name in self._writing.items() if name != camera}

    def _sweep(self) -> None:
        self._sweep_s = self._clock.monotonic() + _SWEEP_EVERY_S
        report = self._retention.sweep()
        self._text = report.notice or self._text
        self._warnings.set("clips", self._text, holds=bool(self._margins) and report.is_short)
