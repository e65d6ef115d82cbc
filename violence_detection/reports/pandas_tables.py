"""Manifests, predictions, histories and errors as pandas tables, for notebooks and scripts.

    import violence_detection as vd

    vd.tables.predictions("checkpoints/first").groupby("group", observed=True)["correct"].mean()

Text is of dtype `string`, with `<NA>` for an empty cell; names that recur are of dtype `category`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from violence_detection.datasets.splitting.split_store import SplitStore
from violence_detection.errors import RunError
from violence_detection.features.cache import FeatureCache
from violence_detection.models.run import Run
from violence_detection.system import files

_MANIFEST = {
    "path": "string",
    "label": "category",
    "group": "string",
    "split": "category",
    "size": "int64",
    "mtime": "int64",
    "digest": "string",
    "array_digest": "string",
    "frames": "int64",
    "fps": "float64",
    "duration_s": "float64",
    "status": "category",
    "error": "string",
}
_PREDICTIONS = {
    "path": "string",
    "label": "category",
    "group": "string",
    "probability": "float64",
    "predicted": "category",
    "correct": "bool",
}
_JOINED = ("size", "frames", "fps", "duration_s", "status")
_ERRORS = {
    "by": "category",
    "name": "string",
    "videos": "int64",
    "errors": "int64",
    "error_rate": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "misses": "int64",
    "false_alarms": "int64",
}


def manifest(features: str | os.PathLike) -> pd.DataFrame:
    """The videos of a feature cache, a row each, also those that could not be read.

    Args:
        features: The folder that extract-features left.

    Returns:
        | column | dtype | |
        |---|---|---|
        | `path` | string | relative to the dataset's folder |
        | `label`, `split`, `status` | category | `split` as the dataset has it now |
        | `group` | string | the recording |
        | `size`, `frames` | int64 | bytes, frames |
        | `mtime` | datetime64[ns, UTC] | `NaT` where there is no file |
        | `digest`, `array_digest` | string | SHA-256 |
        | `fps`, `duration_s` | float64 | 0.0 where not known |
        | `views` | int64 | further views beside the array |
        | `class`, `confidence`, `anomaly_score`, `anomaly_<output>` | string, float64 | what \
        further outputs of the run say |
        | `error` | string | why there is no array, or what is damaged |
        | `camera`, `recorded_at` | string | as videos.csv has them; the time in ISO 8601 |

    Raises:
        CacheError: If `features` is not such a folder.
    """
    cache = FeatureCache.open(features)
    texts = _rows(cache.manifest_path, _MANIFEST)
    current = SplitStore(cache.dir.parent).split_by_key()
    pairs = zip(texts["path"], texts["split"], strict=True)
    texts["split"] = [current.get(path, split) for path, split in pairs]
    table = _typed(texts, _MANIFEST)
    modified = pd.to_datetime(table["mtime"], unit="ns", utc=True)
    table["mtime"] = modified.mask(table["mtime"] <= 0)
    views = texts["views"] if "views" in texts else pd.Series("", texts.index, "string")
    table["views"] = views.str.split().str.len().astype("int64")
    for name in ("camera", "recorded_at"):
        column = texts[name] if name in texts else pd.Series("", texts.index, "string")
        table[name] = column.mask(column == "")
    return table


def predictions(
    run: str | os.PathLike, split: str = "test", *, features: str | os.PathLike | None = None
) -> pd.DataFrame:
    """The predictions that `evaluate` left for a split, joined with the manifest by path.

    Args:
        run: What training left.
        split: `test`, `validation`, `train` or `all`, as it was evaluated.
        features: The features that were evaluated; default: where they were. Where they are no
            longer there, the columns of the manifest are missing values.

    Returns:
        | column | dtype | |
        |---|---|---|
        | `path`, `group` | string | the video and its recording, as evaluated |
        | `label`, `predicted` | category | of the same classes, the normal one first |
        | `probability` | float64 | of violence, in [0, 1] |
        | `correct` | bool | |
        | `probability_<class>` | float64 | of each class, where there are more than two |
        | `size`, `frames` | Int64 | of the manifest |
        | `fps`, `duration_s` | float64 | of the manifest |
        | `status` | category | of the manifest |

    Raises:
        RunError: If the split was not evaluated.
        CacheError: If `features` are given and are no features.
    """
    folder, metrics = _evaluation(run, split)
    texts = _rows(folder / "predictions.csv", _PREDICTIONS)
    of_classes = [f"probability_{name}" for name in metrics["classes"]]
    types = _PREDICTIONS | {name: "float64" for name in of_classes if name in texts}
    table = _typed(texts, types)
    classes = [*metrics["classes"], *sorted(set(table["label"]) - set(metrics["classes"]))]
    for column in ("label", "predicted"):
        table[column] = table[column].cat.set_categories(classes)
    place = Path(features or metrics["features"])
    if features is None and not (place / "manifest.csv").is_file():
        joined = pd.DataFrame({"path": table["path"]}).reindex(columns=["path", *_JOINED])
    else:
        joined = manifest(place)[["path", *_JOINED]]
    table = table.merge(joined, on="path", how="left", validate="one_to_one")
    types = {name: _MANIFEST[name].replace("int64", "Int64") for name in _JOINED}
    return table.astype(types)


def history(run: str | os.PathLike) -> pd.DataFrame:
    """The epochs of a training, a row each.

    Args:
        run: What training left, or a training that is in progress.

    Returns:
        `epoch` as the index, int64, from 1; all other columns of training_history.csv float64,
        among them `loss`, `val_loss`, `val_accuracy`, `val_auc` (NaN where validation has one
        class) and `learning_rate`.

    Raises:
        RunError: If no epoch is finished.
    """
    path = Run(Path(run)).history_path
    if not path.is_file():
        raise RunError(f"A run must have {path.name}. Received: {run} (no epoch is finished)")
    table = _rows(path, ("epoch",))
    return (
        table.apply(pd.to_numeric).astype("float64").astype({"epoch": "int64"}).set_index("epoch")
    )


def errors(run: str | os.PathLike, split: str = "test") -> pd.DataFrame:
    """The errors of an evaluated split, counted by recording and by condition.

    Args:
        run: What training left.
        split: As it was evaluated.

    Returns:
        | column | dtype | |
        |---|---|---|
        | `by` | category | `recording`, `camera`, `hour`, `motion`, ... |
        | `name` | string | of the recording, or the range |
        | `videos`, `errors` | int64 | |
        | `error_rate`, `ci_low`, `ci_high` | float64 | with its 95% interval (Wilson) |
        | `misses`, `false_alarms` | int64 | violent videos missed, false alarms |

    Raises:
        RunError: If the split was not evaluated.
    """
    _, metrics = _evaluation(run, split)
    rows = [
        {**row, "by": by, "ci_low": row["ci"][0], "ci_high": row["ci"][1]}
        for by, listed in metrics.get("errors_by", {}).items()
        for row in listed
    ]
    return pd.DataFrame(rows, columns=list(_ERRORS)).astype(_ERRORS)


class WindowRow(NamedTuple):
    """A window of a predicted video, or the error of a video that could not be read.

    Attributes:
        path: The video, as given.
        start_s, end_s: Seconds from the start of the video; None with an error.
        probability: The probability of violence; None with an error.
        probabilities: The probability of each class; None where there are two classes.
        error: Why the video could not be read.
        outputs: Class, confidence and anomaly scores by their columns; None where `classes` is the
            only output of the run.
    """

    path: str
    start_s: float | None = None
    end_s: float | None = None
    probability: float | None = None
    probabilities: Mapping[str, float] | None = None
    error: str | None = None
    outputs: Mapping[str, Any] | None = None


def windows(rows: Iterable[WindowRow], classes: Sequence[str]) -> pd.DataFrame:
    """The windows of predicted videos, a row each; see `Predictor.to_frame`.

    Args:
        rows: The windows and errors of all videos.
        classes: The run's classes.

    Returns:
        | column | dtype | |
        |---|---|---|
        | `path` | string | of the video, as given |
        | `start_s`, `end_s` | float64 | from the start of the video |
        | `probability` | float64 | of violence, in [0, 1] |
        | `probability_<class>` | float64 | of each class, where there are more than two |
        | `error` | string | why a video could not be read; it has one row, without a window |
    """
    rows = list(rows)
    names = classes if len(classes) > 2 else ()
    further = next((list(row.outputs) for row in rows if row.outputs), [])
    values = [
        row._asdict()
        | dict(row.outputs or {})
        | {f"probability_{name}": (row.probabilities or {}).get(name) for name in names}
        for row in rows
    ]
    types = {
        "path": "string",
        **dict.fromkeys(("start_s", "end_s", "probability"), "float64"),
        **{f"probability_{name}": "float64" for name in names},
        **{name: "string" if name == "class" else "float64" for name in further},
        "error": "string",
    }
    return pd.DataFrame(values, columns=list(types)).astype(types)


def _evaluation(run: str | os.PathLike, split: str) -> tuple[Path, dict[str, Any]]:
    """The folder of an evaluation, and its metrics."""
    folder = Run(Path(run)).evaluation_dir(split)
    if not (folder / "metrics.json").is_file():
        raise RunError(
            f"The run must have an evaluation of `{split}` (evaluate RUN --split {split}). "
            f"Received: {run}"
        )
    return folder, files.read_json(folder / "metrics.json")


def _rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    return pd.DataFrame(files.read_own_csv(path, columns), dtype="string")


def _typed(table: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """The columns of `types`, each of its type; an empty text is a missing value."""
    table = table.reindex(columns=list(types))
    for name, kind in types.items():
        column = table[name]
        if kind == "bool":
            table[name] = (column == "True").astype("bool")
        elif kind in ("int64", "float64"):
            table[name] = column.astype(kind)
        else:
            table[name] = column.mask(column == "").astype(kind)
    return table
