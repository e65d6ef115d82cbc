"""Moving areas lose their detail, detected faces are covered, and the rest is unchanged."""

import threading

import cv2
import numpy as np
import pytest

from violence_detection.evaluation.mistakes import anonymisation
from violence_detection.evaluation.mistakes.anonymisation import BLOCKS

HEIGHT, WIDTH = 240, 480  # blocks of 10 by 10 pixels
MOVING_ROWS = slice(60, 90)


def textured(rng, height=HEIGHT, width=WIDTH) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def clip(rng) -> list[np.ndarray]:
    """Eight frames that are equal outside one area."""
    still = textured(rng)
    frames = [still.copy() for _ in range(8)]
    for frame in frames:
        frame[MOVING_ROWS, 200:230] = textured(rng, 30, 30)
    return frames


def face(r: int, hair: bool = True) -> np.ndarray:
    """A drawn face that detectors find, r pixels from its middle to the chin."""
    frame = np.full((240, 320, 3), 120, np.uint8)
    skin, shade = (185, 200, 225), (115, 124, 140)

    def oval(x, y, wide, high, colour) -> None:
        middle = 160 + round(x * r), 120 + round(y * r)
        axes = round(wide * r), round(high * r)
        cv2.ellipse(frame, middle, axes, 0, 0, 360, colour, -1)

    if hair:
        oval(0, -0.15, 0.95, 1.05, (40, 45, 50))
    oval(0, 0.05, 0.78, 1, skin)
    for x in (-0.34, 0.34):
        oval(x, -0.19, 0.26, 0.17, shade)
        oval(x, -0.29, 0.25, 0.05, (50, 50, 60))
        oval(x, -0.12, 0.13, 0.07, (40, 40, 40))
    oval(0, 0.05, 0.08, 0.2, (200, 215, 235))
    oval(0, 0.3, 0.16, 0.05, shade)
    oval(0, 0.55, 0.3, 0.07, (80, 80, 150))
    return cv2.GaussianBlur(frame, (0, 0), r / 14)


@pytest.fixture
def no_faces(monkeypatch) -> None:
    """Without the detector, which takes a second for a frame of noise."""
    monkeypatch.setattr(anonymisation, "faces_in", lambda _: [])


# -- golden


def test_a_moving_block_has_a_single_colour(clip, no_faces):
    for frame in anonymisation.anonymise(clip):
        block = frame[60:70, 200:210]
        assert (block == block[0, 0]).all()


def test_still_areas_are_unchanged(clip, no_faces):
    for before, after in zip(clip, anonymisation.anonymise(clip), strict=True):
        np.testing.assert_array_equal(after[140:, :], before[140:, :])


def test_blocks_around_moving_ones_are_covered_too(clip):
    moving = anonymisation.moving_blocks(clip)
    assert moving.shape == (24, BLOCKS)
    assert moving[5:10, 19:24].all() and moving.sum() == 25


@pytest.mark.slow
@pytest.mark.parametrize("r", [24, 36, 50, 90])
def test_a_detected_face_is_covered(r):
    frames = [face(r)] * 2
    assert not anonymisation.moving_blocks(frames).any()
    for frame in anonymisation.anonymise(frames):
        eyes = frame[120 - r // 3 : 120, 160 - r // 2 : 160 + r // 2]
        assert np.ptp(eyes.reshape(-1, 3), axis=0).max() == 0


def test_a_wall_is_not_covered():
    wall = np.full((240, 320, 3), 120, np.uint8)
    wall[:, ::40] = 80
    np.testing.assert_array_equal(anonymisation.anonymise([wall])[0], wall)


def test_a_face_is_covered_in_the_frames_before_and_after_its_detection(monkeypatch):
    faces = {1: [(10, 20, 30, 40)]}
    frames = [np.full((HEIGHT, WIDTH, 3), shade, np.uint8) for shade in range(5)]
    for frame in frames:
        frame[20, 10] = 255
    monkeypatch.setattr(anonymisation, "faces_in", lambda frame: faces.get(int(frame[0, 0, 0]), []))
    covered = [bool(frame[20, 10, 0] < 255) for frame in anonymisation.anonymise(frames)]
    assert covered == [True, True, True, False, False]


# -- relation


@pytest.mark.parametrize("shape", [(3, 5), (48, 64), (100, 30)])
def test_frames_keep_their_size(rng, shape, no_faces):
    frames = [textured(rng, *shape) for _ in range(3)]
    assert [frame.shape for frame in anonymisation.anonymise(frames)] == [(*shape, 3)] * 3


def test_the_input_frames_are_not_changed(clip, no_faces):
    before = [frame.copy() for frame in clip]
    anonymisation.anonymise(clip)
    np.testing.assert_array_equal(before, clip)


def test_threads_may_look_for_faces_at_once(rng):
    """A cascade of OpenCV fails, or the process ends, where two threads use it."""
    frames = [rng.integers(0, 256, (side, 2 * side, 3), np.uint8) for side in (40, 90)]
    expected = [list(anonymisation.faces_in(frame, enlarges=False)) for frame in frames]
    found: dict[int, list] = {0: [], 1: []}

    def look(number: int) -> None:
        for _ in range(30):
            found[number].append(list(anonymisation.faces_in(frames[number], enlarges=False)))

    threads = [threading.Thread(target=look, args=(number,)) for number in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [expected[number]] * 30 for number in found}
