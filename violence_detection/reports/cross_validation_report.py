"""The HTML report of a cross-validation: scores beside trivial baselines, by fold, and the same
for random folds where they were asked for."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from violence_detection.reports import html
from violence_detection.reports.evaluation_report import BASELINES
from violence_detection.reports.findings import FEW_RECORDINGS, Finding, overall_verdict
from violence_detection.system import files
from violence_detection.units import counted

_MODEL = "model"


def write_report(path: Path, *, result: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: The content of results.json of a finished cross-validation.
        settings: Settings and versions, nested; each dict in it becomes a table.

    Raises:
        ViolenceDetectionError: If the page cannot be written.
    """
    protocols = [result, *([result["random"]] if "random" in result else [])]
    findings = list(_findings(result))
    page = html.render_template(
        "fold_report.html.j2",
        title=f"Violence detection: cross-validation {path.parent.name}",
        name=path.parent.name,
        result=result,
        cards=list(_cards(protocols)),
        findings=findings,
        verdict=overall_verdict(findings),
        protocols=[_protocol(protocol, result["by_fold"]) for protocol in protocols],
        tables=html.settings_tables(settings),
    )
    files.write_text(path, page)


def _protocol(protocol: Mapping[str, Any], by_fold: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    grouped = protocol["grouped"]
    return {
        "title": "Grouped folds" if grouped else "Random folds, which are optimistic",
        "note": protocol["note"][0].upper() + protocol["note"][1:],
        "rows": [
            {"name": name, "meaning": BASELINES.get(name, ""), **scores}
            for name, scores in protocol["pooled"].items()
        ],
        "folds": [row for row in by_fold if row["grouped"] == grouped],
        "accuracy": protocol["accuracy"],
        "auc": protocol["auc"],
    }


def _cards(protocols: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The accuracy of the model, of the best baseline, and of the model on random folds."""
    pooled = protocols[0]["pooled"]
    ours = pooled[_MODEL]
    yield {
        "kind": "finds",
        "lead": "Of 100 videos it is right for",
        "number": html.of_100(ours["accuracy"]),
        "fraction": ours["accuracy"],
        "note": f"95%: {html.format_percent_interval(ours['accuracy_ci'])}, over recordings.",
    }
    baselines = {name: scores for name, scores in pooled.items() if name != _MODEL}
    if baselines:
        best = max(baselines, key=lambda name: baselines[name]["accuracy"])
        accuracy = baselines[best]["accuracy"]
        yield {
            "kind": "misses",
            "lead": "The best baseline is right for",
            "number": html.of_100(accuracy),
            "fraction": accuracy,
            "note": f"{best.replace('_', ' ').capitalize()}: {BASELINES.get(best, '')}.",
        }
    if len(protocols) > 1:
        accuracy = protocols[1]["pooled"][_MODEL]["accuracy"]
        yield {
            "kind": "alarms",
            "lead": "With random folds it would seem right for",
            "number": html.of_100(accuracy),
            "fraction": accuracy,
            "note": "Too good: clips of one recording are in training and test folds.",
        }


def _findings(result: Mapping[str, Any]) -> Iterator[Finding]:
    ours = result["pooled"][_MODEL]
    low, high = ours["accuracy_ci"]
    recordings = counted(result["recordings"], "recording")
    if not result["recordings_known"]:
        recordings = "recordings that are not all known"
    few = result["recordings_known"] and result["recordings"] < FEW_RECORDINGS
    yield Finding(
        "care" if few else "good",
        f"Tested on {counted(result['videos'], 'video')} from {recordings}."
        + (" That is few: every number here is a rough guess." if few else ""),
    )
    wide = high - low > 0.2
    yield Finding(
        "care" if wide else "good",
        f"On other videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)} right predictions of 100"
        f"{', which is a wide range' if wide else ''}. Other cameras and places may differ more.",
    )
    if result["clean"]:
        yield Finding("good", "In every fold, no recording was used in training and in the test.")
    elif result["grouped"] and result["recordings_known"]:
        yield Finding("bad", "Some videos are in two folds. The numbers are too good.")
    lines = list(result["warnings"])
    for line in result.get("random", {}).get("warnings", ()):
        lines.remove(line)  # of the random folds, whose card says that they are too good
    for line in lines:
        yield Finding("care" if result["grouped"] else "bad", line)
