"""Perceptual hashes of videos: difference hashes (dHash) of eight frames, and their distances."""

from collections.abc import Iterator

import cv2
import numpy as np

MOMENTS = 8  # frames of a video that are hashed
_THUMBNAIL = (9, 8)  # columns, rows: 8 x 8 differences of neighbours
_CELLS = 1 << 22  # comparisons of two frames that are in memory at once


def thumbnail_of(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 (H, W, 3) in BGR, reduced and in grey: float32 (8, 9)."""
    small = cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def hashes_of(thumbnails: np.ndarray) -> np.ndarray:
    """The hashes of eight thumbnails, (8, 8, 9): uint64 (8,).

    A bit is set where one of the 8 x 8 cells is brighter than its neighbour on the right.
    """
    bits = thumbnails[:, :, :-1] > thumbnails[:, :, 1:]
    return np.packbits(bits.reshape(len(thumbnails), 64), axis=1).view(np.uint64)[:, 0]


def hash_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The distance of each video of a first list to each video of a second.

    Each frame is compared with the most similar frame of the other video, so that a cut at
    another moment matters little. The distance is the mean over the frames, in the direction in
    which it is larger.

    Args:
        first: Hashes, uint64 (A, 8).
        second: Hashes, uint64 (B, 8).

    Returns:
        float64 (A, B), in bits of the 64 of a frame.
    """
    bits = np.bitwise_count(first[:, None, :, None] ^ second[None, :, None, :])
    return np.maximum(bits.min(axis=3).mean(axis=2), bits.min(axis=2).mean(axis=2))


def near_duplicate_pairs(
    first: np.ndarray, second: np.ndarray, max_bits: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs of videos at most `max_bits` apart: row of `first`, row of `second`, bits."""
    block = max(1, _CELLS // (max(1, len(second)) * MOMENTS * MOMENTS))
    for start in range(0, len(first), block):
        bits = hash_distances(first[start : start + block], second)
        for row, column in np.argwhere(bits <= max_bits).tolist():
            yield start + row, column, float(bits[row, column])
