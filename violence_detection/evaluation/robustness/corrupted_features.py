"""Features of corrupted copies of videos, extracted exactly as those of the originals were."""

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from os import cpu_count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from violence_detection.datasets import video_folder
from violence_detection.datasets.annotations import clip_cutting
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, VideoError
from violence_detection.evaluation.robustness import corrupted_video
from violence_detection.evaluation.robustness.corrupted_video import CLEAN
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.video_worker import NO_SUCH_FILE, failure_reason
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.reports.robustness_result import ConditionFailure
from violence_detection.system import files, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import video_file
from violence_detection.video.clip_reader import Clip
from violence_detection.video.frame_series import rate_in
from violence_detection.video.video_file import VideoPart


class CorruptionTask(NamedTuple):
    """A video to read under a condition.

    Attributes:
        key: Name of the video in the manifest.
        source: Its file.
        condition: With every severity written out.
    """

    key: str
    source: VideoPart
    condition: str


class CorruptionResult(NamedTuple):
    """The result of a task: features, float16 (T, D), or the reason why there are none."""

    task: CorruptionTask
    features: np.ndarray | None
    reason: str = ""


def unchanged_excerpts(
    cache: FeatureCache, entries: Sequence[ManifestEntry], video_dir: str | None = None
) -> tuple[dict[str, VideoPart], list[ConditionFailure]]:
    """The videos that have not changed since their features were extracted.

    Args:
        cache: The features; they name the folder of the videos.
        entries: Rows of the manifest.
        video_dir: The folder, if it was moved.

    Returns:
        The unchanged videos by key; and the others, with the reasons.

    Raises:
        CacheError: If the folder does not exist.
        DatasetError: If it holds no dataset.
    """
    root = Path(video_dir or cache.video_dir)
    if not root.is_dir():
        raise CacheError(
            "The folder of the videos must exist; --dataset-path names its new place. Received: "
            f"{root} (no such folder)"
        )
    dataset = video_folder.read_folder(root, frames_fps=rate_in(entry.path for entry in entries))
    by_key = {video.key: video for video in dataset.videos}
    excerpts, failures = {}, []
    for entry in entries:
        video = clip_cutting.video_of_key(entry.path, by_key)
        reason = NO_SUCH_FILE if video is None else _change_reason(root / video.path, entry)
        if reason:
            failures.append(ConditionFailure(entry.path, CLEAN, reason))
        else:
            excerpts[entry.path] = VideoPart(root / video.path, video.start_s, video.end_s)
    return excerpts, failures


def _change_reason(path: Path, entry: ManifestEntry) -> str:
    """The reason why a file differs from the one of the features; empty if it is the same."""
    try:
        state = video_file.state_of(path)
        if (state.size, state.mtime_ns) == (entry.size, entry.mtime):
            return ""
        same = state.size == entry.size and video_file.digest_of(path) == entry.digest
    except (OSError, VideoError) as error:
        return failure_reason(error)
    return "" if same else "it has changed since its features were extracted"


def extract_corrupted_features(
    extractor: FeatureExtractor,
    tasks: Sequence[CorruptionTask],
    folder: Path,
    *,
    seed: int,
    workers: int | None,
    timeout_s: float,
) -> Iterator[CorruptionResult]:
    """Features of corrupted videos, in the order in which they are ready.

    Args:
        extractor: The run's extractor.
        tasks: Videos and conditions.
        folder: For the copies, as many at a time as there are workers; each copy is removed once
            it is read.
        seed: Seed of random corruptions; each video has its own random numbers.
        workers: Videos corrupted at the same time; None for the number of cores.
        timeout_s: For each video.

    Raises:
        ViolenceDetectionError: If a copy cannot be written.
    """
    failed: list[CorruptionResult] = []

    def read(task: CorruptionTask, call: ProcessPool) -> tuple[CorruptionTask, Clip | str]:
        copy = folder / f"altered{files.temporary_mark()}.avi"
        video_seed = zlib.crc32(task.key.encode(), seed)
        arguments = (extractor.reader, task.source, task.condition, copy, video_seed)
        try:
            clips = call(
                corrupted_video.read_corrupted,
                *arguments,
                timeout_s=timeout_s,
                timeout_option="--video-timeout-s",
            )
            return task, clips
        except VideoError as error:
            return task, str(error)
        finally:
            copy.unlink(missing_ok=True)  # left by a child process that was killed

    def clips() -> Iterator[tuple[CorruptionTask, np.ndarray]]:
        for task, clip in results:
            if isinstance(clip, str):
                failed.append(CorruptionResult(task, None, clip))
            else:
                yield task, clip.images

    size = extractor.images_per_clip * 3 * extractor.space.frame_size**2
    results = processes.map_unordered(
        read,
        tasks,
        children=workers or cpu_count() or 1,
        memory_bytes=processes.MEMORY_LIMIT_BYTES + 3 * size,
    )
    with contextlib.closing(results):
        for task, features in extractor.encode_clips(clips()):
            if np.isfinite(features).all():
                yield CorruptionResult(task, features)
            else:
                yield CorruptionResult(task, None, "its features are not finite in float16")
            yield from _drain(failed)
        yield from _drain(failed)


def _drain(outcomes: list[CorruptionResult]) -> Iterator[CorruptionResult]:
    while outcomes:
        yield outcomes.pop()
