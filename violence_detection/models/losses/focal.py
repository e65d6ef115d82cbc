"""Focal loss on logits, binary or over several classes.

The focal loss of Keras ignores `alpha` unless another flag is set, and for 0 < gamma < 1 its
gradient is NaN on confidently right examples.
"""

import math
from typing import Annotated

import keras
from keras import ops

from violence_detection.errors import ConfigError
from violence_detection.registry import Range


class Focal(keras.losses.Loss):
    """``sum over classes of y * alpha * (1 - p)^gamma * -log p``, one value per example.

    With one output, ``p`` is the sigmoid and the two classes are ``y`` and ``1 - y``; with
    K >= 2 it is the softmax. Labels are smoothed to ``(1 - s) y + s / K`` (binary: K = 2).

    Args:
        gamma: >= 0; 0 is cross-entropy.
        alpha: Weight of each class, the normal class first; None for 1.
        label_smoothing: s.

    Call: y_true (B, K) one-hot or (B, 1), y_pred logits of the same shape; float32 (B,).

    Reference:
        Lin et al., 2017, https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self, *, gamma: float, alpha: list[float] | None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(name="focal", reduction="none", dtype="float32")
        self.gamma = gamma
        self.alpha = alpha
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "float32")
        logits = ops.cast(y_pred, "float32")
        if logits.shape[-1] == 1:
            y_true = ops.concatenate([1 - y_true, y_true], axis=-1)
            # Two logits, -z and +z: log p = -softplus(-z), log(1 - p) = -softplus(z).
            logits = ops.concatenate([-logits, logits], axis=-1)
            log_p = -ops.softplus(-logits)
            log_rest = -ops.softplus(logits)
        else:
            log_p = ops.log_softmax(logits, axis=-1)
            log_rest = ops.log(ops.maximum(1 - ops.exp(log_p), 1e-7))
        smoothing = self.label_smoothing
        y_true = (1 - smoothing) * y_true + smoothing / y_true.shape[-1]
        # (1 - p)^gamma as an exponential has a finite gradient at p = 1 for every gamma.
        loss = -y_true * ops.exp(self.gamma * log_rest) * log_p
        if self.alpha is not None:
            loss = loss * ops.convert_to_tensor(self.alpha, "float32")
        return ops.sum(loss, axis=-1)


def build(
    *,
    label_smoothing: float,
    class_fractions: list[float],
    gamma: Annotated[float, Range(0, 100)] = 2.0,
    alpha: float | str | None = "auto",
) -> Focal:
    """A focal loss.

    Args:
        label_smoothing: Fraction of a label's weight that is spread over the classes.
        class_fractions: Fraction of each class in the drawn videos, the normal class first; one
            half normal and the others equal if class weights are on.
        gamma: Strength by which easy examples count for less, >= 0.
        alpha: Weight of violence; the normal class has 1 - alpha. `auto` weighs each class by the
            fractions of the others, which is 0.5 for two balanced classes, and for more than two
            so that a model that knows nothing answers 50% violence; `inverse_sqrt` is
            1 / sqrt(fraction), scaled to a mean of 1 over the classes; none is 1 for all.

    Raises:
        ConfigError: If alpha is not in [0, 1], or a number is given for
            more than two classes.
    """
    weights = None
    if alpha == "auto":
        weights = _auto_alpha(class_fractions, gamma, label_smoothing)
    elif alpha == "inverse_sqrt":
        weights = _inverse_sqrt_alpha(class_fractions)
    elif alpha is not None:
        if not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1 or len(class_fractions) != 2:
            raise ConfigError(
                "`alpha` of focal must be auto, inverse_sqrt, none or, with two classes, in "
                f"[0, 1]. Received: alpha={alpha} with {len(class_fractions)} classes"
            )
        weights = [1 - alpha, alpha]
    return Focal(gamma=float(gamma), alpha=weights, label_smoothing=label_smoothing)


def _auto_alpha(fractions: list[float], gamma: float, smoothing: float) -> list[float]:
    """Weight of each class by the fractions of the others.

    With more than two classes that alone would make most predictions violent. There the weights
    are such that, of all constant predictions, the loss is lowest for one half normal; the other
    half is shared in proportion to the weighted fractions. At that minimum the slope of the loss
    in each probability, ``weighted fraction * d/dp [(1 - p)^gamma log p]``, is the same.
    """
    classes = len(fractions)
    weights = [(1 - fraction) / (classes - 1) for fraction in fractions]
    if classes == 2:
        return weights
    shares = [fraction * weight for fraction, weight in zip(fractions, weights, strict=True)]
    violent = sum(shares[1:])
    prior = [0.5, *[0.5 * share / violent for share in shares[1:]]]
    smoothed = [(1 - smoothing) * fraction + smoothing / classes for fraction in fractions]
    # A class without videos keeps weight 0: it has no slope to balance.
    weights = [
        1 / (part * _slope(probability, gamma)) if probability else 0.0
        for part, probability in zip(smoothed, prior, strict=True)
    ]
    total = sum(part * weight for part, weight in zip(smoothed, weights, strict=True))
    return [weight / (2 * total) for weight in weights]  # as much as two balanced classes have


def _slope(probability: float, gamma: float) -> float:
    """``-d/dp [-(1 - p)^gamma log p]`` for p in (0, 1)."""
    rest = 1 - probability
    return rest**gamma / probability - gamma * rest ** (gamma - 1) * math.log(probability)


def _inverse_sqrt_alpha(fractions: list[float]) -> list[float]:
    """``1 / sqrt(fraction)``, scaled to a mean of 1; a class without videos has the largest."""
    least = min(fraction for fraction in fractions if fraction > 0)
    weights = [1 / math.sqrt(max(fraction, least)) for fraction in fractions]
    return [weight * len(weights) / sum(weights) for weight in weights]
