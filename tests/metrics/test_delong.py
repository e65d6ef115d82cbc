"""DeLong's interval and test: a published example, the definition, and undefined cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from violence_detection.errors import ConfigError
from violence_detection.metrics import delong

# Albumin, total protein, K-G score and outcome of 43 patients with ovarian cancer, of DeLong et
# al. (1988), as SAS/STAT prints them: PROC LOGISTIC, Comparing Receiver Operating Characteristic
# Curves, https://support.sas.com/documentation/cdl/en/statug/68162/HTML/default/statug_logistic_examples08.htm
OVARIAN = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""
ROWS = np.array(OVARIAN.split(), float).reshape(-1, 4) / 10
BENEFIT = ROWS[:, 3] > 0
TESTS = {"albumin": ROWS[:, 0], "protein": ROWS[:, 1], "k_g": 1 - ROWS[:, 2]}
# Few distinct values, so that there are ties.
SCORES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)),
    min_size=8,
    max_size=30,
).filter(lambda rows: 2 <= sum(row[0] for row in rows) <= len(rows) - 2)


def arrays(rows):
    violent, first, second = (np.array(column) for column in zip(*rows, strict=True))
    return violent, first / 6, second / 6


def by_definition(violent, first, second):
    """Difference of the areas and its variance, from all pairs (DeLong et al., 1988, 3)."""
    wins = [
        (score[violent][:, None] > score[~violent])
        + 0.5 * (score[violent][:, None] == score[~violent])
        for score in (first, second)
    ]
    of_violent, of_normal = (
        np.cov([won.mean(axis) for won in wins]) / wins[0].shape[1 - axis] for axis in (1, 0)
    )
    contrast = np.array([-1, 1])
    variance = contrast @ (of_violent + of_normal) @ contrast
    return wins[1].mean() - wins[0].mean(), variance


# -- golden


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("albumin", 0.5549, 0.9182),
        ("k_g", 0.5243, 0.9273),
        ("protein", 0.4518, 0.8439),
    ],
)
def test_intervals_are_those_of_the_published_example(name, low, high):
    result = delong.interval(BENEFIT, TESTS[name])
    assert result == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize(
    ("name", "value", "low", "high", "p"),
    [
        ("albumin", 0.0108, -0.1761, 0.1976, 0.9102),
        ("protein", -0.0780, -0.2830, 0.1271, 0.4561),
    ],
)
def test_differences_are_those_of_the_published_example(name, value, low, high, p):
    result = delong.difference(BENEFIT, TESTS["k_g"], TESTS[name])
    assert result.value == pytest.approx(value, abs=5e-5)
    assert result.interval == pytest.approx([low, high], abs=5e-5)
    assert result.p == pytest.approx(p, abs=5e-5)


@given(SCORES)
def test_the_fast_form_is_the_definition(rows):
    violent, first, second = arrays(rows)
    value, variance = by_definition(violent, first, second)
    result = delong.difference(violent, first, second)
    assert result.value == pytest.approx(value, abs=1e-12)
    if variance > 1e-12:
        p = 2 * norm.sf(abs(value) / np.sqrt(variance))
        assert result.p == pytest.approx(p, abs=1e-9)
    else:
        assert result.interval is None


# -- relation


@given(SCORES)
def test_exchanging_the_runs_changes_the_sign(rows):
    violent, first, second = arrays(rows)
    forth = delong.difference(violent, first, second)
    back = delong.difference(violent, second, first)
    assert back.value == pytest.approx(-forth.value, abs=1e-12)
    assert (back.p is None) == (forth.p is None)
    if forth.p is not None:
        assert back.p == pytest.approx(forth.p, abs=1e-9)


def test_only_the_order_of_the_scores_matters():
    result = delong.interval(BENEFIT, TESTS["albumin"])
    assert delong.interval(BENEFIT, TESTS["albumin"] ** 3) == result


# -- undefined cases


def test_runs_with_the_same_order_do_not_differ():
    result = delong.difference(BENEFIT, TESTS["albumin"], TESTS["albumin"] ** 2)
    assert result == (0.0, None, 1.0)


def test_classes_that_are_separated_perfectly_have_no_interval():
    violent, apart = np.arange(8) > 3, np.arange(8) / 8
    assert delong.interval(violent, apart) is None
    assert delong.difference(violent, 1 - apart, apart) == (1.0, None, None)


@pytest.mark.parametrize("violent", [np.zeros(5, bool), np.ones(5, bool)])
def test_one_class_has_no_area(violent):
    scores = np.linspace(0, 1, 5)
    assert delong.interval(violent, scores) is None
    assert delong.difference(violent, scores, 1 - scores) == (None, None, None)


def test_one_video_of_a_class_has_no_variance():
    violent, scores = np.arange(5) == 2, np.linspace(0, 1, 5)
    assert delong.interval(violent, scores) is None
    assert delong.difference(violent, scores, 1 - scores) == (0.0, None, 1.0)


def test_values_outside_0_and_1_are_refused():
    with pytest.raises(ConfigError, match=r"in \[0, 1\]. Received: probability=nan"):
        delong.interval(BENEFIT, np.full(BENEFIT.size, np.nan))
    with pytest.raises(ConfigError, match="must have one length"):
        delong.interval(BENEFIT, np.zeros(3))
