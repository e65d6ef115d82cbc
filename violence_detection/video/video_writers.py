"""What writes a video that browsers play: H.264 by ffmpeg or PyAV, else VP9 by OpenCV."""

import contextlib
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
from violence_detection.video.decoder import ALLOWED_FORMATS

INSTALL = "pip install 'violence-detection[video]'"
_QUALITY = "23"  # of x264: good, at a size for keeping
_AS_IT_IS = (
    "aac",
    "mp3",
    "mp3float",
)  # sound that an MP4 file may hold, and browsers play
_NEAREST = 65535  # denominator of a frame rate
_CODECS = ("libx264", "libopenh264")


class VideoWriter(Protocol):
    """Takes frames, uint8 (H, W, 3) BGR of one even size, until it is closed."""

    def write(self, frame: np.ndarray) -> None: ...

    def close(self) -> None: ...


def choose_encoder() -> tuple[str, str]:
    """The encoder to take here, and what it lacks, empty where nothing."""
    if shutil.which("ffmpeg") and _ffmpeg_codec():
        return "ffmpeg", ""
    if not pyav_decoder.missing():
        return "pyav", ""
    return (
        "opencv",
        f"no H.264 and no sound: {INSTALL}, or an ffmpeg on the PATH, adds both",
    )


def open_writer(
    name: str, path: Path, *, size: tuple[int, int], fps: float, sound: Path
) -> VideoWriter:
    """A writer of an MP4 file.

    Args:
        name: `ffmpeg`, `pyav` or `opencv`.
        size: Width and height of the frames.
        sound: A file whose sound is kept; by `opencv` it is not.

    Raises:
        ViolenceDetectionError: If it cannot be written.
    """
    kind = {"ffmpeg": _Ffmpeg, "pyav": _PyAV, "opencv": _OpenCV}[name]
    return kind(path, size, fps, sound)


def _ffmpeg_codec() -> str:
    """An H.264 encoder of the ffmpeg on the PATH; empty where it has none."""
    asked = ["ffmpeg", "-hide_banner", "-v", "error", "-encoders"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, errors="replace")
        return next((name for name in _CODECS if f" {name} " in done.stdout), "")
    return ""


class _Ffmpeg:
    """Frames go to ffmpeg through a pipe."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, sound: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with it)
        rate = str(Fraction(fps).limit_denominator(_NEAREST))
        raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}"]
        original = ["-format_whitelist", ALLOWED_FORMATS, "-i", f"file:{sound.absolute()}"]
        picture = ["-map", "0:v", "-c:v", _ffmpeg_codec(), "-pix_fmt", "yuv420p"]
        heard = ["-map", "1:a:0?", "-c:a", "aac", "-shortest"]
        written = ["-movflags", "+faststart", "-f", "mp4", f"file:{path.absolute()}"]
        self._process = subprocess.Popen(
            [
                *("ffmpeg", "-hide_banner", "-v", "error", "-nostdin", "-y"),
                *(*raw, "-r", rate, "-i", "pipe:0", *original, *picture),
                *("-crf", _QUALITY, "-preset", "veryfast", *heard, *written),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
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
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        self._said.close()
        if status:
            reason = said[-1] if said else f"it ended with status {status}"
            if "No space left" in " ".join(said):
                reason = "the disk is full"
            raise ViolenceDetectionError(
                f"The video could not be written by ffmpeg: {reason[:200]}"
            )


class _PyAV:
    """Frames go to x264 in PyAV; the sound is copied, or made AAC."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, sound: Path) -> None:
        import av

        self._av = av
        options = {"movflags": "+faststart"}
        self._output = av.open(str(path), "w", format="mp4", options=options)
        rate = Fraction(fps).limit_denominator(_NEAREST)
        self._picture = self._output.add_stream("libx264", rate=rate)
        self._picture.width, self._picture.height = size
        self._picture.pix_fmt = "yuv420p"
        self._picture.options = {"crf": _QUALITY, "preset": "veryfast"}
        self._picture.codec_context.thread_count = 2
        self._frame_s, self._count = float(1 / rate), 0
        self._sound = _Sound(av, self._output, sound)

    def write(self, frame: np.ndarray) -> None:
        picture = self._av.VideoFrame.from_ndarray(frame, format="bgr24")
        picture.pts = self._count
        picture.time_base = 1 / self._picture.codec_context.framerate
        self._output.mux(self._picture.encode(picture))
        self._count += 1
        self._sound.copy_to(self._count * self._frame_s)

    def close(self) -> None:
        self._output.mux(self._picture.encode())
        self._sound.copy_to(self._count * self._frame_s)
        self._sound.close()
        self._output.close()


class _Sound:
    """The first sound of a file, brought over as the picture goes on."""

    def __init__(self, av, output, path: Path) -> None:
        self._av, self._output = av, output
        self._input, self._packets, self._waiting = None, iter(()), None
        self._heard = None
        with contextlib.suppress(av.FFmpegError):
            self._input = av.open(str(path), options={"format_whitelist": ALLOWED_FORMATS})
        if self._input is None or not self._input.streams.audio:
            return
        stream = self._input.streams.audio[0]
        if stream.codec_context is None:  # no decoder for it
            return
        # In MPEG-TS, AAC has no header that MP4 needs.
        codec = stream.codec_context
        whole = codec.name == "mp3float" or bool(codec.extradata)
        self._is_copied = whole and codec.name in _AS_IT_IS
        if self._is_copied:
            self._heard = output.add_stream_from_template(stream)
        else:
            rate = stream.codec_context.sample_rate or 44100
            self._heard = output.add_stream("aac", rate=min(rate, 48000))
        self._start_s = float(self._input.start_time or 0) / 1_000_000
        self._packets = self._input.demux(stream)

    def copy_to(self, time_s: float) -> None:
        """Bring over what is heard up to a time; damaged sound ends where it is damaged."""
        while self._heard is not None:
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
                    self._bring(packet)
            except self._av.FFmpegError as error:
                if isinstance(error, OSError) and error.errno in (28, 122, 27):
                    raise  # it is the disk
                self._heard = None

    def _bring(self, packet) -> None:
        if self._is_copied:
            packet.stream = self._heard
            self._output.mux(packet)
            return
        for frame in packet.decode():
            frame.pts = None
            self._output.mux(self._heard.encode(frame))

    def close(self) -> None:
        if self._heard is not None and not self._is_copied:
            self._output.mux(self._heard.encode())
        if self._input is not None:
            self._input.close()


class _OpenCV:
    """VP9, which browsers play, and no sound."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, sound: Path) -> None:
        code = cv2.VideoWriter.fourcc(*"vp09")
        self._path = path
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, size)
        if not self._writer.isOpened():
            raise ViolenceDetectionError(
                f"OpenCV must be able to write VP9; {INSTALL} adds another encoder. "
                f"Received: {cv2.__version__}, which cannot"
            )

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()
        # OpenCV does not say that the disk is full.
        if not _is_whole(self._path):
            raise OSError(28, os.strerror(28))


def _is_whole(path: Path) -> bool:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return capture.isOpened() and capture.grab()
    finally:
        capture.release()
