"""Folds that hold out the future, whole cameras, or one recording at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from violence_detection.errors import ConfigError


class HeldOutFold(NamedTuple):
    """A fold: the rows of the videos that are held out, and of those to train on, int64 ascending.

    Videos in neither are later than the fold, or of a recording that goes on into it.
    """

    test: np.ndarray
    train: np.ndarray


def folds_by_time(
    labels: np.ndarray, groups: np.ndarray, times: Sequence[datetime], folds: int
) -> list[HeldOutFold]:
    """Consecutive folds, each held out from models that are trained on earlier recordings alone.

    The recordings are divided into `folds` + 1 blocks of about as many videos, in the order of
    their first video; those that begin at the same time are in one block. The first block is for
    training only. For a block those recordings are trained on whose last video is earlier than
    the first of the block.

    Args:
        labels: Class of each of N videos, (N,).
        groups: Recording of each video, (N,).
        times: When each video was recorded, N.
        folds: Number of blocks that are held out, >= 1.

    Raises:
        ConfigError: If there are too few different times, or a class is missing before a block.
    """
    start, end = _spans(groups, times)
    starts, counts = np.unique(start, return_counts=True)
    if len(starts) <= folds:
        raise ConfigError(
            "`folds` must be smaller than the number of different times at which recordings begin. "
            f"Received: folds={folds}, and {len(starts)} (fewer folds, or times of day, help)"
        )
    block = _equal_blocks(counts, folds + 1)[np.searchsorted(starts, start)]
    parts = []
    for number in range(1, folds + 1):
        test = np.flatnonzero(block == number)
        train = np.flatnonzero((block < number) & (end < start[test].min()))
        if missing := sorted(set(labels) - set(labels[train])):
            day = min(times[row] for row in test).date()
            raise ConfigError(
                "Before each fold there must be recordings of every class to train on. Received: "
                f"none of {', '.join(map(str, missing))} before fold {number}, which begins on "
                f"{day} ({len(train)} videos of recordings that end before; fewer folds help, and "
                "so does a group for each day where group is the camera)"
            )
        parts.append(HeldOutFold(test, train))
    return parts


def latest_recordings(
    labels: np.ndarray, groups: np.ndarray, times: Sequence[datetime], fraction: float
) -> np.ndarray:
    """The rows of the recordings that begin last, to validate with, int64 ascending.

    They are about a fraction of the videos. Where a class would be missing they are more, up to
    half of the videos. Recordings that begin at the same time are on one side, and the earlier
    ones keep a video of every class; empty if that is not possible.

    Args:
        labels: Class of each of N videos, (N,).
        groups: Recording of each video, (N,).
        times: When each video was recorded, N.
        fraction: Wanted fraction of the videos.
    """
    start, _ = _spans(groups, times)
    classes = len(set(labels))
    choices = []
    for moment in np.unique(start)[1:]:
        later = start >= moment
        if len(set(labels[~later])) == classes:
            missing = classes - len(set(labels[later]))
            too_many = later.mean() > max(0.5, fraction)
            choices.append((too_many, missing, abs(later.mean() - fraction), moment))
    return np.flatnonzero(start >= min(choices)[-1]) if choices else np.array([], np.int64)


def joined_cameras(groups: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """The camera of each video, str (N,); of cameras that share a recording, all names.

    Args:
        groups: Recording of each video, (N,).
        cameras: Camera of each video, (N,).
    """
    names, camera = np.unique(np.asarray(cameras).astype(str), return_inverse=True)
    _, recording = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    count = len(names) + int(recording.max()) + 1
    links = coo_matrix((np.ones(len(camera)), (camera, len(names) + recording)), (count, count))
    _, component = connected_components(links, directed=False)
    of_camera = component[: len(names)]
    joined = np.array([" and ".join(names[of_camera == part]) for part in of_camera])
    return joined[camera]


def leave_one_out(labels: np.ndarray, units: np.ndarray, *, unit: str) -> list[HeldOutFold]:
    """A fold for each recording, or each camera, in the order of their names.

    Args:
        labels: Class of each of N videos, (N,).
        units: Recording or camera of each video, (N,).
        unit: What these are, for messages: `recordings`, `cameras`.

    Raises:
        ConfigError: If there is one unit only, or a class is of one only.
    """
    units = np.asarray(units).astype(str)
    names = np.unique(units)
    if len(names) < 2:
        raise ConfigError(f"There must be two {unit} or more to hold one out. Received: {names[0]}")
    for label in np.unique(labels):
        of_class = np.unique(units[labels == label])
        if len(of_class) < 2:
            raise ConfigError(
                f"Each class must have two {unit} or more, so that one can be held out. Received: "
                f"{label}, of {of_class[0]} alone"
            )
    rows = np.arange(len(units))
    return [HeldOutFold(rows[units == name], rows[units != name]) for name in names]


def _spans(groups: np.ndarray, times: Sequence[datetime]) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last time in the recording of each video, in seconds, float64 (N,) each."""
    moments = np.array([time.timestamp() for time in times])
    names, recording = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    first, last = (np.full(len(names), limit) for limit in (np.inf, -np.inf))
    np.minimum.at(first, recording, moments)
    np.maximum.at(last, recording, moments)
    return first[recording], last[recording]


def _equal_blocks(counts: np.ndarray, blocks: int) -> np.ndarray:
    """The block, from 0, of each of D groups in their order, so that blocks are about equal.

    Args:
        counts: The size of each group, int (D,).
        blocks: At most D; none is empty.
    """
    before = np.concatenate([[0], np.cumsum(counts)])
    bounds = [0]
    for number in range(1, blocks):
        places = np.arange(bounds[-1] + 1, len(counts) - (blocks - number) + 1)
        target = before[-1] * number / blocks
        bounds.append(int(places[np.argmin(abs(before[places] - target))]))
    return np.searchsorted(bounds, np.arange(len(counts)), side="right") - 1
