"""Resize and motion crop of frames whose size is known only when the graph runs.

`resize_graph` and `motion_crop_graph` do the same for frames of a fixed size, with tables. Here the
graph computes the tables, in float32 numbers that are whole or quotients of two whole numbers, so
that every runtime computes the same ones.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from violence_detection.export.graphs import resize_graph
from violence_detection.video import motion_crop
from violence_detection.video.streams._stream import grey_in_graph

if TYPE_CHECKING:
    import keras

# Rows of a reduced frame of 64 columns: frames from 16 by 3 to 9 by 20.
_MIN_ROWS, _MAX_ROWS = 12, 144
_COLUMNS = motion_crop.reduced_shape(1, 1)[1]
_LAST_AXIS_FIRST = (2, 0, 1)


class Size(NamedTuple):
    """Height and width in pixels, float32 () each."""

    height: "keras.KerasTensor"
    width: "keras.KerasTensor"


class Region(NamedTuple):
    """A rectangle in a frame, in pixels, float32 () each; see `motion_crop.Region`."""

    top: "keras.KerasTensor"
    left: "keras.KerasTensor"
    size: Size


def size_of(frames: "keras.KerasTensor") -> Size:
    """The size of frames (n, H, W, C), n >= 1."""
    return Size(count_of(frames[0, :, 0, 0]), count_of(frames[0, 0, :, 0]))


def count_of(vector: "keras.KerasTensor") -> "keras.KerasTensor":
    """The length of a vector as float32 (): Keras has no operation for a length that is unknown."""
    from keras import ops

    return ops.sum(ops.cast(ops.ones_like(vector), "float32"))


def is_supported(size: Size, largest: int) -> "keras.KerasTensor":
    """True () for frames with no side over `largest`, and neither wider than 16 by 3 nor narrower
    than 9 by 20."""
    from keras import ops

    rows = ops.floor(_COLUMNS * size.height / size.width)
    has_rows = ops.logical_and(rows >= _MIN_ROWS, rows <= _MAX_ROWS)
    return ops.logical_and(ops.maximum(size.height, size.width) <= largest, has_rows)


def resize(
    frames: "keras.KerasTensor", side: int, *, largest: int, region: Region
) -> "keras.KerasTensor":
    """A region of frames, resized to a square by area as OpenCV does it, rounded.

    Args:
        frames: uint8 or float32 (n, H, W, C), whole numbers in [0, 255].
        side: S.
        largest: The longest side of a region, in pixels.
        region: The region; `whole_frame` for all.

    Returns:
        float32 (n, S, S, C), whole numbers.
    """
    taps = math.ceil(largest / side) + 1
    return _Resize(region.size, (side, side), (side, side), taps, largest).apply(
        frames, top=region.top, left=region.left
    )


def whole_frame(size: Size) -> Region:
    """The region that is the whole frame."""
    return Region(0.0 * size.height, 0.0 * size.width, size)


class _Taps(NamedTuple):
    """The rows that each of S rows is a weighted sum of, and their weights: float32 (K, S) each."""

    indices: "keras.KerasTensor"
    weights: "keras.KerasTensor"

    def weights_of_lines(self) -> list["keras.KerasTensor"]:
        """The weights of each tap, for arrays whose first axis is the rows: (S, 1, 1) each."""
        from keras import ops

        return [ops.reshape(weights, (-1, 1, 1)) for weights in _each(self.weights)]


def _each(table: "keras.KerasTensor") -> list["keras.KerasTensor"]:
    """The rows of a table; Keras does not iterate over a tensor of a graph."""
    return [table[number] for number in range(table.shape[0])]


class _Resize:
    """A resize of images of one size to another; see `resize_graph`."""

    def __init__(
        self,
        size: Size,
        to: tuple[Any, Any],
        computed: tuple[int, int],
        taps: int,
        largest: int,
    ) -> None:
        """
        Args:
            size: Height and width of the images.
            to: Height and width of the result, int or float32 ().
            computed: Rows and columns that are computed; those beyond `to` are 0.
            taps: The most pixels that a row or column is made of.
            largest: The longest side of an image.
        """
        from keras import ops

        self._shape, self._largest = computed, largest
        import os

        self._first = os.environ.get("FIRST") == "1"
        self._count = max(2, taps)
        blocks = [length / side for length, side in zip(size, to, strict=True)]
        self._is_linear = ops.logical_or(size.height < to[0], size.width < to[1])
        is_block = ops.logical_and(*(ops.equal(ops.floor(block), block) for block in blocks))
        self._is_block = ops.logical_and(is_block, ops.logical_not(self._is_linear))
        is_two_by_two = ops.logical_and(ops.equal(blocks[0], 2.0), ops.equal(blocks[1], 2.0))
        self._scale = ops.where(self._is_block, 1.0 / (blocks[0] * blocks[1]), 1.0)
        self._offset = ops.where(is_two_by_two, resize_graph.HALF_UP, 0.0)
        self._rows, self._columns = (
            self._taps(length, side, count)
            for length, side, count in zip(size, to, computed, strict=True)
        )

    def _taps(self, length: Any, to: Any, count: int) -> _Taps:
        """The taps of each of `count` rows. Positions are counted in parts of a pixel, `to` a
        pixel and `length` a row of the result, so that all are whole numbers."""
        from keras import ops

        row = np.arange(count, dtype=np.float32)
        number = np.arange(self._count, dtype=np.float32)[:, None]
        start, end = length * row, length * (row + 1)
        first = ops.floor(start / to)
        source = first + number
        covered = ops.minimum(end, (source + 1) * to) - ops.maximum(start, source * to)
        weights = ops.relu(covered) / ops.where(self._is_block, 1.0 * to, length)
        if isinstance(to, int):
            first = first - _is_below(length, self._largest, to)
        fraction = ops.relu(end - (first + 1) * to) / length
        fraction = fraction - ops.floor(fraction)
        fraction = ops.where(first >= length - 1, 0.0, fraction)
        near = ops.round((1 - fraction) * resize_graph.LINEAR_STEPS)
        far = ops.round(fraction * resize_graph.LINEAR_STEPS)
        linear = near * np.equal(number, 0) + far * np.equal(number, 1)
        weights = ops.where(self._is_linear, linear, weights)
        source = ops.where(self._is_linear, first + number, source)
        if not isinstance(to, int):
            weights = weights * ops.cast(ops.less(row, to), "float32")
        return _Taps(ops.minimum(source, length - 1), weights)

    def apply(self, frames: "keras.KerasTensor", *, top: Any, left: Any) -> "keras.KerasTensor":
        """The images whose upper left corner is at (top, left) of frames (n, H, W, C), resized to
        float32 (n, rows, columns, C)."""
        from keras import ops

        count, channels = frames.shape[0] or -1, frames.shape[3]
        frames = ops.cast(frames, "uint8")
        # Runtimes multiply lines of single numbers faster than pixels of three channels, and
        # arrays whose last axis is one slowest of all.
        if channels == 1:
            planes = ops.squeeze(frames, -1)
        else:
            planes = [frames[:, :, :, channel] for channel in range(channels)]
            planes = ops.concatenate(planes, axis=0)
        # The axis that is summed over comes first: onnxruntime and TensorFlow copy whole lines
        # then, where along the last axis they take number after number (benchmarks/any_size.py).
        lines = ops.transpose(planes, _LAST_AXIS_FIRST)
        columns = ops.cast(self._columns.indices + left, "int32")
        lines = resize_graph.sum_products(
            (ops.cast(ops.take(lines, indices, 0), "float32") for indices in _each(columns)),
            self._columns.weights_of_lines(),
        )
        lines = ops.transpose(lines, _LAST_AXIS_FIRST)
        rows = ops.cast(self._rows.indices + top, "int32")
        taken = [ops.take(lines, indices, 0) for indices in _each(rows)]
        weights = self._rows.weights_of_lines()
        mean = ops.round(resize_graph.sum_products(taken, weights) * self._scale + self._offset)
        interpolated = resize_graph.interpolate_rows(taken, weights)
        resized = ops.where(self._is_linear, interpolated, mean)
        resized = ops.transpose(resized, _LAST_AXIS_FIRST)
        if channels == 1:
            return ops.expand_dims(resized, -1)
        return ops.moveaxis(ops.reshape(resized, (channels, count, *self._shape)), 0, -1)


def _is_below(length: "keras.KerasTensor", largest: int, to: int) -> "keras.KerasTensor":
    """1.0 for each row whose first source row OpenCV's float64 rounds down to the one before.

    A table, since not all runtimes have float64.
    """
    from keras import ops

    lengths, rows = np.arange(1, largest + 1)[:, None], np.arange(to)
    rounded = np.floor(rows * (1 / (to / lengths))).astype(np.int64)
    table = np.concatenate([np.zeros((1, to)), rows * lengths // to - rounded]).astype(np.int8)
    number = ops.cast(ops.minimum(length, float(largest)), "int32")
    return ops.cast(ops.take(table, number, 0), "float32")


def _in_float64(value: Any) -> Any:
    from keras import ops

    return float(value) if isinstance(value, int) else ops.cast(value, "float64")


def motion_region(frames: "keras.KerasTensor", size: Size, *, largest: int) -> Region:
    """The smallest square with 80% of the motion; see `motion_crop.motion_region`.

    Args:
        frames: uint8 (n, H, W, 3) RGB, those that motion is measured on.
        size: Height and width of the frames.
        largest: Their longest side.
    """
    from keras import ops

    rows = ops.maximum(1.0, ops.floor(_COLUMNS * size.height / size.width))
    # A row is higher than a column is wide where the number of rows is rounded down.
    taps = math.ceil(largest / _COLUMNS * (_MIN_ROWS + 1) / _MIN_ROWS) + 1
    reduce = _Resize(size, (rows, _COLUMNS), (_MAX_ROWS, _COLUMNS), taps, largest)
    small = ops.squeeze(grey_in_graph(reduce.apply(frames, top=0.0, left=0.0)), -1)
    changes = ops.relu(ops.abs(small[1:, :] - small[:-1, :]) - motion_crop.NOISE_GREY_LEVELS)
    return _region_of(ops.sum(changes, axis=0), rows, size)


def _region_of(motion: "keras.KerasTensor", rows: "keras.KerasTensor", size: Size) -> Region:
    """The region for the motion on the reduced frame.

    Args:
        motion: Whole numbers, float32 (144, 64); 0 from row `rows` on.
        rows: Number of rows of the reduced frame, float32 ().
        size: Height and width of the frames.
    """
    from keras import ops

    total = ops.sum(motion)
    sums = ops.cumsum(ops.cumsum(ops.pad(motion, ((1, 0), (1, 0))), 0), 1)
    sides = np.float32(list(motion_crop.square_sides(_MAX_ROWS, _COLUMNS)))
    high, wide = ops.minimum(sides, rows), np.minimum(sides, _COLUMNS)
    # The sums in all squares of all sides: (sides, 145, 65), by the upper left corner.
    row, column = (np.arange(count, dtype=np.float32) for count in motion_sums_shape())
    bottom = ops.reshape(high, (-1, 1, 1)) + row[:, None]
    right = (column + wide[:, None])[:, None]
    table = ops.reshape(sums, (-1,))

    def at(rows_of, columns_of):
        flat = ops.minimum(rows_of, _MAX_ROWS) * len(column) + np.minimum(columns_of, _COLUMNS)
        return ops.take(table, ops.cast(flat, "int32"))

    top_row, left_column = row[:, None], column
    inside = at(bottom, right) - at(0 * bottom + top_row, right)
    inside = inside - at(bottom, left_column) + sums
    is_inside = ops.logical_and(bottom <= rows, right <= _COLUMNS)
    inside = ops.where(is_inside, inside, -1.0)
    most = ops.max(inside, axis=(1, 2))
    is_enough = ops.logical_or(
        most >= motion_crop.MOTION_FRACTION * total,
        ops.greater_equal(sides, ops.maximum(rows, float(_COLUMNS))),
    )
    number = np.arange(len(sides), dtype=np.float32)
    number = ops.cast(ops.min(ops.where(is_enough, number, len(sides) - 1.0)), "int32")

    # Of its squares that are nearly the fullest, the one in the middle.
    inside, high, wide = ops.take(inside, number, 0), ops.take(high, number), ops.take(wide, number)
    full = ops.cast(
        inside >= motion_crop.NEARLY_FULLEST_FRACTION * ops.take(most, number), "float32"
    )
    count = ops.sum(full)
    distance = (1 - full) * 1e12
    for positions in np.indices(motion_sums_shape()).astype(np.float32):
        # Distance from the mean times the count: whole numbers, in which ties are exact.
        distance = distance + ops.square(count * positions - ops.sum(full * positions))
    # Not argmin: the one of Keras compares zeros by their sign bit.
    order = np.arange(len(row) * len(column), dtype=np.float32).reshape(len(row), len(column))
    square = ops.min(ops.where(distance <= ops.min(distance), order, 1e9))
    top = ops.floor(square / len(column))
    left = square - top * len(column)
    moves = total > 0
    return Region(
        ops.where(moves, _in_pixels(top, size.height, rows), 0.0),
        ops.where(moves, _in_pixels(left, size.width, _COLUMNS), 0.0),
        Size(
            ops.where(moves, ops.maximum(1.0, _in_pixels(high, size.height, rows)), size.height),
            ops.where(moves, ops.maximum(1.0, _in_pixels(wide, size.width, _COLUMNS)), size.width),
        ),
    )


def motion_sums_shape() -> tuple[int, int]:
    """Rows and columns of the summed-area table."""
    return _MAX_ROWS + 1, _COLUMNS + 1


def _in_pixels(cells: Any, length: Any, count: Any) -> "keras.KerasTensor":
    """``int(cells * (length / count))`` in float64, as `motion_crop` computes it."""
    from keras import ops

    exact = _in_float64(cells) * (_in_float64(length) / _in_float64(count))
    return ops.cast(ops.floor(exact), "float32")
