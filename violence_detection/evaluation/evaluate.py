"""Evaluates a run on a split: metrics with intervals, diagnostics, predictions and a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from violence_detection import units
from violence_detection.datasets import camera_and_time, video_folder
from violence_detection.datasets.drawing import synthetic
from violence_detection.datasets.labels import renamed_labels
from violence_detection.datasets.splitting.recordings import (
    Grouping,
    choose_recordings,
    find_near_duplicates,
)
from violence_detection.datasets.table_files.manifest import part_suffix
from violence_detection.errors import ConfigError
from violence_detection.evaluation import (
    baseline_comparison,
    leakage,
    other_cameras,
    prediction_scores,
)
from violence_detection.evaluation.config import TRAFFIC, EvaluateConfig
from violence_detection.evaluation.evaluation_set import identity_of, open_features, split_entries
from violence_detection.evaluation.footage import site_cost
from violence_detection.evaluation.footage.alarm_counts import AlarmRule
from violence_detection.evaluation.footage.normal_footage import NormalFootage
from violence_detection.evaluation.mistakes import contact_sheet, error_analysis
from violence_detection.evaluation.predictions import (
    COLUMNS,
    SUGGESTION_COLUMNS,
    PredictionRow,
    class_columns,
    output_columns,
    prediction_rows,
    suggestion_rows,
)
from violence_detection.evaluation.thresholds import ChosenThreshold, ThresholdChooser
from violence_detection.features import dataset
from violence_detection.features.cache import FeatureCache
from violence_detection.features.dataset import FeatureDataset
from violence_detection.inference.config import parse_confirmation
from violence_detection.metrics.sample_size import widest_interval
from violence_detection.metrics.thresholds.threshold_curve import ThresholdCurve, threshold_curve
from violence_detection.models.calibration_predictions import CalibrationPredictions
from violence_detection.models.class_thresholds import ClassThresholds
from violence_detection.models.classifier import Classifier
from violence_detection.models.neighbours.training_clips import TrainingClips
from violence_detection.models.output_set import OutputPredictions
from violence_detection.models.outputs.classes import is_violent
from violence_detection.models.run import Run
from violence_detection.reports import model_card
from violence_detection.reports.evaluation import evaluation_figures, evaluation_report
from violence_detection.reports.evaluation.evaluation_report import ReportContext
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult, NovelVideos
from violence_detection.reports.evaluation.own_dataset_comparison import OwnDatasetComparison
from violence_detection.settings import with_new_names
from violence_detection.system import devices, files
from violence_detection.training.config import TrainConfig


def evaluate_run(
    run_dir: str, config: EvaluateConfig, *, force: bool = False, with_figures: bool = True
) -> EvaluationResult:
    """The result of an `EvaluationStage`."""
    return EvaluationStage(run_dir, config, force=force, with_figures=with_figures).run()


@dataclass(frozen=True)
class _Predictions:
    """The predictions of a run for the N evaluated videos.

    Attributes:
        classifier: The run's.
        outputs: All its outputs at temperature 1.
        probability: Of each class at the run's temperature, float64 (N, K).
        chosen: The threshold of violence, and why it is that.
        thresholds: The same with those of single classes.
        predicted: The classes at these thresholds, int (N,).
        footage: The normal footage that false alarms are counted in; None if none is given.
        training_clips: The run's; None where they are not known.
        novelty: How unlike these each video is, float (N,); None where not known.
    """

    classifier: Classifier
    outputs: OutputPredictions
    probability: np.ndarray
    chosen: ChosenThreshold
    thresholds: ClassThresholds
    predicted: np.ndarray
    footage: NormalFootage | None
    training_clips: TrainingClips | None
    novelty: np.ndarray | None

    @property
    def score(self) -> np.ndarray:
        """The score that alarms go by, float64 (N,)."""
        return self.thresholds.score(self.probability)


class EvaluationStage:
    """Evaluates a run on a split and leaves `evaluation/<split>/` in the run's folder."""

    def __init__(
        self,
        run_dir: str,
        config: EvaluateConfig,
        *,
        force: bool = False,
        with_figures: bool = True,
    ) -> None:
        """
        Args:
            run_dir: Folder of the run.
            config: The split, the features, and what is measured.
            force: Whether an evaluation of other videos may be replaced.
            with_figures: Whether the report gets figures; drawing takes most of the time.
        """
        self._run_dir, self._config = run_dir, config
        self._force, self._with_figures = force, with_figures
        self._resampling = {"resamples": config.bootstrap, "seed": config.seed}

    def prepare(self) -> dict[str, Any]:
        """Opens the run and its features, and checks everything that needs no prediction.

        Raises:
            RunError: If the run is not usable.
            CacheError: If the features are of another feature space, or the split is empty.
            ConfigError: If the folder holds an evaluation of other videos or another model.
            EvidenceError: If the validation videos do not support the operating point.
        """
        config = self._config
        self._run = Run.open(self._run_dir)
        self._thresholds(0.5)  # refuses names that are no classes
        self._cache = open_features(self._run, config.features)
        self._entries = split_entries(self._run, self._cache, config.split)
        if config.group_pattern is not None:
            # Of all splits: recordings on two sides of the split are leaks.
            paths = [
                entry.path.removesuffix(part_suffix(entry.path))
                for entry in dataset.usable_entries(self._cache)
            ]
            video_folder.names_in_paths(config.group_pattern, paths)
        self._entries = camera_and_time.from_paths(
            self._entries,
            camera_pattern=config.camera_pattern,
            time_pattern=config.time_pattern,
        )
        self._folder = self._run.evaluation_dir(config.split)
        self._identity = identity_of(self._run, self._entries)
        _check_replaceable(self._folder, self._identity, force=self._force)
        self._threshold_chooser = ThresholdChooser(
            self._run,
            self._training_cache(),
            operating_point=config.operating_point,
            normal_footage=config.normal_footage,
            frames_fps=config.frames_fps,
            weights=config.weights,
            alarm_rule=AlarmRule(parse_confirmation(config.confirm), config.close_gaps_s),
            **self._resampling,
        )
        return {
            "dry_run": True,
            "run": str(self._run.dir),
            "split": config.split,
            "videos": len(self._entries),
            "report": str(self._folder / "report.html"),
        }

    def run(self) -> EvaluationResult:
        """Evaluates, and writes metrics.json, predictions.csv, the report and the model card.

        Raises:
            RunError, CacheError, ConfigError, EvidenceError: See `prepare`.
        """
        self.prepare()
        recordings = self._recordings()
        entries = recordings.apply_to(self._entries)
        clips = dataset.read_dataset(self._cache, entries, self._run.record().classes)
        devices.import_tensorflow()
        predictions = self._predict(clips)
        result = self._result(clips, recordings, predictions)
        rows = self._write_tables(clips, predictions)
        self._write_report(clips, predictions, result, rows)
        files.write_json(self._folder / "metrics.json", result.to_json())
        if self._config.set_threshold:
            chosen = predictions.chosen
            self._run.write_threshold(
                chosen.threshold,
                chosen.reason,
                chosen.operating_point,
                predictions.thresholds.own,
            )
        model_card.write_model_card(self._run)
        return result

    def _predict(self, clips: FeatureDataset) -> _Predictions:
        """The predictions of the videos, and the thresholds that make decisions of them."""
        footage = self._threshold_chooser.score_footage()
        classifier = self._run.load_classifier()
        outputs = classifier.uncalibrated_predictions(clips.features)
        probability = classifier.calibrated(outputs.probability)
        chosen = self._threshold_chooser.choose(classifier, footage)
        thresholds = self._thresholds(chosen.threshold)
        training_clips = baseline_comparison.training_clips_of(self._run, self._cache)
        return _Predictions(
            classifier=classifier,
            outputs=outputs,
            probability=probability,
            chosen=chosen,
            thresholds=thresholds,
            predicted=thresholds.decide(probability),
            footage=footage,
            training_clips=training_clips,
            novelty=training_clips.novelty(clips.features[:]) if training_clips else None,
        )

    def _result(
        self, clips: FeatureDataset, recordings: Grouping, predictions: _Predictions
    ) -> EvaluationResult:
        """Scores with intervals, leaks, baselines, errors by condition, and how they were made."""
        run, config = self._run, self._config
        record, chosen, predicted = run.record(), predictions.chosen, predictions.predicted
        leaks = leakage.find_leaks(
            run,
            self._cache,
            clips.entries,
            config.split,
            groups=recordings.groups,
            read_videos=config.read_videos,
            max_bits=config.near_bits,
        )
        scores = prediction_scores.score_predictions(
            clips.labels,
            predictions.probability,
            predictions.outputs.probability,
            predicted,
            groups=clips.groups,
            thresholds=predictions.thresholds,
            classes=record.classes,
            **self._resampling,
        )
        errors = self._errors(clips, predicted)
        alarms = None
        if predictions.footage:
            alarms = predictions.footage.alarms_at(chosen.threshold, **self._resampling)
        return EvaluationResult(
            run=str(run.dir),
            split=config.split,
            videos=len(clips),
            recordings=len(set(clips.groups)),
            grouped=recordings.complete,
            grouped_by=recordings.source,
            **leaks.to_json(),
            **scores,
            baseline_accuracy=baseline_comparison.majority_accuracy(run, clips.labels),
            **vars(self._baselines(clips, scores["accuracy_ci"])),
            **vars(errors),
            temperature=record.temperature,
            temperature_reason=record.temperature_reason,
            threshold=chosen.threshold,
            threshold_reason=chosen.reason,
            operating_point=chosen.operating_point,
            normal_footage=alarms,
            cost=site_cost.cost_at_site(
                clips,
                predicted,
                alarms,
                **{name: getattr(config, name) for name in TRAFFIC},
                **self._resampling,
            ),
            classes=record.classes,
            class_thresholds=predictions.thresholds.own,
            class_mapping=renamed_labels(record.classes, dataset.usable_entries(self._cache)),
            normal_class=record.normal_class,
            features=str(self._cache.dir),
            **self._identity,
            report=str(self._folder / "report.html"),
            novelty=novel_videos(predictions.novelty, clips.labels, predicted),
            home=self._home(scores, errors),
            output_auc=prediction_scores.output_auc(predictions.outputs, clips.labels) or None,
        )

    def _write_tables(
        self, clips: FeatureDataset, predictions: _Predictions
    ) -> list[PredictionRow]:
        """Writes predictions.csv and label_next.csv; returns the rows of the first."""
        classes = self._run.record().classes
        rows = [*prediction_rows(clips.entries, predictions.score, predictions.predicted, classes)]
        names, by_class = class_columns(predictions.probability, classes)
        further, by_output = output_columns(predictions.outputs, classes)
        files.write_csv(
            self._folder / "predictions.csv",
            (*COLUMNS, *names, *further),
            [
                row._asdict() | of_classes | of_outputs
                for row, of_classes, of_outputs in zip(rows, by_class, by_output, strict=True)
            ],
        )
        files.write_csv(
            self._folder / "label_next.csv",
            SUGGESTION_COLUMNS,
            suggestion_rows(rows, predictions.novelty, predictions.chosen.threshold),
        )
        return rows

    def _write_report(
        self,
        clips: FeatureDataset,
        predictions: _Predictions,
        result: EvaluationResult,
        rows: Sequence[PredictionRow],
    ) -> None:
        """Writes report.html with its figures and mistakes."""
        run, config = self._run, self._config
        figures = {}
        if self._with_figures:
            summary = run.results().summary
            figures = evaluation_figures.write_figures(
                self._folder,
                result,
                violent=is_violent(clips.labels),
                score=predictions.score,
                uncalibrated=predictions.thresholds.score(predictions.outputs.probability),
                history=run.history() if summary.epochs_run else [],
                kept_epoch=summary.kept_epoch,
                threshold_curves=self._threshold_curves(clips, predictions.score),
            )
        known = predictions.training_clips
        mistakes = contact_sheet.build_contact_sheet(
            self._cache,
            clips,
            rows,
            normal_class=run.record().normal_class,
            classifier=predictions.classifier.model,
            with_frames=config.show_frames,
            blur=config.blur_faces,
            known=(lambda _: known) if known else None,
            training_cache=baseline_comparison.training_features(run),
        )
        evaluation_report.write_report(
            self._folder / "report.html",
            result,
            context=self._report_context(),
            figures=figures,
            mistakes=mistakes,
            settings=_report_settings(run.config()),
            robustness=evaluation_report.read_robustness(self._folder, self._identity),
        )

    def _thresholds(self, threshold: float) -> ClassThresholds:
        """The threshold of violence with those of single classes, the run's own if none are
        given."""
        asked, record = self._config.class_threshold, self._run.record()
        if asked is None:
            return ClassThresholds(record.classes, threshold, record.class_thresholds)
        return ClassThresholds.from_text(asked, record.classes, threshold)

    def _training_cache(self) -> FeatureCache:
        """The features that hold the run's own videos: the evaluated ones, if they are of the
        same dataset, else those of the training."""
        if self._config.operating_point is None or leakage.is_same_dataset(self._run, self._cache):
            return self._cache
        return open_features(self._run)

    def _recordings(self) -> Grouping:
        """The recordings of all videos of the features, as the settings ask for them."""
        cache, config = self._cache, self._config
        entries, near_duplicates = dataset.usable_entries(cache), None
        if config.group_near_duplicates:
            near_duplicates, _ = find_near_duplicates(
                entries,
                video_dir=cache.video_dir,
                summaries_path=cache.summaries_path,
                read_videos=True,
                max_bits=config.near_bits,
            )
        return choose_recordings(
            entries,
            complete=dataset.has_all_recordings(cache),
            pattern=config.group_pattern,
            joined_by=near_duplicates,
        )

    def _baselines(
        self, clips: FeatureDataset, accuracy_ci: list[float]
    ) -> baseline_comparison.BaselineComparison:
        """The baselines on the same videos."""
        return baseline_comparison.compare_with_baselines(
            self._run,
            self._cache,
            clips,
            self._run.record().classes,
            accuracy_ci=accuracy_ci,
            read_videos=self._config.read_videos,
            **self._resampling,
        )

    def _errors(
        self, clips: FeatureDataset, predicted: np.ndarray
    ) -> error_analysis.ConditionErrors:
        """The errors by recording, resolution, brightness and duration."""
        summaries = baseline_comparison.NOT_READ
        if self._config.read_videos:
            summaries = self._cache.summaries(clips.entries)
        return error_analysis.errors_by_condition(
            clips.entries,
            violent=is_violent(clips.labels),
            alarm=is_violent(predicted),
            correct=predicted == clips.labels,
            summaries=summaries,
        )

    def _home(
        self, scores: Mapping[str, Any], errors: error_analysis.ConditionErrors
    ) -> OwnDatasetComparison | None:
        """The loss against the dataset of the training; None on that dataset."""
        if leakage.is_same_dataset(self._run, self._cache):
            return None
        names = ("accuracy", "auc", "auc_ci")
        return other_cameras.compare_with_home(
            self._run,
            **{name: scores[name] for name in names},
            accuracy_ci=widest_interval(scores["accuracy_ci"], scores["accuracy_ci_wilson"]),
            errors_by=errors.errors_by,
        )

    def _threshold_curves(
        self, clips: FeatureDataset, score: np.ndarray
    ) -> dict[str, ThresholdCurve]:
        """Curves of the predictions that the run's threshold was chosen on, where it has them, and
        of the evaluated videos, by their name."""
        own = f"The {self._config.split} split"
        curves = {own: threshold_curve(is_violent(clips.labels), score, clips.groups)}
        chosen_on = CalibrationPredictions.of_run(self._run)
        if chosen_on is None or chosen_on.source == self._config.split:
            return curves
        name = chosen_on.source.capitalize()
        return {name: chosen_on.threshold_curve(self._run.record().temperature), **curves}

    def _report_context(self) -> ReportContext:
        """The facts that the report shows beside the result."""
        record = self._run.record()
        origin = self._cache.origin
        folder = Path(origin.dir).name
        asked = self._config.operating_point or record.settings.get("operating_point")
        return ReportContext(
            run_path=units.shown_path(self._run_dir, is_kept=True),
            # The name of a dataset is that of its folder, with digits unless it was given.
            dataset=folder if folder and origin.name.startswith(f"{folder}-") else origin.name,
            evaluated_on=datetime.now(UTC).astimezone().date(),
            operating_point=asked or "",
            is_drawn=synthetic.is_drawn(origin.dir),
            one_class=record.one_class,
        )


def novel_videos(
    novelty: np.ndarray | None, labels: np.ndarray, predicted: np.ndarray
) -> NovelVideos | None:
    """The evaluated videos that are unlike the training clips; None where that is not known.

    Args:
        novelty: Of the N evaluated videos, float (N,); over 1 a video is unlike them.
        labels, predicted: Their classes, and those that were predicted, int (N,).
    """
    if novelty is None:
        return None
    is_novel = novelty > 1
    return NovelVideos(
        videos=int(is_novel.sum()),
        share=float(is_novel.mean()),
        errors=int((is_novel & (predicted != labels)).sum()),
    )


def _check_replaceable(folder: Path, identity: dict[str, str], *, force: bool) -> None:
    """Raises ConfigError if the folder holds an evaluation of other videos or another model."""
    path = folder / "metrics.json"
    if force or not path.is_file():
        return
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))
        same = all(existing.get(name) == value for name, value in identity.items())
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise ConfigError(
            "An evaluation of other videos or another model is replaced with --force only. "
            f"Received: {folder}"
        )


def _report_settings(trained: Mapping[str, Any]) -> dict[str, Any]:
    """The content of training_config.json for the report.

    Where the run was trained on existing features, the settings of feature extraction had no
    effect and are left out; the feature space holds the real ones.
    """
    names = {setting.name for setting in TrainConfig.settings()}
    settings = with_new_names(trained.get("settings", {}), names)
    if settings.get("features"):
        for name in TrainConfig.names_in("extract"):
            settings.pop(name, None)
    return {**trained, "settings": settings}
