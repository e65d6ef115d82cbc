"""Folds of videos: each is held out once, whole recordings together, while the others are learned
from."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from violence_detection.datasets import splits
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import Video
from violence_detection.errors import ConfigError

_DRAWS = 20


def draw_folds(
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int,
    *,
    seed: int,
    grouped: bool = True,
) -> list[np.ndarray]:
    """Rows of each fold, ascending; each video is in one fold.

    Each fold has about the same share of each class. All videos of a recording are in one
    fold, unless not `grouped`: then they go wherever they are drawn, as in papers that do not
    say how they drew.

    Args:
        labels: Of N videos, (N,).
        groups: The recording of each, (N,).
        folds: How many, >= 2.
        seed: Of the draw.

    Raises:
        ConfigError: If a class has fewer recordings (not grouped: videos) than there are
            folds, or they are so uneven that no draw gives folds that can be learned from.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels, groups = np.asarray(labels).astype(str), np.asarray(groups).astype(str)
    pairs = list(zip(labels.tolist(), groups.tolist(), strict=True))
    counts = Counter(label for label, _ in (set(pairs) if grouped else pairs))
    if not counts or min(counts.values()) < folds:
        listed = ", ".join(f"{n} of {label}" for label, n in sorted(counts.items()))
        raise ConfigError(
            f"`folds` must be at most the {'recordings' if grouped else 'videos'} of each "
            f"class. Received: folds={folds}, and {listed or 'none'}"
        )
    kind, by = (StratifiedGroupKFold, groups) if grouped else (StratifiedKFold, None)
    # Where one recording holds most videos, the first draw may leave a fold empty.
    for draw in range(_DRAWS):
        state = seed if not draw else np.random.RandomState([seed, draw])
        splitter = kind(folds, shuffle=True, random_state=state)
        found = [rows for _, rows in splitter.split(labels, labels, by)]
        if _can_be_learned(labels, found):
            return found
    raise ConfigError(
        "`folds` must leave videos of every class for each fold, and others to learn from. "
        f"Received: folds={folds}, of recordings too uneven for that (fewer folds help)"
    )


def _can_be_learned(labels: np.ndarray, found: Sequence[np.ndarray]) -> bool:
    """Whether no fold is empty, and no class is in one fold only."""
    classes = len(np.unique(labels))
    return all(rows.size and len(np.unique(np.delete(labels, rows))) == classes for rows in found)


def validation_folds(
    entries: list[ManifestEntry], folds: int | None, *, seed: int
) -> list[list[ManifestEntry]]:
    """The entries once for each fold, each time with another part of them for validation.

    Without folds: the entries as they are. See `held_out`.

    Raises:
        ConfigError: If there cannot be so many.
    """
    if folds is None:
        return [entries]
    return [
        _with_split(entries, rows, "validation", "train")
        for rows in draw_folds(*_columns(entries), folds, seed=seed)
    ]


def test_folds(
    entries: list[ManifestEntry],
    folds: int,
    *,
    seed: int,
    grouped: bool,
    validation_fraction: float,
) -> list[list[ManifestEntry]]:
    """The entries once for each fold, each time with another part of them for the test.

    Of the rest, whole recordings validate; never one that is in the test, if the folds are
    grouped. See `held_out`.

    Args:
        validation_fraction: Share of the rest that validates; 0 leaves all of it to train.

    Raises:
        ConfigError: If there cannot be so many, or nothing is left for validation.
    """
    parts = []
    for rows in draw_folds(*_columns(entries), folds, seed=seed, grouped=grouped):
        part = _with_split(entries, rows, "test", "train")
        if validation_fraction:
            rest = [entry for entry in part if entry.split == "train"]
            drawn = draw_validation(rest, fraction=validation_fraction, seed=seed)
            part = [
                dataclasses.replace(entry, split=drawn.get(entry.path, entry.split))
                for entry in part
            ]
            if "validation" not in drawn.values():
                raise ConfigError(
                    "The folds that are learned from must have recordings to spare for "
                    "validation. Received: none (more folds help, or --monitor none, which "
                    "needs none)"
                )
        parts.append(part)
    return parts


def draw_validation(
    entries: Sequence[ManifestEntry], *, fraction: float, seed: int
) -> dict[str, str]:
    """`train` or `validation` by path, drawn by recording as `splits` draws them."""
    return splits.assign_splits(
        [Video(entry.path, entry.label, entry.group) for entry in entries],
        kept={},
        leads={},
        validation_fraction=fraction,
        test_fraction=0.0,
        seed=seed,
    )


def _columns(entries: Sequence[ManifestEntry]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and recordings, (N,) each."""
    return (
        np.array([entry.label for entry in entries]),
        np.array([entry.group for entry in entries]),
    )


def _with_split(
    entries: list[ManifestEntry], rows: np.ndarray, held: str, others: str
) -> list[ManifestEntry]:
    chosen = set(rows.tolist())
    return [
        dataclasses.replace(entry, split=held if row in chosen else others)
        for row, entry in enumerate(entries)
    ]
