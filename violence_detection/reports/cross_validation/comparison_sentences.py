"""The result of a comparison in words, for the console and the page; it imports no NumPy."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from violence_detection.reports import console
from violence_detection.units import counted

if TYPE_CHECKING:
    from violence_detection.reports.cross_validation.cross_validation_comparison import (
        CrossValidationComparison,
        CrossValidationDifference,
    )

P_MEANING = "is how often chance alone would make a difference this large if both were equally good"
NOT_INDEPENDENT = (
    "folds are not independent, because they share training videos, and clips of one recording are "
    "not: these p are too small"
)
_MOST_SETTINGS = 8  # that are listed
SCORES = {"accuracy": "accuracy", "auc": "AUC"}


def verdict(
    measure: str,
    better: str,
    names: Sequence[str],
    difference: float,
    interval: Sequence[float] | None,
    *,
    shown_by: str,
    unknown: str,
) -> str:
    """`B is right more often than A: +2.1 points (95%: +0.4 to +3.9)`, or
    `no difference in AUC between A and B that these 36 recordings can show`.

    Args:
        measure: "accuracy" or "auc".
        better: The letter of the better one in lower case, `neither` or `unknown`.
        names: The letters of the first and the second.
        difference: The second minus the first.
        interval: Its [low, high] at 95%.
        shown_by: The recordings, in words.
        unknown: Why the better one is unknown, in words.
    """
    first, second = names
    score = SCORES[measure]
    if better == "unknown":
        return f"which has the better {score}, {first} or {second}, is unknown: {unknown}"
    if better == "neither":
        return f"no difference in {score} between {first} and {second} that {shown_by} can show"
    winner, loser = names
    if better == second.lower():
        winner, loser = second, first
    else:
        difference = -difference
        interval = interval and [-end for end in reversed(interval)]
    what = "is right more often" if measure == "accuracy" else "has a higher AUC"
    text = format_difference(measure, difference, interval)
    return f"{winner} {what} than {loser}: {text}"


def format_difference(
    measure: str, difference: float, interval: Sequence[float] | None = None
) -> str:
    """`+2.1 points (95%: +0.4 to +3.9)`, or of an AUC `+0.012 (95%: +0.003 to +0.021)`."""
    scale, form, unit = (100, "+.1f", " points") if measure == "accuracy" else (1, "+.3f", "")
    text = f"{scale * difference:{form}}{unit}"
    if interval is None:
        return text
    return f"{text} (95%: {console.format_interval([scale * end for end in interval], form)})"


def these(count: int, noun: str) -> str:
    """`these 36 recordings`, or `this 1 recording`."""
    return f"{'this' if count == 1 else 'these'} {counted(count, noun)}"


def format_p(value: float) -> str:
    """`0.042`, or `<0.001`; never 0."""
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


# -- cross-validations


def verdicts(result: "CrossValidationComparison") -> Iterator[str]:
    """A sentence for each pair and score, accuracy first."""
    noun, count = ("recording", result.recordings) if result.grouped else ("video", result.videos)
    shown_by = these(count, noun)
    unknown = f"{shown_by} cannot show it"
    if result.kind == "random":
        unknown = "in random folds, clips of one recording are on both sides"
    elif not result.clean:
        unknown = "videos or recordings are in two folds"
    for measure in measures(result):
        for pair in result.pairs:
            difference, interval = pooled_difference(pair, measure)
            yield verdict(
                measure,
                pair.better[measure],
                (pair.first, pair.second),
                difference,
                interval,
                shown_by=shown_by,
                unknown=unknown,
            )


def measures(result: "CrossValidationComparison") -> list[str]:
    has_auc = result.cross_validations[0].auc is not None
    return ["accuracy", "auc"] if has_auc else ["accuracy"]


def pooled_difference(
    pair: "CrossValidationDifference", measure: str
) -> tuple[float, Sequence[float] | None]:
    """The difference of all folds together, and its interval over recordings."""
    if measure == "accuracy":
        return pair.accuracy.accuracy_difference, pair.accuracy.ci
    return pair.auc.auc_difference, pair.auc.auc_ci


def setting_texts(result: "CrossValidationComparison") -> Iterator[str]:
    """`head: bilstm_attention (A), linear (B)`, for each setting that differs."""
    names = [compared.name for compared in result.cross_validations]
    differences = list(result.setting_differences.items())
    for setting, values in differences[:_MOST_SETTINGS]:
        texts = [f"{_value(value)} ({name})" for name, value in zip(names, values, strict=True)]
        yield f"{setting}: {', '.join(texts)}"
    hidden = len(differences) - _MOST_SETTINGS
    if hidden > 0:
        yield f"{counted(hidden, 'further setting')}, in cross_validation.json of each"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def warnings(result: "CrossValidationComparison") -> Iterator[str]:
    """Reasons to doubt the comparison."""
    for compared in result.cross_validations:
        if compared.left_out:
            yield (
                f"{counted(compared.left_out, 'video')} of {compared.name} not compared: not in "
                "every cross-validation"
            )
    if result.fold_differences:
        reasons = "; ".join(result.fold_differences)
        yield f"the folds are not the same, so their scores are not paired ({reasons})"
    if result.kind == "random":
        yield "folds are random: clips of one recording are on both sides"
    else:
        leaking = [compared.name for compared in result.cross_validations if not compared.clean]
        if leaking:
            yield f"videos or recordings are in two folds of {', '.join(leaking)}"
    if not result.grouped:
        yield "recordings are not all known: the intervals may be too narrow"
    elif result.few_recordings:
        yield "with so few recordings, intervals over them are a rough guess"
    for pair in result.pairs:
        doubtful = [
            SCORES[measure]
            for measure in SCORES
            if pair.better[measure] not in ("neither", "unknown")
            and (difference := pair.over_folds(measure)) is not None
            and difference.p >= 0.05
        ]
        if doubtful:
            yield (
                f"{pair.title}: the difference in {' and '.join(doubtful)} varies so much from "
                "fold to fold that other trainings may not have it (p by folds)"
            )


def textbook_rows(result: "CrossValidationComparison") -> Iterator[dict[str, str]]:
    """The tests that papers report, for each score and pair whose folds are the same."""
    for measure in measures(result):
        for pair in result.pairs:
            difference = pair.over_folds(measure)
            if difference:
                yield {
                    "name": f"{SCORES[measure]} {pair.title}",
                    "paired_t": format_p(difference.paired_t_p),
                    "wilcoxon": format_p(difference.wilcoxon_p),
                    "mcnemar": format_p(pair.discordance.mcnemar_p)
                    if measure == "accuracy"
                    else "",
                    "cohens_d": f"{difference.cohens_d:+.2f}",
                }


def smallest_wilcoxon_p(result: "CrossValidationComparison") -> float:
    """The p of Wilcoxon's test if all folds favour the same one; 0.0 without paired folds."""
    over_folds = result.pairs[0].accuracy_over_folds
    return 2 / 2 ** len(over_folds.values) if over_folds else 0.0
