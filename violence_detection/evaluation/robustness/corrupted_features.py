"""Features of altered copies of videos whose features are there, by the same way from file to
feature."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from os import cpu_count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError, VideoError
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.corrupted_video import CLEAN, Excerpt
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.video_worker import NO_SUCH_FILE, failure_reason
from violence_detection.system import files, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import Clip


class Task(NamedTuple):
    """A video under a condition.

    Attributes:
        key: The video's, in the cache.
        condition: With every severity in it.
    """

    key: str
    source: Excerpt
    condition: str


class Outcome(NamedTuple):
    """What became of a task: features, float16 (T, D), or why there are none."""

    task: Task
    features: np.ndarray | None
    reason: str = ""


def excerpts_of(
    cache: FeatureCache, entries: Sequence[ManifestEntry], video_dir: str | None = None
) -> tuple[dict[str, Excerpt], list[dict[str, str]]]:
    """Where videos are of which there are features; and which are gone or have changed, and so
    are no longer those.

    Args:
        cache: Which names the videos' folder.
        entries: Rows of its manifest.
        video_dir: Where that folder is now.

    Raises:
        CacheError: If it is not there.
        DatasetError: If it holds no dataset.
    """
    root = Path(video_dir or cache.settings()["dataset"]["dir"])
    if not root.is_dir():
        raise CacheError(
            "The folder of the videos must be there; --video-dir says where it is now. Received: "
            f"{root} (not there)"
        )
    listed = {video.key: video for video in video_folder.read_folder(root).videos}
    found, failures = {}, []
    for entry in entries:
        video = listed.get(entry.path)
        reason = NO_SUCH_FILE
        if video is not None:
            reason = _changed(root / video.path, entry)
        if reason:
            failures.append({"path": entry.path, "condition": CLEAN, "reason": reason})
        else:
            found[entry.path] = Excerpt(root / video.path, video.start_s, video.end_s)
    return found, failures


def _changed(path: Path, entry: ManifestEntry) -> str:
    """Why a file is not the one that features were made of; nothing where it is."""
    try:
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (entry.size, entry.mtime):
            return ""
        same = stat.st_size == entry.size and files.sha256_of_unchanged(path) == entry.digest
    except OSError as error:
        return failure_reason(error)
    return "" if same else "it has changed since its features were made"


def features_under(
    extractor: FeatureExtractor,
    tasks: Sequence[Task],
    folder: Path,
    *,
    seed: int,
    workers: int | None,
    timeout_s: float,
) -> Iterator[Outcome]:
    """Features of altered videos, as they are done.

    Args:
        tasks: What to alter, and how.
        folder: Where copies are written, as many at a time as there are workers; each is removed
            once it is read.
        seed: Of what is drawn; each video has its own numbers.
        workers: Videos altered at the same time; None for as many as there are cores.
        timeout_s: For each.

    Raises:
        ViolenceDetectionError: If copies cannot be written.
    """
    failed: list[Outcome] = []

    def read(task: Task, call: ProcessPool) -> tuple[Task, Clip | str]:
        copy = folder / f"altered{files.temporary_mark()}.avi"
        own = zlib.crc32(task.key.encode(), seed)
        arguments = (extractor.reader, task.source, task.condition, copy, own)
        try:
            return task, call(corrupted_video.read_corrupted, *arguments, timeout_s=timeout_s)
        except VideoError as error:
            return task, str(error)
        finally:
            copy.unlink(missing_ok=True)  # of a child that was ended

    def clips() -> Iterator[tuple[Task, np.ndarray]]:
        for task, clip in read_ones:
            if isinstance(clip, str):
                failed.append(Outcome(task, None, clip))
            else:
                yield task, clip.pictures

    size = extractor.images_per_clip * 3 * extractor.space.frame_size**2
    read_ones = processes.map_unordered(
        read,
        tasks,
        children=workers or cpu_count() or 1,
        memory_bytes=processes.MEMORY_LIMIT_BYTES + 3 * size,
    )
    with contextlib.closing(read_ones):
        for task, features in extractor.encode_clips(clips()):
            if np.isfinite(features).all():
                yield Outcome(task, features)
            else:
                yield Outcome(task, None, "its features are not finite in float16")
            yield from _drain(failed)
        yield from _drain(failed)


def _drain(outcomes: list[Outcome]) -> Iterator[Outcome]:
    while outcomes:
        yield outcomes.pop()
