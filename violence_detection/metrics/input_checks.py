"""Checks of the labels, probabilities and rates that are passed to a metric."""

import numpy as np

from violence_detection.errors import ConfigError

_ROUNDING = 1e-6  # of float32 arithmetic


def checked_scores(violent: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`violent` as bool (N,) and `probability` as float64 (N,), clipped to [0, 1].

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent = np.asarray(violent, dtype=bool)
    probability = np.asarray(probability, dtype=np.float64)
    check_same_length(violent=violent, probability=probability)
    # The probabilities of a float32 softmax sum to 1 only approximately. NaN is outside.
    inside = (probability >= -_ROUNDING) & (probability <= 1.0 + _ROUNDING)
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
        received = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ConfigError(f"{names} must have one length (N,). Received: {received}")


def check_labels(name: str, labels: np.ndarray, num_classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ConfigError(
            f"`{name}` must be in [0, {num_classes}), the numbers of the classes. "
            f"Received: {wrong[0]}"
        )
