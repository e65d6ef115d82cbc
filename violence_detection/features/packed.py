"""All arrays of a cache in one memory-mapped file: what training and evaluation gather from.

The file `features.view<V>.<digits>.packed` in the cache's folder is the `.npy` files of one view of
every usable video, byte for byte, one after another. Its digits are those of the list of digests
that the manifest has for them, so another manifest has another file. It is built when it is first
needed and whenever it is not what it should be; to remove it costs nothing but the time.

What is guaranteed: before a row is given out, its bytes have had the SHA-256 that the manifest has
for that array, since the file was opened. So a packed file that was damaged is noticed and packed
again, once each array has its digest; an array that is altered after packing does no harm, because
what was extracted is still in here. What is done to the file while it is mapped is not noticed.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features.cache import FeatureCache, array_bytes, array_header
from violence_detection.system import files, locks, progress

log = logging.getLogger(__name__)

_LOCK = ".packed.lock"
_DIGITS = 16
_CHUNKS = 64


class LazyRows:
    """Some rows of an array, in memory only when they are asked for.

    Args:
        array: (M, ...), a mapped file for one.
        rows: int64 (N,), which of them, in which order.
    """

    def __init__(self, array: "np.ndarray | LazyRows", rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        """Row `key`, or a copy of the rows that a slice or an array of numbers names."""
        return self._array[self._rows[key]]


def read_packed(cache: FeatureCache, entries: Sequence[ManifestEntry], view: int = 0) -> LazyRows:
    """The features of some videos, float16 (N, T, D), each checked against its digest.

    Args:
        cache: Of a finished extraction.
        entries: Rows of its manifest.
        view: 0 is each video as it is.

    Raises:
        CacheError: If an array is missing or altered and the packed file cannot stand in.
        ViolenceDetectionError: If there is no room to pack in.
    """
    space = cache.space()
    pack = _Pack(cache, (space.frames, space.dim), view)
    try:
        rows = np.array([pack.rows[entry.digests[view]] for entry in entries], np.int64)
    except KeyError as error:
        raise CacheError(
            f"The manifest must stay as it is while it is read. Received: {cache.dir} (another "
            "extraction works in it; start again when it is done)"
        ) from error
    return LazyRows(pack.array(rows), rows)


class _Pack:
    """The packed file of one view.

    Attributes:
        rows: Number of the row of each array, by its digest.
    """

    def __init__(self, cache: FeatureCache, shape: tuple[int, int], view: int) -> None:
        self._cache, self._shape, self._view = cache, shape, view
        self._all = [entry for entry in cache.entries() if entry.usable]
        self._entries = self._arrays(view)
        self.rows: Mapping[str, int] = {digest: row for row, digest in enumerate(self._entries)}
        self._path = self._path_of(view)

    def _arrays(self, view: int) -> dict[str, ManifestEntry]:
        """By digest: videos with the same features share a row."""
        has_it = (entry for entry in self._all if len(entry.digests) > view)
        return {entry.digests[view]: entry for entry in has_it}

    def _path_of(self, view: int) -> Path:
        digits = files.sha256_of_json([self._shape, list(self._arrays(view))])
        return self._cache.dir / f"features.view{view}.{digits[:_DIGITS]}.packed"

    def array(self, rows: np.ndarray) -> np.ndarray:
        """Every row, mapped, float16 (M, T, D); those asked for are checked."""
        content = self._opened()
        if content is None or not self._is_sound(content, rows):
            content = self._build(damaged=content is not None)
            if not self._is_sound(content, rows):
                raise CacheError(
                    f"What is packed must be what was written. Received: {self._path} (damaged as "
                    "soon as it is written: the disk, or the memory, is not sound)"
                )
        header_bytes = len(array_header(self._shape))
        features = content[:, header_bytes:].view("<f2")
        return features.reshape(len(content), *self._shape)

    def _opened(self) -> np.ndarray | None:
        """What is in the file; None where there is none of this size."""
        try:
            with open(self._path, "rb") as file:
                return self._mapped(file)
        except OSError:
            return None

    def _mapped(self, file: BinaryIO) -> np.ndarray | None:
        """uint8 (M, bytes of an array), mapped beyond the closing of the file."""
        shape = (len(self._entries), array_bytes(self._shape))
        if os.fstat(file.fileno()).st_size != shape[0] * shape[1]:
            return None
        return np.memmap(file, np.uint8, "r", shape=shape).view(np.ndarray)

    def _is_sound(self, content: np.ndarray, rows: np.ndarray) -> bool:
        """Whether each of these rows has its digest; hashing lets go of the interpreter."""
        digests = list(self._entries)

        def is_sound(chunk: np.ndarray) -> bool:
            return all(hashlib.sha256(content[row]).hexdigest() == digests[row] for row in chunk)

        with ThreadPoolExecutor() as pool:
            return all(pool.map(is_sound, np.array_split(np.unique(rows), _CHUNKS)))

    def _build(self, *, damaged: bool) -> np.ndarray:
        """Pack in the cache's folder or, where that cannot be, for this process alone."""
        try:
            with locks.acquire_waiting(
                FileLock(self._cache.dir / _LOCK),
                f"The features in {self._cache.dir} are being packed; waiting for that.",
            ):
                if damaged:
                    log.warning(f"{self._path} was damaged; it is packed again.")
                    self._path.unlink(missing_ok=True)
                content = self._opened()  # of another, who was faster
                if content is None:
                    self._write_to_cache()
                    content = self._opened()
        except OSError as error:
            log.warning(
                f"{files.write_error(self._path, error)} The features are packed in "
                f"{tempfile.gettempdir()} instead, for this time."
            )
            content = self._temporary()
        if content is None:
            raise CacheError(f"{self._path} must stay while it is read. It is gone.")
        return content

    def _write_to_cache(self) -> None:
        # Always the same name: whoever holds the lock clears away what a killed one left.
        temporary = self._cache.dir / "features.packing"
        try:
            with open(temporary, "wb") as file:
                self._write(file)
            # Not synced: a file that a power cut tears is noticed and packed again.
            os.replace(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)
        views = range(max(len(entry.digests) for entry in self._all))
        kept = {self._path_of(view) for view in views}
        for path in self._cache.dir.glob("features.view*.packed"):
            if path not in kept:  # of a manifest that was
                path.unlink(missing_ok=True)

    def _temporary(self) -> np.ndarray:
        try:
            with tempfile.TemporaryFile() as file:  # has no name
                self._write(file)
                file.flush()
                return self._mapped(file)
        except OSError as error:
            raise files.write_error(Path(tempfile.gettempdir()), error) from error

    def _write(self, file: BinaryIO) -> None:
        with progress.track("Packing", len(self._entries), "videos") as tick:
            for entry in self._entries.values():
                file.write(self._cache.read_content(entry, self._shape, self._view))
                tick()
