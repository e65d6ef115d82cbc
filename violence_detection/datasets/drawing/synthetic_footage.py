"""Drawn footage of a camera: two figures walk back and forth, and fight at known times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from violence_detection.datasets.drawing import synthetic
from violence_detection.datasets.drawing.synthetic_figures import draw_figures
from violence_detection.errors import ViolenceDetectionError

_SCALE = 2  # of the size of the drawn clips
_SWEEPS = 4  # speed of a fight relative to a walk


@dataclass(frozen=True)
class Footage:
    """A drawn video.

    Attributes:
        path: H.264 in MP4.
        duration_s: Its length in seconds.
        fights: Start and end of each fight in seconds, in order.
    """

    path: Path
    duration_s: float
    fights: tuple[tuple[float, float], ...]


def draw_footage(path: Path, *, calm_s: Sequence[float], fight_s: float, seed: int) -> Footage:
    """Draws a scene that none of the clips of `draw_clips` shows, with a key frame each second.

    The motion is that of the clips, and goes on: a walk, and the same walk backwards. Calm
    stretches and fights last until the figures are where they came from, so a little longer than
    asked for.

    Args:
        path: The video; its folder must exist.
        calm_s: Lengths of the calm stretches in seconds; between two of them there is a fight.
        fight_s: Length of a fight in seconds.
        seed: The same seed draws the same frames.

    Raises:
        ViolenceDetectionError: If PyAV lacks the encoder libx264.
        OSError: If the file cannot be written.
    """
    rng = np.random.default_rng([seed, 2])
    recording = synthetic.draw_recording(path.stem, "test", rng)
    images = synthetic.draw_images(recording, draw_figures(rng))
    order, fights = _order(len(images), recording.fps, calm_s, fight_s, rng)
    _write(path, synthetic.expose(images[order], recording, rng), recording.fps)
    return Footage(path, len(order) / recording.fps, tuple(fights))


def _order(
    num_images: int, fps: float, calm_s: Sequence[float], fight_s: float, rng: Generator
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The images of the footage, int64 (frames,), and the times of its fights in seconds."""
    forth = np.arange(num_images)
    walk = np.concatenate([forth, forth[::-1]])
    fight = synthetic.fight_order(num_images, _SWEEPS, rng)
    fight = np.roll(fight, -int(fight.argmin()))  # it begins where the walk has ended
    parts: list[np.ndarray] = []
    fights: list[tuple[float, float]] = []
    frames = 0
    for number, seconds in enumerate(calm_s):
        if number:
            parts.append(np.tile(fight, -int(-fight_s * fps // num_images)))
            fights.append((frames / fps, (frames + len(parts[-1])) / fps))
            frames += len(parts[-1])
        parts.append(np.tile(walk, -int(-seconds * fps // len(walk))))
        frames += len(parts[-1])
    return np.concatenate(parts), fights


def _write(path: Path, images: Iterator[np.ndarray], fps: float) -> None:
    """Writes uint8 BGR images (H, W, 3), enlarged, without B-frames."""
    import av

    if "libx264" not in av.codecs_available:
        raise ViolenceDetectionError(
            f"PyAV must have the encoder libx264 to draw footage. Received: PyAV {av.__version__}, "
            "built without it; pip install --force-reinstall av"
        )
    options = {"crf": "20", "preset": "veryfast", "bf": "0", "g": str(round(fps))}
    with av.open(f"file:{path.absolute()}", "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=Fraction(fps), options=options)
        for image in images:
            image = cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
            if not stream.codec_context.is_open:
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        file.mux(stream.encode(None))
