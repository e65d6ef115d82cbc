"""Calibration error and temperature scaling.

Predictions are calibrated if 7 in 10 videos with a probability of 70% are violent. A temperature
divides the logits: it changes how far probabilities are from each other, but neither the order
of two videos nor the predicted class.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from violence_detection.errors import ConfigError
from violence_detection.metrics import classification
from violence_detection.units import counted

BINS = 10
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.1, 10.0
_SMALLEST = 1e-12


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by a temperature: ``p^(1/T)``, normalised to sum 1.

    Args:
        probability: float (N, K), rows sum to 1.
        temperature: T > 0; above 1, probabilities move towards 1/K.

    Returns:
        float64 (N, K), rows sum to 1.

    Raises:
        ConfigError: If `temperature` is not above 0.
    """
    if not temperature > 0:
        raise ConfigError(f"`temperature` must be > 0. Received: {temperature}")
    if temperature == 1.0:
        return probability
    logits = np.log(np.clip(probability, _SMALLEST, 1.0)) / temperature
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def fit_temperature(
    probability: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    violent: np.ndarray,
    chosen_on: str = "validation",
) -> tuple[float, str]:
    """The temperature with the smallest cross-entropy, and its reason.

    The targets are ``(N_k + 1) / (N_k + 2)`` for the true class instead of 1, with N_k its number
    of videos: with targets of 1 there is no minimum if the predictions have no mistake.

    Args:
        probability: float (N, K) of videos that the model was not trained on, rows sum to 1.
        labels: int (N,), in [0, K); 0 is the normal class.
        groups: The recording of each video (N,).
        violent: bool (N,).
        chosen_on: The name of the videos or predictions, for the reason.

    Returns:
        T in [0.1, 10], and the reason in words. T is 1 if there are too few violent or normal
        videos to choose on; see `classification.too_few_reason`.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, 2017,
        https://arxiv.org/abs/1706.04599 (section 4.2); the targets are those of Platt,
        Probabilistic outputs for support vector machines, 1999
    """
    too_few = classification.too_few_reason(violent, groups, among=chosen_on)
    if too_few:
        return 1.0, f"1: {too_few}"
    classes = probability.shape[1]
    videos = np.bincount(labels, minlength=classes)[labels]
    rest = 1 / (videos + 2)
    targets = np.repeat(rest[:, None] / (classes - 1), classes, axis=1)
    targets[np.arange(len(labels)), labels] = 1 - rest

    def cross_entropy(log_temperature: float) -> float:
        scaled = apply_temperature(probability, float(np.exp(log_temperature)))
        return -float((targets * np.log(np.clip(scaled, _SMALLEST, 1.0))).sum(1).mean())

    bounds = np.log([_MIN_TEMPERATURE, _MAX_TEMPERATURE])
    minimum = minimize_scalar(cross_entropy, bounds=tuple(bounds), method="bounded")
    reason = f"smallest cross-entropy on {chosen_on} ({counted(len(labels), 'video')})"
    return float(np.exp(minimum.x)), reason


def reliability_curve(
    violent: np.ndarray, probability: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability and fraction of violent videos, in bins of probability.

    Args:
        violent: bool (N,).
        probability: float (N,), of violence, in [0, 1].
        bins: Number of equally wide bins in [0, 1].

    Returns:
        Mean probability, fraction of violent videos, and number of videos, of each bin that
        has a video.
    """
    bin_index = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    filled = count > 0
    mean, violent_fraction = (
        np.bincount(bin_index, weights=values, minlength=bins)[filled] / count[filled]
        for values in (probability, violent.astype(float))
    )
    return mean, violent_fraction, count[filled]


def brier_score(violent: np.ndarray, probability: np.ndarray) -> float:
    """Mean of ``(probability - violent)^2``, in [0, 1]; 0.25 if all probabilities are 0.5, 0.0 for
    no videos.

    Args:
        violent, probability: As in `reliability_curve`.

    Reference:
        Brier, Verification of forecasts expressed in terms of probability, 1950
    """
    return float(((probability - violent) ** 2).mean()) if len(violent) else 0.0


def expected_calibration_error(
    violent: np.ndarray, probability: np.ndarray, bins: int = BINS
) -> float:
    """``sum_b n_b / N |fraction of violent videos in b - mean probability in b|``, in [0, 1].

    With few videos it is above 0 even if the true probabilities are predicted: about 0.14 for 50
    videos.

    Args:
        violent, probability, bins: As in `reliability_curve`.

    Reference:
        Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using
        Bayesian Binning, 2015
    """
    if not len(violent):
        return 0.0
    mean, violent_fraction, count = reliability_curve(violent, probability, bins)
    return float((count * np.abs(violent_fraction - mean)).sum() / count.sum())
