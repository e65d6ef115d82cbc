"""The feature cache: a folder for each feature space, an array for each video, a manifest."""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from violence_detection import units
from violence_detection.datasets.dataset_origin import DatasetOrigin
from violence_detection.datasets.table_files.manifest import (
    LATER_COLUMNS,
    MANIFEST_COLUMNS,
    ManifestEntry,
)
from violence_detection.errors import CacheError
from violence_detection.features import space_lookup
from violence_detection.features.extraction.extraction_record import KEYS, ExtractionRecord
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.datasets.summaries.summary_cache import AvailableSummaries

_DIGITS = 8


def dataset_name(root: Path, asked: str | None = None) -> str:
    """The name of a dataset: `asked`, or the folder's name and 8 hex digits of its real path."""
    if asked is not None:
        return asked
    real = root.resolve()
    digits = hashlib.sha256(str(real).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{real.name or 'root'}-{digits}"


class FeatureCache:
    """The folder of one feature space of one dataset."""

    def __init__(self, folder: Path, journal: str = "") -> None:
        """
        Args:
            folder: The folder of the cache.
            journal: Name of the shard that writes to it; empty without shards.
        """
        self.dir = folder.resolve()
        self.manifest_path = self.dir / "manifest.csv"
        self.former_path = self.dir / "manifest.former.csv"
        self.extraction_path = self.dir / "extraction.json"
        self._journal_path = self.dir / _journal_name(journal)

    @classmethod
    def open(cls, folder: str | Path, *, cache_dir: str | Path = "feature_cache") -> Self:
        """The cache in a folder that extract-features left.

        Args:
            folder: The folder, or the dataset of a single one; see `space_lookup.find_space`.
            cache_dir: The folder of the datasets, where `folder` is the name of one.

        Raises:
            CacheError: If the folder has no extraction.json or no manifest, or the dataset has
                several.
        """
        cache = cls(space_lookup.find_space(folder, cache_dir=cache_dir))
        for path in (cache.extraction_path, cache.manifest_path):
            if not path.is_file():
                raise CacheError(
                    f"Features must be a folder that extract-features left, with {path.name}. "
                    f"Received: {units.shown_path(folder)}."
                    f"{space_lookup.advice(folder, cache_dir=cache_dir)}"
                )
        return cache

    def array_path(self, key: str, view: int = 0) -> Path:
        """The file of a video's features; view 0 is the video as it is."""
        return self.dir / (f"{key}.view{view}.npy" if view else f"{key}.npy")

    def record(self) -> ExtractionRecord:
        """The content of extraction.json.

        Raises:
            CacheError: If it cannot be read, or lacks a key.
        """
        try:
            settings = json.loads(self.extraction_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CacheError(f"{self.extraction_path} must be readable JSON. ({error})") from error
        if not isinstance(settings, dict) or not settings.keys() >= KEYS:
            raise CacheError(
                f"{self.extraction_path} must hold a JSON object with {', '.join(sorted(KEYS))}. "
                "It was edited; run extract-features again."
            )
        try:
            return ExtractionRecord.from_json(settings)
        except (AttributeError, KeyError, TypeError) as error:
            raise CacheError(
                f"{self.extraction_path} must hold the dataset, its recordings and the weights. It "
                f"was edited ({error}); run extract-features again."
            ) from error

    def write_record(self, record: ExtractionRecord) -> None:
        """Replaces extraction.json."""
        files.write_json(self.extraction_path, record.to_json())

    @property
    def origin(self) -> DatasetOrigin:
        """The dataset that the features were extracted from."""
        return self.record().dataset

    @property
    def video_dir(self) -> Path:
        """The folder that the videos were in at extraction."""
        return Path(self.origin.dir)

    @property
    def summaries_path(self) -> Path:
        """The file of the dataset's video summaries, which all its feature spaces share."""
        return self.dir.parent / "sights.npz"

    def summaries(
        self, entries: Sequence[ManifestEntry], path: Path | None = None
    ) -> "AvailableSummaries":
        """Summaries of the videos behind some rows of the manifest.

        Args:
            entries: Rows of this manifest.
            path: The file of summaries; default: the dataset's.
        """
        from violence_detection.datasets.summaries import summary_cache

        return summary_cache.summaries_of(
            entries, video_dir=self.video_dir, path=path or self.summaries_path
        )

    def space(self) -> FeatureSpace:
        return self.record().space

    # -- the manifest

    def entries(self) -> list[ManifestEntry]:
        """Rows of the manifest, by path.

        Raises:
            CacheError: If the file is damaged.
        """
        return _read_entries(self.manifest_path)

    def former_entries(self) -> list[ManifestEntry]:
        """Rows of videos that are no longer in the folder under that name, whose arrays remain.

        A video that is moved, or comes back, is recognised by its content and takes the array.

        Raises:
            CacheError: If the file is damaged.
        """
        return _read_entries(self.former_path)

    def latest_entries(self) -> dict[str, ManifestEntry]:
        """The last row of each video, by path: in the manifest, or in a journal that shards and
        killed extractions left."""
        return {entry.path: entry for entry in (*self.entries(), *self._journal_entries())}

    def _journal_entries(self) -> list[ManifestEntry]:
        """Rows of all journals, the oldest first."""
        rows = []
        for path in sorted(self.dir.glob(_journal_name("*", ""))):
            for line in path.read_bytes().split(b"\n"):
                # A line torn by the kill is ignored; its video is read again.
                with contextlib.suppress(CacheError, ValueError):
                    row = json.loads(line)
                    rows.append((float(row.pop("at", 0)), ManifestEntry.from_row(row)))
        return [entry for _, entry in sorted(rows, key=lambda pair: pair[0])]

    def append_to_journal(self, entry: ManifestEntry) -> None:
        """Adds a row to the journal, so that a kill loses no finished video."""
        # The line break comes first: it ends a line that a kill has torn.
        line = "\n" + json.dumps(asdict(entry) | {"at": time.time()})
        try:
            with open(self._journal_path, "a", encoding="utf-8") as journal:
                journal.write(line)
        except OSError as error:
            raise files.write_error(self._journal_path, error) from error

    def write_manifest(self, entries: Iterable[ManifestEntry], busy: Collection[str] = ()) -> None:
        """Replaces the manifest and removes the journals that are in it now.

        Args:
            entries: All rows.
            busy: Names of shards that are still extracting; their journals stay.
        """
        rows = sorted(entries, key=lambda entry: entry.path)
        usable = {entry.path for entry in rows if entry.usable}
        earlier = {
            entry.path: entry
            for entry in (*self.former_entries(), *self.entries(), *self._journal_entries())
            if entry.usable
        }
        former = [
            entry
            for path, entry in earlier.items()
            if path not in usable and self.array_path(path).is_file()
        ]
        # The former rows first: a kill between the two files must lose no row.
        if former or self.former_path.is_file():
            files.write_csv(self.former_path, MANIFEST_COLUMNS, map(asdict, former))
        files.write_csv(self.manifest_path, MANIFEST_COLUMNS, map(asdict, rows))
        kept = {_journal_name(shard) for shard in busy}
        for path in self.dir.glob(_journal_name("*", "")):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    # -- the arrays

    def write_arrays(self, key: str, features: np.ndarray) -> list[str]:
        """Writes the views of a video, float16 (V, ...); returns the SHA-256 of each file."""
        digests = []
        for view, array in enumerate(features):
            content = io.BytesIO()
            np.save(content, array.astype(np.float16), allow_pickle=False)
            with files.writing(self.array_path(key, view)) as file:
                file.write(content.getvalue())
            digests.append(hashlib.sha256(content.getvalue()).hexdigest())
        self.drop_arrays(key, len(features))
        return digests

    def drop_arrays(self, key: str, first: int = 0) -> None:
        """Removes the arrays of a video, from view `first` on."""
        if first == 0:
            self.array_path(key).unlink(missing_ok=True)
        for view in itertools.count(max(1, first)):
            try:
                self.array_path(key, view).unlink()
            except OSError:  # no such file, or a name that is too long for one
                return

    def read_array(self, entry: ManifestEntry, shape: tuple[int, ...], view: int = 0) -> np.ndarray:
        """The float16 (T, D) features of a video, checked against their digest.

        Raises:
            CacheError: If the array is missing or is not what extraction wrote.
        """
        content = io.BytesIO(self.read_content(entry, shape, view))
        return np.load(content, allow_pickle=False)

    def read_content(self, entry: ManifestEntry, shape: tuple[int, ...], view: int = 0) -> bytes:
        """The whole `.npy` file behind `read_array`, `array_bytes(shape)` long."""
        path = self.array_path(entry.path, view)
        if view >= len(entry.digests):
            raise CacheError(
                f"There must be {counted(view, 'further view')} of {entry.path}. Received: "
                f"{len(entry.digests) - 1} (extract-features --views {view})"
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CacheError(
                f"The array of {entry.path} cannot be read: {error.strerror}."
            ) from error
        if hashlib.sha256(content).hexdigest() != entry.digests[view]:
            raise CacheError(
                f"The array of {entry.path} must be what extract-features wrote; it was altered: "
                f"{path}. Start extract-features --verify to make it again."
            )
        if not content.startswith(array_header(shape)):
            raise CacheError(
                f"The array of {entry.path} must be float16 {shape}. "
                f"Received: {_describe_array(content)}"
            )
        return content

    def read_arrays(self, entry: ManifestEntry, shape: tuple[int, ...]) -> np.ndarray:
        """Every view of a video, float16 (V, T, D); see `read_array`."""
        views = range(len(entry.digests))
        return np.stack([self.read_array(entry, shape, view) for view in views])

    def arrays_exist(
        self, entry: ManifestEntry, shape: tuple[int, ...], *, verify: bool, views: int = 0
    ) -> bool:
        """True if the array and at least `views` further views exist.

        Args:
            entry: Row of the manifest.
            shape: T and D.
            verify: Compare digests, not sizes only.
            views: Further views that are needed.
        """
        if len(entry.digests) <= views:
            return False
        try:
            if verify:
                self.read_arrays(entry, shape)
                return True
            return all(
                self.array_path(entry.path, view).stat().st_size == array_bytes(shape)
                for view in range(len(entry.digests))
            )
        except (CacheError, OSError):
            return False


def _describe_array(content: bytes) -> str:
    """The type and shape of a `.npy` file, or why it has none; nothing pickled is loaded."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        return str(error)
    return f"{array.dtype} {array.shape}"


def _journal_name(shard: str, dot: str = ".") -> str:
    return f"manifest.journal{shard and dot}{shard}.jsonl"


def _read_entries(path: Path) -> list[ManifestEntry]:
    if not path.is_file():
        return []
    columns = [name for name in MANIFEST_COLUMNS if name not in LATER_COLUMNS]
    return [ManifestEntry.from_row(row) for row in files.read_own_csv(path, columns)]


@functools.cache
def array_header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of the .npy file of a float16 array of this shape."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


def array_bytes(shape: tuple[int, ...]) -> int:
    """The size of an .npy file with a float16 array of this shape, in bytes."""
    return len(array_header(shape)) + 2 * math.prod(shape)
