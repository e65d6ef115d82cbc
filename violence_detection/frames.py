"""From a video file to the pictures that the backbone sees.

Everything is decoded forwards, once: seeking frame by frame is slow, and misses on
MPEG-TS and on variable frame rates. OpenCV hides damage, so the frames read are compared
with the frames that the container declares.
"""

import contextlib
import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from violence_detection import parts, units
from violence_detection.errors import ConfigError, VideoError

# OpenCV prints each decoding error; stage one reports them itself.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_set_log_level = getattr(cv2, "setLogLevel", None)  # up to 4.10, then it moved
(_set_log_level or cv2.utils.logging.setLogLevel)(0)

MAX_PIXELS = 16384 * 8192
FALLBACK_FPS = 25.0
SHORT_TOLERANCE = 0.05
_SHORT_CLIP_WINDOWS = 1.5


def sample_indices(num_frames: int, count: int) -> np.ndarray:
    """The frames nearest to the middles of `count` equal parts of a video.

    ``index[i] = floor((i + 1/2) * num_frames / count)``. A video shorter than `count`
    frames repeats frames rather than padding with black.

    Args:
        num_frames: Frames in the video, >= 1.
        count: Frames wanted (T), >= 1.

    Returns:
        int64 (T,), non-decreasing, in [0, num_frames).

    Raises:
        ConfigError: If either is below 1.
    """
    for name, value in (("num_frames", num_frames), ("count", count)):
        if value < 1:
            raise ConfigError(f"`{name}` must be >= 1. Received: {name}={value}")
    # In integers: floor((2i + 1) n / 2T) has no rounding.
    return (2 * np.arange(count, dtype=np.int64) + 1) * num_frames // (2 * count)


@dataclass(frozen=True)
class Clip:
    """A video, or a part of one, as the backbone sees it.

    Attributes:
        pictures: uint8 (T, S, S, 3).
        frames: Frames that could be decoded.
        fps: Frames per second; 0.0 where the container does not say.
        duration_s: Seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    pictures: np.ndarray
    frames: int
    fps: float
    duration_s: float
    damage: str = ""


@dataclass(frozen=True)
class WindowPlan:
    """Which frames the windows of a video need. Windows are counted in frames.

    Attributes:
        length_frames, stride_frames: Of the windows.
        num_frames: Frames that can be decoded.
        fps: Frames per second, a guess where the file has none.
        end_s: Where the video ends, in seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    length_frames: int
    stride_frames: int
    num_frames: int
    fps: float
    end_s: float
    damage: str = ""

    def starts(self) -> Iterator[int]:
        """First frame of each window, ascending; the last window ends where the video does."""
        start = 0
        last = self.num_frames - self.length_frames
        while start < last:
            yield start
            start += self.stride_frames
        yield max(0, last)


class ClipReader:
    """Turns video files into pictures; extraction and prediction both read through it."""

    def __init__(self, *, stream: str, frames: int, frame_size: int) -> None:
        """
        Args:
            stream: Spec of what the backbone sees.
            frames: Pictures in a clip (T).
            frame_size: Side of a picture in pixels (S).
        """
        self.count = frames
        self._picture = parts.load("streams", stream, frame_size=frame_size)

    def read(
        self, path: Path, start_s: float | None = None, end_s: float | None = None
    ) -> Clip:
        """The T pictures of a video, or of its part from `start_s` to `end_s`.

        Raises:
            VideoError: If it cannot be decoded, or fewer than T/2 distinct frames of a
                damaged file are sound.
        """
        with _opened(path) as video:
            declared, fps = video.declared_frames, video.fps
            wanted = sample_indices(declared, self.count) if declared > 0 else ()
            if start_s is not None:
                wanted = ()
            pictures, times_s = self._scan(video, wanted, until_s=end_s)
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        first, num_frames = _part(times_s, start_s, end_s)
        if start_s is not None or num_frames != declared:
            # The count was not known before, or not true: now it is, so sample again.
            wanted = first + sample_indices(num_frames, self.count)
            with _opened(path) as video:
                pictures, _ = self._scan(video, wanted, until_s=end_s)
        damage = "" if start_s is not None else _damage(times_s, declared, fps)
        if damage and min(num_frames, self.count) < self.count / 2:
            raise VideoError(f"{damage}; {math.ceil(self.count / 2)} are needed")
        if len(pictures) < len(set(map(int, wanted))):
            raise VideoError(
                "frames that were there at first reading were not at the second"
            )
        clip = np.stack([pictures[int(index)] for index in wanted])
        duration_s = _duration_s(times_s[first : first + num_frames], fps)
        return Clip(clip, num_frames, fps, duration_s, damage)

    def plan(self, path: Path, *, window_s: float, stride_s: float) -> WindowPlan:
        """The windows of a video.

        A video of up to 1.5 windows is one window: it is what training calls a clip.

        Raises:
            VideoError: If it cannot be opened, or no frame of it can be decoded.
        """
        with _opened(path) as video:
            # Counted, not believed: a joined or damaged file declares more or less than it has.
            times_s = [time_s for _, time_s in video]
            declared, declared_fps = video.declared_frames, video.fps
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        fps, num_frames = _true_fps(times_s, declared_fps), len(times_s)
        length = max(1, round(window_s * fps))
        if num_frames <= _SHORT_CLIP_WINDOWS * length:
            length = num_frames
        damage = _damage(times_s, declared, declared_fps)
        return WindowPlan(
            length,
            max(1, round(stride_s * fps)),
            num_frames,
            fps,
            end_s=times_s[-1] + units.frames_to_s(1, fps),
            damage=damage,
        )

    def pictures(
        self, path: Path, wanted: Iterator[int]
    ) -> Iterator[tuple[int, float, np.ndarray | None]]:
        """Every frame of a video in one pass: index, time in seconds, picture where wanted.

        Args:
            path: The video.
            wanted: Frame indices, ascending.
        """
        with _opened(path) as video:
            following = next(wanted, -1)
            for index, time_s in video:
                picture = None
                if index == following:
                    picture = self._picture(video.retrieve())
                    following = next(wanted, -1)
                yield index, time_s, picture

    def _scan(
        self, video: "_Decoder", wanted: Collection[int], until_s: float | None
    ) -> tuple[dict[int, np.ndarray], list[float]]:
        """Decode forwards: the wanted pictures by index, and every frame's time in seconds."""
        wanted = set(map(int, wanted))
        pictures, times_s = {}, []
        for index, time_s in video:
            if until_s is not None and time_s >= until_s:
                break
            if index in wanted:
                pictures[index] = self._picture(video.retrieve())
            times_s.append(time_s)
        return pictures, times_s


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["_Decoder"]:
    """A decoder that is closed at the end; what OpenCV raises is a VideoError."""
    _check_file(path)
    # One thread a video: the parallelism is over videos.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        yield _Decoder(capture)
    except (cv2.error, MemoryError) as error:
        reason = str(error).strip().splitlines() or ["out of memory"]
        raise VideoError(f"the decoder failed: {reason[0]}") from error
    finally:
        capture.release()


class _Decoder:
    """An opened video; iterating grabs its frames as (index, time in seconds)."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        if not capture.isOpened():
            raise VideoError("not a video that can be opened")
        width = self._number(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            raise VideoError(
                f"its frames are declared as {width:.0f}x{height:.0f}, over the limit"
            )
        fps = self._number(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else 0.0
        self.declared_frames = max(0, int(self._number(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[tuple[int, float]]:
        index, before_s = 0, -math.inf
        while self._capture.grab():
            time_s = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
            if time_s <= before_s:  # no timestamps, or broken ones
                time_s = before_s + units.frames_to_s(1, self.fps or FALLBACK_FPS)
            yield index, time_s
            index, before_s = index + 1, time_s

    def retrieve(self) -> np.ndarray:
        """The grabbed frame, uint8 (H, W, 3) BGR, upright."""
        done, frame = self._capture.retrieve()
        if not done or frame is None or not frame.size:
            raise VideoError("a frame of it can be read but not decoded")
        if frame.ndim == 2:
            frame = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
        return frame

    def _number(self, what: int) -> float:
        value = self._capture.get(what)
        return value if math.isfinite(value) else 0.0


def _check_file(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # OpenCV crashes on such a name
        raise VideoError("its path is not UTF-8") from error
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise VideoError("no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error
    if empty:
        raise VideoError("the file is empty")


def _part(
    times_s: list[float], start_s: float | None, end_s: float | None
) -> tuple[int, int]:
    """First frame and number of frames of the part."""
    if start_s is None:
        return 0, len(times_s)
    inside = [
        index for index, time_s in enumerate(times_s) if start_s <= time_s < end_s
    ]
    if not inside:
        raise VideoError(
            f"no frame lies between {start_s:g} and {end_s:g} s (it ends at {times_s[-1]:.1f} s)"
        )
    return inside[0], len(inside)


def _damage(times_s: list[float], declared: int, fps: float) -> str:
    """What is wrong where clearly fewer frames are there than declared.

    Containers without a frame count declare duration times rate, which is off for
    variable rates: a video whose timestamps reach its declared end is not short.
    """
    sound = 1 - SHORT_TOLERANCE
    ends_s = times_s[-1] + units.frames_to_s(1, fps)
    if (
        len(times_s) >= sound * declared - 1
        or ends_s >= sound * units.frames_to_s(declared, fps) > 0
    ):
        return ""
    return f"{len(times_s)} of {declared} declared frames can be decoded"


def _true_fps(times_s: list[float], declared_fps: float) -> float:
    """The declared rate, unless the timestamps say another one (variable rates, some WebM)."""
    span_s = times_s[-1] - times_s[0]
    if span_s <= 0:
        return declared_fps or FALLBACK_FPS
    measured = (len(times_s) - 1) / span_s
    return declared_fps if abs(declared_fps - measured) <= 0.05 * measured else measured


def _duration_s(times_s: list[float], fps: float) -> float:
    return times_s[-1] - times_s[0] + units.frames_to_s(1, fps or FALLBACK_FPS)
