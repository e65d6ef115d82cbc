"""Decodes a video file or a live stream with OpenCV, and finds damage.

OpenCV does not report damage. So the number of decoded frames is compared with the number that the
container declares.
"""

import contextlib
import math
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

import cv2
import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError, ViolenceDetectionError
from violence_detection.video import pyav_decoder
from violence_detection.video.pyav_decoder import PyAVDecoder

# OpenCV prints each decoding error; stage one reports them itself.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_set_log_level = getattr(cv2, "setLogLevel", None)  # up to 4.10, then it moved
(_set_log_level or cv2.utils.logging.setLogLevel)(0)

# Without this list FFmpeg also reads playlists, whatever their names: they open other files, or
# themselves until FFmpeg crashes. And it accepts some noise as a video, in formats without a
# signature.
ALLOWED_FORMATS = (
    "asf,avi,dhav,dv,flv,gxf,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,"
    "mxf,nut,ogg,rm,vc1,wtv"
)
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"format_whitelist;{ALLOWED_FORMATS}")

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
SHORT_TOLERANCE = 0.05  # fraction of the declared frames that may be missing without damage
_MAX_SOUND_OVERHANG_S = 0.15  # the sound may last this much longer than the frames
_MAX_GAP_S = 3600.0  # a longer time between two frames is a broken timestamp
_MAX_FAILED_PACKETS = 64  # in a row

# A stream may be a playlist; it may open network addresses only, never a file.
_STREAM_OPTIONS = "|".join(
    [
        f"format_whitelist;{ALLOWED_FORMATS},hls,mpjpeg,rtsp,sdp",
        "protocol_whitelist;http,https,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,httpproxy",
        "rtsp_transport;tcp",
    ]
)


@contextlib.contextmanager
def open_video(path: Path) -> Iterator["Decoder | PyAVDecoder"]:
    """Opens a video file; closes it at the end of the block.

    If OpenCV cannot decode a frame of the file, the decoder is PyAV's, if PyAV is installed.

    Raises:
        VideoError: If the file cannot be opened or decoded, also for an error of OpenCV in the
            block.
    """
    _check_file(path)
    # One thread per video: the parallelism is over videos.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        video = Decoder(capture)
        if video.starts():
            yield video
        else:
            with contextlib.closing(_open_with_pyav(path, video.codec)) as pyav_video:
                yield pyav_video
    except (cv2.error, MemoryError) as error:
        raise VideoError(f"the decoder failed: {_reason(error)}") from error
    finally:
        capture.release()


@contextlib.contextmanager
def open_live_stream(target: str | int, *, timeout_s: float) -> Iterator["Decoder"]:
    """Opens a live stream or a camera; closes it at the end of the block.

    Args:
        target: The URL of a stream, or the number of a camera. Errors do not repeat it, because a
            URL may contain a password.
        timeout_s: Seconds to wait for a stream to open, and later for each frame.

    Raises:
        VideoError: If it cannot be opened, or sends no frame.
    """
    start_s = time.monotonic()
    with _environment("OPENCV_FFMPEG_CAPTURE_OPTIONS", _STREAM_OPTIONS):
        if isinstance(target, int):
            capture = cv2.VideoCapture(target)
        else:
            timeout_ms = round(timeout_s * 1000)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, limits)
    try:
        if not capture.isOpened():
            waited_s = time.monotonic() - start_s
            raise VideoError(
                f"it cannot be opened (tried for {waited_s:.0f} s; --open-timeout-s is "
                f"{timeout_s:g})"
            )
        video = Decoder(capture)
        if not video.starts():
            raise VideoError("it opens, but no frame of it can be decoded")
        yield video
    except (cv2.error, MemoryError) as error:
        raise VideoError(f"the decoder failed: {_reason(error)}") from error
    finally:
        capture.release()


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


def _open_with_pyav(path: Path, codec: str) -> PyAVDecoder:
    if install := pyav_decoder.missing():
        named = f" ({codec})" if codec.isascii() and codec.isprintable() else ""
        raise VideoError(
            "it opens, but no frame of it can be decoded: this build of OpenCV may lack "
            f"its codec{named}; {install} adds another decoder"
        )
    return PyAVDecoder(path, codec=codec, max_pixels=MAX_PIXELS, fallback_fps=FALLBACK_FPS)


class Decoder:
    """An opened video. Iterating grabs its frames and yields (index, time in seconds).

    A grabbed frame is converted to an image only by `retrieve`, which takes longer than grabbing.

    Attributes:
        fps: Frames per second; 0.0 if the container does not tell.
        declared_frames: Number of frames by the container; 0 if it does not tell.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._is_grabbed = False
        if not capture.isOpened():
            raise VideoError("not a video that can be opened")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # the default, but not in 4.11
        width = self._number(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            raise VideoError(f"its frames are declared as {width:.0f}x{height:.0f}, over the limit")
        fps = self._number(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else 0.0
        self.declared_frames = max(0, int(self._number(cv2.CAP_PROP_FRAME_COUNT)))

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

    @property
    def codec(self) -> str:
        """The codec's four characters, in lower case."""
        code = int(self._number(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("latin-1").lower()

    def seek(self, time_s: float) -> None:
        """Seek to about a time; iterating again continues from there."""
        self._is_grabbed = False
        self._capture.set(cv2.CAP_PROP_POS_MSEC, time_s * 1000)

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

    def _grab(self) -> bool:
        """Grab the next frame; False at the end of the video."""
        # OpenCV's grab() returns False both at the end and at a packet that cannot be decoded, and
        # does not tell which. The next call continues behind that packet. Without further calls,
        # one flipped bit in a clip of 40 frames left 8 or 13 of them. After 64 failures in a row
        # the rest is given up; at the end of a file, 64 calls take less than half a millisecond.
        return any(self._capture.grab() for _ in range(_MAX_FAILED_PACKETS))

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
    _check_file(path)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    times_ms, keys = array("d"), bytearray()
    try:
        while capture.grab():
            times_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
            keys.append(capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) > 0)
    finally:
        capture.release()
    return np.array(times_ms) / 1000, np.frombuffer(keys, bool)


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


def describe_damage(times_s: Sequence[float], declared: int, fps: float) -> str:
    """The damage of a file in words: clearly fewer frames than declared, or a jump in the times.

    Containers without a frame count declare duration times rate. That is wrong for variable rates,
    and if the sound lasts longer than the frames. So a video is not damaged if its timestamps
    (nearly) reach the declared end.

    Args:
        times_s: Times of the decoded frames, at least one.
        declared: Number of frames by the container.
        fps: Frames per second by the container.

    Returns:
        The damage; empty if there is none.
    """
    return describe_damage_at_end(
        len(times_s),
        float(times_s[-1]),
        longest_s=float(np.diff(times_s).max(initial=0.0)),
        declared=declared,
        fps=fps,
    )


def describe_damage_at_end(
    frames: int, last_s: float, *, longest_s: float, declared: int, fps: float
) -> str:
    """The damage of a file in words, without the times of all frames; see `describe_damage`.

    Args:
        frames: Number of decoded frames.
        last_s: Time of the last frame.
        longest_s: The longest time between two frames.
        declared, fps: As in `describe_damage`.
    """
    if longest_s > _MAX_GAP_S:
        return f"its timestamps jump by {longest_s:.0f} s"
    declared_s = units.frames_to_s(declared, fps)
    ends_s = last_s + units.frames_to_s(1, fps)
    if (
        frames >= (1 - SHORT_TOLERANCE) * declared - 1
        or ends_s >= (1 - SHORT_TOLERANCE) * declared_s > 0
        or ends_s >= declared_s - _MAX_SOUND_OVERHANG_S > 0
    ):
        return ""
    return f"{frames} of {declared} declared frames can be decoded"


def describe_part_damage(ends_s: float, start_s: float, end_s: float) -> str:
    """The damage of a part in words: its file ends clearly before the part; else empty."""
    if ends_s >= end_s - SHORT_TOLERANCE * (end_s - start_s):
        return ""
    return f"the file ends at {ends_s:.1f} s, the part at {end_s:g} s"


def measured_fps(times_s: Sequence[float], declared_fps: float) -> float:
    """The declared rate, or that of the timestamps if it differs by more than 5% (variable rates,
    some WebM)."""
    span_s = times_s[-1] - times_s[0] if len(times_s) else 0.0
    if span_s <= 0:
        return declared_fps or FALLBACK_FPS
    measured = (len(times_s) - 1) / span_s
    return declared_fps if abs(declared_fps - measured) <= 0.05 * measured else measured
