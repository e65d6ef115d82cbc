"""A watched camera in the supervisor: its capture process, its alerts and its minutes."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from violence_detection.live.configuration.config import Camera, settings_json
from violence_detection.live.processes.capture_messages import CaptureStatus
from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.processes.kept_worker import KeptWorker
from violence_detection.live.processes.process_messages import (
    JudgedWindow,
    JudgeOrder,
    StrideOrder,
)
from violence_detection.live.processes.watch_status import CameraStatus
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.watching.camera_alerts import CameraAlerts
from violence_detection.live.watching.observation import observed_until_ms
from violence_detection.live.watching.score_minutes import ScoreMinutes
from violence_detection.system import files

if TYPE_CHECKING:
    from violence_detection.live.watching.camera_states import CameraState

_SHOWN_MS = 60_000  # of scores in the status
_DAY_MS = 86_400_000
# A frame is older than it seems, and its window is still on its way, for at most so long.
_ON_ITS_WAY_S = 5.0
_NOT_JUDGED_S = 60.0  # of a camera that is up, before people are told


def settings_digest(camera: Camera) -> str:
    """Digest of the settings of a camera, as its events have it."""
    return files.sha256_of_json(settings_json(camera.settings))[:16]


class WatchedCamera:
    """Everything that the supervisor knows of a camera.

    Attributes:
        camera: As in the cameras file.
        worker: Keeps its capture running.
        alerts: Its events.
        judged, unjudged: Counts of windows.
    """

    def __init__(
        self,
        camera: Camera,
        worker: KeptWorker,
        alerts: CameraAlerts,
        *,
        store: EventStore,
        clock: JoinedClock,
        run_digest: str,
        judge: Path,
    ) -> None:
        """
        Args:
            store: Gets the minutes.
            clock: UTC of monotonic times.
            run_digest: Of the run that judges.
            judge: Socket of the judge whose windows it has.
        """
        self.camera, self.worker, self.alerts = camera, worker, alerts
        self._store, self._clock = store, clock
        self._observed_ms = observed_until_ms(store, camera, clock.now_ms())
        self._minutes = ScoreMinutes(camera.name, run_digest, watch_ms=clock.now_ms())
        self._scores: deque[tuple[int, float]] = deque()  # UTC ms of the end, and probability
        self._status: CaptureStatus | None = None
        self._known_s = clock.monotonic()  # the end of the last window
        self._judged_s = self._known_s  # of the last one that has a score
        self._unjudged_s, self._day = 0.0, clock.now_ms() // _DAY_MS
        self._stride_s, self._judge = camera.settings.stride_s, judge
        self._novelty: float | None = None  # of the last judged window
        self.judged = self.unjudged = 0
        self._ended_events = 0  # of alerts that were replaced
        self._has_ended = False

    @property
    def events(self) -> int:
        """Count of events."""
        return self._ended_events + self.alerts.started

    @property
    def clock_offset_s(self) -> float:
        """Seconds to add to times of windows for monotonic ones."""
        return self._status.clock_offset_s if self._status else 0.0

    def change(self, camera: Camera, alerts: CameraAlerts) -> None:
        """Takes over settings that its capture does not depend on; an open event ends."""
        self.alerts.finish()
        self._ended_events += self.alerts.started
        self.camera, self.alerts = camera, alerts
        self._observed_ms = observed_until_ms(self._store, camera, self._clock.now_ms())

    def add_window(self, window: JudgedWindow) -> None:
        """Adds the next window of its judge. One that its former judge gives after it is left out:
        the time is known already."""
        if window.end_s <= self._known_s or self._has_ended:
            return
        offset_s = self.clock_offset_s
        end_ms = self._clock.ms(window.end_s + offset_s)
        if window.probability is None:
            self.unjudged += 1
            self._count_unjudged(window.end_s)
        else:
            self.judged += 1
            self._judged_s = window.end_s
            self._novelty = window.novelty
            self._count_unjudged(window.start_s)  # up to it: windows may lie apart
            self._scores.append((end_ms, window.probability))
            while self._scores[0][0] < end_ms - _SHOWN_MS:
                self._scores.popleft()
        self._known_s = window.end_s
        stretch = self.alerts.add(window, offset_s=offset_s)
        self._store.record_minutes(self._minutes.add_stretch(end_ms, stretch))

    def add_status(self, status: CaptureStatus) -> None:
        """Adds the figures that its capture sends each second."""
        self._status = status
        if self._has_ended:
            return  # its last minute is stored, which another of the same time would replace
        self._store.record_minutes(self._minutes.add_status(self._clock.now_ms(), status))

    def order_stride(self, stride_s: float) -> None:
        """Orders another distance of windows, unless it is the present one."""
        if stride_s != self._stride_s:
            self._stride_s = stride_s
            self.worker.send(StrideOrder(stride_s))

    def order_judge(self, judge: Path) -> None:
        """Orders another judge, unless it is the present one."""
        if judge != self._judge:
            self._judge = judge
            self.worker.send(JudgeOrder(str(judge)))

    def capture_ended(self) -> None:
        """Notes that the capture has ended: the next one begins with the stride of the settings."""
        self._status, self._stride_s = None, self.camera.settings.stride_s

    def tick(self, *, is_up: bool, since_s: float) -> None:
        """Does what is due each second.

        Args:
            is_up: Frames come.
            since_s: Monotonic time since which it is so.
        """
        self.alerts.save_windows()
        # A camera that is up may have no windows either: nobody judges, or its decoder hangs.
        until_s = self._clock.monotonic() - self._late_s
        begins_s = self._known_s + self.clock_offset_s if is_up else since_s
        if until_s > begins_s and (stretch := self.alerts.add_silence(until_s)):
            end_ms = self._clock.ms(until_s)
            self._store.record_minutes(self._minutes.add_stretch(end_ms, stretch))

    def is_not_judged(self, *, since_s: float) -> bool:
        """True if it has been up for a minute, and no window of it was judged in that time.

        Args:
            since_s: Monotonic time since which it is up.
        """
        last_s = max(since_s, self._judged_s)
        return self._clock.monotonic() - last_s > _NOT_JUDGED_S + self._stride_s

    def end(self) -> None:
        """Ends its event and stores what is left. Its capture must have ended."""
        self.alerts.finish()
        self._has_ended = True
        self._store.record_minutes(self._minutes.end())

    def as_status(self, state: "CameraState", snoozed_until_ms: int | None) -> CameraStatus:
        """The state as pages show it."""
        status, event = self._status, self.alerts.event
        last_frame_ms = None
        if status and status.last_frame_s:
            last_frame_ms = self._clock.ms(status.last_frame_s + status.clock_offset_s)
        return CameraStatus(
            name=self.camera.name,
            title=self.camera.title,
            site=self.camera.site,
            state=state.name,
            threshold=self.camera.settings.alert.threshold,
            reason=state.reason,
            since_ms=self._clock.ms(state.since_s),
            score=self.alerts.score,
            novelty=None if self.alerts.score is None else self._novelty,
            scores=tuple(self._scores),
            last_frame_ms=last_frame_ms,
            lag_s=status.lag_s if status else 0.0,
            clip_reason=self.camera.scrub(status.clip_reason) if status else "",
            kept_s=round(status.ring_s, 1) if status else 0.0,
            stride_s=self._stride_s,
            unjudged_s=round(self._unjudged_s + self._waiting_s, 1),
            snoozed_until_ms=snoozed_until_ms,
            observed_until_ms=self._observed_ms,
            event=event.id if event else "",
            pid=self.worker.pid,
        )

    @property
    def _late_s(self) -> float:
        """Seconds after its end until which a window may be on its way."""
        return _ON_ITS_WAY_S + self._stride_s

    @property
    def _waiting_s(self) -> float:
        """Seconds since the last window that are too long for one to be on its way."""
        waiting_s = self._clock.monotonic() - _ON_ITS_WAY_S - self._known_s
        return min(max(0.0, waiting_s), self._today_s)

    @property
    def _today_s(self) -> float:
        """Seconds since midnight UTC."""
        return self._clock.now_ms() % _DAY_MS / 1000

    def _count_unjudged(self, until_s: float) -> None:
        """Counts the time from the last window to another as not judged."""
        day = self._clock.now_ms() // _DAY_MS
        if day != self._day:
            self._unjudged_s, self._day = 0.0, day
        self._unjudged_s += min(max(0.0, until_s - self._known_s), self._today_s)
