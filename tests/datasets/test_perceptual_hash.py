"""Near-duplicates are close in another size, light and start; other videos are not."""

import numpy as np
import pytest

from violence_detection.datasets.summaries import perceptual_hash

BITS = 64


def hashes(*frames: int) -> np.ndarray:
    return np.array([frames], np.uint64)


def test_bits_are_counted_by_hand():
    first, second = hashes(*[0] * 8), hashes(*[1] * 4, *[3] * 4)
    # Every frame of the first is 1 bit from its likest; of the second 1, 1, 1, 1, 2, 2, 2, 2.
    assert perceptual_hash.hash_distances(first, second).tolist() == [[1.5]]
    assert perceptual_hash.hash_distances(first, hashes(*[2**64 - 1] * 8)).tolist() == [[BITS]]


def test_distance_is_symmetric_and_zero_to_itself(rng):
    hashed = rng.integers(0, 2**63, (5, 8)).astype(np.uint64)
    bits = perceptual_hash.hash_distances(hashed, hashed)
    np.testing.assert_array_equal(bits, bits.T)
    assert (np.diag(bits) == 0).all() and (bits[~np.eye(5, dtype=bool)] > 10).all()


def test_the_order_of_frames_does_not_matter(rng):
    first = rng.integers(0, 2**63, (1, 8)).astype(np.uint64)
    assert perceptual_hash.hash_distances(first, first[:, ::-1]).item() == 0


def test_a_hash_compares_the_brightness_of_neighbours():
    thumbs = np.zeros((8, 8, 9), np.float32)
    thumbs[0, 0, 0] = 1  # brighter than its neighbour: the first bit of the first byte
    hashed = perceptual_hash.hashes_of(thumbs)
    assert hashed.view(np.uint8)[:2].tolist() == [128, 0] and not hashed[1:].any()


@pytest.mark.parametrize("change", [lambda x: x * 0.5 + 40, lambda x: x + 10])
def test_light_does_not_change_a_hash(rng, change):
    thumbs = rng.uniform(0, 200, (8, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(
        perceptual_hash.hashes_of(change(thumbs)), perceptual_hash.hashes_of(thumbs)
    )


def test_the_size_of_the_blocks_does_not_matter(rng, monkeypatch):
    hashed = rng.integers(0, 3, (9, 8)).astype(np.uint64)
    whole = list(perceptual_hash.near_duplicate_pairs(hashed, hashed, 0.6))
    monkeypatch.setattr(perceptual_hash, "_CELLS", 1)
    assert (
        list(perceptual_hash.near_duplicate_pairs(hashed, hashed, 0.6)) == whole and len(whole) > 9
    )
