"""Folds of cross-validations trained in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def folds_in_this_process() -> Iterator[None]:
    """Within it, no fold is trained in a process of its own, which takes seconds to start."""
    from violence_detection.experiments.cross_validation import fold_processes
    from violence_detection.experiments.cross_validation.fold_processes import FoldProcesses

    def train(self, folds):
        for fold in folds:
            yield fold, fold_processes.runner_of(self._setup).train_fold(fold)

    def check_buildable(self):
        fold_processes.check_buildable(self._setup)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FoldProcesses, "train", train)
        patch.setattr(FoldProcesses, "check_buildable", check_buildable)
        yield
