"""Delays between attempts to open a camera."""

import random

from violence_detection.video.live_source import ErrorKind

_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# A camera that refuses may lock itself after a few attempts; a path appears by a person's hand.
_LONG_DELAYS_S = (30.0, 60.0, 120.0, 300.0)
_LONG_KINDS = frozenset(["refused", "absent"])
_SPREAD = (0.75, 1.25)  # so that cameras of one host do not come back all at once
_IN_STEP_S = 60.0


class Backoff:
    """The delay before the next attempt: it grows with each failure.

    It begins anew only after a minute of frames in step. Else a camera that takes connections and
    drops them would be asked every second.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        """
        Args:
            chance: Spreads the delays; default: a generator with a random seed.
        """
        self._chance = chance or random.Random()
        self._failures = {True: 0, False: 0}  # of the kinds that wait long, and of the others

    def next_delay_s(self, kind: ErrorKind, *, in_step_s: float) -> float:
        """Seconds to wait after a failure.

        Args:
            kind: Of the failure.
            in_step_s: Seconds for which frames had come in step before it.
        """
        if in_step_s >= _IN_STEP_S:
            self._failures = dict.fromkeys(self._failures, 0)
        waits_long = kind in _LONG_KINDS
        delays_s = _LONG_DELAYS_S if waits_long else _DELAYS_S
        delay_s = delays_s[min(self._failures[waits_long], len(delays_s) - 1)]
        self._failures[waits_long] += 1
        return delay_s * self._chance.uniform(*_SPREAD)
