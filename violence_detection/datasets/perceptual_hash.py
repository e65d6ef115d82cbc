"""Which videos look alike: difference hashes of eight of their frames."""

from collections.abc import Iterator

import cv2
import numpy as np

MOMENTS = 8
_THUMB = (9, 8)  # columns, rows: 8 x 8 differences of neighbours
_CELLS = 1 << 22  # comparisons of frames held at once


def thumbnail_of(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W, 3) in BGR, in grey and squeezed: float32 (8, 9)."""
    small = cv2.resize(frame, _THUMB, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def hashes_of(thumbs: np.ndarray) -> np.ndarray:
    """Of each of eight thumbs, (8, 8, 9), and of each of its 8 x 8 places, whether it is brighter
    than its neighbour on the right: uint64 (8,)."""
    bits = thumbs[:, :, :-1] > thumbs[:, :, 1:]
    return np.packbits(bits.reshape(len(thumbs), 64), axis=1).view(np.uint64)[:, 0]


def hash_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far videos are apart.

    Each frame is held against the frame of the other video that it is likest to, so that a cut at
    another moment matters little; the mean over the frames, from the side from which it is
    larger.

    Args:
        one: Hashes, uint64 (A, 8).
        other: uint64 (B, 8).

    Returns:
        float64 (A, B), of the 64 bits of a frame.
    """
    bits = np.bitwise_count(one[:, None, :, None] ^ other[None, :, None, :])
    return np.maximum(bits.min(axis=3).mean(axis=2), bits.min(axis=2).mean(axis=2))


def near_duplicate_pairs(
    one: np.ndarray, other: np.ndarray, most_bits: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs (row of `one`, row of `other`, bits) that differ by `most_bits` at most."""
    block = max(1, _CELLS // (max(1, len(other)) * MOMENTS * MOMENTS))
    for start in range(0, len(one), block):
        bits = hash_distances(one[start : start + block], other)
        for row, column in np.argwhere(bits <= most_bits).tolist():
            yield start + row, column, float(bits[row, column])
