"""Averages of the weights over a training, which often predict better than the last weights.

The average is validated and kept; the training itself continues from the weights as they are.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf


class Average(Protocol):
    """An average of the weights of a classifier.

    Attributes:
        variables: The state of the average, which a resumed training restores.
    """

    variables: list[tf.Variable]

    def after_step(self) -> None:
        """Adds the weights after a step, inside the graph of the step."""

    def after_epoch(self, epoch: int) -> None:
        """Adds the weights after an epoch, counted from 1."""

    def swapped_in(self) -> contextlib.AbstractContextManager[None]:
        """Context manager: the classifier has the averaged weights inside the block."""


class NoAverage:
    """No average: the weights as they are."""

    variables: list[tf.Variable] = []

    def after_step(self) -> None:
        pass

    def after_epoch(self, epoch: int) -> None:
        pass

    def swapped_in(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class _Shadowed:
    """A float32 average of each weight, and the number of times that weights were added."""

    def __init__(self, weights: list[keras.Variable]) -> None:
        # A plain variable has one copy, whatever the number of replicas.
        self._weights = weights
        self._shadows = [
            tf.Variable(weight.numpy(), trainable=False, dtype="float32") for weight in weights
        ]
        self._count = tf.Variable(0.0, trainable=False, dtype="float32")
        self.variables = [self._count, *self._shadows]

    def _move(self, fraction: tf.Tensor) -> None:
        """Moves the average by a fraction of its distance to the weights."""
        for shadow, weight in zip(self._shadows, self._weights, strict=True):
            value = tf.cast(weight.value, tf.float32)
            shadow.assign_add(fraction * (value - shadow))

    @property
    def has_begun(self) -> bool:
        return bool(self._count.numpy())

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Context manager: the classifier has the averaged weights, once weights were added."""
        if not self.has_begun:
            yield
            return
        kept = [weight.numpy() for weight in self._weights]
        _assign(self._weights, [shadow.numpy() for shadow in self._shadows])
        try:
            yield
        finally:
            _assign(self._weights, kept)


def _assign(weights: list[keras.Variable], values: list[np.ndarray]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)


class ExponentialAverage(_Shadowed):
    """``average = d * average + (1 - d) * weight`` after every step.

    ``d = min(decay, (1 + n) / (10 + n))`` at step n, so that the first weights, which are
    random, soon count for little.

    Args:
        weights: The weights of the classifier.
        decay: In (0, 1).

    Reference:
        tf.train.ExponentialMovingAverage, for the first steps
    """

    def __init__(self, weights: list[keras.Variable], decay: float) -> None:
        super().__init__(weights)
        self._decay = decay

    def after_step(self) -> None:
        decay = tf.minimum(self._decay, (1 + self._count) / (10 + self._count))
        self._move(1 - decay)
        self._count.assign_add(1)

    def after_epoch(self, epoch: int) -> None:
        pass


class StochasticAverage(_Shadowed):
    """The plain mean of the weights after each of the last epochs.

    Args:
        weights: The weights of the classifier.
        first_epoch: The first epoch that counts.

    Reference:
        Izmailov et al., 2018, https://arxiv.org/abs/1803.05407 (stochastic weight averaging)
    """

    def __init__(self, weights: list[keras.Variable], first_epoch: int) -> None:
        super().__init__(weights)
        self.first_epoch = first_epoch

    def after_step(self) -> None:
        pass

    def after_epoch(self, epoch: int) -> None:
        if epoch >= self.first_epoch:
            self._count.assign_add(1)
            self._move(1 / self._count)


def build_average(
    weights: list[keras.Variable], *, epochs: int, ema_decay: float, swa_fraction: float
) -> Average:
    """The average that the settings of `train` ask for.

    Args:
        weights: The weights of the classifier.
        epochs: Length of the training, if it is not stopped earlier.
        ema_decay: Decay of an exponential average; 0 is off.
        swa_fraction: Fraction of the epochs that a plain mean is taken over; 0 is off.
    """
    if ema_decay:
        return ExponentialAverage(weights, ema_decay)
    if swa_fraction:
        averaged_epochs = max(1, math.ceil(round(swa_fraction * epochs, 6)))
        return StochasticAverage(weights, first_epoch=epochs - averaged_epochs + 1)
    return NoAverage()
