"""Trials of codecs: a drawn clip of each is encoded by PyAV and read as any video is."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.errors import ViolenceDetectionError
from violence_detection.system import devices
from violence_detection.system.processes import ProcessPool
from violence_detection.video.decoding.decoder import open_video

FRAMES, _SIZE, _FPS = 25, (128, 96), 25
_TIMEOUT_S = 30.0
_MAX_DIFFERENCE = 25.0  # grey levels, mean over the picture


@dataclass(frozen=True)
class Codec:
    """A codec, an encoder of PyAV for it, and a container that it is usual in."""

    name: str
    encoder: str
    suffix: str
    pixels: str = "yuv420p"


CODECS = (
    Codec("h264", "libx264", ".mp4"),
    Codec("hevc", "libx265", ".mp4"),
    Codec("av1", "libsvtav1", ".mp4"),
    Codec("vp8", "libvpx", ".webm"),
    Codec("vp9", "libvpx-vp9", ".webm"),
    Codec("mpeg4", "mpeg4", ".avi"),
    Codec("mpeg2", "mpeg2video", ".mpg"),
    Codec("mjpeg", "mjpeg", ".avi", "yuvj420p"),
    Codec("wmv2", "wmv2", ".wmv"),
    Codec("flv1", "flv", ".flv"),
    Codec("prores", "prores_ks", ".mov", "yuv422p10le"),
)


@dataclass(frozen=True)
class CodecTrial:
    """The trial of a codec.

    Attributes:
        codec: Its name.
        container: The ending of the file.
        status: `ok`, `failed`, or `skipped` where this PyAV has no encoder for a clip.
        text: The reason if it is not ok.
        seconds: Time to decode the clip.
    """

    codec: str
    container: str
    status: str
    text: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def try_codecs(folder: Path, codecs: Sequence[Codec] = CODECS) -> list[CodecTrial]:
    """Encodes a clip with each codec and decodes it again, as extraction does, in a child process.

    Args:
        folder: An empty folder for the clips.
        codecs: The codecs.
    """
    with ProcessPool() as pool:
        return [_try_codec(codec, folder, pool) for codec in codecs]


def _try_codec(codec: Codec, folder: Path, pool: ProcessPool) -> CodecTrial:
    path = folder / f"{codec.name}{codec.suffix}"
    start_s = time.perf_counter()
    if reason := encode(codec, path):
        return CodecTrial(codec.name, codec.suffix, "skipped", reason, 0.0)
    try:
        start_s = time.perf_counter()
        frames, difference = pool(decode, path, timeout_s=_TIMEOUT_S)
    except ViolenceDetectionError as error:
        reason = " ".join(str(error).split())
    else:
        # A codec may hold back or repeat a frame at its ends.
        if abs(frames - FRAMES) > 1:
            reason = f"{frames} of {FRAMES} frames are read"
        elif difference > _MAX_DIFFERENCE:
            reason = f"the picture is another one: {difference:.0f} grey levels from it"
    status = "failed" if reason else "ok"
    return CodecTrial(codec.name, codec.suffix, status, reason, time.perf_counter() - start_s)


@contextlib.contextmanager
def same_priority() -> Iterator[None]:
    """Keeps the scheduling of the thread: SVT-AV1 makes a thread of root's real-time, and all that
    it starts, and whatever waits actively then, as BLAS does, stops the machine."""
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def encode(codec: Codec, path: Path) -> str:
    """Writes a drawn clip; returns the reason if PyAV cannot, else nothing."""
    import av

    if codec.encoder not in av.codecs_available:
        return f"PyAV {av.__version__} has no encoder {codec.encoder} to draw a clip with"
    try:
        # Encoders write about themselves to file descriptor 2.
        with same_priority(), devices.stderr_redirected(), av.open(f"file:{path}", "w") as output:
            stream = output.add_stream(codec.encoder, rate=_FPS)
            stream.width, stream.height = _SIZE
            stream.pix_fmt = codec.pixels
            stream.codec_context.thread_count = 1
            if codec.encoder == "libx265":
                stream.options = {"x265-params": "log-level=none"}
            for number in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(drawn_frame(number), format="bgr24")
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        return f"PyAV {av.__version__} could not draw a clip with {codec.encoder} ({error})"
    return ""


def drawn_frame(number: int) -> np.ndarray:
    """A frame of the clip, uint8 (H, W, 3) BGR: a square that moves over a grey ramp."""
    width, height = _SIZE
    ramp = np.linspace(40, 160, width, dtype=np.uint8)
    frame = np.repeat(np.broadcast_to(ramp, (height, width))[..., None], 3, axis=2).copy()
    frame[30:60, 2 * number : 2 * number + 40] = 220
    return frame


def decode(path: Path) -> tuple[int, float]:
    """The number of frames of a clip, and the largest mean difference from what was drawn.

    Raises:
        VideoError: If it cannot be read.
    """
    frames, difference = 0, 0.0
    with open_video(path) as video:
        for index, _ in video:
            frame = video.retrieve()
            frames += 1
            expected = drawn_frame(min(index, FRAMES - 1)).astype(np.float32)
            difference = max(difference, float(np.abs(frame - expected).mean()))
    return frames, difference
