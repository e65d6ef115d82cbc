"""The choice of the epoch whose model is kept."""

from collections.abc import Iterable

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.metrics.intervals import standard_error
from violence_detection.models.outputs.classes import is_violent
from violence_detection.training.saving.training_state import SelectionState

# Two standard errors of a mean difference are about its 95% interval. The standard error is over
# recordings, not videos: clips of one recording are right or wrong together.
CLEAR_STANDARD_ERRORS = 2.0


def check_monitor(monitor: str, labels: Iterable[int]) -> None:
    """Checks that validation videos with these labels can compare epochs by `monitor`.

    Raises:
        ConfigError: If it is an area under the curve, and all videos are normal or all violent.
    """
    violent = set(is_violent(list(labels)).tolist())
    if monitor == "val_auc" and len(violent) == 1:
        sides = "violent" if True in violent else "normal"
        raise ConfigError(
            "`monitor` val_auc must have validation videos with violence and without. Received: "
            f"{sides} videos only"
        )


class EpochSelection:
    """Chooses the epoch to keep: the last that is not clearly worse than the best.

    Where a few recordings decide the validation loss, the epoch with the lowest loss is mostly
    luck: it is the epoch in which those recordings happened to fit. So a later epoch replaces the
    kept epoch unless it is clearly worse than the best: unless its mean loss is higher by more
    than two standard errors of the difference, taken video by video, over recordings. With many
    validation recordings the standard error is small, and the choice is the usual one, the best
    epoch. On real clips with 4 to 8 validation recordings the lowest loss gave an accuracy of
    .699, the last epoch .735 and this rule .739 (docs/experiments.md).

    Attributes:
        best_score_epoch: The epoch with the smallest mean loss so far; patience counts from it.
        kept_epoch: The epoch whose model is kept so far, `best_epoch` in the run's results. Both
            are 0 before the first epoch.
    """

    def __init__(self, groups: np.ndarray, *, tolerant: bool) -> None:
        """
        Args:
            groups: The recording of each validation video, (N,).
            tolerant: Keep an epoch that is not clearly worse; else only a better epoch.
        """
        self._groups = np.unique(groups.astype(str), return_inverse=True)[1]
        self._tolerant = tolerant
        self._best: np.ndarray | None = None
        self.best_score_epoch = 0
        self.kept_epoch = 0

    def offer(self, epoch: int, losses: np.ndarray) -> bool:
        """True if this epoch is to be kept; epochs are offered in order.

        Args:
            epoch: From 1.
            losses: The loss of each validation video, (N,), or one value for all of them, (1,);
                smaller is better.
        """
        # As they are read from a saved state: a resumed training must choose the same epoch.
        losses = losses.astype(np.float64)
        better = self._best is None or losses.mean() < self._best.mean()
        if better:
            self._best = losses
            self.best_score_epoch = epoch
        keep = better or (self._tolerant and not self._clearly_worse(losses))
        if keep:
            self.kept_epoch = epoch
        return keep

    def _clearly_worse(self, losses: np.ndarray) -> bool:
        difference = losses - self._best
        error = standard_error(difference, self._groups)
        return bool(difference.mean() > CLEAR_STANDARD_ERRORS * error)

    def state(self) -> SelectionState:
        """The state that a resumed training restores."""
        best = None if self._best is None else self._best.tolist()
        return SelectionState(best, self.best_score_epoch, self.kept_epoch)

    def restore(self, state: SelectionState) -> None:
        self._best = None if state.best is None else np.array(state.best)
        self.best_score_epoch, self.kept_epoch = state.best_epoch, state.kept_epoch
