"""The threshold of an evaluation: the run's own, or one for a requested operating point."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection.datasets.labels import is_violent_label
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.errors import CacheError
from violence_detection.evaluation.footage.alarm_counts import PLAIN, AlarmRule
from violence_detection.evaluation.footage.normal_footage import (
    NormalFootage,
    list_videos,
    score_footage,
)
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.metrics.thresholds import threshold_selection
from violence_detection.metrics.thresholds.normal_threshold import (
    check_normal_support,
    choose_on_normal,
)
from violence_detection.metrics.thresholds.operating_points import (
    FALSE_ALARMS_PER_HOUR,
    ChosenOperatingPoint,
    OperatingPoint,
)
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.classifier import Classifier
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.training.one_class import hours_of
from violence_detection.units import counted


@dataclass(frozen=True)
class ChosenThreshold:
    """The threshold of an evaluation.

    A run may have a threshold that is not that of its operating point, or no operating point.

    Attributes:
        threshold: An alarm is raised at or above it.
        reason: In words.
        operating_point: What it was chosen for, and the rates that are achieved; None for a run
            of an older version, which does not record it.
    """

    threshold: float
    reason: str
    operating_point: ChosenOperatingPoint | None = None

    def as_dict(self) -> dict[str, Any]:
        """`threshold`, `threshold_reason` and, where it is recorded, `operating_point`."""
        values = {"threshold": self.threshold, "threshold_reason": self.reason}
        if self.operating_point is not None:
            values["operating_point"] = self.operating_point.as_dict()
        return values


class ThresholdChooser:
    """Chooses the threshold on the run's validation videos, or keeps the run's own.

    A run that has out-of-fold predictions of its training and validation videos chooses on those.
    """

    def __init__(
        self,
        run: Run,
        cache: FeatureCache,
        *,
        operating_point: str | None,
        normal_footage: str | None,
        frames_fps: float | None = None,
        weights: str | None,
        alarm_rule: AlarmRule = PLAIN,
        resamples: int,
        seed: int,
    ) -> None:
        """
        Args:
            run: The evaluated run.
            cache: Features that hold its validation videos; not read without an operating point.
            operating_point: For example `recall=0.9`; None for the run's own threshold.
            normal_footage: Folder of videos without violence, in which false alarms are counted.
            frames_fps: Rate of the footage that is kept as numbered pictures.
            weights: Weights file of the backbone that encodes the normal footage.
            alarm_rule: What makes an alarm of the footage's windows.
            resamples, seed: See `intervals.bootstrap_over_recordings`.

        Raises:
            CacheError: If a validation video is missing from the features.
            EvidenceError: If the validation videos do not support the operating point.
            DatasetError: If the folder of normal footage has no videos.
        """
        self._run, self._cache = run, cache
        self._point = OperatingPoint.from_text(operating_point) if operating_point else None
        self._footage_dir = None if normal_footage is None else Path(normal_footage)
        self._weights, self._seed, self._alarm_rule = weights, seed, alarm_rule
        self._frames_fps = frames_fps
        self._resampling = {"resamples": resamples, "seed": seed}
        self._classes, self._is_one_class = run.record().classes, bool(run.record().one_class)
        self._out_of_fold = CalibrationPredictions.of_run(run)
        if self._out_of_fold is not None and self._out_of_fold.folds is None:
            self._out_of_fold = None  # those of validation are predicted again
        needs_videos = self._point and self._out_of_fold is None
        self._entries = validation_entries(run, cache) if needs_videos else []
        if self._footage_dir is not None:
            list_videos(self._footage_dir, frames_fps)
        if self._point and self._is_one_class:
            # With footage, false alarms an hour are counted there.
            if self._footage_dir is None or self._point.kind != FALSE_ALARMS_PER_HOUR:
                check_normal_support(
                    operating_point, len(self._entries), hours=hours_of(self._entries)
                )
        elif self._point and self._point.kind != FALSE_ALARMS_PER_HOUR:
            violent = [is_violent_label(entry.label, self._classes) for entry in self._entries]
            groups = [entry.group for entry in self._entries]
            if self._out_of_fold is not None:
                violent, groups = self._out_of_fold.violent, self._out_of_fold.groups
            threshold_selection.check_support(
                operating_point, violent, groups, among=self._chosen_on
            )

    @property
    def _chosen_on(self) -> str:
        """The name of the predictions that a threshold is chosen on."""
        return "validation" if self._out_of_fold is None else self._out_of_fold.source

    def score_footage(self) -> NormalFootage | None:
        """The normal footage with its windows scored by the run; None if none is given.

        Raises:
            EvidenceError: If it is too short to show the requested rate of false alarms.
        """
        if self._footage_dir is None:
            return None
        footage = score_footage(
            self._run,
            self._footage_dir,
            rule=self._alarm_rule,
            frames_fps=self._frames_fps,
            weights=self._weights,
            seed=self._seed,
        )
        if self._point and self._point.kind == FALSE_ALARMS_PER_HOUR:
            footage.scored.check_support(self._point.goal)
        return footage

    def choose(self, classifier: Classifier, footage: NormalFootage | None) -> ChosenThreshold:
        """Chooses the threshold for the operating point; without one it is the run's own."""
        if self._point is None:
            scores = self._run.results().scores
            return ChosenThreshold(
                scores.threshold, scores.threshold_reason, scores.operating_point
            )
        if self._is_one_class and (footage is None or self._point.kind != FALSE_ALARMS_PER_HOUR):
            clips = dataset.read_dataset(self._cache, self._entries, self._classes)
            point = choose_on_normal(
                str(self._point),
                classifier.scores(clips.features),
                clips.groups,
                hours=hours_of(clips.entries),
                **self._resampling,
            )
            return ChosenThreshold(point.threshold, point.reason, point)
        if self._out_of_fold is not None:
            score = self._out_of_fold.scores(classifier.temperature)
            columns = self._out_of_fold.violent, score, self._out_of_fold.groups
        else:
            clips = dataset.read_dataset(self._cache, self._entries, self._classes)
            columns = is_violent(clips.labels), classifier.scores(clips.features), clips.groups
        if self._point.kind == FALSE_ALARMS_PER_HOUR:
            point = self._choose_on_footage(footage, columns)
        else:
            point = threshold_selection.choose_operating_point(
                str(self._point), *columns, chosen_on=self._chosen_on, **self._resampling
            )
        return ChosenThreshold(point.threshold, point.reason, point)

    def _choose_on_footage(self, footage: NormalFootage, columns: tuple) -> ChosenOperatingPoint:
        """The operating point of a rate of false alarms in normal footage, with the rates that
        its threshold reaches on the validation videos."""
        scored = footage.scored
        threshold, reason = scored.choose_threshold(self._point.goal)
        rates, intervals = threshold_selection.achieved_rates(
            *columns, threshold, **self._resampling
        )
        if not columns[0].any():  # of normal videos alone, no other rate is known
            rates, intervals = (
                {name: values[name] for name in ("false_positive_rate",)}
                for values in (rates, intervals)
            )
        alarms = scored.alarms_at(threshold, **self._resampling)
        return ChosenOperatingPoint(
            asked=str(self._point),
            threshold=threshold,
            reason=reason,
            interval=scored.threshold_interval(self._point.goal, **self._resampling),
            achieved={FALSE_ALARMS_PER_HOUR: alarms.alarms_per_hour, **rates},
            achieved_ci={FALSE_ALARMS_PER_HOUR: alarms.alarms_per_hour_ci, **intervals},
            chosen_on=f"{alarms.hours:.1f} h of normal footage; other rates on {self._chosen_on}",
            videos=len(columns[0]),
            recordings=len(set(np.asarray(columns[2]).tolist())),
            hours=alarms.hours,
        )


def validation_entries(run: Run, cache: FeatureCache) -> list[ManifestEntry]:
    """The videos that the run was validated on, as rows of a cache.

    Raises:
        CacheError: If a video is missing or has changed.
    """
    wanted = {
        (row["path"], row["digest"]): row["label"]
        for row in run.own_videos()
        if row["split"] == "validation"
    }
    entries = [
        entry
        for entry in dataset.usable_entries(cache)
        if wanted.get((entry.path, entry.digest)) == entry.label
    ]
    if len(entries) < len(wanted):
        raise CacheError(
            "--operating-point must have the features of all validation videos of the run, "
            f"unchanged. Received: {cache.dir} (it lacks {len(wanted) - len(entries)} of "
            f"{counted(len(wanted), 'video')})"
        )
    return entries
