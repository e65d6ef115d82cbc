"""Answers of the supervisor to requests of the page and of commands."""

from collections.abc import Callable
from typing import Any

from violence_detection.errors import ConfigError
from violence_detection.live.processes.watch_status import WatchStatus
from violence_detection.live.storage.event_records import Snooze, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.camera_pictures import CameraPictures
from violence_detection.live.watching.camera_states import UP
from violence_detection.live.watching.camera_videos import CameraVideos

_MAX_SNOOZE_MS = 7 * 86_400_000
_MAX_TEXT = 1000


class RequestHandler:
    """Answers `WatchRequests`. Its methods are called from several threads.

    Attributes:
        latest: The state of the watch, which the supervisor renews each second.
    """

    def __init__(
        self,
        store: EventStore,
        latest: WatchStatus,
        pictures: CameraPictures,
        videos: CameraVideos,
        window_s: float,
        tell: Callable[[str, Any], None],
    ) -> None:
        """
        Args:
            store: The event store.
            latest: The first state.
            pictures: Has the newest pictures.
            videos: Has the last seconds of live video.
            window_s: Seconds of a window: an event that a person reports begins so long before
                the moment and ends so long after it.
            tell: Takes the name of a request that concerns the supervisor's own thread, and what
                it is about.
        """
        self._store, self.latest, self._tell = store, latest, tell
        self._pictures, self._videos = pictures, videos
        self._window_ms = round(1000 * window_s)

    def status(self) -> WatchStatus:
        return self.latest

    def picture(self, camera: str) -> bytes:
        self._check_camera(camera)
        is_up = any(known.name == camera and known.state == UP for known in self.latest.cameras)
        return self._pictures.newest(camera, may_wait=is_up)

    def video(self, camera: str, stream: int, after: int) -> bytes:
        self._check_camera(camera)
        if type(stream) is not int or type(after) is not int:
            raise ConfigError("A stream and a fragment must be numbers. Received: another value")
        return self._videos.part(camera, stream, after).to_bytes()

    def acknowledge(self, event: str, by: str) -> bool:
        is_first = self._store.acknowledge(event, by=_text(by))
        self._tell("acknowledge", event)
        return is_first

    def snooze(self, camera: str, until_ms: int, by: str) -> None:
        self._check_camera(camera)
        if not 0 <= until_ms <= self._store.now_ms() + _MAX_SNOOZE_MS:
            raise ConfigError(f"A snooze must end within 7 days. Received: {until_ms}")
        self._store.snooze(Snooze(camera, until_ms, _text(by)))
        self._tell("snooze", (camera, until_ms))

    def record_verdict(
        self,
        event: str,
        verdict: str,
        by: str,
        start_s: float | None = None,
        end_s: float | None = None,
        note: str = "",
    ) -> int:
        if verdict not in ("violent", "not_violent", "unsure"):
            raise ConfigError(
                f"A verdict must be violent, not_violent or unsure. Received: {str(verdict)[:40]}"
            )
        if self._store.event(event) is None:
            raise ConfigError(f"There must be such an event. Received: {str(event)[:40]}")
        number = self._store.record_verdict(
            event, verdict, by=_text(by), start_s=start_s, end_s=end_s, note=_text(note)
        )
        # Who has judged it has seen it: nobody else is told that it waits for a person.
        self.acknowledge(event, by)
        return number

    def undo_verdict(self, verdict: int, by: str) -> bool:
        return self._store.undo_verdict(verdict, by=_text(by))

    def record_label(self, verdict: int, label_row: str) -> None:
        self._store.record_label(verdict, _text(label_row))

    def report_missed(self, camera: str, at_ms: int, by: str) -> str:
        self._check_camera(camera)
        kept_s = next(known.kept_s for known in self.latest.cameras if known.name == camera)
        now_ms = self._store.now_ms()
        if not now_ms - 1000 * kept_s <= at_ms <= now_ms:
            raise ConfigError(
                f"What was missed must lie in the last {kept_s:.0f} s, of which video is kept. "
                f"Received: {(now_ms - at_ms) / 1000:.0f} s ago"
            )
        event = StoredEvent(
            id=self._store.new_id(),
            camera=camera,
            start_ms=at_ms - self._window_ms,
            end_ms=at_ms + self._window_ms,
            kind="reported",
            priority="high",  # no full disk deletes what a person has seen
            state="ended",
            acknowledged_by=_text(by),
            acknowledged_ms=now_ms,
        )
        self._store.record_start(event)
        self._tell("keep_clip", event)
        return event.id

    def _check_camera(self, camera: str) -> None:
        if all(known.name != camera for known in self.latest.cameras):
            raise ConfigError(f"The camera must be one of this watch. Received: {camera[:40]}")


def _text(text: str) -> str:
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise ConfigError(f"A text must have at most {_MAX_TEXT} characters. Received: more")
    return text
