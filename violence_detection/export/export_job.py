"""The run that is exported, and the validation videos that the file is checked on."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from violence_detection import registry
from violence_detection.datasets.summaries import summary_cache
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    WeightsError,
)
from violence_detection.evaluation import evaluation_set
from violence_detection.export import check_windows
from violence_detection.export.check_windows import CheckVideo, StreamSpec
from violence_detection.export.conversion import ConversionRequest, Interface
from violence_detection.export.graphs.end_to_end_graph import (
    LARGEST_SIDE,
    FrameInput,
    frame_count,
    needs_all_frames,
    needs_neighbours,
)
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.checking import frame_formats
from violence_detection.features.checking.frame_formats import FrameFormat
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.features.run_extractor import weights_of_parts
from violence_detection.models.run import Run
from violence_detection.models.run_record import RunRecord
from violence_detection.system.processes import MEMORY_LIMIT_BYTES, ProcessPool
from violence_detection.video.stream_set import StreamSet
from violence_detection.video.video_file import VideoPart

_SPLIT = "validation"
_TIMEOUT_S = 600.0
READER_BYTES = 4 * MEMORY_LIMIT_BYTES  # of a process that keeps every frame of a window

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ModelDescription:
    """The content of model.json: what a programmer needs to use the file.

    Attributes:
        interface: Inputs and outputs of the file.
        classes: Names, the normal one first.
        normal_class: The first of them.
        threshold: A clip is violent if its probability reaches it.
        class_thresholds: Thresholds of single classes by name, which the file does not apply.
        window_s: Length of a clip in seconds.
        frames: The frames that an end-to-end model takes; None for a classifier.
        frames_from: The source of their size and rate, in words.
        feature_space: The feature space of a classifier; None for an end-to-end model.
    """

    interface: Interface
    classes: list[str]
    normal_class: str
    threshold: float
    window_s: float
    frames: FrameInput | None
    frames_from: str
    feature_space: FeatureSpace | None
    class_thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of model.json."""
        described: dict[str, Any] = {
            **dataclasses.asdict(self.interface),
            "classes": self.classes,
            "normal_class": self.normal_class,
            "threshold": self.threshold,
            "window_s": self.window_s,
            **({"class_thresholds": dict(own)} if (own := self.class_thresholds) else {}),
        }
        if self.frames is None:
            return described | {"feature_space": self.feature_space.as_dict()}
        is_any = self.frames.frames is None
        return described | {
            "frames": {
                "channels": "RGB",
                "range": [0, 255],
                "count": self.frames.frames,
                "height": self.frames.height,
                "width": self.frames.width,
                "fps": self.frames.fps,
                "largest_side": self.frames.largest if is_any else None,
                "from": self.frames_from,
                "sampling": self.frames.description(),
            }
        }


@dataclass(frozen=True)
class ExportJob:
    """A run, the file that is made of it, and the validation videos.

    Attributes:
        run: That is exported.
        record: The record of the run.
        request: What the converter needs.
        entries: Manifest rows of the videos.
        cached: Their features as the cache has them, and their labels.
        parts: Their files; None for a classifier, which is checked on cached features.
        frames_from: The source of the frames' size and rate, in words.
    """

    run: Run
    record: RunRecord
    request: ConversionRequest
    entries: list[ManifestEntry]
    cached: dataset.FeatureDataset
    parts: list[VideoPart] | None
    frames_from: str

    @classmethod
    def open(
        cls,
        run_dir: str,
        *,
        format: str,
        precision: str,
        end_to_end: bool,
        clips: int,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        features: str | None = None,
        videos: str | None = None,
        weights: str | None = None,
        prune: float = 0.0,
        cluster: int | None = None,
    ) -> "ExportJob":
        """Opens the run, its features and its videos, and checks them before anything is computed.

        Args:
            run_dir: The folder of the run.
            format, precision: Format and precision of the file.
            end_to_end: The file takes frames, not features.
            clips: Largest number of validation videos.
            size, fps: Height and width, and rate, of a file that takes frames of one size and rate.
                If neither is given, the file takes any, or else the most common ones of the run's
                training videos.
            features: Folder of the features; None for the run's own.
            videos: Folder of the videos; None for that of the extraction.
            weights: Weights of the backbone; None for the run's own.
            prune, cluster: See `weight_compression.compress`.

        Raises:
            RunError, CacheError, WeightsError: If run, features or weights cannot be used.
            ConfigError: If the format is not installed, or does not have the precision.
            DatasetError: If an end-to-end model would have no videos to be checked on.
        """
        run = Run.open(run_dir)
        record = run.record()
        part = _check_format(format, precision)
        cache = evaluation_set.open_features(run, features)
        entries = evaluation_set.split_entries(run, cache, _SPLIT)
        parts, frame_input, frames_from = None, None, ""
        if end_to_end:
            weights = weights or record.weights_source
            if record.feature_space.parts:
                folder = None if weights == record.weights_source else weights
                origins = weights_of_parts(record.weights_parts, folder)
                for space, origin in zip(record.feature_space.parts, origins, strict=True):
                    _check_weights(space, origin.source)
            else:
                _check_weights(record.feature_space, weights)
            folder = Path(videos or cache.video_dir)
            parts = _find_videos(entries, folder)
            frame_input, frames_from = _choose_frame_input(
                record,
                _TrainingVideos(run, cache, folder, fallback=entries),
                any_size=part.ANY_SIZE,
                size=size,
                fps=fps,
            )
        entries = _evenly(entries, clips)
        request = ConversionRequest(
            run_dir=run.dir,
            format=format,
            precision=precision,
            frame_input=frame_input,
            weights=weights if end_to_end else None,
            prune=prune,
            cluster=cluster,
        )
        return cls(
            run=run,
            record=record,
            request=request,
            entries=entries,
            cached=dataset.read_dataset(cache, entries, record.classes),
            parts=_evenly(parts, clips) if parts else None,
            frames_from=frames_from,
        )

    @property
    def format(self) -> ModuleType:
        return registry.module("formats", self.request.format)

    def read_video(self, number: int, call: ProcessPool, folder: Path) -> CheckVideo:
        """Reads the windows of one of the videos.

        Args:
            number: The number of its row.
            call: Where it is decoded.
            folder: For the frames.

        Raises:
            VideoError: If it cannot be decoded.
        """
        space = self.record.feature_space
        read = functools.partial(
            check_windows.read_windows,
            window_s=self.record.window_s,
            frame_input=self.request.frame_input,
            spec=StreamSpec(space.stream, space.frames, space.frame_size),
            folder=folder,
            name=str(number),
        )
        return call(read, self.parts[number], timeout_s=_TIMEOUT_S)

    def describe_model(self, interface: Interface) -> ModelDescription:
        """The description of the file.

        Args:
            interface: Inputs and outputs of the file.
        """
        record, frames = self.record, self.request.frame_input
        return ModelDescription(
            interface=interface,
            classes=record.classes,
            normal_class=record.normal_class,
            threshold=record.threshold,
            window_s=record.window_s,
            frames=frames,
            frames_from=self.frames_from,
            feature_space=record.feature_space if frames is None else None,
            class_thresholds=record.class_thresholds,
        )


def _evenly(items: list[_Item], limit: int) -> list[_Item]:
    """At most `limit` items, evenly spaced over all."""
    return items[:: -(-len(items) // limit)]


def _check_format(format_name: str, precision: str) -> ModuleType:
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
    return part


def _check_weights(space: FeatureSpace, weights: str) -> None:
    """Raises an error for weights that do not exist, and need a file."""
    space.check_computable()
    if weights not in ("imagenet", "random") and not Path(weights).is_file():
        raise WeightsError(
            f"The backbone's weights must exist; --weights names their file. Received: {weights} "
            "(no such file)"
        )


def _find_videos(entries: list[ManifestEntry], folder: Path) -> list[VideoPart]:
    """The files of videos below a folder, which must be those of the manifest."""
    unchanged, reason = summary_cache.unchanged_videos(entries, folder)
    if reason:
        raise DatasetError(
            "The validation videos must exist, to check the file on them; --dataset-path names "
            f"their folder. Received: {reason}"
        )
    return [VideoPart(folder / video.path, video.start_s, video.end_s) for video in unchanged]


@dataclass(frozen=True)
class _TrainingVideos:
    """The training videos of a run, whose size and rate a file of one size takes.

    Attributes:
        run, cache: The run, and features of its space.
        folder: The folder of the videos.
        fallback: Manifest rows of videos that exist, for the case that the training videos do not.
    """

    run: Run
    cache: FeatureCache
    folder: Path
    fallback: list[ManifestEntry]

    def measure(self, recorded: FrameFormat | None) -> tuple[FrameFormat, str]:
        """Size and rate, and in words which videos they are of.

        Args:
            recorded: Those that training has recorded; None to measure them now.

        Raises:
            DatasetError: If no video can be read.
        """
        if recorded:
            return recorded, f"{recorded.measured} of {recorded.videos} training videos"
        try:
            training = evaluation_set.split_entries(self.run, self.cache, "train")
        except CacheError:  # another dataset, that has a validation split alone
            training = []
        name = "training videos"
        measured = frame_formats.measure_format(training, self.folder)
        if measured is None:
            name = "validation videos (the training videos are gone)"
            measured = frame_formats.measure_format(self.fallback, self.folder)
        if measured is None:
            raise DatasetError(f"At least one video must be readable. Received: {self.folder}")
        return measured, f"{measured.measured} of {measured.videos} {name}"


def _choose_frame_input(
    record: RunRecord,
    training: _TrainingVideos,
    *,
    any_size: bool,
    size: tuple[int, int] | None,
    fps: float | None,
) -> tuple[FrameInput, str]:
    """Chooses the frames that an end-to-end model takes, and says in words from what.

    Args:
        record: The record of the run.
        training: The videos that the run was trained on.
        any_size: True if the format can take frames of any size and rate.
        size: Height and width that were asked for.
        fps: Frames per second that were asked for.
    """
    space = record.feature_space
    streams = StreamSet(space.stream, frame_size=space.frame_size)
    texts = ["as asked for"] if size or fps else []
    height, width = size or (0, 0)
    if size is None or fps is None:
        measured, source = training.measure(record.frame_format)
        texts.append(f"the most common of {source}")
        if any_size and size is None and fps is None:
            return FrameInput(
                sampled=space.frames,
                largest=max(LARGEST_SIDE, measured.longest_side),
                takes_fps=needs_neighbours(streams),
            ), "any size and rate"
        height, width = size or (measured.height, measured.width)
        fps = fps or measured.fps
    count = frame_count(record.window_s, fps) if needs_all_frames(streams) else space.frames
    frame_input = FrameInput(
        sampled=space.frames, frames=count, height=height, width=width, fps=fps
    )
    return frame_input, "; else ".join(texts)
