"""A file of features that another program left: its clips, labels, paths and recordings."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features.exchange import hdf5
from violence_detection.features.exchange.imported_labels import (
    clip_rows,
    columns_beside,
    columns_inside,
    count_text,
)
from violence_detection.features.exchange.npy_file import open_npy
from violence_detection.features.extraction.extraction_record import ExtractionRecord

_BLOCK_BYTES = 64 << 20
_MAX_CLIPS, _MAX_SEGMENTS, _MAX_FRAMES, _MAX_DIM = 10_000_000, 1024, 1024, 1 << 16


@dataclass(frozen=True)
class ImportedFile:
    """N clips of a file, before their numbers are checked.

    Attributes:
        path: The file.
        features: float (N, T, D), or (N, S, T, D) of videos in S segments, in memory only where it
            is sliced.
        rows: Label, path, recording and split of each clip, what is not given being empty.
        record: The record of the extraction, where `cache export` wrote the file.
        split_sources: `given` or `drawn` for each clip, where `cache export` wrote the file.
    """

    path: Path
    features: Any
    rows: list[ManifestEntry]
    record: ExtractionRecord | None = None
    split_sources: tuple[str, ...] = ()

    def blocks(self) -> Iterator[np.ndarray]:
        """Consecutive clips, float (B, T, D) or (B, S, T, D), at most 64 MiB at a time."""
        count = len(self.rows)
        row_bytes = self.features.dtype.itemsize * math.prod(self.features.shape[1:])
        step = max(1, _BLOCK_BYTES // row_bytes)
        chunk = (getattr(self.features, "chunks", None) or (1,))[0]
        if chunk <= step:  # a chunk is then decompressed once
            step -= step % chunk
        for first in range(0, count, step):
            yield self.features[first : first + step]


def to_float16(clips: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Clips rounded to float16, and why each cannot be used.

    Args:
        clips: float (B, T, D) or (B, S, T, D).

    Returns:
        The same in float16, and B reasons, empty where a clip can be used.
    """
    finite = np.isfinite(clips).reshape(len(clips), -1).all(axis=1)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = clips.astype("<f2", order="C")
    in_range = np.isfinite(rounded).reshape(len(clips), -1).all(axis=1)
    reasons = []
    for row, clip in enumerate(rounded):
        if not finite[row]:
            reasons.append("its features are not all finite (NaN or infinity)")
        elif not in_range[row]:
            reasons.append("its features are beyond the range of float16, -65504 to 65504")
        elif not clip.any():
            reasons.append("its features are all zeros, as of a video that could not be read")
        else:
            reasons.append("")
    return rounded, reasons


@contextlib.contextmanager
def open_imported(
    path: Path,
    *,
    labels_path: Path | None,
    classes: Sequence[str],
    features_key: str,
    labels_key: str,
) -> Iterator[ImportedFile]:
    """Opens a `.npy` or HDF5 file of features with its labels.

    Args:
        path: The file of the features (N, T, D), or (N, S, T, D) of videos in S segments.
        labels_path: A `.npy` file of N numbers, names or rows of a one-hot matrix, or a `.csv`
            file with the column `label` and, where they are known, `path`, `group`, `split` and
            `duration_s`; None for the labels in an HDF5 file, or a file of the same name in which
            `features` is `labels`.
        classes: Names of the labels 0, 1, ...
        features_key, labels_key: Names of the datasets in an HDF5 file.

    Raises:
        ConfigError: If labels are numbers without `classes`, or there are none.
        CacheError: If a file cannot be read, or is not of the shape and type above.
    """
    if not path.is_file():
        raise CacheError(f"FILE must be a file of features. Received: {path} (does not exist)")
    if path.suffix.lower() == ".npy":
        features = open_npy(path)
        count = _check_features(path, features)
        columns = columns_beside(path, labels_path, count, classes)
        yield ImportedFile(path, features, clip_rows(path, columns, count))
    elif path.suffix.lower() in hdf5.SUFFIXES:
        with hdf5.open_file(path) as file:
            features = hdf5.open_dataset(file, features_key)
            if features is None:
                raise CacheError(
                    f"The file must have the dataset `{features_key}` (--features-key). Received: "
                    f"{path} with {', '.join(hdf5.dataset_names(file)) or 'none'}"
                )
            count = _check_features(path, features)
            record = hdf5.read_export_record(file)
            if record is not None:
                yield _read_export(path, file, features, record)
                return
            columns = columns_inside(file, labels_key, count, classes)
            if labels_path or "label" not in columns:
                columns |= columns_beside(path, labels_path, count, classes)
            yield ImportedFile(path, features, clip_rows(path, columns, count))
    else:
        raise ConfigError(f"FILE must end in .npy, .h5 or .hdf5. Received: {path}")


def _read_export(path: Path, file: Any, features: Any, record: ExtractionRecord) -> ImportedFile:
    rows = hdf5.read_export_entries(file)
    if len(rows) != len(features):
        raise CacheError(count_text(path, len(rows), len(features)))
    sources = hdf5.read_texts(file, "split_sources", len(rows)) or ()
    return ImportedFile(path, features, rows, record, tuple(sources))


def _check_features(path: Path, features: Any) -> int:
    """N, once the features are float (N, T, D) or (N, S, T, D)."""
    shape, dtype = features.shape, features.dtype
    if len(shape) not in (3, 4):
        raise CacheError(
            "Features must be (N, T, D): clips, frames, numbers of a frame; or (N, S, T, D) of "
            f"videos in S segments. Received: {shape} in {path}"
        )
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise CacheError(
            f"Features must be float16, float32 or float64. Received: {dtype} in {path}"
        )
    limits = (_MAX_CLIPS, *(_MAX_SEGMENTS,) * (len(shape) - 3), _MAX_FRAMES, _MAX_DIM)
    if not all(1 <= size <= limit for size, limit in zip(shape, limits, strict=True)):
        raise CacheError(
            f"Features must be {'(N, T, D)' if len(shape) == 3 else '(N, S, T, D)'}, each at least "
            f"1, at most {limits}. Received: {shape} in {path}"
        )
    return shape[0]
