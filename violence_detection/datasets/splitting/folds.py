"""Folds of videos for cross-validation: each fold is held out once, whole recordings together."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from violence_detection.datasets.config import (
    BY_CAMERA,
    BY_RECORDING,
    BY_TIME,
    ONE_RECORDING,
)
from violence_detection.datasets.splitting import hold_out, splits
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import ConfigError

_DRAWS = 20


def draw_folds(
    labels: np.ndarray,
    groups: np.ndarray,
    folds: int,
    *,
    seed: int,
    grouped: bool = True,
    unit: str = "recordings",
    every_class: bool = True,
) -> list[np.ndarray]:
    """The rows of each fold, ascending; each video is in exactly one fold.

    Each fold has about the same fraction of each class.

    Args:
        labels: Class of each of N videos, (N,).
        groups: Recording of each video, (N,).
        folds: Number of folds, >= 2.
        seed: Seed of the draw.
        grouped: Keep the videos of a recording in one fold. Without it videos are drawn one by
            one, as in papers that do not mention recordings.
        unit: What `groups` are, for messages.
        every_class: Refuse folds of which one must lack a class.

    Raises:
        ConfigError: If a class has fewer recordings (not grouped: videos) than there are
            folds, or recordings are so uneven that every draw leaves a fold empty or a class in
            one fold only.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels, groups = np.asarray(labels).astype(str), np.asarray(groups).astype(str)
    pairs = list(zip(labels.tolist(), groups.tolist(), strict=True))
    counts = Counter(label for label, _ in (set(pairs) if grouped else pairs))
    if not counts or (every_class and min(counts.values()) < folds):
        listed = ", ".join(f"{n} of {label}" for label, n in sorted(counts.items()))
        raise ConfigError(
            f"`folds` must be at most the {unit if grouped else 'videos'} of each "
            f"class. Received: folds={folds}, and {listed or 'none'}"
        )
    kind, by = (StratifiedGroupKFold, groups) if grouped else (StratifiedKFold, None)
    # Where one recording holds most videos, the first draw may leave a fold empty.
    for draw in range(_DRAWS):
        state = seed if not draw else np.random.RandomState([seed, draw])
        splitter = kind(folds, shuffle=True, random_state=state)
        rows_of_folds = [rows for _, rows in splitter.split(labels, labels, by)]
        if _are_trainable(labels, rows_of_folds):
            return rows_of_folds
    raise ConfigError(
        "`folds` must leave each fold videos of every class to train on. "
        f"Received: folds={folds}, of {unit} too uneven for that (fewer folds help)"
    )


def _are_trainable(labels: np.ndarray, rows_of_folds: Sequence[np.ndarray]) -> bool:
    """True if no fold is empty, and no class is in one fold only."""
    classes = len(np.unique(labels))
    return all(
        rows.size and len(np.unique(np.delete(labels, rows))) == classes for rows in rows_of_folds
    )


def validation_folds(
    entries: list[ManifestEntry], folds: int | None, *, seed: int
) -> list[list[ManifestEntry]]:
    """For each fold, all entries with that fold as validation split and the rest as train.

    Without folds: the entries as they are. See `draw_folds`.

    Raises:
        ConfigError: If the folds cannot be drawn.
    """
    if folds is None:
        return [entries]
    return [
        _with_split(entries, rows, "validation", "train")
        for rows in draw_folds(*_columns(entries), folds, seed=seed)
    ]


def evaluation_folds(
    entries: list[ManifestEntry],
    folds: int,
    *,
    seed: int,
    grouped: bool,
    validation_fraction: float,
    by: str = BY_RECORDING,
) -> list[list[ManifestEntry]]:
    """For each fold, all entries with that fold as test split and the rest divided.

    The rest is divided by whole recordings into train and validation, at random, or by time into
    earlier and later ones; with grouped folds, no recording of it is in the test split. Videos that
    are neither, because they are later than the fold, have no split. See `draw_folds` and
    `hold_out`.

    Args:
        entries: The videos.
        folds: Number of folds; by camera the largest number; not used for one recording at a time.
        seed: Seed of both draws.
        grouped: Keep the videos of a recording in one fold.
        validation_fraction: Fraction of the rest for validation; 0 leaves all of it to train.
        by: What is held out, as `datasets.config` lists it. The entries must have the time or the
            camera.

    Raises:
        ConfigError: If the folds cannot be drawn, or the rest has too few recordings to divide.
    """
    parts = []
    for test, train in _held_out(entries, folds, seed=seed, grouped=grouped, by=by):
        part = [dataclasses.replace(entry, split="") for entry in entries]
        for row in train.tolist():
            part[row] = dataclasses.replace(entries[row], split="train")
        for row in test.tolist():
            part[row] = dataclasses.replace(entries[row], split="test")
        if validation_fraction:
            rest = [entry for entry in part if entry.split == "train"]
            if by == BY_TIME:
                drawn = latest_validation(rest, fraction=validation_fraction)
            else:
                drawn = draw_validation(rest, fraction=validation_fraction, seed=seed)
            part = [
                dataclasses.replace(entry, split=drawn.get(entry.path, entry.split))
                for entry in part
            ]
            if "validation" not in drawn.values():
                needed = "recordings to spare for validation"
                if by == BY_TIME:
                    needed = (
                        "recordings that begin later than others, with every class in the earlier "
                        "ones, to validate with"
                    )
                raise ConfigError(
                    f"The training folds must have {needed}. Received: too few (other --folds "
                    "help, or --monitor none, which needs no validation)"
                )
        parts.append(part)
    return parts


def _held_out(
    entries: Sequence[ManifestEntry], folds: int, *, seed: int, grouped: bool, by: str
) -> list[hold_out.HeldOutFold]:
    """The rows of each fold, and those to train on; see `evaluation_folds`."""
    labels, groups = _columns(entries)
    if by == BY_TIME:
        times = [iso_times.instant(entry.recorded_at) for entry in entries]
        return hold_out.folds_by_time(labels, groups, times, folds)
    if by == ONE_RECORDING:
        return hold_out.leave_one_out(labels, groups, unit="recordings")
    if by == BY_CAMERA:
        cameras = np.array([entry.camera for entry in entries])
        groups = hold_out.joined_cameras(groups, cameras)
        if len(set(groups)) < 2:
            raise ConfigError(
                "--by camera must have two cameras or more that share no recording. Received: "
                f"{groups[0]}"
            )
        if len(set(groups)) <= folds:
            return hold_out.leave_one_out(labels, groups, unit="cameras")
    rows = np.arange(len(entries))
    return [
        hold_out.HeldOutFold(test, np.setdiff1d(rows, test))
        for test in draw_folds(
            labels,
            groups,
            folds,
            seed=seed,
            grouped=grouped,
            unit="cameras" if by == BY_CAMERA else "recordings",
            every_class=by != BY_CAMERA,
        )
    ]


def draw_validation(
    entries: Sequence[ManifestEntry], *, fraction: float, seed: int
) -> dict[str, str]:
    """The split of each video, `train` or `validation`, by path; see `assign_splits`."""
    return splits.assign_splits(
        [Video(entry.path, entry.label, entry.group) for entry in entries],
        kept={},
        leads={},
        validation_fraction=fraction,
        test_fraction=0.0,
        seed=seed,
    )


def latest_validation(entries: Sequence[ManifestEntry], *, fraction: float) -> dict[str, str]:
    """The split of each video, `train` or `validation`, by path; see `latest_recordings`."""
    times = [iso_times.instant(entry.recorded_at) for entry in entries]
    rows = set(hold_out.latest_recordings(*_columns(entries), times, fraction).tolist())
    return {
        entry.path: "validation" if row in rows else "train" for row, entry in enumerate(entries)
    }


def _columns(entries: Sequence[ManifestEntry]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and recordings, (N,) each."""
    return (
        np.array([entry.label for entry in entries]),
        np.array([entry.group for entry in entries]),
    )


def _with_split(
    entries: list[ManifestEntry], rows: np.ndarray, held_out: str, others: str
) -> list[ManifestEntry]:
    chosen = set(rows.tolist())
    return [
        dataclasses.replace(entry, split=held_out if row in chosen else others)
        for row, entry in enumerate(entries)
    ]


def with_fewer_recordings(
    entries: list[ManifestEntry], share: float, *, seed: int
) -> list[ManifestEntry]:
    """The entries, of which a share of the recordings in the training split stays there.

    The other training videos get no split. Of the recordings of each class (its majority) the
    share is rounded up; a smaller share keeps a part of what a larger one keeps.

    Args:
        entries: The videos, with their splits.
        share: In (0, 1].
        seed: Seed of the order in which recordings are left out.
    """
    if share >= 1:
        return entries
    labels: dict[str, Counter[str]] = {}
    for entry in entries:
        if entry.split == "train":
            labels.setdefault(entry.group, Counter())[entry.label] += 1
    by_class: dict[str, list[str]] = {}
    for group in sorted(labels):
        by_class.setdefault(labels[group].most_common(1)[0][0], []).append(group)
    rng, kept = np.random.default_rng(seed), set()
    for _, groups in sorted(by_class.items()):
        order = rng.permutation(len(groups)).tolist()
        kept.update(groups[number] for number in order[: math.ceil(share * len(groups))])
    return [
        dataclasses.replace(entry, split="")
        if entry.split == "train" and entry.group not in kept
        else entry
        for entry in entries
    ]
