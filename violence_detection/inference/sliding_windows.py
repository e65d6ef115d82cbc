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
from violence_detection.inference.frame_buffer import FrameBuffer, MomentFrames, NumberedImages
from violence_detection.video.clip_reader import sample_indices
from violence_detection.video.decoder import FALLBACK_FPS, measured_fps
from violence_detection.video.motion_crop import FRAME_STEP, RecentMotion, Region
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.views import ORIGINAL, View

_RATE_FRAMES = 64  # the last ones, that the frame rate is measured on
_MIN_RATE_FRAMES = 9  # of fewer, the declared rate holds
_MAX_FPS = 240.0  # a higher declared rate is ignored
_TOUCH_FRAMES = 0.01  # by which times may be rounded


class Frames(Protocol):
    """A decoder: iterates over numbers and times of frames, and decodes the current one."""

    def __iter__(self) -> Iterator[tuple[int, float]]: ...

    def retrieve(self) -> np.ndarray:
        """The current frame, uint8 (H, W, 3) BGR."""


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
    """

    start_s: float
    end_s: float
    images: np.ndarray
    needed_from: int


class SlidingWindows:
    """Cuts one video into windows, frame by frame.

    Attributes:
        frames: Count of frames added so far.
        longest_s: The longest time between two frames.
        last_s: Time of the last frame.
    """

    def __init__(
        self,
        streams: StreamSet,
        plan: WindowPlan,
        *,
        fps: float,
        views: Sequence[View] = (ORIGINAL,),
    ) -> None:
        """
        Args:
            streams: Make the images.
            plan: Positions of the windows.
            fps: Frames per second that the video declares; 0.0 if unknown.
            views: In which every image is made.
        """
        self.frames, self.longest_s, self.last_s = 0, 0.0, 0.0
        self._plan, self._fps = plan, fps
        self._images = NumberedImages(streams, tuple(views))
        self._section: _Section | None = None

    @property
    def end_s(self) -> float:
        """The time at which the last frame ends."""
        return self._section.end_s if self._section else 0.0

    def take_images(self) -> list[np.ndarray]:
        """Removes and returns the images made since the last call, uint8 (S, S, 3) each."""
        return self._images.take()

    def add(self, time_s: float, video: Frames) -> list[WindowImages]:
        """Adds the next frame; returns the windows that it completes.

        A gap that is longer than a window divides the video: no window contains it.
        """
        windows = []
        gap_s = time_s - self.last_s if self.frames else 0.0
        if self._section is None or gap_s > self._plan.window_s:
            windows += self.end()
            fps = self._section.rate if self._section else self._fps
            self._section = _Section(self._images, self._plan, fps=fps, start_s=time_s)
        self.longest_s = max(self.longest_s, gap_s)
        self.frames, self.last_s = self.frames + 1, time_s
        return windows + self._section.add(time_s, video)

    def end(self) -> list[WindowImages]:
        """The windows that only the end of the video completes; the last one ends with it."""
        return self._section.end() if self._section else []


class _Section:
    """A part of a video without a gap; frames are numbered, and times counted, from its start."""

    def __init__(
        self, made: NumberedImages, plan: WindowPlan, *, fps: float, start_s: float
    ) -> None:
        self._made, self._make, self._plan = made, made.make, plan
        self._fps, self._start_s = fps if fps <= _FASTEST_FPS else 0.0, start_s
        self._count, self._at_s = 0, 0.0
        self._recent: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._held = FrameBuffer(
            made, held_s=plan.window_s + (plan.focus_s or 0.0), step_s=plan.step_s
        )
        self._motion = RecentMotion()
        self._looked: tuple[tuple[float, float], Region | None] | None = None
        self._looks: dict[int, MomentFrames] = {}  # by moment
        self._moment = 0  # the next one without a frame
        self._window = 0  # the next one to be made
        self._covered_s = 0.0

    @property
    def rate(self) -> float:
        """Frames per second, lately."""
        if len(self._recent) < _FEW_FRAMES:
            return self._fps or FALLBACK_FPS
        return min(measured_fps(self._recent, self._fps), _FASTEST_FPS)

    @property
    def end_s(self) -> float:
        """Where the last frame ends, from the start of the video."""
        return self._start_s + self._duration_s

    @property
    def _frame_s(self) -> float:
        return units.frames_to_s(1, self.rate)

    @property
    def _duration_s(self) -> float:
        return self._at_s + self._frame_s

    def take(self, time_s: float, video: Frames) -> list[WindowImages]:
        index, self._at_s = self._count, time_s - self._start_s
        self._count += 1
        self._recent.append(self._at_s)
        self._hold(index, video)
        while self._is_due():
            needed = self._make.needed(index, fps=self.rate, last=sys.maxsize)
            self._looks[self._moment] = look = MomentFrames(index, needed)
            self._held.expect(look)
            self._moment += 1
        done = []
        while self._fits(_TOUCH) and self._is_there(index):
            done.append(self._next())
        self._forget(index)
        return done

    def end(self) -> list[WindowImages]:
        done = []
        while self._fits(0.5):
            done.append(self._next())
        if self._covered_s < self._duration_s - self._frame_s / 2:
            done.append(self._last())
        return done

    # -- frames

    def _hold(self, index: int, video: Frames) -> None:
        """Keep a frame, if a picture may be made of it; look for motion in it."""
        reach = self._make.reach(self.rate)
        looked_at = self._make.focused and index % FRAME_STEP == 0
        if reach or looked_at or self._is_due():
            frame = video.retrieve()
            if looked_at:
                self._motion.add(self._at_s, frame)
            if reach or self._is_due():
                self._held.add(index, frame, rate=self.rate)

    def _is_due(self) -> bool:
        """Whether the frame at hand is that of the next moment."""
        soon_s = self._at_s + (1 - _TOUCH) * self._frame_s
        return self._plan.moment_s(self._moment) < soon_s

    def _forget(self, index: int) -> None:
        """Drop what neither the next windows nor the last one can need."""
        first = self._plan.first_moment(self._window * self._plan.stride_s)
        first = min(first, self._moment - self._plan.count - 1)
        while self._looks and (moment := next(iter(self._looks))) < first:
            self._held.release(self._looks.pop(moment))
        oldest = next(iter(self._looks.values())).index if self._looks else index
        reach = self._make.reach(self.rate)
        self._held.forget(before=index - 2 * reach, pictures_before=oldest)

    # -- windows

    def _fits(self, slack_frames: float) -> bool:
        """Whether the next window ends before what was read does, or little later."""
        end_s = self._window * self._plan.stride_s + self._plan.window_s
        return end_s <= self._duration_s + slack_frames * self._frame_s

    def _is_there(self, read_to: int) -> bool:
        """Whether all frames are that the next window needs."""
        start_s = self._window * self._plan.stride_s
        last = self._plan.first_moment(start_s) + self._plan.count - 1
        if self._make.focused and self._plan.span_s(start_s)[1] > self._duration_s:
            return False
        return last < self._moment and self._looks[last].last <= read_to

    def _next(self) -> WindowImages:
        start_s = self._window * self._plan.stride_s
        self._window += 1
        self._covered_s = start_s + self._plan.window_s
        touch_s = _TOUCH * self._frame_s
        if self._covered_s > self._duration_s + touch_s:  # it is the last one
            self._covered_s = self._duration_s
        return self._made_of(start_s, self._covered_s)

    def _last(self) -> WindowImages:
        """The one that ends where the section does; it is shorter where the section is."""
        return self._made_of(max(0.0, self._duration_s - self._plan.window_s), self._duration_s)

    def _made_of(self, start_s: float, end_s: float) -> WindowImages:
        count = self._plan.count
        # The last moment may lie at the end itself, where no frame is.
        first = min(self._plan.first_moment(start_s), self._moment - count)
        moments = max(0, first) + sample_indices(min(count, self._moment), count)
        looks = [self._looks[moment] for moment in moments.tolist()]
        region = None
        if self._make.focused:
            region = self._region_in(self._plan.span_s(start_s))
        pictures = self._held.numbers(looks, region)
        return WindowImages(
            self._start_s + start_s,
            self._start_s + end_s,
            pictures,
            self._held.needed_from(),
        )

    def _region_in(self, span_s: tuple[float, float]) -> Region | None:
        if not self._looked or self._looked[0] != span_s:
            touch_s = _TOUCH * self._frame_s
            found = self._motion.region_in(*(one - touch_s for one in span_s))
            self._looked = span_s, found
        return self._looked[1]
