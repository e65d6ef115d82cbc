"""A contact sheet of the worst mistakes: frames of each, and the attention over time."""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from violence_detection.datasets import summary_cache
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import Video
from violence_detection.errors import VideoError
from violence_detection.evaluation import anonymisation, error_analysis
from violence_detection.evaluation.predictions import PredictionRow
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.system import files, processes, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.decoder import FALLBACK_FPS, open_video
from violence_detection.video.frame_sampling import sample_frames, sample_indices

if TYPE_CHECKING:
    import keras

FRAMES = 8  # of a video
WORST = 6  # mistakes of each kind
_LONG_FRAMES = 900  # in a longer video, frames are reached by seeking
_TILE_PX = (192, 144)  # that a frame must fit into
_GAP_PX = 4
_QUALITY = 70  # of JPEG: a strip of eight frames has about 60 kB
_TIMEOUT_S = 600.0


def build_contact_sheet(
    cache: FeatureCache,
    clips: FeatureDataset,
    predictions: Sequence[PredictionRow],
    *,
    normal_class: str,
    classifier: "keras.Model",
    with_frames: bool,
    blur: bool,
) -> dict[str, Any]:
    """The most confident misses and false alarms, each with a strip of frames and the attention.

    Args:
        cache: Features of the videos.
        clips: The N videos.
        predictions: Of the videos, in the same order.
        normal_class: Its name.
        classifier: Of any head; a head without attention gives none.
        with_frames: Whether frames are shown.
        blur: Whether people in the frames are made hard to recognise.

    Returns:
        `misses` and `false_alarms`, lists of {path, label, group, probability, predicted, correct,
        `attention` (T weights that sum to 1, or None), `frames` (a data URI, or None), `why` (the
        reason why there are none)}; and `blurred`.
    """
    rows = {
        kind: error_analysis.worst_mistakes(
            predictions, normal_class, violent=kind == "misses", count=WORST
        )
        for kind in ("misses", "false_alarms")
    }
    chosen = [row for members in rows.values() for row in members]
    attention = _attention(classifier, clips, chosen)
    strips: dict[int, bytes | str] = dict.fromkeys(chosen, "--no-frames was given")
    if with_frames and chosen:
        strips = dict(zip(chosen, _strips(cache, clips, chosen, blur), strict=True))
    sheet = {
        kind: [
            {
                **predictions[row]._asdict(),
                "attention": attention.get(row),
                **_frames_cell(strips[row]),
            }
            for row in members
        ]
        for kind, members in rows.items()
    }
    return sheet | {"blurred": with_frames and blur}


def _frames_cell(strip: bytes | str) -> dict[str, str | None]:
    if isinstance(strip, str):
        return {"frames": None, "why": strip}
    data = base64.b64encode(strip).decode("ascii")
    return {"frames": f"data:image/jpeg;base64,{data}", "why": ""}


def _attention(
    classifier: "keras.Model", clips: FeatureDataset, rows: Sequence[int]
) -> dict[int, list[float]]:
    """Weights over time by row; the mean over several layers or members of an ensemble."""
    from violence_detection.models.attention_maps import attention_weights

    if not rows:
        return {}
    layers = list(attention_weights(classifier, clips.features[np.array(rows)]).values())
    if not layers:
        return {}
    mean = np.mean(layers, axis=0)
    return {
        row: [round(float(weight), 5) for weight in weights]
        for row, weights in zip(rows, mean, strict=True)
    }


def _strips(
    cache: FeatureCache, clips: FeatureDataset, rows: Sequence[int], blur: bool
) -> list[bytes | str]:
    """A JPEG file for each row, or the reason why there is none."""
    entries = [clips.entries[row] for row in rows]
    root = cache.video_dir
    videos, reason = summary_cache.unchanged_videos(entries, root)
    if root.is_dir():
        reason = f"the video is no longer in {root}, or changed"

    def strip_or_reason(entry: ManifestEntry, video: Video | None) -> bytes | str:
        if video is None:
            return reason
        path = root / video.path
        try:
            if files.sha256_of_unchanged(path) != entry.digest:
                return reason
            part = (video.start_s, video.end_s)
            return call(draw_strip, path, *part, blur, timeout_s=_TIMEOUT_S)
        except (VideoError, OSError) as error:
            return f"the video cannot be shown: {error}"

    try:
        with (
            ThreadPoolExecutor(cpu_count() or 1) as pool,
            ProcessPool() as call,
            progress.track("Showing mistakes", len(rows), "videos") as step,
        ):
            strips = []
            for strip in pool.map(strip_or_reason, entries, videos):
                strips.append(strip)
                step()
            return strips
    finally:
        processes.end_idle_processes()


# -- in the child process


def draw_strip(path: Path, start_s: float | None, end_s: float | None, blur: bool) -> bytes:
    """A JPEG file with the frames of a video, or of a part of it, from left to right.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    frames = strip_frames(path, start_s, end_s)
    if blur:
        frames = anonymisation.anonymise(frames)
    tiles = [_fit_tile(frame) for frame in frames]
    gap = np.full((tiles[0].shape[0], _GAP_PX, 3), 127, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    done, content = cv2.imencode(".jpg", np.hstack(parts), quality)
    if not done:
        raise VideoError("its frames cannot be written as JPEG")
    return content.tobytes()


def strip_frames(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> list[np.ndarray]:
    """Frames from the middles of eight equal parts of a video, or of a part of it, uint8 (H, W, 3)
    BGR. Of a long video, they are near these positions, because they are reached by seeking.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    with open_video(path) as video:
        if video.declared_frames > _LONG_FRAMES:
            rate = video.fps or FALLBACK_FPS
            first = round((start_s or 0.0) * rate)
            last = video.declared_frames if end_s is None else round(end_s * rate)
            wanted = first + sample_indices(max(1, last - first), FRAMES)
            frames = [video.frame_near(index) for index in wanted.tolist()]
            if all(frame is not None for frame in frames):
                return _same_size(frames)
    return _same_size(sample_frames(path, FRAMES, start_s=start_s, end_s=end_s))


def _same_size(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames at the size of the first: the size may change within a file."""
    height, width = frames[0].shape[:2]
    return [cv2.resize(frame, (width, height)) for frame in frames]


def _fit_tile(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = min(_TILE_PX[0] / width, _TILE_PX[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(frame, size, interpolation=how)
