"""Sliding windows over a video of any length, in one pass over its frames and in bounded memory.

The frames of windows are sampled at the moments of one grid, a T-th of a window apart, so that
windows that overlap share their images.
"""

import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from violence_detection import units
from violence_detection.inference.frame_buffer import (
    HOLD_BYTES,
    FrameBuffer,
    MomentFrames,
    NumberedImages,
)
from violence_detection.video.decoding.decoder import FALLBACK_FPS, measured_fps
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.motion_crop import FRAME_STEP, Polygon, RecentMotion, Region
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import ORIGINAL, View

_RATE_FRAMES = 64  # the last ones, that the frame rate is measured on
_MIN_RATE_FRAMES = 9  # of fewer, the declared rate holds
_MAX_FPS = 240.0  # a higher declared rate is ignored
_TOUCH_FRAMES = 0.01  # by which times may be rounded


class CurrentFrame(Protocol):
    """A frame that is converted to an image when it is asked for."""

    def retrieve(self) -> np.ndarray:
        """The image, uint8 (H, W, 3) BGR."""


class Frames(CurrentFrame, Protocol):
    """A decoder: iterates over numbers and times of frames, and converts the current one."""

    def __iter__(self) -> Iterator[tuple[int, float]]: ...


@dataclass(frozen=True)
class WindowPlan:
    """The positions of windows and of the moments at which their frames are sampled.

    Attributes:
        window_s, stride_s: Length of a window, and from the start of a window to the next.
        count: Moments of a window (T).
        focus_s: Seconds for which a focused stream keeps the same crop; None chooses a crop for
            each window.
    """

    window_s: float
    stride_s: float
    count: int
    focus_s: float | None = None

    @property
    def step_s(self) -> float:
        """Seconds from one moment to the next."""
        return self.window_s / self.count

    def first_moment(self, start_s: float) -> int:
        """The first moment of a window: the nearest of the grid, at most half a step away."""
        return math.floor(start_s / self.step_s + 0.5)

    def moment_s(self, moment: int) -> float:
        """The time of a moment: the middle of its step."""
        return (moment + 0.5) * self.step_s

    def span_s(self, start_s: float) -> tuple[float, float]:
        """Start and end of the part of the video whose motion determines the crop of a window.

        It is the window itself, or the interval of `focus_s` that contains the window's middle.
        """
        if self.focus_s is None:
            return start_s, start_s + self.window_s
        interval = math.floor((start_s + self.window_s / 2) / self.focus_s)
        return interval * self.focus_s, (interval + 1) * self.focus_s


class WindowImages(NamedTuple):
    """A window, with the numbers of its images.

    Attributes:
        start_s, end_s: Seconds from the start of the video.
        images: int64 (V, T, K), for each view, moment and stream the number of its image.
        needed_from: The first image that this window or later windows may need.
        own_frames: Moments that have a frame of their own. It is less than T where the video has
            fewer frames than that, or frames are missing.
    """

    start_s: float
    end_s: float
    images: np.ndarray
    needed_from: int
    own_frames: int = 0


class SlidingWindows:
    """Cuts one video into windows, frame by frame.

    Attributes:
        frames: Count of frames added so far.
        longest_s: The longest time between two frames.
        last_s: Time of the last frame.
        every: Of this many windows one is made; it may be changed between two frames.
    """

    def __init__(
        self,
        streams: StreamSet,
        plan: WindowPlan,
        *,
        fps: float,
        views: Sequence[View] = (ORIGINAL,),
        hold_bytes: int = HOLD_BYTES,
        ignored: Sequence[Polygon] = (),
    ) -> None:
        """
        Args:
            streams: Make the images.
            plan: Positions of the windows.
            fps: Frames per second that the video declares; 0.0 if unknown.
            views: In which every image is made.
            hold_bytes: Memory for the frames that windows may still need.
            ignored: Polygons in which motion does not steer the crop of focused streams; points
                are shares of width and height.
        """
        self._ignored = tuple(ignored)
        self.frames, self.longest_s, self.last_s, self.every = 0, 0.0, 0.0, 1
        self._plan, self._fps, self._hold_bytes = plan, fps, hold_bytes
        self._images = NumberedImages(streams, tuple(views))
        self._section: _Section | None = None

    @property
    def end_s(self) -> float:
        """The time at which the last frame ends."""
        return self._section.end_s if self._section else 0.0

    def take_images(self) -> list[np.ndarray]:
        """Removes and returns the images made since the last call, uint8 (S, S, 3) each."""
        return self._images.take()

    def add(self, time_s: float, video: CurrentFrame) -> list[WindowImages]:
        """Adds the next frame; returns the windows that it completes.

        A gap that is longer than a window divides the video: no window contains it.
        """
        windows = []
        gap_s = time_s - self.last_s if self.frames else 0.0
        if self._section is None or gap_s > self._plan.window_s:
            windows += self.end()
            fps = self._section.rate if self._section else self._fps
            self._section = _Section(
                self._images,
                self._plan,
                fps=fps,
                start_s=time_s,
                hold_bytes=self._hold_bytes,
                ignored=self._ignored,
            )
        self.longest_s = max(self.longest_s, gap_s)
        self.frames, self.last_s = self.frames + 1, time_s
        return windows + self._section.add(time_s, video, every=self.every)

    def end_section(self) -> list[WindowImages]:
        """Divides the video before the next frame; returns the windows that this completes."""
        windows, self._section = self.end(), None
        return windows

    def end(self) -> list[WindowImages]:
        """The windows that only the end of the video completes; the last one ends with it."""
        return self._section.end(every=self.every) if self._section else []


class _Section:
    """A part of a video without a gap; frames are numbered, and times counted, from its start."""

    def __init__(
        self,
        images: NumberedImages,
        plan: WindowPlan,
        *,
        fps: float,
        start_s: float,
        hold_bytes: int,
        ignored: Sequence[Polygon],
    ) -> None:
        self._streams, self._plan = images.streams, plan
        self._fps, self._start_s = fps if fps <= _MAX_FPS else 0.0, start_s
        self._count, self._at_s = 0, 0.0
        self._recent_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._buffer = FrameBuffer(
            images,
            max_wait_s=plan.window_s + (plan.focus_s or 0.0),
            step_s=plan.step_s,
            hold_bytes=hold_bytes,
        )
        self._motion = RecentMotion(ignored)
        self._region: tuple[tuple[float, float], Region | None] | None = None  # of the last span
        self._moments: dict[int, MomentFrames] = {}
        self._next_moment = 0  # the first without a frame
        self._next_window = 0
        self._covered_s = 0.0

    @property
    def rate(self) -> float:
        """Frames per second of the last frames."""
        if len(self._recent_s) < _MIN_RATE_FRAMES:
            return self._fps or FALLBACK_FPS
        return min(measured_fps(self._recent_s, self._fps), _MAX_FPS)

    @property
    def end_s(self) -> float:
        """The time at which the last frame ends, from the start of the video."""
        return self._start_s + self._duration_s

    @property
    def _frame_s(self) -> float:
        return units.frames_to_s(1, self.rate)

    @property
    def _duration_s(self) -> float:
        return self._at_s + self._frame_s

    def add(self, time_s: float, video: CurrentFrame, *, every: int) -> list[WindowImages]:
        """Adds the next frame; returns the windows that it completes."""
        index, self._at_s = self._count, time_s - self._start_s
        self._count += 1
        self._recent_s.append(self._at_s)
        self._keep_frame(index, video)
        while self._is_due():
            # A stream may need frames after this one, whose count is not known yet.
            needed = self._streams.needed_frames(index, fps=self.rate, last=sys.maxsize)
            self._moments[self._next_moment] = moment = MomentFrames(index, needed)
            self._buffer.expect(moment)
            self._next_moment += 1
        windows = []
        while self._next_window_ends(slack_frames=_TOUCH_FRAMES) and self._has_frames(index):
            windows += self._make_next_window(every)
        self._forget(index)
        return windows

    def end(self, *, every: int) -> list[WindowImages]:
        """The windows that only the end of the section completes."""
        windows = []
        while self._next_window_ends(slack_frames=0.5):
            windows += self._make_next_window(every)
        # A section that ends before the frame of its first moment has no window.
        if self._next_moment and self._covered_s < self._duration_s - self._frame_s / 2:
            # One more window, which ends with the section and is no longer than it.
            start_s = max(0.0, self._duration_s - self._plan.window_s)
            windows.append(self._make_window(start_s, self._duration_s))
        return windows

    # -- frames

    def _keep_frame(self, index: int, video: CurrentFrame) -> None:
        """Decodes a frame that an image may be made of, or that motion is measured on."""
        reach = self._streams.reach_frames(self.rate)
        shows_motion = self._streams.focused and index % FRAME_STEP == 0
        if reach or shows_motion or self._is_due():
            frame = video.retrieve()
            if shows_motion:
                self._motion.add(self._at_s, frame)
            if reach or self._is_due():
                self._buffer.add(index, frame, rate=self.rate)

    def _is_due(self) -> bool:
        """True if the current frame is the frame of the next moment."""
        frame_end_s = self._at_s + (1 - _TOUCH_FRAMES) * self._frame_s
        return self._plan.moment_s(self._next_moment) < frame_end_s

    def _forget(self, index: int) -> None:
        """Drops what neither the next windows nor the last one can need."""
        first = self._plan.first_moment(self._next_window * self._plan.stride_s)
        first = min(first, self._next_moment - self._plan.count - 1)
        while self._moments and (moment := next(iter(self._moments))) < first:
            self._buffer.release(self._moments.pop(moment))
        oldest = next(iter(self._moments.values())).index if self._moments else index
        reach = self._streams.reach_frames(self.rate)
        self._buffer.forget(before=index - 2 * reach, images_before=oldest)

    # -- windows

    def _next_window_ends(self, *, slack_frames: float) -> bool:
        """True if the next window ends at most `slack_frames` after the last frame."""
        end_s = self._next_window * self._plan.stride_s + self._plan.window_s
        return end_s <= self._duration_s + slack_frames * self._frame_s

    def _has_frames(self, last_index: int) -> bool:
        """True if all frames that the next window needs are read."""
        start_s = self._next_window * self._plan.stride_s
        last = self._plan.first_moment(start_s) + self._plan.count - 1
        if self._streams.focused and self._plan.span_s(start_s)[1] > self._duration_s:
            return False
        return last < self._next_moment and self._moments[last].last <= last_index

    def _make_next_window(self, every: int) -> list[WindowImages]:
        """The next window, or none if it is to be left out."""
        number, self._next_window = self._next_window, self._next_window + 1
        if number % every:
            return []
        start_s = number * self._plan.stride_s
        self._covered_s = start_s + self._plan.window_s
        touch_s = _TOUCH_FRAMES * self._frame_s
        if self._covered_s > self._duration_s + touch_s:  # the last window ends with the section
            self._covered_s = self._duration_s
        return [self._make_window(start_s, self._covered_s)]

    def _make_window(self, start_s: float, end_s: float) -> WindowImages:
        count = self._plan.count
        # The last moment may lie at the end itself, where no frame is.
        first = min(self._plan.first_moment(start_s), self._next_moment - count)
        numbers = max(0, first) + sample_indices(min(count, self._next_moment), count)
        moments = [self._moments[number] for number in numbers.tolist()]
        region = None
        if self._streams.focused:
            region = self._region_of(self._plan.span_s(start_s))
        images = self._buffer.numbers_of(moments, region)
        return WindowImages(
            self._start_s + start_s,
            self._start_s + end_s,
            images,
            self._buffer.first_shared_image(),
            len({moment.index for moment in moments}),
        )

    def _region_of(self, span_s: tuple[float, float]) -> Region | None:
        if not self._region or self._region[0] != span_s:
            touch_s = _TOUCH_FRAMES * self._frame_s
            start_s, end_s = span_s
            self._region = span_s, self._motion.region_in(start_s - touch_s, end_s - touch_s)
        return self._region[1]
