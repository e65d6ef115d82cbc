"""Chosen thresholds, against values computed by hand, closed forms and all other thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from violence_detection.errors import EvidenceError
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.metrics.thresholds.operating_points import OperatingPoint

POINTS = ("balanced_accuracy", "best_f1", "recall=0.8", "false_positive_rate=0.2")


def drawn(videos=400, seed=0):
    """Violent videos have higher probabilities; four of a recording in a row."""
    rng = np.random.default_rng(seed)
    violent = np.arange(videos) % 8 < 4
    probability = np.clip(0.35 * violent + 0.65 * rng.random(videos), 0, 1)
    return violent, probability, np.arange(videos) // 4


# -- golden


def test_thresholds_computed_by_hand():
    """Normal at 0.1 and 0.6, violent at 0.4 and 0.8, 40 videos each: below 0.4 all violent are
    result, above 0.6 half; above 0.6 no normal one is an alarm, above 0.1 half."""
    violent = np.repeat([False, True, False, True], 40)
    columns = violent, np.repeat([0.1, 0.4, 0.6, 0.8], 40), np.arange(160)
    expected = {
        "recall=0.9": 0.25,
        "recall=0.5": 0.7,
        "false_positive_rate=0.1": 0.7,
        "false_positive_rate=0.5": 0.25,
        "best_f1": 0.25,  # 2 x 80 / (80 + 80 + 40), against 2 x 40 / (80 + 40) above 0.6
    }
    for asked, threshold in expected.items():
        chosen, _ = threshold_selection.choose_threshold(*columns, asked=asked)
        assert chosen == pytest.approx(threshold), asked


def test_achieved_rates_counted_by_hand():
    violent = np.repeat([True, True, False, False], [30, 10, 5, 35])
    probability = np.repeat([0.9, 0.1, 0.9, 0.1], [30, 10, 5, 35])
    rates, intervals = threshold_selection.achieved_rates(
        violent, probability, np.arange(80) // 4, 0.5, resamples=200, seed=0
    )
    assert rates == pytest.approx(
        {
            "recall": 30 / 40,
            "false_positive_rate": 5 / 40,
            "precision": 30 / 35,
            "f1": 60 / 75,
            "balanced_accuracy": (30 / 40 + 35 / 40) / 2,
        }
    )
    assert intervals.keys() == rates.keys()
    assert all(low <= rates[name] <= high for name, (low, high) in intervals.items())


@pytest.mark.parametrize(("rate", "needed"), [(0.9, 29), (0.95, 59), (0.99, 299), (0.5, 5)])
def test_videos_needed_are_those_of_the_rule_of_three(rate, needed):
    """59 and 299: the sizes of acceptance sampling without a failure, 95% / 95% and 95% / 99%."""
    assert threshold_selection.videos_needed(rate) == needed
    assert rate**needed <= 0.05 < rate ** (needed - 1)


def test_threshold_is_the_middle_between_two_classes_apart():
    violent = np.repeat([True, False], 20)
    probability = np.repeat([0.5, 0.1], 20)
    threshold, reason = threshold_selection.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.3)
    assert reason == "best balanced accuracy on validation (40 videos)"


def test_threshold_lies_in_the_widest_of_equally_good_cuts():
    # Normal at 0.1 and 0.6, violent at 0.2 and 0.9: cuts 0.1|0.2 and 0.6|0.9 tie.
    violent = np.repeat([False, True, False, True], 10)
    probability = np.repeat([0.1, 0.2, 0.6, 0.9], 10)
    threshold, _ = threshold_selection.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.75)


def test_of_equally_wide_cuts_that_nearest_one_half_wins():
    violent = np.repeat([False, True, False, True], 10)
    probability = np.repeat([0.1, 0.3, 0.4, 0.6], 10)
    threshold, _ = threshold_selection.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.5)


def test_a_small_validation_has_one_half_and_the_reason():
    violent = np.repeat([True, False], [4, 40])
    groups = [*"aabb", *range(40)]
    assert threshold_selection.choose_threshold(violent, np.linspace(0, 1, 44), groups) == (
        0.5,
        "0.5: validation has 4 violent videos of 2 recordings; 20 videos of 5 recordings are "
        "needed",
    )


def test_many_videos_of_few_recordings_are_still_too_few():
    violent, groups = np.repeat([True, False], 40), np.arange(80) % 40
    groups[:40] = 7
    _, reason = threshold_selection.choose_threshold(violent, np.linspace(1, 0, 80), groups)
    assert "40 violent videos of 1 recording;" in reason


@pytest.mark.parametrize("probability", [np.full(40, 0.7), np.linspace(0, 1, 40)])
def test_scores_no_better_than_chance_get_one_half(probability):
    violent = np.repeat([True, False], 20)
    threshold, reason = threshold_selection.choose_threshold(violent, probability, np.arange(40))
    assert (threshold, reason[:30]) == (0.5, "0.5: no threshold beats chance")


# -- relation


def test_permuting_videos_changes_nothing():
    rng = np.random.default_rng(0)
    violent = rng.random(240) < 0.5
    probability = np.clip(0.3 * violent + 0.7 * rng.random(240), 0, 1)
    columns = violent, probability, rng.integers(0, 36, 240)
    order = rng.permutation(240)
    shuffled = [column[order] for column in columns]
    assert threshold_selection.choose_threshold(*shuffled) == threshold_selection.choose_threshold(
        *columns
    )


def test_a_higher_recall_is_a_lower_threshold_and_a_lower_rate_a_higher_one():
    columns = drawn()
    goals = np.linspace(0.05, 0.95, 19)
    by_recall, by_rate = (
        [
            threshold_selection.choose_threshold(*columns, asked=f"{kind}={goal}")[0]
            for goal in goals
        ]
        for kind in ("recall", "false_positive_rate")
    )
    assert by_recall == sorted(by_recall, reverse=True) and len(set(by_recall)) > 9
    assert by_rate == sorted(by_rate, reverse=True) and len(set(by_rate)) > 9


@pytest.mark.parametrize("asked", POINTS)
def test_an_operating_point_has_its_intervals(asked):
    result = threshold_selection.choose_operating_point(asked, *drawn(), resamples=200, seed=1)
    assert (result.asked, result.chosen_on, result.videos) == (
        asked,
        "validation",
        400,
    )
    low, high = result.interval
    assert low <= result.threshold <= high
    assert len(result.achieved_ci) == 5
    for name, (low, high) in result.achieved_ci.items():
        assert 0 <= low <= result.achieved[name] <= high <= 1
    point = OperatingPoint.from_text(asked)
    if point.kind == "recall":
        assert 0.8 <= result.achieved["recall"] <= 0.81
    if point.kind == "false_positive_rate":
        assert 0.19 <= result.achieved["false_positive_rate"] <= 0.2
    assert (
        threshold_selection.choose_operating_point(asked, *drawn(), resamples=200, seed=1) == result
    )


def test_recordings_that_agree_within_widen_the_interval():
    violent, probability, groups = drawn()
    alone, together = (
        threshold_selection.choose_operating_point(
            "recall=0.8", violent, probability, by, resamples=300, seed=0
        )
        for by in (np.arange(400), np.repeat(np.arange(20), 20))
    )
    assert alone.threshold == together.threshold
    assert alone.achieved == together.achieved


@pytest.mark.parametrize("asked", POINTS)
def test_blocks_of_resamples_change_nothing(asked, monkeypatch):
    whole = threshold_selection.choose_operating_point(asked, *drawn(), resamples=50, seed=0)
    monkeypatch.setattr(threshold_selection, "_BLOCK_CELLS", 1)
    assert (
        threshold_selection.choose_operating_point(asked, *drawn(), resamples=50, seed=0) == whole
    )


def test_a_resample_is_the_choice_on_its_videos_repeated():
    violent, probability, _ = drawn(80)
    counts = np.random.default_rng(0).integers(0, 3, (5, 80))
    cuts = threshold_selection._Cuts(violent, probability)
    for asked in POINTS:
        point = OperatingPoint.from_text(asked)
        thresholds = cuts.thresholds(point, counts)
        for row, threshold in zip(counts, thresholds, strict=True):
            again = threshold_selection._Cuts(violent.repeat(row), probability.repeat(row))
            alone = again.thresholds(point, np.ones((1, row.sum()), int))[0]
            rates = [
                threshold_selection.achieved_rates(
                    violent.repeat(row), probability.repeat(row), np.arange(row.sum()),
                    chosen, resamples=1, seed=0,
                )[0]
                for chosen in (threshold, alone)
            ]  # fmt: skip
            assert rates[0] == pytest.approx(rates[1])


# -- property


@given(st.lists(st.integers(0, 20), min_size=80, max_size=80), st.sampled_from(POINTS))
def test_no_other_threshold_that_meets_the_criterion_has_a_better_other_rate(steps, asked):
    violent = np.repeat([True, False], 40)
    probability = np.array(steps) / 20
    threshold, reason = threshold_selection.choose_threshold(
        violent, probability, np.arange(80), asked=asked
    )
    if reason.startswith("0.5: "):
        return
    tried = np.array([threshold, *np.linspace(0, 1.0, 81)])
    alarms = probability >= tried[:, None]
    recall, rate = alarms[:, :40].mean(axis=1), alarms[:, 40:].mean(axis=1)
    if asked == "recall=0.8":
        assert recall[0] >= 0.8 and rate[0] <= rate[recall >= 0.8].min() + 1e-9
    elif asked == "false_positive_rate=0.2":
        assert rate[0] <= 0.2 and recall[0] >= recall[rate <= 0.2].max() - 1e-9
    else:
        f1 = 2 * recall / (recall + 1 + rate)  # as many of each
        maximised = f1 if asked == "best_f1" else (recall + 1 - rate) / 2
        assert maximised[0] >= maximised.max() - 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=40, max_size=40))
def test_no_other_threshold_has_a_better_balanced_accuracy(steps):
    violent, probability = np.repeat([True, False], 20), np.array(steps) / 30
    threshold, _ = threshold_selection.choose_threshold(violent, probability, np.arange(40))
    assert 0.0 < threshold < 1.0
    tried = [*np.linspace(0.0, 1.0, 121), threshold]
    alarms = probability >= np.array(tried)[:, None]
    scores = (alarms[:, :20].mean(axis=1) + (~alarms[:, 20:]).mean(axis=1)) / 2
    assert scores[-1] == pytest.approx(max(scores)) or max(scores) <= 0.5 + 1e-9


# -- error


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            "recall=0.99",
            "on 299 violent videos or more: .* Received: validation with 40",
        ),
        ("false_positive_rate=0.01", "on 299 normal videos or more: .*with 40"),
        ("recall=0.95", "on 59 violent videos or more"),
    ],
)
def test_a_point_that_the_videos_cannot_support_is_refused(asked, message):
    violent = np.repeat([True, False], 40)
    with pytest.raises(EvidenceError, match=message):
        threshold_selection.choose_operating_point(
            asked, violent, np.linspace(1, 0, 80), np.arange(80)
        )


@pytest.mark.parametrize("asked", POINTS)
def test_an_operating_point_that_was_asked_for_does_not_become_one_half(asked):
    violent = np.repeat([True, False], 10)
    columns = violent, np.linspace(1, 0, 20), np.arange(20)
    message = f"{asked} needs more videos. Received: validation has 10 violent"
    with pytest.raises(EvidenceError, match=message):
        threshold_selection.choose_operating_point(asked, *columns)
    result = threshold_selection.choose_operating_point(None, *columns, resamples=20)
    assert (result.threshold, result.interval) == (0.5, None)
    assert result.reason.startswith("0.5: validation has 10 violent videos")
