"""Tests over folds: published examples, and the closed form of the corrected t."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from violence_detection.metrics.fold_tests import fold_difference, holm

SCORES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(
        lambda pair: (pair[0] / 50, pair[1] / 50)
    ),
    min_size=2,
    max_size=20,
)


# -- golden


def test_paired_t_and_cohens_d_are_those_of_students_sleep_data():
    """Student, The probable error of a mean, 1908: t = 4.0621, p = 0.002833; d = 0.8322."""
    a = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    b = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = fold_difference(a, b, test_to_train=1 / 9)
    assert result.mean == pytest.approx(1.58)
    assert result.paired_t_p == pytest.approx(0.002833, abs=5e-7)
    assert result.cohens_d == pytest.approx(0.8322, abs=5e-5)


def test_wilcoxon_is_that_of_the_published_example():
    """Hollander and Wolfe, Nonparametric statistical methods, 1973, p. 29: V = 40 of nine pairs;
    the one-sided p is 0.01953."""
    a = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    b = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    assert fold_difference(a, b, test_to_train=1 / 8).wilcoxon_p == pytest.approx(
        2 * 0.01953, abs=1e-5
    )


def test_the_corrected_t_is_the_closed_form():
    """Differences 0.02, 0.04, 0.00, 0.06, 0.03 of five folds: mean 0.03, variance 0.0005, and
    t = 0.03 / sqrt(0.0005 (1/5 + 1/4)) = 2; P(|t(4)| > 2) = 0.11612."""
    a = [0.80, 0.82, 0.79, 0.78, 0.81]
    b = [0.82, 0.86, 0.79, 0.84, 0.84]
    result = fold_difference(a, b, test_to_train=1 / 4)
    assert result.values == [0.02, 0.04, 0.0, 0.06, 0.03]
    assert result.p == pytest.approx(0.11612, abs=5e-6)
    half = 2.7764451051977987 * math.sqrt(0.0005 * 0.45)
    assert result.ci == pytest.approx([0.03 - half, 0.03 + half])
    # The independent pairs of the textbook would be called different.
    assert result.paired_t_p == pytest.approx(0.0399, abs=2e-4)


def test_holm_is_that_of_the_published_example():
    """https://en.wikipedia.org/wiki/Holm-Bonferroni_method: of 0.01, 0.04, 0.03, 0.005 the first
    and the last are below 0.05."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([0.7]) == [0.7]


# -- relation


@pytest.mark.slow
@settings(max_examples=20)  # a signed-rank test with ties permutes for a tenth of a second
@given(SCORES)
def test_it_agrees_with_scipy_and_exchanging_changes_the_sign(rows):
    a, b = map(list, zip(*rows, strict=True))
    forth, back = (
        fold_difference(a, b, test_to_train=1 / 4),
        fold_difference(b, a, test_to_train=1 / 4),
    )
    assert back.mean == pytest.approx(-forth.mean)
    assert back.cohens_d == pytest.approx(-forth.cohens_d)
    for name in ("p", "paired_t_p", "wilcoxon_p"):
        assert getattr(back, name) == pytest.approx(getattr(forth, name)), name
    assert forth.p >= forth.paired_t_p
    if forth.sd:
        assert forth.paired_t_p == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.slow
def test_equal_trainings_seldom_differ_though_folds_share_their_training_videos(rng):
    """Differences of 10 folds with a correlation of 1/10, as Nadeau and Bengio assume them."""
    common, own = rng.normal(0, 1, (600, 1)), rng.normal(0, 1, (600, 10))
    differences = 0.01 * (math.sqrt(0.1) * common + math.sqrt(0.9) * own)
    results = [fold_difference(np.zeros(10), row, test_to_train=1 / 9) for row in differences]
    assert np.mean([result.p < 0.05 for result in results]) == pytest.approx(0.05, abs=0.025)
    assert np.mean([result.paired_t_p < 0.05 for result in results]) > 0.1


# -- what is undefined


def test_a_fold_without_a_score_is_left_out_and_a_single_fold_says_nothing():
    result = fold_difference([0.8, None, 0.7, 0.5], [0.9, 0.9, None, 0.7], test_to_train=1 / 3)
    assert result.values == [0.1, 0.2]
    assert fold_difference([0.8, None], [0.9, 0.9], test_to_train=1) is None


def test_a_training_compared_with_itself():
    result = fold_difference([0.8, 0.7], [0.8, 0.7], test_to_train=1)
    assert (result.mean, result.cohens_d, result.ci) == (0.0, 0.0, [0.0, 0.0])
    assert (result.p, result.paired_t_p, result.wilcoxon_p) == (1.0, 1.0, 1.0)
    assert fold_difference([0.5, 0.5], [0.7, 0.7], test_to_train=1).p == 0.0
