"""Windows of all cameras that wait for the judge, and the images that they need."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from violence_detection.errors import VideoError
from violence_detection.live.processes.process_messages import (
    CameraChunk,
    CameraWindow,
    JudgedWindow,
)

_MAX_CAMERA_BYTES = 64 * 2**20  # of images of a camera that wait
_KEPT_WINDOWS = 8  # whose features are kept at most; those that overlap share them
_MAX_LEAD_S = 10.0  # of a window's end before its last frame came; a larger one is a wrong clock


class _Section:
    """Images of a section of a camera, and features of those that were encoded, by number.

    Attributes:
        next_image: The number of the next image that comes.
    """

    def __init__(self, number: int) -> None:
        self.number, self.next_image = number, 0
        self.images: dict[int, np.ndarray] = {}
        self.features: dict[int, np.ndarray] = {}

    def forget(self, before: int, *, most: int) -> None:
        """Drops what no window needs any more, and of features all but the `most` newest."""
        for kept in (self.images, self.features):
            for number in [number for number in kept if number < before]:
                del kept[number]
        for number in sorted(self.features)[: max(0, len(self.features) - most)]:
            del self.features[number]


@dataclass(frozen=True)
class WaitingWindow:
    """A window that waits for its probability.

    Attributes:
        camera: Name of the camera.
        section: Holds its images.
        window: Its times and the numbers of its images.
        sent_s: Monotonic time at which its last frame came, not in the future.
    """

    camera: str
    section: _Section
    window: CameraWindow
    sent_s: float

    @property
    def deadline_s(self) -> float:
        """The time by which windows are ordered: its end."""
        return min(max(self.window.end_s, self.sent_s - _MAX_LEAD_S), self.sent_s)

    def lacking(self) -> list[int]:
        """Numbers of its images that are not encoded yet, ascending, each once."""
        return sorted(set(self.window.images) - self.section.features.keys())

    def judged(self, now_s: float, probability: float | None, **values) -> JudgedWindow:
        """The message about it; `values` as of `JudgedWindow`."""
        return JudgedWindow(
            self.camera,
            self.section.number,
            self.window.start_s,
            self.window.end_s,
            probability,
            waited_s=max(0.0, now_s - self.sent_s),
            **values,
        )


@dataclass(frozen=True)
class WindowBatch:
    """Windows that are judged together.

    Attributes:
        passed: Windows that are not judged, and why; they come before the others.
        windows: The W windows that are judged; of each camera in their order.
        images: The N images that they need and that are not encoded, uint8 (S, S, 3) each.
        places: Section and number of each image.
    """

    passed: list[JudgedWindow]
    windows: list[WaitingWindow]
    images: list[np.ndarray]
    places: list[tuple[_Section, int]]


class WindowQueue:
    """Windows of all cameras. Chunks are added by several threads, batches taken by one.

    The window that ended first is judged first; those of a camera keep their order. A window that
    has waited for `max_age_s` is passed on unjudged: the newer ones count more.
    """

    def __init__(
        self,
        *,
        side: int,
        images_per_window: int,
        channels: int = 3,
        max_age_s: float = 2.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            side: S, in pixels.
            images_per_window: T times K.
            channels: C of an image.
            max_age_s: Seconds that a window waits at most.
            clock: Monotonic seconds.
        """
        self._side, self._count, self._channels = side, images_per_window, channels
        self._max_age_s, self._clock = max_age_s, clock
        self._waiting: dict[str, deque[WaitingWindow]] = {}
        self._sections: dict[str, _Section] = {}
        self._changed = threading.Condition()

    def add(self, chunk: CameraChunk) -> None:
        """Adds the next chunk of a camera.

        Raises:
            VideoError: If its images or windows have other sizes than those of the run.
        """
        if chunk.image_count and chunk.side != self._side:
            raise VideoError(f"Images must have {self._side} pixels a side. Received: {chunk.side}")
        if chunk.image_count and chunk.channels != self._channels:
            raise VideoError(
                f"Images must have {self._channels} channels. Received: {chunk.channels}"
            )
        for window in chunk.windows:
            if not window.unjudged and len(window.images) != self._count:
                raise VideoError(
                    f"A window must have {self._count} images. Received: {len(window.images)}"
                )
        shape = chunk.image_count, self._side, self._side, self._channels
        images = np.frombuffer(chunk.images, np.uint8).reshape(shape)
        with self._changed:
            section = self._sections.get(chunk.camera)
            if section is None or section.number != chunk.section:
                section = self._sections[chunk.camera] = _Section(chunk.section)
            if (
                len(section.images) * self._channels * self._side**2 + images.nbytes
                > _MAX_CAMERA_BYTES
            ):
                section.images.clear()  # the windows that need them are passed on as lost
            for number, image in enumerate(images, start=chunk.first_image):
                section.images[number] = image
            sent_s = min(chunk.sent_s, self._clock())
            rows = self._waiting.setdefault(chunk.camera, deque())
            rows += [
                WaitingWindow(chunk.camera, section, window, sent_s) for window in chunk.windows
            ]
            self._changed.notify_all()

    def forget(self, camera: str, section: int) -> None:
        """Drops the images of a section of a camera that has gone, to another judge or for good;
        its windows that wait are judged."""
        with self._changed:
            known = self._sections.get(camera)
            if known is not None and known.number == section:
                del self._sections[camera]

    def wait(self, *, images: int, first_s: float, more_s: float) -> None:
        """Waits for windows: up to `first_s` for the first, then up to `more_s` for more, unless
        there are `images` to encode."""
        with self._changed:
            if not self._changed.wait_for(self._has_windows, first_s):
                return
            self._changed.wait_for(lambda: self._image_count() >= images, more_s)

    def age_s(self) -> float:
        """Seconds since the last frame of the window that has waited for longest; 0.0 if none
        waits."""
        with self._changed:
            sent_s = [rows[0].sent_s for rows in self._waiting.values() if rows]
            return max(0.0, self._clock() - min(sent_s)) if sent_s else 0.0

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def take(self, max_images: int) -> WindowBatch:
        """Removes and returns the next windows, with up to `max_images` images to encode: at least
        one window, whatever its images."""
        batch = WindowBatch([], [], [], [])
        needed: set[tuple[int, int]] = set()  # identity of a section, and number of an image
        with self._changed:
            open_cameras = {camera for camera, rows in self._waiting.items() if rows}
            while open_cameras:
                camera = min(open_cameras, key=lambda name: self._waiting[name][0].deadline_s)
                rows = self._waiting[camera]
                first = rows[0]
                if reason := self._unjudged_reason(first):
                    if any(waiting.camera == camera for waiting in batch.windows):
                        open_cameras.discard(camera)  # those before it are judged first
                        continue
                    batch.passed.append(first.judged(self._clock(), None, reason=reason))
                    self._forget(first)
                else:
                    key = id(first.section)
                    new = [n for n in first.lacking() if (key, n) not in needed]
                    if batch.windows and len(needed) + len(new) > max_images:
                        break
                    needed |= {(key, number) for number in new}
                    batch.images.extend(first.section.images[number] for number in new)
                    batch.places.extend((first.section, number) for number in new)
                    batch.windows.append(first)
                rows.popleft()
                if not rows:
                    open_cameras.discard(camera)
        return batch

    def features_of(self, batch: WindowBatch, encoded: np.ndarray) -> np.ndarray:
        """The features of the windows of a batch, float16 (W, T * K, D); drops what is needed no
        more.

        Args:
            batch: The last batch that was taken.
            encoded: Features of its N images, float16 (N, D).
        """
        with self._changed:
            for (section, number), row in zip(batch.places, encoded, strict=True):
                section.features[number] = row
                section.images.pop(number, None)
            rows = []
            for waiting in batch.windows:
                features = waiting.section.features
                rows.append(np.stack([features[number] for number in waiting.window.images]))
            for waiting in batch.windows:
                self._forget(waiting)
        return np.stack(rows)

    def _forget(self, waiting: WaitingWindow) -> None:
        waiting.section.forget(waiting.window.needed_from, most=_KEPT_WINDOWS * self._count)

    def _unjudged_reason(self, waiting: WaitingWindow) -> str:
        """The reason why a window is not judged; empty if it is."""
        if waiting.window.unjudged:
            return waiting.window.unjudged
        if self._clock() - waiting.sent_s > self._max_age_s:
            return "late"
        images = waiting.section.images
        return "" if all(number in images for number in waiting.lacking()) else "lost"

    def _has_windows(self) -> bool:
        return any(self._waiting.values())

    def _image_count(self) -> int:
        return sum(
            len(waiting.window.images) for rows in self._waiting.values() for waiting in rows
        )
