"""Compression at a low bit rate, by a recorder with little disk space or a slow network."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.registry import Range
from violence_detection.video.corruptions._corruption import (
    Corruption,
    VideoFrames,
    Writer,
)

_ENCODERS = {"h264": "libx264", "mpeg4": "mpeg4"}
_GROUP_S = 2.0  # between key frames, as in cameras
_MAX_UNITS = 65535  # time units of a second in MPEG-4


def missing() -> str:
    """The command that installs x264; empty if it is installed. PyAV without GPL code lacks it."""
    import av

    return "" if "libx264" in av.codecs_available else "pip install --force-reinstall av"


def build(
    *,
    bits_per_pixel: Annotated[float, Range(0.001, 1)] = 0.02,
    codec: str = "h264",
) -> Corruption:
    """Encoding at ``bits_per_pixel * width * height * fps`` bits per second, without B frames, as
    in cameras.

    Args:
        bits_per_pixel: 0.02 is 0.55 Mbit/s at 1280x720 and 30 frames/s, about a quarter of what
            the default of cameras.
        codec: h264 or mpeg4.

    Raises:
        ConfigError: If the codec is unknown, or PyAV lacks its encoder.
    """
    if codec not in _ENCODERS:
        raise ConfigError(
            f"`codec` of the corruption compress must be h264 or mpeg4. Received: codec={codec}"
        )
    if codec == "h264" and (install := missing()):
        raise ConfigError(
            "The corruption compress must have a PyAV with x264. Received: one without; "
            f"{install}, or ask for compress(codec=mpeg4)"
        )

    def encode(path: Path, fps: float, size: tuple[int, int]) -> Writer:
        rate = math.ceil(bits_per_pixel * size[0] * size[1] * fps)
        return _Encoding(path, fps, size, encoder=_ENCODERS[codec], bits_per_s=rate)

    def corrupt(video: VideoFrames, _) -> VideoFrames:
        return video._replace(encoder=encode)

    return corrupt


class _Encoding:
    """A video file written by PyAV, in a single thread so that its bytes are reproducible."""

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        *,
        encoder: str,
        bits_per_s: int,
    ) -> None:
        import av

        self._frame_of = av.VideoFrame.from_ndarray
        self._container = av.open(str(path), "w", format="avi")
        most = min(1001, max(1, int(_MAX_UNITS / fps)))
        rate = Fraction(fps).limit_denominator(most)
        stream = self._stream = self._container.add_stream(encoder, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = bits_per_s
        context = stream.codec_context
        context.thread_count, context.max_b_frames = 1, 0
        context.gop_size = max(1, round(_GROUP_S * fps))

    def write(self, frame: np.ndarray) -> None:
        encoded = self._stream.encode(self._frame_of(frame, format="bgr24"))
        self._container.mux(encoded)

    def release(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
