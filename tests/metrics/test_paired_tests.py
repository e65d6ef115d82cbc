"""Paired tests: published examples, and the effect of several clips of a recording."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from violence_detection.metrics import paired_tests

CORRECT = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=30
)


def correct_of(only_a, only_b, a_and_b=0):
    """Correctness of two detectors, bool (N,) each, from the number of videos of each kind."""
    a = [True] * only_a + [False] * only_b + [True] * a_and_b
    b = [False] * only_a + [True] * only_b + [True] * a_and_b
    return np.array(a, bool), np.array(b, bool)


def names(count):
    return [f"recording {number}" for number in range(count)]


# -- golden


def test_mcnemar_is_that_of_the_published_example():
    """Two media for tubercle bacilli, Armitage and Berry, Statistical Methods in Medical Research,
    1994, p. 127; exact figures by Liddell's method, https://www.statsdirect.com/help/chi_square_tests/mat.htm
    """
    result = paired_tests.discordance(*correct_of(only_a=2, only_b=12, a_and_b=20))
    assert result.mcnemar_p == pytest.approx(0.0129, abs=5e-5)
    fractions = np.array([result.cohens_g, *result.cohens_g_ci]) + 0.5
    odds = fractions / (1 - fractions)
    assert odds == pytest.approx([6, 1.335744, 55.197091], rel=1e-6)
    assert result.agreement == {
        "both_right": 20,
        "only_a_right": 2,
        "only_b_right": 12,
        "both_wrong": 0,
    }


@pytest.mark.parametrize("count", [2, 5, 6, 10])
def test_recordings_that_all_favour_one_run_have_p_of_2_in_2_to_their_number(count):
    result = paired_tests.accuracy_difference(*correct_of(0, count), names(count), resamples=100)
    assert result.accuracy_exchange_p == pytest.approx(2 / 2**count)


def test_accuracy_of_one_video_in_four_is_a_quarter():
    result = paired_tests.accuracy_difference(*correct_of(1, 3, a_and_b=4), names(8))
    assert result.accuracy_difference == pytest.approx(0.25)
    low, high = result.ci
    assert low < 0.25 < high


def test_the_interval_of_independent_videos_is_that_of_the_normal_law():
    a, b = correct_of(50, 90, a_and_b=260)
    result = paired_tests.accuracy_difference(a, b, names(400), resamples=4000)
    error = np.std(b.astype(float) - a) / 20
    assert result.ci == pytest.approx([0.1 - 1.96 * error, 0.1 + 1.96 * error], abs=4e-3)


# -- relation


def test_more_clips_of_the_same_recordings_add_no_evidence():
    a, b = correct_of(2, 9, a_and_b=9)
    once = paired_tests.accuracy_difference(a, b, names(20))
    often = paired_tests.accuracy_difference(np.tile(a, 5), np.tile(b, 5), names(20) * 5)
    for name, value in vars(once).items():
        assert getattr(often, name) == pytest.approx(value), name
    # McNemar's test ignores recordings.
    assert paired_tests.discordance(a, b).mcnemar_p > 0.05
    assert paired_tests.discordance(np.tile(a, 5), np.tile(b, 5)).mcnemar_p < 1e-4


@given(CORRECT)
def test_exchanging_the_runs_changes_the_sign(rows):
    a, b, groups = (np.array(column) for column in zip(*rows, strict=True))
    forth = paired_tests.accuracy_difference(a, b, groups, resamples=50)
    back = paired_tests.accuracy_difference(b, a, groups, resamples=50)
    assert back.accuracy_difference == -forth.accuracy_difference
    assert back.ci == pytest.approx([-end for end in reversed(forth.ci)])
    assert back.accuracy_exchange_p == pytest.approx(forth.accuracy_exchange_p)
    forth, back = paired_tests.discordance(a, b), paired_tests.discordance(b, a)
    assert back.mcnemar_p == forth.mcnemar_p
    assert back.cohens_g == pytest.approx(-forth.cohens_g)


def test_areas_differ_by_the_interval_over_recordings_and_by_delongs(rng):
    violent = np.arange(200) % 2 > 0
    guess = rng.uniform(size=200)
    better = np.clip(guess + 0.4 * violent, 0, 1.4) / 1.4
    result = paired_tests.auc_difference(violent, guess, better, names(200))
    assert result.auc_difference > 0.2
    assert result.auc_p < 1e-4
    assert result.auc_exchange_p < 0.01
    # If every video is a recording, the two intervals are nearly the same.
    assert result.auc_ci == pytest.approx(result.auc_ci_delong, abs=0.03)


# -- equal runs, one class


def test_a_run_compared_with_itself():
    a, scores = np.array([True, False, True, True]), np.array([0.1, 0.7, 0.6, 0.9])
    result = paired_tests.accuracy_difference(a, a, names(4))
    assert vars(result) == {
        "accuracy_difference": 0.0,
        "ci": [0.0, 0.0],
        "accuracy_exchange_p": 1.0,
    }
    result = paired_tests.discordance(a, a)
    assert (result.mcnemar_p, result.cohens_g) == (1.0, 0.0)
    assert result.cohens_g_ci == [-0.5, 0.5]
    result = paired_tests.auc_difference(a, scores, scores, names(4))
    assert (result.auc_difference, result.auc_p) == (0.0, 1.0)
    assert (result.auc_exchange_p, result.undefined) == (1.0, [])


def test_one_class_has_no_areas_and_undefined_numbers_are_named():
    scores = np.linspace(0, 1, 4)
    result = paired_tests.auc_difference(np.ones(4, bool), scores, 1 - scores, names(4))
    assert (result.auc_difference, result.auc_p) == (0.0, 1.0)
    assert result.undefined == ["auc_difference", "auc_exchange_p", "auc_p"]
    assert result.auc_ci is None and result.auc_ci_delong is None


@pytest.mark.parametrize(
    ("interval", "p", "better"),
    [
        ([0.01, 0.2], 0.01, "b"),
        ([-0.2, -0.01], 0.01, "a"),
        ([0.0, 0.2], 0.01, "neither"),
        ([-0.1, 0.2], 0.01, "neither"),
        ([0.01, 0.2], 0.06, "neither"),
        (None, 0.01, "unknown"),
    ],
)
def test_the_better_run_needs_the_interval_and_p(interval, p, better):
    assert paired_tests.better_run(interval, p) == better


def test_many_recordings_are_exchanged_at_random_and_repeatably():
    a, b = correct_of(10, 40, a_and_b=50)
    result = paired_tests.accuracy_difference(a, b, names(100), resamples=100)
    assert result == paired_tests.accuracy_difference(a, b, names(100), resamples=100)
    assert 0 < result.accuracy_exchange_p < 0.01


def test_areas_after_every_exchange_are_those_counted_one_by_one(rng):
    violent = np.array([True, False, True, False, True, False, False])
    groups = np.array([0, 0, 1, 1, 2, 2, 2])
    a, b = rng.permutation(7) + 1, rng.permutation(7) + 1
    sizes = []
    for flips in itertools.product([False, True], repeat=3):
        swap = np.array(flips)[groups]
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        areas = [roc_auc_score(violent, scores) for scores in (first, second)]
        sizes.append(abs(areas[1] - areas[0]))
    result = paired_tests.auc_difference(violent, a / 8, b / 8, groups)
    expected = np.mean(np.array(sizes) >= sizes[0] - 1e-9)
    assert result.auc_exchange_p == pytest.approx(expected)


@pytest.mark.slow
def test_equal_runs_seldom_differ_however_similar_the_clips_of_a_recording_are(
    rng,
):
    """Eight clips of each of twelve recordings; DeLong's p is below 0.05 in 4 cases of 10."""
    groups = np.repeat(np.arange(12), 8)
    wrong, wrong_by_delong = 0, 0
    for _ in range(200):
        violent = rng.permutation(12)[groups] % 2 > 0
        truth = 1.5 * violent + rng.normal(0, 0.7, 12)[groups] + rng.normal(0, 0.5, 96)
        a, b = (truth + rng.normal(0, 0.7, 12)[groups] + rng.normal(0, 0.5, 96) for _ in range(2))
        a, b = (1 / (1 + np.exp(-logits)) for logits in (a, b))
        result = paired_tests.auc_difference(violent, a, b, groups, resamples=300)
        better = paired_tests.better_run(result.auc_ci, result.auc_exchange_p)
        wrong += better != "neither"
        wrong_by_delong += result.auc_p < 0.05
    assert wrong <= 0.1 * 200 < wrong_by_delong
