"""Windows of validation videos that an exported file is checked on.

A window is read as a user of the file reads it: its frames at equal steps of time, at the size and
the rate that the file takes. The same window is also made into images for the run's own model, at
the video's own size and rate, and with one of the two changed at a time.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from violence_detection.errors import VideoError
from violence_detection.export.graphs.end_to_end_graph import FrameInput, frame_count
from violence_detection.video.decoding.decoder import FALLBACK_FPS, measured_fps, open_video
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.video_file import VideoPart

MAX_WINDOWS = 8  # of a video


class StreamSpec(NamedTuple):
    """The images that a run's model sees: a spec of streams, T images, S pixels a side."""

    stream: str
    frames: int
    frame_size: int


@dataclass(frozen=True)
class CheckWindowImages:
    """The images of one window, uint8 (T, K, S, S, 3) each, made by OpenCV as extraction does.

    Attributes:
        own: At the video's own size and rate.
        resized: At the file's size and the video's rate; None if the sizes are equal.
        resampled: At the video's size and the file's rate; None if the frames are the same.
        given: The frames that the file is given; None if they are those of `own`.
    """

    own: np.ndarray
    resized: np.ndarray | None = None
    resampled: np.ndarray | None = None
    given: np.ndarray | None = None


@dataclass(frozen=True)
class CheckWindow:
    """One window of a video.

    Attributes:
        images: For the run's own model.
        frames: A `.npy` file with the frames that the exported file is given, uint8
            (1, F, H, W, 3) RGB.
        fps: Their rate, frames per second.
    """

    images: CheckWindowImages
    frames: Path
    fps: float

    def inputs(self, frame_input: FrameInput) -> dict[str, np.ndarray]:
        """The inputs of the exported file by name."""
        frames = np.load(self.frames, "r", allow_pickle=False)
        return frame_input.inputs(frames, fps=self.fps)


@dataclass(frozen=True)
class CheckVideo:
    """The windows of one video.

    Attributes:
        windows: At most 8, evenly spaced over the video.
        left_out: Number of its other windows.
    """

    windows: list[CheckWindow]
    left_out: int


def window_starts(duration_s: float, window_s: float, *, frame_s: float) -> list[float]:
    """Starts of the windows of a video, half a window apart; the last one ends with the video.

    Args:
        duration_s: Length of the video.
        window_s: Length of a window.
        frame_s: Time of a frame; half of it may be missing at the end of a window.
    """
    stride_s = window_s / 2
    count = max(0, math.floor((duration_s + frame_s / 2 - window_s) / stride_s) + 1)
    starts = [number * stride_s for number in range(count)]
    if not starts or starts[-1] + window_s < duration_s - frame_s / 2:
        starts.append(max(0.0, duration_s - window_s))
    return starts


def moments(start_s: float, length_s: float, count: int) -> np.ndarray:
    """The middles of `count` equal parts of a window, in seconds, (count,)."""
    return start_s + (np.arange(count) + 0.5) * (length_s / count)


def read_windows(
    part: VideoPart,
    *,
    window_s: float,
    frame_input: FrameInput,
    spec: StreamSpec,
    folder: Path,
    name: str,
) -> CheckVideo:
    """Reads the windows of a video, decoding it twice: for the times of its frames, and for them.

    Args:
        part: The video, or the part of it.
        window_s: Length of a window.
        frame_input: The frames that the exported file takes.
        spec: The images that the run's model sees.
        folder: For the `.npy` files of the frames.
        name: That their names start with.

    Raises:
        VideoError: If it cannot be decoded.
    """
    times_s, fps = _frame_times(part)
    first_s, frame_s = times_s[0][1], 1 / fps
    seconds = np.array([time_s for _, time_s in times_s]) - first_s
    duration_s = float(seconds[-1]) + frame_s
    starts = window_starts(duration_s, window_s, frame_s=frame_s)
    chosen = [starts[number] for number in _spread(len(starts), MAX_WINDOWS)]
    length_s = min(window_s, duration_s)

    def shown_at(moments_s: np.ndarray) -> np.ndarray:
        """The numbers of the frames that are shown at some moments."""
        return np.clip(np.searchsorted(seconds, moments_s + 1e-6, "right") - 1, 0, len(seconds) - 1)

    own_count = min(len(seconds), frame_count(length_s, fps))
    streams = StreamSet(spec.stream, frame_size=spec.frame_size)
    windows = []
    with contextlib.closing(_Frames(part, first=times_s[0][0])) as frames:
        for number, start_s in enumerate(chosen):
            own = shown_at(moments(start_s, length_s, own_count))
            given = own
            if frame_input.frames:
                given = shown_at(moments(start_s, length_s, frame_input.frames))
            by_number = frames.between(min(own[0], given[0]), max(own[-1], given[-1]))
            windows.append(
                _make_window(
                    [by_number[index] for index in own.tolist()],
                    [by_number[index] for index in given.tolist()],
                    fps,
                    frame_input,
                    streams,
                    spec.frames,
                    folder / f"{name}-{number}.npy",
                )
            )
    return CheckVideo(windows, len(starts) - len(chosen))


def _make_window(
    own: list[np.ndarray],
    given: list[np.ndarray],
    fps: float,
    frame_input: FrameInput,
    streams: StreamSet,
    count: int,
    path: Path,
) -> CheckWindow:
    """The window of its own frames and of those that the file is given, uint8 (H, W, 3) BGR."""
    if len({frame.shape for frame in own}) > 1:
        raise VideoError("the size of its frames changes, which an exported file does not take")
    given_fps = frame_input.fps or fps

    def images(frames: Sequence[np.ndarray], fps: float) -> np.ndarray:
        indices = sample_indices(len(frames), count).tolist()
        return streams.images_of(frames, indices, fps=fps)[0]

    of_own = images(own, fps)
    size = (frame_input.height, frame_input.width)
    differs_in_size = bool(frame_input.height) and any(frame.shape[:2] != size for frame in own)
    differs_in_rate = [*map(id, own)] != [*map(id, given)]
    resized = resampled = of_given = None
    if differs_in_size:
        resized = images(resize_frames(own, *size), fps)
    if differs_in_rate:
        resampled = images(given, given_fps)
    if differs_in_size and differs_in_rate:
        given = resize_frames(given, *size)
        of_given = images(given, given_fps)
    elif differs_in_size:
        given, of_given = resize_frames(given, *size), resized
    elif differs_in_rate:
        of_given = resampled
    np.save(path, np.stack(given)[None, ..., ::-1])
    return CheckWindow(CheckWindowImages(of_own, resized, resampled, of_given), path, given_fps)


def resize_frames(frames: Sequence[np.ndarray], height: int, width: int) -> list[np.ndarray]:
    """Frames resized by area; those of that size already are not copied."""
    return [
        frame
        if frame.shape[:2] == (height, width)
        else cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        for frame in frames
    ]


def _spread(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` numbers, evenly spaced, the first and the last included."""
    if count <= limit:
        return list(range(count))
    return np.linspace(0, count - 1, limit).round().astype(int).tolist()


def _frame_times(part: VideoPart) -> tuple[list[tuple[int, float]], float]:
    """Number and time of each frame of a part, and its frames per second."""
    times_s = []
    with open_video(part.path) as video:
        for index, time_s in video:
            if part.end_s is not None and time_s >= part.end_s:
                break
            if part.start_s is None or part.start_s <= time_s:
                times_s.append((index, time_s))
        fps = measured_fps([time_s for _, time_s in times_s], video.fps) or FALLBACK_FPS
    if not times_s:
        raise VideoError("no frame of it can be decoded")
    return times_s, fps


class _Frames:
    """The frames of a video in the order of windows; those that no later window needs are freed."""

    def __init__(self, part: VideoPart, *, first: int) -> None:
        self._reader = self._read(part.path, first)
        self._kept: dict[int, np.ndarray] = {}
        self._last = -1

    @staticmethod
    def _read(path: Path, first: int):
        with open_video(path) as video:
            for index, _ in video:
                if index >= first:
                    yield index - first, video
        raise VideoError("some frames could be decoded at the first reading only")

    def between(self, first: int, last: int) -> dict[int, np.ndarray]:
        """The frames from `first` to `last`, uint8 (H, W, 3) BGR, by number.

        `first` must not be smaller than in the call before.
        """
        self._kept = {index: frame for index, frame in self._kept.items() if index >= first}
        while self._last < last:
            self._last, video = next(self._reader)
            if self._last >= first:
                self._kept[self._last] = video.retrieve()
        return self._kept

    def close(self) -> None:
        """Closes the video."""
        self._reader.close()
