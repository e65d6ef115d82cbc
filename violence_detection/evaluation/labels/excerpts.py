"""Excerpts in a dataset: copies of the labelled parts of videos from other folders."""

import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from violence_detection.errors import VideoError
from violence_detection.system import files, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.writing.excerpt import excerpt_start_s, shows_the_same, write_excerpt

log = logging.getLogger(__name__)

JUDGED_DIR = "judged"  # of the dataset, for copies of videos from other folders
# By which a part of an excerpt begins and ends earlier: a frame at its start must not fall out by
# the rounding of times.
_EARLIER_S = 0.0005
_TIMEOUT_S = 600.0


class Excerpt(NamedTuple):
    """An excerpt of a video.

    Attributes:
        source: The video.
        part_s: Start and end of its part, in seconds.
        first_s: The time in the video at which the excerpt begins.
        path: Its path in the dataset.
        span_s: Start and end of the part in the excerpt.
    """

    source: Path
    part_s: tuple[float, float]
    first_s: float
    path: str
    span_s: tuple[float, float]


def plan_excerpt(source: Path, start_s: float, end_s: float) -> Excerpt | None:
    """The excerpt of a part of a video; None where its packets cannot be read."""
    try:
        with ProcessPool() as call:
            first_s = call(excerpt_start_s, source, start_s, timeout_s=_TIMEOUT_S)
    except VideoError as error:
        log.info(f"The whole of {source} is copied: {error}")
        return None
    finally:
        processes.end_idle_processes()
    path = f"{JUDGED_DIR}/{_stem(source)}_{start_s:.10g}-{end_s:.10g}.mp4"
    first, last = (round(time_s - first_s - _EARLIER_S, 4) for time_s in (start_s, end_s))
    return Excerpt(source, (start_s, end_s), first_s, path, (max(first, 0.0), last))


def copy_excerpt(excerpt: Excerpt, root: Path) -> bool:
    """Writes an excerpt into a dataset; False, and nothing is written, where it would show other
    images than the part, or MP4 does not hold its codec.

    Args:
        excerpt: As it was planned.
        root: The folder of the dataset.
    """
    copy = root / excerpt.path
    copy.parent.mkdir(exist_ok=True)
    temporary = copy.with_name(f"{files.temporary_mark()}{copy.name}")
    source, (start_s, end_s) = excerpt.source, excerpt.part_s
    try:
        with ProcessPool() as call:
            call(write_excerpt, source, temporary, excerpt.first_s, end_s, timeout_s=_TIMEOUT_S)
            shown = (source, start_s, end_s, temporary, *excerpt.span_s)
            if call(shows_the_same, *shown, timeout_s=_TIMEOUT_S):
                files.replace(temporary, copy)
                return True
            log.info(f"The whole of {source} is copied: the part alone shows other images")
    except VideoError as error:
        log.info(f"The whole of {source} is copied: {error}")
    finally:
        temporary.unlink(missing_ok=True)
        processes.end_idle_processes()
    return False


def excerpts_of(source: Path, paths: Iterable[str]) -> list[tuple[float, float]]:
    """Start and end, in seconds, of the parts of a video whose excerpts a dataset has.

    Args:
        source: The video.
        paths: Of the dataset's videos.
    """
    stem = re.escape(f"{JUDGED_DIR}/{_stem(source)}")
    expression = re.compile(rf"{stem}_([\d.]+)-([\d.]+)\.mp4")
    matches = filter(None, map(expression.fullmatch, paths))
    return [(float(match[1]), float(match[2])) for match in matches]


def _stem(source: Path) -> str:
    """The beginning of the names of a file's excerpts; its digits tell files of one name apart."""
    digits = hashlib.sha256(f"{source.name}:{source.stat().st_size}".encode()).hexdigest()
    return f"{source.stem}-{digits[:8]}"
