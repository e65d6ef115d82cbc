"""Rates of a detector, against papers and values counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scores import SCORED_VIDEOS, columns_of, draw_scores

from violence_detection.errors import ConfigError
from violence_detection.metrics import classification, intervals

# Fawcett 2006, figure 3: twenty instances, by falling score.
FAWCETT_VIOLENT = np.array([c == "p" for c in "ppnpppnnpnpnpnnnpnpn"])
FAWCETT_PROBABILITY = np.array(
    [0.9, 0.8, 0.7, 0.6, 0.55, 0.54, 0.53, 0.52, 0.51, 0.505]
    + [0.4, 0.39, 0.38, 0.37, 0.36, 0.35, 0.34, 0.33, 0.30, 0.1]
)


# -- golden


def test_rates_are_those_of_fawcetts_example():
    rates = classification.binary_metrics(FAWCETT_VIOLENT, FAWCETT_PROBABILITY, 0.54)
    assert rates.auc == pytest.approx(0.68)
    assert rates.accuracy == pytest.approx(0.70)
    assert (rates.recall, rates.false_alarm_rate) == pytest.approx((0.5, 0.1))
    assert (rates.precision, rates.f1) == pytest.approx((5 / 6, 10 / 16))
    assert rates.balanced_accuracy == pytest.approx(0.70)


def test_class_metrics_of_a_matrix_counted_by_hand():
    labels, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]
    metrics = classification.class_metrics(labels, predicted, ["normal", "fight", "fall"])
    assert metrics.confusion == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert metrics.recall_per_class == {"normal": 2 / 3, "fight": 0.5, "fall": 1.0}
    assert metrics.accuracy == 4 / 6
    assert classification.majority_class(np.array(labels), 3) == 0


def test_without_videos_rates_are_zero_and_auc_is_none():
    rates = classification.binary_metrics(np.zeros(0, bool), np.zeros(0), 0.5)
    values = dict(vars(rates))
    assert values.pop("auc") is None
    assert set(values.values()) == {0.0}
    assert classification.class_metrics([], [], ["a", "b"]).confusion == [[0, 0], [0, 0]]


def test_scores_are_accuracy_and_auc_of_fawcetts_example():
    correct = (FAWCETT_PROBABILITY >= 0.54) == FAWCETT_VIOLENT
    scores = classification.scores(correct, FAWCETT_VIOLENT, FAWCETT_PROBABILITY).to_json()
    assert scores == pytest.approx({"accuracy": 0.7, "auc": 0.68})


def test_scores_with_recordings_have_their_intervals():
    violent, probability, groups = draw_scores()
    correct = violent == (probability >= 0.5)
    scores = classification.scores(correct, violent, probability, groups, resamples=100, seed=3)
    scores = scores.to_json()
    bootstrap = {"resamples": 100, "seed": 3}
    assert scores == {
        **classification.scores(correct, violent, probability).to_json(),
        "accuracy_ci": intervals.accuracy_interval(correct, groups, **bootstrap),
        "auc_ci": intervals.auc_interval(violent, probability, groups, **bootstrap),
    }


def test_scores_of_no_videos_and_of_one_class():
    assert classification.scores([], [], []).to_json() == {"accuracy": 0.0, "auc": None}
    one_class = classification.scores([True, False], [True, True], [0.9, 0.1], ["a", "b"])
    assert (one_class.accuracy, one_class.auc, one_class.auc_ci) == (0.5, None, None)


def test_auc_and_its_interval_are_none_with_one_class():
    violent, probability = np.ones(6, bool), np.linspace(0, 1, 6)
    rates = classification.binary_metrics(violent, probability, 0.5)
    assert (rates.auc, rates.average_precision) == (None, 0.0)
    assert rates.balanced_accuracy == rates.recall == 0.5
    assert intervals.auc_interval(violent, probability, np.arange(6)) is None


# -- relation


def test_permuting_videos_changes_nothing():
    columns = draw_scores()
    violent, probability, groups = columns
    order = np.random.default_rng(1).permutation(len(groups))
    shuffled = [column[order] for column in columns]
    assert intervals.auc_interval(*shuffled) == intervals.auc_interval(*columns)
    again = classification.binary_metrics(shuffled[0], shuffled[1], 0.5)
    unshuffled = classification.binary_metrics(violent, probability, 0.5)
    assert vars(again) == pytest.approx(vars(unshuffled))


# -- property


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(SCORED_VIDEOS, st.integers(0, 10).map(lambda k: k / 10))
def test_rates_are_fractions_and_inverted_probabilities_mirror_auc(videos, threshold):
    violent, probability = columns_of(videos)
    rates = dict(vars(classification.binary_metrics(violent, probability, threshold)))
    auc = rates.pop("auc")
    assert len(rates) == 7
    assert all(type(rate) is float and 0.0 <= rate <= 1.0 for rate in rates.values())
    if auc is not None:
        inverted = classification.binary_metrics(violent, 1 - probability, threshold).auc
        assert inverted == pytest.approx(1 - auc)


# -- error


@pytest.mark.parametrize("wrong", [1.2, -0.1, np.nan, np.inf])
def test_values_outside_0_and_1_are_an_error(wrong):
    message = r"`probability` must be in \[0, 1\]. Received: probability="
    with pytest.raises(ConfigError, match=message):
        classification.binary_metrics([True, False], [0.5, wrong], 0.5)


def test_float_rounding_around_the_bounds_is_not_an_error():
    rates = classification.binary_metrics([True, False], [1 + 1e-7, -1e-7], 0.5)
    assert rates.accuracy == 1.0


def test_columns_of_two_lengths_are_an_error():
    with pytest.raises(ConfigError, match=r"must have one length \(N,\)."):
        classification.binary_metrics([True], [0.5, 0.5], 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: classification.class_metrics([0, 2], [0, 0], ["a", "b"]),
            r"`labels` must be in \[0, 2\), the numbers of the classes. Received: 2",
        ),
        (
            lambda: classification.binary_metrics([True], [0.5], 1.5),
            r"`threshold` must be in \[0, 1\]. Received: threshold=1.5",
        ),
    ],
)
def test_misuse_says_what_must_hold_and_what_came(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
