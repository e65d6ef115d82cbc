"""OpenCV's resize by area as a graph of Keras operations, exact to the grey level.

Runtimes have no such resize, or another one. At fixed sizes a resize is a weighted sum of a few
columns for each column, and then of a few rows for each row. Where a value lies halfway between
two levels, the last bit of the sum decides how it is rounded. So products are added in the order
of OpenCV; a matrix product would add them in another.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

BLOCK_MEAN, AREA, LINEAR = range(3)  # the methods of OpenCV's INTER_AREA
LINEAR_STEPS = 2048  # OpenCV interpolates in whole multiples of 1/2048
HALF_UP = 0.01  # added before rounding: halves are rounded up, and nothing else changes
_ADDED_IN_ORDER = 8
_MIN_COVER = 1e-3  # of a pixel; OpenCV ignores less


class Taps(NamedTuple):
    """The rows (or columns) that each of S rows is a weighted sum of.

    Attributes:
        indices: int32 (K, S), in [0, n).
        weights: float32 (K, S).
    """

    indices: np.ndarray
    weights: np.ndarray


def resize_method(height: int, width: int, to: tuple[int, int]) -> int:
    """The method that OpenCV uses to resize images from one size to another.

    BLOCK_MEAN if each pixel is the mean of whole pixels, AREA if neither side grows, else LINEAR.
    """
    if height < to[0] or width < to[1]:
        return LINEAR
    return AREA if height % to[0] or width % to[1] else BLOCK_MEAN


def rounding_terms(height: int, width: int, to: tuple[int, int]) -> tuple[float, float]:
    """The factor of a sum, and the term that is added to it before it is rounded.

    OpenCV rounds halves up for blocks of 2 by 2 pixels, and else to even.
    """
    if resize_method(height, width, to) != BLOCK_MEAN:
        return 1.0, 0.0
    pixels = height // to[0] * (width // to[1])
    return 1 / pixels, HALF_UP if (height, width) == (2 * to[0], 2 * to[1]) else 0.0


def taps(length: int, to: int, method: int, count: int = 0) -> Taps:
    """The rows and weights that each of S rows is a sum of, as in `cv2.resize` with INTER_AREA.

    Args:
        length: n.
        to: S.
        method: BLOCK_MEAN: n/S rows with weight 1. AREA: the mean of ``[i n/S, (i + 1) n/S)``.
            LINEAR: rows ``s = floor(i n/S)`` and s + 1, in steps of 1/2048, at ``f = (i + 1) -
            (s + 1) S/n``, less its floor.
        count: The least K; missing taps have weight 0.
    """
    if method == BLOCK_MEAN:
        block = length // to
        rows = [[(row * block + k, 1.0) for k in range(block)] for row in range(to)]
    else:
        taps_of = _linear_taps if method == LINEAR else _area_taps
        rows = [taps_of(row, length, to) for row in range(to)]
    most = max(count, *map(len, rows))
    filled = [row + [(row[-1][0], 0.0)] * (most - len(row)) for row in rows]
    table = np.array(filled, np.float64).transpose(1, 0, 2)
    return Taps(table[..., 0].astype(np.int32), table[..., 1].astype(np.float32))


def _area_taps(row: int, length: int, to: int) -> list[tuple[int, float]]:
    """The source rows that a row covers, and the fraction of each."""
    scale = 1 / (to / length)  # computed as OpenCV does; n/S may round to another number
    low, high = row * scale, row * scale + scale
    cell = min(scale, length - low)
    last = min(math.floor(high), length - 1)
    first = min(math.ceil(low), last)
    covered = []
    if first - low > _MIN_COVER:
        covered.append((first - 1, (first - low) / cell))
    covered += [(source, 1 / cell) for source in range(first, last)]
    if high - last > _MIN_COVER:
        covered.append((last, min(high - last, 1.0, cell) / cell))
    return covered


def _linear_taps(row: int, length: int, to: int) -> list[tuple[int, float]]:
    """The two source rows around a row, with weights that sum to 2048."""
    first = math.floor(row * (1 / (to / length)))
    fraction = np.float32((row + 1) - (first + 1) * (to / length))
    fraction = np.float32(0 if fraction <= 0 else fraction - np.floor(fraction))
    if first >= length - 1:
        first, fraction = length - 1, np.float32(0)
    near, far = (
        float(np.round(weight * LINEAR_STEPS)) for weight in (np.float32(1) - fraction, fraction)
    )
    return [(first, near), (min(first + 1, length - 1), far)]


def resize(frames: "keras.KerasTensor", to: tuple[int, int]) -> "keras.KerasTensor":
    """Frames of a fixed size, resized to another by area.

    Args:
        frames: uint8 or float32 (n, H, W, C), whole numbers in [0, 255].
        to: (height, width).

    Returns:
        float32 (n, height, width, C), whole numbers.
    """
    from keras import ops

    height, width, channels = frames.shape[1:]
    method = resize_method(height, width, to)
    rows, columns = taps(height, to[0], method), taps(width, to[1], method)
    # NumPy arrays: a tensor that is made here would become an input of the exported graph.
    row_weights = rows.weights[..., None]
    weights = np.repeat(columns.weights, channels, axis=-1)
    lines = sum_columns(frames, columns.indices, weights)
    if method == LINEAR:
        taken = [ops.take(lines, indices, 1) for indices in rows.indices]
        resized = interpolate_rows(taken, list(row_weights))
    else:
        scale, offset = rounding_terms(height, width, to)
        mean = sum_rows(lines, rows.indices, row_weights)
        resized = ops.round(mean * np.float32(scale) + offset)
    return ops.reshape(resized, (-1, *to, channels))


def sum_columns(
    frames: "keras.KerasTensor", indices: Sequence[Any], weights: Sequence[Any]
) -> "keras.KerasTensor":
    """Weighted sums of columns, one product added after the other.

    The channels of a row are flattened into one line: runtimes multiply lines faster than pixels
    of three channels, and take bytes faster than float32 (docs/stack.md).

    Args:
        frames: uint8 or float32 (n, H, W, C), whole numbers.
        indices: K of (S,).
        weights: K of (S C,): the weight of a column, repeated for each channel.

    Returns:
        float32 (n, H, S C).
    """
    from keras import ops

    def line(index):
        taken = ops.take(frames, index, 2)
        flat = ops.reshape(taken, (-1, frames.shape[1], index.shape[0] * channels))
        return ops.cast(flat, "float32")

    channels = frames.shape[3]
    return sum_products(map(line, indices), weights)


def sum_rows(
    lines: "keras.KerasTensor", indices: Sequence[Any], weights: Sequence[Any]
) -> "keras.KerasTensor":
    """Weighted sums of lines, one product added after the other.

    Args:
        lines: float32 (n, H, any).
        indices: K of (S,).
        weights: K of (S, 1).

    Returns:
        float32 (n, S, any).
    """
    from keras import ops

    return sum_products((ops.take(lines, index, 1) for index in indices), weights)


def sum_products(
    parts: Iterable["keras.KerasTensor"], weights: Sequence[Any]
) -> "keras.KerasTensor":
    """The sum of parts times weights, both >= 0, one product added after the other."""
    from keras import ops

    total = None
    for number, (part, weight) in enumerate(zip(parts, weights, strict=True)):
        # The product is not negative, so that `abs` changes nothing. Without it OpenVINO fuses
        # product and sum, which rounds once where OpenCV rounds twice.
        product = ops.abs(part * weight)
        total = product if total is None else total + product
        if number % _ADDED_IN_ORDER == _ADDED_IN_ORDER - 1:
            total = ops.abs(total)  # TensorFlow adds more terms than that in another order
    return total


def interpolate_rows(rows: list, weights: list) -> "keras.KerasTensor":
    """Linear interpolation between two rows in whole numbers, as OpenCV does it.

    ``((b0 (D0 >> 4)) >> 16) + ((b1 (D1 >> 4)) >> 16) + 2) >> 2``, in float32, which represents
    whole numbers up to 2^24. The product is larger, and is computed in two parts.

    Args:
        rows: D0 and D1, whole numbers in [0, 255 * 2048].
        weights: b0 and b1, their weights, in [0, 2048].
    """
    from keras import ops

    total = 2.0
    for row, weight in zip(rows[:2], weights[:2], strict=True):
        short = ops.floor(row / 16)
        high = ops.floor(short / 32)
        low = ops.floor((short - 32 * high) * weight / 32)
        total = ops.floor((high * weight + low) / 2048) + total
    return ops.floor(total / 4)
