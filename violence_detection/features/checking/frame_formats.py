"""The size and rate of the frames of a dataset's videos."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import VideoError
from violence_detection.system.processes import ProcessPool

_MEASURED_VIDEOS = 64  # whose first frame is decoded
_TIMEOUT_S = 600.0

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class FrameFormat:
    """The most common size and rate of some videos' frames.

    Attributes:
        height, width: The most common size in pixels.
        fps: The most common rate in frames per second.
        longest_side: The longest side of the largest frames, in pixels.
        measured: Number of videos that were measured.
        videos: Number of videos that they were taken from, evenly spaced.
    """

    height: int
    width: int
    fps: float
    longest_side: int
    measured: int
    videos: int

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Reads the object of a run's `training_config.json`.

        Raises:
            KeyError, TypeError, ValueError: If it is not one.
        """
        whole = {
            name: int(record[name])
            for name in ("height", "width", "longest_side", "measured", "videos")
        }
        if min(whole.values()) < 1 or not float(record["fps"]) > 0:
            raise ValueError(f"sizes and rates must be positive. Received: {dict(record)}")
        return cls(fps=float(record["fps"]), **whole)


def measure_format(entries: Sequence[ManifestEntry], folder: Path) -> FrameFormat | None:
    """Measures up to 64 videos, evenly spaced over those that exist, by their first frame.

    Args:
        entries: Rows of a manifest.
        folder: The folder of the videos.

    Returns:
        Size and rate; None if no video exists or can be read.
    """
    # Only here: the supervisor of `watch` reads the records of runs, and needs no OpenCV.
    from violence_detection.datasets.summaries import summary_cache
    from violence_detection.video.decoding.decoder import FALLBACK_FPS

    unchanged, _ = summary_cache.unchanged_videos(entries, folder)
    existing = [
        (folder / video.path, entry.fps)
        for entry, video in zip(entries, unchanged, strict=True)
        if video
    ]
    sizes, rates = [], []
    with ProcessPool() as call:
        for path, fps in existing[:: -(-len(existing) // _MEASURED_VIDEOS) or 1]:
            try:
                sizes.append(call(read_frame_size, path, timeout_s=_TIMEOUT_S))
            except VideoError:
                continue
            rates.append(fps)
    if not sizes:
        return None
    height, width = _most_common(sizes)
    known = [fps for fps in rates if fps > 0]
    return FrameFormat(
        height=height,
        width=width,
        fps=_most_common(known) if known else FALLBACK_FPS,
        longest_side=max(max(size) for size in sizes),
        measured=len(sizes),
        videos=len(existing),
    )


def read_frame_size(path: Path) -> tuple[int, int]:
    """Reads height and width of a video's frames.

    Raises:
        VideoError: If it cannot be decoded.
    """
    from violence_detection.video.decoding.decoder import open_video

    with open_video(path) as video:
        if next(iter(video), None) is None:
            raise VideoError("no frame of it can be decoded")
        height, width, _ = video.retrieve().shape
    return height, width


def _most_common(values: Sequence[_Value]) -> _Value:
    return Counter(values).most_common(1)[0][0]
