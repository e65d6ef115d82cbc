"""Features of windows: pictures of several videos share batches, and windows share pictures."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

import numpy as np

from violence_detection.inference.sliding_windows import WindowImages
from violence_detection.inference.window_reader import Chunk


class EncodedWindow(NamedTuple):
    """A window of a video, with its features float16 (V, T, D), of K streams side by side."""

    video: Hashable
    window: WindowImages
    features: np.ndarray


class _PendingVideo:
    """What is known of the pictures of one video that later windows may need."""

    def __init__(self) -> None:
        self.numbered = 0
        self.features: dict[int, np.ndarray] = {}
        self.windows: deque[WindowImages] = deque()
        self.dropped = 0


class WindowEncoder:
    """Joins the features of pictures into windows, as pictures come."""

    def __init__(self, encode: Callable[[np.ndarray], np.ndarray], *, batch_size: int) -> None:
        """
        Args:
            encode: From pictures uint8 (n, S, S, 3), n up to `batch_size`, to features (n, D).
            batch_size: Pictures encoded at a time.
        """
        self._encode, self._batch_size = encode, batch_size
        self._videos: dict[Hashable, _PendingVideo] = {}
        self._pictures: list[np.ndarray] = []
        self._whose: list[tuple[_PendingVideo, int]] = []

    def add(self, video: Hashable, chunk: Chunk) -> Iterator[EncodedWindow]:
        """Take the next chunk of a video; the windows, of any video, that are complete."""
        known = self._videos.setdefault(video, _PendingVideo())
        known.windows.extend(chunk.windows)
        for picture in chunk.pictures:
            self._pictures.append(picture)
            self._whose.append((known, known.numbered))
            known.numbered += 1
        while len(self._pictures) >= self._batch_size:
            self._encode_batch()
            yield from self._complete()
        yield from self._complete()

    def flush(self) -> Iterator[EncodedWindow]:
        """Encode what waits for a batch to be full."""
        if self._pictures:
            self._encode_batch()
        yield from self._complete()

    def close(self, video: Hashable) -> None:
        """Forget a video, of which nothing more comes."""
        known = self._videos.pop(video, None)
        kept = [number for number, (one, _) in enumerate(self._whose) if one is not known]
        self._pictures = [self._pictures[number] for number in kept]
        self._whose = [self._whose[number] for number in kept]

    def waits(self, video: Hashable) -> bool:
        """Whether windows of a video are not complete."""
        return video in self._videos and bool(self._videos[video].windows)

    def _encode_batch(self) -> None:
        batch = np.stack(self._pictures[: self._batch_size])
        rows = self._encode(batch)
        for (video, number), row in zip(self._whose, rows, strict=False):
            video.features[number] = row
        del self._pictures[: len(batch)], self._whose[: len(batch)]

    def _complete(self) -> Iterator[EncodedWindow]:
        for name, video in list(self._videos.items()):
            while video.windows and self._is_there(video, video.windows[0]):
                window = video.windows.popleft()
                views, count, _ = window.pictures.shape
                rows = [video.features[one] for one in window.pictures.ravel().tolist()]
                yield EncodedWindow(name, window, np.stack(rows).reshape(views, count, -1))
                for number in range(video.dropped, window.needed_from):
                    video.features.pop(number, None)
                video.dropped = max(video.dropped, window.needed_from)

    @staticmethod
    def _is_there(video: _PendingVideo, window: WindowImages) -> bool:
        return int(window.pictures.max()) in video.features
