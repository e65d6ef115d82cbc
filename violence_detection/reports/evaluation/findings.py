"""Findings on the trustworthiness of an evaluation, in words for readers who train no models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from violence_detection.metrics.classification import MIN_VIDEOS
from violence_detection.metrics.intervals import wilson_interval
from violence_detection.metrics.sample_size import (
    FEW_RECORDINGS,
    MIN_VIDEOS_OF_CLASS,
    widest_interval,
)
from violence_detection.models.calibration_predictions import OUT_OF_FOLD
from violence_detection.reports.console import LEAK_KINDS
from violence_detection.reports.evaluation.evaluation_result import EvaluationResult
from violence_detection.reports.html import of_100
from violence_detection.reports.robustness_result import ConditionScores, RobustnessScores
from violence_detection.units import counted

_MANY_NOVEL = 0.1  # of the videos; of videos like those of the training it is 0.01
_LARGE_LOSS = 0.1  # of accuracy under a condition, from which on the first screen names it


@dataclass(frozen=True)
class Finding:
    """A reason to trust the numbers, or not to.

    Attributes:
        level: "good", "care", "nothing" (the numbers say nothing yet) or "bad"; a "note" does not
            change the verdict.
        text: A sentence or two for readers who train no models.
    """

    level: str
    text: str


def evaluation_findings(
    result: EvaluationResult,
    robustness: RobustnessScores | None = None,
    *,
    is_drawn: bool = False,
) -> Iterator[Finding]:
    """Findings on size, uncertainty, leakage, recordings, split, baselines and robustness.

    Args:
        result: The evaluation.
        robustness: Scores on corrupted copies of the same videos.
        is_drawn: Whether the videos are the drawn clips of the demo.
    """
    if is_drawn:
        yield Finding(
            "care",
            "These clips are drawn figures, made by the demo. The numbers show that the program "
            "works; they say nothing about real footage.",
        )
    size = _finding_on_size(result)
    says_nothing = size.level == "nothing"
    yield size
    if not says_nothing:
        yield _finding_on_interval(result)
        if result.split == "test":
            yield from _findings_on_choice(result)
    yield _finding_on_leaks(result)
    if not result.grouped:
        yield Finding(
            "care",
            "The dataset does not say which videos are cut from the same recording, so grouping "
            "was not possible. If some are, the numbers here are too good.",
        )
    if result.split == "train":
        text = "The model was trained on these videos. Read the report of the test split instead."
        yield Finding("bad", text)
    elif result.split == "validation":
        text = (
            "The model and its threshold were chosen on these videos, so the numbers are "
            "optimistic. The report of the test split is fairer."
        )
        yield Finding("care", text)
    if says_nothing:
        return  # no comparison of so few videos means anything
    if result.counts.violent and result.counts.normal:
        yield _finding_on_majority(result)
    yield from _finding_on_linear(result)
    yield from _findings_on_sources(result)
    if result.novelty is not None and result.novelty.share > _MANY_NOVEL:
        yield Finding(
            "care",
            f"{result.novelty.videos} of {counted(result.videos, 'video')} are unlike anything "
            f"that the model was trained on, and {result.novelty.errors} of these were predicted "
            "wrongly. Videos like them in training help.",
        )
    if result.home is not None:
        yield _finding_on_home(result)
    if robustness is not None and (condition := worst_condition(robustness)):
        yield Finding(
            "care",
            f"On copies of these videos with {condition.name} it was right for "
            f"{of_100(condition.accuracy)} of 100, instead of "
            f"{of_100(robustness.clean.accuracy)}.",
        )


def worst_condition(robustness: RobustnessScores) -> ConditionScores | None:
    """The condition that costs most accuracy, if the loss is clear and at least 0.1."""
    rows = [row for row in robustness.conditions if row.difference_ci is not None]
    worst = min(rows, key=lambda row: row.accuracy_difference, default=None)
    if worst is None or worst.difference_ci[1] >= 0 or worst.accuracy_difference > -_LARGE_LOSS:
        return None
    return worst


def _finding_on_size(result: EvaluationResult) -> Finding:
    counts = result.counts
    parts = [f"{counts.violent} violent and {counts.normal} normal"]
    text = f"It was evaluated on {counted(result.videos, 'video')}: {parts[0]}, from "
    if result.grouped:
        text += counted(result.recordings, "recording")
    else:
        text += "recordings that are not all known"
    few = [
        counted(videos, f"{name} video")
        for name, videos in (("violent", counts.violent), ("normal", counts.normal))
        if 0 < videos < MIN_VIDEOS_OF_CLASS
    ]
    if few or not result.videos:
        listed = " and ".join(few) or "No video"
        verb = "show" if len(few) > 1 or not listed.startswith("1 ") else "shows"
        return Finding(
            "nothing",
            f"{text}. {listed} {verb} nothing: even if all predictions are right, tossing a coin "
            f"could have done it. {MIN_VIDEOS_OF_CLASS} of each class are the least, and a few "
            "dozen from ten recordings a beginning.",
        )
    small_class = min(counts.violent, counts.normal) < MIN_VIDEOS
    if small_class or (result.grouped and result.recordings < FEW_RECORDINGS):
        text += ". That is few: every number here is a rough guess."
        if result.home is None:
            text += " The command cross-validate predicts the videos of every recording."
        return Finding("care", text)
    return Finding("good", f"{text}.")


def _findings_on_choice(result: EvaluationResult) -> Iterator[Finding]:
    """The rates on the videos that the threshold was chosen on, if they say more than these."""
    point = result.operating_point
    if (
        point is None
        or point.chosen_on != OUT_OF_FOLD
        or result.home is not None
        or point.recordings <= result.recordings
    ):
        return
    rates = [point.achieved[name] for name in ("recall", "false_positive_rate")]
    if not all(point.achieved_ci[name] for name in ("recall", "false_positive_rate")):
        return
    yield Finding(
        "note",
        f"For the choice of the threshold, models that had not seen their recordings predicted "
        f"{counted(point.videos, 'other video')} of {counted(point.recordings, 'recording')}. "
        f"At the threshold they find {of_100(rates[0])} of 100 violent videos and flag "
        f"{of_100(rates[1])} of 100 normal ones. That is of more recordings than here, and "
        "slightly too good, because the threshold was chosen on them.",
    )


def _finding_on_interval(result: EvaluationResult) -> Finding:
    low, high = widest_interval(result.accuracy_ci, result.accuracy_ci_wilson)
    wide = high - low > 0.2
    right = round(result.accuracy * result.videos)
    few = result.recordings < FEW_RECORDINGS and result.grouped
    text = (
        f"It was right for {right} of {counted(result.videos, 'video')}. On other "
        f"videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)} of 100{', which is a wide range' if wide else ''}. "
    )
    if few:
        text += (
            f"Videos of one recording are alike, and there are only "
            f"{counted(result.recordings, 'recording')}: fewer may be right. "
        )
    text += "Other cameras and places may differ more."
    return Finding("care" if wide or few else "good", text)


def _finding_on_leaks(result: EvaluationResult) -> Finding:
    if not result.clean:
        text = (
            "Some of these videos, or others of the same recordings, were used in "
            "training. The numbers here are too good."
        )
        return Finding("bad", text + _leak_counts(result.leak_counts))
    kind = "recording" if result.grouped else "video"
    if result.near_duplicates_searched:
        text = f"No {kind} was used in training and here, and no near-duplicate was found."
    else:
        text = f"No {kind} was used in training and here."
    return Finding("good", text)


def _leak_counts(counts: Mapping[str, int]) -> str:
    parts = [counted(counts[name], kind) for name, kind in LEAK_KINDS.items() if counts.get(name)]
    return f" In training and here: {', '.join(parts)}." if parts else ""


def _finding_on_home(result: EvaluationResult) -> Finding:
    """The loss on cameras that were not in the training."""
    home = result.home
    text = (
        f"These cameras were not in its training. It is right for {of_100(result.accuracy)} of 100 "
        f"here, and for {of_100(home.accuracy)} of 100 on the {home.split} videos of its own "
        "dataset."
    )
    if home.worst:
        text += f" Most errors: {'; '.join(home.worst)}."
    is_lost = home.accuracy_difference_ci is not None and home.accuracy_difference_ci[1] < 0
    return Finding("care" if is_lost else "note", text)


def _finding_on_majority(result: EvaluationResult) -> Finding:
    text = (
        "Always answering the larger class of the training videos would be right for "
        f"{of_100(result.baseline_accuracy)} of 100"
    )
    if result.accuracy <= result.baseline_accuracy:
        return Finding("bad", f"{text}: this detector is no better than that.")
    if (
        widest_interval(result.accuracy_ci, result.accuracy_ci_wilson)[0]
        <= result.baseline_accuracy
    ):
        return Finding("care", f"{text}: this detector may be no better than that.")
    return Finding("good", f"{text}: this detector is better than that.")


def _finding_on_linear(result: EvaluationResult) -> Iterator[Finding]:
    """The comparison with a linear model on the same features."""
    linear = result.baselines.get("linear")
    if linear is None or linear.accuracy_ci is None:
        return
    text = (
        "A linear model on the same features, which ignores their order in time, is right for "
        f"{of_100(linear.accuracy)} of 100; this detector for {of_100(result.accuracy)}"
    )
    right = round(linear.accuracy * result.videos)
    theirs = widest_interval(linear.accuracy_ci, wilson_interval(right, result.videos))
    ours = widest_interval(result.accuracy_ci, result.accuracy_ci_wilson)
    if theirs[0] > ours[1]:
        yield Finding("care", f"{text}. The linear model is better: use it, or train again.")
    elif theirs[1] < ours[0]:
        yield Finding("good", f"{text}, which is clearly more.")
    else:
        yield Finding("note", f"{text}. These videos show no clear difference.")


_SOURCES = {
    "metadata": "the file's size, length and format",
    "mean_picture": "the background, the mean image of the video",
}


def _findings_on_sources(result: EvaluationResult) -> Iterator[Finding]:
    """The comparison with baselines that know only the source of a video."""
    sources = {
        name: f"{text} ({of_100(result.baselines[name].accuracy)} of 100)"
        for name, text in _SOURCES.items()
        if name in result.baselines
    }
    close = [sources[name] for name in result.close_baselines if name in sources]
    if close:
        yield Finding(
            "care",
            f"A prediction from {' or from '.join(close)} comes close. The model may have learned "
            "where the videos come from, and not what violence looks like.",
        )
    elif sources:
        text = " or from ".join(sources.values())
        yield Finding("good", f"It is clearly better than a prediction from {text}.")


def overall_verdict(findings: Sequence[Finding]) -> Finding:
    """The worst of the findings as a sentence; a page that says nothing yet is not called good or
    bad, but numbers that are wrong are wrong however few they are."""
    levels = {finding.level for finding in findings}
    if "bad" in levels and "nothing" not in levels:
        return Finding("bad", "Do not rely on these numbers")
    if "nothing" in levels:
        return Finding("nothing", "These numbers say nothing yet")
    if "care" in levels:
        return Finding("care", "Read these numbers with care")
    return Finding("good", "These numbers can be relied on")
