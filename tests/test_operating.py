"""Operating points, against points found by hand, closed forms and every other threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from violence_detection import operating

# -- golden


def test_threshold_is_the_middle_between_two_classes_apart():
    violent = np.repeat([True, False], 20)
    probability = np.repeat([0.5, 0.1], 20)
    threshold, reason = operating.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.3)
    assert reason == "best balanced accuracy on validation (40 videos)"


def test_threshold_lies_in_the_widest_of_equally_good_cuts():
    # Normal at 0.1 and 0.6, violent at 0.2 and 0.9: cuts 0.1|0.2 and 0.6|0.9 tie.
    violent = np.repeat([False, True, False, True], 10)
    probability = np.repeat([0.1, 0.2, 0.6, 0.9], 10)
    threshold, _ = operating.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.75)


def test_of_equally_wide_cuts_that_nearest_one_half_wins():
    violent = np.repeat([False, True, False, True], 10)
    probability = np.repeat([0.1, 0.3, 0.4, 0.6], 10)
    threshold, _ = operating.choose_threshold(violent, probability, np.arange(40))
    assert threshold == pytest.approx(0.5)


def test_small_validation_gets_one_half_and_says_why():
    violent = np.repeat([True, False], [4, 40])
    groups = [*"aabb", *range(40)]
    assert operating.choose_threshold(violent, np.linspace(0, 1, 44), groups) == (
        0.5,
        "0.5: validation has 4 violent videos of 2 recordings; a choice needs 20 and 5",
    )


def test_many_videos_of_few_recordings_are_still_too_few():
    violent, groups = np.repeat([True, False], 40), np.arange(80) % 40
    groups[:40] = 7
    _, reason = operating.choose_threshold(violent, np.linspace(1, 0, 80), groups)
    assert "40 violent videos of 1 recording;" in reason


@pytest.mark.parametrize("probability", [np.full(40, 0.7), np.linspace(0, 1, 40)])
def test_scores_no_better_than_chance_get_one_half(probability):
    violent = np.repeat([True, False], 20)
    threshold, reason = operating.choose_threshold(violent, probability, np.arange(40))
    assert (threshold, reason[:30]) == (0.5, "0.5: no threshold beats chance")


# -- relation


def test_permuting_videos_changes_nothing():
    rng = np.random.default_rng(0)
    violent = rng.random(240) < 0.5
    probability = np.clip(0.3 * violent + 0.7 * rng.random(240), 0, 1)
    columns = violent, probability, rng.integers(0, 36, 240)
    order = rng.permutation(240)
    shuffled = [column[order] for column in columns]
    assert operating.choose_threshold(*shuffled) == operating.choose_threshold(*columns)


# -- property


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=40, max_size=40))
def test_no_other_threshold_has_a_better_balanced_accuracy(steps):
    violent, probability = np.repeat([True, False], 20), np.array(steps) / 30
    threshold, _ = operating.choose_threshold(violent, probability, np.arange(40))
    assert 0.0 < threshold < 1.0
    tried = [*np.linspace(0.0, 1.0, 121), threshold]
    alarms = probability >= np.array(tried)[:, None]
    scores = (alarms[:, :20].mean(axis=1) + (~alarms[:, 20:]).mean(axis=1)) / 2
    assert scores[-1] == pytest.approx(max(scores)) or max(scores) <= 0.5 + 1e-9
