"""Training from normal videos alone: the detector, its border, and its threshold on validation.

A detector in `models/detectors` is fitted in one step; an anomaly output (`svdd`, `vae`, `future`)
is trained in epochs. Either way the run is a run of two classes, the normal one and `unusual`, and
its score is e / (e + q), with e the error and q the 95% quantile of e over the normal validation
videos.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from violence_detection import registry
from violence_detection.datasets import training_readiness
from violence_detection.datasets.labels import is_violent_label, normal_entries
from violence_detection.datasets.table_files.manifest import ManifestEntry
from violence_detection.features.dataset import FeatureDataset
from violence_detection.metrics.sample_size import FEW_RECORDINGS
from violence_detection.metrics.thresholds.normal_threshold import (
    check_normal_support,
    choose_on_normal,
)
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.models.classifier import Classifier, load_model
from violence_detection.models.forward_pass import run_model
from violence_detection.models.output_set import OutputSet
from violence_detection.models.run import Run
from violence_detection.models.run_scores import CalibrationBasis, RunScores
from violence_detection.models.training_results import (
    EffectiveSettings,
    TrainingResults,
    TrainingSummary,
)
from violence_detection.training.config import ONE_CLASS_OUTPUTS
from violence_detection.training.monitoring.split_scoring import score_split
from violence_detection.training.training_settings import TrainingSettings
from violence_detection.units import counted

if TYPE_CHECKING:
    import keras

    from violence_detection.training.training_job import TrainingJob

log = logging.getLogger(__name__)

QUANTILE = 0.95  # of the errors on normal validation videos: the error with the score 0.5
_SMALLEST = 1e-12
NOT_CALIBRATED = "1: the score of a detector is not a probability"


@dataclass(frozen=True)
class TrainedDetector:
    """A trained detector, and how it was trained.

    Attributes:
        classifier: Of two classes, the normal one and `unusual`.
        summary: Epochs and speed; 0 epochs for a detector that is fitted in one step.
        effective: Devices and precision.
    """

    classifier: Classifier
    summary: TrainingSummary
    effective: EffectiveSettings


def check_videos(
    entries: Sequence[ManifestEntry], *, normal_class: str | None, operating_point: str | None
) -> tuple[list[ManifestEntry], list[str]]:
    """The normal videos and the two classes, once they are enough; others are counted in the log.

    Args:
        entries: All usable videos.
        normal_class: Name of the normal class; None where it is recognised.
        operating_point: Goal of the threshold; None for the default.

    Raises:
        ConfigError: If the normal class is not recognised.
        CacheError: If train or validation has no normal videos.
        EvidenceError: If validation cannot show the rate of the operating point.
    """
    normal, classes = normal_entries(entries, normal_class)
    training_readiness.check_splits(normal, classes)
    left_out = Counter(entry.label for entry in entries if is_violent_label(entry.label, classes))
    if left_out:
        listed = ", ".join(f"{count} {label}" for label, count in sorted(left_out.items()))
        log.info(f"Left out, because they are not {classes[0]}: {listed}.")
    validation = [entry for entry in normal if entry.split == "validation"]
    check_normal_support(
        operating_point,
        len(validation),
        hours=hours_of(validation),
        of_videos=len(normal),
        of_hours=hours_of(normal),
    )
    return normal, classes


def hours_of(entries: Sequence[ManifestEntry]) -> float:
    """The length of some videos together, in hours."""
    return sum(entry.duration_s for entry in entries) / 3600


def train_detector(
    job: "TrainingJob",
    run: Run,
    spec: str,
    settings: TrainingSettings,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
) -> TrainingResults:
    """Trains a detector in a run folder, or resumes its epochs; returns the run's results.

    Args:
        job: The normal videos of each split, and the classes.
        run: The run folder.
        spec: A part in `models/detectors`, or an anomaly output.
        settings: Settings of the training.
        callbacks: Further Keras callbacks, for a detector that is trained in epochs.
    """
    from violence_detection.training.saving.checkpoint import save_classifier  # imports Keras

    trained = train_model(job, run, spec, settings, callbacks, start=True)
    save_classifier(trained.classifier.model, run.model_path)
    scores = score_detector(
        trained.classifier,
        job.clips,
        operating_point=settings.decision.operating_point,
        seed=settings.seed,
    )
    results = job.results(run, trained.summary, scores, effective=trained.effective)
    results = dataclasses.replace(results, one_class=spec)
    job.write_results(run, results)
    return results


def train_model(
    job: "TrainingJob",
    run: Run,
    spec: str,
    settings: TrainingSettings,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    *,
    start: bool = False,
) -> TrainedDetector:
    """Trains a detector, with its border from the normal validation videos.

    Args:
        job, run, spec, settings, callbacks: See `train_detector`.
        start: Whether the record of the run is written.
    """
    if spec in ONE_CLASS_OUTPUTS:
        trainer = job.build_trainer(run, settings, callbacks)
        if start:
            job.start_run(run, settings, trainer)
        trainer.run_epochs()
        summary, effective = trainer.summary(), job.effective_in(trainer)
        model = load_model(run.model_path)
        take_border(model, job.clips["validation"])
    else:
        if start:
            job.start_run(run, settings)
        model = fit_detector(spec, job.clips["train"], job.clips["validation"])
        summary = TrainingSummary(0, 0, 0, 0.0, kept_reason="fitted in one step")
        effective = job.effective
    return TrainedDetector(Classifier.of_model(model), summary, effective)


def fit_detector(spec: str, train: FeatureDataset, validation: FeatureDataset) -> "keras.Model":
    """A detector of normal clips, from features (B, T, D) to the logit of its score, (B, 1).

    Args:
        spec: A part in `models/detectors`.
        train: Normal videos that it is fitted to.
        validation: Normal videos of other recordings, that its border is taken from.
    """
    from violence_detection.models.detectors import _error  # imports Keras

    detector = registry.load("detectors", spec, clips=train.features)
    errors = run_model(detector, validation.features)[:, 0].astype(np.float64)
    return _error.with_border(detector, max(float(np.quantile(errors, QUANTILE)), _SMALLEST))


def take_border(model: "keras.Model", validation: FeatureDataset) -> None:
    """Takes the border of the anomaly outputs of a model from normal validation videos."""
    OutputSet.of_model(model).calibrate(
        model, validation.features, np.zeros(len(validation), np.int64)
    )


def score_detector(
    classifier: Classifier,
    clips: Mapping[str, FeatureDataset],
    *,
    operating_point: str | None,
    seed: int,
) -> RunScores:
    """The threshold of a detector, and its false positives on the normal videos of each split.

    Args:
        classifier: The detector.
        clips: Normal videos of `validation` and, where there are some, `test`.
        operating_point: Goal of the threshold; None for the score 0.5.
        seed: Seed of the intervals.
    """
    predicted = {
        split: classifier.probabilities(clips[split].features)
        for split in ("validation", "test")
        if split in clips
    }
    validation = clips["validation"]
    chosen = choose_threshold(classifier, validation, operating_point=operating_point, seed=seed)
    scores = {
        split: score_split(
            clips[split], probability, threshold=chosen.threshold, seed=seed, with_loss=False
        )
        for split, probability in predicted.items()
    }
    recordings = len(set(validation.groups.tolist()))
    warnings = []
    if recordings < FEW_RECORDINGS:
        warnings.append(
            f"The threshold was chosen on {counted(recordings, 'recording')} of normal validation "
            "videos: its rate of false alarms elsewhere is a rough guess."
        )
    return RunScores(
        validation=scores["validation"],
        test=scores.get("test"),
        threshold=chosen.threshold,
        threshold_reason=chosen.reason,
        operating_point=chosen,
        temperature_reason=NOT_CALIBRATED,
        warnings=warnings,
        calibration=CalibrationBasis("validation", len(validation), recordings),
    )


def choose_threshold(
    classifier: Classifier,
    validation: FeatureDataset,
    *,
    operating_point: str | None,
    seed: int,
) -> ChosenOperatingPoint:
    """The threshold on normal validation videos; see `choose_on_normal`."""
    return choose_on_normal(
        operating_point,
        classifier.scores(validation.features),
        validation.groups,
        hours=hours_of(validation.entries),
        seed=seed,
    )
