"""The worst mistakes: frames of each, and the attention over time."""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from violence_detection.datasets import summary_cache
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import VideoError
from violence_detection.evaluation import anonymisation, error_analysis
from violence_detection.evaluation.predictions import PredictionRow
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.reports.mistakes import Mistake, MistakeSheet
from violence_detection.system import files, processes, progress
from violence_detection.system.processes import ProcessPool
from violence_detection.video.decoder import FALLBACK_FPS, open_video
from violence_detection.video.frame_sampling import sample_frames, sample_indices

if TYPE_CHECKING:
    import keras

FRAMES = 6  # of a video
WORST = 6  # mistakes of each kind
_LONG_FRAMES = 900  # in a longer video, frames are reached by seeking
# The width and height that a frame must fit into. At 320 pixels and more a reader can tell a fight
# from a hug.
_TILE_PX = (400, 320)
_QUALITY = 70  # of JPEG: a frame has about 15 kB, a report with twelve mistakes about 1.5 MB
_TIMEOUT_S = 600.0


def build_contact_sheet(
    cache: FeatureCache,
    clips: FeatureDataset,
    predictions: Sequence[PredictionRow],
    *,
    normal_class: str,
    classifier: "keras.Model | None",
    with_frames: bool,
    blur: bool,
) -> MistakeSheet:
    """The most confident misses and false alarms, each with frames and the attention.

    Args:
        cache: Features of the videos.
        clips: The N videos.
        predictions: The predictions for the videos, in the same order.
        normal_class: Its name.
        classifier: A model with any head; a head without attention gives none, as None does.
        with_frames: Whether frames are shown.
        blur: Whether people in the frames are made hard to recognise.
    """
    missed, flagged = (
        error_analysis.worst_mistakes(predictions, normal_class, violent=violent, count=WORST)
        for violent in (True, False)
    )
    chosen = [*missed, *flagged]
    attention = _attention(classifier, clips, chosen) if classifier else {}
    images: dict[int, list[bytes] | str] = dict.fromkeys(chosen, "--no-frames was given")
    if with_frames and chosen:
        images = dict(zip(chosen, _images_of(cache, clips, chosen, blur), strict=True))

    def mistake(row: int) -> Mistake:
        shown, prediction = images[row], predictions[row]
        return Mistake(
            path=prediction.path,
            label=prediction.label,
            group=prediction.group,
            probability=prediction.probability,
            predicted=prediction.predicted,
            attention=attention.get(row),
            frames=() if isinstance(shown, str) else tuple(map(_data_uri, shown)),
            missing_reason=shown if isinstance(shown, str) else "",
        )

    return MistakeSheet(
        [mistake(row) for row in missed],
        [mistake(row) for row in flagged],
        blurred=with_frames and blur,
    )


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


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


def _images_of(
    cache: FeatureCache, clips: FeatureDataset, rows: Sequence[int], blur: bool
) -> list[list[bytes] | str]:
    """JPEG images of the frames of each row, or the reason why there are none."""
    entries = [clips.entries[row] for row in rows]
    root = cache.video_dir
    videos, reason = summary_cache.unchanged_videos(entries, root)
    if root.is_dir():
        reason = f"the video is no longer in {root.name}, or changed"

    def images_or_reason(entry: ManifestEntry, video: Video | None) -> list[bytes] | str:
        if video is None:
            return reason
        path = root / video.path
        try:
            if files.sha256_of_unchanged(path) != entry.digest:
                return reason
            part = (video.start_s, video.end_s)
            return call(encode_frames, path, *part, blur, timeout_s=_TIMEOUT_S)
        except (VideoError, OSError) as error:
            return f"the video cannot be shown: {error}"

    try:
        with (
            ThreadPoolExecutor(cpu_count() or 1) as pool,
            ProcessPool() as call,
            progress.track("Showing mistakes", len(rows), "videos") as step,
        ):
            images = []
            for shown in pool.map(images_or_reason, entries, videos):
                images.append(shown)
                step()
            return images
    finally:
        processes.end_idle_processes()


# -- in the child process


def encode_frames(
    path: Path, start_s: float | None, end_s: float | None, blur: bool
) -> list[bytes]:
    """JPEG images of frames of a video, or of a part of it, from start to end.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    frames = shown_frames(path, start_s, end_s)
    if blur:
        frames = anonymisation.anonymise(frames)
    quality, images = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY], []
    for frame in frames:
        done, content = cv2.imencode(".jpg", _fit_tile(frame), quality)
        if not done:
            raise VideoError("its frames cannot be written as JPEG")
        images.append(content.tobytes())
    return images


def shown_frames(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> list[np.ndarray]:
    """Frames from the middles of six equal parts of a video, or of a part of it, uint8 (H, W, 3)
    BGR. Of a long video, they are near these positions, because they are reached by seeking.

    Raises:
        VideoError: If the frames cannot be decoded.
    """
    with open_video(path) as video:
        if video.declared_frames > _LONG_FRAMES:
            rate = video.fps or FALLBACK_FPS
            first = 0 if start_s is None else round((start_s - video.start_s) * rate)
            last = video.declared_frames
            if end_s is not None:
                last = round((end_s - video.start_s) * rate)
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
