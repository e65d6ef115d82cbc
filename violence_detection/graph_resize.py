"""OpenCV's resize by area as a few sums over rows and columns, in NumPy and in a graph.

At sizes that are known beforehand, a picture of n rows is brought to S by a matrix (S, n). Runtimes
have no such resize of their own, or one that differs by tens of grey levels.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

HALF_UP = 0.01  # added, halves are rounded up, and nothing else changes


class Taps(NamedTuple):
    """Which of n rows (or columns) each of S is a sum of.

    Attributes:
        indices: int64 (K, S), in [0, n).
        weights: float64 (K, S); each column sums to 1.
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
    return HALF_UP if (height, width) == (2 * to[0], 2 * to[1]) else 0.0


def taps(length: int, to: int, *, area: bool, count: int | None = None) -> Taps:
    """How `length` rows become `to`, as `cv2.resize` with INTER_AREA has it.

    By area, a row is the mean of ``[i n/S, (i + 1) n/S)``. Else it lies between the rows
    ``s = floor(i n/S)`` and s + 1, at ``f = (i + 1) - (s + 1) S/n``, less its floor.

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
        weights = np.stack([1 - share, share])
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
    rows = taps(height, to[0], area=area).matrix(height)
    columns = taps(width, to[1], area=area).matrix(width)
    # The larger of both first, to have less to do after it.
    low = _by_rows(frames, rows, area)
    both = _by_columns(low, columns, area, name)
    both = ops.reshape(both, (-1, to[0], to[1], channels))
    return ops.round(both + nudge(height, width, to))


def _blocks(matrix: np.ndarray, area: bool) -> tuple[np.ndarray, int]:
    """The matrix of which `matrix` is as many blocks along the diagonal, and their number."""
    size, length = matrix.shape
    blocks = math.gcd(size, length) if area else 1
    return matrix[: size // blocks, : length // blocks], blocks


def _by_rows(frames: "keras.KerasTensor", matrix: np.ndarray, area: bool):
    """(n, H, W, C) -> (n, S, W C)."""
    from keras import ops

    _, height, width, channels = frames.shape
    block, blocks = _blocks(matrix, area)
    parts = ops.reshape(frames, (-1, height // blocks, width * channels))
    return ops.reshape(ops.matmul(block, parts), (-1, len(matrix), width * channels))


def _by_columns(rows: "keras.KerasTensor", matrix: np.ndarray, area: bool, name: str):
    """(n, S, W C) -> (n, S, S C), in a layer that holds the matrix: in an operation it would
    be written into the model's description, number by number."""
    import keras
    from keras import ops

    block, blocks = _blocks(matrix, area)
    height, channels = rows.shape[1], rows.shape[2] // matrix.shape[1]
    kernel = np.kron(block.T, np.eye(channels, dtype=np.float32))
    layer = keras.layers.Dense(
        kernel.shape[1], use_bias=False, trainable=False, name=f"{name}_columns"
    )
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel])
    found = layer(ops.reshape(rows, (-1, blocks, kernel.shape[0])))
    return ops.reshape(found, (-1, height, len(matrix) * channels))
