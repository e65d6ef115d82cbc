"""The alarms and misses of a detector at a site in a day, from its rates and the site's traffic.

A rate measured on test videos is carried over to a site's videos, of which a given fraction is
violent (the prevalence). Test sets mostly hold about as many violent as normal videos, a site
hardly any violent ones, so that the fraction of alarms that are right is much lower there.

Reference:
    Altman and Bland, Diagnostic tests 2: predictive values, 1994,
    https://doi.org/10.1136/bmj.309.6947.102
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from violence_detection.metrics.input_checks import check_same_length
from violence_detection.metrics.intervals import (
    bootstrap_over_recordings,
    ratio,
    wilson_interval,
)
from violence_detection.metrics.sample_size import widest_interval

DAYS_PER_YEAR = 365
_NOT_A_SAMPLE = (
    "The evaluated videos are not a sample of the site's traffic: its rates, and with them these "
    "numbers, may be quite different."
)
_NO_VIOLENCE = (
    "The prevalence is set to 0: every alarm counts as a false one, and nothing is missed."
)
_NO_MISSES = "Normal footage shows false alarms only: misses and right alarms are not counted."


@dataclass(frozen=True)
class VideoTraffic:
    """The videos that a site gives to the detector.

    Attributes:
        videos_per_day: How many.
        prevalence: The fraction of them that is violent, in [0, 1].
    """

    videos_per_day: float
    prevalence: float


@dataclass(frozen=True)
class CameraTraffic:
    """The cameras of a site that the detector watches.

    Attributes:
        cameras: How many.
        hours_per_day: Hours that each is watched, in (0, 24].
    """

    cameras: int
    hours_per_day: float


@dataclass(frozen=True)
class Estimate:
    """A number and its interval at 95%, [low, high]; None if it is not defined."""

    value: float
    ci: Sequence[float] | None


@dataclass(frozen=True)
class OperatingCost:
    """The alarms and misses of a detector at a site, and what it costs to review the alarms.

    Attributes:
        traffic: What the site gives to the detector.
        review_cost: Cost of a person's look at an alarm, in any currency; None if not given.
        false_alarms_per_day: Alarms on normal videos, or in normal footage; None without normal
            videos.
        misses_per_day: Violent videos without an alarm; None without violent videos, as are
            `alarms_per_day` and `positive_predictive_value`, and for cameras.
        alarms_per_day: Right and false alarms.
        positive_predictive_value: The fraction of alarms that are right, in [0, 1]; None also
            without an alarm.
        cost_per_day, cost_per_year: Of the reviews of all alarms; None without `review_cost`.
            For cameras they are of the false alarms.
        notes: What the numbers do not say, a sentence each.
    """

    traffic: VideoTraffic | CameraTraffic
    review_cost: float | None
    false_alarms_per_day: Estimate | None
    misses_per_day: Estimate | None
    alarms_per_day: Estimate | None
    positive_predictive_value: Estimate | None
    cost_per_day: Estimate | None
    cost_per_year: Estimate | None
    notes: Sequence[str]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            KeyError: If the traffic or the notes are missing.
        """
        if "cameras" in values:
            traffic = CameraTraffic(values["cameras"], values["hours_per_day"])
        else:
            traffic = VideoTraffic(values["videos_per_day"], values["prevalence"])
        estimates = {
            name: Estimate(values[name], values.get(f"{name}_ci")) if name in values else None
            for name in _ESTIMATES
        }
        return cls(
            traffic=traffic,
            review_cost=values.get("review_cost"),
            notes=values["notes"],
            **estimates,
        )

    def to_json(self) -> dict[str, Any]:
        """The traffic, the numbers by name and their intervals by `<name>_ci`, without what is
        None."""
        return _to_json(self)


@dataclass(frozen=True)
class CostDifference:
    """The numbers of detector B minus those of A at a site; see `OperatingCost`."""

    traffic: VideoTraffic
    review_cost: float | None
    false_alarms_per_day: Estimate | None
    misses_per_day: Estimate | None
    alarms_per_day: Estimate | None
    cost_per_day: Estimate | None
    cost_per_year: Estimate | None
    notes: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """The keys of metrics.json, as `OperatingCost.to_json` has them."""
        return _to_json(self)


_ESTIMATES = (
    "false_alarms_per_day",
    "misses_per_day",
    "alarms_per_day",
    "positive_predictive_value",
    "cost_per_day",
    "cost_per_year",
)


def _to_json(cost: OperatingCost | CostDifference) -> dict[str, Any]:
    values = asdict(cost.traffic)
    if cost.review_cost is not None:
        values["review_cost"] = cost.review_cost
    for name in _ESTIMATES:
        estimate: Estimate | None = getattr(cost, name, None)
        if estimate is not None:
            values[name] = estimate.value
            if estimate.ci is not None:
                values[f"{name}_ci"] = estimate.ci
    return values | {"notes": list(cost.notes)}


def daily_numbers(
    recall: float | np.ndarray,
    false_positive_rate: float | np.ndarray,
    traffic: VideoTraffic,
    *,
    review_cost: float | None = None,
) -> dict[str, np.ndarray]:
    """The numbers of a day at given rates.

    With N videos a day, prevalence p, recall r, false positive rate f and cost c of a review:
    false alarms ``N (1 - p) f``, misses ``N p (1 - r)``, alarms ``N p r + N (1 - p) f``,
    positive predictive value ``N p r / alarms``, cost ``c alarms``, and 365 times that a year.

    Args:
        recall, false_positive_rate: In [0, 1], float (R,) or numbers; NaN where not known.
        traffic: The site's videos.
        review_cost: Cost of a review; None leaves out the costs.

    Returns:
        By the names of `OperatingCost`, float (R,) or (); NaN where not known.
    """
    violent = traffic.videos_per_day * traffic.prevalence
    normal = traffic.videos_per_day - violent
    # 0 x NaN: of no violent videos none is missed, whatever the recall.
    true_positives = np.asarray(recall, float) * violent if violent else np.zeros(np.shape(recall))
    false_alarms = (
        np.asarray(false_positive_rate, float) * normal if normal else 0.0 * true_positives
    )
    alarms = true_positives + false_alarms
    numbers = {
        "false_alarms_per_day": false_alarms,
        "misses_per_day": violent - true_positives,
        "alarms_per_day": alarms,
        "positive_predictive_value": ratio(true_positives, alarms),
    }
    if review_cost is not None:
        numbers["cost_per_day"] = review_cost * alarms
        numbers["cost_per_year"] = DAYS_PER_YEAR * numbers["cost_per_day"]
    return numbers


def cost_of_videos(
    violent: np.ndarray,
    alarm: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    traffic: VideoTraffic,
    *,
    review_cost: float | None = None,
    resamples: int = 2000,
    seed: int = 42,
) -> OperatingCost:
    """The numbers of a site at the rates of a detector on evaluated videos.

    An interval is the wider of two. In the first, a bootstrap over recordings, recall and false
    positive rate are drawn together. It has no width where nothing is wrong; so in the second each
    rate is at the worse and at the better end of its Wilson interval.

    Args:
        violent: bool (N,), the truth.
        alarm: bool (N,).
        groups: The recording of each video (N,).
        traffic: The site's videos.
        review_cost: Cost of a review; None leaves out the costs.
        resamples, seed: See `intervals.bootstrap_over_recordings`.

    Raises:
        ConfigError: If the lengths differ.
    """
    violent, alarm = np.asarray(violent, bool), np.asarray(alarm, bool)
    groups = np.asarray(groups)
    check_same_length(violent=violent, alarm=alarm, groups=groups)

    def numbers(counts: np.ndarray) -> dict[str, np.ndarray]:
        return _resampled(violent, alarm, counts, traffic, review_cost)

    ends = _numbers_at_ends(violent, alarm, traffic, review_cost)
    estimates = _bootstrapped(numbers, _ESTIMATES, groups, resamples=resamples, seed=seed)
    return OperatingCost(
        traffic=traffic,
        review_cost=review_cost,
        notes=_notes(traffic),
        **{
            name: estimate
            and Estimate(estimate.value, widest_interval(estimate.ci, ends.get(name)))
            for name, estimate in estimates.items()
        },
    )


def cost_of_cameras(
    alarms_per_hour: float,
    interval: Sequence[float] | None,
    traffic: CameraTraffic,
    *,
    review_cost: float | None = None,
) -> OperatingCost:
    """The false alarms of a site at the rate that was measured on normal footage.

    Args:
        alarms_per_hour: False alarms an hour and camera.
        interval: Its [low, high] at 95%.
        traffic: The site's cameras.
        review_cost: Cost of a review; None leaves out the costs.
    """
    hours = traffic.cameras * traffic.hours_per_day

    def times(factor: float) -> Estimate:
        ends = None if interval is None else [factor * end for end in interval]
        return Estimate(factor * alarms_per_hour, ends)

    return OperatingCost(
        traffic=traffic,
        review_cost=review_cost,
        false_alarms_per_day=times(hours),
        misses_per_day=None,
        alarms_per_day=None,
        positive_predictive_value=None,
        cost_per_day=None if review_cost is None else times(hours * review_cost),
        cost_per_year=None if review_cost is None else times(hours * review_cost * DAYS_PER_YEAR),
        notes=(_NOT_A_SAMPLE.replace("videos are", "footage is"), _NO_MISSES),
    )


def cost_difference(
    violent: np.ndarray,
    alarm_a: np.ndarray,
    alarm_b: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    traffic: VideoTraffic,
    *,
    review_cost: float | None = None,
    resamples: int = 2000,
    seed: int = 42,
) -> CostDifference:
    """The numbers of B minus those of A, with a paired bootstrap over recordings.

    Args:
        violent, groups, traffic, review_cost, resamples, seed: As in `cost_of_videos`.
        alarm_a, alarm_b: bool (N,), on the same videos.

    Raises:
        ConfigError: If the lengths differ.
    """
    violent, groups = np.asarray(violent, bool), np.asarray(groups)
    alarms = [np.asarray(alarm, bool) for alarm in (alarm_a, alarm_b)]
    check_same_length(violent=violent, alarm_a=alarms[0], alarm_b=alarms[1], groups=groups)

    def differences(counts: np.ndarray) -> dict[str, np.ndarray]:
        a, b = (_resampled(violent, alarm, counts, traffic, review_cost) for alarm in alarms)
        return {name: b[name] - a[name] for name in a}

    names = [name for name in _ESTIMATES if name != "positive_predictive_value"]
    return CostDifference(
        traffic=traffic,
        review_cost=review_cost,
        notes=_notes(traffic),
        **_bootstrapped(differences, names, groups, resamples=resamples, seed=seed),
    )


def _bootstrapped(
    numbers: Callable[[np.ndarray], dict[str, np.ndarray]],
    names: Sequence[str],
    groups: np.ndarray,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Estimate | None]:
    """Some of the numbers, with their intervals over recordings; None where one is not known.

    Args:
        numbers: From counts, as in `bootstrap_over_recordings`, to float (R,) by name.
        names: The numbers wanted.
        groups, resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    values = numbers(np.ones((1, len(groups)), int))
    estimates: dict[str, Estimate | None] = dict.fromkeys(names)
    for name in names:
        value = float(values[name][0]) if name in values else np.nan
        if not np.isnan(value):
            interval = bootstrap_over_recordings(
                groups,
                lambda counts, name=name: numbers(counts)[name],
                resamples=resamples,
                seed=seed,
            )
            estimates[name] = Estimate(value, interval)
    return estimates


def _resampled(
    violent: np.ndarray,
    alarm: np.ndarray,
    counts: np.ndarray,
    traffic: VideoTraffic,
    review_cost: float | None,
) -> dict[str, np.ndarray]:
    """The numbers in R resamples, float (R,); `counts` is as in `bootstrap_over_recordings`."""
    recall = ratio(counts @ (violent & alarm), counts @ violent)
    false_positive_rate = ratio(counts @ (~violent & alarm), counts @ ~violent)
    return daily_numbers(recall, false_positive_rate, traffic, review_cost=review_cost)


def _numbers_at_ends(
    violent: np.ndarray, alarm: np.ndarray, traffic: VideoTraffic, review_cost: float | None
) -> dict[str, list[float]]:
    """The lowest and the highest of each number at the ends of Wilson's intervals of the rates."""
    rates = [np.full(2, np.nan), np.full(2, np.nan)]
    for place, members in enumerate((violent, ~violent)):
        if members.any():
            rates[place] = np.array(wilson_interval(int(alarm[members].sum()), int(members.sum())))
    recall, false_positive_rate = (ends.ravel() for ends in np.meshgrid(*rates))
    numbers = daily_numbers(recall, false_positive_rate, traffic, review_cost=review_cost)
    return {
        name: [float(values.min()), float(values.max())]
        for name, values in numbers.items()
        if not np.isnan(values).any()
    }


def _notes(traffic: VideoTraffic) -> tuple[str, ...]:
    return (_NOT_A_SAMPLE, *([] if traffic.prevalence else [_NO_VIOLENCE]))
