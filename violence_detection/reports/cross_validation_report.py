"""One HTML page about a cross-validation: what a training is worth, beside trivial baselines, fold
by fold, and by random folds where these were asked for."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from violence_detection.reports import html
from violence_detection.reports.evaluation_report import BASELINES
from violence_detection.reports.findings import FEW_RECORDINGS, Finding, overall_verdict
from violence_detection.system import files
from violence_detection.units import counted

_MODEL = "model"


def write_report(path: Path, *, result: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: What results.json of a finished cross-validation holds.
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
        protocols=[_protocol(one, result["by_fold"]) for one in protocols],
        tables=html.tables(settings),
    )
    files.write_text(path, page)


def _protocol(one: Mapping[str, Any], by_fold: list[Mapping[str, Any]]) -> dict[str, Any]:
    kind = "Grouped folds" if one["grouped"] else "Random folds, which flatter"
    return {
        "title": kind,
        "note": one["note"][0].upper() + one["note"][1:],
        "rows": [
            {"name": name, "meaning": BASELINES.get(name, ""), **scores}
            for name, scores in one["pooled"].items()
        ],
        "folds": [row for row in by_fold if row["grouped"] == one["grouped"]],
        "accuracy": one["accuracy"],
        "auc": one["auc"],
    }


def _cards(protocols: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Right answers of the model; the best baseline; and what random folds would say."""
    pooled = protocols[0]["pooled"]
    ours = pooled[_MODEL]
    yield {
        "kind": "finds",
        "lead": "Of 100 videos it is right for",
        "number": html.of_100(ours["accuracy"]),
        "share": ours["accuracy"],
        "note": f"95%: {html.percent_span(ours['accuracy_ci'])}, over recordings.",
    }
    others = {name: one for name, one in pooled.items() if name != _MODEL}
    if others:
        best = max(others, key=lambda name: others[name]["accuracy"])
        share = others[best]["accuracy"]
        yield {
            "kind": "misses",
            "lead": "The best baseline is right for",
            "number": html.of_100(share),
            "share": share,
            "note": f"{best.replace('_', ' ').capitalize()}: {BASELINES.get(best, '')}.",
        }
    if len(protocols) > 1:
        share = protocols[1]["pooled"][_MODEL]["accuracy"]
        yield {
            "kind": "alarms",
            "lead": "Random folds would have said",
            "number": html.of_100(share),
            "share": share,
            "note": "Too good: clips of one recording are on both sides.",
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
        f"Tried on {counted(result['videos'], 'video')} from {recordings}."
        + (" That is few: every number here is a rough guess." if few else ""),
    )
    wide = high - low > 0.2
    yield Finding(
        "care" if wide else "good",
        f"On other videos of this kind, expect between {math.floor(100 * low)} and "
        f"{math.ceil(100 * high)} right answers of 100{', which is a wide range' if wide else ''}. "
        "Other cameras and places may differ more.",
    )
    if result["clean"]:
        yield Finding("good", "No recording was learned from and judged in one fold.")
    elif result["grouped"] and result["recordings_known"]:
        yield Finding("bad", "Some videos are in two folds. The numbers are too good.")
    lines = list(result["warnings"])
    for line in result.get("random", {}).get("warnings", ()):
        lines.remove(line)  # those folds stand beside, and are labelled
    for line in lines:
        yield Finding("care" if result["grouped"] else "bad", line)
