"""The results of a training come back from their JSON as they were."""

from dataclasses import replace

import pytest

from violence_detection.datasets.videos import Problem
from violence_detection.errors import RunError
from violence_detection.metrics.thresholds.operating_points import ChosenOperatingPoint
from violence_detection.models.run_scores import (
    BaselineScores,
    CalibrationBasis,
    RunScores,
    SplitScores,
)
from violence_detection.models.training_results import (
    EffectiveSettings,
    KeptMembers,
    MemberResult,
    MembersResult,
    ScoresOverMembers,
    TrainingResults,
    TrainingSummary,
)

VALIDATION, TEST = SplitScores(0.75, 0.8, 0.5), SplitScores(0.5, None, 0.75)
SCORES = RunScores(
    validation=VALIDATION,
    test=TEST,
    threshold=0.4,
    threshold_reason="best balanced accuracy",
    operating_point=ChosenOperatingPoint(
        asked="balanced_accuracy",
        threshold=0.4,
        reason="best balanced accuracy",
        interval=[0.3, 0.5],
        achieved={"recall": 0.75},
        achieved_ci={"recall": None},
        chosen_on="validation",
        videos=8,
        recordings=4,
    ),
    temperature=1.5,
    temperature_reason="fitted",
    warnings=["a warning"],
    baseline=BaselineScores(SplitScores(0.5, 0.6), None, "no clear difference", 16),
)
SUMMARY = TrainingSummary(12, 7, 0, 250.0)
PROFILED = TrainingSummary(12, 7, 0, 250.0, [2, 3])


def results_of(summary=SUMMARY, members=None) -> TrainingResults:
    return TrainingResults(
        run="/runs/a",
        summary=summary,
        scores=SCORES,
        effective=EffectiveSettings(2, 1, "float32", False, "tensorflow"),
        members=members,
        videos={"train": 16, "validation": 8, "test": 8},
        failures=[Problem("normal/broken.mp4", "no frames")],
    )


def members_of() -> MembersResult:
    """JSON has the length, the kept epoch and the trace of a member."""
    summary = TrainingSummary(12, 7, 0, 0.0, [2, 3])
    rows = [MemberResult(seed, f"seed_{seed}", summary, VALIDATION, TEST, 0.4) for seed in (7, 8)]
    return MembersResult(
        rows,
        ScoresOverMembers.over([VALIDATION, VALIDATION]),
        ScoresOverMembers.over([None, None]),
        KeptMembers([7], False, "the lowest validation loss of 2 members"),
    )


@pytest.mark.parametrize(
    "results",
    [results_of(), results_of(PROFILED), results_of(members=members_of())],
    ids=["plain", "profiled", "members"],
)
def test_results_come_back_from_json(results):
    assert TrainingResults.from_json(results.to_json()) == results


def test_the_json_is_flat_and_keeps_the_names_of_the_contract():
    assert (
        list(results_of(members=members_of()).to_json())
        == (
            "run epochs_run best_epoch resumed_from_epoch stop_reason kept_reason videos_per_s "
            "validation test threshold "
            "threshold_reason operating_point temperature temperature_reason warnings baseline "
            "effective seeds over_seeds kept videos failures"
        ).split()
    )
    assert results_of().to_json()["best_epoch"] == SUMMARY.kept_epoch
    assert results_of().to_json()["baseline"]["validation"] == {"accuracy": 0.5, "auc": 0.6}


def test_results_of_an_older_version_lack_what_it_did_not_measure():
    values = results_of().to_json()
    newer = ("threshold_reason", "operating_point", "temperature", "temperature_reason")
    for name in (*newer, "warnings", "baseline"):
        del values[name]
    del values["effective"]["workers"]
    scores = TrainingResults.from_json(values).scores
    assert (scores.temperature, scores.operating_point, scores.baseline) == (1.0, None, None)
    assert "baseline" not in scores.to_json()


def test_a_score_over_members_is_none_where_a_member_has_none():
    scores = ScoresOverMembers.over([VALIDATION, TEST])
    assert scores.accuracy.mean == 0.625 and scores.auc is None


def test_results_without_a_key_are_refused():
    values = results_of().to_json()
    del values["validation"]
    with pytest.raises(RunError, match="must hold the keys .* Received: no 'validation'"):
        TrainingResults.from_json(values)


def test_keys_of_a_later_version_are_left_out_and_other_values_are_refused():
    calibration = CalibrationBasis("folds", 24, 12, folds=5)
    results = results_of(members=members_of())
    results = replace(results, scores=replace(SCORES, calibration=calibration))
    values = results.to_json()
    for record in (
        values["calibration"],
        values["kept"],
        values["over_seeds"]["validation"]["auc"],
    ):
        record["later"] = 1
    assert TrainingResults.from_json(values) == results
    for name, value in (("operating_point", [1]), ("threshold", "high"), ("validation", None)):
        with pytest.raises(RunError, match="must hold the values that train writes"):
            TrainingResults.from_json(values | {name: value})
