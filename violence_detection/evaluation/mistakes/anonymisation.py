"""Anonymises the frames of a report: detected faces are covered, moving areas shown in coarse
blocks.

Faces in surveillance footage are often too small for any detector, so moving areas are coarsened
too. The guarantee: an area that differs between the shown frames by more than 6 grey levels on
average has no detail finer than 1/48 of the frame's width. A person who does not move, or is as
dark as the background, and whose face is not detected, is not covered.
"""

import functools
import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

BLOCKS = 48  # over the width of a frame
_CHANGE = 6.0  # mean grey levels of difference from which on a block counts as moving
# Smaller frames are enlarged to this: detectors need faces of about 20 pixels.
_DETECTOR_SIDE = 800
# Smallest and largest height of a face, as a fraction of the frame's height, and the number of
# overlapping detections it needs. Large faces need more: a wrong one would cover most of the frame.
_SIZES = ((0.0, 1 / 3, 3), (1 / 3, 1.0, 6))
_SMALLEST_PX = 20
_MARGIN = 0.25  # of a face's size, on each side

_DETECTING = threading.Lock()  # a cascade keeps the image that it looks at in itself

Box = tuple[int, int, int, int]  # left, top, right, bottom
Detection = tuple[int, int, int, int]  # left, top, width, height


def anonymise(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Makes people in the frames of a clip hard to recognise.

    A detected face is covered in the frames before and after too, because a detector loses a face
    from one moment to the next.

    Args:
        frames: uint8 (H, W, 3) BGR.
    """
    faces = [list(faces_in(frame)) for frame in frames]
    moving = moving_blocks(frames)
    return [
        cover(frame, moving, list(itertools.chain(*faces[max(0, n - 1) : n + 2])))
        for n, frame in enumerate(frames)
    ]


def moving_blocks(frames: Sequence[np.ndarray]) -> np.ndarray:
    """The blocks in which frames of a clip differ, and the blocks around them, bool (rows, 48)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    grid = _grid(grey[0])
    still = np.median(np.stack(grey), axis=0).astype(np.uint8)
    moves = np.zeros(grid, bool)
    for frame in grey:
        change = cv2.absdiff(frame, still).astype(np.float32)
        mean = cv2.resize(change, grid[::-1], interpolation=cv2.INTER_AREA)
        moves |= mean > _CHANGE
    around = np.ones((3, 3), np.uint8)
    return cv2.dilate(moves.astype(np.uint8), around).astype(bool)


def _grid(frame: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the nearly square blocks of a frame."""
    height, width = frame.shape[:2]
    columns = min(BLOCKS, width)
    return max(1, min(height, round(columns * height / width))), columns


def cover(frame: np.ndarray, moving: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """A frame with moving blocks shown in one colour each, and boxes in one colour.

    Args:
        frame: uint8 (H, W, 3) BGR.
        moving: The blocks, bool (rows, 48), as `moving_blocks` gives them.
        boxes: Those of `faces_in`.
    """
    height, width = frame.shape[:2]
    size, nearest = (width, height), cv2.INTER_NEAREST
    blocks = cv2.resize(frame, moving.shape[::-1], interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(blocks, size, interpolation=nearest)
    mask = cv2.resize(moving.astype(np.uint8), size, interpolation=nearest)
    covered = np.where(mask[..., None] > 0, coarse, frame)
    for left, top, right, bottom in boxes:
        face = covered[top:bottom, left:right]
        face[:] = face.mean(axis=(0, 1))  # a single colour, without any detail
    return covered


# -- faces


def faces_in(frame: np.ndarray, *, enlarges: bool = True) -> Iterator[Box]:
    """Boxes of frontal and profile faces, with a margin.

    Args:
        frame: uint8 (H, W, 3) BGR.
        enlarges: Small frames are enlarged first: it finds smaller faces, and takes longer.
    """
    height, width = frame.shape[:2]
    scale = max(1.0, _DETECTOR_SIDE / max(height, width)) if enlarges else 1.0
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    faces = [*_detect("frontalface_default", grey), *_detect("profileface", grey)]
    faces += [
        (grey.shape[1] - left - wide, top, wide, high)
        for left, top, wide, high in _detect("profileface", grey[:, ::-1])
    ]
    for left, top, wide, high in faces:
        more = _MARGIN * np.array([-wide, -high, wide, high])
        box = (np.array([left, top, left + wide, top + high]) + more) / scale
        limits = [width, height, width, height]
        x0, y0, x1, y1 = np.clip(np.round(box), 0, limits).astype(int).tolist()
        if x0 < x1 and y0 < y1:
            yield x0, y0, x1, y1


def _detect(name: str, grey: np.ndarray) -> list[Detection]:
    """The detections of a cascade in a grey image, uint8 (H, W)."""
    grey, detections = np.ascontiguousarray(grey), []
    for low, high, times in _SIZES:
        smallest, largest = (
            max(_SMALLEST_PX, round(fraction * grey.shape[0])) for fraction in (low, high)
        )
        with _DETECTING:
            boxes = _cascade(name).detectMultiScale(
                grey,
                scaleFactor=1.15,
                minNeighbors=times,
                minSize=(smallest, smallest),
                maxSize=(largest, largest),
            )
        detections += [tuple(box) for box in np.reshape(boxes, (-1, 4)).tolist()]
    return detections


@functools.cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"
    return cv2.CascadeClassifier(str(path))
