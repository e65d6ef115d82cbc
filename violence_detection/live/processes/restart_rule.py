"""Rule by which a child process that has ended is started again."""

from collections import deque

_DELAY_S = 1.0
_MAX_DEATHS, _PERIOD_S = 5, 600.0
FAILED_DELAY_S = 300.0


class RestartRule:
    """Says when a process is started again: after a second, unless it dies again and again.

    Attributes:
        has_failed: It died 5 times in 10 minutes, and has not lived for 10 minutes since.
    """

    def __init__(self, failed_delay_s: float = FAILED_DELAY_S) -> None:
        """
        Args:
            failed_delay_s: Seconds to wait after a death of one that has failed.
        """
        self._failed_delay_s = failed_delay_s
        self._deaths: deque[float] = deque(maxlen=_MAX_DEATHS)
        self.has_failed = False

    def delay_s(self, now_s: float, *, lived_s: float) -> float:
        """Seconds to wait after a death; more for one that has failed.

        Args:
            now_s: Monotonic time of the death.
            lived_s: Seconds from the start of the process to it.
        """
        if lived_s > _PERIOD_S:
            self._deaths.clear()
            self.has_failed = False
        self._deaths.append(now_s)
        is_full = len(self._deaths) == _MAX_DEATHS
        self.has_failed |= is_full and now_s - self._deaths[0] <= _PERIOD_S
        return self._failed_delay_s if self.has_failed else _DELAY_S
