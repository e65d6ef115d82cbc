"""Videos that are one are found under another size, light and start; others are not."""

import numpy as np
import pytest

from violence_detection.datasets import perceptual_hash

BITS = 64


def hashes(*frames: int) -> np.ndarray:
    return np.array([frames], np.uint64)


def test_bits_are_counted_by_hand():
    one, other = hashes(*[0] * 8), hashes(*[1] * 4, *[3] * 4)
    # Every frame of the first is 1 bit from its likest; of the second 1, 1, 1, 1, 2, 2, 2, 2.
    assert perceptual_hash.hash_distances(one, other).tolist() == [[1.5]]
    assert perceptual_hash.hash_distances(one, hashes(*[2**64 - 1] * 8)).tolist() == [[BITS]]


def test_distance_is_symmetric_and_zero_to_itself(rng):
    found = rng.integers(0, 2**63, (5, 8)).astype(np.uint64)
    bits = perceptual_hash.hash_distances(found, found)
    np.testing.assert_array_equal(bits, bits.T)
    assert (np.diag(bits) == 0).all() and (bits[~np.eye(5, dtype=bool)] > 10).all()


def test_an_order_of_frames_does_not_matter(rng):
    one = rng.integers(0, 2**63, (1, 8)).astype(np.uint64)
    assert perceptual_hash.hash_distances(one, one[:, ::-1]).item() == 0


def test_a_hash_is_of_neighbours_brightness():
    thumbs = np.zeros((8, 8, 9), np.float32)
    thumbs[0, 0, 0] = 1  # brighter than its neighbour: the first bit of the first byte
    found = perceptual_hash.hashes_of(thumbs)
    assert found.view(np.uint8)[:2].tolist() == [128, 0] and not found[1:].any()


@pytest.mark.parametrize("change", [lambda x: x * 0.5 + 40, lambda x: x + 10])
def test_light_does_not_change_a_hash(rng, change):
    thumbs = rng.uniform(0, 200, (8, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(
        perceptual_hash.hashes_of(change(thumbs)), perceptual_hash.hashes_of(thumbs)
    )


def test_blocks_change_nothing(rng, monkeypatch):
    found = rng.integers(0, 3, (9, 8)).astype(np.uint64)
    whole = list(perceptual_hash.near_duplicate_pairs(found, found, 0.6))
    monkeypatch.setattr(perceptual_hash, "_CELLS", 1)
    assert list(perceptual_hash.near_duplicate_pairs(found, found, 0.6)) == whole and len(whole) > 9
