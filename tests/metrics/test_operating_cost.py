"""Alarms, misses and cost of a site, from rates and its traffic."""

import numpy as np
import pytest

from violence_detection.metrics.thresholds.operating_cost import (
    CameraTraffic,
    Estimate,
    OperatingCost,
    VideoTraffic,
    cost_difference,
    cost_of_cameras,
    cost_of_videos,
    daily_numbers,
)

TRAFFIC = VideoTraffic(videos_per_day=10_000, prevalence=0.01)
VIOLENT = np.repeat([True, False], [40, 50])
FOUND = np.concatenate([np.arange(40) < 36, np.arange(50) < 11])  # recall 0.9, 11 of 50 flagged
FEWER = np.concatenate([np.arange(40) < 36, np.arange(50) < 4])  # 4 of 50 flagged
GROUPS = np.arange(90) // 3


def test_fewer_false_alarms_of_10_000_videos_save_255_500_a_year():
    """The published example: 22% or 8% of the videos flagged, 0.50 a review. It counts every video
    as normal."""
    traffic = VideoTraffic(10_000, prevalence=0.0)
    before, after = (daily_numbers(0.9, rate, traffic, review_cost=0.5) for rate in (0.22, 0.08))
    assert before["false_alarms_per_day"] == pytest.approx(2200)
    assert after["false_alarms_per_day"] == pytest.approx(800)
    assert before["cost_per_year"] - after["cost_per_year"] == pytest.approx(255_500)
    cost = cost_of_videos(VIOLENT, FOUND, GROUPS, traffic, review_cost=0.5)
    assert cost.false_alarms_per_day.value == pytest.approx(2200)
    assert any("prevalence is set to 0" in note for note in cost.notes)
    difference = cost_difference(VIOLENT, FOUND, FEWER, GROUPS, traffic, review_cost=0.5)
    assert difference.false_alarms_per_day.value == pytest.approx(-1400)
    assert difference.cost_per_year.value == pytest.approx(-255_500)


def test_a_day_is_counted_by_hand():
    """100 violent videos, 90 found; 9,900 normal ones, 2,178 flagged."""
    cost = cost_of_videos(VIOLENT, FOUND, GROUPS, TRAFFIC, review_cost=2.0)
    values = {
        name: value.value for name, value in vars(cost).items() if isinstance(value, Estimate)
    }
    assert values == pytest.approx(
        {
            "false_alarms_per_day": 2178,
            "misses_per_day": 10,
            "alarms_per_day": 2268,
            "positive_predictive_value": 90 / 2268,
            "cost_per_day": 4536,
            "cost_per_year": 4536 * 365,
        }
    )
    for estimate in vars(cost).values():
        if isinstance(estimate, Estimate):
            assert estimate.ci[0] < estimate.value < estimate.ci[1]


def test_a_perfect_result_is_not_certain():
    """A bootstrap of it has no width."""
    cost = cost_of_videos(VIOLENT, VIOLENT, GROUPS, TRAFFIC)
    assert cost.positive_predictive_value.value == 1.0
    assert cost.positive_predictive_value.ci[0] < 0.2  # a few flagged of 9,900 outnumber 100
    assert cost.false_alarms_per_day.ci[1] > 500
    assert (cost.cost_per_day, cost.cost_per_year) == (None, None)


def test_the_interval_of_false_alarms_is_that_of_the_rate():
    """With a video a recording, the bootstrap is a binomial one."""
    cost = cost_of_videos(VIOLENT, FOUND, np.arange(90), VideoTraffic(50, 0.0), resamples=4000)
    rates = np.random.default_rng(0).binomial(50, 0.22, 100_000)
    assert cost.false_alarms_per_day.ci == pytest.approx(
        np.quantile(rates, [0.025, 0.975]), abs=1.2
    )


@pytest.mark.parametrize(
    ("videos", "prevalence", "unknown"),
    [
        (VIOLENT, 0.01, {"false_alarms_per_day"}),
        (~VIOLENT, 0.01, {"misses_per_day"}),
        (~VIOLENT, 0.0, set()),
    ],
)
def test_without_videos_of_a_class_its_numbers_are_not_known(videos, prevalence, unknown):
    traffic = VideoTraffic(100, prevalence)
    cost = cost_of_videos(VIOLENT[videos], FOUND[videos], GROUPS[videos], traffic)
    if unknown:
        unknown |= {"alarms_per_day", "positive_predictive_value"}
    assert {name for name in unknown if getattr(cost, name) is None} == unknown
    assert unknown or cost.misses_per_day == Estimate(0.0, [0.0, 0.0])


def test_cameras_multiply_the_measured_rate():
    cost = cost_of_cameras(0.5, [0.1, 1.0], CameraTraffic(8, 24), review_cost=0.25)
    assert cost.false_alarms_per_day == Estimate(96.0, [pytest.approx(19.2), 192.0])
    assert cost.cost_per_year.value == 96 * 0.25 * 365
    assert cost.misses_per_day is None


@pytest.mark.parametrize(
    "cost",
    [
        cost_of_cameras(0.5, None, CameraTraffic(8, 24)),
        cost_of_videos(VIOLENT, FOUND, GROUPS, TRAFFIC, review_cost=0.5, resamples=100),
    ],
    ids=["cameras", "videos"],
)
def test_a_cost_comes_back_from_json(cost):
    values = cost.to_json()
    assert None not in values.values()
    assert OperatingCost.from_json(values).to_json() == values
