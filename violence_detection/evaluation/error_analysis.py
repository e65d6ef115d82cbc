"""Where a detector's errors gather: in which recordings, at which size of picture, in what light,
in how long videos; and which are the worst."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.summary_cache import AvailableSummaries
from violence_detection.metrics.intervals import wilson_interval

# Upper ends of the bins, which hold what is below or equal.
_HEIGHTS_PX = (240, 360, 480, 720, 1080)  # of the shorter side
_LEVELS = (40, 70, 100, 130, 160)  # mean luma, of 0 to 255
_DURATIONS_S = (1.5, 3.0, 6.0, 12.0, 60.0)


def errors_by_condition(
    entries: Sequence[ManifestEntry],
    violent: np.ndarray,
    alarm: np.ndarray,
    correct: np.ndarray,
    seen: AvailableSummaries | str,
) -> dict[str, Any]:
    """Errors by recording, and by what is known of the videos.

    Args:
        entries: Rows of the N videos.
        violent: bool (N,), the truth.
        alarm: bool (N,), whether violence was said.
        correct: bool (N,), whether the class was right.
        seen: Glances at the videos, or why there are none.

    Returns:
        `errors_by` {what: rows}, of `recording`, `resolution`, `brightness` and `duration`. A row
        has `name`, `videos`, `errors`, `error_rate`, `ci` (Wilson), `misses` (violent videos
        without an alarm) and `false_alarms`. Recordings come by errors, the others by size; bins
        without videos are left out. `errors_left_out`: what is not told, and why, a line each.
    """

    def table(names: Iterable[str | None], order: Sequence[str] = ()) -> list[dict]:
        members = defaultdict(list)
        for row, name in enumerate(names):
            members[name].append(row)
        listed = order or sorted(set(members) - {None})
        rows = [
            _row(name, violent[one], alarm[one], correct[one])
            for name in listed
            if (one := members.get(name))
        ]
        return rows if order else sorted(rows, key=_worst_first)

    durations = [entry.duration_s for entry in entries]
    found = {
        "recording": table(entry.group for entry in entries),
        "duration": table(_binned(durations, _DURATIONS_S, "s"), _names(_DURATIONS_S, "s")),
    }
    if isinstance(seen, str):
        return {"errors_by": found, "errors_left_out": [_left_out_line(seen)]}
    heights, levels = ([math.nan] * len(entries) for _ in range(2))
    for row, size, level in zip(
        seen.rows.tolist(),
        seen.sights.sizes.min(axis=1).tolist(),
        seen.sights.brightness.round(2).tolist(),
        strict=True,
    ):
        heights[row], levels[row] = size, level
    found["resolution"] = table(_binned(heights, _HEIGHTS_PX, "px"), _names(_HEIGHTS_PX, "px"))
    found["brightness"] = table(_binned(levels, _LEVELS), _names(_LEVELS))
    left_out = [_left_out_line(seen.left_out)] if seen.left_out else []
    return {"errors_by": found, "errors_left_out": left_out}


def worst_mistakes(
    predictions: Sequence[Mapping[str, Any]],
    normal_class: str,
    *,
    violent: bool,
    most: int,
) -> list[int]:
    """Rows of the surest mistakes: misses if `violent`, else false alarms.

    Args:
        predictions: path, label, predicted and probability of each video.
        normal_class: Its name.
        violent: Which kind.
        most: How many, at most.
    """
    rows = [
        number
        for number, row in enumerate(predictions)
        if (row["label"] != normal_class) == violent
        and (row["predicted"] != normal_class) != violent
    ]
    direction = 1.0 if violent else -1.0

    def surest(number: int) -> tuple[float, str]:
        row = predictions[number]
        return direction * float(row["probability"]), row["path"]

    return sorted(rows, key=surest)[:most]


def _row(name: str, violent: np.ndarray, alarm: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    videos, errors = len(correct), int((~correct).sum())
    return {
        "name": name,
        "videos": videos,
        "errors": errors,
        "error_rate": errors / videos,
        "ci": wilson_interval(errors, videos),
        "misses": int((violent & ~alarm).sum()),
        "false_alarms": int((~violent & alarm).sum()),
    }


def _worst_first(row: Mapping[str, Any]) -> tuple[int, float, str]:
    return -row["errors"], -row["error_rate"], row["name"]


def _names(ends: Sequence[float], unit: str = "") -> list[str]:
    unit = unit and f" {unit}"
    middle = [f"{low:g} to {high:g}{unit}" for low, high in zip(ends, ends[1:], strict=False)]
    return [f"up to {ends[0]:g}{unit}", *middle, f"over {ends[-1]:g}{unit}"]


def _binned(values: Sequence[float], ends: Sequence[float], unit: str = "") -> list[str | None]:
    """The name of the bin of each value; None for NaN."""
    names = _names(ends, unit)
    places = np.searchsorted(ends, values, side="left").tolist()
    return [
        None if math.isnan(value) else names[place]
        for value, place in zip(values, places, strict=True)
    ]


def _left_out_line(reason: str) -> str:
    return f"Errors by resolution and brightness lack videos: {reason}."
