"""Distance of the windows of each camera, by how far the judge is behind."""

import math
from collections.abc import Mapping

_BEHIND_S = 0.5
# Windows of many cameras end at the same moment, and the last of them waits while the others are
# judged: nobody is behind as long as the judge has pauses. What waited at its start is no delay.
_BEHIND_FOR_S, _CAUGHT_UP_S = 3.0, 1.0
_STEP_EVERY_S = 5.0  # a longer stride shows in the queue only after a while
# Strides grow fast, since windows wait meanwhile, and come back in small steps: a step of all
# cameras at once would put a machine that is a little too slow behind again and again.
_STEP_UP, _STEP_UP_AFTER_BACK, _STEP_BACK = 1.0, 0.5, 0.25
_BACK_AFTER_S, _BACK_EVERY_S = 30.0, 10.0  # after the last step up, and after a step back
_HELD_S = 60.0  # a step back after which nobody is behind for so long was right
_MAX_BACK_AFTER_S = 600.0
_LEVELS = 2  # of quiet cameras, then of the others: twice the stride, four times
MAX_STRIDE_S = 4.0


class StrideControl:
    """Lets cameras be judged less often while the judge is behind: quiet ones first.

    Each window that is judged is whole; there are fewer of them. Every camera keeps a window in
    4 seconds. Cameras of equal rank have the longer stride from the last of the file on.
    """

    def __init__(self) -> None:
        self._level = 0.0  # of quiet cameras; above 2 of the others
        self._changed_s: float | None = None
        self._went_back = False  # the last change was a step back
        self._back_after_s = _BACK_AFTER_S
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
        since_change_s = math.inf if self._changed_s is None else now_s - self._changed_s
        is_behind = queue_age_s > _BEHIND_S and working_s >= _BEHIND_FOR_S
        if is_behind and since_change_s >= _STEP_EVERY_S and self._level < 2 * _LEVELS:
            was_wrong = self._went_back and since_change_s < _HELD_S
            if was_wrong:
                self._back_after_s = min(2 * self._back_after_s, _MAX_BACK_AFTER_S)
            self._change(_STEP_UP_AFTER_BACK if was_wrong else _STEP_UP, now_s)
        elif self._level and self._caught_up_since_s is not None:
            waits_s = _BACK_EVERY_S if self._went_back else self._back_after_s
            if min(since_change_s, now_s - self._caught_up_since_s) >= waits_s:
                self._change(-_STEP_BACK, now_s)
                if not self._level:
                    self._back_after_s = _BACK_AFTER_S

    def _change(self, step: float, now_s: float) -> None:
        self._level = min(max(0.0, self._level + step), 2.0 * _LEVELS)
        self._changed_s, self._went_back = now_s, step < 0

    def strides(self, cameras: Mapping[str, tuple[float, bool]]) -> dict[str, float]:
        """The stride of each camera in seconds.

        Args:
            cameras: By name the stride of its settings, and True if it is quiet.
        """
        strides = {}
        for rank, level in (
            (True, min(self._level, _LEVELS)),
            (False, max(0.0, self._level - _LEVELS)),
        ):
            names = [name for name, (_, is_quiet) in cameras.items() if is_quiet == rank]
            whole = int(level)
            first_longer = len(names) - math.ceil((level - whole) * len(names))
            for number, name in enumerate(names):
                factor = 2 ** (whole + (number >= first_longer))
                stride_s = cameras[name][0]
                strides[name] = max(stride_s, min(MAX_STRIDE_S, stride_s * factor))
        return {name: strides[name] for name in cameras}
