"""A video, or a part of one, as another file that is darker, blurred, compressed, ..., read back as
any video is."""

import bisect
import contextlib
import inspect
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from violence_detection import registry, units
from violence_detection.errors import VideoError
from violence_detection.evaluation.robustness.corruptions._corruption import (
    Corruption,
    VideoFrames,
    lossless,
)
from violence_detection.system import files
from violence_detection.video import seeking
from violence_detection.video.clip_reader import Clip, ClipReader
from violence_detection.video.decoder import FALLBACK_FPS, Decoder, measured_fps, open_video

CLEAN, CONTROL = "clean", "re-encoded"
_MARGIN_S = 0.5  # around a part: streams look at frames outside of it


class Excerpt(NamedTuple):
    """A video, or the part of it from `start_s` to `end_s`."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None


def full_condition(condition: str) -> str:
    """The text of a condition with every severity in it, also those that are defaults.

    Raises:
        ConfigError: If a part is not there, does not take an argument, or lacks an extra.
    """
    corruption_of(condition)
    full = []
    for spec in registry.parse(condition):
        build = inspect.signature(registry.module("corruptions", spec.name).build)
        defaults = {name: one.default for name, one in build.parameters.items()}
        full.append(str(spec._replace(arguments=defaults | spec.arguments)))
    return "+".join(full)


def missing(condition: str) -> str:
    """How to install what a condition needs; nothing where it is here."""
    for spec in registry.parse(condition):
        lacking = getattr(registry.module("corruptions", spec.name), "missing", str)()
        if lacking:
            return lacking
    return ""


def corruption_of(condition: str) -> Corruption:
    """What a condition does; the control does nothing.

    Raises:
        ConfigError: See `written_out`.
    """
    specs = [] if condition == CONTROL else registry.parse(condition)
    steps = [registry.load("corruptions", str(spec)) for spec in specs]

    def corrupt(video: VideoFrames, rng: np.random.Generator) -> VideoFrames:
        for step in steps:
            video = step(video, rng)
        return video

    return corrupt


def read_corrupted(
    reader: ClipReader, source: Excerpt, condition: str, copy: Path, seed: int
) -> Clip:
    """The pictures of a video under a condition: those of an altered copy, which is removed.

    Args:
        reader: What reads the copy, as it would any video.
        source: Of what.
        condition: Corruptions joined by `+`; `clean` reads the video itself, `re-encoded` a
            copy that is not altered.
        copy: A file to write, ending in .avi.
        seed: Of what is drawn.

    Raises:
        VideoError: If the video or the copy cannot be read.
        ViolenceDetectionError: If the copy cannot be written.
    """
    if condition == CLEAN:
        return reader.read(*source)
    try:
        made = _write_copy(source, copy, corruption_of(condition), seed)
        clip = reader.read(copy, made.start_s, made.end_s)
    except OSError as error:
        raise files.write_error(copy, error) from error
    finally:
        copy.unlink(missing_ok=True)
    if clip.frames < made.frames:
        raise VideoError(
            f"of {made.frames} frames of its altered copy {clip.frames} can be read; the disk may "
            "be full"
        )
    return clip


class _Copy(NamedTuple):
    """An altered copy: where the part is in it, and how many frames of that there are."""

    start_s: float | None
    end_s: float | None
    frames: int


def _write_copy(source: Excerpt, copy: Path, corrupt: Corruption, seed: int) -> _Copy:
    """Write the copy."""
    indices = _seekable_frames(source)
    if indices is not None:
        with contextlib.suppress(seeking.Unreachable):
            return _CopyWriter(source, copy, corrupt, seed, indices).made()
    return _CopyWriter(source, copy, corrupt, seed, None).made()


def _seekable_frames(source: Excerpt) -> range | None:
    """The frames of a part, where it is cheaper to seek them than to decode from the start."""
    if source.start_s is None:
        return None
    timeline = seeking.read_timeline(source.path)
    if timeline is None:
        return None
    ends_s = (source.start_s - _MARGIN_S, source.end_s + _MARGIN_S)
    indices = range(*np.searchsorted(timeline.times_s, ends_s).tolist())
    return indices if indices and timeline.pays(indices) else None


class _CopyWriter:
    """A copy that is being written."""

    def __init__(
        self,
        source: Excerpt,
        copy: Path,
        corrupt: Corruption,
        seed: int,
        indices: range | None,
    ) -> None:
        self._source, self._copy = source, copy
        self._corrupt, self._seed = corrupt, seed
        self._indices = indices
        self._times_s: list[float] = []

    def made(self) -> _Copy:
        with open_video(self._source.path) as video:
            declared = video.fps
            fps = declared or FALLBACK_FPS
            written = self._write(video, fps)
        true = measured_fps(self._times_s, declared)
        if true != fps:  # a rate that varies, or is not said
            fps = true
            with open_video(self._source.path) as video:
                written = self._write(video, fps)
        return self._described(fps, *written)

    def _write(self, video: Decoder, fps: float) -> tuple[int, float]:
        """How many frames the copy has, and how many of them a second."""
        self._times_s.clear()
        rng = np.random.default_rng(self._seed)
        with contextlib.closing(self._frames(video)) as frames:
            video = self._corrupt(VideoFrames(frames, fps, lossless), rng)
            return write_video(self._copy, video), video.fps

    def _frames(self, video: Decoder) -> Iterator[np.ndarray]:
        """Those of the source, with a margin around a part; their times are noted."""
        for time_s in self._grabbed(video):
            self._times_s.append(time_s)
            yield video.retrieve()

    def _grabbed(self, video: Decoder) -> Iterator[float]:
        if self._indices is not None:
            timeline = seeking.read_timeline(self._source.path)
            for index in timeline.visit(video, self._indices):
                yield float(timeline.times_s[index])
            return
        start_s, end_s = -math.inf, math.inf
        if self._source.start_s is not None:
            start_s = self._source.start_s - _MARGIN_S
            end_s = self._source.end_s + _MARGIN_S
        for _, time_s in video:
            if time_s >= end_s:
                return
            if time_s >= start_s:
                yield time_s

    def _described(self, fps: float, count: int, copy_fps: float) -> _Copy:
        """Where the part is in a copy whose frames are as far apart as those of the source in
        the mean: cut half-way between frames, so that rounding does not matter."""
        if self._source.start_s is None:
            return _Copy(None, None, count)
        part = (self._source.start_s, self._source.end_s)
        before, end = (bisect.bisect_left(self._times_s, time_s) for time_s in part)
        if before == end:
            raise VideoError(f"no frame lies between {part[0]:g} and {part[1]:g} s")
        start_s = max(0.0, units.frames_to_s(before - 0.5, fps))
        end_s = units.frames_to_s(end - 0.5, fps)
        times_s = (units.frames_to_s(index, copy_fps) for index in range(count))
        return _Copy(start_s, end_s, sum(start_s <= time_s < end_s for time_s in times_s))


def write_video(path: Path, video: VideoFrames) -> int:
    """Write a video; the number of frames. Codecs want even sides: odd ones lose a row."""
    frames = iter(video.frames)
    first = next(frames, None)
    if first is None:
        raise VideoError("no frame of it can be decoded")
    height, width = (side - side % 2 for side in first.shape[:2])
    writer, count = video.encoder(path, video.fps, (width, height)), 0
    try:
        for frame in itertools.chain([first], frames):
            writer.write(np.ascontiguousarray(frame[:height, :width]))
            count += 1
    finally:
        writer.release()
    return count
