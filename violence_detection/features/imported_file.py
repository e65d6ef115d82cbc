"""A file of features that another program left: its clips, labels, paths and recordings."""

import contextlib
import csv
import math
import os
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.split_words import split_of_word
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features import hdf5
from violence_detection.features.extraction_record import ExtractionRecord
from violence_detection.system import files

_BLOCK_BYTES = 64 << 20
_MAX_CLIPS, _MAX_FRAMES, _MAX_DIM = 10_000_000, 1024, 1 << 16
_MAX_CLASSES = 10_000
# What NumPy raises of a header that it cannot parse.
_BAD_HEADERS = (
    ValueError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
)
_LABEL_SUFFIXES = (".npy", ".csv")
_TABLE_COLUMNS = ("path", "label", "group", "split", "duration_s")


@dataclass(frozen=True)
class ImportedFile:
    """N clips of a file, before their numbers are checked.

    Attributes:
        path: Of the file.
        features: float (N, T, D), in memory only where it is sliced.
        rows: Label, path, recording and split of each clip, what is not given being empty.
        record: Of the extraction, where `cache export` wrote the file.
        split_sources: `given` or `drawn` for each clip, where `cache export` wrote the file.
    """

    path: Path
    features: Any
    rows: list[ManifestEntry]
    record: ExtractionRecord | None = None
    split_sources: tuple[str, ...] = ()

    def blocks(self) -> Iterator[np.ndarray]:
        """Consecutive clips, float (B, T, D), at most 64 MiB at a time."""
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
        clips: float (B, T, D).

    Returns:
        float16 (B, T, D), and B reasons, empty where a clip can be used.
    """
    finite = np.isfinite(clips).all(axis=(1, 2))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = clips.astype("<f2", order="C")
    in_range = np.isfinite(rounded).all(axis=(1, 2))
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
        path: Of the features (N, T, D).
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
        raise CacheError(f"FILE must be a file of features. Received: {path} (not there)")
    if path.suffix.lower() == ".npy":
        features = open_npy(path)
        count = _check_features(path, features)
        columns = _columns_beside(path, labels_path, count, classes)
        yield ImportedFile(path, features, _rows(path, columns, count))
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
            columns = _columns_inside(file, labels_key, count, classes)
            if labels_path or "label" not in columns:
                columns |= _columns_beside(path, labels_path, count, classes)
            yield ImportedFile(path, features, _rows(path, columns, count))
    else:
        raise ConfigError(f"FILE must end in .npy, .h5 or .hdf5. Received: {path}")


def _read_export(path: Path, file: Any, features: Any, record: ExtractionRecord) -> ImportedFile:
    rows = hdf5.read_export_entries(file)
    if len(rows) != len(features):
        raise CacheError(_count_text(path, len(rows), len(features)))
    sources = hdf5.read_texts(file, "split_sources", len(rows)) or ()
    return ImportedFile(path, features, rows, record, tuple(sources))


def open_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file, mapped; its header is checked before anything is read.

    Raises:
        CacheError: If it is not one, holds pickled objects, or is longer or shorter than its
            header says.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                header = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                header = np.lib.format.read_array_header_2_0(file)
            else:
                raise ValueError(f"version {version} of the format")
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
        shape, is_fortran, dtype = header
        if dtype.hasobject:
            raise ValueError("pickled objects, which can run programs, are not read")
        declared = offset + math.prod(shape) * dtype.itemsize
        if declared != size or min(shape, default=0) < 0:
            raise ValueError(f"{size} bytes where its header, {dtype} {shape}, says {declared}")
        if not math.prod(shape):
            raise ValueError(f"an empty array, {shape}")
        order = "F" if is_fortran else "C"
        return np.memmap(path, dtype, "r", offset, shape, order).view(np.ndarray)
    except (OSError, *_BAD_HEADERS) as error:
        reason = " ".join(str(error).split())[:200]
        raise CacheError(
            f"{path} must be an array that numpy.save left. Received: {reason}"
        ) from error


def _check_features(path: Path, features: Any) -> int:
    """N, once the features are float (N, T, D)."""
    shape, dtype = features.shape, features.dtype
    if len(shape) != 3:
        raise CacheError(
            f"Features must be (N, T, D): clips, frames, numbers of a frame. Received: {shape} in "
            f"{path}"
        )
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise CacheError(
            f"Features must be float16, float32 or float64. Received: {dtype} in {path}"
        )
    limits = (_MAX_CLIPS, _MAX_FRAMES, _MAX_DIM)
    if not all(1 <= size <= limit for size, limit in zip(shape, limits, strict=True)):
        raise CacheError(
            f"Features must be (N, T, D), each at least 1, at most {limits}. Received: {shape} in "
            f"{path}"
        )
    return shape[0]


# -- what belongs to each clip

Columns = dict[str, Sequence[str]]


def _rows(path: Path, columns: Mapping[str, Sequence[str]], count: int) -> list[ManifestEntry]:
    """A row a clip; one without a path is named by the file and its place in it."""
    names = columns.get("path") or [f"{path.stem}/{row:06d}" for row in range(count)]
    file_split = split_of_name(path.stem)
    empty = [""] * count
    return [
        ManifestEntry(
            path=name,
            label=label,
            group=group,
            split=_split(split, path) or file_split,
            duration_s=_seconds(duration, path),
        )
        for name, label, group, split, duration in zip(
            names,
            columns["label"],
            columns.get("group", empty),
            columns.get("split", empty),
            columns.get("duration_s", empty),
            strict=True,
        )
    ]


def split_of_name(stem: str) -> str:
    """`train_features` -> `train`; nothing where a name names no split, or two."""
    words = re.split(r"[^a-z]+", stem.lower())
    named = {split_of_word(word) for word in words} - {""}
    return named.pop() if len(named) == 1 else ""


def _split(text: str, path: Path) -> str:
    split = split_of_word(text)
    if text and not split:
        raise CacheError(
            f"`split` must be train, validation or test. Received: {text} (labels of {path})"
        )
    return split


def _seconds(text: str, path: Path) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise CacheError(f"`duration_s` must be seconds >= 0. Received: {text} (labels of {path})")
    return seconds


def _columns_inside(file: Any, key: str, count: int, classes: Sequence[str]) -> Columns:
    """Labels of an HDF5 file, and its paths, recordings and splits where it has them."""
    columns: Columns = {}
    names = {"path": "paths", "group": "groups", "split": "splits"}
    for name, dataset in names.items():
        texts = hdf5.read_texts(file, dataset, count)
        if texts is not None:
            columns[name] = texts
    labels = hdf5.open_dataset(file, key)
    if labels is None:
        return columns
    if not labels.shape or len(labels) != count:
        raise CacheError(_count_text(file.filename, (labels.shape or (1,))[0], count))
    where = f"`{key}` of {file.filename}"
    if labels.dtype.kind in "iufb":
        if math.prod(labels.shape[1:]) > _MAX_CLASSES:
            raise CacheError(f"Labels must be (N,) or (N, K). Received: {labels.shape} in {where}")
        numbers = _numbers_of(labels[:], where)
        columns["label"] = _named(numbers, classes, file.filename)
    else:
        texts = hdf5.read_texts(file, key, count)
        columns["label"] = _names_of(texts, classes, where)
    return columns


def _columns_beside(
    path: Path, labels_path: Path | None, count: int, classes: Sequence[str]
) -> Columns:
    """Labels of a file of their own."""
    labels_path = labels_path or _find_labels(path)
    if labels_path.suffix.lower() == ".csv":
        columns = _read_table(labels_path)
        if len(columns["label"]) != count:
            raise CacheError(_count_text(labels_path, len(columns["label"]), count))
        return columns | {"label": _names_of(columns["label"], classes, str(labels_path))}
    if labels_path.suffix.lower() != ".npy":
        raise ConfigError(f"--labels must end in .npy or .csv. Received: {labels_path}")
    labels = open_npy(labels_path)
    if not labels.shape or len(labels) != count:
        raise CacheError(_count_text(labels_path, (labels.shape or (1,))[0], count))
    if labels.dtype.kind == "U" and labels.ndim == 1:
        return {"label": _names_of(labels.tolist(), classes, str(labels_path))}
    if labels.dtype.kind == "S" and labels.ndim == 1:
        names = [name.decode("utf-8", "replace") for name in labels.tolist()]
        return {"label": _names_of(names, classes, str(labels_path))}
    return {"label": _named(_numbers_of(labels, str(labels_path)), classes, labels_path)}


def _find_labels(path: Path) -> Path:
    """`train_labels.npy` or `.csv` beside `train_features.npy`."""
    names = []
    for word in ("features", "feature", "X", "x"):
        other = {"feature": "label", "X": "y", "x": "y"}.get(word, "labels")
        stem = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", other, path.stem)
        if stem != path.stem:
            names += [stem + suffix for suffix in _LABEL_SUFFIXES]
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise ConfigError(
        f"--labels must name the labels of {path.name}: a .npy or .csv file. Received: nothing"
        + (f" (and there is no {names[0]} beside it)" if names else "")
    )


def _read_table(path: Path) -> Columns:
    try:
        rows = files.read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CacheError(
            f"--labels must be a table in UTF-8. Received: {path} ({error})"
        ) from error
    if not rows or "label" not in rows[0]:
        came = ",".join(rows[0]) if rows else "no rows"
        raise CacheError(
            "--labels must be a table with the columns label[,path][,group][,split][,duration_s]. "
            f"Received: {came} in {path}"
        )
    return {
        name: [row.get(name, "").strip() for row in rows]
        for name in _TABLE_COLUMNS
        if name in rows[0]
    }


def _numbers_of(labels: np.ndarray, where: str) -> list[int]:
    """Class numbers of (N,), (N, 1) or one-hot (N, K) labels."""
    came = f"{labels.dtype} {labels.shape} in {where}"
    if labels.dtype.kind not in "iufb" or labels.ndim not in (1, 2):
        raise CacheError(
            f"Labels must be numbers or names (N,), or one-hot (N, K). Received: {came}"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise CacheError(f"Labels (N, K) must have a single 1 in each row. Received: {came}")
        return labels.argmax(axis=1).tolist()
    labels = labels.reshape(-1)
    if not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise CacheError(f"Labels must be whole numbers. Received: {came}")
    return [int(label) for label in labels.tolist()]


def _named(numbers: Sequence[int], classes: Sequence[str], where: Path | str) -> list[str]:
    """The names of class numbers."""
    if not classes:
        raise ConfigError(
            "--classes must name the classes 0, 1, ..., as in --classes nonviolent,violent, where "
            f"labels are numbers. Received: {', '.join(map(str, sorted(set(numbers))[:5]))} in "
            f"{where}"
        )
    low, high = min(numbers), max(numbers)
    if low < 0 or high >= len(classes):
        raise ConfigError(
            f"--classes must name every class from 0 to {high}. Received: {','.join(classes)} for "
            f"labels from {low} to {high} in {where}"
        )
    return [classes[number] for number in numbers]


def _names_of(texts: Sequence[str], classes: Sequence[str], where: str) -> list[str]:
    """Labels that are texts: names, or numbers written out."""
    texts = list(texts)
    if not all(texts):
        raise CacheError(f"Each clip must have a label. Received: an empty one in {where}")
    if all(re.fullmatch(r"\d{1,9}", text, re.ASCII) for text in texts):
        return _named([int(text) for text in texts], classes, where)
    if classes and not set(texts) <= set(classes):
        unknown = min(set(texts) - set(classes))
        raise ConfigError(
            f"--classes must name every label. Received: {','.join(classes)} without {unknown}, "
            f"in {where}"
        )
    return texts


def _count_text(where: Path | str, labels: int, clips: int) -> str:
    return f"There must be a label for each of {clips} clips. Received: {labels} in {where}"
