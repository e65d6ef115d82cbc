"""OpenCV's resize by area in a graph, to the grey level.

Runtimes have no such resize, or one that differs. At sizes that are known beforehand it is a few
sums: each column, and then each row, is one of a few others, with weights. What lies halfway
between two levels falls as the last bit of a sum does, so sums are taken one product after the
other, as OpenCV takes them; a matrix product would take them in an order of its own.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

BLOCK_MEAN, AREA, LINEAR = range(3)  # how OpenCV computes a resize
LINEAR_STEPS = 2048  # it interpolates in whole numbers of this
_HALF_UP = 0.01  # added, halves are rounded up, and nothing else changes
_ROOM = 1e-3  # of a pixel, less of which does not count


class Taps(NamedTuple):
    """Which of n rows (or columns) each of S is a sum of.

    Attributes:
        indices: int32 (K, S), in [0, n).
        weights: float32 (K, S).
    """

    indices: np.ndarray
    weights: np.ndarray


def resize_method(height: int, width: int, to: tuple[int, int]) -> int:
    """How pictures of a size are brought to another: WHOLE where each pixel is the mean of whole
    ones, AREA where neither side grows, else BETWEEN."""
    if height < to[0] or width < to[1]:
        return LINEAR
    return AREA if height % to[0] or width % to[1] else BLOCK_MEAN


def rounding_terms(height: int, width: int, to: tuple[int, int]) -> tuple[float, float]:
    """What a sum is multiplied by, and what is added before it is rounded: of two by two pixels
    OpenCV rounds a half up, else to even."""
    if resize_method(height, width, to) != BLOCK_MEAN:
        return 1.0, 0.0
    pixels = height // to[0] * (width // to[1])
    return 1 / pixels, _HALF_UP if (height, width) == (2 * to[0], 2 * to[1]) else 0.0


def taps(length: int, to: int, how: int, count: int = 0) -> Taps:
    """Of which rows each of S is a sum, as `cv2.resize` with INTER_AREA has it.

    Args:
        length: n.
        to: S.
        how: WHOLE: n/S rows, each once. AREA: the mean of ``[i n/S, (i + 1) n/S)``. BETWEEN:
            rows ``s = floor(i n/S)`` and s + 1, in steps of 1/2048, at ``f = (i + 1) - (s + 1)
            S/n``, less its floor.
        count: K at least, filled up with weights of 0.
    """
    rows = [(_between if how == LINEAR else _covered)(place, length, to) for place in range(to)]
    if how == BLOCK_MEAN:
        each = length // to
        rows = [[(place * each + k, 1.0) for k in range(each)] for place in range(to)]
    most = max(count, *map(len, rows))
    filled = [row + [(row[-1][0], 0.0)] * (most - len(row)) for row in rows]
    table = np.array(filled, np.float64).transpose(1, 0, 2)
    return Taps(table[..., 0].astype(np.int32), table[..., 1].astype(np.float32))


def _covered(place: int, length: int, to: int) -> list[tuple[int, float]]:
    """Rows that a row covers, and the share of each."""
    scale = 1 / (to / length)  # as OpenCV has it; n/S may be another number
    low, high = place * scale, place * scale + scale
    cell = min(scale, length - low)
    last = min(math.floor(high), length - 1)
    first = min(math.ceil(low), last)
    found = []
    if first - low > _ROOM:
        found.append((first - 1, (first - low) / cell))
    found += [(row, 1 / cell) for row in range(first, last)]
    if high - last > _ROOM:
        found.append((last, min(high - last, 1.0, cell) / cell))
    return found


def _between(place: int, length: int, to: int) -> list[tuple[int, float]]:
    """Two rows, and how near each is, of 2048."""
    first = math.floor(place * (1 / (to / length)))
    share = np.float32((place + 1) - (first + 1) * (to / length))
    share = np.float32(0 if share <= 0 else share - np.floor(share))
    if first >= length - 1:
        first, share = length - 1, np.float32(0)
    near, far = (float(np.round(one * LINEAR_STEPS)) for one in (np.float32(1) - share, share))
    return [(first, near), (min(first + 1, length - 1), far)]


def resize(frames: "keras.KerasTensor", to: tuple[int, int]) -> "keras.KerasTensor":
    """Frames of a fixed size brought to another by area.

    Args:
        frames: uint8 or float32 (n, H, W, C), whole numbers in [0, 255].
        to: (height, width).

    Returns:
        float32 (n, height, width, C), whole numbers.
    """
    from keras import ops

    height, width, channels = frames.shape[1:]
    how = resize_method(height, width, to)
    rows, columns = taps(height, to[0], how), taps(width, to[1], how)
    # In NumPy: a tensor that is made here would be an input of an exported graph.
    shares = rows.weights[..., None]
    weights = np.repeat(columns.weights, channels, axis=-1)
    lines = sum_columns(frames, columns.indices, weights)
    if how == LINEAR:
        kept = [ops.take(lines, indices, 1) for indices in rows.indices]
        squeezed = interpolate_rows(kept, list(shares))
    else:
        scale, nudge = rounding_terms(height, width, to)
        mean = sum_rows(lines, rows.indices, shares)
        squeezed = ops.round(mean * np.float32(scale) + nudge)
    return ops.reshape(squeezed, (-1, *to, channels))


def sum_columns(
    frames: "keras.KerasTensor", indices: Sequence[Any], weights: Sequence[Any]
) -> "keras.KerasTensor":
    """Weighted sums of columns, product after product.

    Channels lie side by side as one line of numbers: runtimes multiply those faster than pixels
    of three, and take bytes faster than float32 (docs/stack.md).

    Args:
        frames: uint8 or float32 (n, H, W, C), whole numbers.
        indices: K of (S,).
        weights: K of (S C,), that of a column for each of its channels.

    Returns:
        float32 (n, H, S C).
    """
    from keras import ops

    def line(index):
        taken = ops.take(frames, index, 2)
        flat = ops.reshape(taken, (-1, frames.shape[1], index.shape[0] * channels))
        return ops.cast(flat, "float32")

    channels = frames.shape[3]
    return _summed(map(line, indices), weights)


def sum_rows(
    lines: "keras.KerasTensor", indices: Sequence[Any], weights: Sequence[Any]
) -> "keras.KerasTensor":
    """Weighted sums of lines, product after product.

    Args:
        lines: float32 (n, H, any).
        indices: K of (S,).
        weights: K of (S, 1).

    Returns:
        float32 (n, S, any).
    """
    from keras import ops

    return _summed((ops.take(lines, index, 1) for index in indices), weights)


def _summed(parts: Iterable["keras.KerasTensor"], weights: Sequence[Any]) -> "keras.KerasTensor":
    from keras import ops

    total = None
    for part, weight in zip(parts, weights, strict=True):
        # Absolute, which it is: OpenVINO would make one operation of a product and a sum, which
        # rounds once where OpenCV rounds twice.
        product = ops.abs(part * weight)
        total = product if total is None else total + product
    return total


def interpolate_rows(rows: list, weights: list) -> "keras.KerasTensor":
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
