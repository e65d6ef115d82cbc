"""The motion crop (`focus=true`) as a graph of Keras operations."""

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from violence_detection.export.graphs import resize_graph
from violence_detection.video import motion_crop
from violence_detection.video.streams._stream import grey_in_graph

if TYPE_CHECKING:
    import keras


class CropPosition(NamedTuple):
    """The position and size of a crop, as tensors.

    Attributes:
        top, left: In pixels, int32 ().
        size_number: Index of the crop's size among the sizes that it can have, int32 ().
    """

    top: "keras.KerasTensor"
    left: "keras.KerasTensor"
    size_number: "keras.KerasTensor"


class MotionCropGraph:
    """The motion crop of frames of one size.

    Attributes:
        size: Height and width of the frames.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)
        self._rows, self._columns = motion_crop.reduced_shape(height, width)
        self._sides = list(motion_crop.square_sides(self._rows, self._columns))

    def position(self, frames: "keras.KerasTensor") -> CropPosition:
        """The smallest square with 80% of the motion.

        Args:
            frames: uint8 (n, H, W, 3) RGB, those that motion is measured on.
        """
        from keras import ops

        small = grey_in_graph(resize_graph.resize(frames, (self._rows, self._columns)))
        small = ops.squeeze(small, -1)
        changes = ops.relu(ops.abs(small[1:, :] - small[:-1, :]) - motion_crop.NOISE_GREY_LEVELS)
        return self._position_of(ops.sum(changes, axis=0))

    def _position_of(self, motion: "keras.KerasTensor") -> CropPosition:
        """The position for the motion on the reduced frame, (rows, columns)."""
        from keras import ops

        total = ops.sum(motion)
        sums = ops.cumsum(ops.cumsum(ops.pad(motion, ((1, 0), (1, 0))), 0), 1)
        chosen = [np.int32(0), np.int32(0), np.int32(len(self._sides))]  # the whole frame
        # From the largest down: the smallest square with enough motion is chosen last.
        for number, side in reversed(list(enumerate(self._sides))):
            motion_inside, square = self._fullest_square(sums, side)
            is_enough = ops.logical_and(
                total > 0, motion_inside >= motion_crop.MOTION_FRACTION * total
            )
            if side == self._sides[-1]:  # it contains all motion, however the sum is rounded
                is_enough = total > 0
            candidate = self._in_pixels(square, side, number)
            chosen = [
                ops.where(is_enough, new, old) for new, old in zip(candidate, chosen, strict=True)
            ]
        return CropPosition(*chosen)

    def _fullest_square(self, sums: "keras.KerasTensor", side: int):
        """The motion in the fullest square of a side, and the number of the chosen square.

        The chosen square is the middle of those with nearly as much motion. Squares are numbered
        row by row.

        Args:
            sums: Summed-area table of the motion, (rows + 1, columns + 1).
            side: On the reduced frame.
        """
        from keras import ops

        high, wide = self._clip_side(side)
        inside = sums[high:, wide:] - sums[:-high, wide:]
        inside = inside - sums[high:, :-wide] + sums[:-high, :-wide]
        most = ops.max(inside)
        shape = (self._rows - high + 1, self._columns - wide + 1)
        full = ops.cast(inside >= motion_crop.NEARLY_FULLEST_FRACTION * most, "float32")
        count = ops.sum(full)
        distance = (1 - full) * 1e12
        for positions in np.indices(shape).astype(np.float32):
            # Distance from the mean times the count: whole numbers, in which ties are exact.
            distance = distance + ops.square(count * positions - ops.sum(full * positions))
        # Not argmin: the one of Keras compares zeros by their sign bit.
        number = np.arange(distance.shape[0] * distance.shape[1], dtype=np.float32)
        nearest = ops.where(distance <= ops.min(distance), number.reshape(distance.shape), 1e9)
        return most, ops.cast(ops.min(nearest), "int32")

    def _in_pixels(self, square: "keras.KerasTensor", side: int, number: int):
        """Top, left and size number of a square, given by its number."""
        from keras import ops

        high, wide = self._clip_side(side)
        shape = (self._rows - high + 1, self._columns - wide + 1)
        positions = np.indices(shape).reshape(2, -1)
        scales = (self.size[0] / self._rows, self.size[1] / self._columns)
        top, left = (
            (axis * scale).astype(np.int32) for axis, scale in zip(positions, scales, strict=True)
        )
        return [ops.take(top, square), ops.take(left, square), np.int32(number)]

    def _clip_side(self, side: int) -> tuple[int, int]:
        return min(side, self._rows), min(side, self._columns)

    def _sizes(self) -> list[tuple[int, int]]:
        """Height and width in pixels of each size that a crop can have; the last is the frame's."""
        height, width = self.size
        sizes = [
            (
                max(1, int(high * (height / self._rows))),
                max(1, int(wide * (width / self._columns))),
            )
            for high, wide in map(self._clip_side, self._sides)
        ]
        return [*sizes, self.size]

    def crop_and_resize(
        self, frames: "keras.KerasTensor", position: CropPosition, side: int
    ) -> "keras.KerasTensor":
        """Frames cropped and resized to a square by area, rounded.

        Args:
            frames: uint8 or float32 (n, H, W, C), whole numbers in [0, 255].
            position: Position of the crop.
            side: S.

        Returns:
            float32 (n, S, S, C), whole numbers.
        """
        from keras import ops

        square = (side, side)
        sizes = self._sizes()
        methods = [resize_graph.resize_method(*size, square) for size in sizes]
        rows, columns = (
            _stack_taps([size[axis] for size in sizes], methods, side) for axis in (0, 1)
        )
        select = functools.partial(ops.take, indices=position.size_number, axis=0)
        channels = frames.shape[3]
        lines = resize_graph.sum_columns(
            frames,
            [select(table) + position.left for table in columns.indices],
            [select(np.repeat(table, channels, -1)) for table in columns.weights],
        )
        row_indices = [select(table) + position.top for table in rows.indices]
        row_weights = [ops.reshape(select(table), (side, 1)) for table in rows.weights]
        terms = np.float32([resize_graph.rounding_terms(*size, square) for size in sizes])
        scale, offset = (select(np.ascontiguousarray(term)) for term in terms.T)
        mean = ops.round(resize_graph.sum_rows(lines, row_indices, row_weights) * scale + offset)
        interpolated = resize_graph.interpolate_rows(
            [ops.take(lines, indices, 1) for indices in row_indices[:2]],
            row_weights,
        )
        is_linear = np.array([method == resize_graph.LINEAR for method in methods])
        resized = ops.where(select(is_linear), interpolated, mean)
        return ops.reshape(resized, (-1, side, side, channels))


def _stack_taps(lengths: list[int], methods: list[int], to: int) -> resize_graph.Taps:
    """The taps of each length, indices and weights (K, lengths, S)."""
    pairs = list(zip(lengths, methods, strict=True))
    most = max(len(resize_graph.taps(length, to, method).indices) for length, method in pairs)
    by_length = [resize_graph.taps(length, to, method, max(2, most)) for length, method in pairs]
    indices, weights = (np.stack(tables, axis=1) for tables in zip(*by_length, strict=True))
    return resize_graph.Taps(indices, weights)
