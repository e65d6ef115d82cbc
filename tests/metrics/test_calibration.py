"""Temperature and calibration error, against closed forms and what was put in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violence_detection.errors import ConfigError
from violence_detection.metrics import calibration

RECORDINGS = np.arange(4000) // 10


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def two_columns(violence):
    return np.stack([1 - violence, violence], axis=1)


# -- golden


def test_a_temperature_divides_the_logits():
    logits = np.array([-3.0, 0.0, 2.0])
    softer = calibration.apply_temperature(two_columns(sigmoid(logits)), 2.0)
    np.testing.assert_allclose(softer[:, 1], sigmoid(logits / 2))


def test_the_error_of_two_bins_by_hand():
    """0.2 and 0.4 hold one violent of four, 0.9 two of two: 4/6 |1/4 - 0.3| + 2/6 |1 - 0.9|."""
    probability = np.array([0.2, 0.2, 0.4, 0.4, 0.9, 0.9])
    violent = np.array([True, False, False, False, True, True])
    error = calibration.expected_calibration_error(violent, probability, bins=2)
    assert error == pytest.approx(4 / 6 * 0.05 + 2 / 6 * 0.1)


def test_bins_without_a_video_are_left_out():
    mean, share, count = calibration.reliability_curve(
        np.array([False, True, True]), np.array([0.0, 1.0, 0.95])
    )
    np.testing.assert_allclose(mean, [0.0, 0.975])
    np.testing.assert_allclose(share, [0.0, 1.0])
    assert count.tolist() == [1, 2]


def test_no_video_has_no_error():
    assert calibration.expected_calibration_error(np.zeros(0, bool), np.zeros(0)) == 0


# -- relation


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 4000)
    labels = (rng.random(4000) < sigmoid(logits)).astype(int)
    scores = two_columns(sigmoid(logits * true))
    temperature, reason = calibration.fit_temperature(
        scores, labels, RECORDINGS, violent=labels > 0
    )
    assert temperature == pytest.approx(true, rel=0.1)
    assert reason == "smallest cross-entropy on validation (4000 videos)"
    before, after = (
        calibration.expected_calibration_error(labels > 0, probability[:, 1])
        for probability in (scores, calibration.apply_temperature(scores, temperature))
    )
    assert after < 0.03 and (true == 1.0 or after < before / 2)


def test_several_classes_have_one_temperature():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random(4000)[:, None] > shares.cumsum(1)).sum(1)
    sure = calibration.apply_temperature(shares, 0.5)
    temperature, _ = calibration.fit_temperature(sure, labels, RECORDINGS, violent=labels > 0)
    assert temperature == pytest.approx(2.0, rel=0.1)


def test_predictions_without_a_mistake_do_not_become_certain():
    labels = np.arange(100) % 2
    scores = two_columns(np.where(labels, 0.7, 0.3))
    temperature, _ = calibration.fit_temperature(
        scores, labels, RECORDINGS[:100], violent=labels > 0
    )
    violence = calibration.apply_temperature(scores, temperature)[:, 1].max()
    assert violence == pytest.approx(51 / 52, abs=1e-3)  # Platt's target for 50 videos


def test_too_few_videos_leave_the_predictions_as_they_are():
    labels = np.arange(30) % 2
    scores = two_columns(np.full(30, 0.9))
    temperature, reason = calibration.fit_temperature(
        scores, labels, RECORDINGS[:30], violent=labels > 0
    )
    assert temperature == 1.0
    assert reason.startswith("1: validation has 15 violent videos of 3 recordings")


@given(
    st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20),
    st.floats(0.1, 10),
)
def test_a_temperature_changes_no_order(violence, temperature):
    before = two_columns(np.array(violence))
    after = calibration.apply_temperature(before, temperature)
    np.testing.assert_allclose(after.sum(1), 1)
    assert ((before[:, 1] > 0.5) == (after[:, 1] > 0.5)).all() or np.isclose(
        before[:, 1], 0.5
    ).any()
    by_score = after[np.argsort(before[:, 1]), 1]
    assert (np.diff(by_score) >= -1e-12).all()


# -- error


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_must_be_above_0(temperature):
    with pytest.raises(ConfigError, match="`temperature` must be > 0. Received"):
        calibration.apply_temperature(np.array([[0.4, 0.6]]), temperature)
