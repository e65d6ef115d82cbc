"""A test of whether anything changes in a video, whatever noise its encoder adds.

The frames of one repeated picture differ after encoding: a little at a good quality, and at a poor
one by tens of grey levels along all edges, from key frame to key frame. Something that moves
changes a few places by much more than the rest of the picture. The limits are from one picture and
from squares of 6 to 16 pixels that move over it, in 640x360, in seven codecs at usual and poor
qualities. In 321 of 322 real clips some place changes by 70 grey levels or more; the last, of an
empty corridor, changes by the noise of the camera alone, which is the same in flat areas.
"""

import cv2
import numpy as np

_SIZE = (160, 90)  # of the compared images
# Grey levels by which a place changes over time: at most this by encoding, at a good quality, …
_GOOD, _MEDIUM, _POOR = 10, 20, 50
_SENSOR_NOISE = 6  # the change of the median pixel, not averaged: from it on, a camera recorded
_MAX_MEDIAN = 6.0  # the change of the median place: a change of the light is over it
_MAX_TOP = 0.75  # the change of one place in a hundred, of the largest: a large object is over it
# The most that a place differs from its usual level, in multiples of the frame's mean difference,
# at medium and at poor quality: a small object is over it.
_MAX_PEAKS = 15.0, 10.0
_LEAST_MEAN = 0.3  # grey levels, added to the mean difference: rounding is no change
_MAX_KEPT = 64  # frames; of more, only their darkest and brightest levels are kept


class Stillness:
    """Compares frames of a video with each other.

    Attributes:
        frames: Number of frames so far.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._kept: list[np.ndarray] = []
        self._step = 1  # every frame is kept, every second, every fourth, …

    def add(self, frame: np.ndarray) -> None:
        """Compares a further frame with those so far.

        Args:
            frame: uint8 (H, W, 3) BGR.
        """
        whole = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        grey = cv2.resize(whole, _SIZE, interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(whole, _SIZE, interpolation=cv2.INTER_NEAREST)
        if not self.frames:
            self._low = self._high = grey
            self._pixels_low = self._pixels_high = pixels
        self._low, self._high = np.minimum(self._low, grey), np.maximum(self._high, grey)
        self._pixels_low = np.minimum(self._pixels_low, pixels)
        self._pixels_high = np.maximum(self._pixels_high, pixels)
        if self.frames % self._step == 0:
            self._kept.append(grey)
        if len(self._kept) > _MAX_KEPT:
            self._kept, self._step = self._kept[::2], 2 * self._step
        self.frames += 1

    @property
    def is_still(self) -> bool:
        """True if there are several frames, and all show the same."""
        if self.frames < 2:
            return False
        if np.median(self._pixels_high - self._pixels_low) >= _SENSOR_NOISE:
            return False
        change = self._high - self._low
        largest = int(change.max())
        if largest < _GOOD:
            return True
        median, top = np.percentile(change, (50, 99))
        if largest >= _POOR or median >= _MAX_MEDIAN or top >= _MAX_TOP * largest:
            return False
        kept = np.stack(self._kept).astype(np.float32)
        difference = np.abs(kept - np.median(kept, axis=0))
        mean = np.sqrt(np.mean(np.square(difference), axis=(1, 2)))
        peak = difference.max(axis=(1, 2)) / (mean + _LEAST_MEAN)
        return bool(peak.max() < _MAX_PEAKS[largest >= _MEDIUM])
