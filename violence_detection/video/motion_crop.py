"""Crop to the region of motion.

A fight fills a small part of a surveillance frame. In a crop to the region of motion, it is several
times larger for the backbone.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

FRAME_STEP = 2  # every second frame of a clip is used for the motion
RECIPE = "focus: the smallest square with 80% of changes over 24, on 64 columns, centred"
_COLUMNS = 64  # width that frames are reduced to
# A change of a pixel by fewer grey levels (of 255) is not motion: noise, compression, flicker.
NOISE_GREY_LEVELS = 24.0
MOTION_FRACTION = 0.8  # fraction of the motion that the region contains
_MIN_SIDE_COLUMNS, _SIDE_STEP_COLUMNS = 12, 2
NEARLY_FULLEST_FRACTION = 0.98  # of the motion in the fullest square


Polygon = Sequence[tuple[float, float]]


class Region(NamedTuple):
    """A rectangle in a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def crop(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame (H, W, 3); at least one pixel, for a frame of any size."""
        top = min(self.top, frame.shape[0] - 1)
        left = min(self.left, frame.shape[1] - 1)
        return frame[top : top + self.height, left : left + self.width]

    def scaled_down(self, factor: int) -> "Region":
        """The same part of frames whose sides are divided by `factor`."""
        return Region(
            self.left // factor,
            self.top // factor,
            max(1, self.width // factor),
            max(1, self.height // factor),
        )


def reduced_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a reduced frame."""
    return max(1, _COLUMNS * height // width), _COLUMNS


def square_sides(rows: int, columns: int) -> range:
    """Sides of the squares that a region can be, in columns; the last contains everything."""
    return range(_MIN_SIDE_COLUMNS, max(rows, columns) + _SIDE_STEP_COLUMNS, _SIDE_STEP_COLUMNS)


def reduce_frame(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W, 3) BGR, as grey levels with 64 columns, float32 (rows, 64)."""
    rows, columns = reduced_shape(*frame.shape[:2])
    small = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def frame_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The change between two reduced frames above the noise, in grey levels, float32 (rows, 64)."""
    return np.maximum(np.abs(after - before) - NOISE_GREY_LEVELS, 0)


class MotionMap:
    """The summed changes of a clip, in constant memory."""

    def __init__(self) -> None:
        self._sum: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()

    def add(self, frame: np.ndarray) -> None:
        """Add the next frame, uint8 (H, W, 3); the clip's frames are added in `FRAME_STEP`s."""
        reduced = reduce_frame(frame)
        # A frame of another size, in the middle of a file, cannot be compared with the last.
        if self._before is not None and self._before.shape == reduced.shape:
            change = frame_change(self._before, reduced).astype(np.float64)
            self._sum = change if self._sum is None else self._sum + change
        self._before, self._shape = reduced, frame.shape

    def region(self) -> Region | None:
        """The region of motion; see `motion_region`."""
        return None if self._sum is None else motion_region(self._sum, self._shape)


def cells_in(polygons: Sequence[Polygon], rows: int, columns: int) -> np.ndarray:
    """Cells of a reduced frame that polygons touch, bool (rows, columns).

    Args:
        polygons: Their points are shares of width and height.
    """
    touched = np.zeros((rows, columns), np.uint8)
    for polygon in polygons:
        points = np.floor([[x * columns, y * rows] for x, y in polygon]).astype(np.int32)
        cv2.fillPoly(touched, [points], 1)
    return touched.astype(bool)


class RecentMotion:
    """The changes of the last seconds of a video."""

    def __init__(self, ignored: Sequence[Polygon] = ()) -> None:
        """
        Args:
            ignored: Polygons in which no change counts; points are shares of width and height.
        """
        self._ignored = tuple(ignored)
        self._changes: deque[tuple[float, float, np.ndarray]] = deque()
        self._before: tuple[float, np.ndarray] | None = None
        self._shape: tuple[int, ...] = ()

    def add(self, time_s: float, frame: np.ndarray) -> None:
        """Add the next frame, uint8 (H, W, 3); frames are added in `FRAME_STEP`s."""
        reduced = reduce_frame(frame)
        if self._before is not None and self._before[1].shape == reduced.shape:
            start_s, before = self._before
            change = frame_change(before, reduced)
            if self._ignored:
                change[cells_in(self._ignored, *change.shape)] = 0
            self._changes.append((start_s, time_s, change))
        self._before, self._shape = (time_s, reduced), frame.shape

    def region_in(self, start_s: float, end_s: float) -> Region | None:
        """The region of motion between two times; changes before the first are dropped."""
        while self._changes and self._changes[0][0] < start_s:
            self._changes.popleft()
        changes = [change for _, after_s, change in self._changes if after_s < end_s]
        return motion_region(np.sum(changes, axis=0), self._shape) if changes else None


def motion_region(motion: np.ndarray, shape: tuple[int, ...]) -> Region | None:
    """The smallest square that contains 80% of the motion.

    Squares have sides of 12 columns and more, in steps of 2, and are cut off at the border. Of the
    positions whose square contains as much motion as the fullest, or 98% of it, the one in the
    middle is chosen.

    Args:
        motion: The summed change of each cell, (rows, 64), >= 0.
        shape: (height, width, ...) of the frames.

    Returns:
        The region in pixels of the frames; None, the whole frame, if nothing moves.
    """
    total = motion.sum(dtype=np.float64)
    if not total > 0:
        return None
    rows, columns = motion.shape
    # Summed-area table: the sum in any square is four of its values.
    sums = np.pad(motion.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    for side in square_sides(rows, columns):
        high, wide = min(side, rows), min(side, columns)
        inside = (
            sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
        )
        if inside.max() >= MOTION_FRACTION * total:
            break
    fullest = np.argwhere(inside >= NEARLY_FULLEST_FRACTION * inside.max())
    top, left = fullest[np.square(fullest - fullest.mean(0)).sum(1).argmin()]
    row_px, column_px = shape[0] / rows, shape[1] / columns
    return Region(
        left=int(left * column_px),
        top=int(top * row_px),
        width=max(1, int(wide * column_px)),
        height=max(1, int(high * row_px)),
    )
