"""One pass over a dataset: what is known of each video, what is done, what came of it."""

import contextlib
import dataclasses
import logging
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from os import cpu_count
from pathlib import Path, PurePosixPath

import numpy as np

from violence_detection import files, progress
from violence_detection.cache import Entry, FeatureCache
from violence_detection.config import ExtractConfig
from violence_detection.errors import CacheError, DatasetError, VideoError
from violence_detection.extractor import FeatureExtractor
from violence_detection.frames import Clip
from violence_detection.units import counted
from violence_detection.videos import Video, VideoFolder

log = logging.getLogger(__name__)

_ABSENT = "no such file"
_NAME_BYTES = 255
_PART = re.compile(r"@[\d.e+-]+-[\d.e+-]+$")


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


class ExtractionJob:
    """Extracts what is to do of a folder's videos into a cache."""

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
        self.before: dict[str, Entry] = {}
        self.moved: dict[str, Entry] = {}
        self.todo: list[Video] = []
        self.extracted = 0
        self.frames = 0
        self.start_s = time.monotonic()
        self.shape = (extractor.space.frames, extractor.space.dim)

    @property
    def failures(self) -> list[tuple[str, str]]:
        failed = [entry for entry in self.entries.values() if not entry.usable]
        return sorted((entry.path, entry.error) for entry in failed)

    def recognise(self, known: Mapping[str, Entry], *, again: bool = False) -> None:
        """Sort the videos into those that are done and those to do.

        Args:
            known: What is known of each video.
            again: Do all of them again. What is known is kept until they are done.
        """
        elsewhere = _ByContent((*self.cache.former(), *known.values()))
        for video in self.folder.videos:
            entry = self._reusable(video, known.get(video.key))
            if again and entry is not None:
                self.before[video.key] = entry
                entry = None
            if entry is not None:
                self.entries[video.key] = entry
                continue
            moved = None if again else elsewhere.find(self.folder.root, video)
            if moved and self.cache.has_array(moved, self.shape, verify=True):
                self.moved[video.key] = moved
            else:
                self.todo.append(video)
        found = len(self.entries) + len(self.moved)
        log.info(
            f"{counted(len(self.todo), 'video')} to extract, {found} known already"
        )
        if self.moved:
            log.info(
                f"Recognised under another name: {counted(len(self.moved), 'video')}."
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
        self._take_over()
        if not self.todo:
            return
        with (
            progress.track("Extracting", len(self.todo), "videos") as step,
            contextlib.closing(self._decoded(step)) as decoded,
        ):
            for (entry, clip), features in self.extractor.encode_clips(decoded):
                self._keep(entry, clip, features)
                step()

    def _take_over(self) -> None:
        """Give the arrays of videos that were moved their new names."""
        videos = {video.key: video for video in self.folder.videos}
        for key, entry in self.moved.items():
            video = videos[key]
            try:
                features = self.cache.read_array(entry, self.shape)
                stat = (self.folder.root / video.path).stat()
            except (CacheError, OSError):
                # Another one took its place: two names were swapped.
                self.todo.append(video)
                continue
            taken = dataclasses.replace(
                entry,
                path=key,
                label=video.label,
                group=video.group,
                array_digest=self.cache.write_array(key, features),
                size=stat.st_size,
                mtime=stat.st_mtime_ns,
            )
            self._note(taken)

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
            _check_name(video.key)
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
            reason = _ABSENT
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
        if entry.error != _ABSENT:
            with contextlib.suppress(OSError):  # of what the file was before
                self.cache.array_path(entry.path).unlink(missing_ok=True)
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
            for key, entry in {**self.before, **self.entries}.items()
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


class _ByContent:
    """What is known of videos, found by their bytes and which part of them it is."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[tuple[int, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.usable:
                self._entries[entry.size, _part_of(entry.path)].append(entry)

    def find(self, root: Path, video: Video) -> Entry | None:
        """An entry of the same bytes; a file is read only where the size is the same."""
        part = video.key.removeprefix(video.path)
        try:
            same_size = self._entries.get(((root / video.path).stat().st_size, part))
            digest = same_size and files.sha256_of_file(root / video.path)
        except OSError:
            return None
        found = [entry for entry in same_size or () if entry.digest == digest]
        return found[-1] if found else None


def _part_of(key: str) -> str:
    """`@start-end` at the end of the key of a part, else nothing."""
    match = _PART.search(key)
    return match[0] if match else ""


def _check_name(key: str) -> None:
    name = f"{PurePosixPath(key).name}.npy"
    if len(name.encode()) > _NAME_BYTES:
        raise VideoError(
            f"its name is too long for an array to be named after it ({len(name.encode())} of "
            f"{_NAME_BYTES} bytes)"
        )


def _cancel(futures: list[Future]) -> None:
    for future in futures:
        future.cancel()
