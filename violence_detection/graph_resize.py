"""OpenCV's resize by area as a few sums over rows and columns, in NumPy and in a graph.

At sizes that are known beforehand, a picture of n rows is brought to S by a matrix (S, n). Runtimes
have no such resize of their own, or one that differs by tens of grey levels.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

ONE = 2048.0  # OpenCV interpolates in whole numbers of this
_HALF_UP = 0.01  # added, halves are rounded up, and nothing else changes


class Taps(NamedTuple):
    """Which of n rows (or columns) each of S is a sum of.

    Attributes:
        indices: int64 (K, S), in [0, n).
        weights: float64 (K, S); each column sums to 1, or to 2048 where they interpolate.
    """

    indices: np.ndarray
    weights: np.ndarray

    def matrix(self, length: int) -> np.ndarray:
        """The same as a matrix, float32 (S, length)."""
        size = self.indices.shape[1]
        found = np.zeros((size, length))
        for indices, weights in zip(*self, strict=True):
            np.add.at(found, (np.arange(size), indices), weights)
        return found.astype(np.float32)


def is_area(height: int, width: int, to: tuple[int, int]) -> bool:
    """Whether OpenCV averages areas: where neither side grows. Else it interpolates both."""
    return height >= to[0] and width >= to[1]


def nudge(height: int, width: int, to: tuple[int, int]) -> float:
    """What is added before rounding: of halves of both sides OpenCV rounds a half up, not to
    even."""
    return _HALF_UP if (height, width) == (2 * to[0], 2 * to[1]) else 0.0


def taps(length: int, to: int, *, area: bool, count: int | None = None) -> Taps:
    """How `length` rows become `to`, as `cv2.resize` with INTER_AREA has it.

    By area, a row is the mean of ``[i n/S, (i + 1) n/S)``. Else it lies between the rows
    ``s = floor(i n/S)`` and s + 1, at ``f = (i + 1) - (s + 1) S/n``, less its floor, in steps
    of 1/2048.

    Args:
        length: n.
        to: S.
        area: See `is_area`.
        count: K at least, filled up with weights of 0.
    """
    place = np.arange(to)
    scale = 1 / (
        to / length
    )  # not n/S: where that is whole, OpenCV's floor is below it
    low = place * scale
    first = np.floor(low)
    if area:
        most = max(2, math.floor(length / to) + 2)
        places = first + np.arange(most)[:, None]
        covered = np.minimum(low + scale, places + 1) - np.maximum(low, places)
        covered = np.where(places < length, np.maximum(covered, 0), 0)
        weights = covered / covered.sum(0)
    else:
        places = first + np.arange(2)[:, None]
        share = (place + 1) - (first + 1) * (to / length)
        share = np.float32(share)
        share = np.where(share <= 0, 0, share - np.floor(share))
        share = np.where(first >= length - 1, 0, share)
        weights = np.round(np.float32([1 - share, share]) * ONE)
    indices = np.minimum(places, length - 1).astype(np.int64)
    more = max(0, (count or 0) - len(indices))
    return Taps(
        np.pad(indices, ((0, more), (0, 0))), np.pad(weights, ((0, more), (0, 0)))
    )


def resized(
    frames: "keras.KerasTensor", to: tuple[int, int], name: str
) -> "keras.KerasTensor":
    """Frames of a fixed size brought to another by area, rounded.

    Args:
        frames: float32 (n, H, W, C), whole numbers in [0, 255].
        to: (height, width).
        name: Of the layers.

    Returns:
        float32 (n, height, width, C), whole numbers.
    """
    from keras import ops

    _, height, width, channels = frames.shape
    area = is_area(height, width, to)
    rows, columns = taps(height, to[0], area=area), taps(width, to[1], area=area)
    shape = (-1, to[0], to[1], channels)
    if area:  # rows first, which are together in memory
        low = _by_rows(frames, rows.matrix(height))
        both = ops.reshape(_by_columns(low, columns.matrix(width), name), shape)
        return ops.round(both + nudge(height, width, to))
    flat = ops.reshape(frames, (-1, height, width * channels))
    wide = _by_columns(flat, columns.matrix(width), name)
    kept = [ops.take(wide, indices.astype(np.int32), 1) for indices in rows.indices]
    weights = [one.astype(np.float32)[:, None] for one in rows.weights]
    return ops.reshape(interpolated(kept, weights), shape)


def interpolated(rows: list, weights: list) -> "keras.KerasTensor":
    """Between two rows, as OpenCV does it in whole numbers.

    ``((b0 (D0 >> 4)) >> 16) + ((b1 (D1 >> 4)) >> 16) + 2) >> 2``, in float32, which holds whole
    numbers up to 2^24: the product, which would be larger, is taken in two parts.

    Args:
        rows: D0 and D1, whole numbers in [0, 255 * 2048].
        weights: b0 and b1, that go with them, in [0, 2048].
    """
    from keras import ops

    total = 2.0
    for row, weight in zip(rows[:2], weights[:2], strict=True):
        short = ops.floor(row / 16)
        high = ops.floor(short / 32)
        low = ops.floor((short - 32 * high) * weight / 32)
        total = ops.floor((high * weight + low) / 2048) + total
    return ops.floor(total / 4)


def _block(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The matrix of which `matrix` is as many along the diagonal, and their number."""
    size, length = matrix.shape
    for blocks in range(math.gcd(size, length), 1, -1):
        block = matrix[: size // blocks, : length // blocks]
        if math.gcd(size, length) % blocks == 0 and np.allclose(
            np.kron(np.eye(blocks, dtype=np.float32), block), matrix, atol=1e-7
        ):
            return block, blocks
    return matrix, 1


def _by_rows(frames: "keras.KerasTensor", matrix: np.ndarray) -> "keras.KerasTensor":
    """(n, H, W, C) -> (n, S, W C)."""
    from keras import ops

    _, height, width, channels = frames.shape
    block, blocks = _block(matrix)
    parts = ops.reshape(frames, (-1, height // blocks, width * channels))
    return ops.reshape(ops.matmul(block, parts), (-1, len(matrix), width * channels))


def _by_columns(
    rows: "keras.KerasTensor", matrix: np.ndarray, name: str
) -> "keras.KerasTensor":
    """(n, rows, W C) -> (n, rows, S C), in a layer that holds the matrix: in an operation it
    would be written into the model's description, number by number."""
    import keras
    from keras import ops

    block, blocks = _block(matrix)
    height, channels = rows.shape[1], rows.shape[2] // matrix.shape[1]
    kernel = np.kron(block.T, np.eye(channels, dtype=np.float32))
    layer = keras.layers.Dense(
        kernel.shape[1], use_bias=False, trainable=False, name=f"{name}_columns"
    )
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel])
    found = layer(ops.reshape(rows, (-1, blocks, kernel.shape[0])))
    return ops.reshape(found, (-1, height, len(matrix) * channels))
