"""The extractor of a run's feature space; a joined space has one for all of its parts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from violence_detection.errors import WeightsError
from violence_detection.features.extraction.extraction_record import WeightsOrigin
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.video.clip_reader import ClipReader


class RecordedSpace(Protocol):
    """A feature space and the weights that it was made with, as a run's record has them."""

    feature_space: FeatureSpace
    weights_source: str
    weights_seed: int
    weights_parts: tuple[WeightsOrigin, ...]


def extractor_of_run(
    record: RecordedSpace, *, weights: str | None, batch_size: int, engine: str | None = None
) -> FeatureExtractor:
    """The extractor of a run's feature space; see `FeatureExtractor.from_space`.

    Args:
        record: The record of the run.
        weights: "imagenet", "random", or a weights file; of a joined space, the folder of its
            weights files. None for those of the record.
        batch_size: Frames encoded at a time.
        engine: Name of the part; None for the space's.

    Raises:
        ConfigError: If `engine` is not installed.
        WeightsError: If `weights` are not those that the space was made with, or the features
            were imported.
    """
    if record.feature_space.parts:
        return _joined_extractor(
            record.feature_space,
            weights_of_parts(record.weights_parts, weights),
            batch_size=batch_size,
            engine=engine,
        )
    return FeatureExtractor.from_space(
        record.feature_space,
        weights=weights or record.weights_source,
        batch_size=batch_size,
        seed=record.weights_seed,
        engine=engine,
    )


def _joined_extractor(
    space: FeatureSpace,
    weights: Sequence[WeightsOrigin],
    *,
    batch_size: int,
    engine: str | None,
) -> FeatureExtractor:
    """The extractor of a joined space: images are made once, and each backbone is there once.

    Args:
        space: The joined space.
        weights: The weights of each of its parts.
        batch_size: Images encoded at a time.
        engine: Name of the part; None for that of each space.

    Raises:
        ConfigError, WeightsError: See `FeatureExtractor.from_space`.
    """
    reader = ClipReader(stream=space.stream, frames=space.frames, frame_size=space.frame_size)
    by_backbone: dict[tuple[str, ...], FeatureExtractor] = {}
    # Of each part, in order: its backbone, and the channels that it sees.
    steps: list[tuple[tuple[str, ...], int]] = []
    for part, origin, key in zip(space.parts, weights, _keys_of(space), strict=True):
        if key not in by_backbone:
            by_backbone[key] = FeatureExtractor.from_space(
                part, weights=origin.source, batch_size=batch_size, seed=origin.seed, engine=engine
            )
        steps += [(key, 3 * space.images.index(stream)) for stream in part.images]

    def encode(images: np.ndarray) -> np.ndarray:
        """float32 (B, D) of uint8 (B, S, S, 3 L)."""
        features = {
            (key, first): by_backbone[key].encode_batch(
                np.ascontiguousarray(images[..., first : first + 3])
            )
            for key, first in dict.fromkeys(steps)
        }
        return np.concatenate([features[step] for step in steps], axis=-1)

    used = FeatureSpace.joined(
        [
            replace(part, engine=extractor.space.engine, precision=extractor.space.precision)
            for part, extractor in zip(
                space.parts, map(by_backbone.get, _keys_of(space)), strict=True
            )
        ]
    )
    pads = any(extractor.pads for extractor in by_backbone.values())
    return FeatureExtractor(used, reader, encode, batch_size=batch_size, pads=pads)


def _keys_of(space: FeatureSpace) -> Iterator[tuple[str, ...]]:
    """A key of each part of a joined space; parts with one key share their backbone."""
    for part in space.parts:
        yield part.backbone, part.weights_digest, part.engine, part.precision


def weights_of_parts(
    recorded: Sequence[WeightsOrigin], folder: str | None
) -> Sequence[WeightsOrigin]:
    """The weights of each part; files are looked up by their names in `folder`, if it is given.

    Raises:
        WeightsError: If it is no folder.
    """
    if folder is None:
        return recorded
    if not Path(folder).is_dir():
        names = ", ".join(sorted({Path(origin.source).name for origin in recorded}))
        raise WeightsError(
            f"--weights of an ensemble must be the folder of its weights files ({names}). "
            f"Received: {folder}"
        )
    return [
        origin
        if origin.source in ("imagenet", "random")
        else replace(origin, source=str(Path(folder, Path(origin.source).name)))
        for origin in recorded
    ]
