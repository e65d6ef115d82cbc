"""Stage one: every video becomes a small array of frame features, once."""

import contextlib
import dataclasses
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from violence_detection import files, progress, runtime, splits, videos
from violence_detection.cache import Entry, FeatureCache, dataset_name
from violence_detection.config import ExtractConfig
from violence_detection.errors import (
    CacheError,
    ConfigError,
    DatasetError,
    VideoError,
    ViolenceDetectionError,
)
from violence_detection.extractor import FeatureExtractor
from violence_detection.frames import Clip
from violence_detection.videos import Video, VideoFolder

log = logging.getLogger(__name__)
_SPLIT_SETTINGS = ("validation_fraction", "test_fraction", "split_seed")


@dataclass(frozen=True)
class Extraction:
    """What an extraction did.

    `videos` = `extracted` + `reused` + `failed`; `failures` are pairs of path and reason.
    """

    features: Path
    videos: int
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]
    frames: int
    seconds: float
    engine: str
    precision: str

    @property
    def failed(self) -> int:
        return len(self.failures)

    def as_dict(self) -> dict:
        return {
            "features": str(self.features),
            "videos": self.videos,
            "extracted": self.extracted,
            "reused": self.reused,
            "failed": self.failed,
            "failures": [
                {"path": path, "reason": reason} for path, reason in self.failures
            ],
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "videos_per_s": round(self.extracted / self.seconds, 3)
            if self.seconds
            else 0.0,
            "engine": self.engine,
            "precision": self.precision,
        }


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
    _check_split_settings(dataset_dir, config)

    # -- with what: the backbone, which with its weights names the feature space
    runtime.import_tensorflow()
    extractor = _extractor(config)
    cache = FeatureCache(dataset_dir / extractor.space.name)
    log.info(f"Features go to {cache.dir}")

    with _alone(cache.dir):
        # -- what is done already
        files.sweep_temporary(cache.dir)
        _write_settings(cache, video_dir, config, extractor, folder, complete=False)
        job = _Job(folder, cache, extractor, config)
        job.recognise({} if force else cache.known())

        # -- go, and whatever happens keep what is done
        try:
            job.run()
        except BaseException:
            with contextlib.suppress(ViolenceDetectionError):
                job.write_manifest(_kept_splits(dataset_dir))
            raise

        # -- which side of the split each one is on
        if not any(entry.usable for entry in job.entries.values()):
            path, reason = job.failures[0]
            raise DatasetError(
                f"At least one video must be readable. Received: {len(job.failures)} that are not, "
                f"e.g. {path} ({reason})"
            )
        job.write_manifest(_resolve_splits(dataset_dir, folder, job.entries, config))
        _write_settings(cache, video_dir, config, extractor, folder, complete=True)
    return job.report()


def plan(video_dir: Path, config: ExtractConfig) -> dict[str, Any]:
    """What `extract` would do; nothing is written."""
    folder = read_videos(video_dir, config)
    runtime.import_tensorflow()
    extractor = _extractor(config)
    cache = FeatureCache(_dataset_dir(video_dir, config) / extractor.space.name)
    job = _Job(folder, cache, extractor, config)
    job.recognise(cache.known())
    failed = len(job.failures)
    return {
        "dry_run": True,
        "features": str(cache.dir),
        "videos": len(folder.videos),
        "to_extract": len(job.todo),
        "reused": len(job.entries) - failed,
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
    log.info(
        f"{len(folder.videos)} videos ({listed}) of {recordings} recordings in {video_dir}"
    )
    for note in folder.notes:
        log.info(note)
    if folder.grouping == "none":
        log.warning(
            "Recordings are not known, so each video counts as its own: clips of one recording "
            "may land on both sides of the split. Name them in videos.csv or by --group-pattern."
        )
    given = [{"group": v.group, "split": v.split} for v in folder.videos]
    for group in splits.leaks(given)[:5]:
        log.warning(f"The given split has recording {group} on more than one side.")
    return folder


def _extractor(config: ExtractConfig) -> FeatureExtractor:
    return FeatureExtractor.build(
        backbone=config.backbone,
        weights=config.weights,
        stream=config.stream,
        frames=config.frames,
        frame_size=config.frame_size,
        engine=config.engine,
        precision=runtime.precision(config.mixed_precision),
        batch_size=config.batch_size,
        seed=config.seed,
    )


class _Job:
    """One pass over a dataset: what is known of each video, and what is still to do."""

    def __init__(
        self,
        folder: VideoFolder,
        cache: FeatureCache,
        extractor: FeatureExtractor,
        config: ExtractConfig,
    ) -> None:
        self.folder, self.cache, self.extractor, self.config = (
            folder,
            cache,
            extractor,
            config,
        )
        self.entries: dict[str, Entry] = {}
        self.todo: list[Video] = []
        self.extracted = 0
        self.frames = 0
        self.start_s = time.monotonic()
        self.shape = (extractor.space.frames, extractor.space.dim)

    @property
    def failures(self) -> list[tuple[str, str]]:
        failed = [entry for entry in self.entries.values() if not entry.usable]
        return sorted((entry.path, entry.error) for entry in failed)

    def recognise(self, known: Mapping[str, Entry]) -> None:
        """Sort the videos into those that are done and those to do."""
        for video in self.folder.videos:
            entry = self._reusable(video, known.get(video.key))
            if entry is None:
                self.todo.append(video)
            else:
                self.entries[video.key] = entry
        log.info(
            f"{len(self.todo)} videos to extract, {len(self.entries)} known already"
        )

    def _reusable(self, video: Video, entry: Entry | None) -> Entry | None:
        if entry is None or (not entry.usable and self.config.retry_failed):
            return None
        try:
            stat = (self.folder.root / video.path).stat()
        except OSError:
            return None
        unchanged = (entry.size, entry.mtime) == (stat.st_size, stat.st_mtime_ns)
        if not unchanged or self.config.verify:
            try:
                digest = files.sha256_of_file(self.folder.root / video.path)
            except OSError:
                return None
            if digest != entry.digest:
                return None
        if entry.usable and not self.cache.has_array(
            entry, self.shape, verify=self.config.verify
        ):
            return None
        return dataclasses.replace(
            entry,
            label=video.label,
            group=video.group,
            size=stat.st_size,
            mtime=stat.st_mtime_ns,
        )

    def run(self) -> None:
        """Decode in threads, encode here, write and note each video as it is done."""
        self._check_failures()
        if not self.todo:
            return
        with (
            progress.track("Extracting", len(self.todo), "videos") as step,
            contextlib.closing(self._decoded(step)) as decoded,
        ):
            for (entry, clip), features in self.extractor.encode_clips(decoded):
                self._keep(entry, clip, features)
                step()

    def _decoded(self, step) -> Iterator[tuple[tuple[Entry, Clip], np.ndarray]]:
        workers = self.config.workers or cpu_count() or 1
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            # As many in flight as keep the encoder fed; memory does not grow with the list.
            todo = iter(self.todo)
            flying = [
                pool.submit(self._decode, video) for video in islice(todo, 2 * workers)
            ]
            try:
                while flying:
                    entry, clip = flying.pop(0).result()
                    flying.extend(
                        pool.submit(self._decode, video) for video in islice(todo, 1)
                    )
                    if clip is None:
                        self._fail(entry)
                        step()
                    else:
                        yield (entry, clip), clip.pictures
            finally:
                _cancel(flying)

    def _decode(self, video: Video) -> tuple[Entry, Clip | None]:
        path = self.folder.root / video.path
        entry = Entry(path=video.key, label=video.label, group=video.group, split="")
        try:
            stat = path.stat()
            entry = dataclasses.replace(
                entry,
                size=stat.st_size,
                mtime=stat.st_mtime_ns,
                digest=files.sha256_of_file(path),
            )
            return entry, self.extractor.reader.read(path, video.start_s, video.end_s)
        except VideoError as error:
            reason = str(error)
        except FileNotFoundError:
            reason = "no such file"
        except OSError as error:
            reason = f"it cannot be read: {error.strerror}"
        return dataclasses.replace(entry, status="failed", error=reason), None

    def _keep(self, entry: Entry, clip: Clip, features: np.ndarray) -> None:
        if not np.isfinite(features).all():
            error = "its features are not finite in float16"
            self._fail(dataclasses.replace(entry, status="failed", error=error))
            return
        entry = dataclasses.replace(
            entry,
            array_digest=self.cache.write_array(entry.path, features),
            frames=clip.frames,
            fps=round(clip.fps, 6),
            duration_s=round(clip.duration_s, 6),
            status="damaged" if clip.damage else "ok",
            error=clip.damage,
        )
        self.extracted += 1
        self.frames += len(features)
        self._note(entry)

    def _fail(self, entry: Entry) -> None:
        log.warning(f"Cannot read {entry.path}: {entry.error}")
        self.cache.array_path(entry.path).unlink(
            missing_ok=True
        )  # of what the file was before
        self._note(entry)
        self._check_failures()

    def _note(self, entry: Entry) -> None:
        self.entries[entry.path] = entry
        self.cache.note(entry)

    def _check_failures(self) -> None:
        """Stop before hours are wasted on a class that cannot be read."""
        totals = Counter(video.label for video in self.folder.videos)
        failed = Counter(
            entry.label for entry in self.entries.values() if not entry.usable
        )
        for label, count in failed.items():
            if count > self.config.max_failures * totals[label]:
                path, reason = self.failures[0]
                raise DatasetError(
                    f"At most {self.config.max_failures:.0%} of a class may be unreadable "
                    f"(--max-failures; 1 never stops). Received: {count} of {totals[label]} videos "
                    f"of {label}, e.g. {path} ({reason})"
                )

    def write_manifest(self, assigned: Mapping[str, str]) -> None:
        self.cache.write_manifest(
            dataclasses.replace(entry, split=assigned.get(key, ""))
            for key, entry in self.entries.items()
        )

    def report(self) -> Extraction:
        return Extraction(
            features=self.cache.dir,
            videos=len(self.entries),
            extracted=self.extracted,
            reused=len(self.entries) - self.extracted - len(self.failures),
            failures=tuple(self.failures),
            frames=self.frames,
            seconds=time.monotonic() - self.start_s,
            engine=self.extractor.space.engine,
            precision=self.extractor.space.precision,
        )


def _cancel(futures: list[Future]) -> None:
    for future in futures:
        future.cancel()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the feature space's lock; another extraction of it is waited for."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("Another extraction works on these features; waiting for it.")
            lock.acquire()
    except OSError as error:
        raise files.write_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


# -- the split, one for all feature spaces of a dataset


def _kept_splits(dataset_dir: Path) -> dict[str, str]:
    return splits.read(dataset_dir / "splits.csv")


def _check_split_settings(dataset_dir: Path, config: ExtractConfig) -> None:
    """A split stays as drawn: other fractions need --redraw-splits."""
    path = dataset_dir / "splits.json"
    if config.redraw_splits or not path.is_file():
        return
    try:
        drawn_with = json.loads(path.read_text())
    except ValueError as error:
        raise CacheError(
            f"splits.json must be readable JSON. Received: {path}"
        ) from error
    for name in _SPLIT_SETTINGS:
        asked = getattr(config, name)
        if name in config.given and asked != drawn_with.get(name):
            raise ConfigError(
                f"`{name}` must be what the split was drawn with, {drawn_with.get(name)}, or "
                f"--redraw-splits given. Received: {name}={asked}"
            )


def _resolve_splits(
    dataset_dir: Path,
    folder: VideoFolder,
    entries: Mapping[str, Entry],
    config: ExtractConfig,
) -> dict[str, str]:
    """Draw what is not drawn yet, and keep it in splits.csv."""
    usable = [video for video in folder.videos if entries[video.key].usable]
    settings_path, path = dataset_dir / "splits.json", dataset_dir / "splits.csv"
    with _alone(dataset_dir):
        kept = {} if config.redraw_splits else splits.read(path)
        settings = {name: getattr(config, name) for name in _SPLIT_SETTINGS}
        if kept and settings_path.is_file():
            settings = json.loads(settings_path.read_text())
        draw = {
            "validation_fraction": settings["validation_fraction"],
            "test_fraction": settings["test_fraction"],
            "seed": settings["split_seed"],
        }
        # The readable ones first, so that each part has both classes of those.
        kept |= splits.assign(usable, kept=kept, **draw)
        assigned = splits.assign(folder.videos, kept=kept, **draw)
        files.write_json(settings_path, settings)
        splits.write(path, folder.videos, assigned)
    return assigned


def _write_settings(
    cache: FeatureCache,
    video_dir: Path,
    config: ExtractConfig,
    extractor: FeatureExtractor,
    folder: VideoFolder,
    *,
    complete: bool,
) -> None:
    space = extractor.space
    files.write_json(
        cache.extraction_path,
        {
            "complete": complete,
            "dataset": {"name": cache.dir.parent.name, "dir": str(video_dir.resolve())},
            "grouping": folder.grouping,
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
        },
    )
