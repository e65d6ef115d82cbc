"""The console text of a comparison: the better run, and p values that are never written as 0."""

import dataclasses

import numpy as np
import pytest

from violence_detection.commands.compare import comparison_lines
from violence_detection.evaluation.comparison_result import ComparisonResult, RunSummary
from violence_detection.evaluation.leakage import Leaks
from violence_detection.metrics.classification import Scores
from violence_detection.metrics.paired_tests import (
    Discordance,
    PairedAccuracyDifference,
    PairedAucDifference,
)
from violence_detection.metrics.thresholds.operating_cost import VideoTraffic, cost_difference

A = RunSummary("/runs/a", "/features", Scores(0.8, 0.9), None, 0.5, "", Leaks())
RESULT = ComparisonResult(
    a=A,
    b=dataclasses.replace(A, run="/runs/b", scores=Scores(0.85, 0.9)),
    split="test",
    videos=96,
    recordings=12,
    few_recordings=False,
    grouped=True,
    accuracy=PairedAccuracyDifference(0.05, [0.01, 0.1], 0.02),
    auc=PairedAucDifference(0.0, 0.8, 0.9, [-0.1, 0.1], [-0.1, 0.1], []),
    discordance=Discordance(
        dict.fromkeys(("both_right", "only_a_right", "only_b_right", "both_wrong"), 24),
        mcnemar_p=2.4e-5,
        cohens_g=0.1,
        cohens_g_ci=[0.0, 0.2],
    ),
    better={"accuracy": "b", "auc": "neither"},
)


def text_of(**changes) -> str:
    return "\n".join(comparison_lines(dataclasses.replace(RESULT, **changes)))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "B is right more often than A: +5.0 points (95%: +1.0 to +10.0)"),
        ({}, "no difference in AUC between A and B that these 12 recordings can show"),
        ({}, "accuracy       80.0%    85.0%     +5.0   0.020  +1.0 to +10.0 points"),
        (
            {
                "better": {"accuracy": "a", "auc": "a"},
                "auc": dataclasses.replace(RESULT.auc, auc_difference=-0.02, auc_ci=[-0.05, -0.01]),
            },
            "A has a higher AUC than B: +0.020 (95%: +0.010 to +0.050)",
        ),
        ({"grouped": False}, "no difference in AUC between A and B that these 12 videos can show"),
        ({"few_recordings": True}, "warning     with so few recordings"),
        ({"split": "validation"}, "warning     epochs and thresholds were chosen on"),
        (
            {"auc": dataclasses.replace(RESULT.auc, undefined=["auc_p"])},
            "DeLong      none: the variance is 0",
        ),
        ({"auc": dataclasses.replace(RESULT.auc, auc_ci=None)}, "0.800  none"),
    ],
)
def test_a_comparison_states_result_and_caveats(changes, line):
    assert line in text_of(**changes)


def test_the_difference_in_cost_is_shown_where_a_site_is_given():
    traffic = VideoTraffic(10_000, 0.0)
    violent, alarm = np.repeat([True, False], 50), np.arange(100) >= 39
    fewer = np.arange(100) >= 46
    cost = cost_difference(violent, alarm, fewer, np.arange(100), traffic, review_cost=0.5)
    assert "B - A, at a site with 10,000 videos a day" in text_of(cost=cost)
    assert "cost" not in text_of()


def test_lines_fit_80_columns():
    assert max(map(len, comparison_lines(RESULT))) <= 80


def test_a_small_p_is_not_written_as_0():
    assert "McNemar     p < 0.001" in text_of()
    assert "p = 0.000" not in text_of()
