"""Videos, streams and arrays of frames, read as windows; files are read in child processes, in
parallel with the encoding."""

import contextlib
import numbers
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from violence_detection import units
from violence_detection.errors import ConfigError, VideoError
from violence_detection.inference.frame_buffer import HOLD_BYTES
from violence_detection.inference.sliding_windows import (
    Frames,
    SlidingWindows,
    WindowImages,
    WindowPlan,
)
from violence_detection.inference.video_sources import Source
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video.clip_reader import ClipReader
from violence_detection.video.decoding.damage import (
    describe_corruption,
    describe_rate,
    find_damage_at_end,
)
from violence_detection.video.decoding.decoder import Decoder, open_video
from violence_detection.video.decoding.pyav_decoder import PyAVDecoder
from violence_detection.video.frame_sampling import sample_indices
from violence_detection.video.live_decoder import LiveVideo
from violence_detection.video.live_source import LiveError, open_live
from violence_detection.video.views import ORIGINAL, View

_SHORT_CLIP_WINDOWS = 1.5
_CHUNK_IMAGES = 32
_CHUNKS_AHEAD = 2  # of a video, that wait to be encoded
_BUFFER_BYTES = 512 * 2**20  # in addition to what decoding takes
_LIVE_CHUNK_S = 0.1  # that images of a live source wait for the window that they belong to


class Chunk(NamedTuple):
    """Images in the order of their numbers, and the windows that are complete with them.

    Attributes:
        images: uint8 (n, S, S, 3).
        windows: Ascending.
        video_s: Seconds of the video that are going to be read, by its header; 0.0 if unknown.
        is_live: It is of a stream or a camera, whose windows must not wait.
    """

    images: np.ndarray
    windows: list[WindowImages]
    video_s: float = 0.0
    is_live: bool = False


class VideoEnd(NamedTuple):
    """The end of a video that has been read.

    Attributes:
        frames: Count of decoded frames.
        duration_s: Seconds that were read.
        damage: Description of what is wrong with the file; mostly empty.
        notes: What is odd about the file, although it is read; mostly empty.
        started_at: Time by the clock of this machine at which the first frame of a stream or a
            camera came, less its time in the stream; None for a file.
    """

    frames: int
    duration_s: float
    damage: str
    notes: tuple[str, ...] = ()
    started_at: datetime | None = None


@dataclass(frozen=True)
class WindowSource:
    """Reads videos as windows.

    Attributes:
        reader: Makes the images.
        plan: Positions of the windows.
        views: In which every image is made.
        max_duration_s: After which reading ends; None reads to the end.
        open_timeout_s: Seconds that a stream may take to open, or be silent.
        hold_bytes: Memory for the frames that later windows may need; larger ones are reduced.
    """

    reader: ClipReader
    plan: WindowPlan
    views: tuple[View, ...] = (ORIGINAL,)
    max_duration_s: float | None = None
    open_timeout_s: float = 10.0
    hold_bytes: int = HOLD_BYTES

    @property
    def short_s(self) -> float:
        """The longest video that is read as one window, as training reads a clip."""
        return _SHORT_CLIP_WINDOWS * self.plan.window_s

    def chunks(self, source: Source) -> Iterator[Chunk | VideoEnd]:
        """Yields the chunks of a source, and its end last.

        Raises:
            VideoError: If it cannot be decoded.
        """
        if source.is_live:
            yield from self._live_chunks(source)
            return
        with open_video(source.path) as video:
            declared, fps = video.declared_frames, video.fps
        clip_s = units.frames_to_s(declared, fps)
        if 0 < clip_s <= self.short_s and (clip := self._clip(source)):
            yield from clip
            return
        with open_video(source.path) as video:
            windows = _WindowPass(
                self, video, fps=fps, declared=declared, short_s=self.short_s, file=video
            )
            yield from windows.chunks()
        if windows.is_short:
            yield from self._clip(source) or ()

    def _live_chunks(self, source: Source) -> Iterator[Chunk | VideoEnd]:
        limit_s = self.open_timeout_s
        try:
            with open_live(source.target, open_timeout_s=limit_s, read_timeout_s=limit_s) as opened:
                video = LiveVideo(opened, max_step_s=self.plan.window_s)
                yield from _WindowPass(self, video, fps=video.fps, live=video).chunks()
        except LiveError as error:
            if error.kind != "timeout":
                raise
            raise VideoError(f"{error} (--open-timeout-s is {limit_s:g})") from None

    def chunks_of_frames(self, frames: np.ndarray, fps: float) -> Iterator[Chunk | VideoEnd]:
        """Yields the chunks of frames in memory, uint8 (N, H, W, 3) RGB, and their end last."""
        video = _ArrayVideo(frames, fps)
        windows = _WindowPass(self, video, fps=fps, short_s=self.short_s)
        yield from windows.chunks()
        if windows.is_short:
            indices = sample_indices(len(frames), self.reader.count).tolist()
            images = self.reader.stream_set.images_of(video, indices, fps=fps, views=self.views)
            yield from _chunks_of_clip(images, VideoEnd(len(frames), len(frames) / fps, ""))

    def _clip(self, source: Source) -> list[Chunk | VideoEnd] | None:
        """The video as extraction reads it; None if it is longer than its header says."""
        clip = self.reader.read(source.path, views=self.views[1:])
        if clip.duration_s > self.short_s + units.frames_to_s(0.5, clip.fps):
            return None
        end = VideoEnd(clip.frames, clip.duration_s, clip.damage, clip.notes)
        return _chunks_of_clip(clip.views, end, first_s=clip.first_s)


def _chunks_of_clip(
    images: np.ndarray, end: VideoEnd, *, first_s: float = 0.0
) -> list[Chunk | VideoEnd]:
    """The one chunk of a clip that is one window, and its end.

    Args:
        images: uint8 (V, T, K, S, S, 3).
        end: The end of the video.
        first_s: The time of its first frame.
    """
    numbers = np.arange(np.prod(images.shape[:3])).reshape(images.shape[:3])
    window = WindowImages(first_s, first_s + end.duration_s, numbers, needed_from=0)
    flat = images.reshape(-1, *images.shape[3:])
    return [Chunk(flat, [window]), end]


class _WindowPass:
    """One pass over the frames of a video, in chunks.

    Attributes:
        is_short: The video ended before `short_s`; then the pass has given no chunk.
    """

    def __init__(
        self,
        source: WindowSource,
        video: Frames,
        *,
        fps: float,
        declared: int = 0,
        short_s: float = 0.0,
        live: LiveVideo | None = None,
        file: Decoder | PyAVDecoder | None = None,
    ) -> None:
        self._video, self._file, self._live = video, file, live
        self._started_at: datetime | None = None
        self._windows = SlidingWindows(
            source.reader.stream_set,
            source.plan,
            fps=fps,
            views=source.views,
            hold_bytes=source.hold_bytes,
        )
        self._max_duration_s = source.max_duration_s
        self._video_s = units.frames_to_s(declared, fps)
        if self._max_duration_s is not None:
            self._video_s = min(self._video_s or self._max_duration_s, self._max_duration_s)
        self._short_s = short_s
        if self._max_duration_s is not None and self._max_duration_s < short_s:
            self._short_s = 0.0
        self.is_short = self._short_s > 0
        self._new_images: list[np.ndarray] = []
        self._new_windows: list[WindowImages] = []
        self._chunk_at_s = time.monotonic()
        self._notes: tuple[str, ...] = ()

    def chunks(self) -> Iterator[Chunk | VideoEnd]:
        first_s, stopped = 0.0, False
        for index, time_s in self._frames():
            if index == 0:
                first_s = time_s
                if self._live:
                    self._started_at = datetime.now().astimezone() - timedelta(seconds=time_s)
            if self._max_duration_s is not None and time_s - first_s >= self._max_duration_s:
                stopped = True
                break
            if self._live and self._live.begins_section:
                self._new_windows += self._windows.end_section()
            self._new_windows += self._windows.add(time_s, self._video)
            self._new_images += self._windows.take_images()
            if self.is_short and self._windows.end_s - first_s > self._short_s:
                self.is_short = False
            if not self.is_short and self._is_chunk_due():
                yield self._chunk()
        if not self._windows.frames:
            raise VideoError("no frame of it can be decoded")
        if self.is_short:
            return
        self._new_windows += self._windows.end()
        self._new_images += self._windows.take_images()
        yield self._chunk()
        yield self._end(first_s, stopped)

    def _frames(self) -> Iterator[tuple[int, float]]:
        """The frames; a live source that ends after its first frame ends as a file does."""
        try:
            yield from self._video
        except LiveError as error:
            if not self._windows.frames:
                raise
            if error.kind != "closed":
                self._notes = (f"it ended early: {error}",)

    def _is_chunk_due(self) -> bool:
        waited_s = time.monotonic() - self._chunk_at_s
        return len(self._new_images) >= _CHUNK_IMAGES or bool(
            self._live and (self._new_windows or (self._new_images and waited_s > _LIVE_CHUNK_S))
        )

    def _chunk(self) -> Chunk:
        windows, self._new_windows = self._new_windows, []
        images, self._new_images = self._new_images, []
        self._chunk_at_s = time.monotonic()
        return Chunk(np.array(images, np.uint8), windows, self._video_s, bool(self._live))

    def _end(self, first_s: float, stopped: bool) -> VideoEnd:
        windows, damage, notes = self._windows, "", self._notes
        if self._file is not None:
            notes = tuple(filter(None, (describe_rate(self._file.fps), self._file.note)))
            if stopped:
                damage = describe_corruption(self._file.corrupt_frames(), windows.frames)
            else:
                damage = find_damage_at_end(
                    self._file, windows.frames, windows.last_s, longest_s=windows.longest_s
                )
        duration_s = windows.end_s - first_s
        return VideoEnd(windows.frames, duration_s, damage, notes, self._started_at)


class _ArrayVideo:
    """Frames in memory, uint8 (N, H, W, 3) RGB, with the interface of a decoder."""

    def __init__(self, frames: np.ndarray, fps: float) -> None:
        self.frames, self.fps = frames, fps
        self._index = 0

    def __iter__(self) -> Iterator[tuple[int, float]]:
        for index in range(len(self.frames)):
            self._index = index
            yield index, units.frames_to_s(index, self.fps)

    def __len__(self) -> int:
        return len(self.frames)

    def retrieve(self) -> np.ndarray:
        return self[self._index]

    def __getitem__(self, index: int) -> np.ndarray:
        """A frame, uint8 (H, W, 3) BGR."""
        return np.ascontiguousarray(self.frames[index][:, :, ::-1])


def check_frames(frames: Any, fps: Any) -> tuple[np.ndarray, float]:
    """Checks frames that a caller gives; returns them as an array, and their rate.

    Args:
        frames: uint8 (N, H, W, 3), N >= 1.
        fps: Frames per second, in (0, 1000]: a number of Python or NumPy.

    Raises:
        ConfigError: If they are not.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise ConfigError(
            "Frames must be uint8 of shape (N, H, W, 3), RGB. Received: "
            f"{frames.dtype} {frames.shape}"
        )
    if not frames.size:
        raise ConfigError(f"Frames must be one or more. Received: {frames.shape}")
    is_number = isinstance(fps, (numbers.Real, np.number)) and not isinstance(fps, bool)
    if not is_number or not 0 < float(fps) <= 1000:
        raise ConfigError(
            f"`fps`, the frames per second, must be a number in (0, 1000]. Received: fps={fps!r}"
        )
    return frames, float(fps)


# -- several at a time


@contextlib.contextmanager
def read_sources(
    window_source: WindowSource, sources: Sequence[Source], *, workers: int, timeout_s: float
) -> Iterator[Iterator[tuple[int, Chunk | VideoEnd | VideoError]]]:
    """Reads sources in child processes, several at a time.

    The context is an iterator of the source's number and its next chunk; the last item of each
    source is a VideoEnd or a VideoError. Memory does not grow with the number of sources or their
    length: child processes wait until their chunks are taken.

    Args:
        window_source: Reads a source.
        sources: To read.
        workers: Sources at a time.
        timeout_s: Seconds that the next chunk of a source may take.
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
            arguments = (WindowSource.chunks, window_source, sources[number])
            limit = {"timeout_s": timeout_s, "timeout_option": "--video-timeout-s"}
            for chunk in call.stream(*arguments, **limit):
                put((number, chunk))
                if ended.is_set():
                    break
        except Exception as error:  # raised in the thread that takes it
            put((number, error))

    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        try:
            with ProcessPool(processes.MEMORY_LIMIT_BYTES + _BUFFER_BYTES) as call:
                for number in range(len(sources)):
                    pool.submit(feed, number, call)
                yield _take_items(waiting, len(sources))
                ended.set()
        finally:
            ended.set()


def _take_items(
    waiting: queue.Queue, count: int
) -> Iterator[tuple[int, Chunk | VideoEnd | VideoError]]:
    while count:
        number, item = waiting.get()
        if isinstance(item, Exception) and not isinstance(item, VideoError):
            raise item
        count -= not isinstance(item, Chunk)
        yield number, item
