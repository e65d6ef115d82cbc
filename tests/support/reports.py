"""What an evaluation and a cross-validation leave, as their reports read it."""

from datetime import date

import numpy as np

from violence_detection.metrics.classification import class_metrics
from violence_detection.metrics.several_classes import class_report
from violence_detection.reports.cross_validation.cross_validation_report import VideoDiagnostics
from violence_detection.reports.cross_validation.cross_validation_result import (
    CrossValidationResult,
)
from violence_detection.reports.evaluation.evaluation_report import ReportContext
from violence_detection.reports.evaluation.evaluation_result import ErrorRow, EvaluationResult
from violence_detection.reports.evaluation.mistakes import Mistake, MistakeSheet


def scores(accuracy, auc=0.8):
    low, high = max(0.0, accuracy - 0.05), min(1.0, accuracy + 0.05)
    return {
        "accuracy": accuracy,
        "accuracy_ci": [low, high],
        "auc": auc,
        "auc_ci": None if auc is None else [auc - 0.05, min(1.0, auc + 0.05)],
    }


def pooled_scores(accuracy, auc=0.8):
    rates = {"recall": 0.857, "false_positive_rate": 0.083, "brier_score": 0.1}
    intervals = {f"{name}_ci": [value - 0.05, value + 0.05] for name, value in rates.items()}
    return scores(accuracy, auc) | rates | intervals | {"calibration_error": 0.04}


def over_folds(mean, interval=None):
    return {"mean": mean, "sd": 0.04, "ci": interval}


def difference(value, width):
    ends = [value - width, value + width]
    return {"accuracy": value, "accuracy_ci": ends, "auc": value, "auc_ci": ends}


def protocol(grouped, model):
    return {
        "grouped": grouped,
        "note": "grouped folds: all clips of a recording are on one side"
        if grouped
        else "random folds: clips of one recording are on both sides",
        "accuracy": over_folds(model, [model - 0.1, model + 0.02]),
        "auc": over_folds(0.9),
        "baselines": {},
        "pooled": {
            "model": pooled_scores(model),
            "linear": pooled_scores(0.85),
            "mean_picture": pooled_scores(0.61),
            "majority": pooled_scores(0.5, None),
        },
        "difference_to_linear": difference(model - 0.85, 0.02),
        "clean": grouped,
        "leaks": [],
        "leak_counts": {"recordings": 0, "identical": 0, "near_duplicates": 0},
        "near_duplicates_searched": True,
        "near_duplicates_reason": "",
        "warnings": [],
    }


def row(fold, grouped):
    return {
        "repeat": 1,
        "fold": fold,
        "grouped": grouped,
        "videos": 48,
        "recordings": 7,
        "training_videos": 191,
        "accuracy": 0.8 + fold / 50,
        "auc": None if fold == 2 else 0.9,
        "recall": 0.9,
        "false_positive_rate": 0.1,
        "epochs": 20,
        "best_epoch": 12,
        "threshold": 0.5,
        "temperature": 1.0,
        "note": "",
        "recording_names": [f"camera <{fold}>", "yard"],
    }


METRICS = {
    "run": "/runs/night & day",
    "split": "test",
    "videos": 100,
    "recordings": 30,
    "grouped": True,
    "grouped_by": "",
    "clean": True,
    "leaks": [],
    "leak_counts": {"recordings": 0, "identical": 0, "near_duplicates": 0},
    "near_duplicates_searched": False,
    "near_duplicates_reason": "--no-read-videos was given",
    "accuracy": 0.85,
    "accuracy_ci": [0.78, 0.91],
    "accuracy_ci_wilson": [0.767, 0.907],
    "auc": 0.912,
    "auc_ci": [0.85, 0.96],
    "auc_ci_delong": [0.86, 0.96],
    "average_precision": 0.9,
    "balanced_accuracy": 0.86,
    "precision": 0.789,
    "recall": 0.9,
    "f1": 0.81,
    "false_alarm_rate": 0.2,
    "recall_per_class": {"calm": 0.8, "<fight>": 0.9},
    "confusion": [[40, 10], [5, 45]],
    "classes": ["calm", "<fight>"],
    "normal_class": "calm",
    "threshold": 0.43,
    "threshold_reason": "best balanced accuracy on validation (80 videos)",
    "baseline_accuracy": 0.5,
    "calibration_error": 0.04,
    "calibration_error_as_trained": 0.05,
    "brier_score": 0.11,
    "undefined": [],
    "rates_ci": {"recall": [0.81, 0.97], "false_alarm_rate": [0.08, 0.35]},
    "baselines": {
        "metadata": {
            "accuracy": 0.57,
            "accuracy_ci": [0.5, 0.64],
            "auc": 0.6,
            "auc_ci": [0.5, 0.7],
        }
    },
    "close_baselines": [],
    "baselines_left_out": ["The baseline mean_picture is left out: <gone>."],
    "baseline_videos": 300,
    "errors_by": {
        "recording": [
            {
                "name": "rec<1>",
                "videos": 20,
                "errors": 5,
                "error_rate": 0.25,
                "ci": [0.112, 0.469],
                "misses": 3,
                "false_alarms": 2,
            },
            {
                "name": "rec2",
                "videos": 80,
                "errors": 0,
                "error_rate": 0.0,
                "ci": [0.0, 0.046],
                "misses": 0,
                "false_alarms": 0,
            },
        ]
    },
    "errors_left_out": [],
    "warnings": [],
    "temperature": 1.0,
    "temperature_reason": "",
    "class_mapping": {},
    "features": "/cache/drawn/space",
    "model_digest": "0" * 64,
    "videos_digest": "1" * 64,
    "report": "/runs/night & day/evaluation/test/report.html",
}

OPERATING_POINT = {
    "asked": "recall=0.9",
    "threshold": 0.43,
    "reason": "recall of 0.9 or more on validation (100 videos)",
    "interval": [0.3, 0.5],
    "achieved": {"recall": 0.91, "false_positive_rate": 0.2},
    "achieved_ci": {"recall": [0.8, 1.0], "false_positive_rate": None},
    "from": "validation",
    "videos": 100,
    "recordings": 20,
}


def evaluation_result(**changes) -> EvaluationResult:
    return EvaluationResult.from_json({**METRICS, **changes})


def of_several_classes(classes: int) -> dict:
    """Values of an evaluation of four videos a class, of which each class has one wrong."""
    names = ["calm", *(f"kind<{number}>" for number in range(1, classes))]
    labels = np.repeat(np.arange(classes), 4)
    predicted = np.where(np.arange(len(labels)) % 4, labels, np.roll(labels, 4))
    groups = [f"{label} {number % 4}" for number, label in enumerate(labels)]
    report = class_report(labels, predicted, np.eye(classes)[predicted], groups, names)
    return {
        "classes": names,
        "confusion": class_metrics(labels, predicted, names).confusion,
        "recall_per_class": dict.fromkeys(names, 0.75),
        "class_report": report.to_json(),
    }


CONTEXT = ReportContext("checkpoints/night & day", "shop <1>", date(2026, 11, 29))


def mistake(path, label, probability, predicted, *, frames=(), attention=None) -> Mistake:
    reason = "" if frames else "--no-show-frames was given"
    return Mistake(path, label, "g1", probability, predicted, attention, frames, reason)


WORST = MistakeSheet(
    misses=[
        mistake("a<script>.mp4", "<fight>", 0.02, "calm"),
        mistake("b.mp4", "<fight>", 0.40, "calm"),
    ],
    false_alarms=[mistake("d.mp4", "calm", 0.99, "<fight>")],
)


ROBUSTNESS = {
    "clean": {
        "name": "clean",
        "accuracy": 0.85,
        "accuracy_ci": [0.78, 0.91],
        "auc": 0.9,
    },
    "conditions": [{"name": "dark<er>", "accuracy": 0.7, "accuracy_ci": [0.6, 0.8], "auc": None}],
    "mean_accuracy": 0.7,
}


CROSS_VALIDATION = {
    "cross_validation": "/runs/folds",
    "folds": 2,
    "repeats": 1,
    "by": "recording",
    **protocol(True, 0.881),
    "random": protocol(False, 0.954) | {"difference_to_grouped": difference(0.073, 0.02)},
    "complete": True,
    "warnings": [],
    "left_out": ["The baseline motion_energy is left out: <gone>."],
    "by_fold": [row(fold, grouped) for grouped in (True, False) for fold in (1, 2)],
    "videos": 239,
    "recordings": 36,
    "training_only": 0,
    "recordings_known": True,
    "grouped_by": "",
    "classes": ["calm", "<fight>"],
    "features": "/cache/drawn/space",
    "effective": {
        "replicas": 1,
        "workers": 1,
        "precision": "float32",
        "xla": False,
        "engine": "tensorflow",
        "calibrate_by": "validation",
    },
    "folds_csv": "/runs/folds/folds.csv",
    "predictions_csv": "/runs/folds/predictions.csv",
    "report": "/runs/folds/report.html",
}


def cross_validation_result(without=(), **changes) -> CrossValidationResult:
    values = {**CROSS_VALIDATION, **changes}
    return CrossValidationResult.from_json(
        {name: value for name, value in values.items() if name not in without}
    )


def video_diagnostics(figures=None) -> VideoDiagnostics:
    """A mistake of either kind, and the errors of two recordings."""
    missed = Mistake("<fight>/a.mp4", "<fight>", "camera <1>", 0.2, "calm")
    flagged = Mistake("calm/b.mp4", "calm", "yard", 0.9, "<fight>")
    return VideoDiagnostics(
        mistakes=MistakeSheet([missed], [flagged]),
        thresholds={missed.path: 0.5, flagged.path: 0.4},
        errors_by_recording=[
            ErrorRow("camera <1>", 20, 5, 0.25, [0.112, 0.469], 3, 2),
            ErrorRow("yard", 80, 0, 0.0, [0.0, 0.046], 0, 0),
        ],
        figures=figures or {},
    )


SETTINGS = {"settings": {"head": "bilstm_attention"}, "versions": {"keras": "3"}}
