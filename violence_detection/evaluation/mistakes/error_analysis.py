"""Error rates by condition of the videos, and the worst mistakes.

Conditions are recording, kind, camera, hour of day, duration, resolution, brightness and motion.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from violence_detection.datasets.summaries.summary_cache import AvailableSummaries
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.evaluation.predictions import PredictionRow
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.reports.evaluation.evaluation_result import ErrorRow

# Upper ends of the bins, each of which includes its upper end.
_HEIGHTS_PX = (240, 360, 480, 720, 1080)  # of the shorter side
_LEVELS = (40, 70, 100, 130, 160)  # mean luma, of 0 to 255
_DURATIONS_S = (1.5, 3.0, 6.0, 12.0, 60.0)
_HOURS = 3  # of a period of the day
_THIRDS = ("least motion", "medium motion", "most motion")


@dataclass(frozen=True)
class ConditionErrors:
    """Errors by condition.

    Attributes:
        errors_by: By condition, its rows. Recordings and cameras are sorted by errors, the others
            by size; empty bins are left out, and so are conditions that the dataset does not give
            (kind, camera, hour).
        errors_left_out: A line for what the tables lack, with the reason.
    """

    errors_by: Mapping[str, Sequence[ErrorRow]]
    errors_left_out: Sequence[str]


def errors_by_condition(
    entries: Sequence[ManifestEntry],
    violent: np.ndarray,
    alarm: np.ndarray,
    correct: np.ndarray,
    summaries: AvailableSummaries | str,
) -> ConditionErrors:
    """Errors by recording, kind, camera, hour of day, duration, resolution, brightness and motion.

    Args:
        entries: Rows of the N videos.
        violent: bool (N,), the actual class.
        alarm: bool (N,), the prediction.
        correct: bool (N,), whether the predicted class is right.
        summaries: Summaries of the videos, or the reason why there are none.
    """

    def table(names: Iterable[str | None], order: Sequence[str] = ()) -> list[ErrorRow]:
        members = defaultdict(list)
        for row, name in enumerate(names):
            members[name].append(row)
        listed = order or sorted(set(members) - {None})
        rows = [
            _row(name, violent[members[name]], alarm[members[name]], correct[members[name]])
            for name in listed
            if name in members
        ]
        return rows if order else sorted(rows, key=_most_errors_first)

    durations = [entry.duration_s for entry in entries]
    tables = {
        "recording": table(entry.group for entry in entries),
        "duration": table(_bin_names_of(durations, _DURATIONS_S, "s"), _bins(_DURATIONS_S, "s")),
    }
    kinds = [kind_of(entry) for entry in entries]
    if len(set(kinds) - {""}) > 1:
        tables["kind"] = table(kind or None for kind in kinds)
    if any(entry.camera for entry in entries):
        tables["camera"] = table(entry.camera or None for entry in entries)
    periods = [_period_of(entry.recorded_at) for entry in entries]
    if any(periods):
        tables["hour"] = table(periods, sorted(set(periods) - {None}))
    if isinstance(summaries, str):
        return ConditionErrors(tables, [_left_out_line(summaries)])
    heights, levels, motion = np.full((3, len(entries)), math.nan)
    heights[summaries.rows] = summaries.summaries.sizes.min(axis=1)
    levels[summaries.rows] = summaries.summaries.brightness.round(2)
    motion[summaries.rows] = summaries.summaries.energies.mean(axis=1)
    tables["resolution"] = table(
        _bin_names_of(heights, _HEIGHTS_PX, "px"), _bins(_HEIGHTS_PX, "px")
    )
    tables["brightness"] = table(_bin_names_of(levels, _LEVELS), _bins(_LEVELS))
    tables["motion"] = table(_thirds_of(motion), _THIRDS)
    reason = summaries.missing_reason
    return ConditionErrors(tables, [_left_out_line(reason)] if reason else [])


def kind_of(entry: ManifestEntry) -> str:
    """The kind of a video: as the dataset's table says, else the folder inside its class folder.

    It is empty for `violent/a.mp4`, and `street` for `violent/street/a.mp4`.
    """
    folders = PurePosixPath(entry.path).parts[:-1]
    inside = folders[folders.index(entry.label) + 1 :] if entry.label in folders else ()
    return entry.kind or "/".join(inside)


def worst_mistakes(
    predictions: Sequence[PredictionRow],
    normal_class: str,
    *,
    violent: bool,
    count: int,
) -> list[int]:
    """Indices of the most confident mistakes: misses if `violent`, else false alarms.

    Args:
        predictions: The predictions for the videos.
        normal_class: Its name.
        violent: The kind of mistake.
        count: How many, at most.
    """
    mistakes = [
        index
        for index, row in enumerate(predictions)
        if (row.label != normal_class) == violent and (row.predicted != normal_class) != violent
    ]
    direction = 1.0 if violent else -1.0

    def confidence(index: int) -> tuple[float, str]:
        return direction * predictions[index].probability, predictions[index].path

    return sorted(mistakes, key=confidence)[:count]


def _row(name: str, violent: np.ndarray, alarm: np.ndarray, correct: np.ndarray) -> ErrorRow:
    videos, errors = len(correct), int((~correct).sum())
    return ErrorRow(
        name,
        videos,
        errors,
        error_rate=errors / videos,
        ci=wilson_interval(errors, videos),
        misses=int((violent & ~alarm).sum()),
        false_alarms=int((~violent & alarm).sum()),
    )


def _most_errors_first(row: ErrorRow) -> tuple[int, float, str]:
    return -row.errors, -row.error_rate, row.name


def _bins(ends: Sequence[float], unit: str = "") -> list[str]:
    """The names of the bins: `up to 240 px`, `240 to 360 px`, …, `over 1080 px`."""
    unit = unit and f" {unit}"
    middle = [f"{low:g} to {high:g}{unit}" for low, high in zip(ends, ends[1:], strict=False)]
    return [f"up to {ends[0]:g}{unit}", *middle, f"over {ends[-1]:g}{unit}"]


def _bin_names_of(
    values: Sequence[float], ends: Sequence[float], unit: str = ""
) -> list[str | None]:
    """The name of the bin of each value; None for NaN."""
    names = _bins(ends, unit)
    places = np.searchsorted(ends, values, side="left").tolist()
    return [
        None if math.isnan(value) else names[place]
        for value, place in zip(values, places, strict=True)
    ]


def _period_of(recorded_at: str) -> str | None:
    """The hours of the day in which a video was recorded, `21:00 to 24:00`; None if unknown."""
    hour = iso_times.hour_of_day(iso_times.iso_time(recorded_at))
    if hour is None:
        return None
    start = hour // _HOURS * _HOURS
    return f"{start:02d}:00 to {start + _HOURS:02d}:00"


def _thirds_of(values: np.ndarray) -> list[str | None]:
    """The third of the known values that each belongs to; None for NaN."""
    known = values[~np.isnan(values)]
    if not known.size:
        return [None] * len(values)
    places = np.searchsorted(np.quantile(known, [1 / 3, 2 / 3]), values, side="left").tolist()
    return [
        None if math.isnan(value) else _THIRDS[place]
        for value, place in zip(values.tolist(), places, strict=True)
    ]


def _left_out_line(reason: str) -> str:
    return f"Errors by resolution, brightness and motion lack some videos: {reason}."
