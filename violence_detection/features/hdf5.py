"""Features in one HDF5 file: the export of a cache, and safe reading of files of others.

A file that `cache export` writes has these datasets of N videos, sorted by path:

- `features`, float16 (N, T, D), not compressed, each as it is in the cache.
- `labels`, int64 (N,), numbers of the attribute `classes`, the normal class first where it is
  recognised.
- `paths`, `groups`, `splits`, UTF-8 text (N,): the video, its recording, its part of the split.
- `split_sources`, text (N,): `given` by the dataset or `drawn`.
- `manifest/<column>` (N,): the other columns of manifest.csv, so that an import has them.

The root has the attributes `format`, `format_version`, `classes`, `dataset`, those of the feature
space (`backbone`, `stream`, `frames`, `dim`, ..., `fingerprint`), and `extraction`, the text of
extraction.json.
"""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection import units
from violence_detection.datasets import class_names, splits
from violence_detection.datasets.manifest import LATER_COLUMNS, ManifestEntry
from violence_detection.datasets.split_words import SPLITS
from violence_detection.datasets.videos import Problem
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.extraction_record import ExtractionRecord
from violence_detection.features.feature_space import FeatureSpace
from violence_detection.system import files, progress
from violence_detection.units import counted

if TYPE_CHECKING:
    import h5py

FORMAT = "violence-detection features"
FORMAT_VERSION = 1
SUFFIXES = (".h5", ".hdf5")
MANIFEST_TYPES = {
    "size": np.int64,
    "mtime": np.int64,
    "digest": str,
    "frames": np.int64,
    "fps": np.float64,
    "duration_s": np.float64,
    "status": str,
    "error": str,
    "camera": str,
    "recorded_at": str,
}
_BLOCK_BYTES = 64 << 20
# A file of a few bytes can declare terabytes. Deflate makes 1032 bytes of one at most.
_MAX_EXPANSION = 1100
_MAX_TEXT_BYTES = 4096
_TEXTS_AT_ONCE = 4096


@dataclass(frozen=True)
class CacheExportResult:
    """The result of an export, or of its dry run.

    Attributes:
        dry_run: True if nothing was written.
        path: The file.
        shape: N, T and D.
        bytes: The size of the file; of a dry run, that of the features in it.
        left_out: Videos without features.
    """

    dry_run: bool
    path: Path
    shape: tuple[int, int, int]
    bytes: int
    left_out: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "format": "h5",
            "path": str(self.path),
            "videos": self.shape[0],
            "shape": list(self.shape),
            "bytes": self.bytes,
            "left_out": [problem._asdict() for problem in self.left_out],
        }


class CacheExport:
    """Writes the features of a cache into one HDF5 file.

    Args:
        features: The folder that extract-features left.
        output: The file; None for the folder's name and `.h5`, in the working folder.
        force: A file that exists is replaced.
    """

    def __init__(self, features: str, *, output: str | None, force: bool) -> None:
        self._features, self._force = features, force
        self._output = output

    def prepare(self) -> CacheExportResult:
        """Reads the manifest and checks the output; nothing is written.

        Raises:
            CacheError: If the features are not those of a finished extraction.
            ConfigError: If the file exists and `force` is not given.
        """
        self.cache = FeatureCache.open(self._features)
        self.entries = sorted(dataset.usable_entries(self.cache), key=lambda entry: entry.path)
        space = self.cache.space()
        self.shape = (len(self.entries), space.frames, space.dim)
        self.path = Path(self._output or f"{self.cache.dir.name}.h5").absolute()
        if self.path.is_dir():
            raise ConfigError(f"--output must name a file. Received: {self.path} (a folder)")
        if self.path.exists() and not self._force:
            raise ConfigError(
                f"--output must not exist, or --force be given. Received: {self.path}"
            )
        failed = [entry for entry in self.cache.entries() if not entry.usable]
        return CacheExportResult(
            dry_run=True,
            path=self.path,
            shape=self.shape,
            bytes=2 * math.prod(self.shape),
            left_out=tuple(Problem(entry.path, entry.error) for entry in failed),
        )

    def run(self) -> CacheExportResult:
        """Writes the file; a reader never sees it before it is whole.

        Raises:
            CacheError: See `prepare`; also if an array is missing or altered.
            ViolenceDetectionError: If the file cannot be written.
        """
        import h5py

        result = self.prepare()
        temporary = self.path.with_name(f"{self.path.name[:20]}{files.temporary_mark()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(temporary, "w") as file:
                self._write(file)
            files.replace(temporary, self.path)
        except OSError as error:
            raise files.write_error(self.path, _with_errno(error)) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return dataclasses.replace(result, dry_run=False, bytes=self.path.stat().st_size)

    def _write(self, file: "h5py.File") -> None:
        import h5py

        text = h5py.string_dtype()
        record, entries = self.cache.record(), self.entries
        classes = ordered_classes(entry.label for entry in entries)
        # -- attributes
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "dataset": record.dataset.name,
            "fingerprint": record.space.fingerprint,
            "extraction": json.dumps(record.to_json(), ensure_ascii=False),
            **dataclasses.asdict(record.space),
        }
        file.attrs.update(attributes)
        file.attrs.create("classes", classes, dtype=text)
        # -- a row a video
        file["labels"] = np.array([classes.index(entry.label) for entry in entries], np.int64)
        sources = {
            row["path"]: row["source"]
            for row in splits.read_splits_csv(self.cache.dir.parent / "splits.csv")
        }
        columns = {
            "paths": [entry.path for entry in entries],
            "groups": [entry.group for entry in entries],
            "splits": [entry.split for entry in entries],
            "split_sources": [sources.get(entry.path, splits.GIVEN) for entry in entries],
        }
        for name, values in columns.items():
            file.create_dataset(name, data=values, dtype=text)
        for name, kind in MANIFEST_TYPES.items():
            values = [getattr(entry, name) for entry in entries]
            stored = text if kind is str else kind
            file.create_dataset(f"manifest/{name}", data=values, dtype=stored)
        self._write_features(file.create_dataset("features", self.shape, np.dtype("<f2")))

    def _write_features(self, features: "h5py.Dataset") -> None:
        rows = max(1, _BLOCK_BYTES // (2 * math.prod(self.shape[1:])))
        with progress.track("Exporting", len(self.entries), "videos") as step:
            for first in range(0, len(self.entries), rows):
                block = []
                for entry in self.entries[first : first + rows]:
                    block.append(self.cache.read_array(entry, self.shape[1:]))
                    step()
                features[first : first + len(block)] = np.stack(block)


def ordered_classes(names: Iterator[str]) -> list[str]:
    """Class names, the normal class first where it is recognised by its name, else sorted."""
    classes = sorted(set(names))
    with contextlib.suppress(ConfigError):
        normal = class_names.normal_class(classes)
        classes.sort(key=lambda name: name != normal)
    return classes


def _with_errno(error: OSError) -> OSError:
    """The system's own error, where HDF5 wrapped it: its number is in the text only."""
    if error.errno is None:
        for part in str(error).split("errno = ")[1:]:
            digits = part.split(",")[0]
            if digits.isdigit():
                return OSError(int(digits), str(error))
    return error


# -- reading a file of somebody else


@contextlib.contextmanager
def open_file(path: Path) -> Iterator["h5py.File"]:
    """An HDF5 file, open for reading.

    Raises:
        CacheError: If it is not one, or is damaged.
    """
    import h5py

    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise CacheError(
            f"FILE must be a readable HDF5 file. Received: {path} ({error})"
        ) from error
    try:
        with file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:  # as h5py says that a part is damaged
        raise CacheError(
            f"FILE must be an undamaged HDF5 file. Received: {path} ({error})"
        ) from error


def open_dataset(file: "h5py.File", key: str) -> "h5py.Dataset | None":
    """A dataset that lies in the file itself; None where nothing has this name.

    Args:
        file: Open for reading.
        key: Names of groups and of the dataset, with `/` in between.

    Raises:
        CacheError: If it leads to another file or declares far more than the file can hold.
    """
    import h5py

    item: Any = file
    for name in key.split("/"):
        if not isinstance(item, h5py.Group) or name in ("", ".", "..") or name not in item:
            return None
        if not isinstance(item.get(name, getlink=True), h5py.HardLink):
            raise _refusal(file, key, "a link, which is not followed")
        item = item[name]
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        return None
    if item.external or item.is_virtual:
        raise _refusal(file, key, "its values are in other files, which are not opened")
    declared, held = item.size, Path(file.filename).stat().st_size
    if declared * item.dtype.itemsize > _MAX_EXPANSION * held:
        raise _refusal(file, key, f"shape {item.shape} in a file of {counted(held, 'byte')}")
    return item


def _refusal(file: "h5py.File", key: str, received: str) -> CacheError:
    return CacheError(f"`{key}` must be a plain dataset of {file.filename}. Received: {received}")


def dataset_names(file: "h5py.File") -> list[str]:
    """Names of the datasets at the top of a file."""
    import h5py

    names = []
    for name in file:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.HardLink) and isinstance(file[name], h5py.Dataset):
            names.append(name)
    return names


def read_texts(file: "h5py.File", key: str, count: int) -> list[str] | None:
    """A column of UTF-8 texts; None where there is none.

    Raises:
        CacheError: If it does not have `count` texts of at most 4096 bytes.
    """
    import h5py

    column = open_dataset(file, key)
    if column is None:
        return None
    if h5py.check_string_dtype(column.dtype) is None or column.shape != (count,):
        raise _refusal(file, key, f"{column.dtype} {column.shape}, not {count} texts")
    texts = []
    for first in range(0, count, _TEXTS_AT_ONCE):
        for value in column[first : first + _TEXTS_AT_ONCE]:
            content = bytes(value)
            if len(content) > _MAX_TEXT_BYTES:
                raise _refusal(file, key, f"a text of {len(content)} bytes")
            try:
                texts.append(content.decode())
            except UnicodeDecodeError as error:
                raise _refusal(file, key, f"text that is not UTF-8 ({error})") from error
    return texts


def read_numbers(file: "h5py.File", key: str, count: int, kind: type) -> Sequence[Any]:
    """A column of numbers of the manifest, as Python has them.

    Raises:
        CacheError: If it is not `count` numbers of this type.
    """
    column = open_dataset(file, key)
    if column is None or column.shape != (count,) or column.dtype != np.dtype(kind):
        received = "nothing" if column is None else f"{column.dtype} {column.shape}"
        raise _refusal(file, key, f"{received}, not {count} of {np.dtype(kind)}")
    return column[:].tolist()


def read_export_record(file: "h5py.File") -> ExtractionRecord | None:
    """The record of a file that `cache export` wrote; None for a file of another program.

    Raises:
        CacheError: If it is of a newer format, or its attributes were altered.
    """
    if file.attrs.get("format") != FORMAT:
        return None
    version = file.attrs.get("format_version")
    if not isinstance(version, (int, np.integer)) or version > FORMAT_VERSION:
        raise CacheError(
            f"The file's format must be <= {FORMAT_VERSION}. Received: {version} in "
            f"{file.filename} (made by a newer version of this program)"
        )
    try:
        record = ExtractionRecord.from_json(json.loads(file.attrs["extraction"]))
        origin, weights = record.dataset, record.weights
        texts = (origin.name, origin.dir, record.grouping, weights.source)
        sound = all(isinstance(text, str) for text in texts)
        sound = sound and isinstance(record.ungrouped, int)
        # The name of the feature space becomes that of a folder.
        sound = sound and _has_types(record.space) and units.is_name(record.space.name)
    except (CacheError, AttributeError, KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise CacheError(
            f"The attribute `extraction` must hold extraction.json. Received: {file.filename} (it "
            "was altered)"
        )
    return record


def _has_types(space: FeatureSpace) -> bool:
    """True if every field of a feature space is of its type."""
    fields = dataclasses.fields(space)
    kinds = {field.name: {"str": str, "int": int}.get(field.type, field.type) for field in fields}
    return all(isinstance(getattr(space, name), kind) for name, kind in kinds.items())


def read_export_entries(file: "h5py.File") -> list[ManifestEntry]:
    """Rows of the manifest of a file that `cache export` wrote, without digests of arrays.

    Raises:
        CacheError: If a column is missing or was altered.
    """
    column = open_dataset(file, "labels")
    if column is None or column.ndim != 1:
        raise _refusal(file, "labels", "nothing" if column is None else f"shape {column.shape}")
    count, classes = len(column), [str(name) for name in file.attrs.get("classes", ())]
    numbers = read_numbers(file, "labels", count, np.int64)
    if count and not (min(numbers) >= 0 and max(numbers) < len(classes)):
        raise _refusal(file, "labels", f"numbers that the attribute `classes`, {classes}, lacks")
    values: dict[str, Sequence[Any]] = {"label": [classes[number] for number in numbers]}
    texts = {"path": "paths", "group": "groups", "split": "splits"}
    texts |= {name: f"manifest/{name}" for name, kind in MANIFEST_TYPES.items() if kind is str}
    for name, key in texts.items():
        column = read_texts(file, key, count)
        if column is None and name in LATER_COLUMNS:
            column = [""] * count
        if column is None:
            raise _refusal(file, key, "nothing")
        values[name] = column
    for name, kind in MANIFEST_TYPES.items():
        if kind is not str:
            values[name] = read_numbers(file, f"manifest/{name}", count, kind)
    for name, allowed in {"split": SPLITS, "status": ("ok", "damaged")}.items():
        if not set(values[name]) <= set(allowed):
            unknown = min(set(values[name]) - set(allowed))
            raise _refusal(file, name, f"{unknown!r}, not one of {', '.join(allowed)}")
    return [
        ManifestEntry(**{name: column[row] for name, column in values.items()})
        for row in range(count)
    ]
