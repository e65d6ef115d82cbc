"""Extraction on one machine: child processes decode videos, this process encodes and writes."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from os import cpu_count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.datasets.videos import Video
from violence_detection.errors import VideoError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import video_file, views
from violence_detection.video.clip_reader import Clip

NO_SUCH_FILE = "no such file"
_NAME_BYTES = 255
# Grey levels between the darkest and the brightest value that a place of a clip has over time. One
# repeated picture had up to 30 by its encoder's noise; of 40 real clips none had under 136.
_STILL_LEVELS = 32
_STILL = "nothing moves in it; `check` says whether it is frozen or black"


class VideoResult(NamedTuple):
    """The result of the extraction of a video.

    Attributes:
        entry: Its row of the manifest, without a split; of status `failed` if it has no array.
        decode_s: Seconds that its decoding took.
        notes: What is odd about the file, although it is read; mostly empty.
    """

    entry: ManifestEntry
    decode_s: float
    notes: tuple[str, ...] = ()


class _DecodedVideo(NamedTuple):
    result: VideoResult  # not final before its array is written
    clip: Clip | None  # None if it could not be decoded


class DecodingSettings(NamedTuple):
    """The settings of a `VideoWorker` that concern decoding.

    Attributes:
        workers: Videos decoded at a time; None for the number of cores.
        timeout_s: Seconds after which a video counts as unreadable.
        views: Further views of each video.
        view_kinds: See `views.draw_views`.
    """

    workers: int | None
    timeout_s: float
    views: int
    view_kinds: tuple[str, ...] = ()


class VideoWorker:
    """Extracts videos of a folder into arrays of a cache."""

    def __init__(
        self,
        root: Path,
        cache: FeatureCache,
        extractor: FeatureExtractor,
        decoding: DecodingSettings,
    ) -> None:
        """
        Args:
            root: The folder of the videos.
            cache: The cache of the arrays.
            extractor: Reads and encodes the videos.
            decoding: How the videos are decoded.
        """
        self._root, self._cache, self._extractor = root, cache, extractor
        self._decoders = decoding.workers or cpu_count() or 1
        self._timeout_s, self._views = decoding.timeout_s, decoding.views
        self._view_kinds = decoding.view_kinds
        images = (1 + decoding.views) * extractor.images_per_clip
        self._clip_bytes = images * 3 * extractor.space.frame_size**2

    def extract(self, videos: Iterable[Video], on_result: Callable[[VideoResult], None]) -> None:
        """Writes the array of each video that can be read.

        Memory does not grow with the number of videos.

        Args:
            videos: The videos.
            on_result: Called with the result of each video, in the order in which they finish;
                an error that it raises ends the work.
        """
        with contextlib.closing(self._decode_all(iter(videos), on_result)) as decoded:
            for video, features in self._extractor.encode_clips(decoded):
                on_result(self._write(video, features))

    def _decode_all(
        self, videos: Iterator[Video], on_result: Callable[[VideoResult], None]
    ) -> Iterator[tuple[_DecodedVideo, np.ndarray]]:
        """The clips, in the order in which their decoding ends: a slow video delays no other.

        The results of videos that cannot be read are passed on here.
        """
        decoded = processes.map_unordered(
            self._decode,
            videos,
            children=self._decoders,
            # A child holds each image three times: cut from its frame, in the clip, and pickled.
            memory_bytes=processes.MEMORY_LIMIT_BYTES + 3 * self._clip_bytes,
        )
        with contextlib.closing(decoded):
            for video in decoded:
                if video.clip is None:
                    on_result(video.result)
                else:
                    images = video.clip.views
                    yield video, images.reshape(-1, *images.shape[2:])

    def _decode(self, video: Video, call: ProcessPool) -> _DecodedVideo:
        path = self._root / video.path
        entry = unread_entry(self._root, video)
        start_s = time.monotonic()
        clip = None
        try:
            if not video_file.state_of(path).is_plain:  # reading a pipe would wait for ever
                raise VideoError("it is not a plain file")
            check_array_name(video.key, self._views)
            digest = video_file.digest_of(path)
            entry = dataclasses.replace(entry, digest=digest)
            clip = call(
                self._extractor.reader.read,
                path,
                video.start_s,
                video.end_s,
                views.draw_views(self._views, entry.digest, self._view_kinds),
                timeout_s=self._timeout_s,
                timeout_option="--video-timeout-s",
            )
        except VideoError as error:
            entry = _failed(entry, str(error))
        except OSError as error:
            entry = _failed(entry, failure_reason(error))
        return _DecodedVideo(VideoResult(entry, time.monotonic() - start_s), clip)

    def _write(self, video: _DecodedVideo, features: np.ndarray) -> VideoResult:
        entry, clip = video.result.entry, video.clip
        if not np.isfinite(features).all():
            entry = _failed(entry, "its features are not finite in float16")
        else:
            features = features.reshape(len(clip.views), *self._extractor.space.shape)
            digest, *of_views = self._cache.write_arrays(entry.path, features)
            entry = dataclasses.replace(
                entry,
                array_digest=digest,
                views=" ".join(of_views),
                frames=clip.frames,
                fps=round(clip.fps, 6),
                duration_s=round(clip.duration_s, 6),
                status="damaged" if clip.damage else "ok",
                error=clip.damage,
            )
        still = (_STILL,) if _is_still(clip.views[0]) else ()
        return video.result._replace(entry=entry, notes=(*clip.notes, *still))


def unread_entry(root: Path, video: Video) -> ManifestEntry:
    """The row of a video that was not read: its size and time, if the file exists."""
    entry = ManifestEntry(
        path=video.key,
        label=video.label,
        group=video.group,
        split="",
        camera=video.camera,
        recorded_at=video.recorded_at,
        kind=video.kind,
    )
    try:
        state = video_file.state_of(root / video.path)
    except (OSError, VideoError):
        return entry
    return dataclasses.replace(entry, size=state.size, mtime=state.mtime_ns)


def _is_still(images: np.ndarray) -> bool:
    """True if no place of the images of a clip changes by more than an encoder's noise.

    Args:
        images: uint8 (T, ...).
    """
    change = images.max(0) - images.min(0)
    return len(images) > 1 and int(change.max()) <= _STILL_LEVELS


def failure_reason(error: OSError | VideoError) -> str:
    """The reason in the manifest for a video that is not opened."""
    if isinstance(error, VideoError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return NO_SUCH_FILE
    return f"it cannot be read: {error.strerror}"


def _failed(entry: ManifestEntry, reason: str) -> ManifestEntry:
    return dataclasses.replace(entry, status="failed", error=reason)


def check_array_name(key: str, views: int) -> None:
    """Checks that the array files, which are named after the video, have a valid name.

    Raises:
        VideoError: If the name is too long for a file.
    """
    name = PurePosixPath(key).name + (f".view{views}.npy" if views else ".npy")
    if len(name.encode()) > _NAME_BYTES:
        raise VideoError(
            f"its name is too long for an array to be named after it ({len(name.encode())} of "
            f"{_NAME_BYTES} bytes)"
        )
