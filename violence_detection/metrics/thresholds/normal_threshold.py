"""Choice of the threshold on normal videos alone, for a detector of what is unusual.

Nothing is known of what it finds: there is no recall to choose by.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from violence_detection.errors import EvidenceError
from violence_detection.metrics.intervals import bootstrap_over_recordings, ratio
from violence_detection.metrics.rate_per_hour import hours_needed, poisson_interval
from violence_detection.metrics.thresholds.operating_points import (
    FALSE_ALARMS_PER_HOUR,
    ChosenOperatingPoint,
    OperatingPoint,
)
from violence_detection.metrics.thresholds.threshold_selection import videos_needed
from violence_detection.units import counted, hours_words

DEFAULT = "false_positive_rate=0.05"
_RATE = "false_positive_rate"
_ROUNDING = 1e-9


def choose_on_normal(
    asked: str | None,
    score: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    hours: float,
    chosen_on: str = "normal validation videos",
    resamples: int = 1000,
    seed: int = 42,
) -> ChosenOperatingPoint:
    """Chooses the lowest threshold that keeps a rate of false alarms on normal videos.

    Args:
        asked: `false_positive_rate=R` or `false_alarms_per_hour=R`; None for 0.5, the score of the
            95% quantile of the errors on normal validation videos. A video at or above the
            threshold is a false alarm.
        score: float (N,), in [0, 1].
        groups: The recording of each video (N,).
        hours: Their length together.
        chosen_on: The name of the videos, in words.
        resamples, seed: See `intervals.bootstrap_over_recordings`.

    Raises:
        EvidenceError: If the videos cannot show the rate; the message says how many are needed.
    """
    score = np.asarray(score, np.float64)
    check_normal_support(asked, len(score), hours=hours, among=chosen_on)
    point = OperatingPoint.from_text(asked or DEFAULT)
    bootstrap = {"resamples": resamples, "seed": seed}
    threshold, interval = 0.5, None
    reason = f"the 95% quantile of the errors on {chosen_on} has the score 0.5"
    if asked:
        per_hour = point.kind == FALSE_ALARMS_PER_HOUR
        # The alarms that are allowed, as a fraction of the videos.
        fraction = point.goal * hours / len(score) if per_hour else point.goal
        threshold = float(_lowest_that_keeps(score, np.ones((1, len(score))), fraction)[0])
        interval = bootstrap_over_recordings(
            groups, lambda counts: _lowest_that_keeps(score, counts, fraction), **bootstrap
        )
        goal = f"{point.goal:g} or fewer false alarms per hour"
        if not per_hour:
            goal = f"a false positive rate of {point.goal:g} or less"
        reason = f"{goal} on {chosen_on} ({counted(len(score), 'video')}, {hours:.2f} h)"
    is_alarm = score >= threshold
    alarms = int(is_alarm.sum())
    achieved = {_RATE: alarms / len(score)}
    achieved_ci: dict[str, Sequence[float] | None] = {
        _RATE: bootstrap_over_recordings(
            groups, lambda counts: ratio(counts @ is_alarm, counts.sum(axis=1)), **bootstrap
        )
    }
    if hours > 0:
        achieved[FALSE_ALARMS_PER_HOUR] = alarms / hours
        achieved_ci[FALSE_ALARMS_PER_HOUR] = poisson_interval(alarms, hours)
    return ChosenOperatingPoint(
        asked=str(point),
        threshold=threshold,
        reason=reason,
        interval=interval,
        achieved=achieved,
        achieved_ci=achieved_ci,
        chosen_on=chosen_on,
        videos=len(score),
        recordings=len(set(np.asarray(groups).tolist())),
        hours=hours if point.kind == FALSE_ALARMS_PER_HOUR else None,
    )


def check_normal_support(
    asked: str | None,
    videos: int,
    *,
    hours: float,
    among: str = "normal validation videos",
    of_videos: int | None = None,
    of_hours: float | None = None,
) -> None:
    """Checks that normal videos can show the rate of an operating point.

    Args:
        asked: As in `choose_on_normal`; None needs a single video.
        videos: How many there are.
        hours: Their length together.
        among: Their name, in words.
        of_videos, of_hours: The normal videos of all splits, and their length together; None where
            they are not known.

    Raises:
        EvidenceError: If they cannot.
    """
    if not videos:
        raise EvidenceError(
            f"A threshold must be chosen on {among}. Received: none; more recordings, or a split "
            "column in videos.csv, help"
        )
    if asked is None:
        return
    point = OperatingPoint.from_text(asked)
    if point.kind == FALSE_ALARMS_PER_HOUR:
        needed = hours_needed(point.goal)
        if hours < needed:
            raise EvidenceError(
                f"--operating-point {asked} must be chosen on {hours_words(needed)} or more: less "
                f"cannot show that rate, even without an alarm. Received: {hours_words(hours)} of "
                f"{among}; {_what_helps(needed, of_hours, hours_words)}"
            )
        return
    if point.kind != _RATE:
        raise EvidenceError(
            "--operating-point must be false_positive_rate=FRACTION or "
            "false_alarms_per_hour=NUMBER for a detector that learns from normal videos alone: "
            f"there are no violent ones to measure another rate on. Received: {asked}"
        )
    needed_videos = videos_needed(1 - point.goal)
    if videos < needed_videos:
        raise EvidenceError(
            f"--operating-point {asked} must be chosen on {counted(needed_videos, 'normal video')} "
            "or more: with fewer, even no mistake at all does not show that rate. Received: "
            f"{counted(videos, 'video')} among {among}; "
            f"{_what_helps(needed_videos, of_videos, lambda count: f'{count:g} of them')}"
        )


def _what_helps(needed: float, of_all: float | None, in_words: Callable[[float], str]) -> str:
    """The way to more validation videos: a larger part of all, if all are enough."""
    if of_all is None or needed < of_all:
        return "a larger --validation-fraction helps"
    return f"more normal footage is needed: all splits together have {in_words(of_all)}"


def _lowest_that_keeps(score: np.ndarray, counts: np.ndarray, fraction: float) -> np.ndarray:
    """The lowest threshold at which at most a fraction of the videos is an alarm, float (R,).

    It is in the middle between the scores that it separates.

    Args:
        score: float (N,).
        counts: How often each video counts in each of R resamples, (R, N).
        fraction: In [0, 1].
    """
    order = np.argsort(-score, kind="stable")
    values = np.concatenate([score[order], [0.0]])
    alarms = np.cumsum(counts[:, order], axis=1)
    allowed = fraction * counts.sum(axis=1, keepdims=True) + _ROUNDING
    # The first video that may not be an alarm: N where all may.
    first = np.where(
        (alarms > allowed).any(axis=1), np.argmax(alarms > allowed, axis=1), len(score)
    )
    low = values[first]
    # Of equal scores none may be an alarm, and the next higher score is on the other side.
    above = np.where(score[None] > low[:, None], score[None], np.inf).min(axis=1)
    high = np.minimum(above, 1.0)
    middle = (low + high) / 2
    middle = np.where(middle > low, middle, np.nextafter(low, math.inf))
    return np.where(first == len(score), 0.0, np.minimum(middle, 1.0))
