"""The protocol of a cross-validation: its note for every output, its checks and its warnings."""

from collections.abc import Iterator, Sequence

import numpy as np

from violence_detection.datasets import camera_and_time
from violence_detection.datasets.config import BY_CAMERA, BY_RECORDING, BY_TIME, ONE_RECORDING
from violence_detection.datasets.splitting import hold_out
from violence_detection.datasets.table_files import iso_times
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import ConfigError
from violence_detection.evaluation.leakage import Leaks
from violence_detection.experiments.cross_validation.drawn_folds import Fold
from violence_detection.reports.cross_validation.cross_validation_scores import ScoreDifference
from violence_detection.units import counted


def check_hold_out(by: str, entries: Sequence[ManifestEntry]) -> None:
    """Checks that the time, the camera or the recording that is held out is known.

    Args:
        by: What is held out, as `datasets.config` lists it.
        entries: All videos.

    Raises:
        ConfigError: If not.
    """
    if by == BY_TIME:
        camera_and_time.check_completeness(
            entries,
            lambda entry: iso_times.iso_time(entry.recorded_at),
            column="recorded_at",
            pattern="--time-pattern",
            needed_by="--by time",
        )
    if by == BY_CAMERA:
        camera_and_time.check_completeness(
            entries,
            lambda entry: entry.camera,
            column="camera",
            pattern="--camera-pattern",
            needed_by="--by camera",
        )
    if by == ONE_RECORDING and all(entry.group == entry.path for entry in entries):
        raise ConfigError(
            "--leave-one-recording-out must have the recordings of videos: the column group of "
            f"videos.csv, or --group-pattern. Received: none of {len(entries)} videos"
        )


def protocol_note(
    folds: Sequence[Fold],
    *,
    by: str,
    grouped: bool,
    recordings_known: bool,
    group_near_duplicates: bool,
) -> str:
    """The protocol in words.

    Args:
        folds: All folds.
        by: What is held out, as `datasets.config` lists it.
        grouped: True for folds of whole recordings, False for random folds.
        recordings_known: Whether the recording of every video is known.
        group_near_duplicates: Whether near-duplicates count as one recording.
    """
    unknown = "" if recordings_known else "the recordings are not known"
    if by != BY_RECORDING:
        return _hold_out_note(by, folds) + (unknown and f"; {unknown}")
    if not grouped:
        return (
            "random folds: clips of one recording are on both sides, and the numbers may be "
            "too good" + (unknown and f"; {unknown}")
        )
    if unknown and group_near_duplicates:
        return (
            "folds grouped by similarity: near-duplicates are on one side; the recordings are "
            "not known, and clips of one recording that are not near-duplicates may be on both "
            "sides"
        )
    if unknown:
        return f"{unknown}: clips of one recording may be on both sides, and the numbers too good"
    return "grouped folds: all clips of a recording are on one side"


def protocol_warnings(
    note: str,
    leaks: Leaks,
    over_grouped: ScoreDifference | None,
    *,
    grouped: bool,
    recordings_known: bool,
) -> Iterator[str]:
    """Reasons why the numbers are, or may be, too good.

    Args:
        note: See `protocol_note`.
        leaks: Leaks between the folds.
        over_grouped: Scores on random folds minus those on grouped folds, where both were drawn.
        grouped, recordings_known: See `protocol_note`.
    """
    for paths, problem in (
        (leaks.identical, "identical to a video of another fold"),
        (leaks.near_duplicates, "similar to a video of another recording in another fold"),
    ):
        if grouped and paths:
            verb = "is" if len(paths) == 1 else "are"
            yield f"{counted(len(paths), 'video')} {verb} {problem}: the numbers are too good."
    if over_grouped is None:
        if not grouped or not recordings_known:
            yield f"{note[0].upper()}{note[1:]}."
    elif over_grouped.accuracy.sign > 0:
        low, high = over_grouped.accuracy.ci
        yield (
            f"The accuracy on random folds is too good: {100 * over_grouped.accuracy.value:.1f} "
            f"points (95%: {100 * low:.1f} to {100 * high:.1f}) above that on grouped folds."
        )


def _hold_out_note(by: str, folds: Sequence[Fold]) -> str:
    """The videos that are held out, other than recordings at random, and those left out."""
    if by == ONE_RECORDING:
        return (
            "leave one recording out: each is predicted by a model trained on all others; a "
            "recording may have one class, and then no AUC: see those of all folds together"
        )
    return _camera_note(folds) if by == BY_CAMERA else _time_note(folds)


def _camera_note(folds: Sequence[Fold]) -> str:
    entries = folds[0].entries
    cameras = np.array([entry.camera for entry in entries])
    joined = hold_out.joined_cameras(np.array([entry.group for entry in entries]), cameras)
    units = len(set(joined))
    alone = " (each camera is a fold)" if units == max(fold.number for fold in folds) else ""
    note = f"folds by camera: all clips of a camera are on one side{alone}"
    if units < len(set(cameras)):
        note += "; cameras that share a recording are held out together"
    return note


def _time_note(folds: Sequence[Fold]) -> str:
    folds = [fold for fold in folds if fold.repeat == 1]
    tested = {row for fold in folds for row in fold.rows("test").tolist()}
    first = [entry for row, entry in enumerate(folds[0].entries) if row not in tested]
    until = max((entry.recorded_at for entry in first), key=iso_times.instant)
    note = (
        "folds by time: each is predicted by a model trained on earlier recordings only; the "
        f"first {counted(len(first), 'video')}, until {until}, are for training only"
    )
    if any(fold.rows("validation").size for fold in folds):
        note += "; of the earlier recordings the latest are for validation"
    if left_out := sum(_earlier_and_unused(fold) for fold in folds):
        note += (
            "; left out of training, because their recordings go on into the fold: "
            f"{counted(left_out, 'video')}, all folds together"
        )
    return note


def _earlier_and_unused(fold: Fold) -> int:
    """Number of videos that are earlier than the fold, and not trained on."""
    start = min(iso_times.instant(fold.entries[row].recorded_at) for row in fold.rows("test"))
    return sum(
        not entry.split and iso_times.instant(entry.recorded_at) < start for entry in fold.entries
    )
