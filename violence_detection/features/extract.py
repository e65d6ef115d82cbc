"""Stage one: every video becomes a small array of frame features, once."""

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from violence_detection.datasets import splits, video_folder
from violence_detection.datasets.split_store import SplitStore
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.errors import (
    CacheError,
    DatasetError,
    ViolenceDetectionError,
)
from violence_detection.features import ray_executor, shards
from violence_detection.features.cache import FeatureCache, dataset_name
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extraction_job import ExtractionJob, ExtractionResult
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.features.shards import Shard
from violence_detection.system import devices, files, provenance
from violence_detection.units import counted

log = logging.getLogger(__name__)


def extract_features(
    video_dir: Path, config: ExtractConfig, *, force: bool = False
) -> ExtractionResult:
    """Extract what is missing or changed of a folder of videos, and leave a cache behind.

    Args:
        video_dir: The folder.
        config: Everything that was asked for.
        force: Extract everything again.

    Raises:
        ConfigError: If the folder or a setting cannot be meant.
        DatasetError: If there is nothing usable, or too many videos of a class fail.
        WeightsError: If the backbone's weights cannot be had.
        ViolenceDetectionError: If the cache cannot be written.
    """
    stage = ExtractionStage(video_dir, config, force=force)
    files.ensure_writable(stage.dataset_dir)
    return stage.extract_all() if stage.shard is None else stage.extract_shard()


class ExtractionStage:
    """An extraction: from what, with what, to where."""

    def __init__(
        self, video_dir: Path, config: ExtractConfig, *, force: bool, dry: bool = False
    ) -> None:
        self.config, self.force = config, force
        self.shard = Shard.parse(config.shard) if config.shard else None

        # -- from what: the videos, with label, recording and given split
        self.folder = self.share = read_videos(video_dir, config)
        if self.shard:
            own = [video for video in self.folder.videos if self.shard.holds(video.key)]
            self.share = dataclasses.replace(self.folder, videos=tuple(own))
            log.info(f"Shard {self.shard} holds {counted(len(own), 'video')}.")
        self.dataset_dir = Path(config.cache_dir) / dataset_name(video_dir, config.dataset_name)
        self.kept_splits = SplitStore(self.dataset_dir)
        self.kept_splits.check(video_dir, config, force=force)

        # -- with what: the backbone, which with its weights names the feature space
        devices.import_tensorflow()
        make = FeatureExtractor.planned if dry else FeatureExtractor.of_config
        self.extractor = make(config)
        space = self.extractor.space
        self.lacks_weights = not space.weights_digest
        if self.lacks_weights:
            space = _space_of_imagenet(self.dataset_dir, space) or space
        self.is_named = bool(space.weights_digest)
        self.cache = FeatureCache(self.dataset_dir / space.name, journal=str(self.shard or ""))
        if self.lacks_weights:
            log.warning(
                f"The ImageNet weights of {config.backbone} are not in the cache of Keras, and "
                "would be downloaded first."
            )
        if self.is_named:
            log.info(f"Features go to {self.cache.dir}")
        else:
            log.warning(
                f"Features go to a folder in {self.dataset_dir.resolve()}; its name depends on "
                "the weights, and is not known without them."
            )

    def job(self) -> ExtractionJob:
        """What is to do, and what is done already."""
        job = ExtractionJob(self.share, self.cache, self.extractor, self.config, of=self.folder)
        job.recognise(self.cache.known(), again=self.force)
        found = len(job.entries) + len(job.moved)
        log.info(f"{counted(len(job.todo), 'video')} to extract, {found} known already")
        if job.moved:
            log.info(f"Recognised under another name: {counted(len(job.moved), 'video')}.")
        return job

    def extract_all(self) -> ExtractionResult:
        with shards.locked_folder(self.cache.dir):
            files.sweep_temporary(self.cache.dir)
            job = self.job()
            self._run(job)
            self._finish(job)
        return job.report()

    def extract_shard(self) -> ExtractionResult:
        """Extract one shard, and finish the cache where it was the last."""
        with shards.locked_shard(self.cache.dir, self.shard):
            job = self.job()
            self._run(job)
        with shards.locked_for_merge(self.cache.dir) as busy:
            config = dataclasses.replace(self.config, verify=False, retry_failed=False)
            whole = ExtractionJob(self.folder, self.cache, self.extractor, config)
            whole.recognise(self.cache.known())
            lacking = len(whole.todo) + len(whole.moved)
            if not lacking:
                try:
                    whole.check_failures()
                    self._finish(whole, busy)
                except DatasetError as error:
                    self._write_settings(complete=False, stopped=str(error))
                    raise
                if not busy:
                    files.sweep_temporary(self.cache.dir)
                return job.report()
            whole.write_manifest(self.kept_splits.read(), busy)
            stopped = f"{counted(lacking, 'video')} of other shards than {self.shard} are not done"
            self._write_settings(complete=False, stopped=stopped)
            log.info(f"The features are not complete yet: {stopped}.")
        return job.report(complete=False)

    def _run(self, job: ExtractionJob) -> None:
        """Go, and whatever happens keep what is done."""
        if job.todo or job.moved:
            self._write_settings(complete=False, stopped="interrupted")
        try:
            job.run()
            if self.shard is None:
                _check_any_usable(job)
        except BaseException as error:
            with contextlib.suppress(ViolenceDetectionError):
                if self.shard is None:
                    job.write_manifest(self.kept_splits.read())
                if job.todo and isinstance(error, ViolenceDetectionError):
                    self._write_settings(complete=False, stopped=str(error))
            raise

    def _finish(self, job: ExtractionJob, busy: Collection[str] = ()) -> None:
        """Say which side of the split each video is on."""
        _check_any_usable(job)
        assigned = self.kept_splits.resolve(self.folder, job.entries, self.config)
        job.write_manifest(assigned, busy)
        self._write_settings(complete=True)

    def _write_settings(self, **state: Any) -> None:
        space = self.extractor.space
        settings = {
            "dataset": {
                "name": self.dataset_dir.name,
                "dir": str(self.folder.root.resolve()),
            },
            "grouping": self.folder.grouping,
            "ungrouped": self.folder.ungrouped,
            "classes": self.folder.labels,
            "fingerprint": space.fingerprint,
            "feature_space": dataclasses.asdict(space),
            "weights": {
                "source": self.config.weights,
                "digest": space.weights_digest,
                "seed": self.config.seed,
            },
            "settings": self.config.as_dict(),
            "effective": {"engine": space.engine, "precision": space.precision},
            "versions": provenance.versions(),
        }
        files.write_json(self.cache.extraction_path, settings | state)


def _check_any_usable(job: ExtractionJob) -> None:
    if not any(entry.usable for entry in job.entries.values()):
        path, reason = job.failures[0]
        raise DatasetError(
            f"At least one video must be readable. Received: {len(job.failures)} that are not, "
            f"e.g. {path} ({reason})"
        )


def plan(video_dir: Path, config: ExtractConfig, *, force: bool = False) -> dict[str, Any]:
    """The work that `extract` would do; nothing is written or downloaded.

    Returns:
        dry_run (true); features, the folder, empty where its name depends on ImageNet weights that
        are not here; weights_to_download, whether they are not; videos; to_extract; not_there;
        reused; failed.
    """
    stage = ExtractionStage(video_dir, config, force=force, dry=True)
    if config.executor == "ray":
        ray_executor.check_cluster(config.address)
    job = stage.job()
    failed = len(job.failures)
    root = stage.folder.root
    absent = [v.path for v in job.todo if not (root / v.path).is_file()]
    if absent:
        log.warning(f"Not there: {counted(len(absent), 'video')}, e.g. {absent[0]}.")
    return {
        "dry_run": True,
        "features": str(stage.cache.dir) if stage.is_named else "",
        "weights_to_download": stage.lacks_weights,
        "videos": len(stage.share.videos),
        "to_extract": len(job.todo) - len(absent),
        "not_there": len(absent),
        "reused": len(job.entries) + len(job.moved) - failed,
        "failed": failed,
    }


def _space_of_imagenet(dataset_dir: Path, space: FeatureSpace) -> FeatureSpace | None:
    """The space of features that are here, made with ImageNet weights and otherwise like `space`;
    None where there are none, or several."""
    found = []
    for path in dataset_dir.glob("*/extraction.json"):
        with contextlib.suppress(CacheError, KeyError, TypeError):
            settings = FeatureCache(path.parent).settings()
            kept = FeatureSpace.of(settings["feature_space"])
            if settings["weights"]["source"] == "imagenet":
                found.append(kept)
    alike = [kept for kept in found if dataclasses.replace(kept, weights_digest="") == space]
    return alike[0] if len(alike) == 1 else None


def read_videos(video_dir: Path, config: ExtractConfig) -> VideoFolder:
    """The folder's videos; its notes go to the log."""
    folder = video_folder.read_folder(video_dir, group_pattern=config.group_pattern)
    counts = Counter(video.label for video in folder.videos)
    listed = ", ".join(f"{count} {label}" for label, count in sorted(counts.items()))
    recordings = len({video.group for video in folder.videos})
    of = "" if folder.grouping == "none" else f" of {counted(recordings, 'recording')}"
    log.info(f"{len(folder.videos)} videos ({listed}){of} in {video_dir}")
    for note in folder.notes:
        log.info(note)
    if folder.grouping == "none":
        log.warning(
            "Recordings are not known, so each video counts as its own: clips of one recording "
            "may land on both sides of the split. Name them in videos.csv or by --group-pattern."
        )
    elif folder.ungrouped:
        log.warning(
            f"The recording of {counted(folder.ungrouped, 'video')} is not known "
            f"({folder.grouping}), so each of them counts as its own: clips of one may land on "
            "both sides of the split."
        )
    given = [{"group": v.group, "split": v.split} for v in folder.videos]
    for group in splits.leaked_recordings(given)[:5]:
        log.warning(f"The given split has recording {group} on more than one side.")
    return folder
