"""Labels, paths, recordings and splits of imported clips, from files or from an HDF5 file."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.splitting.split_words import split_of_word
from violence_detection.datasets.table_files import table_file, video_table
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ConfigError
from violence_detection.features.exchange import hdf5
from violence_detection.features.exchange.npy_file import open_npy

log = logging.getLogger(__name__)

_MAX_CLASSES = 10_000
_LABEL_SUFFIXES = (".npy", ".csv")
_TABLE_COLUMNS = ("path", "label", "group", "split", "duration_s", "camera", "recorded_at")

Columns = dict[str, Sequence[str]]  # N cells by the name of the column


def clip_rows(path: Path, columns: Mapping[str, Sequence[str]], count: int) -> list[ManifestEntry]:
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
            camera=camera,
            recorded_at=recorded_at,
        )
        for name, label, group, split, duration, camera, recorded_at in zip(
            names,
            columns["label"],
            columns.get("group", empty),
            columns.get("split", empty),
            columns.get("duration_s", empty),
            columns.get("camera", empty),
            columns.get("recorded_at", empty),
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


def columns_inside(file: Any, key: str, count: int, classes: Sequence[str]) -> Columns:
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
        raise CacheError(count_text(file.filename, (labels.shape or (1,))[0], count))
    where = f"`{key}` of {file.filename}"
    if labels.dtype.kind in "iufb":
        if math.prod(labels.shape[1:]) > _MAX_CLASSES:
            raise CacheError(f"Labels must be (N,) or (N, K). Received: {labels.shape} in {where}")
        numbers = _numbers_of(labels[:], where)
        columns["label"] = _names_of_numbers(numbers, classes, file.filename)
    else:
        texts = hdf5.read_texts(file, key, count)
        columns["label"] = _names_of_texts(texts, classes, where)
    return columns


def columns_beside(
    path: Path, labels_path: Path | None, count: int, classes: Sequence[str]
) -> Columns:
    """The columns of a file of labels: the given one, or the one beside the features."""
    labels_path = labels_path or _find_labels(path)
    if labels_path.suffix.lower() == ".csv":
        columns = _read_table(labels_path)
        if len(columns["label"]) != count:
            raise CacheError(count_text(labels_path, len(columns["label"]), count))
        return columns | {"label": _names_of_texts(columns["label"], classes, str(labels_path))}
    if labels_path.suffix.lower() != ".npy":
        raise ConfigError(f"--labels must end in .npy or .csv. Received: {labels_path}")
    labels = open_npy(labels_path)
    if not labels.shape or len(labels) != count:
        raise CacheError(count_text(labels_path, (labels.shape or (1,))[0], count))
    if labels.dtype.kind == "U" and labels.ndim == 1:
        return {"label": _names_of_texts(labels.tolist(), classes, str(labels_path))}
    if labels.dtype.kind == "S" and labels.ndim == 1:
        names = [name.decode("utf-8", "replace") for name in labels.tolist()]
        return {"label": _names_of_texts(names, classes, str(labels_path))}
    return {"label": _names_of_numbers(_numbers_of(labels, str(labels_path)), classes, labels_path)}


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
    """The columns of a table, which is read as a videos.csv is."""
    table = table_file.read_table(path, needed=())
    if "label" not in table.columns:
        raise CacheError(
            "--labels must be a table with the columns label[,path][,group][,split][,duration_s]"
            f"[,camera][,recorded_at]. Received: {','.join(table.columns)} in {path}"
        )
    for line in (
        video_table.unread_times(table),
        video_table.meant_columns(table, ("path", "group", "split", "camera", "recorded_at")),
    ):
        if line:
            log.warning(line)
    rows = [row for _, row in table.rows]
    columns = {
        name: [(row.get(name) or "").strip() for row in rows]
        for name in _TABLE_COLUMNS
        if name in table.columns
    }
    columns["camera"], columns["recorded_at"] = zip(
        *map(video_table.camera_and_time, rows), strict=True
    )
    return columns


def _numbers_of(labels: np.ndarray, where: str) -> list[int]:
    """Class numbers of (N,), (N, 1) or one-hot (N, K) labels."""
    received = f"{labels.dtype} {labels.shape} in {where}"
    if labels.dtype.kind not in "iufb" or labels.ndim not in (1, 2):
        raise CacheError(
            f"Labels must be numbers or names (N,), or one-hot (N, K). Received: {received}"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise CacheError(
                f"Labels (N, K) must have a single 1 in each row. Received: {received}"
            )
        return labels.argmax(axis=1).tolist()
    labels = labels.reshape(-1)
    if not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise CacheError(f"Labels must be whole numbers. Received: {received}")
    return [int(label) for label in labels.tolist()]


def _names_of_numbers(
    numbers: Sequence[int], classes: Sequence[str], where: Path | str
) -> list[str]:
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


def _names_of_texts(texts: Sequence[str], classes: Sequence[str], where: str) -> list[str]:
    """Labels that are texts: names, or numbers written out."""
    texts = list(texts)
    if not all(texts):
        raise CacheError(f"Each clip must have a label. Received: an empty one in {where}")
    if all(re.fullmatch(r"\d{1,9}", text, re.ASCII) for text in texts):
        return _names_of_numbers([int(text) for text in texts], classes, where)
    if classes and not set(texts) <= set(classes):
        unknown = min(set(texts) - set(classes))
        raise ConfigError(
            f"--classes must name every label. Received: {','.join(classes)} without {unknown}, "
            f"in {where}"
        )
    return texts


def count_text(where: Path | str, labels: int, clips: int) -> str:
    """The message of a file that has another number of labels than of clips."""
    return f"There must be a label for each of {clips} clips. Received: {labels} in {where}"
