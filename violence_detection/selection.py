"""Which epoch of a training to keep, and when to stop, when validation is small.

The epoch with the lowest validation loss is mostly luck when a few recordings decide it. So a
later epoch is kept as long as it is not clearly worse than the best one: by no more than two
standard errors of the difference, over recordings. With much validation data the standard
error is small, and this is the usual choice of the best epoch. docs/experiments.md has what
it gave on real clips.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from violence_detection.errors import ConfigError

CLEARLY_ERRORS = 2.0


def check_monitor(monitor: str, labels: Iterable[int]) -> None:
    """Whether validation videos with these labels can tell one epoch from another.

    Raises:
        ConfigError: If an area under the curve is asked for, and they are of one side only.
    """
    violent = {label > 0 for label in labels}
    if monitor == "val_auc" and len(violent) == 1:
        sides = "violent" if True in violent else "normal"
        raise ConfigError(
            "`monitor` val_auc must have validation videos with violence and without. Received: "
            f"{sides} ones only"
        )


class EpochSelection:
    """Takes the epochs in order and says of each whether to keep it.

    Attributes:
        best_epoch: The epoch with the smallest mean loss so far; patience counts from it.
        kept_epoch: The epoch to keep so far. Both are 0 before the first.
    """

    def __init__(self, groups: np.ndarray, *, tolerant: bool) -> None:
        """
        Args:
            groups: The recording of each validation video, (N,).
            tolerant: Keep what is not clearly worse; else only what is better.
        """
        self._groups = np.unique(groups.astype(str), return_inverse=True)[1]
        self._tolerant = tolerant
        self._best: np.ndarray | None = None
        self.best_epoch = 0
        self.kept_epoch = 0

    def offer(self, epoch: int, losses: np.ndarray) -> bool:
        """Whether to keep this epoch.

        Args:
            epoch: From 1.
            losses: Of each validation video, (N,), or one of all of them, (1,); smaller is
                better.
        """
        losses = losses.astype(np.float64)  # as a state that was saved is read
        better = self._best is None or losses.mean() < self._best.mean()
        if better:
            self._best = losses
            self.best_epoch = epoch
        keep = better or (self._tolerant and not self._clearly_worse(losses))
        if keep:
            self.kept_epoch = epoch
        return keep

    def _clearly_worse(self, losses: np.ndarray) -> bool:
        difference = losses - self._best
        error = standard_error(difference, self._groups)
        return bool(difference.mean() > CLEARLY_ERRORS * error)

    def state(self) -> dict[str, Any]:
        best = None if self._best is None else self._best.tolist()
        return {
            "best": best,
            "best_epoch": self.best_epoch,
            "kept_epoch": self.kept_epoch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._best = None if state["best"] is None else np.array(state["best"])
        self.best_epoch = state["best_epoch"]
        self.kept_epoch = state["kept_epoch"]


def standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    """Standard error of a mean whose values come in groups that stand or fall together.

    ``sqrt(G / (G - 1) * sum over groups of (sum of (x - mean))^2) / N``; infinite for one
    group, which says nothing about others.

    Args:
        values: (N,).
        groups: int (N,), in [0, G).

    Reference:
        Cameron and Miller, A practitioner's guide to cluster-robust inference, 2015
    """
    count = int(groups.max()) + 1
    if count < 2:
        return float("inf")
    sums = np.bincount(groups, weights=values - values.mean(), minlength=count)
    return float(np.sqrt(count / (count - 1) * np.square(sums).sum()) / len(values))
