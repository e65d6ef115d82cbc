"""The feature cache: one folder a feature space, one array a video, and a manifest of both."""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violence_detection.datasets.manifest import MANIFEST_COLUMNS, ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.datasets.summary_cache import AvailableSummaries

_DIGITS = 8
_SETTINGS_KEYS = frozenset("complete dataset grouping fingerprint feature_space weights".split())


def dataset_name(root: Path, asked: str | None = None) -> str:
    """`asked`, or the folder's name and 8 hex digits of its real path."""
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
            folder: Where it is.
            journal: Of the shard that notes what it does; empty where there are none.
        """
        self.dir = folder.resolve()
        self.manifest_path = self.dir / "manifest.csv"
        self.former_path = self.dir / "manifest.former.csv"
        self.extraction_path = self.dir / "extraction.json"
        self._journal_path = self.dir / _journal_name(journal)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """A cache that extract-features left.

        Raises:
            CacheError: If `folder` is none.
        """
        cache = cls(Path(folder))
        for path in (cache.extraction_path, cache.manifest_path):
            if not path.is_file():
                raise CacheError(
                    f"Features must be a folder that extract-features left, with {path.name}. "
                    f"Received: {folder}"
                )
        return cache

    def array_path(self, key: str, view: int = 0) -> Path:
        """Where the features of a video are; 0 is the video as it is."""
        return self.dir / (f"{key}.view{view}.npy" if view else f"{key}.npy")

    def settings(self) -> dict[str, Any]:
        """What extraction.json holds.

        Raises:
            CacheError: If it cannot be read.
        """
        try:
            settings = json.loads(self.extraction_path.read_text())
        except (OSError, ValueError) as error:
            raise CacheError(f"{self.extraction_path} must be readable JSON. ({error})") from error
        if not isinstance(settings, dict) or not settings.keys() >= _SETTINGS_KEYS:
            raise CacheError(
                f"{self.extraction_path} must hold a JSON object with "
                f"{', '.join(sorted(_SETTINGS_KEYS))}. It was altered; start extract-features "
                "again."
            )
        return settings

    @property
    def video_dir(self) -> Path:
        """The folder of the videos, as it was at extraction."""
        return Path(self.settings()["dataset"]["dir"])

    @property
    def summaries_path(self) -> Path:
        """The summaries of a dataset's videos, which all its feature spaces share."""
        return self.dir.parent / "sights.npz"

    def summaries(
        self, entries: Sequence[ManifestEntry], kept: Path | None = None
    ) -> "AvailableSummaries":
        """Summaries of the videos behind some rows of the manifest.

        Args:
            entries: Rows of this manifest.
            kept: The file of the summaries made before; default: the dataset's.
        """
        from violence_detection.datasets import summary_cache  # which imports the decoder

        return summary_cache.summaries_of(
            entries, video_dir=self.video_dir, kept=kept or self.summaries_path
        )

    def space(self) -> FeatureSpace:
        return FeatureSpace.of(self.settings()["feature_space"])

    # -- the manifest

    def entries(self) -> list[ManifestEntry]:
        """Rows of the manifest, by path.

        Raises:
            CacheError: If the file is damaged.
        """
        return _read_entries(self.manifest_path)

    def former(self) -> list[ManifestEntry]:
        """Rows of videos that are gone, or are not there under this name, whose arrays are
        still here: a video that is moved or comes back is recognised by its content.

        Raises:
            CacheError: If the file is damaged.
        """
        return _read_entries(self.former_path)

    def known(self) -> dict[str, ManifestEntry]:
        """What is known of each video: the manifest, and after it what shards and killed runs
        noted."""
        return {entry.path: entry for entry in (*self.entries(), *self._noted())}

    def _noted(self) -> list[ManifestEntry]:
        """Rows of all journals, the oldest first."""
        found = []
        for path in sorted(self.dir.glob(_journal_name("*", ""))):
            for line in path.read_bytes().split(b"\n"):
                # A line torn by the kill is passed over; its video is read again.
                with contextlib.suppress(CacheError, ValueError):
                    row = json.loads(line)
                    found.append((float(row.pop("at", 0)), ManifestEntry.of(row)))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]

    def note(self, entry: ManifestEntry) -> None:
        """Add a row to the journal, so that a kill loses nothing that is done."""
        # The line break comes first: it ends a line that a kill has torn.
        line = "\n" + json.dumps(asdict(entry) | {"at": time.time()})
        try:
            with open(self._journal_path, "a", encoding="utf-8") as journal:
                journal.write(line)
        except OSError as error:
            raise files.write_error(self._journal_path, error) from error

    def write_manifest(self, entries: Iterable[ManifestEntry], busy: Collection[str] = ()) -> None:
        """Replace the manifest, and drop the journals that led to it, but for those of `busy`
        shards."""
        rows = sorted(entries, key=lambda entry: entry.path)
        usable = {entry.path for entry in rows if entry.usable}
        earlier = {
            entry.path: entry
            for entry in (*self.former(), *self.entries(), *self._noted())
            if entry.usable
        }
        former = [
            entry
            for path, entry in earlier.items()
            if path not in usable and self.array_path(path).is_file()
        ]
        # First, so that at a kill in between no row is in neither.
        if former or self.former_path.is_file():
            files.write_csv(self.former_path, MANIFEST_COLUMNS, map(asdict, former))
        files.write_csv(self.manifest_path, MANIFEST_COLUMNS, map(asdict, rows))
        kept = {_journal_name(shard) for shard in busy}
        for path in self.dir.glob(_journal_name("*", "")):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    # -- the arrays

    def write_arrays(self, key: str, features: np.ndarray) -> list[str]:
        """Write the views of a video, float16 (V, T, D); the SHA-256 of each file."""
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
        """Remove the arrays of a video, from view `first` on."""
        if first == 0:
            self.array_path(key).unlink(missing_ok=True)
        for view in itertools.count(max(1, first)):
            try:
                self.array_path(key, view).unlink()
            except OSError:  # none, or no name that it could have
                return

    def read_array(self, entry: ManifestEntry, shape: tuple[int, int], view: int = 0) -> np.ndarray:
        """The float16 (T, D) features of a video; damage is noticed by digest.

        Raises:
            CacheError: If the array is missing or is not what extraction wrote.
        """
        content = io.BytesIO(self.read_content(entry, shape, view))
        return np.load(content, allow_pickle=False)

    def read_content(self, entry: ManifestEntry, shape: tuple[int, int], view: int = 0) -> bytes:
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
                f"The array of {entry.path} must be float16 {shape}. Received: {_told(content)}"
            )
        return content

    def read_arrays(self, entry: ManifestEntry, shape: tuple[int, int]) -> np.ndarray:
        """Every view of a video, float16 (V, T, D); see `read_array`."""
        views = range(len(entry.digests))
        return np.stack([self.read_array(entry, shape, view) for view in views])

    def has_arrays(
        self, entry: ManifestEntry, shape: tuple[int, int], *, verify: bool, views: int = 0
    ) -> bool:
        """Whether the array and those of further views are there, each at its size or, with
        `verify`, to the bit."""
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


def _told(content: bytes) -> str:
    """What an array is that is not as it should be; one that is pickled could be anything."""
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
    columns = [name for name in MANIFEST_COLUMNS if name != "views"]
    return [ManifestEntry.of(row) for row in files.read_own_csv(path, columns)]


@functools.cache
def array_header(shape: tuple[int, int]) -> bytes:
    """What the .npy file of a float16 array of this shape begins with."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
    return content.getvalue()


def array_bytes(shape: tuple[int, int]) -> int:
    """Bytes of an .npy file with a float16 array of this shape."""
    return len(array_header(shape)) + 2 * shape[0] * shape[1]
