"""What an evaluation and a cross-validation leave, as their reports read it."""

from violence_detection.reports.evaluation_result import EvaluationResult


def scores(accuracy, auc=0.8):
    low, high = max(0.0, accuracy - 0.05), min(1.0, accuracy + 0.05)
    return {
        "accuracy": accuracy,
        "accuracy_ci": [low, high],
        "auc": auc,
        "auc_ci": None if auc is None else [auc - 0.05, min(1.0, auc + 0.05)],
    }


def prediction(path, label, probability, predicted):
    row = {"path": path, "label": label, "group": "g1", "probability": probability}
    return {**row, "predicted": predicted, "correct": label == predicted}


def protocol(grouped, model):
    return {
        "grouped": grouped,
        "note": "grouped folds: all clips of a recording are on one side"
        if grouped
        else "random folds: clips of one recording are on both sides",
        "accuracy": {"mean": model, "sd": 0.04, "ci": [model - 0.1, model + 0.02]},
        "auc": {"mean": 0.9, "sd": 0.02, "ci": None},
        "pooled": {
            "model": scores(model),
            "linear": scores(0.85),
            "mean_picture": scores(0.61),
            "majority": scores(0.5, None),
        },
        "clean": grouped,
        "warnings": [] if grouped else ["Random folds: too good."],
    }


def row(fold, grouped):
    return {
        "repeat": 1,
        "fold": fold,
        "grouped": grouped,
        "videos": 48,
        "recordings": 7,
        "accuracy": 0.8 + fold / 50,
        "auc": None if fold == 2 else 0.9,
        "best_epoch": 12,
        "threshold": 0.5,
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
    "near_duplicates_reason": "--no-pictures was given",
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
    return EvaluationResult.from_dict({**METRICS, **changes})


def mistake(*of, frames=None, why="--no-frames was given", attention=None):
    shown = {"frames": frames, "why": "" if frames else why, "attention": attention}
    return prediction(*of) | shown


WORST = {
    "misses": [
        mistake("a<script>.mp4", "<fight>", 0.02, "calm"),
        mistake("b.mp4", "<fight>", 0.40, "calm"),
    ],
    "false_alarms": [mistake("d.mp4", "calm", "0.99", "<fight>")],
    "blurred": False,
}


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


RESULT = {
    "cross_validation": "/runs/folds",
    "folds": 2,
    "repeats": 1,
    **protocol(True, 0.881),
    "random": protocol(False, 0.954),
    "warnings": ["Random folds: too good."],
    "left_out": ["The baseline motion_energy is left out: <gone>."],
    "by_fold": [row(fold, grouped) for grouped in (True, False) for fold in (1, 2)],
    "videos": 239,
    "recordings": 36,
    "recordings_known": True,
}


SETTINGS = {"settings": {"head": "bilstm_attention"}, "versions": {"keras": "3"}}
