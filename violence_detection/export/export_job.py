"""What is exported, and the real clips that it is checked on."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from violence_detection import registry
from violence_detection.datasets import summary_cache
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import (
    ConfigError,
    DatasetError,
    VideoError,
    WeightsError,
)
from violence_detection.evaluation import evaluation_set
from violence_detection.export import check_clips, conversion
from violence_detection.export.check_clips import VideoPart
from violence_detection.export.config import ExportConfig
from violence_detection.export.conversion import ConversionRequest
from violence_detection.export.end_to_end_graph import FrameInput
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.run import Run
from violence_detection.system.processes import MEMORY_LIMIT_BYTES, DedicatedProcess, ProcessPool
from violence_detection.video.clip_reader import ClipReader

_SPLIT = "validation"
_TIMEOUT_S = 600.0
_MEASURED = 64  # videos that the usual size is taken from
_CHILD_BYTES = 4 * MEMORY_LIMIT_BYTES  # it holds every frame of a clip


class Clip(NamedTuple):
    """A clip as the exported model is given it.

    Attributes:
        inputs: uint8 (1, F, H, W, 3) RGB, or float32 features (1, T, D).
        features: Float32 features of the same frames, (1, T, D).
        pictures: What the features are of, uint8 (T, K, S, S, 3); None of cached ones.
    """

    inputs: np.ndarray
    features: np.ndarray
    pictures: np.ndarray | None


@dataclass(frozen=True)
class ExportJob:
    """A run, how it is exported, and the validation videos.

    Attributes:
        entries: Rows of the videos.
        cached: Their features as the cache has them, and their labels.
        places: Their files; None where cached features are all that there is.
        given: The frames that an end-to-end model takes; None for a classifier.
        source: `frames`, or why the features are the cached ones.
    """

    run: Run
    config: ExportConfig
    entries: list[ManifestEntry]
    cached: dataset.FeatureDataset
    places: list[VideoPart] | None
    given: FrameInput | None
    source: str

    @classmethod
    def of(cls, run_dir: str, config: ExportConfig) -> "ExportJob":
        """Everything that can be known before anything is computed.

        Raises:
            RunError, CacheError, WeightsError: If run, features or weights cannot be used.
            ConfigError: If the format is not here, or not in that precision.
            DatasetError: If an end-to-end model would have no videos to be checked on.
        """
        run = Run.open(run_dir)
        _check_format(config)
        cache = evaluation_set.open_features(run, config.features)
        entries = evaluation_set.split_entries(run, cache, _SPLIT)
        places, source = _places(run, cache, entries, config)
        given = None
        if places and config.scope == "end-to-end":
            given = _given(run, entries, places, config)
        entries, places = (
            _some(entries, config.clips),
            places and _some(places, config.clips),
        )
        cached = dataset.read_dataset(cache, entries, run.record().classes)
        return cls(run, config, entries, cached, places, given, source)

    @property
    def format(self) -> ModuleType:
        return registry.module("formats", self.config.format)

    @property
    def space(self) -> FeatureSpace:
        return self.run.record().feature_space

    def request(self) -> ConversionRequest:
        """What the process that converts must know."""
        return ConversionRequest(
            run_dir=self.run.dir,
            format=self.config.format,
            precision=self.config.precision,
            given=self.given,
            weights=_weights(self.run, self.config) if self.places else None,
            prune=self.config.prune,
            cluster=self.config.cluster,
        )

    def clip(self, number: int, home: DedicatedProcess) -> Clip:
        """One of the clips.

        Args:
            number: Of the row.
            home: The process that converts; it computes the features.

        Raises:
            VideoError: If it cannot be decoded.
        """
        if self.places is None:
            features = np.float32(self.cached.features[number : number + 1])
            return Clip(features, features, None)
        place, space = self.places[number], self.space
        with ProcessPool(_CHILD_BYTES) as call:
            if self.given:
                shape = self.given.shape[:3]
                frames = call(check_clips.read_frames, *place, shape, timeout_s=_TIMEOUT_S)
                pictures = home(conversion.pictures_of, frames, self.given)
            else:
                reader = ClipReader(
                    stream=space.stream,
                    frames=space.frames,
                    frame_size=space.frame_size,
                )
                pictures = call(reader.read, *place, timeout_s=_TIMEOUT_S).pictures
        features = home(conversion.features_of, pictures)[None]
        return Clip(frames[None] if self.given else features, features, pictures)

    def described(self, interface: dict[str, Any]) -> dict[str, Any]:
        """What a programmer must know of the file, for JSON.

        Args:
            interface: Names, shapes and types of what goes in and comes out.
        """
        record = self.run.record()
        about: dict[str, Any] = {
            **interface,
            "classes": record.classes,
            "normal_class": record.normal_class,
            "threshold": record.threshold,
            "window_s": record.window_s,
        }
        if self.given is None:
            return about | {"feature_space": dataclasses.asdict(record.feature_space)}
        return about | {
            "frames": {
                "channels": "RGB",
                "range": [0, 255],
                "count": self.given.frames,
                "height": self.given.height,
                "width": self.given.width,
                "fps": self.given.fps,
                "sampling": self.given.told(),
            }
        }


def _some(items: list[Any], most: int) -> list[Any]:
    """At most so many, evenly over all of them."""
    return items[:: -(-len(items) // most)]


def _check_format(config: ExportConfig) -> None:
    part = registry.module("formats", config.format)
    if lacking := part.missing():
        raise ConfigError(
            f"--format {config.format} must have {lacking}. Received: it is not installed"
        )
    if config.precision not in part.TOLERANCES:
        raise ConfigError(
            f"`precision` of {config.format} must be {' or '.join(part.TOLERANCES)}; "
            f"--format tflite has {config.precision}. Received: {config.precision}"
        )


def _weights(run: Run, config: ExportConfig) -> str:
    return config.weights or run.record().weights_source


def _places(
    run: Run, cache: FeatureCache, entries: list[ManifestEntry], config: ExportConfig
) -> tuple[list[VideoPart] | None, str]:
    """The files of the videos; or None, and why the cached features must do."""
    weights = _weights(run, config)
    lacking: Exception | None = None
    places = None
    if weights not in ("imagenet", "random") and not Path(weights).is_file():
        lacking = WeightsError(
            f"The backbone's weights must be there; --weights says where. Received: {weights} "
            "(not there)"
        )
    else:
        root = Path(config.videos or cache.video_dir)
        there, reason = summary_cache.unchanged_videos(entries, root)
        if reason:
            lacking = DatasetError(
                "The validation videos must be there, to check the file on them; --videos says "
                f"where. Received: {reason}"
            )
        else:
            places = [(root / one.path, one.start_s, one.end_s) for one in there]
    if lacking and config.scope == "end-to-end":
        raise lacking
    return places, f"cached: {lacking}" if lacking else "frames"


def _given(
    run: Run, entries: list[ManifestEntry], places: list[VideoPart], config: ExportConfig
) -> FrameInput:
    space = run.record().feature_space
    size = (config.height, config.width)
    if not config.height:
        size = check_clips.most_common_size(_sizes(_some(places, _MEASURED)))
    reader = ClipReader(stream=space.stream, frames=space.frames, frame_size=space.frame_size)
    return check_clips.choose_frame_input(
        reader.make,
        entries,
        pictures=space.frames,
        size=size,
        window_s=run.record().window_s,
        fps=config.fps,
    )


def _sizes(places: list[VideoPart]) -> list[tuple[int, int]]:
    """Height and width of those that can be read."""
    sizes = []
    with ProcessPool() as call:
        for path, *_ in places:
            try:
                sizes.append(call(check_clips.read_frame_size, path, timeout_s=_TIMEOUT_S))
            except VideoError:
                continue
    if not sizes:
        raise DatasetError(
            f"At least one validation video must be readable. Received: {places[0][0]}"
        )
    return sizes
