"""The interface of a stream, which makes an image for the backbone from frames of a video."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SQUEEZED = "area, aspect ratio not kept"
# OpenCV's weights of red, green and blue.
_GREY = np.array([[9798], [19235], [3735]], np.float32) / 2**15


@dataclass(frozen=True)
class Stream:
    """The image for the backbone at a sampled frame.

    Attributes:
        prepare: Reduces a frame, uint8 (h, w, 3) BGR, already cropped if `focus` is set, to the
            data that the image needs.
        combine: Makes the image, uint8 (S, S, 3), from the prepared frames, in the order of
            `offsets`.
        offsets: The frames that the image needs, in steps from the sampled one.
        step_s: Seconds in a step; a step is at least one frame.
        focus: True if frames are cropped to the region of motion.
        in_graph: The same as Keras operations, for export; None if there are none.
    """

    prepare: Callable[[np.ndarray], np.ndarray]
    combine: Callable[[Sequence[np.ndarray]], np.ndarray]
    offsets: tuple[int, ...] = (0,)
    step_s: float = 0.0
    focus: bool = False
    in_graph: "InGraph | None" = None

    def frames(self, index: int, *, fps: float, last: int) -> tuple[int, ...]:
        """The frames that the image at frame `index` needs, none before 0 or after `last`."""
        step = self._step_frames(fps)
        return tuple(min(max(index + offset * step, 0), last) for offset in self.offsets)

    def reach_frames(self, fps: float) -> int:
        """The largest distance, in frames, from a sampled frame to one that its image needs."""
        return max(map(abs, self.offsets)) * self._step_frames(fps)

    def _step_frames(self, fps: float) -> int:
        return max(1, round(self.step_s * fps))


@dataclass(frozen=True)
class InGraph:
    """`prepare` and `combine` on Keras tensors: float32, whole numbers in [0, 255].

    Attributes:
        prepare: Takes frames, uint8 (n, H, W, 3) RGB, and a function that resizes frames of any
            number of channels to (n, S, S, C); returns the prepared frames.
        combine: Takes the prepared frames at each of the offsets; returns the images,
            (T, S, S, 3).
    """

    prepare: Callable[[Any, Callable[[Any], Any]], Any]
    combine: Callable[[Sequence[Any]], Any]


def squeeze(frame: np.ndarray, size: int) -> np.ndarray:
    """A frame resized to (size, size) by area, without keeping the aspect ratio."""
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)


def grey_in_graph(frames):
    """Grey levels as OpenCV computes them, float32 (n, H, W, 1), of RGB frames (n, H, W, 3)."""
    from keras import ops

    # Multiples of 2^-16 below 2^8, which float32 represents; the weights sum to 1. The half is
    # added first: onnxruntime adds a number to arrays with a last axis of one slowly.
    return ops.floor(ops.matmul(ops.cast(frames, "float32") + 0.5, _GREY))
