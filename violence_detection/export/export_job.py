"""The run that is exported, and the validation clips that the file is checked on."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from violence_detection import registry
from violence_detection.datasets import summary_cache
from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import (
    ConfigError,
    DatasetError,
    VideoError,
    ViolenceDetectionError,
    WeightsError,
)
from violence_detection.evaluation import evaluation_set
from violence_detection.export import check_clips
from violence_detection.export.check_clips import CheckClip, VideoPart
from violence_detection.export.config import ExportConfig
from violence_detection.export.conversion import ConversionRequest
from violence_detection.export.end_to_end_graph import FrameInput
from violence_detection.features import dataset
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.models.run import Run, RunRecord
from violence_detection.system.processes import MEMORY_LIMIT_BYTES, ProcessPool
from violence_detection.video.clip_reader import ClipReader

_SPLIT = "validation"
_TIMEOUT_S = 600.0
_MEASURED_VIDEOS = 64  # that the most common frame size is taken from
_READER_BYTES = 4 * MEMORY_LIMIT_BYTES  # of a process that keeps every frame of a clip

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ExportJob:
    """A run, the settings of its export, and the validation videos.

    Attributes:
        run: That is exported.
        record: Of the run.
        config: The settings.
        entries: Manifest rows of the videos.
        cached: Their features as the cache has them, and their labels.
        parts: Their files; None if only cached features are available.
        frame_input: The frames that an end-to-end model takes; None for a classifier.
        source: `frames`, or `cached: ` and the reason why cached features are used.
    """

    run: Run
    record: RunRecord
    config: ExportConfig
    entries: list[ManifestEntry]
    cached: dataset.FeatureDataset
    parts: list[VideoPart] | None
    frame_input: FrameInput | None
    source: str

    @classmethod
    def from_config(cls, run_dir: str, config: ExportConfig) -> "ExportJob":
        """Opens the run, its features and its videos, and checks them before anything is computed.

        Raises:
            RunError, CacheError, WeightsError: If run, features or weights cannot be used.
            ConfigError: If the format is not installed, or does not have the precision.
            DatasetError: If an end-to-end model would have no videos to be checked on.
        """
        run = Run.open(run_dir)
        record = run.record()
        _check_format(config.format, config.precision)
        cache = evaluation_set.open_features(run, config.features)
        entries = evaluation_set.split_entries(run, cache, _SPLIT)
        weights = config.weights or record.weights_source
        parts, missing = None, _check_weights(record.feature_space, weights)
        if not missing:
            parts, missing = _find_videos(entries, Path(config.videos or cache.video_dir))
        frame_input = None
        if config.scope == "end-to-end":
            if missing:
                raise missing
            size = (config.height, config.width) if config.height else None
            frame_input = _choose_frame_input(record, entries, parts, size=size, fps=config.fps)
        entries = _evenly(entries, config.clips)
        return cls(
            run=run,
            record=record,
            config=config,
            entries=entries,
            cached=dataset.read_dataset(cache, entries, record.classes),
            parts=_evenly(parts, config.clips) if parts else None,
            frame_input=frame_input,
            source=f"cached: {missing}" if missing else "frames",
        )

    @property
    def format(self) -> ModuleType:
        return registry.module("formats", self.config.format)

    def request(self) -> ConversionRequest:
        """The part of the job that the converter needs."""
        weights = self.config.weights or self.record.weights_source
        return ConversionRequest(
            run_dir=self.run.dir,
            format=self.config.format,
            precision=self.config.precision,
            frame_input=self.frame_input,
            weights=weights if self.parts else None,
            prune=self.config.prune,
            cluster=self.config.cluster,
        )

    def read_clip(self, number: int) -> CheckClip:
        """Reads one of the clips.

        Args:
            number: Of the row.

        Raises:
            VideoError: If it cannot be decoded.
        """
        if self.parts is None:
            return CheckClip(features=np.float32(self.cached.features[number : number + 1]))
        part, space = self.parts[number], self.record.feature_space
        with ProcessPool(_READER_BYTES) as call:
            if self.frame_input:
                shape = self.frame_input.shape[:3]
                frames = call(check_clips.read_frames, *part, shape, timeout_s=_TIMEOUT_S)
                return CheckClip(frames=frames)
            reader = ClipReader(
                stream=space.stream, frames=space.frames, frame_size=space.frame_size
            )
            return CheckClip(images=call(reader.read, *part, timeout_s=_TIMEOUT_S).images)

    def describe_model(self, interface: dict[str, Any]) -> dict[str, Any]:
        """The content of model.json: what a programmer needs to use the file.

        Args:
            interface: `inputs` and `outputs` of the file.
        """
        record = self.record
        description: dict[str, Any] = {
            **interface,
            "classes": record.classes,
            "normal_class": record.normal_class,
            "threshold": record.threshold,
            "window_s": record.window_s,
        }
        if self.frame_input is None:
            return description | {"feature_space": dataclasses.asdict(record.feature_space)}
        return description | {
            "frames": {
                "channels": "RGB",
                "range": [0, 255],
                "count": self.frame_input.frames,
                "height": self.frame_input.height,
                "width": self.frame_input.width,
                "fps": self.frame_input.fps,
                "sampling": self.frame_input.description(),
            }
        }


def _evenly(items: list[_Item], limit: int) -> list[_Item]:
    """At most `limit` items, evenly spaced over all."""
    return items[:: -(-len(items) // limit)]


def _check_format(format_name: str, precision: str) -> None:
    part = registry.module("formats", format_name)
    if missing := part.missing():
        raise ConfigError(
            f"--format {format_name} must have {missing}. Received: it is not installed"
        )
    if precision not in part.TOLERANCES:
        raise ConfigError(
            f"`precision` of {format_name} must be {' or '.join(part.TOLERANCES)}; "
            f"--format tflite has {precision}. Received: {precision}"
        )


def _check_weights(space: FeatureSpace, weights: str) -> WeightsError | None:
    """The error of weights that do not exist; None if they do, or need no file."""
    try:
        space.check_computable()
    except WeightsError as error:
        return error
    if weights in ("imagenet", "random") or Path(weights).is_file():
        return None
    return WeightsError(
        f"The backbone's weights must exist; --weights names their file. Received: {weights} "
        "(no such file)"
    )


def _find_videos(
    entries: list[ManifestEntry], folder: Path
) -> tuple[list[VideoPart] | None, ViolenceDetectionError | None]:
    """The files of videos below a folder, or the error if they are not those of the manifest."""
    unchanged, reason = summary_cache.unchanged_videos(entries, folder)
    if reason:
        return None, DatasetError(
            "The validation videos must exist, to check the file on them; --videos names their "
            f"folder. Received: {reason}"
        )
    return [VideoPart(folder / entry.path, entry.start_s, entry.end_s) for entry in unchanged], None


def _choose_frame_input(
    record: RunRecord,
    entries: list[ManifestEntry],
    parts: list[VideoPart],
    *,
    size: tuple[int, int] | None,
    fps: float | None,
) -> FrameInput:
    """Chooses the frames that an end-to-end model takes.

    Args:
        record: Of the run.
        entries, parts: Of the validation videos.
        size: Height and width; None for the videos' most common ones.
        fps: Frames per second; None for the videos' most common rate.
    """
    space = record.feature_space
    if size is None:
        sizes = _read_frame_sizes(_evenly(parts, _MEASURED_VIDEOS))
        size = check_clips.most_common_size(sizes)
    reader = ClipReader(stream=space.stream, frames=space.frames, frame_size=space.frame_size)
    return check_clips.choose_frame_input(
        reader.stream_set,
        [entry.fps for entry in entries],
        count=space.frames,
        size=size,
        window_s=record.window_s,
        fps=fps,
    )


def _read_frame_sizes(parts: list[VideoPart]) -> list[tuple[int, int]]:
    """Height and width of the readable videos."""
    sizes = []
    with ProcessPool() as call:
        for part in parts:
            try:
                sizes.append(call(check_clips.read_frame_size, part.path, timeout_s=_TIMEOUT_S))
            except VideoError:
                continue
    if not sizes:
        raise DatasetError(
            f"At least one validation video must be readable. Received: {parts[0].path}"
        )
    return sizes
