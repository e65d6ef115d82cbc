"""Reads the sampled frames of a video file and makes the images that the backbone sees."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from violence_detection import units
from violence_detection.errors import VideoError
from violence_detection.video import motion_crop
from violence_detection.video.decoding import damage, seeking
from violence_detection.video.decoding.decoder import (
    FALLBACK_FPS,
    Decoder,
    measured_fps,
    open_video,
    read_packets,
)
from violence_detection.video.frame_sampling import read_frames, sample_indices
from violence_detection.video.motion_crop import Region
from violence_detection.video.stream_set import NeededFrames, PreparedFrame, StreamSet
from violence_detection.video.view_motion import ViewMotion
from violence_detection.video.views import ORIGINAL, View

_LONG_FRAMES = 900  # a video with fewer frames is decoded from its start, without seeking
# Memory for whole frames of a focused clip: the crop is known only when all motion was seen.
_MAX_KEPT_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Clip:
    """The images of a video, or of a part of it.

    Attributes:
        views: The images in V views, of K streams, uint8 (V, T, K, S, S, 3); the first view is the
            original.
        frames: Number of frames that could be decoded.
        fps: Frames per second; 0.0 if the container does not tell.
        duration_s: Duration in seconds.
        damage: The damage of the file, in words; empty if there is none.
        first_s: The time of the first image's frame: a player shows it then.
        notes: What is odd about the file, although it is read: its rate, several video streams.
    """

    views: np.ndarray
    frames: int
    fps: float
    duration_s: float
    damage: str = ""
    first_s: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> np.ndarray:
        """The images of the original view, uint8 (T, K, S, S, 3)."""
        return self.views[0]


class ClipReader:
    """Reads video files as images for the backbone; extraction and prediction both use it.

    Attributes:
        count: Images of each stream in a clip (T).
        segments: Equal parts of a video, each of which is a clip (N).
        stream_set: Makes the images of frames.
    """

    def __init__(self, *, stream: str, frames: int, frame_size: int, segments: int = 1) -> None:
        """
        Args:
            stream: Spec of one stream, or of several joined by `+`.
            frames: Images of each stream in a clip (T).
            frame_size: Side of an image in pixels (S).
            segments: Equal parts of a video, each read as a clip of its own (N).

        Raises:
            ConfigError: If a stream does not exist or does not take its arguments.
        """
        self.count, self.segments = frames, segments
        self.stream_set = StreamSet(stream, frame_size=frame_size)
        self._spec = (stream, frames, frame_size, segments)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the spec only: a child process builds the reader once and keeps it."""
        return _cached_reader, self._spec

    def read(
        self,
        path: Path,
        start_s: float | None = None,
        end_s: float | None = None,
        views: Sequence[View] = (),
    ) -> Clip:
        """Read the T images of a video, or of its part from `start_s` to `end_s`; with N segments
        the T images of each, one segment after the other.

        Args:
            path: The video.
            start_s, end_s: The part in seconds; give both or neither.
            views: Views in addition to the original.

        Raises:
            VideoError: If it cannot be decoded; if fewer than T/2 distinct frames of a damaged
                file can be decoded; if more than half of the frames are corrupt; if the file has
                one frame, and a stream shows motion.
        """
        all_views = (ORIGINAL, *views)
        if self.segments == 1:
            return _ClipReading(self, path, start_s, end_s, all_views).read()
        if start_s is None:
            start_s, end_s = 0.0, end_of_video_s(path)
        edges_s = np.linspace(start_s, end_s, self.segments + 1).tolist()
        return _joined(
            [
                _ClipReading(self, path, first_s, last_s, all_views).read()
                for first_s, last_s in itertools.pairwise(edges_s)
            ]
        )


_PreparedViews = tuple[PreparedFrame, ...]  # a prepared frame in each view
_Regions = tuple[Region | None, ...]  # the region of motion in each view


class _Sampling(NamedTuple):
    """The frames that the images of a clip need.

    Attributes:
        needed: The frames for each of T images and K streams.
    """

    needed: tuple[NeededFrames, ...]

    def streams_of_frames(self) -> dict[int, set[int]]:
        """The numbers of the streams that need each frame, by frame."""
        streams: dict[int, set[int]] = {}
        for of_image in self.needed:
            for number, frames in enumerate(of_image):
                for index in frames:
                    streams.setdefault(index, set()).add(number)
        return streams


class _ClipReading:
    """The reading of one clip."""

    def __init__(
        self,
        reader: ClipReader,
        path: Path,
        start_s: float | None,
        end_s: float | None,
        views: tuple[View, ...],
    ) -> None:
        self._count, self._stream_set = reader.count, reader.stream_set
        self._path, self._start_s, self._end_s = path, start_s, end_s
        self._views = views
        self._fps, self._declared = 0.0, 0

    def read(self) -> Clip:
        with open_video(self._path) as video:
            self._video, self._fps, self._declared = video, video.fps, video.declared_frames
            clip = self._read_by_seeking() if self._declared > _LONG_FRAMES else None
            return clip or self._read_forwards(video)

    # -- forwards

    def _read_forwards(self, video: Decoder) -> Clip:
        """Decode the video from its start.

        The frames to keep are guessed from the declared number of frames. The video is decoded a
        second time if that number is unknown or wrong.
        """
        declared, guess = self._declared, None
        if self._start_s is None and declared > 0:
            guess = self._sampling(0, declared, fps=self._fps, last=declared - 1)
        times_s, regions, frames = self._survey(video, guess)
        if not times_s:
            raise VideoError("no frame of it can be decoded")
        sampling = self._sampling_of(times_s)
        if frames is None or sampling != guess:
            # The declared number was unknown or wrong, or the frames did not fit into memory.
            frames = self._collect(sampling, regions)
        return self._make_clip(sampling, frames, times_s)

    def _survey(
        self, video: Decoder, guess: _Sampling | None
    ) -> tuple[list[float], _Regions, dict[int, _PreparedViews] | None]:
        """Decode the video once.

        Returns:
            The time of each frame in seconds, the region of motion in each view, and the prepared
            frames of `guess`; None if there is no guess or the frames do not fit into memory.
        """
        wanted = guess.streams_of_frames() if guess else {}
        motion = ViewMotion(self._views) if self._stream_set.focused else None
        regions: _Regions = (None,) * len(self._views)
        times_s, inside_s, kept = [], [], {}
        frames_beyond = 0
        for index, time_s in video:
            times_s.append(time_s)
            if self._end_s is not None and time_s >= self._end_s:
                # The last images of a part may need frames that follow it.
                frames_beyond += 1
                if frames_beyond >= self._stream_set.reach_frames(
                    measured_fps(inside_s, self._fps)
                ):
                    break
                continue
            frame = None
            if self._start_s is None or self._start_s <= time_s:
                if motion is not None and len(inside_s) % motion_crop.FRAME_STEP == 0:
                    frame = video.retrieve()
                    motion.add(frame, index)
                inside_s.append(time_s)
            if index in wanted:
                frame = video.retrieve() if frame is None else frame
                if motion is None:
                    frame = self._prepare(index, frame, regions, wanted[index])
                elif frame.nbytes * len(wanted) > _MAX_KEPT_BYTES:
                    guess, wanted, kept = None, {}, {}
                    continue
                kept[index] = frame
        if motion is not None:
            regions = motion.regions()
        if guess is None:
            return times_s, regions, None
        if motion is not None:
            kept = {
                index: self._prepare(index, frame, regions, wanted[index])
                for index, frame in kept.items()
            }
        return times_s, regions, kept

    def _collect(self, sampling: _Sampling, regions: _Regions) -> dict[int, _PreparedViews]:
        """Decode the video again for the prepared frames of a sampling."""
        wanted = sampling.streams_of_frames()
        return read_frames(
            self._path,
            wanted,
            lambda frame, index: self._prepare(index, frame, regions, wanted[index]),
        )

    # -- by seeking

    def _read_by_seeking(self) -> Clip | None:
        """Decode only the frames that are needed and a few before each.

        The images are the same as by `_read_forwards`. Damage between the needed frames is not
        noticed.

        Returns:
            The clip; None if seeking is not possible or not cheaper, or a frame may be corrupt.
        """
        timeline = seeking.read_timeline(self._path)
        if timeline is None:
            return None
        sampling = self._sampling_of(timeline.times_s)
        wanted = sampling.streams_of_frames()
        of_motion = range(0)
        if self._stream_set.focused:
            first, num_frames = self._part(timeline.times_s)
            of_motion = range(first, first + num_frames, motion_crop.FRAME_STEP)
        if not timeline.is_cheaper(wanted.keys() | set(of_motion)):
            return None
        motion, frames = ViewMotion(self._views), {}
        try:
            if of_motion:
                with open_video(self._path) as video:
                    for index in timeline.visit(video, of_motion):
                        motion.add(video.retrieve(), index)
                    if video.is_suspect:
                        return None
            regions = motion.regions()
            with open_video(self._path) as video:
                for index in timeline.visit(video, sorted(wanted)):
                    frames[index] = self._prepare(index, video.retrieve(), regions, wanted[index])
                if video.is_suspect:
                    return None
        except (seeking.Unreachable, VideoError):
            return None
        return self._make_clip(sampling, frames, timeline.times_s)

    # -- either way

    def _sampling_of(self, times_s: Sequence[float]) -> _Sampling:
        """The sampling of the clip.

        Args:
            times_s: Times of the video's frames, up to the last that the clip may need.
        """
        first, num_frames = self._part(times_s)
        fps = measured_fps(times_s[first : first + num_frames], self._fps)
        return self._sampling(first, num_frames, fps=fps, last=len(times_s) - 1)

    def _sampling(self, first: int, num_frames: int, *, fps: float, last: int) -> _Sampling:
        """The sampling of `num_frames` frames from `first` on, in a video that ends with `last`."""
        indices = (first + sample_indices(num_frames, self._count)).tolist()
        needed = (self._stream_set.needed_frames(index, fps=fps, last=last) for index in indices)
        return _Sampling(tuple(needed))

    def _part(self, times_s: Sequence[float]) -> tuple[int, int]:
        """The first frame and the number of frames of the clip."""
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

    def _prepare(
        self, index: int, frame: np.ndarray, regions: _Regions, numbers: set[int]
    ) -> _PreparedViews:
        """A frame, prepared for the streams of these numbers in each view."""
        return tuple(
            self._stream_set.prepare_frame(frame, region, numbers, view, index)
            for view, region in zip(self._views, regions, strict=True)
        )

    def _make_clip(
        self, sampling: _Sampling, frames: dict[int, _PreparedViews], times_s: Sequence[float]
    ) -> Clip:
        """The clip of a sampling's prepared frames.

        Args:
            sampling: The frames that the images need.
            frames: The prepared frames, by index.
            times_s: Times of all frames of the video.
        """
        if len(times_s) == 1 and self._stream_set.shows_motion:
            raise VideoError("it has one frame, and motion needs two")
        first, num_frames = self._part(times_s)
        inside_s = times_s[first : first + num_frames]
        damage_text = self._damage(times_s, num_frames)
        if damage_text and min(num_frames, self._count) < self._count / 2:
            raise VideoError(f"{damage_text}; {math.ceil(self._count / 2)} are needed")
        views = []
        for number in range(len(self._views)):
            of_view = {index: prepared[number] for index, prepared in frames.items()}
            views.append([self._stream_set.combine(image, of_view) for image in sampling.needed])
        frame_s = units.frames_to_s(1, self._fps or FALLBACK_FPS)
        rate = damage.describe_rate(damage.typical_fps(inside_s, self._fps))
        return Clip(
            np.array(views),
            num_frames,
            self._fps,
            duration_s=float(inside_s[-1] - inside_s[0]) + frame_s,
            damage=damage_text or damage.describe_shortness(num_frames, self._count),
            first_s=float(inside_s[0]),
            notes=tuple(filter(None, (rate, self._video.note))),
        )

    def _damage(self, times_s: Sequence[float], num_frames: int) -> str:
        """The damage of the file, or of the part of it, in words."""
        if self._start_s is None:
            return damage.find_damage(self._video, times_s)
        ends_s = times_s[-1] + units.frames_to_s(1, self._fps or FALLBACK_FPS)
        cut = damage.describe_part_damage(ends_s, self._start_s, self._end_s)
        corrupt = self._video.corrupt_frames(self._start_s, self._end_s)
        return "; ".join(filter(None, (cut, damage.describe_corruption(corrupt, num_frames))))


@functools.cache
def _cached_reader(stream: str, frames: int, frame_size: int, segments: int) -> ClipReader:
    return ClipReader(stream=stream, frames=frames, frame_size=frame_size, segments=segments)


def _joined(clips: Sequence[Clip]) -> Clip:
    """The clips of the segments of a video as one, which is longer."""
    damage_of = dict.fromkeys(clip.damage for clip in clips if clip.damage)
    return Clip(
        np.concatenate([clip.views for clip in clips], axis=1),
        sum(clip.frames for clip in clips),
        clips[0].fps,
        duration_s=sum(clip.duration_s for clip in clips),
        damage="; ".join(list(damage_of)[:3]),
        first_s=clips[0].first_s,
        notes=tuple(dict.fromkeys(note for clip in clips for note in clip.notes)),
    )


def end_of_video_s(path: Path) -> float:
    """The end of the last frame in seconds.

    Raises:
        VideoError: If the video cannot be opened.
    """
    times_s, _ = read_packets(path)
    with open_video(path) as video:
        frame_s = units.frames_to_s(1, video.fps or FALLBACK_FPS)
        if len(times_s) and np.isfinite(times_s).all() and times_s.max() > 0:
            return float(times_s.max()) + frame_s
        return max((time_s for _, time_s in video), default=0.0) + frame_s
