"""One pass over a dataset: what is known of each video, what is done, what came of it."""

import contextlib
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from violence_detection.datasets.manifest import ContentIndex, ManifestEntry
from violence_detection.datasets.video_folder import Video, VideoFolder
from violence_detection.errors import CacheError, DatasetError, VideoError
from violence_detection.features import ray_executor
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.features.video_worker import (
    NO_SUCH_FILE,
    VideoResult,
    VideoWorker,
    check_array_name,
    failure_reason,
)
from violence_detection.system import files, processes, progress

log = logging.getLogger(__name__)

_SLOWEST = 5  # that are listed


@dataclass(frozen=True)
class ExtractionResult:
    """What an extraction did.

    `videos` = `extracted` + `reused` + `failed`; `failures` are pairs of path and reason,
    `slowest` of path and seconds. It is `complete` where no shard lacks.
    """

    features: Path
    videos: int
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]
    frames: int
    slowest: tuple[tuple[str, float], ...]
    complete: bool
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
            "failures": [{"path": path, "reason": reason} for path, reason in self.failures],
            "slowest": [
                {"path": path, "seconds": round(seconds, 3)} for path, seconds in self.slowest
            ],
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "videos_per_s": round(self.extracted / self.seconds, 3) if self.seconds else 0.0,
            "engine": self.engine,
            "precision": self.precision,
            "complete": self.complete,
        }


class ExtractionJob:
    """Extracts what is to do of a folder's videos into a cache."""

    def __init__(
        self,
        folder: VideoFolder,
        cache: FeatureCache,
        extractor: FeatureExtractor,
        config: ExtractConfig,
        *,
        of: VideoFolder | None = None,
    ) -> None:
        """
        Args:
            folder: The videos.
            cache: Where their features go.
            extractor: Makes them.
            config: Everything that was asked for.
            of: The whole, of which `folder` is a share; failures are a share of that.
        """
        self.folder, self.cache, self.extractor, self.config = (
            folder,
            cache,
            extractor,
            config,
        )
        self.entries: dict[str, ManifestEntry] = {}
        self.before: dict[str, ManifestEntry] = {}
        self.moved: dict[str, ManifestEntry] = {}
        self.todo: list[Video] = []
        self.extracted = 0
        self._took: list[tuple[float, str]] = []
        self._totals = Counter(video.label for video in (of or folder).videos)
        self._failed: Counter[str] = Counter()
        self.start_s = time.monotonic()
        self.shape = (extractor.space.frames, extractor.space.dim)

    @property
    def failures(self) -> list[tuple[str, str]]:
        failed = [entry for entry in self.entries.values() if not entry.usable]
        return sorted((entry.path, entry.error) for entry in failed)

    @property
    def slowest(self) -> list[tuple[float, str]]:
        """Seconds and paths of the videos whose decoding took longest."""
        return sorted(self._took, reverse=True)[:_SLOWEST]

    def recognise(self, known: Mapping[str, ManifestEntry], *, again: bool = False) -> None:
        """Sort the videos into those that are done and those to do.

        Args:
            known: What is known of each video.
            again: Do all of them again. What is known is kept until they are done.
        """
        elsewhere = ContentIndex((*self.cache.former(), *known.values()))
        for video in self.folder.videos:
            entry = self._reusable(video, known.get(video.key))
            if again and entry is not None:
                self.before[video.key] = entry
                entry = None
            if entry is not None:
                self.entries[video.key] = entry
                continue
            moved = None
            with contextlib.suppress(VideoError):
                check_array_name(video.key, self.config.views)
                if not again:
                    moved = elsewhere.find(self.folder.root, video)
            if moved and self._has_arrays(moved, verify=True):
                self.moved[video.key] = moved
            else:
                self.todo.append(video)

    def _reusable(self, video: Video, entry: ManifestEntry | None) -> ManifestEntry | None:
        if entry is None or (not entry.usable and self.config.retry_failed):
            return None
        path = self.folder.root / video.path
        entry = dataclasses.replace(entry, label=video.label, group=video.group)
        try:
            stat = path.stat()
        except OSError as error:
            return entry if entry.error == failure_reason(error) else None
        unchanged = (entry.size, entry.mtime) == (stat.st_size, stat.st_mtime_ns)
        if not entry.digest:  # it could not be read, or is no file
            return entry if unchanged and not entry.usable else None
        if not S_ISREG(stat.st_mode):
            return None
        if not unchanged or self.config.verify:
            try:
                digest = files.sha256_of_unchanged(path)
            except OSError:
                return None
            if digest != entry.digest:
                return None
        if entry.usable and not self._has_arrays(entry, verify=self.config.verify):
            return None
        return dataclasses.replace(entry, size=stat.st_size, mtime=stat.st_mtime_ns)

    def _has_arrays(self, entry: ManifestEntry, *, verify: bool) -> bool:
        return self.cache.has_arrays(entry, self.shape, verify=verify, views=self.config.views)

    def run(self) -> None:
        """Do what is to do, and note each video as it is done."""
        self.check_failures()
        self._take_over()
        if not self.todo:
            return
        with progress.track("Extracting", len(self.todo), "videos") as step:

            def note(done: VideoResult) -> None:
                self._finish(done)
                step()

            self._work(note)

    def _work(self, note: Callable[[VideoResult], None]) -> None:
        root, config = self.folder.root, self.config
        if config.executor == "ray":
            space = self.extractor.space
            ray_executor.extract_on_cluster(
                self.todo, note, root=root, cache=self.cache, space=space, config=config
            )
            return
        try:
            VideoWorker(root, self.cache, self.extractor, config).work(self.todo, note)
        finally:
            processes.end_idle_processes()

    def _take_over(self) -> None:
        """Give the arrays of videos that were moved their new names."""
        videos = {video.key: video for video in self.folder.videos}
        for key, entry in self.moved.items():
            video = videos[key]
            try:
                features = self.cache.read_arrays(entry, self.shape)
                stat = (self.folder.root / video.path).stat()
            except (CacheError, OSError):
                # Another one took its place: two names were swapped.
                self.todo.append(video)
                continue
            digest, *of_views = self.cache.write_arrays(key, features)
            taken = dataclasses.replace(
                entry,
                path=key,
                label=video.label,
                group=video.group,
                array_digest=digest,
                views=" ".join(of_views),
                size=stat.st_size,
                mtime=stat.st_mtime_ns,
            )
            self._note(taken)

    def _finish(self, done: VideoResult) -> None:
        entry = done.entry
        self._took.append((done.decode_s, entry.path))
        if len(self._took) > 2 * _SLOWEST:
            self._took = self.slowest
        if entry.usable:
            self.extracted += 1
            self._note(entry)
            return
        log.warning(f"Cannot read {entry.path}: {entry.error}")
        if entry.error != NO_SUCH_FILE:
            with contextlib.suppress(OSError):  # of what the file was before
                self.cache.drop_arrays(entry.path)
        self._note(entry)
        self._failed[entry.label] += 1
        self._check_failures(entry.label)

    def _note(self, entry: ManifestEntry) -> None:
        self.entries[entry.path] = entry
        self.cache.note(entry)

    def check_failures(self) -> None:
        """Hold what is known already against --max-failures.

        Raises:
            DatasetError: If too many videos of a class have failed.
        """
        known = [entry for entry in self.entries.values() if not entry.usable]
        self._failed = Counter(entry.label for entry in known)
        for label in self._failed:
            self._check_failures(label)

    def _check_failures(self, label: str) -> None:
        """Stop before hours are wasted on a class that cannot be read."""
        count, total = self._failed[label], self._totals[label]
        if count > self.config.max_failures * total:
            path, reason = self.failures[0]
            raise DatasetError(
                f"At most {self.config.max_failures:.0%} of a class may be unreadable "
                f"(--max-failures; 1 never stops). Received: {count} of {total} videos of {label}, "
                f"e.g. {path} ({reason})"
            )

    def write_manifest(self, assigned: Mapping[str, str], busy: Collection[str] = ()) -> None:
        """Write what is known of each video, with its split; see FeatureCache."""
        entries = [
            dataclasses.replace(entry, split=assigned.get(key, ""))
            for key, entry in {**self.before, **self.entries}.items()
        ]
        self.cache.write_manifest(entries, busy)

    def report(self, *, complete: bool = True) -> ExtractionResult:
        return ExtractionResult(
            complete=complete,
            features=self.cache.dir,
            videos=len(self.entries),
            extracted=self.extracted,
            reused=len(self.entries) - self.extracted - len(self.failures),
            failures=tuple(self.failures),
            frames=self.extracted * self.extractor.space.frames,
            slowest=tuple((path, seconds) for seconds, path in self.slowest),
            seconds=time.monotonic() - self.start_s,
            engine=self.extractor.space.engine,
            precision=self.extractor.space.precision,
        )
