"""`focus` in a graph: where the motion of a clip is, and frames cut to that."""

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from violence_detection.export import resize_graph
from violence_detection.video import motion_crop
from violence_detection.video.streams._stream import grey_in_graph

if TYPE_CHECKING:
    import keras


class CropPosition(NamedTuple):
    """Where to cut frames, as tensors.

    Attributes:
        top, left: In pixels, int32 ().
        side: Which of the sizes that a region can have, int32 ().
    """

    top: "keras.KerasTensor"
    left: "keras.KerasTensor"
    side: "keras.KerasTensor"


class MotionCropGraph:
    """The focus for frames of one size.

    Attributes:
        size: Height and width of the frames.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)
        self._rows, self._columns = motion_crop.reduced_shape(height, width)
        self._sides = list(motion_crop.square_sides(self._rows, self._columns))

    def place(self, frames: "keras.KerasTensor") -> CropPosition:
        """Where 80% of the motion is.

        Args:
            frames: uint8 (n, H, W, 3) RGB, those that are looked at.
        """
        from keras import ops

        small = grey_in_graph(resize_graph.resize(frames, (self._rows, self._columns)))
        small = ops.squeeze(small, -1)
        changes = ops.relu(ops.abs(small[1:, :] - small[:-1, :]) - motion_crop.NOISE_GREY_LEVELS)
        return self._place_of(ops.sum(changes, axis=0))

    def _place_of(self, motion: "keras.KerasTensor") -> CropPosition:
        """Of the motion on the reduced picture, (rows, columns)."""
        from keras import ops

        total = ops.sum(motion)
        sums = ops.cumsum(ops.cumsum(ops.pad(motion, ((1, 0), (1, 0))), 0), 1)
        found = self._whole()
        # From the largest down: the smallest square that holds enough is what remains.
        for number, side in reversed(list(enumerate(self._sides))):
            held, at = self._fullest(sums, side)
            fits = ops.logical_and(total > 0, held >= motion_crop.MOTION_FRACTION * total)
            if side == self._sides[-1]:  # it holds all; rounding has no say
                fits = total > 0
            here = self._in_pixels(at, side, number)
            found = [ops.where(fits, new, old) for new, old in zip(here, found, strict=True)]
        return CropPosition(*found)

    def _fullest(self, sums: "keras.KerasTensor", side: int):
        """The most that a square holds, and which: of those that hold nearly as much, the middle
        one, as its number row by row."""
        from keras import ops

        high, wide = self._cut(side)
        held = sums[high:, wide:] - sums[:-high, wide:]
        held = held - sums[high:, :-wide] + sums[:-high, :-wide]
        most = ops.max(held)
        shape = (self._rows - high + 1, self._columns - wide + 1)
        full = ops.cast(held >= motion_crop.NEARLY_FULLEST_FRACTION * most, "float32")
        count = ops.sum(full)
        far = (1 - full) * 1e12
        for places in np.indices(shape).astype(np.float32):
            # From the middle, times their number: in whole numbers what is equally far is equal.
            far = far + ops.square(count * places - ops.sum(full * places))
        # Not argmin: that of Keras looks at the sign of zeros, bit by bit.
        number = np.arange(far.shape[0] * far.shape[1], dtype=np.float32)
        nearest = ops.where(far <= ops.min(far), number.reshape(far.shape), 1e9)
        return most, ops.cast(ops.min(nearest), "int32")

    def _in_pixels(self, at: "keras.KerasTensor", side: int, number: int):
        """Top, left and side, of a square's number."""
        from keras import ops

        high, wide = self._cut(side)
        shape = (self._rows - high + 1, self._columns - wide + 1)
        places = np.indices(shape).reshape(2, -1)
        scales = (self.size[0] / self._rows, self.size[1] / self._columns)
        pixels = [(one * scale).astype(np.int32) for one, scale in zip(places, scales, strict=True)]
        return [*(ops.take(one, at) for one in pixels), np.int32(number)]

    def _whole(self):
        """The whole picture, as top, left and side."""
        return [np.int32(0), np.int32(0), np.int32(len(self._sides))]

    def _cut(self, side: int) -> tuple[int, int]:
        return min(side, self._rows), min(side, self._columns)

    def _sizes(self) -> list[tuple[int, int]]:
        """Height and width in pixels of each size that a region can have."""
        height, width = self.size
        sizes = [
            (
                max(1, int(high * (height / self._rows))),
                max(1, int(wide * (width / self._columns))),
            )
            for high, wide in map(self._cut, self._sides)
        ]
        return [*sizes, self.size]

    def resized(
        self, frames: "keras.KerasTensor", place: CropPosition, to: int
    ) -> "keras.KerasTensor":
        """Frames cut to a place and brought to a square by area, rounded.

        Args:
            frames: uint8 or float32 (n, H, W, C), whole numbers in [0, 255].
            place: Where to cut them.
            to: S.

        Returns:
            float32 (n, S, S, C), whole numbers.
        """
        from keras import ops

        square = (to, to)
        sizes = self._sizes()
        ways = [resize_graph.resize_method(*size, square) for size in sizes]
        rows, columns = (_tables([size[axis] for size in sizes], ways, to) for axis in (0, 1))
        chosen = functools.partial(ops.take, indices=place.side, axis=0)
        channels = frames.shape[3]
        lines = resize_graph.sum_columns(
            frames,
            [chosen(table) + place.left for table in columns.indices],
            [chosen(np.repeat(table, channels, -1)) for table in columns.weights],
        )
        at = [chosen(table) + place.top for table in rows.indices]
        shares = [ops.reshape(chosen(table), (to, 1)) for table in rows.weights]
        finish = np.float32([resize_graph.rounding_terms(*size, square) for size in sizes])
        scale, nudge = (chosen(np.ascontiguousarray(one)) for one in finish.T)
        mean = ops.round(resize_graph.sum_rows(lines, at, shares) * scale + nudge)
        between = resize_graph.interpolate_rows(
            [ops.take(lines, one, 1) for one in at[:2]],
            shares,
        )
        is_between = np.array([way == resize_graph.LINEAR for way in ways])
        squeezed = ops.where(chosen(is_between), between, mean)
        return ops.reshape(squeezed, (-1, to, to, channels))


def _tables(lengths: list[int], ways: list[int], to: int) -> resize_graph.Taps:
    """The taps of each length, indices and weights (K, lengths, S)."""
    pairs = list(zip(lengths, ways, strict=True))
    most = max(len(resize_graph.taps(length, to, way).indices) for length, way in pairs)
    found = [resize_graph.taps(length, to, way, max(2, most)) for length, way in pairs]
    return resize_graph.Taps(*(np.stack(one, axis=1) for one in zip(*found, strict=True)))
