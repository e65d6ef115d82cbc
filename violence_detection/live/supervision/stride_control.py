"""Distance of the windows of each camera, by how far the judge is behind."""

from collections.abc import Mapping

_BEHIND_S = 0.5
# Windows of many cameras end at the same moment, and the last of them waits while the others are
# judged: nobody is behind as long as the judge has pauses. What waited at its start is no delay.
_BEHIND_FOR_S, _CAUGHT_UP_S = 3.0, 1.0
_STEP_EVERY_S = 5.0  # a longer stride shows in the queue only after a while
_BACK_AFTER_S = 30.0
_FACTORS = (1, 2, 4)
MAX_STRIDE_S = 4.0


class StrideControl:
    """Lets cameras be judged less often while the judge is behind: quiet ones first.

    Each window that is judged is whole; there are fewer of them. Every camera keeps a window in
    4 seconds.
    """

    def __init__(self) -> None:
        self._level = 0  # of quiet cameras; then of the others
        self._changed_s: float | None = None
        self._caught_up_since_s: float | None = None

    @property
    def is_behind(self) -> bool:
        """True while a camera is judged less often than it should be."""
        return self._level > 0

    def update(self, now_s: float, queue_age_s: float, working_s: float) -> None:
        """Notes what waits for the judge.

        Args:
            now_s: Monotonic time.
            queue_age_s: Seconds that the oldest window has waited; 0.0 if none waits.
            working_s: Seconds for which the judge has worked without a pause.
        """
        if working_s > _CAUGHT_UP_S:
            self._caught_up_since_s = None
        elif self._caught_up_since_s is None:
            self._caught_up_since_s = now_s
        caught_up = self._caught_up_since_s
        is_behind = queue_age_s > _BEHIND_S and working_s >= _BEHIND_FOR_S
        waited = self._changed_s is None or now_s - self._changed_s >= _STEP_EVERY_S
        if is_behind and waited and self._level < 2 * (len(_FACTORS) - 1):
            self._level, self._changed_s = self._level + 1, now_s
        elif self._level and caught_up is not None and now_s - caught_up >= _BACK_AFTER_S:
            self._level, self._changed_s = self._level - 1, now_s
            self._caught_up_since_s = now_s

    def strides(self, cameras: Mapping[str, tuple[float, bool]]) -> dict[str, float]:
        """The stride of each camera in seconds.

        Args:
            cameras: By name the stride of its settings, and True if it is quiet.
        """
        highest = len(_FACTORS) - 1
        quiet, busy = min(self._level, highest), max(0, self._level - highest)
        return {
            name: max(stride_s, min(MAX_STRIDE_S, stride_s * _FACTORS[quiet if is_quiet else busy]))
            for name, (stride_s, is_quiet) in cameras.items()
        }
