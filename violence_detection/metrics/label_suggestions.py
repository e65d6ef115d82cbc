"""Clips whose label would teach a classifier most: unsure ones, and ones unlike its training clips.

Uncertainty sampling (Lewis and Gale, A sequential algorithm for training text classifiers, 1994),
and the novelty of the run.
"""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np

UNSURE, NOVEL = "near the threshold", "unlike the training clips"
_SMALLEST = 1e-6


class Suggestion(NamedTuple):
    """A clip to label next: its row, and the reason."""

    row: int
    reason: str


def suggest_labels(
    probability: np.ndarray,
    novelty: np.ndarray | None,
    threshold: float,
    *,
    count: int,
    place_of: Callable[[int], Hashable] = lambda row: row,
) -> list[Suggestion]:
    """Up to `count` clips, the most useful first: in turn the one nearest to the threshold, in
    log-odds, and the one most unlike the training clips.

    Args:
        probability: Of violence, float (N,).
        novelty: Over 1 a clip is unlike the training clips, float (N,); None where not known.
        threshold: Of the decision.
        count: The most clips.
        place_of: What clips have in common of which one is enough, such as a stretch of a video.
    """
    distance = np.abs(_log_odds(probability) - _log_odds(np.array(threshold)))
    unsure = [Suggestion(row, UNSURE) for row in np.argsort(distance, kind="stable").tolist()]
    novel = []
    if novelty is not None:
        rows = np.argsort(-novelty, kind="stable").tolist()
        novel = [Suggestion(row, NOVEL) for row in rows if novelty[row] > 1]
    chosen: list[Suggestion] = []
    seen: set[Hashable] = set()
    queues = [unsure, novel]
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue:
                suggestion = queue.pop(0)
                place = place_of(suggestion.row)
                if place not in seen:
                    seen.add(place)
                    chosen.append(suggestion)
                    break
    return chosen[:count]


def _log_odds(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(clipped / (1 - clipped))
