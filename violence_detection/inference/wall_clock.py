"""Date and time at which a video starts: as given, by its name, or by its container."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from violence_detection.errors import VideoError

# A date and a time of day, as recorders put them into names: 20240531_221500, 2024-05-31T22-15-00.
_DATE_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)[-_ .T]*"
    r"(\d\d)([-_.:h]?)(\d\d)[-_.:m]?(\d\d)(?!\d)"
)
# Apple's tag has the local time; the second one is in UTC; AVI files have the third.
_CONTAINER_TAGS = ("com.apple.quicktime.creationdate", "creation_time", "date")


def start_from_name(name: str) -> datetime | None:
    """The first date and time in a file's name, in the camera's own time; None without one."""
    for year, _, month, day, hour, _, minute, second in _DATE_IN_NAME.findall(name):
        with contextlib.suppress(ValueError):  # digits that are no date
            return datetime(*map(int, (year, month, day, hour, minute, second)))
    return None


def start_from_container(path: Path) -> datetime | None:
    """The creation time in a video file's header, as the recorder wrote it; UTC is converted to
    the local time of this machine.

    Returns:
        None if the header has none, or the file cannot be opened.
    """
    # Only here: `watch` writes times in a process without OpenCV and PyAV.
    import av

    from violence_detection.video.decoding.decoder import open_video

    with contextlib.suppress(VideoError, av.FFmpegError, OSError):
        with open_video(path):  # which refuses what is no video, such as a list of other files
            pass
        with av.open(str(path), metadata_errors="ignore") as container:
            tags = dict(container.metadata)
            for stream in container.streams.video[:1]:
                tags = dict(stream.metadata) | tags
        return start_from_tags(tags)
    return None


def start_from_tags(tags: Mapping[str, str]) -> datetime | None:
    """The creation time in the tags of a container; see `start_from_container`.

    The year 1970 or an earlier one stands for a clock that was not set.
    """
    for name in _CONTAINER_TAGS:
        with contextlib.suppress(ValueError):
            time = datetime.fromisoformat(tags.get(name, "").strip())
            if time.year <= 1970 or len(tags[name].strip()) <= 10:
                continue
            if name == "creation_time":
                time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone()
            return time.replace(microsecond=0)
    return None


def iso_time(start: datetime, time_s: float) -> str:
    """A time of a video as text in ISO 8601, to the millisecond: `2024-05-31T22:15:01.500`.

    Args:
        start: Date and time at which the video starts.
        time_s: Seconds from its start.
    """
    return (start + timedelta(seconds=round(time_s, 3))).isoformat(timespec="milliseconds")
