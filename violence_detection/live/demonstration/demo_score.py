"""Score of a live demo: the fights that were found, how soon, and the false alarms."""

import statistics
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from violence_detection.datasets.drawing.synthetic_footage import Footage

_HALF_FRAME_S = 0.02


@dataclass(frozen=True)
class ShownFight:
    """A fight that a camera has shown; times are UTC in milliseconds.

    Attributes:
        end_ms: None while it goes on.
    """

    camera: str
    start_ms: int
    end_ms: int | None = None


@dataclass(frozen=True)
class DetectedEvent:
    """An event of the watch; times are UTC in milliseconds.

    Attributes:
        told_ms: When its first message came; None if none did.
    """

    camera: str
    start_ms: int
    end_ms: int
    told_ms: int | None = None


@dataclass(frozen=True)
class DemoScore:
    """Counts of a live demo.

    Attributes:
        fights: Fights that were shown from beginning to end while their camera was judged.
        found: Those with an event.
        false_alarms: Events that touch no fight.
        delays_s: For each found fight with a message, seconds from its first frame to the message.
    """

    fights: int
    found: int
    false_alarms: int
    delays_s: tuple[float, ...]

    @property
    def delay_s(self) -> float | None:
        """Median of the delays; None without any."""
        return round(statistics.median(self.delays_s), 2) if self.delays_s else None


class FightLog:
    """Notes when cameras show fights. Its methods may be called from any thread."""

    def __init__(self, footage: Mapping[str, Footage]) -> None:
        """
        Args:
            footage: What each camera plays, again and again.
        """
        self._footage = footage
        self._fights: list[ShownFight] = []
        self._open: dict[tuple[str, int], int] = {}  # position in the list
        self._last_s: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()

    def note(self, camera: str, client: int, time_s: float, now_ms: int) -> None:
        """Notes a frame that was sent to a client.

        Args:
            time_s: The frame's time in seconds of the stream.
            now_ms: UTC in milliseconds.
        """
        footage, viewer = self._footage[camera], (camera, client)
        with self._lock:
            before_s = self._last_s.get(viewer, -1.0)
            self._last_s[viewer] = time_s
            round_s = time_s // footage.duration_s * footage.duration_s
            for start_s, end_s in footage.fights:
                if before_s < round_s + start_s - _HALF_FRAME_S <= time_s:
                    self._open[viewer] = len(self._fights)
                    self._fights.append(ShownFight(camera, now_ms))
                is_over = before_s < round_s + end_s - _HALF_FRAME_S <= time_s
                if is_over and (index := self._open.pop(viewer, None)) is not None:
                    start_ms = self._fights[index].start_ms
                    self._fights[index] = ShownFight(camera, start_ms, now_ms)

    def fights(self) -> list[ShownFight]:
        """All fights so far, in the order of their starts."""
        with self._lock:
            return list(self._fights)


def score(
    fights: Sequence[ShownFight],
    events: Sequence[DetectedEvent],
    *,
    judged_from_ms: Mapping[str, int],
    end_ms: int,
    window_s: float,
) -> DemoScore:
    """Compares the fights that were shown with the events.

    Args:
        fights: All that were shown, so that no event of one that does not count is a false alarm.
        events: All events.
        judged_from_ms: For each camera that was judged, since when.
        end_ms: The end of the watch; a fight counts if it was over a window before it.
        window_s: Length of a window in seconds: an event may begin and end so far from its fight.
    """
    window_ms = round(1000 * window_s)
    counted = [
        fight
        for fight in fights
        if fight.start_ms >= judged_from_ms.get(fight.camera, end_ms)
        and fight.end_ms is not None
        and fight.end_ms + window_ms <= end_ms
    ]
    delays_s: list[float] = []
    found = 0
    for fight in counted:
        of_fight = [event for event in events if _touch(fight, event, 0, end_ms)]
        found += bool(of_fight)
        told_ms = [event.told_ms for event in of_fight if event.told_ms is not None]
        after_ms = [at_ms - fight.start_ms for at_ms in told_ms if at_ms >= fight.start_ms]
        if after_ms:
            delays_s.append(min(after_ms) / 1000)
    false_alarms = sum(
        not any(_touch(fight, event, window_ms, end_ms) for fight in fights) for event in events
    )
    return DemoScore(len(counted), found, false_alarms, tuple(delays_s))


def _touch(fight: ShownFight, event: DetectedEvent, margin_ms: int, now_ms: int) -> bool:
    fight_end_ms = now_ms if fight.end_ms is None else fight.end_ms
    return (
        fight.camera == event.camera
        and event.start_ms - margin_ms <= fight_end_ms
        and fight.start_ms <= event.end_ms + margin_ms
    )
