"""Chooses windows that made no event, for a person to look at: what a watch misses shows there.

The times of a day are drawn when it begins, from the camera's name and the day alone, so that a
restart repeats none. In turn they ask for any window, for one with a score among the highest tenth
of the last day, and for one in the middle of them.
"""

import random
from collections import deque
from dataclasses import dataclass, field, replace

_DAY_MS = 86_400_000
_SCORE_EVERY_MS = 10_000
_SCORES = _DAY_MS // _SCORE_EVERY_MS
_MIN_SCORES = 60  # ten minutes
# After this time an event that contains the window has begun.
_SETTLE_MS = 5_000
# A window of any score must follow its time at once: waiting for a better moment would choose one.
_ANY_MS = 10_000


@dataclass(frozen=True)
class QuietWindow:
    """A judged window that made no event.

    Attributes:
        start_s, end_s: Monotonic times.
        end_ms: UTC of its end.
        score: Its probability of violence.
        stratum: `any`, `high` or `middle` if it was chosen, by what was asked for; else empty.
    """

    start_s: float
    end_s: float
    end_ms: int
    score: float
    stratum: str = ""


@dataclass
class _Wanted:
    """A window that is looked for.

    Attributes:
        stratum: `any`, `high` or `middle`.
        low, high: Scores that it may have.
        until_ms: It is given up then.
    """

    stratum: str
    until_ms: int
    low: float = 0.0
    high: float = 1.0


@dataclass
class SpotChecks:
    """The spot checks of one camera.

    Attributes:
        camera: Its name.
        per_day: Checks a day.
    """

    camera: str
    per_day: int
    _day: int = -1
    _times: list[tuple[int, str]] = field(default_factory=list)  # UTC ms, descending, and stratum
    _wanted: list[_Wanted] = field(default_factory=list)
    _candidates: list[QuietWindow] = field(default_factory=list)
    _scores: deque[float] = field(default_factory=lambda: deque(maxlen=_SCORES))
    _score_ms: int = 0

    @property
    def next_ms(self) -> int | None:
        """UTC of the next time of the day that has begun; None if there is none."""
        return self._times[-1][0] if self._times else None

    def add(self, window: QuietWindow, *, has_event: bool) -> list[QuietWindow]:
        """Adds the next judged window; returns earlier ones that are to be looked at.

        Args:
            window: The window, whether it is quiet or not.
            has_event: An event is open with it.
        """
        now_ms = window.end_ms
        if now_ms // _DAY_MS != self._day:
            self._begin_day(now_ms)
        if has_event:
            self._candidates.clear()
            # A time in an event asks for no window after it: the moments of `any` are by chance.
            self._times = [row for row in self._times if row[0] > now_ms or row[1] != "any"]
            return []
        chosen = [known for known in self._candidates if now_ms >= known.end_ms + _SETTLE_MS]
        self._candidates = [known for known in self._candidates if known not in chosen]
        while self._times and self._times[-1][0] <= now_ms:
            self._look_for(*self._times.pop())
        self._wanted = [wanted for wanted in self._wanted if now_ms <= wanted.until_ms]
        for wanted in self._wanted:
            if wanted.low <= window.score <= wanted.high:
                self._wanted.remove(wanted)
                self._candidates.append(replace(window, stratum=wanted.stratum))
                break
        if now_ms >= self._score_ms + _SCORE_EVERY_MS:
            self._score_ms = now_ms
            self._scores.append(window.score)
        return chosen

    def _begin_day(self, now_ms: int) -> None:
        """Draws the times of a day; those that are over are left out."""
        self._day = now_ms // _DAY_MS
        draw = random.Random(f"{self.camera} {self._day}")
        strata = ("any", "high", "middle")
        times = [
            (self._day * _DAY_MS + draw.randrange(_DAY_MS), strata[number % 3])
            for number in range(self.per_day)
        ]
        self._times = sorted((time for time in times if time[0] >= now_ms), reverse=True)

    def _look_for(self, time_ms: int, stratum: str) -> None:
        end_ms = (time_ms // _DAY_MS + 1) * _DAY_MS
        scores = sorted(self._scores)
        if stratum == "any":
            # First: another stratum must not take a high score from it.
            self._wanted.insert(0, _Wanted("any", time_ms + _ANY_MS))
        elif len(scores) >= _MIN_SCORES:
            low, high = (0.9, 1.0) if stratum == "high" else (0.4, 0.6)
            low, high = (
                scores[min(len(scores) - 1, int(share * len(scores)))] for share in (low, high)
            )
            self._wanted.append(_Wanted(stratum, end_ms, low, 1.0 if stratum == "high" else high))
