"""Checks of the labels, scores and rates that a metric is given."""

import numpy as np

from violence_detection.errors import ConfigError

_NOISE = 1e-6  # of float32 arithmetic


def checked_scores(violent: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`violent` as bool (N,) and `probability` as float64 (N,), once they are fit."""
    violent = np.asarray(violent, dtype=bool)
    probability = np.asarray(probability, dtype=np.float64)
    check_same_length(violent=violent, probability=probability)
    # A float32 softmax sums to 1 only nearly; NaN is outside too.
    inside = (probability >= -_NOISE) & (probability <= 1.0 + _NOISE)
    if not inside.all():
        check_probability("probability", probability[~inside][0])
    return violent, np.clip(probability, 0.0, 1.0)


def check_probability(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"`{name}` must be in [0, 1]. Received: {name}={value}")


def check_same_length(**arrays: np.ndarray) -> None:
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or len(min(shapes)) != 1:
        names = " and ".join(f"`{name}`" for name in arrays)
        came = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ConfigError(f"{names} must have one length (N,). Received: {came}")


def check_labels(name: str, labels: np.ndarray, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ConfigError(
            f"`{name}` must be in [0, {num_classes}), one for each class. Received: {wrong[0]}"
        )
