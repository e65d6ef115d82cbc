"""A video file, opened: its frames one after the other with their times, and what is wrong.

OpenCV hides damage, so the frames read are compared with the frames that
the container declares.
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

# FFmpeg reads playlists too, whatever their names: those open other files, or themselves until
# it crashes. And it takes some noise for a video, in formats that have no signature.
ALLOWED_FORMATS = (
    "asf,avi,dhav,dv,flv,gxf,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,"
    "mxf,nut,ogg,rm,vc1,wtv"
)
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"format_whitelist;{ALLOWED_FORMATS}")

# Up to 4.12: the wheels of 4.13 to 5.0 give noise in place of interlaced frames, and say nothing.
if (version := tuple(map(int, cv2.__version__.split(".")[:2]))) > (4, 12):
    raise ViolenceDetectionError(
        "OpenCV must be 4.10 to 4.12: later wheels give noise in place of interlaced videos. "
        f"Received: {cv2.__version__} (pip install 'opencv-python-headless<4.13'; "
        "opencv-python must not be installed beside it)"
    )

MAX_PIXELS = 8192 * 4320
FALLBACK_FPS = 25.0
_NO_TIME_S = -1e6  # OpenCV gives a time in the far past where there is none
SHORT_TOLERANCE = 0.05
_SOUND_S = 0.15  # by which the sound may be longer than the picture
_JUMP_S = 3600.0  # between two frames, that no camera leaves
_ATTEMPTS = 64  # packets in a row that cannot be decoded

# A stream may be a playlist; what it opens is on the network, never a file.
_STREAM_OPTIONS = "|".join(
    [
        f"format_whitelist;{ALLOWED_FORMATS},hls,mpjpeg,rtsp,sdp",
        "protocol_whitelist;http,https,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,srt,crypto,httpproxy",
        "rtsp_transport;tcp",
    ]
)


@contextlib.contextmanager
def open_video(path: Path) -> Iterator["Decoder | PyAVDecoder"]:
    """A decoder that is closed at the end; what OpenCV raises is a VideoError.

    Where OpenCV gives no frame of a file, it is PyAV's, if that is installed.
    """
    _check_file(path)
    # One thread a video: the parallelism is over videos.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        video = Decoder(capture)
        if video.starts():
            yield video
        else:
            with contextlib.closing(_by_pyav(path, video.codec)) as other:
                yield other
    except (cv2.error, MemoryError) as error:
        raise VideoError(f"the decoder failed: {_reason(error)}") from error
    finally:
        capture.release()


@contextlib.contextmanager
def open_live_stream(target: str | int, *, timeout_s: float) -> Iterator["Decoder"]:
    """A decoder of a stream (its URL) or of a camera (its number), closed at the end.

    Args:
        target: What is opened; no error repeats it, as it may hold a password.
        timeout_s: Seconds after which a stream that cannot be opened, or sends nothing more, is
            given up.

    Raises:
        VideoError: If it cannot be opened, or sends no frame.
    """
    start_s = time.monotonic()
    with _set("OPENCV_FFMPEG_CAPTURE_OPTIONS", _STREAM_OPTIONS):
        if isinstance(target, int):
            capture = cv2.VideoCapture(target)
        else:
            timeout_ms = round(timeout_s * 1000)
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms]
            limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
            capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, limits)
    try:
        if not capture.isOpened():
            passed_s = time.monotonic() - start_s
            raise VideoError(
                f"it cannot be opened (tried for {passed_s:.0f} s; --open-timeout-s is "
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
def _set(name: str, value: str) -> Iterator[None]:
    """An environment variable with another value for a while."""
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
    """What OpenCV says, without where in its source it says so."""
    first, *_ = str(error).strip().splitlines() or ["out of memory"]
    return first.rpartition(" error: ")[2]


def _by_pyav(path: Path, codec: str) -> PyAVDecoder:
    if install := pyav_decoder.missing():
        named = f" ({codec})" if codec.isascii() and codec.isprintable() else ""
        raise VideoError(
            "it opens, but no frame of it can be decoded: this build of OpenCV may lack "
            f"its codec{named}; {install} adds another decoder"
        )
    return PyAVDecoder(path, codec=codec, max_pixels=MAX_PIXELS, fallback_fps=FALLBACK_FPS)


class Decoder:
    """An opened video; iterating grabs its frames as (index, time in seconds)."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._is_grabbed = False
        if not capture.isOpened():
            raise VideoError("not a video that can be opened")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # which 4.11 leaves out
        width = self._number(cv2.CAP_PROP_FRAME_WIDTH)
        height = self._number(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            raise VideoError(f"its frames are declared as {width:.0f}x{height:.0f}, over the limit")
        fps = self._number(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else 0.0
        self.declared_frames = max(0, int(self._number(cv2.CAP_PROP_FRAME_COUNT)))

    def starts(self) -> bool:
        """Whether there is a frame; it is grabbed, and iterating begins with it."""
        self._is_grabbed = self._grab()
        return self._is_grabbed

    def __iter__(self) -> Iterator[tuple[int, float]]:
        index, before_s = 0, -math.inf
        while self._is_grabbed or self._grab():
            self._is_grabbed = False
            time_s = self._number(cv2.CAP_PROP_POS_MSEC) / 1000
            if time_s <= max(before_s, _NO_TIME_S):  # no timestamps, or broken ones
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
        """Four characters, lower case."""
        code = int(self._number(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("latin-1").lower()

    def seek(self, time_s: float) -> None:
        """Go to about a time; iterating again goes on from there, and not always exactly."""
        self._is_grabbed = False
        self._capture.set(cv2.CAP_PROP_POS_MSEC, time_s * 1000)

    def frame_near(self, index: int) -> np.ndarray | None:
        """The frame at about `index`, reached by seeking; None where it cannot be.

        Which frame exactly is not sure (MPEG-TS, variable rates): for a look, not for features.
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
        """Grab the next frame; False at the end."""
        # OpenCV's grab fails at a packet that cannot be decoded, not only at the end.
        return any(self._capture.grab() for _ in range(_ATTEMPTS))

    def _number(self, what: int) -> float:
        value = self._capture.get(what)
        return value if math.isfinite(value) else 0.0


def read_packets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The packets of a video, in the order of the file; nothing is decoded.

    Returns:
        When each is to be shown, in seconds, float64 (packets,), and whether it is a key
        frame, bool (packets,).

    Raises:
        VideoError: If it cannot be read.
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
            raise VideoError("it is not a plain file")  # reading a pipe waits for ever
        with open(path, "rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise VideoError("no such file") from error
    except OSError as error:
        raise VideoError(f"it cannot be read: {error.strerror}") from error
    if empty:
        raise VideoError("the file is empty")


def describe_damage(times_s: Sequence[float], declared: int, fps: float) -> str:
    """What is wrong where clearly fewer frames are there than declared, or their times jump.

    Containers without a frame count declare duration times rate, which is off for
    variable rates and where the sound is longer than the picture: a video whose timestamps
    reach its declared end, or nearly, is not short.
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
    """The same, of the time of the last frame and the longest between two."""
    if longest_s > _JUMP_S:
        return f"its timestamps jump by {longest_s:.0f} s"
    declared_s = units.frames_to_s(declared, fps)
    ends_s = last_s + units.frames_to_s(1, fps)
    if (
        frames >= (1 - SHORT_TOLERANCE) * declared - 1
        or ends_s >= (1 - SHORT_TOLERANCE) * declared_s > 0
        or ends_s >= declared_s - _SOUND_S > 0
    ):
        return ""
    return f"{frames} of {declared} declared frames can be decoded"


def describe_part_damage(ends_s: float, start_s: float, end_s: float) -> str:
    """What is wrong with a part where its file ends clearly before it does."""
    if ends_s >= end_s - SHORT_TOLERANCE * (end_s - start_s):
        return ""
    return f"the file ends at {ends_s:.1f} s, the part at {end_s:g} s"


def measured_fps(times_s: Sequence[float], declared_fps: float) -> float:
    """The declared rate, unless the timestamps say another one (variable rates, some WebM)."""
    span_s = times_s[-1] - times_s[0] if len(times_s) else 0.0
    if span_s <= 0:
        return declared_fps or FALLBACK_FPS
    measured = (len(times_s) - 1) / span_s
    return declared_fps if abs(declared_fps - measured) <= 0.05 * measured else measured
