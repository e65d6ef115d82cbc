"""Averages of the weights, and that training itself does not see them."""

import keras
import numpy as np
import pytest

from violence_detection.training.optimisation.weight_averaging import (
    ExponentialAverage,
    NoAverage,
    StochasticAverage,
)


@pytest.fixture
def weight() -> keras.Variable:
    return keras.Variable(np.zeros(2, np.float32))


def shown(average, weight) -> list[float]:
    with average.swapped_in():
        return weight.numpy().tolist()


# -- golden


def test_an_exponential_average_is_the_recurrence_in_numpy(weight):
    average, expected = ExponentialAverage([weight], 0.6), np.zeros(2)
    for step in range(30):
        weight.assign([step, -step])
        average.after_step()
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.array([step, -step])
    np.testing.assert_allclose(shown(average, weight), expected, rtol=1e-5)


def test_a_stochastic_average_is_the_mean_of_the_last_epochs(weight):
    average = StochasticAverage([weight], first_epoch=3)
    for epoch in range(1, 6):
        weight.assign([epoch, 10 * epoch])
        average.after_step()
        average.after_epoch(epoch)
    np.testing.assert_allclose(shown(average, weight), [4, 40])


# -- relation


@pytest.mark.parametrize(
    "build", [lambda w: ExponentialAverage(w, 0.9), lambda w: StochasticAverage(w, 1)]
)
def test_the_weights_come_back_also_after_an_error(weight, build):
    average = build([weight])
    for value in (1.0, 3.0):
        weight.assign([value, value])
        average.after_step()
        average.after_epoch(1)
    with pytest.raises(KeyboardInterrupt), average.swapped_in():
        assert 0 < weight.numpy()[0] < 3
        raise KeyboardInterrupt
    assert weight.numpy().tolist() == [3, 3]


def test_before_it_has_begun_the_weights_are_shown(weight):
    average = StochasticAverage([weight], first_epoch=2)
    weight.assign([5, 5])
    average.after_epoch(1)
    assert not average.has_begun
    assert shown(average, weight) == shown(NoAverage(), weight) == [5, 5]


def test_an_average_with_restored_variables_goes_on(weight):
    one = ExponentialAverage([weight], 0.9)
    for value in (1.0, 2.0, 4.0):
        weight.assign([value, value])
        one.after_step()
    restored = ExponentialAverage([weight], 0.9)
    for to, value in zip(restored.variables, one.variables, strict=True):
        to.assign(value)
    for average in (one, restored):
        average.after_step()
    assert shown(one, weight) == shown(restored, weight)
