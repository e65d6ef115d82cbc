"""The folds of a cross-validation: how they are drawn, and the videos that each has."""

from dataclasses import dataclass

import numpy as np

from violence_detection.datasets.config import BY_RECORDING
from violence_detection.datasets.splitting import folds
from violence_detection.datasets.table_files.manifest import ManifestEntry


@dataclass(frozen=True)
class FoldPlan:
    """The number of folds of a cross-validation, and how they are drawn.

    Attributes:
        folds: Number of folds of a repeat, >= 2.
        repeats: Draws of each protocol; each has the next seed.
        protocols: Whether folds are grouped (True) or random (False), for each protocol.
        seed: The seed of the first repeat, for the draw and for the training.
        validation_fraction: Fraction of the other folds that validates.
        by: What is held out, as `datasets.config` lists it.
        calibrate_by: `validation` or `folds`: the predictions that temperature and threshold of
            each fold's model are chosen on.
        share: Fraction of the training recordings that each fold is trained on.
    """

    folds: int
    repeats: int
    protocols: tuple[bool, ...]
    seed: int
    validation_fraction: float
    by: str = BY_RECORDING
    calibrate_by: str = "validation"
    share: float = 1.0

    def seed_of(self, repeat: int) -> int:
        """The seed of a repeat, which counts from 1."""
        return self.seed + repeat - 1


@dataclass(frozen=True)
class Fold:
    """Videos that are held out together, and the split of all others.

    Attributes:
        grouped: Whether all videos of a recording are in one fold.
        repeat, number: From 1.
        entries: All videos; those of the fold have the split `test`, and those that its model
            must not know, because they are later, have none.
    """

    grouped: bool
    repeat: int
    number: int
    entries: list[ManifestEntry]

    @property
    def name(self) -> str:
        kind = "grouped" if self.grouped else "random"
        return f"{kind}_repeat_{self.repeat}_fold_{self.number}"

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of the videos of a split, int64."""
        rows = [row for row, entry in enumerate(self.entries) if entry.split == split]
        return np.array(rows, np.int64)

    @property
    def training_rows(self) -> np.ndarray:
        """Row numbers of the videos to train on, those for validation included, int64 ascending."""
        return np.union1d(self.rows("train"), self.rows("validation"))


def draw_test_folds(entries: list[ManifestEntry], plan: FoldPlan) -> list[Fold]:
    """All folds of a cross-validation, in the order in which they are trained.

    Args:
        entries: All videos, with their recordings.
        plan: How the folds are drawn.

    Raises:
        ConfigError: If there are too few recordings.
    """
    return [
        Fold(
            grouped,
            repeat,
            number,
            folds.with_fewer_recordings(split_entries, plan.share, seed=plan.seed_of(repeat)),
        )
        for grouped in plan.protocols
        for repeat in range(1, plan.repeats + 1)
        for number, split_entries in enumerate(
            folds.evaluation_folds(
                entries,
                plan.folds,
                seed=plan.seed_of(repeat),
                grouped=grouped,
                validation_fraction=plan.validation_fraction,
                by=plan.by,
            ),
            1,
        )
    ]
