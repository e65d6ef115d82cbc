"""UTC joined to the monotonic clock, so that a step of the one changes no duration."""

import time
from collections.abc import Callable

MAX_STEP_S = 0.5


class JoinedClock:
    """UTC of monotonic times. The two clocks are compared once a second.

    What they drift apart by in between follows UTC; a step is told to the caller.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        utc: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            monotonic: Seconds of a clock that never steps.
            utc: Seconds since 1970.
        """
        self.monotonic, self._utc = monotonic, utc
        self._offset_s = utc() - monotonic()

    def compare(self) -> float:
        """Compares the clocks; returns the step of UTC in seconds since the last time, 0.0 if
        there was none."""
        offset_s = self._utc() - self.monotonic()
        step_s, self._offset_s = offset_s - self._offset_s, offset_s
        return step_s if abs(step_s) > MAX_STEP_S else 0.0

    def ms(self, monotonic_s: float) -> int:
        """UTC in milliseconds at a monotonic time."""
        return round(1000 * (monotonic_s + self._offset_s))

    def now_ms(self) -> int:
        """UTC in milliseconds now."""
        return self.ms(self.monotonic())
