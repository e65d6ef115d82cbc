"""The frames of a video that pictures of windows may yet be made of, in bounded memory."""

import itertools
import math
from collections import Counter, deque
from typing import NamedTuple

import cv2
import numpy as np

from violence_detection.video.motion_crop import Region
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import View

_BYTES = 400 * 2**20  # of frames, until it is known where to cut them


class MomentFrames(NamedTuple):
    """The frame at a moment, and for each of K streams the frames that its picture is made of."""

    index: int
    frames: tuple[tuple[int, ...], ...]

    @property
    def last(self) -> int:
        return max(map(max, self.frames))


class NumberedImages:
    """Pictures, numbered as they are made."""

    def __init__(self, make: StreamSet, views: tuple[View, ...]) -> None:
        self.make, self.views = make, views
        self.count = 0
        self._fresh: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> int:
        self._fresh.append(picture)
        self.count += 1
        return self.count - 1

    def taken(self) -> list[np.ndarray]:
        fresh, self._fresh = self._fresh, []
        return fresh


class FrameBuffer:
    """The frames that pictures may yet be made of, and the pictures that windows may share."""

    def __init__(self, made: NumberedImages, *, held_s: float, step_s: float) -> None:
        """
        Args:
            made: Where pictures go.
            held_s: Seconds for which a frame is held, until it is known where to cut it.
            step_s: Seconds between two frames that windows look at.
        """
        self._made, self._make = made, made.make
        self._held_s, self._step_s = held_s, step_s
        self._focused = [stream.focus for stream in made.make.streams]
        self._frames: dict[int, np.ndarray] = {}
        self._reduction = 0  # of the sides of frames that are held
        self._uses: Counter[int] = Counter()
        self._plain: dict[int, dict[tuple[int, int], np.ndarray]] = {}
        self._waiting: deque[MomentFrames] = deque()
        self._numbers: dict[int, dict[tuple, int]] = {}  # of pictures, by their frame
        self._cut: dict[tuple[int, int, int], np.ndarray] = {}
        self._cut_to: Region | None = None

    def add(self, index: int, frame: np.ndarray, *, rate: float) -> None:
        """Take a frame, uint8 (H, W, 3)."""
        if not self._reduction:
            self._reduction = self._reduction_for(frame.nbytes, rate)
        if self._reduction > 1:
            height, width = (max(1, n // self._reduction) for n in frame.shape[:2])
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        self._frames[index] = frame
        while self._waiting and self._waiting[0].last <= index:
            self._make_plain(self._waiting.popleft())

    def _reduction_for(self, frame_bytes: int, rate: float) -> int:
        """By what the sides of frames are divided, so that those that are held have room."""
        reach = self._make.reach(rate)
        held = 2 * reach + 1.0
        if any(self._focused):
            parts = 3 if reach else 1
            held += self._held_s * min(rate, parts / self._step_s)
        return math.ceil(math.sqrt(held * frame_bytes / _BYTES))

    def expect(self, look: MomentFrames) -> None:
        """A window may look at a frame, which is there."""
        for focused, frames in zip(self._focused, look.frames, strict=True):
            if focused:
                self._uses.update(set(frames))
        if not all(self._focused) and look.index not in self._plain:
            self._plain[look.index] = {}
            if look.last <= look.index:
                self._make_plain(look)
            else:
                self._waiting.append(look)

    def release(self, look: MomentFrames) -> None:
        """No window looks at a frame any more."""
        for focused, frames in zip(self._focused, look.frames, strict=True):
            if focused:
                self._uses.subtract(set(frames))

    def forget(self, *, before: int, pictures_before: int) -> None:
        """Drop frames and pictures, but not the frames that a window may yet need."""
        for index in [one for one in self._frames if one < before]:
            if self._uses[index] <= 0:
                del self._frames[index], self._uses[index]
        for kept in (self._plain, self._numbers):
            for index in [one for one in kept if one < pictures_before]:
                del kept[index]

    def needed_from(self) -> int:
        """The first picture that a window may share."""
        numbers = (one.values() for one in self._numbers.values())
        return min(itertools.chain.from_iterable(numbers), default=self._made.count)

    def numbers(self, looks: list[MomentFrames], region: Region | None) -> np.ndarray:
        """Of the pictures of a window, which are made if they are not there: int64 (V, T, K)."""
        if region != self._cut_to:
            self._cut, self._cut_to = {}, region
        streams, views = range(len(self._focused)), range(len(self._made.views))
        return np.array(
            [
                [[self._number(look, stream, view) for stream in streams] for look in looks]
                for view in views
            ],
            np.int64,
        )

    def _number(self, look: MomentFrames, stream: int, view: int) -> int:
        region = self._cut_to if self._focused[stream] else None
        known = self._numbers.setdefault(look.index, {})
        key = stream, view, region
        if key not in known:
            known[key] = self._made.add(self._picture(look, stream, view))
        return known[key]

    def _picture(self, look: MomentFrames, stream: int, view: int) -> np.ndarray:
        if not self._focused[stream]:
            made = self._plain[look.index]
            while (stream, view) not in made:  # the video has ended
                self._make_plain(self._waiting.popleft())
            return made[stream, view]
        parts = []
        for index in look.frames[stream]:
            key = self._nearest(index), stream, view
            if key not in self._cut:
                self._cut[key] = self._prepared(*key, self._cut_to)
            parts.append(self._cut[key])
        return self._make.streams[stream].combine(parts)

    def _make_plain(self, look: MomentFrames) -> None:
        """The pictures of a frame that are not cut."""
        made = self._plain.get(look.index)
        for stream, focused in enumerate(self._focused):
            for view in range(len(self._made.views)):
                if made is not None and not focused:
                    frames = [self._nearest(index) for index in look.frames[stream]]
                    parts = [self._prepared(one, stream, view, None) for one in frames]
                    made[stream, view] = self._make.streams[stream].combine(parts)

    def _prepared(self, index: int, stream: int, view: int, region: Region | None) -> np.ndarray:
        region = region.reduced(self._reduction) if region else None
        seen = self._made.views[view]
        return self._make.prepared(self._frames[index], region, [stream], seen)[stream]

    def _nearest(self, index: int) -> int:
        """A frame that is there; where the rate has changed, or at the end, another is not."""
        if index in self._frames:
            return index
        return min(self._frames, key=lambda one: abs(one - index))
