"""Clips of events on the supervisor's side: orders to the captures, and rows of the store."""

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from violence_detection.live.processes.clip_messages import ClipEnd, ClipOrder, ClipWritten
from violence_detection.live.recording.clips import FOLDER, clip_path
from violence_detection.live.recording.retention import Retention
from violence_detection.live.storage.event_records import StoredClip, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import clean

log = logging.getLogger(__name__)

Send = Callable[[str, ClipOrder | ClipEnd], None]


@dataclass(frozen=True)
class ClipMargins:
    """Seconds of a clip before the start of its event and after the end."""

    pre_s: float = 10.0
    post_s: float = 10.0


class EventClips:
    """Orders a clip for each event, and keeps its row.

    A row is written before its file; it says `writing` until the capture tells that the clip is
    finished, then `kept`, or `lost`.
    """

    def __init__(
        self,
        store: EventStore,
        data: Path,
        retention: Retention,
        send: Send,
        *,
        to_utc_ms: Callable[[float], int],
    ) -> None:
        """
        Args:
            store: Has the rows.
            data: The folder that paths of clips are relative to.
            retention: Says which clips may be written.
            send: Sends an order to the capture of a camera.
            to_utc_ms: UTC in milliseconds of a moment of the monotonic clock.
        """
        self._store, self._data, self._retention = store, data, retention
        self._send, self._to_utc_ms = send, to_utc_ms

    def start(self, event: StoredEvent, start_s: float, margins: ClipMargins) -> bool:
        """Orders the clip of an event that has started, or whose priority has risen, once.

        Args:
            event: The event, as it is stored.
            start_s: Its start by the monotonic clock.
            margins: Those of the camera.

        Returns:
            False if it is not written, because the disk has no room for its priority.
        """
        if self._store.clip(event.id):
            return True
        if not self._retention.may_write(event.priority):
            return False
        path = clip_path(event.camera, event.id, event.start_ms)
        from_s = start_s - margins.pre_s
        start_ms = event.start_ms - round(1000 * margins.pre_s)
        self._store.record_clip(StoredClip(event.id, path, start_ms))
        self._send(event.camera, ClipOrder(event.id, path, from_s))
        return True

    def end(self, event: StoredEvent, end_s: float, margins: ClipMargins) -> None:
        """Orders the end of the clip of an event that has ended.

        Args:
            event: The event, as it is stored.
            end_s: Its end by the monotonic clock.
            margins: Those of the camera.
        """
        self._send(event.camera, ClipEnd(event.id, end_s + margins.post_s))

    def written(self, camera: str, message: ClipWritten) -> None:
        """Stores the result of a capture, which can name the clips of its own camera only."""
        rows = {row.path: row for row in self._store.clips("writing", "lost")}
        row = rows.get(message.path)
        if row is None or not message.path.startswith(f"{FOLDER}/{camera}/"):
            log.warning(f"{camera}: a clip that was not ordered was reported.")
            return
        if message.reason:
            log.warning(f"{camera}: clip of {row.event}: {clean(message.reason)}")
        path = self._data / row.path
        if message.duration_s <= 0 or not path.is_file():
            self._store.mark_clips([row.event], "lost")
            return
        start_ms = row.start_ms or 0
        if message.from_s > 0:
            start_ms = self._to_utc_ms(message.from_s)
        poster, preview = path.with_suffix(".jpg"), path.with_suffix(".preview.mp4")
        self._store.record_clip(
            dataclasses.replace(
                row,
                start_ms=start_ms,
                end_ms=start_ms + round(1000 * message.duration_s),
                bytes=max(message.bytes, path.stat().st_size),
                codec=message.codec[:32],
                sha256=message.sha256[:64],
                poster_path=self._name(poster) if message.has_poster else None,
                preview_path=self._name(preview) if message.has_preview else None,
                state="kept",
            )
        )

    def _name(self, path: Path) -> str | None:
        return path.relative_to(self._data).as_posix() if path.is_file() else None
