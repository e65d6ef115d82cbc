"""Bounded buffer of the decoded frames that later windows still need."""

import itertools
import math
from collections import Counter, deque
from typing import NamedTuple

import cv2
import numpy as np

from violence_detection.video.motion_crop import Region
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import View

HOLD_BYTES = 400 * 2**20  # of frames whose crop is not determined yet


class MomentFrames(NamedTuple):
    """The frames that the images of one sampled moment are made of.

    Attributes:
        index: The frame at the moment.
        frames: For each of K streams, the frames that its image is made of.
    """

    index: int
    frames: tuple[tuple[int, ...], ...]

    @property
    def last(self) -> int:
        return max(map(max, self.frames))


class NumberedImages:
    """Images, numbered in the order in which they are made."""

    def __init__(self, streams: StreamSet, views: tuple[View, ...]) -> None:
        self.streams, self.views = streams, views
        self.count = 0
        self._new: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> int:
        """Adds an image; returns its number."""
        self._new.append(image)
        self.count += 1
        return self.count - 1

    def take(self) -> list[np.ndarray]:
        """Removes and returns the images that were added since the last call."""
        new, self._new = self._new, []
        return new


class FrameBuffer:
    """The frames that images may still be made of, and the images that windows may share."""

    def __init__(
        self,
        images: NumberedImages,
        *,
        max_wait_s: float,
        step_s: float,
        hold_bytes: int = HOLD_BYTES,
    ) -> None:
        """
        Args:
            images: Receives the images.
            max_wait_s: Seconds that a frame is kept at most, until its crop is determined.
            step_s: Seconds between two sampled moments.
            hold_bytes: Memory for the frames; larger frames are reduced to it.
        """
        self._images, self._streams = images, images.streams
        self._hold_bytes = hold_bytes
        self._max_wait_s, self._step_s = max_wait_s, step_s
        self._cropped = [stream.focus for stream in images.streams.streams]
        self._frames: dict[int, np.ndarray] = {}
        self._reduction = 0  # divides the sides of the frames that are kept; 0: not chosen yet
        self._uses: Counter[int] = Counter()
        self._uncropped: dict[int, dict[tuple[int, int], np.ndarray]] = {}
        self._waiting: deque[MomentFrames] = deque()
        self._numbers: dict[int, dict[tuple, int]] = {}  # of images, by their frame
        self._prepared: dict[tuple[int, int, int], np.ndarray] = {}  # for the region below
        self._region: Region | None = None

    def add(self, index: int, frame: np.ndarray, *, rate: float) -> None:
        """Adds a frame, uint8 (H, W, 3)."""
        if not self._reduction:
            self._reduction = self._choose_reduction(frame.nbytes, rate)
        if self._reduction > 1:
            height, width = (max(1, side // self._reduction) for side in frame.shape[:2])
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        self._frames[index] = frame
        while self._waiting and self._waiting[0].last <= index:
            self._make_uncropped(self._waiting.popleft())

    def _choose_reduction(self, frame_bytes: int, rate: float) -> int:
        """The divisor of the sides of frames with which the buffer stays within its bytes."""
        reach = self._streams.reach_frames(rate)
        count = 2 * reach + 1.0
        if any(self._cropped):
            frames_per_moment = 3 if reach else 1
            count += self._max_wait_s * min(rate, frames_per_moment / self._step_s)
        return math.ceil(math.sqrt(count * frame_bytes / self._hold_bytes))

    def expect(self, moment: MomentFrames) -> None:
        """Keeps the frames of a moment, which a window may need; its own frame is in the buffer."""
        for cropped, frames in zip(self._cropped, moment.frames, strict=True):
            if cropped:
                self._uses.update(set(frames))
        if not all(self._cropped) and moment.index not in self._uncropped:
            self._uncropped[moment.index] = {}
            if moment.last <= moment.index:
                self._make_uncropped(moment)
            else:
                self._waiting.append(moment)

    def release(self, moment: MomentFrames) -> None:
        """Ends what `expect` began: no window needs the moment any more."""
        for cropped, frames in zip(self._cropped, moment.frames, strict=True):
            if cropped:
                self._uses.subtract(set(frames))

    def forget(self, *, before: int, images_before: int) -> None:
        """Drops frames before an index that no expected moment uses, and images before another."""
        for index in [index for index in self._frames if index < before]:
            if self._uses[index] <= 0:
                del self._frames[index], self._uses[index]
        for by_index in (self._uncropped, self._numbers):
            for index in [index for index in by_index if index < images_before]:
                del by_index[index]

    def first_shared_image(self) -> int:
        """The number of the first image that a later window may share."""
        numbers = (by_key.values() for by_key in self._numbers.values())
        return min(itertools.chain.from_iterable(numbers), default=self._images.count)

    def numbers_of(self, moments: list[MomentFrames], region: Region | None) -> np.ndarray:
        """The numbers of the images of a window; images that do not exist yet are made.

        Args:
            moments: The T moments of the window.
            region: The region that is cropped; None does not crop.

        Returns:
            int64 (V, T, K).
        """
        if region != self._region:
            self._prepared, self._region = {}, region
        streams, views = range(len(self._cropped)), range(len(self._images.views))
        return np.array(
            [
                [
                    [self._number_of(moment, stream, view) for stream in streams]
                    for moment in moments
                ]
                for view in views
            ],
            np.int64,
        )

    def _number_of(self, moment: MomentFrames, stream: int, view: int) -> int:
        region = self._region if self._cropped[stream] else None
        numbers = self._numbers.setdefault(moment.index, {})
        key = stream, view, region
        if key not in numbers:
            numbers[key] = self._images.add(self._image_of(moment, stream, view))
        return numbers[key]

    def _image_of(self, moment: MomentFrames, stream: int, view: int) -> np.ndarray:
        if not self._cropped[stream]:
            images = self._uncropped[moment.index]
            while (stream, view) not in images:  # the video has ended before the moment's frames
                self._make_uncropped(self._waiting.popleft())
            return images[stream, view]
        parts = []
        for index in moment.frames[stream]:
            key = self._nearest(index), stream, view
            if key not in self._prepared:
                self._prepared[key] = self._prepare(*key, self._region)
            parts.append(self._prepared[key])
        return self._streams.streams[stream].combine(parts)

    def _make_uncropped(self, moment: MomentFrames) -> None:
        """Makes the images of a moment for the streams that are not cropped."""
        images = self._uncropped.get(moment.index)
        for stream, cropped in enumerate(self._cropped):
            for view in range(len(self._images.views)):
                if images is not None and not cropped:
                    frames = [self._nearest(index) for index in moment.frames[stream]]
                    parts = [self._prepare(index, stream, view, None) for index in frames]
                    images[stream, view] = self._streams.streams[stream].combine(parts)

    def _prepare(self, index: int, stream: int, view: int, region: Region | None) -> np.ndarray:
        region = region.scaled_down(self._reduction) if region else None
        views = self._images.views
        return self._streams.prepare_frame(self._frames[index], region, [stream], views[view])[
            stream
        ]

    def _nearest(self, index: int) -> int:
        """The index itself, or the nearest frame in the buffer.

        A frame is missing at the end of a video, and after a change of its rate.
        """
        if index in self._frames:
            return index
        return min(self._frames, key=lambda kept: abs(kept - index))
