"""One extraction: which videos are done, which are to extract, and the results."""

import contextlib
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from violence_detection import units
from violence_detection.datasets.splitting.split_counts import count_splits
from violence_detection.datasets.table_files.manifest import ContentIndex, ManifestEntry
from violence_detection.datasets.video_folder import VideoFolder
from violence_detection.datasets.videos import Video
from violence_detection.errors import CacheError, DatasetError, VideoError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction.extraction_result import ExtractionResult
from violence_detection.features.extraction.video_worker import (
    NO_SUCH_FILE,
    VideoResult,
    check_array_name,
    failure_reason,
)
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import progress
from violence_detection.video import video_file
from violence_detection.video.decoding import damage

log = logging.getLogger(__name__)

_SLOWEST = 5  # that are listed

# Extracts videos and passes on the result of each.
Extract = Callable[[Sequence[Video], Callable[[VideoResult], None]], None]


class ExtractionJob:
    """The extraction of a folder's videos, or of a shard of them, into a cache.

    Attributes:
        entries: Rows of the videos that are done, by key; failed ones too.
        moved: Rows whose arrays a video takes over, by the key of that video.
        todo: Videos to extract.
    """

    def __init__(
        self,
        folder: VideoFolder,
        cache: FeatureCache,
        space: FeatureSpace,
        *,
        views: int,
        max_failures: float,
        verify: bool = False,
        retry_failed: bool = False,
        whole: VideoFolder | None = None,
    ) -> None:
        """
        Args:
            folder: The videos.
            cache: The cache of their features.
            space: The feature space of the cache.
            views: Further views of each video.
            max_failures: Fraction of a class that may be unreadable, in [0, 1].
            verify: Compare the digests of videos and arrays, whatever their time and size.
            retry_failed: Try videos again that could not be read before.
            whole: The folder that `folder` is a shard of: `max_failures` is a fraction of that.
        """
        self.folder, self.cache, self.space = folder, cache, space
        self.entries: dict[str, ManifestEntry] = {}
        self.moved: dict[str, ManifestEntry] = {}
        self.todo: list[Video] = []
        self._views, self._max_failures = views, max_failures
        self._verify, self._retry_failed = verify, retry_failed
        self._shape = space.shape
        self._replaced: dict[str, ManifestEntry] = {}  # rows in force until their videos are done
        self._extracted = 0
        self._decode_times: list[tuple[float, str]] = []
        # Files in class folders that may be videos, and are not read, count as unreadable.
        self._unread = (whole or folder).unread
        self._unread_counts = Counter(file.label for file in self._unread)
        self._totals = Counter(video.label for video in (whole or folder).videos)
        self._totals += self._unread_counts
        self._failed = Counter(self._unread_counts)
        self._started_s = time.monotonic()

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Path and reason of each video that cannot be read."""
        failed = [entry for entry in self.entries.values() if not entry.usable]
        return sorted((entry.path, entry.error) for entry in failed)

    def find_finished(self, latest: Mapping[str, ManifestEntry], *, again: bool = False) -> None:
        """Sorts the videos into those that are done, those that were moved, and those to extract.

        Args:
            latest: The last row of each video in the cache, by key.
            again: Extract all of them again; their rows stay in force until they are done.
        """
        by_content = ContentIndex((*self.cache.former_entries(), *latest.values()))
        for video in self.folder.videos:
            entry = self._reusable(video, latest.get(video.key))
            if again and entry is not None:
                self._replaced[video.key] = entry
                entry = None
            if entry is not None:
                self.entries[video.key] = entry
                continue
            moved = None
            with contextlib.suppress(VideoError):
                check_array_name(video.key, self._views)
                if not again:
                    moved = by_content.find(self.folder.root, video)
            if moved and self._arrays_exist(moved, verify=True):
                self.moved[video.key] = moved
            else:
                self.todo.append(video)

    def _reusable(self, video: Video, entry: ManifestEntry | None) -> ManifestEntry | None:
        """The row of a video that need not be extracted again, else None."""
        if entry is None or (not entry.usable and self._retry_failed):
            return None
        path = self.folder.root / video.path
        entry = dataclasses.replace(entry, **_facts_of(video))
        try:
            state = video_file.state_of(path)
        except (OSError, VideoError) as error:
            return entry if entry.error == failure_reason(error) else None
        unchanged = (entry.size, entry.mtime) == (state.size, state.mtime_ns)
        if not entry.digest:  # it could not be read, or is not a plain file
            return entry if unchanged and not entry.usable else None
        if not state.is_plain:
            return None
        if not unchanged or self._verify:
            try:
                digest = video_file.digest_of(path)
            except OSError:
                return None
            if digest != entry.digest:
                return None
        if entry.usable and not self._arrays_exist(entry, verify=self._verify):
            return None
        return dataclasses.replace(entry, size=state.size, mtime=state.mtime_ns)

    def _arrays_exist(self, entry: ManifestEntry, *, verify: bool) -> bool:
        return self.cache.arrays_exist(entry, self._shape, verify=verify, views=self._views)

    def run(self, extract: Extract) -> None:
        """Extracts the videos to extract; each result is in the journal as soon as it is there.

        Args:
            extract: Extracts videos and passes on the result of each.

        Raises:
            DatasetError: If too many videos of a class cannot be read.
        """
        self.check_failures()
        self._take_over_arrays()
        if not self.todo:
            return
        with progress.track("Extracting", len(self.todo), "videos") as step:

            def on_result(result: VideoResult) -> None:
                self._finish(result)
                step()

            extract(self.todo, on_result)
        self._warn_of_rates()

    def _warn_of_rates(self) -> None:
        """Name the videos whose rate is far from that of most; others are named when read."""
        rates = {entry.path: entry.fps for entry in self.entries.values() if entry.usable}
        usual_fps = damage.usual_fps(rates.values())
        far = {
            path: text
            for path, fps in rates.items()
            if not damage.describe_rate(fps) and (text := damage.describe_rate(fps, usual_fps))
        }
        if far:
            path, text = min(far.items())
            log.warning(
                f"{units.counted(len(far), 'video')} with a rate far from that of the others, e.g. "
                f"{path} ({text})"
            )

    def _take_over_arrays(self) -> None:
        """Writes the arrays of videos that were moved under their new names."""
        videos = {video.key: video for video in self.folder.videos}
        for key, entry in self.moved.items():
            video = videos[key]
            try:
                features = self.cache.read_arrays(entry, self._shape)
                state = video_file.state_of(self.folder.root / video.path)
            except (CacheError, OSError, VideoError):
                # The array was overwritten just now: the names of two videos were swapped.
                self.todo.append(video)
                continue
            digest, *of_views = self.cache.write_arrays(key, features)
            self._record(
                dataclasses.replace(
                    entry,
                    path=key,
                    **_facts_of(video),
                    array_digest=digest,
                    views=" ".join(of_views),
                    size=state.size,
                    mtime=state.mtime_ns,
                )
            )

    def _finish(self, result: VideoResult) -> None:
        entry = result.entry
        self._decode_times.append((result.decode_s, entry.path))
        if len(self._decode_times) > 2 * _SLOWEST:
            self._decode_times = self._slowest()
        if entry.usable:
            self._extracted += 1
            self._record(entry)
            for text in filter(None, (entry.error, *result.notes)):
                log.warning(f"{entry.path}: {text}")
            return
        log.warning(f"Cannot read {entry.path}: {entry.error}")
        if entry.error != NO_SUCH_FILE:
            with contextlib.suppress(OSError):  # arrays of what the file was before
                self.cache.drop_arrays(entry.path)
        self._record(entry)
        self._failed[entry.label] += 1
        self._check_failures(entry.label)

    def _slowest(self) -> list[tuple[float, str]]:
        return sorted(self._decode_times, reverse=True)[:_SLOWEST]

    def _record(self, entry: ManifestEntry) -> None:
        self.entries[entry.path] = entry
        self.cache.append_to_journal(entry)

    def check_failures(self) -> None:
        """Compares the failures so far with `max_failures`.

        Raises:
            DatasetError: If too many videos of a class cannot be read.
        """
        failed = [entry for entry in self.entries.values() if not entry.usable]
        self._failed = self._unread_counts + Counter(entry.label for entry in failed)
        for label in self._failed:
            self._check_failures(label)

    def _check_failures(self, label: str) -> None:
        """Stops early: hours of extraction are wasted on a class that cannot be read."""
        count, total = self._failed[label], self._totals[label]
        if count > self._max_failures * total:
            unread = [(file.path, file.reason) for file in self._unread if file.label == label]
            path, reason = (unread or self.failures)[0]
            raise DatasetError(
                f"At most {self._max_failures:.0%} of a class may be unreadable "
                f"(--max-failures; 1 never stops). Received: {count} of {total} videos of {label}, "
                f"e.g. {path} ({reason})"
            )

    def check_any_usable(self) -> None:
        """Checks that a video could be read.

        Raises:
            DatasetError: If no video can be read.
        """
        if not any(entry.usable for entry in self.entries.values()):
            path, reason = self.failures[0]
            raise DatasetError(
                f"At least one video must be readable. Received: {len(self.failures)} unreadable "
                f"videos, e.g. {path} ({reason})"
            )

    def write_manifest(self, assigned: Mapping[str, str], busy: Collection[str] = ()) -> None:
        """Writes the row of each video, with its split.

        Args:
            assigned: Split by key; videos that are not in it have none.
            busy: Shards that are still extracting; see `FeatureCache.write_manifest`.
        """
        entries = [
            dataclasses.replace(entry, split=assigned.get(key, ""))
            for key, entry in {**self._replaced, **self.entries}.items()
        ]
        self.cache.write_manifest(entries, busy)

    def result(self, *, complete: bool = True) -> ExtractionResult:
        rows = (entry for entry in self.cache.entries() if entry.usable)
        usable = ((entry.label, entry.group, entry.split) for entry in rows)
        return ExtractionResult(
            complete=complete,
            features=self.cache.dir,
            videos=len(self.entries),
            extracted=self._extracted,
            reused=len(self.entries) - self._extracted - len(self.failures),
            failures=tuple(self.failures),
            frames=self._extracted * self.space.frames,
            slowest=tuple((path, seconds) for seconds, path in self._slowest()),
            seconds=time.monotonic() - self._started_s,
            engine=self.space.engine,
            precision=self.space.precision,
            splits=tuple(count_splits(usable)) if complete else (),
        )


def _facts_of(video: Video) -> dict[str, str]:
    """The columns of the manifest that the dataset gives, and that may change without its files."""
    return {
        "label": video.label,
        "group": video.group,
        "camera": video.camera,
        "recorded_at": video.recorded_at,
        "kind": video.kind,
    }
