"""The HTML page of a comparison of cross-validations: the differences in each fold and in all."""

import math
from pathlib import Path
from typing import Any

from violence_detection.reports import comparison_sentences, console, html
from violence_detection.reports.comparison_sentences import format_difference, format_p
from violence_detection.reports.cross_validation_comparison import (
    CrossValidationComparison,
    CrossValidationDifference,
)
from violence_detection.reports.findings import Finding
from violence_detection.system import files

_MOST_FOLDS = 50  # that have a row each


def write_report(path: Path, result: CrossValidationComparison) -> None:
    """Writes a page that needs no network, no script and no other file.

    Args:
        path: HTML file.
        result: The comparison.

    Raises:
        ViolenceDetectionError: If the page cannot be written.
    """
    measures = comparison_sentences.measures(result)
    verdicts = [_sentence(text) for text in comparison_sentences.verdicts(result)]
    shown = result.pairs[0].better["accuracy"] not in ("neither", "unknown")
    page = html.render_template(
        "comparison_report.html.j2",
        title="Violence detection: comparison of cross-validations",
        result=result,
        verdict=Finding("good" if shown else "nothing", verdicts[0]),
        findings=[
            *(Finding("note", f"{text}.") for text in verdicts[1:]),
            *(
                Finding("care", f"{_sentence(text)}.")
                for text in comparison_sentences.warnings(result)
            ),
        ],
        settings=list(comparison_sentences.setting_texts(result)),
        paired=not result.fold_differences,
        p_meaning=comparison_sentences.P_MEANING,
        not_independent=_sentence(comparison_sentences.NOT_INDEPENDENT),
        tables=[
            _table(pair, measure, len(result.pairs) > 1)
            for measure in measures
            for pair in result.pairs
        ],
        textbook=list(comparison_sentences.textbook_rows(result)),
    )
    files.write_text(path, page)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(pair: CrossValidationDifference, measure: str, several: bool) -> dict[str, Any]:
    """A forest plot: a row for each fold, for their mean, and for all folds together."""
    rows = []
    over_folds = pair.over_folds(measure)
    if over_folds:
        if len(over_folds.values) <= _MOST_FOLDS:
            for number, value in enumerate(over_folds.values, start=1):
                rows.append(_row(f"Fold {number}", measure, value))
        rows.append(
            _row("Mean of the folds", measure, over_folds.mean, over_folds.ci, p=over_folds.p)
        )
    difference, interval = comparison_sentences.pooled_difference(pair, measure)
    p, holm = pair.p_values(measure)
    rows.append(
        _row(
            "All folds together",
            measure,
            difference,
            interval,
            p=p,
            holm=format_p(holm) if several else "",
        )
    )
    ends = [abs(end) for row in rows for end in [row["value"], *(row["ci"] or [])]]
    step = 0.05
    limit = max(step, step * math.ceil(max(ends) / step))
    return {
        "title": f"{_sentence(comparison_sentences.SCORES[measure])}, {pair.title}",
        "limit": limit,
        "scale": f"{format_difference(measure, -limit)} to {format_difference(measure, limit)}",
        "rows": rows,
    }


def _row(
    name: str,
    measure: str,
    value: float,
    interval: Any = None,
    *,
    p: float | None = None,
    holm: str = "",
) -> dict[str, Any]:
    scale, form = (100, "+.1f") if measure == "accuracy" else (1, "+.3f")
    return {
        "name": name,
        "value": value,
        "ci": interval,
        "difference": format_difference(measure, value),
        "interval": console.format_interval([scale * end for end in interval], form)
        if interval
        else "",
        "p": "" if p is None else format_p(p),
        "holm": holm,
        "sum": name == "All folds together",
    }
