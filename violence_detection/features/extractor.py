"""The feature extractor: from videos to features, for extraction, prediction and export alike."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from violence_detection import registry
from violence_detection.features import engine_choice
from violence_detection.features.backbone_weights import (
    check_weights,
    load_backbone,
    local_digest,
)
from violence_detection.features.feature_space import RECIPE_VERSION, FeatureSpace
from violence_detection.video import motion_crop
from violence_detection.video.clip_reader import ClipReader

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractorSettings:
    """The settings of an extractor; engine and precision are as far as this machine has them.

    Attributes:
        backbone: Name of the part.
        weights: "imagenet", "random" (drawn from `seed`), or a weights file.
        stream: Spec of the streams; the features of several are joined along D.
        frames: T.
        segments: N; see `FeatureSpace`.
        frame_size: S; None for the backbone's own.
        engine: Name of the part; "auto" chooses the fastest that is installed.
        mixed_precision: Reduced precision is used where it is faster.
        batch_size: Frames encoded at a time.
        seed: Seed of random weights.
        engine_dir: Folder in which the engine may keep the converted backbone; None keeps nothing.
    """

    backbone: str
    weights: str
    stream: str
    frames: int
    frame_size: int | None
    engine: str
    mixed_precision: bool
    batch_size: int
    seed: int
    engine_dir: Path | None = None
    segments: int = 1

    def choose_engine(self) -> tuple[str, str]:
        """The engine and the precision that this machine has for these settings.

        Raises:
            ConfigError: If the engine is not installed.
        """
        engine = engine_choice.choose_engine(self.engine)
        precision = engine_choice.choose_precision(
            engine, self.mixed_precision, backbone=self.backbone
        )
        return engine, precision


class FeatureExtractor:
    """A feature space, the reader of its images and the backbone that encodes them.

    Attributes:
        space: The feature space.
        reader: Reads videos as images.
        batch_size: Frames encoded at a time.
        pads: Batches always have this size, the last is padded, so that the arithmetic is the same
            for every frame. False where the engine encodes every image by itself.
        encode_batch: From `batch_size` images to features, float32 (n, D).
    """

    def __init__(
        self,
        space: FeatureSpace,
        reader: ClipReader,
        encode: Callable[[np.ndarray], np.ndarray],
        *,
        batch_size: int,
        pads: bool = True,
    ) -> None:
        self.space = space
        self.reader = reader
        self.batch_size, self.pads = batch_size, pads
        self.encode_batch = encode

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
        engine_dir: Path | None = None,
        segments: int = 1,
    ) -> Self:
        """Builds the backbone with its weights on an engine.

        Args:
            backbone: Name of the part.
            weights: "imagenet", "random" (drawn from `seed`), or a weights file.
            stream: Spec of the streams; the features of several are joined along D.
            frames: T.
            frame_size: S; None for the backbone's own.
            engine: Name of the part.
            precision: Keras dtype policy.
            batch_size: Frames encoded at a time.
            seed: Seed of random weights.
            engine_dir: Folder in which the engine may keep the converted backbone; None keeps
                nothing.
            segments: N; see `FeatureSpace`.

        Raises:
            ConfigError: If a part does not exist, or the backbone cannot take `frame_size`.
            WeightsError: If the weights cannot be loaded or do not fit.
        """
        part = registry.module("backbones", backbone)
        size = frame_size or part.FRAME_SIZE
        reader = ClipReader(stream=stream, frames=frames, frame_size=size, segments=segments)
        engine_part = registry.module("engines", engine)
        policy = engine_part.policy(precision)
        network, digest = load_backbone(
            backbone, weights=weights, frame_size=size, precision=policy, seed=seed
        )
        kept = engine_dir and engine_dir / (
            f"{backbone}-{part.LAYER}-{size}px-{digest[:16]}-r{RECIPE_VERSION}"
        )
        space = _space(reader, backbone, stream, size, digest, engine=engine, precision=precision)
        encode = registry.load("engines", engine, backbone=network, precision=precision, kept=kept)
        return cls(space, reader, encode, batch_size=batch_size, pads=not engine_part.SINGLE_IMAGES)

    @classmethod
    def for_machine(cls, settings: ExtractorSettings) -> Self:
        """The extractor on an engine of this machine, in a precision that it has.

        Raises:
            ConfigError, WeightsError: See `build`.
        """
        engine, precision = settings.choose_engine()
        return cls.build(
            backbone=settings.backbone,
            weights=settings.weights,
            stream=settings.stream,
            frames=settings.frames,
            frame_size=settings.frame_size,
            engine=engine,
            precision=precision,
            batch_size=settings.batch_size,
            seed=settings.seed,
            engine_dir=settings.engine_dir,
            segments=settings.segments,
        )

    @classmethod
    def for_dry_run(cls, settings: ExtractorSettings) -> Self:
        """An extractor with a feature space that cannot encode; see `for_machine`.

        Nothing is downloaded, and nothing is built for an engine. Weights on this machine are
        loaded for their digest; the digest is empty if ImageNet weights are not in the cache of
        Keras.

        Raises:
            ConfigError, WeightsError: See `build`.
        """
        backbone, stream = settings.backbone, settings.stream
        engine, precision = settings.choose_engine()
        size = settings.frame_size or registry.module("backbones", backbone).FRAME_SIZE
        reader = ClipReader(
            stream=stream,
            frames=settings.frames,
            frame_size=size,
            segments=settings.segments,
        )
        digest = local_digest(
            backbone,
            weights=settings.weights,
            frame_size=size,
            precision=registry.module("engines", engine).policy(precision),
            seed=settings.seed,
        )
        space = _space(reader, backbone, stream, size, digest, engine=engine, precision=precision)
        return cls(space, reader, _no_encoder, batch_size=settings.batch_size)

    @classmethod
    def from_space(
        cls,
        space: FeatureSpace,
        *,
        weights: str,
        batch_size: int,
        seed: int,
        engine: str | None = None,
    ) -> Self:
        """The extractor of a feature space.

        Where this machine lacks the space's engine or precision, a warning says which one is
        used instead.

        Args:
            space: The feature space.
            weights: "imagenet", "random", or a weights file.
            batch_size: Frames encoded at a time.
            seed: Seed of random weights.
            engine: Name of the part; one that is not the space's runs in float32. None for the
                space's.

        Raises:
            ConfigError: If `engine` is not installed.
            WeightsError: If `weights` are not those that the space was made with, or the features
                were imported.
        """
        space.check_computable()
        asked, precision = engine and engine_choice.choose_engine(engine), space.precision
        engine = asked or space.engine
        if engine != space.engine:
            precision = "float32"
        lacking = registry.module("engines", engine).missing()
        if lacking:
            log.warning(
                f"Not installed: {lacking}. The backbone runs on TensorFlow in float32; "
                "probabilities may differ a little."
            )
            engine, precision = "tensorflow", "float32"
        elif precision != "float32" and precision != engine_choice.choose_precision(engine, True):
            log.warning(f"This machine has no {precision}; the backbone runs in float32.")
            precision = "float32"
        extractor = cls.build(
            backbone=space.backbone,
            weights=weights,
            stream=space.stream,
            frames=space.frames,
            frame_size=space.frame_size,
            engine=engine,
            precision=precision,
            batch_size=batch_size,
            seed=seed,
        )
        check_weights(space, extractor.space.weights_digest, weights)
        return extractor

    def in_segments(self, count: int) -> Self:
        """An extractor with the same backbone, for videos in `count` segments of T frames."""
        if count == self.space.segments:
            return self
        reader = ClipReader(
            stream=self.space.stream,
            frames=self.space.frames,
            frame_size=self.space.frame_size,
            segments=count,
        )
        space = replace(self.space, segments=count)
        return type(self)(
            space, reader, self.encode_batch, batch_size=self.batch_size, pads=self.pads
        )

    @property
    def images_per_clip(self) -> int:
        """The number of images of a video: T times K streams, in each of N segments."""
        return self.space.segments * self.space.frames * len(self.reader.stream_set.streams)

    @property
    def channels(self) -> int:
        """The number of channels of an image: 3, and of stacked streams 3 for each."""
        return 3 * max(1, len(self.reader.stream_set.stacked))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Features of up to `batch_size` images; of any number where the engine pads none.

        Args:
            images: uint8 (n, S, S, 3).

        Returns:
            float16 (n, D), as the cache keeps them.
        """
        padded = images
        if self.pads and len(images) < self.batch_size:
            padded = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
            padded[: len(images)] = images
        with np.errstate(over="ignore"):  # what float16 cannot hold is noticed by the caller
            return self.encode_batch(padded)[: len(images)].astype(np.float16)

    def encode_clips(
        self, clips: Iterable[tuple[Any, np.ndarray]]
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Features of clips, in order; images of several clips share a batch.

        Args:
            clips: Pairs of an item, which is passed through, and images uint8 (t, K, S, S, 3).

        Yields:
            The item and its features, float16 (t, D), of K streams side by side.
        """
        waiting: deque[tuple[Any, int, int]] = deque()
        images: list[np.ndarray] = []
        features: list[np.ndarray] = []

        def finished_clips() -> Iterator[tuple[Any, np.ndarray]]:
            while waiting and len(features) >= waiting[0][1]:
                item, count, frames = waiting.popleft()
                yield item, np.stack(features[:count]).reshape(frames, -1)
                del features[:count]

        for item, clip in clips:
            waiting.append((item, clip.shape[0] * clip.shape[1], clip.shape[0]))
            images.extend(clip.reshape(-1, *clip.shape[2:]))
            while len(images) >= self.batch_size:
                features.extend(self.encode(np.stack(images[: self.batch_size])))
                del images[: self.batch_size]
            yield from finished_clips()
        if images:
            features.extend(self.encode(np.stack(images)))
            yield from finished_clips()


def _space(
    reader: ClipReader,
    backbone: str,
    stream: str,
    frame_size: int,
    digest: str,
    *,
    engine: str,
    precision: str,
) -> FeatureSpace:
    """The feature space of a backbone with weights of a digest."""
    part = registry.module("backbones", backbone)
    return FeatureSpace(
        backbone=backbone,
        layer=part.LAYER,
        stream=stream,
        frames=reader.count,
        frame_size=frame_size,
        resize=_recipe(stream, reader),
        dim=part.DIM * len(reader.stream_set.streams),
        weights_digest=digest,
        engine=engine,
        precision=precision,
        segments=reader.segments,
    )


def _no_encoder(_: np.ndarray) -> np.ndarray:
    raise RuntimeError("An extractor of a dry run has no backbone.")


def _recipe(stream: str, reader: ClipReader) -> str:
    """The steps from frames to images, for the fingerprint."""
    specs = registry.parse(stream)
    recipes = [registry.module("streams", spec.name).RECIPE for spec in specs]
    if reader.stream_set.focused:
        recipes.append(motion_crop.RECIPE)
    return "; ".join(recipes)
