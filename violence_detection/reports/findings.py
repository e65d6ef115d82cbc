"""Findings on the trustworthiness of an evaluation, in words for readers who train no models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from violence_detection.metrics.classification import MIN_VIDEOS
from violence_detection.reports.evaluation_result import EvaluationResult
from violence_detection.reports.html import of_100
from violence_detection.units import counted

FEW_RECORDINGS = 10  # below this, an interval over recordings is itself a rough guess


@dataclass(frozen=True)
class Finding:
    """A reason to trust the numbers, or not to.

    Attributes:
        level: "good", "care" or "bad".
        text: A sentence or two for readers who train no models.
    """

    level: str
    text: str


def video_counts(result: EvaluationResult) -> dict[str, int]:
    """Numbers of videos: `violent`, `normal`, `found` (violent with an alarm) and `flagged`
    (normal with an alarm)."""
    per_class = [sum(row) for row in result.confusion]
    normal = per_class[list(result.classes).index(result.normal_class)]
    violent = sum(per_class) - normal
    found = round(result.recall * violent)
    flagged = round(result.false_alarm_rate * normal)
    return {"violent": violent, "normal": normal, "found": found, "flagged": flagged}


def evaluation_findings(result: EvaluationResult) -> Iterator[Finding]:
    """Findings on size, uncertainty, leakage, recordings, split and baselines."""
    yield _finding_on_size(result)
    yield _finding_on_interval(result)
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
    if result.baseline_accuracy < 1.0:
        yield _finding_on_baseline(result)
    yield from _findings_on_sources(result)


def _finding_on_size(result: EvaluationResult) -> Finding:
    counts, recordings = video_counts(result), result.recordings
    text = (
        f"Tested on {result.videos} videos: {counts['violent']} violent and "
        f"{counts['normal']} normal"
    )
    if result.grouped:
        text += f", from {counted(recordings, 'recording')}"
    few = min(counts["violent"], counts["normal"]) < MIN_VIDEOS
    if few or (result.grouped and recordings < FEW_RECORDINGS):
        return Finding("care", f"{text}. That is few: every number here is a rough guess.")
    return Finding("good", f"{text}.")


def _finding_on_interval(result: EvaluationResult) -> Finding:
    """The widest span of the two intervals: a bootstrap of videos without errors has no width."""
    low = min(result.accuracy_ci[0], result.accuracy_ci_wilson[0])
    high = max(result.accuracy_ci[1], result.accuracy_ci_wilson[1])
    wide = high - low > 0.2
    text = (
        f"It was right for {of_100(result.accuracy)} of 100 videos. On other "
        f"videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)}{', which is a wide range' if wide else ''}. "
        "Other cameras and places may differ more."
    )
    return Finding("care" if wide else "good", text)


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
    kinds = {
        "recordings": "recording",
        "identical": "identical file",
        "near_duplicates": "near-duplicate",
    }
    parts = [counted(counts[name], kind) for name, kind in kinds.items() if counts.get(name)]
    return f" In training and here: {', '.join(parts)}." if parts else ""


def _finding_on_baseline(result: EvaluationResult) -> Finding:
    text = (
        "Always predicting the commonest class would be right for "
        f"{of_100(result.baseline_accuracy)} of 100"
    )
    if result.accuracy <= result.baseline_accuracy:
        return Finding("bad", f"{text}: this detector is no better than that.")
    if result.accuracy_ci[0] <= result.baseline_accuracy:
        return Finding("care", f"{text}: this detector may be no better than that.")
    return Finding("good", f"{text}: this detector is better than that.")


_SOURCES = {
    "metadata": "the file's size, length and format",
    "mean_picture": "the background, the mean image of the video",
}


def _findings_on_sources(result: EvaluationResult) -> Iterator[Finding]:
    """The comparison with baselines that know only the source of a video."""
    sources = {
        name: f"{text} ({of_100(result.baselines[name]['accuracy'])} of 100)"
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
    levels = {finding.level for finding in findings}
    if "bad" in levels:
        return Finding("bad", "Do not rely on these numbers")
    if "care" in levels:
        return Finding("care", "Read these numbers with care")
    return Finding("good", "These numbers can be relied on")
