"""Violent intervals on a timeline of windows."""

from collections.abc import Sequence

from violence_detection.units import TOUCH_S

LOWER_FRACTION = 0.75  # of the threshold, where no lower one is given


def default_lower_threshold(threshold: float) -> float:
    """The lower threshold that goes with an upper one where none is given."""
    return LOWER_FRACTION * threshold


def find_segments(
    windows: Sequence[dict[str, float]],
    threshold: float,
    *,
    lower: float | None = None,
    close_gaps_s: float = 0.0,
    min_duration_s: float = 0.0,
) -> list[dict[str, float]]:
    """Intervals of windows at or above `lower` that touch or overlap, one of them at or above
    `threshold`: an answer that wavers about one threshold does not tear a segment apart.

    Args:
        windows: start_s, end_s, probability; ascending.
        threshold: That a segment reaches.
        lower: That it does not fall below; default: `threshold`.
        close_gaps_s: Segments with no more than this between them are one.
        min_duration_s: Shorter ones are left out, after that.

    Returns:
        start_s, end_s, peak (the highest probability) and peak_s (the middle of the window
        that has it) of each, ascending and apart.

    Reference:
        Canny, A Computational Approach to Edge Detection, 1986 (hysteresis)
    """
    lower = threshold if lower is None else min(lower, threshold)
    strong = [one for one in _joined(windows, lower, TOUCH_S) if one["peak"] >= threshold]
    closed: list[dict[str, float]] = []
    for one in strong:
        _join(closed, one, close_gaps_s + TOUCH_S)
    return [one for one in closed if one["end_s"] - one["start_s"] >= min_duration_s - 1e-9]


def _joined(
    windows: Sequence[dict[str, float]], lower: float, gap_s: float
) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for window in windows:
        if window["probability"] >= lower:
            start_s, end_s = window["start_s"], window["end_s"]
            one = {
                "start_s": start_s,
                "end_s": end_s,
                "peak": window["probability"],
                "peak_s": (start_s + end_s) / 2,
            }
            _join(found, one, gap_s)
    return found


def _join(found: list[dict[str, float]], one: dict[str, float], gap_s: float) -> None:
    """Add a segment, or widen the last one where no more than `gap_s` is between them."""
    if found and one["start_s"] <= found[-1]["end_s"] + gap_s:
        last = found[-1]
        last["end_s"] = max(last["end_s"], one["end_s"])
        if one["peak"] > last["peak"]:
            last |= {"peak": one["peak"], "peak_s": one["peak_s"]}
    else:
        found.append(dict(one))
