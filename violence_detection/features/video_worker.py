"""From videos to arrays in the cache, on one machine: decoding in children beside encoding here."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from os import cpu_count
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import NamedTuple

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_folder import Video
from violence_detection.errors import VideoError
from violence_detection.features.cache import FeatureCache
from violence_detection.features.config import ExtractConfig
from violence_detection.features.extractor import FeatureExtractor
from violence_detection.system import files, processes
from violence_detection.system.processes import ProcessPool
from violence_detection.video import views
from violence_detection.video.clip_reader import Clip

NO_SUCH_FILE = "no such file"
_NAME_BYTES = 255


class VideoResult(NamedTuple):
    """What came of a video.

    Attributes:
        entry: Its row of the manifest, without a split; of status `failed` where it has no
            array.
        decode_s: Seconds that its decoding took.
    """

    entry: ManifestEntry
    decode_s: float


class _DecodedVideo(NamedTuple):
    done: VideoResult
    clip: Clip | None


class VideoWorker:
    """Turns videos of a folder into arrays of a cache."""

    def __init__(
        self,
        root: Path,
        cache: FeatureCache,
        extractor: FeatureExtractor,
        config: ExtractConfig,
    ) -> None:
        """
        Args:
            root: The folder of the videos.
            cache: Where the arrays go.
            extractor: Makes the features.
            config: How many are decoded at a time, and for how long at the most.
        """
        self._root, self._cache, self._extractor = root, cache, extractor
        self._decoders = config.workers or cpu_count() or 1
        self._timeout_s, self._views = config.video_timeout, config.views
        # A child has each picture as a frame's part, in the clip, and pickled.
        pictures = (1 + config.views) * extractor.pictures_of_a_clip
        self._clip_bytes = pictures * 3 * extractor.space.frame_size**2

    def work(self, videos: Iterable[Video], note: Callable[[VideoResult], None]) -> None:
        """Write the array of each video that has one.

        Memory does not grow with the number of videos.

        Args:
            videos: Which ones.
            note: Is told what came of each, as it is done; what it raises ends the work.
        """
        with contextlib.closing(self._decoded(iter(videos), note)) as decoded:
            for one, features in self._extractor.encode_clips(decoded):
                note(self._kept(one, features))

    def _decoded(
        self, videos: Iterator[Video], note: Callable[[VideoResult], None]
    ) -> Iterator[tuple[_DecodedVideo, np.ndarray]]:
        """The clips, as they are decoded: a slow one holds no other up. Those that cannot be
        read are noted."""
        decoded = processes.map_unordered(
            self._decode,
            videos,
            children=self._decoders,
            memory_bytes=processes.MEMORY_LIMIT_BYTES + 3 * self._clip_bytes,
        )
        with contextlib.closing(decoded):
            for one in decoded:
                if one.clip is None:
                    note(one.done)
                else:
                    pictures = one.clip.views
                    yield one, pictures.reshape(-1, *pictures.shape[2:])

    def _decode(self, video: Video, call: ProcessPool) -> _DecodedVideo:
        path = self._root / video.path
        entry = unread_entry(self._root, video)
        start_s = time.monotonic()
        clip = None
        try:
            if not S_ISREG(path.stat().st_mode):  # reading a pipe waits for ever
                raise VideoError("it is not a plain file")
            check_array_name(video.key, self._views)
            digest = files.sha256_of_unchanged(path)
            entry = dataclasses.replace(entry, digest=digest)
            clip = call(
                self._extractor.reader.read,
                path,
                video.start_s,
                video.end_s,
                views.draw_views(self._views, entry.digest),
                timeout_s=self._timeout_s,
            )
        except VideoError as error:
            entry = _failed(entry, str(error))
        except OSError as error:
            entry = _failed(entry, failure_reason(error))
        return _DecodedVideo(VideoResult(entry, time.monotonic() - start_s), clip)

    def _kept(self, one: _DecodedVideo, features: np.ndarray) -> VideoResult:
        entry, clip = one.done.entry, one.clip
        if not np.isfinite(features).all():
            entry = _failed(entry, "its features are not finite in float16")
        else:
            features = features.reshape(len(clip.views), -1, features.shape[-1])
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
        return one.done._replace(entry=entry)


def unread_entry(root: Path, video: Video) -> ManifestEntry:
    """The row of a video of which no more is known than its size and time, where it is there."""
    entry = ManifestEntry(path=video.key, label=video.label, group=video.group, split="")
    try:
        stat = (root / video.path).stat()
    except OSError:
        return entry
    return dataclasses.replace(entry, size=stat.st_size, mtime=stat.st_mtime_ns)


def failure_reason(error: OSError) -> str:
    """Why a video has failed, where the system refuses it."""
    if isinstance(error, FileNotFoundError):
        return NO_SUCH_FILE
    return f"it cannot be read: {error.strerror}"


def _failed(entry: ManifestEntry, reason: str) -> ManifestEntry:
    return dataclasses.replace(entry, status="failed", error=reason)


def check_array_name(key: str, views: int) -> None:
    """A video's arrays are named after it.

    Raises:
        VideoError: If there is no room for the ending.
    """
    name = PurePosixPath(key).name + (f".view{views}.npy" if views else ".npy")
    if len(name.encode()) > _NAME_BYTES:
        raise VideoError(
            f"its name is too long for an array to be named after it ({len(name.encode())} of "
            f"{_NAME_BYTES} bytes)"
        )
