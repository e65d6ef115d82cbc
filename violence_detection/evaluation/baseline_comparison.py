"""What trivial baselines, which learn from a run's training videos, answer on the videos that the
run is judged on."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.manifest import ManifestEntry
from violence_detection.datasets.video_summary import VideoSummaries
from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.evaluation import baselines
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification, intervals
from violence_detection.models import linear_baseline
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.system import files
from violence_detection.units import counted

_MODEL = "model"
_MOST_TRAINING = 4000  # training videos that are learned from
_MOST_DECODED = 1000  # of which so many are looked at
NO_PICTURES = "--no-pictures was given"


def compare_with_baselines(
    run: Run,
    cache: FeatureCache,
    clips: FeatureDataset,
    classes: Sequence[str],
    *,
    accuracy_ci: Sequence[float],
    pictures: bool,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The baselines beside a run on some videos, each at the threshold 0.5.

    They learn from the videos that the run learned from, as far as these are still as they were:
    of more than 4,000 from so many, of which 1,000 are looked at, evenly taken from each class.

    Args:
        run: Which is judged.
        cache: The features that it is judged on.
        clips: The N videos.
        classes: Names, the normal one first.
        accuracy_ci: Interval of the run's accuracy over recordings.
        pictures: Whether the videos are looked at.
        resamples, seed: Of the intervals over recordings.

    Returns:
        `baselines` {name: `accuracy`, `accuracy_ci`, `auc`, `auc_ci`}, `baselines_left_out`, a
        line each, `baseline_videos`, how many they learned from, `close_baselines`, names of
        those that know the source only and come close, and `warnings` of them.
    """
    try:
        home, learned, notes = _training_videos(run, cache, classes)
    except ViolenceDetectionError as error:
        return _no_baselines(str(error))
    if len(set(learned.labels)) < len(classes):
        return _no_baselines("the training videos are not there as the run learned from them")
    trivial = _joint_baselines(home, learned, cache, clips, classes, pictures)
    train = np.arange(len(learned))
    test = np.arange(len(learned), len(learned) + len(clips))
    draw = {"resamples": resamples, "seed": seed}
    found = {
        name: _scores(trivial.answers(name, train, test, seed=seed), clips, draw)
        for name in trivial.names
    }
    pooled = {**found, _MODEL: {"accuracy_ci": accuracy_ci}}
    return {
        "baselines": found,
        "baselines_left_out": [*notes, *trivial.notes],
        "baseline_videos": len(learned),
        "close_baselines": baselines.close_sources(pooled, _MODEL),
        "warnings": baselines.source_warnings(pooled, _MODEL),
    }


def _no_baselines(reason: str) -> dict[str, Any]:
    return {
        "baselines": {},
        "baselines_left_out": [f"There are no baselines: {reason.rstrip('.')}."],
        "baseline_videos": 0,
        "close_baselines": [],
        "warnings": [],
    }


def _training_videos(
    run: Run, cache: FeatureCache, classes: Sequence[str]
) -> tuple[FeatureCache, FeatureDataset, list[str]]:
    """Where a run's training videos have their features, some of them, evenly taken, with the
    labels that the run learned them by; and a note on those that are not there any more."""
    rows = files.read_own_csv(run.videos_path, VIDEO_COLUMNS)
    rows = [row for row in rows if row["split"] == "train"]
    home, there = cache, _unchanged_entries(cache, rows)
    if len(there) < len(rows) and (other := _training_features(run)):
        home, there = other, _unchanged_entries(other, rows)
    labels = np.array([classes.index(one.label) for one in there], np.int64)
    chosen = linear_baseline.evenly_spaced_rows(labels, len(classes), _MOST_TRAINING)
    notes = []
    if len(there) < len(rows):
        gone = counted(len(rows) - len(there), "training video")
        notes.append(f"The baselines do without {gone}: not there as they were.")
    return home, dataset.read_dataset(home, [there[n] for n in chosen], classes), notes


def _unchanged_entries(cache: FeatureCache, rows: Sequence[dict[str, str]]) -> list[ManifestEntry]:
    """What a cache has of some videos that are in it as they were, labelled as they were."""
    entries = {entry.path: entry for entry in dataset.usable_entries(cache)}
    return [
        dataclasses.replace(entries[row["path"]], label=row["label"])
        for row in rows
        if row["path"] in entries and entries[row["path"]].digest == row["digest"]
    ]


def _training_features(run: Run) -> FeatureCache | None:
    """The features that a run learned from, where they are still there."""
    with contextlib.suppress(CacheError):
        home = FeatureCache.open(Path(run.record().features))
        if home.space().fingerprint == run.record().fingerprint:
            return home
    return None


def _joint_baselines(
    home: FeatureCache,
    learned: FeatureDataset,
    cache: FeatureCache,
    clips: FeatureDataset,
    classes: Sequence[str],
    pictures: bool,
) -> Baselines:
    """Of the training videos and, behind them, those that are judged."""
    both = FeatureDataset(
        np.concatenate([learned.features[:], clips.features[:]]),
        np.concatenate([learned.labels, clips.labels]),
        (*learned.entries, *clips.entries),
    )
    looked_at = linear_baseline.evenly_spaced_rows(learned.labels, len(classes), _MOST_DECODED)
    seen = np.concatenate([looked_at, len(learned) + np.arange(len(clips))])
    found: VideoSummaries | str = NO_PICTURES
    if pictures:
        shown = [learned.entries[row] for row in looked_at]
        parts = [
            baselines.complete_summaries(home, shown),
            baselines.complete_summaries(cache, clips.entries),
        ]
        lacking = [part for part in parts if isinstance(part, str)]
        found = lacking[0] if lacking else VideoSummaries.concatenate(parts)
    return Baselines(both, len(classes), found, seen)


def _scores(answer: np.ndarray, clips: FeatureDataset, draw: dict[str, int]) -> dict[str, Any]:
    violent, violence = is_violent(clips.labels), np.clip(violence_score(answer), 0, 1)
    correct = decide(answer, 0.5) == clips.labels
    groups = clips.groups.astype(str)
    return {
        "accuracy": float(correct.mean()),
        "accuracy_ci": intervals.accuracy_interval(correct, groups, **draw),
        "auc": classification.binary_metrics(violent, violence, 0.5)["auc"],
        "auc_ci": intervals.auc_interval(violent, violence, groups, **draw),
    }
