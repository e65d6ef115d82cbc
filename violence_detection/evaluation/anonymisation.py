"""People made hard to recognise in the pictures of a report: faces that are found are covered,
and whatever moves is shown in coarse blocks.

On surveillance footage a face is often smaller than any detector finds. So the two go together:
what is guaranteed is that a place which differs between the pictures shown by more than 6 grey
levels on average has no detail finer than 1/48 of the picture's width. A person who does not move,
or is as dark as what is behind, and whose face is not found, is not covered.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

BLOCKS = 48  # over the width of a picture
_CHANGE = 6.0  # grey levels by which a block differs on average where something moves
# Smaller pictures are enlarged to this: detectors begin at about 20 pixels.
_DETECTOR_SIDE = 800
# From and to which share of a picture's height a face is taken for one, and how often it must be
# found there: a wrong large one would cover all that there is to see.
_SIZES = ((0.0, 1 / 3, 3), (1 / 3, 1.0, 6))
_SMALLEST_PX = 20
_MARGIN = 0.25  # of a face's size, on each side

Box = tuple[int, int, int, int]  # left, top, right, bottom


def anonymise(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures of one clip, uint8 (H, W, 3) BGR, in which people are hard to recognise.

    A face that is found is covered in the pictures before and after, too: a detector loses it
    from one moment to the next.
    """
    faces = [list(_faces(frame)) for frame in frames]
    moving = moving_blocks(frames)
    return [
        _cover(frame, moving, list(itertools.chain(*faces[max(0, n - 1) : n + 2])))
        for n, frame in enumerate(frames)
    ]


def moving_blocks(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Where pictures of one clip differ, and the blocks around that: bool (rows, 48)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    grid = _grid(grey[0])
    still = np.median(np.stack(grey), axis=0).astype(np.uint8)
    moves = np.zeros(grid, bool)
    for one in grey:
        change = cv2.absdiff(one, still).astype(np.float32)
        mean = cv2.resize(change, grid[::-1], interpolation=cv2.INTER_AREA)
        moves |= mean > _CHANGE
    around = np.ones((3, 3), np.uint8)
    return cv2.dilate(moves.astype(np.uint8), around).astype(bool)


def _grid(picture: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the blocks of a picture, nearly square ones."""
    height, width = picture.shape[:2]
    columns = min(BLOCKS, width)
    return max(1, min(height, round(columns * height / width))), columns


def _cover(frame: np.ndarray, moving: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    height, width = frame.shape[:2]
    size, nearest = (width, height), cv2.INTER_NEAREST
    blocks = cv2.resize(frame, moving.shape[::-1], interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(blocks, size, interpolation=nearest)
    mask = cv2.resize(moving.astype(np.uint8), size, interpolation=nearest)
    picture = np.where(mask[..., None] > 0, coarse, frame)
    for left, top, right, bottom in boxes:
        place = picture[top:bottom, left:right]
        place[:] = place.mean(axis=(0, 1))  # one colour: nothing is left of it
    return picture


# -- faces


def _faces(frame: np.ndarray) -> Iterator[Box]:
    """Faces from the front and from either side, widened."""
    height, width = frame.shape[:2]
    scale = max(1.0, _DETECTOR_SIDE / max(height, width))
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    found = [*_detect("frontalface_default", grey), *_detect("profileface", grey)]
    found += [
        (grey.shape[1] - left - wide, top, wide, high)
        for left, top, wide, high in _detect("profileface", grey[:, ::-1])
    ]
    for left, top, wide, high in found:
        more = _MARGIN * np.array([-wide, -high, wide, high])
        box = (np.array([left, top, left + wide, top + high]) + more) / scale
        limits = [width, height, width, height]
        x0, y0, x1, y1 = np.clip(np.round(box), 0, limits).astype(int).tolist()
        if x0 < x1 and y0 < y1:
            yield x0, y0, x1, y1


def _detect(name: str, grey: np.ndarray) -> list[Box]:
    """Left, top, width and height."""
    grey, found = np.ascontiguousarray(grey), []
    for low, high, times in _SIZES:
        smallest, largest = (
            max(_SMALLEST_PX, round(share * grey.shape[0])) for share in (low, high)
        )
        boxes = _cascade(name).detectMultiScale(
            grey,
            scaleFactor=1.15,
            minNeighbors=times,
            minSize=(smallest, smallest),
            maxSize=(largest, largest),
        )
        found += [tuple(box) for box in np.reshape(boxes, (-1, 4)).tolist()]
    return found


@functools.cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"
    return cv2.CascadeClassifier(str(path))
