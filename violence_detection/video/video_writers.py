"""Writers of MP4 files that browsers play: H.264 by ffmpeg or PyAV, else VP9 by OpenCV."""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from violence_detection.errors import ViolenceDetectionError
from violence_detection.video import pyav_decoder
from violence_detection.video.container import ALLOWED_FORMATS, open_container

INSTALL = "pip install 'violence-detection[video]'"
_CRF = "23"  # quality of x264: its default
_COPIED_SOUND = ("aac", "mp3", "mp3float")  # in an MP4 file, browsers play these
_MAX_DENOMINATOR = 65535  # of a frame rate
_CODECS = ("libx264", "libopenh264")


class VideoWriter(Protocol):
    """Writes frames, uint8 (H, W, 3) BGR, all of the same even size, until it is closed."""

    def write(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...


def choose_encoder() -> tuple[str, str]:
    """The name of the best encoder that is installed, and what it lacks; empty if nothing."""
    if shutil.which("ffmpeg") and _ffmpeg_codec():
        return "ffmpeg", ""
    if not pyav_decoder.missing():
        return "pyav", ""
    return (
        "opencv",
        f"no H.264 and no sound: {INSTALL}, or an ffmpeg on the PATH, adds both",
    )


def open_writer(
    name: str,
    path: Path,
    *,
    size: tuple[int, int],
    fps: float,
    sound: Path,
    sound_from_s: float = 0.0,
) -> VideoWriter:
    """A writer of an MP4 file.

    Args:
        name: `ffmpeg`, `pyav` or `opencv`.
        size: Width and height of the frames.
        sound: A file whose sound is added; `opencv` adds none.
        sound_from_s: The time of the file at which the first frame is shown.

    Raises:
        ViolenceDetectionError: If it cannot be written.
    """
    kind = {"ffmpeg": _Ffmpeg, "pyav": _PyAV, "opencv": _OpenCV}[name]
    return kind(path, size, fps, sound, sound_from_s)


def _ffmpeg_codec() -> str:
    """The H.264 encoder of the ffmpeg on the PATH; empty if it has none."""
    command = ["ffmpeg", "-hide_banner", "-v", "error", "-encoders"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, errors="replace")
        return next((name for name in _CODECS if f" {name} " in done.stdout), "")
    return ""


class _Ffmpeg:
    """Sends frames to ffmpeg through a pipe."""

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, sound: Path, sound_from_s: float
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `_end`)
        rate = str(Fraction(fps).limit_denominator(_MAX_DENOMINATOR))
        raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}"]
        limits = ["-format_whitelist", ALLOWED_FORMATS, "-protocol_whitelist", "file"]
        original = [*limits, "-ss", f"{sound_from_s:.6f}", "-i", f"file:{sound.absolute()}"]
        video = ["-map", "0:v", "-c:v", _ffmpeg_codec(), "-pix_fmt", "yuv420p"]
        audio = ["-map", "1:a:0?", "-c:a", "aac", "-shortest"]
        output = ["-movflags", "+faststart", "-f", "mp4", f"file:{path.absolute()}"]
        self._process = subprocess.Popen(
            [
                *("ffmpeg", "-hide_banner", "-v", "error", "-nostdin", "-y"),
                *(*raw, "-r", rate, "-i", "pipe:0", *original, *video),
                *("-crf", _CRF, "-preset", "veryfast", *audio, *output),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )

    def write(self, frame: np.ndarray) -> None:
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except BrokenPipeError:
            self._end()
            raise

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        status = self._process.wait()
        self._stderr.seek(0)
        messages = self._stderr.read().decode(errors="replace").strip().splitlines()
        self._stderr.close()
        if status:
            reason = messages[-1] if messages else f"it ended with status {status}"
            if "No space left" in " ".join(messages):
                reason = "the disk is full"
            raise ViolenceDetectionError(
                f"The video could not be written by ffmpeg: {reason[:200]}"
            )


class _PyAV:
    """Encodes frames with x264 in PyAV; the sound is copied, or encoded as AAC."""

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, sound: Path, sound_from_s: float
    ) -> None:
        import av

        self._av = av
        options = {"movflags": "+faststart"}
        url = f"file:{path.absolute()}"
        self._output = av.open(url, "w", format="mp4", options=options)
        rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        self._video = self._output.add_stream("libx264", rate=rate)
        self._video.width, self._video.height = size
        self._video.pix_fmt = "yuv420p"
        self._video.options = {"crf": _CRF, "preset": "veryfast"}
        self._video.codec_context.thread_count = 2
        self._frame_s, self._count = float(1 / rate), 0
        self._sound = _Sound(av, self._output, sound, sound_from_s)

    def write(self, frame: np.ndarray) -> None:
        image = self._av.VideoFrame.from_ndarray(frame, format="bgr24")
        image.pts = self._count
        image.time_base = 1 / self._video.codec_context.framerate
        self._output.mux(self._video.encode(image))
        self._count += 1
        self._sound.copy_to(self._count * self._frame_s)

    def close(self) -> None:
        self._output.mux(self._video.encode())
        self._sound.copy_to(self._count * self._frame_s)
        self._sound.close()
        self._output.close()


class _Sound:
    """The first sound track of a file, copied or encoded while the frames are written."""

    def __init__(self, av, output, path: Path, from_s: float) -> None:
        self._av, self._output = av, output
        self._input, self._packets, self._waiting = None, iter(()), None
        self._track = None
        with contextlib.suppress(av.FFmpegError):
            self._input = open_container(path)
        if self._input is None or not self._input.streams.audio:
            return
        stream = self._input.streams.audio[0]
        codec = stream.codec_context
        if codec is None:  # FFmpeg has no decoder for it
            return
        # AAC from MPEG-TS lacks a header that MP4 needs, so it is encoded again.
        is_complete = codec.name == "mp3float" or bool(codec.extradata)
        self._is_copied = is_complete and codec.name in _COPIED_SOUND
        if self._is_copied:
            self._track = output.add_stream_from_template(stream)
        else:
            rate = codec.sample_rate or 44100
            self._track = output.add_stream("aac", rate=min(rate, 48000))
        self._start_s = from_s + float(self._input.start_time or 0) / 1_000_000
        self._packets = self._input.demux(stream)

    def copy_to(self, time_s: float) -> None:
        """Write the sound up to a time. Damaged sound ends where the damage begins."""
        while self._track is not None:
            try:
                packet = self._waiting or next(self._packets, None)
                self._waiting = None
                if packet is None:
                    return
                if packet.pts is not None:
                    at_s = float(packet.pts * packet.time_base) - self._start_s
                    if at_s > time_s:
                        self._waiting = packet
                        return
                    if at_s >= 0:
                        self._write(packet)
            except self._av.FFmpegError as error:
                if isinstance(error, OSError) and error.errno in (
                    errno.ENOSPC,
                    errno.EDQUOT,
                    errno.EFBIG,
                ):
                    raise  # the disk is full
                self._track = None

    def _write(self, packet) -> None:
        if self._is_copied:
            shift = round(self._start_s / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._track
            self._output.mux(packet)
            return
        for frame in packet.decode():
            frame.pts = None
            self._output.mux(self._track.encode(frame))

    def close(self) -> None:
        if self._track is not None and not self._is_copied:
            self._output.mux(self._track.encode())
        if self._input is not None:
            self._input.close()


class _OpenCV:
    """Encodes frames as VP9, without sound."""

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, sound: Path, sound_from_s: float
    ) -> None:
        code = cv2.VideoWriter.fourcc(*"vp09")
        self._path = path.absolute()
        self._writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, code, fps, size)
        if not self._writer.isOpened():
            raise ViolenceDetectionError(
                f"OpenCV must be able to write VP9; {INSTALL} adds another encoder. "
                f"Received: {cv2.__version__}, which cannot"
            )

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()
        # OpenCV does not report a full disk.
        if not _can_be_read(self._path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _can_be_read(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return capture.isOpened() and capture.grab()
    finally:
        capture.release()
