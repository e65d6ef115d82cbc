"""The surest windows of footage that lie apart from each other: non-maximum suppression."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class SurestWindows(NamedTuple):
    """The windows that were taken, and the number of those that were not, by the reason.

    Attributes:
        rows: Of the windows, the surest first.
        near: Too near to a surer one of the same video.
        of_full_recordings: Of a recording that has enough.
        beyond: Less sure than all that were taken, which are as many as wanted.
    """

    rows: tuple[int, ...]
    near: int
    of_full_recordings: int
    beyond: int


def surest_apart(
    probability: np.ndarray,
    spans_s: np.ndarray,
    videos: Sequence[str],
    recordings: Sequence[str],
    *,
    count: int,
    per_recording: int,
    apart_s: float,
) -> SurestWindows:
    """Takes windows from the surest on.

    Args:
        probability: Of N windows, float (N,).
        spans_s: Start and end of each in its video, in seconds, float (N, 2).
        videos, recordings: Names of those that each is of, N.
        count: The most windows.
        per_recording: The most windows of a recording.
        apart_s: The least seconds between the end of a window and the start of another of its
            video.
    """
    rows: list[int] = []
    taken_s: dict[str, list[np.ndarray]] = defaultdict(list)
    of_recording: Counter[str] = Counter()
    near = full = beyond = 0
    for row in np.argsort(-probability, kind="stable").tolist():
        start_s, end_s = spans_s[row]
        gaps_s = [
            max(start_s - taken_end_s, taken_start_s - end_s)
            for taken_start_s, taken_end_s in taken_s[videos[row]]
        ]
        if gaps_s and min(gaps_s) < apart_s:
            near += 1
        elif of_recording[recordings[row]] >= per_recording:
            full += 1
        elif len(rows) == count:
            beyond += 1
        else:
            rows.append(row)
            taken_s[videos[row]].append(spans_s[row])
            of_recording[recordings[row]] += 1
    return SurestWindows(tuple(rows), near, full, beyond)
