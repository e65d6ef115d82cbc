"""Rates of events per hour: their interval, and the hours that show one."""

import math

from scipy.stats import chi2

_ERROR_RATE = 0.05


def poisson_interval(count: int, exposure: float, level: float = 0.95) -> list[float]:
    """The exact interval of a rate, `count` events in `exposure` hours (Garwood).

    ``chi2(a / 2; 2 k) / 2`` and ``chi2(1 - a / 2; 2 k + 2) / 2`` over the exposure, a = 1 - level.
    It takes the alarms as independent; `ScoredFootage.alarms_at` also gives an interval over
    videos.

    Reference:
        Garwood, Fiducial limits for the Poisson distribution, 1936,
        https://doi.org/10.1093/biomet/28.3-4.437
    """
    outside = (1 - level) / 2
    low = chi2.ppf(outside, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(1 - outside, 2 * count + 2) / 2
    return [float(low / exposure), float(high / exposure)]


def hours_needed(per_hour: float) -> float:
    """Hours without any alarm that show, at 95%, a rate of at most `per_hour`:
    ``-ln 0.05 / per_hour``, the rule of three."""
    return -math.log(_ERROR_RATE) / per_hour
