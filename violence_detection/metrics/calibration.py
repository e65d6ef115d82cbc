"""Whether a probability of 70% is right 7 times in 10, and the temperature that brings it nearer.

A temperature divides the logits. It changes neither the order of two videos nor the likeliest
class, only how sure the answers are.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from violence_detection.errors import ConfigError
from violence_detection.metrics import classification
from violence_detection.units import counted

BINS = 10
_COLDEST, _HOTTEST = 0.1, 10.0
_SMALLEST = 1e-12


def apply_temperature(probability: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by a temperature: ``p^(1/T)``, brought to sum 1.

    Args:
        probability: float (N, K), rows sum to 1.
        temperature: T > 0; above 1 the answers are less sure.

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
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def fit_temperature(
    probability: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    *,
    violent: np.ndarray,
) -> tuple[float, str]:
    """The temperature with the least cross-entropy on validation, and why it is that.

    The goals are ``(N_k + 1) / (N_k + 2)`` for the right class instead of 1, N_k its videos:
    where the classes are told apart without a mistake, there would be no least one.

    Args:
        probability: float (N, K) of validation, rows sum to 1.
        labels: int (N,), in [0, K); 0 is the normal class.
        groups: The recording of each video (N,).
        violent: Whether each video is, bool (N,).

    Returns:
        T in [0.1, 10], and a reason in words. It is 1 where violent or normal videos are too
        few to choose on, as for the threshold.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, 2017,
        https://arxiv.org/abs/1706.04599 (section 4.2); the goals are those of Platt,
        Probabilistic outputs for support vector machines, 1999
    """
    too_few = classification.too_few_reason(violent, groups)
    if too_few:
        return 1.0, f"1: {too_few}"
    classes = probability.shape[1]
    videos = np.bincount(labels, minlength=classes)[labels]
    rest = 1 / (videos + 2)
    goals = np.repeat(rest[:, None] / (classes - 1), classes, axis=1)
    goals[np.arange(len(labels)), labels] = 1 - rest

    def cross_entropy(log_temperature: float) -> float:
        answers = apply_temperature(probability, float(np.exp(log_temperature)))
        return -float((goals * np.log(np.clip(answers, _SMALLEST, 1.0))).sum(1).mean())

    span = np.log([_COLDEST, _HOTTEST])
    found = minimize_scalar(cross_entropy, bounds=tuple(span), method="bounded")
    reason = f"least cross-entropy on validation ({counted(len(labels), 'video')})"
    return float(np.exp(found.x)), reason


def reliability_curve(
    violent: np.ndarray, probability: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often videos are violent that were given about the same probability.

    Args:
        violent: bool (N,).
        probability: float (N,), of violence.
        bins: Equally wide ones in [0, 1].

    Returns:
        Mean probability, share of violent videos, and number of videos, of each bin that
        has one.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    there = count > 0
    mean, share = (
        np.bincount(place, weights=values, minlength=bins)[there] / count[there]
        for values in (probability, violent.astype(float))
    )
    return mean, share, count[there]


def brier_score(violent: np.ndarray, probability: np.ndarray) -> float:
    """Mean of ``(probability - violent)^2``, in [0, 1]; 0.25 for always saying a half, 0.0 for no
    videos.

    Args:
        violent, probability: As in `reliability`.

    Reference:
        Brier, Verification of forecasts expressed in terms of probability, 1950
    """
    return float(((probability - violent) ** 2).mean()) if len(violent) else 0.0


def expected_calibration_error(
    violent: np.ndarray, probability: np.ndarray, bins: int = BINS
) -> float:
    """``sum_b n_b / N |share of violent videos in b - mean probability in b|``, in [0, 1].

    On few videos it is above 0 for a perfect detector too: by about 0.14 on 50.

    Args:
        violent, probability, bins: As in `reliability`.

    Reference:
        Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using
        Bayesian Binning, 2015
    """
    if not len(violent):
        return 0.0
    mean, share, count = reliability_curve(violent, probability, bins)
    return float((count * np.abs(share - mean)).sum() / count.sum())
