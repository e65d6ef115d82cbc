"""Corrupted copies of videos: written to a file, and read back as any video."""

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
from violence_detection.system import files
from violence_detection.video.clip_reader import Clip, ClipReader
from violence_detection.video.corruptions._corruption import (
    Corruption,
    VideoFrames,
    lossless_writer,
)
from violence_detection.video.decoding import seeking
from violence_detection.video.decoding.decoder import (
    FALLBACK_FPS,
    Decoder,
    measured_fps,
    open_video,
)
from violence_detection.video.video_file import VideoPart

CLEAN, CONTROL = "clean", "re-encoded"
_MARGIN_S = 0.5  # before and after a part, because streams use frames around it


def full_condition(condition: str) -> str:
    """The text of a condition with every severity written out, including defaults.

    Raises:
        ConfigError: If a part does not exist, has no such argument, or needs an extra that is not
            installed.
    """
    load_corruption(condition)
    specs = []
    for spec in registry.parse(condition):
        build = inspect.signature(registry.module("corruptions", spec.name).build)
        defaults = {name: parameter.default for name, parameter in build.parameters.items()}
        specs.append(str(spec._replace(arguments=defaults | spec.arguments)))
    return "+".join(specs)


def missing_extra(condition: str) -> str:
    """The command that installs the extra which a condition needs; empty if it is installed."""
    for spec in registry.parse(condition):
        command = getattr(registry.module("corruptions", spec.name), "missing", str)()
        if command:
            return command
    return ""


def load_corruption(condition: str) -> Corruption:
    """Builds the corruption of a condition; that of the control changes nothing.

    Raises:
        ConfigError: See `full_condition`.
    """
    specs = [] if condition == CONTROL else registry.parse(condition)
    steps = [registry.load("corruptions", str(spec)) for spec in specs]

    def corrupt(video: VideoFrames, rng: np.random.Generator) -> VideoFrames:
        for step in steps:
            video = step(video, rng)
        return video

    return corrupt


def read_corrupted(
    reader: ClipReader, source: VideoPart, condition: str, copy: Path, seed: int
) -> Clip:
    """Reads a video under a condition, from a corrupted copy that is removed afterwards.

    Args:
        reader: The run's reader; it reads the copy as any video.
        source: The video.
        condition: Corruptions joined by `+`; `clean` reads the video itself, `re-encoded` a copy
            without corruption.
        copy: Path of the copy, ending in .avi.
        seed: Seed of random corruptions.

    Raises:
        VideoError: If the video or the copy cannot be read.
        ViolenceDetectionError: If the copy cannot be written.
    """
    if condition == CLEAN:
        return reader.read(*source)
    try:
        written = _write_copy(source, copy, load_corruption(condition), seed)
        clip = reader.read(copy, written.start_s, written.end_s)
    except OSError as error:
        raise files.write_error(copy, error) from error
    finally:
        copy.unlink(missing_ok=True)
    if clip.frames < written.frames:
        raise VideoError(
            f"only {clip.frames} of {written.frames} frames of its corrupted copy can be read; the "
            "disk may be full"
        )
    return clip


class _Copy(NamedTuple):
    """A written copy: start and end of the part in it, and the number of frames of the part."""

    start_s: float | None
    end_s: float | None
    frames: int


def _write_copy(source: VideoPart, copy: Path, corrupt: Corruption, seed: int) -> _Copy:
    indices = _seekable_frames(source)
    if indices is not None:
        with contextlib.suppress(seeking.Unreachable):
            return _CopyWriter(source, copy, corrupt, seed, indices).write()
    return _CopyWriter(source, copy, corrupt, seed, None).write()


def _seekable_frames(source: VideoPart) -> range | None:
    """The frames of a part, if seeking to them is cheaper than decoding from the start."""
    if source.start_s is None:
        return None
    timeline = seeking.read_timeline(source.path)
    if timeline is None:
        return None
    ends_s = (source.start_s - _MARGIN_S, source.end_s + _MARGIN_S)
    indices = range(*np.searchsorted(timeline.times_s, ends_s).tolist())
    return indices if indices and timeline.is_cheaper(indices) else None


class _CopyWriter:
    """Writes a corrupted copy of a video or of a part of it."""

    def __init__(
        self,
        source: VideoPart,
        copy: Path,
        corrupt: Corruption,
        seed: int,
        indices: range | None,
    ) -> None:
        """
        Args:
            source: The video.
            copy: Path of the copy.
            corrupt: The corruption.
            seed: Seed of random corruptions.
            indices: Frames to seek to; None to decode from the start.
        """
        self._source, self._copy = source, copy
        self._corrupt, self._seed = corrupt, seed
        self._indices = indices
        self._times_s: list[float] = []

    def write(self) -> _Copy:
        with open_video(self._source.path) as video:
            declared = video.fps
            fps = declared or FALLBACK_FPS
            count, copy_fps = self._write_at(video, fps)
        measured = measured_fps(self._times_s, declared)
        if measured != fps:  # a rate that varies, or is not declared: known after the first pass
            fps = measured
            with open_video(self._source.path) as video:
                count, copy_fps = self._write_at(video, fps)
        return self._located(fps, count, copy_fps)

    def _write_at(self, video: Decoder, fps: float) -> tuple[int, float]:
        """Writes the copy; its number of frames, and its frames per second."""
        self._times_s.clear()
        rng = np.random.default_rng(self._seed)
        with contextlib.closing(self._frames(video)) as frames:
            corrupted = self._corrupt(VideoFrames(frames, fps, lossless_writer), rng)
            return write_video(self._copy, corrupted), corrupted.fps

    def _frames(self, video: Decoder) -> Iterator[np.ndarray]:
        """Frames of the source, with a margin around a part; records their times."""
        for time_s in self._grab(video):
            self._times_s.append(time_s)
            yield video.retrieve()

    def _grab(self, video: Decoder) -> Iterator[float]:
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

    def _located(self, fps: float, count: int, copy_fps: float) -> _Copy:
        """Locates the part in the copy, whose frames have the mean distance of the source's frames.
        Its ends are half-way between frames, so that rounding does not matter."""
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
    """Writes a video and returns its number of frames. Codecs need even sides, so odd sides lose a
    row or column."""
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
