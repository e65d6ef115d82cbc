"""Compares a run with trivial baselines on the same videos."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from violence_detection.datasets.summaries.video_summary import VideoSummaries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError, ViolenceDetectionError
from violence_detection.evaluation import baselines
from violence_detection.evaluation.baselines import Baselines
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics import classification
from violence_detection.metrics.classification import Scores
from violence_detection.metrics.sample_size import MIN_VIDEOS_OF_CLASS
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.outputs.classes import decide, is_violent, violence_score
from violence_detection.models.run import VIDEO_COLUMNS, Run
from violence_detection.system import files
from violence_detection.units import counted

_MODEL = "model"
_MAX_TRAINING = 4000  # training videos that the baselines are fitted on
_MAX_DECODED = 1000  # of these, that are decoded for a summary
NOT_READ = "--no-read-videos was given"


@dataclass(frozen=True)
class BaselineComparison:
    """The scores of the baselines on the evaluated videos.

    Attributes:
        baselines: By name.
        baselines_left_out: A line for each baseline that is missing, with the reason.
        baseline_videos: Number of training videos that they were fitted on.
        close_baselines: Names of those that know only the source of a video and come close; none
            where there are too few videos to tell.
        warnings: A line for each of these.
    """

    baselines: Mapping[str, Scores]
    baselines_left_out: Sequence[str]
    baseline_videos: int
    close_baselines: Sequence[str]
    warnings: Sequence[str]


def compare_with_baselines(
    run: Run,
    cache: FeatureCache,
    clips: FeatureDataset,
    classes: Sequence[str],
    *,
    accuracy_ci: Sequence[float],
    read_videos: bool,
    resamples: int,
    seed: int,
) -> BaselineComparison:
    """Scores of the baselines on the evaluated videos, each at the threshold 0.5.

    They are fitted on the run's training videos that have not changed: at most 4,000, of which
    1,000 are decoded, drawn evenly from each class.

    Args:
        run: The evaluated run.
        cache: The features that it is evaluated on.
        clips: The N evaluated videos.
        classes: Names, the normal one first.
        accuracy_ci: Interval of the run's accuracy over recordings.
        read_videos: Whether videos may be decoded.
        resamples, seed: See `intervals.bootstrap_over_recordings`.
    """
    if run.record().one_class:
        return _no_baselines("the run was trained on normal videos alone, and they need both kinds")
    try:
        train_cache, train_clips, notes = _training_videos(run, cache, classes)
    except ViolenceDetectionError as error:
        return _no_baselines(str(error))
    if len(set(train_clips.labels)) < len(classes):
        return _no_baselines("the training videos no longer exist or have changed")
    joint = _joint_baselines(train_cache, train_clips, cache, clips, classes, read_videos)
    train = np.arange(len(train_clips))
    test = np.arange(len(train_clips), len(train_clips) + len(clips))
    resampling = {"resamples": resamples, "seed": seed}
    scores = {
        name: _scores(joint.predict(name, train, test, seed=seed), clips, resampling)
        for name in joint.names
    }
    intervals = {_MODEL: accuracy_ci}
    # Any baseline comes close to a model on a few videos, which says nothing.
    if np.bincount(is_violent(clips.labels), minlength=2).min() >= MIN_VIDEOS_OF_CLASS:
        intervals |= {name: row.accuracy_ci for name, row in scores.items()}
    return BaselineComparison(
        scores,
        baselines_left_out=[*notes, *joint.notes],
        baseline_videos=len(train_clips),
        close_baselines=baselines.close_sources(intervals, _MODEL),
        warnings=baselines.source_warnings(intervals, _MODEL),
    )


def training_clips_of(run: Run, cache: FeatureCache) -> TrainingClips | None:
    """The training clips of a run; of a run of an older version they are written into it, if its
    training videos are still in the features. A run on videos in segments has none.

    Args:
        run: The evaluated run.
        cache: The features that it is evaluated on.
    """
    known = TrainingClips.of_run(run)
    if known is not None or run.record().feature_space.segments > 1:
        return known
    try:
        _, clips, _ = _training_videos(run, cache, run.record().classes)
        known = TrainingClips.from_features(clips)
        known.write(run)
    except (ViolenceDetectionError, ValueError):  # no features, no videos left
        return None
    return known


def training_features(run: Run) -> FeatureCache | None:
    """The features that a run was trained on; None if they no longer exist."""
    with contextlib.suppress(CacheError):
        cache = FeatureCache.open(Path(run.record().features))
        if cache.space().fingerprint == run.record().fingerprint:
            return cache
    return None


def _no_baselines(reason: str) -> BaselineComparison:
    line = f"There are no baselines: {reason.rstrip('.')}."
    return BaselineComparison({}, [line], baseline_videos=0, close_baselines=[], warnings=[])


def majority_accuracy(run: Run, labels: np.ndarray) -> float:
    """Accuracy of always answering the larger class of a run's training videos.

    Args:
        run: The run.
        labels: Labels of the evaluated videos, int (N,), as places in the run's classes.
    """
    classes = list(run.record().classes)
    rows = files.read_own_csv(run.videos_path, VIDEO_COLUMNS)
    trained = [classes.index(row["label"]) for row in rows if row["split"] == "train"]
    majority = classification.majority_class(np.array(trained, np.int64), len(classes))
    return float(np.mean(labels == majority)) if len(labels) else 0.0


def _training_videos(
    run: Run, cache: FeatureCache, classes: Sequence[str]
) -> tuple[FeatureCache, FeatureDataset, list[str]]:
    """The training videos of a run that have not changed, at most 4,000, evenly from each class.

    Returns:
        The features that hold them; the videos, with the labels of the training; and a line about
        training videos that are missing.
    """
    rows = files.read_own_csv(run.videos_path, VIDEO_COLUMNS)
    rows = [row for row in rows if row["split"] == "train"]
    train_cache, entries = cache, _unchanged_entries(cache, rows)
    if len(entries) < len(rows) and (own := training_features(run)):
        train_cache, entries = own, _unchanged_entries(own, rows)
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    chosen = dataset.balanced_rows(labels, _MAX_TRAINING, proportional=True)
    notes = []
    if len(entries) < len(rows):
        missing = counted(len(rows) - len(entries), "training video")
        notes.append(f"The baselines lack {missing}: no features, or they changed.")
    entries = [entries[row] for row in chosen]
    return train_cache, dataset.read_dataset(train_cache, entries, classes), notes


def _unchanged_entries(cache: FeatureCache, rows: Sequence[dict[str, str]]) -> list[ManifestEntry]:
    """The entries of a cache that have the path and digest of the rows, with the rows' labels."""
    entries = {entry.path: entry for entry in dataset.usable_entries(cache)}
    return [
        dataclasses.replace(entries[row["path"]], label=row["label"])
        for row in rows
        if row["path"] in entries and entries[row["path"]].digest == row["digest"]
    ]


def _joint_baselines(
    train_cache: FeatureCache,
    train_clips: FeatureDataset,
    cache: FeatureCache,
    clips: FeatureDataset,
    classes: Sequence[str],
    read_videos: bool,
) -> Baselines:
    """Baselines on the training videos, followed by the evaluated ones."""
    joint = FeatureDataset(
        np.concatenate([train_clips.features[:], clips.features[:]]),
        np.concatenate([train_clips.labels, clips.labels]),
        (*train_clips.entries, *clips.entries),
    )
    decoded = dataset.balanced_rows(train_clips.labels, _MAX_DECODED, proportional=True)
    summary_rows = np.concatenate([decoded, len(train_clips) + np.arange(len(clips))])
    summaries: VideoSummaries | str = NOT_READ
    if read_videos:
        parts = [
            baselines.complete_summaries(
                train_cache, [train_clips.entries[row] for row in decoded]
            ),
            baselines.complete_summaries(cache, clips.entries),
        ]
        reasons = [part for part in parts if isinstance(part, str)]
        summaries = reasons[0] if reasons else VideoSummaries.concatenate(parts)
    return Baselines(joint, len(classes), summaries, summary_rows)


def _scores(probability: np.ndarray, clips: FeatureDataset, resampling: dict[str, int]) -> Scores:
    violent = is_violent(clips.labels)
    violence = np.clip(violence_score(probability), 0, 1)
    correct = decide(probability, 0.5) == clips.labels
    groups = clips.groups.astype(str)
    return classification.scores(correct, violent, violence, groups, **resampling)
