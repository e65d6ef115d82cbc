"""From a video file to the pictures that the backbone sees."""

import functools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from violence_detection import units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.video import motion_crop, seeking
from violence_detection.video.decoder import (
    FALLBACK_FPS,
    Decoder,
    describe_damage,
    describe_part_damage,
    measured_fps,
    open_video,
)
from violence_detection.video.motion_crop import Region
from violence_detection.video.stream_set import NeededFrames, PreparedFrame, StreamSet
from violence_detection.video.views import ORIGINAL, View

_LONG_FRAMES = 900  # a shorter video is decoded from its start
_HELD_BYTES = 128 * 2**20  # of a clip's frames, until it is known where to cut them

_Prepared = TypeVar("_Prepared")


def sample_indices(num_frames: int, count: int) -> np.ndarray:
    """The frames nearest to the middles of `count` equal parts of a video.

    ``index[i] = floor((i + 1/2) * num_frames / count)``. A video shorter than `count`
    frames repeats frames rather than padding with black.

    Args:
        num_frames: Frames in the video, >= 1.
        count: Frames wanted (T), >= 1.

    Returns:
        int64 (T,), non-decreasing, in [0, num_frames).

    Raises:
        ConfigError: If either is below 1.
    """
    for name, value in (("num_frames", num_frames), ("count", count)):
        if value < 1:
            raise ConfigError(f"`{name}` must be >= 1. Received: {name}={value}")
    # In integers: floor((2i + 1) n / 2T) has no rounding.
    return (2 * np.arange(count, dtype=np.int64) + 1) * num_frames // (2 * count)


def sample_frames(
    path: Path,
    count: int,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[np.ndarray]:
    """The frames at the middles of equal parts of a video, or of a part of it.

    The video is decoded from its start: once for the times of its frames, up to `end_s` or to
    its end, and once more up to the last frame that is wanted.

    Args:
        path: The video.
        count: Frames wanted (T), >= 1.
        start_s, end_s: Of the part, in seconds; both or neither.
        prepare: Applied to each frame when it is read, so that no more than its result is held;
            None keeps the frame.

    Returns:
        T frames in ascending order, uint8 (H, W, 3) BGR, or what `prepare` made of them. Their
        sizes differ where the size changes in the middle of the file. A part of fewer than T
        frames repeats frames, as `sample_indices` says; those are the same array.

    Raises:
        ConfigError: If `count` is below 1.
        VideoError: If the video cannot be decoded, no frame lies in the part, or a frame of the
            first reading is missing in the second.
    """
    inside = []
    with open_video(path) as video:
        for index, time_s in video:
            if end_s is not None and time_s >= end_s:
                break
            if start_s is None or start_s <= time_s:
                inside.append(index)
    if not inside:
        raise VideoError("no frame of it can be decoded")
    wanted = [inside[number] for number in sample_indices(len(inside), count).tolist()]
    found = read_frames(path, wanted, lambda frame, _: prepare(frame) if prepare else frame)
    return [found[index] for index in wanted]


def read_frames(
    path: Path, indices: Collection[int], prepare: Callable[[np.ndarray, int], _Prepared]
) -> dict[int, _Prepared]:
    """Reads a video from its start up to the last frame that is wanted, returns the wanted frames.

    Args:
        path: The video.
        indices: Of the frames, at least one; repeats count once.
        prepare: Applied to each wanted frame, uint8 (H, W, 3) BGR, and its index.

    Returns:
        What `prepare` returned, by index.

    Raises:
        VideoError: If the video cannot be decoded, or has not all of these frames any more.
    """
    wanted, found = set(indices), {}
    last = max(wanted)
    with open_video(path) as video:
        for index, _ in video:
            if index in wanted:
                found[index] = prepare(video.retrieve(), index)
            if index == last:
                break
    if len(found) < len(wanted):
        raise VideoError("frames that were there at first reading were not at the second")
    return found


@dataclass(frozen=True)
class Clip:
    """A video, or a part of one, as the backbone sees it.

    Attributes:
        views: uint8 (V, T, K, S, S, 3), of K streams; the first is the clip as it is.
        frames: Frames that could be decoded.
        fps: Frames per second; 0.0 where the container does not say.
        duration_s: Seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    views: np.ndarray
    frames: int
    fps: float
    duration_s: float
    damage: str = ""

    @property
    def pictures(self) -> np.ndarray:
        """The clip as it is, uint8 (T, K, S, S, 3)."""
        return self.views[0]


class ClipReader:
    """Turns video files into pictures; extraction and prediction both read through it.

    Attributes:
        count: Pictures in a clip (T).
        make: Makes the pictures of frames.
    """

    def __init__(self, *, stream: str, frames: int, frame_size: int) -> None:
        """
        Args:
            stream: Spec of what the backbone sees, one or several joined by `+`.
            frames: T.
            frame_size: Side of a picture in pixels (S).

        Raises:
            ConfigError: If a stream is not there, or does not take its arguments.
        """
        self.count = frames
        self.make = StreamSet(stream, frame_size=frame_size)
        self._spec = (stream, frames, frame_size)

    def __reduce__(self) -> tuple[Any, ...]:
        """A reader that a child process asks for is built there, once."""
        return _reader, self._spec

    def read(
        self,
        path: Path,
        start_s: float | None = None,
        end_s: float | None = None,
        views: Sequence[View] = (),
    ) -> Clip:
        """The T pictures of a video, or of its part from `start_s` to `end_s`.

        Args:
            path: The video.
            start_s, end_s: Of the part.
            views: Further ones, beside the clip as it is.

        Raises:
            VideoError: If it cannot be decoded, or fewer than T/2 distinct frames of a
                damaged file are sound.
        """
        return _Reading(self, path, start_s, end_s, (ORIGINAL, *views)).clip()


Seen = tuple[PreparedFrame, ...]  # a frame as streams keep it, in each view


class _Sampling(NamedTuple):
    """The frames that a clip's pictures are made of.

    Attributes:
        needed: For each of T pictures and K streams, the frames.
    """

    needed: tuple[NeededFrames, ...]

    def streams_of_frames(self) -> dict[int, set[int]]:
        """By frame, the streams that need it."""
        found: dict[int, set[int]] = {}
        for picture in self.needed:
            for number, frames in enumerate(picture):
                for index in frames:
                    found.setdefault(index, set()).add(number)
        return found


class _Reading:
    """A clip that is being read."""

    def __init__(
        self,
        reader: ClipReader,
        path: Path,
        start_s: float | None,
        end_s: float | None,
        views: tuple[View, ...],
    ) -> None:
        self._count, self._make = reader.count, reader.make
        self._path, self._start_s, self._end_s = path, start_s, end_s
        self._views = views
        self._fps, self._declared = 0.0, 0

    def clip(self) -> Clip:
        with open_video(self._path) as video:
            self._fps, self._declared = video.fps, video.declared_frames
            found = None
            if self._declared > _LONG_FRAMES:
                found = self._reached()
            return found or self._decoded(video)

    # -- forwards

    def _decoded(self, video: Decoder) -> Clip:
        """By decoding from the start, and a second time where the first did not tell all."""
        declared, guess = self._declared, None
        if self._start_s is None and declared > 0:
            guess = self._sampling(0, declared, fps=self._fps, last=declared - 1)
        times_s, region, frames = self._survey(video, guess)
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        sampling = self._sampling_of(times_s)
        if frames is None or sampling != guess:
            # The count was not known before, or not true, or there was no room for frames.
            frames = self._collect(sampling, region)
        return self._combined(sampling, frames, times_s)

    def _survey(
        self, video: Decoder, guess: _Sampling | None
    ) -> tuple[list[float], Region | None, dict[int, Seen] | None]:
        """Decode once.

        Returns:
            Every frame's time in seconds, where the motion is, and the frames of `guess` as
            the streams keep them; None where there is no guess or no room.
        """
        wanted = guess.streams_of_frames() if guess else {}
        motion = motion_crop.MotionMap() if self._make.focused else None
        times_s, inside_s, held = [], [], {}
        beyond = 0
        for index, time_s in video:
            times_s.append(time_s)
            if self._end_s is not None and time_s >= self._end_s:
                beyond += 1
                if beyond >= self._make.reach(measured_fps(inside_s, self._fps)):
                    break
                continue
            frame = None
            if self._start_s is None or self._start_s <= time_s:
                if motion is not None and len(inside_s) % motion_crop.FRAME_STEP == 0:
                    frame = video.retrieve()
                    motion.add(frame)
                inside_s.append(time_s)
            if index in wanted:
                frame = video.retrieve() if frame is None else frame
                if motion is None:
                    frame = self._seen(frame, None, wanted[index])
                elif frame.nbytes * len(wanted) > _HELD_BYTES:
                    guess, wanted, held = None, {}, {}
                    continue
                held[index] = frame
        region = motion.region() if motion is not None else None
        if guess is None:
            return times_s, region, None
        if motion is not None:
            held = {
                index: self._seen(frame, region, wanted[index]) for index, frame in held.items()
            }
        return times_s, region, held

    def _collect(self, sampling: _Sampling, region: Region | None) -> dict[int, Seen]:
        """The frames of a sampling, as the streams keep them."""
        wanted = sampling.streams_of_frames()
        return read_frames(
            self._path, wanted, lambda frame, index: self._seen(frame, region, wanted[index])
        )

    # -- by seeking

    def _reached(self) -> Clip | None:
        """Without decoding what is not wanted; None where that is not possible or not cheaper.

        The frames are the same. Damage between those that are wanted is not seen.
        """
        timeline = seeking.read_timeline(self._path)
        if timeline is None:
            return None
        sampling = self._sampling_of(timeline.times_s)
        wanted = sampling.streams_of_frames()
        looked_at = range(0)
        if self._make.focused:
            first, num_frames = self._part(timeline.times_s)
            looked_at = range(first, first + num_frames, motion_crop.FRAME_STEP)
        if not timeline.pays(wanted.keys() | set(looked_at)):
            return None
        motion, frames = motion_crop.MotionMap(), {}
        try:
            if looked_at:
                with open_video(self._path) as video:
                    for _ in timeline.visit(video, looked_at):
                        motion.add(video.retrieve())
            region = motion.region()
            with open_video(self._path) as video:
                for index in timeline.visit(video, sorted(wanted)):
                    frames[index] = self._seen(video.retrieve(), region, wanted[index])
        except (seeking.Unreachable, VideoError):
            return None
        return self._combined(sampling, frames, timeline.times_s)

    # -- both

    def _sampling_of(self, times_s: Sequence[float]) -> _Sampling:
        """Of the clip, in a video whose frames have these times as far as they matter."""
        first, num_frames = self._part(times_s)
        fps = measured_fps(times_s[first : first + num_frames], self._fps)
        return self._sampling(first, num_frames, fps=fps, last=len(times_s) - 1)

    def _sampling(self, first: int, num_frames: int, *, fps: float, last: int) -> _Sampling:
        """Of a clip of `num_frames` from `first`, in a video that ends with frame `last`."""
        indices = (first + sample_indices(num_frames, self._count)).tolist()
        return _Sampling(tuple(self._make.needed(index, fps=fps, last=last) for index in indices))

    def _part(self, times_s: Sequence[float]) -> tuple[int, int]:
        """First frame and number of frames of the clip."""
        if self._start_s is None:
            return 0, len(times_s)
        part = self._start_s, self._end_s
        first, end = np.searchsorted(times_s, part).tolist()
        if first == end:
            raise VideoError(
                f"no frame lies between {part[0]:g} and {part[1]:g} s (it ends at "
                f"{times_s[-1]:.1f} s)"
            )
        return first, end - first

    def _seen(self, frame: np.ndarray, region: Region | None, numbers: set[int]) -> Seen:
        return tuple(self._make.prepared(frame, region, numbers, view) for view in self._views)

    def _combined(
        self, sampling: _Sampling, frames: dict[int, Seen], times_s: Sequence[float]
    ) -> Clip:
        """Of the frames of a sampling and the times of all frames of the video."""
        first, num_frames = self._part(times_s)
        damage = self._damage(times_s)
        if damage and min(num_frames, self._count) < self._count / 2:
            raise VideoError(f"{damage}; {math.ceil(self._count / 2)} are needed")
        views = []
        for number in range(len(self._views)):
            prepared = {index: seen[number] for index, seen in frames.items()}
            views.append([self._make.combined(one, prepared) for one in sampling.needed])
        inside_s = times_s[first : first + num_frames]
        frame_s = units.frames_to_s(1, self._fps or FALLBACK_FPS)
        duration_s = float(inside_s[-1] - inside_s[0]) + frame_s
        return Clip(np.array(views), num_frames, self._fps, duration_s, damage)

    def _damage(self, times_s: Sequence[float]) -> str:
        """What is wrong with the file, or with the part of it."""
        if self._start_s is None:
            return describe_damage(times_s, self._declared, self._fps)
        ends_s = times_s[-1] + units.frames_to_s(1, self._fps or FALLBACK_FPS)
        return describe_part_damage(ends_s, self._start_s, self._end_s)


@functools.cache
def _reader(stream: str, frames: int, frame_size: int) -> ClipReader:
    return ClipReader(stream=stream, frames=frames, frame_size=frame_size)
