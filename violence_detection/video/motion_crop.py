"""Where in the picture the motion is.

A fight fills a small part of a surveillance picture. Cut to where things move, the backbone
sees it several times larger.
"""

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

FRAME_STEP = 2  # of a clip's frames, that are looked at
RECIPE = "focus: the smallest square with 80% of changes over 24, on 64 columns, centred"
_COLUMNS = 64
NOISE_GREY_LEVELS = (
    24.0  # grey levels of change that do not count: noise, and what is not worth a look
)
MOTION_FRACTION = 0.8  # of the motion, that the region holds
_SMALLEST, _STEP = 12, 2  # columns
NEARLY_FULLEST_FRACTION = 0.98  # of what the fullest square holds


class Region(NamedTuple):
    """A part of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame (H, W, 3); at least a pixel, whatever the frame's size."""
        top = min(self.top, frame.shape[0] - 1)
        left = min(self.left, frame.shape[1] - 1)
        return frame[top : top + self.height, left : left + self.width]

    def reduced(self, by: int) -> "Region":
        """The same part of frames whose sides are divided by a number."""
        return Region(
            self.left // by,
            self.top // by,
            max(1, self.width // by),
            max(1, self.height // by),
        )


def reduced_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns that frames are looked at on."""
    return max(1, _COLUMNS * height // width), _COLUMNS


def square_sides(rows: int, columns: int) -> range:
    """Sides of the squares that a region can be; the last holds everything."""
    return range(_SMALLEST, max(rows, columns) + _STEP, _STEP)


def reduce_frame(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W, 3) BGR, as grey levels on 64 columns, float32 (rows, 64)."""
    rows, columns = reduced_shape(*frame.shape[:2])
    small = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def frame_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How much more two reduced frames differ than noise does, float32 (rows, 64)."""
    return np.maximum(np.abs(after - before) - NOISE_GREY_LEVELS, 0)


class MotionMap:
    """The mean change of a clip, in constant memory."""

    def __init__(self) -> None:
        self._sum: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame that is looked at, uint8 (H, W, 3)."""
        small = reduce_frame(frame)
        if self._before is not None and self._before.shape == small.shape:
            changed = frame_change(self._before, small).astype(np.float64)
            self._sum = changed if self._sum is None else self._sum + changed
        self._before, self._shape = small, frame.shape

    def region(self) -> Region | None:
        """Where the motion is; see `region_of`."""
        return None if self._sum is None else motion_region(self._sum, self._shape)


class RecentMotion:
    """The changes of a video as far back as they are needed."""

    def __init__(self) -> None:
        self._changes: deque[tuple[float, float, np.ndarray]] = deque()
        self._before: tuple[float, np.ndarray] | None = None
        self._shape: tuple[int, ...] = ()

    def add(self, time_s: float, frame: np.ndarray) -> None:
        """Take the next frame that is looked at, uint8 (H, W, 3)."""
        small = reduce_frame(frame)
        if self._before is not None and self._before[1].shape == small.shape:
            start, before = self._before
            self._changes.append((start, time_s, frame_change(before, small)))
        self._before, self._shape = (time_s, small), frame.shape

    def region_in(self, start_s: float, end_s: float) -> Region | None:
        """Where the motion is between two times; what is before the first is dropped."""
        while self._changes and self._changes[0][0] < start_s:
            self._changes.popleft()
        changes = [changed for _, after_s, changed in self._changes if after_s < end_s]
        return motion_region(np.sum(changes, axis=0), self._shape) if changes else None


def motion_region(motion: np.ndarray, shape: tuple[int, ...]) -> Region | None:
    """The smallest square that holds 80% of the motion.

    Squares have sides of 12 columns and up, in steps of 2, and are cut at the border. Of the
    places where it holds as much as anywhere, or nearly, it is the middle one.

    Args:
        motion: How much each place changes, (rows, 64), >= 0.
        shape: (height, width, ...) of the frames.

    Returns:
        The region in pixels of the frames; None, the whole picture, where nothing moves.
    """
    total = motion.sum(dtype=np.float64)
    if not total > 0:
        return None
    rows, columns = motion.shape
    sums = np.pad(motion.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    for side in square_sides(rows, columns):
        high, wide = min(side, rows), min(side, columns)
        held = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
        if held.max() >= MOTION_FRACTION * total:
            break
    fullest = np.argwhere(held >= NEARLY_FULLEST_FRACTION * held.max())
    top, left = fullest[np.square(fullest - fullest.mean(0)).sum(1).argmin()]
    down, across = shape[0] / rows, shape[1] / columns
    return Region(
        left=int(left * across),
        top=int(top * down),
        width=max(1, int(wide * across)),
        height=max(1, int(high * down)),
    )
