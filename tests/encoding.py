"""Videos as cameras and phones write them, encoded by PyAV: B-frames, long groups, any rate."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def encode(
    path: Path,
    *,
    frames: int = 60,
    size=(96, 64),
    fps: int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Iterable[int] | None = None,
    **options,
) -> Path:
    """A clip in which every frame looks different, and neighbours alike.

    Args:
        times: When each frame is shown, in units of 1 / fps s; default: one after the other.
        options: Of the encoder, as FFmpeg names them (`_` for `-`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    down, across = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = Fraction(1, fps)
        stream.options = {
            name.replace("_", "-"): str(value) for name, value in options.items()
        }
        for index, time in zip(range(frames), times or range(frames), strict=False):
            grey = (across * 2 + down + 5 * index) % 256
            colours = np.stack([grey, np.roll(grey, index, 1), 255 - grey], 2)
            frame = av.VideoFrame.from_ndarray(colours.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
