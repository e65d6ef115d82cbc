"""The pull of FedProx towards the weights that a round began with."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf


class ProximalPull:
    """After each step, the proximal step of ``mu/2 |w - w_start|^2`` at the learning rate r:
    ``w = (w + r mu w_start) / (1 + r mu)``.

    It is apart from the gradient, as AdamW's decay is, because Adam divides a gradient by its
    size: the pull would be the same however far the weights are. It is an `Average` by its
    methods, which a training step calls after each step.

    Reference:
        Li et al., Federated Optimization in Heterogeneous Networks, 2020,
        https://arxiv.org/abs/1812.06127
    """

    has_begun = False
    variables: list[tf.Variable] = []  # the start of the round is no state of the training

    def __init__(
        self,
        weights: Sequence[keras.Variable],
        learning_rate: keras.Variable | tf.Variable,
        mu: float,
    ) -> None:
        """
        Args:
            weights: The trainable weights.
            learning_rate: That of the optimizer.
            mu: Strength of the pull.
        """
        self._weights, self._learning_rate, self._mu = list(weights), learning_rate, mu
        self._start = [
            tf.Variable(weight.numpy(), trainable=False, dtype="float32") for weight in weights
        ]

    def begin_round(self) -> None:
        """Takes the present weights as those of the round's start."""
        for start, weight in zip(self._start, self._weights, strict=True):
            start.assign(tf.cast(weight.value, tf.float32))

    def after_step(self) -> None:
        """The pull, inside the graph of a step."""
        pull = tf.cast(self._learning_rate.value, tf.float32) * self._mu
        for start, weight in zip(self._start, self._weights, strict=True):
            value = tf.cast(weight.value, tf.float32)
            weight.assign(tf.cast((value + pull * start) / (1 + pull), weight.dtype))

    def after_epoch(self, epoch: int) -> None:
        pass

    def swapped_in(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()
