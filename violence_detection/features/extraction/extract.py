"""Stage one: extracts the features of a folder of videos into a cache, each video once."""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from violence_detection import registry
from violence_detection.datasets import training_readiness, video_folder
from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.datasets.splitting import splits
from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Video, contradictions
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    ViolenceDetectionError,
)
from violence_detection.features.cache import FeatureCache, dataset_name
from violence_detection.features.checking.folder_findings import describe_long_videos
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction import ray_executor, shards
from violence_detection.features.extraction.extraction_job import ExtractionJob
from violence_detection.features.extraction.extraction_record import ExtractionRecord, WeightsOrigin
from violence_detection.features.extraction.extraction_result import (
    ExtractionPlan,
    ExtractionResult,
)
from violence_detection.features.extraction.shards import Shard
from violence_detection.features.extraction.video_worker import (
    DecodingSettings,
    VideoResult,
    VideoWorker,
)
from violence_detection.features.extractor import ExtractorSettings, FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import devices, files, processes, provenance
from violence_detection.units import counted
from violence_detection.video import video_file
from violence_detection.video.views import check_kinds

log = logging.getLogger(__name__)


def extract_features(
    video_dir: Path,
    config: ExtractConfig,
    *,
    force: bool = False,
    normal_class: str | None = None,
) -> ExtractionResult:
    """Extracts the missing and changed videos of a folder; see `ExtractionStage`."""
    return ExtractionStage(video_dir, config, force=force, normal_class=normal_class).run()


class ExtractionStage:
    """The extraction of a folder of videos, or of a shard of it, into a cache.

    Raises, from each method:
        ConfigError: If the folder or a setting is invalid.
        DatasetError: If no video is usable, or too many videos of a class cannot be read.
        WeightsError: If the backbone's weights cannot be loaded.
        ViolenceDetectionError: If the cache cannot be written.
    """

    def __init__(
        self,
        video_dir: Path,
        config: ExtractConfig,
        *,
        force: bool = False,
        normal_class: str | None = None,
    ) -> None:
        """
        Args:
            video_dir: The folder.
            config: The settings.
            force: Extract all videos again.
            normal_class: The normal class of the training that follows, if it is given by name.
        """
        self._video_dir, self._config, self._force = video_dir, config, force
        self._normal_class = normal_class
        self._dataset_dir = Path(config.cache_dir) / dataset_name(video_dir, config.dataset_name)
        self._split_store = SplitStore(self._dataset_dir)
        self._shard = Shard.parse(config.shard) if config.shard else None
        self._view_kinds: tuple[str, ...] = ()

    def prepare(self) -> ExtractionPlan:
        """Reads the folder and the cache and counts the work; writes and downloads nothing."""
        self._read_folder()
        self._open_cache(FeatureExtractor.for_dry_run)
        if self._config.executor == "ray":
            ray_executor.check_cluster(self._config.address)
        job = self._new_job()
        failed = len(job.failures)
        root = self._folder.root
        absent = [video.path for video in job.todo if not video_file.exists(root / video.path)]
        if absent:
            log.warning(f"Missing: {counted(len(absent), 'video')}, e.g. {absent[0]}.")
        return ExtractionPlan(
            features=self._cache.dir if self._space.weights_digest else None,
            weights_to_download=not self._extractor.space.weights_digest,
            videos=len(self._part.videos),
            to_extract=len(job.todo) - len(absent),
            not_there=len(absent),
            reused=len(job.entries) + len(job.moved) - failed,
            failed=failed,
        )

    def kept_split(self) -> dict[str, str]:
        """The split of each video by key, as earlier extractions drew it and this one keeps it."""
        return {} if self._config.redraw_splits else self._split_store.split_by_key()

    def run(self) -> ExtractionResult:
        """Extracts the missing and changed videos and, without `--shard`, assigns the splits."""
        self._read_folder()
        self._open_cache(FeatureExtractor.for_machine)
        files.ensure_writable(self._dataset_dir)
        return self._extract_all() if self._shard is None else self._extract_shard(self._shard)

    # -- the videos and the cache

    def _read_folder(self) -> None:
        """Reads the videos, with label, recording and given split, and checks the split."""
        config = self._config
        self._folder = self._part = read_videos(
            self._video_dir,
            config.group_pattern,
            clip_s=config.clip_s,
            frames_fps=config.frames_fps,
        )
        if self._shard:
            own = [video for video in self._folder.videos if self._shard.contains(video.key)]
            self._part = dataclasses.replace(self._folder, videos=tuple(own))
            log.info(f"Shard {self._shard} has {counted(len(own), 'video')}.")
        split = config.split
        self._split_store.check_settings(
            self._video_dir,
            asked={name: value for name, value in split.as_dict().items() if name in split.given},
            redraw=config.redraw_splits,
            force=self._force,
        )
        self._warn_of_obstacles()

    def _warn_of_obstacles(self) -> None:
        """Warns of what a training would refuse, before hours of extraction."""
        for text in training_readiness.obstacles(
            self._folder.videos,
            self._config.split,
            kept=self.kept_split(),
            normal_class=self._normal_class,
        ):
            log.warning(f"`train` will refuse these videos: {text}")

    def _open_cache(self, make_extractor: Callable[[ExtractorSettings], FeatureExtractor]) -> None:
        """Builds the extractor: the backbone, with its weights, names the folder of the cache."""
        devices.import_tensorflow()
        self._extractor = make_extractor(extractor_settings(self._config))
        self._space = self._extractor.space
        lacks_weights = not self._space.weights_digest
        if lacks_weights:
            self._space = _imagenet_space(self._dataset_dir, self._space) or self._space
        self._cache = FeatureCache(
            self._dataset_dir / self._space.name, journal=str(self._shard or "")
        )
        if lacks_weights:
            log.warning(
                f"The ImageNet weights of {self._config.backbone} are not in the cache of Keras, "
                "and would be downloaded first."
            )
        if self._space.weights_digest:
            log.info(f"Features go to {self._cache.dir}")
        else:
            log.warning(
                f"Features go to a folder in {self._dataset_dir.resolve()}; its name depends on "
                "the weights, and is not known without them."
            )

    def _new_job(self) -> ExtractionJob:
        config = self._config
        self._check_view_kinds()
        job = ExtractionJob(
            self._part,
            self._cache,
            self._space,
            views=config.views,
            max_failures=config.max_failures,
            verify=config.verify,
            retry_failed=config.retry_failed,
            whole=self._folder,
        )
        job.find_finished(self._cache.latest_entries(), again=self._force)
        finished = len(job.entries) + len(job.moved)
        log.info(f"{counted(len(job.todo), 'video')} to extract, {finished} in the cache")
        if job.moved:
            log.info(f"Recognised under another name: {counted(len(job.moved), 'video')}.")
        return job

    def _check_view_kinds(self) -> None:
        """Checks that all further views of the cache are of the same kinds.

        Raises:
            ConfigError: If there are views of other kinds.
        """
        config, kept = self._config, ()
        if self._cache.extraction_path.is_file():
            kept = self._cache.record().view_kinds
        asked = registry.split_list(config.view_kinds) if config.view_kinds else []
        self._view_kinds = check_kinds(asked) if config.views else kept
        has_views = any(len(entry.digests) > 1 for entry in self._cache.latest_entries().values())
        if has_views and self._view_kinds != kept and not self._force:
            raise ConfigError(
                "`view_kinds` must be those of the views in the cache, or come with --force, which "
                f"extracts all videos again. Received: {config.view_kinds or 'none'}, and in the "
                f"cache {', '.join(kept) or 'none'}"
            )

    # -- the work

    def _extract_all(self) -> ExtractionResult:
        with shards.locked_folder(self._cache.dir):
            files.sweep_temporary(self._cache.dir)
            job = self._new_job()
            self._run_job(job)
            self._finish(job)
        return job.result()

    def _extract_shard(self, shard: Shard) -> ExtractionResult:
        """Extracts one shard, and completes the cache if it was the last."""
        with shards.locked_shard(self._cache.dir, shard):
            job = self._new_job()
            self._run_job(job)
        with shards.locked_for_merge(self._cache.dir) as busy:
            whole = ExtractionJob(
                self._folder,
                self._cache,
                self._space,
                views=self._config.views,
                max_failures=self._config.max_failures,
            )
            whole.find_finished(self._cache.latest_entries())
            lacking = len(whole.todo) + len(whole.moved)
            if not lacking:
                try:
                    whole.check_failures()
                    self._finish(whole, busy)
                except DatasetError as error:
                    self._write_record(complete=False, stopped=str(error))
                    raise
                if not busy:
                    files.sweep_temporary(self._cache.dir)
                return job.result()
            whole.write_manifest(self._split_store.split_by_key(), busy)
            stopped = f"{counted(lacking, 'video')} of other shards than {shard} are not done"
            self._write_record(complete=False, stopped=stopped)
            log.info(f"The features are not complete yet: {stopped}.")
        return job.result(complete=False)

    def _run_job(self, job: ExtractionJob) -> None:
        """Runs a job; whatever ends it, the videos that are done stay in the manifest."""
        if job.todo or job.moved:
            self._write_record(complete=False, stopped="interrupted")
        try:
            job.run(self._extract_videos)
            if self._shard is None:
                job.check_any_usable()
        except BaseException as error:
            with contextlib.suppress(ViolenceDetectionError):
                if self._shard is None:
                    job.write_manifest(self._split_store.split_by_key())
                if job.todo and isinstance(error, ViolenceDetectionError):
                    self._write_record(complete=False, stopped=str(error))
            raise

    def _extract_videos(
        self, videos: Sequence[Video], on_result: Callable[[VideoResult], None]
    ) -> None:
        """Extracts videos on this machine, or on a Ray cluster."""
        root, config = self._folder.root, self._config
        decoding = DecodingSettings(
            config.workers, config.video_timeout_s, config.views, self._view_kinds
        )
        if config.executor == "ray":
            ray_executor.extract_on_cluster(
                videos,
                on_result,
                task=ray_executor.ExtractionTask(
                    root, self._cache.dir, self._space, extractor_settings(config), decoding
                ),
                address=config.address,
                size=config.machines,
            )
            return
        try:
            worker = VideoWorker(root, self._cache, self._extractor, decoding)
            worker.extract(videos, on_result)
        finally:
            processes.end_idle_processes()

    def _finish(self, job: ExtractionJob, busy: Collection[str] = ()) -> None:
        """Assigns the splits, and marks the cache as complete."""
        job.check_any_usable()
        config = self._config
        assigned = self._split_store.update(
            self._folder,
            job.entries,
            **config.split.as_dict(),
            redraw=config.redraw_splits,
        )
        job.write_manifest(assigned, busy)
        self._write_record(complete=True)
        if warning := describe_long_videos(
            job.entries.values(), self._space.frames * self._space.segments
        ):
            log.warning(warning)

    def _write_record(self, *, complete: bool, stopped: str = "") -> None:
        space, folder = self._space, self._folder
        self._cache.write_record(
            ExtractionRecord(
                dataset=DatasetOrigin(self._dataset_dir.name, str(folder.root.resolve())),
                grouping=folder.grouping,
                ungrouped=folder.ungrouped,
                classes=tuple(folder.labels),
                space=space,
                weights=WeightsOrigin(
                    self._config.weights, space.weights_digest, self._config.seed
                ),
                settings=self._config.as_dict(),
                effective={"engine": space.engine, "precision": space.precision},
                view_kinds=self._view_kinds,
                versions=provenance.versions(),
                complete=complete,
                stopped=stopped,
            )
        )


def read_videos(
    video_dir: Path,
    group_pattern: str | None,
    *,
    clip_s: float | None = None,
    frames_fps: float | None = None,
) -> VideoFolder:
    """The videos of a folder; logs its notes, and warns of recordings that are not named."""
    folder = video_folder.read_folder(
        video_dir, group_pattern=group_pattern, clip_s=clip_s, frames_fps=frames_fps
    )
    counts = Counter(video.label for video in folder.videos)
    listed = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
    recordings = len({video.group for video in folder.videos})
    of = "" if folder.grouping == "none" else f" of {counted(recordings, 'recording')}"
    log.info(f"{counted(len(folder.videos), 'video')} ({listed}){of} in {video_dir}")
    for note in folder.notes:
        log.info(note)
    for warning in filter(None, (*folder.warnings, folder.recordings_warning)):
        log.warning(warning)
    for part, later in contradictions(folder.videos)[:5]:
        log.warning(
            f"Parts of one file overlap and differ: {part.key} is {part.label}, {later.key} is "
            f"{later.label}."
        )
    given = [{"group": video.group, "split": video.split} for video in folder.videos]
    for group in splits.leaked_recordings(given)[:5]:
        log.warning(f"The given split has recording {group} on more than one side.")
    return folder


def extractor_settings(config: ExtractConfig) -> ExtractorSettings:
    """The settings of the extractor; an engine keeps its converted backbone in the cache."""
    return ExtractorSettings(
        backbone=config.backbone,
        weights=config.weights,
        stream=config.stream,
        frames=config.frames,
        frame_size=config.frame_size,
        engine=config.engine,
        mixed_precision=config.mixed_precision,
        batch_size=config.batch_size,
        seed=config.seed,
        engine_dir=Path(config.cache_dir) / ".engines",
        segments=config.segments,
    )


def _imagenet_space(dataset_dir: Path, space: FeatureSpace) -> FeatureSpace | None:
    """The space of features in a dataset's folder that were made with ImageNet weights and
    otherwise like `space`; None if there are none, or several."""
    spaces = []
    for path in dataset_dir.glob("*/extraction.json"):
        with contextlib.suppress(CacheError):
            record = FeatureCache(path.parent).record()
            if record.weights.source == "imagenet":
                spaces.append(record.space)
    same = [kept for kept in spaces if dataclasses.replace(kept, weights_digest="") == space]
    return same[0] if len(same) == 1 else None
