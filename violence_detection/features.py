"""Stage one: every video becomes a small array of frame features, once."""

import contextlib
import dataclasses
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from violence_detection import files, runtime, splits, videos
from violence_detection.cache import FeatureCache, alone, dataset_name
from violence_detection.config import ExtractConfig
from violence_detection.errors import (
    DatasetError,
    ViolenceDetectionError,
)
from violence_detection.extraction import Extraction, ExtractionJob
from violence_detection.extractor import FeatureExtractor
from violence_detection.kept_splits import KeptSplits
from violence_detection.units import counted
from violence_detection.videos import VideoFolder

log = logging.getLogger(__name__)


def extract(
    video_dir: Path, config: ExtractConfig, *, force: bool = False
) -> Extraction:
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
    # -- from what: the videos, with label, recording and given split
    folder = read_videos(video_dir, config)
    dataset_dir = _dataset_dir(video_dir, config)
    files.ensure_writable(dataset_dir)
    kept_splits = KeptSplits(dataset_dir)
    kept_splits.check(video_dir, config, force=force)

    # -- with what: the backbone, which with its weights names the feature space
    runtime.import_tensorflow()
    extractor = _extractor(config)
    cache = FeatureCache(dataset_dir / extractor.space.name)
    log.info(f"Features go to {cache.dir}")

    with alone(cache.dir):
        # -- what is done already
        files.sweep_temporary(cache.dir)
        settings = _settings(cache, video_dir, config, extractor, folder)
        unfinished = {"complete": False, "stopped": "interrupted"}
        job = ExtractionJob(folder, cache, extractor, config)
        job.recognise(cache.known(), again=force)

        # -- go, and whatever happens keep what is done
        if job.todo or job.moved:
            files.write_json(cache.extraction_path, settings | unfinished)
        try:
            job.run()
            _check_any_usable(job)
        except BaseException as error:
            with contextlib.suppress(ViolenceDetectionError):
                job.write_manifest(kept_splits.read())
                if job.todo and isinstance(error, ViolenceDetectionError):
                    unfinished["stopped"] = str(error)
                    files.write_json(cache.extraction_path, settings | unfinished)
            raise

        # -- which side of the split each one is on
        job.write_manifest(kept_splits.resolve(folder, job.entries, config))
        files.write_json(cache.extraction_path, settings | {"complete": True})
    return job.report()


def _check_any_usable(job: ExtractionJob) -> None:
    if not any(entry.usable for entry in job.entries.values()):
        path, reason = job.failures[0]
        raise DatasetError(
            f"At least one video must be readable. Received: {len(job.failures)} that are not, "
            f"e.g. {path} ({reason})"
        )


def plan(
    video_dir: Path, config: ExtractConfig, *, force: bool = False
) -> dict[str, Any]:
    """What `extract` would do; nothing is written."""
    folder = read_videos(video_dir, config)
    dataset_dir = _dataset_dir(video_dir, config)
    KeptSplits(dataset_dir).check(video_dir, config, force=force)
    runtime.import_tensorflow()
    extractor = _extractor(config)
    cache = FeatureCache(dataset_dir / extractor.space.name)
    job = ExtractionJob(folder, cache, extractor, config)
    job.recognise(cache.known(), again=force)
    failed = len(job.failures)
    absent = [v.path for v in job.todo if not (folder.root / v.path).is_file()]
    if absent:
        log.warning(f"Not there: {counted(len(absent), 'video')}, e.g. {absent[0]}.")
    return {
        "dry_run": True,
        "features": str(cache.dir),
        "videos": len(folder.videos),
        "to_extract": len(job.todo) - len(absent),
        "not_there": len(absent),
        "reused": len(job.entries) + len(job.moved) - failed,
        "failed": failed,
    }


def _dataset_dir(video_dir: Path, config: ExtractConfig) -> Path:
    return Path(config.cache_dir) / dataset_name(video_dir, config.dataset_name)


def read_videos(video_dir: Path, config: ExtractConfig) -> VideoFolder:
    """The folder's videos; its notes go to the log."""
    folder = videos.read_folder(video_dir, group_pattern=config.group_pattern)
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
    for group in splits.leaks(given)[:5]:
        log.warning(f"The given split has recording {group} on more than one side.")
    return folder


def _extractor(config: ExtractConfig) -> FeatureExtractor:
    engine = runtime.engine(config.engine)
    return FeatureExtractor.build(
        backbone=config.backbone,
        weights=config.weights,
        stream=config.stream,
        frames=config.frames,
        frame_size=config.frame_size,
        engine=engine,
        precision=runtime.engine_precision(
            engine, config.mixed_precision, backbone=config.backbone
        ),
        engine_dir=Path(config.cache_dir) / ".engines",
        batch_size=config.batch_size,
        seed=config.seed,
    )


def _settings(
    cache: FeatureCache,
    video_dir: Path,
    config: ExtractConfig,
    extractor: FeatureExtractor,
    folder: VideoFolder,
) -> dict[str, Any]:
    """What extraction.json holds, but for whether it is complete."""
    space = extractor.space
    return {
        "dataset": {"name": cache.dir.parent.name, "dir": str(video_dir.resolve())},
        "grouping": folder.grouping,
        "ungrouped": folder.ungrouped,
        "classes": folder.labels,
        "fingerprint": space.fingerprint,
        "feature_space": dataclasses.asdict(space),
        "weights": {
            "source": config.weights,
            "digest": space.weights_digest,
            "seed": config.seed,
        },
        "settings": config.as_dict(),
        "effective": {"engine": space.engine, "precision": space.precision},
        "versions": runtime.versions(),
    }
