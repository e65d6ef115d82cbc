"""A recorder that saves disk, or a narrow line: few bits a second."""

import importlib.util
import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np

from violence_detection.errors import ConfigError
from violence_detection.evaluation.robustness.corruptions._corruption import (
    Corruption,
    VideoFrames,
    Writer,
)
from violence_detection.registry import Range

_ENCODERS = {"h264": "libx264", "mpeg4": "mpeg4"}
_GROUP_S = 2.0  # from one key frame to the next, as cameras have it
_MOST_UNITS = 65535  # of a second, in MPEG-4


def missing() -> str:
    """How to install what encodes; nothing where it is."""
    there = importlib.util.find_spec("av")
    return "" if there else "pip install 'violence-detection[pyav]'"


def build(
    *,
    bits_per_pixel: Annotated[float, Range(0.001, 1)] = 0.02,
    codec: str = "h264",
) -> Corruption:
    """Encoded at a rate of ``bits_per_pixel * width * height * fps`` bits a second, without frames
    that look ahead, as a camera does it.

    Args:
        bits_per_pixel: 0.02 is 0.55 Mbit/s at 1280x720 and 30 frames/s, about a quarter of what
            cameras are sold with.
        codec: h264 or mpeg4.

    Raises:
        ConfigError: If PyAV is not installed, or there is no such codec.
    """
    if codec not in _ENCODERS:
        raise ConfigError(
            f"`codec` of corruptions/compress must be h264 or mpeg4. Received: codec={codec}"
        )
    if install := missing():
        raise ConfigError(f"corruptions/compress must have PyAV ({install}). Received: none")

    def encode(path: Path, fps: float, size: tuple[int, int]) -> Writer:
        rate = math.ceil(bits_per_pixel * size[0] * size[1] * fps)
        return _Encoding(path, fps, size, encoder=_ENCODERS[codec], bits_per_s=rate)

    def corrupt(video: VideoFrames, _) -> VideoFrames:
        return video._replace(encoder=encode)

    return corrupt


class _Encoding:
    """A file that PyAV writes, in one thread, so that its bytes are always the same."""

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
        most = min(1001, max(1, int(_MOST_UNITS / fps)))
        rate = Fraction(fps).limit_denominator(most)
        stream = self._stream = self._container.add_stream(encoder, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = bits_per_s
        context = stream.codec_context
        context.thread_count, context.max_b_frames = 1, 0
        context.gop_size = max(1, round(_GROUP_S * fps))

    def write(self, frame: np.ndarray) -> None:
        picture = self._frame_of(frame, format="bgr24")
        self._container.mux(self._stream.encode(picture))

    def release(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
