"""From a video to its features: one object that extraction and prediction share."""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from violence_detection import registry
from violence_detection.errors import WeightsError
from violence_detection.features import engine_choice
from violence_detection.features.config import ExtractConfig
from violence_detection.features.feature_space import RECIPE_VERSION, FeatureSpace
from violence_detection.system import devices
from violence_detection.video import motion_crop
from violence_detection.video.clip_reader import ClipReader

log = logging.getLogger(__name__)


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
        engine_dir: Path | None = None,
    ) -> Self:
        """Build the backbone with its weights on the engine.

        Args:
            backbone, engine: Specs of the parts.
            stream: Spec of what the backbone sees; the features of several are joined along D.
            weights: "imagenet", "random" (drawn from `seed`), or a weights file.
            frames: T.
            frame_size: S; None for the backbone's own.
            precision: Keras dtype policy.
            batch_size: Frames encoded at a time.
            seed: Of random weights.
            engine_dir: Where the engine may keep what it makes of the backbone.

        Raises:
            ConfigError: If a part is not there, or the backbone cannot take `frame_size`.
            WeightsError: If the weights cannot be had or do not fit.
        """
        part = registry.module("backbones", backbone)
        size = frame_size or part.FRAME_SIZE
        reader = ClipReader(stream=stream, frames=frames, frame_size=size)
        policy = registry.module("engines", engine).policy(precision)
        network, digest = load_backbone(
            backbone, weights=weights, frame_size=size, precision=policy, seed=seed
        )
        kept = engine_dir and engine_dir / (
            f"{backbone}-{part.LAYER}-{size}px-{digest[:16]}-r{RECIPE_VERSION}"
        )
        space = _space(reader, backbone, stream, size, digest, engine=engine, precision=precision)
        encode = registry.load("engines", engine, backbone=network, precision=precision, kept=kept)
        return cls(space, reader, encode, batch_size=batch_size)

    @classmethod
    def of_config(cls, config: ExtractConfig) -> Self:
        """The extractor that was asked for, on the engine and in the precision that are here.

        Raises:
            ConfigError, WeightsError: See `build`.
        """
        engine = engine_choice.choose_engine(config.engine)
        return cls.build(
            backbone=config.backbone,
            weights=config.weights,
            stream=config.stream,
            frames=config.frames,
            frame_size=config.frame_size,
            engine=engine,
            precision=engine_choice.choose_precision(
                engine, config.mixed_precision, backbone=config.backbone
            ),
            engine_dir=Path(config.cache_dir) / ".engines",
            batch_size=config.batch_size,
            seed=config.seed,
        )

    @classmethod
    def planned(cls, config: ExtractConfig) -> Self:
        """The extractor that was asked for, for a dry run: it has a space, and cannot encode.

        Nothing is downloaded, and nothing is built for an engine. Weights that are here are loaded
        for their digest; it is empty in the space of an extractor whose ImageNet weights are not
        in the cache of Keras.

        Raises:
            ConfigError, WeightsError: See `build`.
        """
        engine = engine_choice.choose_engine(config.engine)
        precision = engine_choice.choose_precision(
            engine, config.mixed_precision, backbone=config.backbone
        )
        size = config.frame_size or registry.module("backbones", config.backbone).FRAME_SIZE
        reader = ClipReader(stream=config.stream, frames=config.frames, frame_size=size)
        policy = registry.module("engines", engine).policy(precision)
        digest = _digest_here(config, frame_size=size, precision=policy)
        space = _space(
            reader,
            config.backbone,
            config.stream,
            size,
            digest,
            engine=engine,
            precision=precision,
        )
        return cls(space, reader, _no_encoder, batch_size=config.batch_size)

    @classmethod
    def of_space(
        cls,
        space: FeatureSpace,
        *,
        weights: str,
        batch_size: int,
        seed: int,
        engine: str | None = None,
    ) -> Self:
        """The extractor of a known feature space, on its own engine or another one.

        Args:
            engine: Another one, in float32 if it is not the space's; None for the space's.

        Raises:
            ConfigError: If the engine that is asked for is not here.
            WeightsError: If `weights` are not those that the space was made with.
        """
        asked, precision = engine and engine_choice.choose_engine(engine), space.precision
        engine = asked or space.engine
        if engine != space.engine:
            precision = "float32"
        lacking = registry.module("engines", engine).missing()
        if lacking:
            log.warning(
                f"Not here: {lacking}. The backbone runs on TensorFlow in float32, where answers "
                "may differ a little."
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

    @property
    def pictures_of_a_clip(self) -> int:
        """T times K."""
        return self.space.frames * len(self.reader.make.streams)

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
        """Features of clips, in order; pictures of several clips share a batch.

        Args:
            clips: Pairs of anything and pictures uint8 (t, K, S, S, 3).

        Yields:
            The same anything and its features, float16 (t, D), of K streams side by side.
        """
        waiting: deque[tuple[Any, int, int]] = deque()
        pictures: list[np.ndarray] = []
        features: list[np.ndarray] = []

        def finished() -> Iterator[tuple[Any, np.ndarray]]:
            while waiting and len(features) >= waiting[0][1]:
                item, count, frames = waiting.popleft()
                yield item, np.stack(features[:count]).reshape(frames, -1)
                del features[:count]

        for item, clip in clips:
            waiting.append((item, clip.shape[0] * clip.shape[1], clip.shape[0]))
            pictures.extend(clip.reshape(-1, *clip.shape[2:]))
            while len(pictures) >= self.batch_size:
                features.extend(self.encode(np.stack(pictures[: self.batch_size])))
                del pictures[: self.batch_size]
            yield from finished()
        if pictures:
            features.extend(self.encode(np.stack(pictures)))
            yield from finished()


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
    """The feature space of a backbone whose weights have this digest."""
    part = registry.module("backbones", backbone)
    return FeatureSpace(
        backbone=backbone,
        layer=part.LAYER,
        stream=stream,
        frames=reader.count,
        frame_size=frame_size,
        resize=_recipe(stream, reader),
        dim=part.DIM * len(reader.make.streams),
        weights_digest=digest,
        engine=engine,
        precision=precision,
    )


def _digest_here(config: ExtractConfig, *, frame_size: int, precision: str) -> str:
    """The digest of a backbone's weights, empty where they would have to be downloaded."""
    from violence_detection.features.backbones import _applications

    weights = config.weights
    if weights == "imagenet":
        path = _applications.imagenet_file(
            registry.module("backbones", config.backbone), frame_size
        )
        if not path.is_file():
            return ""
        weights = str(path)  # Keras would download a damaged file again
    try:
        _, digest = _drawn_or_loaded(
            config.backbone,
            weights=weights,
            frame_size=frame_size,
            precision=precision,
            seed=config.seed,
        )
    except WeightsError:
        if config.weights == "imagenet":
            return ""
        raise
    return digest


def _no_encoder(_: np.ndarray) -> np.ndarray:
    raise RuntimeError("An extractor of a dry run has no backbone.")


def _recipe(stream: str, reader: ClipReader) -> str:
    """How frames become pictures, for the fingerprint."""
    specs = registry.parse(stream)
    recipes = [registry.module("streams", spec.name).RECIPE for spec in specs]
    if reader.make.focused:
        recipes.append(motion_crop.RECIPE)
    return "; ".join(recipes)


def load_backbone(
    name: str, *, weights: str, frame_size: int, precision: str, seed: int
) -> tuple[Any, str]:
    """A backbone with its weights, and the SHA-256 over its variables.

    The digest of random weights is of what was drawn, before their calibration, whose
    last bits depend on the machine.
    """
    from violence_detection.features.backbones import _applications

    network, digest = _drawn_or_loaded(
        name, weights=weights, frame_size=frame_size, precision=precision, seed=seed
    )
    if weights == "random":
        network = _applications.calibrate(network, seed=seed)
    return network, digest


def _drawn_or_loaded(
    name: str, *, weights: str, frame_size: int, precision: str, seed: int
) -> tuple[Any, str]:
    """A backbone before its calibration, and the SHA-256 over its variables."""
    import keras

    keras.utils.set_random_seed(seed)
    with devices.dtype_policy(precision):
        network = registry.module("backbones", name).build(
            frame_size=frame_size, weights=None if weights == "random" else weights
        )
    digest = hashlib.sha256()
    for variable in network.variables:
        if "seed_generator" not in variable.path:
            digest.update(np.ascontiguousarray(variable).tobytes())
    return network, digest.hexdigest()


def check_weights(space: FeatureSpace, digest: str, weights: str) -> None:
    """Whether weights of a digest are those of a space.

    Raises:
        WeightsError: If they are not.
    """
    if digest != space.weights_digest:
        raise WeightsError(
            "The backbone's weights must be those that the features were made with "
            f"({space.weights_digest[:8]}). Received: {weights} ({digest[:8]})"
        )
