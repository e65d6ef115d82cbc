"""Rates and intervals, against papers, closed forms and scikit-learn."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from violence_detection.errors import ConfigError
from violence_detection.metrics import classification, intervals

# Fawcett 2006, figure 3: twenty instances, by falling score.
FAWCETT_VIOLENT = np.array([c == "p" for c in "ppnpppnnpnpnpnnnpnpn"])
FAWCETT_PROBABILITY = np.array(
    [0.9, 0.8, 0.7, 0.6, 0.55, 0.54, 0.53, 0.52, 0.51, 0.505]
    + [0.4, 0.39, 0.38, 0.37, 0.36, 0.35, 0.34, 0.33, 0.30, 0.1]
)
# Ties are likely, since few scores are possible.
VIDEOS = st.lists(st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12)), max_size=60)


def columns(videos):
    violent = np.array([video[0] for video in videos], dtype=bool)
    return violent, np.array([video[1] for video in videos], dtype=float)


def drawn(num_videos=240, num_groups=36, seed=0):
    rng = np.random.default_rng(seed)
    violent = rng.random(num_videos) < 0.5
    probability = np.clip(0.3 * violent + 0.7 * rng.random(num_videos), 0, 1)
    return violent, probability, rng.integers(0, num_groups, num_videos)


# -- golden


def test_rates_are_those_of_fawcetts_example():
    rates = classification.binary_metrics(FAWCETT_VIOLENT, FAWCETT_PROBABILITY, 0.54)
    assert rates["auc"] == pytest.approx(0.68)
    assert rates["accuracy"] == pytest.approx(0.70)
    assert (rates["recall"], rates["false_alarm_rate"]) == pytest.approx((0.5, 0.1))
    assert (rates["precision"], rates["f1"]) == pytest.approx((5 / 6, 10 / 16))
    assert rates["balanced_accuracy"] == pytest.approx(0.70)


@pytest.mark.parametrize(
    ("correct", "total", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_interval_is_that_of_newcombes_table(correct, total, interval):
    """Newcombe, Statistics in Medicine 17, 1998, 857-872, table I, score method."""
    assert intervals.wilson_interval(correct, total) == pytest.approx(interval, abs=5e-5)


def test_class_metrics_of_a_matrix_counted_by_hand():
    labels, predicted = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]
    found = classification.class_metrics(labels, predicted, ["normal", "fight", "fall"])
    assert found["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found["recall_per_class"] == {"normal": 2 / 3, "fight": 0.5, "fall": 1.0}
    assert (found["accuracy"], found["baseline_accuracy"]) == (4 / 6, 0.5)


def test_where_nothing_ran_rates_are_zero_and_auc_is_none():
    nothing = classification.binary_metrics(np.zeros(0, bool), np.zeros(0), 0.5)
    assert nothing.pop("auc") is None
    assert set(nothing.values()) == {0.0}
    assert classification.class_metrics([], [], ["a", "b"])["confusion"] == [[0, 0], [0, 0]]
    assert intervals.wilson_interval(0, 0) == [0.0, 0.0]
    assert intervals.accuracy_interval([], []) == [0.0, 0.0]
    assert intervals.auc_interval([], [], []) is None


def test_scores_are_accuracy_and_auc_of_fawcetts_example():
    correct = FAWCETT_VIOLENT == (FAWCETT_PROBABILITY >= 0.54)
    scores = classification.scores(correct, FAWCETT_VIOLENT, FAWCETT_PROBABILITY)
    assert scores == pytest.approx({"accuracy": 0.7, "auc": 0.68})


def test_scores_with_recordings_have_their_intervals():
    violent, probability, groups = drawn()
    correct = violent == (probability >= 0.5)
    scores = classification.scores(correct, violent, probability, groups, resamples=100, seed=3)
    bootstrap = {"resamples": 100, "seed": 3}
    assert scores == {
        **classification.scores(correct, violent, probability),
        "accuracy_ci": intervals.accuracy_interval(correct, groups, **bootstrap),
        "auc_ci": intervals.auc_interval(violent, probability, groups, **bootstrap),
    }


def test_scores_of_no_videos_and_of_one_class():
    assert classification.scores([], [], []) == {"accuracy": 0.0, "auc": None}
    one_class = classification.scores([True, False], [True, True], [0.9, 0.1], ["a", "b"])
    assert (one_class["accuracy"], one_class["auc"], one_class["auc_ci"]) == (0.5, None, None)


def test_auc_and_its_interval_are_none_with_one_class():
    violent, probability = np.ones(6, bool), np.linspace(0, 1, 6)
    rates = classification.binary_metrics(violent, probability, 0.5)
    assert (rates["auc"], rates["average_precision"]) == (None, 0.0)
    assert rates["balanced_accuracy"] == rates["recall"] == 0.5
    assert intervals.auc_interval(violent, probability, np.arange(6)) is None


# -- relation


def test_bootstrap_of_videos_alone_agrees_with_wilson():
    correct = np.arange(200) < 140
    interval = intervals.accuracy_interval(correct, np.arange(200), resamples=4000)
    assert interval == pytest.approx(intervals.wilson_interval(140, 200), abs=0.012)


def test_copies_within_a_recording_teach_nothing():
    violent, probability, groups = drawn(80, 12)
    once = intervals.auc_interval(violent, probability, groups)
    copied = (np.repeat(column, 3) for column in (violent, probability, groups))
    assert intervals.auc_interval(*copied) == pytest.approx(once)


def test_recordings_that_agree_within_widen_the_interval():
    correct = np.arange(200) < 140
    alone = intervals.accuracy_interval(correct, np.arange(200))
    together = intervals.accuracy_interval(correct, np.arange(200) // 10)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_permuting_videos_changes_nothing():
    columns = drawn()
    violent, probability, groups = columns
    order = np.random.default_rng(1).permutation(len(groups))
    shuffled = [column[order] for column in columns]
    assert intervals.auc_interval(*shuffled) == intervals.auc_interval(*columns)
    again = classification.binary_metrics(shuffled[0], shuffled[1], 0.5)
    assert again == pytest.approx(classification.binary_metrics(violent, probability, 0.5))


def test_turning_probabilities_over_turns_auc_and_its_interval_over():
    violent, probability, groups = drawn()
    low, high = intervals.auc_interval(violent, probability, groups)
    turned = intervals.auc_interval(violent, 1 - probability, groups)
    assert turned == pytest.approx([1 - high, 1 - low])


def test_weighted_auc_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    violent, probability = rng.random(50) < 0.4, rng.integers(0, 8, 50) / 7
    counts = rng.integers(0, 4, (20, 50))
    expected = [roc_auc_score(violent, probability, sample_weight=row) for row in counts]
    found = intervals.weighted_auc(violent, probability)(counts)
    np.testing.assert_allclose(found, expected)


def test_the_seed_decides_and_block_size_does_not(monkeypatch):
    columns = drawn()
    whole = intervals.auc_interval(*columns, seed=3)
    assert whole != intervals.auc_interval(*columns, seed=4)
    monkeypatch.setattr(intervals, "_BLOCK_CELLS", 5000)
    assert intervals.auc_interval(*columns, seed=3) == whole


def test_intervals_of_240_videos_take_less_than_a_second():
    violent, probability, groups = drawn()
    start = time.perf_counter()
    intervals.accuracy_interval(violent, groups, resamples=2000)
    intervals.auc_interval(violent, probability, groups, resamples=2000)
    assert time.perf_counter() - start < 1.0


# -- property


@settings(max_examples=60, deadline=None)
@given(VIDEOS, st.integers(0, 10).map(lambda k: k / 10))
def test_rates_are_shares_and_turning_over_mirrors_auc(videos, threshold):
    violent, probability = columns(videos)
    rates = classification.binary_metrics(violent, probability, threshold)
    auc = rates.pop("auc")
    assert all(type(rate) is float and 0.0 <= rate <= 1.0 for rate in rates.values())
    if auc is not None:
        turned = classification.binary_metrics(violent, 1 - probability, threshold)["auc"]
        assert turned == pytest.approx(1 - auc)


@settings(max_examples=40, deadline=None)
@given(VIDEOS, st.integers(0, 5))
def test_intervals_are_ordered_and_in_bounds(videos, seed):
    violent, probability = columns(videos)
    groups = np.arange(len(violent)) // 3
    settings = {"resamples": 50, "seed": seed}
    low, high = intervals.accuracy_interval(violent, groups, **settings)
    assert 0.0 <= low <= high <= 1.0
    interval = intervals.auc_interval(violent, probability, groups, **settings)
    assert interval is None or 0.0 <= interval[0] <= interval[1] <= 1.0


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_interval_holds_the_share(correct, more):
    low, high = intervals.wilson_interval(correct, correct + more)
    assert 0.0 <= low <= high <= 1.0
    if correct + more:
        assert low - 1e-9 <= correct / (correct + more) <= high + 1e-9


# -- error


@pytest.mark.parametrize("wrong", [1.2, -0.1, np.nan, np.inf])
def test_what_is_no_probability_is_an_error(wrong):
    message = r"`probability` must be in \[0, 1\]. Received: probability="
    with pytest.raises(ConfigError, match=message):
        classification.binary_metrics([True, False], [0.5, wrong], 0.5)


def test_float_noise_around_the_bounds_is_no_error():
    rates = classification.binary_metrics([True, False], [1 + 1e-7, -1e-7], 0.5)
    assert rates["accuracy"] == 1.0


def test_columns_of_two_lengths_are_an_error():
    with pytest.raises(ConfigError, match=r"must have one length \(N,\)."):
        classification.binary_metrics([True], [0.5, 0.5], 0.5)
    with pytest.raises(ConfigError, match=r"correct \(3,\), groups \(2,\)"):
        intervals.accuracy_interval([1, 0, 1], ["a", "b"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.wilson_interval(3, 2), r"in \[0, total=2\]. Received: corr"),
        (lambda: intervals.wilson_interval(1, 2, 1.0), r"`level` must be in \(0, 1\)"),
        (
            lambda: intervals.accuracy_interval([True], ["a"], resamples=0),
            "`resamples` must be >= 1. Received: resamples=0",
        ),
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
