"""Where to put the threshold: the operating point that validation gives."""

from collections.abc import Sequence

import numpy as np

from violence_detection import metrics

_TIE = 1e-9  # balanced accuracies this close are equal


def choose_threshold(
    violent: np.ndarray, probability: np.ndarray, groups: Sequence[str] | np.ndarray
) -> tuple[float, str]:
    """The threshold with the best balanced accuracy on validation, and why it is that.

    Tried are all cuts between consecutive distinct probabilities. Neighbouring cuts
    that are equally good make one plateau; of the best plateaus the widest is taken,
    of equally wide ones that nearest 0.5, and in it the middle: the threshold that
    other videos are least likely to upset.

    Args:
        violent: bool (N,).
        probability: float (N,), in [0, 1].
        groups: The recording of each video (N,).

    Returns:
        The threshold, in (0, 1), and a reason in words. It is 0.5 where a class has
        fewer than 20 videos or 5 recordings, or where no cut beats chance.

    Raises:
        ConfigError: If the lengths differ, or a value is not a probability.
    """
    violent, probability = metrics.checked(violent, probability)
    too_few = metrics.too_few_to_choose(violent, groups)
    if too_few:
        return 0.5, f"0.5: {too_few}"
    scores, balanced = _balanced_accuracy_of_cuts(violent, probability)
    if balanced.max(initial=0.0) <= 0.5 + _TIE:
        return (
            0.5,
            f"0.5: no threshold beats chance on validation ({violent.size} videos)",
        )
    reason = f"best balanced accuracy on validation ({violent.size} videos)"
    return _middle_of_widest_plateau(scores, balanced), reason


def _balanced_accuracy_of_cuts(
    violent: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct probabilities (U,), ascending, and the balanced accuracy (U - 1,) of the
    cut between each and the next; both classes must be present."""
    scores, index = np.unique(probability, return_inverse=True)
    missed = np.cumsum(np.bincount(index, violent, minlength=scores.size))[:-1]
    cleared = np.cumsum(np.bincount(index, ~violent, minlength=scores.size))[:-1]
    recall = 1.0 - missed / violent.sum()
    return scores, (recall + cleared / (~violent).sum()) / 2


def _middle_of_widest_plateau(scores: np.ndarray, balanced: np.ndarray) -> float:
    """The middle of the best run of cuts; `scores` (U,) bound the cuts (U - 1,)."""
    best = np.concatenate([[0], balanced >= balanced.max() - _TIE, [0]])
    edges = np.diff(best.astype(int))
    low, high = scores[np.flatnonzero(edges == 1)], scores[np.flatnonzero(edges == -1)]
    # Rounded, so that widths which differ only by float noise count as equal.
    width, distance = np.round(high - low, 9), np.abs((low + high) / 2 - 0.5)
    chosen = np.lexsort((low, distance, -width))[0]
    middle = (low[chosen] + high[chosen]) / 2
    # Between neighbouring floats there is no middle: the cut is then at the upper one.
    middle = middle if middle > low[chosen] else high[chosen]
    return float(np.clip(middle, np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)))
