"""From a video file to the pictures that the backbone sees."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from violence_detection import focus, seeking, units
from violence_detection.decoder import (
    FALLBACK_FPS,
    Decoder,
    damage_of,
    opened,
    part_damage,
    true_fps,
)
from violence_detection.errors import ConfigError, VideoError
from violence_detection.focus import Region
from violence_detection.pictures import Needed, PictureMaker, Prepared

_LONG_FRAMES = 900  # a shorter video is decoded from its start
_HELD_BYTES = 128 * 2**20  # of a clip's frames, until it is known where to cut them


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


@dataclass(frozen=True)
class Clip:
    """A video, or a part of one, as the backbone sees it.

    Attributes:
        pictures: uint8 (T, K, S, S, 3), of K streams.
        frames: Frames that could be decoded.
        fps: Frames per second; 0.0 where the container does not say.
        duration_s: Seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    pictures: np.ndarray
    frames: int
    fps: float
    duration_s: float
    damage: str = ""


class _Sampling(NamedTuple):
    """The frames that a clip's pictures are made of.

    Attributes:
        needed: For each of T pictures and K streams, the frames.
    """

    needed: tuple[Needed, ...]

    def streams_of_frames(self) -> dict[int, set[int]]:
        """By frame, the streams that need it."""
        found: dict[int, set[int]] = {}
        for picture in self.needed:
            for number, frames in enumerate(picture):
                for index in frames:
                    found.setdefault(index, set()).add(number)
        return found


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
        self.make = PictureMaker(stream, frame_size=frame_size)
        self._spec = (stream, frames, frame_size)

    def __reduce__(self) -> tuple[Any, ...]:
        """A reader that a child process asks for is built there, once."""
        return _reader, self._spec

    def read(
        self, path: Path, start_s: float | None = None, end_s: float | None = None
    ) -> Clip:
        """The T pictures of a video, or of its part from `start_s` to `end_s`.

        Raises:
            VideoError: If it cannot be decoded, or fewer than T/2 distinct frames of a
                damaged file are sound.
        """
        with opened(path) as video:
            declared, fps = video.declared_frames, video.fps
            clip = self._read_by_seeking(path, fps, declared, start_s, end_s)
            if clip is not None:
                return clip
            guess = None
            if start_s is None and declared > 0:
                guess = self._sampling(0, declared, fps=fps, last=declared - 1)
            times_s, region, frames = self._survey(video, guess, start_s, end_s)
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        first, num_frames = _part(times_s, start_s, end_s)
        sampling = self._sampling_of(times_s, first, num_frames, fps)
        if frames is None or sampling != guess:
            # The count was not known before, or not true, or there was no room for frames.
            frames = self._collect(path, sampling, region)
        if not sampling.streams_of_frames().keys() <= frames.keys():
            raise VideoError(
                "frames that were there at first reading were not at the second"
            )
        damage = _damage(times_s, declared, fps, start_s, end_s)
        times_s = times_s[first : first + num_frames]
        return self._clip(sampling, frames, times_s, fps, damage)

    def _clip(
        self,
        sampling: _Sampling,
        frames: dict[int, Prepared],
        times_s: Sequence[float],
        fps: float,
        damage: str,
    ) -> Clip:
        """Of the frames of a sampling and the times of all that are in the clip."""
        if damage and min(len(times_s), self.count) < self.count / 2:
            raise VideoError(f"{damage}; {math.ceil(self.count / 2)} are needed")
        pictures = np.stack(
            [self.make.combined(one, frames) for one in sampling.needed]
        )
        return Clip(pictures, len(times_s), fps, _duration_s(times_s, fps), damage)

    def _read_by_seeking(
        self,
        path: Path,
        fps: float,
        declared: int,
        start_s: float | None,
        end_s: float | None,
    ) -> Clip | None:
        """`read` of a long video, of which few frames are wanted; None where it has to be
        decoded from its start.

        The frames are the same. Damage between those that are wanted is not seen.
        """
        timeline = seeking.timeline(path) if declared > _LONG_FRAMES else None
        if timeline is None:
            return None
        times_s = timeline.times_s
        first, num_frames = _part(times_s, start_s, end_s)
        sampling = self._sampling_of(times_s, first, num_frames, fps)
        streams_of = sampling.streams_of_frames()
        looked_at = range(0)
        if self.make.focused:
            looked_at = range(first, first + num_frames, focus.EVERY)
        if not timeline.pays(streams_of.keys() | set(looked_at)):
            return None
        try:
            region, frames = None, {}
            if looked_at:
                motion = focus.Motion()
                with opened(path) as video:
                    for _ in timeline.visit(video, looked_at):
                        motion.add(video.retrieve())
                region = motion.region()
            with opened(path) as video:
                for index in timeline.visit(video, sorted(streams_of)):
                    frame = video.retrieve()
                    frames[index] = self.make.prepared(frame, region, streams_of[index])
        except seeking.Unreachable:
            return None
        damage = _damage(times_s, declared, fps, start_s, end_s)
        times_s = times_s[first : first + num_frames]
        return self._clip(sampling, frames, times_s, fps, damage)

    def _sampling(
        self, first: int, num_frames: int, *, fps: float, last: int
    ) -> _Sampling:
        """Of a clip of `num_frames` from `first`, in a video that ends with frame `last`."""
        indices = first + sample_indices(num_frames, self.count)
        return _Sampling(
            tuple(self.make.needed(int(index), fps=fps, last=last) for index in indices)
        )

    def _sampling_of(
        self, times_s: Sequence[float], first: int, num_frames: int, fps: float
    ) -> _Sampling:
        """Of a clip in a video whose frames, as far as they matter, have these times."""
        inside_s = times_s[first : first + num_frames]
        return self._sampling(
            first, num_frames, fps=true_fps(inside_s, fps), last=len(times_s) - 1
        )

    def _survey(
        self,
        video: Decoder,
        guess: _Sampling | None,
        start_s: float | None,
        end_s: float | None,
    ) -> tuple[list[float], Region | None, dict[int, Prepared] | None]:
        """Decode forwards, once.

        Returns:
            Every frame's time in seconds, where the motion is, and the frames of `guess` as
            the streams keep them; None where there is no guess or no room.
        """
        wanted = guess.streams_of_frames() if guess else {}
        motion = focus.Motion() if self.make.focused else None
        times_s, inside_s, held = [], [], {}
        beyond = 0
        for index, time_s in video:
            times_s.append(time_s)
            if end_s is not None and time_s >= end_s:
                beyond += 1
                if beyond >= self.make.reach(true_fps(inside_s, video.fps)):
                    break
                continue
            frame = None
            if start_s is None or start_s <= time_s < end_s:
                if motion is not None and len(inside_s) % focus.EVERY == 0:
                    frame = video.retrieve()
                    motion.add(frame)
                inside_s.append(time_s)
            if index in wanted:
                frame = video.retrieve() if frame is None else frame
                if motion is None:
                    frame = self.make.prepared(frame, None, wanted[index])
                elif frame.nbytes * len(wanted) > _HELD_BYTES:
                    guess, wanted, held = None, {}, {}
                    continue
                held[index] = frame
        region = motion.region() if motion is not None else None
        if guess is None:
            return times_s, region, None
        if motion is not None:
            held = {
                index: self.make.prepared(frame, region, wanted[index])
                for index, frame in held.items()
            }
        return times_s, region, held

    def _collect(
        self, path: Path, sampling: _Sampling, region: Region | None
    ) -> dict[int, Prepared]:
        """The frames of a sampling, as the streams keep them."""
        wanted = sampling.streams_of_frames()
        last, frames = max(wanted), {}
        with opened(path) as video:
            for index, _ in video:
                if index in wanted:
                    frame = video.retrieve()
                    frames[index] = self.make.prepared(frame, region, wanted[index])
                if index == last:
                    break
        return frames


@functools.cache
def _reader(stream: str, frames: int, frame_size: int) -> ClipReader:
    return ClipReader(stream=stream, frames=frames, frame_size=frame_size)


def _damage(
    times_s: Sequence[float],
    declared: int,
    fps: float,
    start_s: float | None,
    end_s: float | None,
) -> str:
    """What is wrong with a file, or with a part of it."""
    if start_s is None:
        return damage_of(times_s, declared, fps)
    ends_s = times_s[-1] + units.frames_to_s(1, fps or FALLBACK_FPS)
    return part_damage(ends_s, start_s, end_s)


def _part(
    times_s: Sequence[float], start_s: float | None, end_s: float | None
) -> tuple[int, int]:
    """First frame and number of frames of the part."""
    if start_s is None:
        return 0, len(times_s)
    first, end = np.searchsorted(times_s, (start_s, end_s)).tolist()
    if first == end:
        raise VideoError(
            f"no frame lies between {start_s:g} and {end_s:g} s (it ends at {times_s[-1]:.1f} s)"
        )
    return first, end - first


def _duration_s(times_s: Sequence[float], fps: float) -> float:
    return times_s[-1] - times_s[0] + units.frames_to_s(1, fps or FALLBACK_FPS)
