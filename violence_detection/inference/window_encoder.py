"""Features of windows: images of several videos share batches, and windows share images."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

import numpy as np

from violence_detection.inference.sliding_windows import WindowImages
from violence_detection.inference.window_reader import Chunk


class EncodedWindow(NamedTuple):
    """A window of a video with its features, float16 (V, T, D), of K streams side by side."""

    video: Hashable
    window: WindowImages
    features: np.ndarray


class _PendingVideo:
    """The windows of a video that are not complete, and the features that they may need.

    Attributes:
        image_count: Images that were added.
        features: Float16 (D,) by the number of the image.
        windows: In their order.
        dropped: Features before this number are dropped.
    """

    def __init__(self) -> None:
        self.image_count = 0
        self.features: dict[int, np.ndarray] = {}
        self.windows: deque[WindowImages] = deque()
        self.dropped = 0


class WindowEncoder:
    """Encodes images in full batches, and joins their features into windows."""

    def __init__(self, encode: Callable[[np.ndarray], np.ndarray], *, batch_size: int) -> None:
        """
        Args:
            encode: From images uint8 (n, S, S, 3), n up to `batch_size`, to features (n, D).
            batch_size: Images encoded at a time.
        """
        self._encode, self._batch_size = encode, batch_size
        self._videos: dict[Hashable, _PendingVideo] = {}
        self._images: list[np.ndarray] = []
        self._owners: list[tuple[_PendingVideo, int]] = []  # video and number of each image

    def add(self, name: Hashable, chunk: Chunk) -> Iterator[EncodedWindow]:
        """Adds the next chunk of a video; yields the windows, of any video, that are complete."""
        video = self._videos.setdefault(name, _PendingVideo())
        video.windows.extend(chunk.windows)
        for image in chunk.images:
            self._images.append(image)
            self._owners.append((video, video.image_count))
            video.image_count += 1
        while len(self._images) >= self._batch_size:
            self._encode_batch()
            yield from self._complete()
        yield from self._complete()

    def flush(self) -> Iterator[EncodedWindow]:
        """Encodes the last batch, which is not full; yields the windows that are complete."""
        if self._images:
            self._encode_batch()
        yield from self._complete()

    def close(self, name: Hashable) -> None:
        """Drops a video of which no more chunks come."""
        video = self._videos.pop(name, None)
        kept = [number for number, (owner, _) in enumerate(self._owners) if owner is not video]
        self._images = [self._images[number] for number in kept]
        self._owners = [self._owners[number] for number in kept]

    def has_waiting(self, name: Hashable) -> bool:
        """True if a window of the video waits for features."""
        return name in self._videos and bool(self._videos[name].windows)

    def _encode_batch(self) -> None:
        batch = np.stack(self._images[: self._batch_size])
        rows = self._encode(batch)
        for (video, number), row in zip(self._owners, rows, strict=False):
            video.features[number] = row
        del self._images[: len(batch)], self._owners[: len(batch)]

    def _complete(self) -> Iterator[EncodedWindow]:
        for name, video in list(self._videos.items()):
            while video.windows and int(video.windows[0].images.max()) in video.features:
                window = video.windows.popleft()
                views, count, _ = window.images.shape
                rows = [video.features[number] for number in window.images.ravel().tolist()]
                yield EncodedWindow(name, window, np.stack(rows).reshape(views, count, -1))
                for number in range(video.dropped, window.needed_from):
                    video.features.pop(number, None)
                video.dropped = max(video.dropped, window.needed_from)
