"""The windows of a long video: where they start, and the pictures that they need, in order.

Windows are counted in frames. Everything is decoded forwards and in bounded memory.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from violence_detection import focus, units
from violence_detection.decoder import Decoder, damage_of, opened, true_fps
from violence_detection.errors import VideoError
from violence_detection.focus import RecentMotion, Region
from violence_detection.pictures import Needed, PictureMaker, Prepared

_SHORT_CLIP_WINDOWS = 1.5


@dataclass(frozen=True)
class WindowPlan:
    """Which frames the windows of a video have.

    Attributes:
        length_frames, stride_frames: Of the windows.
        num_frames: Frames that can be decoded.
        fps: Frames per second, a guess where the file has none.
        end_s: Where the video ends, in seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    length_frames: int
    stride_frames: int
    num_frames: int
    fps: float
    end_s: float
    damage: str = ""

    @property
    def is_one_clip(self) -> bool:
        """Whether the video is one window."""
        return self.length_frames == self.num_frames

    def starts(self) -> Iterator[int]:
        """First frame of each window, ascending; the last window ends where the video does."""
        start = 0
        last = self.num_frames - self.length_frames
        while start < last:
            yield start
            start += self.stride_frames
        yield max(0, last)

    def focus_spans(self, focus_s: float | None) -> Iterator[tuple[int, int]]:
        """For each window, the first frame of the part whose motion tells where to look, and
        the frame after its last: the window itself, or the `focus_s` around its middle."""
        held = self.length_frames
        if focus_s is not None:
            held = max(1, round(focus_s * self.fps))
        for start in self.starts():
            if focus_s is not None:
                middle = start + self.length_frames // 2
                start = held * (middle // held)
            yield start, min(start + held, self.num_frames)


def plan_windows(path: Path, *, window_s: float, stride_s: float) -> WindowPlan:
    """The windows of a video.

    A video of up to 1.5 windows is one window: it is what training calls a clip.

    Raises:
        VideoError: If it cannot be opened, or no frame of it can be decoded.
    """
    with opened(path) as video:
        # Counted, not believed: a joined or damaged file declares more or less than it has.
        times_s = [time_s for _, time_s in video]
        declared, declared_fps = video.declared_frames, video.fps
    if not times_s:
        raise VideoError("no frame of it can be decoded")
    fps, num_frames = true_fps(times_s, declared_fps), len(times_s)
    length = max(1, round(window_s * fps))
    if num_frames <= _SHORT_CLIP_WINDOWS * length:
        length = num_frames
    return WindowPlan(
        length,
        max(1, round(stride_s * fps)),
        num_frames,
        fps,
        end_s=times_s[-1] + units.frames_to_s(1, fps),
        damage=damage_of(times_s, declared, declared_fps),
    )


def regions(path: Path, spans: Iterable[tuple[int, int]]) -> Iterator[Region | None]:
    """Where the motion is in each of several parts of a video.

    Args:
        path: The video.
        spans: First frame of each part and the frame after its last, both ascending.
    """
    with opened(path) as video:
        frames, motion = iter(video), RecentMotion()
        region, before, read_to = None, None, 0
        for span in spans:
            if span != before:
                before, (first, end) = span, span
                while read_to < end and next(frames, None):
                    if read_to % focus.EVERY == 0:
                        motion.add(read_to, video.retrieve())
                    read_to += 1
                region = motion.region_since(first)
            yield region


class Slot(NamedTuple):
    """A picture of a video: of which frame, and cut to what (None: nothing)."""

    index: int
    region: Region | None


def pictures(
    path: Path, plan: WindowPlan, make: PictureMaker, wanted: Iterator[Slot]
) -> Iterator[tuple[int, float, list[tuple[Slot, np.ndarray]]]]:
    """Every frame of a video in one pass, with the pictures that it completes.

    Args:
        path: The video.
        plan: Of the video.
        make: Makes the pictures.
        wanted: Which ones, by ascending frame.

    Yields:
        Index, time in seconds, and slots with their pictures uint8 (K, S, S, 3), which come
        in the order of `wanted`.
    """
    pending = _PendingPictures(make, plan, wanted)
    with opened(path) as video:
        for index, time_s in video:
            yield index, time_s, pending.take(index, video)


class _PendingPictures:
    """The pictures that are being made, and the frames that they are made of."""

    def __init__(
        self, make: PictureMaker, plan: WindowPlan, wanted: Iterator[Slot]
    ) -> None:
        self._make = make
        self._coming = ((slot, self._needed(slot, plan)) for slot in wanted)
        self._following = next(self._coming, None)
        self._pending: deque[tuple[Slot, Needed]] = deque()
        self._frames: dict[Region | None, dict[int, Prepared]] = {}

    def _needed(self, slot: Slot, plan: WindowPlan) -> Needed:
        return self._make.needed(slot.index, fps=plan.fps, last=plan.num_frames - 1)

    def take(self, index: int, video: Decoder) -> list[tuple[Slot, np.ndarray]]:
        """Take the next frame; the pictures that it completes."""
        while self._following and _first(self._following[1]) <= index:
            self._pending.append(self._following)
            self._following = next(self._coming, None)
        self._prepare(index, video)
        done = []
        while self._pending and _last(self._pending[0][1]) <= index:
            slot, needed = self._pending.popleft()
            done.append((slot, self._make.combined(needed, self._frames[slot.region])))
        self._forget()
        return done

    def _prepare(self, index: int, video: Decoder) -> None:
        """Keep a frame for every pending picture that is made of it."""
        wanted: dict[Region | None, set[int]] = {}
        for slot, needed in self._pending:
            for number, indices in enumerate(needed):
                if index in indices:
                    wanted.setdefault(slot.region, set()).add(number)
        if wanted:
            frame = video.retrieve()
            for region, numbers in wanted.items():
                prepared = self._make.prepared(frame, region, numbers)
                self._frames.setdefault(region, {})[index] = prepared

    def _forget(self) -> None:
        """Drop the frames that no pending picture is made of."""
        first: dict[Region | None, int] = {}
        for slot, needed in self._pending:
            first[slot.region] = min(first.get(slot.region, slot.index), _first(needed))
        self._frames = {
            region: {
                index: frame
                for index, frame in frames.items()
                if index >= first[region]
            }
            for region, frames in self._frames.items()
            if region in first
        }


def _first(needed: Needed) -> int:
    return min(map(min, needed))


def _last(needed: Needed) -> int:
    return max(map(max, needed))
