"""Camera and time of recording of videos: from the table, or by patterns on their paths."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from violence_detection.datasets.table_files.manifest import ManifestEntry, part_suffix
from violence_detection.datasets.video_folder import names_in_paths
from violence_detection.errors import ConfigError

_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # by the number of digits


def from_paths(
    entries: Sequence[ManifestEntry],
    *,
    camera_pattern: str | None = None,
    time_pattern: str | None = None,
) -> list[ManifestEntry]:
    """The same videos, with the camera and the time that patterns find in their paths.

    Args:
        entries: Rows of the manifest.
        camera_pattern: Regular expression whose first group (or match) names the camera.
        time_pattern: Regular expression whose first group (or match) has the digits of year, month
            and day, and may have those of hour, minute and second, with anything in between.

    Raises:
        ConfigError: If a pattern is no regular expression, matches no path, or matches what is no
            date.
    """
    paths = [entry.path.removesuffix(part_suffix(entry.path)) for entry in entries]
    entries = list(entries)
    for pattern, option, column, read in (
        (camera_pattern, "--camera-pattern", "camera", lambda name, _: name),
        (time_pattern, "--time-pattern", "recorded_at", _time_of_digits),
    ):
        if pattern is None:
            continue
        names = names_in_paths(pattern, paths, option)
        entries = [
            dataclasses.replace(entry, **{column: read(name, entry.path) if name else ""})
            for entry, name in zip(entries, names, strict=True)
        ]
    return entries


def check_completeness(
    entries: Sequence[ManifestEntry],
    value_of: Callable[[ManifestEntry], str],
    *,
    column: str,
    pattern: str,
    needed_by: str,
) -> None:
    """Checks that a camera or a time is known of every video.

    Args:
        entries: Rows of the manifest.
        value_of: Its value for a video; empty if unknown.
        column: The column of videos.csv.
        pattern: The option that takes it from the path.
        needed_by: The option that needs it.

    Raises:
        ConfigError: If not.
    """
    lacking = [entry.path for entry in entries if not value_of(entry)]
    if lacking:
        raise ConfigError(
            f"{needed_by} must have the column {column} of every video in videos.csv (and "
            "extract-features again, which then reads the table alone), or "
            f"{pattern}, which finds it in the path. Received: {len(lacking)} of {len(entries)} "
            f"videos without, e.g. {lacking[0]}"
        )


def _time_of_digits(text: str, path: str) -> str:
    digits = re.sub(r"\D", "", text)
    with contextlib.suppress(ValueError, KeyError):
        moment = datetime.strptime(digits, _FORMATS[len(digits)])
        return (moment.date() if len(digits) == 8 else moment).isoformat()
    raise ConfigError(
        "--time-pattern must match year, month and day, and may match hour, minute and second "
        f"(20240531, 2024-05-31_21-40-00). Received: {text!r} in {path}"
    )
