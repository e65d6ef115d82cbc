"""The console text of a training: validation with its caveats, and nothing of the test videos."""

import dataclasses

import pytest

from violence_detection.commands.train import result_lines
from violence_detection.models.run_scores import RunScores, SplitScores
from violence_detection.models.training_results import (
    EffectiveSettings,
    KeptMembers,
    MemberResult,
    MembersResult,
    ScoresOverMembers,
    TrainingResults,
    TrainingSummary,
)

VALIDATION = SplitScores(30 / 35, 0.97, 0.4, [0.706, 0.937], [0.912, 1.0], 35, 5)
RESULTS = TrainingResults(
    run="/runs/a",
    summary=TrainingSummary(
        36,
        36,
        0,
        250.0,
        epochs_asked=60,
        stop_reason="no better validation loss since epoch 21",
        kept_reason="the last whose validation loss is not clearly worse than that of epoch 21",
    ),
    scores=RunScores(VALIDATION, SplitScores(0.976, 0.998, 0.1), 0.5, "a reason"),
    effective=EffectiveSettings(1, 1, "float32", False, "tensorflow"),
    members=None,
    videos={},
    failures=[],
)


def text_of(**changes) -> str:
    return "\n".join(result_lines(dataclasses.replace(RESULTS, **changes)))


def test_a_training_says_what_it_did_and_no_number_of_the_test():
    text = text_of()
    assert "stopped at 36 of 60: no better validation loss since epoch 21; epoch 36 is kept" in text
    assert "30 of 35 videos right, 85.7% (95%: 70.6% to 93.7%), AUC 0.970 (95%: 0.912" in text
    assert "5 recordings are few: a rough guess" in text
    assert "test" not in text and "0.998" not in text and "97.6" not in text


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        (SplitScores(1.0, 1.0, 0.1, [0.34, 1.0], None, 2, 2), "2 of 2 videos right: so few say"),
        (dataclasses.replace(VALIDATION, recordings=12), "(95%: 0.912 to 1.000)\n"),
        (SplitScores(0.8, None), "accuracy 80.0%, AUC none"),
    ],
)
def test_few_videos_have_no_percentage_and_few_recordings_a_caveat(scores, text):
    shown = text_of(scores=dataclasses.replace(RESULTS.scores, validation=scores))
    assert text in shown and "rough guess" not in shown


def test_the_mean_over_seeds_says_that_it_is_not_over_videos():
    scores = [VALIDATION, dataclasses.replace(VALIDATION, accuracy=25 / 35)]
    rows = [
        MemberResult(seed, f"seed_{seed}", RESULTS.summary, values, scores[0], 0.5)
        for seed, values in enumerate(scores)
    ]
    over = ScoresOverMembers.over(scores)
    kept = KeptMembers([0], False, "the lowest validation loss of 2 members")
    text = text_of(members=MembersResult(rows, over, over, kept))
    assert "members     validation accuracy 78.6 +- 10.1%" in text
    assert "over 2 seeds, not over videos; few recordings: a rough guess" in text
