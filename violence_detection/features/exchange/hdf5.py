"""HDF5 files of features: the format that `cache export` writes, and safe reading of any file.

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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violence_detection import units
from violence_detection.datasets.splitting.split_words import SPLITS
from violence_detection.datasets.table_files.manifest import LATER_COLUMNS, ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.features.extraction.extraction_record import ExtractionRecord
from violence_detection.features.feature_space import FeatureSpace
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
    "kind": str,
}
# A file of a few bytes can declare terabytes. Deflate makes 1032 bytes of one at most.
_MAX_EXPANSION = 1100
_MAX_TEXT_BYTES = 4096
_TEXTS_AT_ONCE = 4096


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
    kinds = {field.name: field.type for field in dataclasses.fields(space)} | {"parts": tuple}
    kinds = {name: {"str": str, "int": int}.get(kind, kind) for name, kind in kinds.items()}
    has_types = all(isinstance(getattr(space, name), kind) for name, kind in kinds.items())
    return has_types and all(map(_has_types, space.parts))


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
