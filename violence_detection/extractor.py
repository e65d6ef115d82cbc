"""From a video to its features: one object that extraction, prediction and export share."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from violence_detection import parts, runtime, units
from violence_detection.cache import FeatureSpace
from violence_detection.errors import WeightsError
from violence_detection.frames import ClipReader, sample_indices


class FeatureExtractor:
    """A feature space that can be computed.

    Attributes:
        space: What it computes.
        reader: Turns videos into pictures.
        batch_size: Frames encoded at a time. Batches always have this size, the last one
            filled up, so that the arithmetic is the same for every frame.
    """

    def __init__(
        self,
        space: FeatureSpace,
        reader: ClipReader,
        encode: Callable[[np.ndarray], np.ndarray],
        *,
        batch_size: int,
    ) -> None:
        self.space = space
        self.reader = reader
        self.batch_size = batch_size
        self._encode = encode

    @classmethod
    def build(
        cls,
        *,
        backbone: str,
        weights: str,
        stream: str,
        frames: int,
        frame_size: int | None,
        engine: str,
        precision: str,
        batch_size: int,
        seed: int,
    ) -> Self:
        """Build the backbone with its weights on the engine.

        Args:
            backbone, stream, engine: Specs of the parts.
            weights: "imagenet", "random" (drawn from `seed`), or a weights file.
            frames: T.
            frame_size: S; None for the backbone's own.
            precision: Keras dtype policy.
            batch_size: Frames encoded at a time.
            seed: Of random weights.

        Raises:
            ConfigError: If a part is not there, or the backbone cannot take `frame_size`.
            WeightsError: If the weights cannot be had or do not fit.
        """
        part = parts.module("backbones", backbone)
        size = frame_size or part.FRAME_SIZE
        reader = ClipReader(stream=stream, frames=frames, frame_size=size)
        network, digest = load_backbone(
            backbone, weights=weights, frame_size=size, precision=precision, seed=seed
        )
        space = FeatureSpace(
            backbone=backbone,
            layer=part.LAYER,
            stream=stream,
            frames=frames,
            frame_size=size,
            resize=parts.module("streams", stream).RESIZE,
            dim=part.DIM,
            weights_digest=digest,
            engine=engine,
            precision=precision,
        )
        encode = parts.load("engines", engine, backbone=network)
        return cls(space, reader, encode, batch_size=batch_size)

    @classmethod
    def of_space(
        cls, space: FeatureSpace, *, weights: str, batch_size: int, seed: int
    ) -> Self:
        """The extractor of a known feature space.

        Raises:
            WeightsError: If `weights` are not those that the space was made with.
        """
        extractor = cls.build(
            backbone=space.backbone,
            weights=weights,
            stream=space.stream,
            frames=space.frames,
            frame_size=space.frame_size,
            engine=space.engine,
            precision=space.precision,
            batch_size=batch_size,
            seed=seed,
        )
        if extractor.space.weights_digest != space.weights_digest:
            raise WeightsError(
                "The backbone's weights must be those that the features were made with "
                f"({space.weights_digest[:8]}). Received: {weights} "
                f"({extractor.space.weights_digest[:8]})"
            )
        return extractor

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Features of up to `batch_size` pictures.

        Args:
            pictures: uint8 (n, S, S, 3).

        Returns:
            float16 (n, D), as the cache keeps them.
        """
        filled = pictures
        if len(pictures) < self.batch_size:
            filled = np.zeros((self.batch_size, *pictures.shape[1:]), np.uint8)
            filled[: len(pictures)] = pictures
        with np.errstate(over="ignore"):
            return self._encode(filled)[: len(pictures)].astype(np.float16)

    def encode_clips(
        self, clips: Iterable[tuple[Any, np.ndarray]]
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Features of clips, in order; frames of several clips share a batch.

        Args:
            clips: Pairs of anything and pictures uint8 (t, S, S, 3).

        Yields:
            The same anything and its features, float16 (t, D).
        """
        waiting: deque[tuple[Any, int]] = deque()
        pictures: list[np.ndarray] = []
        features: list[np.ndarray] = []

        def finished() -> Iterator[tuple[Any, np.ndarray]]:
            while waiting and len(features) >= waiting[0][1]:
                item, count = waiting.popleft()
                yield item, np.stack(features[:count])
                del features[:count]

        for item, clip in clips:
            waiting.append((item, len(clip)))
            pictures.extend(clip)
            while len(pictures) >= self.batch_size:
                features.extend(self.encode(np.stack(pictures[: self.batch_size])))
                del pictures[: self.batch_size]
            yield from finished()
        if pictures:
            features.extend(self.encode(np.stack(pictures)))
            yield from finished()

    def windows(
        self, path: Path, *, window_s: float, stride_s: float
    ) -> Iterator[tuple[float, float, np.ndarray]]:
        """Features of each window of a video of any length, in one pass and bounded memory.

        Frames that windows share are encoded once.

        Yields:
            start_s, end_s, features float16 (T, D).

        Raises:
            VideoError: If no window can be decoded.
        """
        plan, fps = self.reader.plan(path, window_s=window_s, stride_s=stride_s)
        count, found = self.space.frames, False
        needed: deque[tuple[int, np.ndarray]] = deque()

        def wanted() -> Iterator[int]:
            """Frames that windows need, ascending, noting the windows on the way."""
            ahead: list[int] = []
            for start in plan.starts():
                indices = start + sample_indices(plan.length_frames, count)
                needed.append((start, indices))
                yield from (index for index in ahead if index < start)
                ahead = sorted(
                    {index for index in ahead if index >= start} | set(indices.tolist())
                )
            yield from ahead

        times_s: dict[int, float] = {}
        features: dict[int, np.ndarray] = {}
        for index, row in self._encoded(path, wanted(), times_s):
            features[index] = row
            while needed and needed[0][1][-1] <= index:
                start, indices = needed.popleft()
                end_s = times_s[start] + units.frames_to_s(plan.length_frames, fps)
                yield (
                    times_s[start],
                    end_s,
                    np.stack([features[int(i)] for i in indices]),
                )
                found = True
                for old in [key for key in features if key <= start]:
                    del features[old]
                for old in [key for key in times_s if key < start]:
                    del times_s[old]
        if not found:
            # Shorter than declared: no window was completed. Read it as one clip.
            clip = self.reader.read(path)
            for _, rows in self.encode_clips([(None, clip.pictures)]):
                yield 0.0, clip.duration_s, rows

    def _encoded(
        self, path: Path, wanted: Iterator[int], times_s: dict[int, float]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Index and features of the wanted frames; every frame's time goes to `times_s`."""

        def pictures() -> Iterator[tuple[int, np.ndarray]]:
            for index, time_s, picture in self.reader.pictures(path, wanted):
                times_s[index] = time_s
                if picture is not None:
                    yield index, picture[None]

        for index, rows in self.encode_clips(pictures()):
            yield index, rows[0]


def load_backbone(
    name: str, *, weights: str, frame_size: int, precision: str, seed: int
) -> tuple[Any, str]:
    """A backbone with its weights, and the SHA-256 over its variables.

    The digest of random weights is of what was drawn, before their calibration, whose
    last bits depend on the machine.
    """
    import keras

    from violence_detection.backbones import _applications

    keras.utils.set_random_seed(seed)
    with runtime.dtype_policy(precision):
        network = parts.module("backbones", name).build(
            frame_size=frame_size, weights=None if weights == "random" else weights
        )
    digest = hashlib.sha256()
    for variable in network.variables:
        if "seed_generator" not in variable.path:
            digest.update(np.ascontiguousarray(variable).tobytes())
    if weights == "random":
        _applications.calibrate(network, seed=seed)
    return network, digest.hexdigest()
