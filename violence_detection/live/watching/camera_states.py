"""States of cameras: gaps in the store, and messages when cameras are down or up again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from violence_detection.live.processes.joined_clock import JoinedClock
from violence_detection.live.storage.event_records import Gap
from violence_detection.live.storage.event_store import EventStore
from violence_detection.live.storage.messages import Message
from violence_detection.units import format_duration

UP = "up"
_NOT_OPENED = ("waiting", "refused", "absent", "failed")
# Frames must come for so long before a camera is said to be up again: it may go down at once.
_UP_AFTER_S = 60.0
# Cameras that go down within so many seconds are one message: most likely it is the network.
_TOGETHER_S = 10.0
_MANY = 3


@dataclass
class CameraState:
    """The present state of a camera.

    Attributes:
        name: `starting`, `up`, `silent`, `waiting`, `refused`, `absent` or `failed`.
        reason: Why; empty for `up`.
        since_s: Monotonic time of its last change.
        missed_s: Seconds without frames since it was last up for a minute: a camera that comes back
            for seconds again and again is down.
        seen_s: Monotonic time up to which `missed_s` is counted.
        is_told: Sinks were told that it is down, and not that it is up.
    """

    title: str
    site: str
    name: str
    reason: str
    since_s: float
    seen_s: float
    missed_s: float = 0.0
    is_told: bool = False


class CameraStates:
    """The states of all cameras.

    Attributes:
        ever_up: Names of the cameras that were up at some time.
        down_after_s: Seconds without frames after which a camera is down.
        timezone: Zone of the times in messages.
    """

    def __init__(
        self,
        store: EventStore,
        clock: JoinedClock,
        send: Callable[[Message], None],
        *,
        down_after_s: float,
        timezone: str,
    ) -> None:
        """
        Args:
            store: Gets the gaps.
            clock: UTC of monotonic times.
            send: Sends a message to all sinks.
        """
        self._store, self._clock, self._send = store, clock, send
        self.down_after_s, self.timezone = down_after_s, timezone
        self._states: dict[str, CameraState] = {}
        self._down: dict[str, float] = {}  # not told yet: since when it counts as down
        self.ever_up: set[str] = set()

    def __getitem__(self, camera: str) -> CameraState:
        return self._states[camera]

    def add(self, camera: str, *, title: str, site: str) -> None:
        """Adds a camera, which is starting."""
        now_s = self._clock.monotonic()
        self._states[camera] = CameraState(title, site, "starting", "", now_s, now_s)
        self._record(camera, "starting", "")

    def remove(self, camera: str, *, reason: str) -> None:
        """Removes a camera, of which a gap remains."""
        self._record(camera, "disabled", reason)
        self._states.pop(camera)
        self._down.pop(camera, None)

    def change(self, camera: str, name: str, reason: str = "") -> bool:
        """Notes a state; returns False if it is no news: what is known, or another attempt to open
        a camera that could not be opened."""
        state, now_s = self._states[camera], self._clock.monotonic()
        is_attempt = name == "starting" and state.name in _NOT_OPENED
        if is_attempt or (name, reason) == (state.name, state.reason):
            return False
        self._count(state, now_s)
        state.name, state.reason, state.since_s = name, reason, now_s
        if name == UP:
            self.ever_up.add(camera)
            self._store.end_gap(camera, self._clock.now_ms())
            return True
        self._record(camera, name, reason)
        return True

    def tick(self) -> None:
        """Tells sinks of cameras that have been down, or up again, for long enough."""
        now_s = self._clock.monotonic()
        back = []
        for camera, state in self._states.items():
            self._count(state, now_s)
            if state.name == UP and now_s - state.since_s >= _UP_AFTER_S:
                state.missed_s = 0.0
                self._down.pop(camera, None)
                if state.is_told:
                    state.is_told = False
                    back.append(camera)
            elif not state.is_told and state.missed_s >= self.down_after_s:
                self._down.setdefault(camera, now_s)
        if back:
            self._tell("camera_up", back, lambda camera: "Its frames come again.")
        if self._down and now_s - min(self._down.values()) >= min(_TOGETHER_S, self.down_after_s):
            self._tell("camera_down", list(self._down), self._down_words)
            for camera in self._down:
                self._states[camera].is_told = True
            self._down.clear()

    def _count(self, state: CameraState, now_s: float) -> None:
        if state.name != UP:
            state.missed_s += now_s - state.seen_s
        state.seen_s = now_s

    def _record(self, camera: str, name: str, reason: str) -> None:
        self._store.record_gap(Gap(camera, self._clock.now_ms(), None, name, reason))

    def _down_words(self, camera: str) -> str:
        state = self._states[camera]
        reason = f" ({state.name}: {state.reason})" if state.reason else f" ({state.name})"
        missed = format_duration(state.missed_s)
        return f"No frames for {missed}{reason}. Nothing is watched meanwhile."

    def _tell(self, kind: str, cameras: Sequence[str], words: Callable[[str], str]) -> None:
        """A message for each camera; one for all if they are many."""
        if len(cameras) >= _MANY:
            titles = ", ".join(self._states[camera].title for camera in cameras)
            detail = f"{len(cameras)} cameras: {titles}. {words(cameras[0])}"
            self._send(self._message(kind, detail))
            return
        for camera in cameras:
            state = self._states[camera]
            self._send(
                self._message(
                    kind, words(camera), camera=camera, title=state.title, site=state.site
                )
            )

    def _message(self, kind: str, detail: str, **camera: str) -> Message:
        return Message(
            id=f"{self._store.new_id()}-{kind}",
            kind=kind,
            at_ms=self._clock.now_ms(),
            timezone=self.timezone,
            detail=detail,
            **camera,
        )
