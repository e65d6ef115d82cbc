"""What the streams share: how a picture for the backbone is made of a video's frames."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SQUEEZED = "area, aspect ratio not kept"
# OpenCV's weights of red, green and blue, of 2^15.
_GREY = np.array([[9798], [19235], [3735]], np.float32)


@dataclass(frozen=True)
class Stream:
    """How the backbone sees the frame at a time t.

    Attributes:
        prepare: What is kept of each frame that the picture is made of: from uint8
            (h, w, 3) BGR, cut to the focus, to an array.
        combine: The picture, uint8 (S, S, 3), from those arrays, in the order of `offsets`.
        offsets: The frames, in steps around the one at t.
        step_s: Seconds in a step; it is one frame at least.
        focus: Whether frames are first cut to where the motion is.
        in_graph: The same as operations of Keras, for export; None where there is none.
    """

    prepare: Callable[[np.ndarray], np.ndarray]
    combine: Callable[[Sequence[np.ndarray]], np.ndarray]
    offsets: tuple[int, ...] = (0,)
    step_s: float = 0.0
    focus: bool = False
    in_graph: "InGraph | None" = None

    def frames(self, index: int, *, fps: float, last: int) -> tuple[int, ...]:
        """The frames that the picture at `index` is made of, none before 0 or after `last`."""
        step = self._step(fps)
        return tuple(min(max(index + one * step, 0), last) for one in self.offsets)

    def reach(self, fps: float) -> int:
        """Frames to the furthest that a picture is made of."""
        return max(map(abs, self.offsets)) * self._step(fps)

    def _step(self, fps: float) -> int:
        return max(1, round(self.step_s * fps))


@dataclass(frozen=True)
class InGraph:
    """`prepare` and `combine` on Keras' tensors; float32, whole numbers in [0, 255].

    Attributes:
        prepare: From frames uint8 (n, H, W, 3) RGB, and a function that brings frames of any
            channels to (n, S, S, C), to what is kept of them.
        combine: The pictures (T, S, S, 3), from what is kept at each of the offsets.
    """

    prepare: Callable[[Any, Callable[[Any], Any]], Any]
    combine: Callable[[Sequence[Any]], Any]


def squeeze(frame: np.ndarray, size: int) -> np.ndarray:
    """A frame brought to (size, size) by area."""
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)


def grey_in_graph(frames):
    """RGB (n, H, W, 3), whole numbers, to grey levels as OpenCV has them, float32 (n, H, W, 1)."""
    from keras import ops

    frames = ops.cast(frames, "float32")
    return ops.floor((ops.matmul(frames, _GREY) + 2.0**14) * 2.0**-15)
