"""Spot checks of a watch: events of windows that raised no alert, of which nobody is told."""

from violence_detection.live.configuration.config import WatchFile
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.process_messages import JudgedWindow
from violence_detection.live.storage.event_records import EventWindow, StoredEvent
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.spot_checks import QuietWindow, SpotChecks
from violence_detection.live.watching.watch_clips import WatchClips
from violence_detection.live.watching.watched_camera import WatchedCamera


class WatchSpotChecks:
    """Makes the spot checks of all cameras that keep clips."""

    def __init__(
        self,
        file: WatchFile,
        store: EventStore,
        clock: JoinedClock,
        clips: WatchClips,
        *,
        run_digest: str,
    ) -> None:
        """
        Args:
            file: The cameras file.
            store: Gets the events.
            clock: Monotonic times and UTC.
            clips: Keeps their clips.
            run_digest: Of the run that judges.
        """
        self._store, self._clock, self._clips = store, clock, clips
        self._run_digest = run_digest
        self._checks: dict[str, SpotChecks] = {}
        self.apply(file)

    def apply(self, file: WatchFile) -> None:
        """Takes over the settings of a new file."""
        names = [c.name for c in file.cameras if c.settings.clips.keep != "none"]
        count = file.spot_checks_per_camera_day
        self._checks = {
            name: known
            if (known := self._checks.get(name)) and known.per_day == count
            else SpotChecks(name, count)
            for name in names
        }

    def add(self, camera: WatchedCamera, window: JudgedWindow) -> None:
        """Adds a window that the camera's alerts have got."""
        checks = self._checks.get(window.camera)
        if checks is None or window.probability is None:
            return
        start_s, end_s = (
            time_s + camera.clock_offset_s for time_s in (window.start_s, window.end_s)
        )
        quiet = QuietWindow(start_s, end_s, self._clock.ms(end_s), window.probability)
        for chosen in checks.add(quiet, has_event=camera.alerts.event is not None):
            self._make(camera, chosen)

    def _make(self, camera: WatchedCamera, window: QuietWindow) -> None:
        start_ms, end_ms = self._clock.ms(window.start_s), window.end_ms
        event = StoredEvent(
            id=self._store.new_id(),
            camera=camera.camera.name,
            kind="spot_check",
            state="ended",
            start_ms=start_ms,
            end_ms=end_ms,
            peak=window.score,
            peak_ms=(start_ms + end_ms) // 2,
            threshold=camera.camera.settings.alert.threshold,
            run_digest=self._run_digest,
            stratum=window.stratum,
        )
        self._store.record_start(event)
        self._store.record_windows(event.id, [EventWindow(start_ms, end_ms, window.score)])
        self._clips.keep(event, window.start_s, window.end_s)
