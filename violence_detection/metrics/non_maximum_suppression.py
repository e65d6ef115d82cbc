"""Non-maximum suppression: the windows of footage with the highest probability that lie apart."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class KeptWindows(NamedTuple):
    """The windows that are kept, and the numbers of the others by the reason.

    Attributes:
        rows: Rows of the kept windows, from the highest probability to the lowest.
        near: Windows too near to a kept one of the same video.
        of_full_recordings: Windows of a recording of which enough are kept.
        beyond: Windows less probable than all that are kept, which are as many as wanted.
    """

    rows: tuple[int, ...]
    near: int
    of_full_recordings: int
    beyond: int


def suppress_non_maxima(
    probability: np.ndarray,
    spans_s: np.ndarray,
    videos: Sequence[str],
    recordings: Sequence[str],
    *,
    count: int,
    per_recording: int,
    apart_s: float,
) -> KeptWindows:
    """Keeps windows from the highest probability to the lowest, apart from each other.

    Args:
        probability: Probability of each of N windows, float (N,).
        spans_s: Start and end of each window in its video, in seconds, float (N, 2).
        videos, recordings: Name of the video and of the recording of each window, N.
        count: The most windows.
        per_recording: The most windows of a recording.
        apart_s: The least seconds between the end of a window and the start of another of its
            video.
    """
    rows: list[int] = []
    kept_s: dict[str, list[np.ndarray]] = defaultdict(list)
    of_recording: Counter[str] = Counter()
    near = full = beyond = 0
    for row in np.argsort(-probability, kind="stable").tolist():
        start_s, end_s = spans_s[row]
        gaps_s = [
            max(start_s - kept_end_s, kept_start_s - end_s)
            for kept_start_s, kept_end_s in kept_s[videos[row]]
        ]
        if gaps_s and min(gaps_s) < apart_s:
            near += 1
        elif of_recording[recordings[row]] >= per_recording:
            full += 1
        elif len(rows) == count:
            beyond += 1
        else:
            rows.append(row)
            kept_s[videos[row]].append(spans_s[row])
            of_recording[recordings[row]] += 1
    return KeptWindows(tuple(rows), near, full, beyond)
