"""Whether the numbers of an evaluation can be trusted, in words for a person who trains no
models."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violence_detection.metrics.classification import MIN_VIDEOS
from violence_detection.reports.html import of_100
from violence_detection.units import counted

FEW_RECORDINGS = 10  # below this, an interval over recordings is itself a rough guess


@dataclass(frozen=True)
class Finding:
    """One reason to believe the numbers, or not to.

    Attributes:
        level: "good", "care" or "bad".
        text: A sentence or two for a person who trains no models.
    """

    level: str
    text: str


def video_counts(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Videos behind the rates: violent (not of the normal class), found, and so on."""
    per_class = [sum(row) for row in metrics["confusion"]]
    normal = per_class[list(metrics["classes"]).index(metrics["normal_class"])]
    violent = sum(per_class) - normal
    found = round(metrics["recall"] * violent)
    flagged = round(metrics["false_alarm_rate"] * normal)
    return {"violent": violent, "normal": normal, "found": found, "flagged": flagged}


def evaluation_findings(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    """What a careful reader would ask about the numbers, answered."""
    yield _finding_on_size(metrics)
    yield _finding_on_interval(metrics)
    yield _finding_on_leaks(metrics)
    if not metrics["grouped"]:
        yield Finding(
            "care",
            "It was not said which videos are cut from the same recording, so grouping "
            "was not possible. If some are, the numbers here are too good.",
        )
    if metrics["split"] == "train":
        text = "It learned from these very videos. The test split is the one to read."
        yield Finding("bad", text)
    elif metrics["split"] == "validation":
        text = "These videos also served to choose the model. The test split is fairer."
        yield Finding("care", text)
    if metrics["baseline_accuracy"] < 1.0:
        yield _finding_on_baseline(metrics)
    yield from _findings_on_sources(metrics)


def _finding_on_size(metrics: Mapping[str, Any]) -> Finding:
    counts, videos = video_counts(metrics), metrics["videos"]
    text = f"Tried on {videos} videos: {counts['violent']} violent and {counts['normal']} harmless"
    recordings = metrics["recordings"]
    if metrics["grouped"]:
        text += f", from {recordings} recording{'s' if recordings != 1 else ''}"
    few = min(counts["violent"], counts["normal"]) < MIN_VIDEOS
    if few or (metrics["grouped"] and recordings < FEW_RECORDINGS):
        return Finding("care", f"{text}. That is few: every number here is a rough guess.")
    return Finding("good", f"{text}.")


def _finding_on_interval(metrics: Mapping[str, Any]) -> Finding:
    """The span of both intervals: a bootstrap of faultless videos has no width."""
    low = min(metrics["accuracy_ci"][0], metrics["accuracy_ci_wilson"][0])
    high = max(metrics["accuracy_ci"][1], metrics["accuracy_ci_wilson"][1])
    wide = high - low > 0.2
    text = (
        f"It was right for {of_100(metrics['accuracy'])} of 100 videos. On other "
        f"videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)}{', which is a wide range' if wide else ''}. "
        "Other cameras and places may differ more."
    )
    return Finding("care" if wide else "good", text)


def _finding_on_leaks(metrics: Mapping[str, Any]) -> Finding:
    if not metrics["clean"]:
        text = (
            "Some of these videos, or others of the same recordings, were used in "
            "training. The numbers here are too good."
        )
        return Finding("bad", text + _counted_leaks(metrics.get("leak_counts") or {}))
    kind = "recording" if metrics["grouped"] else "video"
    alike = ", and none looks like one that was" if _searched(metrics) else ""
    return Finding("good", f"No {kind} was used both in training and here{alike}.")


def _counted_leaks(counts: Mapping[str, int]) -> str:
    words = {
        "recordings": "recording",
        "identical": "identical file",
        "near_duplicates": "look-alike",
    }
    told = [counted(counts[name], word) for name, word in words.items() if counts.get(name)]
    return f" On both sides: {', '.join(told)}." if told else ""


def _searched(metrics: Mapping[str, Any]) -> bool:
    """Whether videos that look alike were searched for."""
    return bool(metrics.get("near_duplicates_searched"))


def _finding_on_baseline(metrics: Mapping[str, Any]) -> Finding:
    text = (
        "Always giving the commoner answer would be right for "
        f"{of_100(metrics['baseline_accuracy'])} of 100"
    )
    if metrics["accuracy"] <= metrics["baseline_accuracy"]:
        return Finding("bad", f"{text}: this detector is no better than that.")
    if metrics["accuracy_ci"][0] <= metrics["baseline_accuracy"]:
        return Finding("care", f"{text}: it may be no better than that.")
    return Finding("good", f"{text}: it is better than that.")


_SOURCES = {
    "metadata": "the file's size, length and format",
    "mean_picture": "the average picture, in which nothing moves",
}


def _findings_on_sources(metrics: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether knowing where a video comes from would do as well."""
    told = {
        name: f"{words} ({of_100(metrics['baselines'][name]['accuracy'])} of 100)"
        for name, words in _SOURCES.items()
        if name in metrics.get("baselines", {})
    }
    close = [told[name] for name in metrics.get("close_baselines", ()) if name in told]
    if close:
        yield Finding(
            "care",
            f"A guess from {' or from '.join(close)} comes close. It may have learned where "
            "the videos come from, and not what violence looks like.",
        )
    elif told:
        better = " or from ".join(told.values())
        yield Finding("good", f"It does clearly better than a guess from {better}.")


def overall_verdict(findings: Sequence[Finding]) -> Finding:
    levels = {finding.level for finding in findings}
    if "bad" in levels:
        return Finding("bad", "Do not rely on these numbers")
    if "care" in levels:
        return Finding("care", "Read these numbers with care")
    return Finding("good", "These numbers can be relied on")
