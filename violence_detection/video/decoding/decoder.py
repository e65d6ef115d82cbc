"""Decodes a video file with OpenCV.

Times are those of a player: from the first timestamp of the file, not of its video stream.
"""

import contextlib
import math
import os
import threading
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

import cv2
import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.video.decoding import ffmpeg_log
from violence_detection.video.decoding.container import Container, allowed_formats, read_container
from violence_detection.video.decoding.frame_series_decoder import FrameSeriesDecoder
from violence_detection.video.decoding.pyav_decoder import PyAVDecoder, count_between
from violence_detection.video.frame_series import FrameSeries, read_series

_set_log_level = getattr(cv2, "setLogLevel", None)  # up to 4.10, then it moved
(_set_log_level or cv2.utils.logging.setLogLevel)(0)

# These change which frames are decoded, or by which library; users have them for other programs.
for _variable in (
    "OPENCV_FFMPEG_DECODE_ATTEMPTS",
    "OPENCV_FFMPEG_READ_ATTEMPTS",
    "OPENCV_FFMPEG_THREADS",
    "OPENCV_FFMPEG_WRITER_OPTIONS",
    "OPENCV_VIDEOIO_PLUGIN_PATH",
    "OPENCV_VIDEOIO_PRIORITY_LIST",
):
    os.environ.pop(_variable, None)

# The wheels of 4.13 to 5.0 decode interlaced frames as noise, without an error.
if (version := tuple(map(int, cv2.__version__.split(".")[:2]))) > (4, 12):
    raise ViolenceDetectionError(
        "OpenCV must be 4.10 to 4.12: later wheels decode interlaced videos as noise. "
        f"Received: {cv2.__version__} (pip install 'opencv-python-headless<4.13'; "
        "opencv-python must not be installed with it)"
    )

MAX_PIXELS = 8192 * 4320
FALLBACK_FPS = 25.0
_NO_TIME_S = -1e6  # a frame without a timestamp has a time before this
_MAX_FAILED_PACKETS = 64  # in a row

# Codecs whose frames FFmpeg does not mark as corrupt: there, its errors are counted.
_UNMARKED_CODECS = frozenset("mjpg hevc hev1 hvc1".split())

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"

# OpenCV takes its options from the environment, which is the whole process's.
_opening = threading.Lock()


@contextlib.contextmanager
def open_video(path: Path) -> Iterator["Decoder | PyAVDecoder | FrameSeriesDecoder"]:
    """Opens a video file, or a series of pictures; closes it at the end of the block.

    Of several video streams the largest is read. The decoder is PyAV's for a stream that is not
    the first, and if OpenCV cannot decode a frame.

    Raises:
        VideoError: If the file cannot be opened or decoded, also for an error of OpenCV in the
            block.
    """
    series = _series_at(path)
    if series is not None:
        try:
            yield FrameSeriesDecoder(series, max_pixels=MAX_PIXELS)
        except (cv2.error, MemoryError) as error:
            raise VideoError(f"the decoder failed: {_reason(error)}") from error
        return
    _check_file(path)
    container = read_container(path)
    if container.stream:  # OpenCV reads the first stream only
        with contextlib.closing(_open_with_pyav(path, "", container)) as pyav_video:
            yield pyav_video
        return
    # One thread per video: the parallelism is over videos.
    capture = _open_file(path, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        video = Decoder(capture, path, container)
        if video.starts():
            yield video
        else:
            with contextlib.closing(_open_with_pyav(path, video.codec, container)) as pyav_video:
                yield pyav_video
    except (cv2.error, MemoryError) as error:
        raise VideoError(f"the decoder failed: {_reason(error)}") from error
    finally:
        capture.release()


def _open_file(path: Path, parameters: list[int]) -> cv2.VideoCapture:
    """A capture of a file: an absolute path is never a protocol, whatever the name is."""
    options = f"format_whitelist;{allowed_formats(path)}|protocol_whitelist;file"
    with _opening, _environment(_OPTIONS, options):
        return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, parameters)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable has another value inside the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _reason(error: cv2.error | MemoryError) -> str:
    """The message of an error, without the place in OpenCV's source."""
    line, *_ = str(error).strip().splitlines() or ["out of memory"]
    return line.rpartition(" error: ")[2]


def _open_with_pyav(path: Path, codec: str, container: Container) -> PyAVDecoder:
    return PyAVDecoder(
        path, container, codec=codec, max_pixels=MAX_PIXELS, fallback_fps=FALLBACK_FPS
    )


class Decoder:
    """An opened video. Iterating grabs its frames and yields (index, time in seconds).

    A grabbed frame is converted to an image only by `retrieve`, which takes longer than grabbing.

    Attributes:
        fps: Frames per second; 0.0 if the container does not tell.
        declared_frames: Number of frames by the container, without hidden ones; 0 if it does not
            tell.
        start_s: The time at which the video stream begins.
        note: What is to be said of the file, although it is read: its video streams.
        gaps: Empty; see `FrameSeriesDecoder`.
    """

    gaps = ""

    def __init__(self, capture: cv2.VideoCapture, path: Path, container: Container) -> None:
        """
        Args:
            capture: Opened by OpenCV.
            path: The file.
            container: The header of the file.

        Raises:
            VideoError: If OpenCV could not open it, or its frames are too large.
        """
        self._capture, self._path, self._container = capture, path, container
        self.start_s, self.note = container.start_s, container.note
        self._is_grabbed = False
        self._has_errors = False  # FFmpeg reported errors while the last frame was decoded
        self._is_suspect = not ffmpeg_log.LISTENING
        self._is_free_of_errors = True  # FFmpeg reported none so far
        self._error_s: list[float] = []  # times of the frames with errors
        self._last_s = -math.inf
        if not capture.isOpened():
            raise VideoError("not a video that can be opened")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # the default, but not in 4.11
        width = self._number(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            raise VideoError(f"its frames are declared as {width:.0f}x{height:.0f}, over the limit")
        fps = self._number(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else 0.0
        declared = int(self._number(cv2.CAP_PROP_FRAME_COUNT))
        self.declared_frames = container.shown_frames(max(0, declared), self.fps)

    def starts(self) -> bool:
        """Grab the first frame, with which iterating then begins; False if there is none."""
        self._is_grabbed = self._grab()
        return self._is_grabbed

    def __iter__(self) -> Iterator[tuple[int, float]]:
        index, before_s = 0, -math.inf
        while self._is_grabbed or self._grab():
            self._is_grabbed = False
            time_s = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
            if time_s <= max(before_s, _NO_TIME_S):  # the timestamp is missing or broken
                frame_s = units.frames_to_s(1, self.fps or FALLBACK_FPS)
                time_s = before_s + frame_s if index else 0.0
            self._last_s = self.start_s + time_s
            if self._has_errors:
                self._error_s.append(self._last_s)
            yield index, self._last_s
            index, before_s = index + 1, time_s

    def retrieve(self) -> np.ndarray:
        """The grabbed frame, uint8 (H, W, 3) BGR, upright."""
        done, frame = self._capture.retrieve()
        if not done or frame is None or not frame.size:
            raise VideoError("a frame of it can be read but not decoded")
        if frame.ndim == 2:
            frame = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
        return frame

    @property
    def codec(self) -> str:
        """The codec's four characters, in lower case."""
        code = int(self._number(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("latin-1").lower()

    def seek(self, time_s: float) -> None:
        """Seek to about a time; iterating again continues from there."""
        self._is_grabbed = False
        self._capture.set(cv2.CAP_PROP_POS_MSEC, (time_s - self.start_s) * 1000)

    def frame_near(self, index: int) -> np.ndarray | None:
        """A frame near `index`, by seeking; None if it cannot be reached.

        It may be a neighbour of that frame (MPEG-TS, variable rates), so that it is good for
        inspection, but not for features.
        """
        self._is_grabbed = False
        if not self._capture.set(cv2.CAP_PROP_POS_FRAMES, index):
            return None
        if not self._grab():
            return None
        try:
            return self.retrieve()
        except VideoError:
            return None

    @property
    def is_suspect(self) -> bool:
        """True if a frame that was decoded so far may be corrupt."""
        return self._is_suspect

    def corrupt_frames(self, start_s: float = -math.inf, end_s: float = math.inf) -> int:
        """The number of corrupt frames among those that were iterated over.

        FFmpeg marks corrupt frames, which OpenCV does not pass on. So if there was an error, the
        file is decoded once more, by PyAV.

        Args:
            start_s, end_s: Only frames from `start_s` to before `end_s` count.
        """
        if not self._is_suspect:
            return 0
        errors = count_between(self._error_s, start_s, end_s)
        try:
            video = _open_with_pyav(self._path, self.codec, self._container)
        except VideoError:
            return errors
        with contextlib.closing(video):
            for _, time_s in video:
                if time_s >= min(self._last_s, end_s):
                    break
            marked = video.corrupt_frames(start_s, end_s)
        return max(marked, errors if self.codec in _UNMARKED_CODECS else 0)

    def is_whole(self, frames: int) -> bool:
        """True if a file with fewer frames than declared is complete all the same.

        Args:
            frames: The frames that were decoded, up to its end.
        """
        # A recorder that crashed leaves any duration in the header of Matroska.
        trusts_packets = ffmpeg_log.LISTENING and self._is_free_of_errors
        return self._container.is_whole(self._path, frames, trusts_packets=trusts_packets)

    def _grab(self) -> bool:
        """Grab the next frame; False at the end of the video."""
        # OpenCV's grab() returns False both at the end and at a packet that cannot be decoded, and
        # does not tell which. The next call continues behind that packet. Without further calls,
        # one flipped bit in a clip of 40 frames left 8 or 13 of them. After 64 failures in a row
        # the rest is given up; at the end of a file, 64 calls take less than half a millisecond.
        counts = ffmpeg_log.counts
        errors, corrupt_packets = counts.errors, counts.corrupt_packets
        is_grabbed = any(self._capture.grab() for _ in range(_MAX_FAILED_PACKETS))
        has_errors = counts.errors > errors
        self._is_free_of_errors = self._is_free_of_errors and not has_errors
        # What is reported after the last frame is the end of a cut file.
        self._has_errors = is_grabbed and has_errors
        if self._has_errors or (is_grabbed and counts.corrupt_packets > corrupt_packets):
            self._is_suspect = True
        return is_grabbed

    def _number(self, property_id: int) -> float:
        """A numeric property of the video; 0.0 if OpenCV gives NaN or infinity."""
        value = self._capture.get(property_id)
        return value if math.isfinite(value) else 0.0


def read_packets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The packets of a video, in the order of the file; nothing is decoded.

    Returns:
        The time at which each is shown, in seconds, float64 (packets,), and whether it is a key
        frame, bool (packets,).

    Raises:
        VideoError: If the file cannot be read.
    """
    series = _series_at(path)
    if series is not None:
        return np.array(series.times_s), np.ones(len(series.pictures), bool)
    _check_file(path)
    start_s = read_container(path).start_s
    capture = _open_file(path, [cv2.CAP_PROP_FORMAT, -1])
    times_ms, keys = array("d"), bytearray()
    try:
        while capture.grab():
            times_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
            keys.append(capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) > 0)
    finally:
        capture.release()
    return start_s + np.array(times_ms) / 1000, np.frombuffer(keys, bool)


def _series_at(path: Path) -> FrameSeries | None:
    """The series of pictures that a path names; None for a file.

    Raises:
        VideoError: If it cannot be read.
    """
    try:
        return read_series(path)
    except FileNotFoundError as error:
        raise VideoError("no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error


def _check_file(path: Path) -> None:
    if not units.is_utf8(str(path)):  # OpenCV crashes on such a name
        raise VideoError("its path is not UTF-8")
    try:
        if not S_ISREG(path.stat().st_mode):
            raise VideoError("it is not a plain file")  # reading a pipe may never end
        with open(path, "rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise VideoError("no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error
    if is_empty:
        raise VideoError("the file is empty")


def measured_fps(times_s: Sequence[float], declared_fps: float) -> float:
    """The declared rate, or that of the timestamps if it differs by more than 5% (variable rates,
    some WebM)."""
    span_s = times_s[-1] - times_s[0] if len(times_s) else 0.0
    if span_s <= 0:
        return declared_fps or FALLBACK_FPS
    measured = (len(times_s) - 1) / span_s
    return declared_fps if abs(declared_fps - measured) <= 0.05 * measured else measured
