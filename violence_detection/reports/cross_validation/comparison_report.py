"""The HTML page of a comparison of cross-validations: the differences in each fold and in all."""

import math
from pathlib import Path
from typing import Any

from violence_detection.reports import console, html
from violence_detection.reports.cross_validation import comparison_sentences
from violence_detection.reports.cross_validation.comparison_sentences import (
    format_difference,
    format_p,
)
from violence_detection.reports.cross_validation.cross_validation_comparison import (
    CrossValidationComparison,
    CrossValidationDifference,
)
from violence_detection.reports.evaluation.findings import Finding
from violence_detection.system import files

_MOST_FOLDS = 50  # that have a row each
_STEP = 0.05  # the ends of a track are multiples of it


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
        tables=[_table(pair, measure, result) for measure in measures for pair in result.pairs],
        textbook=list(comparison_sentences.textbook_rows(result)),
    )
    files.write_text(path, page)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _table(
    pair: CrossValidationDifference, measure: str, result: CrossValidationComparison
) -> dict[str, Any]:
    """A forest plot: a row for each fold, for their mean, and for all folds together."""
    rows, several = [], len(result.pairs) > 1
    over_folds = pair.over_folds(measure)
    if over_folds:
        if len(over_folds.values) <= _MOST_FOLDS:
            names = _fold_names(result, len(over_folds.values))
            for name, value in zip(names, over_folds.values, strict=True):
                rows.append(_row(name, measure, value))
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
    limit = max(_STEP, _STEP * math.ceil(max(ends) / _STEP))
    return {
        "title": f"{_sentence(comparison_sentences.SCORES[measure])}, {pair.title}",
        "limit": limit,
        "scale": f"{format_difference(measure, -limit)} to {format_difference(measure, limit)}",
        "rows": rows,
    }


def _fold_names(result: CrossValidationComparison, count: int) -> list[str]:
    """`Fold 2`, of several repeats `Fold 2 of repeat 1`; without numbers where folds that have
    videos of one class only are left out."""
    numbers = [
        f"Fold {fold}" + (f" of repeat {repeat}" if result.repeats > 1 else "")
        for repeat in range(1, result.repeats + 1)
        for fold in range(1, result.folds + 1)
    ]
    return numbers if len(numbers) == count else ["A fold"] * count


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
