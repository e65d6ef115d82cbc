"""The console text of a comparison: the better run, and p values that are never written as 0."""

import pytest

from violence_detection.commands.compare import comparison_lines

SIDE = {"accuracy": 0.8, "auc": 0.9, "threshold": 0.5, "clean": True, "leaks": []}
RESULT = {
    "a": {"run": "/runs/a", **SIDE},
    "b": {"run": "/runs/b", **SIDE, "accuracy": 0.85},
    "split": "test",
    "videos": 96,
    "recordings": 12,
    "few_recordings": False,
    "grouped": True,
    "clean": True,
    "accuracy_difference": 0.05,
    "ci": [0.01, 0.1],
    "accuracy_exchange_p": 0.02,
    "auc_difference": 0.0,
    "auc_ci": [-0.1, 0.1],
    "auc_ci_delong": [-0.1, 0.1],
    "auc_p": 0.9,
    "auc_exchange_p": 0.8,
    "undefined": [],
    "agreement": dict.fromkeys(("both_right", "only_a_right", "only_b_right", "both_wrong"), 24),
    "mcnemar_p": 2.4e-5,
    "cohens_g": 0.1,
    "cohens_g_ci": [0.0, 0.2],
    "better": {"accuracy": "b", "auc": "neither"},
}


def text_of(**changes) -> str:
    return "\n".join(comparison_lines(RESULT | changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "by accuracy B is better"),
        ({}, "by AUC      no difference that these 12 recordings can show"),
        ({}, "accuracy       80.0%    85.0%     +5.0  0.020  +1.0 to +10.0 points"),
        ({"better": {"accuracy": "a", "auc": "a"}}, "by AUC      A is better"),
        ({"grouped": False}, "no difference that these 12 videos can show"),
        ({"few_recordings": True}, "trust       with so few recordings"),
        ({"split": "validation"}, "trust       epochs and thresholds were chosen on"),
        ({"undefined": ["auc_p"]}, "DeLong      none: the variance is 0"),
        ({"auc_ci": None}, "0.800  none"),
    ],
)
def test_a_comparison_states_result_and_caveats(changes, line):
    assert line in text_of(**changes)


def test_a_small_p_is_not_written_as_0():
    assert "McNemar     p = 2.4e-05" in text_of()
    assert "p = 0.000" not in text_of()
