"""From a video file to the pictures that the backbone sees."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from violence_detection import focus, units
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
            guess = None
            if start_s is None and declared > 0:
                guess = self._sampling(0, declared, fps=fps, last=declared - 1)
            times_s, region, frames = self._survey(video, guess, start_s, end_s)
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        first, num_frames = _part(times_s, start_s, end_s)
        sampling = self._sampling(
            first, num_frames, fps=true_fps(times_s, fps), last=len(times_s) - 1
        )
        if frames is None or sampling != guess:
            # The count was not known before, or not true, or there was no room for frames.
            frames = self._collect(path, sampling, region)
        if start_s is None:
            damage = damage_of(times_s, declared, fps)
        else:
            ends_s = times_s[-1] + units.frames_to_s(1, fps or FALLBACK_FPS)
            damage = part_damage(ends_s, start_s, end_s)
        if damage and min(num_frames, self.count) < self.count / 2:
            raise VideoError(f"{damage}; {math.ceil(self.count / 2)} are needed")
        if not sampling.streams_of_frames().keys() <= frames.keys():
            raise VideoError(
                "frames that were there at first reading were not at the second"
            )
        pictures = np.stack(
            [self.make.combined(one, frames) for one in sampling.needed]
        )
        duration_s = _duration_s(times_s[first : first + num_frames], fps)
        return Clip(pictures, num_frames, fps, duration_s, damage)

    def _sampling(
        self, first: int, num_frames: int, *, fps: float, last: int
    ) -> _Sampling:
        """Of a clip of `num_frames` from `first`, in a video that ends with frame `last`."""
        indices = first + sample_indices(num_frames, self.count)
        return _Sampling(
            tuple(self.make.needed(int(index), fps=fps, last=last) for index in indices)
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
        reach_s = self.make.reach_s
        if reach_s:  # a step is whole frames, one at least
            reach_s += units.frames_to_s(2, video.fps or FALLBACK_FPS)
        motion = focus.Motion() if self.make.focused else None
        times_s, held = [], {}
        inside = 0
        for index, time_s in video:
            if end_s is not None and time_s >= end_s + reach_s:
                break
            times_s.append(time_s)
            frame = None
            if start_s is None or start_s <= time_s < end_s:
                if motion is not None and inside % focus.EVERY == 0:
                    frame = video.retrieve()
                    motion.add(frame)
                inside += 1
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


def _part(
    times_s: list[float], start_s: float | None, end_s: float | None
) -> tuple[int, int]:
    """First frame and number of frames of the part."""
    if start_s is None:
        return 0, len(times_s)
    inside = [
        index for index, time_s in enumerate(times_s) if start_s <= time_s < end_s
    ]
    if not inside:
        raise VideoError(
            f"no frame lies between {start_s:g} and {end_s:g} s (it ends at {times_s[-1]:.1f} s)"
        )
    return inside[0], len(inside)


def _duration_s(times_s: list[float], fps: float) -> float:
    return times_s[-1] - times_s[0] + units.frames_to_s(1, fps or FALLBACK_FPS)
