"""Decodes a series of numbered pictures, as `decoder.Decoder` decodes a file."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from violence_detection.errors import VideoError
from violence_detection.video.decoding.pyav_decoder import count_between
from violence_detection.video.frame_series import FrameSeries

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
# Not turned by EXIF: the sizes are those of the header.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_TAIL_BYTES = 1024  # in which the mark at the end of a picture is looked for
# Markers of JPEG that begin a frame and hold its size; C4, C8 and CC are others.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class FrameSeriesDecoder:
    """The pictures of a series, with the interface of `decoder.Decoder`.

    Grabbing reads the size of a picture and whether it is whole; `retrieve` decodes it. A picture
    that cannot be decoded counts as a corrupt frame, and shows what the nearest one before it
    shows, as FFmpeg conceals the loss of a frame. All frames have the size of the first.

    Attributes:
        fps: Frames per second.
        declared_frames: Number of pictures.
        start_s: 0.0.
        codec: `pictures`.
        gaps: Frames that are missing between others, in words; mostly empty.
    """

    start_s, codec = 0.0, "pictures"

    def __init__(self, series: FrameSeries, *, max_pixels: int) -> None:
        """
        Args:
            series: The pictures.
            max_pixels: The largest number of pixels of a frame.

        Raises:
            VideoError: If no picture can be read, or the first is too large.
        """
        self.fps, self.gaps = series.fps, series.gaps
        self.declared_frames = len(series.pictures)
        self._pictures, self._times_s = series.pictures, series.times_s
        self._next, self._index = 0, 0
        self._corrupt: set[int] = set()
        self._sizes: Counter[tuple[int, int]] = Counter()
        size = next(filter(None, map(picture_size, series.pictures)), None)
        if size is None:
            raise VideoError("none of its pictures is a JPEG or PNG that can be read")
        if math.prod(size) > max_pixels:
            raise VideoError(f"its pictures have {size[0]}x{size[1]} pixels, over the limit")
        self._size = size

    @property
    def note(self) -> str:
        """Pictures of several sizes, among those that were grabbed, in words; mostly empty."""
        others = {size: count for size, count in self._sizes.items() if size != self._size}
        if not others:
            return ""
        listed = ", ".join(f"{count} of {w}x{h}" for (w, h), count in sorted(others.items())[:3])
        width, height = self._size
        return f"its pictures differ in size: {listed} are resized to {width}x{height}"

    @property
    def is_suspect(self) -> bool:
        return bool(self._corrupt)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        while self._next < self.declared_frames:
            self._index, self._next = self._next, self._next + 1
            size = picture_size(self._pictures[self._index])
            if size is None:
                self._corrupt.add(self._index)
            else:
                self._sizes[size] += 1
            yield self._index, self._times_s[self._index]

    def retrieve(self) -> np.ndarray:
        """The grabbed frame, uint8 (H, W, 3) BGR.

        Raises:
            VideoError: If no picture can be decoded.
        """
        return self._image(self._index)

    def frame_near(self, index: int) -> np.ndarray | None:
        """The frame at `index`; None if it cannot be decoded."""
        image = self._decode(min(index, self.declared_frames - 1))
        return None if image is None else self._resized(image)

    def corrupt_frames(self, start_s: float = -math.inf, end_s: float = math.inf) -> int:
        """The number of frames so far that cannot be decoded.

        Args:
            start_s, end_s: Only frames from `start_s` to before `end_s` count.
        """
        return count_between((self._times_s[index] for index in self._corrupt), start_s, end_s)

    def is_whole(self, frames: int) -> bool:
        """True: there is a picture for each declared frame."""
        return True

    def _image(self, index: int) -> np.ndarray:
        """The image of a frame, or of the nearest one before it that can be decoded, else after."""
        for near in itertools.chain(range(index, -1, -1), range(index + 1, self.declared_frames)):
            if (image := self._decode(near)) is not None:
                return self._resized(image)
        raise VideoError("no frame of it can be decoded")

    def _decode(self, index: int) -> np.ndarray | None:
        image, picture = None, self._pictures[index]
        if picture_size(picture) is not None:
            image = cv2.imdecode(np.fromfile(picture, np.uint8), _AS_STORED)
        if image is None:
            self._corrupt.add(index)
        return image

    def _resized(self, image: np.ndarray) -> np.ndarray:
        if image.shape[1::-1] == self._size:
            return image
        return cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a JPEG or PNG in pixels, by its header; None if it cannot be read, or
    lacks its end."""
    try:
        with open(path, "rb") as file:
            start = file.read(24)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            tail = file.read()
            if start.startswith(_PNG):
                size = int.from_bytes(start[16:20]), int.from_bytes(start[20:24])
                return size if b"IEND" in tail and all(size) else None
            if not start.startswith(_JPEG) or b"\xff\xd9" not in tail:
                return None
            file.seek(len(_JPEG))
            while (marker := file.read(2)) and marker[0] == 0xFF and len(marker) == 2:
                if marker[1] == 0xFF:  # padding
                    file.seek(-1, 1)
                    continue
                length = int.from_bytes(file.read(2))
                if marker[1] in _JPEG_FRAMES:
                    frame = file.read(5)
                    size = int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3])
                    return size if all(size) else None
                file.seek(length - 2, 1)
    except OSError:
        return None
    return None
