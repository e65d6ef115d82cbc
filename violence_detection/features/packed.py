"""All arrays of a cache in a single memory-mapped file, from which training and evaluation read.

The file `features.view<V>.<digits>.packed` in the cache's folder is the `.npy` files of a view of
all usable videos, byte for byte, one after another. Its digits are a digest of the list of array
digests in the manifest, so another manifest has another file. The file is built when it is first
needed, and again when it is damaged; it can be removed at any time.

Guarantee: the bytes of each row that is given out had the SHA-256 of the manifest at least once
since the file was opened. A damaged packed file is noticed and built again from the arrays, whose
digests are checked too. An array that is changed after packing does no harm: the packed file still
has what was extracted. Changes of the packed file while it is mapped are not noticed.
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

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features.cache import FeatureCache, array_bytes, array_header
from violence_detection.system import files, locks, progress

log = logging.getLogger(__name__)

_LOCK = ".packed.lock"
_DIGITS = 16
_CHUNKS = 64


class LazyRows:
    """Rows of an array that are read when they are indexed.

    Args:
        array: (M, ...), for example a mapped file.
        rows: int64 (N,), numbers of rows in `array`.
    """

    def __init__(self, array: "np.ndarray | LazyRows", rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        """A row, or a copy of the rows of a slice or of an array of numbers."""
        return self._array[self._rows[key]]


def read_packed(cache: FeatureCache, entries: Sequence[ManifestEntry], view: int = 0) -> LazyRows:
    """The features of some videos, float16 (M, T, D) or (M, N, T, D), each checked against its
    digest.

    Args:
        cache: The cache of a finished extraction.
        entries: Rows of its manifest.
        view: 0 is each video as it is.

    Raises:
        CacheError: If an array is missing or altered, and no sound packed file has it.
        ViolenceDetectionError: If the packed file can be written nowhere.
    """
    pack = _Pack(cache, cache.space().shape, view)
    try:
        rows = np.array([pack.rows[entry.digests[view]] for entry in entries], np.int64)
    except KeyError as error:
        raise CacheError(
            f"The manifest must not change while it is read. Received: {cache.dir} (another "
            "process extracts into it; start again when it is done)"
        ) from error
    return LazyRows(pack.array(rows), rows)


class _Pack:
    """The packed file of one view.

    Attributes:
        rows: Row number by the digest of an array.
    """

    def __init__(self, cache: FeatureCache, shape: tuple[int, ...], view: int) -> None:
        self._cache, self._shape, self._view = cache, shape, view
        self._all = [entry for entry in cache.entries() if entry.usable]
        self._entries = self._arrays(view)
        self.rows: Mapping[str, int] = {digest: row for row, digest in enumerate(self._entries)}
        self._path = self._path_of(view)

    def _arrays(self, view: int) -> dict[str, ManifestEntry]:
        """An entry for each digest of a view: videos with the same features share a row."""
        with_view = (entry for entry in self._all if len(entry.digests) > view)
        return {entry.digests[view]: entry for entry in with_view}

    def _path_of(self, view: int) -> Path:
        digits = files.sha256_of_json([self._shape, list(self._arrays(view))])
        return self._cache.dir / f"features.view{view}.{digits[:_DIGITS]}.packed"

    def array(self, rows: np.ndarray) -> np.ndarray:
        """All rows, mapped, float16 (M, T, D); the digests of `rows` are checked."""
        content = self._opened()
        if content is None or not self._is_sound(content, rows):
            content = self._build(damaged=content is not None)
            if not self._is_sound(content, rows):
                raise CacheError(
                    f"A packed file must be as it was written. Received: {self._path} (damaged "
                    "right after it was written: check the disk and the memory)"
                )
        header_bytes = len(array_header(self._shape))
        features = content[:, header_bytes:].view("<f2")
        return features.reshape(len(content), *self._shape)

    def _opened(self) -> np.ndarray | None:
        """The bytes of the file, mapped; None if it does not exist or has another size."""
        try:
            with open(self._path, "rb") as file:
                return self._mapped(file)
        except OSError:
            return None

    def _mapped(self, file: BinaryIO) -> np.ndarray | None:
        """The file as uint8 (M, bytes of an array); it stays mapped when it is closed."""
        shape = (len(self._entries), array_bytes(self._shape))
        if os.fstat(file.fileno()).st_size != shape[0] * shape[1]:
            return None
        return np.memmap(file, np.uint8, "r", shape=shape).view(np.ndarray)

    def _is_sound(self, content: np.ndarray, rows: np.ndarray) -> bool:
        """True if all rows have their digests; threads help, as hashing releases the GIL."""
        digests = list(self._entries)

        def is_sound(chunk: np.ndarray) -> bool:
            return all(hashlib.sha256(content[row]).hexdigest() == digests[row] for row in chunk)

        with ThreadPoolExecutor() as pool:
            return all(pool.map(is_sound, np.array_split(np.unique(rows), _CHUNKS)))

    def _build(self, *, damaged: bool) -> np.ndarray:
        """Packs in the cache's folder or, if it is not writable, in an unnamed temporary file."""
        try:
            with locks.acquire_waiting(
                FileLock(self._cache.dir / _LOCK),
                f"The features in {self._cache.dir} are being packed; waiting for that.",
            ):
                if damaged:
                    log.warning(f"{self._path} was damaged; it is packed again.")
                    self._path.unlink(missing_ok=True)
                content = self._opened()  # another process may have packed it meanwhile
                if content is None:
                    self._write_to_cache()
                    content = self._opened()
        except OSError as error:
            log.warning(
                f"{files.write_error(self._path, error)} The features are packed in "
                f"{tempfile.gettempdir()} instead, for this process only."
            )
            content = self._temporary()
        if content is None:
            raise CacheError(f"{self._path} must exist while it is read. It was removed.")
        return content

    def _write_to_cache(self) -> None:
        # Always the same name, under the lock: what a killed process left is overwritten.
        temporary = self._cache.dir / "features.packing"
        try:
            with open(temporary, "wb") as file:
                self._write(file)
            # No fsync: a file that a power cut tears is noticed and packed again.
            os.replace(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)
        views = range(max(len(entry.digests) for entry in self._all))
        kept = {self._path_of(view) for view in views}
        for path in self._cache.dir.glob("features.view*.packed"):
            if path not in kept:  # of an earlier manifest
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
