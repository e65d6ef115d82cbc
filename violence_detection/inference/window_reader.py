"""Videos, streams and arrays of frames, read as windows; the reading of files is done in children,
beside the encoding."""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from violence_detection import units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference.sliding_windows import (
    Frames,
    SlidingWindows,
    WindowImages,
    WindowPlan,
)
from violence_detection.inference.video_sources import Source
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import motion_crop
from violence_detection.video.clip_reader import ClipReader, sample_indices
from violence_detection.video.decoder import describe_damage_at_end, open_live_stream, open_video
from violence_detection.video.views import ORIGINAL, View

_SHORT_CLIP_WINDOWS = 1.5
_CHUNK_PICTURES = 32
_CHUNKS_AHEAD = 2  # of a video, that wait to be encoded
_HELD_BYTES = 512 * 2**20  # beside what decoding takes


class Chunk(NamedTuple):
    """Pictures in the order of their numbers, and windows that are complete with them.

    Attributes:
        pictures: uint8 (n, S, S, 3).
        windows: Ascending.
    """

    pictures: np.ndarray
    windows: list[WindowImages]


class VideoEnd(NamedTuple):
    """What is known when a video has been read.

    Attributes:
        frames: That could be decoded.
        duration_s: Seconds.
        damage: What is wrong with the file, empty where nothing is.
    """

    frames: int
    duration_s: float
    damage: str


@dataclass(frozen=True)
class WindowSource:
    """How videos are read.

    Attributes:
        reader: Makes the pictures.
        plan: Where windows are.
        views: In which every picture is made.
        max_duration_s: After which reading ends; None reads to the end.
        open_timeout_s: After which a stream is given up.
    """

    reader: ClipReader
    plan: WindowPlan
    views: tuple[View, ...] = (ORIGINAL,)
    max_duration_s: float | None = None
    open_timeout_s: float = 10.0

    @property
    def short_s(self) -> float:
        """A video of up to this length is one window: it is what training calls a clip."""
        return _SHORT_CLIP_WINDOWS * self.plan.window_s

    def chunks(self, source: Source) -> Iterator[Chunk | VideoEnd]:
        """Read a source; its end comes last.

        Raises:
            VideoError: If it cannot be decoded.
        """
        if source.is_live:
            with open_live_stream(source.target, timeout_s=self.open_timeout_s) as video:
                yield from _WindowPass(self, video, fps=video.fps).chunks()
            return
        with open_video(source.path) as video:
            declared, fps = video.declared_frames, video.fps
        clip_s = units.frames_to_s(declared, fps)
        if 0 < clip_s <= self.short_s and (clip := self._clip(source)):
            yield from clip
            return
        with open_video(source.path) as video:
            one = _WindowPass(self, video, fps=fps, declared=declared, short_s=self.short_s)
            yield from one.chunks()
        if one.is_short:
            yield from self._clip(source) or ()

    def chunks_of(self, frames: np.ndarray, fps: float) -> Iterator[Chunk | VideoEnd]:
        """Read frames that are in memory, uint8 (N, H, W, 3) RGB."""
        video = _ArrayVideo(frames, fps)
        one = _WindowPass(self, video, fps=fps, short_s=self.short_s)
        yield from one.chunks()
        if one.is_short:
            pictures = _clip_of(self.reader, video, self.views)
            yield from _as_chunks(pictures, len(frames), len(frames) / fps)

    def _clip(self, source: Source) -> list[Chunk | VideoEnd] | None:
        """The video as extraction reads it; None where it is longer than it said."""
        clip = self.reader.read(source.path, views=self.views[1:])
        if clip.duration_s > self.short_s + units.frames_to_s(0.5, clip.fps):
            return None
        return _as_chunks(clip.views, clip.frames, clip.duration_s, clip.damage)


def _as_chunks(
    views: np.ndarray, frames: int, duration_s: float, damage: str = ""
) -> list[Chunk | VideoEnd]:
    """Of pictures uint8 (V, T, K, S, S, 3), which are one window."""
    numbers = np.arange(np.prod(views.shape[:3])).reshape(views.shape[:3])
    window = WindowImages(0.0, duration_s, numbers, needed_from=0)
    pictures = views.reshape(-1, *views.shape[3:])
    return [Chunk(pictures, [window]), VideoEnd(frames, duration_s, damage)]


class _WindowPass:
    """One pass over the frames of a video.

    Attributes:
        is_short: Whether it was over before `short_s`; then it has given nothing.
    """

    def __init__(
        self,
        reading: WindowSource,
        video: Frames,
        *,
        fps: float,
        declared: int = 0,
        short_s: float = 0.0,
    ) -> None:
        self._video, self._declared, self._fps = video, declared, fps
        self._windows = SlidingWindows(
            reading.reader.make, reading.plan, fps=fps, views=reading.views
        )
        self._most_s = reading.max_duration_s
        self._short_s = short_s
        if self._most_s is not None and self._most_s < short_s:
            self._short_s = 0.0
        self.is_short = self._short_s > 0
        self._pictures: list[np.ndarray] = []
        self._done: list[WindowImages] = []

    def chunks(self) -> Iterator[Chunk | VideoEnd]:
        first_s, stopped = 0.0, False
        for index, time_s in self._video:
            first_s = time_s if index == 0 else first_s
            if self._most_s is not None and time_s - first_s >= self._most_s:
                stopped = True
                break
            self._done += self._windows.take(time_s, self._video)
            self._pictures += self._windows.pictures()
            if self.is_short and self._windows.end_s - first_s > self._short_s:
                self.is_short = False
            if not self.is_short and len(self._pictures) >= _CHUNK_PICTURES:
                yield self._chunk()
        if not self._windows.frames:
            raise VideoError("no frame of it can be decoded")
        if self.is_short:
            return
        self._done += self._windows.end()
        self._pictures += self._windows.pictures()
        yield self._chunk()
        yield self._ending(first_s, stopped)

    def _chunk(self) -> Chunk:
        windows, self._done = self._done, []
        pictures, self._pictures = self._pictures, []
        return Chunk(np.array(pictures, np.uint8), windows)

    def _ending(self, first_s: float, stopped: bool) -> VideoEnd:
        windows, damage = self._windows, ""
        if self._declared and not stopped:
            damage = describe_damage_at_end(
                windows.frames,
                windows.last_s,
                longest_s=windows.longest_s,
                declared=self._declared,
                fps=self._fps,
            )
        return VideoEnd(windows.frames, windows.end_s - first_s, damage)


class _ArrayVideo:
    """Frames in memory, as a decoder gives them."""

    def __init__(self, frames: np.ndarray, fps: float) -> None:
        self.frames, self.fps = frames, fps
        self._index = 0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        for index in range(len(self.frames)):
            self._index = index
            yield index, units.frames_to_s(index, self.fps)

    def retrieve(self) -> np.ndarray:
        return self[self._index]

    def __getitem__(self, index: int) -> np.ndarray:
        """A frame, uint8 (H, W, 3) BGR."""
        return np.ascontiguousarray(self.frames[index][:, :, ::-1])


def _clip_of(reader: ClipReader, video: _ArrayVideo, views: Sequence[View]) -> np.ndarray:
    """The pictures of a clip in memory, as those of a file are made: uint8
    (V, T, K, S, S, 3)."""
    make, count = reader.make, len(video.frames)
    indices = sample_indices(count, reader.count).tolist()
    needed = [make.needed(one, fps=video.fps, last=count - 1) for one in indices]
    motion = motion_crop.MotionMap()
    if make.focused:
        for index in range(0, count, motion_crop.FRAME_STEP):
            motion.add(video[index])
    every = range(len(make.streams))
    wanted = {index for one in needed for frames in one for index in frames}
    made = []
    for view in views:
        prepared = {
            index: make.prepared(video[index], motion.region(), every, view) for index in wanted
        }
        made.append([make.combined(one, prepared) for one in needed])
    return np.array(made)


def check_frames(frames: Any, fps: float | None) -> np.ndarray:
    """Frames that a caller gives, once they are what they must be.

    Raises:
        ConfigError: If they are not uint8 (N, H, W, 3), N >= 1, or `fps` is not above 0.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ConfigError(
            "Frames must be uint8 of shape (N, H, W, 3), RGB. Received: "
            f"{frames.dtype} {frames.shape}"
        )
    if not frames.size:
        raise ConfigError(f"Frames must be one or more. Received: {frames.shape}")
    if fps is None or not 0 < fps <= 1000:
        raise ConfigError(
            f"`fps`, the frames per second, must be in (0, 1000]. Received: fps={fps}"
        )
    return frames


# -- several at a time


@contextlib.contextmanager
def read_sources(
    reading: WindowSource, sources: Sequence[Source], *, workers: int, timeout_s: float
) -> Iterator[Iterator[tuple[int, Chunk | VideoEnd | VideoError]]]:
    """Read sources in children, several at a time; gives what comes, with the source's number.

    The last of each is an Ending or a VideoError. Memory does not grow with the number of
    sources or their length: children wait until what they have sent is taken.

    Args:
        workers: Sources at a time.
        timeout_s: Seconds that a source may give nothing.
    """
    workers = min(workers, len(sources)) or 1
    waiting: queue.Queue = queue.Queue(_CHUNKS_AHEAD * workers)
    ended = threading.Event()

    def put(item: tuple[int, Any]) -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                return waiting.put(item, timeout=1.0)

    def feed(number: int, call: ProcessPool) -> None:
        if ended.is_set():
            return
        try:
            asked = (WindowSource.chunks, reading, sources[number])
            for chunk in call.stream(*asked, timeout_s=timeout_s):
                put((number, chunk))
                if ended.is_set():
                    break
        except Exception as error:  # raised where it is taken
            put((number, error))

    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        try:
            with ProcessPool(processes.MEMORY_LIMIT_BYTES + _HELD_BYTES) as call:
                for number in range(len(sources)):
                    pool.submit(feed, number, call)
                yield _taken(waiting, len(sources))
                ended.set()
        finally:
            ended.set()


def _taken(waiting: queue.Queue, count: int) -> Iterator[tuple[int, Chunk | VideoEnd | VideoError]]:
    while count:
        number, item = waiting.get()
        if isinstance(item, Exception) and not isinstance(item, VideoError):
            raise item
        count -= not isinstance(item, Chunk)
        yield number, item
