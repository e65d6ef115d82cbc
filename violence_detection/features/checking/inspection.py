"""The inspection of a video file, before extraction.

A short video is decoded to its end, as extraction does. In a long video a few frames are reached
by seeking; it is decoded to its end only if that fails, or if no change is visible.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from violence_detection.datasets.summaries import perceptual_hash
from violence_detection.errors import VideoError
from violence_detection.video.decoding.damage import find_damage, typical_fps
from violence_detection.video.decoding.decoder import Decoder, open_video
from violence_detection.video.frame_sampling import read_frames, sample_indices
from violence_detection.video.stillness import Stillness

_SAMPLES = perceptual_hash.MOMENTS
_SHORT_FRAMES = 900  # longest video of which every frame is decoded
_TAIL = 0.97  # fraction of a long video at which a last frame must be reached
_BLACK_MAX = 12.0  # grey levels
_MIN_FROZEN_S = 0.4  # in less, little changes
_COMPARED_EVERY = 5  # frames of a short video
_MOTION_PLACES = (32, 18)  # width and height


@dataclass(frozen=True)
class VideoInspection:
    """The inspection of a video file.

    Attributes:
        frames: Number of frames; for a long video as the file declares it.
        duration_s: Seconds.
        damage: A description of the damage; empty for a sound file.
        thumbnails: float32 (8, 8, 9), eight frames in grey.
        size: Width and height of a frame in pixels.
        fps: Frames per second, by the times of most frames; 0.0 if unknown.
        is_frozen: There are several frames, and all show the same.
        first_s: The time of the first frame; a video may begin later than its file.
        note: What is to be said of the file, although it is read; mostly empty.
        motion: Mean change of the grey level within five frames, of 32 x 18 places; None for a long
            video, of which few frames are read.
    """

    frames: int
    duration_s: float
    damage: str
    thumbnails: np.ndarray
    size: tuple[int, int]
    fps: float
    is_frozen: bool
    first_s: float = 0.0
    note: str = ""
    motion: float | None = None

    @property
    def end_s(self) -> float:
        """The time at which the last frame ends."""
        return self.first_s + self.duration_s

    @property
    def last_s(self) -> float:
        """The time at which the last frame begins."""
        return self.first_s + self.duration_s * (1 - 1 / self.frames)

    @property
    def is_black(self) -> bool:
        return float(self.thumbnails.max()) < _BLACK_MAX

    @property
    def hash(self) -> np.ndarray:
        """The hash of each frame, uint64 (8,); see `perceptual_hash`."""
        return perceptual_hash.hashes_of(self.thumbnails)


def inspect_video(path: Path) -> VideoInspection:
    """Inspects a video file.

    Raises:
        VideoError: If it cannot be decoded.
    """
    with open_video(path) as video:
        inspection = _skim(video) if video.declared_frames > _SHORT_FRAMES else None
    if inspection is None or inspection.is_frozen:  # eight frames may miss a short event
        with open_video(path) as video:
            inspection = _read_all(video, path)
    return inspection


def _skim(video: Decoder) -> VideoInspection | None:
    """The inspection of a few frames, by seeking; None if a frame cannot be reached, or may be
    corrupt."""
    declared = video.declared_frames
    indices = [*sample_indices(declared, _SAMPLES).tolist(), int(_TAIL * declared)]
    thumbnails, stillness = [], Stillness()
    for index in indices:
        frame = video.frame_near(index)
        if frame is None or video.is_suspect:
            return None
        stillness.add(frame)
        thumbnails.append(perceptual_hash.thumbnail_of(frame))
    duration_s = declared / video.fps if video.fps else 0.0
    return VideoInspection(
        frames=declared,
        duration_s=duration_s,
        damage=video.gaps,
        thumbnails=np.stack(thumbnails[:_SAMPLES]),
        size=(frame.shape[1], frame.shape[0]),
        fps=video.fps,
        is_frozen=stillness.is_still,
        first_s=video.start_s,
        note=video.note,
    )


def _read_all(video: Decoder, path: Path) -> VideoInspection:
    """The inspection of all frames, by decoding to the end."""
    times_s, thumbnails, stillness = [], {}, Stillness()
    places, changes = None, []
    declared = video.declared_frames
    wanted = set(sample_indices(declared, _SAMPLES).tolist()) if declared else set()
    for index, time_s in video:
        times_s.append(time_s)
        if index in wanted or index % _COMPARED_EVERY == 0:
            frame = video.retrieve()
            stillness.add(frame)
            if index % _COMPARED_EVERY == 0:
                before, places = places, motion_places(frame)
                if before is not None:
                    changes.append(float(np.abs(places - before).mean()))
            if index in wanted:
                thumbnails[index] = perceptual_hash.thumbnail_of(frame)
    if not times_s:
        raise VideoError("no frame of it can be decoded")
    # The samples of the frames that exist, which may be fewer than the file declares.
    indices = sample_indices(len(times_s), _SAMPLES).tolist()
    if not set(indices) <= thumbnails.keys():
        thumbnails = read_frames(
            path, indices, lambda frame, _: perceptual_hash.thumbnail_of(frame)
        )
    return VideoInspection(
        frames=len(times_s),
        duration_s=times_s[-1] - times_s[0] + (1 / video.fps if video.fps else 0.0),
        damage=find_damage(video, times_s),
        thumbnails=np.stack([thumbnails[index] for index in indices]),
        size=(frame.shape[1], frame.shape[0]),
        fps=typical_fps(times_s, video.fps),
        is_frozen=stillness.is_still and times_s[-1] - times_s[0] >= _MIN_FROZEN_S,
        first_s=times_s[0],
        note=video.note,
        motion=float(np.mean(changes)) if changes else None,
    )


def motion_places(frame: np.ndarray) -> np.ndarray:
    """The grey levels whose change is the motion of a video, float32 (18, 32).

    Args:
        frame: uint8 (H, W, 3) BGR.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, _MOTION_PLACES, interpolation=cv2.INTER_AREA).astype(np.float32)
